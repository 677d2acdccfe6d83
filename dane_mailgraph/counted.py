"""Table 1: the families and categories we count: name, RRD data source, label, colour, meaning.

A new category is one new row. Its order here is the order of the data sources in the RRD, of the
columns in the ledger, of the legends and of the stacks (bottom to top = good to bad).
"""

from __future__ import annotations

from typing import NamedTuple


class Counted(NamedTuple):
    """One category: an integer count per interval."""

    family: str
    name: str
    source: str
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


def _family(family: str, *rows: tuple[str, str, str, str, str, str]) -> tuple[Counted, ...]:
    return tuple(Counted(family, *row) for row in rows)


# The colours keep apart under every common colour blindness: the smallest CIE76 difference
# between two neighbours of a stack is 27 (light) and 15 (dark), over all three kinds of it.
CONNECTIONS = _family(
    "connections",
    ("verified", "verified", "Verified", "#00795C", "#00A87E", "the certificate matched DANE TLSA records, or a demanded name"),
    ("trusted", "trusted", "Trusted", "#62B0EA", "#6BB8F0", "the chain ends in a CA we trust, the name was not checked"),
    ("untrusted", "untrusted", "Untrusted", "#F0C000", "#F5CE4B", "encrypted to a certificate nobody vouches for"),
    ("anonymous", "anonymous", "Anonymous", "#7F5AA8", "#9E7FCB", "encrypted without any certificate"),
    ("reused", "reused", "reused", "#8A8F98", "#8A8F98", "a further delivery over a connection that was kept open"),
)

PROTOCOLS = _family(
    "protocols",
    ("tlsv1_3", "tlsv1_3", "TLSv1.3", "#00795C", "#00A87E", "TLS 1.3 (RFC 8446)"),
    ("tlsv1_2", "tlsv1_2", "TLSv1.2", "#62B0EA", "#6BB8F0", "TLS 1.2 (RFC 5246)"),
    ("tlsv1_1", "tlsv1_1", "TLSv1.1", "#F0C000", "#F5CE4B", "TLS 1.1, deprecated (RFC 8996)"),
    ("tlsv1", "tlsv1", "TLSv1", "#7F5AA8", "#9E7FCB", "TLS 1.0, deprecated (RFC 8996)"),
    ("sslv3", "sslv3", "SSLv3", "#C9252D", "#F2564B", "SSL 3.0, broken (RFC 7568)"),
)

KEY_EXCHANGE = _family(
    "key_exchange",
    ("post_quantum", "kx_post_quantum", "post-quantum", "#00795C", "#00A87E", "a hybrid with ML-KEM or Kyber"),
    ("ecdh", "kx_ecdh", "ECDH", "#62B0EA", "#6BB8F0", "elliptic curve Diffie-Hellman"),
    ("dh", "kx_dh", "DH", "#F0C000", "#F5CE4B", "finite field Diffie-Hellman"),
    ("rsa", "kx_rsa", "RSA", "#7F5AA8", "#9E7FCB", "RSA key transport, no forward secrecy"),
    ("unknown", "kx_unknown", "unknown", "#8A8F98", "#8A8F98", "the line does not say"),
)

DELIVERIES = _family(
    "deliveries",
    ("dane", "sent_dane", "DANE", "#00795C", "#00A87E", "authenticated by DANE, as Postfix says from 3.11 on"),
    ("half_dane", "sent_half_dane", "half DANE", "#3E9E8C", "#43C5AC", "TLSA records matched, but the MX lookup was not secure"),
    ("verified", "sent_verified", "verified", "#62B0EA", "#6BB8F0", "the server was authenticated: DANE, CA or fingerprint"),
    ("encrypted", "sent_encrypted", "encrypted", "#F0C000", "#F5CE4B", "over TLS to a server that was not authenticated"),
    ("plaintext", "sent_plaintext", "plaintext", "#C9252D", "#F2564B", "in the clear"),
    ("unknown", "sent_unknown", "unknown", "#8A8F98", "#8A8F98", "the log does not tell"),
)

FAILURES = _family(
    "failures",
    ("certificate", "fail_certificate", "certificate", "#C9252D", "#F2564B", "the certificate was not the demanded one"),
    ("dane_lookup", "fail_dane_lookup", "TLSA lookup", "#7F5AA8", "#9E7FCB", "the TLSA records could not be looked up"),
    ("dane_required", "fail_dane_required", "DANE missing", "#62B0EA", "#6BB8F0", "DANE was demanded and is not there"),
    ("starttls", "fail_starttls", "STARTTLS", "#F0C000", "#F5CE4B", "TLS was demanded and not offered, or refused"),
    ("handshake", "fail_handshake", "handshake", "#E07B39", "#F0995C", "the handshake failed"),
    ("requiretls", "fail_requiretls", "REQUIRETLS", "#00795C", "#00A87E", "the sender demanded TLS all the way (RFC 8689)"),
    ("local", "fail_local", "our own TLS", "#8A8F98", "#8A8F98", "our own TLS cannot work: look at its configuration"),
)

FAMILIES: dict[str, tuple[Counted, ...]] = {
    "connections": CONNECTIONS,
    "protocols": PROTOCOLS,
    "key_exchange": KEY_EXCHANGE,
    "deliveries": DELIVERIES,
    "failures": FAILURES,
}

COUNTED: tuple[Counted, ...] = tuple(row for family in FAMILIES.values() for row in family)

BY_KEY: dict[str, Counted] = {row.key: row for row in COUNTED}
