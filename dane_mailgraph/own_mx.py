"""openssl(1): the certificates of our own mail servers, beside the TLSA records that are published for them.

The command rather than a package: it is there wherever Debian's Postfix is (by ssl-cert), it is what Postfix
itself checks chains with, and `s_client` speaks STARTTLS.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import tempfile
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from . import resolver
from .command import ask
from .errors import SourceError, UsageError, reason
from .postconf import Instance, Service
from .resolver import Answer, Resolv
from .tlsa import Certificate, Chain

SMTP, SUBMISSIONS = 25, 465

_PORTS = {"smtp": SMTP, "submission": 587, "submissions": SUBMISSIONS, "smtps": SUBMISSIONS}
"""For machines without /etc/services; and `smtps` is in no newer one."""

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(\.{_LABEL})*\.?")

_PATIENCE = 15
"""Seconds for a live answer: postscreen(8) lets a client wait 6 s for its greeting (postscreen_greet_wait)."""

_NAMES = "oneline,-esc_msb"
"""How names are written: `CN = x`, by every version; the default is `CN=x` from OpenSSL 3.2 on."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s[^-]*-----END CERTIFICATE-----")
_BLOCK = re.compile(rf"-----BEGIN [A-Z ]*(PRIVATE KEY)-----|({_CERTIFICATE.pattern})")


class Target(NamedTuple):
    """A name and a port that receive mail."""

    name: str
    port: int = SMTP

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def record(self) -> str:
        """Where its TLSA records are."""
        return f"_{self.port}._tcp.{self.name}"


class Served(NamedTuple):
    """What an instance of Postfix has been told to serve on a port."""

    directory: str
    offers: bool
    """TLS is on."""
    sni: bool
    """Certificates for some names come from elsewhere (tls_server_sni_maps)."""
    chains: tuple[Chain, ...]
    troubles: tuple[str, ...]
    """A sentence for each file that could not be read."""


class Mx(NamedTuple):
    """What is known of one of our own servers."""

    target: Target
    address: Answer
    records: Answer
    served: tuple[Served, ...]
    live: Chain | None
    """What answers there now."""
    silent: str = ""
    """Why nothing does."""


def host(text: str) -> str:
    """Read the name of a server; raises UsageError."""
    if not _NAME.fullmatch(text):
        raise UsageError(f"{text!r} is no name of a server; give one as in --name mail.example.org.")
    return text.rstrip(".").lower()


def target(text: str) -> Target:
    """Read NAME or NAME:PORT; raises UsageError."""
    name, colon, port = text.rpartition(":") if re.search(r":\d*$", text) else (text, "", "")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{text!r} is no NAME or NAME:PORT; name a server as in --mx mail.example.org:25.")
    if colon and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"{text!r} has no port from 1 to 65535 behind the colon; name a server as in --mx mail.example.org:25.")
    return Target(name.rstrip(".").lower(), int(port) if colon else SMTP)


def receivers(instances: Iterable[Instance]) -> list[Target]:
    """The names by which these instances take mail from others on port 25."""
    names = [
        each.said("myhostname").lower()
        for each in instances
        if _listeners(each, SMTP) and not _local(each.said("inet_interfaces"))
    ]
    return [Target(name) for name in dict.fromkeys(names) if name]


def look(target: Target, instances: Sequence[Instance], resolv: Resolv, port: int = 53) -> Mx:
    """Find out all about one of our servers; `port` is the resolvers'."""
    address = resolver.look_up(target.name, "A", resolv, port)
    if not address.records:
        other = resolver.look_up(target.name, "AAAA", resolv, port)
        address = other if other.records else address
    records = resolver.look_up(target.record, "TLSA", resolv, port)
    served = tuple(_served(each, service, target) for each in instances for service in _listeners(each, target.port))
    live, silent = _live(target, address)
    return Mx(target, address, records, served, live, silent)


# ---- what Postfix has been told -------------------------------------------------------------


def _listeners(instance: Instance, port: int) -> list[Service]:
    """The services of master.cf that take mail on this port, not only from this machine."""
    found = []
    for each in instance.services:
        host, _, name = each.name.rpartition(":")
        if each.type == "inet" and each.program in ("smtpd", "postscreen") and not _local(host or "all") and _port(name) == port:
            found.append(each)
    return found


def _local(interfaces: str) -> bool:
    words = interfaces.replace(",", " ").split()
    return all(word in ("loopback-only", "localhost") or resolver.loopback(word.strip("[]")) for word in words)


def _port(name: str) -> int | None:
    if name.isdecimal():
        return int(name)
    try:
        return _PORTS.get(name) or socket.getservbyname(name, "tcp")
    except OSError:
        return None


