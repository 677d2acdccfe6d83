"""Other forms of a line's head become the usual one: containers, journalctl, other syslogs.

The usual form is `STAMP HOST TAG[PID]: TEXT`, or RFC 5424; all that counts reads only these two. A
new form is one row of `_FORMS`; `_from_json` reads JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from . import heads
from .parts import Parts, of_docker

_STAMP = rf"(?:{heads.TIME})(?:{heads.FRACTION})?(?:{heads.ZONE})?"

_FACILITY = (
    "kern|user|mail|daemon|auth|syslog|lpr|news|uucp|cron|authpriv|ftp|security|console|local[0-7]"
)
_LEVEL = "emerg|panic|alert|crit(?:ical)?|err(?:or)?|warn(?:ing)?|notice|info|debug"
_PRIORITY = rf"<?(?:{_FACILITY})[.:](?:{_LEVEL})>?"  # AIX: `mail:info`

_TAG = rf"{heads.NAME}[a-z0-9_-]+\[\d+\]:[ ]"

_WITHOUT_PID = rf"{heads.NAME}[a-z]+:[ ]"

_CARRIER = r"(?:docker|dockerd|podman|conmon|containerd|[0-9a-f]{12})(?:/\S+)?"
"""The tag of a line that a host's syslog has caught from a container."""


def _head(host: str) -> str:
    """Return the pattern of the head of a line in the usual form that this host wrote."""
    return rf"""
        (?: {_STAMP}\ (?!{_PRIORITY}\ ){host}
            \ (?!{_PRIORITY}\ |{_CARRIER}(?:\[\d+\])?:\ {_STAMP}\ |{_WITHOUT_PID})
            [^\s:\[\]|=<>{{}}"]+ (?:\[[^\]\s]*\])? :
          | <\d{{1,3}}>1\ {_STAMP}\ {host}\ [^\s\[]+\ \S+\ \S+\ [-[] )
    """


_USUAL = heads.compiled(rf"^(?: {_head(heads.HOST)} | \# | $ )")

_Change = bytes | Callable[["re.Match[bytes]"], bytes]


