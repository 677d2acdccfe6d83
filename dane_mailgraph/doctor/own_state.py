"""What we keep - ledger, bookmark, RRD, page, room on the disks - read without changing it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import MailgraphError
from ..log import FollowedFile, bookmark
from ..privileges import acting_as_owner_of
from ..store import RRD, Ledger, Store, ledger_path
from ..times import DAY

_COMPARED = 7 * DAY
"""Seconds for which ledger and RRD are compared: the ledger keeps a week at least."""


class Disk(NamedTuple):
    """The file system of a folder, as users other than root may fill it."""

    path: str
    free: int
    """Bytes."""
    inodes: int | None
    """None where the file system makes them as it needs them."""


class FilePlace(NamedTuple):
    """A byte of a file."""

    inode: int
    offset: int


class OwnState(NamedTuple):
    """What we keep; None where it could not be determined."""

    state_dir: str
    output_dir: str
    ledger_trouble: str = ""
    """The sentence of the error, where the ledger cannot be read."""
    rrd_until: int | None = None
    """Epoch second until which, by the ledger, the RRD is written (`State.rrd_until`)."""
    omitted: Mapping[str, int] = {}
    """Name of each of the `OMISSIONS` -> how many since counting began."""
    bookmark: FilePlace | None = None
    """Until where our log has been read; None where it never was."""
    end_of_file: FilePlace | None = None
    """The end of our log; None where it is no file."""
    rrd_trouble: str = ""
    """The sentence of the error, where the RRD cannot be read."""
    rrd_last: int | None = None
    """Epoch second until which the RRD is written, by the RRD itself."""
    intervals_compared: int = 0
    """Intervals that were compared in ledger and RRD."""
    intervals_differing: int = 0
    """Those that have other counts in the RRD than in the ledger."""
    drawn_at: int | None = None
    """Epoch second at which index.html was written."""
    disks: tuple[Disk, ...] = ()


def read_own_state(log: str, state_dir: str, output_dir: str, step: int) -> OwnState:
    """Read everything that we keep, without changing it; errors become sentences in it."""
    found = OwnState(
        state_dir,
        output_dir,
        end_of_file=_end_of_file(log),
        drawn_at=_changed(os.path.join(output_dir, "index.html")),
        disks=tuple(disk for disk in map(_disk, dict.fromkeys((state_dir, output_dir))) if disk),
    )
    try:
        with acting_as_owner_of(state_dir):
            return _with_store(found, log, step)
    except MailgraphError as error:
        return found._replace(ledger_trouble=str(error))


def _with_store(found: OwnState, log: str, step: int) -> OwnState:
    state_dir = found.state_dir
    rrd = Store(state_dir, step).rrd
    try:
        found = found._replace(rrd_last=rrd.last)
    except MailgraphError as error:
        found = found._replace(rrd_trouble=str(error))
    try:
        with Ledger(ledger_path(state_dir), writable=False) as ledger:
            positions = bookmark(ledger.bookmark(FollowedFile(log, state_dir).bookmark_key))
            state = ledger.state
            found = found._replace(
                rrd_until=state.rrd_until,
                omitted=ledger.omitted(),
                bookmark=FilePlace(positions[-1].inode, positions[-1].offset)
                if positions
                else None,
            )
            if found.rrd_last and found.rrd_until and not found.rrd_trouble:
                until = min(found.rrd_last, found.rrd_until)
                compared, differing = _compare(ledger, rrd, step, until)
                found = found._replace(intervals_compared=compared, intervals_differing=differing)
    except MailgraphError as error:
        found = found._replace(ledger_trouble=str(error))
    return found


def _compare(ledger: Ledger, rrd: RRD, step: int, until: int) -> tuple[int, int]:
    """Return how many intervals of the last week were compared, and how many of them differ."""
    state = ledger.state
    begin = until if state.begin is None else state.begin
    start = max(until - _COMPARED, begin, state.pruned_before or 0)
    start += -start % step
    rows = rrd.rows(step, start, until)
    intervals = list(ledger.intervals(start, until))
    return len(intervals), sum(
        rows[(at - start) // step].counts != counts for at, counts in intervals
    )


def _end_of_file(log: str) -> FilePlace | None:
    try:
        status = os.stat(log)
    except OSError:
        return None
    return FilePlace(status.st_ino, status.st_size)


def _changed(path: str) -> int | None:
    try:
        return int(os.stat(path).st_mtime)
    except OSError:
        return None


def _disk(folder: str) -> Disk | None:
    try:
        system = os.statvfs(folder)
    except OSError:
        return None
    return Disk(
        folder, system.f_bavail * system.f_frsize, system.f_favail if system.f_files else None
    )
