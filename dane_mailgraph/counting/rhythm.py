"""How often something is counted, day by day, and how long a quiet stretch usually is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import tzinfo

from ..times import HOUR, day_number


class Rhythm:
    """The events and the longest pause of each day."""

    def __init__(self, last_event: int | None, zone: tzinfo | None) -> None:
        self.last_event = last_event
        """Start of the newest interval in which something was counted."""
        self._zone = zone
        self._events: defaultdict[int, int] = defaultdict(int)
        self._pauses: list[tuple[int, int]] = []

    def add(self, start: int, events: int) -> None:
        """Add the events of an interval; what is not newer than others makes no pause."""
        self._events[day_number(start, self._zone)] += events
        previous = self.last_event
        if previous is None or start > previous:
            if previous is not None and start - previous >= HOUR:
                self._pauses.append((previous, start))
            self.last_event = start

    def days(self, was_read: Callable[[int, int], bool]) -> Iterator[tuple[int, int, int]]:
        """Iterate over days: number, events, longest pause of an hour or more that ended on it.

        A pause whose log was not all read is left out.
        """
        longest: defaultdict[int, int] = defaultdict(int)
        for start, until in self._pauses:
            if was_read(start, until):
                day = day_number(until, self._zone)
                longest[day] = max(longest[day], until - start)
        for day, events in self._events.items():
            yield day, events, longest[day]
