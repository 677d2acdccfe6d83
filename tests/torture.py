"""Kills and power cuts without end: after each history the RRD holds the truth, row by row.

A history is a log that grows and rotates while processes that count it are killed, and while files
go missing or come back as they were before. `make torture` runs histories until its time is over.

    python tests/torture.py [--seed N] [--minutes M] [--kills N] [--no-rotation]
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter as Tallies
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import rrdtool
from disks import KINDS, disk

from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.cli import command_line
from dane_mailgraph.log import journal
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.relays import KEPT, RelayTable
from dane_mailgraph.store.rrd import OBSERVED
from dane_mailgraph.store.series import Archive
from dane_mailgraph.times import DAY, HOUR

EPOCH = 1_700_000_000
"""When the made histories begin."""

SMALL = {
    "store.rrd.ARCHIVES": (
        Archive(None, 2 * DAY),
        Archive(HOUR, 40 * DAY),
        Archive(DAY, 400 * DAY),
    ),
    "store.rrd.PEAKS": Archive(HOUR, 10 * DAY),
    "store.sync._RETAINED": 2 * DAY,
}
"""Archives that a history can fill more than once, in a file that is copied in a millisecond."""

LINES = (
    (
        "Verified",
        "TLSv1.3",
        "X25519MLKEM768",
        ("connections.verified", "protocols.tlsv1_3", "key_exchange.post_quantum"),
    ),
    (
        "Trusted",
        "TLSv1.3",
        "X25519",
        ("connections.trusted", "protocols.tlsv1_3", "key_exchange.ecdh"),
    ),
    (
        "Untrusted",
        "TLSv1.3",
        "ffdhe2048",
        ("connections.untrusted", "protocols.tlsv1_3", "key_exchange.dh"),
    ),
)
# The field `tls=` says what a delivery went over, also where a part of the log is lost.
RECIPIENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("tls=dane, dsn=2.0.0, status=sent (250 ok)", ("deliveries.dane",)),
    ("tls=may:none, dsn=2.0.0, status=sent (250 ok)", ("deliveries.plaintext",)),
    (
        "tls=!dane, dsn=4.7.5, status=deferred (Server certificate not verified)",
        ("failures.certificate",),
    ),
)
NOISE = (
    "connect from unknown[192.0.2.7]",
    "Verified TLS connection established",
    "fatal: \udcff\udcc3 nonsense",
    "",
)


class Wrong(AssertionError):
    """The RRD does not hold what was logged."""


# ---- the log ----------------------------------------------------------------------------------


class Writer:
    """Writes a log, rotates it, and knows the truth."""

    def __init__(self, path: Path, chance: random.Random, step: int) -> None:
        self.path, self.chance, self.step = path, chance, step
        self.truth: dict[int, list[int]] = {}
        self.relays: Tallies[tuple[str, str]] = Tallies()
        """What was written of each relay, by category."""
        self.first: int | None = None
        """When the first line was written."""
        self.rotated: list[Path] = []
        self.since = 0
        """When the log of this name was begun."""
        self.dated = chance.random() < 0.3
        """Rotated files are named by their day, not by number."""
        self.copies = chance.random() < 0.3
        """The log is copied and truncated, not renamed."""
        self._half = b""
        self._open = path
        """The file that the writer has open."""

    @property
    def settled(self) -> bool:
        """The writer writes into the log, and has finished its last line."""
        return not self._half and self._open == self.path

    def line(self, at: int) -> bytes:
        """One line, counted."""
        if self.first is None:
            self.first = at
        when = datetime.fromtimestamp(at, timezone.utc)
        pid = self.chance.randrange(99, 9999)
        head = f"{when.isoformat(timespec='seconds')} mail postfix/smtp[{pid}]: "
        if self.chance.random() < 0.3:
            return (head + self.chance.choice(NOISE) + "\n").encode("utf-8", "surrogateescape")
        relay = f"mx{self.chance.randrange(4)}.example"
        keys: tuple[str, ...]
        label, protocol, group, keys = self.chance.choice(LINES)
        text = (
            f"{label} TLS connection established to {relay}[192.0.2.1]:25: {protocol} with cipher "
        )
        text += f"TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange {group}"
        if self.chance.random() < 0.4:
            words, keys = self.chance.choice(RECIPIENTS)
            text = (
                f"2CE5121E153: to=<s@example.org>, relay={relay}[192.0.2.1]:25, delay=1, "
                f"delays=0/0/0.5/0.5, {words}"
            )
        counts = self.truth.setdefault(at - at % self.step, [0] * len(CATEGORIES))
        for key in keys:
            counts[CATEGORIES.index(BY_KEY[key])] += 1
            self.relays[relay, key] += 1
        return f"{head}{text}\n".encode()

    def append(self, at: int, lines: int, path: Path | None = None) -> None:
        """Write lines stamped `at`; the last one may be finished only by the next call."""
        if self._open != self.path and self.chance.random() < 0.3:
            self.reopen(at)
        data = self._half + b"".join(self.line(at) for _ in range(lines))
        cut = (
            self.chance.randrange(len(data) - 20, len(data))
            if lines and self.chance.random() < 0.2 and not path
            else len(data)
        )
        # What has been written of the last line is in the file already.
        with open(path or self._open, "ab") as file:
            file.write(data[:cut][self._written :])
        self._half, self._written = (b"", 0) if cut == len(data) else self._rest(data, cut)
        self.touch(path or self._open, at)

    _written = 0

    def _rest(self, data: bytes, cut: int) -> tuple[bytes, int]:
        begin = data.rfind(b"\n", 0, cut) + 1
        return data[begin:], cut - begin

    def touch(self, path: Path, at: int) -> None:
        """Set a file's time where the clock is made; no two files are written at the same one."""
        self._touched += 1
        if self.made:
            os.utime(path, ns=(at * 10**9 + self._touched * 10**4,) * 2)

    _touched = 0

    made = True
    """The clock is the history's own."""

    def rotate(self, at: int) -> None:
        """Rotate as logrotate can, also in the middle of a line; the writer may reopen late."""
        if self.chance.random() < 0.7:
            self.reopen(at)
        if self.chance.random() < 0.5:
            self.append(at, 0)
        if self.dated:
            fresh = self.path.with_name(
                f"{self.path.name}-{datetime.fromtimestamp(at, timezone.utc):%Y%m%d}-{at}"
            )
            if any(fresh.parent.glob(fresh.name + "*")):  # twice in one second
                return
        else:
            fresh = self.path.with_name(self.path.name + ".1")
            for old in sorted(
                self.path.parent.glob(self.path.name + ".[0-9]*"), key=_number, reverse=True
            ):
                number, _, packed = old.name[len(self.path.name) + 1 :].partition(".")
                moved = self.path.with_name(
                    f"{self.path.name}.{int(number) + 1}{'.' if packed else ''}{packed}"
                )
                old.rename(moved)
                self.rotated = [moved if each == old else each for each in self.rotated]
                self._open = moved if self._open == old else self._open
        if self.copies:
            shutil.copyfile(self.path, fresh)
            self.touch(fresh, at)
            os.truncate(self.path, 0)
        else:
            self.path.rename(fresh)
            self._open = fresh if self._open == self.path else self._open
            self.path.touch()
        self.rotated.append(fresh)
        self.touch(self.path, at)
        self.since = at
        if self.chance.random() < 0.9:
            if not self.copies and self.chance.random() < 0.3:
                self.append(at, self.chance.randrange(1, 4))
            self.reopen(at)
        if self._open == self.path and self.chance.random() < 0.3:
            self.compress()

    def reopen(self, at: int) -> None:
        """The writer goes on in the log; it finishes its line before that."""
        if self._open != self.path:
            open_file, self._open = self._open, self.path
            self.append(at, 0, open_file)
            self.since = at

    def compress(self) -> None:
        """Compress the newest rotated file that is plain."""
        plain = [
            each
            for each in self.rotated
            if each.suffix not in (".gz", ".bz2") and each != self._open
        ]
        if plain:
            old = plain[-1]
            packed = old.with_name(old.name + (".gz" if self.chance.random() < 0.8 else ".bz2"))
            stamp = old.stat().st_mtime_ns
            data = old.read_bytes()
            packed.write_bytes(
                gzip.compress(data) if packed.suffix == ".gz" else bz2.compress(data)
            )
            os.utime(packed, ns=(stamp, stamp))
            old.unlink()
            self.rotated = [packed if each == old else each for each in self.rotated]


