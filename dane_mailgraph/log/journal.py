"""The systemd journal, read by journalctl as a log, with journald's cursor as its bookmark.

Only two kinds of entries are read: those of the user that Postfix's clients run as, and those of
root with the facility mail. journald takes the user ID from the kernel (SCM_CREDENTIALS), and
`_UID` is the only field that is both true and always there (systemd.journal-fields(7)). Any user
may log under the name `postfix/smtp`; commands of .forward files run in Postfix's unit; the other
fields come from /proc, where a client that has ended is gone.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import cached_property
from glob import glob
from typing import IO, Any, NamedTuple

from ..errors import SourceError, reason
from ..privileges import as_caller
from ..times import format_time
from .blocks import LONGEST
from .files import LogFile
from .forms import from_journal
from .source import Look

FOLDERS = ("/var/log/journal", "/run/log/journal")
"""Where systemd-journald(8) keeps its files, each machine's in a folder of its own."""

SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"
"""SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h: `Suppressed N messages from UNIT`."""

_FIELDS = (
    "MESSAGE",
    "SYSLOG_IDENTIFIER",
    "_PID",
    "_UID",
    "_HOSTNAME",
    "MESSAGE_ID",
    "N_DROPPED",
    "OBJECT_UID",
    "_TRANSPORT",
    "CONTAINER_NAME",
)

_GAP = b""
"""Stands between lines for those that are missing."""

_TICK = 10**9
"""Nanoseconds within which two changes of a file may get the same time."""

