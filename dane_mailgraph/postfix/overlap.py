"""Which lines of a log were counted before, because another log said them."""

from __future__ import annotations

from typing import NamedTuple

from .lines import Fields
from .marks import Counted, Place


class Overlap(NamedTuple):
    """Which lines of a log do not count because of what has been counted before."""

    until: int = 0
    """All before this epoch second is counted, of whatever host."""
    counted: Counted | None = None
    """What is counted of each host, where the log may say it again; else all of it is new."""
    counts_before_from: int = 0
    """Lines before what is counted of their host still count from this epoch second on."""
    counts_behind_from: int = 0
    """Lines behind it count from this one on."""

    def omissions(self, host: bytes, at: int, start: int, lines: list[Fields]) -> list[str] | None:
        """Return each line's omission, empty for a new line; None if all are new.

        `start` is that of the second's interval.
        """
        if start < self.until:
            return ["skipped"] * len(lines)
        if self.counted is None:
            return None
        place = self.counted.place(host, at)
        if place is Place.AMONG:
            return ["skipped"] * len(lines)
        takes = self.counts_before_from if place is Place.BEFORE else self.counts_behind_from
        new = "too_old" if start < takes else ""
        if place is Place.NEWEST:
            return ["skipped" if self.counted.take(host, line) else new for line in lines]
        return [new] * len(lines) if new else None
