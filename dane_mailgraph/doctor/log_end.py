"""The end of our log, read as the counter reads it: what its lines are, and how old."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import NamedTuple

from ..errors import SourceError
from ..log import Clock, heads, open_log
from ..peers import PeerSet
from ..postfix import explanation
from ..postfix_warnings import warning_in
from ..programs import ask

JOURNAL = "journal"
"""The setting `log` that names no file."""

_BYTES = 1 << 18
"""Bytes at the end of the log that are read: some 1,500 lines."""

_DELIVERY = re.compile(rb"[0-9A-Za-z]+: to=<.* status=(?:sent|deferred|bounced) \(")
_FOLDED = re.compile(rb"last message repeated \d+ times|message repeated \d+ times: \[(?!.*\]$)")
"""Repeats that cannot be counted: the line is not named, or cut off."""
DROPPED = re.compile(
    rb"imuxsock lost \d+ messages|begin to drop messages due to rate-limiting|"
    rb"Suppressed \d+ messages from .*postfix"
)
"""What a logger says when it has lost lines."""


class LogEnd(NamedTuple):
    """The end of a log, read as the counter reads it."""

    path: str
    trouble: str = ""
    """The sentence of the error, where it cannot be read."""
    changed: int = 0
    """Epoch second of the last change of the file."""
    lines: int = 0
    unstamped: int = 0
    """Lines whose head holds no readable time."""
    yearless: int = 0
    """Lines with traditional stamps, which have no zone."""
    newest: int | None = None
    """Epoch second of the latest stamp; None where no line has one."""
    postfix: int = 0
    """Lines of any of Postfix's programs."""
    nameless: int = 0
    """Lines of RFC 5424 without the program's name."""
    deliveries: int = 0
    connections: int = 0
    """Lines that count as connections."""
    folded: int = 0
    """Repeats that syslog has folded so that they cannot be counted."""
    dropped: int = 0
    """Lines by which a logger reports that it has lost lines."""
    warnings: Mapping[str, int] = {}
    """Name of a row of `postfix_warnings` -> how often."""


def read_end(path: str, zone: tzinfo | None, ignored: PeerSet, now: int) -> LogEnd:
    """Read the end of the log, or of the journal, as the counter would."""
    if path == JOURNAL:
        return _read_journal(zone, ignored, now)
    try:
        if os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode):
            return LogEnd(
                path,
                f"{path} is a pipe, which holds no old lines; set `log` to the file that "
                "Postfix's lines go to.",
            )
        with open_log(path) as log:
            before = max(0, log.status.st_size - _BYTES)
            log.skip(before)
            view = memoryview(bytearray(_BYTES))
            have = 0
            while have < _BYTES and (got := log.readinto(view[have:])):
                have += got
            changed = int(log.status.st_mtime)
    except SourceError as error:
        return LogEnd(path, str(error))
    lines = bytes(view[:have]).split(b"\n")
    return _read(path, lines[1 if before else 0 :], changed, zone, ignored)


def _read_journal(zone: tzinfo | None, ignored: PeerSet, now: int) -> LogEnd:
    output = ask(
        "journalctl", "-q", "--no-pager", "-o", "short-iso", "-n", "1500", "SYSLOG_FACILITY=2"
    )
    if output is None:
        return LogEnd(
            JOURNAL,
            "There is no journalctl here; set `log` to the file that Postfix's lines go to.",
        )
    if output.status or not output.out:
        why = output.err or "it holds no line of the mail facility that we may read"
        return LogEnd(
            JOURNAL,
            f"The journal cannot be read: {why}; run as root, or as a user of the group "
            "systemd-journal.",
        )
    return _read(
        JOURNAL, output.out.encode("utf-8", "surrogateescape").split(b"\n"), now, zone, ignored
    )


def _read(
    path: str, lines: list[bytes], changed: int, zone: tzinfo | None, ignored: PeerSet
) -> LogEnd:
    lines = [line for line in lines if line]
    clock = Clock(zone, changed)
    counts: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    newest: int | None = None
    for line in lines:
        counts["folded"] += bool(_FOLDED.search(line))
        counts["dropped"] += bool(DROPPED.search(line))
        entry = heads.entry(line, clock)
        if entry is None or entry.at is None:
            counts["unstamped"] += 1
            continue
        clock.advance(entry.at)
        newest = entry.at if newest is None else max(newest, entry.at)
        counts["yearless"] += line[:1].isalpha()
        counts["nameless"] += not entry.named
        counts["postfix"] += b"postfix" in line[:200]
        if entry.program in ("smtp", "lmtp"):
            counts["deliveries"] += bool(_DELIVERY.match(entry.text))
            if alarm := warning_in(entry.text):
                warnings[alarm.name] += 1
    connections = _connections(lines, Clock(zone, changed), ignored)
    return LogEnd(
        path,
        "",
        changed,
        len(lines),
        newest=newest,
        connections=connections,
        warnings=warnings,
        **counts,
    )


def _connections(lines: Iterable[bytes], clock: Clock, ignored: PeerSet) -> int:
    return sum(
        any(key.startswith("connections.") for key in each.counts)
        for each in explanation.explain(lines, clock, ignored)
    )
