"""matplotlib: a drawing becomes a PNG.

Only its renderer Agg is used. Figures and axes would cost twice the time, and what they are for, finding places and
ticks, is known before. Text is rendered once and then painted in every colour it is needed in.
"""

from __future__ import annotations

import io
import math
import warnings
from contextlib import redirect_stderr
from functools import lru_cache
from typing import Any, NamedTuple

import numpy

from .axis import room, scale, ticks
from .drawing import PLOT, WIDTH, ZOOM, Drawing, Line, Stretch, visible
from .palette import Theme
from .png import encoded

# At each start it complains of a home that cannot be written; the folder that it takes instead it removes itself.
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

LEAST = 1.25
"""CSS pixels: so high at least is what was counted at all. A single plaintext delivery must be seen."""


def height(drawing: Drawing) -> int:
    """CSS pixels."""
    return TABLE + (len(drawing.graph.counted) + 1) * LINE + FOOT


def draw(drawing: Drawing) -> bytes:
    """The PNG; the same drawing gives the same bytes."""
    canvas = Canvas(WIDTH, height(drawing), drawing.theme)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of signs in a host's name that the font lacks
        _draw_words(canvas, drawing)
        _draw_plot(canvas, drawing)
        _draw_legend(canvas, drawing)
    return canvas.png()


_PLAIN, _LARGE, _BOLD = ("normal", 12), ("normal", 13), ("bold", 15)
"""Weight, and CSS pixels."""

_CUT = "\N{HORIZONTAL ELLIPSIS}"

_MARGIN = 2
"""Pixels beside a text for strokes that reach over its width."""

Font = tuple[str, int]


class Canvas:
    """Rectangles, areas and text in CSS pixels from the upper left corner."""

    def __init__(self, width: int, height: int, theme: Theme) -> None:
        self._height = height
        self._renderer = RendererAgg(width * ZOOM, height * ZOOM, 100 * ZOOM)
        self._pixels = numpy.asarray(self._renderer.buffer_rgba())[..., :3]
        self._straight = IdentityTransform()
        self.rectangle(0, 0, width, height, theme.ground)

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, colour: str, alpha: float = 1
    ) -> None:
        """A filled rectangle on whole pixels of the file."""
        left, top, right, bottom = (
            round(each * ZOOM) / ZOOM for each in (left, top, right, bottom)
        )
        self.area([(left, top), (right, top), (right, bottom), (left, bottom)], colour, alpha)

    def area(self, corners: list[tuple[float, float]], colour: str, alpha: float = 1) -> None:
        """A filled polygon."""
        context = self._renderer.new_gc()
        context.set_linewidth(0)
        path = Path([(x * ZOOM, (self._height - y) * ZOOM) for x, y in corners])
        self._renderer.draw_path(context, path, self._straight, to_rgba(colour, alpha))

    def hatch(
        self, left: float, top: float, right: float, bottom: float, ground: str, stripes: str
    ) -> None:
        """A rectangle with stripes, which go on from one to the next."""
        self.rectangle(left, top, right, bottom, ground)
        context = self._renderer.new_gc()
        context.set_foreground(stripes)
        context.set_linewidth(0.5)
        low, high = (self._height - bottom) * ZOOM, (self._height - top) * ZOOM
        context.set_clip_rectangle(Bbox([[left * ZOOM, low], [right * ZOOM, high]]))
        apart, rise = 6 * ZOOM, high - low
        first = math.floor((left * ZOOM - rise) / apart)
        for x in range(first * apart, math.ceil(right * ZOOM), apart):
            self._renderer.draw_path(context, Path([(x, low), (x + rise, high)]), self._straight)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        colour: str,
        font: Font = _PLAIN,
        *,
        align: float = 0,
        most: float = WIDTH,
    ) -> float:
        """Text with its baseline at `y`, `align`ed at `x` from 0 (left) to 1 (right), cut at `most`; its width."""
        while text and _rendered(text, font).width > most:
            text = text.rstrip(_CUT)[:-1].rstrip() + _CUT if text.rstrip(_CUT)[:-1] else ""
        if not text:
            return 0
        word = _rendered(text, font)
        left = max(0, round((x - word.width * align) * ZOOM) - _MARGIN)
        top = round(y * ZOOM) - word.ascent
        below = self._pixels[top : top + len(word.ink), left : left + word.ink.shape[1]]
        ink = word.ink[: below.shape[0], : below.shape[1]]
        paint = numpy.array(to_rgba(colour)[:3]) * 255
        below[...] = below + (paint - below) * ink + 0.5
        return word.width

    def width(self, text: str, font: Font = _PLAIN) -> float:
        """Of a text."""
        return _rendered(text, font).width if text else 0

    def png(self) -> bytes:
        """The image as a file."""
        height, width, _ = self._pixels.shape
        rows = numpy.zeros((height, 1 + 3 * width), numpy.uint8)
        rows[:, 1:].reshape(height, width, 3)[...] = self._pixels
        return encoded(width, height, rows.tobytes())


