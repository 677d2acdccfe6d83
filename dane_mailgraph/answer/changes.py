"""What went to whom: relays by day, what changed for them, and what Postfix itself warned of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from ..categories import BY_KEY, Category
from ..store import OTHER, RelayDay

REMEMBERED = 7
"""Days on which a relay must have been authenticated for it to be news that it is not."""


class Regression(NamedTuple):
    """A relay that was authenticated on every day it was seen, and is not any more."""

    relay: str
    good_since: int
    """Epoch second at which it was first seen in the unbroken run of good days."""
    good_until: int
    """Epoch second at which it was last seen in it."""
    days: int
    """Days of that run on which it was seen."""
    last: int
    """Epoch second at which it was last seen, not authenticated."""
    counts: Mapping[Category, int]
    """What was counted on the days since."""


# ---- what changed ---------------------------------------------------------------------------


def _all(*keys: str) -> tuple[Category, ...]:
    return tuple(BY_KEY[key] for key in keys)


GOOD = _all(
    "connections.verified", "deliveries.dane", "deliveries.half_dane", "deliveries.verified"
)
_BAD = _all(
    "connections.untrusted",
    "connections.anonymous",
    "deliveries.encrypted",
    "deliveries.plaintext",
    "failures.certificate",
    "failures.dane_required",
    "failures.starttls",
)
_DOUBTFUL = _all("failures.dane_lookup", "failures.handshake")
"""What may pass: bad only where nothing good was seen beside it."""
_TRUSTED, _HALF_DANE = _all("connections.trusted", "deliveries.half_dane")

SUSPECT = (*_BAD, *_DOUBTFUL, _TRUSTED)
"""Without any of these a relay was authenticated whenever it was seen."""


def authenticated(counts: Mapping[Category, int]) -> bool | None:
    """Whether a relay was authenticated whenever it was seen; None where nothing tells.

    Postfix says Trusted of half DANE, and where a CA is trusted but no name was checked: only the delivery tells which.
    """
    good = any(counts.get(each) for each in GOOD)
    bad = any(counts.get(each) for each in _BAD) or bool(
        counts.get(_TRUSTED) and not counts.get(_HALF_DANE)
    )
    if bad or (not good and any(counts.get(each) for each in _DOUBTFUL)):
        return False
    return True if good else None


def regressions(seen: Iterable[RelayDay], days: int, since: int) -> list[Regression]:
    """The relays that were authenticated whenever they were seen, on `days` days at least, and were not when last seen.

    `seen` is in order, relay by relay. What was last seen before the day `since` is no news and left out.
    """
    found = []
    for relay, each in groupby(seen, lambda one: one.relay):
        told = [(one, good) for one in each if (good := authenticated(one.counts)) is not None]
        end = next((n for n in range(len(told), 0, -1) if told[n - 1][1]), 0)
        begin = next((n for n in range(end, 0, -1) if not told[n - 1][1]), 0)
        run, lost = [one for one, _ in told[begin:end]], [one for one, _ in told[end:]]
        if lost and len(run) >= days and lost[-1].day >= since and relay != OTHER:
            counts = together(one.counts for one in lost)
            found.append(
                Regression(relay, run[0].first, run[-1].last, len(run), lost[-1].last, counts)
            )
    return sorted(found, key=lambda one: (-one.days, one.relay))


def together(counts: Iterable[Mapping[Category, int]]) -> dict[Category, int]:
    """Counts added up."""
    sums: dict[Category, int] = {}
    for each in counts:
        for counted, count in each.items():
            sums[counted] = sums.get(counted, 0) + count
    return sums
