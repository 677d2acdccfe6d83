"""Log bytes become `Entry`s: traditional, RFC 3339 and postlogd stamps, the missing year and zone supplied.

A line ends at 0x0A and nowhere else: Postfix lets U+2028 and U+0085 of a remote reply pass into the
log, and what other splitters make of them is a perfect forged line (msg_vprintf() in msg.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

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

_STAMP = r"""
    ( [A-Z][a-z][a-z]\ [\ \d]\d\ \d\d:\d\d:\d\d       # Nov  4 00:06:58, postlogd: Nov 04 00:06:58
    | \d\d\d\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d )          # 2026-11-04T00:06:58
    (?:[.,]\d+)? ([Zz]|[+-]\d\d:?\d\d)?               # .123456+01:00
"""

_HOST = r"[^ ]*[^ :]"  # one word of the line, which has more; what ends with a colon is a tag already

_CLIENT = r"[^\x00-\x20\[\x7f]*/[sl]mtp"  # syslog_name may be anything and may hold a slash; the program is smtp or lmtp

_MARK = r"(?:\xef\xbb\xbf)"  # a byte order mark may begin the MSG of RFC 5424

_DATA = r'(?:-|(?:\[[^ \]"\n]+(?:\ [^ =\]"\n]+="(?:[^"\\\]\n]|\\.)*")*\])+)'  # STRUCTURED-DATA, RFC 5424 section 6.3


def _bytes(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.VERBOSE | re.MULTILINE)


_LINE = _bytes(rf"^{_STAMP}\ (({_HOST}\ {_CLIENT})\[\d+)\]:\ (.*)$")
_LINE5424 = _bytes(rf"^<\d{{1,3}}>1\ {_STAMP}\ (({_HOST}\ {_CLIENT})\ \S+)\ \S+\ {_DATA}\ {_MARK}?\ ?(.*)$")

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


Line = tuple[bytes, bytes, bytes, bytes, bytes]
"""A line of a client: its stamp, the offset or nothing, what names the process, what names its service, and the text."""


def client_lines(lines: list[bytearray]) -> list[Line]:
    """Those of `lines` that Postfix's SMTP clients wrote; one whose head is wrong is none of them.

    In order, but for those of RFC 5424, which come last.
    """
    found: list[Line] = _LINE.findall(b"\n".join(lines))
    if len(found) < len(lines):
        found += _LINE5424.findall(_rfc5424_among(lines))
    return found


def _rfc5424_among(lines: list[bytearray]) -> bytes:
    return b"\n".join([line for line in lines if line.startswith(b"<")])


_NAMELESS = _bytes(rf"^<\d{{1,3}}>1\ {_STAMP}\ {_HOST}\ [^/ \n]+\ \S+\ \S+\ {_DATA}\ {_MARK}?\ ?(.*)$")


def nameless_lines(lines: list[bytearray]) -> list[bytes]:
    """The texts of those RFC 5424 lines from which rsyslog has cut the program's name (`postfix` is left)."""
    return [found[-1] for found in _NAMELESS.findall(_rfc5424_among(lines))]


_STARTED = _bytes(rf"^{_STAMP}\ ({_HOST}\ [^\x00-\x20\[\x7f]*/)master\[\d+\]:\ daemon\ started\ ")


def started(block: bytearray, end: int) -> tuple[list[bytes], bool]:
    """Host and syslog name, with the slash, of each Postfix started before the first line of a client; is there none?"""
    first = CLIENTS.search(block, 0, end)
    return [found[2] for found in _STARTED.findall(block, 0, first.start() if first else end)], first is None


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


# ---- times ----------------------------------------------------------------------------------

_MONTHS = {name: 1 + n for n, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())}

_DAY = 86400
_OLDEST = 946684800
"""The year 2000. What is stamped earlier was written by a machine that did not know the time yet."""
_NEWEST = 253370764800
"""The year 9999, the last that datetime can reckon in."""
_MINUTES = 60
"""Minutes whose beginning is remembered: lines of a few of them stand mixed."""
_OUT_OF_ORDER = 31 * _DAY
"""A stamp without a year is taken to be at most this much older than the line before it."""
_FOLD = 300
"""In the hour that autumn repeats, a step back by more than this many seconds is its second pass."""


