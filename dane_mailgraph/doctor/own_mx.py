"""Our own mail servers: what DNS has of them, what answers, and what Postfix's files hold.

By openssl(1) rather than a package: it comes with Debian's Postfix (by ssl-cert), Postfix itself
checks chains with OpenSSL, and `s_client` speaks STARTTLS.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, NamedTuple

from ..dane import (
    SMTP,
    SUBMISSIONS,
    Answer,
    Chain,
    ResolvConf,
    Target,
    certificates,
    own_server,
    resolver,
    tlsa,
)
from ..errors import reason
from ..programs import ask
from .postconf import Instance
from .served import Served, listeners, read_served, takes_mail

_PATIENCE = 15
"""Seconds for a live answer: postscreen(8) greets after 6 s (postscreen_greet_wait)."""

_AT_ONCE = 8
"""Addresses that are asked at once."""


class Mx(NamedTuple):
    """One of our own servers."""

    server: own_server.Server
    served: tuple[Served, ...] = ()
    """What is configured for its addresses, also where TLS is off."""


def receivers(instances: Iterable[Instance]) -> list[Target]:
    """Return the names by which these instances take mail from others on port 25."""
    names = [
        each.value("myhostname", service).lower()
        for each in instances
        for service in listeners(each, SMTP)
        if takes_mail(each, service)
    ]
    return [Target(name) for name in dict.fromkeys(names) if name]


def look_at(
    target: Target,
    instances: Sequence[Instance],
    resolv: ResolvConf,
    port: int = 53,
    next_cert: str = "",
) -> Mx:
    """Gather everything about one of our servers.

    Args:
        target: Its name and port.
        instances: The active ones of Postfix.
        resolv: The resolvers.
        port: The port of the resolvers.
        next_cert: File with the certificate of a planned change; empty: none.

    Raises:
        SourceError: `next_cert` cannot be read.
    """
    following = certificates.read_chains(next_cert, target.name) if next_cert else []
    published, addresses = _Dns(target, resolv, port).published()
    base = published.name.partition("._tcp.")[2] or target.name
    records = [each for each in map(tlsa.parse, published.records) if each]
    issuers = tuple(each.data for each in records if each[:3] == (2, 0, 0))
    read = _Reader(target.name, _domains(target.name, instances), issuers).read
    served = tuple(
        each
        for instance in instances
        for service in listeners(instance, target.port)
        if (each := read_served(instance, service, addresses, base, read))
    )
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        shaken = threads.map(
            lambda address: _Address(address, target.port, base).handshakes(), addresses
        )
        handshakes = tuple(
            own_server.Handshake(
                each.address,
                each.keys,
                read(str(target), list(each.group)) if each.group else None,
                each.trouble,
                each.words,
            )
            for some in shaken
            for each in some
        )
    services = tuple(each.service for each in served if each.offers)
    return Mx(
        own_server.Server(
            target,
            published,
            handshakes,
            services,
            next((each for each in following if each.names_server), None),
        ),
        served,
    )


def look_at_all(
    targets: Sequence[Target] | None,
    instances: Sequence[Instance],
    resolv: ResolvConf,
    port: int = 53,
    next_cert: str = "",
) -> list[Mx]:
    """Gather everything about these servers; None stands for those that Postfix itself names.

    The arguments and errors are those of `look_at`.
    """
    return [
        look_at(each, instances, resolv, port, next_cert)
        for each in (receivers(instances) if targets is None else targets)
    ]


class _Reader:
    """Reads the chains of one server, each once."""

    def __init__(self, name: str, domains: tuple[str, ...], issuers: tuple[bytes, ...]) -> None:
        self._name, self._domains, self._issuers = name, domains, issuers
        self._known: dict[tuple[str, ...], Chain | None] = {}

    def read(self, path: str, group: list[str]) -> Chain | None:
        """Read the chain of these PEM certificates."""
        key = (path, *group)
        if key not in self._known:
            self._known[key] = certificates.read_chain(
                path, group, self._name, self._domains, self._issuers
            )
        return self._known[key]


# ---- names ----------------------------------------------------------------------------------

_DOMAINS = (
    "mydomain",
    "mydestination",
    "relay_domains",
    "virtual_alias_domains",
    "virtual_mailbox_domains",
)
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_MOST_DOMAINS = 20


def _domains(name: str, instances: Iterable[Instance]) -> tuple[str, ...]:
    """Return domains that we receive mail for, as far as they are written down."""
    labels = name.split(".")
    found = {".".join(labels[each:]): None for each in range(1, len(labels) - 1)}
    for instance in instances:
        for setting in _DOMAINS:
            words = instance.value(setting).replace(",", " ").split()
            found.update(dict.fromkeys(word.lower() for word in words if _DOMAIN.fullmatch(word)))
    return tuple(each for each in found if each != name)[:_MOST_DOMAINS]


class _Dns:
    """What the resolvers say of one server."""

    def __init__(self, target: Target, resolv: ResolvConf, port: int) -> None:
        self._target, self._resolv, self._port = target, resolv, port
        self._is_validating = False

    def _look_up(self, name: str, kind: str) -> Answer:
        answer = resolver.look_up(name, kind, self._resolv, self._port)
        self._is_validating |= answer.secure
        return answer

    def _validates(self) -> bool:
        """Return whether the resolver validates; Postfix's own probe, where nothing is signed."""
        return self._is_validating or self._look_up(".", "NS").secure

    def published(self) -> tuple[own_server.Published, tuple[str, ...]]:
        """Return the records of the name that senders use, and its addresses.

        That name is what the host is an alias of, where all of that is signed; where it is a signed
        alias of what is not, it is the host's own (RFC 7672, section 2.2.2).
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


# ---- what answers ---------------------------------------------------------------------------

_KEYS = {
    "": (),
    "RSA": (
        "-sigalgs",
        "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
        "RSA+SHA256:RSA+SHA384:RSA+SHA512",
        "-cipher",
        "aRSA",
    ),
    "ECDSA": (
        "-sigalgs",
        "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448",
        "-cipher",
        "aECDSA",
    ),
}
"""Types of keys that a sender knows -> the options of s_client."""

_NOT_OFFERED = "Didn't find STARTTLS"
_MOST_WORDS = 120


class _Shaken(NamedTuple):
    """What came of a handshake."""

    address: str
    keys: str
    group: tuple[str, ...] = ()
    """The certificates sent, as PEM."""
    trouble: str = ""
    words: str = ""


class _Address:
    """One address of a server, and the name that senders ask it for."""

    def __init__(self, address: str, port: int, name: str) -> None:
        self._address, self._port, self._name = address, port, name

    def handshakes(self) -> list[_Shaken]:
        """Return what it shows to senders that know all types of keys, RSA only, ECDSA only.

        A server need not have a key of every type.
        """
        whole = self._shake("")
        if not whole.group:
            return [whole]
        others = [self._shake(keys) for keys in ("RSA", "ECDSA")]
        return [whole, *(each for each in others if each.group)]

    def _shake(self, keys: str) -> _Shaken:
        where = f"[{self._address}]" if ":" in self._address else self._address
        starttls = () if self._port == SUBMISSIONS else ("-starttls", "smtp")
        output = ask(
            "openssl",
            "s_client",
            "-connect",
            f"{where}:{self._port}",
            "-servername",
            self._name,
            *starttls,
            *_KEYS[keys],
            "-showcerts",
            seconds=_PATIENCE,
        )
        if output is None:
            words = "there is no command openssl"
            return _Shaken(self._address, keys, (), own_server.UNREACHABLE, words)
        group = tuple(certificates.PEM_CERTIFICATE.findall(output.out))
        if group and _NOT_OFFERED not in output.err:
            return _Shaken(self._address, keys, group)
        trouble, words = self._why()
        return _Shaken(self._address, keys, (), trouble, " ".join(words.split())[:_MOST_WORDS])

    def _why(self) -> tuple[str, str]:
        """Speak as a sender does as far as STARTTLS, and return where it ends."""
        try:
            with (
                socket.create_connection((self._address, self._port), _PATIENCE) as server,
                server.makefile("rw", encoding="latin-1", newline="\r\n") as lines,
            ):
                if self._port == SUBMISSIONS:
                    return own_server.NO_HANDSHAKE, "no certificate"
                return _until_starttls(lines)
        except (OSError, ValueError) as error:
            return own_server.UNREACHABLE, reason(error)


def _until_starttls(lines: IO[str]) -> tuple[str, str]:
    code, words = _reply(lines)
    if code != "220":
        return own_server.UNREACHABLE, words or "it hangs up"
    lines.write(f"EHLO {_own_name()}\r\n")
    lines.flush()
    code, words = _reply(lines)
    if code != "250":
        return own_server.UNREACHABLE, words or "it hangs up"
    if "STARTTLS" not in words.upper().split():
        return own_server.NO_STARTTLS, "it is not offered"
    lines.write("STARTTLS\r\n")
    lines.flush()
    code, words = _reply(lines)
    if code != "220":
        return own_server.NO_STARTTLS, words or "it hangs up"
    return own_server.NO_HANDSHAKE, "no certificate"


def _own_name() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname()) or "localhost"


_LONGEST_REPLY, _MOST_LINES = 1000, 100


def _reply(lines: IO[str]) -> tuple[str, str]:
    """Read a reply of SMTP: its code, and all its lines as one."""
    words: list[str] = []
    for _ in range(_MOST_LINES):
        line = lines.readline(_LONGEST_REPLY)
        words.append(line[4:].strip() if len(words) else line.strip())
        if line[3:4] != "-":
            return line[:3], " ".join(words)
    raise ValueError("its reply does not end")
