"""A log file followed by its name through its rotations, with a bookmark.

`order` decides which files are read; here they are looked up, opened and read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import Any, NamedTuple

from ..errors import SourceError
from ..privileges import as_caller
from .files import Content, DamagedError, Head, LogFile, open_log, source_errors
from .hint import OffsetFile
from .lost_ends import Cut, find_cuts
from .order import TIME_LAG, Reading, Turn, reading_order, readings
from .piece import FilePiece
from .position import LINGER, Bookmark, Position, bookmark
from .rotation import File, beside
from .source import Look

_TRIES = 5
"""How often the files beside the log are looked up again because they changed meanwhile."""


class _State(NamedTuple):
    """What the file system says of a file without opening it."""

    inode: int
    size: int
    changed: int
    """When it was last written, in nanoseconds since the epoch."""

    @classmethod
    def of(cls, path: str) -> _State:
        with as_caller():
            status = os.stat(path)
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class _Directory(NamedTuple):
    """The log and the files beside it, as they were when they were looked up."""

    live: _State
    beside: list[File]

    @property
    def names(self) -> list[tuple[str, int]]:
        return [(each.path, each.inode) for each in self.beside]

    def can_grow(self, positions: Bookmark, now: int) -> list[bool]:
        """Return whether each position, and then each file, may still get the rest of a line."""
        return [
            *(position.lingers(now) for position in positions),
            *(each.changed >= _nanoseconds(now - LINGER) for each in self.beside),
        ]


class _Candidate:
    """A file that may have been the log, opened when it has to be looked into."""

    def __init__(self, file: File) -> None:
        self.file = file

    @cached_property
    def content(self) -> Content:
        with open_log(self.file.path) as log:
            return log.content

    @cached_property
    def length(self) -> int | None:
        try:
            with open_log(self.file.path) as log:
                return log.length()
        except DamagedError:
            return None

    def open(self, stack: ExitStack) -> LogFile:
        log = stack.enter_context(open_log(self.file.path))
        self.__dict__["content"] = log.content
        return log


class FollowedFile:
    """A log that is followed by its name through every rotation."""

    def __init__(self, path: str, state_dir: str) -> None:
        self.path = os.path.abspath(path)
        self.bookmark_key = self.path
        """Under which name the ledger keeps the bookmark."""
        self.directory = os.path.dirname(os.path.realpath(path))
        """Where a file is renamed or made when the log is rotated."""
        self._offset_file = OffsetFile(self.path, state_dir)
        self._hinted: int | None = None
        """Inode of the log that the offset file names."""
        self._directory: _Directory | None = None
        """What was there when the files were opened."""
        self._cut: dict[Position, Cut] = {}
        """What was found of positions behind the end of a file that was cut."""
        self._last: tuple[_Directory, Bookmark, list[bool]] | None = None
        """The last reading: what was there, the bookmark after it, and what could grow."""

    def load_bookmark(self, stored: Any) -> Bookmark:
        """Make the bookmark from what the ledger has stored."""
        return bookmark(stored)

    def is_at(self, log: LogFile) -> bool:
        """Return whether an open file is the log."""
        try:
            with as_caller():
                return os.path.samestat(os.stat(self.path), log.status)
        except OSError:
            return False

    def look(self) -> Look:
        """Look at the log from outside: one stat(2). Raises SourceError."""
        with source_errors(self.path):
            live = _State.of(self.path)
        return Look(live.inode, live.size)

    def is_unchanged(self, positions: Bookmark, now: int) -> bool:
        """Return whether there is surely nothing to read since the last reading.

        Raises SourceError.
        """
        with source_errors(self.path):
            live = _State.of(self.path)
        if self._last is None:
            return False
        directory, after, could_grow = self._last
        if (directory.live, after) != (live, positions):
            return False
        if could_grow != directory.can_grow(after, now):
            return False
        # While the log is the same there are no new files; a compressed one does not grow.
        with suppress(OSError):
            return all(
                _State.of(each.path) == (each.inode, each.size, each.changed)
                for each in directory.beside
                if not each.compressed
            )
        return False

    def pieces(self, positions: Bookmark, now: int, read_at: int) -> Iterator[FilePiece]:
        """Give the files to read, oldest first and the log last.

        Each is open until the next is asked for. `read_at` is when the log was last read to its
        end. Raises SourceError.
        """
        for piece in self._pieces(positions, now, read_at):
            yield piece
            piece.check()

    def _pieces(self, positions: Bookmark, now: int, read_at: int) -> Iterator[FilePiece]:
        with ExitStack() as stack:
            if not positions:
                yield self.first_piece(stack.enter_context(open_log(self.path)), 0)
                return
            last = positions[-1]
            order, logs = self._settled(stack, positions, now, read_at)
            last = self._uncut((last,))[0]
            windows = {each.beginning: each.window for each in self._cut.values()}
            plan = readings(order, last, os.path.realpath(self.path), now)
            # Of a log without a whole line nothing was read: the line may go on in a new file.
            waiting = b"" if last.length else last.line_start.encode("latin-1")
            line_start, lost = b"", False
            for turn, log, reading in zip(order, logs, plan, strict=True):
                if not turn.was_rotated:
                    line_start, waiting = line_start or waiting, b""
                if log is None:
                    lost |= not turn.was_rotated
                    continue
                window = windows.get(reading.position) if reading.position else None
                piece = FilePiece(log, reading, line_start, follows_gap=lost, window=window)
                yield piece
                line_start, lost = piece.unfinished_line() if reading.goes_on else b"", False

    def first_piece(self, log: LogFile, offset: int) -> FilePiece:
        """Return the log as a piece to be read from this byte on, without a bookmark."""
        path = os.path.realpath(self.path)
        self._directory = self._look(())
        position = Position(path, log.inode.number, offset, 0, 0, False)
        return FilePiece(log, Reading(path, position, latest=int(log.status.st_mtime)))

    def bookmark_after(self, positions: Bookmark, read: list[FilePiece], now: int) -> Bookmark:
        """Return the bookmark after these pieces have been read."""
        assert self._directory
        *rotated, live = read
        positions = self._uncut(positions)
        new = {piece.reading.position: piece.position for piece in rotated}
        before = (
            [new.get(position, position) for position in positions[:-1]]
            if positions
            else self._rotated_before(live.position, now)
        )
        before += [
            piece.position for piece in rotated if piece.reading.position not in positions[:-1]
        ]
        # Its writer may have it open, or its time is new enough to be taken for a new file's.
        there = {
            each.inode
            for each in self._directory.beside
            if not each.compressed or each.changed > _nanoseconds(now - LINGER)
        }
        kept = [each for each in before if each.lingers(now) or each.inode in there]
        after = *kept, live.position
        self._last = self._directory, after, self._directory.can_grow(after, now)
        return after

    def after_commit(self, position: Position) -> None:
        """Bring pygtail's offset file up to the ledger, for pygtail and for people.

        Once for each file: to say at each commit how far it was read costs a block of the disk.
        """
        if position.inode != self._hinted:
            self._offset_file.write(position)
            self._hinted = position.inode

    # ---- which files they are ----

    def _look(self, positions: Bookmark) -> _Directory:
        with source_errors(self.path):
            live = _State.of(self.path)
        paths, inodes = [each.path for each in positions], {each.inode for each in positions}
        return _Directory(live, beside(self.path, paths, inodes))

    def _settled(
        self, stack: ExitStack, positions: Bookmark, now: int, read_at: int
    ) -> tuple[list[Turn], list[LogFile | None]]:
        """Return the order and its files, open, as they were at one moment.

        Names may change meanwhile; then they are looked up again.
        """
        for left in reversed(range(_TRIES)):
            try:
                with ExitStack() as trial:
                    self._directory = directory = self._look(positions)
                    order, logs = self._opened(trial, directory, positions, now, read_at)
                    live = logs[-1]
                    assert live
                    if not left or (
                        self._look(positions).names == directory.names and self.is_at(live)
                    ):
                        stack.push(trial.pop_all())
                        break
            except SourceError:
                if not left:
                    raise
        return order, logs

    def _opened(
        self, stack: ExitStack, directory: _Directory, positions: Bookmark, now: int, read_at: int
    ) -> tuple[list[Turn], list[LogFile | None]]:
        live = _Candidate(File(self.path, *directory.live, rotated=False, number=None))
        live_log = live.open(stack)
        self._cut = find_cuts(positions, live_log, directory.beside)
        order = reading_order(
            live,
            [_Candidate(each) for each in directory.beside],
            self._uncut(positions),
            self._offset_file.rotated_path,
            read_at=read_at,
            now=now,
        )
        logs: list[LogFile | None] = []
        for turn in order[:-1]:
            candidate = turn.candidate
            logs.append(candidate.open(stack) if isinstance(candidate, _Candidate) else None)
        return order, [*logs, live_log]

    def _uncut(self, positions: Bookmark) -> Bookmark:
        """Return these positions, with the beginnings of files that were cut."""
        return tuple(self._cut[each].beginning if each in self._cut else each for each in positions)

    def _rotated_before(self, live: Position, now: int) -> list[Position]:
        """Return the ends of the files that were rotated before the first reading.

        What they hold is not counted, but what is still added to them is.
        """
        assert self._directory
        positions = []
        for each in self._directory.beside:
            may_grow = not each.compressed or each.changed >= _nanoseconds(now - TIME_LAG)
            if each.rotated and each.inode != live.inode and may_grow:
                with suppress(SourceError), open_log(each.path) as log:
                    positions.append(
                        Position(
                            live.path,
                            log.inode.number,
                            each.size,
                            *Head.of(log.begin[: each.size]),
                            in_long_line=False,
                            replaced_at=now,
                            finished=log.compressed,
                            generation=log.inode.generation,
                        )
                    )
        return positions


def _nanoseconds(at: int) -> int:
    return at * 10**9