def _number(path: Path) -> int:
    return int(path.name.split(".log.")[1].split(".")[0])


# ---- the processes ----------------------------------------------------------------------------


Hook = Callable[[], None]


def fork(arguments: list[str], said: Path, *, now: int, before: Hook | None = None) -> int:
    """Run a verb in a child of this process whose clock stands at `now`; its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for the life of the child
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
        time.time = lambda: float(now)
        if before:
            before()
        status = command_line.main(arguments)
        sys.setprofile(None)
        sys.stdout.flush()
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        sys.setprofile(None)
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def ended(pid: int) -> int:
    """How a child ended: its status, or the negative signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


_STEPS = {
    "execute",
    "executemany",
    "update",
    "create",
    "tune",
    "replace",
    "rename",
    "link",
    "fsync",
    "unlink",
    "open",
    "write",
}
"""Calls that may change files: between two of them it is all the same when a process dies."""


def die_at(number: int) -> Hook:
    """Kill this process, without any goodbye, at its so-manyth call that touches a file."""
    left = number

    def hook(frame: Any, event: str, function: Any) -> None:
        nonlocal left
        if (
            event == "c_call"
            and function.__name__ in _STEPS
            and not isinstance(function.__self__, (str, bytes, dict))
        ):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.setprofile(hook)


