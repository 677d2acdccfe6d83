"""Whatever is done to the log, each of its lines is counted once; what is lost is unknown.

`test_order.py` has the order of reading as a table.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from disks import KINDS, disk
from host import PACK, START, Host, line, pack, rfc3339
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dane_mailgraph.answer.report import totals
from dane_mailgraph.errors import SourceError
from dane_mailgraph.log.files import open_log
from dane_mailgraph.log.piece import FilePiece
from dane_mailgraph.log.position import bookmark

pytestmark = pytest.mark.disk

MINUTE, HOUR, DAY = 60, 3600, 86400

LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
SAVELOG = shutil.which("savelog")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on each kind of file system, one after the other."""
    with disk(request.param, tmp_path) as folder:
        yield folder


@pytest.fixture
def host_anywhere(folder: Path) -> Host:
    return Host(folder / "host")


def read(piece: FilePiece) -> FilePiece:
    for _ in piece.blocks:
        pass
    return piece


def followed(host: Host) -> Host:
    """A host whose log has been read for a while."""
    host.connect(3)
    host.collect()
    host.now += 20
    host.connect(4)
    host.now += MINUTE
    host.collect()
    host.now += 20
    return host


# ---- one rotation ---------------------------------------------------------------------------

RENAMED = [".1", ".0", "-20261124", "-20261124-1795485620", ".2026-11-24", "-2026-11-24"]


@pytest.mark.parametrize("rotate", [Host.rename, Host.copytruncate])
@pytest.mark.parametrize(
    "name, packed", [*((name, "") for name in RENAMED), *((".1", suffix) for suffix in PACK)]
)
def test_lines_that_were_unread_at_a_rotation_are_found(
    host: Host, rotate: Callable[[Host, str], Path], name: str, packed: str
) -> None:
    followed(host).connect(5)
    rotated = rotate(host, name)
    if packed:
        pack(rotated, packed)
    host.now += 5
    host.connect(2)
    host.settles()


@pytest.mark.parametrize("rotate", [Host.rename, Host.copytruncate])
@pytest.mark.parametrize("times", [1, 400])
def test_a_new_log_may_have_grown_past_the_old_offset(
    host: Host, rotate: Callable[[Host], Path], times: int
) -> None:
    followed(host).connect(times)
    rotate(host)
    host.now += 30
    host.connect(500)
    host.settles()


def has_generations(folder: Path) -> bool:
    """A new file is known from an old one, also where it has its inode."""
    (folder / "probe").touch()
    with open_log(str(folder / "probe")) as probe:
        return probe.inode.generation != 0


def give_inode(host: Host, inode: int) -> None:
    """Make the log anew until it has this inode."""
    for number in range(50):
        if host.log.exists():
            if host.log.stat().st_ino == inode:
                return
            host.log.rename(host.folder / f"spare{number}")
        host.log.touch()
    pytest.skip("this file system gives no inode twice")


def test_a_new_log_may_have_the_inode_of_the_old_one(host_anywhere: Host) -> None:
    host = host_anywhere
    followed(host).connect(5)
    inode = host.log.stat().st_ino
    pack(host.rename(create=False), ".gz")
    host.now += 5
    give_inode(host, inode)
    host.connect(60)
    host.settles()


def test_a_new_log_may_have_the_inode_of_the_old_one_and_begin_with_the_same_lines(
    host_anywhere: Host,
) -> None:
    host = host_anywhere
    if not has_generations(host.folder):
        pytest.skip("this file system has neither generations nor birth times")
    same = line(rfc3339(host.now))

    def connect(times: int) -> None:
        host.truth[host.now - host.now % MINUTE] += times
        host.write(same * times)

    connect(3)
    host.collect()
    connect(4)
    inode = host.log.stat().st_ino
    pack(host.rename(create=False), ".gz")
    give_inode(host, inode)
    connect(5)
    host.settles()


@pytest.mark.parametrize("rotate", [Host.rename, Host.copytruncate])
def test_a_log_that_begins_in_the_same_second_takes_nothing_from_a_copy_with_a_used_inode(
    host_anywhere: Host, rotate: Callable[[Host], Path]
) -> None:
    host = host_anywhere
    if not has_generations(host.folder):
        pytest.skip("this file system has neither generations nor birth times")
    host.connect(3)
    host.collect()
    host.connect(4)
    second = host.now
    packed = pack(rotate(host), ".gz")
    host.connect(5, second)
    key = host.follower.bookmark_key
    (last,) = bookmark(host.ledger.bookmark(key))
    gone = last._replace(inode=packed.stat().st_ino, crc=1, replaced_at=host.now, finished=True)
    with host.ledger.transaction():
        host.ledger.set_bookmark(key, [gone, last])
    host.settles()


def test_a_bookmark_without_a_generation_is_good_for_the_log_that_has_one(
    host_anywhere: Host,
) -> None:
    host = followed(host_anywhere)
    (*before, last) = bookmark(host.ledger.bookmark(host.follower.bookmark_key))
    with host.ledger.transaction():
        host.ledger.set_bookmark(host.follower.bookmark_key, [*before, last._replace(generation=0)])
    host.connect(5)
    host.rename()
    host.connect(6)
    host.settles()


