"""pygtail: blocks of a rotating log, with bookmarks.

pygtail keeps an offset file and finds the file that logrotate or savelog has put in the log's place. What
it does not do is done around it: a log is known again by its first bytes, so that a reused inode, a
truncated file that has grown past the offset, a copy, a compressed file and several rotations while nobody
looked are told apart; and a file that was rotated is looked at once more, for the lines its writer still had.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pygtail.core import Pygtail

from .archive import Head, Opened, opened, translated
from .errors import SourceError
from .syslog import Blocks

_ROTATED = re.compile(r"[.-](\d{1,4}|\d{8}(-\d+)?|\d{4}-\d\d-\d\d\S*)(\.(gz|bz2|xz|zst))?")
"""What logrotate, savelog and dated rotations put behind the log's name."""

_LINGERS = 3600
"""Seconds for which a rotated file is looked at again: its writer has it open until it is told to reopen."""


class Place(NamedTuple):
    """How far one file has been read."""

    inode: int
    offset: int
    length: int
    crc: int
    """Length and checksum of its first bytes: see `archive.Head`."""
    inside: bool
    """The offset is inside a line that is too long to be one."""
    left: int | None
    """When the log's name went to another file; None while it is the log."""

    @classmethod
    def of(cls, log: Opened, offset: int, inside: bool, left: int | None = None) -> Place:
        """The place in an open log up to which it has been read."""
        return cls(log.status.st_ino, offset, *Head.of(log.begin[:offset]), inside, left)

    @property
    def head(self) -> Head:
        """The fingerprint of the file."""
        return Head(self.length, self.crc)


Bookmark = tuple[Place, ...]
"""The file before the log, while its writer may still have it open, and the log."""


def bookmark(said: Any) -> Bookmark:
    """The bookmark that the ledger has kept; empty for None."""
    return tuple(Place(*place) for place in said or ())


class Piece:
    """A file of the log, to be read on from where it was left."""

    def __init__(
        self, log: Opened, place: Place | None, *, left: int | None, latest: int, lost: bool = False, final: bool = False
    ) -> None:
        self.name = log.name
        self.latest = latest
        """When its last line can have been written."""
        self.lost = lost
        """What stood between the bookmark and this file cannot be found."""
        self.appended = place is not None and left is None
        """It is the log itself, and what is read was not there at the last look."""
        self.final = final or log.compressed
        """It will not be looked at again: what follows its last newline is a line."""
        self._log = log
        self._left = left
        self._offset = place.offset if place else 0
        log.skip(self._offset)
        self.blocks = Blocks(log.readinto, inside=place.inside if place else False, to_the_end=self.final)

    @property
    def place(self) -> Place:
        """How far it has been read by now."""
        return Place.of(self._log, self._offset + self.blocks.consumed, self.blocks.inside, self._left)


