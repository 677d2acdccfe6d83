"""Counted things become `Interval`s: how often each category was seen between `start` and `start + step`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from . import postfix, syslog
from .counted import COUNTED
from .postfix import Relays
from .syslog import Clock, Grammar

KEPT = 4000
"""Texts and intervals kept in memory at a time: almost three days of minutes."""

_USUAL = 80
"""Outcomes for which there is room at once: labels, protocols and key exchanges give some dozens."""


class Interval(NamedTuple):
    """The counts of one step, in the order of `COUNTED`."""

    start: int
    """Epoch second, a multiple of the step."""
    counts: tuple[int, ...]


class _Meaning:
    """What texts count as; a busy server says the same few things again and again."""

    def __init__(self, ignored: Relays) -> None:
        self._ignored = ignored
        self._number: dict[tuple[tuple[int, ...], int], int] = {}
        self.outcomes: list[tuple[tuple[int, ...], int]] = []
        """Positions in `COUNTED`, and how often each is counted."""
        self.numbers: dict[bytes, int] = {}
        """Text -> which of `outcomes` it is, for the texts met lately."""

    def of(self, text: bytes) -> int:
        """Which of `outcomes` a text is."""
        said = postfix.session(text)
        outcome = (tuple(COUNTED.index(each) for each in postfix.counted(said, self._ignored)), said.times) if said else ((), 0)
        if outcome not in self._number:
            self._number[outcome] = len(self.outcomes)
            self.outcomes.append(outcome)
        if len(self.numbers) >= KEPT:
            self.numbers.clear()
        number = self.numbers[text] = self._number[outcome]
        return number

    def connections(self, text: bytes) -> int:
        """How many connections a text is, were its program known."""
        positions, times = self.outcomes[self.of(text)]
        return times if positions else 0


class Tally:
    """Takes blocks of a log and keeps the counts of their intervals."""

    def __init__(self, step: int, ignored: Relays, horizon: int) -> None:
        """`horizon` is the epoch second after which no line can have been written."""
        self._step = step
        self._horizon = horizon
        self._grammar = Grammar.of(step)
        self._meaning = _Meaning(ignored)
        self._rows: defaultdict[int, list[int]] = defaultdict(lambda: [0] * _USUAL)
        """Interval -> how often each of the outcomes was met."""
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
        before = clock.previous
        first = syslog.stamp_of(_line_at(block, 0, end), clock)
        last = syslog.stamp_of(_line_at(block, block.rfind(b"\n", 0, end - 1) + 1, end), clock)
        clock.previous = before
        known = [at for at in (first, last) if at is not None]
        if known and clock.crosses_a_fold(min(known), max(known)):
            timeless = self._count_each(block, end, clock)
        else:
            self._meet(first, clock)
            timeless = self._count(syslog.lines_with(postfix.SIGN, block, end), clock)
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
        for line in syslog.lines_with(postfix.ANY_LINE, block, end):
            before = clock.previous
            at = syslog.stamp_of(line, clock)
            clock.previous = before
            if postfix.SIGN.search(line):
                timeless += self._count([line], clock)
                clock.previous = before
            self._meet(at, clock)
        return timeless

    def _count(self, lines: list[bytearray], clock: Clock) -> int:
        """Count what connections there are among these lines; how many lines have no readable time."""
        meaning, numbers, step = self._meaning, self._meaning.numbers, self._step
        written: bytes | None = None
        row: list[int]
        timeless: list[int] = []
        found = syslog.client_lines(lines, self._grammar)
        for traditional, rfc3339, offset, text in found:
            stamp = traditional or rfc3339 + offset
            if stamp != written:
                written = stamp
                at = clock.resolve(traditional, rfc3339, offset)
                row = timeless if at is None else self._rows[at - at % step]
                self._meet(at, clock)
            try:
                row[numbers[text]] += 1
            except LookupError:  # a text not met lately, or one outcome more than there is room for
                number = meaning.of(text)
                row.extend([0] * (number + 1 - len(row)))
                row[number] += 1
        if len(found) < len(lines):
            self.nameless += sum(meaning.connections(text) for text in syslog.nameless_lines(lines))
        return sum(timeless)

    @property
    def full(self) -> bool:
        """Whether it is time to write the intervals down."""
        return len(self._rows) >= KEPT

    def intervals(self) -> list[Interval]:
        """The intervals in which something was counted, in order; they are forgotten here."""
        taken = []
        for start in sorted(self._rows):
            counts = [0] * len(COUNTED)
            for (positions, times), seen in zip(self._meaning.outcomes, self._rows[start], strict=False):
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
