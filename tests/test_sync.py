"""The RRD holds what the ledger counted, at every resolution, and whatever happens to its files."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import rrdtool
import torture
from bad_luck import damage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.cli.stores import lock
from dane_mailgraph.config import load
from dane_mailgraph.counts import Interval
from dane_mailgraph.errors import BusyError, StoreError
from dane_mailgraph.store import sync as stores
from dane_mailgraph.store.ledger import Gap, Ledger
from dane_mailgraph.store.rrd import OBSERVED, SOURCES
from dane_mailgraph.store.series import SPANS, UNKNOWN, together
from dane_mailgraph.store.sync import Store
from dane_mailgraph.times import DAY, HOUR

pytestmark = pytest.mark.disk

NONE = (0,) * len(CATEGORIES)
BEGIN = torture.EPOCH - torture.EPOCH % DAY + 5 * HOUR
TLS = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
LINE = f"Verified TLS connection established to mx.example[192.0.2.1]:25: {TLS}"


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with torture.small_archives():
        yield


def counts(number: int) -> tuple[int, ...]:
    """Every category another count."""
    return tuple(number * (place + 1) % 1000 for place in range(len(CATEGORIES)))


@contextmanager
def writing(folder: Path, step: int = 60) -> Iterator[tuple[Ledger, Store]]:
    folder.mkdir(exist_ok=True)
    with Ledger(str(folder / "ledger.sqlite"), writable=True) as ledger:
        yield ledger, Store(str(folder), step)


def count(
    ledger: Ledger, found: dict[int, tuple[int, ...]], until: int, gaps: tuple[Gap, ...] = ()
) -> None:
    with ledger.transaction():
        ledger.add(Interval(*each) for each in found.items())
        for gap in gaps:
            ledger.mark_gap(gap)
        begin = BEGIN if ledger.state.begin is None else ledger.state.begin
        ledger.save(ledger.state._replace(begin=begin, read_until=until))


def write(ledger: Ledger, store: Store, until: int) -> int:
    store.reconcile(ledger)
    written = store.follow(ledger, until + 10, 10)
    store.take_snapshot(ledger, until)
    return written


def filled(folder: Path, minutes: int = 200, begin: int = BEGIN) -> dict[int, tuple[int, ...]]:
    """A store of so many minutes, and what it must hold."""
    found = {begin + 60 * n: counts(n) for n in range(minutes) if n % 3}
    with writing(folder) as (ledger, store):
        count(ledger, found, begin + 60 * minutes)
        write(ledger, store, begin + 60 * minutes)
    return found


def assert_holds(
    folder: Path, found: dict[int, tuple[int, ...]], until: int, step: int = 60
) -> None:
    torture.compare(
        folder / "outbound.rrd", step, {at: list(each) for at, each in found.items()}, BEGIN, until
    )


# ---- counts -----------------------------------------------------------------------------------


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from((1, 10, 60, 300, 3600)),
    st.dictionaries(st.integers(0, 900), st.integers(0, 10**6), max_size=30),
    st.lists(st.integers(1, 400), min_size=1, max_size=4),
)
def test_what_is_counted_is_read_back_exactly_at_every_resolution(
    tmp_path_factory: pytest.TempPathFactory, step: int, made: dict[int, int], cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    found = {BEGIN + step * n: counts(number) for n, number in made.items()}
    until = BEGIN
    with writing(folder, step) as (ledger, store):
        for steps in cuts:
            begin, until = until, until + steps * step
            count(ledger, {at: each for at, each in found.items() if begin <= at < until}, until)
            assert write(ledger, store, until) == steps
        found = {at: each for at, each in found.items() if at < until}
        want = [sum(each[place] for each in found.values()) for place in range(len(CATEGORIES))]
        for archive in (step, HOUR, DAY):
            start = BEGIN - BEGIN % archive
            end = until + -until % archive
            rows = store.rrd.rows(archive, start, end)
            if start >= until - torture.SMALL["store.rrd.ARCHIVES"][0].kept or archive > step:  # type: ignore[index]
                assert list(together(rows).counts) == want, archive
    assert_holds(folder, found, until, step)


def test_quiet_is_zero_and_what_was_not_read_is_unknown(tmp_path: Path) -> None:
    gap = Gap(BEGIN + 600, BEGIN + 1200)
    with writing(tmp_path) as (ledger, store):
        count(ledger, {BEGIN: counts(1), BEGIN + 900: counts(2)}, BEGIN + 3600, (gap,))
        write(ledger, store, BEGIN + 3600)
        rows = store.rrd.rows(60, BEGIN - 120, BEGIN + 3720)
    assert rows[:2] == [UNKNOWN, UNKNOWN], "before the first line of all"
    assert rows[2].counts == counts(1)
    assert rows[3].counts == NONE
    assert rows[3].observed == 60
    assert rows[12:17] == [UNKNOWN] * 5
    assert rows[17].counts == counts(2), "what was counted is known, even in a gap"
    assert rows[18:22] == [UNKNOWN] * 4
    assert rows[22].counts == NONE
    assert rows[-2:] == [UNKNOWN, UNKNOWN], "not yet"
    assert store.rrd.rows(HOUR, BEGIN, BEGIN + HOUR)[0].observed == 3600 - 540


def test_a_log_of_scattered_days_is_exact_and_costs_no_time_by_its_years(tmp_path: Path) -> None:
    days = (0, 1, 3, 40, 41, 399, 400, 3000, 3300)
    found = {BEGIN + DAY * day + 60 * n: counts(day + n + 1) for day in days for n in (0, 1, 700)}
    until = BEGIN + DAY * 4000 + 120
    with writing(tmp_path) as (ledger, store):
        count(ledger, found, until)
        began = time.process_time()
        store.follow(ledger, until + 10, 10)
        assert time.process_time() - began < 2, "half a minute if it went interval by interval"
        assert not store.reconcile(ledger)
        with open(store.rrd.path, "r+b") as file:
            file.seek(-9, os.SEEK_END)
            file.write(b"x")
        assert len(store.reconcile(ledger)) == 1
    assert_holds(tmp_path, found, until)


def test_long_gaps_are_unknown_to_their_edges(tmp_path: Path) -> None:
    gap = Gap(BEGIN + 40 * DAY, BEGIN + 200 * DAY + 600)
    until = BEGIN + 300 * DAY
    with writing(tmp_path) as (ledger, store):
        count(ledger, {BEGIN: counts(1), BEGIN + 100 * DAY: counts(2)}, until, (gap,))
        store.follow(ledger, until + 10, 10)
        rows = store.rrd.rows(DAY, BEGIN - BEGIN % DAY, until - until % DAY)
        assert [row.observed // 60 for row in rows[:2]] == [19 * 60, 24 * 60]
        observed = [row.observed // 60 for row in rows[39:42] + rows[199:203]]
        assert observed == [24 * 60, 5 * 60, 0, 0, 24 * 60 - 310, 24 * 60, 24 * 60]
        assert rows[100].observed == 60, "what was counted is known, even in a gap"
        assert sum(row.observed for row in rows) == 60 + (until - until % DAY - BEGIN) - (
            gap.until - gap.start
        )


def test_a_new_category_joins_a_file_that_is_there_and_history_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, fewer = CATEGORIES[-1], CATEGORIES[:-1]
    with monkeypatch.context() as old:
        for name in (
            "dane_mailgraph.store.rrd",
            "dane_mailgraph.store.steps",
            "dane_mailgraph.store.ledger",
            "dane_mailgraph.store.totals",
            "test_sync",
        ):
            old.setattr(sys.modules[name], "CATEGORIES", fewer)
        for name in ("dane_mailgraph.store.rrd", "dane_mailgraph.store.sync"):
            old.setattr(
                sys.modules[name], "SOURCES", (*(each.data_source for each in fewer), OBSERVED)
            )
        old.setattr(
            "dane_mailgraph.store.schema.COLUMNS", tuple(each.data_source for each in fewer)
        )
        found = filled(tmp_path, 2000)
    assert new.data_source not in str(rrdtool.info(str(tmp_path / "outbound.rrd")))
    until = BEGIN + 60 * 2000
    with writing(tmp_path) as (ledger, store):
        store.reconcile(ledger)
        count(ledger, {until: counts(7)}, until + 120)
        write(ledger, store, until + 120)
        assert (tmp_path / "outbound.rrd.snapshot").exists()
        rows = store.rrd.rows(60, until - 600, until + 120)
        assert rows[-2].counts == counts(7)
        assert rows[0].counts == (*found.get(until - 600, NONE[:-1]), None), (
            "unknown, for it was not looked for"
        )
        os.unlink(store.rrd.path)  # and once more from the snapshot and the ledger
        store.reconcile(ledger)
        assert store.rrd.rows(60, until - 600, until + 120) == rows


# ---- files that are lost, older, or somebody else's ------------------------------------------


def lost(rrd: Path) -> None:
    rrd.unlink()


def older(rrd: Path) -> None:
    shutil.copyfile(rrd.with_name("older"), rrd)


@pytest.mark.parametrize("what", [lost, older])
@pytest.mark.parametrize("snapshot", [True, False])
def test_an_rrd_that_is_lost_or_older_is_made_anew_exactly(
    what: Callable[[Path], None], snapshot: bool, tmp_path: Path
) -> None:
    found = filled(tmp_path, 100)
    shutil.copyfile(tmp_path / "outbound.rrd", tmp_path / "older")
    until = BEGIN + 60 * (3000 if snapshot else 300)
    with writing(tmp_path) as (ledger, store):
        count(ledger, {until - 60: counts(4)}, until)
        write(ledger, store, until)
        assert os.path.exists(store.snapshot.path) == snapshot
        what(Path(store.rrd.path))
        assert len(store.reconcile(ledger)) == 1
    assert_holds(tmp_path, found | {until - 60: counts(4)}, until)


def test_without_snapshot_and_with_a_ledger_that_forgot_a_restored_rrd_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    with writing(tmp_path) as (ledger, store):
        for day in range(1, 7):
            until = BEGIN + DAY * day
            count(ledger, {until - 60: counts(day)}, until)
            write(ledger, store, until)
            if day == 5:
                shutil.copyfile(store.rrd.path, tmp_path / "backup")
        assert ledger.state.pruned_before
        os.unlink(store.snapshot.path)
        os.unlink(store.rrd.path)
        with pytest.raises(StoreError, match="restore one of them from a backup"):
            store.reconcile(ledger)
        shutil.copyfile(tmp_path / "backup", store.rrd.path)
        store.reconcile(ledger)
    assert_holds(tmp_path, {BEGIN + DAY * day - 60: counts(day) for day in range(1, 7)}, until)


def test_an_rrd_whose_ledger_is_lost_is_counted_on(tmp_path: Path) -> None:
    found = filled(tmp_path)
    os.unlink(tmp_path / "ledger.sqlite")
    until = BEGIN + 60 * 200
    with writing(tmp_path) as (ledger, store):
        (notice,) = store.reconcile(ledger)
        assert ledger.state.already_counted_until == until
        assert "counting goes on" in notice
        count(ledger, {until: counts(9)}, until + 60)
        with ledger.transaction():
            ledger.save(
                ledger.state._replace(rrd_until=until + 60, rrd_mtime_ns=None)
            )  # killed before the first update after it
        store.reconcile(ledger)
        write(ledger, store, until + 60)
    assert_holds(tmp_path, found | {until: counts(9)}, until + 60)


def test_when_only_the_snapshot_is_left_it_is_the_store(tmp_path: Path) -> None:
    found = filled(tmp_path, 2000)
    for name in ("ledger.sqlite", "outbound.rrd"):
        os.unlink(tmp_path / name)
    with writing(tmp_path) as (ledger, store):
        store.reconcile(ledger)
    assert_holds(tmp_path, found, BEGIN + 60 * 2000)


def test_the_ledger_forgets_only_what_an_older_snapshot_holds_too(tmp_path: Path) -> None:
    with writing(tmp_path) as (ledger, store):
        for day in range(1, 9):
            until = BEGIN + DAY * day
            count(ledger, {until - 60: counts(day)}, until)
            if day == 8:
                shutil.copyfile(store.snapshot.path, tmp_path / "before")
            write(ledger, store, until)
        shutil.copyfile(tmp_path / "before", store.snapshot.path)
        os.unlink(store.rrd.path)
        store.reconcile(ledger)
        assert ledger.state.pruned_before == until - stores._RETAINED
        assert len(list(ledger.intervals(0, until))) == 2
    assert_holds(tmp_path, {BEGIN + DAY * day - 60: counts(day) for day in range(1, 9)}, until)


def test_nothing_is_written_in_place_without_a_snapshot_that_could_mend_it(tmp_path: Path) -> None:
    with writing(tmp_path) as (ledger, store):
        for day in range(1, 7):
            until = BEGIN + DAY * day
            count(ledger, {until - 60: counts(day)}, until)
            write(ledger, store, until)
        assert ledger.state.pruned_before
        Path(store.snapshot.path).write_text("somebody's notes\n")
        count(ledger, {until: counts(9)}, until + 60)
        write(ledger, store, until + 60)
        assert rrdtool.last(store.snapshot.path) == until
        assert Path(store.snapshot.path + ".aside-1").read_text() == "somebody's notes\n"


def overwritten(path: Path) -> None:
    path.write_text("minutes of the meeting\n")


def without_its_first_block(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(bytes(4096))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_off_in_its_head(path: Path) -> None:
    os.truncate(path, 100)


def cut_off(path: Path) -> None:
    os.truncate(path, 5000)


DAMAGED = (overwritten, without_its_first_block, empty, cut_off_in_its_head, cut_off)


@pytest.mark.parametrize("what", DAMAGED, ids=lambda what: what.__name__)
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_damaged_rrd_is_made_anew_exactly_and_kept_aside(
    what: Callable[[Path], None], snapshot: bool, tmp_path: Path
) -> None:
    minutes = 3000 if snapshot else 200
    found = filled(tmp_path, minutes)
    rrd, end = tmp_path / "outbound.rrd", BEGIN + 60 * minutes
    what(rrd)
    before = rrd.read_bytes()
    with writing(tmp_path) as (ledger, store):
        assert os.path.exists(store.snapshot.path) == snapshot
        (notice,) = store.reconcile(ledger)
        assert not store.reconcile(ledger), "it is said once"
        count(ledger, {end: counts(9)}, end + 60)
        write(ledger, store, end + 60)
    assert notice.startswith(f"{rrd} is ")
    assert f"{rrd}.aside-1" in notice
    assert Path(f"{rrd}.aside-1").read_bytes() == before
    assert_holds(tmp_path, found | {end: counts(9)}, end + 60)


SEEDS = 40


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[int, Any]]]:
    """A store with a snapshot that is a day older than its RRD, and what it must hold."""
    folder = tmp_path_factory.mktemp("stored")
    with torture.small_archives():
        found = filled(folder, 2000)
        more = {BEGIN + 60 * n: counts(n) for n in range(2000, 2800)}
        with writing(folder) as (ledger, store):
            count(ledger, more, BEGIN + 60 * 2800)
            store.follow(ledger, BEGIN + 60 * 2800 + 10, 10)
    yield folder, found | more


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_bytes_in_the_rrd_change_no_number(
    seed: int, stored: tuple[Path, dict[int, Any]], tmp_path: Path
) -> None:
    kept, found = stored
    folder, end = tmp_path / "state", BEGIN + 60 * 2800
    shutil.copytree(kept, folder)
    with writing(folder) as (ledger, store):
        assert not store.reconcile(ledger, end), "the copy is not damaged"
    rrd = folder / "outbound.rrd"
    damage(rrd, random.Random(seed))
    before = rrd.read_bytes()
    is_changed = before != (kept / "outbound.rrd").read_bytes()
    with suppress(StoreError):  # of a reader that comes first
        list(Store(str(folder), 60).rrd.finest(BEGIN))
    with writing(folder) as (ledger, store):
        said = store.reconcile(ledger, end)
        assert len(said) == is_changed
        assert not store.reconcile(ledger, end), "it is said once"
        count(ledger, {end: counts(9)}, end + 60)
        write(ledger, store, end + 60)
    if is_changed:
        assert Path(f"{rrd}.aside-1").read_bytes() == before
    assert_holds(folder, found | {end: counts(9)}, end + 60)


def test_bytes_that_changed_without_a_trace_are_found_by_the_daily_comparison(
    stored: tuple[Path, dict[int, Any]], tmp_path: Path
) -> None:
    kept, found = stored
    folder, end = tmp_path / "state", BEGIN + 60 * 2800
    shutil.copytree(kept, folder)
    with writing(folder) as (ledger, store):
        store.reconcile(ledger, end)
        with open(store.rrd.path, "r+b") as file:
            file.seek(-1000, os.SEEK_END)
            file.write(b"nonsense")
        with ledger.transaction():  # as if the disk had changed them
            at = os.stat(store.rrd.path).st_ctime_ns
            ledger.save(ledger.state._replace(rrd_mtime_ns=at))
        assert not store.reconcile(ledger, end)
        (said,) = store.take_snapshot(ledger, end + 2 * DAY)
        assert "held other numbers than were counted: made anew" in said
        assert not store.take_snapshot(ledger, end + 4 * DAY)
    assert_holds(folder, found, end)


@pytest.mark.parametrize("at", [200, 20_000, -5000, -3])
def test_a_damaged_snapshot_is_not_used_and_renewed(
    at: int, stored: tuple[Path, dict[int, Any]], tmp_path: Path
) -> None:
    kept, found = stored
    folder, end = tmp_path / "state", BEGIN + 60 * 2800
    shutil.copytree(kept, folder)
    with writing(folder) as (ledger, store):
        with open(store.snapshot.path, "r+b") as file:
            file.seek(at, os.SEEK_SET if at > 0 else os.SEEK_END)
            file.write(b"\xee")
        assert not store.reconcile(ledger, end)
        assert not store.take_snapshot(ledger, end + 2 * DAY)
        os.unlink(store.rrd.path)
        store.reconcile(ledger, end)
    assert_holds(folder, found, end)


def test_a_damaged_rrd_that_cannot_be_made_anew_stays_where_it_is(tmp_path: Path) -> None:
    with writing(tmp_path) as (ledger, store):
        for day in range(1, 7):
            until = BEGIN + DAY * day
            count(ledger, {until - 60: counts(day)}, until)
            write(ledger, store, until)
        os.unlink(store.snapshot.path)
        os.truncate(store.rrd.path, 5000)
        with pytest.raises(
            StoreError,
            match=r"is damaged \(.*\) and .*\.snapshot cannot replace it; restore one of them",
        ):
            store.reconcile(ledger)
        assert os.path.getsize(store.rrd.path) == 5000
        assert not os.path.exists(store.rrd.path + ".aside-1")


def test_what_stands_in_the_place_of_an_rrd_that_never_was_is_left_alone(tmp_path: Path) -> None:
    rrd = tmp_path / "outbound.rrd"
    rrd.write_text("minutes of the meeting\n")
    with writing(tmp_path) as (ledger, store):
        count(ledger, {BEGIN: counts(1)}, BEGIN + 60)
        with pytest.raises(StoreError, match=r"is no RRD; move it away, then it is made anew"):
            store.reconcile(ledger)
    assert rrd.read_text() == "minutes of the meeting\n"


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def another_step(path: Path) -> None:
    Store(str(path.parent), 10)
    rrdtool.create(str(path), "--step", "10", "DS:verified:ABSOLUTE:20:0:U", "RRA:AVERAGE:0:1:10")


def another_schema(path: Path) -> None:
    rrdtool.create(str(path), "--step", "60", "DS:sent:ABSOLUTE:120:0:U", "RRA:AVERAGE:0:1:10")


def other_archives(path: Path) -> None:
    sources = (f"DS:{source}:ABSOLUTE:120:0:U" for source in SOURCES)
    rrdtool.create(str(path), "--step", "60", *sources, "RRA:AVERAGE:0:1:10")


FOREIGN = (a_directory, another_step, another_schema, other_archives)


def all_of(path: Path) -> bytes | list[str]:
    return sorted(os.listdir(path)) if path.is_dir() else path.read_bytes()


@pytest.mark.parametrize("what", FOREIGN, ids=lambda what: what.__name__)
def test_a_file_that_is_not_ours_is_left_alone_and_said_in_a_sentence(
    what: Callable[[Path], None], tmp_path: Path
) -> None:
    history = torture.Lived(tmp_path, 1, step=60, grace=0)
    history.log.write_text(f"{stamp(-200)} mail postfix/smtp[1]: {LINE}\n")
    history.must("collect")
    rrd = history.state / "outbound.rrd"
    kept = tmp_path / "kept"
    shutil.copyfile(rrd, kept)
    what(rrd)
    before = all_of(rrd)
    log_now(history)
    done = command(history, "collect")
    assert done.returncode == 74
    assert done.stderr.count("\n") == 1
    assert str(rrd) in done.stderr
    assert "Traceback" not in done.stderr
    assert all_of(rrd) == before
    assert command(history, "import", str(history.log)).returncode == 74
    assert command(history, "report").returncode == 74
    assert all_of(rrd) == before
    rrd.rmdir() if rrd.is_dir() else rrd.unlink()
    shutil.copyfile(kept, rrd)
    assert command(history, "collect").returncode == 0
    assert (
        '"verified": 2'
        in command(history, "report", "--format=json", f"--until=@{int(time.time()) + 60}").stdout
    )


def stamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + seconds))


def command(history: torture.History, verb: str, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", torture.Lived.LAUNCH, *history.arguments(verb, *more)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60)


def total(rrd: Path, source: str) -> int:
    _, names, rows = rrdtool.fetch(str(rrd), "AVERAGE", "-r", "60", "-s", "-1d", "-e", "now")
    return round(sum(row[names.index(source)] or 0 for row in rows) * 60)


def test_a_step_other_than_the_ledgers_is_refused_before_anything_is_counted(
    tmp_path: Path,
) -> None:
    history = torture.Lived(tmp_path, 1, step=60, grace=0)
    history.log.write_text(f"{stamp(-200)} mail postfix/smtp[1]: {LINE}\n")
    history.must("collect")
    history.step = 10
    (history.state / "outbound.rrd").unlink()
    done = command(history, "collect")
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "steps of 60 seconds" in done.stderr
    history.step = 60
    history.must("collect")
    assert total(history.state / "outbound.rrd", "verified") == 1


@pytest.mark.parametrize("name", ["rrd_until", "read_until", "newest", "step", "source"])
def test_a_ledger_of_nonsense_is_a_sentence_and_counts_nothing_twice(
    name: str, tmp_path: Path
) -> None:
    history = torture.Lived(tmp_path, 1, step=60, grace=0)
    history.log.write_text(f"{stamp(-200)} mail postfix/smtp[1]: {LINE}\n")
    history.must("collect")
    ledger, kept = history.state / "ledger.sqlite", tmp_path / "kept"
    shutil.copyfile(ledger, kept)
    with closing(sqlite3.connect(ledger)) as ours, ours:
        ours.execute("UPDATE state SET value = '2000000040' WHERE name = ?", (name,))
    log_now(history)
    for verb in ("collect", "import"):
        done = command(history, verb, *([str(history.log)] if verb == "import" else []))
        assert (done.returncode, done.stderr.count("\n")) == (74, 1), done.stderr
        assert str(ledger) in done.stderr
    shutil.copyfile(kept, ledger)
    history.must("collect")
    assert counted(history) == 2


# ---- others at work ---------------------------------------------------------------------------


@contextmanager
def running(history: torture.History) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", torture.Lived.LAUNCH, *history.arguments("run")]
    with open(history.said, "a", encoding="utf-8") as said:
        process = subprocess.Popen(arguments, stdout=said, stderr=said, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def said(history: torture.History) -> list[str]:
    return history.said.read_text().splitlines() if history.said.exists() else []


def written(history: torture.History) -> int:
    with suppress(Exception):
        return torture.state_of(history.state, "rrd_until") or 0
    return 0


def log_now(history: torture.History, lines: int = 1, seconds: int = 0) -> None:
    with open(history.log, "a", encoding="ascii") as log:
        log.write(f"{stamp(seconds)} mail postfix/smtp[1]: {LINE}\n" * lines)


def counted(history: torture.History) -> int:
    with Ledger(str(history.state / "ledger.sqlite"), writable=False) as ledger:
        return sum(each[0] or 0 for _, each in ledger.intervals(0, 2**40))


@pytest.fixture
def history(tmp_path: Path) -> torture.Lived:
    made = torture.Lived(tmp_path, 1, step=1, grace=1)
    log_now(made, 3, -100)
    return made


def test_a_second_writer_leaves_with_75_and_a_sentence(history: torture.Lived) -> None:
    with running(history):
        until(lambda: written(history) > 0)
        for verb in (["collect"], ["run"], ["import", str(history.log)]):
            done = command(history, *verb)
            assert (done.returncode, done.stderr.count("\n")) == (75, 1), verb
    assert command(history, "collect").returncode == 0


def test_a_lock_that_is_held_for_an_instant_is_waited_for(tmp_path: Path) -> None:
    folder = load(os.devnull, {}, {"state_dir": str(tmp_path)})
    with open(tmp_path / "lock", "w", encoding="ascii") as held:

        def release() -> None:
            time.sleep(0.2)
            fcntl.flock(held, fcntl.LOCK_UN)

        fcntl.flock(held, fcntl.LOCK_EX)
        with ThreadPoolExecutor() as pool:
            pool.submit(release)
            with lock(folder):
                pass
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError), lock(folder):
            pass


def test_run_goes_on_by_itself_when_the_rrd_is_itself_again(history: torture.Lived) -> None:
    rrd = history.state / "outbound.rrd"
    with running(history) as process:
        until(lambda: written(history) > 0 and rrd.exists())
        kept = history.folder / "kept"
        os.rename(rrd, kept)
        rrd.mkdir()
        until(lambda: len(said(history)) == 1)
        log_now(history, 5)
        until(lambda: counted(history) == 8)
        time.sleep(2.5)  # two ticks more, that say nothing more
        assert len(said(history)) == 1
        before = written(history)
        rrd.rmdir()
        os.rename(kept, rrd)
        until(lambda: written(history) > before + 2)
        until(lambda: len(said(history)) == 2)
        assert "All is well again" in said(history)[1]
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(3) == 0
    _, names, rows = rrdtool.fetch(str(rrd), "AVERAGE", "-r", "1", "-s", "-200s", "-e", "now")
    assert sum(row[names.index("verified")] or 0 for row in rows) == 8


def test_run_waits_for_a_state_dir_that_is_gone_and_makes_no_other(history: torture.Lived) -> None:
    with running(history) as process:
        until(lambda: written(history) > 0)
        kept = history.folder / "elsewhere"
        os.rename(history.state, kept)
        until(lambda: "make it a folder" in "".join(said(history)[-1:]))
        sentences = len(said(history))
        assert sentences < 3, "another one where it was in the midst of writing"
        log_now(history, 5)
        time.sleep(2.5)  # two ticks more
        assert len(said(history)) == sentences
        assert not history.state.exists()
        os.rename(kept, history.state)
        until(lambda: counted(history) == 8)
        assert process.poll() is None


def test_run_begins_again_where_its_files_were_deleted(history: torture.Lived) -> None:
    with running(history):
        until(lambda: written(history) > 0)
        shutil.rmtree(history.state)
        until(lambda: len(said(history)) >= 1)
        history.state.mkdir()
        until(
            lambda: (
                counted(history) == 3
                if (history.state / "lock").exists() and written(history)
                else False
            )
        )


def test_run_starts_without_log_and_store_and_heals(history: torture.Lived) -> None:
    os.rename(history.log, history.folder / "later")
    history.state.write_text("a file in its place\n")
    with running(history) as process:
        until(lambda: len(said(history)) == 1)
        history.state.unlink()
        history.state.mkdir()
        until(lambda: len(said(history)) == 2)
        assert str(history.log) in said(history)[1]
        os.rename(history.folder / "later", history.log)
        until(lambda: written(history) > 0)
        assert process.poll() is None
    assert counted(history) == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("a full disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("begun", [False, True])
def test_a_full_disk_is_reported_once_and_everything_is_counted_when_there_is_room(
    begun: bool, small_disk: Path, tmp_path: Path
) -> None:
    history = torture.Lived(tmp_path, 1, step=60, grace=0)
    history.state = small_disk / "state"
    log_now(history, 3, -500)
    if begun:
        history.must("collect")
    ballast = small_disk / "ballast"
    with suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    log_now(history, 4)
    with running(history) as process:
        until(lambda: len(said(history)) >= 1)
        time.sleep(2.5)  # two ticks more
        assert len(said(history)) == 1, said(history)
        assert process.poll() is None
        ballast.unlink()
        until(lambda: written(history) > time.time() - 130 and counted(history) == 7)
    assert (
        '"verified": 7'
        in command(history, "report", "--format=json", f"--until=@{int(time.time()) + 60}").stdout
    )


def test_a_reader_never_sees_more_or_less_than_was_counted(history: torture.Lived) -> None:
    for second in range(100):
        log_now(history, 2, -100 + second)
    history.state.mkdir()
    with running(history):
        until(lambda: written(history) > 0)
        wanted, deadline = 203, time.monotonic() + 5
        while time.monotonic() < deadline:
            done = command(
                history, "report", "--format=csv", "--since=1h", f"--until=@{int(time.time()) + 60}"
            )
            assert done.returncode == 0, done.stderr
            seen = int(done.stdout.split("verified,")[1].split()[0])
            assert seen in (wanted, wanted - 1), done.stdout
            log_now(history)
            wanted += 1
            with torture.small_archives():
                Store(str(history.state), 1).rrd.series(SPANS[0], int(time.time()))
            until(lambda: counted(history) == wanted)  # noqa: B023 - it is over before the next
