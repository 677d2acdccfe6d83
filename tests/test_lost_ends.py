"""A log that lost its end, as in a power cut, counts once, however it grew and moved since."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest
from host import PACK, Host, pack
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.log.position import STUB

pytestmark = pytest.mark.slow

MINUTE, HOUR = 60, 3600


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


# ---- what is done to the log ----------------------------------------------------------------


def nothing(host: Host) -> None:
    """It stays the log."""


def renamed(host: Host) -> None:
    host.rename()


def copied(host: Host) -> None:
    host.copytruncate()


def packed(suffix: str, rotate: Callable[[Host], Path]) -> Callable[[Host], None]:
    return lambda host: void(pack(rotate(host), suffix))


def void(path: Path) -> None:
    assert path.exists()


def restored(host: Host) -> None:
    """It is another file with what is left of it."""
    text = host.log.read_bytes()
    host.log.rename(host.folder / "old")
    host.log.write_bytes(text)
    os.utime(host.log, (host.now, host.now))


MOVES: dict[str, Callable[[Host], None]] = {
    "live": nothing,
    "renamed": renamed,
    "copied": copied,
    "restored": restored,
    **{f"renamed and packed {each}": packed(each, Host.rename) for each in PACK},
    "copied and packed": packed(".gz", Host.copytruncate),
    "renamed by date": lambda host: void(host.rename(f"-20261124-{host.now}")),
    "renamed, packed and renamed": lambda host: void(twice(host)),
}


def twice(host: Host) -> Path:
    pack(host.rename(), ".gz")
    host.now += 5
    host.connect(2)
    return host.rename()


def cut(host: Host, lost: int, zeros: int = 0) -> None:
    size = host.log.stat().st_size
    os.truncate(host.log, size - lost)
    os.truncate(host.log, size - lost + zeros)
    host.now += 30
    os.utime(host.log, (host.now, host.now))


# ---- tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [1, 20, 63, 64, 100, 255, 257])
@pytest.mark.parametrize("move", ["live", "renamed"])
def test_a_log_of_which_a_stump_was_left_loses_no_new_line(
    host: Host, left: int, move: str
) -> None:
    host.connect(3)
    host.collect()
    cut(host, host.log.stat().st_size - left)
    host.connect(2)
    MOVES[move](host)
    host.now += 5
    host.connect(1)
    host.collect()

    assert host.counted == dict(host.truth)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("lost", [1, 150, 350, 5000, 19_951, 64_700])
@pytest.mark.parametrize("more", [0, 3, 1000], ids=["less", "little", "beyond the old end"])
def test_lines_behind_a_cut_count_once(host: Host, move: str, lost: int, more: int) -> None:
    host.connect(400)
    host.collect()
    cut(host, lost)
    host.connect(more)
    MOVES[move](host)
    host.now += 5
    host.connect(2)
    step = host.collect()
    host.connect(1)
    host.now += 3 * MINUTE
    host.collect()

    assert host.counted == dict(host.truth)
    assert step.gaps
    assert any("lost its end" in each for each in step.notices)


@pytest.mark.parametrize("left", [1, 10, 26, 40, 70, 150])
@pytest.mark.parametrize("program", ["postfix/smtp", "postfix/qmgr", "systemd"])
def test_a_line_glued_to_a_torn_one_that_was_seen_counts(
    host: Host, left: int, program: str
) -> None:
    host.connect(2)
    host.collect()
    host.now += 5
    host.write(host.line(host.now).replace("postfix/smtp", program)[:left])
    host.collect()
    host.restart()
    host.now += 30
    host.connect(3)
    host.collect()
    host.connect(1)

    host.settles()


@pytest.mark.parametrize("left", [1, 10, 26, 40, 70, 150])
def test_a_line_that_is_finished_later_counts_once(host: Host, left: int) -> None:
    host.connect(2)
    host.collect()
    text = host.lines()
    host.write(text[:left])
    host.collect()
    host.write(text[left:] + host.lines(2))
    host.collect()

    host.settles()


@pytest.mark.parametrize("left", range(4090, 4097))
def test_a_cut_is_found_though_the_next_line_begins_as_what_stood_there(
    host: Host, left: int
) -> None:
    host.connect(40)
    host.collect()
    text = host.log.read_bytes()
    host.log.write_bytes(text[:left] + text[:1] + text[left + 1 :])
    shutil.rmtree(host.state)
    host.state.mkdir()
    host.restart()
    host.truth.clear()
    host.collect()
    host.truth.update(host.counted)
    cut(host, host.log.stat().st_size - left)
    host.connect(30)
    host.collect()

    assert host.counted == dict(host.truth)


class Deed(NamedTuple):
    """What happens after some time."""

    passes: int
    lines: int
    part: float
    """How much of it a power cut leaves; 1 for no cut."""
    zeros: int
    move: str
    read: bool


deeds = st.builds(
    Deed,
    passes=st.integers(1, 200),
    lines=st.integers(0, 60),
    part=st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
    zeros=st.sampled_from([0, 0, 2, 300, 5000]),
    move=st.sampled_from(list(MOVES)),
    read=st.booleans(),
)


class Disk:
    """A host whose log was synced up to somewhere; what was never read and is lost is no truth."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.read_until = 0
        self.stumps = 0
        """How often less than a line's head was left."""
        self.unread: list[tuple[int, int]] = []
        """Ends and minutes of the lines in the log that were not read yet."""

    def write(self, lines: int) -> None:
        texts = [self.host.lines() for _ in range(lines)]
        size = self.host.log.stat().st_size if self.host.log.exists() else 0
        minute = self.host.now - self.host.now % MINUTE
        ends = accumulate((len(text) for text in texts), initial=size)
        self.unread += [(end, minute) for end in list(ends)[1:]]
        self.host.write("".join(texts))

    def cut(self, part: float, zeros: int) -> None:
        size = self.host.log.stat().st_size
        left = int(size * part)
        # A torn line that was never read is not told from one that quotes another.
        ends = [end for end, _ in self.unread]
        if ends and left > self.read_until:
            left = max([self.read_until, *(end for end in ends if end <= left)])
        self.stumps += 0 < left + zeros < STUB
        for end, minute in self.unread:
            if end > left:
                self.host.truth[minute] -= 1
        self.unread = [each for each in self.unread if each[0] <= left]
        cut(self.host, size - left, zeros if left and size - left >= zeros else 0)

    def move(self, how: str) -> None:
        MOVES[how](self.host)
        if how not in ("live", "restored"):
            self.unread, self.read_until = [], 0

    def read(self) -> None:
        self.host.collect()
        self.unread, self.read_until = [], self.host.log.stat().st_size


@settings(deadline=None, max_examples=100)
@given(deeds=st.lists(deeds, min_size=1, max_size=8))
def test_whatever_is_lost_grows_and_moves_counts_once(deeds: list[Deed]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        disk = Disk(host)
        disk.write(20)
        disk.read()
        was_cut = False
        for each in deeds:
            host.now += each.passes
            disk.write(each.lines)
            if each.part < 1 and not was_cut:
                disk.cut(each.part, each.zeros)
                disk.write(each.lines // 2)
                was_cut = True
            disk.move(each.move)
            if each.read:
                disk.read()
                was_cut = False
        host.now += 3 * MINUTE
        host.connect(1)
        host.collect()
        missing = +host.truth - Counter(host.counted)
        assert not Counter(host.counted) - host.truth
        # Of a log that begins with less than a head the first line is not told from a torn one.
        assert missing.total() <= disk.stumps
        assert missing.total() <= sum(host.ledger.omitted().values())
