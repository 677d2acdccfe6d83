"""Which relays have lost authentication: a change of each relay, told from chance.

Connections are not independent, hours are. So a count alone finds thousands of false losses on a
busy server; a count and a span of hours together work on every server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from itertools import accumulate, groupby
from typing import NamedTuple

from ..categories import BY_KEY, UNAUTHENTICATED_EVENTS, Authentication, Category
from ..store import OTHER, RelayDay, RelayTable
from ..times import DAY, HOUR, day_number

TOLD_FOR = 30 * DAY
"""Seconds after which a loss is the new normal."""

FORGOTTEN_AFTER = 35 * DAY
"""Seconds without a line after which a relay's loss is dropped."""

_LOOKED_BACK = 150 * DAY
"""Seconds of history that are read."""

_MOST_DAYS = 60
"""Days of history that a relay is judged by: the newest on which it was seen."""

_LEAST_DAYS, _LEAST_EVENTS, _GOOD_SHARE = 2, 8, 0.9
"""What a history must have before its end can be a loss."""

_CHANCE = 1e-4
"""Probability below which the events after a change are no chance."""

_LEAST_BAD = 3
_UNBROKEN = 3 * HOUR
"""Seconds from the first to the last of at least three events since the last good one."""
_BROKEN, _STRAY_SHARE = 12 * HOUR, 0.2
"""The same with some good ones among them, and how many those may be."""

_LEAST_GOOD, _GOOD_AND_QUIET = 3, 24 * HOUR
"""Good events in a row that end a loss; of fewer, the seconds without a bad one after them."""

_HALF_DANE = BY_KEY["deliveries.half_dane"]
_VERIFIED, _TRUSTED = BY_KEY["connections.verified"], BY_KEY["connections.trusted"]
_PLAINTEXT = BY_KEY["deliveries.plaintext"]


class LostAuthentication(NamedTuple):
    """A relay that was nearly always authenticated, and now nearly never is."""

    relay: str
    good_since: int
    """Epoch second of its first line in the history that it is compared with."""
    good_until: int
    """Epoch second of its last authenticated event before the change."""
    days: int
    """Number of days in that history."""
    last: int
    """Epoch second of its last unauthenticated event."""
    counts: Mapping[Category, int]
    """What was counted without authentication since the change, as far as days tell."""
    since: int = 0
    """Epoch second of its first unauthenticated event after the change."""
    good: int = 0
    of: int = 0
    """Events since the change: authenticated ones, and all."""
    good_before: int = 0
    of_before: int = 0
    """Events in the history: authenticated ones, and all."""

    @property
    def is_plaintext(self) -> bool:
        """Whether most of it goes unencrypted now."""
        return 2 * self.counts.get(_PLAINTEXT, 0) > self.of - self.good

    @property
    def is_delivered(self) -> bool:
        """Whether mail got through since."""
        return any(each.family == "deliveries" for each in self.counts)


class _DayOfRelay(NamedTuple):
    """A day on which a relay was seen, and its authenticated and other events."""

    row: RelayDay
    good: int
    bad: int


def is_authenticated(counts: Mapping[Category, int]) -> bool | None:
    """Return whether a relay was authenticated in all its sessions; None where no count shows it.

    Postfix writes Trusted for half DANE, and also where a CA is trusted but no name was checked:
    only the delivery shows which.
    """
    categories = {row for row, count in counts.items() if count}
    if _HALF_DANE in categories:
        categories.discard(_TRUSTED)
    evidence = {row.authentication for row in categories}
    if Authentication.MISSING in evidence:
        return False
    if Authentication.PROVEN in evidence:
        return True
    return False if Authentication.DOUBTFUL in evidence else None


def lost_authentication(
    relays: RelayTable, now: int, zone: tzinfo | None
) -> tuple[LostAuthentication, ...]:
    """Return the relays that have lost authentication in the last 30 days, the latest first."""
    since, history = (day_number(now - each, zone) for each in (FORGOTTEN_AFTER, _LOOKED_BACK))
    return find_losses(relays.suspects(since, history), now)


def find_losses(rows: Iterable[RelayDay], now: int) -> tuple[LostAuthentication, ...]:
    """Do the same for rows in the order of relay and day."""
    losses = []
    for relay, rows_of_relay in groupby(rows, lambda row: row.relay):
        if relay == OTHER or relay.startswith("@"):
            continue
        days = [each for each in map(_day_of, rows_of_relay) if each.good or each.bad]
        if _is_good_again(days, now):
            continue
        found = [loss for loss in (_unbroken(days), *_broken(days)) if loss]
        if found:
            loss = min(found, key=lambda each: each.since)
            if now - loss.since <= TOLD_FOR and now - days[-1].row.last <= FORGOTTEN_AFTER:
                losses.append(loss)
    return tuple(sorted(losses, key=lambda loss: (-loss.since, loss.relay)))


