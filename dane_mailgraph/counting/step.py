"""What one step of counting does to the ledger, and what it says of it.

What the ledger remembers between two steps (`Ledger.get`), all of it changed in the transaction that counts:
`begin` the first interval of all; `reached` the end of what the log has been read for; `bookmark PATH` how far;
`services` what is known of the clients, and what they hold; `seen` when the log was last read to its end;
`newest` the time of its newest line; `horizon` set while what is before it has been counted already; `late`, `future`,
`skipped`, `unreadable`, `nameless`, `illegible` how many so far. `written`, `writing`, `snapshot` and `forgotten` are the
store's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, tzinfo
from typing import NamedTuple

from ..counts import Interval, connections, events
from ..log import Blocks, Clock
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


def read_until(newest: int, now: int) -> int:
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
    late: int = 0
    """Of all these, those counted in a later interval than their own, because that one was closed."""
    skipped: int = 0
    """Such that had been counted already."""
    future: int = 0
    """Such that are stamped in the future, counted nowhere."""
    unreadable: int = 0
    """Lines without a readable time, counted nowhere."""
    nameless: int = 0
    """Connections of which the program is not known, counted nowhere."""
    illegible: int = 0
    """Lines about a recipient that are cut off, or can be read in two ways: counted nowhere, or as unknown."""
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
        self._counted = self._recipients = self._late = self._skipped = self._read = self._lines = 0
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
        self._tally.unreadable += blocks.overlong
        self._read += blocks.consumed - before
        if self._tally.newest is not None:
            self._ledger.set("newest", max(self._tally.newest, self._ledger.get("newest", 0)))
        return self._tally.first

    def skip(self, blocks: Blocks, clock: Clock) -> None:
        """Look through what has been counted before, only to say how much it is."""
        past = Tally(self.rules.step, self.rules.ignored, self._now + TOLERANCE)
        for block, end in blocks:
            past.take(block, end, clock)
            self._skipped += sum(events(each.counts) for each in past.intervals())

    def lose(self, start: int, until: int) -> None:
        """Mark the intervals from one time to the other as lost, with those of which only a part is."""
        step, written = self.rules.step, self._ledger.get("written") or 0
        gap = Gap(max(start - start % step, written), until + -until % step)
        if gap.start < gap.until:
            self._ledger.mark(gap)
            self._lost.append(gap)

    def joins(self, first: float) -> bool:
        """Whether a log that begins here goes on where the last one ended: no long silence lies between."""
        reached: float = self._ledger.get("reached", first)
        return first - reached <= QUIET

    def join(self, first: int) -> None:
        """What lies between the last log and one that begins here is lost, if it is a long silence."""
        if not self.joins(first):
            self.lose(self._ledger.get("reached"), first - first % self.rules.step)

    def finish(self, first: int | None) -> None:
        """A whole log has been read: up to its newest line nothing is missing."""
        if first is not None and self._tally.newest is not None:
            self.join(first)
            self.reach(self._tally.newest + self.rules.step)

    def reach(self, until: int) -> None:
        """Everything before this time has been read, quiet or not; its whole intervals can be closed."""
        begin = self._ledger.get("begin")
        if begin is not None:
            self._ledger.set(
                "reached", max(until - until % self.rules.step, self._ledger.get("reached", begin))
            )

    def close(self) -> Result:
        """What was done; the ledger's totals are brought up to it."""
        tally, lost = self._tally, tuple(self._lost)
        read = self._read, self._lines, self._counted, self._recipients, self._late, self._skipped
        done = Result(*read, tally.future, tally.unreadable, tally.nameless, tally.illegible, lost)
        self._relays.add_warnings(tally.alarms)
        self._relays.prune(day_of(self._now - self.rules.relays_days * DAY, self.rules.zone))
        for name in ("late", "skipped", "future", "unreadable", "nameless", "illegible"):
            if getattr(done, name):
                self._ledger.set(name, self._ledger.get(name, 0) + getattr(done, name))
        return done

    def _write(self) -> None:
        self._begin()
        intervals, days = self._tally.taken(self.rules.zone)
        self._ledger.add(self._due(intervals))
        self._relays.add(days, self.rules.relays_per_day)

    def _begin(self) -> None:
        """The first line of all decides where the counting begins."""
        first = self._tally.first
        if first is not None and self._ledger.get("begin") is None:
            self._ledger.set("begin", first - first % self.rules.step)

    def _due(self, intervals: Iterable[Interval]) -> Iterator[Interval]:
        """Where each interval's counts go: an interval that is in the RRD can take no more."""
        oldest = self._ledger.get("written") or self._ledger.get("begin") or 0
        for start, counts in intervals:
            seen = events(counts)
            if self._horizon is not None and start < self._horizon:
                self._skipped += seen
                continue
            self._counted += connections(counts)
            self._recipients += seen - connections(counts)
            if start < oldest:
                self._late += seen
                start = oldest
            yield Interval(start, counts)


def counted_until(ledger: Ledger, step: int) -> int | None:
    """The end of the newest interval in which something was counted, or that is in the RRD; None before all."""
    newest, written = ledger.newest, ledger.get("written")
    ends = [end for end in (None if newest is None else newest + step, written) if end is not None]
    return max(ends, default=None)


def remarks(step: Result, zone: tzinfo | None) -> Iterator[str]:
    """What of a step is out of the ordinary, in sentences."""
    if step.unreadable:
        yield f"{step.unreadable:,} lines without a readable time count nowhere; `dane-mailgraph explain` shows which."
    if step.nameless:
        yield (
            f"{step.nameless:,} connections count nowhere, because rsyslog's RFC 5424 format cuts the program's name; "
            "let rsyslog write RSYSLOG_FileFormat."
        )
    if step.future:
        yield f"{step.future:,} lines are stamped in the future and count nowhere; look at the clock and at time_zone."
    if step.late:
        yield f"{step.late:,} lines came after their interval was closed and are counted in the oldest open one."
    if step.illegible:
        yield (
            f"{step.illegible:,} lines about a recipient are cut off, or can be read in two ways, and count nowhere or as "
            "unknown; `dane-mailgraph explain` shows which."
        )
    yield from (each.in_words(zone) for each in step.carried)
    for gap in step.lost:
        start, until = (datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M") for at in gap)
        yield f"The log from {start} to {until} is lost, so that time is unknown; look at how the log is rotated."
    for each in step.overlaps:
        start, until = (
            datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S")
            for at in (each.start, each.until)
        )
        yield (
            f"{each.earlier} and {each.later} are logs of one host and both tell of {start} to {until}, so what stands in both "
            "is counted twice; if they tell of the same mail, `import --rebuild` without one of them."
        )
