"""What went to whom: relays by day, what changed for them, and what Postfix itself warned of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..categories import CATEGORIES, Category
from ..counts import Day
from ..postfix_warnings import BY_NAME
from .ledger import Ledger

OTHER = "(other)"
"""Stands for the relays of a day beyond the most that are kept: the names of MX hosts are chosen by strangers."""


class RelayCounts(NamedTuple):
    """A relay, and what was counted of it over some days."""

    relay: str
    """The host, in lower case. Where no server was reached: `@` and the recipient's domain."""
    first: int
    """Epoch second of the minute in which it was first seen."""
    last: int
    counts: Mapping[Category, int]
    """Categories of the families `connections`, `deliveries` and `failures`; what is not there is 0."""
    protocol: str = ""
    """Of its last TLS session, as Postfix names it; empty where there was none."""
    key_exchange: str = ""


class RelayDay(NamedTuple):
    """What was seen of a relay on one day."""

    relay: str
    day: int
    """As the number 20261124."""
    first: int
    last: int
    counts: Mapping[Category, int]


class WarningCount(NamedTuple):
    """Something that Postfix said of its own DANE, in its own words."""

    name: str
    """A key of `postfix_warnings.BY_NAME`."""
    text: str
    """What Postfix wrote."""
    meaning: str
    """A sentence for the operator: what it means and what to do."""
    times: int
    """How often; a tuple has a `count` already."""
    last: int
    """Epoch second of the minute in which it was last met."""


KEPT = tuple(
    each for each in CATEGORIES if each.family in ("connections", "deliveries", "failures")
)

_PLACES = tuple(CATEGORIES.index(each) for each in KEPT)
_COLUMNS = tuple(each.data_source for each in KEPT)

_NAMES = ", ".join(_COLUMNS)
_SUMS = ", ".join(f"sum({column})" for column in _COLUMNS)
# The right sides see the row as it was.
_ADD = f"""
    INSERT INTO relays (day, relay, first, last, protocol, key_exchange, {_NAMES})
    VALUES ({", ".join("?" * (6 + len(_COLUMNS)))})
    ON CONFLICT (day, relay) DO UPDATE SET
        first = min(first, excluded.first),
        last = max(last, excluded.last),
        protocol = iif(excluded.protocol <> '' AND excluded.last >= last, excluded.protocol, protocol),
        key_exchange = iif(excluded.protocol <> '' AND excluded.last >= last, excluded.key_exchange, key_exchange),
        {", ".join(f"{column} = {column} + excluded.{column}" for column in _COLUMNS)}
"""


class RelayTable:
    """The relays in a ledger. Every write belongs into `ledger.transaction()`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[int, set[str]] = {}
        """Day -> its relays, for the days that have been written to."""

    # ---- writing ----

    def add(self, days: Iterable[Day], most: int) -> None:
        """Add what was seen of relays; at most so many relays a day, and none at all where that is 0."""
        if most:
            rows = [
                (
                    each.day,
                    self._row(each, most),
                    *(each.first, each.last, each.protocol, each.key_exchange),
                    *(each.counts[place] for place in _PLACES),
                )
                for each in days
            ]
            self._ledger.write(_ADD, rows)

    def _row(self, seen: Day, most: int) -> str:
        known = self._known.get(seen.day)
        if known is None:
            found = self._ledger.read("SELECT relay FROM relays WHERE day = ?", seen.day)
            known = self._known[seen.day] = {relay for (relay,) in found}
        if seen.relay not in known:
            if len(known - {OTHER}) >= most:
                return OTHER
            known.add(seen.relay)
        return seen.relay

    def add_warnings(self, warnings: Mapping[str, list[int]]) -> None:
        """Add Postfix's warnings: how often, and when last."""
        self._ledger.write(
            "INSERT INTO warnings VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)",
            [(name, count, last) for name, (count, last) in warnings.items()],
        )

    def prune(self, day: int) -> None:
        """Drop what is older than this day."""
        self._ledger.write("DELETE FROM relays WHERE day < ?", [(day,)])

    # ---- reading ----

    def totals(self, since: int, until: int) -> list[RelayCounts]:
        """What was counted of each relay from one day to the other, both included."""
        # sqlite takes what is not summed from the row of the max().
        found = self._ledger.read(
            f"SELECT relay, min(first), protocol, key_exchange, max(last), {_SUMS} FROM relays "
            "WHERE day BETWEEN ? AND ? GROUP BY relay ORDER BY relay",
            since,
            until,
        )
        return [
            RelayCounts(relay, first, last, _counts(counts), protocol, key_exchange)
            for relay, first, protocol, key_exchange, last, *counts in found
        ]

    def days(self, since: int) -> Iterator[RelayDay]:
        """What was seen of each relay on each day from this one on, relay by relay, in order."""
        found = self._ledger.read(
            f"SELECT relay, day, first, last, {_NAMES} FROM relays WHERE day >= ? ORDER BY relay, day",
            since,
        )
        for relay, day, first, last, *counts in found:
            yield RelayDay(relay, day, first, last, _counts(counts))

    def suspects(
        self, since: int, good: Iterable[Category], bad: Iterable[Category]
    ) -> Iterator[RelayDay]:
        """All days of those relays that were counted as `good` once and as `bad` from this day on, relay by relay."""
        _good, _bad = (" + ".join(each.data_source for each in some) for some in (good, bad))
        found = self._ledger.read(
            f"SELECT relay, day, first, last, {_NAMES} FROM relays "
            f"WHERE relay IN (SELECT relay FROM relays WHERE day >= ? AND {_bad} > 0) "
            f"AND relay IN (SELECT relay FROM relays WHERE {_good} > 0) ORDER BY relay, day",
            since,
        )
        for relay, day, first, last, *counts in found:
            yield RelayDay(relay, day, first, last, _counts(counts))

    def warnings(self, since: int) -> list[WarningCount]:
        """The warnings that were last seen after this time, the latest first."""
        found = self._ledger.read(
            "SELECT name, count, last FROM warnings WHERE last >= ? ORDER BY last DESC", since
        )
        return [
            WarningCount(name, BY_NAME[name].text, BY_NAME[name].meaning, count, last)
            for name, count, last in found
            if name in BY_NAME
        ]


def _counts(counts: Iterable[int]) -> dict[Category, int]:
    return {each: count for each, count in zip(KEPT, counts, strict=True) if count}
