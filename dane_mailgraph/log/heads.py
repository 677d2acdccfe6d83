"""The heads of log lines: time, host and tag. A new format of a head belongs here."""

from __future__ import annotations

import re
from typing import NamedTuple

from .clock import Clock

# ---- the head of a line ---------------------------------------------------------------------

YEARLESS = (
    r"[A-Z][a-z][a-z]\ [\ \d]\d\ \d\d:\d\d:\d\d"  # Nov  4 00:06:58, postlogd: Nov 04 00:06:58
)
DATED = r"\d\d\d\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d"  # 2026-11-04T00:06:58
FRACTION = r"[.,]\d+"
ZONE = r"[Zz]|[+-]\d\d:?\d\d"
TIME = rf"{YEARLESS}|{DATED}"
STAMP = rf"({TIME})(?:{FRACTION})?({ZONE})?"

HOST = r"[^ \n]*[^ :\n]"  # one word, but not the last; one that ends with a colon is a tag

NAME = r"[^\x00-\x20\[\x7f]*/"  # syslog_name may be anything and may hold a slash

MARK = r"(?:\xef\xbb\xbf)"  # a byte order mark may begin the MSG of RFC 5424

# STRUCTURED-DATA, RFC 5424 section 6.3
DATA = r'(?:-|(?:\[[^ \]"\n]+(?:\ [^ =\]"\n]+="(?:[^"\\\]\n]|\\.)*")*\])+)'


def compiled(pattern: str) -> re.Pattern[bytes]:
    """Compile a verbose pattern for bytes; `^` and `$` match at every line."""
    return re.compile(pattern.encode(), re.VERBOSE | re.MULTILINE)


ANY_LINE = re.compile(rb".+")


def holds_rfc5424(block: bytearray, end: int) -> bool:
    """Return whether the first or last line of `block[:end]` has a priority, as in RFC 5424."""
    return ord("<") in (block[0], block[block.rfind(b"\n", 0, end - 1) + 1])


def lines_with(sign: re.Pattern[bytes], block: bytearray, end: int) -> list[bytearray]:
    """Return the lines of `block[:end]` that hold `sign`, which runs to the end of its line.

    Most lines of a mail log count nowhere, so only these few are cut out.
    """
    rfind = block.rfind
    return [
        block[rfind(b"\n", 0, hit.start()) + 1 : hit.end()] for hit in sign.finditer(block, 0, end)
    ]


class Entry(NamedTuple):
    """One line of a log, taken apart."""

    at: int | None
    """Epoch second, None where the stamp cannot be read."""
    program: str
    """The last part of the tag: `smtp` of `postfix/relay/smtp`."""
    named: bool
    """False where rsyslog's RFC 5424 format has cut the program's name off."""
    text: bytes


_ANY = compiled(rf"^(?:<\d{{1,3}}>1\ )?{STAMP}(?=\ )")
_TAG = compiled(rf"\ {HOST}\ ([^ \[\n]*?)(?:\[\d+\])?:\ ?(.*)$")
_TAG5424 = compiled(rf"\ {HOST}\ (\S+)\ \S+\ \S+\ {DATA}\ {MARK}?\ ?(.*)$")


def stamp_of(line: bytes | bytearray, clock: Clock) -> int | None:
    """Return when a line was written, in epoch seconds; None where its time cannot be read."""
    head = _ANY.match(line)
    return clock.read(head[1], head[2] or b"") if head else None


def stamped(line: bytes) -> bool:
    """Return whether a line begins with a time, as every whole one does."""
    return bool(_ANY.match(line))


def entry(line: bytes, clock: Clock) -> Entry | None:
    """Take one line of any program apart; None where it has no time or no tag."""
    head = _ANY.match(line)
    if head is None:
        return None
    rfc5424 = line.startswith(b"<")
    tag = (_TAG5424 if rfc5424 else _TAG).match(line, head.end())
    if tag is None:
        return None
    name = tag[1].decode("utf-8", "replace")
    at = clock.read(head[1], head[2] or b"")
    return Entry(at, name.rpartition("/")[2], not rfc5424 or "/" in name, tag[2])
