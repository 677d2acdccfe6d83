"""Whole lines of a log, a block at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

LONGEST = 1 << 18
"""Bytes of a block. A longer line is skipped: Postfix cuts its text at 2000 (MSG_SYSLOG_RECLEN)."""


_ZEROS = b"\0\0"
"""UTF-16 holds single ones."""

_NEWLINE = 0x0A

_RUN_OF_ZEROS = re.compile(rb"\0{2,}")


class WholeLines(Protocol):
    """Blocks of whole lines: iterating gives `(buffer, end)`, and the lines are `buffer[:end]`.

    The next block reuses the buffer.
    """

    @property
    def consumed(self) -> int:
        """Bytes given or skipped so far."""

    @property
    def long_lines(self) -> int:
        """Lines skipped for their length so far."""

    @property
    def zeros(self) -> int:
        """Runs of zeros so far, which stand where lines were lost."""

    @property
    def follows_gap(self) -> bool:
        """Lines are missing between the block given last and the one before it."""

    def __iter__(self) -> Iterator[tuple[bytearray, int]]: ...


class Blocks:
    """The whole lines of a file.

    What follows the last newline stays unread, or is a line with `to_the_end`.
    """

    def __init__(
        self,
        readinto: Callable[[memoryview], int | None],
        *,
        in_long_line: bool = False,
        to_the_end: bool = False,
        follows_gap: bool = False,
    ) -> None:
        self._readinto = readinto
        self._to_the_end = to_the_end
        self.consumed = 0
        """Bytes given or skipped so far."""
        self.in_long_line = in_long_line
        """`consumed` ends inside a line that is longer than a block."""
        self.long_lines = 0
        """Lines skipped for their length so far."""
        self.zeros = 0
        """Runs of zeros so far, as a file system leaves them where it lost what was written."""
        self._in_zeros = False
        """What was read last ends in such a run."""
        self.unfinished = b""
        """What follows the last newline and was left unread."""
        self.follows_gap = follows_gap
        """Lines are missing between the block given last and the one before it."""

    def __iter__(self) -> Iterator[tuple[bytearray, int]]:
        block = bytearray(LONGEST)
        view = memoryview(block)
        have = 0
        while got := self._readinto(view[have:]):
            self._end_lines_at_zeros(block, have, have + got)
            have += got
            if self.in_long_line:
                begin = block.find(b"\n", 0, have) + 1
                self.in_long_line = not begin
                have = self._shift(view, begin or have, have)
            end = block.rfind(b"\n", 0, have) + 1
            if end:
                self.consumed += end
                yield block, end
                self.follows_gap = False
                view[: have - end] = view[end:have]
                have -= end
            elif have == LONGEST:
                self.long_lines += 1
                self.in_long_line = True
                have = self._shift(view, have, have)
        if have and self._to_the_end:
            self.consumed += have
            block[have] = 0x0A
            yield block, have + 1
        else:
            self.unfinished = bytes(view[:have])

    def _end_lines_at_zeros(self, block: bytearray, begin: int, end: int) -> None:
        """Make runs of zeros empty lines, so that the line behind them is whole.

        A run may have begun in what was read before: its last byte, or all before this.
        """
        if self._in_zeros:
            while begin < end and not block[begin]:
                block[begin] = _NEWLINE
                begin += 1
            self._in_zeros = begin == end
        elif begin and not block[begin - 1]:
            begin -= 1
        # A single byte is found ten times as fast as two, and nearly no log holds this one.
        if block.find(0, begin, end) < 0 or block.find(_ZEROS, begin, end) < 0:
            return
        for run in list(_RUN_OF_ZEROS.finditer(block, begin, end)):
            self.zeros += 1
            block[run.start() : run.end()] = b"\n" * (run.end() - run.start())
            self._in_zeros = run.end() == end

    def _shift(self, view: memoryview, skipped: int, have: int) -> int:
        """Drop the first bytes of the buffer; how many it has then."""
        self.consumed += skipped
        view[: have - skipped] = view[skipped:have]
        return have - skipped
