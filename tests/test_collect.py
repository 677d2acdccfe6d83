"""However a log is cut, followed, imported or both: each connection is counted once, in its own interval."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from host import PACK, START, VERIFIED, Host, line, pack, rfc3339
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.report import totals
from dane_mailgraph.series import ARCHIVES

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def traffic(host: Host, begin: int, until: int, seed: int = 1, pause: int = 300) -> list[tuple[int, str]]:
    """Lines of connections at random moments, with other lines between; the truth knows them."""
    chance = random.Random(seed)
    lines = []
    at = begin
    while at < until:
        lines.append((at, host.lines(chance.randint(1, 3), at)))
        lines.append((at, line(rfc3339(at), "disconnect from unknown[192.0.2.7]", "postfix/smtpd")))
        at += chance.randint(0, pause)
    return lines


def parts_of(host: Host, number: int, hours: int = 10) -> list[Path]:
    """Logs that follow each other, each ending with a whole interval; the last one is the log itself."""
    parts = []
    length = hours * HOUR // number // MINUTE * MINUTE
    end = host.now
    for n in range(number):
        begin = end - (number - n) * length
        path = host.log if n == number - 1 else host.log.with_name(f"mail.log.{number - 1 - n}")
        path.write_text("".join(text for _, text in traffic(host, begin, begin + length, seed=n)))
        os.utime(path, (begin + length - 1, begin + length - 1))
        parts.append(path)
    return parts


# ---- one log, read in any way ---------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 4000), max_size=30))
def test_a_log_that_is_read_in_any_pieces_gives_the_same_counts(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int]
) -> None:
    host = Host(tmp_path_factory.mktemp("host"), grace=10**7)
    text = "".join(text for _, text in traffic(host, START - 2 * HOUR, START, seed))
    position = 0
    for cut in [*cuts, len(text)]:
        host.write(text[position : position + cut])
        position += cut
        host.collect()
        host.now += 1
    host.now += host.rules.grace + MINUTE
    host.collect()
    assert host.counted == dict(host.truth)
    assert {at: n for at, n in host.rows() if n} == dict(host.truth)


def test_a_second_reading_counts_nothing(host: Host) -> None:
    host.connect(5)
    assert host.collect().counted == 5
    for _ in range(3):
        assert host.collect().counted == 0
        host.restart()
    host.settles()


@settings(deadline=None, max_examples=20)
@given(order=st.permutations(range(12)))
def test_the_order_of_the_lines_within_an_interval_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    host = Host(tmp_path_factory.mktemp("host"))
    host.now += 59
    host.write("".join(host.lines(1, START + 5 * n) for n in order))
    host.settles()


@pytest.mark.parametrize("step", [10, 60, 300])
def test_what_is_written_is_read_back_at_every_resolution(tmp_path: Path, step: int) -> None:
    host = Host(tmp_path, step=step)
    old = host.folder / "old.log"
    begin = START - 12 * DAY
    old.write_text("".join(text for _, text in traffic(host, begin, START, pause=3000)))
    host.take(old)
    host.now += HOUR
    last = host.store.last or 0
    for row, _ in ARCHIVES:
        seconds = row or step
        since = begin - begin % seconds
        until = last - last % seconds + seconds
        rows = host.store.rows(seconds, since, until)
        truth = Counter[int]()
        for at, count in host.truth.items():
            truth[at - at % seconds] += count
        found = {since + n * seconds: each.counts[VERIFIED] or 0 for n, each in enumerate(rows)}
        assert {at: count for at, count in found.items() if count} == dict(truth)


# ---- following and importing ----------------------------------------------------------------


def test_following_and_importing_give_the_same_counts(tmp_path: Path) -> None:
    followed, imported = Host(tmp_path / "followed"), Host(tmp_path / "imported")
    begin = START - 3 * HOUR
    followed.now = begin
    followed.touch()
    followed.collect()
    for at, text in traffic(followed, begin, START):
        followed.now = at
        followed.write(text)
        followed.collect()
    followed.now = START + HOUR
    followed.collect()
    imported.now = START + HOUR
    imported.take(followed.log)
    assert imported.counted == followed.counted == dict(followed.truth)
    known = dict(imported.rows())
    assert known.items() <= dict(followed.rows()).items()
    assert len(known) >= (START - begin) // MINUTE - 5


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(range(5)), packed=st.lists(st.sampled_from(["", *PACK]), min_size=5, max_size=5))
def test_importing_the_parts_in_any_order_is_importing_the_whole(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], packed: list[str]
) -> None:
    host = Host(tmp_path_factory.mktemp("host"))
    parts = parts_of(host, 5)
    parts = [pack(part, suffix) if suffix and part != host.log else part for part, suffix in zip(parts, packed, strict=True)]
    step = host.take(*(parts[n] for n in order))
    assert (step.counted, step.skipped, step.late) == (sum(host.truth.values()), 0, 0)
    assert host.counted == dict(host.truth)
    host.settles()


@pytest.mark.parametrize("suffix", ["", *PACK])
def test_importing_twice_counts_nothing_twice(host: Host, suffix: str) -> None:
    old, _ = parts_of(host, 2)
    total = sum(host.truth.values())
    host.log.unlink()
    old = pack(old, suffix) if suffix else old
    first = host.take(old)
    again = host.take(old)
    assert again.counted == 0 and again.skipped == first.counted
    assert host.ledger.get("skipped") == again.skipped
    assert sum(host.counted.values()) == first.counted < total


@pytest.mark.parametrize("times", [1, 3, 2000])
def test_the_same_log_under_several_names_is_counted_once(host: Host, times: int) -> None:
    old = host.folder / "old.log"
    old.write_text("".join(host.lines(1, START - 2 * times + n) for n in range(times)))
    names = [old]
    for suffix, packer in PACK.items():
        copy = host.folder / f"copy{suffix}"
        copy.write_bytes(packer(old.read_bytes()))
        names.append(copy)
    link = host.folder / "link"
    link.symlink_to(old)
    hard = host.folder / "hard"
    hard.hardlink_to(old)
    step = host.take(*names, link, hard, old)
    assert step.counted == times
    assert host.counted == dict(host.truth)


@pytest.mark.parametrize("longer_first", [False, True])
def test_a_shorter_copy_of_a_log_adds_nothing(host: Host, longer_first: bool) -> None:
    whole, part = host.folder / ("a" if longer_first else "b"), host.folder / ("b" if longer_first else "a")
    text = "".join(host.lines(1, START - 600 + n) for n in range(50))
    whole.write_text(text)
    part.write_text("".join(text.splitlines(keepends=True)[:20]))
    host.take(part, whole)
    assert host.counted == dict(host.truth)


def test_logs_that_begin_with_the_same_line_are_two_logs(host: Host) -> None:
    header = line(rfc3339(START - 600), "reload -- version 3.9.1", "postfix/postfix-script")
    for name in ("a", "b"):
        (host.folder / name).write_text(header + host.lines(3, START - 500))
    host.take(host.folder / "a", host.folder / "b")
    assert host.counted == dict(host.truth)


@pytest.mark.parametrize("second", [0, 29, 59])
@pytest.mark.parametrize("others", [0, 2])
def test_importing_the_live_log_leaves_its_bookmark_in_the_middle_of_an_interval(host: Host, second: int, others: int) -> None:
    parts = parts_of(host, 1 + others)
    host.now += second
    host.connect(3)
    host.take(*parts)
    host.connect(4)
    host.collect()
    assert host.counted == dict(host.truth)
    host.settles()


def test_importing_the_live_log_with_a_copy_of_it_counts_it_once(host: Host) -> None:
    host.connect(3)
    copy = host.log.with_name("mail.log.copy")
    copy.write_bytes(host.log.read_bytes())
    host.connect(2)
    host.take(copy, host.log)
    host.connect(1)
    host.settles()


def test_importing_the_live_log_again_counts_nothing_twice(host: Host) -> None:
    host.connect(3)
    host.collect()
    host.now += 5
    host.connect(2)
    step = host.take(host.log)
    assert step.counted == 0 and step.skipped == 5
    host.connect(1)
    host.settles()


def test_a_live_log_with_a_partial_line_is_imported_up_to_it(host: Host) -> None:
    host.connect(3)
    text = host.lines(1)
    host.write(text[:100])
    host.take(host.log)
    host.write(text[100:])
    host.settles()


def test_importing_rotated_logs_and_then_following_counts_nothing_twice(host: Host) -> None:
    *rotated, _ = parts_of(host, 3)
    host.take(*rotated)
    step = host.collect()
    assert (step.skipped, step.late) == (0, 0)
    host.connect(2)
    host.settles()


def test_what_stands_in_the_last_interval_of_an_import_is_skipped_and_reported(host: Host) -> None:
    rotated = host.log.with_name("mail.log.1")
    host.connect(3, START + 10, to=rotated)
    host.write(line(rfc3339(START + 40)) * 2)
    host.connect(4, START + 70)
    host.now += 70
    host.take(rotated)
    step = host.collect()
    assert (step.counted, step.skipped) == (4, 2)
    host.settles()


def test_importing_what_the_follower_has_not_finished_counts_it_once(host: Host) -> None:
    host.connect(3)
    host.collect()
    host.now += 20
    host.connect(4)
    rotated = host.rename()
    host.now += 5
    host.connect(5)
    step = host.take(rotated)
    assert step.counted == 0 and step.skipped == 7
    host.collect()
    host.settles()


def test_an_import_that_fails_counts_nothing(host: Host) -> None:
    parts = parts_of(host, 2)
    broken = host.folder / "broken.gz"
    broken.write_bytes(PACK[".gz"](parts[0].read_bytes())[:-20])
    with pytest.raises(Exception, match="cannot be unpacked"):
        host.take(parts[1], broken)
    assert not host.counted
    host.take(*parts)
    assert host.counted == dict(host.truth)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("cut", [1, 20, 1000])
def test_a_cut_log_is_not_taken_for_a_short_one(host: Host, suffix: str, cut: int) -> None:
    old = host.folder / "old.log"
    old.write_text("".join(host.lines(1, START - 5000 + n) for n in range(5000)))
    packed = pack(old, suffix)
    packed.write_bytes(packed.read_bytes()[:-cut])
    with pytest.raises(Exception, match="cut or damaged"):
        host.take(packed)


def test_packed_logs_may_have_several_parts(host: Host) -> None:
    for n, (suffix, packer) in enumerate(PACK.items()):
        halves = [host.lines(2, START - 900 + 100 * n), host.lines(3, START - 900 + 100 * n + 50)]
        (host.folder / f"old{suffix}").write_bytes(b"".join(packer(half.encode()) for half in halves))
    host.take(*(host.folder / f"old{suffix}" for suffix in PACK))
    assert host.counted == dict(host.truth)


# ---- the command line -----------------------------------------------------------------------


def command(folder: Path, verb: str, *arguments: str, given: bytes = b"") -> str:
    options = ["--state-dir", str(folder / "state"), "--log", str(folder / "mail.log"), "--config", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "dane_mailgraph", verb, *options, *arguments], input=given, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def verified(folder: Path, since: int, until: int) -> int | None:
    said = json.loads(command(folder, "report", "--format", "json", "--since", str(since), "--until", str(until)))
    count: int | None = said["connections"]["verified"]
    return count


@pytest.mark.parametrize("suffix", ["", *PACK])
def test_standard_input_may_be_a_log_packed_or_not(tmp_path: Path, suffix: str) -> None:
    now = int(time.time())
    text = (line(rfc3339(now - 600)) * 700 + line(rfc3339(now - 500)) * 800).encode()
    said = command(tmp_path, "import", "-", given=PACK[suffix](text) if suffix else text)
    assert said == "counted 1,500 connections\n"
    assert verified(tmp_path, now - 601, now) == 1500


def test_a_rebuilt_store_holds_just_what_the_logs_hold_and_the_old_one_is_kept(tmp_path: Path) -> None:
    now = int(time.time()) // MINUTE * MINUTE - 600
    old, log = tmp_path / "old.log", tmp_path / "mail.log"
    old.write_text(line(rfc3339(now - 2 * HOUR)) * 3)
    log.write_text(line(rfc3339(now)) * 4)
    command(tmp_path, "collect")
    assert verified(tmp_path, now - 3 * HOUR, now + MINUTE) == 4
    assert command(tmp_path, "import", "--rebuild", str(old), str(log)) == "counted 7 connections\n"
    assert verified(tmp_path, now - 3 * HOUR, now - HOUR) == 3
    assert verified(tmp_path, now, now + MINUTE) == 4
    with log.open("a", encoding="ascii") as file:
        file.write(line(rfc3339(int(time.time()))) * 5)
    assert command(tmp_path, "collect", "-v").rstrip().count("5 connections") == 1
    kept = [path.name for path in (tmp_path / "state").iterdir() if ".aside" in path.name]
    assert any(name.startswith("ledger.sqlite") for name in kept) and any(name.startswith("outbound.rrd") for name in kept)


def test_what_was_never_read_is_null_in_the_report(tmp_path: Path) -> None:
    now = int(time.time())
    (tmp_path / "mail.log").write_text(line(rfc3339(now)) * 4)
    command(tmp_path, "collect")
    assert verified(tmp_path, now - DAY, now - HOUR) is None
    assert verified(tmp_path, now - 60, now + 60) == 4


def test_a_gap_that_is_not_in_the_rrd_yet_is_null_too(host: Host) -> None:
    host.rules = host.rules._replace(grace=10**6)
    host.connect(4)
    host.collect()
    host.now += HOUR
    os.truncate(host.log, 0)
    host.connect(2)
    host.collect()
    found = totals(host.store, host.ledger, START + 10 * MINUTE, START + 20 * MINUTE)
    assert set(found.totals.values()) == {None}
