"""What Postfix is configured to serve to senders with DANE: its files, by address and name."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ..dane import SMTP, SUBMISSIONS, Chain, certificates, own_server, resolver
from ..errors import reason
from ..programs import ask
from .postconf import Instance, Service

_PORTS = {"smtp": SMTP, "submission": 587, "submissions": SUBMISSIONS, "smtps": SUBMISSIONS}
"""For machines without /etc/services; and `smtps` is in no newer one."""

ReadChain = Callable[[str, list[str]], "Chain | None"]
"""Reads the chain of a file's certificates, by its path and their PEM."""


class Served(NamedTuple):
    """What an instance of Postfix is configured to serve on a port."""

    directory: str
    flag: str
    """The option that names the instance to Postfix's commands."""
    offers_tls: bool
    """TLS is on."""
    service: own_server.Service


def listeners(instance: Instance, port: int) -> list[Service]:
    """Return the services of master.cf that take mail on this port."""
    return [
        each
        for each in instance.services
        if each.type == "inet"
        and each.program in ("smtpd", "postscreen")
        and _port(each.name.rpartition(":")[2]) == port
    ]


def takes_mail(instance: Instance, service: Service) -> bool:
    """Return whether a service takes mail from other machines."""
    host = service.name.rpartition(":")[0]
    return not _is_local(instance.value("inet_interfaces")) and not _is_local(host or "all")


def _is_local(interfaces: str) -> bool:
    words = interfaces.replace(",", " ").split()
    return all(
        word in ("loopback-only", "localhost") or resolver.is_loopback(word.strip("[]"))
        for word in words
    )


def _port(name: str) -> int | None:
    if name.isdecimal():
        return int(name)
    try:
        return _PORTS.get(name) or socket.getservbyname(name, "tcp")
    except OSError:
        return None


def read_served(
    instance: Instance, service: Service, addresses: Sequence[str], name: str, read: ReadChain
) -> Served | None:
    """Return what a service serves where it answers on some of these addresses, else None.

    Args:
        instance: The instance of Postfix.
        service: One of its services.
        addresses: Those of the server's name.
        name: By which senders with DANE ask for a certificate (SNI).
        read: Reads a chain.
    """
    answering = tuple(each for each in addresses if _listens_on(instance, service, each))
    if not answering:
        return None
    return _Files(instance, service, read).served(answering, name)


def _listens_on(instance: Instance, service: Service, address: str) -> bool:
    """Return whether a service listens on an address of this machine."""
    host = service.name.rpartition(":")[0]
    words = (host or instance.value("inet_interfaces") or "all").replace(",", " ").split()
    return any(
        _is_own_address(address) if word == "all" else address in _addresses(word.strip("[]"))
        for word in words
        if word != "loopback-only"
    )


def _is_own_address(address: str) -> bool:
    """Return whether an address is one of this machine's: only those can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _addresses(host: str) -> set[str]:
    """Return the addresses of this machine that a word of inet_interfaces stands for."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {each for each in (str(one[4][0]) for one in found) if _is_own_address(each)}


