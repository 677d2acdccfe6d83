"""Log to ledger to RRD: one step, exact under any crash.

What the ledger remembers between two steps (`Ledger.get`), all of it changed in the transaction that counts:
`begin` the first interval of all; `reached` the end of what the log has been read for; `bookmark PATH` how far;
`services` what is known of the clients, and what they hold; `seen` when the log was last read to its end;
`newest` the time of its newest line; `horizon` set while what is before it has been counted already; `late`, `future`,
`skipped`, `unreadable`, `nameless`, `illegible` how many so far. `written`, `writing`, `snapshot` and `forgotten` are the
store's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime, tzinfo
from typing import Any, NamedTuple, Protocol

from .archive import Opened, opened
from .clock import Clock
from .daybook import Daybook
from .errors import SourceError
from .ledger import Gap, Ledger
from .mailgraph import Carried, carry, is_rrd
from .overlap import Overlap, Part
from .place import holds
from .postfix import Relays
from .sessions import Sessions
from .syslog import Blocks, stamp_of
from .tail import Log
from .tally import Interval, Tally, connections, day_of, events

TOLERANCE = 120
"""Seconds by which a stamp may be ahead of the clock; what is further ahead is counted nowhere."""

QUIET = 6 * 3600
"""Seconds. Between two logs that do not join, a shorter silence is quiet and a longer one is a lost log."""

DAY = 86400

TRUSTED = DAY
"""Seconds beyond the newest line for which the clock alone is believed that nothing was logged."""


def _read_until(newest: int, now: int) -> int:
    """Up to when a log is known that was read to its end at `now`.

    Where its newest line is old, it is not the log of today: what follows that line may still be to come.
    """
    return now if now - newest <= TRUSTED else newest


class Piece(Protocol):
    """A stretch of a log, to be read on from where it was left."""

    @property
    def latest(self) -> int:
        """When its last line can have been written."""

    @property
    def lost(self) -> bool:
        """What stood before it cannot be found; asked when it has been read."""

    @property
    def blocks(self) -> Blocks:
        """Its whole lines."""

    def missing(self) -> bool:
        """Whether lines are missing before the block that was read last; asked once for each block."""

    @property
    def place(self) -> Any:
        """How far it has been read by now."""


class Source(Protocol):
    """A log that can be followed: a file (`tail`) or the journal. What a bookmark is, only it knows."""

    @property
    def bookmark(self) -> str:
        """Under which name the ledger keeps the bookmark."""

    @property
    def notices(self) -> list[str]:
        """What is to be said of the last reading, in sentences."""

    def remembered(self, said: Any, /) -> Any:
        """The bookmark as the ledger has kept it; something false for None."""

    def unchanged(self, places: Any, now: int, /) -> bool:
        """Whether there is surely nothing to read."""

    def pieces(self, places: Any, now: int, seen: int, /) -> Iterator[Any]:
        """The `Piece`s to read, oldest first, each open until the next is asked for; raises SourceError."""

    def after(self, places: Any, read: list[Any], now: int, /) -> Any:
        """The bookmark when these pieces have been read."""

    def keep(self, place: Any, /) -> None:
        """The ledger has been written."""

    def is_at(self, log: Opened, /) -> bool:
        """Whether an open file is this log."""


class Rules(NamedTuple):
    """The settings that counting depends on."""

    step: int
    grace: int
    zone: tzinfo | None
    ignored: Relays
    relays_per_day: int = 1000
    relays_days: int = 400


class Step(NamedTuple):
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


_Look = Callable[[bytearray, int, int], None]
"""Is shown each block as it is counted, with its end and its place in what is read."""


class _Count:
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
        self._daybook = Daybook(ledger)
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
        look: _Look | None = None,
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
            self._ledger.set("reached", max(until - until % self.rules.step, self._ledger.get("reached", begin)))

    def step(self) -> Step:
        """What was done; the ledger's totals are brought up to it."""
        tally, lost = self._tally, tuple(self._lost)
        read = self._read, self._lines, self._counted, self._recipients, self._late, self._skipped
        done = Step(*read, tally.future, tally.unreadable, tally.nameless, tally.illegible, lost)
        self._daybook.warn(tally.alarms)
        self._daybook.forget(day_of(self._now - self.rules.relays_days * DAY, self.rules.zone))
        for name in ("late", "skipped", "future", "unreadable", "nameless", "illegible"):
            if getattr(done, name):
                self._ledger.set(name, self._ledger.get(name, 0) + getattr(done, name))
        return done

    def _write(self) -> None:
        self._begin()
        intervals, days = self._tally.taken(self.rules.zone)
        self._ledger.add(self._due(intervals))
        self._daybook.add(days, self.rules.relays_per_day)

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