def _day_of(row: RelayDay) -> _DayOfRelay:
    """Count the events of a day; half DANE is Trusted connections, told by their deliveries."""
    half_dane = row.counts.get(_HALF_DANE, 0)
    bad = sum(row.counts.get(each, 0) for each in UNAUTHENTICATED_EVENTS)
    bad -= min(half_dane, row.counts.get(_TRUSTED, 0))
    return _DayOfRelay(row, row.counts.get(_VERIFIED, 0) + half_dane, bad)


def _unbroken(days: Sequence[_DayOfRelay]) -> LostAuthentication | None:
    """Return the loss of a relay with nothing good since its last good event."""
    turning = max(
        (n for n, each in enumerate(days) if each.row.authentication.last_good), default=None
    )
    if turning is None:
        return None
    turn = days[turning].row.authentication
    before = [*days[:turning], days[turning]._replace(bad=max(0, days[turning].bad - turn.bad))]
    after = [each for each in days[turning:] if each.row.authentication.bad]
    bad = sum(each.row.authentication.bad for each in after)
    if bad < _LEAST_BAD:
        return None
    since = after[0].row.authentication.first_bad
    if after[-1].row.authentication.last_bad - since < _UNBROKEN:
        return None
    return _loss(before, [each._replace(good=0) for each in after], since, bad)


def _broken(days: Sequence[_DayOfRelay]) -> Iterator[LostAuthentication]:
    """Iterate over the loss of a relay that has a stray good event since, from its first day on."""
    mostly_bad = [n for n, each in enumerate(days) if each.bad > each.good]
    end = days[mostly_bad[-1]].row.authentication.last_bad if mostly_bad else 0
    # From each day on; adding them up again for each day would take the square of the days.
    good_from = [*accumulate(each.good for each in reversed(days))][::-1]
    bad_from = [*accumulate(each.bad for each in reversed(days))][::-1]
    for first in mostly_bad:
        good, bad, row = good_from[first], bad_from[first], days[first].row
        if end - row.first >= _BROKEN and bad >= _LEAST_BAD and good <= _STRAY_SHARE * (good + bad):
            since = row.authentication.first_bad or row.first
            if loss := _loss(days[:first], days[first:], since, bad):
                yield loss
                return


def _is_good_again(days: Sequence[_DayOfRelay], now: int) -> bool:
    """Return whether all was good since the last bad event, for long enough to be no stray.

    The share of good events alone would end the loss of a rarely used relay only after a fortnight.
    """
    last_bad = max((each.row.authentication.last_bad for each in days if each.bad), default=0)
    good = [each for each in days if each.row.authentication.last_good > last_bad]
    if not good:
        return False
    # How many good events of a day came after its last bad one, the ledger does not say.
    first = max(last_bad, good[0].row.first)
    last = good[-1].row.authentication.last_good
    count = sum(each.good for each in good)
    return (count >= _LEAST_GOOD and last - last_bad >= _UNBROKEN) or now - first >= _GOOD_AND_QUIET


def _loss(
    before: Sequence[_DayOfRelay], after: Sequence[_DayOfRelay], since: int, bad: int
) -> LostAuthentication | None:
    """Return a loss if the history is long and good enough for what came after it."""
    history = [each for each in before[-_MOST_DAYS:] if each.good or each.bad]
    good_before, bad_before = sum(each.good for each in history), sum(each.bad for each in history)
    of_before = good_before + bad_before
    if (
        len(history) < _LEAST_DAYS
        or of_before < _LEAST_EVENTS
        or good_before < _GOOD_SHARE * of_before
        or ((bad_before + 1) / (of_before + 2)) ** bad > _CHANCE
    ):
        return None
    good = sum(each.good for each in after)
    whole_days = [each.row for each in after if not each.row.authentication.last_good]
    counted = add_counts(row.counts for row in whole_days or [each.row for each in after])
    return LostAuthentication(
        relay=after[0].row.relay,
        good_since=history[0].row.first,
        good_until=max(each.row.authentication.last_good for each in history),
        days=len(history),
        good_before=good_before,
        of_before=of_before,
        since=since,
        last=after[-1].row.authentication.last_bad or after[-1].row.last,
        good=good,
        of=good + bad,
        counts={
            each: count
            for each, count in counted.items()
            if each.authentication in (Authentication.MISSING, Authentication.DOUBTFUL)
        },
    )


def add_counts(counts: Iterable[Mapping[Category, int]]) -> dict[Category, int]:
    """Return the sum of counts, category by category."""
    sums: dict[Category, int] = {}
    for each in counts:
        for category, count in each.items():
            sums[category] = sums.get(category, 0) + count
    return sums
