"""Table 3: which categories appear in which picture, and how."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..categories import CONNECTIONS, DELIVERIES, FAILURES, KEY_EXCHANGE, PROTOCOLS, Category


class Graph(NamedTuple):
    """One picture; it is drawn once for each span and theme."""

    slug: str
    title: str
    counted: tuple[Category, ...]
    """Bottom to top."""
    style: Literal["stack", "share", "bars"]
    """`stack`: how many in a time; `share`: the parts of 100 %; `bars`: how many in each bucket, for what is rare."""
    always: bool = False
    """Drawn also where nothing of it was ever counted."""


TRUST = tuple(row for row in CONNECTIONS if row.name != "reused")

GRAPHS = (
    Graph("connections", "Outbound TLS connections", TRUST, "stack", always=True),
    Graph("connections-share", "Outbound TLS connections, in percent", TRUST, "share", always=True),
    Graph("deliveries", "Deliveries", DELIVERIES, "stack"),
    Graph("deliveries-share", "Deliveries, in percent", DELIVERIES, "share"),
    Graph("failures", "Failed for TLS or DANE", FAILURES, "bars"),
    Graph("protocols", "Versions of TLS, in percent", PROTOCOLS, "share"),
    Graph("key-exchange", "Key exchange, in percent", KEY_EXCHANGE, "share"),
)
