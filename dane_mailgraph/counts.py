"""What is counted, as rows: by interval, and by relay, sender, hour or day."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from .categories import CATEGORIES, Category


class Interval(NamedTuple):
    """The counts of one step, in the order of `CATEGORIES`; None is unknown."""

    start: int
    """Epoch second, a multiple of the step."""
    counts: tuple[int | None, ...]


class SinceGood(NamedTuple):
    """The last good event of a day, and the bad ones after it.

    Times are epoch seconds in which a minute begins; 0 where there is no such event.
    """

    last_good: int = 0
    bad: int = 0
    """How many bad events came in later minutes than the last good one."""
    first_bad: int = 0
    """The first of those."""
    last_bad: int = 0
    """The last bad event of the day, whether or not a good one came after it."""


NOTHING = SinceGood()


class DayCounts(NamedTuple):
    """What was counted of one relay on one day."""

    day: int
    """Of the local calendar: the number 20261124."""
    relay: str
    counts: tuple[int, ...]
    """In the order of `CATEGORIES`."""
    first: int
    last: int
    """Epoch seconds of the minutes of its first and last line."""
    protocol: str
    key_exchange: str
    """Of its last session that day; empty where there was none."""
    authentication: SinceGood = NOTHING
    """Good: `AUTHENTICATED_EVENTS`; bad: `UNAUTHENTICATED_EVENTS`."""
    handover: SinceGood = NOTHING
    """Good: a delivery; bad: a failure."""


class SenderCount(NamedTuple):
    """How often one domain sent on one day without TLS, or with an old version of it."""

    day: int
    """Of the local calendar: the number 20261124."""
    domain: str
    """Of the clients; the address of a client without a name."""
    category: Category
    times: int
    last: int
    """Epoch second of the minute of its last line."""


class RefusalCount(NamedTuple):
    """How often the clients of one domain refused our certificate in one hour."""

    hour: int
    """Epoch second."""
    domain: str
    name: str
    """A key of `refusals.MEANINGS`."""
    times: int


class EventCount(NamedTuple):
    """How often an event of `relay_events` came with one relay on one day."""

    day: int
    """Of the local calendar: the number 20261124."""
    relay: str
    name: str
    """A key of `relay_events.MEANINGS`."""
    detail: str
    """What the log line says beyond the kind of event; empty where nothing."""
    times: int
    last: int
    """Epoch second of the minute of the last time."""


class LineAhead(NamedTuple):
    """A line that is stamped in the future, and what it will count as."""

    at: int
    """The epoch second of its stamp."""
    host: str
    line: str
    """Fingerprint that distinguishes it from others of its host and second."""
    keys: tuple[str, ...]
    """Of its categories: `connections.verified`."""
    times: int
    """How many lines it stands for."""
    relay: str
    protocol: str
    key_exchange: str
    warning: str


_FAMILIES = ("connections", "deliveries", "failures")
_INBOUND = ("inbound", "inbound_protocols")


def events(counts: Sequence[int | None], families: Sequence[str] = _FAMILIES) -> int:
    """Return how many events were counted: each counts in exactly one of these families."""
    return sum(filter(None, map(counts.__getitem__, _indexes(tuple(families)))))


@cache
def _indexes(families: tuple[str, ...]) -> list[int]:
    return [index for index, each in enumerate(CATEGORIES) if each.family in families]


def inbound_events(counts: Sequence[int | None]) -> int:
    """Return how many messages and handshakes of clients were counted."""
    return events(counts, _INBOUND)


def messages_received(counts: Sequence[int | None]) -> int:
    """Return how many messages were counted that came in."""
    return events(counts, ("inbound",))


def connections(counts: Sequence[int | None]) -> int:
    """Return how many connections were counted, new and reused."""
    return events(counts, ("connections",))
