"""Whether less mail is authenticated, or more goes unencrypted, than the same servers let expect.

Each relay is compared with itself: the share of all mail moves with whom it goes to, and any
newsletter fells it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import NamedTuple

_WINDOWS = range(1, 8)
"""Days back that are looked at, today included."""

_HISTORY = 28
"""Days before those that they are compared with."""

_LEAST_DELIVERIES = 5
"""Deliveries of a relay in its history."""

_OVER = 0.75
"""Share of what is expected above which the newest days end it."""

_POINTS = 0.05
"""Share of all mail to known relays that a change must have."""


class Shift(NamedTuple):
    """What was expected of some days, and what was."""

    days: int
    """How many, today included."""
    deliveries: int
    """To relays with a history."""
    expected: float
    actual: int


class _Sum(NamedTuple):
    """Deliveries of a relay in the days looked at and before, and those of one kind."""

    n: int
    x: int
    n0: int
    x0: int

    @property
    def expected(self) -> float:
        return self.n * (self.x0 + 0.5) / (self.n0 + 1)

    @property
    def variance(self) -> float:
        p = (self.x0 + 0.5) / (self.n0 + 1)
        return self.n * p * (1 - p) * (1 + self.n / (self.n0 + 2))


class Deliveries:
    """Those to each relay by day, added up when asked: most judgements ask for one day only."""

    def __init__(self, added_up: Callable[[range], Iterable[tuple[str, int, int]]]) -> None:
        """Take what returns relay, deliveries and those of one kind, of a range of days ago."""
        self._added_up = added_up
        self._sums: dict[int, list[_Sum]] = {}

    def sums(self, count: int) -> list[_Sum]:
        """Return the sums of the newest days of each relay, so many, and of the 28 before."""
        if count not in self._sums:
            before = {
                relay: (n0, x0)
                for relay, n0, x0 in self._added_up(range(count, count + _HISTORY))
                if n0 >= _LEAST_DELIVERIES
            }
            self._sums[count] = [
                _Sum(n, x, *before[relay])
                for relay, n, x in self._added_up(range(count))
                if relay in before
            ]
        return self._sums[count]


def fell(days: Deliveries) -> Shift | None:
    """Return by how much the authenticated deliveries fell; None where they did not."""
    for each in (_shift(count, days.sums(count)) for count in _WINDOWS):
        if each.expected >= 3:
            if each.actual > _OVER * each.expected:
                return None
            break
    return _first(days, sign=1, part=0.25)


def rose(days: Deliveries) -> Shift | None:
    """Return by how much the deliveries of a kind rose; None where they did not."""
    for each in (_shift(count, days.sums(count)) for count in _WINDOWS):
        if each.deliveries >= 3:
            if each.actual - each.expected < _POINTS * each.deliveries:
                return None
            break
    return _first(days, sign=-1, part=0)


def _shift(count: int, sums: Sequence[_Sum]) -> Shift:
    return Shift(
        count,
        sum(each.n for each in sums),
        sum(each.expected for each in sums),
        sum(each.x for each in sums),
    )


def _first(days: Deliveries, *, sign: int, part: float) -> Shift | None:
    """Return the shift of the fewest days that is large, significant, and not of one relay."""
    for count in _WINDOWS:
        of_days = days.sums(count)
        whole = _shift(count, of_days)
        lack = sign * (whole.expected - whole.actual)
        variance = sum(each.variance for each in of_days)
        least = _POINTS * whole.deliveries, part * whole.expected
        if not of_days or lack < max(3, *least, 4 * sqrt(2 * variance + 1)):
            continue
        most = max(of_days, key=lambda each: sign * (each.expected - each.x))
        rest = [each for each in of_days if each is not most]
        others = _shift(count, rest)
        least = _POINTS * others.deliveries, part * others.expected
        variance = sum(each.variance for each in rest)
        if sign * (others.expected - others.actual) >= max(1.5, *least, 2 * sqrt(2 * variance)):
            return whole
    return None
