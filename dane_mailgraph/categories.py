"""Table 1: the families and categories we count: name, RRD data source, label, colour, meaning.

A new category is one new row. Its order here is the order of the data sources in the RRD, of the
columns in the ledger, of the legends and of the stacks (bottom to top = good to bad).
"""

from __future__ import annotations

from typing import NamedTuple


class Category(NamedTuple):
    """One category: an integer count per interval."""

    family: str
    name: str
    data_source: str
    """Data source in the RRD and column in the ledger: at most 19 of [a-z0-9_] (rrdcreate(1))."""
    label: str
    light: str
    """Colour on a white ground, #rrggbb."""
    dark: str
    """Colour on a dark ground, #rrggbb."""
    meaning: str

    @property
    def key(self) -> str:
        """`family.name`, as `explain` says it."""
        return f"{self.family}.{self.name}"


def _family(family: str, *rows: tuple[str, str, str, str, str, str]) -> tuple[Category, ...]:
    return tuple(Category(family, *row) for row in rows)


# A colour on a white and on a dark ground. Green is authenticated, red is in the clear. Neighbours in a stack keep apart for
# every reader and on grey paper: CIE76 at least 19 under deuteranopia and protanopia, at least 13 in lightness (L*);
# tests/test_palette.py simulates both.
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
        "the certificate matched DANE TLSA records, or a demanded name",
    ),
    (
        "trusted",
        "trusted",
        "Trusted",
        *BLUE,
        "the chain ends in a CA we trust, the name was not checked",
    ),
    (
        "untrusted",
        "untrusted",
        "Untrusted",
        *YELLOW,
        "encrypted to a certificate nobody vouches for",
    ),
    ("anonymous", "anonymous", "Anonymous", *VIOLET, "encrypted without any certificate"),
    (
        "reused",
        "reused",
        "reused",
        *GREY,
        "a further delivery over a connection that was kept open",
    ),
)

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
    ("unknown", "kx_unknown", "unknown", *GREY, "the line does not say"),
)

DELIVERIES = _family(
    "deliveries",
    (
        "dane",
        "sent_dane",
        "DANE",
        *GREEN,
        "the server was authenticated by DANE (Postfix 3.11 and later say so)",
    ),
    (
        "half_dane",
        "sent_half_dane",
        "half DANE",
        *MINT,
        "TLSA records matched, but the MX lookup was not secure",
    ),
    (
        "verified",
        "sent_verified",
        "verified",
        *BLUE,
        "the server was authenticated, by DANE, a CA or a fingerprint",
    ),
    (
        "encrypted",
        "sent_encrypted",
        "encrypted",
        *YELLOW,
        "over TLS to a server that was not authenticated",
    ),
    ("plaintext", "sent_plaintext", "plaintext", *RED, "in the clear"),
    ("unknown", "sent_unknown", "unknown", *GREY, "the log does not tell"),
)

FAILURES = _family(
    "failures",
    (
        "certificate",
        "fail_certificate",
        "certificate",
        *RED,
        "the certificate was not the demanded one",
    ),
    (
        "dane_lookup",
        "fail_dane_lookup",
        "TLSA lookup",
        *LILAC,
        "the TLSA records could not be looked up",
    ),
    (
        "dane_required",
        "fail_dane_required",
        "DANE missing",
        *BLUE,
        "DANE was demanded and is not there",
    ),
    (
        "starttls",
        "fail_starttls",
        "STARTTLS",
        *YELLOW,
        "TLS was demanded and not offered, or refused",
    ),
    ("handshake", "fail_handshake", "handshake", *ORANGE, "the handshake failed"),
    (
        "requiretls",
        "fail_requiretls",
        "REQUIRETLS",
        *NAVY,
        "the sender demanded what the server cannot (RFC 8689)",
    ),
    (
        "local",
        "fail_local",
        "our own TLS",
        *GREY,
        "our own TLS cannot work: look at its configuration",
    ),
)

FAMILIES: dict[str, tuple[Category, ...]] = {
    "connections": CONNECTIONS,
    "protocols": PROTOCOLS,
    "key_exchange": KEY_EXCHANGE,
    "deliveries": DELIVERIES,
    "failures": FAILURES,
}

CATEGORIES: tuple[Category, ...] = tuple(row for family in FAMILIES.values() for row in family)

BY_KEY: dict[str, Category] = {row.key: row for row in CATEGORIES}
