"""When a followed log is read again: seldom, and never later than its intervals need."""

from __future__ import annotations

from ..log import Look

SHORTEST = 60
"""Seconds between two readings of a log that goes on: each may cost a durable commit.

Of an open interval only its relays are shown, and what a kill loses of it is read again.
"""


class Pace:
    """Says at each second whether to read a followed log, by the clock and a look at the log."""

    def __init__(self, step: int, grace: int) -> None:
        """Intervals of `step` seconds are closed `grace` seconds after they end."""
        self._step, self._grace = step, grace
        self._at: int | None = None
        self._seen: Look | None = None

    def is_due(self, now: int, seen: Look) -> bool:
        """Return whether to read a log that looks like this at the epoch second `now`."""
        if self._at is None or self._seen is None or now < self._at:
            return True
        if seen.is_replaced_since(self._seen) or self._closed(now) != self._closed(self._at):
            return True
        return seen != self._seen and now - self._at >= SHORTEST

    def _closed(self, now: int) -> int:
        """Return how many intervals since the epoch are closed."""
        return (now - self._grace) // self._step

    def note_reading(self, now: int, seen: Look) -> None:
        """Note that the log was read at `now`; `seen` is how it looked before."""
        self._at, self._seen = now, seen
