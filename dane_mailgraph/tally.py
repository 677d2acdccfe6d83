"""Counted things become `Interval`s: how often each category was seen between `start` and `start + step`.

Beside them stand `Day`s: what was seen of each relay on one day.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from operator import attrgetter
from typing import NamedTuple

from . import delivery, postfix, syslog
from .counted import COUNTED
from .meaning import Meaning, Meanings
from .postfix import Relays
from .sessions import SLACK, UNKNOWN, Held, Session, Sessions
from .syslog import Clock

MINUTE = 60

KEPT = 4000
"""Intervals, and meanings of a day, kept in memory at a time: almost three days of minutes."""


class Interval(NamedTuple):
    """The counts of one step, in the order of `COUNTED`."""

    start: int
    """Epoch second, a multiple of the step."""
    counts: tuple[int, ...]


class Day(NamedTuple):
    """What was seen of one relay on one day."""

    day: int
    """Of the local calendar, as the number 20261124."""
    relay: str
    counts: tuple[int, ...]
    """In the order of `COUNTED`."""
    first: int
    last: int
    """Epoch seconds of the minutes in which it was first and last seen."""
    protocol: str
    key_exchange: str
    """Of its last session that day; empty where there was none."""


class Tally:
    """Takes blocks of a log and keeps the counts of their intervals."""

    def __init__(self, step: int, ignored: Relays, horizon: int, sessions: Sessions | None = None) -> None:
        """`horizon` is the epoch second after which no line can have been written."""
        self._step = step
        self._grain = math.gcd(step, MINUTE)
        self._horizon = horizon
        self._meanings = Meanings(ignored, sessions or Sessions())
        self._minutes: defaultdict[int, list[Meaning]] = defaultdict(list)
        """Minute -> what was met in it."""
        self._met = 0
        """How much that is, as far as blocks have been counted."""
        self.since: int | None = None
        """Relays are told only from this interval on: what is before has been counted already."""
        self.alarms: dict[str, list[int]] = {}
        """Postfix's warnings by name: how often, and in which minute last."""
        self.first: int | None = None
        """When the first line was written."""
        self.newest: int | None = None
        """When the latest line at an end of a block was written, or of a client in it."""
        self.future = 0
        """Events stamped after the horizon: counted nowhere."""
        self.unreadable = 0
        """Lines without a readable time, as far as they were looked at (see `take`)."""
        self.nameless = 0
        """Connections in RFC 5424 lines from which rsyslog has cut the program's name: counted nowhere."""

    @property
    def illegible(self) -> int:
        """Lines about a recipient that cannot be read for sure."""
        return self._meanings.illegible

    def take(self, block: bytearray, end: int, clock: Clock) -> None:
        """Count the lines of `block[:end]`.

        Looked at are the first line, the last one and those of clients; all of them where the first or the last holds
        no readable time.
        """
        before = clock.previous
        begin = block.rfind(b"\n", 0, end - 1) + 1
        first = syslog.stamp_of(_line_at(block, 0, end), clock)
        last = syslog.stamp_of(_line_at(block, begin, end), clock)
        clock.previous = before
        known = [at for at in (first, last) if at is not None]
        sessions = self._meanings.sessions
        if known and sessions.known is None:
            sessions.begin(known[0])
        if sessions.waiting:
            names, alone = syslog.started(block, end)
            sessions.started(names, alone=alone)
        if known and clock.crosses_a_fold(min(known), max(known)):
            timeless = self._count_each(block, end, clock)
        else:
            self._meet(first, clock)
            sign = syslog.ANY_LINE if syslog.RFC5424 in (block[0], block[begin]) else syslog.CLIENTS
            timeless = self._count(syslog.lines_with(sign, block, end), clock)
            self._meet(last, clock)
        self.unreadable += timeless if first is not None and last is not None else _without_time(block, end, clock)

    def _meet(self, at: int | None, clock: Clock) -> None:
        """A line was written then."""
        if at is not None and at <= self._horizon:
            clock.previous = at
            self.first = at if self.first is None else self.first
            self.newest = at if self.newest is None else max(self.newest, at)

    def _count_each(self, block: bytearray, end: int, clock: Clock) -> int:
        """The same in the hours around a change of the clocks, where each line's time says which hour the next is of."""
        timeless = 0
        for line in syslog.lines_with(syslog.ANY_LINE, block, end):
            before = clock.previous
            at = syslog.stamp_of(line, clock)
            clock.previous = before
            if line.startswith(b"<") or syslog.CLIENTS.search(line):
                timeless += self._count([line], clock)
                clock.previous = before
            self._meet(at, clock)
        return timeless

    def _count(self, lines: list[bytearray], clock: Clock) -> int:
        """Put down what these lines say; how many of those that count have no readable time."""
        timeless: list[Meaning] = []
        met = timeless
        written = zone = minute = b""
        at = begins = 0
        meanings, sessions = self._meanings, self._meanings.sessions
        summaries, held, spoke = meanings.summaries, sessions.held, sessions.spoke
        found = syslog.client_lines(lines)
        for stamp, offset, process, service, text in found:
            if stamp != written or offset != zone:
                if stamp[:-2] != minute or offset != zone:
                    when = clock.resolve(stamp, offset)
                    self._meet(when, clock)
                    begins = 0 if when is None else when - when % MINUTE
                    minute, zone = stamp[:-2], offset
                    unread = when is None
                written = stamp
                at = begins + min(int(stamp[-2:]), 59)
                met = timeless if unread else self._minutes[at - at % self._grain]
            # Nearly all lines are of three kinds, and this loop is where the time goes: it asks nobody about those.
            summary = summaries.get(text)
            if summary is not None:
                met.append(summary[0])
                held[process] = summary[1], at, b""
                spoke.add(service)
                continue
            usual = delivery.usual(text)
            if usual is None:
                met.append(meanings.unusual(process, service, text, at))
                continue
            if usual.lastindex == delivery.SENT:
                session, opened, request = held.get(process, _NONE)
                queue, relay = usual.group(1, 2)
                if relay == session.peer and request in (b"", queue) and 0 <= at - opened <= SLACK and not session.reused:
                    if not request:
                        held[process] = session, opened, queue
                    met.append(session.meaning)
                    continue
            met.append(meanings.delivered(process, service, text, usual, at))
        self._met += len(found)
        if at:
            self._meet(at, clock)
            sessions.clear(at)
        if len(found) < len(lines):
            said = map(postfix.unwrapped, syslog.nameless_lines(lines))
            self.nameless += sum(times for times, text in said if postfix.session(text))
        return sum(bool(each.places) for each in timeless)

    @property
    def full(self) -> bool:
        """Whether it is time to write down what was counted."""
        return len(self._minutes) >= KEPT or self._met >= 50 * KEPT

    def taken(self, zone: tzinfo | None) -> tuple[list[Interval], list[Day]]:
        """The intervals in which something was counted, in order, and what was seen of each relay; both are forgotten here."""
        rows: defaultdict[int, Counter[tuple[tuple[int, ...], int]]] = defaultdict(Counter)
        days: dict[int, _Relays] = {}
        for minute in sorted(self._minutes):
            met = self._minutes[minute]
            start = minute - minute % self._step
            rows[start].update(map(_KIND, met))
            if start <= self._horizon and (self.since is None or start >= self.since):
                day = day_of(minute, zone)
                if day not in days:
                    days[day] = _Relays()
                days[day].meet(minute, met)
        self._minutes.clear()
        self._met = 0
        for relays in days.values():
            for meaning, times in relays.times.items():
                if meaning.alarm:
                    alarm = self.alarms.setdefault(meaning.alarm, [0, 0])
                    alarm[0], alarm[1] = alarm[0] + times * meaning.times, max(alarm[1], relays.last[meaning])
        return self._intervals(rows), [each for day, relays in days.items() for each in relays.seen(day)]

    def _intervals(self, rows: Mapping[int, Counter[tuple[tuple[int, ...], int]]]) -> list[Interval]:
        made = []
        for start, kinds in rows.items():
            counts = [0] * len(COUNTED)
            for (places, each), times in kinds.items():
                for place in places:
                    counts[place] += each * times
            if start > self._horizon:
                self.future += events(counts)
            elif any(counts):
                made.append(Interval(start, tuple(counts)))
        return made

    def intervals(self) -> list[Interval]:
        """The intervals alone, where nothing is to be known of relays."""
        return self.taken(timezone.utc)[0]