def test_a_log_whose_birth_time_cannot_be_had_is_followed_all_the_same(
    host_anywhere: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = followed(host_anywhere)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    host.connect(5)
    pack(host.rename(), ".gz")
    host.connect(6)
    host.collect()
    monkeypatch.undo()
    host.connect(7)
    host.rename()
    host.connect(8)
    host.settles()


def test_an_empty_log_that_is_rotated_twice_may_get_its_inode_back(host_anywhere: Host) -> None:
    host = host_anywhere
    followed(host).rename()
    host.now += 30
    host.collect()
    assert host.log.stat().st_size == 0
    inode = host.log.stat().st_ino
    host.now += HOUR + 60
    host.collect()
    host.connect(5)
    pack(host.rename(), ".gz")
    host.now += 60
    host.connect(6)
    host.rename()
    give_inode(host, inode)
    host.now += 60
    host.connect(7)
    host.settles()


def test_a_copy_may_have_the_inode_that_the_log_had_while_it_was_empty(host_anywhere: Host) -> None:
    host = host_anywhere
    if not has_generations(host.folder):
        pytest.skip("this file system has neither generations nor birth times")
    host.touch()
    host.collect()
    inode = host.log.stat().st_ino
    host.connect(3)
    pack(host.rename(), ".gz")
    host.connect(2)
    for number in range(50):
        copy = host.log.with_name(f"mail.log.bak{number}")
        shutil.copy2(host.log, copy)
        if copy.stat().st_ino == inode:
            break
    else:
        pytest.skip("this file system gives no inode twice")
    host.settles()


def test_a_log_with_the_same_first_line_is_another_log(host_anywhere: Host) -> None:
    host = host_anywhere
    header = line(rfc3339(START), "reload -- version 3.9.1", "postfix/postfix-script")
    host.write(header)
    host.collect()
    host.connect(5)
    host.rename()
    host.write(header)
    host.connect(3)
    host.settles()
    host.rename()
    host.write(header)
    host.connect(2)
    host.settles()


def test_a_log_that_an_editor_has_written_anew_is_the_same_log(host_anywhere: Host) -> None:
    host = host_anywhere
    followed(host)
    copy = host.log.with_name("mail.log.tmp")
    shutil.copy2(host.log, copy)
    copy.replace(host.log)
    host.connect(5)
    host.settles()
    assert not host.unknown()


def test_an_empty_new_log_is_quiet(host: Host) -> None:
    followed(host).connect(5)
    host.rename()
    host.settles()
    host.now += 5 * MINUTE
    host.settles()


def test_a_log_that_is_rotated_before_it_ever_held_a_line_loses_none(host: Host) -> None:
    host.log.touch()
    os.utime(host.log, (host.now, host.now))
    host.collect()
    host.now += 5
    host.connect(3)
    host.rename()
    host.connect(4)
    host.settles()


@pytest.mark.parametrize("packed", ["", *PACK])
def test_an_empty_log_that_is_rotated_loses_no_line(host: Host, packed: str) -> None:
    followed(host).rename()
    host.now += 30
    host.collect()
    host.now += 30
    host.connect(5)
    rotated = host.rename()
    if packed:
        pack(rotated, packed)
    host.now += 30
    host.connect(6)
    host.settles()


# ---- several rotations ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "packed", [("", "", ""), (".gz", ".gz", ""), (".gz", ".zst", ".xz"), ("", ".bz2", "")]
)
@pytest.mark.parametrize("rotate", [Host.rename, Host.copytruncate])
def test_several_rotations_while_nobody_looked_are_all_read(
    host: Host, packed: tuple[str, ...], rotate: Callable[[Host], Path]
) -> None:
    followed(host)
    for suffix in packed:
        host.connect(5)
        host.now += DAY
        host.connect(6)
        rotated = rotate(host)
        if suffix:
            pack(rotated, suffix)
        host.now += 5
    host.connect(7)
    host.settles()


def test_rotations_within_one_second_are_all_read(host: Host) -> None:
    followed(host).collect()
    for times in (2, 3, 4):
        host.connect(times)
        host.rename()
    host.connect(5)
    host.collect()
    host.collect()
    host.settles()


def test_a_log_that_was_begun_in_the_tick_of_the_last_look_is_read_after_its_rotation(
    host: Host,
) -> None:
    followed(host).connect(2)
    host.collect()
    host.rename()
    host.connect(5)
    rotated = host.rename()
    behind = (
        host.now * 10**9 - 4 * 10**6
    )  # the time of a file is that of the last tick of the clock
    os.utime(rotated, ns=(behind, behind))
    host.connect(6)
    host.settles()


