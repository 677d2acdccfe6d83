"""Blocks of a log become lines of Postfix's SMTP clients, taken apart.

A mail log is mostly lines that count nowhere, so the lines of clients are found by one search.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import starmap
from operator import itemgetter
from typing import NamedTuple

from ..log import LONGEST, forms, heads
from .delivery import TEXT

_SAYS = r"(?:TLS\ connection\ (?:established|reused)\ to\ |[0-9A-Za-z]{5,}:\ to=<)"
"""What only a client's text says."""

_OTHER = rf"""\[.* | :\ .* | ".* | \ \S+\ \S+\ [-[].* | [/<>=|'\]](?=.*{_SAYS}).*"""
"""What follows `mtp` in a client's line with any head; the fourth is RFC 5424's.

Each alternative begins with characters of its own, so that re skips it without a try; those of the
last are none that a host's name holds.
"""

CLIENTS = heads.compiled(rf"mtp(?:{_OTHER})")
"""What a client's line holds in any form, up to its end.

It begins with a letter because re looks for a first letter byte by byte, which is fast.
"""

MANY = LONGEST // 4
"""Bytes: a block of at least this size may have many more like it behind it."""

_HEADS = 4
"""At most so many different heads are looked for at once: each costs time."""


class ClientLine(NamedTuple):
    """A line of `smtp` or `lmtp`.

    A line about a recipient in the usual form is taken apart (`delivery.TEXT`). Of any other line
    there is the text alone, and `queue_id` to `status` are empty.
    """

    stamp: bytes
    """`Nov  4 00:06:58` or `2026-11-04T00:06:58`, without fraction and zone."""
    writer: bytes
    """Offset, host and tag, as `split_writer` takes them apart."""
    pid: bytes
    queue_id: bytes
    relay: bytes
    """`HOST[ADDRESS]:PORT`, perhaps with `, conn_use=N` behind it."""
    delays: bytes
    """`A/B/C/D`."""
    tls: bytes
    """The field `tls`; empty before Postfix 3.11."""
    status: bytes
    """`sent`, `deferred`, `bounced` or `SOFTBOUNCE`."""
    text: bytes
    """What Postfix wrote; empty where the line is taken apart."""


Fields = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""The fields of a `ClientLine`, which get their names where it matters less how long that takes."""


class Found(NamedTuple):
    """What a block holds of Postfix's SMTP clients."""

    lines: list[Fields]
    """In order, but those of RFC 5424 come last."""
    nameless: list[bytes]
    """Texts of lines whose tag has lost the program's name, so that only `postfix` is left."""
    puzzling: list[bytes]
    """Lines that are a client's by their words, but not by their heads."""


class Clients:
    """Finds the lines of Postfix's SMTP clients in blocks of a log.

    Heads of lines look alike but for the stamp. The heads of one block are looked for in the next
    one, by a single search that also takes the lines apart. A block that holds any other head is
    read again, line by line, so that what is found never depends on the blocks before.
    """

    def __init__(self) -> None:
        self._heads: Counter[_Head] = Counter()
        self._search: _Search | None = None

    def lines(self, block: bytearray, end: int) -> Found:
        """Return the clients' lines of `block[:end]`, which is in the usual form but for a few."""
        last = block.rfind(b"\n", 0, end - 1) + 1
        whole = heads.holds_rfc5424(block, end) or any(_CUT.match(block, at) for at in (0, last))
        if self._search and not whole:
            found = self._search.lines(block, end)
            if all(map(_PID, found)):
                return Found(found, [], [])
        sign = heads.ANY_LINE if whole else CLIENTS
        lines = [forms.usual(bytes(line)) for line in heads.lines_with(sign, block, end)]
        if end >= MANY:
            self._learn(lines)
        return parse(lines)

    def _learn(self, lines: list[bytes]) -> None:
        """Look for the heads of these lines from now on, if they are few."""
        found = Counter(
            (len(stamp), len(fraction), writer.decode("latin-1"))
            for stamp, fraction, writer in _HEAD.findall(b"\n".join(lines))
        )
        if found.keys() <= self._heads.keys():
            return
        self._heads = found + self._heads if len(found + self._heads) <= _HEADS else found
        self._search = None
        if len(self._heads) <= _HEADS:
            self._search = _Search([head for head, _ in self._heads.most_common()])


_Head = tuple[int, int, str]
"""Length of the stamp, length of the fraction, and offset, host and tag up to the slash."""

_ZONE_HOST_NAME = rf"(?:{heads.ZONE})?\ {heads.HOST}\ {heads.NAME}"

_HEAD = heads.compiled(
    rf"^({heads.TIME})((?:{heads.FRACTION})?)({_ZONE_HOST_NAME})[sl]mtp\[\d+\]:\ "
)

