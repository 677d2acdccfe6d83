"""matplotlib: a drawing becomes a PNG.

Only its renderer Agg is used. Figures and axes would cost twice the time, and what they are for,
finding places and ticks, is already done. A text is rendered once and then painted in every colour.
"""

from __future__ import annotations

import io
import math
import warnings
from bisect import bisect_right
from contextlib import redirect_stderr
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy

from .axis import axis_end, scale, ticks
from .drawing import PLOT, WIDTH, ZOOM, Drawing, Line, Range, printable, visible
from .palette import Theme
from .png import MOST_COLOURS, encoded, indexed

# matplotlib complains at each start of a home directory that it cannot write; it cleans up after
# itself the directory that it uses instead.
with redirect_stderr(io.StringIO()):
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.colors import to_rgba
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.transforms import Bbox, IdentityTransform

# CSS pixels, from the left and from the top.
LEFT, RIGHT = 50, WIDTH - 14
TITLE, SUBTITLE, TOP = 23, 42, 56
BOTTOM = TOP + PLOT
TIMES, TABLE, LINE, FOOT = BOTTOM + 18, BOTTOM + 44, 18, 14
LABEL, TOTAL, SHARE, AVERAGE, MAXIMUM = LEFT + 19, LEFT + 270, LEFT + 352, LEFT + 465, RIGHT

LEAST_HEIGHT = 1.25
"""CSS pixels of the smallest area: a single plaintext delivery must be visible."""

_SEAM, _SEAMED = 0.5, 3
"""CSS pixels of the line between two areas, and of the lowest area that has one."""

_GRID_LINE = 0.5
"""CSS pixels."""

_HATCH_DISTANCE = 6
"""CSS pixels between two stripes."""


class Box(NamedTuple):
    """A rectangle in CSS pixels from the upper left corner of the picture."""

    left: float
    top: float
    right: float
    bottom: float


class Anchor(NamedTuple):
    """The point that a text is aligned to, in CSS pixels."""

    x: float
    baseline: float
    align: float = 0
    """0 puts the text to the right of the point, 1 to the left of it, 0.5 centres it."""


def height(drawing: Drawing) -> int:
    """Return the height of the picture in CSS pixels."""
    return TABLE + (len(drawing.rows) + 1) * LINE + FOOT


def draw(drawing: Drawing) -> bytes:
    """Return the PNG; the same drawing gives the same bytes."""
    canvas = Canvas(WIDTH, height(drawing), drawing.theme)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters of a host name that the font lacks
        _draw_texts(canvas, drawing)
        _draw_plot(canvas, drawing)
        _draw_legend(canvas, drawing)
    return canvas.png()


class Font(NamedTuple):
    """Weight, and CSS pixels."""

    weight: str
    size: int


_PLAIN, _LARGE, _BOLD = Font("normal", 12), Font("normal", 13), Font("bold", 15)

_POINTS_PER_PIXEL = 0.72
"""matplotlib sets type in points, at the 100 dpi that the renderer is made for."""

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

_MARGIN = 2
"""Pixels beside a text for strokes that reach beyond its width."""


