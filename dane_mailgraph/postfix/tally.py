"""Blocks of a log become counts of intervals and of relays.

This is where the time of an import goes: `Lines.lines` finds the lines of clients and servers,
`Tally._count` walks through them, and `Classifier.outcome` says what each counts as.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timezone, tzinfo
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..categories import CATEGORIES
from ..counts import Interval, LineAhead
from ..log import Clock, Parts, forms, heads, repeats
from ..omissions import NOTHING_OMITTED
from ..peers import PeerSet
from ..times import HOUR
from . import delivery, handshake, reception
from .classify import Classifier
from .days import KeptName
from .interruptions import CUT_TAG, interrupt, interruptions, writers
from .lines import CLIENT, SERVER, Fields, Kind, Lines, host_of, split_writer
from .marks import Marks, fingerprint
from .outcome import Judge, Outcome
from .overlap import Overlap
from .pending import Drained, Pending
from .reception import Reception, Servers
from .sessions import Sessions

_MOST_DIFFERENT = 20_000
"""Different outcomes kept in memory at a time, of 500 bytes each: strangers choose how many."""


class _Reader(NamedTuple):
    """How the lines of one kind are found, and what they count as."""

    kind: Kind
    lines: Lines
    judge: Judge
    timeless: Judge
    """Judges lines without a time, which say nothing of those behind them."""
    counts: Callable[[bytes], object]
    """Says whether a text counts whose program's name was cut off."""


def _readers(relays: PeerSet, clients: PeerSet, sessions: Sessions) -> tuple[_Reader, ...]:
    """Return one reader a kind; lines about these relays and clients count nowhere."""
    judges = Classifier(relays, sessions), Classifier(relays, Sessions())
    of_server = Reception(clients, sessions.servers), Reception(clients, Servers())
    return (
        _Reader(CLIENT, Lines(CLIENT), *judges, _counts),
        _Reader(SERVER, Lines(SERVER), *of_server, reception.counts),
    )


class _Writer:
    """A service whose lines stand in a block."""

    __slots__ = ("host", "name", "offset", "service", "times")

    def __init__(self, reader: _Reader, writer: bytes) -> None:
        self.offset, self.name = split_writer(writer, reader.kind.rest)
        self.host = host_of(self.name)
        self.service = reader.judge.service(self.name)
        self.times: dict[bytes, int] = {}
        """Stamps of lines that are counted, and their epoch seconds."""


