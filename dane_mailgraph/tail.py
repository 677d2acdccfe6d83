"""pygtail: blocks of a rotating log, with bookmarks.

pygtail keeps an offset file and finds the file that logrotate or savelog has put in the log's place. What
it does not do is done around it: a log is known again by its first bytes, so that a reused inode, a
truncated file that has grown past the offset, a copy, a compressed file and several rotations while nobody
looked are told apart; and a file that was rotated is looked at once more, for the lines its writer still had.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, redirect_stderr, suppress
from typing import Any, NamedTuple

from pygtail.core import Pygtail

from .archive import HEAD, DamagedError, Head, Opened, opened, translated
from .errors import SourceError, StoreError, reason
from .syslog import Blocks, stamped

_COMPRESSED = re.compile(r"\.(gz|bz2|xz|zst)$")

_ROTATED = r"[.-](?:\d{1,4}|\d{8}(?:-\d+)?|\d{4}-\d\d-\d\d\S*)"
"""What logrotate, savelog and dated rotations put behind the log's name, but for the compression."""

_DATE = r"(?:19|20)\d\d[-._]?\d\d[-._]?\d\d"
"""A date in the name of the log to which a symbolic link points today."""

_LINGERS = 3600
"""Seconds for which a rotated file is looked at again: its writer has it open until it is told to reopen."""

_TRIES = 5
"""How often a directory is read again because it was changed meanwhile."""


class Place(NamedTuple):
    """How far one file has been read."""

    path: str
    """Its name when it was the log, symbolic links followed."""
    inode: int
    offset: int
    length: int
    crc: int
    """Length and checksum of its first bytes: see `archive.Head`."""
    inside: bool
    """The offset is inside a line that is too long to be one."""
    carried: str = ""
    """The beginning of its first line, which stands at the end of a copy made before the log was truncated."""
    left: int | None = None
    """When the log's name went to another file; None while it is the log."""
    done: bool = False
    """It has been read to its end for good, and is only remembered so as not to be read again."""

    @property
    def head(self) -> Head:
        """The fingerprint of the file."""
        return Head(self.length, self.crc)

    def lingers(self, now: int) -> bool:
        """Whether its writer may still have it open."""
        return now - (self.left or 0) <= _LINGERS


Bookmark = tuple[Place, ...]
"""The files that were the log within the last hour, and the log."""


def bookmark(said: Any) -> Bookmark:
    """The bookmark that the ledger has kept; empty for None."""
    return tuple(Place(*place) for place in said or ())


class Piece:
    """A file of the log, to be read on from where it was left."""

    def __init__(
        self,
        log: Opened,
        path: str,
        was: Place | None = None,
        *,
        latest: int,
        left: int | None = None,
        carried: bytes = b"",
        lost: bool = False,
        final: bool = False,
    ) -> None:
        self.was = was
        """How far it had been read before."""
        self.latest = latest
        """When its last line can have been written."""
        self.lost = lost
        """What stood between the bookmark and this file cannot be found."""
        self._log, self._path, self._left, self._done = log, path, left, final
        self._offset = was.offset if was else 0
        log.skip(self._offset)
        self._carried = carried or (was.carried.encode("latin-1") if was else b"")
        if self._carried and stamped(log.begin):
            self._carried += b"\n"  # it was never finished
        self._ahead = self._carried
        # Of a file that is not looked at again, what follows the last newline is a line.
        self.blocks = Blocks(self._readinto, inside=was.inside if was else False, to_the_end=final)

    def _readinto(self, view: memoryview) -> int:
        if self._ahead:
            ahead, self._ahead = self._ahead[: len(view)], self._ahead[len(view) :]
            view[: len(ahead)] = ahead
            return len(ahead)
        return self._log.readinto(view)

    def carry(self, goes_on: bool) -> bytes:
        """The beginning of its last line, if that goes on in the next file; then this one is done."""
        rest = self.blocks.rest if goes_on else b""
        self._done |= bool(rest)
        return rest

    @property
    def place(self) -> Place:
        """How far it has been read by now."""
        consumed = self.blocks.consumed
        return Place(
            self._path,
            self._log.status.st_ino,
            self._offset + max(0, consumed - len(self._carried)),
            *_head(self._log),
            self.blocks.inside,
            self._carried[consumed:].decode("latin-1"),
            self._left,
            self._done,
        )


class _File(NamedTuple):
    """A file beside the log."""

    path: str
    inode: int
    size: int
    changed: float
    rotated: bool
    """Its name is one that rotation gives."""

    @property
    def compressed(self) -> bool:
        return bool(_COMPRESSED.search(self.path))


