"""What mailgraph has counted comes along at its own resolution, and nothing is counted twice."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Container, Sequence
from datetime import timezone
from pathlib import Path

import pytest
import rrdtool
from host import Host, line, rfc3339
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.answer import report
from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.counting.mailgraph import SOURCES, Stretch
from dane_mailgraph.errors import SourceError, StoreError

pytestmark = pytest.mark.slow

STEPS = (8, 56, 280, 3360)
"""Minutes in a row of mailgraph's archives; each has 198 rows."""

HOUR, DAY = 3600, 86400
BEGIN = 1795485600 - 1795485600 % (60 * 3360)

KNOWN = [CATEGORIES.index(BY_KEY[key]) for key in SOURCES.values()]

Truth = dict[int, tuple[int, ...]]
"""Minute -> what rrdtool was given for it."""


def busy(minute: int) -> tuple[int, ...]:
    """More counts by day than by night, with bursts, and different in each category."""
    hour = minute // HOUR % 24
    burst = 0 if minute % (61 * 97 * 60) else 900
    return tuple((minute // 60 * (7 + 2 * n)) % (2 + hour * (n + 1)) + burst for n in range(4))


def quiet(minute: int) -> tuple[int, ...]:
    """Something in one minute of a hundred."""
    return (int(minute // 60 % 100 == 7), 0, 0, 0)


ARCHIVES = " ".join(f"RRA:{kind}:0.5:{steps}:198" for kind in ("AVERAGE", "MAX") for steps in STEPS)


def created(
    path: Path,
    begin: int,
    *,
    sources: Sequence[str] = tuple(SOURCES),
    kind: str = "ABSOLUTE",
    archives: str = ARCHIVES,
) -> None:
    """An RRD as mailgraph makes it."""
    each = [f"DS:{name}:{kind}:120:0:U" for name in sources]
    rrdtool.create(str(path), "--start", str(begin), "--step", "60", *each, *archives.split())


def fed(
    path: Path,
    minutes: int,
    rate: Callable[[int], tuple[int, ...]] = busy,
    *,
    begin: int = BEGIN,
    hole: Container[int] = (),
) -> Truth:
    """The RRD of so many minutes, those of a hole unknown, and what went into it."""
    created(path, begin)
    whole = range(begin, begin + 60 * minutes, 60)
    truth = {at: rate(at) for at in whole if at not in hole}
    values = [f"{at + 60}:{':'.join(map(str, truth.get(at, 'UUUU')))}" for at in whole]
    for n in range(0, len(values), 500):
        rrdtool.update(str(path), *values[n : n + 500])
    return truth


def host(folder: Path, now: int, *, step: int = 60) -> Host:
    folder.mkdir(exist_ok=True)
    return Host(folder, now=now, step=step)


def total(truth: Truth, start: int = 0, until: int = 1 << 40) -> list[int]:
    found = [counts for at, counts in truth.items() if start <= at < until]
    return [sum(counts[place] for counts in found) for place in range(4)]


def carried(mail: Host, start: int = 0, until: int = 1 << 40) -> list[int]:
    """What the ledger holds of the four categories."""
    found = [counts for _, counts in mail.ledger.intervals(start, until)]
    return [sum(counts[place] or 0 for counts in found) for place in KNOWN]


def reported(mail: Host, since: int, until: int) -> list[int | None]:
    totals = report.totals(mail.store.rrd, mail.ledger, since, until).totals
    return [totals[BY_KEY[key]] for key in SOURCES.values()]


# ---- counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [60, 300, 3600])
def test_the_counts_of_each_row_come_along_to_the_unit(step: int, tmp_path: Path) -> None:
    minutes = 60 * 1440
    truth = fed(tmp_path / "old.rrd", minutes)
    end = BEGIN + 60 * minutes
    mail = host(tmp_path / "mail", end + 2 * HOUR, step=step)
    done = mail.take(tmp_path / "old.rrd")
    (found,) = done.carried
    assert [each.row // 60 for each in found.stretches] == [3360, 280, 56, 8]
    assert carried(mail) == total(truth)
    assert done.counted == found.connections == sum(total(truth))
    if step == 60:
        for start, until, row in found.stretches:
            for at in range(start, until - until % row, row):
                assert carried(mail, at, at + row) == total(truth, at, at + row)


@pytest.mark.parametrize("minutes", [1440, 3 * 1440 + 3, 9 * 1440 + 479])
def test_reports_over_all_of_it_are_what_mailgraph_was_told_at_every_resolution(
    minutes: int, tmp_path: Path
) -> None:
    truth = fed(tmp_path / "old.rrd", minutes)
    end = BEGIN + 60 * minutes
    mail = host(tmp_path / "mail", end + 2 * DAY)
    mail.take(tmp_path / "old.rrd")
    assert mail.ledger.state.rrd_until == end + 60
    begin = BEGIN - BEGIN % DAY
    assert reported(mail, BEGIN, end) == total(truth)
    for archive in (60, HOUR, DAY):
        rows = mail.store.rrd.rows(archive, begin, end + 60 + -(end + 60) % archive)
        assert [sum(row.counts[place] or 0 for row in rows) for place in KNOWN] == total(truth)


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 10**6), min_size=8, max_size=40),
    st.sampled_from([10, 60, 240, 480, 900]),
)
def test_a_row_is_spread_as_evenly_as_whole_counts_can_be(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], step: int
) -> None:
    folder = tmp_path_factory.mktemp("mail")
    truth = fed(folder / "old.rrd", len(counts), lambda at: (counts[(at - BEGIN) // 60], 0, 1, 0))
    mail = host(folder / "mail", BEGIN + DAY, step=step)
    mail.take(folder / "old.rrd")
    assert carried(mail) == total(truth)
    if 480 % step == 0:
        for start in range(BEGIN, BEGIN + 60 * len(counts) // 480 * 480, 480):
            found = [each[KNOWN[0]] or 0 for _, each in mail.ledger.intervals(start, start + 480)]
            assert max(found) - min(found) <= 1


@pytest.mark.parametrize(("unknown", "want"), [(0, 3 * 8), (4, 3 * 8), (5, 0)])
def test_a_row_of_which_rrdtool_knows_half_is_what_rrdtool_shows(
    unknown: int, want: int, tmp_path: Path
) -> None:
    fed(tmp_path / "old.rrd", 16, lambda _: (3, 0, 0, 0), hole=range(BEGIN, BEGIN + unknown * 60))
    mail = host(tmp_path / "mail", BEGIN + DAY)
    mail.take(tmp_path / "old.rrd")
    assert carried(mail, BEGIN, BEGIN + 480) == [want, 0, 0, 0]


@pytest.mark.parametrize("first", [8, 10])
@pytest.mark.parametrize(("unknown", "want"), [(0, 3 * 5), (2, 3 * 5), (3, 0)])
def test_a_row_that_is_not_finished_is_known_by_the_same_rule(
    first: int, unknown: int, want: int, tmp_path: Path
) -> None:
    hole = range(BEGIN + first * 60, BEGIN + (first + unknown) * 60)
    fed(tmp_path / "old.rrd", 8 + 5, lambda _: (3, 0, 0, 0), hole=hole)
    mail = host(tmp_path / "mail", BEGIN + DAY)
    mail.take(tmp_path / "old.rrd")
    assert carried(mail, BEGIN + 480) == [want, 0, 0, 0]


def test_halves_of_counts_do_not_add_up(tmp_path: Path) -> None:
    path = tmp_path / "old.rrd"
    created(path, BEGIN)
    rrdtool.update(
        str(path),
        *(f"{BEGIN + 60 * (n + 1)}:{0.3 if n % 8 else 0.36}:0:0:0" for n in range(8 * 100)),
    )
    mail = host(tmp_path / "mail", BEGIN + DAY)
    mail.take(path)
    assert carried(mail) == [246, 0, 0, 0]  # rows of 2.46


# ---- what is unknown ----------------------------------------------------------------------


def test_of_all_that_mailgraph_did_not_count_nothing_is_known_in_quiet_minutes_too(
    tmp_path: Path,
) -> None:
    fed(tmp_path / "old.rrd", 960, quiet)
    mail = host(tmp_path / "mail", BEGIN + 2 * DAY)
    mail.take(tmp_path / "old.rrd")
    for archive in (60, HOUR):
        for row in mail.store.rrd.rows(archive, BEGIN, BEGIN + 8 * HOUR):
            assert row.observed == archive
            assert [place for place, count in enumerate(row.counts) if count is not None] == KNOWN


def test_rows_unknown_to_mailgraph_stay_unknown(tmp_path: Path) -> None:
    hole = range(BEGIN + 20 * 3360, BEGIN + 27 * 3360)
    truth = fed(tmp_path / "old.rrd", 3 * 1440, hole=hole)
    mail = host(tmp_path / "mail", BEGIN + 4 * DAY)
    (found,) = mail.take(tmp_path / "old.rrd").carried
    assert found.unknown == len(hole)
    assert carried(mail) == total(truth)
    assert reported(mail, hole.start, hole.stop) == [None] * 4
    assert reported(mail, hole.start - 3360, hole.stop) == total(
        truth, hole.start - 3360, hole.stop
    )
    assert not any(row.observed for row in mail.store.rrd.rows(60, hole.start, hole.stop))
    assert found.in_words(timezone.utc).endswith("; 392 min in between are unknown.")


def test_before_the_first_and_behind_the_last_known_row_nothing_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "old.rrd"
    truth = fed(path, 960)
    end = BEGIN + 960 * 60
    rrdtool.update(str(path), *(f"{end + 60 * n}:U:U:U:U" for n in range(1, 100)))
    mail = host(tmp_path / "mail", BEGIN + 2 * DAY)
    (found,) = mail.take(path).carried
    assert found.stretches == (Stretch(BEGIN, end, 480),)
    assert (found.unknown, carried(mail)) == (0, total(truth))
    assert (mail.ledger.state.begin, mail.ledger.state.read_until) == (BEGIN, end)


# ---- behind it ------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("follow", [True, False])
def test_logs_go_on_behind_it_and_nothing_is_counted_twice(
    follow: bool, together: bool, tmp_path: Path
) -> None:
    path = tmp_path / "old.rrd"
    truth = fed(path, 1443)
    last = BEGIN + 1443 * 60
    mail = host(tmp_path / "mail", last + HOUR)
    # mailgraph stamps a minute with its beginning: that of the last stamp is counted already.
    for at in (last - HOUR, last - 1, last, last + 59):
        mail.write(line(rfc3339(at)))
    for at in (last + 60, last + 61, last + 1800):
        mail.write(line(rfc3339(at)))
    if together and not follow:
        skipped = mail.take(mail.log, path).omitted["skipped"]
    else:
        mail.take(path)
        skipped = (
            mail.collect().omitted["skipped"] if follow else mail.take(mail.log).omitted["skipped"]
        )
    assert skipped == 4
    want = total(truth)
    assert carried(mail) == [want[0] + 3, *want[1:]]
    assert mail.collect().counted == 0
    mail.write(line(rfc3339(mail.now)))
    assert mail.collect().counted == 1


def test_time_between_it_and_a_log_that_begins_much_later_is_unknown(tmp_path: Path) -> None:
    fed(tmp_path / "old.rrd", 960)
    end = BEGIN + 961 * 60
    mail = host(tmp_path / "mail", end + 2 * DAY)
    mail.take(tmp_path / "old.rrd")
    mail.write(line(rfc3339(end + DAY)))
    assert [(gap.start, gap.until) for gap in mail.collect().gaps] == [(end, end + DAY)]
    assert reported(mail, end, end + DAY) == [None] * 4


def test_a_store_that_has_begun_to_count_takes_none(tmp_path: Path) -> None:
    fed(tmp_path / "old.rrd", 960)
    mail = host(tmp_path / "mail", BEGIN + 2 * DAY)
    mail.connect(at=BEGIN + DAY)
    mail.collect()
    with pytest.raises(StoreError, match="--rebuild") as said:
        mail.take(tmp_path / "old.rrd")
    assert said.value.status == 74
    assert carried(mail) == [1, 0, 0, 0]


def test_nothing_is_carried_where_a_second_one_cannot_be(tmp_path: Path) -> None:
    for name in ("old.rrd", "older.rrd"):
        fed(tmp_path / name, 960)
    mail = host(tmp_path / "mail", BEGIN + 2 * DAY)
    with pytest.raises(StoreError):
        mail.take(tmp_path / "old.rrd", tmp_path / "older.rrd")
    assert (carried(mail), mail.ledger.state.begin) == ([0] * 4, None)


# ---- what is none ---------------------------------------------------------------------------


def other_sources(path: Path) -> None:
    created(path, BEGIN, sources=("sent", "recv", "bounced", "rejected"))


def one_source_less(path: Path) -> None:
    created(path, BEGIN, sources=tuple(SOURCES)[:3])


def gauges(path: Path) -> None:
    created(path, BEGIN, kind="GAUGE")


def maxima_only(path: Path) -> None:
    created(path, BEGIN, archives="RRA:MAX:0.5:8:198")


def archives_that_do_not_fit(path: Path) -> None:
    created(path, BEGIN, archives="RRA:AVERAGE:0.5:8:198 RRA:AVERAGE:0.5:60:198")


def archives_with_a_gap(path: Path) -> None:
    created(path, BEGIN, archives="RRA:AVERAGE:0.5:8:10 RRA:AVERAGE:0.5:800:198")


@pytest.mark.parametrize(
    "make",
    [
        other_sources,
        one_source_less,
        gauges,
        maxima_only,
        archives_that_do_not_fit,
        archives_with_a_gap,
    ],
)
def test_an_rrd_of_another_shape_is_told_what_is_expected(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "old.rrd")
    mail = host(tmp_path / "mail", BEGIN + DAY)
    with pytest.raises(
        SourceError,
        match=r"expected is mailgraph_dane\.rrd, with the data sources verifiedtls, ",
    ):
        mail.take(tmp_path / "old.rrd")


def test_our_own_is_of_another_shape(tmp_path: Path) -> None:
    mail = host(tmp_path / "mail", BEGIN + DAY)
    mail.connect(at=BEGIN)
    mail.collect()
    with pytest.raises(SourceError, match="another shape"):
        host(tmp_path / "other", BEGIN + DAY).take(mail.store.rrd.path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def packed(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def of_another_machine(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:16] + content[16:24][::-1] + content[24:])


@pytest.mark.parametrize("harm", [cut, packed, of_another_machine])
def test_an_rrd_that_rrdtool_cannot_read_is_reported_in_a_sentence(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "old.rrd"
    fed(path, 960)
    harm(path)
    with pytest.raises(
        SourceError,
        match=f"^{path} cannot be read as an RRD: .*; name the unpacked file, .*restore` here.$",
    ):
        host(tmp_path / "mail", BEGIN + DAY).take(path)


def test_one_without_counts_or_with_a_wrong_clock_is_not_carried(tmp_path: Path) -> None:
    created(tmp_path / "new.rrd", BEGIN)
    fed(tmp_path / "old.rrd", 960)
    mail = host(tmp_path / "mail", BEGIN + 900 * 60)
    with pytest.raises(SourceError, match="holds no counts"):
        mail.take(tmp_path / "new.rrd")
    with pytest.raises(SourceError, match="in the future; look at the clock"):
        mail.take(tmp_path / "old.rrd")


def test_what_only_a_damaged_file_can_hold_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "old.rrd"
    truth = fed(path, 480, hole=range(BEGIN, BEGIN + 1, 60))
    last = BEGIN + 480 * 60
    rrdtool.update(
        str(path), *(f"{last + 60 * (n + 1)}:{'inf' if n == 4 else 0}:0:0:0" for n in range(16))
    )
    mail = host(tmp_path / "mail", BEGIN + DAY)
    mail.take(path)
    assert carried(mail, BEGIN + 480)[1:] == total(truth, BEGIN + 480)[1:]
    assert carried(mail, last) == [0] * 4


# ---- the command ----------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(verb: str, *rest: str | Path) -> subprocess.CompletedProcess[str]:
        folders = ["--state-dir", str(tmp_path / "state"), "--log", str(tmp_path / "mail.log")]
        done = [
            sys.executable,
            "-m",
            "dane_mailgraph",
            verb,
            "--config",
            "/dev/null",
            "--time-zone",
            "UTC",
            *folders,
        ]
        return subprocess.run([*done, *map(str, rest)], capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("rebuild", [False, True])
def test_import_says_how_finely_it_is_kept(
    rebuild: bool, command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    path, log = tmp_path / "mailgraph_dane.rrd", tmp_path / "mail.log"
    now = int(time.time())
    begin = now - now % 3360 - 60 * 3360
    truth = fed(path, 59 * 56 + 3, begin=begin)
    log.write_text(line(rfc3339(now - 600)))
    if rebuild:
        assert command("collect").returncode == 0
        refused = command("import", path)
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (74, "", 1)
    done = command("import", path, log, *(["--rebuild"] if rebuild else []))
    want = sum(total(truth))
    assert (done.returncode, done.stdout) == (0, f"counted {want + 1:,} connections\n")
    (said,) = done.stderr.splitlines()
    assert f"{path} brings {want:,} connections from " in said
    assert " on, at a resolution of 56 min until 20" in said and ", 8 min until 20" in said
    found = json.loads(command("report", "--since", f"@{begin}", "--format", "json").stdout)
    assert (
        sum(found["connections"][key.removeprefix("connections.")] for key in SOURCES.values())
        == want + 1
    )
    assert found["connections"]["reused"] is not None  # the log behind it tells


def test_an_rrd_of_another_shape_is_66(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    gauges(tmp_path / "old.rrd")
    done = command("import", tmp_path / "old.rrd")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (66, "", 1)
