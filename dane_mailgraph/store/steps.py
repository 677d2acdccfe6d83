"""From the ledger's intervals to the values of the RRD: one for each step, quiet ones too."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from ..categories import CATEGORIES
from ..times import DAY
from .ledger import Gap, Ledger
from .rrd import RRD

_LONG = 31 * DAY
"""Seconds of silence from which on one update writes many steps."""


def write_intervals(rrd: RRD, ledger: Ledger, start: int, until: int) -> None:
    """Write each interval of [start, until); of long silence whole days at once."""
    at = start
    for silence in _silences(ledger, start, until):
        rrd.update(_values(ledger, at, silence.start, rrd.step))
        rrd.update_at_once(silence.start, silence.until, observed=silence.observed)
        at = silence.until
    rrd.update(_values(ledger, at, until, rrd.step))


class _Silence(NamedTuple):
    """Whole days of UTC in which nothing was counted, all of them observed or none."""

    start: int
    until: int
    observed: bool


def _silences(ledger: Ledger, start: int, until: int) -> Iterator[_Silence]:
    """Yield the long ones in order, so that a log of few days costs time by its lines."""
    if until - start < _LONG:
        return
    gaps = ledger.gaps(start, until)
    edges = sorted({edge for gap in gaps for edge in gap})
    for begin, end in ledger.silences(start, until, _LONG):
        inner = [edge for edge in edges if begin < edge < end]
        for first, last in zip((begin, *inner), (*inner, end), strict=True):
            first, last = -(-(first + 1) // DAY) * DAY, last // DAY * DAY
            if last - first >= _LONG:
                yield _Silence(first, last, _observed(gaps, first) == "1")


def _values(ledger: Ledger, start: int, until: int, step: int) -> Iterator[str]:
    """Yield a value for each step, stamped with its end, as rrdtool counts time."""
    gaps = ledger.gaps(start, until)
    zeros = ":".join("0" for _ in CATEGORIES)
    at = start
    for begin, counts in chain(ledger.intervals(start, until), [(until, ())]):
        for quiet in range(at, begin, step):
            yield f"{quiet + step}:{zeros}:{_observed(gaps, quiet)}"
        if counts:
            # It was observed: counts in it were read, even where the rest of it is lost.
            yield f"{begin + step}:{':'.join(map(str, counts)).replace('None', 'U')}:1"
        at = begin + step


def _observed(gaps: list[Gap], at: int) -> str:
    return "0" if any(gap.start <= at < gap.until for gap in gaps) else "1"
