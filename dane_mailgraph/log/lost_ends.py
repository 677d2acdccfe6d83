"""Which files of a log have lost their end, as in a power cut, however they grew or moved since."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

from ..errors import SourceError
from . import forms
from .files import Head, LogFile, open_log
from .position import STUB, Bookmark, Position, is_at
from .rotation import File
from .sums import Window, find_window


class Cut(NamedTuple):
    """A file that was cut."""

    beginning: Position
    """The position at its beginning."""
    window: Window


def find_cuts(bookmark: Bookmark, live: LogFile, beside: Iterable[File]) -> dict[Position, Cut]:
    """Return each position whose file was cut since, with how it was."""
    beside = sorted(beside, key=lambda each: (not each.rotated, -each.changed))
    cuts = {}
    for position in bookmark:
        if position.sums and not position.finished:
            with ExitStack() as stack:
                cut = _Search(position, bookmark, live, beside, stack).cut()
            if cut:
                cuts[position] = cut
    return cuts


class _Search:
    """The search for the file of a position."""

    def __init__(
        self,
        position: Position,
        bookmark: Bookmark,
        live: LogFile,
        beside: list[File],
        stack: ExitStack,
    ) -> None:
        self._position, self._live, self._beside, self._stack = position, live, beside, stack
        self._was_log = position is bookmark[-1]
        self._bookmark = bookmark

    def cut(self) -> Cut | None:
        """Return how it was cut; None where all is there that was read, or nothing is."""
        itself = self._itself()
        if itself and self._begins_alike(itself):
            return next(self._cuts([itself]), None)
        if not (itself or self._was_log):
            return None
        copies = list(self._copies(itself))
        cuts = list(self._cuts(filter(self._begins_alike, copies)))
        if None in cuts:
            return None
        # It was cut within its first bytes, and new lines may have taken their place.
        likely = [itself] if itself else []
        likely += copies if self._was_log else []
        cuts += self._cuts(filter(self._has_stub, likely))
        if not cuts and itself and _is_stump(itself.begin):
            return Cut(_beginning(itself, self._position), Window(0, STUB))
        return cuts[0] if cuts else None

    def _itself(self) -> LogFile | None:
        """Return the very file of the position, open."""
        if is_at(self._live.content, self._position):
            return self._live
        for each in self._beside:
            is_idle = each.size == self._position.offset and not self._was_log
            if each.inode == self._position.inode and not (each.compressed or is_idle):
                log = self._opened(each)
                return log if log and is_at(log.content, self._position) else None
        return None

    def _copies(self, itself: LogFile | None) -> Iterable[LogFile]:
        """Iterate over the files that may be copies of it, open."""
        if itself is not self._live:
            yield self._live
        for each in self._beside:
            log = self._opened(each)
            if log and not any(is_at(log.content, position) for position in self._bookmark):
                yield log

    def _opened(self, file: File) -> LogFile | None:
        with suppress(SourceError):  # damaged, still being compressed, or not ours to read
            return self._stack.enter_context(open_log(file.path))
        return None

    def _begins_alike(self, log: LogFile) -> bool:
        return self._position.head.begins(log.begin)

    def _has_stub(self, log: LogFile) -> bool:
        begin = log.begin[:STUB]
        return len(begin) == STUB and zlib.crc32(begin) == self._position.stub

    def _cuts(self, logs: Iterable[LogFile]) -> Iterator[Cut | None]:
        """Iterate over how each log was cut, None where it is whole; not over damaged ones."""
        for log in logs:
            with suppress(SourceError):
                window = find_window(log, self._position.offset, self._position.sums)
                yield Cut(_beginning(log, self._position), window) if window else None


def _is_stump(begin: bytes) -> bool:
    """Return whether a log begins with so little of a line that another is glued to it."""
    line = begin.partition(b"\n")[0]
    return any(forms.begins_line(line[place:]) for place in range(1, min(STUB, len(line))))


def _beginning(log: LogFile, position: Position) -> Position:
    return position._replace(
        inode=log.inode.number,
        generation=log.inode.generation,
        offset=0,
        **Head.of(log.begin)._asdict(),
        in_long_line=False,
        line_start="",
        stub=0,
        sums="",
        unfinished=0,
    )
