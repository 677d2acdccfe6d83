"""Log to ledger to RRD: one step of following a log, exact under any crash."""

from __future__ import annotations

from ..log import Clock, Piece, Source
from ..postfix import Sessions
from ..store import Ledger
from .step import CountingRun, Result, Rules, counted_until, read_until


def collect(
    log: Source, ledger: Ledger, rules: Rules, now: int, *, count_lines: bool = False
) -> Result:
    """Read the log from the bookmark to the end of its last whole line, and count it; raises SourceError.

    Counts and bookmark are one transaction: a crash at any instant loses and doubles nothing.
    """
    places, seen, newest = (
        log.load_bookmark(ledger.get(log.bookmark_key)),
        ledger.get("seen", now),
        ledger.get("newest"),
    )
    due = newest is not None and read_until(newest, now) >= ledger.get("reached", now) + rules.step
    if not due and log.is_unchanged(places, now):
        return Result()
    horizon = ledger.get("horizon") if places else counted_until(ledger, rules.step)
    with ledger.transaction():
        # Who follows a log from its first line on knows of no session that was made before.
        sessions = Sessions.restored(ledger.get("services") if places else None)
        count = CountingRun(ledger, rules, now, count_lines=count_lines, sessions=sessions)
        pieces: list[Piece] = []
        for piece in log.pieces(places, now, seen):
            pieces.append(piece)
            # A line that was not there at the last look is not older than that look: this tells the second
            # pass of an hour that autumn repeats from the first.
            newest = ledger.get("newest", seen)
            known = max(newest, read_until(newest, seen)) if places else None
            first = count.take(
                piece.blocks,
                Clock(rules.zone, piece.latest, previous=known),
                horizon,
                piece.missing,
            )
            if piece.lost and known is not None:
                count.lose(known, min(now if first is None else first, now) + 1)
            elif not places and first is not None:
                count.join(first)
        newest = ledger.get("newest")
        if newest is not None:
            count.reach(read_until(newest, now))
        ledger.set(log.bookmark_key, log.bookmark_after(places, pieces, now))
        ledger.set("seen", now)
        ledger.set("services", count.sessions.saved(ledger.get("newest", now)))
        ledger.set("horizon", None)
        step = count.close()
    log.after_commit(pieces[-1].position)
    return step
