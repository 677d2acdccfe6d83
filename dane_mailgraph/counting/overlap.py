"""Logs of one host that are imported together and overlap: what both hold must count once.

While a log is counted, it is searched for the beginnings of later logs, from the time on at which
they begin. So only what two logs have in common is read twice.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..log import LogFile, open_log

JOINT = 10
"""Seconds by which logs that follow each other may overlap: processes log out of order."""

_HOST = re.compile(rb"^[^\n]{,40}?\d\d:\d\d:\d\d\S* (\S+) ", re.MULTILINE)

_CHUNK = 1 << 18


class SharedTime(NamedTuple):
    """A stretch of time that is in two logs of one host."""

    earlier: str
    later: str
    start: int
    until: int


class Part:
    """One of the logs that are imported together."""

    def __init__(self, path: str, log: LogFile, first: float) -> None:
        self.log, self.first = log, first
        self.newest: int | None = None
        """When its newest line was written; None before it is counted, or if nothing was read."""
        self.is_of_postfix = False
        """It holds a line of Postfix's."""
        self.size = 0
        """Bytes from its beginning that are counted, of it or of logs that it repeats."""
        host = _HOST.search(log.begin)
        self._host = host[1] if host else None
        self.path = path
        again = log.is_regular and path != "-"
        self._line = log.begin[: log.begin.find(b"\n") + 1] if again else b""
        self._places: dict[Part, int] = {}
        """Earlier log -> where in it this one begins."""

    def mark_counted(self, newest: int | None, size: int) -> None:
        """Note that it has been counted up to its byte `size`."""
        self.newest, self.size = newest, size

    def is_beside(self, other: Part) -> bool:
        """Return whether both are of one host."""
        return self._host is not None and self._host == other._host

    def look(
        self, earlier: Part, newest: int | None, block: bytearray, end: int, offset: int
    ) -> None:
        """Look for its beginning in a block of an earlier log, whose newest line is given."""
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

    def bytes_known(self, before: list[Part], later: list[Part]) -> int:
        """Return how many bytes at its beginning the logs before it have brought.

        These bytes are not read again, so where a later log begins in them is noted here.
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
        """Return how many bytes of its beginning an earlier log has, as a copy or at its end."""
        ours, theirs = self.log.begin, earlier.log.begin
        if ours and (ours.startswith(theirs) or theirs.startswith(ours)):
            return earlier.size
        place = self._places.get(earlier)
        # If logs follow each other within a second, the earlier may hold the later's first line.
        if place is None or earlier.newest is None or earlier.newest <= self.first:
            return 0
        return _same(earlier.path, place, earlier.size, self.path)

    def shared_time(self, before: list[Part], first: int | None) -> SharedTime | None:
        """Return the longest stretch that an earlier log has too; `first` is our first new line."""
        found = []
        for each in before:
            if (
                first is not None
                and self.newest is not None
                and each.newest is not None
                and each.is_beside(self)
            ):
                start, until = max(first, int(each.first)), min(self.newest, each.newest)
                if until - start > JOINT:
                    found.append(SharedTime(each.log.name, self.log.name, start, until))
        return max(found, key=lambda each: each.until - each.start, default=None)


def _same(earlier: str, place: int, size: int, later: str) -> int:
    """Return how many bytes the later log repeats of `earlier[place:size]`; 0 if any differ."""
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
