"""What one picture shows, as values: areas, gaps, legend, texts; and its identity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import tzinfo
from hashlib import sha256
from operator import truediv
from typing import NamedTuple

from ..categories import TOLD_BY_FIELD, Category
from ..language import UNKNOWN, Language
from ..store import Series, Span
from ..times import DAY, HOUR, MINUTE, format_time, local
from .graphs import Graph
from .palette import Theme

WIDTH = 640
"""CSS pixels of a picture."""

ZOOM = 2
"""Pixels of the file for each CSS pixel."""

PLOT = 180
"""CSS pixels of the height of the plot."""


class Unit(NamedTuple):
    """A unit of rates."""

    seconds: int
    title: str
    average: str
    """Heading of the averages in the legend."""


UNITS = (
    Unit(MINUTE, "per minute", "average/min"),
    Unit(HOUR, "per hour", "average/h"),
    Unit(DAY, "per day", "average/day"),
)


class Range(NamedTuple):
    """A range of time, in epoch seconds."""

    start: int
    until: int


class Line(NamedTuple):
    """One row of the legend, as printed."""

    label: str
    total: str
    share: str
    average: str
    maximum: str


class Drawing(NamedTuple):
    """A graph of one span in one theme: everything a renderer needs."""

    graph: Graph
    span: Span
    series: Series
    """Ends where the picture ends."""
    theme: Theme
    host: str
    zone: tzinfo | None
    language: Language

    @property
    def file(self) -> str:
        """Name in the output directory; it never changes, because other pages embed it."""
        return f"{self.span.name}-{self.graph.slug}{self.theme.suffix}.png"

    @property
    def title(self) -> str:
        """Title in the language of the picture."""
        return self.language.say(self.graph.title)

    @property
    def subtitle(self) -> str:
        """Span and unit."""
        parts = [self.language.say(self.span.title)]
        if self.graph.style == "stack":
            parts.append(self.language.say(self.unit.title))
        elif self.graph.style == "bars":
            parts.append(per_bucket(self.series.step, self.language))
        return ", ".join(parts)

    @property
    def end(self) -> str:
        """Sentence on the time up to which counts are shown; empty where there are none."""
        reached = self.series.reached
        if reached is None:
            return ""
        last = format_time(reached, self.zone, zone_name=True)
        return self.language.say("data up to {time}", time=last)

    @property
    def window(self) -> Range:
        """Range of the time axis."""
        return Range(self.series.until - self.span.seconds, self.series.until)

    @property
    def has_data(self) -> bool:
        """Whether any count of the graph is known."""
        return any(n is not None for row in self.graph.categories for n in self.series.counts[row])

    @property
    def rows(self) -> tuple[Category, ...]:
        """The categories that could be counted here, bottom to top; all of them without data."""
        rows = self.graph.categories
        known = tuple(row for row in rows if any(n is not None for n in self.series.counts[row]))
        if not tells_dane(self.series):
            known = tuple(
                row for row in known if row.key != "deliveries.encrypted" or self.series.total(row)
            )
        return known or rows

    def label(self, row: Category) -> str:
        """Return the name of a category in the language of the picture."""
        return self.language.say(label(row, with_dane=tells_dane(self.series)))

    @property
    def unit(self) -> Unit:
        """The shortest unit in which the highest rate is at least 1."""
        first = max(0, (self.window.start - self.series.start) // self.series.step)
        columns = [[n or 0 for n in self.series.counts[row][first:]] for row in self.rows]
        sums = map(sum, zip(*columns, strict=True))
        top = max(map(truediv, sums, list(_observed(self))[first:]), default=0)
        return next((unit for unit in UNITS if top * unit.seconds >= 1), UNITS[-1 if top else 0])

    def tops(self) -> tuple[tuple[float, ...], ...]:
        """Return the upper edges of the areas: for each category one value a bucket.

        Categories are ordered bottom to top. NaN is no area: unknown, or a share of nothing.
        """
        unit = self.unit.seconds
        edges: list[tuple[float, ...]] = []
        for bucket, seconds in zip(_buckets(self), _observed(self), strict=True):
            known = [n or 0 for n in bucket]
            whole = sum(known)
            if all(n is None for n in bucket) or (self.graph.style == "share" and not whole):
                edges.append((math.nan,) * len(bucket))
                continue
            factor = {"share": 100 / (whole or 1), "stack": unit / seconds, "bars": 1}[
                self.graph.style
            ]
            edges.append(tuple(sum(known[: i + 1]) * factor for i in range(len(known))))
        return tuple(zip(*edges, strict=True)) if edges else ((),) * len(self.rows)

    def gaps(self) -> tuple[Range, ...]:
        """Return where in the window the counts are unknown."""
        start = self.window.start
        before = (Range(start, self.series.start),) if start < self.series.start else ()
        return _merged((*before, *_ranges(self, lambda bucket: all(n is None for n in bucket))))

    def no_traffic(self) -> tuple[Range, ...]:
        """Return where in the window nothing was counted, and that is known."""
        return _merged(
            _ranges(self, lambda bucket: any(n is not None for n in bucket) and not any(bucket))
        )

    def heading(self) -> Line:
        """Return the titles above the columns of the legend."""
        say = self.language.say
        return Line("", say("total"), say("share"), say(self.unit.average), say("maximum/min"))

    def legend(self) -> tuple[Line, ...]:
        """Return the rows of the legend: one for each category, and one for all of them."""
        rows, series, language = self.rows, self.series, self.language
        totals = tuple(series.total(row) for row in rows)
        rates = tuple(series.per_minute(row) for row in rows)
        unit = self.unit.seconds
        averages = tuple(None if rate is None else rate * unit / MINUTE for rate in rates)
        whole = _sum(totals)
        shares = tuple(total / whole if total is not None and whole else None for total in totals)
        lines = zip(
            (*map(self.label, rows), language.say("all")),
            (language.number(total) for total in (*totals, whole)),
            (*(language.percent(share) for share in shares), ""),
            numbers((*averages, _sum(averages)), language),
            (*numbers(tuple(series.peaks[row] for row in rows), language), ""),
            strict=True,
        )
        return tuple(Line(*cells) for cells in lines)

    def alt(self, legend: tuple[Line, ...]) -> str:
        """Return the picture in words."""
        lines = ", ".join(
            f"{line.label} {line.total}" + f" ({line.share})" * bool(line.share) for line in legend
        )
        return f"{self.title}, {self.subtitle}: {lines}" + f"; {self.end}" * bool(self.end)

    def identity(self, renderer: str) -> str:
        """Return a digest of everything that decides how the picture looks, and of its renderer."""
        rows, series, (since, until) = self.graph.categories, self.series, self.window
        counts = [(row, series.counts[row], series.peaks[row]) for row in rows]
        times = (
            str(self.zone),
            local(since, self.zone).isoformat(),
            local(until, self.zone).isoformat(),
            series.reached,
        )
        given = (renderer, self.graph, self.span, self.theme, self.host, self.language.code, times)
        values = repr((given, series.start, series.step, series.observed, counts))
        return sha256(values.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def tells_dane(series: Series) -> bool:
    """Return whether the log could tell DANE from other authentication."""
    return any(n is not None for row in TOLD_BY_FIELD for n in series.counts.get(row, ()))


def label(row: Category, *, with_dane: bool) -> str:
    """Return the English name of a category in a log that tells DANE, or does not."""
    return row.label if with_dane or row.key != "deliveries.verified" else "authenticated"


def per_bucket(seconds: int, language: Language) -> str:
    """Write the unit of bars that stand for so many seconds each: `per hour`."""
    usual = {MINUTE: "per minute", HOUR: "per hour", 3 * HOUR: "per 3 hours", DAY: "per day"}
    if seconds in usual:
        return language.say(usual[seconds])
    return language.say("per {minutes} minutes", minutes=-(-seconds // MINUTE))


def visible(edges: tuple[float, ...], least: float) -> tuple[float, ...]:
    """Lower the edges of one bucket so that every area in it is at least `least` high.

    The topmost edge stays; the worst categories, which are at the top, get their height first.
    """
    lowered = list(edges)
    for i in range(len(edges) - 1, 0, -1):
        if edges[i] > edges[i - 1]:
            lowered[i - 1] = max(0.0, min(lowered[i - 1], lowered[i] - least))
        else:
            lowered[i - 1] = lowered[i]
    return tuple(lowered)


def printable(text: str) -> str:
    """Replace what a picture cannot show on one line: rrdtool crashes on it, and names are foreign.

    These are control characters, which end a string in C, and half characters (surrogates).
    """
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def numbers(values: tuple[float | None, ...], language: Language) -> tuple[str, ...]:
    """Write the numbers of a column with the same decimals; only 0 is written as 0."""
    known = [value for value in values if value is not None]
    most = max(known, default=0)
    if all(value == int(value) for value in known) or most >= 1000:
        decimals = 0
    else:
        decimals = next((n for least, n in ((100, 1), (0.1, 2), (0.001, 4)) if most >= least), 6)
    return tuple(_number(value, decimals, language) for value in values)


def _number(value: float | None, decimals: int, language: Language) -> str:
    if value is None:
        return UNKNOWN
    if value and not round(value, decimals):
        return f"<{language.number(10.0**-decimals, decimals)}"
    return language.number(value, decimals) if value else "0"


def _sum(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _buckets(drawing: Drawing) -> Iterator[tuple[int | None, ...]]:
    return zip(*(drawing.series.counts[row] for row in drawing.rows), strict=True)


def _observed(drawing: Drawing) -> Iterator[int]:
    """Iterate over the seconds of each bucket for which the log was read."""
    series = drawing.series
    for seconds in series.observed or (series.step,) * len(
        series.counts[drawing.graph.categories[0]]
    ):
        yield seconds or series.step


def _ranges(drawing: Drawing, chosen: Callable[[tuple[int | None, ...]], bool]) -> Iterator[Range]:
    since, series = drawing.window.start, drawing.series
    for i, bucket in enumerate(_buckets(drawing)):
        start = series.start + i * series.step
        if start + series.step > since and chosen(bucket):
            yield Range(max(start, since), start + series.step)


def _merged(ranges: Iterator[Range] | tuple[Range, ...]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for each in ranges:
        if merged and merged[-1].until == each.start:
            merged[-1] = Range(merged[-1].start, each.until)
        else:
            merged.append(each)
    return tuple(merged)
