"""Table 3: the categories in each picture, and how they are drawn."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..categories import (
    DELIVERIES,
    FAILURES,
    HANDSHAKES,
    INBOUND,
    INBOUND_PROTOCOLS,
    KEY_EXCHANGE,
    PROTOCOLS,
    Category,
)


class Graph(NamedTuple):
    """What a picture shows; it is drawn once for each span and theme."""

    slug: str
    title: str
    categories: tuple[Category, ...]
    """Bottom to top."""
    style: Literal["stack", "share", "bars"]
    """`stack`: rates; `share`: parts of 100 %; `bars`: counts in each bucket, for what is rare."""
    always: bool = False
    """Whether the page shows it even if nothing was ever counted for it; the file is there."""


SCALE = (
    "dane",
    "verified",
    "half_dane",
    "trusted",
    "untrusted",
    "anonymous",
    "encrypted",
    "plaintext",
    "unknown",
)
"""Of protection, good to bad, by the names of deliveries."""

_BY_PROTECTION = tuple(sorted(DELIVERIES, key=lambda row: SCALE.index(row.name)))


GRAPHS = (
    Graph("connections", "Outbound TLS connections", HANDSHAKES, "stack", always=True),
    Graph(
        "connections-share",
        "Outbound TLS connections, in percent",
        HANDSHAKES,
        "share",
        always=True,
    ),
    Graph("deliveries", "Deliveries", _BY_PROTECTION, "stack"),
    Graph("deliveries-share", "Deliveries, in percent", _BY_PROTECTION, "share"),
    Graph("failures", "Failed for TLS or DANE", FAILURES, "bars"),
    Graph("protocols", "TLS versions, in percent", PROTOCOLS, "share"),
    Graph("key-exchange", "Key exchange, in percent", KEY_EXCHANGE, "share"),
    Graph("inbound", "Messages received", INBOUND, "stack"),
    Graph("inbound-protocols", "TLS versions of clients, in percent", INBOUND_PROTOCOLS, "share"),
)
