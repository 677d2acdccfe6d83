"""What was counted of each relay on one day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ..categories import (
    AUTHENTICATED_EVENTS,
    CATEGORIES,
    DELIVERIES,
    FAILURES,
    UNAUTHENTICATED_EVENTS,
    Category,
)
from ..counts import DayCounts, EventCount, RefusalCount, SenderCount, SinceGood
from .outcome import Outcome


def _indexes(categories: Iterable[Category]) -> frozenset[int]:
    return frozenset(map(CATEGORIES.index, categories))


_AUTHENTICATION = _indexes(AUTHENTICATED_EVENTS), _indexes(UNAUTHENTICATED_EVENTS)
_HANDOVER = _indexes(DELIVERIES), _indexes(FAILURES)


KeptName = Callable[[int, str], str]
"""Day and relay -> under which name the relay is kept."""


class OutcomesOfDay:
    """The outcomes of one day's lines: how often, first and last."""

    def __init__(self) -> None:
        self._times: Counter[Outcome] = Counter()
        self._last: dict[Outcome, int] = {}
        self._first: dict[Outcome, int] = {}
        self._minutes: list[tuple[int, Sequence[Outcome]]] = []

    def add(self, minute: int, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes of a minute, named by its first second, later than those before."""
        self._times.update(outcomes)
        of_minute = dict.fromkeys(outcomes, minute)
        self._last.update(of_minute)
        # `keys() - keys()` would walk through all that was ever seen, each minute.
        new = {each: minute for each in of_minute if each not in self._first}
        self._first.update(new)
        self._minutes.append((minute, outcomes))

    def warnings(self) -> Iterator[tuple[str, int, int]]:
        """Iterate over Postfix's warnings: name, number, and minute of the last one."""
        for outcome, times in self._times.items():
            if outcome.warning:
                yield outcome.warning, times * outcome.times, self._last[outcome]

    def events(self, day: int) -> Iterator[EventCount]:
        """Iterate over what happened with relays and counts nowhere; `day` is like 20261124."""
        for outcome, times in self._times.items():
            if outcome.event:
                yield EventCount(
                    day,
                    outcome.relay,
                    outcome.event,
                    outcome.detail,
                    times * outcome.times,
                    self._last[outcome],
                )

    def senders(self, day: int) -> Iterator[SenderCount]:
        """Iterate over who came without TLS, or with an old one; `day` is like 20261124."""
        counts: Counter[tuple[str, int]] = Counter()
        last: dict[tuple[str, int], int] = {}
        for outcome, times in self._times.items():
            if outcome.sender and outcome.indexes:
                key = outcome.sender, outcome.indexes[0]
                counts[key] += times * outcome.times
                last[key] = max(last.get(key, 0), self._last[outcome])
        for (domain, index), count in counts.items():
            yield SenderCount(day, domain, CATEGORIES[index], count, last[domain, index])

    def refusals(self) -> Iterator[RefusalCount]:
        """Iterate over who refused our certificate, by hour."""
        for outcome, times in self._times.items():
            if outcome.refusal:
                name, hour = outcome.refusal
                yield RefusalCount(hour, outcome.sender, name, times)

    def relays(self, day: int, kept_name: KeptName | None = None) -> Iterator[DayCounts]:
        """Iterate over what was counted of each relay; `day` is a number like 20261124.

        Relays that are kept as one are counted as one: there may be hundreds of thousands.
        """
        by_relay: defaultdict[str, list[Outcome]] = defaultdict(list)
        for outcome in self._times:
            if relay := outcome.relay:
                by_relay[kept_name(day, relay) if kept_name else relay].append(outcome)
        since_good = (
            self._since_good(by_relay.values(), *indexes)
            for indexes in (_AUTHENTICATION, _HANDOVER)
        )
        for (relay, outcomes), authentication, handover in zip(
            by_relay.items(), *since_good, strict=True
        ):
            counts = [0] * len(CATEGORIES)
            for outcome in outcomes:
                for index in outcome.indexes:
                    counts[index] += self._times[outcome] * outcome.times
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
                authentication,
                handover,
            )

    def _since_good(
        self, relays: Iterable[Sequence[Outcome]], good: frozenset[int], bad: frozenset[int]
    ) -> Iterator[SinceGood]:
        """Yield of each relay its bad events after its last good one; all of them without one.

        `good` and `bad` are positions in `CATEGORIES`.
        """
        last, ends, bads_of_relays = self._last, [], []
        after: dict[Outcome, int] = {}
        for outcomes in relays:
            goods = [last[each] for each in outcomes if not good.isdisjoint(each.indexes)]
            bads = [each for each in outcomes if not bad.isdisjoint(each.indexes)]
            ends.append(max(goods, default=0))
            bads_of_relays.append(bads)
            after.update({each: ends[-1] for each in bads if last[each] > ends[-1] > 0})
        counted = self._counted_after(after)
        for last_good, bads in zip(ends, bads_of_relays, strict=True):
            if last_good:
                turns = {each: counted[each] for each in bads if each in counted}
            else:
                turns = {each: (self._times[each], self._first[each]) for each in bads}
            yield SinceGood(
                last_good,
                sum(count * each.times for each, (count, _) in turns.items()),
                min((first for _, first in turns.values()), default=0),
                max((last[each] for each in bads), default=0),
            )

    def _counted_after(self, after: Mapping[Outcome, int]) -> dict[Outcome, tuple[int, int]]:
        """Return how often each outcome came after its time, and in which minute first."""
        counted: dict[Outcome, tuple[int, int]] = {}
        begin = min(after.values(), default=0)
        for minute, outcomes in reversed(self._minutes if after else ()):
            if minute <= begin:
                break
            for each in outcomes:
                if minute > after.get(each, minute):
                    counted[each] = counted.get(each, (0, 0))[0] + 1, minute
        return counted
