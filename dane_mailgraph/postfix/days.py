"""What was counted of each relay on one day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from ..categories import CATEGORIES
from ..counts import DayCounts
from .outcome import Outcome


class OutcomesOfDay:
    """The outcomes of one day's lines: how often, first and last."""

    def __init__(self) -> None:
        self._times: Counter[Outcome] = Counter()
        self._last: dict[Outcome, int] = {}
        self._minutes: list[dict[Outcome, int]] = []

    def add(self, minute: int, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes of a minute, named by its first second, later than those before."""
        self._times.update(outcomes)
        of_minute = dict.fromkeys(outcomes, minute)
        self._last.update(of_minute)
        self._minutes.append(of_minute)

    def warnings(self) -> Iterator[tuple[str, int, int]]:
        """Iterate over Postfix's warnings: name, how often, and in which minute last."""
        for outcome, times in self._times.items():
            if outcome.warning:
                yield outcome.warning, times * outcome.times, self._last[outcome]

    def relays(self, day: int) -> Iterator[DayCounts]:
        """Iterate over what was counted of each relay; `day` is a number like 20261124."""
        first: dict[Outcome, int] = {}
        for of_minute in reversed(self._minutes):
            first.update(of_minute)
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
                min(first[each] for each in outcomes),
                max(self._last[each] for each in outcomes),
                latest.protocol if latest else "",
                latest.key_exchange if latest else "",
            )
