"""Whole lines of a file, a buffer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

LONGEST = 1 << 18
"""Bytes; a longer line is passed over. Postfix cuts its text at 2000 (MSG_SYSLOG_RECLEN)."""

# ---- blocks of whole lines ------------------------------------------------------------------


class Blocks:
    """Whole lines of a file, a buffer at a time; the buffer is used again for the next block.

    Iterating gives `(buffer, end)`: the lines are `buffer[:end]`. What follows the last newline is left
    unread, or, with `to_the_end`, taken for a line.
    """

    def __init__(
        self,
        readinto: Callable[[memoryview], int | None],
        *,
        inside: bool = False,
        to_the_end: bool = False,
    ) -> None:
        self._readinto = readinto
        self._to_the_end = to_the_end
        self.consumed = 0
        """Bytes taken so far."""
        self.inside = inside
        """What was taken last ends inside a line that is too long to be one."""
        self.overlong = 0
        """Lines passed over for their length."""
        self.rest = b""
        """What followed the last newline and was left unread."""

    def __iter__(self) -> Iterator[tuple[bytearray, int]]:
        block = bytearray(LONGEST)
        view = memoryview(block)
        have = 0
        while got := self._readinto(view[have:]):
            have += got
            begin = 0
            if self.inside:
                begin = block.find(b"\n", 0, have) + 1
                self.inside = not begin
                if self.inside:
                    self.consumed += have
                    have = 0
                    continue
                self.consumed += begin
                view[: have - begin] = view[begin:have]
                have -= begin
            end = block.rfind(b"\n", 0, have) + 1
            if end:
                self.consumed += end
                yield block, end
                view[: have - end] = view[end:have]
                have -= end
            elif have == LONGEST:
                self.overlong += 1
                self.inside = True
                self.consumed += have
                have = 0
        if have and self._to_the_end:
            self.consumed += have
            block[have] = 0x0A
            yield block, have + 1
        else:
            self.rest = bytes(view[:have])
