"""Blocks of a log become lines of Postfix's SMTP clients, taken apart."""

from __future__ import annotations

import re
from collections import Counter
from operator import itemgetter

from ..log import LONGEST, heads

CLIENTS = re.compile(rb"mtp(?:\[| \S+ \S+ [-[]).*")
"""What the lines of clients hold, up to their end, those of RFC 5424 too, which may stand among others.

It begins with a letter: re looks for the first one byte by byte.
"""


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
        head = (
            rf"({heads.TIME})(?:{heads.FRACTION})?((?:{heads.ZONE})?\ {heads.HOST}\ {heads.NAME}[sl])mtp"
            + "()()" * (_KINDS - 1)
        )
        self._line = heads.compiled(rf"^{head}\[(\d+)\]:\ {text}$")
        self._rfc5424 = heads.compiled(
            rf"^<\d{{1,3}}>1\ {head}\ (\S+)\ \S+\ {heads.DATA}\ {heads.MARK}?\ ?{text}$"
        )
        self._process = itemgetter(2 * _KINDS)
        self._kinds: Counter[_Kind] = Counter()
        self._alike: re.Pattern[bytes] | None = None

    def lines(self, block: bytearray, end: int) -> tuple[list[Line], list[bytes]]:
        """The lines of clients in `block[:end]`, in order, but for those of RFC 5424, which come last.

        Beside them the texts of RFC 5424 lines from which rsyslog has cut the program's name (`postfix` is left).
        """
        rfc5424 = heads.RFC5424 in (block[0], block[block.rfind(b"\n", 0, end - 1) + 1])
        if self._alike and not rfc5424:
            found: list[Line] = self._alike.findall(block, 0, end)
            if all(map(self._process, found)):
                return found, []
        lines = heads.lines_with(heads.ANY_LINE if rfc5424 else CLIENTS, block, end)
        if end >= MANY:
            self._learn(lines)
        return self.among(lines)

    def among(self, lines: list[bytearray]) -> tuple[list[Line], list[bytes]]:
        """The same, of single lines; one whose head is wrong is none of a client."""
        found: list[Line] = self._line.findall(b"\n".join(lines))
        if len(found) == len(lines):
            return found, []
        rfc5424 = b"\n".join([line for line in lines if line.startswith(b"<")])
        return found + self._rfc5424.findall(rfc5424), [
            each[-1] for each in _NAMELESS.findall(rfc5424)
        ]

    def _learn(self, lines: list[bytearray]) -> None:
        met = Counter(
            (len(stamp), len(fraction), by.decode("latin-1"))
            for stamp, fraction, by in _HEAD.findall(b"\n".join(lines))
        )
        if met.keys() <= self._kinds.keys():
            return
        self._kinds = met + self._kinds if len(met + self._kinds) <= _KINDS else met
        self._alike = None
        if len(self._kinds) <= _KINDS:
            kinds = [_behind(*kind) for kind, _ in self._kinds.most_common()]
            kinds += ["(?!)()()"] * (_KINDS - len(kinds))
            # What is a client's by its words, but has no such head, gives a line without a process.
            head = rf"\[(?:{'|'.join(kinds)})(\d+)\]:\ "
            self._alike = heads.compiled(rf"mtp(?:(?:{head}{self._text}$|\[.*)|\ \S+\ \S+\ [-[].*)")


_KINDS = 4
"""So many kinds of heads are looked for at once: each costs time."""

_Kind = tuple[int, int, str]

MANY = LONGEST // 4
"""Bytes of a block from which on there may be many more like it."""

_HEAD = heads.compiled(
    rf"^({heads.TIME})((?:{heads.FRACTION})?)((?:{heads.ZONE})?\ {heads.HOST}\ {heads.NAME})[sl]mtp\[\d+\]:\ "
)


def _behind(stamp: int, fraction: int, by: str) -> str:
    """The pattern that looks back from `mtp[` at a head with stamp and fraction of these lengths."""
    time = heads.YEARLESS if stamp == len("Nov  4 00:06:58") else heads.DATED
    digits = rf"[.,]\d{{{fraction - 1}}}" if fraction else ""
    named = re.escape(by.encode("latin-1")).decode("ascii", "backslashreplace")
    return rf"(?<=^({time}){digits}({named}[sl])mtp\[)"


def writer(by: bytes) -> tuple[bytes, bytes]:
    """The offset of the stamps or nothing, and the name of the service, of who wrote a line."""
    offset, _, service = by.partition(b" ")
    return offset, service + b"mtp"


_NAMELESS = heads.compiled(
    rf"^<\d{{1,3}}>1\ {heads.STAMP}\ {heads.HOST}\ [^/ \n]+\ \S+\ \S+\ {heads.DATA}\ {heads.MARK}?\ ?(.*)$"
)
