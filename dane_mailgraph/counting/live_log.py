"""Count what is new in a followed log, exactly under any crash."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..log import Bookmark, Clock, Piece, Source, forms, heads
from ..postfix import Counted, Sessions, marks_of
from ..store import Ledger, State
from ..times import MINUTE
from .overlap import JOINT
from .result import Result
from .run import CountingRun, Rules, known_until

_SIGN_OF_LIFE = 5 * MINUTE
"""Seconds after which the time of reading is written though a log has nothing new."""


class _NothingCounts(Exception):
    """What was read need not be committed."""


class How(NamedTuple):
    """How to collect."""

    count_lines: bool = False
    """Count all lines, too."""
    patient: bool = False
    """Leave lines that count nowhere to a later reading while no interval has ended."""
    at_commit: Callable[[], None] = lambda: None
    """Is called last in the transaction."""


HOW = How()


def collect(
    log: Source,
    ledger: Ledger,
    rules: Rules,
    now: int,
    how: How = HOW,
) -> Result:
    """Count the log from its bookmark to the end of its last whole line; raises SourceError.

    Counts and bookmark are one transaction: a crash at any instant loses and doubles nothing.
    """
    try:
        return _collect(log, ledger, rules, now, how)
    except _NothingCounts:
        return Result()


def _collect(log: Source, ledger: Ledger, rules: Rules, now: int, how: How) -> Result:
    with ledger.refusing_nonsense():
        positions, state = log.load_bookmark(ledger.bookmark(log.bookmark_key)), ledger.state
        Sessions.load(state.sessions)
        marks_of(state.hosts)
        marks_of(state.counted_elsewhere)
    is_due = _is_due(state, rules.step, now)
    if not is_due and log.is_unchanged(positions, now):
        return Result()
    with ledger.transaction():
        # Without a bookmark nothing is known of the sessions before the first line.
        sessions = Sessions.load(state.sessions if positions else None)
        run = CountingRun(ledger, rules, now, sessions=sessions, count_lines=how.count_lines)
        reading = _Reading(log, ledger, run, now, positions)
        reading.count()
        if how.patient and positions and not is_due and run.counted_nothing:
            raise _NothingCounts
        reading.set_bookmark()
        result = run.close()
        how.at_commit()
    log.after_commit(reading.pieces[-1].position)
    notices = (each for piece in reading.pieces for each in piece.notices)
    return result._replace(notices=(*notices, *result.notices))


class _Reading:
    """A log read on from its bookmark, inside the transaction of its counts."""

    def __init__(
        self, log: Source, ledger: Ledger, run: CountingRun, now: int, positions: Bookmark
    ) -> None:
        self._log, self._ledger, self._run, self._now = log, ledger, run, now
        self._positions = positions
        state = ledger.state
        self._read_at = now if state.read_at is None else state.read_at
        self._is_another = not positions or state.source != log.bookmark_key
        """Another log was read before this one, or none."""
        marks = marks_of(state.hosts if self._is_another else state.counted_elsewhere)
        self._counted = Counted(marks) if self._is_another or marks else None
        """What this log may say again; None where it is the only one."""
        self._newest_read = 0
        self._lost_since: int | None = None
        """From when on lines are lost; they are until the next line that counts."""
        self.pieces: list[Piece] = []

    def count(self) -> None:
        """Count its new lines, and mark what is lost and up to when it is read."""
        for piece in self._log.pieces(self._positions, self._now, self._read_at):
            self.pieces.append(piece)
            self._count_piece(piece)
        if self._lost_since is not None:
            self._run.mark_gap(self._lost_since, self._now + 1)
        if (newest := self._ledger.state.newest) is not None:
            self._run.mark_read_until(known_until(newest, self._now))

    def _count_piece(self, piece: Piece) -> None:
        newest = self._ledger.state.newest
        newest = self._read_at if newest is None else newest
        known = max(newest, known_until(newest, self._read_at)) if self._positions else None
        # A new line is not older than the last reading: this distinguishes the two passes of the
        # hour that autumn repeats.
        clock = Clock(self._run.zone, piece.latest, previous=None if self._is_another else known)
        counted = self._counted
        if piece.is_cut and not piece.go_on(partial(_time_of, clock), newest):
            counted = counted or Counted(marks_of(self._ledger.state.hosts))
        for _ in self._run.count_blocks(piece.blocks, clock, counted=counted):
            pass
        self._newest_read = max(self._newest_read, self._run.newest or 0)
        if piece.lines_lost and self._lost_since is None:
            self._lost_since = known
        first = self._run.first_new if counted else self._run.first
        if self._lost_since is not None and first is not None:
            self._run.mark_gap(self._lost_since, min(first, self._now) + 1)
            self._lost_since = None
        elif not self._positions and self._run.first is not None:
            self._run.mark_gap_before(self._run.first)

    def set_bookmark(self) -> None:
        """Remember how far it is read, and what it may still say again."""
        left = self._counted.ahead_of(self._newest_read - JOINT) if self._counted else None
        bookmark = self._log.bookmark_after(self._positions, self.pieces, self._now)
        self._run.mark_read(self._log, bookmark, left)


def _time_of(clock: Clock, line: bytes) -> int | None:
    return heads.stamp_of(forms.usual(line), clock)


def _is_due(state: State, step: int, now: int) -> bool:
    """Return whether the clock alone asks for a reading: an interval ended, or it is long ago."""
    if state.read_at is not None and now - state.read_at >= _SIGN_OF_LIFE:
        return True
    if state.newest is None or state.read_until is None:
        return False
    return known_until(state.newest, now) >= state.read_until + step
