"""Blocks of a log become lines of Postfix's SMTP clients or of its server, taken apart.

A mail log is mostly lines that count nowhere, so those that do are found by one search of a kind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from operator import itemgetter
from typing import NamedTuple

from ..log import LONGEST, forms, heads
from . import delivery, reception

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
    """Offset, host and tag without its `Kind.rest` (`postfix/s`); `split_writer` completes it."""
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


class ServerLine(NamedTuple):
    """A line of `smtpd` about a connection of a client."""

    stamp: bytes
    writer: bytes
    pid: bytes
    verb: bytes
    """`connect from`, `disconnect from`, `... established from`, `SSL_accept error from`,
    `warning: TLS library problem:` or `message repeated`."""
    client: bytes
    """`HOST[ADDRESS]`; of a repeated line `N times:`, of OpenSSL its error."""
    said: bytes
    """What follows."""


Fields = tuple[bytes, ...]
"""The fields of a `ClientLine` or `ServerLine`, without their names, which cost time."""


class Kind(NamedTuple):
    """One kind of Postfix's programs whose lines count: one row of a table."""

    initials: str
    """The pattern of the first letter of their names."""
    rest: bytes
    """The rest of it."""
    text: str
    """The pattern of what such a program writes."""
    says: str
    """The pattern of words that only such a program writes."""
    unless: str
    """Negative lookbehinds, tried where the name ends: services whose lines count nowhere."""
    fields: Callable[[Iterable[tuple[bytes, ...]]], list[Fields]]
    """Makes lines of what is found: four pairs of stamp and writer, all but one of them empty."""

    @property
    def sign(self) -> re.Pattern[bytes]:
        """What a line holds in any form, up to its end.

        It begins with a letter because re looks for a first letter byte by byte, which is fast.
        """
        return _sign(self)


def _client_fields(found: Iterable[tuple[bytes, ...]]) -> list[Fields]:
    return [
        (t or u or v or w, a or b or c or d, pid, queue_id, relay, delays, tls, status, text or odd)
        for t, a, u, b, v, c, w, d, pid, queue_id, relay, delays, tls, status, text, odd in found
    ]


def _server_fields(found: Iterable[tuple[bytes, ...]]) -> list[Fields]:
    return [
        (t or u or v or w, a or b or c or d, pid, verb, client, said or odd)
        for t, a, u, b, v, c, w, d, pid, verb, client, said, odd in found
        if client or not pid
    ]


CLIENT = Kind(
    "[sl]",
    b"mtp",
    delivery.TEXT,
    r"(?:TLS\ connection\ (?:established|reused)\ to\ |[0-9A-Za-z]{5}:\ to=<)",
    "",
    _client_fields,
)

SERVER = Kind("s", b"mtpd", reception.TEXT, reception.SAYS, reception.UNLESS, _server_fields)


KINDS = CLIENT, SERVER


class Found(NamedTuple):
    """What a block holds of one kind."""

    lines: list[Fields]
    """In order, but those of RFC 5424 come last."""
    nameless: list[tuple[bytes, bytes, bytes]]
    """Stamp, offset and text of lines whose tag has lost the program's name, so that only `postfix`
    is left."""
    puzzling: list[bytes]
    """Lines that are of this kind by their words, but not by their heads."""


