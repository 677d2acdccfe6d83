"""Table 1: the families and categories we count.

A new category is one new row. The order of the rows is the order of the data sources in the RRD, of
the columns in the ledger, of the legends and of the stacks (bottom to top = good to bad).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Authentication(Enum):
    """What a count in a category shows of the server's authentication."""

    PROVEN = "authenticated"
    MISSING = "not authenticated"
    DOUBTFUL = "a failure that may pass"
    UNKNOWN = "nothing"


class Category(NamedTuple):
    """One category: an integer count per interval."""

    family: str
    name: str
    data_source: str
    """Data source in the RRD and column in the ledger: up to 19 of [a-z0-9_] (rrdcreate(1))."""
    label: str
    light: str
    """Colour on a white background, #rrggbb."""
    dark: str
    """Colour on a dark background, #rrggbb."""
    meaning: str
    authentication: Authentication = Authentication.UNKNOWN

    @property
    def key(self) -> str:
        """`family.name`, as in the output of `explain`."""
        return f"{self.family}.{self.name}"


_Row = tuple[str, str, str, str, str, str] | tuple[str, str, str, str, str, str, Authentication]


def _family(family: str, *rows: _Row) -> tuple[Category, ...]:
    return tuple(Category(family, *row) for row in rows)


# A colour on a white and on a dark background. Green is authenticated, red is plaintext. Neighbours
# in a stack differ for every reader and on grey paper: by CIE76 at least 19 under deuteranopia and
# protanopia, by at least 13 in lightness (L*); tests/test_palette.py simulates both.
GREEN = "#00795C", "#0E9A73"
MINT = "#86D5C0", "#9FE8D4"
BLUE = "#4A98DB", "#6CB6F8"
NAVY = "#2F5D9E", "#4C74C4"
YELLOW = "#F2C618", "#F9D85E"
ORANGE = "#EA8A3E", "#EC8438"
RED = "#C9252D", "#F0504A"
CRIMSON = "#A3121D", "#D2302E"
VIOLET = "#7F5AA8", "#9573C6"
LILAC = "#D2BFEC", "#E0D3F7"
GREY = "#A6ABB3", "#BDC4CC"

CONNECTIONS = _family(
    "connections",
    (
        "verified",
        "verified",
        "Verified",
        *GREEN,
        "the certificate matched TLSA records (DANE), or a name that policy requires",
        Authentication.PROVEN,
    ),
    (
        "trusted",
        "trusted",
        "Trusted",
        *BLUE,
        "the chain ends in a trusted CA; the name was not checked",
        Authentication.MISSING,
    ),
    (
        "untrusted",
        "untrusted",
        "Untrusted",
        *YELLOW,
        "encrypted, but the certificate is not from a trusted CA",
        Authentication.MISSING,
    ),
    (
        "anonymous",
        "anonymous",
        "Anonymous",
        *VIOLET,
        "encrypted, without a certificate",
        Authentication.MISSING,
    ),
    (
        "reused",
        "reused",
        "reused",
        *GREY,
        "another delivery over an open connection",
    ),
)

HANDSHAKES = tuple(row for row in CONNECTIONS if row.name != "reused")
"""New connections; a reused one has no handshake of its own."""

PROTOCOLS = _family(
    "protocols",
    ("tlsv1_3", "tlsv1_3", "TLSv1.3", *GREEN, "TLS 1.3 (RFC 8446)"),
    ("tlsv1_2", "tlsv1_2", "TLSv1.2", *BLUE, "TLS 1.2 (RFC 5246)"),
    ("tlsv1_1", "tlsv1_1", "TLSv1.1", *YELLOW, "TLS 1.1, deprecated (RFC 8996)"),
    ("tlsv1", "tlsv1", "TLSv1", *ORANGE, "TLS 1.0, deprecated (RFC 8996)"),
    ("sslv3", "sslv3", "SSLv3", *CRIMSON, "SSL 3.0, broken (RFC 7568)"),
)

KEY_EXCHANGE = _family(
    "key_exchange",
    ("post_quantum", "kx_post_quantum", "post-quantum", *GREEN, "a hybrid with ML-KEM or Kyber"),
    ("ecdh", "kx_ecdh", "ECDH", *BLUE, "elliptic curve Diffie-Hellman"),
    ("dh", "kx_dh", "DH", *YELLOW, "finite field Diffie-Hellman"),
    ("rsa", "kx_rsa", "RSA", *VIOLET, "RSA key transport, no forward secrecy"),
    ("unknown", "kx_unknown", "unknown", *GREY, "the log line does not name it"),
)

