"""pygtail: a log followed through its rotations, with bookmarks.

pygtail keeps an offset file and names the file that logrotate or savelog has put in the log's place. What it
does not do is done around it. A file is known again by its inode (see `inode`) or, when it was
copied or compressed, by its first lines. So whatever stands beside the log either has been the log before,
and is read on from where it was left, or is new, and is read from its beginning.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, redirect_stderr, suppress
from typing import Any, NamedTuple

from pygtail.core import Pygtail

from ..errors import SourceError, StoreError, reason
from .files import HEAD, DamagedError, Head, LogFile, open_log, translated
from .heads import stamped
from .position import LINGERS, Bookmark, Piece, Position, bookmark, holds, is_at
from .rotation import File, beside, in_order

_COARSE = 1
"""Seconds by which the time of a file may be behind the clock: Linux sets it to that of the last tick, NFS to the server's."""

_TRIES = 5
"""How often the files beside the log are looked at again because they were changed meanwhile."""

_CLOSED = b"Jan  1 00:00:00 "
"""Stands for a beginning with which the line before does not go on."""


class _Part(NamedTuple):
    """A file in the order of reading."""

    log: LogFile | None
    """None where it cannot be found or needs no look."""
    was: Position | None = None
    """How far it had been read before; None for a new one, and for what is lost."""

    @property
    def known(self) -> bool:
        """It was not the log any more at the last look."""
        return self.was is not None and self.was.left is not None

    @property
    def begin(self) -> bytes:
        """Its first bytes, with which the last line of the file before may go on; `_CLOSED` where it cannot."""
        if self.was.offset or self.was.done if self.was else not self.log:
            return _CLOSED
        return self.log.begin if self.log else b""


class _Pygtail(Pygtail):  # type: ignore[misc]
    """pygtail, asked where the log went."""

    def __del__(self) -> None:
        """Do not open the file only to close it: it may be gone, or half compressed."""

    @property
    def answer(self) -> str | None:
        """The rotated file; 0.6.1, which Debian has, and 0.14 call it differently."""
        said = vars(self)
        path: str | None = (
            said["rotated_logfile"] if "rotated_logfile" in said else said["_rotated_logfile"]
        )
        return path


