"""One counting run inside a ledger transaction, and its summary for the operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from ..counts import Interval, connections, events
from ..log import Blocks, Clock, Source
from ..omissions import NOTHING_OMITTED, OMISSIONS
from ..peers import Relays
from ..postfix import Sessions, Tally
from ..store import Gap, Ledger, RelayTable
from ..times import day_of
from .mailgraph import Carried
from .overlap import Overlap

TOLERANCE = 120
"""Seconds by which a stamp may be ahead of the clock; what is further ahead is counted nowhere."""

QUIET = 6 * 3600
"""Seconds. Between two logs that do not join, a shorter silence is quiet and a longer one is a lost log."""

DAY = 86400

TRUSTED = DAY
"""Seconds beyond the newest line for which the clock alone is believed that nothing was logged."""


def known_until(newest: int, now: int) -> int:
    """Up to when a log is known that was read to its end at `now`.

    Where its newest line is old, it is not the log of today: what follows that line may still be to come.
    """
    return now if now - newest <= TRUSTED else newest


class Rules(NamedTuple):
    """The settings that counting depends on."""

    step: int
    grace: int
    zone: tzinfo | None
    ignored: Relays
    relays_per_day: int = 1000
    relays_days: int = 400


class Result(NamedTuple):
    """What one step did."""

    read: int = 0
    """Bytes of log."""
    lines: int = 0
    """Lines of log, where they were asked for: counting them costs as much as all the rest."""
    counted: int = 0
    """Connections, new and reused."""
    recipients: int = 0
    """Deliveries, and failures for a TLS or DANE reason."""
    omitted: Mapping[str, int] = NOTHING_OMITTED
    """Name of each of the `OMISSIONS` -> how many lines."""
    lost: tuple[Gap, ...] = ()
    """Stretches of time of which the log is gone."""
    overlaps: tuple[Overlap, ...] = ()
    """Stretches of time of which two imported logs of one host tell."""
    carried: tuple[Carried, ...] = ()
    """What an RRD of mailgraph's brought; its connections are among those counted."""


Look = Callable[[bytearray, int, int], None]
"""Is shown each block as it is counted, with its end and its place in what is read."""


