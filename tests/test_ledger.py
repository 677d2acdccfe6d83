"""What is committed stays, what is not ours is left alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.counts import Interval
from dane_mailgraph.errors import BusyError, ConfigError, MailgraphError, StoreError
from dane_mailgraph.store.ledger import Gap, Ledger
from dane_mailgraph.store.state import TIMES, State


def counts(number: int) -> tuple[int, ...]:
    return tuple(number + place for place in range(len(CATEGORIES)))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.sqlite")


@pytest.fixture
def ledger(path: str) -> Iterator[Ledger]:
    with Ledger(path, writable=True) as opened:
        yield opened


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10**12)), max_size=40), st.integers(0, 40)
)
def test_counts_of_one_interval_add_up_in_whatever_transactions_they_come(
    made: list[tuple[int, int]], cut: int
) -> None:
    with Ledger(":memory:", writable=True) as ledger:
        for part in (made[:cut], made[cut:]):
            with ledger.transaction():
                ledger.add(Interval(60 * at, counts(number)) for at, number in part)
        want: dict[int, list[int]] = {}
        for at, number in made:
            sums = want.setdefault(60 * at, [0] * len(CATEGORIES))
            sums[:] = [a + b for a, b in zip(sums, counts(number), strict=True)]
        assert {at: list(each) for at, each in ledger.intervals(0, 10**6)} == want
        assert ledger.newest == max(want, default=None)


def test_what_is_unknown_takes_nothing_away_from_what_is_known(ledger: Ledger) -> None:
    unknown = (None,) * (len(CATEGORIES) - 1)
    for found in ((5, *unknown), (None, *unknown), (2, *unknown)):
        with ledger.transaction():
            ledger.add([(60, found)])
    assert list(ledger.intervals(0, 120)) == [(60, (7, *unknown))]


def test_a_transaction_that_fails_leaves_nothing_behind_not_even_in_memory(
    ledger: Ledger, path: str
) -> None:
    with ledger.transaction():
        ledger.save(State(read_until=60))
    with pytest.raises(KeyError), ledger.transaction():
        ledger.add([Interval(60, counts(1))])
        ledger.save(State(read_until=120))
        ledger.mark_gap(Gap(0, 60))
        raise KeyError
    assert ledger.state.read_until == 60
    with Ledger(path, writable=False) as reader:
        assert (
            list(reader.intervals(0, 10**6)),
            reader.gaps(0, 10**6),
            reader.state.read_until,
        ) == (
            [],
            [],
            60,
        )


def test_what_is_saved_between_two_transactions_is_written_with_the_next_one(path: str) -> None:
    with Ledger(path, writable=True) as ledger:
        ledger.save(State(read_until=60))
        with pytest.raises(KeyError), ledger.transaction():
            ledger.save(State(read_until=120))
            raise KeyError
        assert ledger.state.read_until == 60
        with Ledger(path, writable=False) as reader:
            assert reader.state.read_until is None
        with ledger.transaction():
            pass
        with Ledger(path, writable=False) as reader:
            assert reader.state.read_until == 60
        ledger.save(State(read_until=180))
    with Ledger(path, writable=False) as reader:
        assert reader.state.read_until == 180


def test_what_is_remembered_is_there_after_opening_again(path: str) -> None:
    with Ledger(path, writable=True) as ledger, ledger.transaction():
        ledger.set_bookmark("/var/log/mail.log", [[1, 2, None]])
    with Ledger(path, writable=True) as ledger:
        assert ledger.bookmark("/var/log/mail.log") == [[1, 2, None]]
        assert ledger.bookmark("/var/log/maillog") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("newest", '"yesterday"'),
        ("read_until", "1.5"),
        ("begin", "true"),
        ("rebuilt", "1"),
        ("step", "7"),
        ("step", "-60"),
        ("step", "0"),
        ("newest", "-1"),
        ("rrd_until", "]"),
        ("rrd_until", f"1{'0' * 30}"),
    ],
)
def test_a_state_of_the_wrong_type_is_an_error_in_a_sentence(
    name: str, value: str, path: str
) -> None:
    with Ledger(path, writable=True):
        pass
    with closing(sqlite3.connect(path)) as ours, ours:
        ours.execute("INSERT INTO state VALUES (?, ?)", (name, value))
    with Ledger(path, writable=False) as ledger:
        with pytest.raises(StoreError, match=f"cannot be understood: {name} is ") as said:
            _ = ledger.state
        assert said.value.status == 74


NOW = 1_700_006_400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 2_000_000_000 // 60 * 60) for name in State._fields if name in TIMES),
        ("rrd_until", NOW - 59),
    ],
)
def test_a_time_that_cannot_be_is_an_error_in_a_sentence(name: str, value: Any, path: str) -> None:
    with Ledger(path, writable=True) as ledger:
        ledger.agree(60)
        with ledger.transaction():
            ledger.save(State(step=60, begin=NOW - 600, rrd_until=NOW + 60, newest=NOW + 100))
        ledger.check_times(NOW)
        with ledger.transaction():
            ledger.save(ledger.state._replace(**{name: value}))
    with (
        Ledger(path, writable=True) as ledger,
        pytest.raises(StoreError, match=f"cannot be believed: {name} is "),
    ):
        ledger.check_times(NOW)


def test_a_bookmark_that_is_no_json_is_an_error_in_a_sentence(path: str) -> None:
    with Ledger(path, writable=True):
        pass
    with closing(sqlite3.connect(path)) as ours, ours:
        ours.execute("INSERT INTO bookmarks VALUES ('mail.log', '[[1, 2')")
    with (
        Ledger(path, writable=False) as ledger,
        pytest.raises(StoreError, match="cannot be understood"),
    ):
        ledger.bookmark("mail.log")


def test_a_reader_sees_the_state_that_was_committed_last(path: str) -> None:
    with Ledger(path, writable=True) as ledger, Ledger(path, writable=False) as reader:
        for at in (60, 120):
            with ledger.transaction():
                ledger.save(ledger.state._replace(read_until=at))
            assert reader.state == State(read_until=at)


def test_gaps_are_found_where_they_touch_and_forgotten_with_their_intervals(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.mark_gap(Gap(100, 200))
        ledger.mark_gap(Gap(100, 150))
        ledger.mark_gap(Gap(300, 400))
        ledger.add([Interval(120, counts(1)), Interval(300, counts(2))])
    assert ledger.gaps(200, 300) == []
    assert ledger.gaps(199, 301) == [Gap(100, 200), Gap(300, 400)]
    with ledger.transaction():
        ledger.prune(300)
        ledger.prune(200)
    assert ledger.gaps(0, 1000) == [Gap(300, 400)]
    assert [at for at, _ in ledger.intervals(0, 1000)] == [300]
    assert ledger.state.pruned_before == 300


def a_text(path: str) -> None:
    Path(path).write_text("Dear diary,\n" * 99)


def a_directory(path: str) -> None:
    os.mkdir(path)


def anothers_database(path: str) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE recipes (name TEXT)")


def anothers_empty_database(path: str) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA application_id = 252006")


def a_newer_version(path: str) -> None:
    with Ledger(path, writable=True):
        pass
    with closing(sqlite3.connect(path)) as ours:
        ours.execute("PRAGMA user_version = 99")


def a_broken_one(path: str) -> None:
    with Ledger(path, writable=True) as ledger, ledger.transaction():
        ledger.add(Interval(60 * n, counts(n)) for n in range(999))
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40000)


FOREIGN = (
    a_text,
    a_directory,
    anothers_database,
    anothers_empty_database,
    a_newer_version,
    a_broken_one,
)


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("what", FOREIGN, ids=lambda what: what.__name__)
def test_what_is_not_ours_is_left_as_it_is_and_said_in_a_sentence(
    what: Callable[[str], None], writable: bool, path: str
) -> None:
    what(path)
    before = None if os.path.isdir(path) else Path(path).read_bytes()
    with pytest.raises(MailgraphError) as said, Ledger(path, writable=writable) as ledger:
        list(ledger.intervals(0, 10**6))
    assert said.value.status == 74
    assert str(said.value).startswith(path)
    assert "\n" not in str(said.value)
    assert os.path.isdir(path) if before is None else Path(path).read_bytes() == before


@pytest.mark.parametrize("there", [False, True])
def test_a_reader_makes_no_ledger(there: bool, path: str) -> None:
    if there:  # a writer is just about to make it
        Path(path).touch()
    with (
        pytest.raises(StoreError, match="nothing has been counted yet"),
        Ledger(path, writable=False),
    ):
        pass
    assert os.path.exists(path) == there
    assert not there or not os.path.getsize(path)


def test_a_ledger_that_cannot_be_written_is_reported_and_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("a read-only disk needs the right to mount one")
    try:
        path = str(folder / "ledger.sqlite")
        with Ledger(path, writable=True) as ledger, ledger.transaction():
            ledger.add([Interval(60, counts(1))])
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with Ledger(path, writable=False) as ledger:
            assert list(ledger.intervals(0, 99)) == [(60, counts(1))]
        with (
            pytest.raises(StoreError, match=r"readonly|read-only"),
            Ledger(path, writable=True) as ledger,
            ledger.transaction(),
        ):
            ledger.save(State(read_until=1))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_ledger_that_another_program_holds_is_busy_and_later_not(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **named: connect(*args, **{**named, "timeout": 0.05})
    )
    with Ledger(path, writable=True) as ledger, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyError), ledger.transaction():
            ledger.save(State(read_until=1))
        other.execute("ROLLBACK")
        with ledger.transaction():
            ledger.save(State(read_until=1))
        assert ledger.state.read_until == 1


def test_intervals_of_another_length_are_not_mixed_in(path: str) -> None:
    with Ledger(path, writable=True) as ledger:
        ledger.agree(60)
        ledger.agree(10)  # nothing has been counted yet
        with ledger.transaction():
            ledger.save(ledger.state._replace(begin=0))
        ledger.agree(10)
        with pytest.raises(ConfigError, match="counts in steps of 10 seconds"):
            ledger.agree(60)


def test_a_ledger_knows_when_its_file_is_no_longer_the_one_of_its_name(
    path: str, tmp_path: Path
) -> None:
    with Ledger(path, writable=True) as ledger:
        assert ledger.in_place
        os.rename(path, tmp_path / "aside")
        assert not ledger.in_place
        shutil.copyfile(tmp_path / "aside", path)
        assert not ledger.in_place
        os.rename(tmp_path / "aside", path)
        assert ledger.in_place


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = str(tmp_path / "100% sure? #1 \udcff.sqlite")
    try:
        with Ledger(path, writable=True) as ledger, ledger.transaction():
            ledger.save(State(read_until=1))
    except UnicodeEncodeError:
        pytest.skip("sqlite3 takes no bytes that are not UTF-8")
    assert os.listdir(tmp_path) == [os.path.basename(path)]


def test_a_column_that_is_new_is_unknown_in_the_rows_of_before(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as old:
        old.setattr(
            "dane_mailgraph.store.schema.COLUMNS",
            tuple(each.data_source for each in CATEGORIES[:-1]),
        )
        with Ledger(path, writable=True) as ledger, ledger.transaction():
            ledger.add([Interval(0, counts(1)[:-1])])
    for writable in (False, True):
        with Ledger(path, writable=writable) as ledger:
            assert list(ledger.intervals(0, 60)) == [(0, (*counts(1)[:-1], None))]
    with Ledger(path, writable=True) as ledger:
        with ledger.transaction():
            ledger.add([Interval(0, counts(1))])
        assert list(ledger.intervals(0, 60)) == [
            (0, tuple(a + b for a, b in zip(counts(1), (*counts(1)[:-1], 0), strict=True)))
        ]