class _Files:
    """The files of one service."""

    def __init__(self, instance: Instance, service: Service, read: ReadChain) -> None:
        self.instance, self._read = instance, read
        self.unreadable: list[str] = []
        self.unfit: list[str] = []
        behind_postscreen = [
            each
            for each in instance.services
            if service.program == "postscreen" and each.label == "smtpd/pass"
        ]
        self._service = behind_postscreen[0] if behind_postscreen else service

    def value(self, name: str) -> str:
        """Return a parameter in force for the service."""
        return self.instance.value(name, self._service)

    def served(self, addresses: tuple[str, ...], name: str) -> Served:
        """Return what the service serves to senders that ask for this name."""
        level, old = self.value("smtpd_tls_security_level"), self.value("smtpd_use_tls")
        offers_tls = level not in ("", "none") if level else old == "yes"
        chains, renewed, remake = self._by_name(name)
        if not chains:
            chains = self._usual()
        elif {each.leaf.der for each in chains} == {each.leaf.der for each in renewed}:
            renewed = []
        service = own_server.Service(
            addresses,
            tuple(chains),
            f"postfix {self.instance.flag}reload",
            tuple(renewed),
            remake,
            tuple(self.unfit),
            tuple(self.unreadable),
        )
        return Served(self.instance.directory, self.instance.flag, offers_tls, service)

    def _usual(self) -> list[Chain]:
        """Read what is served to those who ask for no name that has a table's entry."""
        files = self.value("smtpd_tls_chain_files").replace(",", " ").split()
        if files:
            return self._keyed(files)
        chains: list[Chain] = []
        for kind in ("", "ec", "d"):
            path = self.value(f"smtpd_tls_{kind}cert_file")
            if path in ("", "none"):
                continue
            found = self._chains(path)
            key = self.value(f"smtpd_tls_{kind}key_file") or path
            key = path if key.startswith("$") else key
            if found and (misfit := _misfit(key, found[0])):
                self.unfit.append(misfit)
            chains += found
        return chains

    def _keyed(self, files: list[str]) -> list[Chain]:
        """Read smtpd_tls_chain_files."""
        texts = [(path, text) for path in files if (text := self._text(path)) is not None]
        chains: list[Chain] = []
        for group in certificates.keyed_groups(texts):
            if chain := self._read(group.path, group.certificates):
                chains.append(chain)
                public = certificates.public_key_of(group.key) if group.key else chain.leaf.spki
                if public and public != chain.leaf.spki:
                    self.unfit.append(f"the key before the certificate in {group.path} is another")
        of_use = {chain.path for chain in chains}
        for path, text in texts:
            if path not in of_use and "PRIVATE KEY-----" not in text:
                self.unreadable.append(f"{path} holds no certificate that openssl can read")
        return chains

    def _chains(self, path: str) -> list[Chain]:
        text = self._text(path)
        if text is None:
            return []
        groups = certificates.pem_groups(text, with_keys=False)
        found = [each for each in (self._read(path, group) for group in groups) if each]
        if not found:
            self.unreadable.append(f"{path} holds no certificate that openssl can read")
        return found

    def _text(self, path: str) -> str | None:
        """Read a file, or note why that cannot be done."""
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            self.unfit.append(f"{path} is gone")
        except OSError as error:
            self.unreadable.append(f"{path} cannot be read: {reason(error)}")
        return None

    # ---- SNI ----

    def _by_name(self, name: str) -> tuple[list[Chain], list[Chain], str]:
        """Return the chains of a name's entry, those of the files behind it, and the remedy."""
        flag = self.instance.flag.split()
        for table in self.value("tls_server_sni_maps").replace(",", " ").split():
            for key in _keys(name):
                entry = ask("postmap", *flag, "-F", "-q", key, table)
                if entry is None or entry.status or "BEGIN CERTIFICATE" not in entry.out:
                    continue
                groups = certificates.pem_groups(entry.out, with_keys=True)
                chains = [one for group in groups if (one := self._read(table, group))]
                remake = f"postmap {self.instance.flag}-F {shlex.quote(table)}"
                return chains, list(self._sources(table, key)), remake
        return [], [], ""

    def _sources(self, table: str, key: str) -> Iterator[Chain]:
        """Yield the chains in the files that the source of a table names for a key."""
        kind, _, path = table.partition(":")
        if kind not in _INDEXED:
            return
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.split() for line in file if not line.startswith("#")]
        except OSError:
            return
        for words in lines:
            if words and words[0].lower() == key:
                texts = [_content(each.rstrip(",")) for each in words[1:]]
                for group in certificates.pem_groups("\n".join(texts), with_keys=True):
                    if chain := self._read(words[-1], group):
                        yield chain


_INDEXED = ("hash", "btree", "lmdb", "cdb", "dbm")
"""Tables that postmap(1) makes from a file of that name: they hold copies of the certificates."""


def _keys(name: str) -> Iterable[str]:
    """Yield the keys that Postfix looks for, in order: a name, and each domain above it."""
    yield name
    rest = name
    while "." in rest:
        rest = rest.partition(".")[2]
        yield f".{rest}"


def _content(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _misfit(key: str, chain: Chain) -> str:
    """Return why a key file does not belong to a certificate; empty where it does, or may."""
    if not os.path.exists(key):
        return f"{key} is gone"
    public = certificates.read_public_key(key)
    return f"{key} is not the key of {chain.path}" if public and public != chain.leaf.spki else ""
