"""`last message repeated N times`, as syslogds of BSD, macOS and sysklogd write, gets its message.

It repeats the line directly before it, if that is of the same host; else what it repeats is
unknown. rsyslog's form names the message, so the repeat is rewritten in that form.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from . import heads

_STAMP = rf"(?:{heads.TIME})(?:{heads.FRACTION})?(?:{heads.ZONE})?"

_WORDS = b" last message repeated "

_REPEAT = heads.compiled(
    rf"^({_STAMP})\ ({heads.HOST})"
    r"\ (?:---\ )?last\ message\ repeated\ (\d{1,9})\ times?(?:\ ---)?$"
)

_LINE = heads.compiled(rf"^{_STAMP}\ ({heads.HOST})(\ [^\s\[\]:]+\[\d+\]:\ )(.*)$")


class Named(NamedTuple):
    """A block whose repeats are named as far as the lines before them are known."""

    block: bytearray
    end: int
    repeats: int = 0
    """How many there were."""
    unknown: tuple[bytes, ...] = ()
    """Repeats of a line that was not seen."""


def named(block: bytearray, end: int, before: bytes) -> Named:
    """Name what the repeats of `block[:end]` repeat; `before` is the line before the block."""
    if block.find(_WORDS, 0, end) < 0:
        return Named(block, end)
    lines, unknown, repeats = [], [], 0
    for line in bytes(block[:end]).split(b"\n"):
        repeat = _REPEAT.match(line)
        repeats += repeat is not None
        if repeat is None:
            before = before if line[:1] in (b"", b"#") else line
        elif _names_host(before, repeat[2]):
            line = _named(repeat, before)
        else:
            unknown.append(line)
        lines.append(line)
    changed = bytearray(b"\n".join(lines))
    return Named(changed, len(changed), repeats, tuple(unknown))


def _names_host(line: bytes, host: bytes) -> bool:
    return re.match(rb"%s\ %s\ " % (_STAMP.encode(), re.escape(host)), line, re.VERBOSE) is not None


def _named(repeat: re.Match[bytes], before: bytes) -> bytes:
    """Write a repeat as rsyslog does; that of a line without a process ID counts nowhere."""
    line = _LINE.match(before)
    if line is None:
        return repeat[0]
    said = b"message repeated %s times: [ %s]" % (repeat[3], line[3])
    return repeat[1] + b" " + line[1] + line[2] + said
