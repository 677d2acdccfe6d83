"""What was met on one day, relay by relay."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from ..categories import CATEGORIES
from ..counts import Day
from .classify import Meaning


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
            counts = [0] * len(CATEGORIES)
            for meaning in met:
                for place in meaning.places:
                    counts[place] += self.times[meaning] * meaning.times
            latest = max(
                (each for each in met if each.protocol),
                key=lambda each: self.last[each],
                default=None,
            )
            yield Day(
                day,
                relay,
                tuple(counts),
                min(first[each] for each in met),
                max(self.last[each] for each in met),
                latest.protocol if latest else "",
                latest.key_exchange if latest else "",
            )
