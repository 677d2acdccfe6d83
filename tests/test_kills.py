"""A process that is killed loses nothing and counts nothing twice. The long form: `torture.py`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torture
from torture import EPOCH, History, ended, fork

pytestmark = pytest.mark.slow

STEP = 60

EVERY = int(os.environ.get("EVERY", "7"))
"""At which steps processes die: each seventh here, each third in `make nightly`, and each one at
the beginning of `make torture`."""

NOW = EPOCH - EPOCH % 86400 + 3 * 86400 + 7


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: a thousand fsyncs need a minute."""
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    ) as folder:
        yield Path(folder)


class Small(History):
    """A history without chance: lines at the times given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 1, step=STEP)
        self.writer.dated = self.writer.copies = False
        self.now = NOW

    def log_lines(self, minutes: int, path: Path | None = None) -> None:
        for _ in range(minutes):
            self.now += STEP
            if self.chance.random() < 0.7:
                self.writer.append(self.now, 3, path)
        self.writer.append(self.now, 1, path)
        self.writer.append(self.now, 0)


def a_fresh_store(history: Small) -> list[str]:
    history.log_lines(90)
    return history.arguments("collect")


def a_store_that_goes_on(history: Small) -> list[str]:
    a_fresh_store(history)
    history.must("collect")
    history.log_lines(40)
    return history.arguments("collect")


def a_rotated_log(history: Small) -> list[str]:
    a_store_that_goes_on(history)
    history.writer.rotate(history.now)
    history.log_lines(3)
    return history.arguments("collect")


def a_snapshot_that_is_due(history: Small) -> list[str]:
    a_fresh_store(history)
    history.must("collect")
    for _ in range(2):  # the second one lets the ledger forget
        history.now += 3 * 86400
        history.log_lines(3)
        history.must("collect")
    history.now += 3 * 86400
    history.log_lines(3)
    return history.arguments("collect")


def a_store_to_be_mended(history: Small) -> list[str]:
    a_snapshot_that_is_due(history)
    history.must("collect")
    history.log_lines(10)
    (history.state / "outbound.rrd").unlink()
    return history.arguments("collect")


def a_lost_ledger(history: Small) -> list[str]:
    a_store_that_goes_on(history)
    (history.state / "ledger.sqlite").unlink()
    return history.arguments("collect")


def an_import(history: Small) -> list[str]:
    history.log_lines(300, history.folder / "old.log")
    history.log.touch()
    return history.arguments("import", str(history.folder / "old.log"))


def an_import_of_the_live_log(history: Small) -> list[str]:
    history.log_lines(90, history.folder / "old.log")
    history.log_lines(30)
    return history.arguments("import", str(history.log), str(history.folder / "old.log"))


SCENES = (
    a_fresh_store,
    a_store_that_goes_on,
    a_rotated_log,
    a_snapshot_that_is_due,
    a_store_to_be_mended,
    a_lost_ledger,
    an_import,
    an_import_of_the_live_log,
)


def prepared(scene: Callable[[Small], list[str]], folder: Path) -> tuple[Small, list[str], Path]:
    """The history as the scene leaves it, the command to kill, and a copy of its files."""
    history = Small(folder / "history")
    history.folder.mkdir()
    arguments = scene(history)
    shutil.copytree(history.folder, folder / "before", copy_function=shutil.copy2)
    return history, arguments, folder / "before"


def put_back(history: Small, before: Path) -> None:
    """Only the state: the log is only read."""
    shutil.rmtree(history.state, ignore_errors=True)
    if (before / "state").exists():
        shutil.copytree(before / "state", history.state)


def left_behind(history: Small) -> int:
    """All that a process has left to its successor, as a checksum."""
    crc = 0
    for path in sorted(history.state.rglob("*")):
        crc = zlib.crc32(
            path.read_bytes() if path.is_file() else b"", zlib.crc32(path.name.encode(), crc)
        )
    return crc


def assert_true(history: Small) -> None:
    """After a last collect every row is right."""
    now = history.now
    history.now += 5 * STEP
    history.must("collect")
    last = (history.now - history.grace) // STEP * STEP
    history.now = now
    assert history.writer.first is not None
    begin = history.writer.first - history.writer.first % STEP
    torture.compare(history.state / "outbound.rrd", STEP, history.writer.truth, begin, last)
    torture.compare_relays(history.state / "ledger.sqlite", history.writer.relays)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_death_at_any_step_of_the_work_changes_nothing(
    scene: Callable[[Small], list[str]], tmp_path: Path
) -> None:
    with torture.small_archives():
        history, arguments, before = prepared(scene, tmp_path)
        number, status, seen = EVERY // 2, -signal.SIGKILL, set()
        while status == -signal.SIGKILL:
            number += EVERY
            put_back(history, before)
            status = ended(
                fork(arguments, history.said, now=history.now, before=torture.die_at(number))
            )
            left = left_behind(history)
            if left not in seen:
                seen.add(left)
                if len(seen) % 2:  # its successor dies as well
                    ended(
                        fork(
                            arguments,
                            history.said,
                            now=history.now,
                            before=torture.die_at(number // 2 + 1),
                        )
                    )
                if "import" in arguments:
                    history.must(*arguments)
                assert_true(history)
        assert status == 0, history.last_words()
        assert len(seen) > min(8, 25 // EVERY)


@pytest.mark.parametrize("seed", range(3))
def test_a_history_full_of_kills_ends_with_the_truth(seed: int, tmp_path: Path) -> None:
    history = History(tmp_path, seed, step=random.Random(seed).choice((10, 60, 300)), grace=seed)
    with torture.small_archives():
        history.run(20)
    assert history.done["killed"] >= 20


def test_a_log_that_goes_on_while_run_is_killed_is_counted_exactly(tmp_path: Path) -> None:
    history = torture.Lived(tmp_path, 7, step=1, grace=2)
    with torture.small_archives():
        history.run(3)


def test_a_rebuild_that_is_killed_leaves_the_old_store_or_the_new_one(tmp_path: Path) -> None:
    with torture.small_archives():
        history, _, before = prepared(a_snapshot_that_is_due, tmp_path)
        history.must("collect")
        arguments = history.arguments("import", "--rebuild", str(history.log))
        shutil.rmtree(before)
        shutil.copytree(history.folder, before)
        number, status, seen = EVERY // 2, -signal.SIGKILL, set()
        while status == -signal.SIGKILL:
            number += EVERY
            put_back(history, before)
            status = ended(
                fork(arguments, history.said, now=history.now, before=torture.die_at(number))
            )
            left = left_behind(history)
            if left not in seen:
                seen.add(left)
                history.must("collect")
                assert history.writer.first is not None
                begin = history.writer.first - history.writer.first % STEP
                last = torture.state_of(history.state, "rrd_until")
                torture.compare(
                    history.state / "outbound.rrd", STEP, history.writer.truth, begin, last
                )
                torture.compare_relays(history.state / "ledger.sqlite", history.writer.relays)
        assert status == 0, history.last_words()