class Lines:
    """Finds the lines of one kind in blocks of a log.

    Heads of lines differ in the stamp only. The heads of one block are looked for in the next
    one, by a single search that also takes the lines apart. A block that holds any other head is
    read again, line by line, so that what is found never depends on the blocks before.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._heads: Counter[_Head] = Counter()
        self._search: _Search | None = None

    def lines(self, block: bytearray, end: int, *, whole: bool = False) -> Found:
        """Return the lines of `block[:end]`, which is in the usual form, except for a few.

        With `whole` each line is looked at, also those that name no program.
        """
        whole = whole or heads.holds_rfc5424(block, end)
        if self._search and not whole:
            found = self._search.lines(block, end)
            if all(map(_PID, found)):
                return Found(found, [], [])
            if not any(_may_count(line[-1], self._kind) for line in found if not _PID(line)):
                return Found([line for line in found if _PID(line)], [], [])
        sign = heads.ANY_LINE if whole else self._kind.sign
        lines = [forms.usual(bytes(line)) for line in heads.lines_with(sign, block, end)]
        if end >= MANY:
            self._learn(lines)
        return parse(lines, self._kind)

    def _learn(self, lines: list[bytes]) -> None:
        """Look for the heads of these lines from now on, if they are few."""
        found = Counter(
            (len(stamp), len(fraction), writer.decode("latin-1"))
            for stamp, fraction, writer in _patterns(self._kind).head.findall(b"\n".join(lines))
        )
        if found.keys() <= self._heads.keys():
            return
        self._heads = found + self._heads if len(found + self._heads) <= _HEADS else found
        self._search = None
        if len(self._heads) <= _HEADS:
            self._search = _Search(self._kind, [head for head, _ in self._heads.most_common()])


_Head = tuple[int, int, str]
"""Length of the stamp, length of the fraction, and offset, host and tag up to the first letter."""

_ZONE_HOST_NAME = rf"(?:{heads.ZONE})?\ {heads.HOST}\ {heads.NAME}"

_PID = itemgetter(ClientLine._fields.index("pid"))


class _Search:
    """One search for all lines of a kind with these heads."""

    def __init__(self, kind: Kind, known: list[_Head]) -> None:
        behind = [_behind(kind, *each) for each in known]
        behind += ["(?!)()()"] * (_HEADS - len(known))
        head = rf"\[(?:{'|'.join(behind)})(\d+)\]:\ "
        self._fields = kind.fields
        # A line that is of this kind by its words, but has another head, is found without a PID.
        rest = kind.rest.decode()
        self._pattern = heads.compiled(
            rf"{rest}{kind.unless}(?:{head}(?:{kind.text}$|.*)|{_OTHER}|{_DOUBTFUL})"
        )

    def lines(self, block: bytearray, end: int) -> list[Fields]:
        """Return the lines of `block[:end]`; one with another head has no PID.

        The last field of such a line is what follows its doubtful name, or empty.
        """
        # Each head has a stamp and a writer of its own, and those of one head hold something.
        return self._fields(self._pattern.findall(block, 0, end))


def _behind(kind: Kind, stamp: int, fraction: int, writer: str) -> str:
    """Return the pattern that looks back from the bracket at a head of these lengths."""
    time = heads.YEARLESS if stamp == len("Nov  4 00:06:58") else heads.DATED
    digits = rf"[.,]\d{{{fraction - 1}}}" if fraction else ""
    named = re.escape(writer.encode("latin-1")).decode("ascii", "backslashreplace")
    return rf"(?<=^({time}){digits}({named}{kind.initials}){kind.rest.decode()}\[)"


# ---- line by line ---------------------------------------------------------------------------

_BEHIND_PROCID = rf"\ \S+\ {heads.DATA}\ {heads.MARK}?\ ?"
_NAMELESS = heads.compiled(
    rf"^<\d{{1,3}}>1\ {heads.STAMP}\ {heads.HOST}\ [^/ \n]+\ \S+{_BEHIND_PROCID}(.*)$"
)
_CUT = heads.compiled(rf"^{heads.STAMP}\ {heads.HOST}\ postfix[^/\s\[]*\[\d+\]:\ (.*)$")


_OTHER = r"""\[.* | :\ .* | ".* | \ (?:\S+\ \S+\ [-[]|\[\d+\]:\ ).*"""
"""What follows the name in a line with any head; a space does so in RFC 5424.

Each alternative begins with characters of its own, so that re skips it without a try.
"""

_DOUBTFUL = r"[/<>=|'\]](.*)"
"""What follows it where only the words behind it tell whether it is a name: `smtp=`.

The characters are none that a host's name holds. The words are looked for in the rest of the line
by `_may_count`, once: a stranger may write the name a hundred times into one line.
"""


@cache
def _sign(kind: Kind) -> re.Pattern[bytes]:
    return heads.compiled(rf"{kind.rest.decode()}{kind.unless}(?:{_OTHER}|{_DOUBTFUL})")


def _may_count(rest: bytes, kind: Kind) -> bool:
    """Return whether the rest of a line, empty where it is not known, may be of a kind."""
    patterns = _patterns(kind)
    return not rest or bool(patterns.words.search(rest) or patterns.other.search(rest))


class _Patterns(NamedTuple):
    """How a line of a kind looks by itself."""

    head: re.Pattern[bytes]
    line: re.Pattern[bytes]
    rfc5424: re.Pattern[bytes]
    others: re.Pattern[bytes]
    """The head of a line that another program wrote, and not one that it relays."""
    name: re.Pattern[bytes]
    """The end of a program's name."""
    other: re.Pattern[bytes]
    """The same with what follows it in a line with any head."""
    words: re.Pattern[bytes]
    """Words that only such a program writes."""
    glued: re.Pattern[bytes]
    """The head of a line in another one that a crash has torn; who quotes a line puts a space."""


@cache
def _patterns(kind: Kind) -> _Patterns:
    rest = kind.rest.decode()
    name = kind.initials + rest
    written = rf"({heads.TIME})(?:{heads.FRACTION})?({_ZONE_HOST_NAME}{kind.initials}){rest}"
    return _Patterns(
        heads.compiled(
            rf"^({heads.TIME})((?:{heads.FRACTION})?)({_ZONE_HOST_NAME}){name}\[\d+\]:\ "
        ),
        heads.compiled(rf"^{written}\[(\d+)\]:\ {kind.text}$"),
        heads.compiled(rf"^<\d{{1,3}}>1\ {written}\ (\S+){_BEHIND_PROCID}{kind.text}$"),
        heads.compiled(
            rf"""
            ^(?: {heads.STAMP}\ {heads.HOST}
                 \ (?!\S*{name}[\[:])[^\s\[:]+(?:\[[^\]\s]*\])?:(?!\ {heads.STAMP}\ )
               | <\d{{1,3}}>1\ {heads.STAMP}\ \S+\ (?!\S*{name}\ )\S+\ \S+\ \S+\ [-[] )
            """
        ),
        heads.compiled(rf"{rest}\b"),
        heads.compiled(rf"{rest}{kind.unless}(?:{_OTHER})"),
        heads.compiled(kind.says),
        heads.compiled(
            rf"""
            [^\s"'(\[<=:] (?:{heads.TIME})(?:{heads.FRACTION})?{_ZONE_HOST_NAME}{name}\[\d+\]:[ ]
            """
        ),
    )


def parse(lines: list[bytes], kind: Kind) -> Found:
    """Return the same as `Lines.lines`, of single lines in the usual form, if theirs is known."""
    patterns = _patterns(kind)
    found = patterns.line.findall(b"\n".join(lines))
    if len(found) == len(lines):
        return Found(found, [], [])
    odd = [line for line in lines if not patterns.line.match(line)]
    rfc5424 = b"\n".join([line for line in odd if line.startswith(b"<")])
    found += patterns.rfc5424.findall(rfc5424)
    nameless = _NAMELESS.findall(rfc5424) + _CUT.findall(b"\n".join(odd))
    return Found(found, nameless, [line for line in odd if is_puzzling(line, kind)])


def is_puzzling(line: bytes, kind: Kind) -> bool:
    """Return whether a line is of a kind by its words, though no head of one is understood.

    A line that another program wrote is none, whatever it quotes; but one may be glued to it.
    """
    patterns = _patterns(kind)

    def holds_words_behind(begin: re.Pattern[bytes]) -> bool:
        # What is not behind the first place is behind no other.
        found = begin.search(line)
        return found is not None and patterns.words.search(line, found.end()) is not None

    return bool(
        holds_words_behind(patterns.name)
        and (not patterns.others.match(line) or holds_words_behind(patterns.glued))
        and not patterns.line.match(line)
        and not patterns.rfc5424.match(line)
    )


@lru_cache(1000)
def split_writer(writer: bytes, rest: bytes = CLIENT.rest) -> tuple[bytes, bytes]:
    """Return the offset of the stamps, which may be empty, and the service: host and tag.

    `rest` is that of the kind.
    """
    offset, _, service = writer.partition(b" ")
    return offset, service + rest


@lru_cache(1000)
def host_of(service: bytes) -> bytes:
    """Return the host of a service; empty where the line names none."""
    return service.partition(b" ")[0] if b" " in service else b""