class FollowedFile:
    """A log that is followed by its name through every rotation."""

    def __init__(self, path: str, state_dir: str) -> None:
        self.path = os.path.abspath(path)
        self.bookmark_key = self.path
        """Under which name the ledger keeps the bookmark."""
        self.notices: list[str] = []
        """What is to be said of the last reading."""
        self._offset_file = os.path.join(state_dir, os.path.basename(path) + ".offset")
        self._sight: tuple[tuple[int, ...], list[File]] = (), []
        """What there was to see when the files were opened."""
        self._looked: tuple[Any, list[File]] = None, []
        """The log and the bookmark that was made of it, and the files beside it."""

    def load_bookmark(self, said: Any) -> Bookmark:
        """The bookmark that the ledger has kept."""
        return bookmark(said)

    def is_at(self, log: LogFile) -> bool:
        """Whether an open file is the log."""
        try:
            return os.path.samestat(os.stat(self.path), log.status)
        except OSError:
            return False

    def is_unchanged(self, positions: Bookmark, now: int) -> bool:
        """Whether there is surely nothing to read, all being as it was at the last look; raises SourceError."""
        log, files = self._looked
        with translated(self.path):
            live = _state(self.path)
        if log != (live, positions, _lingering(positions, files, now)):
            return False
        plain = [each for each in files if not each.compressed]
        with suppress(
            OSError
        ):  # there are no new ones while the log is the same, and what is compressed does not grow
            return all(_state(each.path) == (each.inode, each.size, each.changed) for each in plain)
        return False

    def pieces(self, positions: Bookmark, now: int, seen: int) -> Iterator[Piece]:
        """The files to read, oldest first, each open until the next is asked for; the last one is the log.

        `seen` is when the log was last read to its end. Raises SourceError.
        """
        for piece in self._pieces(positions, now, seen):
            yield piece
            piece.check()

    def _pieces(self, positions: Bookmark, now: int, seen: int) -> Iterator[Piece]:
        with ExitStack() as stack:
            if not positions:
                yield self.first_piece(stack.enter_context(open_log(self.path)), 0)
                return
            last = positions[-1]
            *parts, (live, was) = self._settled(stack, positions, now, seen)
            assert live
            # While a log has no whole line none of it has been read, and it may go on in whatever is read first now.
            waiting = b"" if last.length else last.carried.encode("latin-1")
            carried, lost = b"", False
            for number, part in enumerate(parts):
                if not part.known:
                    carried, waiting = carried or waiting, b""
                if part.log is None:
                    lost |= not part.known
                    continue
                begin = next(
                    (each.begin for each in (*parts[number + 1 :], _Part(live, was)) if each.begin),
                    b"",
                )
                goes_on = bool(begin) and not stamped(begin)
                left = _left(part, parts[number + 1 :], now)
                # Where nothing follows yet, the last line of a copy may still go on in the log that was truncated.
                waits = not begin and (part.known or is_at(live, last))
                over = now - max(left, int(part.log.status.st_mtime)) > LINGERS
                final = not goes_on and (over or (part.log.compressed and not waits))
                latest, left = (now, now) if part.known else (int(part.log.status.st_mtime), left)
                path = (part.was or last).path
                piece = Piece(
                    part.log,
                    path,
                    part.was,
                    latest=latest,
                    left=left,
                    carried=carried,
                    lost=lost,
                    final=final,
                )
                yield piece
                carried, lost = piece.carry() if goes_on else b"", False
            yield Piece(
                live,
                os.path.realpath(self.path),
                was,
                latest=now,
                carried=carried or waiting,
                lost=lost,
            )

    def first_piece(self, log: LogFile, offset: int) -> Piece:
        """The log, of which nothing has been read yet but what is before this byte."""
        path = os.path.realpath(self.path)
        self._sight = self._look(())
        return Piece(
            log,
            path,
            Position(path, log.inode.number, offset, 0, 0, False),
            latest=int(log.status.st_mtime),
        )

    def bookmark_after(self, positions: Bookmark, read: list[Piece], now: int) -> Bookmark:
        """The bookmark when these pieces have been read."""
        *rotated, live = read
        now_at = {piece.was: piece.position for piece in rotated if piece.was}
        before = (
            [now_at.get(position, position) for position in positions[:-1]]
            if positions
            else self._passed(live.position, now)
        )
        before += [piece.position for piece in rotated if piece.was not in positions[:-1]]
        # A rotated file is known as long as its writer may have it open, or its time is new enough for a new one's.
        there = {
            each.inode
            for each in self._sight[1]
            if not each.compressed or each.changed > _nanoseconds(now - LINGERS)
        }
        after = (
            *(position for position in before if position.lingers(now) or position.inode in there),
            live.position,
        )
        live_then, files = self._sight
        self._looked = (live_then, after, _lingering(after, files, now)), files
        return after

    def after_commit(self, position: Position) -> None:
        """Keep pygtail's offset file in step, for pygtail and for people; the bookmark that counts is the ledger's."""
        try:
            with open(self._offset_file, "w", encoding="ascii") as file:
                file.write(f"{position.inode}\n{position.offset}\n")
        except OSError as error:
            raise StoreError(
                f"{self._offset_file} cannot be written: {reason(error)}; look at its permissions and at the free space."
            ) from error

    # ---- which files they are ----

    def _look(self, positions: Bookmark) -> tuple[tuple[int, ...], list[File]]:
        """All that can be seen from outside: the log's inode, size and time, and the files beside it."""
        with translated(self.path):
            live = _state(self.path)
        return live, beside(
            self.path,
            [position.path for position in positions],
            {position.inode for position in positions},
        )

    def _settled(self, stack: ExitStack, positions: Bookmark, now: int, seen: int) -> list[_Part]:
        """The log and its rotated files, all open, as they were at one moment: names change while one looks."""
        for tries in range(_TRIES):
            with (
                ExitStack() as trial,
                suppress(SourceError) if tries < _TRIES - 1 else nullcontext(),
            ):
                self._sight = self._look(positions)
                live = trial.enter_context(open_log(self.path))
                parts = self._line_up(trial, live, self._sight[1], positions, now, seen)
                if tries == _TRIES - 1 or (
                    _names(self._look(positions)[1]) == _names(self._sight[1]) and self.is_at(live)
                ):
                    stack.push(trial.pop_all())
                    break
        return parts

    def _line_up(
        self,
        stack: ExitStack,
        live: LogFile,
        files: list[File],
        positions: Bookmark,
        now: int,
        seen: int,
    ) -> list[_Part]:
        """The files that were the log, oldest first, and the log."""
        *before, last = positions
        files = [
            each for each in files if each.inode != live.status.st_ino
        ]  # savelog links before it renames
        full = {(each.inode, each.size) for each in files if not each.compressed}
        parts = []
        for position in before:
            idle = position.done or (
                (position.inode, position.offset) in full and not position.carried
            )
            parts.append(
                _Part(None if idle else self._found(stack, position, files, positions), position)
            )
        ours = None
        if last.length:
            ours = (
                live
                if is_at(live, last) and holds(live, last)
                else self._found(stack, last, files, positions, live)
            )
            if ours is live:
                return [*parts, _Part(live, last)]
            parts.append(_Part(ours, last if ours else None))
        since = min(seen, int(ours.status.st_mtime)) if ours and now < seen else seen
        new = self._new(
            stack,
            files,
            positions,
            [live, *(part.log for part in parts if part.log)],
            _nanoseconds(since - _COARSE),
        )
        if not (
            last.length
            or new
            or is_at(live, last)
            or any(each.rotated and _is_empty(each.path) for each in files)
        ):
            new = [_Part(None)]  # the log was empty, and nobody knows what it came to hold
        return [*parts, *new, _Part(live)]

    def _found(
        self,
        stack: ExitStack,
        position: Position,
        files: list[File],
        positions: Bookmark,
        live: LogFile | None = None,
    ) -> LogFile | None:
        """The file of this position under its new name or, where that is gone, a copy of it; the log may be one, too."""
        answer = self._pygtail(position) if live else None
        files = sorted(
            files,
            key=lambda each: (
                each.inode != position.inode,
                each.path != answer,
                each.compressed,
                -each.changed,
            ),
        )
        for rotated in (True, False) if position.length else (True,):
            for each in files:
                if (each.rotated or each.inode == position.inode) is rotated and (
                    log := _whole(stack, each.path, position, positions)
                ):
                    return log
            if rotated and live and position.length and holds(live, position):
                return live
        return None

    def _new(
        self,
        stack: ExitStack,
        files: list[File],
        positions: Bookmark,
        known: list[LogFile],
        since: int,
    ) -> list[_Part]:
        """The files of which nothing has been read, oldest first; what is damaged is lost."""
        last, parts = positions[-1], []
        heads = {*(position.head for position in positions), *map(_head, known)} - {Head.of(b"")}
        inodes = {log.inode for log in known}
        for each in in_order(
            each
            for each in files
            if (each.rotated and each.changed >= since) or each.inode == last.inode
        ):
            recent = each.rotated and each.changed >= since
            try:
                log = _sound(stack, each.path)
            except DamagedError:
                parts += [_Part(None)] if recent else []
                continue
            empty = not last.length and is_at(
                log, last
            )  # so it was when it was looked at as the log
            old = log.inode in inodes or any(
                is_at(log, position) and holds(log, position) for position in positions
            )
            head = _head(log)
            if empty or (recent and not old and head not in heads):
                heads |= {head} if head.length else set()
                parts.append(_Part(log))
        return parts

    def _passed(self, live: Position, now: int) -> list[Position]:
        """The files that were rotated before the first look: what will be added to them is counted, but not what they hold."""
        passed = []
        for each in self._sight[1]:
            if (
                each.rotated
                and each.inode != live.inode
                and (not each.compressed or each.changed >= _nanoseconds(now - _COARSE))
            ):
                with suppress(SourceError), open_log(each.path) as log:
                    number, generation = log.inode
                    head, done = Head.of(log.begin[: each.size]), log.compressed
                    passed.append(
                        Position(
                            live.path, number, each.size, *head, False, "", now, done, generation
                        )
                    )
        return passed

    def _pygtail(self, position: Position) -> str | None:
        """Which file pygtail takes for the bookmarked one."""
        with (
            redirect_stderr(io.StringIO()),
            suppress(OSError, ValueError, EOFError, StoreError),
        ):  # what it warns of is seen here
            self.after_commit(position)
            return _Pygtail(self.path, offset_file=self._offset_file, copytruncate=False).answer
        return None


