"""Counted things become `Interval`s: how often each category was seen between `start` and `start + step`.

Beside them stand `Day`s: what was seen of each relay on one day.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from . import syslog
from .counted import COUNTED
from .meaning import Meaning, Meanings
from .postfix import Relays, session
from .sessions import Sessions
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
        self._rows: defaultdict[int, dict[tuple[int, ...], int]] = defaultdict(dict)
        """Interval -> categories -> how often they were added to together."""
        self._days: defaultdict[int, dict[Meaning, list[int]]] = defaultdict(dict)
        """Day -> meaning -> how often, and when first and last."""
        self.since: int | None = None
        """Relays are told only from this interval on: what is before has been counted already."""
        self.alarms: dict[str, list[int]] = {}
        """Postfix's warnings by name: how often, and in which minute last."""
        self.first: int | None = None
        """When the first line was written."""
        self.newest: int | None = None
        """When the latest line at an end of a block was written."""
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
        """Count what these lines say; how many of those that count have no readable time."""
        met: list[Meaning] = []
        found, timeless = syslog.client_lines(lines), 0
        written, zone = b"", b""
        at: int | None = None
        interval: int | None = None
        sessions, summaries, of = self._meanings.sessions, self._meanings.summaries, self._meanings.of
        for stamp, offset, process, service, text in found:
            if stamp != written or offset != zone:
                written, zone = stamp, offset
                at = clock.resolve(stamp, offset)
                self._meet(at, clock)
                start = None if at is None else at - at % self._grain
                if start != interval:
                    timeless += self._add(met, interval, clock)
                    met.clear()
                    interval = start
            # Nearly all texts of sessions have been met before, and this is where the time goes.
            summary = summaries.get(text)
            if summary is not None:
                met.append(summary[0])
                sessions.opened(process, service, summary[1], at or 0)
            else:
                met.append(of(process, service, text, at or 0))
        timeless += self._add(met, interval, clock)
        if len(found) < len(lines):
            said = [session(text) for text in syslog.nameless_lines(lines)]
            self.nameless += sum(each is not None for each in said)
        return timeless

    def _add(self, met: list[Meaning], at: int | None, clock: Clock) -> int:
        """Count what was met in the minute that begins at this time; how often it was at no time."""
        if at is None:
            return sum(bool(each.places) for each in met)
        start = at - at % self._step
        row = self._rows[start]
        told = start <= self._horizon and (self.since is None or start >= self.since)
        day = self._days[day_of(at, clock.zone)] if told and met else {}
        for meaning, times in Counter(met).items():
            if meaning.places:
                times *= meaning.times
                row[meaning.places] = row.get(meaning.places, 0) + times
                seen = day.get(meaning)
                if seen is None:
                    day[meaning] = [times, at, at]
                else:
                    seen[0] += times
                    seen[1], seen[2] = min(seen[1], at), max(seen[2], at)
            elif meaning.alarm and told:
                alarm = self.alarms.setdefault(meaning.alarm, [0, at])
                alarm[0], alarm[1] = alarm[0] + times * meaning.times, max(alarm[1], at)
        return 0

    @property
    def full(self) -> bool:
        """Whether it is time to write the intervals down."""
        return len(self._rows) >= KEPT or sum(len(day) for day in self._days.values()) >= KEPT

    def intervals(self) -> list[Interval]:
        """The intervals in which something was counted, in order; they are forgotten here."""
        taken = []
        for start in sorted(self._rows):
            counts = [0] * len(COUNTED)
            for places, times in self._rows[start].items():
                for place in places:
                    counts[place] += times
            if start > self._horizon:
                self.future += events(counts)
            elif any(counts):
                taken.append(Interval(start, tuple(counts)))
        self._rows.clear()
        return taken

    def days(self) -> list[Day]:
        """What was seen of each relay on each day, in the order of the log; it is forgotten here."""
        taken = []
        for day, seen in self._days.items():
            relays: defaultdict[str, list[tuple[Meaning, list[int]]]] = defaultdict(list)
            for meaning, figures in seen.items():
                if meaning.relay:
                    relays[meaning.relay].append((meaning, figures))
            taken += [_together(day, relay, met) for relay, met in relays.items()]
        self._days.clear()
        return taken


def _together(day: int, relay: str, met: list[tuple[Meaning, list[int]]]) -> Day:
    counts = [0] * len(COUNTED)
    for meaning, (times, _, _) in met:
        for place in meaning.places:
            counts[place] += times
    first, last = min(first for _, (_, first, _) in met), max(last for _, (_, _, last) in met)
    sessions = [(last, meaning.protocol, meaning.key_exchange) for meaning, (_, _, last) in met if meaning.protocol]
    _, protocol, key_exchange = max(sessions, default=(0, "", ""))
    return Day(day, relay, tuple(counts), first, last, protocol, key_exchange)


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