class Clock:
    """Stamps become epoch seconds, line after line.

    A stamp without a year or zone says too little; the line before it and the latest time at which it
    can have been written (the file's modification, or now) say the rest.
    """

    def __init__(self, zone: tzinfo | None, latest: int, *, year: int | None = None, previous: int | None = None) -> None:
        self.zone = zone
        self.latest = latest
        self.year = year
        self.previous = previous
        """When the line before was written."""
        self._minutes: dict[bytes, int] = {}
        self._hours = (0, 0)
        self._crosses = False
        self._ambiguous = False

    def resolve(self, stamp: bytes, offset: bytes) -> int | None:
        """The epoch second of a stamp; None where there is no such day or hour."""
        minute = stamp[:-3] + offset
        begins = self._minutes.get(minute)
        if begins is None or (self.previous is not None and self.previous > begins + 60 + _FOLD):
            self._ambiguous = False
            try:
                begins = self._resolve_minute(stamp[:-3], offset)
            except (ValueError, KeyError, OverflowError):
                return None
            if len(self._minutes) >= _MINUTES:
                self._minutes.clear()
            if not self._ambiguous:
                self._minutes[minute] = begins
        if not _OLDEST <= begins < _NEWEST:
            return None
        # The leap second 60 belongs to its minute.
        self.previous = begins + min(int(stamp[-2:]), 59)
        return self.previous

    def _resolve_minute(self, stamp: bytes, offset: bytes) -> int:
        if len(stamp) == 12:
            return self._yearless(_MONTHS[stamp[:3]], int(stamp[4:6]), int(stamp[7:9]), int(stamp[10:]))
        fields = int(stamp[:4]), int(stamp[5:7]), int(stamp[8:10]), int(stamp[11:13]), int(stamp[14:])
        if not offset:
            return self._local(*fields)
        return int(datetime(*fields, tzinfo=_zone(offset)).timestamp())

    def crosses_a_fold(self, first: int, last: int) -> bool:
        """Whether local clocks were put back or forward near these two times."""
        hours = first // 3600 - 2, last // 3600 + 2
        if hours != self._hours:
            self._hours = hours
            before, after = (datetime.fromtimestamp(hour * 3600, timezone.utc).astimezone(self.zone) for hour in hours)
            self._crosses = before.utcoffset() != after.utcoffset()
        return self._crosses

    def _yearless(self, *fields: int) -> int:
        if self.previous is None and self.year is not None:
            return self._local(self.year, *fields)
        around = datetime.fromtimestamp(self.latest if self.previous is None else self.previous, self.zone).year
        if self.previous is not None:
            with suppress(ValueError):
                at = self._local(around, *fields)
                if abs(at - self.previous) < _OUT_OF_ORDER and at <= self.latest + _DAY:
                    return at
        years = []
        for year in range(around - (8 if self.previous is None else 1), around + 2):
            with suppress(ValueError):  # 29 February is not in every year
                years.append(self._local(year, *fields))
        if self.previous is not None:
            for at in years:
                # A little after `latest` it is a wrong clock's, and not of the year before.
                if self.previous - _OUT_OF_ORDER <= at <= self.latest + _OUT_OF_ORDER:
                    return at
        return max(at for at in years if at <= self.latest + _DAY)

    def _local(self, year: int, month: int, day: int, hour: int, minute: int) -> int:
        """Epoch second of local time; an hour that spring leaves out is taken as the one after it."""
        early, late = (int(datetime(year, month, day, hour, minute, tzinfo=self.zone, fold=fold).timestamp()) for fold in (0, 1))
        self._ambiguous = early < late
        if early < late <= self.latest + _FOLD and self.previous is not None and early < self.previous - _FOLD:
            return late
        return early


def _zone(offset: bytes) -> timezone:
    if offset in b"Zz":
        return timezone.utc
    east = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return timezone(-east if offset.startswith(b"-") else east)
