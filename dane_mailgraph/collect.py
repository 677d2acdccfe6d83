"""Log to ledger to RRD: one step of following a log, exact under any crash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from .archive import Opened
from .clock import Clock
from .count import Count, Rules, Step, counted_until, read_until
from .ledger import Ledger
from .sessions import Sessions
from .syslog import Blocks


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


def collect(log: Source, ledger: Ledger, rules: Rules, now: int, *, count_lines: bool = False) -> Step:
    """Read the log from the bookmark to the end of its last whole line, and count it; raises SourceError.

    Counts and bookmark are one transaction: a crash at any instant loses and doubles nothing.
    """
    places, seen, newest = log.remembered(ledger.get(log.bookmark)), ledger.get("seen", now), ledger.get("newest")
    due = newest is not None and read_until(newest, now) >= ledger.get("reached", now) + rules.step
    if not due and log.unchanged(places, now):
        return Step()
    horizon = ledger.get("horizon") if places else counted_until(ledger, rules.step)
    with ledger.transaction():
        # Who follows a log from its first line on knows of no session that was made before.
        sessions = Sessions.restored(ledger.get("services") if places else None)
        count = Count(ledger, rules, now, count_lines=count_lines, sessions=sessions)
        pieces: list[Piece] = []
        for piece in log.pieces(places, now, seen):
            pieces.append(piece)
            # A line that was not there at the last look is not older than that look: this tells the second
            # pass of an hour that autumn repeats from the first.
            newest = ledger.get("newest", seen)
            known = max(newest, read_until(newest, seen)) if places else None
            first = count.take(piece.blocks, Clock(rules.zone, piece.latest, previous=known), horizon, piece.missing)
            if piece.lost and known is not None:
                count.lose(known, min(now if first is None else first, now) + 1)
            elif not places and first is not None:
                count.join(first)
        newest = ledger.get("newest")
        if newest is not None:
            count.reach(read_until(newest, now))
        ledger.set(log.bookmark, log.after(places, pieces, now))
        ledger.set("seen", now)
        ledger.set("services", count.sessions.saved(ledger.get("newest", now)))
        ledger.set("horizon", None)
        step = count.step()
    log.keep(pieces[-1].place)
    return step
