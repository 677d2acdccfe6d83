"""What was counted in one step of time, and what was seen of one relay on one day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .categories import CATEGORIES


class Interval(NamedTuple):
    """The counts of one step, in the order of `CATEGORIES`."""

    start: int
    """Epoch second, a multiple of the step."""
    counts: tuple[int, ...]


class Day(NamedTuple):
    """What was seen of one relay on one day."""

    day: int
    """Of the local calendar, as the number 20261124."""
    relay: str
    counts: tuple[int, ...]
    """In the order of `CATEGORIES`."""
    first: int
    last: int
    """Epoch seconds of the minutes in which it was first and last seen."""
    protocol: str
    key_exchange: str
    """Of its last session that day; empty where there was none."""


_FAMILIES = ("connections", "deliveries", "failures")


def events(counts: Sequence[int | None], families: Sequence[str] = _FAMILIES) -> int:
    """How many lines these counts are of: each counts in one of these families only."""
    return sum(
        n or 0 for n, each in zip(counts, CATEGORIES, strict=True) if each.family in families
    )


def connections(counts: Sequence[int | None]) -> int:
    """How many connections, new and reused, these counts are of."""
    return events(counts, ("connections",))
