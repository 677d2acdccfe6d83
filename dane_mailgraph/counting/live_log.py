"""Count what is new in a followed log, exactly under any crash."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..log import Clock, Piece, Source, forms, heads
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
    read_at = now if state.read_at is None else state.read_at
    is_due = _is_due(state, rules.step, now)
    if not is_due and log.is_unchanged(positions, now):
        return Result()
    with ledger.transaction():
        # Without a bookmark nothing is known of the sessions before the first line.
        sessions = Sessions.load(state.sessions if positions else None)
        run = CountingRun(
            ledger,
            rules,
            now,
            sessions=sessions,
            count_lines=how.count_lines,
        )
        changed = not positions or state.source != log.bookmark_key
        elsewhere = marks_of(ledger.state.hosts if changed else state.counted_elsewhere)
        counted = Counted(elsewhere) if changed or elsewhere else None
        pieces: list[Piece] = []
        newest_read = 0
        lost_since: int | None = None
        for piece in log.pieces(positions, now, read_at):
            pieces.append(piece)
            # A new line is not older than the last reading: this distinguishes the two passes of
            # the hour that autumn repeats.
            newest = ledger.state.newest
            newest = read_at if newest is None else newest
            known = max(newest, known_until(newest, read_at)) if positions else None
            clock = Clock(rules.zone, piece.latest, previous=None if changed else known)
            again = counted
            if piece.is_cut and not piece.go_on(partial(_time_of, clock), newest):
                again = counted or Counted(marks_of(ledger.state.hosts))
            for _ in run.count_blocks(piece.blocks, clock, counted=again):
                pass
            newest_read = max(newest_read, run.newest or 0)
            first = run.first_new if again else run.first
            if piece.lines_lost and lost_since is None:
                lost_since = known
            if lost_since is not None and first is not None:
                run.mark_gap(lost_since, min(first, now) + 1)
                lost_since = None
            elif not positions and run.first is not None:
                run.mark_gap_before(run.first)
        if lost_since is not None:
            run.mark_gap(lost_since, now + 1)
        if ledger.state.newest is not None:
            run.mark_read_until(known_until(ledger.state.newest, now))
        if how.patient and positions and not is_due and run.counted_nothing:
            raise _NothingCounts
        left = counted.ahead_of(newest_read - JOINT) if counted else None
        run.mark_read(log, log.bookmark_after(positions, pieces, now), left)
        result = run.close()
        how.at_commit()
    log.after_commit(pieces[-1].position)
    notices = (each for piece in pieces for each in piece.notices)
    return result._replace(notices=(*notices, *result.notices))


def _time_of(clock: Clock, line: bytes) -> int | None:
    return heads.stamp_of(forms.usual(line), clock)


def _is_due(state: State, step: int, now: int) -> bool:
    """Return whether the clock alone asks for a reading: an interval ended, or it is long ago."""
    if state.read_at is not None and now - state.read_at >= _SIGN_OF_LIFE:
        return True
    if state.newest is None or state.read_until is None:
        return False
    return known_until(state.newest, now) >= state.read_until + step
