"""One counting run inside a ledger transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from typing import Any, NamedTuple

from ..counts import Interval, connections, events, inbound_events, messages_received
from ..log import Clock, Source, WholeLines, forms
from ..omissions import NOTHING_OMITTED
from ..peers import PeerSet
from ..postfix import Counted, Mark, Marks, Overlap, Sessions, Tally
from ..store import (
    MOST_AHEAD,
    EventTable,
    Gap,
    KeptAhead,
    Ledger,
    RefusalTable,
    RelayTable,
    SenderTable,
    load_ahead,
    save_ahead,
)
from ..times import DAY, HOUR, day_number
from .result import Result
from .rhythm import Rhythm

TOLERANCE = 120
"""Seconds by which a stamp may be ahead of the clock; lines further ahead wait for their time."""

QUIET = 6 * 3600
"""Seconds between two logs up to which no mail was sent; after longer ones a log is lost."""

TRUSTED = DAY
"""Seconds after the newest line for which a log without new lines counts as quiet."""


def known_until(newest: int, now: int) -> int:
    """Return up to when a log is known that was read to its end at `now`.

    If its newest line is old, it is not today's log: more lines may follow that one.
    """
    return now if now - newest <= TRUSTED else newest


class Rules(NamedTuple):
    """The settings that counting depends on."""

    step: int
    grace: int
    zone: tzinfo | None
    ignored: PeerSet
    ignored_clients: PeerSet
    relays_per_day: int = 1000
    relays_days: int = 400
    clock: Callable[[], int] | None = None
    """Says what time it is; None where it stands still."""
    hosts: forms.Hosts | None = None
    """Those whose lines count; None for all."""


CountedBlock = tuple[bytearray, int, int]
"""A block, its end, and its offset in what has been read."""


class CountingRun:
    """Counts logs into a ledger, inside one of its transactions."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Rules,
        now: int,
        *,
        sessions: Sessions | None = None,
        count_lines: bool = False,
    ) -> None:
        """Count with these sessions open; with `count_lines` count all lines, too."""
        self._ledger, self._rules, self._now = ledger, rules, now
        self._sessions = sessions or Sessions()
        self._tally = self._new_tally(self._sessions)
        self._tally.marks = Marks(ledger.state.hosts)
        self._ahead = load_ahead(ledger)
        self._ahead_before = Counter((each.line.host, each.line.line) for each in self._ahead)
        self._kept = self._given_up = 0
        """Lines that began to wait for their time in this run, and lines that it gave up."""
        self._repeats = False
        self._relays = RelayTable(ledger)
        self._events = EventTable(ledger)
        self._senders = SenderTable(ledger)
        self._refusals = RefusalTable(ledger)
        self._count_lines = count_lines
        self._omitted: Counter[str] = Counter()
        self._counted = self._recipients = self._received = self._read = self._lines = 0
        self._inbound = 0
        """Messages and handshakes of clients."""
        self._gaps: list[Gap] = []
        self._noted: Counter[str] = Counter()
        """Of our own omissions those that are in `_hours`."""
        self._hours: Counter[tuple[int, str]] = Counter()
        self._rhythm = Rhythm(ledger.state.last_event, rules.zone)
        self._count_what_is_due()

    def _new_tally(self, sessions: Sessions | None = None) -> Tally:
        rules, horizon = self._rules, self._now + TOLERANCE
        return Tally(
            rules.step, rules.ignored, horizon, sessions, rules.hosts, rules.ignored_clients
        )

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of stamps that name none."""
        return self._rules.zone

    # ---- one log after the other ----

    @property
    def first(self) -> int | None:
        """When the first line of the current or last log was written."""
        return self._tally.first

    @property
    def newest(self) -> int | None:
        """When its newest line was written."""
        return self._tally.newest

    @property
    def first_new(self) -> int | None:
        """When its first line was written that had not been counted before."""
        return self._tally.first_new

    def count_blocks(
        self, blocks: WholeLines, clock: Clock, *, counted: Counted | None = None
    ) -> Iterator[CountedBlock]:
        """Count a log from where it stands, and give each block when it has been counted.

        `counted` is what it may hold again; without it all of its lines are new.
        """
        self._repeats = counted is not None
        self._tally.start_log(self._overlap(counted))
        before = blocks.consumed
        for block, end in blocks:
            if blocks.follows_gap:
                self.forget_sessions()
            self._tally.latest_plausible = self._clock() + TOLERANCE
            self._tally.add_block(block, end, clock)
            if self._count_lines:
                self._lines += block.count(b"\n", 0, end)
            if self._tally.should_flush:
                self._flush()
            yield block, end, blocks.consumed - end
        self._tally.end_log(clock)
        self._flush()
        self._keep_ahead()
        self._omitted["unreadable"] += blocks.long_lines + blocks.zeros
        self._read += blocks.consumed - before
        if self.newest is not None:
            state = self._ledger.state
            self._ledger.save(state._replace(newest=max(self.newest, state.newest or 0)))

    def _overlap(self, counted: Counted | None) -> Overlap | None:
        state, changeable = self._ledger.state, self._ledger.changeable_from
        until = state.already_counted_until or 0
        if counted or (counted is not None and changeable):
            return Overlap(until, counted, state.rrd_until or 0, changeable)
        return Overlap(until) if until else None

    def skip(self, blocks: WholeLines, clock: Clock) -> None:
        """Read what has been counted before, to say how much it is."""
        past = self._new_tally()
        for block, end in blocks:
            past.add_block(block, end, clock)
            self._omitted["skipped"] += sum(
                events(each.counts) + inbound_events(each.counts) for each in past.intervals()
            )

    def finish_log(self) -> None:
        """Mark a whole log as read up to its newest line."""
        if self.first is not None and self.newest is not None:
            self.mark_gap_before(self.first)
            self.mark_read_until(self.newest + self._rules.step)

    def forget_sessions(self) -> None:
        """Mark that lines are missing here: the next line with a time ends all known sessions."""
        self._sessions.mark_gap()

    # ---- what time the logs cover ----

    def continues(self, first: float) -> bool:
        """Return whether a log that begins at `first` follows the last one closely enough."""
        read_until = self._ledger.state.read_until
        return read_until is None or first - read_until <= QUIET

    def mark_gap(self, start: int, until: int) -> None:
        """Mark as lost each interval that [start, until) touches."""
        step, closed = self._rules.step, self._ledger.state.rrd_until or 0
        gap = Gap(max(start - start % step, closed), until + -until % step)
        if gap.start < gap.until:
            self._ledger.mark_gap(gap)
            self._gaps.append(gap)

    def mark_gap_before(self, first: int) -> None:
        """Mark a long silence between the last log and one that begins at `first` as lost."""
        read_until = self._ledger.state.read_until
        if read_until is not None and not self.continues(first):
            self.mark_gap(read_until, first - first % self._rules.step)

    def mark_read_until(self, until: int) -> None:
        """Mark all before this time as read, quiet or not; its whole intervals can be closed."""
        state = self._ledger.state
        if state.begin is not None:
            whole = until - until % self._rules.step
            read_until = max(whole, state.begin if state.read_until is None else state.read_until)
            self._ledger.save(state._replace(read_until=read_until))

    def mark_read(
        self, log: Source, bookmark: Any, counted_elsewhere: dict[str, Mark] | None = None
    ) -> None:
        """Remember how far the followed log has been read, and the sessions that are open.

        `counted_elsewhere` is what it may still say that other logs have said.
        """
        self._ledger.set_bookmark(log.bookmark_key, bookmark)
        state = self._ledger.state
        sessions = self._sessions.dump(self._now if state.newest is None else state.newest)
        self._ledger.save(
            state._replace(
                read_at=self._now,
                sessions=sessions,
                source=log.bookmark_key,
                counted_elsewhere=counted_elsewhere or None,
            )
        )

    # ---- lines of the future ----

    def _clock(self) -> int:
        """Return what time it is now: reading may take long."""
        return self._rules.clock() if self._rules.clock else self._now

    def _count_what_is_due(self) -> None:
        """Count the lines ahead whose time has come; give up those that are kept for a day."""
        due = [each for each in self._ahead if each.line.at <= self._now + TOLERANCE]
        old = [each for each in self._ahead if each not in due and self._now - each.read_at > DAY]
        self._ahead = [each for each in self._ahead if each not in due and each not in old]
        self._given_up = sum(each.line.times for each in old)
        state = self._ledger.state
        if due and state.begin is None:
            first = min(each.line.at for each in due)
            self._ledger.save(state._replace(begin=first - first % self._rules.step))
        for each in due:
            self._tally.count_ahead(each.line)
        if due or old:
            self._flush()
            save_ahead(self._ledger, self._ahead)
            state = self._ledger.state
            self._ledger.save(state._replace(hosts=self._tally.marks.marks()))

    def _keep_ahead(self) -> None:
        """Keep the lines of the future that were read now, as many as there is room for."""
        for line in self._tally.ahead:
            place = line.host, line.line
            if self._repeats and self._ahead_before[place]:
                self._ahead_before[place] -= 1
                self._omitted["skipped"] += line.times
                continue
            self._omitted["future"] += line.times
            if len(self._ahead) < MOST_AHEAD:
                self._ahead.append(KeptAhead(self._now, line))
                self._kept += line.times
        if self._tally.ahead:
            save_ahead(self._ledger, self._ahead)
        self._tally.ahead.clear()

    # ---- into the ledger ----

    @property
    def counted_nothing(self) -> bool:
        """Whether there is nothing to keep in what was read so far."""
        omitted = self._omitted.total() + self._tally.omitted.total()
        return not (
            self._counted
            or self._recipients
            or self._inbound
            or self._gaps
            or omitted
            or self._given_up
        )

    def close(self) -> Result:
        """Write what is left into the ledger, and return what was done."""
        self._note_hours()
        self._omitted.update(self._tally.omitted)
        self._relays.add_warnings(self._tally.warnings)
        kept_since = self._now - self._rules.relays_days * DAY
        self._relays.prune(day_number(kept_since, self._rules.zone))
        self._events.prune(day_number(kept_since, self._rules.zone))
        self._senders.prune(day_number(kept_since, self._rules.zone))
        self._refusals.prune(kept_since, self._now)
        future = self._omitted["future"] - self._kept + self._given_up
        self._ledger.omit({**self._omitted, "future": future})
        self._ledger.add_hours(self._hours, kept_since)
        pruned = self._ledger.state.pruned_before or 0
        self._ledger.add_rhythm(self._rhythm.days(lambda *pause: self._was_read(pruned, *pause)))
        self._ledger.save(
            self._ledger.state._replace(
                last_event=self._rhythm.last_event, hosts=self._tally.marks.marks()
            )
        )
        return Result(
            self._read,
            self._lines,
            self._counted,
            self._recipients,
            self._received,
            NOTHING_OMITTED | self._omitted,
            tuple(self._gaps),
            notices=self._notices(),
        )

    def _notices(self) -> tuple[str, ...]:
        if not self._given_up:
            return ()
        return (
            f"Gave up {self._given_up:,} line{'s' if self._given_up > 1 else ''} stamped in the "
            "future: a day after the reading their time had not come; "
            "look at the clock and at time_zone.",
        )

    def _flush(self) -> None:
        """Write the tally's counts; the first line of all decides where the counting begins."""
        state = self._ledger.state
        if self.first is not None and state.begin is None:
            self._ledger.save(state._replace(begin=self.first - self.first % self._rules.step))
        drained = self._tally.drain(self._rules.zone, self._kept_name)
        self._ledger.add(self._due(drained.intervals))
        self._mark_lost(drained.lost_starts)
        self._note_hours()
        self._relays.add(drained.relays, self._rules.relays_per_day)
        self._events.add(drained.events)
        self._senders.add(drained.senders, self._rules.relays_per_day)
        self._refusals.know(self._tally.take_known(), self._now)
        self._refusals.add(drained.refusals, self._rules.relays_per_day)

    def _kept_name(self, day: int, relay: str) -> str:
        return self._relays.kept_name(day, relay, self._rules.relays_per_day)

    def _mark_lost(self, starts: set[int]) -> None:
        """Mark as lost the intervals with lines of unknown heads in which nothing counted."""
        for start in sorted(starts):
            if start >= (self._ledger.state.rrd_until or 0):
                self._ledger.mark_gap(Gap(start, start + self._rules.step))

    def _note_hours(self) -> None:
        """Take the notes of the tally; put our own new omissions into the newest hour."""
        self._hours += self._tally.take_notes()
        newest = self._now if self.newest is None else min(self.newest, self._now)
        for name, count in (self._omitted - self._noted).items():
            self._hours[newest - newest % HOUR, name] += count
        self._noted = Counter(self._omitted)

    def _was_read(self, pruned: int, start: int, until: int) -> bool:
        """Return whether the log of a pause was read; gaps before `pruned` are forgotten."""
        return start >= pruned and not self._ledger.gaps(start, until)

    def _due(self, intervals: Iterable[Interval]) -> Iterator[Interval]:
        """Add up the intervals, and move those that are in the RRD to the oldest that is not.

        Intervals of a log that repeats another stay where they are, and the RRD is rebuilt.
        """
        oldest = self._ledger.state.rrd_until or self._ledger.state.begin or 0
        for start, counts in intervals:
            lines, inbound = events(counts), inbound_events(counts)
            self._rhythm.add(start, lines + inbound)
            self._counted += connections(counts)
            self._recipients += lines - connections(counts)
            self._received += messages_received(counts)
            self._inbound += inbound
            if start < oldest and self._repeats:
                self._ledger.mark_changed(start)
            elif start < oldest:
                self._omitted["late"] += lines + inbound
                start = oldest
            yield Interval(start, counts)
