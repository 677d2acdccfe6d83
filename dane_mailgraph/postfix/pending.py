"""What lines count as, minute by minute, until it is drained as counts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import tzinfo
from operator import attrgetter, itemgetter
from typing import NamedTuple

from ..categories import CATEGORIES
from ..counts import DayCounts, EventCount, Interval, RefusalCount, SenderCount
from ..times import MINUTE, day_number
from .days import KeptName, OutcomesOfDay
from .lines import CLIENT, SERVER, Kind
from .outcome import CountVector, Outcome

MOST_INTERVALS = 4000
"""Intervals kept in memory at a time: almost three days of minutes."""

_MOST_LINES = 50 * MOST_INTERVALS
"""Lines kept in memory at a time."""


class Drained(NamedTuple):
    """Counts on their way to the ledger."""

    intervals: list[Interval]
    """In order of time."""
    lost_starts: set[int]
    """Starts of intervals with lines of unknown heads in which nothing counted."""
    relays: list[DayCounts]
    events: list[EventCount]
    """What happened with relays and counts nowhere."""
    senders: list[SenderCount]
    """Who came without TLS, or with an old one."""
    refusals: list[RefusalCount]
    """Who refused our certificate."""
    warnings: list[tuple[str, int, int]]
    """Postfix's, of each day: name, number, and minute of the last one."""


class Pending:
    """The outcomes of lines that are counted and not drained yet."""

    def __init__(self, step: int) -> None:
        """`step` is the length of an interval in seconds."""
        self._step, self._grain = step, math.gcd(step, MINUTE)
        self._outcomes: defaultdict[int, list[Outcome]] = defaultdict(list)
        """First second of each minute, or of a part of it -> what its lines count as."""
        self._lines = 0
        self._doubts: set[tuple[int, Kind]] = set()
        """Starts of intervals, each with the kind of a line whose head is unknown."""

    def at(self, second: int) -> list[Outcome]:
        """Return the list that takes the outcomes of this epoch second."""
        return self._outcomes[second - second % self._grain]

    def add_lines(self, number: int) -> None:
        """Note how many lines the outcomes have come from."""
        self._lines += number

    def doubt(self, kind: Kind, second: int) -> None:
        """Note that a line of this kind, at this epoch second, is not understood."""
        self._doubts.add((second - second % self._step, kind))

    @property
    def is_full(self) -> bool:
        """Whether they take so much memory that it is time to drain them."""
        return len(self._outcomes) >= MOST_INTERVALS or self._lines >= _MOST_LINES

    def drain(self, zone: tzinfo | None, kept_name: KeptName | None) -> Drained:
        """Return and forget all: intervals, and the rest by the days of a zone."""
        vectors: defaultdict[int, Counter[CountVector]] = defaultdict(Counter)
        days: defaultdict[int, OutcomesOfDay] = defaultdict(OutcomesOfDay)
        for minute, outcomes in sorted(self._outcomes.items(), key=itemgetter(0)):
            start = minute - minute % self._step
            vectors[start].update(map(_COUNT_VECTOR, outcomes))
            days[day_number(minute, zone)].add(minute, outcomes)
        intervals = [self._doubted(each) for each in _intervals(vectors)]
        drained = Drained(
            intervals,
            {start for start, _ in self._doubts} - {each.start for each in intervals},
            [each for day, of_day in days.items() for each in of_day.relays(day, kept_name)],
            [each for day, of_day in days.items() for each in of_day.events(day)],
            [each for day, of_day in days.items() for each in of_day.senders(day)],
            [each for of_day in days.values() for each in of_day.refusals()],
            [each for of_day in days.values() for each in of_day.warnings()],
        )
        self._outcomes.clear()
        self._doubts.clear()
        self._lines = 0
        return drained

    def _doubted(self, interval: Interval) -> Interval:
        """Make counts of a kind None where lines of it had unknown heads and none counted."""
        counts = interval.counts
        for kind, indexes in _INDEXES:
            is_doubted = (interval.start, kind) in self._doubts
            if is_doubted and not any(counts[index] for index in indexes):
                counts = tuple(None if at in indexes else n for at, n in enumerate(counts))
        return Interval(interval.start, counts)


def _intervals(vectors: Mapping[int, Counter[CountVector]]) -> list[Interval]:
    """Add up what the lines of each interval count as; `vectors` has its start as the key."""
    intervals = []
    for start, of_interval in vectors.items():
        counts = [0] * len(CATEGORIES)
        for vector, lines in of_interval.items():
            for index in vector.indexes:
                counts[index] += vector.times * lines
        if any(counts):
            intervals.append(Interval(start, tuple(counts)))
    return intervals


_INDEXES = tuple(
    (kind, {at for at, row in enumerate(CATEGORIES) if row.is_inbound == (kind is SERVER)})
    for kind in (CLIENT, SERVER)
)
"""The positions in `CATEGORIES` of what each kind of lines counts as."""

_COUNT_VECTOR = attrgetter("count_vector")