@contextmanager
def small_archives() -> Iterator[None]:
    """The RRDs made meanwhile, in this process and its forks, are small."""
    with pytest.MonkeyPatch.context() as small:
        for name, value in SMALL.items():
            small.setattr(f"dane_mailgraph.{name}", value)
        yield


# ---- the comparison ---------------------------------------------------------------------------


def compare_relays(ledger: str | Path, relays: Tallies[tuple[str, str]]) -> None:
    """Compare what the ledger says of each relay with the truth; raise Wrong.

    A lost ledger takes the relays before it along, so no count may be too high.
    """
    with Ledger(str(ledger), writable=False) as opened:
        found = RelayTable(opened).totals(0, 99999999)
    told = {
        (each.relay, counted.key): count for each in found for counted, count in each.counts.items()
    }
    want = {(relay, key): count for (relay, key), count in relays.items() if BY_KEY[key] in KEPT}
    if wrong := {
        each: (count, want.get(each, 0))
        for each, count in told.items()
        if count > want.get(each, 0)
    }:
        raise Wrong(f"of relays more than was written: {wrong}")


def compare(
    path: str | Path,
    step: int,
    truth: dict[int, list[int]],
    begin: int,
    last: int,
    unsure: Sequence[tuple[int, int]] = (),
) -> int:
    """Compare every row of every archive with the truth; return how many, or raise Wrong.

    All intervals in [begin, last) were read; those before `begin` were not, and of those in
    `unsure` it is unknown.
    """
    info = rrdtool.info(str(path))
    if info["last_update"] != last:
        raise Wrong(f"written up to {info['last_update']}, not {last}")
    rows = 0
    for number in range(len([key for key in info if key.endswith("].cf")])):
        kind, steps, kept = (
            info[f"rra[{number}].{each}"] for each in ("cf", "pdp_per_row", "rows")
        )
        rows += kept
        rra = Rra(str(path), kind, steps * step, kept)
        _compare_archive(rra, step, truth, begin, last, unsure)
    return rows


class Rra(NamedTuple):
    """An archive of an RRD: `kept` rows of `size` seconds, consolidated by `kind`."""

    path: str
    kind: str
    size: int
    kept: int


