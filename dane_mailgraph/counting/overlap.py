"""Logs of one host that are imported together and tell of the same time: what both hold must not be counted twice.

While a log is counted, the beginnings of those that come after it are looked for in it, from the time on at which they
begin. So nothing is read twice but what two logs have in common.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..log import LogFile, open_log

JOINT = 10
"""Seconds by which a log may begin before the one it follows ends: lines of several processes stand out of order."""

_HOST = re.compile(rb"^[^\n]{,40}?\d\d:\d\d:\d\d\S* (\S+) ", re.MULTILINE)

_CHUNK = 1 << 18


class Overlap(NamedTuple):
    """A stretch of time of which two logs of one host tell."""

    earlier: str
    later: str
    start: int
    until: int


class Part:
    """One of the logs that are imported together."""

    def __init__(self, path: str, log: LogFile, first: float) -> None:
        self.log, self.first = log, first
        self.newest: int | None = None
        """When its newest line was written; None until it has been counted, and where nothing in it was new."""
        self.size = 0
        """Bytes, from its beginning, that have been counted of it or of the logs that it repeats."""
        host = _HOST.search(log.begin)
        self._host = host[1] if host else None
        self._path = path
        again = log.is_regular and path != "-"
        self._line = log.begin[: log.begin.find(b"\n") + 1] if again else b""
        self._places: dict[Part, int] = {}
        """Where in logs before it this one begins."""

    def mark_counted(self, newest: int | None, size: int) -> None:
        """It has been counted up to its byte `size`."""
        self.newest, self.size = newest, size

    def is_beside(self, other: Part) -> bool:
        """Whether both are of one host."""
        return self._host is not None and self._host == other._host

    def look(
        self, earlier: Part, newest: int | None, block: bytearray, end: int, offset: int
    ) -> None:
        """Look for its beginning in a block of an earlier log, which has come to `newest`."""
        if (
            not self.is_beside(earlier)
            or newest is None
            or newest + JOINT < self.first
            or not self._line
            or earlier in self._places
        ):
            return
        begin, at = self.log.begin, block.find(self._line, 0, end)
        while at >= 0:
            if block[at : min(end, at + len(begin))] == begin[: end - at]:
                self._places[earlier] = offset + at
                return
            at = block.find(self._line, at + 1, end)

    def known(self, before: list[Part], later: list[Part]) -> int:
        """How many bytes at its beginning have been counted from the logs before it.

        They are not read again, so the logs after it that begin within them are told here.
        """
        most = 0
        for earlier in before:
            size = self._repeats(earlier)
            begin = self._places.get(earlier, 0)
            for each in later:
                place = each._places.get(earlier)
                if place is not None and begin <= place < begin + size:
                    each._places.setdefault(self, place - begin)
            most = max(most, size)
        return most

    def _repeats(self, earlier: Part) -> int:
        """How many bytes at its beginning have been counted from an earlier log: a copy, or one that ends with them."""
        ours, theirs = self.log.begin, earlier.log.begin
        if ours and (ours.startswith(theirs) or theirs.startswith(ours)):
            return earlier.size
        place = self._places.get(earlier)
        # Of two logs that follow each other in one second, the later may well begin with a line that the earlier holds.
        if place is None or earlier.newest is None or earlier.newest <= self.first:
            return 0
        return _same(earlier._path, place, earlier.size, self._path)

    def overlap(self, before: list[Part], first: int | None, horizon: int | None) -> Overlap | None:
        """The longest stretch of which a log before it told, too; `first` is when the first line was written that was new."""
        found = []
        for each in before:
            if (
                first is not None
                and self.newest is not None
                and each.newest is not None
                and each.is_beside(self)
            ):
                start, until = (
                    max(first, int(each.first), horizon or 0),
                    min(self.newest, each.newest),
                )
                if until - start > JOINT:
                    found.append(Overlap(each.log.name, self.log.name, start, until))
        return max(found, key=lambda each: each.until - each.start, default=None)


def _same(earlier: str, place: int, size: int, later: str) -> int:
    """How many bytes the later log begins with that stand in the earlier one from `place` on to its `size`; 0 if any differ."""
    with open_log(earlier, named=True) as one, open_log(later, named=True) as other:
        one.skip(place)
        at = place
        while ahead := one.read(min(size - at, _CHUNK)):
            repeated = other.read(len(ahead))
            if not ahead.startswith(repeated):
                return 0
            at += len(repeated)
            if len(repeated) < len(ahead):
                break
    return at - place
