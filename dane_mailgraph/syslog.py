"""Log bytes become lines of Postfix's clients, and `Entry`s: traditional, RFC 3339 and postlogd stamps, and RFC 5424.

A line ends at 0x0A and nowhere else: Postfix lets U+2028 and U+0085 of a remote reply pass into the
log, and what other splitters make of them is a perfect forged line (msg_vprintf() in msg.c).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

from .clock import Clock

LONGEST = 1 << 18
"""Bytes; a longer line is passed over. Postfix cuts its text at 2000 (MSG_SYSLOG_RECLEN)."""

# ---- blocks of whole lines ------------------------------------------------------------------


class Blocks:
    """Whole lines of a file, a buffer at a time; the buffer is used again for the next block.

    Iterating gives `(buffer, end)`: the lines are `buffer[:end]`. What follows the last newline is left
    unread, or, with `to_the_end`, taken for a line.
    """

    def __init__(self, readinto: Callable[[memoryview], int | None], *, inside: bool = False, to_the_end: bool = False) -> None:
        self._readinto = readinto
        self._to_the_end = to_the_end
        self.consumed = 0
        """Bytes taken so far."""
        self.inside = inside
        """What was taken last ends inside a line that is too long to be one."""
        self.overlong = 0
        """Lines passed over for their length."""
        self.rest = b""
        """What followed the last newline and was left unread."""

    def __iter__(self) -> Iterator[tuple[bytearray, int]]:
        block = bytearray(LONGEST)
        view = memoryview(block)
        have = 0
        while got := self._readinto(view[have:]):
            have += got
            begin = 0
            if self.inside:
                begin = block.find(b"\n", 0, have) + 1
                self.inside = not begin
                if self.inside:
                    self.consumed += have
                    have = 0
                    continue
                self.consumed += begin
                view[: have - begin] = view[begin:have]
                have -= begin
            end = block.rfind(b"\n", 0, have) + 1
            if end:
                self.consumed += end
                yield block, end
                view[: have - end] = view[end:have]
                have -= end
            elif have == LONGEST:
                self.overlong += 1
                self.inside = True
                self.consumed += have
                have = 0
        if have and self._to_the_end:
            self.consumed += have
            block[have] = 0x0A
            yield block, have + 1
        else:
            self.rest = bytes(view[:have])


# ---- the head of a line ---------------------------------------------------------------------

_YEARLESS = r"[A-Z][a-z][a-z]\ [\ \d]\d\ \d\d:\d\d:\d\d"  # Nov  4 00:06:58, postlogd: Nov 04 00:06:58
_DATED = r"\d\d\d\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d"  # 2026-11-04T00:06:58
_FRACTION = r"[.,]\d+"
_ZONE = r"[Zz]|[+-]\d\d:?\d\d"
_TIME = rf"{_YEARLESS}|{_DATED}"
_STAMP = rf"({_TIME})(?:{_FRACTION})?({_ZONE})?"

_HOST = r"[^ \n]*[^ :\n]"  # one word of the line, which has more; what ends with a colon is a tag already

_NAME = r"[^\x00-\x20\[\x7f]*/"  # syslog_name may be anything and may hold a slash

_MARK = r"(?:\xef\xbb\xbf)"  # a byte order mark may begin the MSG of RFC 5424

_DATA = r'(?:-|(?:\[[^ \]"\n]+(?:\ [^ =\]"\n]+="(?:[^"\\\]\n]|\\.)*")*\])+)'  # STRUCTURED-DATA, RFC 5424 section 6.3


def _bytes(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.VERBOSE | re.MULTILINE)


CLIENTS = re.compile(rb"mtp(?:\[| \S+ \S+ [-[]).*")
"""What the lines of clients hold, up to their end, those of RFC 5424 too, which may stand among others.