_Files = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of the last change, in nanoseconds."""

_WORD = re.compile(r"[^\x00-\x20\[\]\x7f]*[^\x00-\x20\[\]\x7f:]")
"""A host or an identifier that can be one word of a line."""


class Position(NamedTuple):
    """How far the journal has been read."""

    cursor: str
    """Of the last entry read; empty before the first."""
    until: int
    """When the journal was read, in epoch seconds: what had been logged before then was read."""


class _Blocks:
    """The lines of a piece: see `blocks.WholeLines`."""

    long_lines = zeros = 0

    def __init__(self, lines: Iterator[bytes], alive: Callable[[], None]) -> None:
        """`lines` end with a newline and are shorter than a block, or are `_GAP`."""
        self._lines, self._alive = lines, alive
        self.consumed = 0
        self.follows_gap = False

    def __iter__(self) -> Iterator[tuple[bytearray, int]]:
        block, end, gap = bytearray(LONGEST), 0, False
        for line in self._lines:
            if end and (line == _GAP or end + len(line) > LONGEST):
                yield self._given(block, end, gap)
                end, gap = 0, False
            gap |= line == _GAP
            block[end : end + len(line)] = line
            end += len(line)
        if end:
            yield self._given(block, end, gap)

    def _given(self, block: bytearray, end: int, gap: bool) -> tuple[bytearray, int]:
        self._alive()
        self.consumed += end
        self.follows_gap = gap
        return block, end


class JournalPiece:
    """The entries after a position."""

    is_cut = False
    """A damaged journal begins again."""

    def go_on(self, time_of: Callable[[bytes], int | None], newest: int) -> bool:
        """Return True: nothing of it is read again."""
        return True

    def __init__(self, journal: Journal, after: Position | None, now: int) -> None:
        self.latest = now
        """When its last line can have been written, in epoch seconds."""
        self.lines_lost = False
        """Entries after the position have been vacuumed; known when it has been read."""
        self.notices: list[str] = []
        """What the operator should know of the reading; known when it has been read."""
        self._journal, self._after, self._now = journal, after, now
        self._cursor = after.cursor if after else ""
        self.blocks = _Blocks(self._lines(), journal.alive)

    def _lines(self) -> Iterator[bytes]:
        at_cursor = self._after is not None
        with self._journal.entries(self._after) as entries:
            for text in entries:
                entry = _parsed(text)
                cursor = str(entry["__CURSOR"])
                if at_cursor:
                    at_cursor = False
                    if _same(cursor, self._cursor):
                        continue
                    self.lines_lost = self._vacuumed()
                    if self.lines_lost:
                        yield _GAP
                self._cursor = cursor
                if entry.get("MESSAGE_ID") == SUPPRESSED and entry.get("_TRANSPORT") == "driver":
                    if self._suppressed(entry):
                        yield _GAP
                else:
                    yield _line(entry)
        if at_cursor and self._vacuumed():  # and nothing has come since
            self.lines_lost, self._cursor = True, ""

    def _vacuumed(self) -> bool:
        """Return whether entries after the position may be gone: journald removes the oldest."""
        oldest = self._journal.oldest()
        return self._after is not None and (oldest is None or oldest > self._after.until)

    def _suppressed(self, entry: dict[str, Any]) -> bool:
        """Notice it where journald has suppressed messages of Postfix; return whether it has."""
        if _number(entry.get("OBJECT_UID")) not in map(str, self._journal.owners):
            return False
        at = format_time(_seconds(entry), timezone.utc)
        self.notices.append(
            f"journald has suppressed {entry.get('N_DROPPED', 'some')} messages of Postfix "
            f"before {at} UTC, so some may be missing in the counts; "
            "set LogRateLimitIntervalSec=0 in Postfix's unit."
        )
        return True

    @property
    def position(self) -> Position:
        """How far it has been read by now."""
        return Position(self._cursor, self._now)


class Journal:
    """The system's journal, as a log that can be followed."""

    bookmark_key = "journal"
    """Under which name the ledger keeps the bookmark."""

    directory = ""
    """None: where its files are rotated, its entries go on."""

    def __init__(
        self, alive: Callable[[], None] = lambda: None, containers: Collection[str] = ()
    ) -> None:
        """`alive` is called while a long reading goes on; the lines of `containers` are read, too.

        Docker's log driver `journald` writes them as root.
        """
        self.alive = alive
        self._containers = sorted(containers)
        self._read: _Files = ()
        """The files when the journal was read last and the ledger was committed."""
        self._reading: _Files = ()
        """The files when the present reading began."""

    @cached_property
    def owners(self) -> frozenset[int]:
        """The user ID of Postfix's clients: mail_owner of postconf(5), or its default."""
        import subprocess

        name = "postfix"
        with suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run(
                ("postconf", "-h", "mail_owner"),
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            name = answer.stdout.strip() or name
        with suppress(KeyError):
            return frozenset({pwd.getpwnam(name).pw_uid})
        return frozenset()

    def load_bookmark(self, stored: Any) -> Position | None:
        """Make the bookmark from what the ledger has stored."""
        return Position(*stored) if stored else None

    def is_at(self, log: LogFile) -> bool:
        """Return False: no file is the log."""
        return False

    def look(self) -> Look:
        """Look at the journal's files; their times change with each entry of any program."""
        return Look(None, max((changed for *_, changed in _files()), default=0))

    def is_unchanged(self, position: Position | None, now: int) -> bool:
        """Return whether no file of the journal has changed since the last reading."""
        return bool(position and self._read) and _files() == self._read

    def pieces(self, position: Position | None, now: int, read_at: int) -> Iterator[JournalPiece]:
        """Give the entries after this position, as one piece; raises SourceError."""
        self._read, self._reading = (), _files()
        if not self._reading:
            raise SourceError(
                f"No journal of the system is in {' or '.join(FOLDERS)}; "
                "set `log` to the file that Postfix's lines go to."
            )
        if any(time.time_ns() - changed < _TICK for *_, changed in self._reading):
            self._reading = ()  # it may change again within the same tick of the kernel's clock
        yield JournalPiece(self, position, now)

    def bookmark_after(
        self, position: Position | None, read: list[JournalPiece], now: int
    ) -> Position:
        """Return the bookmark after these pieces have been read."""
        return read[-1].position

    def after_commit(self, position: Position) -> None:
        """Remember that there is nothing to read until the files change."""
        self._read = self._reading

    @contextmanager
    def entries(self, position: Position | None) -> Iterator[Iterator[bytes]]:
        """Give what Postfix and journald have logged from this position on, as lines of JSON.

        The entry of the cursor is the first.
        """
        suppressed = ["+", "_TRANSPORT=driver", f"MESSAGE_ID={SUPPRESSED}"]
        where = (
            []
            if position is None
            else [
                f"--cursor={position.cursor}" if position.cursor else f"--since=@{position.until}"
            ]
        )
        with _journalctl(
            *where, f"--output-fields={','.join(_FIELDS)}", *self._matches(), *suppressed
        ) as lines:
            yield lines

    def _matches(self) -> list[str]:
        """Return what to ask journalctl for: the entries of Postfix."""
        matches = ["_UID=0", "SYSLOG_FACILITY=2"]
        for uid in sorted(self.owners):
            matches += ["+", f"_UID={uid}"]
        for name in self._containers:
            matches += ["+", "_UID=0", f"CONTAINER_NAME={name}"]
        return matches

    def newest(self) -> int | None:
        """Return when Postfix's newest entry was logged, in epoch seconds; raises SourceError."""
        with _journalctl(
            "--lines=1", "--output-fields=_UID", *self._matches(), whole=False
        ) as lines:
            newest = next(lines, None)
            return None if newest is None else _seconds(_parsed(newest))

    def oldest(self) -> int | None:
        """Return when the oldest entry of the journal was logged, in epoch seconds."""
        with _journalctl("--output-fields=_UID", whole=False) as lines:
            first = next(lines, None)
            return None if first is None else _seconds(_parsed(first))


# ---- journalctl -----------------------------------------------------------------------------


@contextmanager
def _journalctl(*arguments: str, whole: bool = True) -> Iterator[Iterator[bytes]]:
    """Give the lines that journalctl prints; raises SourceError, also at the end where it fails.

    `--system` leaves out the journals of people, and makes journalctl fail for a user who may not
    read the system's. Without `whole` the rest may stay unread.
    """
    command = (
        "journalctl",
        "--system",
        "--quiet",
        "--no-pager",
        "--all",
        "--output=json",
        *arguments,
    )
    import subprocess
    import tempfile

    with tempfile.TemporaryFile() as complaints:
        try:
            with as_caller():
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                    env={
                        **os.environ,
                        "LC_ALL": "C",
                        "SYSTEMD_COLORS": "0",
                        "SYSTEMD_LOG_LEVEL": "notice",
                    },
                )
        except OSError as error:
            raise SourceError(
                f"journalctl cannot be started: {reason(error)}; "
                "install systemd, or set `log` to the file that Postfix logs to."
            ) from error
        assert process.stdout is not None
        try:
            yield _whole_lines(process.stdout)
            if whole:
                process.wait()
        finally:
            process.stdout.close()
            process.kill()
            status = process.wait()
        if whole and status:
            complaints.seek(0)
            raise _source_error(complaints.read(4096).decode("utf-8", "replace").strip(), status)


