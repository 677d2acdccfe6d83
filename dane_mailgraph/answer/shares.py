"""Whether less mail is authenticated, or more goes unencrypted, than the same servers let expect.

Each relay is compared with itself: the share of all mail moves with whom it goes to, and any
newsletter fells it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import sqrt
from typing import NamedTuple

_WINDOWS = range(1, 8)
"""Days back that are looked at, today included."""

_HISTORY = 28
"""Days before those that they are compared with."""

DAYS = max(_WINDOWS) + _HISTORY
"""Days that matter, today included."""

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


Days = Mapping[str, Mapping[int, tuple[int, int]]]
"""Relay -> days ago -> deliveries, and those of one kind."""


def by_relay(rows: Iterable[tuple[str, int, int, int]]) -> Days:
    """Sort rows of relay, days ago, deliveries and those of one kind."""
    days: defaultdict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    for relay, ago, n, x in rows:
        days[relay][ago] = n, x
    return {relay: of for relay, of in days.items() if min(of) < max(_WINDOWS)}


def fell(days: Days) -> Shift | None:
    """Return by how much the authenticated deliveries fell; None where they did not."""
    sums = _sums(days)
    for each in map(_shift, _WINDOWS, sums.values()):
        if each.expected >= 3:
            if each.actual > _OVER * each.expected:
                return None
            break
    return _first(sums, sign=1, part=0.25)


def rose(days: Days) -> Shift | None:
    """Return by how much the deliveries of a kind rose; None where they did not."""
    sums = _sums(days)
    for each in map(_shift, _WINDOWS, sums.values()):
        if each.deliveries >= 3:
            if each.actual - each.expected < _POINTS * each.deliveries:
                return None
            break
    return _first(sums, sign=-1, part=0)


def _sums(days: Days) -> dict[int, list[_Sum]]:
    """Add up the newest days of each relay, and the 28 before; number of days -> relays."""
    sums: dict[int, list[_Sum]] = {count: [] for count in _WINDOWS}
    for of_relay in days.values():
        every = [of_relay.get(ago, (0, 0)) for ago in range(DAYS)]
        n = list(accumulate((each for each, _ in every), initial=0))
        x = list(accumulate((each for _, each in every), initial=0))
        for count in _WINDOWS:
            end = count + _HISTORY
            if n[count] and n[end] - n[count] >= _LEAST_DELIVERIES:
                of_window = _Sum(n[count], x[count], n[end] - n[count], x[end] - x[count])
                sums[count].append(of_window)
    return sums


def _shift(count: int, sums: Sequence[_Sum]) -> Shift:
    return Shift(
        count,
        sum(each.n for each in sums),
        sum(each.expected for each in sums),
        sum(each.x for each in sums),
    )


def _first(sums: Mapping[int, Sequence[_Sum]], *, sign: int, part: float) -> Shift | None:
    """Return the shift of the fewest days that is large, significant, and not of one relay."""
    for count, of_days in sums.items():
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
