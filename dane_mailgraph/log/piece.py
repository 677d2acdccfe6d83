"""One file of the log, read on from its position."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import SourceError
from .blocks import LONGEST, Blocks
from .cut import begin_of_line, find_cut
from .files import Head, LogFile
from .forms import begins_line
from .order import Reading
from .position import Position, checksums
from .prefixed import Prefixed
from .sums import Window


class FilePiece:
    """A file of the log, open to be read on from its position."""

    notices: Sequence[str] = ()
    """What the operator should know of the reading, in sentences."""

    def __init__(
        self,
        log: LogFile,
        reading: Reading,
        line_start: bytes = b"",
        *,
        follows_gap: bool = False,
        window: Window | None = None,
    ) -> None:
        """`line_start` is the start of its first line, from the end of the file before.

        `follows_gap` says that lines before it cannot be found, `window` where its own end was
        lost.
        """
        self.is_cut = window is not None
        """It has lost its end: `go_on` finds where new lines begin."""
        self._window = window
        self.reading = reading
        self.latest = reading.latest
        """When its last line can have been written, in epoch seconds."""
        self.lines_lost = follows_gap or self.is_cut
        """Lines between the bookmark and this file cannot be found."""
        position = reading.position
        self._log = log
        self._checksums = (position.stub, position.sums) if position else (0, "")
        self._finished = reading.to_the_end and log.compressed
        self._offset = position.offset if position else 0
        log.skip(self._offset)
        if self.is_cut:
            self.notices = (
                f"{log.name} has lost its end, as in a power cut: counting goes on behind that; "
                "look at the disk and at what the syslog daemon syncs.",
            )
        self._line_start = line_start or (
            position.line_start.encode("latin-1") if position else b""
        )
        if self._line_start and begins_line(log.begin):
            self._line_start += b"\n"  # a whole line follows, so this one was never finished
        elif position and position.unfinished and not log.compressed:
            self._end_torn_line(position.unfinished)
        self.blocks = Blocks(
            Prefixed(self._line_start, log).readinto,
            in_long_line=position.in_long_line if position else False,
            to_the_end=reading.to_the_end,
            follows_gap=self.lines_lost,
        )

    def _end_torn_line(self, size: int) -> None:
        """End the line whose beginning was there when it was read last, if it was never finished.

        A crash of the machine or of the syslog daemon tears a line, and the next is glued to it.
        """
        text = self._log.bytes_at(self._offset, size + LONGEST)
        if not self._line_start and b"\n" not in text[:size] and begins_line(text[size:]):
            self._line_start = text[:size] + b"\n"
            self._offset += size
            self._log.skip(self._offset)

    def go_on(self, time_of: Callable[[bytes], int | None], newest: int) -> bool:
        """Go to where new lines begin behind a torn one; return whether it was found.

        If not, it is read from before the cut. Call it before reading; the lines that have been
        counted are from `newest` or older.
        """
        assert self._window
        torn = find_cut(self._log, self._window, time_of, newest)
        self._offset = begin_of_line(self._log, self._window.begin) if torn is None else torn
        self._log.skip(self._offset)
        self._line_start = b""
        self.blocks = Blocks(
            self._log.readinto, to_the_end=self.reading.to_the_end, follows_gap=True
        )
        return torn is not None

    def unfinished_line(self) -> bytes:
        """Finish it, and return the start of its last line, which goes on in the next file."""
        self._finished |= bool(self.blocks.unfinished)
        return self.blocks.unfinished

    def check(self) -> None:
        """Raise SourceError where the file was truncated while it was read; call it after that."""
        offset = self.position.offset
        self._checksums = checksums(self._log, offset)
        if not self._log.is_intact(offset):
            raise SourceError(
                f"{self._log.name} was truncated while it was read; the next reading counts it."
            )

    @property
    def position(self) -> Position:
        """How far it has been read by now; its fingerprint covers only what has been read."""
        before, consumed = self.reading.position, self.blocks.consumed
        offset = self._offset + max(0, consumed - len(self._line_start))
        replaced_at = self.reading.replaced_at
        if before and before.replaced_at is not None and not consumed and not self._finished:
            replaced_at = before.replaced_at
        return Position(
            self.reading.path,
            self._log.inode.number,
            offset,
            *Head.of(self._log.begin[:offset]),
            self.blocks.in_long_line,
            self._line_start[consumed:].decode("latin-1"),
            replaced_at,
            self._finished,
            self._log.inode.generation,
            *self._checksums,
            0 if self._log.compressed else len(self.blocks.unfinished),
        )