def _whole_lines(output: IO[bytes]) -> Iterator[bytes]:
    return (line for line in output if line.endswith(b"\n"))


def _source_error(message: str, status: int) -> SourceError:
    """Return the error for what journalctl wrote to standard error and its exit status."""
    last = message.rpartition("\n")[2].rstrip(".") or f"it ended with {status}"
    if "permission" in message.lower():
        return SourceError(
            f"The journal cannot be read: {last}; run as a user of the group systemd-journal."
        )
    if "seek to cursor" in message:
        forget = f"DELETE FROM bookmarks WHERE log = '{Journal.bookmark_key}'"
        return SourceError(
            f"The journal cannot be read from the bookmark in ledger.sqlite on: {last}; "
            f'stop the counter and forget it, `sqlite3 ledger.sqlite "{forget}"` in state_dir, '
            "then it goes on behind the newest interval that is counted."
        )
    return SourceError(
        f"The journal cannot be read: {last}; "
        "see whether `journalctl --system --verify` finds it whole."
    )


@as_caller()
def _files() -> _Files:
    """Return the files of the system's journal, as they are now."""
    found = []
    for folder in FOLDERS:
        for path in sorted(glob(f"{folder}/*/system*.journal*")):
            with suppress(OSError):
                status = os.stat(path)
                found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


# ---- entries --------------------------------------------------------------------------------


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(text)
        if isinstance(entry, dict) and isinstance(entry.get("__CURSOR"), str):
            return entry
    except ValueError:
        pass
    raise SourceError(
        "The journal cannot be understood: journalctl printed no JSON; "
        "see what `journalctl -o json -n 1` prints."
    )


def _seconds(entry: dict[str, Any]) -> int:
    return int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000


def _same(one: str, other: str) -> bool:
    """Return whether two cursors are of one entry.

    Its place in a file changes when journald moves it from /run to /var.
    """
    return _identity(one) == _identity(other)


def _identity(cursor: str) -> list[str]:
    """Return an entry's boot, its monotonic and real time, and the hash over its fields."""
    return [part for part in cursor.split(";") if part[:2] in ("b=", "m=", "t=", "x=")]


def _line(entry: dict[str, Any]) -> bytes:
    """Write an entry as rsyslog would, in UTC and in one line; its message may hold anything."""
    stamp = datetime.fromtimestamp(_seconds(entry), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    host, name = (_word(entry.get(field)) for field in ("_HOSTNAME", "SYSLOG_IDENTIFIER"))
    message = entry.get("MESSAGE")
    text = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else _bytes(message)
    text = text.replace(b"\n", b"#012").replace(b"\0", b"#000")[: LONGEST // 2]
    if isinstance(entry.get("CONTAINER_NAME"), str):
        return from_journal(entry, text) + b"\n"
    return f"{stamp} {host} {name}[{_number(entry.get('_PID'))}]: ".encode() + text + b"\n"


def _word(value: object) -> str:
    return value if isinstance(value, str) and len(value) < 256 and _WORD.fullmatch(value) else "-"


def _number(value: object) -> str:
    return value if isinstance(value, str) and value.isdecimal() and value.isascii() else "0"


def _bytes(value: object) -> bytes:
    """Read a message that is no text: journalctl gives a list of bytes, and null if it is long."""
    numbers = value if isinstance(value, list) else []
    return (
        bytes(numbers)
        if all(isinstance(each, int) and 0 <= each < 256 for each in numbers)
        else b""
    )
