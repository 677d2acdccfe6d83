"""What one picture shows, as values: areas, gaps, legend, texts; and its identity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import tzinfo
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from ..categories import ONLY_BY_TLS_FIELD, Category
from ..language import UNKNOWN, Language
from ..store import Series, Span
from ..times import DAY, HOUR, MINUTE, format_time, local_time
from .graphs import Graph
from .palette import Theme

WIDTH = 640
"""CSS pixels of a picture."""

ZOOM = 2
"""Pixels of the file for each CSS pixel."""

PLOT = 180
"""CSS pixels of the height of the plot."""


ENOUGH = 20
"""Events in a bucket on the average: with fewer of them buckets are widened."""

_LEAST_IN_PERCENT = 10
"""Events in the widest bucket on the average: with fewer of them shares say nothing."""

LEAST_SHARED = 5
"""Events of one bucket whose shares are drawn."""

_WIDTHS = (10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, DAY, 7 * DAY)
"""Seconds of buckets."""

_LEAST_BUCKETS = 7
"""Buckets that a picture has at least."""


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


class _Given(NamedTuple):
    """What a picture is of."""

    graph: Graph
    span: Span
    series: Series
    """Ends where the picture ends."""
    theme: Theme
    host: str
    zone: tzinfo | None
    language: Language


class Drawing(_Given):
    """A graph of one span in one theme: everything a renderer needs."""

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
        if self.style != "share":
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

    @cached_property
    def window(self) -> Range:
        """Range of the time axis."""
        start = self.series.until - self.span.seconds
        # Wide buckets may not fill a span.
        is_filled = not 0 < self.series.start - start < self.series.step
        return Range(start if is_filled else self.series.start, self.series.until)

    @cached_property
    def _events(self) -> float:
        """How many events a bucket has on the average."""
        return events_per_bucket(self.series, self.graph.categories)

    @cached_property
    def is_sparse(self) -> bool:
        """Whether there are few events: then each is one, and none is scaled."""
        return self._events < ENOUGH

    @cached_property
    def style(self) -> str:
        """As in the graph; few events are bars."""
        return "bars" if self.graph.style == "stack" and self.is_sparse else self.graph.style

    @cached_property
    def note(self) -> str:
        """The text in place of a plot; empty where there is one."""
        if not self.has_data:
            return self.language.say("no data yet")
        if self.graph.style == "share" and 0 < self._events < _LEAST_IN_PERCENT:
            return self.language.say("too few for percentages")
        return ""

    @cached_property
    def has_data(self) -> bool:
        """Whether any count of the graph is known."""
        return any(n is not None for row in self.graph.categories for n in self.series.counts[row])

    @cached_property
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

    def meanings(self) -> list[tuple[Category, str]]:
        """Return its categories with their names, in the order of the legend."""
        return [(row, self.label(row)) for row in self.rows]

    def tops(self) -> tuple[tuple[float, ...], ...]:
        """Return the upper edges of the areas: for each category one value a bucket.

        Categories are ordered bottom to top. NaN is no area: unknown, or a share of nothing.
        """
        edges: list[tuple[float, ...]] = []
        for bucket in self._heights:
            whole = sum(bucket)
            if any(map(math.isnan, bucket)) or (self.style == "share" and whole < LEAST_SHARED):
                edges.append((math.nan,) * len(bucket))
                continue
            factor = 100 / whole if self.style == "share" else 1
            edges.append(tuple(sum(bucket[: i + 1]) * factor for i in range(len(bucket))))
        return tuple(zip(*edges, strict=True)) if edges else ((),) * len(self.rows)

    @cached_property
    def _heights(self) -> tuple[tuple[float, ...], ...]:
        """The counts of each bucket; NaN is unknown.

        What is known of a bucket in part is scaled to all of it where there are many events.
        """
        step, is_scaled = self.series.step, self.style == "stack"
        return tuple(
            (math.nan,) * len(bucket)
            if all(n is None for n in bucket)
            else tuple((n or 0) * (step / seconds if is_scaled else 1) for n in bucket)
            for bucket, seconds in zip(_buckets(self), _observed(self), strict=True)
        )

    def gaps(self) -> tuple[Range, ...]:
        """Return where in the window the counts are unknown."""
        start = self.window.start
        before = (Range(start, self.series.start),) if start < self.series.start else ()
        return _merged((*before, *_ranges(self, lambda bucket: all(n is None for n in bucket))))

    def no_traffic(self) -> tuple[Range, ...]:
        """Return where in the window too little was counted for shares, and that is known."""
        return _merged(
            _ranges(
                self,
                lambda bucket: (
                    any(n is not None for n in bucket)
                    and sum(n or 0 for n in bucket) < LEAST_SHARED
                ),
            )
        )

    def heading(self) -> Line:
        """Return the titles above the columns of the legend; shares have neither of the last."""
        say = self.language.say
        rates = ("", "") if self.style == "share" else (say("average"), say("maximum"))
        return Line("", say("total"), say("share"), *rates)

    def cells(self, line: Line) -> tuple[str, ...]:
        """Return the cells of a line of the legend, without its label."""
        return line[1:3] if self.style == "share" else line[1:]

    def legend(self) -> tuple[Line, ...]:
        """Return the rows of the legend: one for each category, and one for all of them.

        Averages and maxima are of the buckets that the axis shows.
        """
        rows, series, language = self.rows, self.series, self.language
        totals = tuple(series.total(row) for row in rows)
        whole = _sum(totals)
        shares = tuple(total / whole if total is not None and whole else None for total in totals)
        counts = [*totals, whole]
        averages: tuple[str, ...] = ("",) * len(counts)
        maxima = averages
        if self.style != "share":
            buckets = _known_buckets(series, rows)
            averages = numbers(
                tuple(None if n is None or not buckets else n / buckets for n in counts), language
            )
            columns = tuple(zip(*self._heights, strict=True)) or ((),) * len(rows)
            maxima = numbers((*map(_most, columns), self.most), language)
        lines = zip(
            (*map(self.label, rows), language.say("all")),
            map(language.number, counts),
            (*(language.percent(share) for share in shares), ""),
            averages,
            maxima,
            strict=True,
        )
        return tuple(Line(*cells) for cells in lines)

    @cached_property
    def most(self) -> float | None:
        """The highest sum of a bucket in the window; None where none is known."""
        return _most(sum(bucket) for bucket in self._heights)

    def alt(self, legend: tuple[Line, ...]) -> str:
        """Return the picture in words."""
        lines = ", ".join(
            f"{line.label} {line.total}" + f" ({line.share})" * bool(line.share) for line in legend
        )
        return f"{self.title}, {self.subtitle}: {lines}" + f"; {self.end}" * bool(self.end)

    def in_theme(self, theme: Theme) -> Drawing:
        """Return the same in another theme, with what is known of its content."""
        other = self._replace(theme=theme)
        other.__dict__.update(content=self.content)
        return other

    @cached_property
    def content(self) -> str:
        """A digest of everything that decides how the picture looks, except its theme."""
        series, (since, until) = self.series, self.window
        counts = [(row, series.counts[row]) for row in self.graph.categories]
        times = (
            str(self.zone),
            local_time(since, self.zone).isoformat(),
            local_time(until, self.zone).isoformat(),
            series.reached,
        )
        given = (self.graph, self.span, self.host, self.language.code, times)
        values = repr((given, series.start, series.step, series.observed, counts))
        return sha256(values.encode("utf-8", "surrogatepass")).hexdigest()

    def identity(self, renderer: str) -> str:
        """Return a digest of everything that decides how the picture looks, and of its renderer."""
        return sha256(repr((renderer, self.theme, self.content)).encode()).hexdigest()[:16]


def fitted(series: Series, rows: Sequence[Category], span: Span) -> Series:
    """Return the series in buckets wide enough to hold enough events of these categories."""
    if not any(series.total(row) for row in rows):
        return series
    wider = (
        width
        for width in _WIDTHS
        if width > series.step
        and width % series.step == 0
        and width * _LEAST_BUCKETS <= span.seconds
    )
    found = series
    for width in wider:
        if events_per_bucket(found, rows) >= ENOUGH:
            break
        found = series.widen(width // series.step)
    return found


def events_per_bucket(series: Series, rows: Sequence[Category]) -> float:
    """Return how many events a bucket of the known time has on the average."""
    buckets = _known_buckets(series, rows)
    return sum(series.total(row) or 0 for row in rows) / buckets if buckets else 0


def tells_dane(series: Series) -> bool:
    """Return whether the log could tell DANE from other authentication."""
    return any(n is not None for row in ONLY_BY_TLS_FIELD for n in series.counts.get(row, ()))


def label(row: Category, *, with_dane: bool) -> str:
    """Return the English name of a category in a log that tells DANE, or does not."""
    return row.label if with_dane or row.key != "deliveries.verified" else "authenticated"


def per_bucket(seconds: int, language: Language) -> str:
    """Write the unit of bars that stand for so many seconds each: `per hour`."""
    usual = {
        MINUTE: "per minute",
        HOUR: "per hour",
        3 * HOUR: "per 3 hours",
        6 * HOUR: "per 6 hours",
        DAY: "per day",
        7 * DAY: "per week",
    }
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


def _most(values: Iterable[float]) -> float | None:
    """Return the largest number; None where all of them are NaN."""
    return max((value for value in values if not math.isnan(value)), default=None)


def _known_buckets(series: Series, rows: Sequence[Category]) -> float:
    """Return how many buckets are known: of what is known of one in part not more is made."""
    seconds = sum(_known_seconds(series, rows))
    return max(1, seconds / series.step) if seconds else 0


def _known_seconds(series: Series, rows: Sequence[Category]) -> list[int]:
    """Return how many seconds of each bucket are known of any of these categories."""
    buckets = zip(*(series.counts[row] for row in rows), strict=True)
    observed = series.observed or (series.step,) * len(series.counts[rows[0]])
    return [
        0 if all(n is None for n in bucket) else seconds
        for bucket, seconds in zip(buckets, observed, strict=True)
    ]


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
