"""Explains what each line of a log counts as, or why it counts nowhere."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import NamedTuple

from ..categories import CATEGORIES
from ..log import LONGEST, Clock, forms, heads, repeats
from ..omissions import NOTHING_OMITTED
from ..peers import PeerSet
from .classify import Classifier
from .interruptions import interrupt, interruptions
from .lines import CLIENT, KINDS, SERVER, ClientLine, Kind, is_puzzling, parse, split_writer
from .outcome import Judge, Outcome
from .posttls_finger import PREFIX, Finger, Verdict, is_part_of_chain
from .reception import CONNECTED, Reception
from .sessions import Sessions

OTHERS = "others"
"""The kind of a line that another program wrote: there are many of them, and none is omitted."""


class Explained(NamedTuple):
    """One line of a log, and what it counts as."""

    line: int
    """Its number, from 1 on."""
    time: int | None
    """Epoch second; None where the line has no readable time."""
    program: str | None
    """`smtp` of the tag `postfix/smtp`."""
    counts: tuple[str, ...]
    """`family.name` of each category that it adds to."""
    note: str
    """For a person: what it is, or why it counts nowhere."""
    kind: str = ""
    """The omission that it is, or `OTHERS`; else empty."""
    verdict: Verdict | None = None
    """What the output of posttls-finger says together; with the last line of a run."""


def explain(
    lines: Iterable[bytes],
    clock: Clock,
    ignored: PeerSet,
    latest_plausible: int | None = None,
    hosts: forms.Hosts | None = None,
    ignored_clients: PeerSet | None = None,
) -> Iterator[Explained]:
    """Explain lines of a log, by the functions that count them, and of posttls-finger, in order.

    Lines stamped after the epoch second `latest_plausible`, and those of all but `hosts`, are
    counted nowhere.
    """
    sessions = Sessions()
    judges = (
        (CLIENT, Classifier(ignored, sessions)),
        (SERVER, Reception(ignored_clients or ignored, sessions.servers)),
    )
    fingers, before = _Fingers(), b""
    for number, line in enumerate(lines, 1):
        if fingers.wrote(line):
            yield from fingers.explain(number, line)
            continue
        yield from fingers.end()
        if len(line) >= LONGEST:
            note = "far too long to be a line of Postfix's, so it is passed over"
            yield Explained(number, None, None, (), note, "unreadable")
            continue
        named = repeats.named(*_whole(forms.usual(line)), before)
        written, line = line, bytes(named.block)
        before = before if named.repeats else line
        entry = heads.entry(line, clock)
        program = entry.program or None if entry else None
        if hosts and not hosts.wrote(line):
            at = heads.stamp_of(line, clock)
            note = "written by a host that only_hosts does not name"
            yield Explained(number, at, program, (), note, OTHERS)
            continue
        if named.unknown:
            yield Explained(number, heads.stamp_of(line, clock), program, (), *_UNKNOWN_REPEAT)
        elif entry is None or entry.at is None:
            yield Explained(number, None, program, (), *_why_no_entry(written, line, clock))
        elif latest_plausible is not None and entry.at > latest_plausible:
            note = "stamped in the future; look at the clock and at time_zone"
            yield Explained(number, entry.at, program, (), note, "future")
        else:
            clock.advance(entry.at)
            outcome = _outcome(bytearray(line), judges, sessions, entry.at)
            indexes = outcome.indexes if outcome else ()
            counts = tuple(CATEGORIES[index].key for index in indexes)
            kind, note = _kind_and_note(outcome) if outcome else _why_no_client(entry, line)
            kind = next((each for _, judge in judges for each in _omissions(judge)), kind)
            yield Explained(number, entry.at, program, counts, note, kind)
    yield from fingers.end()


class _Fingers:
    """Explains what posttls-finger printed; the last line of a run waits for the verdict."""

    def __init__(self) -> None:
        self._run = Finger()
        self._last: Explained | None = None

    def wrote(self, line: bytes) -> bool:
        """Return whether this line is of posttls-finger."""
        if len(line) >= LONGEST:
            return False
        within = self._last is not None and is_part_of_chain(_decoded(line))
        return within or line.startswith(PREFIX)

    def explain(self, number: int, line: bytes) -> Iterator[Explained]:
        """Read a line of a run, and explain the one before."""
        if self._last:
            yield self._last
        if line.startswith(PREFIX):
            note = self._run.add(_decoded(line[len(PREFIX) :]))
        else:
            note = self._run.add_chain(_decoded(line))
        self._last = Explained(number, None, "posttls-finger", (), note)

    def end(self) -> Iterator[Explained]:
        """End the run, if there is one."""
        if self._last:
            yield self._last._replace(verdict=self._run.verdict())
            self._run, self._last = Finger(), None


def _decoded(line: bytes) -> str:
    return line.rstrip(b"\r").decode("ascii", "backslashreplace")


def _whole(line: bytes) -> tuple[bytearray, int]:
    return bytearray(line), len(line)


_Judges = tuple[tuple[Kind, Judge], ...]


def _outcome(line: bytearray, judges: _Judges, sessions: Sessions, at: int) -> Outcome | None:
    """Return what a line counts as; None where neither a client nor a server wrote it."""
    if sessions.complete_since is None:
        sessions.begin(at)
    for each in interruptions(line, len(line)):
        interrupt(sessions, each, at)
    for kind, judge in judges:
        for fields in parse([bytes(line)], kind).lines:
            _, name = split_writer(fields[_WRITER], kind.rest)
            outcome = judge.outcome(judge.service(name), fields, at)
            sessions.prune(at)
            return outcome
    return None


_WRITER = ClientLine._fields.index("writer")

HEAD = "a time, the host, and NAME/smtp[PROCESS ID]: with one space behind it"
"""What the head of a client's line must look like."""