class Canvas:
    """Rectangles, areas and text in CSS pixels from the upper left corner."""

    def __init__(self, width: int, height: int, theme: Theme) -> None:
        self._height = height
        self._renderer = RendererAgg(width * ZOOM, height * ZOOM, 100 * ZOOM)
        buffer = numpy.asarray(self._renderer.buffer_rgba())
        self._pixels = buffer[..., :3]
        self._whole = buffer.view("<u4")[..., 0]
        """Red is the lowest byte of a pixel, alpha the highest."""
        self._identity = IdentityTransform()
        self.rectangle(Box(0, 0, width, height), theme.background)

    def rectangle(self, box: Box, colour: str, alpha: float = 1) -> None:
        """Fill a rectangle, on whole pixels of the file."""
        left, top, right, bottom = (round(each * ZOOM) for each in box)
        if alpha == 1:  # in a fiftieth of the time: a picture of bars has a thousand
            self._whole[max(0, top) : bottom, max(0, left) : right] = _pixel_of(colour)
            return
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.area([(x / ZOOM, y / ZOOM) for x, y in corners], colour, alpha)

    def area(self, corners: list[tuple[float, float]], colour: str, alpha: float = 1) -> None:
        """Fill a polygon."""
        context = self._renderer.new_gc()
        context.set_linewidth(0)
        path = Path([(x * ZOOM, (self._height - y) * ZOOM) for x, y in corners])
        self._renderer.draw_path(context, path, self._identity, to_rgba(colour, alpha))

    def hatch(self, box: Box, background: str, stripes: str, *, falling: bool = False) -> None:
        """Fill a rectangle with stripes that continue from one rectangle to the next.

        They rise to the right; falling ones are half as many.
        """
        self.rectangle(box, background)
        context = self._renderer.new_gc()
        context.set_foreground(stripes)
        context.set_linewidth(0.5)
        left, right = box.left * ZOOM, box.right * ZOOM
        low, high = (self._height - box.bottom) * ZOOM, (self._height - box.top) * ZOOM
        context.set_clip_rectangle(Bbox([[left, low], [right, high]]))
        distance, rise = _HATCH_DISTANCE * ZOOM * (2 if falling else 1), high - low
        first = math.floor((left - rise) / distance)
        low, high = (high, low) if falling else (low, high)
        for x in range(first * distance, math.ceil(right), distance):
            self._renderer.draw_path(context, Path([(x, low), (x + rise, high)]), self._identity)

    def write(
        self, at: Anchor, text: str, colour: str, font: Font = _PLAIN, *, most: float = WIDTH
    ) -> float:
        """Write a text, shortened to a width of `most`, and return its width."""
        text = _shortened(text, font, most)
        if not text:
            return 0
        word = _rendered(text, font)
        left = max(0, round((at.x - word.width * at.align) * ZOOM) - word.bearing)
        top = round(at.baseline * ZOOM) - word.ascent
        below = self._pixels[top : top + len(word.ink), left : left + word.ink.shape[1]]
        ink = word.ink[: below.shape[0], : below.shape[1]]
        below[...] = below + (_bytes_of(colour) - below) * ink + 0.5
        return word.width

    def width(self, text: str, font: Font = _PLAIN) -> float:
        """Return the width of a text."""
        return _rendered(text, font).width if text else 0

    def png(self) -> bytes:
        """Return the image as a file."""
        height, width, _ = self._pixels.shape
        pixels = (self._whole & 0xFFFFFF).ravel()
        starts = numpy.flatnonzero(numpy.append(True, pixels[1:] != pixels[:-1]))
        runs = pixels[starts]
        colours = numpy.unique(runs)
        if len(colours) > MOST_COLOURS:
            rows = numpy.zeros((height, 1 + 3 * width), numpy.uint8)
            rows[:, 1:].reshape(height, width, 3)[...] = self._pixels
            return encoded(width, height, rows.tobytes())
        lengths = numpy.diff(numpy.append(starts, pixels.size))
        rows = numpy.zeros((height, 1 + width), numpy.uint8)
        # Ten times as fast as the inverse of `unique`, which sorts the places of all runs.
        numbers = numpy.searchsorted(colours, runs).astype(numpy.uint8)
        rows[:, 1:] = numpy.repeat(numbers, lengths).reshape(height, width)
        palette = colours.astype("<u4").view(numpy.uint8).reshape(-1, 4)[:, :3]
        return indexed(width, height, palette.tobytes(), rows.tobytes())


class Word(NamedTuple):
    """A rendered text."""

    width: float
    """CSS pixels."""
    bearing: int
    """Pixels from its left edge to where the text begins."""
    ascent: int
    """Pixels from its upper edge to its baseline."""
    ink: Any
    """The part of each pixel that it covers, from 0 to 1; an array of rows."""


