"""What happens to a history of `torture.py`: an event is a row of a table.

After each of them every row of every archive, the report and the relays must be the truth.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from torture import History, Wrong, ended, state_of

from dane_mailgraph.times import HOUR


class Event(NamedTuple):
    """Something that happens."""

    name: str
    often: int
    """How often, compared with others."""
    happens: Callable[[History], None]
    of_files: bool = False
    """To a log that is a file, and not to the journal."""


# ---- processes that die -----------------------------------------------------------------------


def collects_are_killed(history: History) -> None:
    history.killed(["collect"], times=history.chance.randrange(1, 6))


def an_import_is_killed(history: History) -> None:
    history.killed(["import", str(history.log), *map(str, history.writer.rotated[-2:])])


def a_backup_is_made(history: History) -> None:
    history.must("collect")
    history.remember()


def power_fails(history: History) -> None:
    """Files of another moment, or none."""
    history.power_cut()
    history.killed(["collect"])


# ---- the log ------------------------------------------------------------------------------------


def _all_is_counted(history: History) -> bool:
    """Let the writer finish its line in the log, and count all; whether that could be."""
    history.writer.append(history.now, 0)
    history.writer.reopen(history.now)
    history.must("collect")
    return history.writer.settled and history.log.stat().st_size > 0


def the_log_loses_its_end(history: History) -> None:
    """A power cut: the ledger was synced, the log was not."""
    if not _all_is_counted(history):
        return
    size = history.log.stat().st_size
    lost = history.chance.randrange(1, min(size, 4000))
    os.truncate(history.log, size - lost)
    if history.chance.random() < 0.5:  # what ext4 leaves behind
        os.truncate(history.log, size - lost + history.chance.randrange(1, 100))
    history.writer.touch(history.log, history.now)
    begun = history.writer.since = history.now  # without a ledger it could not be read again
    _time_passes_and_lines_come(history, lines=history.chance.choice((30, 300)))
    if history.rotates and history.chance.random() < 0.5:
        history.writer.rotate(history.now)
        history.done["rotations of cut logs"] += 1
    history.unsure.append((begun - 2 * history.step, history.now + 2 * history.step))
    history.killed(["collect"], times=history.chance.randrange(3))
    history.must("collect")
    history.forget_ledger()


def the_log_is_another_one_and_back(history: History) -> None:
    """`log` is set to another file that says the same, for a while."""
    if not _all_is_counted(history):
        return
    number = history.done["other logs and back"]
    other = history.folder / f"other-{number}.log"
    shutil.copyfile(history.log, other)
    for _ in range(history.chance.randrange(1, 4)):
        size = history.log.stat().st_size
        _time_passes_and_lines_come(history)
        with open(history.log, "rb") as log, open(other, "ab") as copy:
            log.seek(size)
            copy.write(log.read())
        history.writer.touch(other, history.now)
        elsewhere = [f"--log={other}"]
        history.killed(["collect", *elsewhere], times=history.chance.randrange(3))
        history.must("collect", *elsewhere)
    history.killed(["collect"])


def a_rotation_during_an_import(history: History) -> None:
    if not _all_is_counted(history):
        return
    _time_passes_and_lines_come(history)
    pid = history.start(history.arguments("import", str(history.log)))
    time.sleep(history.chance.random() * 0.02)
    history.writer.rotate(history.now)
    history.done["rotations"] += 1
    if history.chance.random() < 0.3:
        os.kill(pid, signal.SIGKILL)
    status = ended(pid)
    if status not in (-signal.SIGKILL, 0, 66):
        raise Wrong(f"import ended with {status}: {history.last_words()}")


def a_plain_file_stays_beside_its_packed_one(history: History) -> None:
    if not history.rotates or not _all_is_counted(history):
        return
    for packed in history.writer.rotated[-1:]:
        plain = packed.with_suffix("")
        if packed.suffix == ".gz" and not plain.exists():
            plain.write_bytes(gzip.decompress(packed.read_bytes()))
            stamp = packed.stat().st_mtime_ns
            os.utime(plain, ns=(stamp, stamp))
            history.killed(["collect", "-v"])  # no rotation meanwhile
            history.must("collect")
            plain.unlink()  # the next rotation of this history moves only what it knows


# ---- clocks -----------------------------------------------------------------------------------


def the_reader_s_clock_is_back(history: History) -> None:
    """A boot before NTP: what is new is in the reader's future, and waits."""
    if not _all_is_counted(history):
        return
    now, back = history.now, history.chance.choice((300, HOUR, 7200))
    for _ in range(history.chance.randrange(1, 3)):
        _time_passes_and_lines_come(history, lines=8)
        now, history.now = history.now, history.now - back
        try:
            history.must("collect")
            history.killed(["collect", "-v"])  # no line is written at that time
        finally:
            history.now = now
    history.must("collect")


