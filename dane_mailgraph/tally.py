"""Counted things become `Interval`s: how often each category was seen between `start` and `start + step`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from . import postfix, syslog
from .counted import COUNTED
from .postfix import Relays
from .syslog import Clock, Grammar

KEPT = 2000
"""Texts and intervals kept in memory at a time: a day and a half of minutes."""


class Interval(NamedTuple):
    """The counts of one step, in the order of `COUNTED`."""

    start: int
    """Epoch second, a multiple of the step."""
    counts: tuple[int, ...]


class _Meaning(dict[bytes, int]):
    """Text -> which of `outcomes` it is; a busy server says the same few things again and again."""

    def __init__(self, ignored: Relays) -> None:
        self._ignored = ignored
        self._number: dict[tuple[tuple[int, ...], int], int] = {}
        self.outcomes: list[tuple[tuple[int, ...], int]] = []
        """Positions in `COUNTED`, and how often each is counted."""

    def __missing__(self, text: bytes) -> int:
        said = postfix.session(text)
        outcome = (tuple(COUNTED.index(each) for each in postfix.counted(said, self._ignored)), said.times) if said else ((), 0)
        if outcome not in self._number:
            self._number[outcome] = len(self.outcomes)
            self.outcomes.append(outcome)
        if len(self) >= KEPT:
            self.clear()
        number = self[text] = self._number[outcome]
        return number

    def counts(self, text: bytes) -> int:
        """How many connections a text is, were its program known."""
        positions, times = self.outcomes[self[text]]
        return times if positions else 0


class Tally:
    """Takes blocks of a log and keeps the counts of their intervals."""

    def __init__(self, step: int, ignored: Relays, horizon: int) -> None:
        """`horizon` is the epoch second after which no line can have been written."""
        self._step = step
        self._horizon = horizon
        self._grammar = Grammar.of(step)
        self._meaning = _Meaning(ignored)
        self._rows: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.first: int | None = None
        """When the first line was written."""
        self.newest: int | None = None
        """When the latest line at an end of a block was written."""
        self.future = 0
        """Connections stamped after the horizon: counted nowhere."""
        self.unreadable = 0
        """Lines without a readable time, as far as they were looked at (see `take`)."""
        self.nameless = 0
        """Connections in RFC 5424 lines from which rsyslog has cut the program's name: counted nowhere."""

    def take(self, block: bytearray, end: int, clock: Clock) -> None:
        """Count the lines of `block[:end]`.

        Looked at are the first line, the last one and those of connections; all of them where the first
        or the last holds no readable time.
        """
        first = syslog.stamp_of(_line_at(block, 0, end), clock)
        before = clock.previous
        last = syslog.stamp_of(_line_at(block, block.rfind(b"\n", 0, end - 1) + 1, end), clock)
        clock.previous = before
        if first is None or last is None:
            self.unreadable += _without_time(block, end, clock)
        # What the lines between say matters only in the hours around a change of the clocks.
        folds = first is not None and last is not None and clock.crosses_a_fold(first, last)
        self._count(syslog.lines_with(postfix.ANY_LINE if folds else postfix.SIGN, block, end), clock)
        for at in (first, last):
            if at is not None and at <= self._horizon:
                clock.previous = at
                self.first = at if self.first is None else self.first
                self.newest = at if self.newest is None else max(self.newest, at)

    def _count(self, lines: list[bytearray], clock: Clock) -> None:
        meaning, rows, step = self._meaning, self._rows, self._step
        written: bytes | None = None
        row: defaultdict[int, int] | None = None
        for traditional, rfc3339, offset, text in syslog.client_lines(lines, self._grammar):
            stamp = traditional or rfc3339 + offset
            if stamp != written:
                written = stamp
                at = clock.resolve(traditional, rfc3339, offset)
                row = None if at is None else rows[at - at % step]
            if row is None:
                self.unreadable += 1
            else:
                row[meaning[text]] += 1
        self.nameless += sum(meaning.counts(text) for text in syslog.nameless_lines(lines))

    @property
    def full(self) -> bool:
        """Whether it is time to write the intervals down."""
        return len(self._rows) >= KEPT

    def intervals(self) -> list[Interval]:
        """The intervals in which something was counted, in order; they are forgotten here."""
        taken = []
        for start in sorted(self._rows):
            counts = [0] * len(COUNTED)
            for number, seen in self._rows[start].items():
                positions, times = self._meaning.outcomes[number]
                for position in positions:
                    counts[position] += seen * times
            if start > self._horizon:
                self.future += connections(counts)
            elif any(counts):
                taken.append(Interval(start, tuple(counts)))
        self._rows.clear()
        return taken


def connections(counts: Sequence[int | None]) -> int:
    """How many connections, new and reused, these counts are of."""
    return sum(n or 0 for n, each in zip(counts, COUNTED, strict=True) if each.family == "connections")


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
