"""Which log Postfix writes to: the source that has its newest line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import tzinfo
from typing import NamedTuple

from ..errors import MissingError, SourceError
from . import forms, heads
from .clock import Clock
from .files import open_log
from .journal import FOLDERS, Journal
from .looks import holds_postfix

AUTO, JOURNAL = "auto", "journal"

FILES = ("/var/log/mail.log", "/var/log/maillog", "/var/log/mail")
"""Where syslog daemons write mail's lines: Debian, Red Hat and BSD, SUSE."""

LAG = 120
"""Seconds by which a file may be behind the journal and still be taken: rsyslog writes late."""

_END, _MOST = 1 << 18, 1 << 23
"""Bytes at the end of a file in which lines of Postfix's are looked for: at first, and at most."""


class _Candidate(NamedTuple):
    """A source that holds lines of Postfix's."""

    log: str
    newest: int
    """Epoch second of the newest one."""


def find(zone: tzinfo | None, now: int, files: Sequence[str] | None = None) -> str:
    """Return the file, or `journal`, that has Postfix's newest line; a file where both have it.

    Raises SourceError where there is none: MissingError, or why those that are there cannot be
    read.
    """
    files = FILES if files is None else files
    troubles: list[SourceError] = []
    found: list[_Candidate] = []
    for path in files:
        try:
            newest = _newest_in_file(path, zone, now)
        except SourceError as error:
            if not isinstance(error, MissingError):
                troubles.append(error)
            continue
        if newest is not None:
            found.append(_Candidate(path, newest))
    best = max(found, key=lambda each: each.newest, default=None)
    if best and now - best.newest <= LAG:
        return best.log
    try:
        in_journal = Journal().newest() if _has_journal() else None
    except SourceError as error:
        troubles.append(error)
        in_journal = None
    if in_journal is not None and (best is None or in_journal > best.newest + LAG):
        return JOURNAL
    if best:
        return best.log
    if troubles:
        raise troubles[0]
    raise MissingError(
        f"No log of Postfix's is here yet: no line of it in {', '.join(files)} or the journal; "
        "when Postfix writes its first one it is found, or set `log` to the file it goes to."
    )


def _has_journal() -> bool:
    return any(os.path.isdir(folder) for folder in FOLDERS)


def _newest_in_file(path: str, zone: tzinfo | None, now: int) -> int | None:
    """Return when the newest line of Postfix's in a log was written, or in the one before it."""
    newest = _newest(path, zone, now)
    if newest is None:
        with suppress(SourceError):
            newest = _newest(f"{path}.1", zone, now)
    return newest


def _newest(path: str, zone: tzinfo | None, now: int) -> int | None:
    with open_log(path) as log:
        size, clock = log.status.st_size, Clock(zone, min(now, int(log.status.st_mtime)))
        length = _END
        while True:
            lines = log.bytes_at(max(0, size - length), min(length, size)).split(b"\n")
            for line in reversed(lines):
                if holds_postfix(line, len(line)):
                    at = heads.stamp_of(forms.usual(line), clock)
                    if at is not None and at <= now + LAG:
                        return at
            if length >= min(size, _MOST):
                return None
            length *= 8