class Word(NamedTuple):
    """A rendered text."""

    width: float
    """CSS pixels."""
    ascent: int
    """Pixels from its upper edge to its baseline."""
    ink: Any
    """How much of each pixel it covers, from 0 to 1."""


@lru_cache(maxsize=2000)
def _rendered(text: str, font: Font) -> Word:
    weight, size = font
    properties = FontProperties(family=["DejaVu Sans"], size=size * 0.72, weight=weight)
    across, up = len(text) * size * ZOOM + 2 * _MARGIN, 2 * size * ZOOM
    renderer = RendererAgg(across, up, 100 * ZOOM)
    width: float = renderer.get_text_width_height_descent(text, properties, ismath=False)[0]
    ascent = 3 * size * ZOOM // 2
    renderer.draw_text(renderer.new_gc(), _MARGIN, ascent, text, properties, 0)
    ink = numpy.asarray(renderer.buffer_rgba())[:, : math.ceil(width) + 2 * _MARGIN, 3:] / 255
    return Word(width / ZOOM, ascent, ink)


def _draw_words(canvas: Canvas, drawing: Drawing) -> None:
    theme = drawing.theme
    taken = canvas.write(LEFT, TITLE, drawing.title, theme.text, _BOLD)
    canvas.write(
        RIGHT, TITLE, _one_line(drawing.host), theme.muted, align=1, most=RIGHT - LEFT - taken - 16
    )
    canvas.write(LEFT, SUBTITLE, drawing.subtitle, theme.muted)
    canvas.write(RIGHT, SUBTITLE, drawing.end, theme.muted, align=1)


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _draw_plot(canvas: Canvas, drawing: Drawing) -> None:
    theme, window = drawing.theme, drawing.window
    if drawing.seen:
        areas = drawing.tops()
        top = _draw_scale(canvas, drawing, areas)
        _draw_areas(canvas, drawing, areas, top)
        if drawing.graph.style == "share":  # the lines below are covered nearly everywhere
            for part in (0.25, 0.5, 0.75):
                y = BOTTOM - PLOT * part
                canvas.rectangle(LEFT, y, RIGHT, y + 0.5, theme.ground, 0.55)
        for gap in drawing.gaps():
            canvas.hatch(
                _x(gap.start, window), TOP, _x(gap.until, window), BOTTOM, theme.gap, theme.hatch
            )
    else:
        text = drawing.language.say("no data yet")
        canvas.write((LEFT + RIGHT) / 2, BOTTOM - PLOT / 2, text, theme.muted, _LARGE, align=0.5)
    canvas.rectangle(LEFT, BOTTOM, RIGHT, BOTTOM + 1, theme.line)
    for mark in ticks(*window, drawing.zone, drawing.language):
        x = _x(mark.at, window)
        canvas.rectangle(x - 0.5, BOTTOM, x + 0.5, BOTTOM + (5 if mark.label else 3), theme.line)
        # At the right end a label ends where the axis does.
        beside = canvas.width(mark.label) / 2 - (WIDTH - 2 - x)
        canvas.write(x - max(0, beside), TIMES, mark.label, theme.text, align=0.5)


