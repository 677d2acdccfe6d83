"""Says of each line of a log what it counts as, and why not: by the same functions that count."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..categories import CATEGORIES
from ..log import Clock, blocks, heads
from ..peers import Relays
from . import delivery, handshake, interruptions
from .classify import Meanings
from .clients import Clients, writer
from .sessions import Sessions


class Explained(NamedTuple):
    """One line of a log."""

    line: int
    time: int | None
    program: str | None
    counts: tuple[str, ...]
    """`family.name` of each category that it adds to."""
    note: str


def explain(
    lines: Iterable[bytes], clock: Clock, ignored: Relays, horizon: int | None = None
) -> Iterator[Explained]:
    """Explain lines, in order; `horizon` is the epoch second after which no line can have been written."""
    meanings, clients = Meanings(ignored, Sessions()), Clients(delivery.TEXT)
    for number, line in enumerate(lines, 1):
        yield _one(number, line, clock, clients, meanings, horizon)


def _one(
    number: int,
    line: bytes,
    clock: Clock,
    clients: Clients,
    meanings: Meanings,
    horizon: int | None,
) -> Explained:
    if len(line) >= blocks.LONGEST:
        return Explained(
            number, None, None, (), "far too long to be a line of Postfix's, so it is passed over"
        )
    entry = heads.entry(line, clock)
    program = entry.program or None if entry else None
    if entry is None or entry.at is None:
        return Explained(number, None, program, (), "its head holds no readable time and program")
    if horizon is not None and entry.at > horizon:
        return Explained(
            number,
            entry.at,
            program,
            (),
            "stamped in the future; look at the clock and at time_zone",
        )
    clock.advance(entry.at)
    if meanings.sessions.known is None:
        meanings.sessions.begin(entry.at)
    for each in interruptions.interruptions(bytearray(line), len(line)):
        if each.started:
            meanings.sessions.started(each.started, quotes=handshake.quotes_addresses(each.version))
        else:
            meanings.sessions.begin(entry.at)
    for _, by, *_, process, queue, relay, spent, tls, text in clients.among([bytearray(line)])[0]:
        _, name = writer(by)
        meaning = meanings.of(
            meanings.sessions.service(name), process, (queue, relay, spent, tls, text), entry.at
        )
        meanings.sessions.clear(entry.at)
        return Explained(
            number,
            entry.at,
            program,
            tuple(CATEGORIES[place].key for place in meaning.places),
            meaning.note,
        )
    return Explained(number, entry.at, program, (), _note(entry))


def _note(entry: heads.Entry) -> str:
    if not entry.named:
        return "rsyslog's RFC 5424 format cuts the program's name off; log in the format RSYSLOG_FileFormat"
    if entry.program not in ("smtp", "lmtp"):
        return f"written by {entry.program or 'nobody'}, not by Postfix's clients smtp and lmtp"
    return "its tag is not Postfix's, which is NAME/smtp[PROCESS ID]: and one space"


def as_json(explained: Explained) -> str:
    """One object, as the contract describes it."""
    return json.dumps(explained._asdict())


def as_text(explained: Explained) -> str:
    """One line: the number, what it counts as, and the note."""
    return f"{explained.line:>6}  {' '.join(explained.counts) or '-':<60}  {explained.note}"
