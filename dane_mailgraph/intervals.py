"""What was counted in one step of time, and what was seen of one relay on one day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from .counted import COUNTED
from .meaning import Meaning


class Interval(NamedTuple):
    """The counts of one step, in the order of `COUNTED`."""

    start: int
    """Epoch second, a multiple of the step."""
    counts: tuple[int, ...]


class Day(NamedTuple):
    """What was seen of one relay on one day."""

    day: int
    """Of the local calendar, as the number 20261124."""
    relay: str
    counts: tuple[int, ...]
    """In the order of `COUNTED`."""
    first: int
    last: int
    """Epoch seconds of the minutes in which it was first and last seen."""
    protocol: str
    key_exchange: str
    """Of its last session that day; empty where there was none."""


class Met:
    """What was met on one day."""

    def __init__(self) -> None:
        self.times: Counter[Meaning] = Counter()
        self.last: dict[Meaning, int] = {}
        self._minutes: list[dict[Meaning, int]] = []

    def meet(self, minute: int, met: list[Meaning]) -> None:
        """Put down what was met in a minute that is later than those before."""
        self.times.update(met)
        now = dict.fromkeys(met, minute)
        self.last.update(now)
        self._minutes.append(now)

    def seen(self, day: int) -> Iterator[Day]:
        """The day of each relay, in the order in which they were first met."""
        first: dict[Meaning, int] = {}
        for now in reversed(self._minutes):
            first.update(now)
        relays: defaultdict[str, list[Meaning]] = defaultdict(list)
        for meaning in self.times:
            if meaning.relay:
                relays[meaning.relay].append(meaning)
        for relay, met in relays.items():
            counts = [0] * len(COUNTED)
            for meaning in met:
                for place in meaning.places:
                    counts[place] += self.times[meaning] * meaning.times
            latest = max((each for each in met if each.protocol), key=lambda each: self.last[each], default=None)
            yield Day(
                day,
                relay,
                tuple(counts),
                min(first[each] for each in met),
                max(self.last[each] for each in met),
                latest.protocol if latest else "",
                latest.key_exchange if latest else "",
            )


_FAMILIES = ("connections", "deliveries", "failures")


def events(counts: Sequence[int | None], families: Sequence[str] = _FAMILIES) -> int:
    """How many lines these counts are of: each counts in one of these families only."""
    return sum(n or 0 for n, each in zip(counts, COUNTED, strict=True) if each.family in families)


def connections(counts: Sequence[int | None]) -> int:
    """How many connections, new and reused, these counts are of."""
    return events(counts, ("connections",))


def day_of(at: int, zone: tzinfo | None) -> int:
    """The day of the local calendar, as the number 20261124."""
    local = datetime.fromtimestamp(at, zone)
    return local.year * 10000 + local.month * 100 + local.day