def _draw_scale(canvas: Canvas, drawing: Drawing, areas: tuple[tuple[float, ...], ...]) -> float:
    """The lines and labels of the axis of counts; the value at its upper end."""
    language, theme = drawing.language, drawing.theme
    if drawing.graph.style == "share":
        marks = tuple(
            (part, language.say("{number}%", number=int(part)))
            for part in (0.0, 25.0, 50.0, 75.0, 100.0)
        )
        top = 100.0
    else:
        first = max(0, (drawing.window.start - drawing.series.start) // drawing.series.step)
        most = max((edge for edge in areas[-1][first:] if not math.isnan(edge)), default=0)
        marks = scale(most, language, whole=drawing.graph.style == "bars")
        top = room(most or 1)
    for blank in drawing.blanks() if drawing.graph.style == "share" else ():
        canvas.rectangle(
            _x(blank.start, drawing.window),
            TOP,
            _x(blank.until, drawing.window),
            BOTTOM,
            theme.blank,
        )
    for value, label in marks:
        y = BOTTOM - PLOT * value / top
        canvas.rectangle(LEFT, y, RIGHT, y + 0.5, theme.grid)
        canvas.write(LEFT - 7, y + 4.5, label, theme.text, align=1)
    return top


def _draw_areas(
    canvas: Canvas, drawing: Drawing, areas: tuple[tuple[float, ...], ...], top: float
) -> None:
    """Each area reaches down to the ground and the lower ones cover it: no seam shines through between two."""
    series, window = drawing.series, drawing.window
    buckets = [visible(bucket, LEAST * top / PLOT) for bucket in zip(*areas, strict=True)]
    places = [
        (
            _x(max(window.start, series.start + i * series.step), window),
            _x(series.start + (i + 1) * series.step, window),
        )
        for i in range(len(buckets))
    ]
    for number in reversed(range(len(drawing.graph.counted))):
        colour = drawing.theme.colour(drawing.graph.counted[number])
        run: list[tuple[float, float]] = []
        for (left, right), bucket in zip(places, buckets, strict=True):
            y = BOTTOM - PLOT * bucket[number] / top
            if drawing.graph.style == "bars":
                if y < BOTTOM and left < right:
                    apart = 0.5 if right - left > 1.5 else 0
                    canvas.rectangle(left, y, right - apart, BOTTOM, colour)
                continue
            if math.isnan(y) or left >= right:
                _close(canvas, run, colour)
                continue
            run += [(left, y), (right, y)]
        _close(canvas, run, colour)


def _close(canvas: Canvas, run: list[tuple[float, float]], colour: str) -> None:
    if run:
        canvas.area([(run[0][0], BOTTOM), *run, (run[-1][0], BOTTOM)], colour)
        run.clear()


def _draw_legend(canvas: Canvas, drawing: Drawing) -> None:
    theme = drawing.theme
    _draw_line(canvas, TABLE, drawing.heading(), theme.muted)
    y = TABLE
    for row, line in zip((*drawing.graph.counted, None), drawing.legend(), strict=True):
        y += LINE
        if row:
            canvas.rectangle(LEFT, y - 9, LEFT + 10, y + 1, theme.colour(row))
        _draw_line(canvas, y, line, theme.text)
    _draw_signs(canvas, drawing)


def _draw_signs(canvas: Canvas, drawing: Drawing) -> None:
    """What the parts of the plot mean in which nothing is counted."""
    theme, x = drawing.theme, float(LEFT)
    if drawing.seen and drawing.gaps():
        canvas.hatch(x, TABLE - 9, x + 10, TABLE + 1, theme.gap, theme.hatch)
        x = LABEL + canvas.write(LABEL, TABLE, drawing.language.say("unknown"), theme.muted) + 16
    if drawing.graph.style == "share" and drawing.blanks():
        canvas.rectangle(x, TABLE - 9, x + 10, TABLE + 1, theme.blank)
        canvas.write(x + 16, TABLE, drawing.language.say("nothing to share"), theme.muted)


def _draw_line(canvas: Canvas, y: float, line: Line, colour: str) -> None:
    canvas.write(LABEL, y, line.label, colour, most=TOTAL - LABEL - 80)
    for x, cell in zip((TOTAL, SHARE, AVERAGE, MAXIMUM), line[1:], strict=True):
        canvas.write(x, y, cell, colour, align=1)


def _x(at: float, window: Stretch) -> float:
    return LEFT + (RIGHT - LEFT) * (at - window.start) / (window.until - window.start)
