"""Whether more senders than before refuse our certificate: the first sign of a wrong TLSA record.

Scanners and monitors look at the certificate and go, so only domains count that have sent mail. A
sender that refuses keeps its mail and tries again: it does so in several hours of a day, by far
more of them than in its own weeks before. How many such senders there are is compared with the
weeks before, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..times import DAY, HOUR

HISTORY = 28
"""Days before with which a day is compared."""

_LEAST_HISTORY = 14
"""Days that must have been counted before."""

_HOURS = 3
"""Hours of one day in which a sender must have refused."""

_CHANCE = 1e-4
"""What is less likely than this is no accident."""

_OVER_AFTER = 12 * HOUR
"""Seconds without a refusal after which a sender is through, or has given up."""

_NEW_NORMAL = 30 * DAY

LOOKED_BACK = HISTORY * DAY + _NEW_NORMAL


class Turn(NamedTuple):
    """A time in which a sender refused again and again. Times are epoch seconds of hours."""

    domain: str
    since: int
    last: int
    times: int
    """How many connections it ended."""


class Refusing(NamedTuple):
    """More senders than before refuse our certificate."""

    since: int
    senders: int
    times: int
    """How many connections they ended."""
    before: int
    """How many senders did so in the weeks before."""
    days: int
    """How many days these weeks are."""
    domains: tuple[str, ...] = ()
    """Those of the senders, the most frequent first."""


def refusing(rows: Iterable[tuple[str, int, int]], begin: int, now: int) -> Refusing | None:
    """Return whether more senders refuse than before.

    Args:
        rows: domain, hour and count, in the order of domain and hour.
        begin: epoch second since when it is counted.
        now: epoch second.
    """
    turns = [
        turn
        for domain, of_domain in groupby(rows, itemgetter(0))
        for turn in _turns(domain, [(hour, count) for _, hour, count in of_domain])
    ]
    holding = [each for each in turns if now - each.last <= _OVER_AFTER + HOUR]
    for since in sorted({each.since for each in holding if now - each.since <= _NEW_NORMAL}):
        days = min(HISTORY, (since - begin) // DAY)
        before = sum(since - HISTORY * DAY <= each.since < since for each in turns)
        of_day = sum(since <= each.since < since + DAY for each in holding)
        is_first = not before or _chance((before + 0.5) / max(1, days), of_day) <= _CHANCE
        if days >= _LEAST_HISTORY and is_first:
            ours = [each for each in holding if each.since >= since]
            times = Counter({each.domain: each.times for each in ours})
            domains = tuple(domain for domain, _ in times.most_common())
            return Refusing(since, len(ours), times.total(), before, days, domains)
    return None


def _turns(domain: str, hours: list[tuple[int, int]]) -> Iterator[Turn]:
    """Yield the turns of one sender: hours and counts, in order."""
    at = 0
    while at < len(hours):
        since = hours[at][0]
        in_day = sum(since <= hour < since + DAY for hour, _ in hours[at : at + 24])
        before = sum(since - HISTORY * DAY <= hour for hour, _ in hours[:at])
        if in_day >= _HOURS and _chance((before + 0.5) / HISTORY, in_day) <= _CHANCE:
            end = at + 1
            while end < len(hours) and hours[end][0] - hours[end - 1][0] <= DAY:
                end += 1
            yield Turn(domain, since, hours[end - 1][0], sum(n for _, n in hours[at:end]))
            at = end
        else:
            at += 1


def _chance(mean: float, least: int) -> float:
    """Return how likely at least so many are where `mean` are usual (Poisson)."""
    fewer = 0.0
    term = math.exp(-mean)
    for n in range(least):
        fewer += term
        term *= mean / (n + 1)
    return 1 - fewer
