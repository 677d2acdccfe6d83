"""librrd, called by ctypes: what it refuses is an error and no crash, and nothing it says is dropped or left behind."""

from __future__ import annotations

import fcntl
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dane_mailgraph import librrd
from dane_mailgraph.rrd import RRD, described, rates

BEGIN = 1_700_006_400  # a midnight


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Ten minutes of two sources, then one in which the first is unknown."""
    path = str(tmp_path / "größe.rrd")
    sources = ["DS:count:ABSOLUTE:120:0:U", "DS:other:ABSOLUTE:120:U:7"]
    librrd.create(path, "--step", "60", "--start", str(BEGIN), *sources, "RRA:AVERAGE:0.5:1:20", "RRA:AVERAGE:0:4:20")
    librrd.update(path, *(f"{BEGIN + 60 * n}:{60 * n}:{n}" for n in range(1, 11)), f"{BEGIN + 660}:U:60")
    return path


def test_rows_are_what_was_written_and_unknown_is_none(path: str) -> None:
    times, names, rows = librrd.fetch(path, "AVERAGE", "-s", str(BEGIN), "-e", str(BEGIN + 600), "-r", "60")

    assert (times, names) == ((BEGIN, BEGIN + 660, 60), ("count", "other"))
    assert [row[0] for row in rows] == [*map(float, range(1, 11)), None]
    assert rows[-1] == (None, 1.0)


def test_what_an_rrd_says_of_itself_is_whole(path: str) -> None:
    info = librrd.info(path)

    assert (info["filename"], info["step"], info["last_update"]) == (path, 60, BEGIN + 660)
    assert (info["ds[count].index"], info["ds[other].index"], info["ds[count].type"]) == (0, 1, "ABSOLUTE")
    assert (info["ds[count].min"], info["ds[count].max"], info["ds[other].min"], info["ds[other].max"]) == (0.0, None, None, 7.0)
    assert (info["rra[0].cf"], info["rra[0].xff"], info["rra[1].pdp_per_row"]) == ("AVERAGE", 0.5, 4)
    assert info["rra[1].cdp_prep[0].unknown_datapoints"] == 1
    assert math.isclose(info["rra[1].cdp_prep[1].value"], 19 / 60 + 1)


def missing(path: Path) -> None:
    path.unlink()


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def overwritten(path: Path) -> None:
    path.write_bytes(b"Nov 24 " * 1000)


@pytest.mark.parametrize(
    ("harm", "words"),
    [(missing, "No such file or directory"), (torn, "reached EOF while loading header"), (overwritten, "is not an RRD file")],
)
def test_what_cannot_be_read_is_refused_in_words_however_often(harm: Callable[[Path], None], words: str, path: str) -> None:
    harm(Path(path))
    for _ in range(20):
        for call, *rest in (
            (librrd.fetch, "AVERAGE", "-s", str(BEGIN), "-e", str(BEGIN + 600)),
            (librrd.info,),
            (librrd.last,),
            (librrd.update, "N:1:2"),
            (librrd.tune, "DS:third:ABSOLUTE:120:0:U"),
        ):
            with pytest.raises(librrd.Refused, match=words):
                call(path, *rest)


def test_a_picture_that_cannot_be_drawn_is_refused(path: str) -> None:
    with pytest.raises(librrd.Refused, match="No DS called 'nobody'"):
        librrd.graphv("-", f"DEF:a={path}:nobody:AVERAGE", "AREA:a#00795C")
    with pytest.raises(librrd.Refused):  # without words, where there is nothing to draw
        librrd.graphv("-", "COMMENT:nothing")


@pytest.mark.parametrize("text", ["Größe ø \N{CHECK MARK}", "\udcfc", "100 %"])
def test_any_text_may_stand_in_a_picture(text: str, path: str) -> None:
    drawn = librrd.graphv(
        *("-", "-s", str(BEGIN), "-e", str(BEGIN + 600), f"DEF:a={path}:count:AVERAGE", "AREA:a#00795C", f"COMMENT:{text}")
    )

    assert drawn["image"].startswith(b"\x89PNG") and drawn["image_width"] > 400


def test_a_zero_byte_cuts_no_argument_short(path: str) -> None:
    with pytest.raises(librrd.Refused, match="zero byte"):
        librrd.last(f"{path}\0.rrd")


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


def test_a_reader_waits_for_the_writer(path: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin and holder.stdout
        holder.stdout.readline()
        with pytest.raises(librrd.Refused, match="could not lock RRD"):
            librrd.fetch(path, "AVERAGE", "-s", str(BEGIN), "-e", str(BEGIN + 600))
        holder.stdin.close()

        assert len(rates(path, "AVERAGE", 60, BEGIN, BEGIN + 600)[1]) == 10
    with open(path, "rb") as file:
        fcntl.lockf(file, fcntl.LOCK_SH)  # other readers keep nobody from reading

        assert described(path)["step"] == 60


LEAK = """
import os, sys
from dane_mailgraph.rrd import RRD, described, rates
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
rrd, begin = RRD(sys.argv[1], 60), int(sys.argv[2])
def ask():
    for _ in range(500):
        described(rrd.path), rates(rrd.path, "AVERAGE", 60, begin, begin + 600), rrd.last
ask()
before = resident()
ask()
print((resident() - before) // 500)
"""


def test_asking_leaves_nothing_behind(tmp_path: Path) -> None:
    rrd = RRD(str(tmp_path / "outbound.rrd"), 60)
    rrd.create(BEGIN + 1200)
    done = subprocess.run([sys.executable, "-c", LEAK, rrd.path, str(BEGIN)], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 200  # bytes a round; Debian's binding left 5,600 of info alone
