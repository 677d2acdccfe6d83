"""What was counted of each relay on one day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from ..categories import (
    AUTHENTICATED_EVENTS,
    CATEGORIES,
    DELIVERIES,
    FAILURES,
    UNAUTHENTICATED_EVENTS,
    Category,
)
from ..counts import DayCounts, SinceGood
from .outcome import Outcome


def _places(categories: Iterable[Category]) -> frozenset[int]:
    return frozenset(map(CATEGORIES.index, categories))


_AUTHENTICATION = _places(AUTHENTICATED_EVENTS), _places(UNAUTHENTICATED_EVENTS)
_HANDOVER = _places(DELIVERIES), _places(FAILURES)


class OutcomesOfDay:
    """The outcomes of one day's lines: how often, first and last."""

    def __init__(self) -> None:
        self._times: Counter[Outcome] = Counter()
        self._last: dict[Outcome, int] = {}
        self._first: dict[Outcome, int] = {}
        self._minutes: list[tuple[int, Sequence[Outcome]]] = []
        self._counters: dict[int, Counter[Outcome]] = {}

    def add(self, minute: int, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes of a minute, named by its first second, later than those before."""
        self._times.update(outcomes)
        of_minute = dict.fromkeys(outcomes, minute)
        self._last.update(of_minute)
        new = of_minute.keys() - self._first.keys()
        self._first.update(dict.fromkeys(new, minute))
        self._minutes.append((minute, outcomes))

    def warnings(self) -> Iterator[tuple[str, int, int]]:
        """Iterate over Postfix's warnings: name, how often, and in which minute last."""
        for outcome, times in self._times.items():
            if outcome.warning:
                yield outcome.warning, times * outcome.times, self._last[outcome]

    def relays(self, day: int) -> Iterator[DayCounts]:
        """Iterate over what was counted of each relay; `day` is a number like 20261124."""
        by_relay: defaultdict[str, list[Outcome]] = defaultdict(list)
        for outcome in self._times:
            if outcome.relay:
                by_relay[outcome.relay].append(outcome)
        for relay, outcomes in by_relay.items():
            counts = [0] * len(CATEGORIES)
            for outcome in outcomes:
                for place in outcome.places:
                    counts[place] += self._times[outcome] * outcome.times
            latest = max(
                (each for each in outcomes if each.protocol),
                key=self._last.__getitem__,
                default=None,
            )
            yield DayCounts(
                day,
                relay,
                tuple(counts),
                min(self._first[each] for each in outcomes),
                max(self._last[each] for each in outcomes),
                latest.protocol if latest else "",
                latest.key_exchange if latest else "",
                self._since_good(outcomes, *_AUTHENTICATION),
                self._since_good(outcomes, *_HANDOVER),
            )

    def _since_good(
        self, outcomes: Iterable[Outcome], good: frozenset[int], bad: frozenset[int]
    ) -> SinceGood:
        """Return what came of a relay after its last good event; both are places."""
        last = self._last
        last_good = max(
            (last[each] for each in outcomes if not good.isdisjoint(each.places)), default=0
        )
        bads = [each for each in outcomes if not bad.isdisjoint(each.places)]
        if not bads:
            return SinceGood(last_good)
        last_bad = max(last[each] for each in bads)
        if not last_good:
            count = sum(self._times[each] * each.times for each in bads)
            return SinceGood(0, count, min(self._first[each] for each in bads), last_bad)
        count = first_bad = 0
        for minute in self._minutes_after(last_good) if last_bad > last_good else ():
            of_minute = self._in_minute(minute)
            if in_minute := sum(of_minute[each] * each.times for each in bads):
                count, first_bad = count + in_minute, self._minutes[minute][0]
        return SinceGood(last_good, count, first_bad, last_bad)

    def _minutes_after(self, at: int) -> Iterator[int]:
        """Iterate over the places of the minutes after a time, the latest first."""
        for place in range(len(self._minutes) - 1, -1, -1):
            if self._minutes[place][0] <= at:
                return
            yield place

    def _in_minute(self, place: int) -> Counter[Outcome]:
        """Return how often each outcome was in a minute."""
        if place not in self._counters:
            self._counters[place] = Counter(self._minutes[place][1])
        return self._counters[place]
