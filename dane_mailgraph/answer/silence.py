"""Whether the log is silent for longer than this server's mail ever is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..times import DAY, HOUR

HISTORY = 28
"""Days whose pauses are looked at."""

_LEAST_DAYS, _LEAST_EVENTS = 7, 10

_LEAST = 2 * HOUR
"""Seconds of silence that every server may have."""

_MISSED = 10
"""Events that the usual rate lets expect where lines come, and nothing is counted."""

_MANY_MISSED = 100


class Silence(NamedTuple):
    """A silence that is too long."""

    since: int
    """Epoch second of the last line or event."""
    longest: int
    """The longest pause before, in seconds."""
    missed: int
    """Events that the usual rate lets expect."""
    has_lines: bool
    """Whether lines come, and none of them counts."""

    @property
    def is_critical(self) -> bool:
        """Whether much mail is missing."""
        return self.missed >= _MANY_MISSED


def is_known(rhythm: Sequence[tuple[int, int]]) -> bool:
    """Return whether these days tell how long the pauses of a server are."""
    return len(rhythm) >= _LEAST_DAYS and sum(count for count, _ in rhythm) >= _LEAST_EVENTS


def silence(
    rhythm: Sequence[tuple[int, int]], newest: int | None, last_event: int | None, now: int
) -> Silence | None:
    """Return the silence that is too long, if any.

    Args:
        rhythm: events and longest pause of each of the last 28 days on which there were any.
        newest: epoch second of the newest line.
        last_event: epoch second of the last connection, delivery or failure.
        now: epoch second.
    """
    if newest is None or not is_known(rhythm):
        return None
    events = sum(count for count, _ in rhythm)
    longest = max(pause for _, pause in rhythm)
    allowed = max(_LEAST, 2 * longest)
    last_event = min(newest, newest if last_event is None else last_event)

    def missed(since: int) -> int:
        return (now - since) * events // (HISTORY * DAY)

    if now - newest > allowed:
        return Silence(newest, longest, missed(newest), has_lines=False)
    if now - last_event > allowed and missed(last_event) >= _MISSED:
        return Silence(last_event, longest, missed(last_event), has_lines=True)
    return None
