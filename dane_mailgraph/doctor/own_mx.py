"""Our own mail servers: the certificates that they serve, and the TLSA records published.

By openssl(1) rather than a package: it comes with Debian's Postfix (by ssl-cert), Postfix itself
checks chains with OpenSSL, and `s_client` speaks STARTTLS.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..dane import (
    PEM_CERTIFICATE,
    SMTP,
    SUBMISSIONS,
    Answer,
    Chain,
    Resolv,
    Target,
    chain_of,
    pem_groups,
    resolver,
)
from ..errors import reason
from ..programs import ask
from .postconf import Instance, Service

_PORTS = {"smtp": SMTP, "submission": 587, "submissions": SUBMISSIONS, "smtps": SUBMISSIONS}
"""For machines without /etc/services; and `smtps` is in no newer one."""

_PATIENCE = 15
"""Seconds for a live answer: postscreen(8) greets after 6 s (postscreen_greet_wait)."""


class Served(NamedTuple):
    """What an instance of Postfix is configured to serve on a port."""

    directory: str
    offers: bool
    """TLS is on."""
    sni: bool
    """Certificates for some names come from elsewhere (tls_server_sni_maps)."""
    chains: tuple[Chain, ...]
    troubles: tuple[str, ...]
    """A sentence for each file that could not be read."""


class Mx(NamedTuple):
    """One of our own servers: what DNS has of it, what Postfix serves, what answers."""

    target: Target
    address: Answer
    records: Answer
    served: tuple[Served, ...]
    live: Chain | None
    """The chain that the server sends now; None where it does not answer."""
    no_answer: str = ""
    """Why it does not answer."""


def receivers(instances: Iterable[Instance]) -> list[Target]:
    """Return the names by which these instances take mail from others on port 25."""
    names = [
        each.value("myhostname").lower()
        for each in instances
        if _listeners(each, SMTP) and not _local(each.value("inet_interfaces"))
    ]
    return [Target(name) for name in dict.fromkeys(names) if name]


def look(target: Target, instances: Sequence[Instance], resolv: Resolv, port: int = 53) -> Mx:
    """Gather everything about one of our servers; `port` is that of the resolvers."""
    address = resolver.look_up(target.name, "A", resolv, port)
    if not address.records:
        other = resolver.look_up(target.name, "AAAA", resolv, port)
        address = other if other.records else address
    records = resolver.look_up(target.record, "TLSA", resolv, port)
    served = tuple(
        _served(each, service, target)
        for each in instances
        for service in _listeners(each, target.port)
    )
    live, no_answer = _live(target, address)
    return Mx(target, address, records, served, live, no_answer)


# ---- what Postfix is configured to serve -----------------------------------------------------


def _listeners(instance: Instance, port: int) -> list[Service]:
    """Return the services of master.cf that take mail on this port from other machines."""
    found = []
    for each in instance.services:
        host, _, name = each.name.rpartition(":")
        if (
            each.type == "inet"
            and each.program in ("smtpd", "postscreen")
            and not _local(host or "all")
            and _port(name) == port
        ):
            found.append(each)
    return found


def _local(interfaces: str) -> bool:
    words = interfaces.replace(",", " ").split()
    return all(
        word in ("loopback-only", "localhost") or resolver.loopback(word.strip("[]"))
        for word in words
    )


def _port(name: str) -> int | None:
    if name.isdecimal():
        return int(name)
    try:
        return _PORTS.get(name) or socket.getservbyname(name, "tcp")
    except OSError:
        return None


def _served(instance: Instance, service: Service, target: Target) -> Served:
    def value(name: str) -> str:
        return instance.value(name, service)

    level, old = value("smtpd_tls_security_level"), value("smtpd_use_tls")
    files = value("smtpd_tls_chain_files").replace(",", " ").split()
    mixed = bool(files)
    if not files:
        named = (value(f"smtpd_tls_{kind}_file") for kind in ("cert", "eccert", "dcert"))
        files = [each for each in named if each not in ("", "none")]
    chains: list[Chain] = []
    troubles = []
    for path in files:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                groups = pem_groups(file.read(), mixed=mixed)
        except OSError as error:
            troubles.append(f"{path} cannot be read: {reason(error)}")
            continue
        found = [each for each in (chain_of(path, group, target.name) for group in groups) if each]
        chains += found
        if not found:
            troubles.append(f"{path} holds no certificate that openssl can read")
    offers = level not in ("", "none") if level else old == "yes"
    return Served(
        instance.directory,
        offers,
        bool(value("tls_server_sni_maps")),
        tuple(chains),
        tuple(troubles),
    )


# ---- what it serves now ---------------------------------------------------------------------


def _live(target: Target, address: Answer) -> tuple[Chain | None, str]:
    if not address.records:
        return None, f"{target.name} has no address"
    host = address.records[0]
    where = f"[{host}]:{target.port}" if ":" in host else f"{host}:{target.port}"
    starttls = () if target.port == SUBMISSIONS else ("-starttls", "smtp")
    output = ask(
        "openssl",
        "s_client",
        "-connect",
        where,
        "-servername",
        target.name,
        *starttls,
        "-showcerts",
        seconds=_PATIENCE,
    )
    if output is None:
        return None, "there is no command openssl"
    group = PEM_CERTIFICATE.findall(output.out)
    chain = chain_of(f"{target} ({host})", group, target.name) if group else None
    return chain, "" if chain else f"{where} gives no certificate: {_why(output.err)}"


def _why(output: str) -> str:
    """The words that tell something in OpenSSL's stack of errors."""
    known = re.search(
        r"Connection refused|Network is unreachable|No route to host|"
        r"no answer within \d+ seconds|timed out",
        output,
    )
    return known[0] if known else "it offers no TLS"