_MONTHS = b"jan feb mar apr may jun jul aug sep oct nov dec".split()

_MONTH = re.compile(rb"([^\x00-\x20\[\]{}\"]{3,6}?)\.? +\d{1,2} \d\d:\d\d:\d\d ")


_MONOTONIC = re.compile(rb"\[ *\d+\.\d{6}(?: <[^>]*>)?\] ")
"""journalctl -o short-monotonic, short-delta; dmesg."""


def _why_unreadable(line: bytes) -> str:
    if line.startswith(b"{"):
        return (
            "JSON, but not of Docker's json-file or of journalctl -o json; "
            f"let its shipper write plain lines: {HEAD}"
        )
    if (month := _MONTH.match(line)) and month[1].lower() not in _MONTHS:
        return "its month is not an English name; write the log with LC_ALL=C"
    if _MONOTONIC.match(line):
        return "its time counts from the machine's start; print it by `journalctl -o short-iso`"
    if heads.stamped(forms.usual(line)):
        return "no readable time: there is no such day, hour or minute"
    return f"its head holds no readable time and program; it must be {HEAD}"


def _why_no_entry(written: bytes, line: bytes, clock: Clock) -> tuple[str, str]:
    """Return the note and the kind of a line, as written and in its usual form, without a head."""
    if not written or written.startswith(b"#"):
        return _why_unreadable(written), OTHERS
    if _is_puzzling(line) and heads.stamp_of(line, clock) is not None:
        return _PUZZLING, "not_understood"
    return _why_unreadable(written), "unreadable"


_UNKNOWN_REPEAT = "a repeat of an unknown line: the one before it", "not_understood"

_PUZZLING = (
    f"a line of Postfix's client or server by its words, but not by its head, which must be {HEAD}"
)


def _kind_and_note(outcome: Outcome) -> tuple[str, str]:
    return OTHERS if outcome is CONNECTED else "", outcome.note


def _omissions(judge: Judge) -> set[str]:
    """Return and forget what the last line was noted as, of the omissions."""
    noted = {name for _, name in judge.noted} & NOTHING_OMITTED.keys()
    judge.noted.clear()
    return noted


def _is_puzzling(line: bytes) -> bool:
    return any(is_puzzling(line, kind) for kind in KINDS)


def _why_no_client(entry: heads.Entry, line: bytes) -> tuple[str, str]:
    """Return the kind and the note of a line that is not understood as one of a client's."""
    if _is_puzzling(line):
        return "not_understood", _PUZZLING
    if not entry.named or entry.program == "postfix":
        return "nameless", (
            "the program's name is cut off its tag, as rsyslog's RFC 5424 format does; log in the "
            "format RSYSLOG_FileFormat"
        )
    if entry.program == "smtpd":
        return OTHERS, "written by smtpd, but neither the end of a connection nor a handshake"
    if entry.program not in ("smtp", "lmtp"):
        note = f"written by {entry.program or 'nobody'}, not by Postfix's smtp, lmtp or smtpd"
        return OTHERS, note
    return "", "its tag is not Postfix's, which is NAME/smtp[PROCESS ID]: and one space"


def as_json(explained: Explained) -> str:
    """Return one JSON object, as `explain --format json` prints it."""
    fields = explained._asdict()
    del fields["kind"], fields["verdict"]
    verdict = {"verdict": explained.verdict.as_dict()} if explained.verdict else {}
    return json.dumps(fields | verdict)


def as_text(explained: Explained, zone: tzinfo | None = None) -> str:
    """Return a line: the number, what it counts as, and the note; below it a verdict."""
    line = f"{explained.line:>6}  {' '.join(explained.counts) or '-':<60}  {explained.note}"
    verdict = explained.verdict.as_lines(zone) if explained.verdict else []
    return "\n".join([line, *(f"        {each}" for each in verdict)])


class Summary:
    """How many lines were explained, how many count, and how many are omitted."""

    def __init__(self) -> None:
        self._lines = self._counting = 0
        self._kinds: Counter[str] = Counter()

    def add(self, explained: Explained) -> None:
        """Add a line."""
        self._lines += 1
        self._counting += bool(explained.counts)
        if explained.kind:
            self._kinds[explained.kind] += 1

    def as_text(self) -> str:
        """Return it as a sentence; it ends in the omissions by name, where there are any."""
        others = self._kinds[OTHERS]
        omitted = {name: n for name, n in sorted(self._kinds.items()) if name != OTHERS and n}
        silent = self._lines - self._counting - others - sum(omitted.values())
        by_name = ", ".join(f"{name} {n:,}" for name, n in omitted.items())
        return (
            f"lines {self._lines:,}: {self._counting:,} count, {silent:,} count nowhere, "
            f"{others:,} of other programs, {sum(omitted.values()):,} omitted"
            + (f" ({by_name})" if by_name else "")
        )
