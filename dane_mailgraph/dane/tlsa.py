"""TLSA records and the certificates that they match (RFC 6698, for SMTP as RFC 7672 has it)."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

_DIGESTS = {1: "sha256", 2: "sha512"}


class Tlsa(NamedTuple):
    """One record."""

    usage: int
    """3 DANE-EE, 2 DANE-TA; 0 and 1 mean nothing to a mail server."""
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
        """As a zone file has it."""
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"

    @property
    def usable(self) -> bool:
        """Whether a mail client can do anything with it (RFC 7672, section 3.1)."""
        length = {0: len(self.data), 1: 32, 2: 64}.get(self.matching)
        return self.usage in (2, 3) and self.selector in (0, 1) and len(self.data) == length


class Certificate(NamedTuple):
    """What is asked of a certificate."""

    der: bytes
    spki: bytes
    """Its public key, as SubjectPublicKeyInfo."""
    subject: str
    begins: int
    ends: int
    """Epoch second after which it has expired."""


class Chain(NamedTuple):
    """A certificate that Postfix serves, with the issuers that it sends along."""

    path: str
    certificates: tuple[Certificate, ...]
    """The server's own first."""
    named: bool = True
    """The server's own certificate is for the name asked for."""
    anchors: tuple[bool, ...] = ()
    """For each certificate whether the server's own leads to it by valid signatures and dates."""

    @property
    def own(self) -> Certificate:
        """The server's own certificate."""
        return self.certificates[0]


def read(text: str) -> Tlsa | None:
    """A record as zone files spell it; None for what is none."""
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
    """The record that matches a certificate."""
    chosen = certificate.spki if selector else certificate.der
    digest = _DIGESTS.get(matching)
    return Tlsa(
        usage, selector, matching, hashlib.new(digest, chosen).digest() if digest else chosen
    )


def matches(record: Tlsa, chain: Chain) -> bool:
    """Whether a client would accept this chain for this record.

    DANE-EE(3) looks at the server's own key or certificate alone, neither at names nor at dates; DANE-TA(2) at
    each certificate that is sent, and then wants the name, the signatures and the dates to be right.
    """
    if not record.usable:
        return False
    same = [record == of(each, *record[:3]) for each in chain.certificates]
    if record.usage == 3:
        return same[0]
    return chain.named and any(
        each and sound for each, sound in zip(same, chain.anchors, strict=True)
    )