class Log:
    """A log that is followed by its name through every rotation."""

    def __init__(self, path: str, state_dir: str) -> None:
        self.path = os.path.abspath(path)
        self.bookmark = f"bookmark {self.path}"
        """Under which name the ledger keeps the bookmark."""
        self._offset_file = os.path.join(state_dir, os.path.basename(path) + ".offset")

    def is_at(self, log: Opened) -> bool:
        """Whether an open file is the log."""
        try:
            return os.path.samestat(os.stat(self.path), log.status)
        except OSError:
            return False

    def unchanged(self, places: Bookmark) -> bool:
        """Whether there is surely nothing to read: the log is the same file and no longer than before."""
        if len(places) != 1:
            return False
        with translated(self.path):
            status = os.stat(self.path)
        return (status.st_ino, status.st_size) == (places[0].inode, places[0].offset)

    def pieces(self, places: Bookmark, now: int, seen: int) -> Iterator[Piece]:
        """The files to read, oldest first, each open until the next is asked for; the last one is the log.

        `seen` is when the log was last read to its end. Raises SourceError.
        """
        with opened(self.path) as live:
            if not places:
                yield Piece(live, None, left=None, latest=int(live.status.st_mtime))
                return
            *before, last = places
            for place in before:
                yield from self._again(place, now)
            if holds(live, last):
                yield Piece(live, last, left=None, latest=now)
                return
            rotated = self._rotated(last, seen)
            lost = not (rotated and rotated[0][1])
            for number, (name, is_last) in enumerate(rotated, 1):
                with opened(name) as log:
                    latest = int(log.status.st_mtime)
                    yield Piece(log, last if is_last else None, left=now, latest=latest, lost=lost, final=number < len(rotated))
                    lost = False
            yield Piece(live, None, left=None, latest=now, lost=lost)

    def after(self, places: Bookmark, read: list[Piece], now: int) -> Bookmark:
        """The bookmark when these pieces have been read."""
        again = {piece.place.inode for piece in read}
        waiting = [place for place in places[:-1] if place.inode not in again and now - (place.left or 0) <= _LINGERS]
        waiting += [piece.place for piece in read[:-1] if not piece.final]
        return (*waiting[-1:], read[-1].place)

    def keep(self, place: Place) -> None:
        """Keep pygtail's offset file in step, for pygtail and for people; the bookmark that counts is the ledger's."""
        with open(self._offset_file, "w", encoding="ascii") as file:
            file.write(f"{place.inode}\n{place.offset}\n")

    # ---- rotated files ----

    def _pygtail(self, place: Place) -> Pygtail:
        self.keep(place)
        with contextlib.redirect_stderr(io.StringIO()):  # it warns of what is looked for further here
            return Pygtail(self.path, offset_file=self._offset_file, copytruncate=False, save_on_end=False, encoding="latin-1")

    def _again(self, place: Place, now: int) -> Iterator[Piece]:
        """The rotated file once more, if it has grown since, or has been compressed, or for the last time."""
        final = now - (place.left or 0) > _LINGERS
        for name in self._candidates(place.inode):
            with opened(name) as log:
                if holds(log, place):
                    if log.compressed or log.status.st_size > place.offset:
                        yield Piece(log, place, left=place.left, latest=now, final=final)
                    return

    def _rotated(self, last: Place, seen: int) -> list[tuple[str, bool]]:
        """The bookmarked file under its new name (True) and those rotated after it (False), oldest first."""
        with contextlib.suppress(OSError):
            answer = self._pygtail(last).rotated_logfile
            if answer and os.stat(answer).st_ino == last.inode and _has(answer, last):
                return [(answer, True)]
        candidates = self._candidates(last.inode)
        ours = next((name for name in candidates if _has(name, last)), None)
        after = os.stat(ours).st_mtime if ours else seen
        younger: dict[Head, tuple[float, str]] = {}
        for name in candidates:
            if name != ours and _ROTATED.fullmatch(name[len(self._base(name)) :]) and not (ours and _has(name, last)):
                with opened(name) as log:
                    if log.status.st_mtime >= after:
                        # `.1` and the `.1.gz` that is just being made of it are one file.
                        younger.setdefault(Head.of(log.begin), (log.status.st_mtime, name))
        return ([(ours, True)] if ours else []) + [(name, False) for _, name in sorted(younger.values())]

    def _base(self, name: str) -> str:
        return next((base for base in self._bases() if name.startswith(base)), name)

    def _bases(self) -> list[str]:
        return list(dict.fromkeys((self.path, os.path.realpath(self.path))))

    def _candidates(self, inode: int) -> list[str]:
        """Files beside the log that may have been it: by inode or by name, the uncompressed first."""
        names = []
        with translated(self.path):
            for base in self._bases():
                with os.scandir(os.path.dirname(base) or ".") as entries:
                    for entry in entries:
                        path = os.path.join(os.path.dirname(base), entry.name)
                        if path not in self._bases() and entry.is_file() and (entry.inode() == inode or path.startswith(base)):
                            names.append((entry.inode() != inode, path.endswith((".gz", ".bz2", ".xz", ".zst")), path))
        return [name for *_, name in sorted(names)]


def holds(log: Opened, place: Place) -> bool:
    """Whether an open file is the one that was bookmarked, as long as it was then at least."""
    return place.head.begins(log.begin) and (log.compressed or log.status.st_size >= place.offset)


def _has(name: str, place: Place) -> bool:
    """Whether a file holds what was bookmarked, up to the offset at least."""
    try:
        with opened(name) as log:
            return place.head.begins(log.begin) and log.skip(place.offset)
    except SourceError:  # damaged, or still being compressed
        return False
