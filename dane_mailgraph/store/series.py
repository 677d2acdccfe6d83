"""Table 2: the spans that are kept and shown; and `Series`, the counts over one span."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..categories import CATEGORIES, Category
from ..times import DAY, HOUR, MINUTE


class Span(NamedTuple):
    """One stretch of time that is drawn, ending now."""

    name: str
    title: str
    seconds: int
    bucket: int
    """Seconds that one drawn point stands for."""
    every: int
    """Seconds after which it is drawn again."""


SPANS = (
    Span("day", "Last 24 hours", DAY, 10 * MINUTE, 10 * MINUTE),
    Span("week", "7 days", 7 * DAY, HOUR, HOUR),
    Span("month", "31 days", 31 * DAY, 3 * HOUR, 3 * HOUR),
    Span("year", "12 months", 366 * DAY, DAY, 6 * HOUR),
)


class Archive(NamedTuple):
    """One archive of the RRD: how long counts are kept, and how finely."""

    row: int | None
    """Seconds in a row; None is one step."""
    kept: int
    """Seconds."""


ARCHIVES = (
    Archive(None, 15 * DAY),
    Archive(HOUR, 5 * 366 * DAY),
    Archive(DAY, 20 * 366 * DAY),
)
"""Finest first. A window of two weeks always fits into the first (rows begin at UTC multiples)."""

PEAKS = Archive(HOUR, 400 * DAY)
"""The busiest step of each hour, for the maximum in the legends of the month and the year."""


class Row(NamedTuple):
    """The counts of one row of an archive, or of several put together."""

    observed: int
    """Seconds of it whose log was read."""
    counts: tuple[int | None, ...]
    """In the order of `CATEGORIES`; None is unknown, never 0."""


UNKNOWN = Row(0, (None,) * len(CATEGORIES))


def together(rows: Iterable[Row]) -> Row:
    """Add rows up: what is known of any of them."""
    known = [row for row in rows if row.observed]
    if not known:
        return UNKNOWN
    columns = zip(*(row.counts for row in known), strict=True)
    return Row(sum(row.observed for row in known), tuple(map(_sum, columns)))


def _sum(column: tuple[int | None, ...]) -> int | None:
    try:
        # Unknown counts are rare, and looking for them takes longer than all the rest.
        return sum(column)  # type: ignore[arg-type]
    except TypeError:
        known = [count for count in column if count is not None]
        return sum(known) if known else None


class Series(NamedTuple):
    """The counts of consecutive buckets of time; None is unknown, never 0."""

    start: int
    """Epoch second at which the first bucket begins."""
    step: int
    """Seconds in a bucket."""
    counts: dict[Category, tuple[int | None, ...]]
    peaks: dict[Category, float | None]
    """The busiest step of the whole series, in counts a minute."""
    observed: tuple[int, ...] = ()
    """Seconds of each bucket whose log was read; empty means all."""
    reached: int | None = None
    """Epoch second up to which it has counts; None where it has none."""

    @classmethod
    def of(
        cls,
        start: int,
        step: int,
        rows: Sequence[Row],
        peaks: dict[Category, float | None],
        reached: int | None,
    ) -> Series:
        """Make the series of these rows, one a bucket."""
        columns = zip(*(row.counts for row in rows), strict=True)
        return cls(
            start,
            step,
            dict(zip(CATEGORIES, columns, strict=True)),
            peaks,
            tuple(row.observed for row in rows),
            reached,
        )

    def widen(self, times: int) -> Series:
        """Return it in buckets so many times as long; the last one ends where it ended."""
        first = len(next(iter(self.counts.values()), ())) % times

        def merge(column: Sequence[int | None]) -> tuple[int | None, ...]:
            parts = (column[n : n + times] for n in range(first, len(column), times))
            return tuple(
                sum(n or 0 for n in part) if any(n is not None for n in part) else None
                for part in parts
            )

        return self._replace(
            start=self.start + first * self.step,
            step=self.step * times,
            counts={row: merge(column) for row, column in self.counts.items()},
            observed=tuple(n or 0 for n in merge(self.observed)),
        )

    @property
    def until(self) -> int:
        """Epoch second at which the last bucket ends."""
        return self.start + self.step * len(next(iter(self.counts.values()), ()))

    def seconds(self, counted: Category) -> list[int]:
        """Return how many seconds of each bucket are known."""
        observed = self.observed or (self.step,) * len(self.counts[counted])
        return [
            0 if n is None else seconds
            for n, seconds in zip(self.counts[counted], observed, strict=True)
        ]

    def total(self, counted: Category) -> int | None:
        """Return the count over the series; None where nothing of it is known."""
        known = [n for n in self.counts[counted] if n is not None]
        return sum(known) if known else None

    def per_minute(self, counted: Category) -> float | None:
        """Return the average over the known part of the series, in counts a minute."""
        total, seconds = self.total(counted), sum(self.seconds(counted))
        return total * MINUTE / seconds if total is not None and seconds else None
