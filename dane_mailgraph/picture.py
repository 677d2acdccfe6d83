"""matplotlib: a graph and a series become an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, tzinfo
from io import BytesIO
from typing import NamedTuple

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from .graphs import Graph
from .page import PICTURE_HEIGHT, PICTURE_WIDTH, UNKNOWN, moment, percent
from .series import DAY, MINUTE, Series, Span

ZOOM = 2

TEXT, MUTED, LINE, GRID = "#1F2328", "#59636E", "#8A8F98", "#E4E8EC"
GAP, GAP_HATCH, BLANK = "#EFF1F3", "#C6CCD3", "#F0F4F8"

# Starting at the defaults keeps a matplotlibrc of the machine out of the picture.
STYLE: list[str | dict[str, object]] = [
    "default",
    {
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "text.color": TEXT,
        "text.parse_math": False,
        "hatch.linewidth": 0.5,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": TEXT,
        "ytick.labelcolor": TEXT,
    },
]

# CSS pixels, from the left and from the top.
LEFT, RIGHT, TOP = 58, PICTURE_WIDTH - 30, 40
TITLE_LINE = 20
TABLE_LINE, BELOW_PLOT, BELOW_TABLE = 17, 31, 8
BOX, LABEL, TOTAL, SHARE, AVERAGE, MAXIMUM = LEFT, LEFT + 18, LEFT + 260, LEFT + 335, LEFT + 440, LEFT + 550

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Tick(NamedTuple):
    """A mark on the axis of time."""

    at: float
    """Epoch second."""
    label: str
    """Empty for a mark between the labelled ones."""


class Line(NamedTuple):
    """One row of the table under the plot, as it is printed."""

    label: str
    total: str
    share: str
    average: str
    maximum: str


HEADING = Line("", "total", "share", "average/min", "maximum/min")


class Stretch(NamedTuple):
    """Consecutive buckets of one kind."""

    start: int
    until: int


def draw(graph: Graph, span: Span, series: Series, now: int, zone: tzinfo | None) -> bytes:
    """The PNG of a graph over the span that ends where the series ends; the same input gives the same bytes."""
    with style.context(STYLE):
        figure = Figure(figsize=(PICTURE_WIDTH / 100, PICTURE_HEIGHT / 100), dpi=100 * ZOOM)
        FigureCanvasAgg(figure)
        axes = _axes(figure, graph)
        _draw_title(figure, axes, graph, span)
        _draw_time(axes, span, series, zone)
        if seen(graph, series):
            _draw_areas(axes, graph, span, series)
        else:
            axes.set_ylim(0, 1)
            axes.set_yticks([])
            axes.grid(visible=False)
            axes.text(0.5, 0.5, "no data yet", transform=axes.transAxes, ha="center", va="center", size=12, color=MUTED)
        _draw_table(figure, graph, span, series)
        _write(figure, RIGHT, PICTURE_HEIGHT - BELOW_TABLE - TABLE_LINE / 2, f"as of {moment(now, zone)}", "right", MUTED, 8)
        png = BytesIO()
        # The name of matplotlib's version would change the bytes with every update of it.
        figure.savefig(png, format="png", metadata={"Software": None})
        return png.getvalue()


def seen(graph: Graph, series: Series) -> bool:
    """Whether anything of the graph is known anywhere in the series."""
    return any(n is not None for row in graph.counted for n in series.counts[row])


def window(span: Span, series: Series) -> Stretch:
    """The time that the axis covers."""
    return Stretch(series.until - span.seconds, series.until)


def tops(graph: Graph, series: Series) -> tuple[tuple[float, ...], ...]:
    """The upper edge of each category's area in each bucket, bottom to top; NaN where there is no area."""
    edges: list[tuple[float, ...]] = []
    observed = series.observed or (series.step,) * len(series.counts[graph.counted[0]])
    for bucket, seconds in zip(_buckets(graph, series), observed, strict=True):
        known = [n or 0 for n in bucket]
        whole = sum(known)
        if all(n is None for n in bucket) or (graph.style == "share" and not whole):
            edges.append((math.nan,) * len(bucket))
            continue
        unit = 100 / whole if graph.style == "share" else MINUTE / (seconds or series.step)
        edges.append(tuple(sum(known[: i + 1]) * unit for i in range(len(known))))
    return tuple(zip(*edges, strict=True)) if edges else ((),) * len(graph.counted)


def gaps(graph: Graph, span: Span, series: Series) -> tuple[Stretch, ...]:
    """Where within the span nothing is known of any category."""
    start = window(span, series).start
    before = (Stretch(start, series.start),) if start < series.start else ()
    return _merged((*before, *_stretches(graph, span, series, lambda bucket: all(n is None for n in bucket))))


def blanks(graph: Graph, span: Span, series: Series) -> tuple[Stretch, ...]:
    """Where within the span it is known that there was nothing to share."""
    return _merged(_stretches(graph, span, series, lambda bucket: any(n is not None for n in bucket) and not any(bucket)))


