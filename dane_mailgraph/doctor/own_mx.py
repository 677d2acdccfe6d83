"""Our own mail servers: what DNS has of them, what answers, and what Postfix's files hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ..dane import SMTP, Chain, ResolvConf, Target, certificates, own_server, tlsa
from .handshakes import try_handshakes
from .postconf import Instance
from .published import find_published
from .served import Served, listeners, read_served, takes_mail

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


def look_at_all(
    targets: Sequence[Target] | None,
    instances: Sequence[Instance],
    resolv: ResolvConf,
    next_cert: str = "",
) -> list[Mx]:
    """Gather everything about these servers; None stands for those that Postfix itself names.

    The arguments and errors are those of `look_at`.
    """
    return [
        look_at(each, instances, resolv, next_cert)
        for each in (receivers(instances) if targets is None else targets)
    ]


def look_at(
    target: Target, instances: Sequence[Instance], resolv: ResolvConf, next_cert: str = ""
) -> Mx:
    """Gather everything about one of our servers.

    Args:
        target: Its name and port.
        instances: The active ones of Postfix.
        resolv: The resolvers to ask.
        next_cert: File with the certificate of a planned change; empty: none.

    Raises:
        SourceError: `next_cert` cannot be read.
    """
    next_chains = certificates.read_chains(next_cert, target.name) if next_cert else []
    published, addresses = find_published(target, resolv)
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
        attempts = threads.map(lambda each: try_handshakes(each, target.port, base), addresses)
        handshakes = tuple(
            own_server.Handshake(
                each.address,
                each.keys,
                read(str(target), list(each.group)) if each.group else None,
                each.trouble,
                each.words,
            )
            for of_address in attempts
            for each in of_address
        )
    server = own_server.Server(
        target,
        published,
        handshakes,
        tuple(each.service for each in served if each.offers_tls),
        next((each for each in next_chains if each.names_server), None),
    )
    return Mx(server, served)


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
