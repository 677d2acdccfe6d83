"""Checksums of what was read last, which tell where a log was cut that was written on since."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import NamedTuple

from .files import LogFile

_FINEST = 1 << 8

_SIZES = ((_FINEST, 32), (1 << 12, 32), (1 << 16, 16))
"""Bytes of each stretch that has a checksum, the finest at the offset; and how many stretches."""

_TELLING = 32
"""Bytes of a stretch that do not agree by chance."""

_ALIKE = 64
"""Bytes in which what was written behind a cut may be what stood there: the stamp of a line."""

_DIGITS = 8


class Window(NamedTuple):
    """Where a log was cut: at one of these bytes. All before them is as it was read."""

    begin: int
    end: int

    @property
    def is_narrow(self) -> bool:
        """Whether it holds hardly more than a line."""
        return self.end - self.begin <= _FINEST + _ALIKE


def _stretches(offset: int) -> list[tuple[int, int]]:
    """Return the stretches before an offset, the last one first.

    They are finest where it was read last: in the last kilobytes a cut is found to some bytes, and
    in the last megabyte to some kilobytes.
    """
    edges = [offset]
    for size, count in _SIZES:
        coarser = min(size << 4, _SIZES[-1][0])
        until = max(0, offset - count * size) // coarser * coarser
        while edges[-1] > until:
            edges.append((edges[-1] - 1) // size * size)
    return [(begin, end) for end, begin in pairwise(edges)]


def sums(log: LogFile, offset: int) -> str:
    """Return the checksums of what stands before an offset, in hexadecimal."""
    places = _stretches(offset)
    first = places[-1][0]
    text = memoryview(log.bytes_at(first, offset - first))
    crcs = (zlib.crc32(text[begin - first : end - first]) for begin, end in places)
    return "".join(f"{crc:0{_DIGITS}x}" for crc in crcs)


def are_sums(said: str, offset: int) -> bool:
    """Return whether these may be the checksums of what stands before an offset, or none."""
    return not said or len(bytes.fromhex(said)) * 2 == len(_stretches(offset)) * _DIGITS


def find_window(log: LogFile, offset: int, before: str) -> Window | None:
    """Return where a log was cut since `before` was made; None where all that was read is there."""
    changed: tuple[int, int] | None = None
    for number, (begin, end) in enumerate(_stretches(offset) if before else ()):
        text = log.bytes_at(begin, end - begin)
        crc = int(before[number * _DIGITS :][:_DIGITS], 16)
        if len(text) < end - begin or zlib.crc32(text) != crc:
            changed = begin, end
        elif end - begin >= _TELLING:
            return Window(max(0, changed[0] - _ALIKE), changed[1]) if changed else None
    return Window(0, changed[1]) if changed else None
