"""The tables of relays by day and of Postfix's warnings in a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..categories import CATEGORIES, Category
from ..counts import DayCounts
from ..postfix_warnings import BY_NAME
from .ledger import Ledger

OTHER = "(other)"
"""The relays of a day beyond `relays_per_day`: strangers choose the names of MX hosts."""


class RelayCounts(NamedTuple):
    """What was counted of one relay over some days."""

    relay: str
    """The host in lower case; where no server answered, `@` and the recipient's domain."""
    first: int
    """Epoch second of the minute in which it was first logged."""
    last: int
    counts: Mapping[Category, int]
    """Categories of `KEPT`; those that are not in it are 0."""
    protocol: str = ""
    """Of its last TLS session, as Postfix names it; empty where there was none."""
    key_exchange: str = ""


class RelayDay(NamedTuple):
    """What was counted of one relay on one day."""

    relay: str
    day: int
    """As the number 20261124."""
    first: int
    last: int
    counts: Mapping[Category, int]


class WarningCount(NamedTuple):
    """A warning of Postfix's about its own TLS or DANE, and how often it came."""

    name: str
    """A key of `postfix_warnings.BY_NAME`."""
    text: str
    """What Postfix writes."""
    meaning: str
    """What it means and what to do, a sentence for the operator."""
    times: int
    """How often; not `count`, which every tuple has."""
    last: int
    """Epoch second of the minute in which it was last logged."""


KEPT = tuple(
    each for each in CATEGORIES if each.family in ("connections", "deliveries", "failures")
)

_PLACES = tuple(CATEGORIES.index(each) for each in KEPT)
_COLUMNS = tuple(each.data_source for each in KEPT)

_NAMES = ", ".join(_COLUMNS)
_SUMS = ", ".join(f"sum({column})" for column in _COLUMNS)
_NEWER = "excluded.protocol <> '' AND excluded.last >= last"
# The right sides see the row as it was.
_ADD = f"""
    INSERT INTO relays (day, relay, first, last, protocol, key_exchange, {_NAMES})
    VALUES ({", ".join("?" * (6 + len(_COLUMNS)))})
    ON CONFLICT (day, relay) DO UPDATE SET
        first = min(first, excluded.first),
        last = max(last, excluded.last),
        protocol = iif({_NEWER}, excluded.protocol, protocol),
        key_exchange = iif({_NEWER}, excluded.key_exchange, key_exchange),
        {", ".join(f"{column} = {column} + excluded.{column}" for column in _COLUMNS)}
"""


class RelayTable:
    """Relays and warnings in a ledger; write inside `ledger.transaction()` only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[int, set[str]] = {}
        """Day -> its relays, of the days that were written to."""

    # ---- writing ----

    def add(self, days: Iterable[DayCounts], most: int) -> None:
        """Add these days; beyond `most` relays a day they count as `OTHER`, and 0 keeps none."""
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

    def _row(self, relay_day: DayCounts, most: int) -> str:
        """The relay under which this is kept."""
        known = self._known.get(relay_day.day)
        if known is None:
            found = self._ledger.read("SELECT relay FROM relays WHERE day = ?", relay_day.day)
            known = self._known[relay_day.day] = {relay for (relay,) in found}
        if relay_day.relay not in known:
            if len(known) - (OTHER in known) >= most:
                return OTHER
            known.add(relay_day.relay)
        return relay_day.relay

    def add_warnings(self, warnings: Mapping[str, tuple[int, int]]) -> None:
        """Add warnings: name -> how often, and when last."""
        self._ledger.write(
            "INSERT INTO warnings VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET "
            "count = count + excluded.count, last = max(last, excluded.last)",
            [(name, count, last) for name, (count, last) in warnings.items()],
        )

    def prune(self, day: int) -> None:
        """Drop what is older than this day (20261124)."""
        self._ledger.write("DELETE FROM relays WHERE day < ?", [(day,)])

    # ---- reading ----

    def totals(self, since: int, until: int) -> list[RelayCounts]:
        """What was counted of each relay from one day to another, both included."""
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
        """Each relay's days from this one on, by relay and day."""
        found = self._ledger.read(
            f"SELECT relay, day, first, last, {_NAMES} FROM relays "
            "WHERE day >= ? ORDER BY relay, day",
            since,
        )
        for relay, day, first, last, *counts in found:
            yield RelayDay(relay, day, first, last, _counts(counts))

    def suspects(
        self, since: int, good: Iterable[Category], bad: Iterable[Category]
    ) -> Iterator[RelayDay]:
        """All days of the relays counted as `good` once and as `bad` from this day on."""
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
        """The warnings that were last logged after this time, the latest first."""
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
