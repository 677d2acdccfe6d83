"""How far a file of the log has been read, and how a file is recognized by that."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from .files import Content, Head, LogFile
from .inode import Inode
from .sums import are_sums, sums

LINGER = 3600
"""Seconds for which an unfinished last line of a rotated file may still be finished."""


STUB = 64
"""Bytes in which the first line's stamp, host and process stand."""


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
    sums: str = ""
    """Checksums of the stretches before the offset, see `sums`; empty for a packed file."""
    unfinished: int = 0
    """Bytes behind the offset, a line's beginning that was there."""

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
    """Make the bookmark from what the ledger has stored, lists or None; None gives an empty one.

    Raises TypeError or ValueError for nonsense.
    """
    found = tuple(Position(*position) for position in stored or ())
    for each in found:
        if not (all(map(_is_of_kind, each, _KINDS)) and are_sums(each.sums, each.offset)):
            raise ValueError("a bookmark in it is none")
    return found


_KINDS = (
    *(str, int, int, int, int, bool, str),
    *(int, bool, int, int, str, int),
)
"""The types of a position's fields."""


def _is_of_kind(value: Any, kind: type) -> bool:
    is_one = type(value) is kind
    return value is None or (is_one and (kind is str or int(value) >= 0))


def is_at(content: Content, position: Position) -> bool:
    """Return whether a file is the very one of this position, whatever it holds now."""
    return content.inode.may_be(Inode(position.inode, position.generation))


def checksums(log: LogFile, offset: int) -> tuple[int, str]:
    """Return `stub` and `sums` of the position at this byte."""
    if log.compressed or not log.is_regular or not offset:
        return 0, ""
    stub = zlib.crc32(log.begin[:STUB]) if offset >= STUB else 0
    return stub, sums(log, offset)


def holds(content: Content, position: Position) -> bool:
    """Return whether a file is the one of this position or a copy of it, and as long at least."""
    if not position.length:  # nothing of it has been read, so only its inode can tell
        return is_at(content, position)
    return position.head.begins(content.begin) and (
        content.compressed or content.size >= position.offset
    )
