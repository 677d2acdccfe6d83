"""The table of what was sent to a database of others: up to when it is known to be kept there."""

from __future__ import annotations

from typing import NamedTuple

from .ledger import Ledger


class Shipped(NamedTuple):
    """How far the series of a host are at a database. Times are epoch seconds; None is not yet."""

    url: str
    host: str
    past_revision: int
    """`State.past_revision` when sending began: if it is another now, all must be replaced."""
    series: int = 0
    """How many series were sent."""
    first: int | None = None
    """The oldest stamp."""
    retention: int | None = None
    """Seconds of history that the database keeps; None is all that there is."""
    durable_until: int | None = None
    """Up to when everything is there for good."""
    accepted_until: int | None = None
    """Up to when it was accepted, and may yet be lost."""
    accepted_at: int | None = None
    """When that was."""
    server: str = ""
    """Since when the server runs that accepted it, in its words; empty where it does not say."""
    states_at: int | None = None
    """The stamp of the states that were sent last."""


def load_shipped(ledger: Ledger, url: str, host: str) -> Shipped | None:
    """Return what is known of a host at a database; None before anything was sent."""
    names = ", ".join(Shipped._fields)
    rows = ledger.read(f"SELECT {names} FROM shipped WHERE url = ? AND host = ?", url, host)
    return Shipped(*rows[0]) if rows else None


def replace_shipped(ledger: Ledger, shipped: Shipped) -> None:
    """Replace what is known of any host and database by this; inside a transaction."""
    ledger.write("DELETE FROM shipped", [()])
    names, slots = ", ".join(Shipped._fields), ", ".join("?" * len(Shipped._fields))
    ledger.write(f"INSERT INTO shipped ({names}) VALUES ({slots})", [shipped])
