"""A trend as a small line, for inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

WIDTH, HEIGHT = 160, 32
"""Of the view box."""

_MARGIN = 3


class Sparkline(NamedTuple):
    """A line through values in order of time, with gaps where they are unknown."""

    lines: tuple[str, ...]
    """Points as SVG has them, `x,y x,y`."""
    dots: tuple[tuple[float, float], ...]
    """Values between two unknown ones."""
    x: float
    """The newest known value."""
    y: float


def sparkline(values: Sequence[float | None], least: float) -> Sparkline | None:
    """Return the line; None where fewer than two values are known.

    Its height spans at least `least`, so that small moves look small.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    middle, span = (low + high) / 2, max(high - low, least)
    step = (WIDTH - 2 * _MARGIN) / (len(values) - 1)
    points = [
        None
        if value is None
        else (
            round(_MARGIN + n * step, 1),
            round(HEIGHT / 2 - (HEIGHT - 2 * _MARGIN) * (value - middle) / span, 1),
        )
        for n, value in enumerate(values)
    ]
    runs = [
        [point for point in run if point is not None]
        for is_known, run in groupby(points, lambda point: point is not None)
        if is_known
    ]
    lines = tuple(" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1)
    return Sparkline(lines, tuple(run[0] for run in runs if len(run) == 1), *runs[-1][-1])
