"""What we keep, read without changing it: a real ledger and a real RRD, whole and damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from host import Host

from dane_mailgraph.counts import Interval
from dane_mailgraph.doctor import own_state
from dane_mailgraph.doctor.own_state import OwnState


@pytest.fixture
def counted(tmp_path: Path) -> Host:
    """A host whose log has been counted, with intervals in the RRD."""
    host = Host(tmp_path)
    for _ in range(5):
        host.connect(3)
        host.collect()
        host.now += 60
    host.settles()
    return host


def looked(host: Host) -> OwnState:
    folder = str(host.log.parent)
    return own_state.read_own_state(
        str(host.log), str(Path(host.store.rrd.path).parent), folder, host.rules.step
    )


def state(host: Host) -> dict[str, bytes]:
    folder = Path(host.store.rrd.path).parent
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_all_is_well_and_nothing_is_touched(counted: Host) -> None:
    before = state(counted)
    found = looked(counted)

    assert (found.ledger_trouble, found.rrd_trouble, found.intervals_differing) == ("", "", 0)
    assert found.intervals_compared == 5
    assert found.rrd_last == found.rrd_until == counted.store.rrd.last
    assert found.bookmark and found.end_of_file == found.bookmark
    assert [disk.path for disk in found.disks] == [found.state_dir, found.output_dir][
        : len(found.disks)
    ]
    assert all(disk.free > 0 for disk in found.disks)
    assert state(counted) == before


def test_an_rrd_that_differs_from_the_ledger_is_found(counted: Host) -> None:
    start, counts = next(counted.ledger.intervals(0, 1 << 40))
    with counted.ledger.transaction():
        counted.ledger.add([Interval(start, tuple(n or 0 for n in counts))])

    assert (looked(counted).intervals_compared, looked(counted).intervals_differing) == (5, 1)

    os.rename(counted.store.rrd.path, f"{counted.store.rrd.path}.wrong")  # what the doctor advises
    counted.restart()
    counted.collect()

    assert (looked(counted).intervals_compared, looked(counted).intervals_differing) == (5, 0)


def test_a_damaged_rrd_is_reported(counted: Host) -> None:
    Path(counted.store.rrd.path).write_bytes(b"not an RRD")

    assert looked(counted).rrd_trouble.startswith(f"{counted.store.rrd.path} is no RRD; ")
    assert looked(counted).ledger_trouble == ""

    os.rename(counted.store.rrd.path, f"{counted.store.rrd.path}.wrong")  # what the doctor advises
    counted.restart()
    counted.collect()

    assert (
        looked(counted).rrd_trouble,
        looked(counted).intervals_compared,
        looked(counted).intervals_differing,
    ) == (
        "",
        5,
        0,
    )


def test_a_truncated_rrd_is_reported(counted: Host) -> None:
    os.truncate(counted.store.rrd.path, 3000)

    assert "outbound.rrd" in looked(counted).rrd_trouble


def test_a_file_that_is_no_ledger_is_reported(counted: Host) -> None:
    Path(counted.ledger.path).write_bytes(b"nonsense" * 1000)

    assert looked(counted).ledger_trouble.startswith(counted.ledger.path)
    assert looked(counted).rrd_last == counted.store.rrd.last


def test_a_store_that_does_not_exist_yet_is_reported(tmp_path: Path) -> None:
    found = own_state.read_own_state(
        str(tmp_path / "log"), str(tmp_path / "state"), str(tmp_path / "www"), 60
    )

    assert "nothing has been counted yet" in found.ledger_trouble
    assert (
        found.rrd_trouble,
        found.rrd_last,
        found.end_of_file,
        found.bookmark,
        found.drawn_at,
        found.disks,
    ) == (
        "",
        None,
        None,
        None,
        None,
        (),
    )
    assert not (tmp_path / "state").exists()


def test_a_log_that_has_grown_or_shrunk_is_seen(counted: Host) -> None:
    before = looked(counted).end_of_file
    counted.connect(2)
    grown = looked(counted).end_of_file
    counted.truncate()

    assert before and grown and grown.offset > before.offset
    assert (after := looked(counted).end_of_file) and after.offset == 0


def test_the_page_was_drawn_when_its_file_was_written(tmp_path: Path) -> None:
    (tmp_path / "index.html").touch()
    os.utime(tmp_path / "index.html", (5, 5))

    assert own_state.read_own_state("x", str(tmp_path), str(tmp_path), 60).drawn_at == 5