def _iso(seconds: int | str, fraction: str = "") -> str:
    at = datetime.fromtimestamp(int(seconds), timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _epoch(found: re.Match[bytes]) -> bytes:
    return _iso(found[1].decode(), found[2].decode()).encode() + b" "


def _of_zone(found: re.Match[bytes]) -> bytes:
    """Most zones have letters for a name, which are only those of the reader's own; some digits."""
    day, time, utc, hours, minutes = found.groups(b"")
    offset = b"Z" if utc else hours + (minutes or b"00") if hours else b""
    return day + b"T" + time + offset + b" "


def _dated(found: re.Match[bytes]) -> bytes:
    year, month, time = (found[n].decode() for n in (1, 2, 3))
    try:
        return f"{datetime.strptime(f'{year} {month}', '%Y %b %d'):%Y-%m-%d}T{time} ".encode()
    except ValueError:
        return found[0]


_FORMS: tuple[tuple[str, str, _Change], ...] = (
    ("a byte order mark", r"^\xef\xbb\xbf", b""),
    ("journalctl -o json-seq", r"^\x1e(?={)", b""),
    ("kubectl logs --prefix", r"^\[pod/\S+\]\ ", b""),
    ("docker compose logs", r"^[A-Za-z0-9][A-Za-z0-9_.-]*\ +\|\ ", b""),
    ("a pod's log (CRI)", rf"^{heads.DATED}\S*\ (?:stdout|stderr)\ [FP]\ (?={_STAMP}\ )", b""),
    ("the same, with its stamp alone", rf"^({heads.DATED}\S*)\ (?:stdout|stderr)\ [FP]\ ", rb"\1 "),
    ("docker logs -t", rf"^{heads.DATED}\S*\ (?={_STAMP}\ )", b""),
    ("caught from a container", rf"^{_STAMP}\ \S+\ {_CARRIER}(?:\[\d+\])?:\ (?={_STAMP}\ )", b""),
    ("RFC 3164 from the network", r"^<\d{1,3}>(?!\d\ )", b""),
    (
        "RFC 5424 whose APP-NAME is the whole tag",
        rf"^(<\d{{1,3}}>1\ {_STAMP}\ \S+\ [^\s\[]+)\[(\d+)\]:?\ \S+(?=\ \S+\ [-[])",
        rb"\1 \2",
    ),
    ("RFC 5424 without a priority", rf"^1\ (?={_STAMP}\ \S+\ \S+\ \S+\ \S+\ [-[])", b"<22>1 "),
    (
        "syslog-ng with a year",
        r"^(\d{4})\ ([A-Z][a-z]{2}\ [\ \d]?\d)\ (\d\d:\d\d:\d\d\S*)\ ",
        _dated,
    ),
    (
        "ISO 8601 with a space",
        r"^(\d\d\d\d-\d\d-\d\d)\ (\d\d:\d\d:\d\d(?:[.,]\d+)?)\ ?(Z|[+-]\d\d:?\d\d)?(?=\ )",
        rb"\1T\2\3",
    ),
    (
        "journalctl -o short-full",
        r"^[A-Z][a-z]{2}\ (\d{4}-\d\d-\d\d)\ (\d\d:\d\d:\d\d(?:[.,]\d+)?)"
        r"\ (?:(UTC|GMT)|([+-]\d\d)(\d\d)?|[A-Z]{3,5})?\ ",
        _of_zone,
    ),
    ("journalctl -o short-unix", r"^(\d{9,10})(\.\d+)\ (?=\S+\ )", _epoch),
    ("one space before a day of one digit", r"^([A-Z][a-z]{2}\ )(\d\ \d\d:\d\d:\d\d\ )", rb"\1 \2"),
    ("a priority before the host", rf"^({_STAMP}\ )<(?:{_FACILITY})\.(?:{_LEVEL})>\ ", rb"\1"),
    ("a priority behind the host", rf"^({_STAMP}\ \S+\ ){_PRIORITY}\ (?=\S+:\ )", rb"\1"),
    ("a priority and no host", rf"^({_STAMP}\ ){_PRIORITY}\ (?=\S+:\ )", rb"\1- "),
    (
        "a level behind the host",
        rf"^({_STAMP}\ {heads.HOST}\ )\[?(?i:{_LEVEL})\]?:?\ +(?={_TAG})",
        rb"\1",
    ),
    ("a level and no host", rf"^({_STAMP}\ )\[?(?i:{_LEVEL})\]?:?\ +(?={heads.NAME})", rb"\1- "),
    (
        "columns: tabs, or more than one space before the tag",
        rf"^({_STAMP})(?:\ +|\t)([^\s:]+)(?:\ \ +|\t)(?={_TAG})",
        rb"\1 \2 ",
    ),
    ("no host", rf"^({_STAMP}\ )(?={_TAG})", rb"\1- "),
    ("no process ID", rf"^({_STAMP}\ {heads.HOST}\ )(?={_WITHOUT_PID})(\S+):\ ", rb"\1\2[0]: "),
)
"""A name for people, a pattern at the beginning of a line, and what takes its place.

They are tried in this order, and again on what one of them gives.
"""

_COMPILED = [(heads.compiled(pattern), change) for _, pattern, change in _FORMS]

NO_PID = b"0"
"""The process ID of a line that names none: its session is unknown."""

_DEEPEST = 6
"""Forms that may be around one line."""


def usual(line: bytes) -> bytes:
    """Return a line in the usual form, or unchanged if its form is unknown."""
    for _ in range(_DEEPEST):
        if _USUAL.match(line):
            return line
        changed = _from_json(line) if line.startswith(b"{") else _changed(line)
        if changed == line:
            break
        line = changed
    return line


def _changed(line: bytes) -> bytes:
    for pattern, change in _COMPILED:
        found = pattern.match(line)
        if found:
            put = change(found) if callable(change) else found.expand(change)
            return put + line[found.end() :]
    return line


# ---- JSON -----------------------------------------------------------------------------------


def _from_json(line: bytes) -> bytes:
    """Return the line in an entry of Docker's json-file or of the journal; unchanged if neither."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(entry, dict):
        return line
    if "MESSAGE" in entry:
        return from_journal(entry, _one_line(entry["MESSAGE"])) or line
    part = of_docker(entry)
    return part.line if part else line


def from_journal(entry: dict[str, Any], text: bytes) -> bytes:
    """Return an entry of the journal as a line; nothing where it has no time."""
    if "CONTAINER_NAME" in entry and _has_stamp(text):
        return text
    try:
        microseconds = int(entry.get("__REALTIME_TIMESTAMP", ""))
        stamp = _iso(microseconds // 10**6, f".{microseconds % 10**6:06}").encode()
    except (ValueError, OverflowError, TypeError):
        return b""
    if "CONTAINER_NAME" in entry:
        return stamp + b" " + text
    host, tag, pid = (
        re.sub(rb"[\s\[\]]", b"", _one_line(entry.get(name, missing)))
        for name, missing in (
            ("_HOSTNAME", "-"),
            ("SYSLOG_IDENTIFIER", ""),
            ("_PID", entry.get("SYSLOG_PID", NO_PID.decode())),  # as journalctl does
        )
    )
    return stamp + b" " + host + b" " + tag + b"[" + pid + b"]: " + text


def _one_line(value: object) -> bytes:
    """Return a string, or the list of bytes by which journalctl writes what is no UTF-8."""
    if isinstance(value, list) and all(isinstance(each, int) and 0 <= each < 256 for each in value):
        text = bytes(value)
    else:
        text = str(value).encode("utf-8", "replace")
    return text.rstrip(b"\r\n").replace(b"\n", b" ")


def _has_stamp(text: bytes) -> bool:
    return bool(_STAMPED.match(text))


_STAMPED = heads.compiled(
    rf"^(?:{_STAMP}|[A-Z][a-z]{{2}}\ \d\ \d\d:\d\d:\d\d|\d\d\d\d-\d\d-\d\d\ \d\d:\d\d:\d\d)\S*\ "
)


def begins_line(begin: bytes) -> bool:
    """Return whether a line begins here, by its time: the start of a file may be a line's rest."""
    return heads.stamped(usual(begin.partition(b"\n")[0]) + b" ")


# ---- blocks ---------------------------------------------------------------------------------


def in_usual_form(block: bytearray, end: int, parts: Parts | None = None) -> tuple[bytearray, int]:
    """Return a block whose lines are in the usual form, and its end; `parts` holds cut lines.

    It is the block itself if its first and its last line are in the usual form. Odd lines amid
    usual ones are left to the search for lines of clients and servers.
    """
    last = block.rfind(b"\n", 0, end - 1) + 1
    parts = parts or Parts()
    if not parts.waits and _USUAL.match(block) and _USUAL.match(block, last):
        return block, end
    lines = parts.whole(bytes(block[:end]).removesuffix(b"\n").split(b"\n"))
    changed = bytearray(b"".join(usual(line) + b"\n" for line in lines))
    return changed, len(changed)


# ---- hosts ----------------------------------------------------------------------------------


class Hosts:
    """The hosts whose lines count, in a log of many hosts.

    A name without a dot is that of a host in whatever domain. A line that names no host is of none
    of them; one whose head is not understood may be of any.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """`names` are hosts as the log names them, in either case."""
        words = [
            re.escape(name) + ("" if "." in name else r"(?:\.[^\s]*)?") for name in sorted(names)
        ]
        ours = f"(?i:{'|'.join(words)})"
        others = rf"(?!{ours}\ ){heads.HOST}"
        # One search over a block is faster than a match for each of its lines.
        self._runs = heads.compiled(
            rf"((?:{_head(ours)}.*\n?)+) | (?:{_head(others)}.*\n?)+ | (.+\n? | \n)"
        )
        self._line = heads.compiled(rf"(?:<\d{{1,3}}>1\ )?{_STAMP}\ (?:({ours})\ |(?=\S*\ ))")

    def lines(self, block: bytearray, end: int) -> tuple[bytearray, int]:
        """Return a block of their lines among `block[:end]`, and its end."""
        kept = bytearray(
            b"".join(
                [
                    ours or (self._odd(odd) if odd else b"")
                    for ours, odd in self._runs.findall(block, 0, end)
                ]
            )
        )
        return kept, len(kept)

    def _odd(self, line: bytes) -> bytes:
        text = usual(line.rstrip(b"\n"))
        return text + b"\n" if self.wrote(text) else b""

    def wrote(self, line: bytes) -> bool:
        """Return whether a line in the usual form is, or may be, of one of them."""
        head = self._line.match(line)
        return head is None or head[1] is not None
