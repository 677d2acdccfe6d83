"""A log that can be followed, as counting sees it: a file or the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from .blocks import WholeLines
from .files import LogFile


class Look(NamedTuple):
    """What can be seen of a log from outside, at the cost of a system call or two."""

    file: object
    """Which file it is: another one where the log was rotated."""
    extent: int
    """A number that grows with the log."""

    def is_replaced_since(self, before: Look) -> bool:
        """Return whether this is another log, or one that was emptied, since that look."""
        return self.file != before.file or self.extent < before.extent


class Piece(Protocol):
    """A stretch of a log, open to be read on from its position."""

    @property
    def latest(self) -> int:
        """When its last line can have been written, in epoch seconds."""

    @property
    def blocks(self) -> WholeLines:
        """Its whole lines."""

    @property
    def lines_lost(self) -> bool:
        """Whether lines before it cannot be found; known when it has been read."""

    @property
    def notices(self) -> Sequence[str]:
        """What the operator should know, in sentences; known when it has been read."""

    @property
    def position(self) -> Any:
        """How far it has been read by now."""

    @property
    def is_cut(self) -> bool:
        """Whether it has lost its end, so that `go_on` is called before it is read."""

    def go_on(self, time_of: Callable[[bytes], int | None], newest: int, /) -> bool:
        """Go to where new lines begin in a piece that is cut; return whether that was found.

        If not, it is read from before the cut, and time must tell what is new.

        The lines that have been counted are from the epoch second `newest` or older.
        """


class Source(Protocol):
    """A log that can be followed. Only the source itself knows what a bookmark of it holds."""

    @property
    def bookmark_key(self) -> str:
        """Under which name the ledger keeps the bookmark."""

    @property
    def directory(self) -> str:
        """Where a file is renamed or made when the log is rotated; empty where none is."""

    def load_bookmark(self, stored: Any, /) -> Any:
        """Make the bookmark from what the ledger has stored; None gives one that is false."""

    def look(self) -> Look:
        """Look at the log from outside; raises SourceError where it is missing."""

    def is_unchanged(self, bookmark: Any, now: int, /) -> bool:
        """Return whether there is surely nothing to read since the last reading."""

    def pieces(self, bookmark: Any, now: int, read_at: int, /) -> Iterator[Any]:
        """Give the `Piece`s to read, oldest first, each open until the next is asked for.

        `read_at` is when the log was last read to its end. Raises SourceError.
        """

    def bookmark_after(self, bookmark: Any, read: list[Any], now: int, /) -> Any:
        """Return the bookmark after these pieces have been read."""

    def after_commit(self, position: Any, /) -> None:
        """Do what is left to do when the ledger has been committed."""

    def is_at(self, log: LogFile, /) -> bool:
        """Return whether an open file is this log."""
