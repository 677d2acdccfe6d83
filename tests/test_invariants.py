"""However a log is cut into polls, parts and arguments, the counts are the same."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
from host import START, Host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dane_mailgraph.answer import report
from dane_mailgraph.categories import CONNECTIONS
from dane_mailgraph.cli import command_line
from dane_mailgraph.times import DAY, HOUR

pytestmark = pytest.mark.slow

RELAXED = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def text_of(host: Host, gaps: list[int]) -> tuple[str, int]:
    """Lines with these seconds between them, and the time of the last one."""
    at, lines = START, []
    for gap in gaps:
        at += gap
        lines.append(host.lines(1, at))
    return "".join(lines), at


@RELAXED
@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=30),
    st.lists(st.integers(0, 5000), max_size=6),
)
def test_a_log_that_is_read_in_any_polls_counts_as_one_that_is_read_at_once(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], cuts: list[int]
) -> None:
    host = Host(
        tmp_path_factory.mktemp("polls"), grace=2 * HOUR
    )  # the stamps are older than the polls
    text, host.now = text_of(host, gaps)
    for begin, end in itertools.pairwise(
        [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    ):
        host.write(text[begin:end])
        host.collect()

    host.settles()


@RELAXED
@given(st.lists(st.integers(0, 900), min_size=3, max_size=30), st.data())
def test_the_parts_of_a_log_in_any_order_import_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], data: st.DataObject
) -> None:
    host = Host(tmp_path_factory.mktemp("parts"))
    text, host.now = text_of(host, gaps)
    lines = text.splitlines(keepends=True)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(lines) - 1), max_size=4)))
    parts = []
    for number, (begin, end) in enumerate(itertools.pairwise([0, *cuts, len(lines)])):
        parts.append(host.folder / f"part{number}")
        content = "".join(lines[begin:end]).encode()
        parts[-1].write_bytes(gzip.compress(content) if number % 2 else content)
    host.now += HOUR
    host.take(*data.draw(st.permutations(parts)))

    host.agrees()


def test_what_was_imported_is_counted_once_whatever_is_imported_or_followed_later(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    host.connect(3)
    host.now += 20
    host.take(host.log)
    host.connect(2)  # in the same interval: the import has left the log's bookmark
    host.collect()
    again = host.take(host.log)

    assert (again.counted, again.omitted["skipped"]) == (0, 5)
    host.settles()


def test_a_log_under_two_names_and_packed_counts_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(5, to=tmp_path / "a")
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    (tmp_path / "c.gz").write_bytes(gzip.compress((tmp_path / "a").read_bytes()))
    host.now += HOUR
    step = host.take(tmp_path / "a", tmp_path / "c.gz", tmp_path / "a", tmp_path / "b")

    assert step.counted == 5
    host.agrees()


def test_only_what_is_later_than_the_newest_interval_is_imported(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(2, at=START, to=tmp_path / "new")
    host.now += HOUR
    host.take(tmp_path / "new")
    older = tmp_path / "old"
    older.write_text(host.line(START - HOUR) + host.line(START + 59) + host.lines(1, START + 60))
    step = host.take(older)

    assert (step.counted, step.omitted["skipped"]) == (1, 2)
    host.agrees()


def test_counts_are_the_same_at_every_resolution(tmp_path: Path) -> None:
    host = Host(tmp_path)
    text, host.now = text_of(host, [n * 37 % 1900 for n in range(400)])
    host.write(text)
    host.collect()
    host.now += 2 * HOUR
    host.collect()
    total = sum(host.truth.values())
    since, until = START - START % DAY, host.now - host.now % DAY + DAY

    for archive in (60, HOUR, DAY):
        rows = host.store.rrd.rows(archive, since, until)
        assert sum(row.counts[0] or 0 for row in rows) == total
    assert report.totals(host.store.rrd, host.ledger, since, until).totals[CONNECTIONS[0]] == total


def test_quiet_is_zero_and_what_was_never_read_is_unknown(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(1)
    host.now += HOUR
    host.connect(1)
    host.settles()

    def counted(since: int, until: int) -> int | None:
        return report.totals(host.store.rrd, host.ledger, since, until).totals[CONNECTIONS[0]]

    assert counted(START + 600, START + 1200) == 0
    assert counted(START - 1200, START - 600) is None


def test_between_two_logs_an_hour_of_silence_is_quiet_and_a_day_is_a_lost_log(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    times = [START, START + HOUR, START + HOUR + DAY]
    for number, at in enumerate(times):
        host.connect(1, at=at, to=tmp_path / str(number))
    host.now = times[-1] + HOUR
    host.take(*(tmp_path / str(number) for number in range(3)))
    unknown = host.unknown()

    assert (unknown[0], unknown[-1]) == (times[1] + 60, times[2] - 60)
    assert len(unknown) == DAY // 60 - 1
    assert host.counted == dict(host.truth)


def test_a_rebuilt_store_holds_all_the_logs_and_the_old_one_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = Host(tmp_path)
    host.connect(2, at=START - DAY, to=tmp_path / "old")
    host.connect(3, at=START - HOUR, to=tmp_path / "new")
    there = ["--state-dir", str(tmp_path / "s"), "--log", str(host.log), "--config", "/dev/null"]
    assert command_line.main(["import", str(tmp_path / "new"), *there]) == 0
    assert (
        command_line.main(
            ["import", "--rebuild", str(tmp_path / "old"), str(tmp_path / "new"), *there]
        )
        == 0
    )
    capsys.readouterr()
    since = ["--since", str(START - 2 * DAY), "--until", str(START)]
    assert command_line.main(["report", "--format", "json", *since, *there]) == 0

    assert json.loads(capsys.readouterr().out)["connections"]["verified"] == 5
    assert list((tmp_path / "s").glob("ledger.sqlite.aside*"))
    assert list((tmp_path / "s").glob("outbound.rrd.aside*"))
