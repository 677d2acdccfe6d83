"""Which files were the log, and in which order they are read: files and positions in, order out.

A file is recognized by its inode or, when it was copied or compressed, by its first lines. So
each file beside the log either was the log before and is read on from its position, or is new and
is read from its beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from ..errors import SourceError
from .files import HEAD, Content, Head
from .forms import begins_line
from .position import LINGER, Bookmark, Position, holds, is_at
from .rotation import File, in_order

TIME_LAG = 1
"""Seconds by which a file's time may lag: Linux takes that of the last tick, NFS the server's."""


class Candidate(Protocol):
    """A file that may have been the log; what costs time is looked up when it is asked for."""

    @property
    def file(self) -> File:
        """What its folder says of it."""

    @property
    def content(self) -> Content:
        """What opening it shows; raises SourceError where it cannot be opened."""

    @property
    def length(self) -> int | None:
        """Its bytes, unpacked; None where it is damaged. Raises SourceError like `content`."""


class Turn(NamedTuple):
    """One file in the order of reading."""

    candidate: Candidate | None
    """None where it cannot be found, or holds nothing new."""
    position: Position | None = None
    """How far it had been read; None for a new file, and for a lost one."""

    @property
    def was_rotated(self) -> bool:
        """At the last reading it was no longer the log."""
        return self.position is not None and self.position.replaced_at is not None

    @property
    def begin(self) -> bytes | None:
        """The bytes with which the last line of the file before may go on; None where it cannot."""
        if self.position and (self.position.offset or self.position.finished):
            return None
        if self.candidate:
            return self.candidate.content.begin
        return b"" if self.position else None


class Reading(NamedTuple):
    """How one file is read."""

    path: str
    """Its name while it was the log."""
    position: Position | None
    """How far it had been read."""
    latest: int
    """When its last line can have been written, in epoch seconds."""
    replaced_at: int | None = None
    """As in `Position`."""
    goes_on: bool = False
    """Its last line goes on in the next file."""
    to_the_end: bool = False
    """What follows its last newline is a line."""


Hint = Callable[[Position], str | None]
"""Guesses the path of the file that was the log."""


def reading_order(
    live: Candidate,
    beside: Iterable[Candidate],
    bookmark: Bookmark,
    hint: Hint,
    *,
    read_at: int,
    now: int,
) -> list[Turn]:
    """Return the files to read, oldest first and the log, `live`, last.

    `beside` are the files beside the log, `read_at` is when it was last read to its end. Raises
    SourceError for a new file that cannot be opened.
    """
    *before, last = bookmark
    # savelog gives the log its second name before it takes the first one away.
    files = [each for each in beside if each.file.inode != live.content.inode.number]
    unchanged = {(each.file.inode, each.file.size) for each in files if not each.file.compressed}
    order = []
    for position in before:
        idle = (position.inode, position.offset) in unchanged and not position.line_start
        skipped = idle or position.finished
        order.append(Turn(None if skipped else _find(position, files, bookmark), position))
    ours = None
    if last.length:
        if is_at(live.content, last) and holds(live.content, last):
            return [*order, Turn(live, last)]
        ours = _find(last, files, bookmark, live, hint(last))
        if ours is live:
            return [*order, Turn(live, last)]
        order.append(Turn(ours, last if ours else None))
    clock_was_set_back = now < read_at
    since = min(read_at, ours.content.written) if ours and clock_was_set_back else read_at
    known = [live, *(turn.candidate for turn in order if turn.candidate)]
    new = _new(files, bookmark, known, (since - TIME_LAG) * 10**9)
    # The log was empty and is another file now: what the old one got later may be gone.
    if not (last.length or new or is_at(live.content, last) or any(map(_is_empty, files))):
        new = [Turn(None)]
    return [*order, *new, Turn(live)]


def readings(order: list[Turn], last: Position, path: str, now: int) -> list[Reading]:
    """Return how each file of the order is read.

    `last` is the log's position at the last reading, `path` where its name points now.
    """
    *rotated, (live, position) = order
    assert live
    is_same_log = is_at(live.content, last)
    found = [_reading(order[at:], last, is_same_log, now) for at in range(len(rotated))]
    return [*found, Reading(path, position, now)]


def _reading(turns: list[Turn], last: Position, is_same_log: bool, now: int) -> Reading:
    """Return how the first of these files is read; the others are those after it, and the log."""
    turn, *later = turns
    path = (turn.position or last).path
    if not turn.candidate:
        return Reading(path, turn.position, now)
    content = turn.candidate.content
    begin = next((each.begin for each in later if each.begin != b""), b"")
    goes_on = bool(begin) and not begins_line(begin or b"")
    replaced_at = _replaced_at(turn, later[:-1], now)
    # Where nothing follows yet, the last line of a copy may go on in the log that was truncated.
    waits = begin == b"" and (turn.was_rotated or is_same_log)
    is_old = now - max(replaced_at, content.written) > LINGER
    return Reading(
        path,
        turn.position,
        latest=now if turn.was_rotated else content.written,
        replaced_at=now if turn.was_rotated else replaced_at,
        goes_on=goes_on,
        to_the_end=not goes_on and (is_old or (content.compressed and not waits)),
    )


def _replaced_at(turn: Turn, later: list[Turn], now: int) -> int:
    """Return when a file stopped being the log.

    Its position says it, or else the file after it, which was written later; at the latest now.
    """
    if turn.position and turn.position.replaced_at is not None:
        return turn.position.replaced_at
    written = (each.candidate.content.written for each in later if each.candidate)
    return next((min(now, at) for at in written), now)


def _find(
    position: Position,
    files: list[Candidate],
    bookmark: Bookmark,
    live: Candidate | None = None,
    hint: str | None = None,
) -> Candidate | None:
    """Find the file of a position under its new name or, where that is gone, a copy of it.

    `live` is the log, if it may be that copy: an editor writes a new file in its place.
    """
    likeliest_first = sorted(
        files,
        key=lambda each: (
            each.file.inode != position.inode,
            each.file.path != hint,
            each.file.compressed,
            -each.file.changed,
        ),
    )
    named: list[Candidate] = []
    others: list[Candidate] = []
    for each in likeliest_first:
        by_name = each.file.rotated or each.file.inode == position.inode
        (named if by_name else others).append(each)
    for each in named:
        if _is_copy(each, position, bookmark):
            return each
    if not position.length:
        return None
    if live and holds(live.content, position):
        return live
    return next((each for each in others if _is_copy(each, position, bookmark)), None)


def _is_copy(candidate: Candidate, position: Position, bookmark: Bookmark) -> bool:
    """Return whether a file is the one of this position, is whole and reaches its offset."""
    try:
        content = candidate.content
        is_another = any(
            is_at(content, each) and holds(content, each)
            for each in bookmark
            if each is not position
        )
        if is_another or not holds(content, position):
            return False
        length = candidate.length
    except SourceError:  # damaged, still being compressed, or not ours to read
        return False
    return length is not None and length >= position.offset


def _new(
    files: list[Candidate], bookmark: Bookmark, known: list[Candidate], since: int
) -> list[Turn]:
    """Return a turn for each file that is still unread, oldest first.

    `known` are the files that are read in any case; `since` is in nanoseconds.
    """
    last = bookmark[-1]
    heads = {*(each.head for each in bookmark), *(_head(each.content) for each in known)}
    heads.discard(Head.of(b""))
    inodes = {each.content.inode for each in known}
    by_file = {each.file: each for each in files}
    turns = []
    for file in in_order(by_file):
        is_recent = file.rotated and file.changed >= since
        if not is_recent and file.inode != last.inode:
            continue
        candidate = by_file[file]
        if candidate.length is None:
            turns += [Turn(None)] if is_recent else []
            continue
        content = candidate.content
        # It was empty when it was the log at the last reading.
        was_empty = not last.length and is_at(content, last)
        is_known = content.inode in inodes or any(
            is_at(content, each) and holds(content, each) for each in bookmark
        )
        head = _head(content)
        if was_empty or (is_recent and not is_known and head not in heads):
            heads |= {head} if head.length else set()
            turns.append(Turn(candidate))
    return turns


def _head(content: Content) -> Head:
    """Return the fingerprint of the whole first lines: unfinished ones may begin alike."""
    begin = content.begin
    return Head.of(begin if len(begin) == HEAD else begin[: begin.rfind(b"\n") + 1])


def _is_empty(candidate: Candidate) -> bool:
    try:
        return candidate.file.rotated and not candidate.content.begin
    except SourceError:
        return False