_SHADES = 15
"""Steps from no ink to full ink: few enough for all colours of a picture to fit a palette."""


def _shortened(text: str, font: Font, most: float) -> str:
    """Return a text, or its longest beginning that is no wider than `most` with an ellipsis."""
    if not text or _rendered(text, font).width <= most:
        return text
    characters = bisect_right(
        range(1, len(text)),
        most,
        key=lambda number: _rendered(text[:number].rstrip() + _ELLIPSIS, font).width,
    )
    return text[:characters].rstrip() + _ELLIPSIS if characters else ""


@lru_cache(maxsize=2000)
def _rendered(text: str, font: Font) -> Word:
    properties = _properties(font)
    across, up = len(text) * font.size * ZOOM + 2 * _MARGIN, 2 * font.size * ZOOM
    renderer = RendererAgg(across, up, 100 * ZOOM)
    width: float = renderer.get_text_width_height_descent(text, properties, ismath=False)[0]
    ascent = 3 * font.size * ZOOM // 2
    renderer.draw_text(renderer.new_gc(), _MARGIN, ascent, text, properties, 0)
    alpha = numpy.asarray(renderer.buffer_rgba())[:, : math.ceil(width) + 2 * _MARGIN, 3:]
    ink = numpy.rint(alpha / numpy.float32(255) * _SHADES) / numpy.float32(_SHADES)
    rows, columns = (numpy.flatnonzero(ink.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    top, left = (int(each[0]) if each.size else 0 for each in (rows, columns))
    bottom, right = (int(each[-1]) + 1 if each.size else 0 for each in (rows, columns))
    return Word(width / ZOOM, _MARGIN - left, ascent - top, ink[top:bottom, left:right])


@lru_cache
def _properties(font: Font) -> FontProperties:
    return FontProperties(
        family=["DejaVu Sans"], size=font.size * _POINTS_PER_PIXEL, weight=font.weight
    )


@lru_cache(maxsize=200)
def _pixel_of(colour: str) -> int:
    red, green, blue = map(int, _bytes_of(colour))
    return 255 << 24 | blue << 16 | green << 8 | red


@lru_cache(maxsize=200)
def _bytes_of(colour: str) -> Any:
    """Return red, green and blue, from 0 to 255."""
    return numpy.rint(numpy.array(to_rgba(colour)[:3], numpy.float32) * 255)


# ---- the parts of a picture -----------------------------------------------------------------


def _draw_texts(canvas: Canvas, drawing: Drawing) -> None:
    theme = drawing.theme
    width = canvas.write(Anchor(LEFT, TITLE), drawing.title, theme.text, _BOLD)
    host, room = printable(drawing.host), RIGHT - LEFT - width - 16
    canvas.write(Anchor(RIGHT, TITLE, align=1), host, theme.muted, most=room)
    canvas.write(Anchor(LEFT, SUBTITLE), drawing.subtitle, theme.muted)
    canvas.write(Anchor(RIGHT, SUBTITLE, align=1), drawing.end, theme.muted)


def _draw_plot(canvas: Canvas, drawing: Drawing) -> None:
    if not drawing.note:
        _draw_counts(canvas, drawing)
    else:
        middle = Anchor((LEFT + RIGHT) / 2, BOTTOM - PLOT / 2, align=0.5)
        canvas.write(middle, drawing.note, drawing.theme.muted, _LARGE)
    _draw_time_axis(canvas, drawing)


def _draw_counts(canvas: Canvas, drawing: Drawing) -> None:
    theme, areas = drawing.theme, drawing.tops()
    is_share = drawing.style == "share"
    for part in drawing.no_traffic() if is_share else ():
        canvas.hatch(_box(part, drawing.window), theme.no_traffic, theme.hatch, falling=True)
    top = _draw_scale(canvas, drawing, areas)
    _draw_areas(canvas, drawing, areas, top)
    if is_share:  # areas hide the lines of the scale nearly everywhere
        for part_of_all in (0.25, 0.5, 0.75):
            y = BOTTOM - PLOT * part_of_all
            canvas.rectangle(Box(LEFT, y, RIGHT, y + _GRID_LINE), theme.background, 0.55)
    for gap in drawing.gaps():
        canvas.hatch(_box(gap, drawing.window), theme.gap, theme.hatch)
        _name_band(canvas, drawing, gap, drawing.language.say("unknown"), theme.gap)
    for part in drawing.no_traffic() if is_share else ():
        text = drawing.language.say("too little traffic")
        _name_band(canvas, drawing, part, text, theme.no_traffic)


def _name_band(canvas: Canvas, drawing: Drawing, part: Range, text: str, ground: str) -> None:
    """Write into a band of the plot what it is, where there is room: it is no outage."""
    box, width = _box(part, drawing.window), canvas.width(text)
    middle, y = (box.left + box.right) / 2, (TOP + BOTTOM) / 2
    if box.right - box.left > width + 12:
        canvas.rectangle(Box(middle - width / 2 - 4, y - 14, middle + width / 2 + 4, y + 5), ground)
        canvas.write(Anchor(middle, y, align=0.5), text, drawing.theme.muted)


def _draw_time_axis(canvas: Canvas, drawing: Drawing) -> None:
    theme, window = drawing.theme, drawing.window
    canvas.rectangle(Box(LEFT, BOTTOM, RIGHT, BOTTOM + 1), theme.line)
    for mark in ticks(*window, drawing.zone, drawing.language):
        x, length = _x(mark.at, window), 5 if mark.label else 3
        canvas.rectangle(Box(x - 0.5, BOTTOM, x + 0.5, BOTTOM + length), theme.line)
        # The last label is moved to the left as far as it would leave the picture.
        outside = max(0, canvas.width(mark.label) / 2 - (WIDTH - 2 - x))
        canvas.write(Anchor(x - outside, TIMES, align=0.5), mark.label, theme.text)


def _draw_scale(canvas: Canvas, drawing: Drawing, areas: tuple[tuple[float, ...], ...]) -> float:
    """Draw the lines and labels of the count axis; return the value at its upper end."""
    language, theme = drawing.language, drawing.theme
    if drawing.style == "share":
        marks = tuple(
            (part, language.say("{number}%", number=int(part)))
            for part in (0.0, 25.0, 50.0, 75.0, 100.0)
        )
        top = 100.0
    else:
        first = max(0, (drawing.window.start - drawing.series.start) // drawing.series.step)
        most = max((edge for edge in areas[-1][first:] if not math.isnan(edge)), default=0)
        marks = scale(most, language, whole=True)
        top = axis_end(most or 1)
    for value, label in marks:
        y = BOTTOM - PLOT * value / top
        canvas.rectangle(Box(LEFT, y, RIGHT, y + _GRID_LINE), theme.grid)
        canvas.write(Anchor(LEFT - 7, y + 4.5, align=1), label, theme.text)
    return top


def _draw_areas(
    canvas: Canvas, drawing: Drawing, areas: tuple[tuple[float, ...], ...], top: float
) -> None:
    """Draw every area down to the axis, topmost first: the lower ones cover it without a seam."""
    series, window = drawing.series, drawing.window
    edges = [visible(bucket, LEAST_HEIGHT * top / PLOT) for bucket in zip(*areas, strict=True)]
    starts = [series.start + n * series.step for n in range(len(edges))]
    places = [
        (_x(max(window.start, start), window), _x(start + series.step, window)) for start in starts
    ]
    draw_category = _draw_bars if drawing.style == "bars" else _draw_area
    for number, row in reversed(list(enumerate(drawing.rows))):
        steps, below_seam = [], []
        for (left, right), bucket in zip(places, edges, strict=True):
            if left < right:
                y = BOTTOM - PLOT * bucket[number] / top
                seam = _SEAM if _has_seam(bucket, number, PLOT / top) else 0
                steps.append((left, right, y))
                below_seam.append((left, right, y + seam))
        if steps != below_seam:
            draw_category(canvas, steps, drawing.theme.background)
        draw_category(canvas, below_seam, drawing.theme.colour(row))


def _has_seam(bucket: tuple[float, ...], number: int, pixels: float) -> bool:
    """Return whether an area is high enough for a line between it and one above it."""
    height = bucket[number] - (bucket[number - 1] if number else 0)
    return height * pixels > _SEAMED and bucket[-1] > bucket[number]


def _draw_bars(canvas: Canvas, steps: list[tuple[float, float, float]], colour: str) -> None:
    """Draw a bar for each (left, right, top), with a gap beside it where there is room."""
    for left, right, y in steps:
        if y < BOTTOM:
            gap = 0.5 if right - left > 1.5 else 0
            canvas.rectangle(Box(left, y, right - gap, BOTTOM), colour)


def _draw_area(canvas: Canvas, steps: list[tuple[float, float, float]], colour: str) -> None:
    """Draw the area below each run of (left, right, top) whose tops are known."""
    for is_unknown, run in groupby(steps, lambda step: math.isnan(step[2])):
        if not is_unknown:
            edge = [(_snapped(x), _snapped(y)) for left, right, y in run for x in (left, right)]
            canvas.area([(edge[0][0], BOTTOM), *edge, (edge[-1][0], BOTTOM)], colour)


def _snapped(place: float) -> float:
    """Move a place to a whole pixel of the file: edges between pixels are more colours."""
    return round(place * ZOOM) / ZOOM


def _draw_legend(canvas: Canvas, drawing: Drawing) -> None:
    theme = drawing.theme
    _draw_line(canvas, TABLE, drawing.heading(), theme.muted)
    y = TABLE
    for row, line in zip((*drawing.rows, None), drawing.legend(), strict=True):
        y += LINE
        if row:
            canvas.rectangle(_swatch(LEFT, y), theme.colour(row))
        _draw_line(canvas, y, line, theme.text)
    _draw_background_legend(canvas, drawing)


def _draw_background_legend(canvas: Canvas, drawing: Drawing) -> None:
    """Name the backgrounds of the plot: unknown, and no traffic."""
    theme, say, x = drawing.theme, drawing.language.say, float(LEFT)
    if drawing.note:
        return
    if drawing.gaps():
        canvas.hatch(_swatch(x, TABLE), theme.gap, theme.hatch)
        x = LABEL + canvas.write(Anchor(LABEL, TABLE), say("unknown"), theme.muted) + 16
    if drawing.style == "share" and drawing.no_traffic():
        canvas.hatch(_swatch(x, TABLE), theme.no_traffic, theme.hatch, falling=True)
        canvas.write(Anchor(x + 16, TABLE), say("too little traffic"), theme.muted)


def _draw_line(canvas: Canvas, y: float, line: Line, colour: str) -> None:
    canvas.write(Anchor(LABEL, y), line.label, colour, most=TOTAL - LABEL - 80)
    for x, cell in zip((TOTAL, SHARE, AVERAGE, MAXIMUM), line[1:], strict=True):
        canvas.write(Anchor(x, y, align=1), cell, colour)


def _swatch(x: float, baseline: float) -> Box:
    """Return the square in front of a label."""
    return Box(x, baseline - 9, x + 10, baseline + 1)


def _box(part: Range, window: Range) -> Box:
    """Return the place of a range of time in the plot, over its whole height."""
    return Box(_x(part.start, window), TOP, _x(part.until, window), BOTTOM)


def _x(at: float, window: Range) -> float:
    return LEFT + (RIGHT - LEFT) * (at - window.start) / (window.until - window.start)
