"""Where a log goes on whose end was lost: after a power cut it may be shorter than it was read.

The cut is in the middle of a line, so that the next line is glued to a torn one, or to the zeros
that a file system leaves. Only there a line is split: elsewhere a server's reply could forge one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from . import heads
from .files import LogFile

_HEAD = heads.compiled(
    rf"(?:<\d{{1,3}}>1\ )?(?:{heads.TIME})(?:{heads.FRACTION})?(?:{heads.ZONE})?"
    rf"\ {heads.HOST}\ [^ \[\n]+(?:\[\d+\]:|\ \d+\ \S+\ [-[])\ "
)

_LINES = re.compile(rb"[^\n]*\n|[^\n]+")

_CHUNK = 1 << 18


def find_cut(log: LogFile, time_of: Callable[[bytes], int | None], newest: int) -> int | None:
    """Return the byte at which new lines begin behind a torn one; None where none is torn.

    The lines that were read before are from the epoch second `newest` or older.
    """
    end = log.current_size()
    is_torn = False
    for begin, line in _backwards(log, end):
        at = time_of(line)
        if at is None or at <= newest:
            for head in _HEAD.finditer(line, 1):
                glued = time_of(line[head.start() :])
                if glued is not None and glued >= newest:
                    return begin + head.start()
        if not line.endswith(b"\n"):
            is_torn = at is None or at <= newest
        elif at is not None and at > newest:
            is_torn = False
        elif at is not None and at < newest:
            break
    return end if is_torn else None


def _backwards(log: LogFile, end: int) -> Iterator[tuple[int, bytes]]:
    """Iterate over the lines before this byte, the last one first; it may lack its newline."""
    rest = b""
    while end:
        begin = max(0, end - _CHUNK)
        first, *lines = _LINES.findall(log.bytes_at(begin, end - begin) + rest)
        place = end + len(rest)
        for line in reversed(lines):
            place -= len(line)
            yield place, line
        rest, end = first, begin
    if rest:
        yield 0, rest
