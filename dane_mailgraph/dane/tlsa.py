"""TLSA records and the certificates that they match (RFC 6698; for SMTP, RFC 7672)."""

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
    def usable(self) -> bool:
        """Whether a mail client can use it (RFC 7672, section 3.1)."""
        length = {0: len(self.data), 1: 32, 2: 64}.get(self.matching)
        return self.usage in (2, 3) and self.selector in (0, 1) and len(self.data) == length

    @property
    def of_nothing(self) -> bool:
        """Whether it is the digest of an empty file: the command that made it read nothing."""
        digest = _DIGESTS.get(self.matching)
        return bool(digest) and self.data == _digest(digest or "", b"")


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
    certificates: tuple[Certificate, ...]
    """The leaf first."""
    named: bool = True
    """The leaf is for the name of the server."""
    anchors: tuple[bool, ...] = ()
    """For each certificate whether the leaf leads to it by valid signatures and dates."""
    domains: tuple[str, ...] = ()
    """Domains of recipients that the leaf is for; senders take them as names of the server, too."""
    trusted: frozenset[bytes] = frozenset()
    """DER of certificates to which the leaf leads so, though nobody sends them."""

    @property
    def own(self) -> Certificate:
        """The leaf."""
        return self.certificates[0]


def read(text: str) -> Tlsa | None:
    """Read the data of a record as a zone file has it; None where it is no TLSA record."""
    match = re.fullmatch(r"(\d{1,3}) (\d{1,3}) (\d{1,3}) ([0-9A-Fa-f ]*)", text)
    if not match:
        return None
    digits = match[4].replace(" ", "")
    return (
        Tlsa(int(match[1]), int(match[2]), int(match[3]), bytes.fromhex(digits))
        if len(digits) % 2 == 0
        else None
    )


def of(certificate: Certificate, usage: int = 3, selector: int = 1, matching: int = 1) -> Tlsa:
    """Return the record that matches a certificate."""
    chosen = certificate.spki if selector else certificate.der
    digest = _DIGESTS.get(matching)
    return Tlsa(usage, selector, matching, _digest(digest, chosen) if digest else chosen)


def strongest(records: Iterable[Tlsa]) -> list[Tlsa]:
    """Return the usable records that count for every sender (RFC 7671, section 9).

    Of the digests of one usage and selector only the strongest counts.
    """
    usable = [each for each in records if each.usable]
    best: dict[tuple[int, int], int] = {}
    for each in usable:
        best[each[:2]] = max(best.get(each[:2], 0), each.matching)
    return [each for each in usable if each.matching in (0, best[each[:2]])]


def matches(record: Tlsa, chain: Chain) -> bool:
    """Return whether a mail client accepts this chain for this record (RFC 7672, section 3.1).

    DANE-EE(3) compares the leaf alone and ignores names and dates. DANE-TA(2) compares each issuer
    that is sent, never the leaf, and the name, the signatures and the dates must be right too. A
    record that holds the issuer's certificate itself stands for one that is sent.
    """
    if not record.usable:
        return False
    if record.usage == 3:
        return record == of(chain.own, *record[:3])
    if not chain.named and not chain.domains:
        return False
    if record[:3] == (2, 0, 0) and record.data in chain.trusted:
        return True
    return any(
        sound and record == of(each, *record[:3])
        for each, sound in zip(chain.certificates[1:], chain.anchors[1:], strict=True)
    )
