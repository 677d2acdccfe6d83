"""Reads from a certificate when it ends, without a program or a library."""

from __future__ import annotations

import binascii
import re
from datetime import datetime, timezone

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")

_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


def end_of_certificate(text: str) -> int | None:
    """Return the epoch second at which the first PEM certificate of a text ends.

    None where there is none, or where it cannot be read.
    """
    found = _PEM.search(text)
    if found is None:
        return None
    try:
        return _not_after(binascii.a2b_base64(found[1]))
    except (ValueError, IndexError):
        return None


def _not_after(certificate: bytes) -> int:
    """Walk through DER (X.690): Certificate, TBSCertificate, validity, notAfter of RFC 5280."""
    _, body, _ = _element(certificate, 0)
    _, body, _ = _element(body, 0)
    at = 0
    if body[0] == _VERSION:
        _, _, at = _element(body, at)
    for _serial_signature_issuer in range(3):
        _, _, at = _element(body, at)
    _, validity, _ = _element(body, at)
    _, _, at = _element(validity, 0)
    kind, text, _ = _element(validity, at)
    digits = text.decode("ascii")
    if kind == _UTC_TIME:
        digits = ("19" if digits >= "50" else "20") + digits
    elif kind != _GENERALIZED_TIME:
        raise ValueError(f"no time: {kind}")
    moment = datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
    return int(moment.timestamp())


def _element(der: bytes, at: int) -> tuple[int, bytes, int]:
    """Return the tag and the content of the element at this place, and the place behind it."""
    tag, length, begin = der[at], der[at + 1], at + 2
    if length >= 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[at + 2 : begin], "big")
    if begin + length > len(der):
        raise ValueError("cut off")
    return tag, der[begin : begin + length], begin + length
