"""How far a file of the log has been read, and how a file is recognized by that."""

from __future__ import annotations

from typing import Any, NamedTuple

from .files import Content, Head
from .inode import Inode

LINGER = 3600
"""Seconds for which an unfinished last line of a rotated file may still be finished."""


class Position(NamedTuple):
    """How far one file has been read."""

    path: str
    """Its name while it was the log, symbolic links followed."""
    inode: int
    offset: int
    length: int
    crc: int
    """Length and checksum of its first bytes: see `files.Head`."""
    in_long_line: bool
    """The offset is inside a line that is longer than a block."""
    line_start: str = ""
    """The start of its first line, from the end of a copy made before the log was truncated."""
    replaced_at: int | None = None
    """When another file became the log, or this one was last read after that; None for the log."""
    finished: bool = False
    """It has been read to its end for good; it is kept so that it is not read again."""
    generation: int = 0
    """Of its inode: see `inode.Inode`."""

    @property
    def head(self) -> Head:
        """The fingerprint of the file."""
        return Head(self.length, self.crc)

    def lingers(self, now: int) -> bool:
        """Return whether the line at its end may still be finished."""
        return now - (self.replaced_at or 0) <= LINGER


Bookmark = tuple[Position, ...]
"""The positions of files that were the log, and last the position of the log."""


def bookmark(stored: Any) -> Bookmark:
    """Make the bookmark from what the ledger has stored, lists or None; None gives an empty one."""
    return tuple(Position(*position) for position in stored or ())


def is_at(content: Content, position: Position) -> bool:
    """Return whether a file is the very one of this position, whatever it holds now."""
    return content.inode.may_be(Inode(position.inode, position.generation))


def holds(content: Content, position: Position) -> bool:
    """Return whether a file is the one of this position or a copy of it, and as long at least."""
    if not position.length:  # nothing of it has been read, so only its inode can tell
        return is_at(content, position)
    return position.head.begins(content.begin) and (
        content.compressed or content.size >= position.offset
    )
