"""However a log is cut, ordered, packed or read again, each of its connections is counted once."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from host import START, TEXT, VERIFIED, Host, line, pack, rfc3339
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.answer.report import totals
from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.cli import command_line
from dane_mailgraph.counting import Import, remarks
from dane_mailgraph.errors import StoreError
from dane_mailgraph.log import FollowedFile, LogFile

pytestmark = pytest.mark.slow

MINUTE, HOUR, DAY = 60, 3600, 86400

TEXTS = (
    TEXT,
    *(TEXT.replace("Verified", status) for status in ("Trusted", "Untrusted", "Anonymous")),
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def verified(host: Host, since: int, until: int) -> int | None:
    return totals(host.store.rrd, host.ledger, since, until).totals[BY_KEY["connections.verified"]]


def everything(
    host: Host,
) -> tuple[list[tuple[int, tuple[int | None, ...]]], list[tuple[int, int | None]]]:
    """The ledger's counts of all categories, and the RRD's rows."""
    return list(host.ledger.intervals(0, 1 << 40)), list(host.rows())


# ---- polls, parts, orders -------------------------------------------------------------------


class Logged(NamedTuple):
    """A line that is written."""

    after: int
    """Seconds since the one before it was."""
    lag: int
    """Seconds since its stamp."""
    cut: int
    """Bytes of it that are there when the log is read in between."""
    polled: bool


LOGGED = st.builds(
    Logged,
    st.one_of(st.integers(0, 15), st.integers(0, 3 * MINUTE), st.integers(0, 2 * HOUR)),
    st.integers(0, 10),
    st.integers(0, 200),
    st.booleans(),
)


def written(host: Host, lines: list[Logged], *, poll: bool) -> str:
    """Write a log, and read it wherever it says so."""
    host.now += MINUTE // 2
    log = host.lines()
    host.write(log)
    for each in lines:
        host.now += each.after
        text = host.lines(at=host.now - each.lag)
        log += text
        host.write(text[: each.cut])
        if poll and each.polled:
            host.collect()
        host.write(text[each.cut :])
    return log


@settings(max_examples=25)
@given(lines=st.lists(LOGGED, max_size=20))
def test_any_polls_are_one_poll_are_one_import(lines: list[Logged]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        many, one, imported = (Host(Path(folder) / name) for name in ("many", "one", "imported"))
        written(many, lines, poll=True)
        log = written(one, lines, poll=False)
        many.settles()
        one.settles()
        whole = imported.folder / "whole"
        whole.write_text(log)
        imported.now = one.now
        imported.take(whole)

        assert sum(step.omitted["late"] for step in many.steps) == 0
        assert everything(many) == everything(one)
        counts, rows = everything(imported)
        assert counts == everything(one)[0]
        assert rows == everything(one)[1][: len(rows)]
        assert {start: count for start, count in rows if count} == dict(one.truth)


@settings(max_examples=25)
@given(
    lines=st.lists(LOGGED, max_size=20),
    cuts=st.lists(st.integers(0, 20), max_size=4),
    chance=st.randoms(),
)
def test_parts_in_any_order_are_the_whole(
    lines: list[Logged], cuts: list[int], chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Host(Path(folder) / "whole"), Host(Path(folder) / "parts")
        log = written(whole, lines, poll=False).splitlines(keepends=True)
        logs = []
        borders = [0, *sorted(cuts), len(log)]
        for number, (begin, end) in enumerate(pairwise(borders)):
            logs.append(path := parts.folder / f"part{number}")
            content = "".join(log[begin:end]).encode()
            path.write_bytes(gzip.compress(content) if chance.random() < 0.5 else content)
        chance.shuffle(logs)
        parts.now = whole.now
        whole.take(whole.folder / "log" / "mail.log")
        parts.take(*logs)
        for each in (whole, parts):
            each.now += DAY // 2
            each.collect() if each is whole else None
        counts, rows = everything(parts)

        assert counts == everything(whole)[0]
        assert rows == everything(whole)[1][: len(rows)]
        assert parts.counted == dict(whole.truth)


@settings(max_examples=25)
@given(
    intervals=st.lists(
        st.lists(st.tuples(st.integers(0, 59), st.sampled_from(TEXTS)), min_size=1, max_size=6),
        max_size=5,
    ),
    chance=st.randoms(),
)
def test_the_order_of_lines_within_an_interval_is_nothing(
    intervals: list[list[tuple[int, str]]], chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name in ("one", "other"):
            host = Host(Path(folder) / name)
            for number, lines in enumerate(intervals):
                host.now = START + number * MINUTE + 59
                host.write(
                    "".join(
                        line(rfc3339(START + number * MINUTE + second), text)
                        for second, text in lines
                    )
                )
                chance.shuffle(lines)
            host.touch()
            host.now += 2 * MINUTE
            host.collect()
            found.append(everything(host))
        assert found[0] == found[1]


# ---- nothing twice --------------------------------------------------------------------------


def test_import_of_the_live_log_leaves_its_bookmark(host: Host) -> None:
    host.now += 20
    host.connect(3)
    text = host.lines()
    host.write(text[:70])
    assert host.take(host.log).counted == 3
    host.write(text[70:])
    host.now += 5
    host.connect(4)
    step = host.collect()
    assert (step.counted, step.omitted["skipped"], step.omitted["late"]) == (5, 0, 0)
    host.settles()


def test_what_is_followed_already_is_not_imported_again(host: Host) -> None:
    host.connect(3)
    host.collect()
    host.now += 5
    host.connect(4)
    step = host.take(host.log)
    assert (step.omitted["skipped"], host.steps[-1].counted) == (7, 3)
    host.connect(2)
    host.settles()


def test_a_log_that_was_imported_from_a_copy_is_followed_without_counting_twice(host: Host) -> None:
    host.connect(3)
    host.now += 2 * MINUTE + 30
    host.connect(4)
    copy = host.folder / "copy"
    shutil.copy2(host.log, copy)
    assert host.take(copy).counted == 7
    host.now += 10
    host.connect(1)  # in an interval that is counted in part
    host.now += MINUTE
    host.connect(5)
    step = host.collect()
    assert (step.counted, step.omitted["skipped"]) == (6, 7)
    host.settles()


@pytest.mark.parametrize("live", [True, False])
def test_importing_twice_counts_once_and_says_so(host: Host, live: bool) -> None:
    host.connect(3)
    host.now += 5 * MINUTE
    host.connect(4)
    log = host.log
    if not live:
        log = host.folder / "other"
        host.log.rename(log)
    assert host.take(log)[1:4] == host.take(log)._replace(counted=7)[1:4]
    again = host.take(log)
    assert (again.counted, again.omitted["skipped"]) == (0, 7)
    assert host.ledger.omitted()["skipped"] == 14
    assert host.counted == dict(host.truth)


def test_what_is_older_than_the_first_line_is_too_old_and_what_is_newer_counts(host: Host) -> None:
    host.connect(2, at=START, to=host.folder / "new")
    host.now += HOUR
    host.take(host.folder / "new")
    older = host.folder / "old"
    older.write_text(
        host.line(START - HOUR) + host.lines(1, START + 59) + host.lines(1, START + 60)
    )
    step = host.take(older)

    assert (step.counted, step.omitted["skipped"], step.omitted["too_old"]) == (2, 0, 1)
    assert any("--rebuild" in said for said in remarks(step, host.zone))
    host.agrees()


@pytest.mark.parametrize("how", ["collect", "import"])
@pytest.mark.parametrize("year", [1970, 2000])
def test_lines_from_before_the_clock_was_set_begin_nothing(how: str, year: int, host: Host) -> None:
    boot = int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp())
    host.write(host.line(boot + 3) + host.line(boot + 70) + host.lines(3))
    host.now += HOUR
    began = time.process_time()
    step = host.collect() if how == "collect" else host.take(host.log)

    assert time.process_time() - began < 2
    assert (step.counted, step.omitted["unreadable"]) == (3, 2)
    assert host.ledger.state.begin == START
    host.settles()


def test_a_stream_that_is_imported_again_and_again_counts_once(host: Host) -> None:
    lines = [host.lines(at=START + 7 * number // 2) for number in range(60)]
    host.now += HOUR
    stream = host.folder / "stream"
    for end in (*range(1, 60, 4), 60):
        stream.write_text("".join(lines[:end]))
        host.take(stream)

    host.agrees()


def test_the_same_hours_of_two_hosts_count_in_two_imports(host: Host) -> None:
    lines = [host.lines(2, at=START + 9 * number) for number in range(100)]
    one, other = host.folder / "one", host.folder / "other"
    half = [text.splitlines(keepends=True) for text in lines]
    one.write_text("".join(first for first, _ in half))
    other.write_text("".join(second.replace(" mx1 ", " mx2 ") for _, second in half))
    host.now += HOUR

    assert host.take(one).counted == 100
    assert host.take(other).counted == 100
    host.agrees()


def test_a_log_then_another_that_says_the_same_and_back_counts_once(host: Host) -> None:
    host.connect(3)
    host.collect()
    first, second = host.follower, host.folder / "log" / "other.log"
    for _ in range(3):
        host.now += 2 * MINUTE
        text = host.lines(2)
        host.write(text)
        if not second.exists():
            shutil.copy2(host.log, second)
        else:
            host.write(text, second)
        host.follower = FollowedFile(str(second), str(host.state))
        host.collect()
    host.follower = first
    host.collect()

    host.settles()


def test_lines_that_another_file_brought_first_do_not_count_again(host: Host) -> None:
    host.connect(3)
    host.collect()
    host.now += MINUTE
    later = [host.lines(2, at=host.now + 20 * number) for number in range(4)]
    ahead = host.folder / "ahead"
    ahead.write_text("".join(later[:3]))
    host.now += 3 * MINUTE
    assert host.take(ahead).counted == 6

    for text in later:  # the log itself gets them late, and a part at a time
        host.write(text)
        host.collect()
        host.restart()
    host.settles()


@pytest.mark.parametrize("lost", [20_000, 19_951, 350, 1, 64_700])
@pytest.mark.parametrize("zeros", [0, 1, 5000])
@pytest.mark.parametrize("seen", [True, False], ids=["the cut was seen", "written on at once"])
@pytest.mark.parametrize("later", [0, 300])
def test_a_log_that_lost_its_end_in_a_power_cut_is_not_counted_again(
    host: Host, lost: int, zeros: int, seen: bool, later: int
) -> None:
    host.connect(400)
    host.collect()
    size = host.log.stat().st_size
    assert size > 64_700
    os.truncate(host.log, size - lost)
    os.truncate(host.log, size - lost + zeros)
    host.now += 5
    os.utime(host.log, (host.now, host.now))
    if seen:
        assert host.collect().gaps
    host.connect(3)
    step = host.collect()
    host.now += later
    host.connect(2)
    host.collect()
    host.restart()
    host.connect()

    assert step.counted == 3
    assert step.gaps or seen
    host.now += 3 * MINUTE
    host.collect()
    assert host.counted == dict(host.truth)


@pytest.mark.parametrize("left", [70, 300, 900, 1023, 1025])
@pytest.mark.parametrize("more", [1, 5, 30])
def test_a_log_that_lost_nearly_all_and_grew_again_is_not_counted_again(
    left: int, more: int, host: Host
) -> None:
    host.connect(20)
    host.collect()
    os.truncate(host.log, left)
    host.now += 5 * MINUTE
    host.write("\n")
    host.connect(more)

    assert host.collect().counted == more
    assert host.counted == dict(host.truth)


def test_a_power_cut_between_two_lines_and_all_in_one_second(host: Host) -> None:
    lines = [host.lines(at=START) for _ in range(400)]
    host.write("".join(lines))
    host.collect()
    os.truncate(host.log, len("".join(lines[:300])))
    host.connect(3)

    assert host.collect().counted == 3
    host.settles()


@pytest.mark.parametrize("is_stale", [True, False])
def test_a_plain_file_hides_no_packed_one_of_other_content(host: Host, is_stale: bool) -> None:
    host.connect(2)
    host.collect()
    host.now += MINUTE
    host.connect(3)
    rotated = host.rename()
    kept = rotated.read_bytes()
    pack(rotated, ".gz")
    rotated.write_bytes(line(rfc3339(START - 9000)).encode() if is_stale else kept)
    old = START - 9000 if is_stale else host.now
    os.utime(rotated, (old, old))
    host.connect(1)
    host.settles()


def test_a_rotated_file_that_begins_later_than_the_log_is_imported_too(host: Host) -> None:
    host.connect(2, at=START)
    rotated = host.log.with_name("mail.log.1")
    text = host.lines(3, at=START + HOUR)
    host.write(text.replace(" mx1 ", " mx2 "), rotated)
    host.now += HOUR + MINUTE

    assert host.take(host.log, rotated).counted == 5
    host.settles()


@pytest.mark.parametrize("with_bookmark", [True, False])
def test_a_log_that_is_renamed_during_an_import_counts_once(
    host: Host, with_bookmark: bool
) -> None:
    older = host.folder / "older"
    host.write(host.lines(4), older)
    host.now += MINUTE
    host.connect(3)
    if with_bookmark:
        host.collect()
        older.write_text(older.read_text().replace(" mx1 ", " mx2 "))
    host.connect(2)

    def rename(logs: list[LogFile]) -> None:
        if not list(host.log.parent.glob("*.1")):
            host.rename()

    run = Import(host.follower, host.ledger, host.rules, host.now, progress=rename)
    run.count([str(older), str(host.log)])
    host.connect(3)
    host.settles()


@pytest.mark.parametrize("read", ["before", "after", "never"])
def test_a_line_that_is_begun_in_a_rotated_file_counts_once_though_it_is_imported(
    host: Host, read: str
) -> None:
    host.connect(2)
    host.collect()
    text = host.lines()
    if read == "before":
        host.write(text[:-4])
        host.collect()
    rotated = host.rename()
    if read != "before":
        host.write(text[:-4], rotated)
    if read == "after":
        host.collect()
    host.now += 5
    host.take(rotated, host.log)
    host.write(text[-4:], rotated)
    host.settles()


def test_one_log_under_many_names_is_one_log(host: Host) -> None:
    host.connect(3)
    host.now += 30
    host.connect(4)
    folder = host.log.parent
    for name in ("copy", "packed", "bzipped"):
        shutil.copy2(host.log, folder / name)
    names = [
        host.log,
        folder / "copy",
        pack(folder / "packed", ".gz"),
        pack(folder / "bzipped", ".bz2"),
        folder / "hard",
    ]
    os.link(host.log, names[-1])
    names += [folder / "soft", folder / "log" / ".." / "mail.log"]
    (folder / "log").mkdir()
    names[-2].symlink_to(host.log)
    host.now += 30
    host.connect(2)  # the log is longer than its copies by now
    for order in (names, names[::-1]):
        host.take(*order)
        assert host.counted == dict(host.truth)
    host.connect(2)
    host.settles()


# ---- what is read back ----------------------------------------------------------------------


def test_what_was_written_is_read_back_at_every_resolution(host: Host) -> None:
    chance = random.Random(3)
    stamps = sorted(chance.choices(range(START + 20, START + 3 * DAY), k=3000))
    log = host.folder / "log" / "other"
    log.write_text("".join(line(rfc3339(at), chance.choice(TEXTS)) for at in stamps))
    host.now = stamps[-1] + HOUR
    host.take(log)
    last, begin = host.store.rrd.last, host.ledger.state.begin
    assert last is not None and begin == stamps[0] - stamps[0] % MINUTE
    written = list(host.ledger.intervals(0, 1 << 40))
    assert sum(counts[VERIFIED] or 0 for _, counts in written) > 500

    for archive in (MINUTE, HOUR, DAY):
        start = begin - begin % archive
        truth: dict[int, list[int]] = {
            at: [0] * len(CATEGORIES) for at in range(start, last, archive)
        }
        for at, counts in written:
            for place, count in enumerate(counts):
                truth[at - at % archive][place] += count or 0
        rows = host.store.rrd.rows(archive, start, last + -last % archive)
        assert [row.counts for row in rows] == [tuple(counts) for counts in truth.values()]


def test_quiet_is_zero_and_unread_is_null(host: Host) -> None:
    host.connect(3)
    host.now += 10 * MINUTE
    host.connect(2)
    host.settles()
    assert verified(host, START, START + MINUTE) == 3
    assert verified(host, START + MINUTE, START + 10 * MINUTE) == 0
    assert verified(host, START - HOUR, START) is None
    assert verified(host, host.now + HOUR, host.now + 2 * HOUR) is None
    assert verified(host, START - HOUR, START + HOUR) == 5


@pytest.mark.parametrize(("apart", "quiet"), [(HOUR, 0), (DAY, None)])
@pytest.mark.parametrize("together", [True, False])
def test_between_two_logs_a_short_silence_is_quiet_and_a_long_one_unknown(
    host: Host, apart: int, quiet: int | None, together: bool
) -> None:
    logs = []
    for name in ("older", "newer"):
        logs.append(host.folder / name)
        host.connect(2, to=logs[-1])
        host.now += 5 * MINUTE
        host.connect(1, to=logs[-1])
        host.now += apart
    lost = [
        gap
        for paths in ([logs] if together else [logs[:1], logs[1:]])
        for gap in host.take(*paths).gaps
    ]
    end = START + 6 * MINUTE
    assert lost == ([] if quiet == 0 else [(end, START + 5 * MINUTE + apart)])
    assert host.counted == dict(host.truth)
    assert verified(host, end, START + 5 * MINUTE + apart) == quiet
    assert verified(host, START, host.now) == 6
    assert len(host.unknown()) == (0 if quiet == 0 else apart // MINUTE - 1)


def test_rebuild_counts_anew_and_keeps_the_old_store(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("DANE_MAILGRAPH_")]:
        monkeypatch.delenv(name)
    host.now = START - 300 * DAY
    older = host.log.with_name("mail.log.1")
    host.connect(4, to=older)
    host.now += 30
    host.connect(3)
    host.collect()
    host.now += 5 * MINUTE
    host.connect(2)
    host.collect()
    assert sum(host.counted.values()) == 5  # the older log is not
    host.ledger.__exit__(None, None, None)
    before = {name: (host.state / name).read_bytes() for name in ("outbound.rrd", "ledger.sqlite")}
    own = [
        "--config",
        os.devnull,
        "--time-zone",
        "UTC",
        "--state-dir",
        str(host.state),
        "--log",
        str(host.log),
    ]

    for times in (1, 2):
        assert command_line.main(["import", *own, "--rebuild", str(host.log), str(older)]) == 0
        assert "counted 9 connections" in capsys.readouterr().out
        for name, content in before.items():
            assert (host.state / f"{name}.aside-1").read_bytes() == content
            assert (host.state / f"{name}.aside-{times}").exists()
        for path in host.state.glob("ledger.sqlite*"):
            assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)

    host.start()
    assert host.counted == dict(host.truth)
    assert Counter({start: count for start, count in host.rows() if count}) == host.truth
    assert command_line.main(["import", *own, str(host.log)]) == 0
    said = capsys.readouterr().out
    assert "counted 0 connections; 5 lines skipped, because counted before\n" in said
    since, until = (str(START - 300 * DAY + after) for after in (0, HOUR))
    assert (
        command_line.main(["report", *own, "--format", "json", "--since", since, "--until", until])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["connections"]["verified"] == 9


def test_an_rrd_that_was_written_into_the_future_is_made_anew_and_later_lines_count(
    host: Host,
) -> None:
    host.connect(3)
    host.settles()
    ahead = host.now + 300 * 86400
    values = ":".join(["0"] * len(host.store.rrd.facts().sources))  # type: ignore[union-attr]
    host.store.rrd.update(iter([f"{ahead - ahead % 60}:{values}"]))

    (notice,) = host.store.reconcile(host.ledger, host.now)
    assert "ends in the future: made anew" in notice
    host.connect(2)
    host.settles()


@pytest.mark.parametrize("name", ["hosts", "sessions", "counted_elsewhere"])
@pytest.mark.parametrize("value", [[1], "x", {"a": 1}, 7])
def test_nonsense_in_the_ledger_is_a_sentence(host: Host, name: str, value: Any) -> None:
    host.connect(3)
    host.collect()
    with host.ledger.transaction():
        host.ledger.save(host.ledger.state._replace(**{name: value}))
    host.restart()
    host.connect(1)

    with pytest.raises(StoreError, match="cannot be understood"):
        host.collect()


@pytest.mark.parametrize("value", ["x", -1, 1.5, [], {}, True])
def test_a_field_of_nonsense_in_a_bookmark_is_a_sentence_or_counts_once(
    host: Host, value: object
) -> None:
    host.connect(3)
    host.collect()
    (good,) = host.ledger.bookmark(host.follower.bookmark_key)
    for index in range(len(good)):
        said = [*good[:index], value, *good[index + 1 :]]
        with host.ledger.transaction():
            host.ledger.set_bookmark(host.follower.bookmark_key, [said])
        host.restart()
        with suppress(StoreError):
            host.collect()
        assert host.counted == dict(host.truth)
        with host.ledger.transaction():
            host.ledger.set_bookmark(host.follower.bookmark_key, [good])


@pytest.mark.parametrize("value", [[1], "x", {"a": 1}, 7, [["x"]]])
def test_a_bookmark_of_nonsense_is_a_sentence(host: Host, value: object) -> None:
    host.connect(3)
    host.collect()
    with host.ledger.transaction():
        host.ledger.set_bookmark(host.follower.bookmark_key, value)

    with pytest.raises(StoreError, match="cannot be understood"):
        host.collect()