class CountingRun:
    """One transaction's worth of counting into a ledger."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Rules,
        now: int,
        progress: Callable[[], None] | None = None,
        *,
        count_lines: bool = False,
        sessions: Sessions | None = None,
    ) -> None:
        self._ledger, self.rules, self._now = ledger, rules, now
        self._horizon: int | None = None
        self._progress = progress
        self.sessions = sessions or Sessions()
        self._tally = Tally(rules.step, rules.ignored, now + TOLERANCE, self.sessions)
        self._relays = RelayTable(ledger)
        self._count_lines = count_lines
        self._omitted: Counter[str] = Counter()
        self._counted = self._recipients = self._read = self._lines = 0
        self._lost: list[Gap] = []

    @property
    def newest(self) -> int | None:
        """When the newest line was written of the log that was taken last, or is being taken."""
        return self._tally.newest

    def take(
        self,
        blocks: Blocks,
        clock: Clock,
        horizon: int | None,
        missing: Callable[[], bool] = lambda: False,
        look: Look | None = None,
    ) -> int | None:
        """Count a log from where it stands, but for what is before `horizon`; the time of its first line.

        `missing` says whether lines are missing before a block, so that nothing is known of the sessions they announced.
        """
        self._horizon = self._tally.since = horizon
        self._tally.first = self._tally.newest = None
        before = blocks.consumed
        for block, end in blocks:
            if missing():
                self.sessions.known = None
            self._tally.take(block, end, clock)
            if self._count_lines:
                self._lines += block.count(b"\n", 0, end)
            if self._tally.full:
                self._write()
            if look:
                look(block, end, blocks.consumed - end)
            if self._progress:
                self._progress()
        self._write()
        self._omitted["unreadable"] += blocks.overlong
        self._read += blocks.consumed - before
        if self._tally.newest is not None:
            state = self._ledger.state
            newest = max(self._tally.newest, state.newest or 0)
            self._ledger.save(state._replace(newest=newest))
        return self._tally.first

    def skip(self, blocks: Blocks, clock: Clock) -> None:
        """Look through what has been counted before, only to say how much it is."""
        past = Tally(self.rules.step, self.rules.ignored, self._now + TOLERANCE)
        for block, end in blocks:
            past.take(block, end, clock)
            self._omitted["skipped"] += sum(events(each.counts) for each in past.intervals())

    def mark_gap(self, start: int, until: int) -> None:
        """Mark the intervals from one time to the other as lost, with those of which only a part is."""
        step, closed = self.rules.step, self._ledger.state.rrd_until or 0
        gap = Gap(max(start - start % step, closed), until + -until % step)
        if gap.start < gap.until:
            self._ledger.mark_gap(gap)
            self._lost.append(gap)

    def continues(self, first: float) -> bool:
        """Return whether a log that begins at `first` goes on where the last one ended, without a long silence."""
        read_until = self._ledger.state.read_until
        return read_until is None or first - read_until <= QUIET

    def mark_gap_before(self, first: int) -> None:
        """Mark what lies between the last log and one that begins at `first` as lost, if it is a long silence."""
        read_until = self._ledger.state.read_until
        if read_until is not None and not self.continues(first):
            self.mark_gap(read_until, first - first % self.rules.step)

    def finish(self, first: int | None) -> None:
        """A whole log has been read: up to its newest line nothing is missing."""
        if first is not None and self._tally.newest is not None:
            self.mark_gap_before(first)
            self.mark_read_until(self._tally.newest + self.rules.step)

    def mark_read_until(self, until: int) -> None:
        """Everything before this time has been read, quiet or not; its whole intervals can be closed."""
        state = self._ledger.state
        if state.begin is not None:
            whole = until - until % self.rules.step
            read_until = max(whole, state.begin if state.read_until is None else state.read_until)
            self._ledger.save(state._replace(read_until=read_until))

    def mark_read(self, log: Source, bookmark: Any) -> None:
        """The followed log has been read to its end: remember how far, and the sessions that are open."""
        self._ledger.set_bookmark(log.bookmark_key, bookmark)
        newest = self._ledger.state.newest
        sessions = self.sessions.saved(self._now if newest is None else newest)
        self._ledger.save(self._ledger.state._replace(read_at=self._now, sessions=sessions))

    def close(self) -> Result:
        """Bring the ledger's totals up to what was done, and return that."""
        self._omitted.update(self._tally.omitted)
        self._relays.add_warnings(self._tally.alarms)
        self._relays.prune(day_of(self._now - self.rules.relays_days * DAY, self.rules.zone))
        self._ledger.omit(self._omitted)
        return Result(
            self._read,
            self._lines,
            self._counted,
            self._recipients,
            NOTHING_OMITTED | self._omitted,
            tuple(self._lost),
        )

    def _write(self) -> None:
        self._begin()
        intervals, days = self._tally.taken(self.rules.zone)
        self._ledger.add(self._due(intervals))
        self._relays.add(days, self.rules.relays_per_day)

    def _begin(self) -> None:
        """The first line of all decides where the counting begins."""
        first = self._tally.first
        state = self._ledger.state
        if first is not None and state.begin is None:
            self._ledger.save(state._replace(begin=first - first % self.rules.step))

    def _due(self, intervals: Iterable[Interval]) -> Iterator[Interval]:
        """Where each interval's counts go: an interval that is in the RRD can take no more."""
        oldest = self._ledger.state.rrd_until or self._ledger.state.begin or 0
        for start, counts in intervals:
            seen = events(counts)
            if self._horizon is not None and start < self._horizon:
                self._omitted["skipped"] += seen
                continue
            self._counted += connections(counts)
            self._recipients += seen - connections(counts)
            if start < oldest:
                self._omitted["late"] += seen
                start = oldest
            yield Interval(start, counts)


def counted_until(ledger: Ledger, step: int) -> int | None:
    """The end of the newest interval in which something was counted, or that is in the RRD; None before all."""
    newest, closed = ledger.newest, ledger.state.rrd_until
    ends = [end for end in (None if newest is None else newest + step, closed) if end is not None]
    return max(ends, default=None)


def remarks(result: Result, zone: tzinfo | None) -> Iterator[str]:
    """What is out of the ordinary, in sentences."""
    for omission in OMISSIONS:
        count = result.omitted[omission.name]
        if count and omission.is_remarkable:
            yield f"{omission.with_remedy(count)}."
    yield from (each.in_words(zone) for each in result.carried)
    for gap in result.lost:
        start, until = (datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M") for at in gap)
        yield f"The log from {start} to {until} is lost, so that time is unknown; look at how the log is rotated."
    for each in result.overlaps:
        start, until = (
            datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S")
            for at in (each.start, each.until)
        )
        yield (
            f"{each.earlier} and {each.later} are logs of one host and both tell of {start} to {until}, so what stands in both "
            "is counted twice; if they tell of the same mail, `import --rebuild` without one of them."
        )
