"""What went to whom, kept by day and relay in the ledger, in the transactions that count.

No address of a recipient is kept. The names of relays are strangers' to choose, so the rows of a day are bounded: what is
beyond them is put together under `OTHER`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .alarms import BY_NAME
from .counted import COUNTED, Counted
from .destinations import GOOD, OTHER, SUSPECT, Alarm, Destination, Seen
from .intervals import Day
from .ledger import Ledger

KEPT = tuple(each for each in COUNTED if each.family in ("connections", "deliveries", "failures"))

_PLACES = tuple(COUNTED.index(each) for each in KEPT)
_COLUMNS = tuple(each.source for each in KEPT)

_NAMES = ", ".join(_COLUMNS)
_SUMS = ", ".join(f"sum({column})" for column in _COLUMNS)
_GOOD = " + ".join(each.source for each in GOOD)
_SUSPECT = " + ".join(each.source for each in SUSPECT)
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


class Daybook:
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

    def warn(self, alarms: Mapping[str, list[int]]) -> None:
        """Add Postfix's warnings: how often, and when last."""
        self._ledger.write(
            "INSERT INTO alarms VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)",
            [(name, count, last) for name, (count, last) in alarms.items()],
        )

    def forget(self, day: int) -> None:
        """Drop what is older than this day."""
        self._ledger.write("DELETE FROM relays WHERE day < ?", [(day,)])

    # ---- reading ----

    def destinations(self, since: int, until: int) -> list[Destination]:
        """What was counted of each relay from one day to the other, both included."""
        # sqlite takes what is not summed from the row of the max().
        found = self._ledger.read(
            f"SELECT relay, min(first), protocol, key_exchange, max(last), {_SUMS} FROM relays "
            "WHERE day BETWEEN ? AND ? GROUP BY relay ORDER BY relay",
            since,
            until,
        )
        return [
            Destination(relay, first, last, _counts(counts), protocol, key_exchange)
            for relay, first, protocol, key_exchange, last, *counts in found
        ]

    def days(self, since: int) -> Iterator[Seen]:
        """What was seen of each relay on each day from this one on, relay by relay, in order."""
        found = self._ledger.read(
            f"SELECT relay, day, first, last, {_NAMES} FROM relays WHERE day >= ? ORDER BY relay, day", since
        )
        for relay, day, first, last, *counts in found:
            yield Seen(relay, day, first, last, _counts(counts))

    def suspects(self, since: int) -> Iterator[Seen]:
        """All days of those relays that were authenticated once and seen otherwise from this day on, relay by relay."""
        found = self._ledger.read(
            f"SELECT relay, day, first, last, {_NAMES} FROM relays "
            f"WHERE relay IN (SELECT relay FROM relays WHERE day >= ? AND {_SUSPECT} > 0) "
            f"AND relay IN (SELECT relay FROM relays WHERE {_GOOD} > 0) ORDER BY relay, day",
            since,
        )
        for relay, day, first, last, *counts in found:
            yield Seen(relay, day, first, last, _counts(counts))

    def alarms(self, since: int) -> list[Alarm]:
        """The warnings that were last seen after this time, the latest first."""
        found = self._ledger.read("SELECT name, count, last FROM alarms WHERE last >= ? ORDER BY last DESC", since)
        return [
            Alarm(name, BY_NAME[name].text, BY_NAME[name].meaning, count, last) for name, count, last in found if name in BY_NAME
        ]


def _counts(counts: Iterable[int]) -> dict[Counted, int]:
    return {each: count for each, count in zip(KEPT, counts, strict=True) if count}