_PID = itemgetter(ClientLine._fields.index("pid"))


class _Search:
    """One search for all lines of clients with these heads."""

    def __init__(self, known: list[_Head]) -> None:
        behind = [*starmap(_behind, known), *["(?!)()()"] * (_HEADS - len(known))]
        head = rf"\[(?:{'|'.join(behind)})(\d+)\]:\ "
        # A line that is a client's by its words, but has another head, is found without a PID.
        self._pattern = heads.compiled(rf"mtp(?:{head}{TEXT}$|{_OTHER})")

    def lines(self, block: bytearray, end: int) -> list[Fields]:
        """Return the lines of `block[:end]`; empty fields where a line has another head."""
        # Each head has a stamp and a writer of its own, and those of one head hold something.
        return [
            (t or u or v or w, a or b or c or d, pid, queue_id, relay, delays, tls, status, text)
            for t, a, u, b, v, c, w, d, pid, queue_id, relay, delays, tls, status, text in (
                self._pattern.findall(block, 0, end)
            )
        ]


def _behind(stamp: int, fraction: int, writer: str) -> str:
    """Return the pattern that looks back from `mtp[` at a head of these lengths."""
    time = heads.YEARLESS if stamp == len("Nov  4 00:06:58") else heads.DATED
    digits = rf"[.,]\d{{{fraction - 1}}}" if fraction else ""
    named = re.escape(writer.encode("latin-1")).decode("ascii", "backslashreplace")
    return rf"(?<=^({time}){digits}({named}[sl])mtp\[)"


# ---- line by line ---------------------------------------------------------------------------

_WRITTEN = rf"({heads.TIME})(?:{heads.FRACTION})?({_ZONE_HOST_NAME}[sl])mtp"
_BEHIND_PROCID = rf"\ \S+\ {heads.DATA}\ {heads.MARK}?\ ?"
_LINE = heads.compiled(rf"^{_WRITTEN}\[(\d+)\]:\ {TEXT}$")
_RFC5424 = heads.compiled(rf"^<\d{{1,3}}>1\ {_WRITTEN}\ (\S+){_BEHIND_PROCID}{TEXT}$")
_NAMELESS = heads.compiled(
    rf"^<\d{{1,3}}>1\ {heads.STAMP}\ {heads.HOST}\ [^/ \n]+\ \S+{_BEHIND_PROCID}(.*)$"
)
_CUT = heads.compiled(rf"^{heads.STAMP}\ {heads.HOST}\ postfix[^/\s\[]*\[\d+\]:\ (.*)$")
_OTHERS = heads.compiled(
    rf"""
    ^(?: {heads.STAMP}\ {heads.HOST}\ (?!\S*[sl]mtp[\[:])[^\s\[:]+(?:\[[^\]\s]*\])?:
       | <\d{{1,3}}>1\ {heads.STAMP}\ \S+\ (?!\S*[sl]mtp\ )\S+\ \S+\ \S+\ [-[] )
    """
)
"""The head of a line that another program wrote."""

_WORDS = heads.compiled(rf"mtp\b.*{_SAYS}")


def parse(lines: list[bytes]) -> Found:
    """Return the same as `Clients.lines`, of single lines in the usual form, if theirs is known."""
    found = _LINE.findall(b"\n".join(lines))
    if len(found) == len(lines):
        return Found(found, [], [])
    odd = [line for line in lines if not _LINE.match(line)]
    rfc5424 = b"\n".join([line for line in odd if line.startswith(b"<")])
    found += _RFC5424.findall(rfc5424)
    nameless = [texts[-1] for texts in _NAMELESS.findall(rfc5424)]
    nameless += [texts[-1] for texts in _CUT.findall(b"\n".join(odd))]
    return Found(found, nameless, [line for line in odd if is_puzzling(line)])


def is_puzzling(line: bytes) -> bool:
    """Return whether a line is a client's by its words, though no head of one is understood.

    A line that another program wrote is none, whatever it quotes.
    """
    return bool(
        _WORDS.search(line)
        and not _OTHERS.match(line)
        and not _LINE.match(line)
        and not _RFC5424.match(line)
    )


@lru_cache(1000)
def split_writer(writer: bytes) -> tuple[bytes, bytes]:
    """Return the offset of the stamps, which may be empty, and the service: host and tag."""
    offset, _, service = writer.partition(b" ")
    return offset, service + b"mtp"


@lru_cache(1000)
def host_of(service: bytes) -> bytes:
    """Return the host of a service; empty where the line names none."""
    return service.partition(b" ")[0] if b" " in service else b""