def _buckets(graph: Graph, series: Series) -> Iterator[tuple[int | None, ...]]:
    return zip(*(series.counts[row] for row in graph.counted), strict=True)


def _stretches(graph: Graph, span: Span, series: Series, chosen: Callable[[tuple[int | None, ...]], bool]) -> Iterator[Stretch]:
    since = window(span, series).start
    for i, bucket in enumerate(_buckets(graph, series)):
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


def ticks(since: int, until: int, zone: tzinfo | None) -> tuple[Tick, ...]:
    """The marks of an axis of time, on the borders of hours, days, weeks or months of the local calendar."""
    length = until - since
    if length <= 2 * DAY:
        found = _hours(since, until, zone)
    elif length <= 14 * DAY:
        found = (Tick(_second(day, 0, zone), f"{WEEKDAYS[day.weekday()]} {day.day}") for day in _days(since, until, zone))
    elif length <= 92 * DAY:
        found = (Tick(_second(day, 0, zone), "" if day.weekday() else _date(day)) for day in _days(since, until, zone))
    else:
        found = (Tick(_second(day, 0, zone), _month(day)) for day in _days(since, until, zone) if day.day == 1)
    return tuple(tick for tick in found if since <= tick.at <= until)


def _hours(since: int, until: int, zone: tzinfo | None) -> Iterator[Tick]:
    for day in _days(since, until, zone):
        yield Tick(_second(day, 0, zone), _date(day))
        for hour in range(3, 24, 3):
            second = _second(day, hour, zone)
            # An hour that the clocks leave out has no place on the axis.
            if datetime.fromtimestamp(second, zone).hour == hour:
                yield Tick(second, f"{hour:02}:00")


def _days(since: int, until: int, zone: tzinfo | None) -> Iterator[date]:
    day, last = (datetime.fromtimestamp(second, zone).date() for second in (since, until))
    while day <= last:
        # A zone that moves over the date line leaves out a day.
        if datetime.fromtimestamp(_second(day, 0, zone), zone).date() == day:
            yield day
        day += timedelta(days=1)


def _second(day: date, hour: int, zone: tzinfo | None) -> float:
    # Where the clocks leave out midnight this is the first second of the day.
    return datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()


def _date(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]}"


def _month(day: date) -> str:
    return MONTHS[day.month - 1] if day.month > 1 else f"{MONTHS[0]} {day.year}"


