"""Table 1: the families and categories we count.

A new category is one new row. The order of the rows is the order of the data sources in the RRD, of
the columns in the ledger and of the legends.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from enum import Enum
from typing import NamedTuple


class Authentication(Enum):
    """What a count in a category shows of the server's authentication."""

    PROVEN = "authenticated"
    MISSING = "not authenticated"
    DOUBTFUL = "a failure that may pass"
    UNKNOWN = "nothing"

    # Categories are keys everywhere, and the hash of an Enum is slow.
    __hash__ = object.__hash__


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
    def is_inbound(self) -> bool:
        """Whether it is about what comes in."""
        return self.family.startswith("inbound")

    @property
    def key(self) -> str:
        """`family.name`, as in the output of `explain`."""
        return f"{self.family}.{self.name}"


_Row = tuple[str, str, str, str, str, str] | tuple[str, str, str, str, str, str, Authentication]


def _family(family: str, *rows: _Row) -> tuple[Category, ...]:
    return tuple(Category(family, *row) for row in rows)


# The scale of protection, good to bad: a colour on a white and on a dark background, the same in
# all pictures. Green is authenticated, red is in plaintext. A category may be absent, so any two
# can touch: by CIE76 they are at least 18 apart for every reader, in lightness (L*, grey paper) at
# least 6, those in sequence 12.5; each has 3:1 to its ground. tests/test_palette.py holds it.
DANE = "#003D30", "#49E9AA"
AUTHENTICATED = "#2B8241", "#61BF6F"
HALF_DANE = "#042F00", "#FCFFAB"
TRUSTED = "#094EB0", "#2C72F7"
UNTRUSTED = "#CA850D", "#FFE070"
ANONYMOUS = "#603071", "#BD80EE"
ENCRYPTED = "#0C1939", "#8AC5E9"
PLAINTEXT = "#C80003", "#FB4549"
GREY = "#818386", "#606971"

