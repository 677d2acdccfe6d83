"""Where a log goes on whose end was lost: after a power cut it may be shorter than it was read.

The cut is in the middle of a line, so that the next line is glued to a torn one, or to the zeros
that a file system leaves. Only there a line is split: elsewhere a server's reply could forge one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from . import forms, heads
from .files import LogFile
from .sums import Window

_HEAD = heads.compiled(
    rf"(?:<\d{{1,3}}>1\ )?(?:{heads.TIME})(?:{heads.FRACTION})?(?:{heads.ZONE})?"
    rf"\ {heads.HOST}\ [^ \[\n]+(?:\[\d+\]:|\ \d+\ \S+\ [-[])\ "
)

_LINES = re.compile(rb"[^\n]*\n|[^\n]+")

_CHUNK = 1 << 18


def find_cut(
    log: LogFile, window: Window, time_of: Callable[[bytes], int | None], newest: int
) -> int | None:
    """Return the byte at which new lines begin behind a torn one; None where none is torn.

    The log was cut in this window. The lines that were read before are from the epoch second
    `newest` or older.
    """
    size = log.current_size()
    window = window._replace(end=_behind_zeros(log, min(window.end, size)))
    end = _end_of_line(log, window.end)
    is_torn = False
    for begin, line in _backwards(log, end):
        if begin + len(line) <= window.begin:
            break
        at = time_of(line)
        glued = {
            start: then
            for start in _starts(line, window, begin)
            if (then := time_of(line[start:])) is not None and _is_glued(at, then, window, newest)
        }
        if glued:
            # A whole line behind zeros is no new one for that.
            new = (start for start, then in glued.items() if then > newest)
            return begin + next(new, max(glued))
        if not line.endswith(b"\n"):
            is_torn = at is None or at <= newest
        elif at is not None and at > newest:
            is_torn = False
        elif at is not None and at < newest and not window.is_narrow:
            break
    # Nothing has been written behind it.
    return end if is_torn and end == size else None


def _is_glued(at: int | None, glued: int, window: Window, newest: int) -> bool:
    if window.is_narrow:
        return at is None or at <= glued
    return (at is None or at <= newest) and glued >= newest


def _starts(line: bytes, window: Window, begin: int) -> Iterator[int]:
    """Iterate over the places in a line, which begins at this byte, where another may begin."""
    first, last = max(1, window.begin - begin), window.end - begin
    if not window.is_narrow:
        yield from (each.start() for each in _HEAD.finditer(line, first) if each.start() <= last)
        return
    whole = forms.usual(line)
    for start in range(first, min(last + 1, len(line))):
        if forms.begins_line(line[start:]) and forms.usual(line[start:]) != whole:
            yield start


def _behind_zeros(log: LogFile, offset: int) -> int:
    """Return the first byte from this one on that is no zero."""
    while chunk := log.bytes_at(offset, _CHUNK):
        rest = chunk.lstrip(b"\0")
        offset += len(chunk) - len(rest)
        if rest:
            break
    return offset


def _end_of_line(log: LogFile, offset: int) -> int:
    """Return the byte behind the line that holds the byte before this one; at most the end."""
    offset = max(0, offset - 1)
    while chunk := log.bytes_at(offset, _CHUNK):
        newline = chunk.find(b"\n") + 1
        if newline:
            return offset + newline
        offset += len(chunk)
    return offset


def begin_of_line(log: LogFile, offset: int) -> int:
    """Return where the line begins that holds the byte before this one."""
    while offset:
        begin = max(0, offset - _CHUNK)
        newline = log.bytes_at(begin, offset - begin).rfind(b"\n") + 1
        if newline:
            return begin + newline
        offset = begin
    return 0


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