class Tally:
    """Adds up what the lines of a log count as, block by block, until the counts are drained."""

    def __init__(
        self,
        step: int,
        ignored: PeerSet,
        latest_plausible: int,
        sessions: Sessions | None = None,
        hosts: forms.Hosts | None = None,
        ignored_clients: PeerSet | None = None,
    ) -> None:
        """`step` is the length of an interval in seconds; only lines of `hosts` count, None: all.

        `ignored_clients` are the clients whose lines count nowhere; None: the same as `ignored`.

        Lines stamped after the epoch second `latest_plausible` are put into `ahead`.
        """
        self._hosts = hosts
        self._step = step
        self.latest_plausible = latest_plausible
        self.ahead: list[LineAhead] = []
        self._sessions = sessions or Sessions()
        clients = ignored if ignored_clients is None else ignored_clients
        self._readers = _readers(ignored, clients, self._sessions)
        self._pending = Pending(step)
        self._made_before = 0
        """`_made` when the counts were drained last."""
        self.marks = Marks()
        """Up to which line each host is counted."""
        self._overlap: Overlap | None = None
        self._parts = Parts()
        self._has_cut_tags = False
        """The present block has lines whose tag was cut to the package's name."""
        self._last_line = b""
        """The line before the next block of this log."""
        self.warnings: dict[str, tuple[int, int]] = {}
        """Postfix's warnings by name: their number, and the minute of the last one."""
        self.first: int | None = None
        """When the first line of this log was written."""
        self.newest: int | None = None
        """When the latest line was written of those that were looked at."""
        self.first_new: int | None = None
        """When the first line of this log was written that had not been counted before."""
        self._noted: Counter[tuple[int, str]] = Counter()
        """Hour and name of what is kept beside the counts, as in `Judge.noted`."""
        self._omitted: Counter[str] = Counter()
        """The omissions among the notes that were taken."""

    @property
    def omitted(self) -> Counter[str]:
        """How many lines were left out so far, by the names of `OMISSIONS`."""
        return self._omitted + _omissions(self._notes())

    def _notes(self) -> Counter[tuple[int, str]]:
        judges = [judge for each in self._readers for judge in (each.judge, each.timeless)]
        return sum((judge.noted for judge in judges), self._noted)

    def take_notes(self) -> Counter[tuple[int, str]]:
        """Return and forget what is kept of the log beside the counts: hour and name -> how often.

        They are omissions, Postfix's warnings, and what `categories.VISIBILITY` names.
        """
        notes = self._notes()
        self._omitted += _omissions(notes)
        for each in self._readers:
            each.judge.noted.clear()
            each.timeless.noted.clear()
        self._noted.clear()
        return notes

    def take_known(self) -> set[str]:
        """Return and forget the domains whose clients brought messages over TLS."""
        judges = [each.judge for each in self._readers]
        return set().union(*(each.take_senders() for each in judges if isinstance(each, Reception)))

    def _note(self, name: str, at: int | None, times: int = 1) -> None:
        """Note lines of this second, or of the newest line where they have no readable time."""
        if at is None:
            at = self.latest_plausible if self.newest is None else self.newest
        self._noted[at - at % HOUR, name] += times

    def start_log(self, overlap: Overlap | None = None) -> None:
        """Begin with another log, which may say again what has been counted before."""
        self._overlap = overlap
        self._parts, self._last_line = Parts(), b""
        self.first = self.newest = self.first_new = None

    def end_log(self, clock: Clock) -> None:
        """Add the beginning of a line that a container's runtime has cut, and no more came."""
        rest = b"".join(line + b"\n" for line in self._parts.end())
        if rest:
            self.add_block(bytearray(rest), len(rest), clock)

    # ---- blocks ----

    def add_block(self, block: bytearray, end: int, clock: Clock) -> None:
        """Add the lines of `block[:end]` to the counts.

        Of a block only the lines of clients and servers, the first line and the last one are read.
        All lines are read where the first or the last one has no readable time, and within two
        hours of a clock change: there each line says in which pass of a repeated hour the next is.
        """
        block, end = forms.in_usual_form(block, end, self._parts)
        if not end:
            return
        named = repeats.named(block, end, self._last_line)
        block, end = named.block, named.end
        for at in (heads.stamp_of(line, clock) for line in named.unknown):
            self._note("not_understood", at)
        self._last_line = bytes(block[block.rfind(b"\n", 0, end - 1) + 1 : end - 1])
        if self._hosts:
            block, end = self._hosts.lines(block, end)
            if not end:
                return
        readable = [at for at in _first_and_last(block, end, clock) if at is not None]
        if readable and self._sessions.complete_since is None:
            self._sessions.begin(readable[0])
        timeless = _count_timeless(block, end, clock) if len(readable) < 2 else None
        if readable and clock.crosses_a_fold(min(readable), max(readable)):
            lost = sum(
                self._add(line, len(line), clock)
                for line in heads.lines_with(heads.ANY_LINE, block, end)
            )
        else:
            lost = self._add(block, end, clock)
        self._note("unreadable", None, lost if timeless is None else timeless)

    def _add(self, block: bytearray, end: int, clock: Clock) -> int:
        """Add the lines of a block; return how many would count but have no readable time."""
        first, last = _first_and_last(block, end, clock)
        self._advance(first, clock)
        lost = begin = 0
        found = writers(block, end)
        self._has_cut_tags = CUT_TAG in found
        for each in interruptions(block, end, found):
            lost += self._add_part(block[begin : each.begin], each.begin - begin, clock)
            begin = each.begin
            interrupt(self._sessions, each, clock.read(each.stamp, each.offset))
        lost += self._add_part(block[begin:end] if begin else block, end - begin, clock)
        self._advance(last, clock)
        return lost

    def _add_part(self, block: bytearray, end: int, clock: Clock) -> int:
        return sum(self._add_kind(each, block, end, clock) for each in self._readers) if end else 0

    def _add_kind(self, reader: _Reader, block: bytearray, end: int, clock: Clock) -> int:
        found = reader.lines.lines(block, end, whole=self._has_cut_tags)
        for stamp, offset, text in found.nameless:
            times, said = handshake.unwrap(text)
            if reader.counts(said):
                at = clock.read(stamp, offset)
                self._note("nameless", at, times)
                if at is not None:
                    self._pending.doubt(reader.kind, at)
        lost = self._count(reader, found.lines, clock)
        for at in (heads.stamp_of(line, clock) for line in found.puzzling):
            if at is None:
                lost += 1
            elif not self._was_counted(at):
                self._note("not_understood", at)
                self._pending.doubt(reader.kind, at)
        return lost

    def _was_counted(self, at: int) -> bool:
        """Return whether a line of this second, whose host is not understood, was read before."""
        counted = self._overlap and self._overlap.counted
        return bool(counted and counted.has_any_among(at))

    def _advance(self, at: int | None, clock: Clock) -> None:
        """Note that a line was written at this epoch second."""
        if at is not None and at <= self.latest_plausible:
            clock.advance(at)
            self.first = at if self.first is None else self.first
            self.newest = at if self.newest is None else max(self.newest, at)

    # ---- lines ----

    def _count(self, reader: _Reader, lines: list[Fields], clock: Clock) -> int:
        """Add the lines of a kind; return how many would count, had they a readable time."""
        if not lines:
            return 0
        lost = 0
        at: int | None = None
        writers: dict[bytes, _Writer] = {}
        overlap, sifted = self._overlap, list[Fields]()
        outcomes_at, outcome_of = self._pending.at, reader.judge.outcome
        for (stamp, writer), run in groupby(lines, _STAMP_AND_WRITER):
            wrote = writers.get(writer)
            if wrote is None:
                wrote = writers[writer] = _Writer(reader, writer)
            at = wrote.times.get(stamp)
            if at is None or clock.recurs(at):
                at = clock.read(stamp, wrote.offset)
                self._advance(at, clock)
                if at is None or at > self.latest_plausible:
                    lost += self._put_aside(reader, wrote.name, run, at)
                    continue
            new = self._sift(reader, wrote.name, run, at) if overlap else run  # noqa: B031 - only one of them
            if overlap:
                if not new:
                    continue
                sifted += new
            wrote.times[stamp] = at
            service, outcomes = wrote.service, outcomes_at(at)
            for line in new:
                outcomes.append(outcome_of(service, line, at))
        self._mark(sifted if overlap else lines, writers)
        self._pending.add_lines(len(lines))
        if at is not None:
            self._sessions.prune(at)
        return lost

    def _mark(self, lines: list[Fields], writers: Mapping[bytes, _Writer]) -> None:
        """Note that these lines are counted, which these writers wrote.

        It is done once a block, because doing it for each second costs 7 % of an import.
        """
        first: dict[bytes, int] = {}
        newest: dict[bytes, int] = {}
        for each in writers.values():
            if times := list(each.times.values()):
                first[each.host] = min(first.get(each.host, times[0]), *times)
                newest[each.host] = max(newest.get(each.host, 0), *times)
        latest: dict[bytes, list[Fields]] = {host: [] for host in newest}
        stamps = {
            stamp
            for each in writers.values()
            for stamp, at in each.times.items()
            if at == newest[each.host]
        }
        for line in [line for line in lines if line[0] in stamps]:
            wrote = writers[line[1]]
            if wrote.times.get(line[0]) == newest[wrote.host]:
                latest[wrote.host].append(line)
        for host, its_lines in latest.items():
            self.marks.add(host, first[host], newest[host], its_lines)
            self.first_new = first[host] if self.first_new is None else self.first_new

    def _sift(self, reader: _Reader, name: bytes, run: Iterable[Fields], at: int) -> list[Fields]:
        """Return the new lines; judge the others for the sessions, note them as omitted."""
        assert self._overlap
        lines = list(run)
        omissions = self._overlap.omissions(host_of(name), at, at - at % self._step, lines)
        if omissions is None:
            return lines
        service = reader.judge.service(name)
        for line, omission in zip(lines, omissions, strict=True):
            if omission:
                outcome = reader.judge.outcome(service, line, at)
                if outcome.indexes:
                    self._note(omission, at, outcome.times)
        return [line for line, each in zip(lines, omissions, strict=True) if not each]

    def _put_aside(
        self, reader: _Reader, name: bytes, run: Iterable[Fields], at: int | None
    ) -> int:
        """Keep lines of the future; return how many without a time would count, had they one."""
        if at is None:
            service, now = reader.timeless.service(name), self.newest or 0
            return sum(bool(reader.timeless.outcome(service, line, now).indexes) for line in run)
        service, host = reader.judge.service(name), host_of(name).decode("latin-1")
        for line in run:
            outcome = reader.judge.outcome(service, line, at)
            if outcome.indexes:
                keys = tuple(CATEGORIES[index].key for index in outcome.indexes)
                relay, protocol = outcome.relay, outcome.protocol
                self.ahead.append(
                    LineAhead(
                        at,
                        host,
                        fingerprint(line),
                        keys,
                        outcome.times,
                        relay,
                        protocol,
                        outcome.key_exchange,
                        outcome.warning,
                    )
                )
        return 0

    def count_ahead(self, line: LineAhead) -> None:
        """Count a line that was put aside and whose time has come."""
        self._pending.at(line.at).append(Outcome.of(line))
        self._pending.add_lines(1)
        self.marks.add_ahead(line)

    # ---- counts ----

    @property
    def _made(self) -> int:
        return sum(each.judge.made for each in self._readers)

    @property
    def should_flush(self) -> bool:
        """Whether so much has been counted that it is time to drain it."""
        return self._pending.is_full or self._made - self._made_before >= _MOST_DIFFERENT

    def drain(self, zone: tzinfo | None, kept_name: KeptName | None = None) -> Drained:
        """Return and forget the counts: those of relays and the like by the days of a zone."""
        drained = self._pending.drain(zone, kept_name)
        self._made_before = self._made
        for name, times, last in drained.warnings:
            before, latest = self.warnings.get(name, (0, last))
            self.warnings[name] = before + times, max(latest, last)
            self._note(name, last, times)
        return drained

    def intervals(self) -> list[Interval]:
        """Return and forget the counts, without those of relays."""
        return self.drain(timezone.utc).intervals


def _counts(text: bytes) -> bool:
    """Return whether a text of a client without a name would count."""
    return bool(handshake.summary(text)) or delivery.names_server(text)


def _omissions(notes: Counter[tuple[int, str]]) -> Counter[str]:
    """Return the omissions among what is noted."""
    found: Counter[str] = Counter()
    for (_, name), times in notes.items():
        if name in NOTHING_OMITTED:
            found[name] += times
    return found


_STAMP_AND_WRITER = itemgetter(0, 1)


def _first_and_last(block: bytearray, end: int, clock: Clock) -> tuple[int | None, int | None]:
    """Return the times of the first and the last line of `block[:end]`."""
    first = block.find(b"\n", 0, end)
    last = block.rfind(b"\n", 0, end - 1) + 1
    return (
        heads.stamp_of(block[: first if first >= 0 else end], clock),
        heads.stamp_of(block[last:end], clock),
    )


def _count_timeless(block: bytearray, end: int, clock: Clock) -> int:
    """Return how many lines have no readable time; annotations and empty lines need none."""
    return sum(
        heads.stamp_of(line, clock) is None
        for line in bytes(block[:end]).split(b"\n")
        if line and not line.startswith(b"#")
    )