DELIVERIES = _family(
    "deliveries",
    (
        "dane",
        "sent_dane",
        "DANE",
        *GREEN,
        "the server was authenticated by DANE (logged by Postfix 3.11 and later)",
        Authentication.PROVEN,
    ),
    (
        "half_dane",
        "sent_half_dane",
        "half DANE",
        *MINT,
        "TLSA records matched, but the MX lookup was not secure",
        Authentication.PROVEN,
    ),
    (
        "verified",
        "sent_verified",
        "verified",
        *BLUE,
        "the server was authenticated, by DANE, a CA or a fingerprint",
        Authentication.PROVEN,
    ),
    (
        "trusted",
        "sent_trusted",
        "trusted",
        *NAVY,
        "over TLS; the chain ends in a trusted CA, the name was not checked",
        Authentication.MISSING,
    ),
    (
        "untrusted",
        "sent_untrusted",
        "untrusted",
        *YELLOW,
        "over TLS; the certificate is not from a trusted CA",
        Authentication.MISSING,
    ),
    (
        "anonymous",
        "sent_anonymous",
        "anonymous",
        *VIOLET,
        "over TLS, without a certificate",
        Authentication.MISSING,
    ),
    (
        "encrypted",
        "sent_encrypted",
        "encrypted",
        *LILAC,
        "over TLS without authentication; the log does not show the session",
        Authentication.MISSING,
    ),
    ("plaintext", "sent_plaintext", "plaintext", *RED, "not encrypted", Authentication.MISSING),
    ("unknown", "sent_unknown", "unknown", *GREY, "the log does not show how"),
)

FAILURES = _family(
    "failures",
    (
        "certificate",
        "fail_certificate",
        "certificate",
        *RED,
        "the server certificate failed verification",
        Authentication.MISSING,
    ),
    (
        "dane_lookup",
        "fail_dane_lookup",
        "TLSA lookup",
        *LILAC,
        "the lookup of TLSA records failed",
        Authentication.DOUBTFUL,
    ),
    (
        "dane_required",
        "fail_dane_required",
        "DANE missing",
        *BLUE,
        "policy requires DANE, and the server has no usable TLSA records",
        Authentication.MISSING,
    ),
    (
        "starttls",
        "fail_starttls",
        "STARTTLS",
        *YELLOW,
        "policy requires TLS, and the server did not offer it, or refused",
        Authentication.MISSING,
    ),
    (
        "handshake",
        "fail_handshake",
        "handshake",
        *ORANGE,
        "the TLS handshake failed",
        Authentication.DOUBTFUL,
    ),
    (
        "requiretls",
        "fail_requiretls",
        "REQUIRETLS",
        *NAVY,
        "the sender requires TLS that the server cannot guarantee (RFC 8689)",
    ),
    (
        "local",
        "fail_local",
        "our own TLS",
        *GREY,
        "our own TLS does not work: check its configuration",
    ),
)

FAMILIES: dict[str, tuple[Category, ...]] = {
    "connections": CONNECTIONS,
    "protocols": PROTOCOLS,
    "key_exchange": KEY_EXCHANGE,
    "deliveries": DELIVERIES,
    "failures": FAILURES,
}

WHOLE: dict[str, tuple[Category, ...]] = FAMILIES | {"connections": HANDSHAKES}
"""Family -> the categories that make up its 100 %."""

CATEGORIES: tuple[Category, ...] = tuple(row for family in FAMILIES.values() for row in family)

BY_KEY: dict[str, Category] = {row.key: row for row in CATEGORIES}

TOLD_BY_FIELD = (BY_KEY["deliveries.dane"], BY_KEY["deliveries.half_dane"])
"""What only the field `tls` of Postfix 3.11 tells: unknown, not 0, where no delivery carried it."""

FIELD = "tls_field"
"""The name under which the ledger remembers in which hours deliveries carried that field."""

AUTHENTICATED_EVENTS = frozenset({BY_KEY["connections.verified"], BY_KEY["deliveries.half_dane"]})
"""What shows that a relay is authenticated. Half DANE has Trusted connections, so its deliveries
tell; else connections do, because one may bring many recipients."""

UNAUTHENTICATED_EVENTS = frozenset(
    {*HANDSHAKES, BY_KEY["deliveries.plaintext"]} - AUTHENTICATED_EVENTS
)
"""What shows that a relay is not authenticated. A failure shows neither."""