def a_reading_takes_long(history: History) -> None:
    """What is logged during a reading is not of the future."""
    if not _all_is_counted(history):
        return
    begun = history.now
    _time_passes_and_lines_come(history)
    calls = iter(range(1 << 30))
    now = history.now

    def slow() -> None:
        time.time = lambda: float(min(now, begun + next(calls) * 30))

    if status := ended(history.start(history.arguments("collect"), slow)):
        raise Wrong(f"a long reading ended with {status}: {history.last_words()}")
    history.must("collect")


def _time_passes_and_lines_come(history: History, lines: int = 30) -> None:
    history.time_passes()
    history.writer.append(history.now, history.chance.randrange(1, lines))
    history.writer.append(history.now, 0)


# ---- the store --------------------------------------------------------------------------------


def the_rrd_is_damaged(history: History) -> None:
    """Random bytes anywhere in it, or in its head."""
    history.must("collect")  # a snapshot that was lost comes back
    rrd = history.state / "outbound.rrd"
    if not rrd.exists():
        return
    damage(rrd, history.chance)
    history.killed(["collect"], times=history.chance.randrange(2))
    history.must("collect")
    for each in history.state.glob("*.aside-*"):
        each.unlink()


def damage(path: Path, chance: random.Random) -> None:
    """Put random bytes anywhere, or into the head, which is read first."""
    size = path.stat().st_size
    until = chance.choice((size, size, 500, 20_000))
    with open(path, "r+b") as file:
        for _ in range(chance.choice((1, 8, 100))):
            file.seek(chance.randrange(until))
            file.write(chance.randbytes(chance.choice((1, 8))))


_NONSENSE = ("2000000040", '"x"', "[[1]]", "{", "-1")


def the_ledger_says_nonsense(history: History) -> None:
    """Nothing is counted, and nothing twice when it is itself again."""
    ledger, kept = history.state / "ledger.sqlite", history.folder / "kept"
    history.must("collect")  # plays back what a killed writer has left
    if state_of(history.state, "rrd_until") is None:
        return
    shutil.copyfile(ledger, kept)
    name = history.chance.choice(("read_until", "rrd_until", "newest", "step", "begin"))
    with closing(sqlite3.connect(ledger)) as ours, ours:
        value = history.chance.choice(_NONSENSE)
        ours.execute("UPDATE state SET value = ? WHERE name = ?", (value, name))
    status = ended(history.start(history.arguments("collect")))
    if status != 74 or "Traceback" in history.last_words():
        raise Wrong(f"{name} = {value} ended with {status}: {history.last_words()}")
    shutil.copyfile(kept, ledger)


def a_check(history: History) -> None:
    history.rows += history.check()


EVENTS = (
    Event("killed collects", 70, collects_are_killed),
    Event("killed imports", 10, an_import_is_killed),
    Event("backups", 10, a_backup_is_made),
    Event("power cuts", 8, power_fails),
    Event("cut logs", 4, the_log_loses_its_end, of_files=True),
    Event("other logs and back", 4, the_log_is_another_one_and_back, of_files=True),
    Event("rotations during an import", 4, a_rotation_during_an_import, of_files=True),
    Event("stale plain files", 3, a_plain_file_stays_beside_its_packed_one, of_files=True),
    Event("clocks set back", 4, the_reader_s_clock_is_back),
    Event("long readings", 4, a_reading_takes_long),
    Event("damaged RRDs", 5, the_rrd_is_damaged),
    Event("ledgers of nonsense", 3, the_ledger_says_nonsense),
    Event("checks", 3, a_check),
)


def draw(history: History, *, of_files: bool) -> None:
    """Let one of them happen."""
    possible = [each for each in EVENTS if of_files or not each.of_files]
    (event,) = history.chance.choices(possible, [each.often for each in possible])
    history.note(event.name)
    history.done[event.name] += 1
    event.happens(history)