def scale(top: float) -> tuple[tuple[float, str], ...]:
    """The values and labels of an axis from 0 that has to hold `top`: two to five round steps."""
    if not top:
        return ((0, "0"), (0.5, "0.5"), (1, "1"))
    power = 10.0 ** math.floor(math.log10(_room(top) / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 5 >= _room(top))
    values = [i * step for i in range(6) if i * step <= _room(top)]
    unit, suffix = next(
        ((unit, suffix) for least, unit, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")) if values[-1] >= least),
        (1.0, ""),
    )
    # The slack keeps 0.1, which no float is exactly, at one decimal.
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    return tuple((value, f"{value / unit:.{decimals}f}{suffix}" if value else "0") for value in values)


def _room(top: float) -> float:
    return top * 1.05


def rates(values: tuple[float | None, ...]) -> tuple[str, ...]:
    """The numbers of one column with equally many decimals; what is not 0 is never printed as 0."""
    known = [value for value in values if value is not None]
    most = max(known, default=0)
    if all(value == int(value) for value in known) or most >= 1000:
        decimals = 0
    else:
        decimals = next((n for least, n in ((100, 1), (0.1, 2), (0.001, 4)) if most >= least), 6)
    return tuple(_rate(value, decimals) for value in values)


def _rate(value: float | None, decimals: int) -> str:
    if value is None:
        return UNKNOWN
    if value and not round(value, decimals):
        return f"<{10.0**-decimals:.{decimals}f}"
    return f"{value:,.{decimals}f}" if value else "0"


def table(graph: Graph, series: Series) -> tuple[Line, ...]:
    """The rows under the plot, one for each category and one for all of them."""
    rows = graph.counted
    totals = tuple(series.total(row) for row in rows)
    averages = tuple(series.per_minute(row) for row in rows)
    shares = tuple(series.share(row, rows) if total is not None else None for row, total in zip(rows, totals, strict=True))
    lines = zip(
        (*(row.label for row in rows), "all"),
        (UNKNOWN if total is None else f"{total:,}" for total in (*totals, _sum(totals))),
        (*(percent(share) for share in shares), ""),
        rates((*averages, _sum(averages))),
        (*rates(tuple(series.peaks[row] for row in rows)), ""),
        strict=True,
    )
    return tuple(Line(*cells) for cells in lines)


def _sum(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _axes(figure: Figure, graph: Graph) -> Axes:
    # A heading, the categories, their sum, and the line with the gaps and the date.
    table_height = (len(graph.counted) + 3) * TABLE_LINE + BELOW_TABLE
    bottom = table_height + BELOW_PLOT
    axes = figure.add_axes(
        (
            LEFT / PICTURE_WIDTH,
            bottom / PICTURE_HEIGHT,
            (RIGHT - LEFT) / PICTURE_WIDTH,
            (PICTURE_HEIGHT - TOP - bottom) / PICTURE_HEIGHT,
        )
    )
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=GRID, linewidth=0.7)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(axis="x", length=4, width=0.8, pad=4)
    axes.tick_params(axis="y", length=0, pad=6)
    return axes


def _draw_title(figure: Figure, axes: Axes, graph: Graph, span: Span) -> None:
    title = _write(figure, LEFT, TITLE_LINE, graph.title, size=11)
    title.set_fontweight("bold")
    if graph.style == "stack":
        axes.annotate(
            "per minute", (1, 0), xycoords=title, xytext=(6, 0), textcoords="offset points", va="bottom", size=11, color=MUTED
        )
    _write(figure, RIGHT, TITLE_LINE, span.title, "right", MUTED, 11)


def _draw_time(axes: Axes, span: Span, series: Series, zone: tzinfo | None) -> None:
    since, until = window(span, series)
    axes.set_xlim(since, until)
    marks = ticks(since, until, zone)
    axes.set_xticks([mark.at for mark in marks if mark.label], [mark.label for mark in marks if mark.label])
    axes.set_xticks([mark.at for mark in marks if not mark.label], minor=True)


def _draw_areas(axes: Axes, graph: Graph, span: Span, series: Series) -> None:
    areas = tops(graph, series)
    if graph.style == "share":
        axes.set_ylim(0, 100)
        axes.set_yticks([0, 25, 50, 75, 100], ["0%", "25%", "50%", "75%", "100%"])
        for blank in blanks(graph, span, series):
            axes.axvspan(*blank, facecolor=BLANK, linewidth=0)
    else:
        first = max(0, (window(span, series).start - series.start) // series.step)
        top = max((edge for edge in areas[-1][first:] if not math.isnan(edge)), default=0)
        marks = scale(top)
        axes.set_ylim(0, _room(top) if top else 1)
        axes.set_yticks([value for value, _ in marks], [label for _, label in marks])
    for gap in gaps(graph, span, series):
        axes.axvspan(*gap, facecolor=GAP, edgecolor=GAP_HATCH, hatch="////", linewidth=0)
    borders = [series.start + i * series.step for i in range(len(areas[0]) + 1)]
    # Each area reaches down to 0 and the lower ones cover it: no seam shines through between two.
    for row, edges in reversed(tuple(zip(graph.counted, areas, strict=True))):
        axes.stairs(edges, borders, fill=True, color=row.light, linewidth=0)
    if graph.style == "share":
        # The grid below is covered nearly everywhere.
        axes.hlines((25, 50, 75), *window(span, series), color="white", alpha=0.45, linewidth=0.7)


def _draw_table(figure: Figure, graph: Graph, span: Span, series: Series) -> None:
    lines = (HEADING, *table(graph, series))
    first = PICTURE_HEIGHT - BELOW_TABLE - (len(lines) + 0.5) * TABLE_LINE
    for i, line in enumerate(lines):
        y = first + i * TABLE_LINE
        color, size = (MUTED, 8) if line is HEADING else (TEXT, 9)
        _write(figure, LABEL, y, line.label, "left", color, size)
        for x, cell in zip((TOTAL, SHARE, AVERAGE, MAXIMUM), line[1:], strict=True):
            _write(figure, x, y, cell, "right", color, size)
    for i, row in enumerate(graph.counted, start=1):
        _draw_box(figure, BOX, first + i * TABLE_LINE, row.light, None)
    y, x = first + len(lines) * TABLE_LINE, BOX
    if seen(graph, series) and gaps(graph, span, series):
        _draw_box(figure, x, y, GAP, "//////")
        _write(figure, x + LABEL - BOX, y, "unknown")
        x += 100
    if graph.style == "share" and blanks(graph, span, series):
        _draw_box(figure, x, y, BLANK, "")
        _write(figure, x + LABEL - BOX, y, "no connections")


def _draw_box(figure: Figure, x: float, y: float, colour: str, hatch: str | None) -> None:
    size = 10
    box = Rectangle(
        (x / PICTURE_WIDTH, 1 - (y + size / 2) / PICTURE_HEIGHT),
        size / PICTURE_WIDTH,
        size / PICTURE_HEIGHT,
        transform=figure.transFigure,
        facecolor=colour,
        edgecolor=colour if hatch is None else GAP_HATCH,
        hatch=hatch,
        linewidth=0 if hatch is None else 0.7,
    )
    figure.add_artist(box)


def _write(figure: Figure, x: float, y: float, text: str, ha: str = "left", color: str = TEXT, size: float = 9) -> Text:
    return figure.text(x / PICTURE_WIDTH, 1 - y / PICTURE_HEIGHT, text, ha=ha, va="center_baseline", color=color, size=size)
