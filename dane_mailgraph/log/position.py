"""How far a file of the log has been read, by what it is known again, and how it is read on."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import SourceError
from .blocks import Blocks
from .files import Head, LogFile
from .heads import stamped
from .inode import Inode

LINGERS = 3600
"""Seconds after which an unfinished line at the end of a rotated file will not be finished any more."""


class Position(NamedTuple):
    """How far one file has been read."""

    path: str
    """Its name when it was the log, symbolic links followed."""
    inode: int
    offset: int
    length: int
    crc: int
    """Length and checksum of its first bytes: see `archive.Head`."""
    inside: bool
    """The offset is inside a line that is too long to be one."""
    carried: str = ""
    """The beginning of its first line, which stands at the end of a copy made before the log was truncated."""
    left: int | None = None
    """When the log's name went to another file, or something was read from it after that; None while it is the log."""
    done: bool = False
    """It has been read to its end for good, and is only remembered so as not to be read again."""
    generation: int = 0
    """Of its inode: see `inode.Inode`."""

    @property
    def head(self) -> Head:
        """The fingerprint of the file."""
        return Head(self.length, self.crc)

    def lingers(self, now: int) -> bool:
        """Whether the line at its end may still be finished."""
        return now - (self.left or 0) <= LINGERS


Bookmark = tuple[Position, ...]
"""Files that were the log, and last the log."""


def bookmark(said: Any) -> Bookmark:
    """The bookmark that the ledger has kept; empty for None."""
    return tuple(Position(*position) for position in said or ())


def holds(log: LogFile, position: Position) -> bool:
    """Whether an open file is the one that was bookmarked, or a copy of it, as long as it was then at least."""
    if not position.length:  # nothing of it has been read, and it gives nothing else to know it by
        return is_at(log, position)
    return position.head.begins(log.begin) and (
        log.compressed or log.status.st_size >= position.offset
    )


def is_at(log: LogFile, position: Position) -> bool:
    """Whether an open file is the very one that was bookmarked, whatever it holds now."""
    return log.inode.may_be(Inode(position.inode, position.generation))


class Piece:
    """A file of the log, to be read on from where it was left."""

    def __init__(
        self,
        log: LogFile,
        path: str,
        was: Position | None = None,
        *,
        latest: int,
        left: int | None = None,
        carried: bytes = b"",
        lost: bool = False,
        final: bool = False,
    ) -> None:
        self.was = was
        """How far it had been read before."""
        self.latest = latest
        """When its last line can have been written."""
        self.lost = lost
        """What stood between the bookmark and this file cannot be found."""
        self._missing = lost
        self._log, self._path, self._left = log, path, left
        self._done = final and log.compressed
        self._offset = was.offset if was else 0
        log.skip(self._offset)
        self._carried = carried or (was.carried.encode("latin-1") if was else b"")
        if self._carried and stamped(log.begin):
            self._carried += b"\n"  # it was never finished
        self._ahead = self._carried
        # Of a file that is not looked at again, what follows the last newline is a line.
        self.blocks = Blocks(self._readinto, inside=was.inside if was else False, to_the_end=final)

    def _readinto(self, view: memoryview) -> int:
        if self._ahead:
            ahead, self._ahead = self._ahead[: len(view)], self._ahead[len(view) :]
            view[: len(ahead)] = ahead
            return len(ahead)
        return self._log.readinto(view)

    def missing(self) -> bool:
        """Whether lines are missing before the block that was read last: before the first one, if what was before is lost."""
        missing, self._missing = self._missing, False
        return missing

    def carry(self) -> bytes:
        """The beginning of its last line, which goes on in the next file; then this one is done."""
        self._done |= bool(self.blocks.rest)
        return self.blocks.rest

    def check(self) -> None:
        """Raise SourceError where the file is not what was read any more; to be called when it has been read."""
        if not self._log.stays(self.position.offset):
            raise SourceError(
                f"{self._log.name} was truncated while it was read; the next reading counts it."
            )

    @property
    def position(self) -> Position:
        """How far it has been read by now; what is known of it is only what has been read."""
        consumed = self.blocks.consumed
        offset = self._offset + max(0, consumed - len(self._carried))
        untouched = (
            self.was is not None and self.was.left is not None and not consumed and not self._done
        )
        return Position(
            self._path,
            self._log.inode.number,
            offset,
            *Head.of(self._log.begin[:offset]),
            self.blocks.inside,
            self._carried[consumed:].decode("latin-1"),
            self.was.left if self.was and untouched else self._left,
            self._done,
            self._log.inode.generation,
        )