def collect(log: Source, ledger: Ledger, rules: Rules, now: int, *, count_lines: bool = False) -> Step:
    """Read the log from the bookmark to the end of its last whole line, and count it; raises SourceError.

    Counts and bookmark are one transaction: a crash at any instant loses and doubles nothing.
    """
    places, seen, newest = log.remembered(ledger.get(log.bookmark)), ledger.get("seen", now), ledger.get("newest")
    due = newest is not None and _read_until(newest, now) >= ledger.get("reached", now) + rules.step
    if not due and log.unchanged(places, now):
        return Step()
    horizon = ledger.get("horizon") if places else counted_until(ledger, rules.step)
    with ledger.transaction():
        # Who follows a log from its first line on knows of no session that was made before.
        sessions = Sessions.restored(ledger.get("services") if places else None)
        count = _Count(ledger, rules, now, count_lines=count_lines, sessions=sessions)
        pieces: list[Piece] = []
        for piece in log.pieces(places, now, seen):
            pieces.append(piece)
            # A line that was not there at the last look is not older than that look: this tells the second
            # pass of an hour that autumn repeats from the first.
            newest = ledger.get("newest", seen)
            known = max(newest, _read_until(newest, seen)) if places else None
            first = count.take(piece.blocks, Clock(rules.zone, piece.latest, previous=known), horizon, piece.missing)
            if piece.lost and known is not None:
                count.lose(known, min(now if first is None else first, now) + 1)
            elif not places and first is not None:
                count.join(first)
        newest = ledger.get("newest")
        if newest is not None:
            count.reach(_read_until(newest, now))
        ledger.set(log.bookmark, log.after(places, pieces, now))
        ledger.set("seen", now)
        ledger.set("services", count.sessions.saved(ledger.get("newest", now)))
        ledger.set("horizon", None)
        step = count.step()
    log.keep(pieces[-1].place)
    return step