It begins with a letter: re looks for the first one byte by byte.
"""

ANY_LINE = re.compile(rb".+")

RFC5424 = 0x3C
"""With `<` begin the lines of RFC 5424, and no others."""


def lines_with(sign: re.Pattern[bytes], block: bytearray, end: int) -> list[bytearray]:
    """The lines of `block[:end]` that hold `sign`, which runs to the end of its line.

    A mail log is mostly lines that count nowhere: only these few are looked at, each from its start.
    """
    rfind = block.rfind
    return [block[rfind(b"\n", 0, hit.start()) + 1 : hit.end()] for hit in sign.finditer(block, 0, end)]


Line = tuple[bytes, ...]
"""A line of a client: four times a stamp and who wrote it, of which one holds something, its process id, and the groups of
its text."""


class Clients:
    """Finds the lines of Postfix's SMTP clients.

    Their heads look alike, but for the stamp: once it is known how, one search finds the lines and takes them apart. A
    block that holds anything else is read again, line by line, so that what is found is the same.
    """

    def __init__(self, text: str) -> None:
        """`text` is the pattern, verbose, of what follows the head up to the end of the line."""
        self._text = text
        head = rf"({_TIME})(?:{_FRACTION})?((?:{_ZONE})?\ {_HOST}\ {_NAME}[sl])mtp" + "()()" * (_KINDS - 1)
        self._line = _bytes(rf"^{head}\[(\d+)\]:\ {text}$")
        self._rfc5424 = _bytes(rf"^<\d{{1,3}}>1\ {head}\ (\S+)\ \S+\ {_DATA}\ {_MARK}?\ ?{text}$")
        self._process = itemgetter(2 * _KINDS)
        self._kinds: Counter[_Kind] = Counter()
        self._alike: re.Pattern[bytes] | None = None

    def lines(self, block: bytearray, end: int) -> tuple[list[Line], list[bytes]]:
        """The lines of clients in `block[:end]`, in order, but for those of RFC 5424, which come last.

        Beside them the texts of RFC 5424 lines from which rsyslog has cut the program's name (`postfix` is left).
        """
        rfc5424 = RFC5424 in (block[0], block[block.rfind(b"\n", 0, end - 1) + 1])
        if self._alike and not rfc5424:
            found: list[Line] = self._alike.findall(block, 0, end)
            if all(map(self._process, found)):
                return found, []
        lines = lines_with(ANY_LINE if rfc5424 else CLIENTS, block, end)
        if end >= MANY:
            self._learn(lines)
        return self.among(lines)

    def among(self, lines: list[bytearray]) -> tuple[list[Line], list[bytes]]:
        """The same, of single lines; one whose head is wrong is none of a client."""
        found: list[Line] = self._line.findall(b"\n".join(lines))
        if len(found) == len(lines):
            return found, []
        rfc5424 = b"\n".join([line for line in lines if line.startswith(b"<")])
        return found + self._rfc5424.findall(rfc5424), [each[-1] for each in _NAMELESS.findall(rfc5424)]

    def _learn(self, lines: list[bytearray]) -> None:
        met = Counter(
            (len(stamp), len(fraction), by.decode("latin-1")) for stamp, fraction, by in _HEAD.findall(b"\n".join(lines))
        )
        if met.keys() <= self._kinds.keys():
            return
        self._kinds = met + self._kinds if len(met + self._kinds) <= _KINDS else met
        self._alike = None
        if len(self._kinds) <= _KINDS:
            heads = [_behind(*kind) for kind, _ in self._kinds.most_common()]
            heads += ["(?!)()()"] * (_KINDS - len(heads))
            # What is a client's by its words, but has no such head, gives a line without a process.
            head = rf"\[(?:{'|'.join(heads)})(\d+)\]:\ "
            self._alike = _bytes(rf"mtp(?:(?:{head}{self._text}$|\[.*)|\ \S+\ \S+\ [-[].*)")


_KINDS = 4
"""So many kinds of heads are looked for at once: each costs time."""

_Kind = tuple[int, int, str]

MANY = LONGEST // 4
"""Bytes of a block from which on there may be many more like it."""

_HEAD = _bytes(rf"^({_TIME})((?:{_FRACTION})?)((?:{_ZONE})?\ {_HOST}\ {_NAME})[sl]mtp\[\d+\]:\ ")


def _behind(stamp: int, fraction: int, by: str) -> str:
    """The pattern that looks back from `mtp[` at a head with stamp and fraction of these lengths."""
    time = _YEARLESS if stamp == len("Nov  4 00:06:58") else _DATED
    digits = rf"[.,]\d{{{fraction - 1}}}" if fraction else ""
    named = re.escape(by.encode("latin-1")).decode("ascii", "backslashreplace")
    return rf"(?<=^({time}){digits}({named}[sl])mtp\[)"


def writer(by: bytes) -> tuple[bytes, bytes]:
    """The offset of the stamps or nothing, and the name of the service, of who wrote a line."""
    offset, _, service = by.partition(b" ")
    return offset, service + b"mtp"


_NAMELESS = _bytes(rf"^<\d{{1,3}}>1\ {_STAMP}\ {_HOST}\ [^/ \n]+\ \S+\ \S+\ {_DATA}\ {_MARK}?\ ?(.*)$")


_STARTED = b"daemon started -- version "
_LOST = b" due to rate-limiting", b": Suppressed "
_DAEMONS = b" rsyslogd", b" systemd-journald["

_INTERRUPTION = _bytes(
    rf"""
    ^(?:<\d{{1,3}}>1\ )?{_STAMP} (?:
        \ ({_HOST}\ {_NAME})master(?:\[\d+\]:|\ \d+\ \S+\ {_DATA})\ daemon\ started\ --\ version\ ([^, ]+)     # master.c
      | \ {_HOST}\ (?:rsyslogd|systemd-journald) \S*\ (?:
            .*\ due\ to\ rate-limiting | .*Suppressed\ \d+\ messages\ from\ ) )
    """
)


class Interruption(NamedTuple):
    """What a line says that ends what has been known of sessions: Postfix was started, or lines have been lost."""

    begin: int
    """Where the line begins."""
    stamp: bytes
    offset: bytes
    started: bytes
    """Host and syslog name, with the slash, of the Postfix that was started; empty where lines have been lost."""
    version: bytes
    """Its version."""


def interruptions(block: bytearray, end: int, *, told: bool = True) -> list[Interruption]:
    """The interruptions in `block[:end]`; where the daemon has not `told` of anything, it has lost nothing either."""
    if all(block.find(words, 0, end) < 0 for words in ((_STARTED, *_LOST) if told else (_STARTED,))):
        return []
    found = _INTERRUPTION.finditer(block, 0, end)
    return [Interruption(each.start(), *each.groups(b"")) for each in found]


def by_the_daemon(block: bytearray, end: int) -> bool:
    """Whether the syslog daemon itself, which says when it has lost lines, writes into this log too."""
    return any(block.find(words, 0, end) >= 0 for words in _DAEMONS)


class Entry(NamedTuple):
    """One line, taken apart for a person to see."""

    at: int | None
    """Epoch second, None where the stamp cannot be read."""
    program: str
    """The last part of the tag: `smtp` of `postfix/relay/smtp`."""
    named: bool
    """False where rsyslog's RFC 5424 format has cut the program's name off."""
    text: bytes


_ANY = _bytes(rf"^(?:<\d{{1,3}}>1\ )?{_STAMP}(?=\ )")
_TAG = _bytes(rf"\ {_HOST}\ ([^ \[\n]*?)(?:\[\d+\])?:\ ?(.*)$")
_TAG5424 = _bytes(rf"\ {_HOST}\ (\S+)\ \S+\ \S+\ {_DATA}\ {_MARK}?\ ?(.*)$")


def stamp_of(line: bytes | bytearray, clock: Clock) -> int | None:
    """When the line was written, in epoch seconds; None where its head holds no readable time."""
    head = _ANY.match(line)
    return clock.resolve(head[1], head[2] or b"") if head else None


def stamped(line: bytes) -> bool:
    """Whether a line begins with a time, as every whole one does."""
    return bool(_ANY.match(line))


def entry(line: bytes, clock: Clock) -> Entry | None:
    """Take one line apart, whoever wrote it; None where it has no head to speak of."""
    head = _ANY.match(line)
    if head is None:
        return None
    rfc5424 = line.startswith(b"<")
    tag = (_TAG5424 if rfc5424 else _TAG).match(line, head.end())
    if tag is None:
        return None
    name = tag[1].decode("utf-8", "replace")
    at = clock.resolve(head[1], head[2] or b"")
    return Entry(at, name.rpartition("/")[2], not rfc5424 or "/" in name, tag[2])