def _compare_archive(
    rra: Rra,
    step: int,
    truth: dict[int, list[int]],
    begin: int,
    last: int,
    unsure: Sequence[tuple[int, int]],
) -> None:
    path, kind, size, kept = rra
    until = last - last % size
    start = until - kept * size
    got, names, values = rrdtool.fetch(
        path, kind, "-s", str(start), "-e", str(until - size), "-r", str(size)
    )
    if got != (start, until, size):
        raise Wrong(f"{kind} of {size} s: {got} instead of {(start, until, size)}")
    expected: dict[int, list[int]] = {}
    for at, counts in truth.items():
        row = expected.setdefault(at - at % size, [0] * len(CATEGORIES))
        for place, count in enumerate(counts):
            row[place] = max(row[place], count) if kind == "MAX" else row[place] + count
    order = [names.index(each.data_source) for each in CATEGORIES]
    observed = names.index(OBSERVED)
    created = begin - begin % DAY
    seconds = step if kind == "MAX" else size
    nothing = [0] * len(CATEGORIES)
    for number, found in enumerate(values):
        at = start + number * size
        if at < created:
            if any(each is not None for each in found):
                raise Wrong(f"{kind} of {size} s at {at}: {found} before the first of all")
            continue
        if None in found:
            raise Wrong(f"{kind} of {size} s at {at}: unknown {found}")
        counts = [found[place] * seconds for place in order]
        want = expected.get(at, nothing)
        if any(abs(a - b) > 1e-6 for a, b in zip(counts, want, strict=True)):
            raise Wrong(f"{kind} of {size} s at {at}: {counts} instead of {want}")
        read = max(0, at + size - max(at, begin)) // step
        read = min(read, 1) if kind == "MAX" else read
        lost = sum(max(0, min(at + size, e) - max(at, b)) for b, e in unsure) // step + bool(unsure)
        least = max(0, read - lost) if kind != "MAX" else read * (not lost)
        if not least - 1e-6 <= found[observed] * seconds <= read + 1e-6:
            raise Wrong(
                f"{kind} of {size} s at {at}: "
                f"observed {found[observed] * seconds} instead of {read}"
            )