CONNECTIONS = _family(
    "connections",
    (
        "verified",
        "verified",
        "Verified",
        *AUTHENTICATED,
        "the certificate matched TLSA records (DANE), or a name that policy requires",
        Authentication.PROVEN,
    ),
    (
        "trusted",
        "trusted",
        "Trusted",
        *TRUSTED,
        "the chain ends in a trusted CA; the name was not checked",
        Authentication.MISSING,
    ),
    (
        "untrusted",
        "untrusted",
        "Untrusted",
        *UNTRUSTED,
        "encrypted, but the certificate is not from a trusted CA",
        Authentication.MISSING,
    ),
    (
        "anonymous",
        "anonymous",
        "Anonymous",
        *ANONYMOUS,
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
    ("tlsv1_3", "tlsv1_3", "TLSv1.3", *DANE, "TLS 1.3 (RFC 8446)"),
    ("tlsv1_2", "tlsv1_2", "TLSv1.2", *TRUSTED, "TLS 1.2 (RFC 5246)"),
    ("tlsv1_1", "tlsv1_1", "TLSv1.1", *UNTRUSTED, "TLS 1.1, deprecated (RFC 8996)"),
    ("tlsv1", "tlsv1", "TLSv1", *ENCRYPTED, "TLS 1.0, deprecated (RFC 8996)"),
    ("sslv3", "sslv3", "SSLv3", *PLAINTEXT, "SSL 3.0, broken (RFC 7568)"),
)

KEY_EXCHANGE = _family(
    "key_exchange",
    ("post_quantum", "kx_post_quantum", "post-quantum", *DANE, "a hybrid with ML-KEM or Kyber"),
    ("ecdh", "kx_ecdh", "ECDH", *TRUSTED, "elliptic curve Diffie-Hellman"),
    ("dh", "kx_dh", "DH", *UNTRUSTED, "finite field Diffie-Hellman"),
    ("rsa", "kx_rsa", "RSA", *ANONYMOUS, "RSA key transport, no forward secrecy"),
    ("unknown", "kx_unknown", "unknown", *GREY, "the log line does not name it"),
)

DELIVERIES = _family(
    "deliveries",
    (
        "dane",
        "sent_dane",
        "DANE",
        *DANE,
        "the server was authenticated by DANE (logged by Postfix 3.11 and later)",
        Authentication.PROVEN,
    ),
    (
        "half_dane",
        "sent_half_dane",
        "half DANE",
        *HALF_DANE,
        "TLSA records matched, but the MX lookup was not secure",
        Authentication.PROVEN,
    ),
    (
        "verified",
        "sent_verified",
        "verified",
        *AUTHENTICATED,
        "the server was authenticated, by DANE, a CA or a fingerprint",
        Authentication.PROVEN,
    ),
    (
        "trusted",
        "sent_trusted",
        "Trusted",
        *TRUSTED,
        "over TLS; the chain ends in a trusted CA, the name was not checked",
        Authentication.MISSING,
    ),
    (
        "untrusted",
        "sent_untrusted",
        "Untrusted",
        *UNTRUSTED,
        "over TLS; the certificate is not from a trusted CA",
        Authentication.MISSING,
    ),
    (
        "anonymous",
        "sent_anonymous",
        "Anonymous",
        *ANONYMOUS,
        "over TLS, without a certificate",
        Authentication.MISSING,
    ),
    (
        "encrypted",
        "sent_encrypted",
        "encrypted",
        *ENCRYPTED,
        "over TLS without authentication; the log does not show the session",
        Authentication.MISSING,
    ),
    (
        "plaintext",
        "sent_plaintext",
        "plaintext",
        *PLAINTEXT,
        "not encrypted",
        Authentication.MISSING,
    ),
    ("unknown", "sent_unknown", "unknown", *GREY, "the log does not show how"),
)

FAILURES = _family(
    "failures",
    (
        "certificate",
        "fail_certificate",
        "certificate",
        *PLAINTEXT,
        "the server certificate failed verification",
        Authentication.MISSING,
    ),
    (
        "dane_lookup",
        "fail_dane_lookup",
        "TLSA lookup",
        *UNTRUSTED,
        "the lookup of TLSA records failed",
        Authentication.DOUBTFUL,
    ),
    (
        "dane_required",
        "fail_dane_required",
        "DANE missing",
        *ANONYMOUS,
        "policy requires DANE, and the server has no usable TLSA records",
        Authentication.MISSING,
    ),
    (
        "starttls",
        "fail_starttls",
        "STARTTLS",
        *ENCRYPTED,
        "policy requires TLS, and the server did not offer it, or refused",
        Authentication.MISSING,
    ),
    (
        "handshake",
        "fail_handshake",
        "handshake",
        *TRUSTED,
        "the TLS handshake failed",
        Authentication.DOUBTFUL,
    ),
    (
        "requiretls",
        "fail_requiretls",
        "REQUIRETLS",
        *HALF_DANE,
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

INBOUND = _family(
    "inbound",
    ("tls", "in_tls", "over TLS", *ENCRYPTED, "a message that came over TLS"),
    (
        "plaintext",
        "in_plaintext",
        "plaintext",
        *PLAINTEXT,
        "a message that came in plaintext",
    ),
)

INBOUND_PROTOCOLS = tuple(
    row._replace(family="inbound_protocols", data_source=f"in_{row.data_source}")
    for row in PROTOCOLS
)

INBOUND_KEY_EXCHANGE = tuple(
    row._replace(family="inbound_key_exchange", data_source=f"in_{row.data_source}")
    for row in KEY_EXCHANGE
)

REACH = _family(
    "reach",
    (
        "dane",
        "reach_dane",
        "DANE",
        *DANE,
        "others reached us, and our server was authenticated by DANE",
        Authentication.PROVEN,
    ),
    (
        "mta_sts",
        "reach_mta_sts",
        "MTA-STS",
        *AUTHENTICATED,
        "others reached us, and our server was authenticated by MTA-STS",
        Authentication.PROVEN,
    ),
    (
        "no_policy",
        "reach_no_policy",
        "no policy",
        *ANONYMOUS,
        "others reached us over TLS, and found no policy to authenticate our server by",
        Authentication.MISSING,
    ),
    (
        "failed",
        "reach_failed",
        "failed",
        *PLAINTEXT,
        "others did not reach us as the policy requires",
        Authentication.MISSING,
    ),
)
"""Sessions that others report by day (RFC 8460): kept in the ledger alone."""

OLD_PROTOCOLS = tuple(row for row in INBOUND_PROTOCOLS if row.name in ("tlsv1_1", "tlsv1", "sslv3"))
"""Deprecated by RFC 8996 and RFC 7568."""

FAMILIES: dict[str, tuple[Category, ...]] = {
    "connections": CONNECTIONS,
    "protocols": PROTOCOLS,
    "key_exchange": KEY_EXCHANGE,
    "deliveries": DELIVERIES,
    "failures": FAILURES,
    "inbound": INBOUND,
    "inbound_protocols": INBOUND_PROTOCOLS,
    "inbound_key_exchange": INBOUND_KEY_EXCHANGE,
}

WHOLE: dict[str, tuple[Category, ...]] = FAMILIES | {"connections": HANDSHAKES}
"""Family -> the categories that make up its 100 %."""

CATEGORIES: tuple[Category, ...] = tuple(row for family in FAMILIES.values() for row in family)

BY_KEY: dict[str, Category] = {row.key: row for row in CATEGORIES}

AUTHENTICATED_DELIVERIES = tuple(
    BY_KEY[f"deliveries.{name}"] for name in ("dane", "half_dane", "verified")
)
"""Deliveries to a server that proved to be the one that Postfix took it for. By half DANE, too: its
TLSA records were signed, though not the MX record that named it."""

ONLY_BY_TLS_FIELD = (BY_KEY["deliveries.dane"], BY_KEY["deliveries.half_dane"])
"""What only the field `tls` of Postfix 3.11 shows: unknown, not 0, where no delivery carried it."""

HAS_TLS_FIELD, HAS_HANDSHAKES, LACKS_COUNTERS = (
    "tls_field",
    "inbound_handshakes",
    "without_counters",
)
"""Names by which the ledger remembers what the log of an hour shows: deliveries carried that field;
handshakes of clients were logged; connections ended without a word of their messages."""


class Visibility(NamedTuple):
    """Categories that not every log shows: unknown, not 0, where it does not."""

    categories: tuple[Category, ...]
    shown_by: str = ""
    """They are unknown in a range with `events` where no hour has this name."""
    events: tuple[Category, ...] = ()
    hidden_by: str = ""
    """They are unknown in a range where an hour has this name."""


VISIBILITY = (
    Visibility(ONLY_BY_TLS_FIELD, HAS_TLS_FIELD, DELIVERIES),
    Visibility((*INBOUND_PROTOCOLS, *INBOUND_KEY_EXCHANGE), HAS_HANDSHAKES, INBOUND),
    Visibility(INBOUND, hidden_by=LACKS_COUNTERS),
)


def unknown_categories(
    hours: Container[str], counts: Mapping[Category, int | None]
) -> set[Category]:
    """Return the categories that the log of a range does not show.

    Args:
        hours: The names that the hours of the range have.
        counts: The counts of the range; a category that was counted is known.
    """
    return {
        category
        for each in VISIBILITY
        if not any(counts[category] for category in each.categories)
        and (
            each.hidden_by in hours
            or (each.shown_by not in hours and any(counts[event] for event in each.events))
        )
        for category in each.categories
    }


AUTHENTICATED_EVENTS = frozenset({BY_KEY["connections.verified"], BY_KEY["deliveries.half_dane"]})
"""What shows that a relay is authenticated: connections, because one may bring many recipients; and
deliveries by half DANE, whose connections are only Trusted."""

UNAUTHENTICATED_EVENTS = frozenset(
    {*HANDSHAKES, BY_KEY["deliveries.plaintext"]} - AUTHENTICATED_EVENTS
)
"""What shows that a relay is not authenticated. A failure shows neither."""
