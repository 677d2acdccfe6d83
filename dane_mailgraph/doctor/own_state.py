"""What we keep - ledger, bookmark, RRD, page, room on the disks - read without changing it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import MailgraphError
from ..log import FollowedFile, bookmark
from ..privileges import acting_as_owner_of
from ..store import RRD, Ledger, Store
from ..times import DAY

LEDGER = "ledger.sqlite"

_AUDITED = 7 * DAY
"""Seconds for which ledger and RRD are compared: the ledger keeps a week at least."""


class Disk(NamedTuple):
    """The file system of a folder, as users other than root may fill it."""

    path: str
    free: int
    """Bytes."""
    inodes: int | None
    """None where the file system makes them as it needs them."""


class OwnState(NamedTuple):
    """What we keep; None where it could not be determined."""

    state_dir: str
    output_dir: str
    ledger_trouble: str = ""
    """The sentence of the error, where the ledger cannot be read."""
    newest: int | None = None
    """Epoch second of the newest line that has been read."""
    written: int | None = None
    """Epoch second until which, by the ledger, the RRD is written (`State.rrd_until`)."""
    omitted: Mapping[str, int] = {}
    """Name of each of the `OMISSIONS` -> how many since counting began."""
    position: tuple[int, int] | None = None
    """Inode of our log, and the byte until which it has been read."""
    live: tuple[int, int] | None = None
    """Inode and size of our log; None where it is no file."""
    rrd_trouble: str = ""
    """The sentence of the error, where the RRD cannot be read."""
    last: int | None = None
    """Epoch second until which the RRD is written."""
    compared: int = 0
    """Intervals in which ledger and RRD were compared."""
    differing: int = 0
    """Intervals in which the RRD and the ledger differ."""
    drawn: int | None = None
    """Epoch second in which index.html was written."""
    disks: tuple[Disk, ...] = ()


def look(log: str, state_dir: str, output_dir: str, step: int) -> OwnState:
    """Look at everything that we keep, without changing it; errors become sentences in it."""
    found = OwnState(
        state_dir,
        output_dir,
        live=_live(log),
        drawn=_changed(os.path.join(output_dir, "index.html")),
    )
    found = found._replace(
        disks=tuple(disk for disk in map(_disk, dict.fromkeys((state_dir, output_dir))) if disk)
    )
    try:
        with acting_as_owner_of(state_dir):
            return _store(found, log, step)
    except MailgraphError as error:
        return found._replace(ledger_trouble=str(error))


def _store(found: OwnState, log: str, step: int) -> OwnState:
    state_dir = found.state_dir
    rrd = Store(state_dir, step).rrd
    try:
        found = found._replace(last=rrd.last)
    except MailgraphError as error:
        found = found._replace(rrd_trouble=str(error))
    try:
        with Ledger(os.path.join(state_dir, LEDGER), writable=False) as ledger:
            positions = bookmark(ledger.bookmark(FollowedFile(log, state_dir).bookmark_key))
            state = ledger.state
            found = found._replace(
                newest=state.newest,
                written=state.rrd_until,
                omitted=ledger.omitted(),
                position=(positions[-1].inode, positions[-1].offset) if positions else None,
            )
            if found.last and found.written and not found.rrd_trouble:
                compared, differing = _audit(ledger, rrd, step, min(found.last, found.written))
                found = found._replace(compared=compared, differing=differing)
    except MailgraphError as error:
        found = found._replace(ledger_trouble=str(error))
    return found


def _audit(ledger: Ledger, rrd: RRD, step: int, until: int) -> tuple[int, int]:
    state = ledger.state
    begin = until if state.begin is None else state.begin
    start = max(until - _AUDITED, begin, state.pruned_before or 0)
    start += -start % step
    rows = rrd.rows(step, start, until)
    intervals = list(ledger.intervals(start, until))
    return len(intervals), sum(
        rows[(at - start) // step].counts != counts for at, counts in intervals
    )


def _live(log: str) -> tuple[int, int] | None:
    try:
        status = os.stat(log)
    except OSError:
        return None
    return status.st_ino, status.st_size


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
