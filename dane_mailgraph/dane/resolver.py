"""DNS answers of the resolvers in a resolv.conf, and whether they are validated (the AD bit).

The queries are those that Postfix sends: with DO and AD set, to the servers and in the order that
the C library takes from the file.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

from ..errors import reason

PATH = "/etc/resolv.conf"

_SERVERS = 3
"""The C library uses no more (MAXNS in resolv.h)."""

_SECONDS = 3.0
"""Time limit for the answer of one server."""


class Resolv(NamedTuple):
    """A resolv.conf."""

    path: str
    text: str | None
    """None where it is absent or cannot be read: the C library then asks 127.0.0.1."""
    trouble: str = ""
    """Why it cannot be read."""

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses to ask, in order (resolv.conf(5))."""
        addresses = [
            words[1] for words in self._lines if words[0] == "nameserver" and len(words) > 1
        ]
        return tuple(addresses[:_SERVERS]) or ("127.0.0.1",)

    @property
    def trust_ad(self) -> bool:
        """Whether the C library hands the AD bit to every program."""
        return any(words[0] == "options" and "trust-ad" in words for words in self._lines)

    @property
    def _lines(self) -> list[list[str]]:
        return [line.split() for line in (self.text or "").split("\n") if line.split()]


class Answer(NamedTuple):
    """The answer to one question, or why there is none."""

    question: str
    """`_25._tcp.mail.example.org TLSA`."""
    server: str
    code: str
    """`NOERROR`, `NXDOMAIN`, `SERVFAIL`..., empty where no answer came."""
    secure: bool
    """The AD bit: the resolver says that it has validated the answer."""
    records: tuple[str, ...]
    """Those of the type asked for, as zone files spell them."""
    trouble: str = ""
    """Why there is no answer."""

    @property
    def known(self) -> bool:
        """Whether it is final: there are these records, or there are none."""
        return self.code in ("NOERROR", "NXDOMAIN")


def read(path: str = PATH) -> Resolv:
    """Read a resolv.conf."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
            return Resolv(path, file.read())
    except FileNotFoundError:
        return Resolv(path, None)
    except OSError as error:
        return Resolv(path, None, reason(error))


def loopback(server: str) -> bool:
    """Return whether an address is on this machine, so that no one on the way can set AD."""
    try:
        return ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


def ask(name: str, kind: str, server: str, port: int = 53) -> Answer:
    """Ask one server one question."""
    import dns.exception  # 60 ms that only the doctor pays
    import dns.flags
    import dns.message
    import dns.name
    import dns.query
    import dns.rcode
    import dns.rdatatype

    question = f"{name} {kind}"
    try:
        query = dns.message.make_query(name, kind, use_edns=True, want_dnssec=True)
        query.flags |= dns.flags.AD
        response, _ = dns.query.udp_with_fallback(query, server, _SECONDS, port)
        wanted = dns.rdatatype.from_text(kind)
        records = tuple(
            each.to_text() for rrset in response.answer if rrset.rdtype == wanted for each in rrset
        )
    except dns.exception.Timeout:
        return Answer(question, server, "", False, (), f"no answer within {_SECONDS:g} seconds")
    except (dns.exception.DNSException, OSError, ValueError) as error:
        return Answer(question, server, "", False, (), reason(error))
    return Answer(
        question,
        server,
        dns.rcode.to_text(response.rcode()),
        bool(response.flags & dns.flags.AD),
        records,
    )


def look_up(name: str, kind: str, resolv: Resolv, port: int = 53) -> Answer:
    """Ask the servers of a resolv.conf in order until one answers; else return the last failure."""
    for server in resolv.servers:
        answer = ask(name, kind, server, port)
        if answer.known:
            break
    return answer