class _Pygtail(Pygtail):  # type: ignore[misc]
    """pygtail, asked where the log went."""

    def __del__(self) -> None:
        """Do not open the file only to close it: it may be gone, or half compressed."""


class Log:
    """A log that is followed by its name through every rotation."""

    def __init__(self, path: str, state_dir: str) -> None:
        self.path = os.path.abspath(path)
        self.bookmark = f"bookmark {self.path}"
        """Under which name the ledger keeps the bookmark."""
        self.notices: list[str] = []
        """What is to be said of the last reading."""
        self._offset_file = os.path.join(state_dir, os.path.basename(path) + ".offset")

    def remembered(self, said: Any) -> Bookmark:
        """The bookmark that the ledger has kept."""
        return bookmark(said)

    def is_at(self, log: Opened) -> bool:
        """Whether an open file is the log."""
        try:
            return os.path.samestat(os.stat(self.path), log.status)
        except OSError:
            return False

    def unchanged(self, places: Bookmark, now: int, seen: int) -> bool:
        """Whether there is surely nothing to read: the same files as before, and no longer than they were."""
        if not places:
            return False
        *before, last = places
        with opened(self.path) as live:
            same = live.status.st_ino == last.inode and live.status.st_size == last.offset and holds(live, last)
        if not same or not all(each.lingers(now) for each in before):
            return False
        waiting = {(each.inode, each.offset) for each in before if not each.done}
        if not waiting and last.length:
            return True
        files = self._beside(places)
        inodes = {each.inode for each in before}
        # A log that was empty and is so again may have been copied, truncated or replaced in between.
        new = not last.length and any(each.rotated and each.changed >= seen and each.inode not in inodes for each in files)
        return not new and waiting <= {(each.inode, each.size) for each in files}

    def pieces(self, places: Bookmark, now: int, seen: int) -> Iterator[Piece]:
        """The files to read, oldest first, each open until the next is asked for; the last one is the log.

        `seen` is when the log was last read to its end. Raises SourceError.
        """
        with ExitStack() as stack:
            if not places:
                yield self.begun(stack.enter_context(opened(self.path)), 0)
                return
            live, again, rotated = self._settled(stack, places, now, seen)
            last, path = places[-1], os.path.realpath(self.path)
            carried = b""
            for number, (place, log) in enumerate(again, 1):
                final = log.compressed or not place.lingers(now)
                following: list[Opened | None] = [later for its, later in again[number:] if not its.offset]
                goes_on = _goes_on(following if last.offset else [*following, *(rotated or ()), live], False)
                if final or log.status.st_size > place.offset:
                    piece = Piece(
                        log, place.path, place, latest=now, left=place.left, carried=carried, final=final and not goes_on
                    )
                    yield piece
                    carried = piece.carry(goes_on)
            if rotated is None:
                yield Piece(live, path, last, latest=now, carried=carried)
                return
            lost = False
            for number, each in enumerate(rotated, 1):
                if each is None:
                    lost = True
                else:
                    goes_on = _goes_on([*rotated[number:], live], live.status.st_ino == last.inode)
                    goes_on |= not each.begin and number < len(rotated)
                    latest = int(each.status.st_mtime)
                    # The last one may still be open although nothing has been written to it for long.
                    closed = each.compressed or (number < len(rotated) and now - latest > _LINGERS)
                    final = closed and not goes_on
                    was = last if number == 1 else None
                    piece = Piece(each, last.path, was, latest=latest, left=now, carried=carried, lost=lost, final=final)
                    yield piece
                    carried, lost = piece.carry(goes_on), False
            yield Piece(live, path, latest=now, carried=carried, lost=lost)

    def begun(self, log: Opened, offset: int) -> Piece:
        """The log, of which nothing has been read yet but what is before this byte."""
        path = os.path.realpath(self.path)
        return Piece(log, path, Place(path, log.status.st_ino, offset, 0, 0, False), latest=int(log.status.st_mtime))

    def after(self, places: Bookmark, read: list[Piece], now: int) -> Bookmark:
        """The bookmark when these pieces have been read."""
        now_at = {piece.was: piece.place for piece in read[:-1] if piece.was}
        before = [now_at.get(place, place) for place in places[:-1]] if places else self._passed(read[-1].place, now)
        before += [piece.place for piece in read[:-1] if piece.was not in places[:-1]]
        return (*(place for place in before if place.lingers(now)), read[-1].place)

    def keep(self, place: Place) -> None:
        """Keep pygtail's offset file in step, for pygtail and for people; the bookmark that counts is the ledger's."""
        try:
            with open(self._offset_file, "w", encoding="ascii") as file:
                file.write(f"{place.inode}\n{place.offset}\n")
        except OSError as error:
            raise StoreError(
                f"{self._offset_file} cannot be written: {reason(error)}; look at its permissions and at the free space."
            ) from error

    # ---- rotated files ----

    def _settled(
        self, stack: ExitStack, places: Bookmark, now: int, seen: int
    ) -> tuple[Opened, list[tuple[Place, Opened]], list[Opened | None] | None]:
        """The log and its rotated files, all open, as they were at one moment: names change while one looks."""
        for tries in range(_TRIES):
            with ExitStack() as trial:
                moment = self._moment(places)
                with suppress(SourceError) if tries < _TRIES - 1 else nullcontext():
                    live = trial.enter_context(opened(self.path))
                    again, rotated = self._open(trial, live, places, now, seen)
                    if tries == _TRIES - 1 or (self._moment(places) == moment and self.is_at(live)):
                        stack.push(trial.pop_all())
                        break
        return live, again, rotated

    def _moment(self, places: Bookmark) -> list[int]:
        with translated(self.path):
            return [os.stat(folder).st_mtime_ns for folder in self._folders(places)]

    def _open(
        self, stack: ExitStack, live: Opened, places: Bookmark, now: int, seen: int
    ) -> tuple[list[tuple[Place, Opened]], list[Opened | None] | None]:
        """The files that were the log before, and those that have been since the last look (None: the log still is).

        A None among the latter stands for what is lost.
        """
        *before, last = places
        files: list[_File] | None = None
        again = []
        waiting = [place for place in before if not place.done]
        if waiting:
            files = self._beside(places)
            for place in waiting:
                if found := self._found(stack, place, files):
                    again.append((place, found))
        files = self._beside(places) if files is None else files
        files = [each for each in files if not any(_is(each, place) for place in before)]
        ours: Opened | None = None
        if last.length and live.status.st_ino == last.inode and holds(live, last):
            # Compressing frees the inode for the next log, which may even begin with the same lines.
            new = [each for each in files if each.rotated and each.compressed and each.changed >= seen]
            ours = self._found(stack, last, new)
            if ours is None:
                return again, None
        ours = ours or self._found(stack, last, files, live)
        if ours is live:
            return again, None
        known = [each.status for each in (live, ours, *(log for _, log in again)) if each]
        heads = {last.head, *(_head(log) for log in (live, ours) if log), *(place.head for place in before)}
        heads.discard(Head.of(b""))
        after = ours.status.st_mtime if ours and now < seen else seen
        younger = self._younger(stack, files, after, known, heads)
        if last.length or ours:
            rotated = [ours, *younger]
            return again, rotated if last.length else sorted(rotated, key=_changed)
        if younger:
            return again, younger
        if live.status.st_ino == last.inode:
            return again, None
        # It was empty and its inode is gone: it may have been compressed, or else nobody knows what it held.
        return again, [] if any(each.rotated and _is_empty(each.path) for each in files) else [None]

    def _found(self, stack: ExitStack, place: Place, files: list[_File], live: Opened | None = None) -> Opened | None:
        """The file of this place under its new name, or the log itself, copied since."""
        answer = self._pygtail(place) if live else None
        candidates = sorted(
            files, key=lambda each: (each.inode != place.inode, each.path != answer, each.compressed, -each.changed)
        )
        for rotated in (True, False) if place.length else (True,):
            for each in candidates:
                if (each.rotated or each.inode == place.inode) is rotated and (log := _whole(stack, each.path, place)):
                    return log
            if rotated and live and place.length and holds(live, place):
                return live
        return None

    def _younger(
        self, stack: ExitStack, files: list[_File], after: float, known: list[os.stat_result], heads: set[Head]
    ) -> list[Opened | None]:
        """The files that were rotated since the last look and have never been seen; None for one that is damaged."""
        found: list[Opened | None] = []
        for each in sorted(files, key=lambda each: (each.compressed, each.changed, each.path)):
            if each.rotated and each.changed >= after:
                try:
                    log = _sound(stack, each.path)
                except DamagedError:
                    found.append(None)
                    continue
                head = _head(log)
                if head not in heads and not any(os.path.samestat(log.status, status) for status in known):
                    heads |= {head} if head.length else set()
                    found.append(log)
        return sorted(found, key=_changed)

    def _passed(self, live: Place, now: int) -> list[Place]:
        """At the first look: the rotated files that could later be taken for new ones, because they change just now."""
        with ExitStack() as stack, suppress(SourceError):
            logs = self._younger(stack, self._beside((live,)), now, [os.stat(self.path)], set())
            return [Piece(log, live.path, latest=now, left=now, final=True).place for log in logs if log]
        return []

    def _pygtail(self, place: Place) -> str | None:
        """Which file pygtail takes for the bookmarked one."""
        with redirect_stderr(io.StringIO()), suppress(OSError, ValueError, EOFError, StoreError):  # what it warns of is seen here
            self.keep(place)
            answer: str | None = _Pygtail(self.path, offset_file=self._offset_file, copytruncate=False).rotated_logfile
            return answer
        return None

    def _bases(self, places: Bookmark) -> list[str]:
        """The log's names: its own, where it points, where it pointed."""
        return list(dict.fromkeys((self.path, os.path.realpath(self.path), *(place.path for place in places))))

    def _folders(self, places: Bookmark) -> list[str]:
        folders = list(dict.fromkeys(os.path.dirname(base) for base in self._bases(places)))
        return [folder for folder in folders if os.path.isdir(folder)]

    def _beside(self, places: Bookmark) -> list[_File]:
        """Files that may have been the log: by inode or by name."""
        bases, inodes = self._bases(places), {place.inode for place in places}
        itself = {self.path, os.path.realpath(self.path)}
        named = re.compile("|".join(_series(base) for base in bases))
        left = {place.path for place in places} - itself
        files = []
        with translated(self.path):
            for folder in self._folders(places):
                with os.scandir(folder) as entries:
                    for entry in entries:
                        path = os.path.join(folder, entry.name)
                        stem = _COMPRESSED.sub("", path)
                        rotated = stem in left or bool(named.fullmatch(stem))
                        alike = rotated or entry.inode() in inodes or path.startswith(tuple(bases))
                        if alike and path not in itself:
                            with suppress(FileNotFoundError):  # a symbolic link to nowhere
                                status = entry.stat()
                                if stat.S_ISREG(status.st_mode):
                                    files.append(_File(path, status.st_ino, status.st_size, status.st_mtime, rotated))
        # `.1` and the `.1.gz` that is just being made of it are one file.
        names = {each.path for each in files}
        return [each for each in files if not each.compressed or _COMPRESSED.sub("", each.path) not in names]