def remarks(step: Step, zone: tzinfo | None) -> Iterator[str]:
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
        start, until = (datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S") for at in (each.start, each.until))
        yield (
            f"{each.earlier} and {each.later} are logs of one host and both tell of {start} to {until}, so what stands in both "
            "is counted twice; if they tell of the same mail, `import --rebuild` without one of them."
        )


# ---- whole logs -----------------------------------------------------------------------------


Progress = Callable[[list[Opened]], None]
"""Is told now and then how far an import has come."""


def import_logs(
    paths: list[str], live: Source, ledger: Ledger, rules: Rules, now: int, year: int | None, progress: Progress
) -> Step:
    """Count whole logs, in the order of their first lines, in one transaction; raises SourceError.

    Only what is later than the newest interval already counted. Where the live log is among them it is
    left with its bookmark; what of it has been read is skipped, and all the rest counted. What an RRD of
    mailgraph's holds comes before all logs.
    """
    if ledger.get(live.bookmark):
        collect(live, ledger, rules, now)
    with ExitStack() as stack:
        files = [(path, stack.enter_context(opened(path, named=True))) for path in _distinct(paths)]
        parts = [Part(path, file, _first_time(file, rules.zone, now, year)) for path, file in files if not is_rrd(file.begin)]
        parts.sort(key=lambda part: (part.first, live.is_at(part.log), part.log.name))
        logs = [part.log for part in parts]
        with ledger.transaction():
            carried = tuple(carry(file.name, ledger, rules.step, now) for _, file in files if is_rrd(file.begin))
            count = _Count(ledger, rules, now, lambda: progress(logs))
            horizon = counted_until(ledger, rules.step)
            overlaps = []
            for number, part in enumerate(parts):
                log, before, later = part.log, parts[:number], parts[number + 1 :]
                clock = _clock(log, rules.zone, now, year)
                if not count.joins(part.first):
                    count.sessions.known = None
                known = part.known(before, later)
                look = _looking(part, known, later, count)
                if isinstance(live, Log) and live.is_at(log):
                    first, part.size = _import_live(log, live, count, ledger, clock, horizon, now, known, look)
                else:
                    # The end of a followed file's unfinished line is still to come, and the bookmark waits for it.
                    places = live.remembered(ledger.get(live.bookmark)) if isinstance(live, Log) else ()
                    ours = any(holds(log, place) for place in places)
                    first, part.size = _import_one(log, count, clock, horizon, known, look, to_the_end=not ours)
                part.newest = None if first is None else count.newest
                if overlap := part.overlap(before, first, horizon):
                    overlaps.append(overlap)
            step = count.step()
    counted = step.counted + sum(each.connections for each in carried)
    return step._replace(counted=counted, carried=carried, overlaps=tuple(overlaps))


def _looking(part: Part, known: int, later: list[Part], count: _Count) -> _Look | None:
    """What looks in a log for the beginnings of later ones; nothing where none is of the same host."""
    beside = [each for each in later if each.is_beside(part)]

    def look(block: bytearray, end: int, place: int) -> None:
        for each in beside:
            each.look(part, count.newest, block, end, known + place)

    return look if beside else None


def _import_one(
    log: Opened, count: _Count, clock: Clock, horizon: int | None, known: int, look: _Look | None, *, to_the_end: bool
) -> tuple[int | None, int]:
    """When the first line was written that was not `known`, and up to which byte the log has been counted."""
    log.skip(known)
    blocks = Blocks(log.readinto, to_the_end=to_the_end)
    first = count.take(blocks, clock, horizon, look=look)
    count.finish(first)
    return first, known + blocks.consumed


def _import_live(
    log: Opened,
    live: Log,
    count: _Count,
    ledger: Ledger,
    clock: Clock,
    horizon: int | None,
    now: int,
    known: int,
    look: _Look | None,
) -> tuple[int | None, int]:
    """The same of the live log; what its bookmark says has been read is left out."""
    places = live.remembered(ledger.get(live.bookmark))
    if places:
        if not holds(log, places[-1]):
            raise SourceError(f"{log.name} was rotated just now; run the import again.")
        count.skip(Blocks(_limited(log.readinto, places[-1].offset)), clock)
        return None, 0
    piece = live.begun(log, min(known, log.status.st_size))  # a copy may be longer
    first = count.take(piece.blocks, clock, horizon, look=look)
    piece.check()
    newest = ledger.get("newest")
    if first is not None:
        count.join(first)
    if newest is not None:
        count.reach(max(_read_until(newest, now), min(now, newest + count.rules.step)))
    ledger.set(live.bookmark, live.after((), [piece], now))
    ledger.set("seen", now)
    ledger.set("services", count.sessions.saved(ledger.get("newest", now)))
    return first, piece.place.offset


def _limited(readinto: Callable[[memoryview], int | None], size: int) -> Callable[[memoryview], int | None]:
    """The same file, ending after `size` bytes."""

    def limited(view: memoryview) -> int | None:
        nonlocal size
        got = readinto(view[:size]) or 0
        size -= got
        return got

    return limited


def _clock(log: Opened, zone: tzinfo | None, now: int, year: int | None) -> Clock:
    return Clock(zone, now if year or not log.dated else int(log.status.st_mtime), year=year)


def _first_time(log: Opened, zone: tzinfo | None, now: int, year: int | None) -> float:
    """When the log begins, as far as its first lines tell."""
    clock = _clock(log, zone, now, year)
    times = (stamp_of(line, clock) for line in log.begin.split(b"\n"))
    return next((at for at in times if at is not None), float("inf"))


def _distinct(paths: Iterable[str]) -> list[str]:
    """Each file once, under whatever names it is given."""
    return list({"-" if path == "-" else os.path.realpath(path): path for path in paths}.values())
