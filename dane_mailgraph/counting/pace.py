"""When a followed log is read again: seldom, and never later than its intervals need."""

from __future__ import annotations

from ..log import Look
from ..times import MINUTE
from .run import TOLERANCE

SHORTEST = MINUTE
"""Seconds between two readings of a log that goes on: each may cost a durable commit.

Of an open interval only its relays are shown, and what a kill loses of it is read again.
"""

QUIET = 5
"""Intervals that are closed at once where nothing was logged, of five minutes at most."""


class Pace:
    """Says at each look whether to read a followed log, by the clock and how the log looks."""

    def __init__(self, step: int, grace: int) -> None:
        """Intervals of `step` seconds are closed `grace` seconds after they end."""
        self._step, self._grace = step, grace
        self._quiet = min(QUIET * step, 5 * MINUTE)
        self._at: int | None = None
        self._seen: Look | None = None
        self._grew_at: int | None = None
        """When it was last read with something new in it."""

    def is_due(self, now: int, seen: Look) -> bool:
        """Return whether to read a log that looks like this at the epoch second `now`."""
        if self._at is None or self._seen is None or now < self._at:
            return True
        if seen.is_replaced_since(self._seen):
            return True
        waited = now - self._at
        if self._closed(now) != self._closed(self._at):
            return seen != self._seen or waited >= self._quiet or self._leaves_open(self._at)
        return seen != self._seen and waited >= SHORTEST

    def _leaves_open(self, at: int) -> bool:
        """Return whether an interval with new lines was not closed yet by a reading at `at`."""
        newest = None if self._grew_at is None else self._grew_at + TOLERANCE
        return newest is not None and self._closed(at) <= newest // self._step

    def _closed(self, now: int) -> int:
        """Return how many intervals since the epoch are closed."""
        return (now - self._grace) // self._step

    def note_reading(self, now: int, seen: Look) -> None:
        """Note that the log was read at `now`; `seen` is how it looked before."""
        if seen != self._seen:
            self._grew_at = now
        self._at, self._seen = now, seen
