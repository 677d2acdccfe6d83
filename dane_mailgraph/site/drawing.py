"""What one picture shows, before anything is painted: its areas, its gaps, its legend, its words; and its identity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import tzinfo
from hashlib import sha256
from operator import truediv
from typing import NamedTuple

from ..language import UNKNOWN, Language
from ..store import Series, Span
from ..times import DAY, HOUR, MINUTE
from .axis import local, moment
from .graphs import Graph
from .palette import Theme

WIDTH = 640
"""CSS pixels of a picture; its file has `ZOOM` times as many each way."""

ZOOM = 2

PLOT = 180
"""CSS pixels of the plot's height."""

UNITS = (
    (MINUTE, "per minute", "average/min"),
    (HOUR, "per hour", "average/h"),
    (DAY, "per day", "average/day"),
)


class Stretch(NamedTuple):
    """Consecutive buckets of one kind."""

    start: int
    until: int


class Line(NamedTuple):
    """One row of the legend, as it is printed."""

    label: str
    total: str
    share: str
    average: str
    maximum: str


class Drawing(NamedTuple):
    """A graph of one span in one theme: all that a renderer needs to know."""

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
        """Its name in the output directory; it stays the same, others may embed it."""
        return f"{self.span.name}-{self.graph.slug}{self.theme.suffix}.png"

    @property
    def title(self) -> str:
        """What is shown."""
        return self.language.say(self.graph.title)

    @property
    def subtitle(self) -> str:
        """Over which time, and in which unit."""
        parts = [self.language.say(self.span.title)]
        if self.graph.style == "stack":
            parts.append(self.language.say(self.unit[1]))
        elif self.graph.style == "bars":
            parts.append(per(self.series.step, self.language))
        return ", ".join(parts)

    @property
    def end(self) -> str:
        """Up to when it shows what was counted; empty where it shows nothing."""
        reached = self.series.reached
        return (
            ""
            if reached is None
            else self.language.say("data up to {moment}", moment=moment(reached, self.zone))
        )

    @property
    def window(self) -> Stretch:
        """The time that the axis covers."""
        return Stretch(self.series.until - self.span.seconds, self.series.until)

    @property
    def seen(self) -> bool:
        """Whether anything of the graph is known anywhere."""
        return any(n is not None for row in self.graph.counted for n in self.series.counts[row])

    @property
    def unit(self) -> tuple[int, str, str]:
        """The shortest time in which at least one is counted at the highest point: nobody thinks in thousandths."""
        first = max(0, (self.window.start - self.series.start) // self.series.step)
        columns = [[n or 0 for n in self.series.counts[row][first:]] for row in self.graph.counted]
        sums = map(sum, zip(*columns, strict=True))
        top = max(map(truediv, sums, list(_observed(self))[first:]), default=0)
        return next((unit for unit in UNITS if top * unit[0] >= 1), UNITS[-1 if top else 0])

    def tops(self) -> tuple[tuple[float, ...], ...]:
        """The upper edge of each category's area in each bucket, bottom to top; NaN where there is no area."""
        unit = self.unit[0]
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
        return tuple(zip(*edges, strict=True)) if edges else ((),) * len(self.graph.counted)

    def gaps(self) -> tuple[Stretch, ...]:
        """Where within the span nothing is known of any category."""
        start = self.window.start
        before = (Stretch(start, self.series.start),) if start < self.series.start else ()
        return _merged((*before, *_stretches(self, lambda bucket: all(n is None for n in bucket))))

    def blanks(self) -> tuple[Stretch, ...]:
        """Where within the span it is known that there was nothing to share."""
        return _merged(
            _stretches(self, lambda bucket: any(n is not None for n in bucket) and not any(bucket))
        )

    def heading(self) -> Line:
        """What stands above the columns of the legend."""
        say = self.language.say
        return Line("", say("total"), say("share"), say(self.unit[2]), say("maximum/min"))

    def legend(self) -> tuple[Line, ...]:
        """The rows of the legend, one for each category and one for all of them."""
        rows, series, language, unit = self.graph.counted, self.series, self.language, self.unit[0]
        totals = tuple(series.total(row) for row in rows)
        rates = tuple(series.per_minute(row) for row in rows)
        averages = tuple(None if rate is None else rate * unit / MINUTE for rate in rates)
        whole = _sum(totals)
        shares = tuple(total / whole if total is not None and whole else None for total in totals)
        lines = zip(
            (*(language.say(row.label) for row in rows), language.say("all")),
            (language.number(total) for total in (*totals, whole)),
            (*(language.percent(share) for share in shares), ""),
            numbers((*averages, _sum(averages)), language),
            (*numbers(tuple(series.peaks[row] for row in rows), language), ""),
            strict=True,
        )
        return tuple(Line(*cells) for cells in lines)

    def alt(self, legend: tuple[Line, ...]) -> str:
        """The picture in words."""
        lines = ", ".join(
            f"{line.label} {line.total}" + f" ({line.share})" * bool(line.share) for line in legend
        )
        return f"{self.title}, {self.subtitle}: {lines}" + f"; {self.end}" * bool(self.end)

    def identity(self, renderer: str) -> str:
        """A digest of everything that decides what is drawn, and by whom: equal for pictures that look equal."""
        rows, series, (since, until) = self.graph.counted, self.series, self.window
        counts = [(row, series.counts[row], series.peaks[row]) for row in rows]
        times = (
            str(self.zone),
            local(since, self.zone).isoformat(),
            local(until, self.zone).isoformat(),
            series.reached,
        )
        given = (renderer, self.graph, self.span, self.theme, self.host, self.language.code, times)
        told = repr((given, series.start, series.step, series.observed, counts))
        return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def per(seconds: int, language: Language) -> str:
    """For bars: the time that one of them stands for."""
    usual = {MINUTE: "per minute", HOUR: "per hour", 3 * HOUR: "per 3 hours", DAY: "per day"}
    if seconds in usual:
        return language.say(usual[seconds])
    return language.say("per {minutes} minutes", minutes=-(-seconds // MINUTE))


def visible(edges: tuple[float, ...], least: float) -> tuple[float, ...]:
    """The upper edges of one bucket's areas, so that each that is there is at least so high, the worst first of all.

    The upmost edge stays where it is: room is taken from below, down to the ground.
    """
    raised = list(edges)
    for i in range(len(edges) - 1, 0, -1):
        if edges[i] > edges[i - 1]:
            raised[i - 1] = max(0.0, min(raised[i - 1], raised[i] - least))
        else:
            raised[i - 1] = raised[i]
    return tuple(raised)


def numbers(values: tuple[float | None, ...], language: Language) -> tuple[str, ...]:
    """The numbers of one column with equally many decimals; what is not 0 is never printed as 0."""
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
    return zip(*(drawing.series.counts[row] for row in drawing.graph.counted), strict=True)


def _observed(drawing: Drawing) -> Iterator[int]:
    """Seconds of each bucket that its counts are of."""
    series = drawing.series
    for seconds in series.observed or (series.step,) * len(series.counts[drawing.graph.counted[0]]):
        yield seconds or series.step


def _stretches(
    drawing: Drawing, chosen: Callable[[tuple[int | None, ...]], bool]
) -> Iterator[Stretch]:
    since, series = drawing.window.start, drawing.series
    for i, bucket in enumerate(_buckets(drawing)):
        start = series.start + i * series.step
        if start + series.step > since and chosen(bucket):
            yield Stretch(max(start, since), start + series.step)


def _merged(stretches: Iterator[Stretch] | tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    merged: list[Stretch] = []
    for each in stretches:
        if merged and merged[-1].until == each.start:
            merged[-1] = Stretch(merged[-1].start, each.until)
        else:
            merged.append(each)
    return tuple(merged)
