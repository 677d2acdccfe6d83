"""What a log that can be followed gives to whoever counts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from .blocks import Blocks
from .files import LogFile


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
    def position(self) -> Any:
        """How far it has been read by now."""


class Source(Protocol):
    """A log that can be followed: a file (`tail`) or the journal. What a bookmark is, only it knows."""

    @property
    def bookmark_key(self) -> str:
        """Under which name the ledger keeps the bookmark."""

    @property
    def notices(self) -> list[str]:
        """What is to be said of the last reading, in sentences."""

    def load_bookmark(self, said: Any, /) -> Any:
        """The bookmark as the ledger has kept it; something false for None."""

    def is_unchanged(self, positions: Any, now: int, /) -> bool:
        """Whether there is surely nothing to read."""

    def pieces(self, positions: Any, now: int, seen: int, /) -> Iterator[Any]:
        """The `Piece`s to read, oldest first, each open until the next is asked for; raises SourceError."""

    def bookmark_after(self, positions: Any, read: list[Any], now: int, /) -> Any:
        """The bookmark when these pieces have been read."""

    def after_commit(self, position: Any, /) -> None:
        """The ledger has been written."""

    def is_at(self, log: LogFile, /) -> bool:
        """Whether an open file is this log."""
