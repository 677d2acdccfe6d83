"""rrdtool, by the binding that is there: unreadable files are errors, and following leaks
nothing."""

from __future__ import annotations

import filecmp
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import rrdtool

from dane_mailgraph.errors import StoreError
from dane_mailgraph.store.librrd import rates, unfinished_rows
from dane_mailgraph.store.rrd import RRD

BEGIN = 1_700_006_400  # a midnight


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Ten minutes of two sources, then one in which the first is unknown."""
    path = str(tmp_path / "größe: ä\\.rrd")
    sources = ["DS:count:ABSOLUTE:120:0:U", "DS:other:ABSOLUTE:120:U:7"]
    rrdtool.create(
        path,
        "--step",
        "60",
        "--start",
        str(BEGIN),
        *sources,
        "RRA:AVERAGE:0.5:1:1000",
        "RRA:AVERAGE:0.5:4:20",
    )
    rrdtool.update(
        path, *(f"{BEGIN + 60 * n}:{60 * n}:{n}" for n in range(1, 11)), f"{BEGIN + 660}:U:60"
    )
    return path


def test_rows_are_what_was_written_and_unknown_is_none(path: str) -> None:
    rows = rates(path, "AVERAGE", 60, BEGIN, BEGIN + 660, ("count", "other"))

    assert [row[0] for row in rows] == [*map(float, range(1, 11)), None]
    assert rows[-1] == (None, 1.0)


def test_a_long_range_is_given_in_rows_of_the_archive_and_never_fewer(path: str) -> None:
    assert len(rates(path, "AVERAGE", 60, BEGIN + 660 - 60 * 1000, BEGIN + 660, ("other",))) == 1000


def test_what_an_unfinished_row_has_gathered_is_reported_by_every_binding(path: str) -> None:
    fine, coarse = unfinished_rows(path)

    assert all(math.isnan(each) or each == 0 for each in fine)
    assert coarse == [9 + 10, pytest.approx(19 / 60 + 1, rel=1e-9)]


@pytest.mark.parametrize("step", [20, 60, 3600])
def test_a_new_one_is_as_rrdtool_makes_it(step: int, tmp_path: Path) -> None:
    """Ours gets its rows without librrd, which would hold all of them in memory."""
    begin = BEGIN - BEGIN % 86400
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    RRD(ours, step).create(begin)
    info = rrdtool.info(ours)
    sources = [
        f"DS:{name}:ABSOLUTE:{2 * step}:0:U"
        for name in (key[3:-7] for key in info if key.startswith("ds[") and key.endswith("].index"))
    ]
    archives = [
        f"RRA:{info[f'rra[{n}].cf']}:0:{info[f'rra[{n}].pdp_per_row']}:{info[f'rra[{n}].rows']}"
        for n in range(sum(key.endswith("].cf") for key in info))
    ]
    rrdtool.create(theirs, "--step", str(step), "--start", str(begin), *sources, *archives)
    for path in (ours, theirs):
        rrdtool.update(path, f"{begin + step}:{':'.join(['3'] * len(sources))}")
        rrdtool.dump(path, path + ".xml")

    assert os.path.getsize(ours) == os.path.getsize(theirs)
    assert filecmp.cmp(ours + ".xml", theirs + ".xml", shallow=False)


def missing(path: Path) -> None:
    path.unlink()


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def overwritten(path: Path) -> None:
    path.write_bytes(b"Nov 24 " * 1000)


@pytest.mark.parametrize("harm", [missing, torn, overwritten])
def test_rows_of_what_cannot_be_read_are_an_error_however_often(
    harm: Callable[[Path], None], path: str
) -> None:
    harm(Path(path))
    for _ in range(20):
        with pytest.raises(StoreError, match="cannot be read or written"):
            rates(path, "AVERAGE", 60, BEGIN, BEGIN + 600, ("count",))


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


def test_a_reader_waits_for_the_writer(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin and holder.stdout
        holder.stdout.readline()
        with monkeypatch.context() as hurry, pytest.raises(StoreError, match="could not lock"):
            hurry.setattr("dane_mailgraph.store.librrd._PATIENCE", 0.0)
            rates(path, "AVERAGE", 60, BEGIN, BEGIN + 600, ("count",))
        holder.stdin.close()

        assert len(rates(path, "AVERAGE", 60, BEGIN, BEGIN + 600, ("count",))) == 10


LEAK = """
import os, sys
from dane_mailgraph.store.rrd import RRD
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
rrd, at = RRD(sys.argv[1], 60), int(sys.argv[2])
def follow():
    global at
    for _ in range(500):
        rrd.facts(writing=True), rrd.whole_until()
        rrd.update([f"{at + 60}:{':'.join('1' for _ in rrd.facts().sources)}"])
        at += 60
for _ in range(5):  # Python 3.13 takes some rounds until its own memory is full
    follow()
before = resident()
follow()
print((resident() - before) // 500)
"""


def test_following_leaves_nothing_behind(tmp_path: Path) -> None:
    rrd = RRD(str(tmp_path / "outbound.rrd"), 60)
    rrd.create(BEGIN + 1200)
    done = subprocess.run(
        [sys.executable, "-c", LEAK, rrd.path, str(BEGIN + 1200)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout) < 200  # bytes a minute; Debian's binding leaves 1,061 of each `info`


def test_another_file_of_that_name_is_looked_at_anew(tmp_path: Path) -> None:
    rrd = RRD(str(tmp_path / "outbound.rrd"), 60)
    rrd.create(BEGIN)
    assert rrd.last == BEGIN
    Path(rrd.path).rename(tmp_path / "old.rrd")
    rrdtool.create(rrd.path, "--step", "60", "DS:sent:ABSOLUTE:120:0:U", "RRA:AVERAGE:0:1:10")

    with pytest.raises(StoreError, match="other data sources"):
        _ = rrd.last
