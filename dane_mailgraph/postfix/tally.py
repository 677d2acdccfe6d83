"""Blocks of a log become `Interval`s and `Day`s: this is where the time of an import goes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timezone, tzinfo
from operator import attrgetter, length_hint

from ..categories import CATEGORIES
from ..counts import Day, Interval, events
from ..log import Clock, heads
from ..peers import Relays
from ..times import day_of
from . import clients, delivery, handshake, interruptions
from .classify import Kind, Meaning, Meanings
from .clients import Line
from .days import Met
from .interruptions import Interruption
from .sessions import SLACK, UNKNOWN, Held, Service, Session, Sessions

MINUTE = 60

KEPT = 4000
"""Intervals, and meanings of a day, kept in memory at a time: almost three days of minutes."""


class Tally:
    """Takes blocks of a log and keeps the counts of their intervals."""

    def __init__(
        self, step: int, ignored: Relays, horizon: int, sessions: Sessions | None = None
    ) -> None:
        """`horizon` is the epoch second after which no line can have been written."""
        self._step = step
        self._grain = math.gcd(step, MINUTE)
        self._horizon = horizon
        self._clients = clients.Clients(delivery.TEXT)
        self._sessions = sessions or Sessions()
        self._meanings = Meanings(ignored, self._sessions)
        self._at = 0
        """When a client wrote last."""
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
    def omitted(self) -> dict[str, int]:
        """How many lines were left out, by the names of `OMISSIONS`."""
        return {
            "unreadable": self.unreadable,
            "nameless": self.nameless,
            "illegible": self.illegible,
            "future": self.future,
        }

    @property
    def illegible(self) -> int:
        """Lines about a recipient that cannot be read for sure."""
        return self._meanings.illegible

    def take(self, block: bytearray, end: int, clock: Clock) -> None:
        """Count the lines of `block[:end]`.

        Looked at are the first line, the last one and those of clients; all of them where the first or the last holds
        no readable time.
        """
        begin = block.rfind(b"\n", 0, end - 1) + 1
        first = heads.stamp_of(_line_at(block, 0, end), clock)
        self._meet(first, clock)
        last = heads.stamp_of(_line_at(block, begin, end), clock)
        known = [at for at in (first, last) if at is not None]
        if known and self._sessions.known is None:
            self._sessions.begin(known[0])
        timeless: list[Meaning] = []
        if known and clock.crosses_a_fold(min(known), max(known)):
            self._count_each(block, end, clock, timeless)
        else:
            self._count_all(block, end, clock, timeless)
            self._meet(last, clock)
        lost = sum(bool(each.places) for each in timeless)
        self.unreadable += (
            lost if first is not None and last is not None else _without_time(block, end, clock)
        )

    def _count_all(self, block: bytearray, end: int, clock: Clock, timeless: list[Meaning]) -> None:
        """Count the lines of a block; `timeless` gets what has no readable time.

        To look for interruptions costs as much as a fifth of the counting. Postfix cannot be stopped and started without a
        pause in which no client writes, and the syslog daemon says what it has lost only where it writes at all.
        """
        found, nameless = self._clients.lines(block, end)
        if end < clients.MANY or not self._at:
            self._sessions.told |= interruptions.by_the_daemon(block, end)
        done = 0
        if end >= clients.MANY and found and not self._sessions.told:
            done = self._count(found, clock, timeless, to_pause=True)
        if done < len(found) or end < clients.MANY or not found:
            for each in interruptions.interruptions(block, end, told=self._sessions.told):
                there = len(self._clients.lines(block, each.begin)[0])
                self._count(found[done:there], clock, timeless)
                done = max(done, there)
                self._interrupt(each, clock)
            self._count(found[done:], clock, timeless)
        self._count_nameless(nameless)

    def _interrupt(self, what: Interruption, clock: Clock) -> None:
        if what.started:
            self._sessions.started(what.started, quotes=handshake.quotes_addresses(what.version))
            return
        at = clock.read(what.stamp, what.offset)
        if at is not None:
            self._sessions.begin(at)

    def _count_nameless(self, texts: list[bytes]) -> None:
        self.nameless += sum(
            times for times, text in map(handshake.unwrapped, texts) if handshake.session(text)
        )

    def _meet(self, at: int | None, clock: Clock) -> None:
        """A line was written then."""
        if at is not None and at <= self._horizon:
            clock.advance(at)
            self.first = at if self.first is None else self.first
            self.newest = at if self.newest is None else max(self.newest, at)

    def _count_each(
        self, block: bytearray, end: int, clock: Clock, timeless: list[Meaning]
    ) -> None:
        """The same in the hours around a change of the clocks, where each line's time says which hour the next is of."""
        for line in heads.lines_with(heads.ANY_LINE, block, end):
            at = heads.stamp_of(line, clock)
            if line.startswith(b"<") or clients.CLIENTS.search(line):
                found, nameless = self._clients.among([line])
                self._count(found, clock, timeless)
                self._count_nameless(nameless)
            for each in interruptions.interruptions(line, len(line)):
                self._interrupt(each, clock)
            self._meet(at, clock)

    def _count(
        self, found: list[Line], clock: Clock, timeless: list[Meaning], *, to_pause: bool = False
    ) -> int:
        """Put down what these lines say, all of them or those before the first pause; how many they are."""
        meanings, sessions = self._meanings, self._sessions
        summaries, local = meanings.summaries, meanings.local
        services: dict[bytes, tuple[bytes, Service]] = {}
        written = writer = zone = b""
        minute = _NO_MINUTE
        at = begins = 0
        grain = self._grain
        lines = iter(found)
        for a, by_a, b, by_b, c, by_c, d, by_d, process, queue, relay, spent, tls, text in lines:
            by = by_a or by_b or by_c or by_d
            if by != writer:
                writer = by
                known = services.get(by)
                if known is None:
                    offset, name = clients.writer(by)
                    known = services[by] = offset, sessions.service(name)
                offset, service = known
                held = service.held
                if offset != zone:
                    zone, written, minute = offset, b"", _NO_MINUTE
            stamp = a or b or c or d
            if stamp != written:
                written = stamp
                if not stamp.startswith(minute):
                    minute = stamp[:-2]
                    when = clock.read(stamp, zone)
                    self._meet(when, clock)
                    begins = 0 if when is None else when - when % MINUTE
                    met = timeless
                before, at = at or self._at, begins + _SECONDS[stamp[-2:]]
                if to_pause and at > before + 1:
                    found = found[: -1 - length_hint(lines)]
                    break
                if begins and (grain < MINUTE or met is timeless):
                    met = self._minutes[at - at % grain]
            # Nearly all lines are of three kinds, and this loop is where the time goes: it asks nobody about those.
            if not queue:
                summary = summaries.get(text)
                if summary is None:
                    met.append(meanings.other(service, process, text, at))
                else:
                    met.append(summary[0])
                    held[process] = summary[1], at, b""
                    service.silent = 0
                continue
            session, opened, request = held.get(process, _NONE)
            if (
                session.peer == relay
                and (request == queue or not request)
                and 0 <= at - opened <= SLACK
            ):
                meaning = session.meanings.get(tls)
                if meaning is not None:
                    if not request:
                        held[process] = session, opened, queue
                    met.append(meaning)
                    continue
            elif relay in local:
                held.pop(process, None)
                continue
            met.append(meanings.sent(service, process, queue, relay, spent, tls, at))
        self._met += len(found)
        if begins:
            self._at = at
            self._meet(at, clock)
            sessions.clear(at)
        return len(found)

    @property
    def full(self) -> bool:
        """Whether it is time to write down what was counted."""
        return len(self._minutes) >= KEPT or self._met >= 50 * KEPT

    def taken(self, zone: tzinfo | None) -> tuple[list[Interval], list[Day]]:
        """The intervals in which something was counted, in order, and what was seen of each relay; both are forgotten here."""
        rows: defaultdict[int, Counter[Kind]] = defaultdict(Counter)
        days: dict[int, Met] = {}
        for minute in sorted(self._minutes):
            met = self._minutes[minute]
            start = minute - minute % self._step
            rows[start].update(map(_KIND, met))
            if start <= self._horizon and (self.since is None or start >= self.since):
                day = day_of(minute, zone)
                if day not in days:
                    days[day] = Met()
                days[day].meet(minute, met)
        self._minutes.clear()
        self._met = 0
        for relays in days.values():
            for meaning, times in relays.times.items():
                if meaning.alarm:
                    alarm = self.alarms.setdefault(meaning.alarm, [0, 0])
                    alarm[0], alarm[1] = (
                        alarm[0] + times * meaning.times,
                        max(alarm[1], relays.last[meaning]),
                    )
        return self._intervals(rows), [
            each for day, relays in days.items() for each in relays.seen(day)
        ]

    def _intervals(self, rows: Mapping[int, Counter[Kind]]) -> list[Interval]:
        made = []
        for start, kinds in rows.items():
            counts = [0] * len(CATEGORIES)
            for kind, times in kinds.items():
                for place in kind.places:
                    counts[place] += kind.times * times
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

_NO_MINUTE = b"-"

_SECONDS = {b"%02d" % second: min(second, 59) for second in range(100)}
"""The leap second 60 belongs to its minute."""


def _line_at(block: bytearray, begin: int, end: int) -> bytes:
    return bytes(block[begin : block.find(b"\n", begin, end)])


def _without_time(block: bytearray, end: int, clock: Clock) -> int:
    """How many lines hold no readable time; annotations (`# ...`) and empty lines are not meant to."""
    return sum(
        1
        for line in bytes(block[:end]).split(b"\n")
        if line and not line.startswith(b"#") and heads.stamp_of(line, clock) is None
    )
