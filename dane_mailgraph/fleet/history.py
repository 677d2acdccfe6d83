"""Running totals out of the counts, with the ends of their intervals as times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..categories import CATEGORIES
from ..errors import BusyError
from ..store import RRD, Ledger, Row
from .metrics import FAMILY_METRICS, counter_samples, known_totals

_TRIES = 20

_PAUSE = 0.25
"""Seconds between two tries: the counter writes for a moment."""

_AT_ONCE = 2000
"""Stamps in one request: with all series some 100,000 samples."""


class Samples(NamedTuple):
    """Consecutive stamps, and the values of series at each of them."""

    stamps: list[int]
    """Epoch seconds."""
    series: Sequence[tuple[Mapping[str, str], list[int]]]
    """Labels with `__name__`, and a value for each stamp."""


class History(NamedTuple):
    """Running totals from a stamp on, as finely as the RRD keeps them."""

    past_revision: int
    """`State.past_revision` of the ledger: it is another one when counts of the past change."""
    begin: int
    """The first stamp."""
    before: tuple[int, ...]
    """The totals at the first stamp, in the order of `names`."""
    rows: list[tuple[int, tuple[int, ...]]]
    """Stamps after the first, and what was counted between the stamp before and each."""
    names: list[dict[str, str]]
    """The labels of each series, with `__name__`."""

    @property
    def until(self) -> int:
        """The last stamp."""
        return self.rows[-1][0] if self.rows else self.begin

    def samples(self, after: int | None) -> Iterator[Samples]:
        """Yield the totals after a stamp, in pieces; None: all of them."""
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
    """Return the running totals from `since` on, None: all; None while the RRD is empty.

    Raises BusyError where the counter is rebuilding the RRD.
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
    names = [each.series(host) for each in counter_samples(whole)]
    return History(past_revision, begin, tuple(before), added, names)
