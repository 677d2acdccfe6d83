"""TLSA records and the certificates that they match (RFC 6698; for mail, RFC 7672)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_DIGESTS = {1: "sha256", 2: "sha512"}


def _digest(name: str, data: bytes) -> bytes:
    import hashlib  # it loads OpenSSL, 3.6 MiB that the counter need not hold

    return hashlib.new(name, data).digest()


class Tlsa(NamedTuple):
    """One TLSA record."""

    usage: int
    """3 DANE-EE, 2 DANE-TA; mail clients ignore 0 and 1 (RFC 7672, section 3.1.3)."""
    selector: int
    """0 the whole certificate, 1 its public key."""
    matching: int
    """0 the bytes themselves, 1 their SHA-256, 2 their SHA-512."""
    data: bytes

    def __str__(self) -> str:
        """`3 1 1 0123456789abcdef...`."""
        digits = self.data.hex()
        shown = digits if len(digits) <= 16 else digits[:16] + "..."
        return f"{self.usage} {self.selector} {self.matching} {shown}"

    @property
    def in_full(self) -> str:
        """The data of the record as a zone file has it."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"

    @property
    def is_usable(self) -> bool:
        """Whether a mail client can use it (RFC 7672, section 3.1)."""
        length = {0: len(self.data), 1: 32, 2: 64}.get(self.matching)
        return self.usage in (2, 3) and self.selector in (0, 1) and len(self.data) == length

    @property
    def is_of_empty_file(self) -> bool:
        """Whether it is the digest of an empty file: the command that made it read nothing."""
        name = _DIGESTS.get(self.matching)
        return name is not None and self.data == _digest(name, b"")


class Certificate(NamedTuple):
    """One certificate."""

    der: bytes
    spki: bytes
    """Its public key, as SubjectPublicKeyInfo."""
    subject: str
    begins: int
    ends: int
    """Epoch second after which it has expired."""
    issuer: str = ""


class Chain(NamedTuple):
    """A server's certificate (the leaf), with the issuers that the server sends along."""

    path: str
    """The file it is from, or the server that sent it."""
    certificates: tuple[Certificate, ...]
    """The leaf first."""
    names_server: bool = True
    """The leaf is for the name of the server."""
    leaf_verifies: tuple[bool, ...] = ()
    """For each certificate: signatures and dates are valid from the leaf up to it."""
    domains: tuple[str, ...] = ()
    """Domains of recipients that the leaf is for: senders accept them as the server's name, too."""
    unsent_anchors: frozenset[bytes] = frozenset()
    """DER of issuers that the server does not send, and up to which the leaf verifies."""

    @property
    def leaf(self) -> Certificate:
        """The server's own certificate."""
        return self.certificates[0]


def parse(text: str) -> Tlsa | None:
    """Read the data of a record as a zone file has it; None where it is no TLSA record."""
    match = re.fullmatch(r"(\d{1,3}) (\d{1,3}) (\d{1,3}) ([0-9A-Fa-f ]*)", text)
    if not match:
        return None
    digits = match[4].replace(" ", "")
    if len(digits) % 2:
        return None
    return Tlsa(int(match[1]), int(match[2]), int(match[3]), bytes.fromhex(digits))


def record_of(
    certificate: Certificate, usage: int = 3, selector: int = 1, matching: int = 1
) -> Tlsa:
    """Return the record that matches a certificate."""
    data = certificate.spki if selector else certificate.der
    digest = _DIGESTS.get(matching)
    return Tlsa(usage, selector, matching, _digest(digest, data) if digest else data)


def strongest(records: Iterable[Tlsa]) -> list[Tlsa]:
    """Return the usable records, of each usage and selector only those of the strongest digest.

    Senders may ignore weaker digests (RFC 7671, section 9), so those help nothing.
    """
    usable = [each for each in records if each.is_usable]
    best: dict[tuple[int, int], int] = {}
    for each in usable:
        best[each[:2]] = max(best.get(each[:2], 0), each.matching)
    return [each for each in usable if each.matching in (0, best[each[:2]])]


def matches(record: Tlsa, chain: Chain) -> bool:
    """Return whether a mail client accepts this chain for this record (RFC 7672, section 3.1).

    DANE-EE(3) compares the leaf alone and ignores names and dates. DANE-TA(2) compares each issuer
    that is sent, never the leaf; name, signatures and dates must be right, too. A record that
    holds the whole certificate of an issuer (2 0 0) works without the server sending it.
    """
    if not record.is_usable:
        return False
    if record.usage == 3:
        return record == record_of(chain.leaf, *record[:3])
    if not chain.names_server and not chain.domains:
        return False
    if record[:3] == (2, 0, 0) and record.data in chain.unsent_anchors:
        return True
    return any(
        verifies and record == record_of(each, *record[:3])
        for each, verifies in zip(chain.certificates[1:], chain.leaf_verifies[1:], strict=True)
    )