def state_of(folder: Path, name: str) -> Any:
    """What the ledger remembers under this name."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        if not ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
            return None  # its maker was killed
        row = ledger.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
    return json.loads(row[0]) if row else None


# ---- a history --------------------------------------------------------------------------------


class History:
    """A log, a store, a clock of its own, and much bad luck."""

    def __init__(
        self, folder: Path, seed: int, *, step: int = 60, grace: int = 2, executed: bool = False
    ) -> None:
        self.chance = random.Random(seed)
        self.folder, self.step, self.grace, self.executed = folder, step, grace, executed
        self.state = folder / "state"
        self.log = folder / "mail.log"
        self.said = folder / "said"
        self.now = EPOCH + self.chance.randrange(DAY)
        self.writer = Writer(self.log, self.chance, step)
        self.done: Tallies[str] = Tallies()
        self._kept: dict[str, Path] = {}
        self._known = False
        """Whether a collect has left its bookmark: before, only the log itself is read."""
        self.rotates = True
        self.unsure: list[tuple[int, int]] = []
        """Stretches of time whose log was lost, so that they may be unknown."""
        self.rows = 0
        """Rows that were compared."""

    def arguments(self, verb: str, *more: str) -> list[str]:
        """A command line for this history."""
        settings = {
            "log": self.log,
            "state-dir": self.state,
            "step": self.step,
            "grace": self.grace,
            "time-zone": "UTC",
        }
        return [verb, *(f"--{name}={value}" for name, value in settings.items()), *more]

    def start(self, arguments: list[str], before: Hook | None = None) -> int:
        """A process; forked, as a start of Python takes longer than most of what it does."""
        return fork(arguments, self.said, now=self.now, before=before)

    def note(self, what: str) -> None:
        """Write down what happened, for who has to find out."""
        with open(self.folder / "events", "a", encoding="utf-8") as events:
            events.write(f"{self.now} {what}\n")

    def must(self, *arguments: str) -> None:
        """Run a verb to its end."""
        self.note(" ".join(arguments))
        status = ended(self.start(self.arguments(*arguments)))
        # 66: of some of the logs a crash has left zeros alone; the others are counted.
        if status not in ((0, 66) if arguments[0] == "import" else (0,)):
            raise Wrong(f"{arguments} ended with {status}: {self.last_words()}")
        self._known |= arguments[0] == "collect"

    def last_words(self) -> str:
        """What the processes said last."""
        return self.said.read_text(errors="replace")[-1500:] if self.said.exists() else ""

    # ---- what happens ----

    def past(self, intervals: int) -> None:
        """An old log, to be imported: many intervals, killed on their way."""
        old = self.folder / "old.log"
        for _ in range(intervals):
            self.now += self.step
            if self.chance.random() < 0.7:
                self.writer.append(self.now, self.chance.randrange(1, 4), old)
        self.now += HOUR
        # Else hours might lie between the old log and the first line of the log: they are unknown.
        self.writer.append(self.now, 2)
        self.killed(["import", str(old)], times=self.chance.randrange(3, 12))
        self.must("import", str(old))

    def killed(self, arguments: list[str], times: int = 1) -> None:
        """Processes that are killed at a random instant, while the log goes on."""
        for _ in range(times):
            if (
                self.chance.random() < 0.4
            ):  # at a step instead of an instant: short ones come as often as long ones
                step = self.chance.randrange(1, 150)
                status = ended(self.start(self.arguments(*arguments), die_at(step)))
                self.done["killed" if status < 0 else "too late to kill"] += 1
                self.note(f"{arguments[0]} at step {step}: {status}")
                if status not in (-signal.SIGKILL, 0, *((66,) if arguments[0] == "import" else ())):
                    raise Wrong(f"{arguments} ended with {status}: {self.last_words()}")
                if self.chance.random() < 0.3:
                    self.power_cut(only_torn=True)
                continue
            pid = self.start(self.arguments(*arguments))
            wait = self.chance.random() ** 2 * 0.06
            until = time.monotonic() + wait
            if arguments == ["collect"] and self.chance.random() < 0.3:
                self.live()
            time.sleep(max(0.0, until - time.monotonic()))
            how = signal.SIGTERM if self.chance.random() < 0.1 else signal.SIGKILL
            os.kill(pid, how)
            status = ended(pid)
            self.done["killed" if status < 0 else "too late to kill"] += 1
            self.note(f"{arguments[0]} after {wait:.4f} s: {status}")
            # 66: the log is just being rotated.
            if status not in (-signal.SIGKILL, -signal.SIGTERM, 0, 66):
                raise Wrong(f"{arguments} ended with {status}: {self.last_words()}")

    def live(self) -> None:
        """The log goes on."""
        for _ in range(self.chance.randrange(1, 5)):
            what = self.chance.random()
            if what < 0.75:
                self.writer.append(self.now, self.chance.randrange(1, 30))
                self.note("lines")
            elif (
                what < 0.9
                and self.rotates
                and self._known
                and (self.writer.made or self.now > self.writer.since)
            ):
                self.writer.rotate(self.now)
                self.done["rotations"] += 1
                self.note(f"rotated: {[each.name for each in self.writer.rotated]}")
            elif self.rotates:
                self.writer.compress()
                self.note("compressed")

    def time_passes(self) -> None:
        """Minutes, sometimes hours."""
        self.writer.append(self.now, 0)  # a line that was begun is finished in its time
        self.now += self.chance.choice((1, 7, self.step, 5 * self.step, HOUR, 5 * HOUR))

    def power_cut(self, *, only_torn: bool = False) -> None:
        """Files of another moment, or none, in every way that can be made good."""
        rrd, snapshot, ledger = (
            self.state / name for name in ("outbound.rrd", "outbound.rrd.snapshot", "ledger.sqlite")
        )
        if not rrd.exists() or not ledger.exists() or state_of(self.state, "rrd_until") is None:
            return
        torn = state_of(self.state, "rrd_mtime_ns") is None
        if only_torn and not torn:
            return
        last = 0 if torn else rrdtool.last(str(rrd))
        again: list[tuple[str, Callable[[], Any]]] = [
            ("no offset file", lambda: (self.state / "mail.log.offset").unlink(missing_ok=True)),
            (
                "foreign offset file",
                lambda: (self.state / "mail.log.offset").write_text("never\nmind\n"),
            ),
        ]
        is_all_there_is = (
            not snapshot.exists() and state_of(self.state, "pruned_before") is not None
        )
        if not is_all_there_is:
            again.append(("no RRD", rrd.unlink))
        if snapshot.exists() and not torn:
            again.append(("no snapshot", snapshot.unlink))
        if torn and not is_all_there_is:
            again += [
                ("zeroed pages", lambda: self._tear(rrd)),
                ("cut", lambda: os.truncate(rrd, rrd.stat().st_size // 2)),
            ]
        elif not torn:
            # The first look goes back to the log of this name only: the RRD must hold the rest.
            if self.writer.since < last and self.writer.first is not None and self.writer.settled:
                again.append(("no ledger", ledger.unlink))
                if snapshot.exists() and self.writer.since < rrdtool.last(str(snapshot)):
                    again.append(("only the snapshot", lambda: self._lose(ledger, rrd)))
            for name in ("older ledger", "older RRD", "older snapshot"):
                if name in self._kept:
                    again.append((name, partial(self._restore, name)))
        name, action = self.chance.choice(again)
        self.note(name)
        self._known &= name not in ("no ledger", "only the snapshot")
        action()
        if not self._known:
            self._kept.clear()  # what was kept is of before that ledger
        self.done[name] += 1

    def remember(self) -> None:
        """Keep a file as it is now, for a later power cut."""
        if state_of(self.state, "rrd_mtime_ns") is None:
            return
        name = self.chance.choice(("older ledger", "older RRD", "older snapshot"))
        source = self._file(name)
        if source.exists():
            self._kept[name] = self.folder / name.replace(" ", "-")
            shutil.copyfile(source, self._kept[name])

    def forget_ledger(self) -> None:
        """A log that was cut is read once: with an older ledger its glued line is an omission."""
        self._kept.pop("older ledger", None)

    def _file(self, name: str) -> Path:
        names = {
            "older ledger": "ledger.sqlite",
            "older RRD": "outbound.rrd",
            "older snapshot": "outbound.rrd.snapshot",
        }
        return self.state / names[name]

    def _lose(self, *paths: Path) -> None:
        for each in paths:
            each.unlink()

    def _restore(self, name: str) -> None:
        shutil.copyfile(self._kept.pop(name), self._file(name))

    def _tear(self, path: Path) -> None:
        with open(path, "r+b") as file:
            for _ in range(self.chance.randrange(1, 5)):
                file.seek(self.chance.randrange(path.stat().st_size // 4096) * 4096)
                file.write(bytes(4096))

    # ---- the whole of it ----

    def run(self, kills: int) -> int:
        """Live through so many kills; how many rows were compared. Raises Wrong."""
        if self.chance.random() < 0.6:
            self.past(self.chance.choice((200, 1500, 6000)))
        else:
            self.writer.append(self.now, 3)
        self.log.touch()
        self.writer.touch(self.log, self.now)
        self.writer.since = self.now
        from bad_luck import draw  # which is about histories

        while self.done["killed"] < kills:
            self.live()
            self.time_passes()
            draw(self, of_files=self.of_files)
        return self.rows + self.check()

    of_files = True
    """The log is a file."""

    def check(self) -> int:
        """A last collect, and then every row must be right, and the report too."""
        self.now += self.grace + 2 * self.step
        self.writer.append(self.now, 0)  # finishes a line that was begun
        self.must("collect")
        if self.writer.first is None:
            return 0
        last = (self.now - self.grace) // self.step * self.step
        begin = self.writer.first - self.writer.first % self.step
        rows = compare(
            self.state / "outbound.rrd", self.step, self.writer.truth, begin, last, self.unsure
        )
        compare_relays(self.state / "ledger.sqlite", self.writer.relays)
        self._compare_report(begin)
        self.done["comparisons"] += 1
        return rows

    def _compare_report(self, begin: int) -> None:
        answer = self.folder / "answer"
        answer.unlink(missing_ok=True)
        arguments = self.arguments(
            "report", "--format=json", f"--since=@{begin}", f"--until=@{self.now}"
        )
        if status := ended(fork(arguments, answer, now=self.now)):
            raise Wrong(f"report ended with {status}: {answer.read_text()}")
        said = json.loads(answer.read_text())
        for place, each in enumerate(CATEGORIES):
            want = sum(counts[place] for counts in self.writer.truth.values())
            if said[each.family][each.name] != want:
                raise Wrong(f"report says {said[each.family][each.name]} {each.key}, not {want}")


class Lived(History):
    """A history in true time, with `run` and the command as operators start it."""

    LAUNCH = (
        "import sys; import dane_mailgraph.store.rrd, dane_mailgraph.store.sync\n"
        "from dane_mailgraph.cli import command_line\n"
        "from dane_mailgraph.store.series import Archive\n"
        + "".join(f"dane_mailgraph.{name} = {value!r}\n" for name, value in SMALL.items())
        + "sys.exit(command_line.main(sys.argv[1:]))"
    )

    def start(self, arguments: list[str], before: Hook | None = None) -> int:
        """A process of its own."""
        with open(self.said, "ab") as said:
            command = ["-m", "dane_mailgraph"] if self.executed else ["-c", self.LAUNCH]
            return os.posix_spawn(
                sys.executable,
                [sys.executable, *command, *arguments],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), out) for out in (1, 2)],
            )

    def run(self, kills: int) -> int:
        """The log goes on in this process while `run` and `collect` are killed."""
        self.writer.made = False
        self.now = int(time.time())
        self.writer.append(self.now, 1)
        self.writer.since = self.now
        self.must("collect")
        while self.done["killed"] < kills:
            pid = self.start(self.arguments(self.chance.choice(("run", "run", "collect"))))
            until = time.monotonic() + self.chance.random() ** 2 * 3
            while time.monotonic() < until:
                self.now = int(time.time())
                self.live()
                time.sleep(self.chance.random() * 0.05)
            how = signal.SIGTERM if self.chance.random() < 0.15 else signal.SIGKILL
            os.kill(pid, how)
            status = ended(pid)
            self.done["killed" if status < 0 else "ended by itself"] += 1
            self._known |= status == 0
            if status not in (-signal.SIGKILL, -signal.SIGTERM, 0, 66):
                raise Wrong(f"ended with {status}: {self.last_words()}")
        return self.check()

    def check(self) -> int:
        """The same, when the last interval is over."""
        self.writer.append(int(time.time()), 0)
        time.sleep(self.grace + self.step + 1)
        self.now = int(time.time())
        self.must("collect")
        with Ledger(str(self.state / "ledger.sqlite"), writable=False) as ledger:
            late = ledger.omitted()["late"]
        if late:
            raise Wrong(f"this machine was too slow: {late} late")
        assert self.writer.first is not None
        begin = self.writer.first - self.writer.first % self.step
        last = state_of(self.state, "rrd_until")
        if last <= max(self.writer.truth):
            raise Wrong(f"written up to {last} only, while {max(self.writer.truth)} was logged")
        self.done["comparisons"] += 1
        compare_relays(self.state / "ledger.sqlite", self.writer.relays)
        return compare(self.state / "outbound.rrd", self.step, self.writer.truth, begin, last)


# ---- the journal ------------------------------------------------------------------------------


class Entries(Writer):
    """Writes what journald would have of the lines, as `journalctl --output=json` prints it."""

    OWNER = 102

    def append(self, at: int, lines: int, path: Path | None = None) -> None:
        """Whole entries; another path is a log."""
        if path not in (None, self.path):
            super().append(at, lines, path)
            return
        with open(self.path, "a", encoding="ascii") as file:
            for _ in range(lines):
                file.write(json.dumps(self.entry(self.line(at), at)) + "\n")
        self.touch(self.path, at)

    def entry(self, line: bytes, at: int) -> dict[str, Any]:
        """One entry."""
        self._number += 1
        begin = line.index(b"[")
        message = line[line.index(b"]: ") + 3 : -1]
        real = at * 1_000_000 + self._number % 1_000_000
        try:
            said: object = message.decode()
        except UnicodeDecodeError:
            said = list(message)
        return {
            "__CURSOR": f"s=1;i={self._number:x};b=b0;m={real - 1:x};"
            f"t={real:x};x={self._number * 7919:x}",
            "__REALTIME_TIMESTAMP": str(real),
            "_HOSTNAME": "mail",
            "_PID": line[begin + 1 : line.index(b"]")].decode(),
            "_UID": str(self.OWNER),
            "SYSLOG_FACILITY": "2",
            "SYSLOG_IDENTIFIER": "postfix/smtp",
            "MESSAGE": said,
        }

    _number = 0

    def rotate(self, at: int) -> None:
        """The entries get other places in other files, and keep what they are."""
        self.moved += 1
        # In one instant: a reader has opened the old one.
        moved = self.path.with_name("moving")
        moved.write_text(re.sub(r"s=\d+;i=", f"s={1 + self.moved};i=1", self.path.read_text()))
        os.replace(moved, self.path)
        self.touch(self.path, at)

    moved = 0

    def compress(self) -> None:
        """Not for us to do."""

    @property
    def since(self) -> int:
        """The journal was never begun anew."""
        return 0

    @since.setter
    def since(self, at: int) -> None:
        pass


class Journaled(History):
    """The same with the journal instead of a log."""

    of_files = False

    def __init__(self, folder: Path, seed: int, **more: Any) -> None:
        super().__init__(folder, seed, **more)
        self.log = folder / "journal" / "machine" / "system.journal"
        self.log.parent.mkdir(parents=True)
        self.log.touch()
        self.writer = Entries(self.log, self.chance, self.step)

    def arguments(self, verb: str, *more: str) -> list[str]:
        """A command line for this history."""
        return [*super().arguments(verb, *more), "--log=journal"]

    def killed(self, arguments: list[str], times: int = 1) -> None:
        """The journal is no file to be imported."""
        super().killed(["collect"] if str(self.log) in arguments else arguments, times)

    def run(self, kills: int) -> int:
        """Live through so many kills, with a stand-in for journalctl."""
        tools = Path(__file__).parent / "journal", Path(sys.executable).parent
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "FOLDERS", (str(self.log.parents[1]),))
            patch.setattr(journal.Journal, "owners", frozenset({Entries.OWNER}))
            patch.setenv("PATH", ":".join((*map(str, tools), os.environ["PATH"])))
            patch.setenv("JOURNAL", str(self.log))
            return super().run(kills)


def histories(seed: int) -> Iterable[tuple[int, Callable[[Path], History], int]]:
    """Seed, history, kills: one after the other, of all kinds."""
    while True:
        kind = seed % 10
        if kind == 9:
            yield seed, partial(Lived, seed=seed, step=5, grace=2), 25
        elif kind == 8:
            yield seed, partial(Lived, seed=seed, step=60, grace=1, executed=True), 8
        else:
            step = random.Random(seed).choice((10, 60, 60, 300))
            made = Journaled if kind == 7 else History
            yield seed, partial(made, seed=seed, step=step, grace=seed % 3), 60
        seed += 1


@contextmanager
def a_folder(kind: str, prefix: str) -> Iterator[Path]:
    """An empty folder on a file system of this kind, or here where that cannot be had."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name, ExitStack() as stack:
        try:
            folder = stack.enter_context(disk(kind, Path(name)))
        except pytest.skip.Exception:
            folder = Path(name)
        yield folder