def _served(instance: Instance, service: Service, target: Target) -> Served:
    def said(name: str) -> str:
        return instance.said(name, service)

    level, old = said("smtpd_tls_security_level"), said("smtpd_use_tls")
    files = said("smtpd_tls_chain_files").replace(",", " ").split()
    mixed = bool(files)
    if not files:
        named = (said(f"smtpd_tls_{kind}_file") for kind in ("cert", "eccert", "dcert"))
        files = [each for each in named if each not in ("", "none")]
    chains: list[Chain] = []
    troubles = []
    for path in files:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                groups = _groups(file.read(), mixed=mixed)
        except OSError as error:
            troubles.append(f"{path} cannot be read: {reason(error)}")
            continue
        found = [each for each in (_chain(path, group, target.name) for group in groups) if each]
        chains += found
        if not found:
            troubles.append(f"{path} holds no certificate that openssl can read")
    offers = level not in ("", "none") if level else old == "yes"
    return Served(instance.directory, offers, bool(said("tls_server_sni_maps")), tuple(chains), tuple(troubles))


def _groups(text: str, *, mixed: bool) -> list[list[str]]:
    """The PEM certificates of a file; in a mixed one (smtpd_tls_chain_files) each private key begins another chain."""
    groups: list[list[str]] = [[]]
    for block in _BLOCK.finditer(text):
        if block[2]:
            groups[-1].append(block[2])
        elif mixed:
            groups.append([])
    return [group for group in groups if group]


# ---- what it serves -------------------------------------------------------------------------


def _live(target: Target, address: Answer) -> tuple[Chain | None, str]:
    if not address.records:
        return None, f"{target.name} has no address"
    host = address.records[0]
    where = f"[{host}]:{target.port}" if ":" in host else f"{host}:{target.port}"
    starttls = () if target.port == SUBMISSIONS else ("-starttls", "smtp")
    said = ask("openssl", "s_client", "-connect", where, "-servername", target.name, *starttls, "-showcerts", seconds=_PATIENCE)
    if said is None:
        return None, "there is no command openssl"
    group = _CERTIFICATE.findall(said.out)
    chain = _chain(f"{target} ({host})", group, target.name) if group else None
    return chain, "" if chain else f"{where} gives no certificate: {_why(said.err)}"


def _why(said: str) -> str:
    """The words that tell something in OpenSSL's stack of errors."""
    known = re.search(r"Connection refused|Network is unreachable|No route to host|no answer within \d+ seconds|timed out", said)
    return known[0] if known else "it offers no TLS"


# ---- certificates ---------------------------------------------------------------------------


def chains(path: str, name: str) -> list[Chain]:
    """What a PEM file holds for a server of this name: one chain, or several in the form of smtpd_tls_chain_files.

    Raises SourceError.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {reason(error)}; name the file of a certificate.") from error
    first = _BLOCK.search(text)
    groups = _groups(text, mixed=bool(first and first[1]))
    if first and not groups:
        raise SourceError(f"{path} holds a private key and no certificate; name the file of the certificate, with its chain.")
    found = [each for each in (_chain(path, group, name) for group in groups) if each]
    if not found and ask("openssl", "version") is None:
        raise SourceError(f"{path} cannot be read: there is no command openssl; install it.")
    # A block that was cut off is not among the groups, and the next would be taken for the server's own.
    if not found or len(found) < len(groups) or sum(map(len, groups)) < text.count("-----BEGIN CERTIFICATE-----"):
        raise SourceError(f"{path} is damaged or no PEM file of certificates; see what `openssl x509 -noout -text` says of it.")
    return found


def _chain(path: str, group: list[str], name: str) -> Chain | None:
    certificates = [each for each in map(_certificate, group) if each]
    if len(certificates) < len(group):
        return None
    checked = ask("openssl", "x509", "-noout", "-checkhost", name, stdin=group[0])
    named = checked is not None and "does match" in checked.out
    return Chain(path, tuple(certificates), named, tuple(_anchors(group)))


def _certificate(pem: str) -> Certificate | None:
    said = ask("openssl", "x509", "-noout", "-subject", "-nameopt", _NAMES, "-dates", "-pubkey", stdin=pem)
    if said is None or said.status:
        return None
    fields = dict(re.findall(r"^(subject|notBefore|notAfter)=\s*(.*)$", said.out, re.MULTILINE))
    key = re.search(r"-----BEGIN PUBLIC KEY-----\s([^-]*)-----END", said.out)
    if not key or len(fields) < 3:
        return None
    begins, ends = (ssl.cert_time_to_seconds(fields[each]) for each in ("notBefore", "notAfter"))
    spki = ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----\n{key[1].strip()}\n-----END CERTIFICATE-----")
    return Certificate(ssl.PEM_cert_to_DER_cert(pem.replace("\r", "")), spki, fields["subject"], begins, ends)


def _anchors(group: list[str]) -> list[bool]:
    """For each certificate of a chain whether the first leads to it, as openssl verifies."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, str(number)) for number in range(len(group))]
        together = os.path.join(folder, "all")
        for path, pem in [*zip(paths, group, strict=True), (together, "\n".join(group))]:
            with open(path, "w", encoding="ascii") as file:
                file.write(pem + "\n")
        verify = ("openssl", "verify", "-partial_chain", "-purpose", "sslserver", "-untrusted", together)
        said = [ask(*verify, "-trusted", each, paths[0]) for each in paths]
    return [each is not None and each.status == 0 for each in said]
