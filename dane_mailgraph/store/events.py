"""The table of what happened with relays that counts nowhere, by day, in a ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..counts import EventCount
from .ledger import Ledger
from .relays import OTHER

_MOST_A_DAY = 1000
"""Rows of one day: strangers choose names and domains. Beyond it, one row of OTHER a kind."""


class Happened(NamedTuple):
    """What happened with a relay on some days."""

    name: str
    """A key of `relay_events.MEANINGS`."""
    detail: str
    """What else Postfix says of it; empty where it says nothing."""
    times: int
    last: int
    """Epoch second of the minute of the last time."""


class EventTable:
    """Events by relay and day."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(self, events: Iterable[EventCount]) -> None:
        """Add events; inside a transaction."""
        for each in events:
            ((rows,),) = self._ledger.read("SELECT count(*) FROM events WHERE day = ?", each.day)
            relay, detail = (each.relay, each.detail) if rows < _MOST_A_DAY else (OTHER, "")
            self._ledger.write(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (day, relay, name, detail) DO UPDATE SET "
                "count = count + excluded.count, last = max(last, excluded.last)",
                [(each.day, relay, each.name, detail, each.times, each.last)],
            )

    def prune(self, first: int) -> None:
        """Forget the days before this one, a number like 20261124; inside a transaction."""
        self._ledger.write("DELETE FROM events WHERE day < ?", [(first,)])

    def by_relay(self, first: int, last: int) -> dict[str, tuple[Happened, ...]]:
        """Relay -> what happened with it on these days; the latest first."""
        found: dict[str, tuple[Happened, ...]] = {}
        for relay, *happened in self._ledger.read(
            "SELECT relay, name, detail, sum(count), max(last) AS latest FROM events "
            "WHERE day >= ? AND day <= ? GROUP BY relay, name, detail "
            "ORDER BY latest DESC, name, detail",
            *(first, last),
        ):
            found[relay] = (*found.get(relay, ()), Happened(*happened))
        return found
