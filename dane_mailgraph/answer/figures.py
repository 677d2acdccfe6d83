"""The figures of the last 24 hours, each beside the same hours of the weeks before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import sqrt
from statistics import fmean, mean, stdev
from typing import NamedTuple

from ..categories import (
    AUTHENTICATED_DELIVERIES,
    CATEGORIES,
    CONNECTIONS,
    DELIVERIES,
    FAILURES,
    HANDSHAKES,
    Category,
)
from ..store import RRD, Row, together
from ..times import DAY, HOUR

Counts = Mapping[Category, int | None]

VERIFIED = (CONNECTIONS[0],)
PLAINTEXT = tuple(row for row in DELIVERIES if row.name == "plaintext")

WEEK = 7 * DAY

_BEFORE = 8
"""Weeks whose same 24 hours are compared with the last ones."""

_WEEKS = 12
"""Weeks of a trend."""

_KNOWN = 0.8
"""Part of a range that must be known for it to be compared."""

_LEAST_BEFORE = 3
"""Weeks below which nothing is compared."""

_DEVIATIONS = 4
"""Standard deviations, of chance and of the weeks before, that a change must exceed."""

_LEAST_CHANGE, _LEAST_COUNT = 0.01, 5
"""The smallest change of a share and of a count that matters."""

_LEAST_WEEKS = 6
"""Known weeks below which nothing is said of the long run."""

_LEAST_SHARED = 10
"""Events from which on their share says something about a trend."""


class Figure(NamedTuple):
    """One number of the last 24 hours: a share from 0 to 1, or a count."""

    name: str
    title: str
    meaning: str
    """What it says, in a few words."""
    now: float | None
    before: float | None
    """The same of these 24 hours in the weeks before; None where too few of them are known."""
    whole: int | None
    """For a share: the number it is a share of; None for a count."""
    is_share: bool
    trend: str
    """`better` or `worse` where the change is larger than chance and the weeks explain."""
    weeks: tuple[float | None, ...] = ()
    """The same of whole weeks, the newest last."""
    more_is_better: bool = True

    @property
    def known_weeks(self) -> list[float]:
        """Its values in the weeks of which it is known."""
        return [value for value in self.weeks if value is not None]

    @property
    def has_course(self) -> bool:
        """Whether enough weeks are known to say how it goes in the long run."""
        return len(self.known_weeks) >= _LEAST_WEEKS

    @property
    def course(self) -> str:
        """`better` or `worse` where the last weeks differ from the first by more than they move."""
        if not self.has_course:
            return ""
        known = self.known_weeks
        third = len(known) // 3
        change = mean(known[-third:]) - mean(known[:third])
        moves = stdev(after - before for before, after in pairwise(known)) / sqrt(third)
        least = _LEAST_CHANGE if self.is_share else _LEAST_COUNT
        is_change = abs(change) >= max(least, _DEVIATIONS * moves)
        return _trend(change, more_is_better=self.more_is_better) if is_change else ""


class Today(NamedTuple):
    """The figures of 24 hours."""

    until: int
    """Epoch second."""
    observed: int
    """Seconds of them whose log was read."""
    figures: tuple[Figure, ...]


def last_24_hours(rrd: RRD, until: int) -> Today:
    """Return the figures of the 24 hours that end at this epoch second, a multiple of the step."""
    now = together(_rows(rrd, until - DAY, until))
    full = until - until % HOUR  # the archive of hours goes back far enough
    before = [
        together(rrd.rows(HOUR, full - n * WEEK - DAY, full - n * WEEK))
        for n in range(1, _BEFORE + 1)
    ]
    hours, week = rrd.rows(HOUR, full - _WEEKS * WEEK, full - WEEK), WEEK // HOUR
    weeks = [together(hours[n : n + week]) for n in range(0, len(hours), week)]
    weeks.append(together(_rows(rrd, until - WEEK, until)))
    known = [_counts(row) for row in before if row.observed >= _KNOWN * DAY]
    found = figures(
        _counts(now),
        known,
        [_counts(row) if row.observed >= _KNOWN * WEEK else None for row in weeks],
    )
    return Today(until, now.observed, found)


class _Kind(NamedTuple):
    """What a figure shows: a share of `whole`, or a count where that is None."""

    name: str
    title: str
    meaning: str
    part: tuple[Category, ...]
    whole: tuple[Category, ...] | None
    more_is_better: bool


_KINDS = (
    _Kind(
        "verified_connections",
        "Verified connections",
        "the server proved who it is, by DANE or as your policy requires",
        VERIFIED,
        HANDSHAKES,
        more_is_better=True,
    ),
    _Kind(
        "authenticated_deliveries",
        "Authenticated deliveries",
        "recipients whose mail went to such a server",
        AUTHENTICATED_DELIVERIES,
        DELIVERIES,
        more_is_better=True,
    ),
    _Kind(
        "plaintext_deliveries",
        "Plaintext deliveries",
        "not encrypted: anybody on the way can read and change them",
        PLAINTEXT,
        DELIVERIES,
        more_is_better=False,
    ),
    _Kind(
        "failures",
        "Failed for TLS or DANE",
        "recipients whose mail was deferred or returned for it",
        FAILURES,
        None,
        more_is_better=False,
    ),
)
"""The figures in the order of the page."""


def figures(
    now: Counts, before: Sequence[Counts], weeks: Sequence[Counts | None] = ()
) -> tuple[Figure, ...]:
    """Return the figures of a day from its counts, those of days before, and those of weeks.

    None is unknown.
    """
    return tuple(
        _count_figure(kind, now, before, weeks)
        if kind.whole is None
        else _share_figure(kind, kind.whole, now, before, weeks)
        for kind in _KINDS
    )


def _share_figure(
    kind: _Kind,
    whole: Iterable[Category],
    now: Counts,
    before: Sequence[Counts],
    weeks: Sequence[Counts | None],
) -> Figure:
    def weekly(counts: Counts | None) -> float | None:
        pair = (0, 0) if counts is None else _pair(counts, kind.part, whole)
        return _share(*pair) if pair[1] >= _LEAST_SHARED else None

    today = _pair(now, kind.part, whole)
    compared = [pair for counts in before if (pair := _pair(counts, kind.part, whole))[1]]
    change = _share_change(today, compared)
    return Figure(
        kind.name,
        kind.title,
        kind.meaning,
        now=_share(*today),
        before=_mean_share(compared),
        whole=_sum(now, whole),
        is_share=True,
        trend=_trend(change, more_is_better=kind.more_is_better),
        weeks=tuple(map(weekly, weeks)),
        more_is_better=kind.more_is_better,
    )


def _count_figure(
    kind: _Kind, now: Counts, before: Sequence[Counts], weeks: Sequence[Counts | None]
) -> Figure:
    today = _sum(now, kind.part)
    known = [count for counts in before if (count := _sum(counts, kind.part)) is not None]
    change = _count_change(today, known)
    return Figure(
        kind.name,
        kind.title,
        kind.meaning,
        now=today,
        before=fmean(known) if len(known) >= _LEAST_BEFORE else None,
        whole=None,
        is_share=False,
        trend=_trend(change, more_is_better=kind.more_is_better),
        weeks=tuple(None if counts is None else _sum(counts, kind.part) for counts in weeks),
        more_is_better=kind.more_is_better,
    )


def _share_change(now: tuple[int, int], before: Sequence[tuple[int, int]]) -> float:
    """Return how much a share has changed; 0 where chance or the weeks explain it.

    Hours of one day are not independent, so the weeks themselves say how much it moves.
    """
    if not now[1] or len(before) < _LEAST_BEFORE:
        return 0
    part, whole = (sum(column) for column in zip(*before, strict=True))
    change = now[0] / now[1] - part / whole
    likely = (part + 0.5) / (whole + 1)
    chance = sqrt(likely * (1 - likely) * (1 / now[1] + 1 / whole))
    moves = stdev(n / of for n, of in before)
    return change if abs(change) >= max(_LEAST_CHANGE, _DEVIATIONS * max(chance, moves)) else 0


def _count_change(now: int | None, before: Sequence[int]) -> float:
    """Return how much a count has changed; 0 where chance or the weeks explain it."""
    if now is None or len(before) < _LEAST_BEFORE:
        return 0
    change = now - mean(before)
    moves = max(sqrt(mean(before) + 1), stdev(before))
    return change if abs(change) >= max(_LEAST_COUNT, _DEVIATIONS * moves) else 0


def _trend(change: float, *, more_is_better: bool) -> str:
    return "" if not change else "better" if (change > 0) == more_is_better else "worse"


def _rows(rrd: RRD, start: int, until: int) -> list[Row]:
    """Return [start, until): whole hours from their archive, the rest by the step."""
    first, end = start + -start % HOUR, until - until % HOUR
    return (
        rrd.rows(rrd.step, start, first)
        + rrd.rows(HOUR, first, end)
        + rrd.rows(rrd.step, end, until)
    )


def _counts(row: Row) -> Counts:
    return dict(zip(CATEGORIES, row.counts, strict=True))


def _pair(counts: Counts, part: Iterable[Category], whole: Iterable[Category]) -> tuple[int, int]:
    return _sum(counts, part) or 0, _sum(counts, whole) or 0


def _mean_share(pairs: Sequence[tuple[int, int]]) -> float | None:
    if len(pairs) < _LEAST_BEFORE:
        return None
    return _share(*(sum(column) for column in zip(*pairs, strict=True)))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _sum(counts: Counts, rows: Iterable[Category]) -> int | None:
    known = [count for row in rows if (count := counts[row]) is not None]
    return sum(known) if known else None
