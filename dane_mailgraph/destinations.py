"""What went to whom: relays by day, what changed for them, and what Postfix itself warned of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from .counted import BY_KEY, Counted

OTHER = "(other)"
"""Stands for the relays of a day beyond the most that are kept: the names of MX hosts are chosen by strangers."""

REMEMBERED = 7
"""Days on which a relay must have been authenticated for it to be news that it is not."""


class Destination(NamedTuple):
    """A relay, and what was counted of it over some days."""

    relay: str
    """The host, in lower case. Where no server was reached: `@` and the recipient's domain."""
    first: int
    """Epoch second of the minute in which it was first seen."""
    last: int
    counts: Mapping[Counted, int]
    """Categories of the families `connections`, `deliveries` and `failures`; what is not there is 0."""
    protocol: str = ""
    """Of its last TLS session, as Postfix names it; empty where there was none."""
    key_exchange: str = ""


class Seen(NamedTuple):
    """What was seen of a relay on one day."""

    relay: str
    day: int
    """As the number 20261124."""
    first: int
    last: int
    counts: Mapping[Counted, int]


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
    counts: Mapping[Counted, int]
    """What was counted on the days since."""


class Alarm(NamedTuple):
    """Something that Postfix said of its own DANE, in its own words."""

    name: str
    """A key of `alarms.BY_NAME`."""
    text: str
    """What Postfix wrote."""
    meaning: str
    """A sentence for the operator: what it means and what to do."""
    times: int
    """How often; a tuple has a `count` already."""
    last: int
    """Epoch second of the minute in which it was last met."""


# ---- what changed ---------------------------------------------------------------------------


def _all(*keys: str) -> tuple[Counted, ...]:
    return tuple(BY_KEY[key] for key in keys)


GOOD = _all("connections.verified", "deliveries.dane", "deliveries.half_dane", "deliveries.verified")
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


def authenticated(counts: Mapping[Counted, int]) -> bool | None:
    """Whether a relay was authenticated whenever it was seen; None where nothing tells.

    Postfix says Trusted of half DANE, and where a CA is trusted but no name was checked: only the delivery tells which.
    """
    good = any(counts.get(each) for each in GOOD)
    bad = any(counts.get(each) for each in _BAD) or bool(counts.get(_TRUSTED) and not counts.get(_HALF_DANE))
    if bad or (not good and any(counts.get(each) for each in _DOUBTFUL)):
        return False
    return True if good else None


def regressions(seen: Iterable[Seen], days: int, since: int) -> list[Regression]:
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
            found.append(Regression(relay, run[0].first, run[-1].last, len(run), lost[-1].last, counts))
    return sorted(found, key=lambda one: (-one.days, one.relay))


def together(counts: Iterable[Mapping[Counted, int]]) -> dict[Counted, int]:
    """Counts added up."""
    sums: dict[Counted, int] = {}
    for each in counts:
        for counted, count in each.items():
            sums[counted] = sums.get(counted, 0) + count
    return sums
