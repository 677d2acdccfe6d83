"""Up to which line each host has been counted, whichever log the line stood in.

A source may be replaced by another that says the same again: a file by the journal, a stream by
itself from its beginning. What distinguishes a new line from one that is counted is its host, its
second, and within the newest second the line itself.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto
from typing import Any, NamedTuple

from ..counts import LineAhead

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL, 3.6 MiB of the counter's memory
except ImportError:  # a Python that was built without it
    from hashlib import blake2b

MOST_HOSTS = 1000
"""Hosts that are remembered; those whose newest line is oldest are forgotten."""

Line = tuple[bytes, ...]
"""The fields of a client's line: see `clients.Fields`."""


class Place(Enum):
    """Where a line lies, compared with what is counted of its host."""

    BEHIND = auto()
    """Behind the newest line, or of a host that is new."""
    NEWEST = auto()
    """In the second of the newest line: the lines themselves decide."""
    AMONG = auto()
    """Among the lines that are counted."""
    BEFORE = auto()
    """Before the first line."""


class Mark(NamedTuple):
    """What is counted of one host."""

    first: int
    """When its first line was written."""
    newest: int
    """When its newest line was written."""
    lines: tuple[str, ...]
    """Fingerprints of the lines of that second."""


def marks_of(saved: Any) -> dict[str, Mark]:
    """Make the marks from JSON: host -> first, newest, lines; None gives none."""
    return {
        host: Mark(first, newest, tuple(lines))
        for host, (first, newest, lines) in (saved or {}).items()
    }


class _Growing:
    """The mark of a host whose lines are being counted."""

    def __init__(self, mark: Mark) -> None:
        self.first, self.newest, self.fingerprints = mark
        self.lines: list[list[Any]] = []

    def mark(self) -> Mark:
        prints = (fingerprint(line) for lines in self.lines for line in lines)
        return Mark(self.first, self.newest, (*self.fingerprints, *prints))


class Marks:
    """The marks of all hosts, while lines are counted."""

    def __init__(self, saved: Any = None) -> None:
        """Read what `marks` gave, as it is or as JSON gives it back; None is no mark."""
        self._growing = {
            host.encode("latin-1"): _Growing(mark) for host, mark in marks_of(saved).items()
        }

    def add_ahead(self, line: LineAhead) -> None:
        """Note that a line is counted whose time has come."""
        host = line.host.encode("latin-1")
        self.add(host, line.at, line.at, [])
        mark = self._growing[host]
        if mark.newest == line.at:
            mark.fingerprints += (line.line,)

    def add(self, host: bytes, first: int, newest: int, lines: list[Any]) -> None:
        """Note that a host's lines from `first` to `newest` are counted; `lines` are the latter."""
        mark = self._growing.get(host)
        if mark is None:
            if len(self._growing) >= 2 * MOST_HOSTS:
                self._growing = dict(self._newest())
            self._growing[host] = mark = _Growing(Mark(first, newest, ()))
        mark.first = min(mark.first, first)
        if newest > mark.newest:
            mark.newest, mark.fingerprints, mark.lines = newest, (), [lines]
        elif newest == mark.newest:
            mark.lines.append(lines)

    def _newest(self) -> list[tuple[bytes, _Growing]]:
        return sorted(self._growing.items(), key=lambda each: each[1].newest)[-MOST_HOSTS:]

    def marks(self) -> dict[str, Mark]:
        """Return the mark of each host."""
        return {host.decode("latin-1"): each.mark() for host, each in self._newest()}


class _Known(NamedTuple):
    """A host's mark, and the lines of its newest second that have not been read again."""

    mark: Mark
    left: Counter[str]


class Counted:
    """What was counted before a log is read that may say it again."""

    def __init__(self, marks: dict[str, Mark]) -> None:
        self._known = {host: _Known(mark, Counter(mark.lines)) for host, mark in marks.items()}
        self._hosts: dict[bytes, _Known | None] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def place(self, host: bytes, at: int) -> Place:
        """Return where the lines of a host lie that were written in this second."""
        if host not in self._hosts:
            self._hosts[host] = self._find(host.decode("latin-1"))
        known = self._hosts[host]
        if known is None or at > known.mark.newest:
            return Place.BEHIND
        if at == known.mark.newest:
            return Place.NEWEST
        return Place.BEFORE if at < known.mark.first else Place.AMONG

    def has_any_among(self, at: int) -> bool:
        """Return whether this second lies among what is counted of some host."""
        return any(known.mark.first <= at < known.mark.newest for known in self._known.values())

    def take(self, host: bytes, line: Line) -> bool:
        """Return whether a line of the newest second is counted; each is found once."""
        known = self._hosts[host]
        name = fingerprint(line)
        if known is None or not known.left[name]:
            return False
        known.left[name] -= 1
        return True

    def ahead_of(self, at: int) -> dict[str, Mark]:
        """Return the marks that a log, read up to this epoch second, may still say again."""
        return {
            host: mark._replace(lines=tuple(left.elements()))
            for host, (mark, left) in self._known.items()
            if mark.newest >= at
        }

    def _find(self, host: str) -> _Known | None:
        """Return the mark of a host, which one log may name with its domain and another without."""
        short = host.partition(".")[0]
        return self._known.get(host) or next(
            (
                known
                for name, known in self._known.items()
                if name.partition(".")[0] == short and short in (name, host)
            ),
            None,
        )


def fingerprint(line: Line) -> str:
    """Return what tells a line from others of its host and second, in whatever format it stood."""
    return blake2b(b"\0".join(line[2:]), digest_size=8).hexdigest()
