"""What others report by day as stacked bars, for inline SVG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..categories import REACH, Category

STEP, WIDTH, HEIGHT = 20, 16, 96
"""Of the view box: from bar to bar, of a bar, of the day with most sessions."""

_LEAST_FAILED = 3
"""Height at which a failure among thousands is still seen."""


class Piece(NamedTuple):
    """The sessions of one category on one day."""

    category: Category
    x: int
    y: float
    """From the top."""
    height: float


class Bar(NamedTuple):
    """A day."""

    day: int
    """Epoch second in which it begins, UTC."""
    pieces: tuple[Piece, ...]
    """Those that are not 0; none without a report."""
    sessions: Mapping[Category, int] | None
    """None is unknown."""


def bars(days: Mapping[int, Mapping[Category, int] | None]) -> tuple[Bar, ...]:
    """Return the bars of some days, which are in order; None is a day without a report."""
    highest = max((sum(each.values()) for each in days.values() if each), default=0)
    return tuple(
        Bar(day, _stack(n * STEP + (STEP - WIDTH) // 2, sessions or {}, highest), sessions)
        for n, (day, sessions) in enumerate(days.items())
    )


def _stack(x: int, sessions: Mapping[Category, int], highest: int) -> tuple[Piece, ...]:
    pieces, y = [], float(HEIGHT)
    for category in REACH:
        if count := sessions.get(category, 0):
            least = _LEAST_FAILED if category.name == "failed" else 0
            height = max(least, round(HEIGHT * count / highest, 1))
            y = round(y - height, 1)
            pieces.append(Piece(category, x, y, height))
    return tuple(pieces)
