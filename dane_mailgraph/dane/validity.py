"""When a certificate ends, read from its DER without a program or a library."""

from __future__ import annotations

import binascii
import re
from datetime import datetime, timezone
from typing import NamedTuple

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")

_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
"""Tags of DER."""


def end_of_certificate(text: str) -> int | None:
    """Return the epoch second at which the first PEM certificate of a text ends.

    None where there is none, or where it cannot be read.
    """
    pem = _PEM.search(text)
    if pem is None:
        return None
    try:
        return _not_after(binascii.a2b_base64(pem[1]))
    except (ValueError, IndexError):
        return None


def _not_after(certificate: bytes) -> int:
    """Walk through DER (X.690): Certificate, TBSCertificate, validity, notAfter of RFC 5280."""
    signed = _element(_element(certificate, 0).content, 0).content
    at = _element(signed, 0).end if signed[0] == _VERSION else 0
    for _serial_signature_issuer in range(3):
        at = _element(signed, at).end
    validity = _element(signed, at).content
    not_after = _element(validity, _element(validity, 0).end)
    digits = not_after.content.decode("ascii")
    if not_after.tag == _UTC_TIME:
        digits = ("19" if digits >= "50" else "20") + digits
    elif not_after.tag != _GENERALIZED_TIME:
        raise ValueError(f"no time: {not_after.tag}")
    moment = datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
    return int(moment.timestamp())


class _Element(NamedTuple):
    tag: int
    content: bytes
    end: int
    """Where the next element begins."""


def _element(der: bytes, at: int) -> _Element:
    """Read the element of DER that begins at a byte; raises ValueError, IndexError."""
    tag, length, begin = der[at], der[at + 1], at + 2
    if length >= 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[at + 2 : begin], "big")
    if begin + length > len(der):
        raise ValueError("cut off")
    return _Element(tag, der[begin : begin + length], begin + length)