def _lingering(positions: Bookmark, files: list[File], now: int) -> list[bool]:
    return [
        *(position.lingers(now) for position in positions),
        *(each.changed >= _nanoseconds(now - LINGERS) for each in files),
    ]


def _state(path: str) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _names(files: list[File]) -> list[tuple[str, int]]:
    return [(each.path, each.inode) for each in files]


def _nanoseconds(at: int) -> int:
    return at * 1_000_000_000


def _left(part: _Part, later: list[_Part], now: int) -> int:
    """When a file was last read after its rotation, or else rotated: at the latest when the one after it was last written."""
    if part.was and part.was.left is not None:
        return part.was.left
    return next((min(now, int(each.log.status.st_mtime)) for each in later if each.log), now)


def _head(log: LogFile) -> Head:
    """What tells a log from others: its first whole lines, since every unfinished one may begin alike."""
    begin = log.begin
    return Head.of(begin if len(begin) == HEAD else begin[: begin.rfind(b"\n") + 1])


def _is_empty(path: str) -> bool:
    with suppress(SourceError), open_log(path) as log:
        return not log.begin
    return False


def _whole(stack: ExitStack, path: str, position: Position, positions: Bookmark) -> LogFile | None:
    """Open a file if it is the one of this position, and holds it up to the offset at least."""
    with suppress(SourceError):  # damaged, or still being compressed, or not for us to read
        with open_log(path) as log:
            another = any(
                is_at(log, each) and holds(log, each) for each in positions if each is not position
            )
            if another or not holds(log, position) or not log.skip(position.offset):
                return None
        return _sound(stack, path)
    return None


def _sound(stack: ExitStack, path: str) -> LogFile:
    """Open a file; raises DamagedError for one that cannot be unpacked to its end."""
    with open_log(path) as log:
        if log.compressed:
            log.skip(sys.maxsize)
    return stack.enter_context(open_log(path))
