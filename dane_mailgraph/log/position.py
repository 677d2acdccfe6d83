"""How far a file of the log has been read, and how a file is recognized by that."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from .files import Content, Head, LogFile
from .inode import Inode

LINGER = 3600
"""Seconds for which an unfinished last line of a rotated file may still be finished."""


STUB = 64
"""Bytes in which the first line's stamp, host and process stand."""

TAIL = 256
"""Bytes before the offset by which a log is recognized that was cut and written on."""


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
    stub: int = 0
    """Checksum of its first `STUB` bytes, or 0: it is recognized when little is left of it."""
    tail: int = 0
    """Checksum of the `TAIL` bytes before the offset, or 0."""

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


def checksums(log: LogFile, offset: int) -> tuple[int, int]:
    """Return `stub` and `tail` of the position at this byte."""
    if log.compressed or not log.is_regular or offset < TAIL:
        return 0, 0
    return zlib.crc32(log.begin[:STUB]), zlib.crc32(log.bytes_at(offset - TAIL, TAIL))


def has_lost_its_end(log: LogFile, position: Position, *, has_no_copy: bool = False) -> bool:
    """Return whether a log is the very one of this position, but what had been read is not there.

    It is shorter, or goes on differently: it was cut, as by a power cut. Where no copy of it is
    there either, as copytruncate makes one, it may have been cut within its first bytes, and new
    lines may have taken their place.
    """
    if not (position.tail and is_at(log.content, position)):
        return False
    begin = log.begin[: position.length]
    is_same = (
        position.head.begins(begin)
        if len(begin) == position.length and not has_no_copy
        else len(begin) >= STUB and zlib.crc32(begin[:STUB]) == position.stub
    )
    return is_same and checksums(log, position.offset)[1] != position.tail


def holds(content: Content, position: Position) -> bool:
    """Return whether a file is the one of this position or a copy of it, and as long at least."""
    if not position.length:  # nothing of it has been read, so only its inode can tell
        return is_at(content, position)
    return position.head.begins(content.begin) and (
        content.compressed or content.size >= position.offset
    )
