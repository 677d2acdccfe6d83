"""What DNS has for one of our servers: its addresses, and the TLSA records that senders use."""

from __future__ import annotations

from ..dane import Answer, ResolvConf, Target, own_server, resolver


def find_published(
    target: Target, resolv: ResolvConf
) -> tuple[own_server.Published, tuple[str, ...]]:
    """Return the records that senders use for a server, and the addresses of the server."""
    return _Lookup(target, resolv).published()


class _Lookup:
    """The lookups for one server."""

    def __init__(self, target: Target, resolv: ResolvConf) -> None:
        self._target, self._resolv = target, resolv
        self._has_validated = False

    def _look_up(self, name: str, kind: str) -> Answer:
        answer = resolver.look_up(name, kind, self._resolv)
        self._has_validated |= answer.secure
        return answer

    def _validates(self) -> bool:
        """Return whether the resolver validates; where no answer shows it, by Postfix's probe."""
        return self._has_validated or self._look_up(".", "NS").secure

    def published(self) -> tuple[own_server.Published, tuple[str, ...]]:
        """Return the records that senders use, and the addresses.

        A host that is an alias has them at the name that it is an alias of, if that is signed, or
        else at its own. If only the alias itself is signed, they are at its own (RFC 7672, 2.2.2).
        """
        name, port = self._target
        answers = [self._look_up(name, kind) for kind in ("A", "AAAA")]
        addresses = tuple(address for each in answers for address in sorted(each.records))
        having = [each for each in answers if each.records]
        trouble = next((each for each in answers if not each.is_final), None)
        if trouble and not having:
            return self._failed(name, trouble), ()
        owners = {each.owner for each in having} - {name}
        is_signed = bool(having) and all(each.secure for each in having)
        if is_signed:
            bases = [*sorted(owners), name]
        elif owners and (alias := self._look_up(name, "CNAME")).secure and alias.records:
            bases, is_signed = [name], True
        else:
            bases = [name]
        for base in bases:
            answer = self._look_up(f"_{port}._tcp.{base}", "TLSA")
            if answer.records or not answer.is_final:
                break
        if not answer.is_final and (is_signed or not answer.code):
            return self._failed(answer.question.partition(" ")[0], answer), addresses
        return (
            own_server.Published(
                answer.question.partition(" ")[0],
                answer.records,
                answer.ttl,
                answer.code if answer.is_final else "NOERROR",
                validates=self._validates(),
                host_is_signed=is_signed or not addresses,
                is_signed=answer.secure,
                has_address=bool(addresses),
            ),
            addresses,
        )

    def _failed(self, name: str, answer: Answer) -> own_server.Published:
        return own_server.Published(
            name,
            code=answer.code,
            trouble=answer.trouble,
            validates=bool(answer.code) and self._validates(),
        )
