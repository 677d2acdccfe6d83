"""Relays to which mail fails now: several times since the last delivery, for an hour or more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from itertools import groupby
from typing import NamedTuple

from ..categories import FAILURES, Category
from ..store import OTHER, RelayDay, RelayTable
from ..times import DAY, HOUR, MINUTE, day_number

_LEAST = 3
"""Failures since the last delivery."""

_LASTED = HOUR
"""Seconds since the first of them."""

RETRIED_WITHIN = 2 * HOUR
"""Seconds since the last of them: Postfix tries again after 70 minutes at most."""

_TRIED_AGAIN = 4 * MINUTE
"""Seconds from the first to the last: one message to three recipients is one attempt."""

_LOOKED_BACK = 30 * DAY


class Failing(NamedTuple):
    """A relay, or `@` and a domain, to which nothing gets through for a TLS or DANE reason."""

    relay: str
    since: int
    last: int
    """Epoch seconds of the first and the last failure since the last delivery."""
    attempts: int
    """Recipients that failed since then; one may have failed several times."""
    reason: Category
    """Of most failures on the last day."""


def failing(relays: RelayTable, now: int, zone: tzinfo | None) -> tuple[Failing, ...]:
    """Return the relays to which mail fails now, the one that fails longest first."""
    since = day_number(now - _LOOKED_BACK, zone)
    return find_failing(relays.failing(since, now - RETRIED_WITHIN), now)


def find_failing(rows: Iterable[RelayDay], now: int) -> tuple[Failing, ...]:
    """Do the same for rows in the order of relay and day."""
    found = []
    for relay, rows_of_relay in groupby(rows, lambda row: row.relay):
        after: list[RelayDay] = []
        for row in rows_of_relay:
            after = [] if row.handover.last_good else after
            after += [row] if row.handover.bad else []
        if relay == OTHER or not after:
            continue
        since, last = after[0].handover.first_bad, after[-1].handover.last_bad
        attempts = sum(row.handover.bad for row in after)
        # Where no server was reached, a success is never seen: it must fail again after an hour.
        lasted = (last if relay.startswith("@") else now) - since
        is_recent = now - last <= RETRIED_WITHIN and last - since >= _TRIED_AGAIN
        if attempts >= _LEAST and lasted >= _LASTED and is_recent:
            counts = after[-1].counts
            reason = max(FAILURES, key=lambda each: counts.get(each, 0))
            found.append(Failing(relay, since, last, attempts, reason))
    return tuple(sorted(found, key=lambda each: (each.since, each.relay)))