def holds(log: Opened, place: Place) -> bool:
    """Whether an open file is the one that was bookmarked, as long as it was then at least."""
    # An empty one gives nothing to know it by; compressing gives it another inode, and its own to the next file.
    empty = not log.begin if log.compressed else log.status.st_ino == place.inode
    same = place.head.begins(log.begin) if place.length else empty
    return same and (log.compressed or log.status.st_size >= place.offset)


def _changed(log: Opened | None) -> int:
    return log.status.st_mtime_ns if log else 0


def _goes_on(following: list[Opened | None], truncated: bool) -> bool:
    """Whether these files begin within the line in which the one before them ends, as after copying and truncating.

    While they are empty only that the log was truncated can tell.
    """
    begin = next((log.begin for log in following if log and log.begin), b"")
    return not stamped(begin) if begin else truncated


def _is(file: _File, place: Place) -> bool:
    """Whether a file that has the inode of a place is that one: inodes are given anew."""
    if file.inode == place.inode:
        with suppress(SourceError), opened(file.path) as log:
            return holds(log, place)
    return False


def _head(log: Opened) -> Head:
    """What tells a log from others: its first whole lines, since every unfinished one may begin alike."""
    begin = log.begin
    return Head.of(begin if len(begin) == HEAD else begin[: begin.rfind(b"\n") + 1])


def _is_empty(path: str) -> bool:
    with suppress(SourceError), opened(path) as log:
        return not log.begin
    return False


def _whole(stack: ExitStack, path: str, place: Place) -> Opened | None:
    """Open a file if it is the bookmarked one and holds it up to the offset at least."""
    with suppress(SourceError):  # damaged, or still being compressed, or not for us to read
        with opened(path) as log:
            if not holds(log, place) or not log.skip(place.offset):
                return None
        return _sound(stack, path)
    return None


def _sound(stack: ExitStack, path: str) -> Opened:
    """Open a file; raises DamagedError for one that cannot be unpacked to its end."""
    with opened(path) as log:
        if log.compressed:
            log.skip(sys.maxsize)
    return stack.enter_context(opened(path))


def _series(base: str) -> str:
    """A pattern for the names of a log's rotated files, and of those with another date in it."""
    folder, name = os.path.split(base)
    parts = re.split(_DATE, name)
    of_any_day = f"|{re.escape(os.path.join(folder, ''))}{_DATE.join(map(re.escape, parts))}" if len(parts) > 1 else ""
    return f"{re.escape(base)}{_ROTATED}{of_any_day}"
