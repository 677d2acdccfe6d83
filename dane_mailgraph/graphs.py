"""Table 3: which categories appear in which picture, and how."""

from __future__ import annotations

from typing import Literal, NamedTuple

from .counted import CONNECTIONS, Counted


class Graph(NamedTuple):
    """One picture; it is drawn once for each span."""

    slug: str
    title: str
    counted: tuple[Counted, ...]
    """Bottom to top."""
    style: Literal["stack", "share"]
    """`stack`: counts per minute; `share`: the parts of 100 %."""


TRUST = tuple(row for row in CONNECTIONS if row.name != "reused")

GRAPHS = (
    Graph("connections", "Outbound TLS connections by trust", TRUST, "stack"),
    Graph("shares", "Outbound TLS connections, share of each trust", TRUST, "share"),
)
