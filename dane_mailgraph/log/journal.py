"""The systemd journal, which journalctl prints, read as if it were a log, with its cursor for a bookmark.

Read is what journald itself vouches for by the kernel's word (SCM_CREDENTIALS): entries of the user that Postfix's
clients run as, and root's of the facility mail. Anybody may log under the name `postfix/smtp`, and the commands of
users' .forward files run in Postfix's unit; of the fields that journald adds by itself only `_UID` is both true
and always there (systemd.journal-fields(7)): the others are looked up in /proc, where a client may be gone already.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import cached_property
from glob import glob
from typing import IO, Any, NamedTuple

from ..errors import SourceError, reason
from ..times import format_time
from .blocks import LONGEST, Blocks
from .files import LogFile

FOLDERS = ("/var/log/journal", "/run/log/journal")
"""Where systemd-journald(8) keeps its files, each machine's in a folder of its own."""

SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"
"""SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h: `Suppressed N messages from UNIT`, N in N_DROPPED."""

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
)

_MISSING = b"\n\n"
"""Stands between lines for those that are missing."""

_SETTLED = 10**9
"""Nanoseconds after which a file's time of change tells a later change from this one."""

_Files = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of the last change, in nanoseconds."""

_WORD = re.compile(r"[^\x00-\x20\[\]\x7f]*[^\x00-\x20\[\]\x7f:]")
"""A host or an identifier that can stand in a line as one word."""


class Position(NamedTuple):
    """How far the journal has been read."""

    cursor: str
    """Of the last entry of ours; empty as long as there was none."""
    until: int
    """When the journal was read, in epoch seconds: what had been logged before then was read."""


class Piece:
    """What the journal has beyond a position."""

    def __init__(self, journal: Journal, was: Position | None, now: int) -> None:
        self.latest = now
        """When its last line can have been written."""
        self.lost = False
        """What stood between the position and the first entry has been vacuumed; known when it has been read."""
        self._journal, self._now = journal, now
        self._cursor = was.cursor if was else ""
        self._lines = self._read(was)
        self._ahead = b""
        self._missing = False
        self.blocks = Blocks(self._readinto)

    def missing(self) -> bool:
        """Whether entries are missing before the block that was read last: vacuumed, or thrown away by journald."""
        missing, self._missing = self._missing, False
        return missing

    def _readinto(self, view: memoryview) -> int:
        have = 0
        while have < len(view):
            self._ahead = self._ahead or next(self._lines, b"")
            if self._ahead == _MISSING and not have:
                self._missing, self._ahead = True, b""
                continue
            if self._ahead in (b"", _MISSING):
                break
            taken, self._ahead = self._ahead[: len(view) - have], self._ahead[len(view) - have :]
            view[have : have + len(taken)] = taken
            have += len(taken)
        self._journal.alive()
        return have

    def _read(self, was: Position | None) -> Iterator[bytes]:
        found = was is None
        with self._journal.entries(was) as entries:
            for said in entries:
                entry = _parsed(said)
                cursor = str(entry["__CURSOR"])
                if not found:
                    found = True
                    if _same(cursor, self._cursor):
                        continue
                    self.lost = self._vacuumed(was)
                    if self.lost:
                        yield _MISSING
                self._cursor = cursor
                if entry.get("MESSAGE_ID") == SUPPRESSED and entry.get("_TRANSPORT") == "driver":
                    if self._journal.suppressed(entry):
                        yield _MISSING
                else:
                    yield _line(entry)
        if not found and self._vacuumed(was):  # and nothing has come since
            self.lost, self._cursor = True, ""

    def _vacuumed(self, was: Position | None) -> bool:
        """Whether entries after this position may be gone: journald removes the oldest first, whosever they are."""
        oldest = self._journal.oldest()
        return was is not None and (oldest is None or oldest > was.until)

    @property
    def position(self) -> Position:
        """How far it has been read by now."""
        return Position(self._cursor, self._now)


class Journal:
    """The system's journal, as a log that can be followed."""

    bookmark_key = "journal"
    """Under which name the ledger keeps the bookmark."""

    def __init__(self, alive: Callable[[], None] = lambda: None) -> None:
        """`alive` is called while a long reading goes on."""
        self.alive = alive
        self.notices: list[str] = []
        """What is to be said of the last reading."""
        self._seen: _Files = ()
        self._looked: _Files = ()

    @cached_property
    def owners(self) -> frozenset[int]:
        """The user that Postfix's clients run as: mail_owner of postconf(5), or its default."""
        name = "postfix"
        with suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(
                ("postconf", "-h", "mail_owner"),
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            name = asked.stdout.strip() or name
        with suppress(KeyError):
            return frozenset({pwd.getpwnam(name).pw_uid})
        return frozenset()

    def load_bookmark(self, said: Any) -> Position | None:
        """The bookmark that the ledger has kept."""
        return Position(*said) if said else None

    def is_at(self, log: LogFile) -> bool:
        """Whether an open file is the log: never."""
        return False

    def is_unchanged(self, position: Position | None, now: int) -> bool:
        """Whether there is surely nothing to read: no file of the journal has changed since the last look."""
        return bool(position and self._seen) and _files() == self._seen

    def pieces(self, position: Position | None, now: int, seen: int) -> Iterator[Piece]:
        """The entries beyond this position, as one piece; raises SourceError."""
        self.notices.clear()
        self._seen, self._looked = (), _files()
        if not self._looked:
            raise SourceError(
                f"No journal of the system is in {' or '.join(FOLDERS)}; set `log` to the file that Postfix's lines go to."
            )
        if any(time.time_ns() - changed < _SETTLED for *_, changed in self._looked):
            self._looked = ()  # it may change again within the same tick of the kernel's clock
        yield Piece(self, position, now)

    def bookmark_after(self, position: Position | None, read: list[Piece], now: int) -> Position:
        """The bookmark when this has been read."""
        return read[-1].position

    def after_commit(self, position: Position) -> None:
        """What has been read is in the ledger: nothing is to be read until the files change."""
        self._seen = self._looked

    def suppressed(self, entry: dict[str, Any]) -> bool:
        """Say that journald has thrown messages away, if they were Postfix's, as is answered."""
        if _number(entry.get("OBJECT_UID")) in map(str, self.owners):
            at = format_time(_seconds(entry), timezone.utc)
            self.notices.append(
                f"journald has suppressed {entry.get('N_DROPPED', 'some')} messages of Postfix before {at} UTC, "
                "so some may be missing in the counts; set LogRateLimitIntervalSec=0 in Postfix's unit."
            )
            return True
        return False

    @contextmanager
    def entries(self, position: Position | None) -> Iterator[Iterator[bytes]]:
        """What Postfix and journald have logged, from this position on, as JSON; the entry of the cursor is the first."""
        matches = [
            "_UID=0",
            "SYSLOG_FACILITY=2",
            "+",
            "_TRANSPORT=driver",
            f"MESSAGE_ID={SUPPRESSED}",
        ]
        for uid in sorted(self.owners):
            matches += ["+", f"_UID={uid}"]
        where = (
            []
            if position is None
            else [
                f"--cursor={position.cursor}" if position.cursor else f"--since=@{position.until}"
            ]
        )
        with _journalctl(*where, f"--output-fields={','.join(_FIELDS)}", *matches) as said:
            yield said

    def oldest(self) -> int | None:
        """When the oldest entry that there still is was logged, whosever it is."""
        with _journalctl("--output-fields=_UID", whole=False) as said:
            first = next(said, None)
            return None if first is None else _seconds(_parsed(first))


# ---- journalctl -----------------------------------------------------------------------------


@contextmanager
def _journalctl(*arguments: str, whole: bool = True) -> Iterator[Iterator[bytes]]:
    """The lines that journalctl prints; raises SourceError, at the end too if it did not get that far.

    `--system` leaves the journals of people out, and lets one who may not read it hear so.
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
    with tempfile.TemporaryFile() as complaints:
        try:
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
                f"journalctl cannot be started: {reason(error)}; install systemd, or set `log` to the file that Postfix logs to."
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
            raise _translated(complaints.read(4096).decode("utf-8", "replace").strip(), status)


def _whole_lines(output: IO[bytes]) -> Iterator[bytes]:
    return (line for line in output if line.endswith(b"\n"))


def _translated(said: str, status: int) -> SourceError:
    last = said.rpartition("\n")[2].rstrip(".") or f"it ended with {status}"
    if "permission" in said.lower():
        return SourceError(
            f"The journal cannot be read: {last}; run as a user of the group systemd-journal."
        )
    if "seek to cursor" in said:
        forget = f"DELETE FROM bookmarks WHERE log = '{Journal.bookmark_key}'"
        return SourceError(
            f"The journal cannot be read from the bookmark in ledger.sqlite on: {last}; stop the counter and forget it, "
            f'`sqlite3 ledger.sqlite "{forget}"` in state_dir, then it goes on behind the newest interval that is counted.'
        )
    return SourceError(
        f"The journal cannot be read: {last}; see whether `journalctl --system --verify` finds it whole."
    )


def _files() -> _Files:
    """The files of the system's journal, as they are now."""
    found = []
    for folder in FOLDERS:
        for path in sorted(glob(f"{folder}/*/system*.journal*")):
            with suppress(OSError):
                status = os.stat(path)
                found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


# ---- entries --------------------------------------------------------------------------------


def _parsed(said: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(said)
        if isinstance(entry, dict) and isinstance(entry.get("__CURSOR"), str):
            return entry
    except ValueError:
        pass
    raise SourceError(
        "The journal cannot be understood: journalctl printed no JSON; see what `journalctl -o json -n 1` prints."
    )


def _seconds(entry: dict[str, Any]) -> int:
    return int(entry["__REALTIME_TIMESTAMP"]) // 1_000_000


def _same(one: str, other: str) -> bool:
    """Whether two cursors are of one entry: its position in a file changes when journald moves it from /run to /var."""
    return _identity(one) == _identity(other)


def _identity(cursor: str) -> list[str]:
    """Boot, monotonic and real time, and the hash over its fields."""
    return [part for part in cursor.split(";") if part[:2] in ("b=", "m=", "t=", "x=")]


def _line(entry: dict[str, Any]) -> bytes:
    """An entry as the line that rsyslog would write of it, in UTC; the message may hold anything but a new line."""
    stamp = datetime.fromtimestamp(_seconds(entry), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    host, name = (_word(entry.get(field)) for field in ("_HOSTNAME", "SYSLOG_IDENTIFIER"))
    message = entry.get("MESSAGE")
    text = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else _bytes(message)
    text = text.replace(b"\n", b"#012").replace(b"\0", b"#000")[: LONGEST // 2]
    return f"{stamp} {host} {name}[{_number(entry.get('_PID'))}]: ".encode() + text + b"\n"


def _word(value: object) -> str:
    return value if isinstance(value, str) and len(value) < 256 and _WORD.fullmatch(value) else "-"


def _number(value: object) -> str:
    return value if isinstance(value, str) and value.isdecimal() and value.isascii() else "0"


def _bytes(value: object) -> bytes:
    """journalctl gives a message that is no text as a list of its bytes, and one that is too long as null."""
    numbers = value if isinstance(value, list) else []
    return (
        bytes(numbers)
        if all(isinstance(each, int) and 0 <= each < 256 for each in numbers)
        else b""
    )