def test_what_was_rotated_away_is_unknown_and_all_the_rest_is_right(host: Host) -> None:
    followed(host)
    seen = host.now
    host.collect()
    host.now += 10 * MINUTE
    host.write(host.line(host.now))  # and no reader will ever see it
    host.rename().unlink()
    host.now += 10 * MINUTE
    back = host.now
    host.connect(5)
    step = host.collect()
    assert step.gaps == ((seen - seen % MINUTE, back - back % MINUTE + MINUTE),)
    host.now += 10 * MINUTE
    host.collect()
    rows = dict(host.rows())
    assert {at: count for at, count in rows.items() if count} == dict(host.truth)
    unknown = {at for at, count in rows.items() if count is None}
    assert unknown == {
        at for at in rows if seen < at + MINUTE and at <= back and at not in host.truth
    }
    found = totals(host.store.rrd, host.ledger, seen + 2 * MINUTE, back - 2 * MINUTE)
    assert set(found.totals.values()) == {None}


def test_a_gap_between_rotated_logs_is_unknown_from_the_bookmark_to_the_oldest_that_is_left(
    host: Host,
) -> None:
    followed(host).collect()
    start = host.now
    for _ in range(3):
        host.now += HOUR
        host.write(host.line(host.now))
        rotated = host.rename()
        host.now += HOUR
    (host.log.parent / "mail.log.3").unlink()
    (host.log.parent / "mail.log.2").unlink()
    host.truth[(start + 5 * HOUR) // MINUTE * MINUTE] += 1  # of mail.log.1
    assert rotated.name == "mail.log.1"
    host.connect(5)
    host.now += MINUTE
    host.collect()
    assert host.counted == dict(host.truth)
    unknown = host.unknown()
    assert unknown[0] <= start and unknown[-1] == (start + 5 * HOUR) // MINUTE * MINUTE - MINUTE


@pytest.mark.parametrize("grown", [False, True])
def test_a_log_that_is_truncated_in_place_goes_on_behind_a_gap(host: Host, grown: bool) -> None:
    followed(host).collect()
    seen = host.now
    host.now += 10 * MINUTE
    os.truncate(host.log, 0)
    host.connect(900 if grown else 1)
    (gap,) = host.collect().gaps
    assert gap.start <= seen < gap.until <= host.now + MINUTE
    host.now += 2 * MINUTE
    host.collect()
    assert host.counted == dict(host.truth)


def test_a_log_that_is_deleted_and_made_anew_goes_on_behind_a_gap(host: Host) -> None:
    followed(host).collect()
    host.now += 10 * MINUTE
    host.log.unlink()
    with pytest.raises(SourceError, match=r"mail\.log is not there"):
        host.collect()
    host.connect(5)
    assert host.collect().gaps
    host.now += 2 * MINUTE
    host.collect()
    assert host.counted == dict(host.truth)


def test_downtime_of_the_program_alone_makes_no_gap(host: Host) -> None:
    followed(host)
    for _ in range(10):
        host.now += HOUR
        host.connect(2)
    host.restart()
    host.settles()


# ---- lines that are not finished ------------------------------------------------------------


def test_a_partial_last_line_is_counted_when_it_is_finished(host: Host) -> None:
    followed(host)
    text = host.lines(1)
    for part in (text[:10], text[10:90], text[90:-1]):
        host.write(part)
        assert host.collect().counted == 0
        host.now += 1
    host.write("\n")
    assert host.collect().counted == 1
    host.settles()


def test_a_partial_first_line_of_a_new_log_is_counted_when_it_is_finished(host: Host) -> None:
    text = host.lines(1)
    host.write(text[:50])
    host.collect()
    host.rename()
    host.connect(2)
    host.collect()
    host.write(text[50:], host.log.with_name("mail.log.1"))
    host.settles()


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_a_line_that_its_writer_finishes_in_the_rotated_file_is_counted(
    host: Host, looks: int
) -> None:
    followed(host)
    text = host.lines(1)
    with open(host.log, "a", encoding="ascii") as writer:
        writer.write(text[:60])
        writer.flush()
        host.collect()
        host.rename()
        for _ in range(looks):
            host.now += 1
            host.collect()
        writer.write(text[60:] + host.lines(3))
    host.now += 2
    host.connect(2)
    host.collect()
    host.settles()


def test_a_line_without_a_newline_at_the_end_of_a_rotated_file_is_a_line_in_the_end(
    host: Host,
) -> None:
    followed(host)
    at = host.now
    host.write(host.lines(1).rstrip("\n"))
    host.rename()
    for _ in range(11):
        assert host.collect().counted == 0
        host.now += 5 * MINUTE
    host.now += 10 * MINUTE
    step = host.collect()
    assert (step.counted, step.omitted["late"]) == (1, 1)
    assert sum(host.counted.values()) == sum(host.truth.values())
    assert host.counted[max(host.counted)] == 1 and max(host.counted) > at
    host.now += HOUR
    assert host.collect().counted == 0


def test_a_line_that_a_writer_left_behind_has_just_begun_is_not_a_line_yet(host: Host) -> None:
    host.touch()
    host.collect()
    slow = host.rename()
    host.rename()
    host.now += 5 * HOUR
    text = host.lines(1)
    for part in (text[:90], text[90:-9], text[-9:]):
        host.write(part, slow.with_name("mail.log.2"))
        host.collect()
        host.now += HOUR - MINUTE
    assert sum(host.counted.values()) == 1


def test_a_line_without_a_newline_at_the_end_of_a_compressed_file_is_a_line(host: Host) -> None:
    followed(host).write(host.lines(1).rstrip("\n"))
    pack(host.rename(), ".gz")
    host.settles()


@pytest.mark.parametrize("cut", [5, 40, 150])
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("looks", ["before", "between", "after"])
def test_a_line_that_goes_on_after_the_log_was_copied_and_truncated_is_counted(
    host: Host, cut: int, packed: str, looks: str
) -> None:
    followed(host)
    text = host.lines(1)
    host.write(text[:cut])
    if looks == "before":
        host.collect()
    rotated = host.copytruncate()
    if packed:
        pack(rotated, packed)
    if looks == "between":
        host.collect()
        host.collect()
    host.write(text[cut:] + host.lines(2))
    host.settles()
    assert not any(step.omitted["unreadable"] for step in host.steps)


def test_a_line_that_goes_on_in_a_file_that_a_slow_writer_wrote_to_last_is_counted(
    host: Host,
) -> None:
    host.touch()
    host.collect()
    first, second = host.lines(1), host.lines(1)
    host.write(first[:1])
    host.copytruncate()
    host.write(first[1:] + second[:1])
    slow = host.rename()
    host.now += 1
    host.connect(1)
    host.rename()
    host.write(second[1:], slow.with_name("mail.log.2"))
    host.settles()


def test_a_line_that_is_cut_by_two_truncations_is_counted(host: Host) -> None:
    text = followed(host).lines(1)
    for part in (text[:20], text[20:40]):
        host.write(part)
        host.copytruncate()
        host.collect()
        host.now += 5
    host.write(text[40:])
    host.connect(2)
    host.settles()


def test_a_line_that_is_never_finished_does_not_spoil_the_first_one_of_the_truncated_log(
    host: Host,
) -> None:
    followed(host).write(host.line(host.now)[:70])
    host.copytruncate()
    host.collect()
    host.connect(2)
    host.settles()


# ---- the rotated file again -----------------------------------------------------------------


@pytest.mark.parametrize("packed", ["", *PACK])
def test_lines_that_are_written_to_the_rotated_file_after_the_new_log_exists_are_counted_once(
    host: Host, packed: str
) -> None:
    followed(host).connect(5)
    rotated = host.rename()
    host.connect(1)
    host.collect()
    host.now += 3
    host.connect(4, to=rotated)
    host.now += 3
    host.collect()
    host.connect(2, to=rotated)
    if packed:
        pack(rotated, packed)
    for _ in range(3):
        host.now += 5
        host.connect(1)
        host.collect()
    host.settles()


def test_lines_in_a_rotated_file_that_is_rotated_once_more_are_counted(host: Host) -> None:
    followed(host).connect(5)
    first = host.rename()
    host.collect()
    text = host.lines(1)
    host.write(text[:40], first)
    host.connect(2)
    host.collect()
    host.rename()
    host.collect()
    host.write(text[40:], host.log.with_name("mail.log.2"))
    host.connect(3)
    host.settles()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("suffix", PACK)
def test_a_file_that_is_just_being_compressed_is_read_once(
    host: Host, suffix: str, whole: bool
) -> None:
    followed(host).connect(300)
    rotated = host.rename()
    packed = PACK[suffix](rotated.read_bytes())
    half = host.log.with_name("mail.log.1" + suffix)
    half.write_bytes(packed if whole else packed[: len(packed) // 2])
    host.connect(2)
    host.collect()
    os.utime(half, (host.now, host.now))
    half.write_bytes(packed)
    rotated.unlink()
    host.now += 1
    host.collect()
    host.settles()


@pytest.mark.parametrize("suffix", PACK)
def test_a_rotated_file_that_is_cut_or_garbage_is_lost_and_does_not_stop_the_counting(
    host: Host, suffix: str
) -> None:
    followed(host).collect()
    host.now += 10 * MINUTE
    host.write("".join(host.line(host.now) for _ in range(50)))
    packed = pack(host.rename(), suffix)
    packed.write_bytes(packed.read_bytes()[:-100])
    host.now += 10 * MINUTE
    host.connect(2)
    assert host.collect().gaps
    host.now += 2 * MINUTE
    host.collect()
    assert host.counted == dict(host.truth)


def test_what_may_not_be_read_is_reported_and_not_taken_for_lost(host: Host) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    followed(host).connect(5)
    rotated = host.rename()
    rotated.chmod(0)
    with pytest.raises(SourceError, match="cannot be read"):
        host.collect()
    rotated.chmod(0o600)
    host.settles()


@pytest.mark.parametrize("packed", ["", *PACK])
def test_a_writer_that_is_not_told_to_reopen_is_followed_into_the_rotated_file_for_days(
    host: Host, packed: str
) -> None:
    followed(host)
    rotated = host.rename()
    for _ in range(60):
        host.now += HOUR + MINUTE
        host.connect(1, to=rotated)
        host.collect()
    host.now += 9 * HOUR
    host.connect(1, to=rotated)
    if packed:
        pack(rotated, packed)
    host.collect()
    host.connect(2)
    for _ in range(3):
        host.now += 1
        host.collect()
    host.settles()


def test_a_writer_that_is_not_told_to_reopen_through_two_rotations_is_followed(host: Host) -> None:
    followed(host).rename()
    host.now += 5 * HOUR
    host.connect(2, to=host.log.with_name("mail.log.1"))
    host.collect()
    host.now += 20 * HOUR
    host.rename()
    for _ in range(3):
        host.now += 5 * HOUR
        host.connect(3, to=host.log.with_name("mail.log.2"))
        host.collect()
    host.settles()


def test_what_is_added_to_a_rotated_file_after_the_first_look_is_counted_but_not_what_it_held(
    host: Host,
) -> None:
    host.write("".join(host.line(host.now) for _ in range(5)))
    rotated = host.rename()
    host.now += 5 * HOUR
    host.collect()
    for _ in range(3):
        host.now += 5 * HOUR
        host.connect(2, to=rotated)
        host.collect()
    host.settles()


def test_a_clock_that_is_set_back_makes_no_rotated_file_a_new_one(host: Host) -> None:
    followed(host).connect(5)
    pack(host.rename(), ".gz")
    host.collect()
    host.now -= 10 * HOUR
    for _ in range(30):
        host.now += 10 * MINUTE
        host.collect()
    assert host.counted == dict(host.truth)


@pytest.mark.parametrize("fails", ["while it is read", "at the commit"])
def test_what_a_look_that_failed_did_not_count_is_counted_by_the_next(
    host: Host, fails: str
) -> None:
    rotated = followed(host).rename()
    host.connect(1)
    host.collect()
    host.collect()
    host.connect(2, to=rotated)
    positions = bookmark(host.ledger.bookmark(host.follower.bookmark_key))
    pieces = [read(piece) for piece in host.follower.pieces(positions, host.now, host.now)]
    if fails == "at the commit":
        host.follower.bookmark_after(positions, pieces, host.now)
    host.collect()
    assert host.counted == dict(host.truth)


# ---- files that are none of it --------------------------------------------------------------


@pytest.mark.parametrize("name", ["mail.log.bak", "mail.log.save.gz"])
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("when", ["before", "unread", "rotated"])
def test_a_copy_of_the_log_beside_it_is_never_counted(
    host: Host, name: str, packed: str, when: str
) -> None:
    copy = host.log.with_name(name)
    copying = gzip.compress if name.endswith(".gz") else bytes

    def made(moment: str) -> None:
        if when == moment:
            copy.write_bytes(copying(host.log.read_bytes()))
            os.utime(copy, (host.now, host.now))

    followed(host)
    made("before")
    host.connect(5)
    made("unread")
    host.now += 30
    host.connect(6)
    rotated = host.rename()
    host.connect(1)
    made("rotated")
    if packed:
        pack(rotated, packed)
    host.now += 30
    host.connect(2)
    host.collect()
    host.rename()
    host.connect(3)
    host.settles()


def test_rotated_files_from_before_the_first_look_are_not_counted(host: Host) -> None:
    host.write("".join(host.line(host.now) for _ in range(5)))
    host.rename()
    host.collect()
    host.collect()
    host.connect(2)
    host.collect()
    host.rename()
    host.connect(3)
    host.settles()


# ---- names ----------------------------------------------------------------------------------


def test_a_log_that_is_not_there_yet_is_counted_when_it_appears(host: Host) -> None:
    for _ in range(2):
        with pytest.raises(SourceError, match=r"mail\.log is not there") as caught:
            host.collect()
        assert caught.value.status == 66
        host.now += 1
    host.connect(5)
    host.settles()


def test_a_log_that_is_away_between_two_rotation_steps_loses_nothing(host: Host) -> None:
    followed(host).connect(5)
    host.rename(create=False)
    with pytest.raises(SourceError):
        host.collect()
    host.now += HOUR
    host.connect(6)
    host.settles()


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_the_log_may_be_a_symbolic_link(host: Host, packed: str) -> None:
    real = host.folder / "data" / "postfix.log"
    real.parent.mkdir()
    host.log.symlink_to(real)
    followed(host).connect(5)
    rotated = real.rename(real.with_name("postfix.log.1"))
    if packed:
        pack(rotated, packed)
    host.now += 5
    host.connect(6)
    host.settles()


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("days", [1, 3])
@pytest.mark.parametrize("name", ["mail-2026-11-{}.log", "202611{}", "2026.11.{}/mail.log"])
def test_the_log_may_be_a_link_to_another_file_each_day(
    host: Host, packed: str, days: int, name: str
) -> None:
    if days > 1 and "/" in name:
        pytest.skip("only the last one is found in another folder")

    def point(day: int) -> Path:
        target = host.folder / "data" / name.format(day)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        host.log.unlink(missing_ok=True)
        host.log.symlink_to(target)
        return target

    target = point(10)
    followed(host).connect(5)
    for day in range(11, 11 + days):
        if packed:
            pack(target, packed)
        target = point(day)
        host.now += DAY
        host.connect(day)
    host.settles()


def test_the_offset_file_names_the_log_and_a_place_that_was_read(host: Host) -> None:
    followed(host)
    inode, offset = (host.state / "mail.log.offset").read_text().split()
    status = host.log.stat()
    assert int(inode) == status.st_ino
    assert 0 < int(offset) <= status.st_size


# ---- rotation while it is being read --------------------------------------------------------


def test_a_log_that_is_rotated_all_the_while_loses_and_doubles_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path, now=int(time.time()), grace=600)
    host.log.touch()
    host.collect()
    lines: list[str] = [host.lines(1) for _ in range(6000)]
    finished = threading.Event()

    def write() -> None:
        for number, text in enumerate(lines):
            with open(host.log, "a", encoding="ascii") as file:
                file.write(text)
            if number % 500 == 499:
                host.shift()
                host.log.rename(host.log.with_name("mail.log.1"))
                host.log.touch()
                if number % 1000 == 999:
                    pack(host.log.with_name("mail.log.2"), ".gz")
        finished.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not finished.is_set():
        host.now = int(time.time())
        try:
            host.collect()
        except SourceError:  # between the two steps of a rotation
            continue
    writer.join()
    host.now = int(time.time())
    host.collect()
    assert sum(host.counted.values()) == len(lines)
    assert not any(step.gaps for step in host.steps)


def test_a_log_that_is_rotated_during_the_first_look_is_followed(host: Host) -> None:
    host.write(host.line(host.now))
    pieces = host.follower.pieces((), host.now, host.now)
    (piece,) = map(read, pieces)
    host.connect(2)
    host.rename()
    host.connect(3)
    with host.ledger.transaction():
        host.ledger.set_bookmark(
            host.follower.bookmark_key, host.follower.bookmark_after((), [piece], host.now)
        )
    host.settles()


@pytest.mark.parametrize("times", [0, 50])
def test_a_log_that_is_truncated_while_it_is_read_is_read_again(host: Host, times: int) -> None:
    followed(host).connect(5)
    positions = bookmark(host.ledger.bookmark(host.follower.bookmark_key))
    pieces = host.follower.pieces(positions, host.now, host.now)
    piece = next(pieces)
    host.copytruncate()
    if times:
        host.connect(times)
    read(piece)
    with pytest.raises(
        SourceError, match="was truncated while it was read; the next reading counts it"
    ):
        next(pieces)
    host.settles()


def test_a_log_that_gets_its_first_lines_while_it_is_read_is_known_by_them(host: Host) -> None:
    host.touch()
    for piece in host.follower.pieces((), host.now, host.now):
        host.connect(3)
        read(piece)
    (position,) = host.follower.bookmark_after((), [piece], host.now)

    assert position.offset == host.log.stat().st_size and position.length == min(
        position.offset, 1024
    )


def test_an_import_leaves_the_unfinished_line_of_a_followed_file_to_the_bookmark(
    host: Host,
) -> None:
    followed(host)
    text = host.lines(1)
    host.write(text[:-1])
    rotated = host.rename()
    host.collect()
    host.take(rotated)
    host.write(text[-1:], rotated)
    host.settles()


# ---- the programs that rotate ---------------------------------------------------------------

CONFIGURATIONS = {
    "create": "create",
    "delaycompress": "create compress delaycompress",
    "compress": "create compress",
    "xz": "create compress compresscmd /usr/bin/xz compressext .xz",
    "dateext": "create dateext dateformat -%Y%m%d-%s",
    "dateext compress": "create dateext compress",
    "copytruncate": "copytruncate",
    "copytruncate compress": "copytruncate compress",
    "copytruncate delaycompress dateext": "copytruncate compress delaycompress dateext",
    "nocreate": "nocreate",
    "olddir": "create",
}


def log_now(host: Host, times: int) -> None:
    """Log with rsyslog's microseconds: logs that are rotated in one second begin otherwise."""
    at = time.time()
    host.now = int(at)
    stamp = datetime.fromtimestamp(at, timezone.utc).isoformat()
    with open(host.log, "a", encoding="ascii") as file:
        file.write(host.lines(times).replace(rfc3339(host.now), stamp))


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_logrotate_loses_and_doubles_nothing(tmp_path: Path, name: str) -> None:
    if name == "xz" and not shutil.which("/usr/bin/xz"):
        pytest.skip("not installed: xz")
    host = Host(tmp_path, now=int(time.time()))
    words = CONFIGURATIONS[name].replace(" compress", "\ncompress").replace(" ", "\n")
    for setting in ("compresscmd", "compressext", "dateformat"):
        words = words.replace(f"{setting}\n", f"{setting} ")
    configuration = tmp_path / "logrotate.conf"
    configuration.write_text(f"{host.log} {{\nrotate 9\n{words}\n}}\n")
    configuration.chmod(0o644)
    host.log.parent.chmod(0o755)

    def rotate() -> None:
        command = [str(LOGROTATE), "-f", "-s", str(tmp_path / "status"), str(configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def connect(times: int) -> None:
        log_now(host, times)

    connect(40)
    host.collect()
    connect(5)
    rotate()
    connect(6)
    host.collect()
    assert sum(host.counted.values()) == 51
    connect(7)
    if "dateext" not in name:
        rotate()
        connect(8)
        rotate()
    connect(9)
    host.collect()
    host.collect()
    assert host.counted == dict(host.truth)
    assert not any(step.gaps for step in host.steps)


@pytest.mark.skipif(SAVELOG is None, reason="savelog is not installed")
@pytest.mark.parametrize("options", [[], ["-l"], ["-n"], ["-j"], ["-C"], ["-d"]])
def test_savelog_loses_and_doubles_nothing(tmp_path: Path, options: list[str]) -> None:
    if "-j" in options and not shutil.which("bzip2"):
        pytest.skip("not installed: bzip2")
    host = Host(tmp_path, now=int(time.time()))

    def rotate() -> None:
        done = subprocess.run(
            [str(SAVELOG), "-p", *options, str(host.log)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        host.log.touch()

    def connect(times: int) -> None:
        log_now(host, times)

    connect(4)
    host.collect()
    for times in (5, 6):
        connect(times)
        rotate()
        connect(1)
        host.collect()
    connect(7)
    rotate()
    if "-d" not in options:
        connect(8)
        rotate()
    connect(9)
    host.collect()
    assert host.counted == dict(host.truth)
    assert not any(step.gaps for step in host.steps)


# ---- any history ----------------------------------------------------------------------------


class Histories(RuleBasedStateMachine):
    """Anything that is done to a log, in any order, by a writer that keeps it open."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.host = Host(Path(self.folder.name))
        self.host.touch()
        self.writer = open(self.host.log, "a", encoding="ascii")  # noqa: SIM115
        self.pending = ""
        self.pending_at: int | None = None
        self.unread: list[int] = []
        """Since the last look, in the file that was the log then."""
        self.lost: list[int] = []
        self.windows: list[tuple[int, int]] = []
        self.losing = False
        self.seen = self.host.now
        self.bookmarked = False
        """The last look found a line by which the log can be known again."""
        self.rotations = self.names = self.chats = 0
        self.generations = has_generations(self.host.folder)

    @initialize(grace=st.sampled_from([10, 10**7]), dated=st.booleans())
    def begin(self, grace: int, dated: bool) -> None:
        self.dated = dated
        self.host.rules = self.host.rules._replace(grace=grace)
        self.host.collect()  # counts what the log holds now, and no file rotated before

    # ---- the writer ----

    def say(self, text: str) -> None:
        self.writer.write(text)
        self.writer.flush()
        os.utime(self.writer.fileno(), (self.host.now, self.host.now))

    @property
    def stale(self) -> bool:
        return not os.path.samestat(os.fstat(self.writer.fileno()), os.stat(self.host.log))

    @rule(times=st.integers(1, 4))
    def connect(self, times: int) -> None:
        self.finish()
        self.say(self.host.lines(times))
        self.unread += [] if self.stale else [self.host.now] * times

    @rule()
    def chat(self) -> None:
        self.finish()
        self.chats += 1
        self.say(
            line(
                rfc3339(self.host.now),
                f"{self.chats:X}: client=unknown[192.0.2.7]",
                "postfix/smtpd",
            )
        )

    @rule(cut=st.integers(1, 170))
    def begin_a_line(self, cut: int) -> None:
        self.finish()
        text = self.host.line(self.host.now)
        self.say(text[:cut])
        self.pending, self.pending_at = text[cut:], self.host.now

    @rule()
    def finish(self) -> None:
        if self.pending:
            self.say(self.pending)
            if self.pending_at is not None:
                self.host.truth[self.pending_at - self.pending_at % MINUTE] += 1
                self.unread += [] if self.stale else [self.pending_at]
        self.pending = ""

    @rule()
    def reopen(self) -> None:
        if self.stale:
            self.host.now += 1
            self.finish()
            self.writer.close()
            self.writer = open(self.host.log, "a", encoding="ascii")  # noqa: SIM115

    # ---- the clock and the program ----

    @rule(seconds=st.sampled_from([1, 5, 30, 70, 600, 5 * HOUR]))
    def wait(self, seconds: int) -> None:
        if seconds > 60:
            self.finish()
        self.host.now += seconds

    @rule(seconds=st.sampled_from([0, 1, 20]))
    def collect(self, seconds: int) -> None:
        self.host.now += seconds
        self.host.collect()
        if self.losing:
            self.windows.append((self.seen, self.host.now))
        self.losing, self.seen, self.unread, self.rotations = False, self.host.now, [], 0
        self.bookmarked = b"\n" in self.host.log.read_bytes()

    @rule()
    def restart(self) -> None:
        self.host.restart()

    # ---- what is done to the log ----

    @rule(told=st.booleans())
    def rename(self, told: bool) -> None:
        self.host.rename(self.next_name(told))

    @rule(told=st.booleans())
    def copy_and_truncate(self, told: bool) -> None:
        self.host.copytruncate(self.next_name(told))

    def next_name(self, told: bool) -> str:
        """The writer may not know of the rotations before this one."""
        if told:
            self.reopen()
        self.rotations += 1
        self.names += 1
        self.host.now += 1
        return f"-20261124-{START + self.names}" if self.dated else ".1"

    @rule(suffix=st.sampled_from(sorted(PACK)))
    def compress(self, suffix: str) -> None:
        for path in sorted(self.host.log.parent.iterdir()):
            unused = not os.path.samestat(path.stat(), os.fstat(self.writer.fileno()))
            # A file without one whole line cannot be known again when it is compressed.
            if (
                path != self.host.log
                and path.suffix not in (*PACK, ".bak")
                and unused
                and b"\n" in path.read_bytes()
            ):
                for half in PACK:
                    path.with_name(path.name + half).unlink(missing_ok=True)
                self.remove(path, by=lambda path: pack(path, suffix))
                return

    @rule(suffix=st.sampled_from(sorted(PACK)))
    def compress_by_half(self, suffix: str) -> None:
        for path in sorted(self.host.log.parent.iterdir()):
            half = path.with_name(path.name + suffix)
            if path != self.host.log and path.suffix not in (*PACK, ".bak") and not half.exists():
                packed = PACK[suffix](path.read_bytes())
                half.write_bytes(packed[: len(packed) // 2])
                os.utime(half, (self.host.now, self.host.now))
                return

    @rule()
    def copy_aside(self) -> None:
        copy = self.host.log.with_name("mail.log.bak")
        copy.write_bytes(self.host.log.read_bytes())
        os.utime(copy, (self.host.now, self.host.now))

    @rule()
    def expire(self) -> None:
        """Rotated files that have been read are deleted."""
        self.reopen()
        self.finish()
        self.collect(0)
        for path in self.host.log.parent.iterdir():
            if path != self.host.log:
                self.remove(path)

    def remove(self, path: Path, by: Callable[[Path], object] = Path.unlink) -> None:
        """Its inode is free then, but where nothing could tell it from what it was."""
        if not self.generations:
            os.link(path, self.host.folder / f"{time.monotonic_ns()}")
        by(path)

    @precondition(lambda self: self.bookmarked and not self.rotations and not self.stale)
    @rule(how=st.sampled_from(["truncate", "delete", "rotate away"]))
    def lose(self, how: str) -> None:
        for at in self.unread:
            self.host.truth[at - at % MINUTE] -= 1
        self.lost += [at for at in self.unread if at >= self.seen]
        self.host.truth = +self.host.truth
        self.losing = True
        self.rotations += 1
        self.unread = []
        self.host.log.with_name("mail.log.bak").unlink(missing_ok=True)  # else nothing were lost
        if how == "truncate":
            self.host.truncate()
            self.pending_at = None
        else:
            self.pending = ""
            self.remove(self.host.log)
            self.host.touch()
            self.reopen()
            if how == "rotate away":
                self.chat()

    # ---- what must be true ----

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        assert sum(self.host.counted.values()) <= sum(self.host.truth.values())

    def teardown(self) -> None:
        host = self.host
        try:
            self.reopen()
            self.finish()
            self.collect(0)
            late = any(step.omitted["late"] for step in host.steps)
            host.now += 2 * HOUR
            host.collect()
            host.now += 60 + host.rules.grace
            host.collect()
            if late:
                assert sum(host.counted.values()) == sum(host.truth.values())
                return
            assert host.counted == dict(host.truth)
            rows = dict(host.rows())
            assert {at: count for at, count in rows.items() if count} == dict(host.truth)
            unknown = {at for at, count in rows.items() if count is None}
            assert not {at - at % MINUTE for at in self.lost} & set(rows) - unknown - set(
                host.truth
            )
            assert all(
                any(seen - MINUTE < at <= now for seen, now in self.windows) for at in unknown
            )
        finally:
            self.writer.close()
            host.ledger.__exit__(None, None, None)
            self.folder.cleanup()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    # `make nightly` tries more. What fails is printed, with how to have it again.
    print_blob=True,
    stateful_step_count=40,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# ---- the command line -----------------------------------------------------------------------


def command(folder: Path, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = [
        "--state-dir",
        str(folder / "state"),
        "--log",
        str(folder / "mail.log"),
        "--config",
        os.devnull,
    ]
    return subprocess.run(
        [sys.executable, "-m", "dane_mailgraph", verb, *options, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_counts_through_a_rotation_and_says_nothing(folder: Path) -> None:
    log = folder / "mail.log"

    def connect(times: int) -> None:
        with log.open("a", encoding="ascii") as file:
            file.write(line(rfc3339(int(time.time()))) * times)

    missing = command(folder, "collect")
    assert missing.returncode == 66 and missing.stderr.count("\n") == 1
    connect(3)
    assert command(folder, "collect", "-v").stdout.count("counted 3 connections\n") == 1
    connect(4)
    pack(log.rename(folder / "mail.log.1"), ".gz")
    connect(5)
    done = command(folder, "collect", "-v")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("counted 9 connections\n") == 1
    assert command(folder, "collect", "-v").stdout.count("counted 0 connections\n") == 1


def test_the_command_says_what_is_lost_in_one_sentence(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text(line(rfc3339(int(time.time()))))
    assert command(tmp_path, "collect").returncode == 0
    log.write_text("")
    done = command(tmp_path, "collect")
    assert done.returncode == 0
    assert done.stderr.startswith("dane-mailgraph: The log from ") and done.stderr.count("\n") == 1
