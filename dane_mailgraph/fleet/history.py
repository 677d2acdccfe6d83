"""Counts become running totals, with the ends of their intervals as times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..categories import CATEGORIES
from ..errors import BusyError
from ..store import RRD, Ledger, Row
from .metrics import FAMILY_METRICS, PREFIX, counters, known_totals

_TRIES = 20

_PAUSE = 0.25
"""Seconds between two tries: the counter writes for a moment."""

_AT_ONCE = 2000
"""Stamps in one message: with all series some 100,000 samples."""


class Samples(NamedTuple):
    """Consecutive stamps, and the values of series at each of them."""

    stamps: list[int]
    """Epoch seconds."""
    series: Sequence[tuple[Mapping[str, str], list[int]]]
    """Labels with `__name__`, and a value for each stamp."""


class History(NamedTuple):
    """Running totals from a moment on, as finely as they are kept."""

    past_revision: int
    """That of the ledger: another one when counts of the past have changed."""
    begin: int
    """The first stamp."""
    before: tuple[int, ...]
    """The totals at it, in the order of `names`."""
    rows: list[tuple[int, tuple[int, ...]]]
    """A stamp, and what was counted from the one before until then."""
    names: list[dict[str, str]]
    """The labels of each series, with `__name__`."""

    @property
    def until(self) -> int:
        """The last stamp."""
        return self.rows[-1][0] if self.rows else self.begin

    def samples(self, after: int | None) -> Iterator[Samples]:
        """Yield the totals behind a moment in pieces; all for None."""
        totals, stamps, columns = list(self.before), list[int](), [list[int]() for _ in self.names]
        nothing = (0,) * len(totals)
        for stamp, added in ((self.begin, nothing), *self.rows):
            totals = [a + b for a, b in zip(totals, added, strict=True)]
            if after is not None and stamp <= after:
                continue
            stamps.append(stamp)
            for column, total in zip(columns, totals, strict=True):
                column.append(total)
            if len(stamps) == _AT_ONCE:
                yield Samples(stamps, list(zip(self.names, columns, strict=True)))
                stamps, columns = [], [[] for _ in self.names]
        if stamps:
            yield Samples(stamps, list(zip(self.names, columns, strict=True)))


def read_history(rrd: RRD, ledger: Ledger, since: int | None, host: str) -> History | None:
    """Return the running totals from `since` on, or all; None while the RRD holds nothing.

    Raises BusyError where the counter rebuilds the RRD meanwhile.
    """
    for _ in range(_TRIES):
        state = ledger.state
        until = state.rrd_until
        if until is None or state.begin is None:
            return None
        whole = known_totals(ledger, until + 1)
        start = state.begin if since is None else max(since, state.begin)
        last, rows, length = rrd.last, list(rrd.finest(start)), rrd.covering(start)
        after = ledger.state
        at_rest = last == until == after.rrd_until == rrd.last
        if at_rest and after.rrd_stale_from is None and not after.rebuilt:
            begin = rows[0][0] - length if rows else until
            return _history(state.past_revision, begin, rows, whole, host)
        time.sleep(_PAUSE)
    raise BusyError(f"{ledger.path} is being changed; try again when the counter has finished.")


def _history(
    past_revision: int, begin: int, rows: list[tuple[int, Row]], whole: Row, host: str
) -> History:
    indexes = [
        index
        for index, category in enumerate(CATEGORIES)
        if whole.counts[index] is not None and category.family in FAMILY_METRICS
    ]

    def values(row: Row) -> tuple[int, ...]:
        return (row.observed, *(row.counts[index] or 0 for index in indexes))

    added = [(stamp, values(row)) for stamp, row in rows]
    whole_values = values(whole)
    columns = zip(*(each for _, each in added), strict=True) if added else ((),) * len(whole_values)
    before = (a - sum(column) for a, column in zip(whole_values, columns, strict=True))
    names = [
        {"__name__": PREFIX + each.name, "host": host, **each.labels} for each in counters(whole)
    ]
    return History(past_revision, begin, tuple(before), added, names)