def main() -> int:
    """Run histories until the time is over; 1 when one went wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) // 10 * 10, help="of the first history"
    )
    parser.add_argument(
        "--no-rotation",
        action="store_true",
        help="the log only grows: what goes wrong then is the store",
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=sys.maxsize, help="stop after so many")
    options = parser.parse_args()
    done: Tallies[str] = Tallies()
    began = time.monotonic()
    print(f"seed {options.seed}", flush=True)
    for seed, make, kills in histories(options.seed):
        kind = KINDS[seed % len(KINDS)]
        with a_folder(kind, f"torture-{seed}-") as folder:
            history = make(folder)
            history.rotates = not options.no_rotation
            try:
                if isinstance(history, Lived) and history.executed:
                    done["rows"] += history.run(kills)
                else:
                    with small_archives():
                        done["rows"] += history.run(kills)
            except Exception as error:
                traceback.print_exc()
                kept = shutil.copytree(folder, tempfile.mkdtemp(prefix=f"wrong-{seed}-") + "/it")
                print(
                    f"history {seed} went wrong on {kind}: {error}\n"
                    f"kept in {kept}; again: --seed {seed} --kills 1",
                    flush=True,
                )
                done["wrong histories"] += 1
        done.update(history.done)
        done["histories"] += 1
        done[f"on {kind}"] += 1
        if time.monotonic() - began > 60 * options.minutes or done["killed"] >= options.kills:
            break
    print(", ".join(f"{number:,} {what}" for what, number in sorted(done.items())))
    return 1 if done["wrong histories"] else 0


if __name__ == "__main__":
    import torture

    sys.exit(torture.main())