_KIND = attrgetter("kind")

_NONE: Held = Session(b"", UNKNOWN, False), 0, b""


class _Relays:
    """What was met on one day."""

    def __init__(self) -> None:
        self.times: Counter[Meaning] = Counter()
        self.first: dict[Meaning, int] = {}
        self.last: dict[Meaning, int] = {}

    def meet(self, minute: int, met: list[Meaning]) -> None:
        """Put down what was met in a minute that is later than those before."""
        self.times.update(met)
        now = dict.fromkeys(met, minute)
        self.last.update(now)
        for meaning in now.keys() - self.first.keys():
            self.first[meaning] = minute

    def seen(self, day: int) -> Iterator[Day]:
        """The day of each relay, in the order in which they were first met."""
        relays: defaultdict[str, list[Meaning]] = defaultdict(list)
        for meaning in self.times:
            if meaning.relay:
                relays[meaning.relay].append(meaning)
        for relay, met in relays.items():
            counts = [0] * len(COUNTED)
            for meaning in met:
                for place in meaning.places:
                    counts[place] += self.times[meaning] * meaning.times
            latest = max((each for each in met if each.protocol), key=lambda each: self.last[each], default=None)
            yield Day(
                day,
                relay,
                tuple(counts),
                min(self.first[each] for each in met),
                max(self.last[each] for each in met),
                latest.protocol if latest else "",
                latest.key_exchange if latest else "",
            )


_FAMILIES = ("connections", "deliveries", "failures")


def events(counts: Sequence[int | None], families: Sequence[str] = _FAMILIES) -> int:
    """How many lines these counts are of: each counts in one of these families only."""
    return sum(n or 0 for n, each in zip(counts, COUNTED, strict=True) if each.family in families)


def connections(counts: Sequence[int | None]) -> int:
    """How many connections, new and reused, these counts are of."""
    return events(counts, ("connections",))


def day_of(at: int, zone: tzinfo | None) -> int:
    """The day of the local calendar, as the number 20261124."""
    local = datetime.fromtimestamp(at, zone)
    return local.year * 10000 + local.month * 100 + local.day


def _line_at(block: bytearray, begin: int, end: int) -> bytes:
    return bytes(block[begin : block.find(b"\n", begin, end)])


def _without_time(block: bytearray, end: int, clock: Clock) -> int:
    """How many lines hold no readable time; annotations (`# ...`) and empty lines are not meant to."""
    before = clock.previous
    found = sum(
        1
        for line in bytes(block[:end]).split(b"\n")
        if line and not line.startswith(b"#") and syslog.stamp_of(line, clock) is None
    )
    clock.previous = before
    return found
