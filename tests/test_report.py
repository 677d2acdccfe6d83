"""What `report` prints: exact JSON, and exact sums over every range at every resolution."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import time
from bisect import bisect_left
from collections import Counter
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.answer.report import totals, totals_by
from dane_mailgraph.categories import CATEGORIES, FAMILIES, REACH
from dane_mailgraph.cli import command_line
from dane_mailgraph.errors import StoreError, UsageError
from dane_mailgraph.omissions import OMISSIONS
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.rrd import RRD
from dane_mailgraph.store.sync import Store
from dane_mailgraph.times import PERIODS, parse_time

CONTRACT = {
    "connections": ["verified", "trusted", "untrusted", "anonymous", "reused"],
    "protocols": ["tlsv1_3", "tlsv1_2", "tlsv1_1", "tlsv1", "sslv3"],
    "key_exchange": ["post_quantum", "ecdh", "dh", "rsa", "unknown"],
    "deliveries": (
        [
            "dane",
            "half_dane",
            "verified",
            "trusted",
            "untrusted",
            "anonymous",
            "encrypted",
            "plaintext",
            "unknown",
        ]
    ),
    "failures": [
        "certificate",
        "dane_lookup",
        "dane_required",
        "starttls",
        "handshake",
        "requiretls",
        "local",
    ],
    "inbound": ["tls", "plaintext"],
    "inbound_protocols": ["tlsv1_3", "tlsv1_2", "tlsv1_1", "tlsv1", "sslv3"],
    "inbound_key_exchange": ["post_quantum", "ecdh", "dh", "rsa", "unknown"],
    "reach": ["dane", "mta_sts", "no_policy", "failed"],
}
HEAD = ["since", "until", "step", "last_update", "observed"]

NOW = 0
THEN = 1795500000
GRACE = "900"
"""Seconds: on a slow machine they may be counted that much later than they were logged."""


@pytest.fixture(scope="module", autouse=True)
def _now() -> None:
    """These tests' own now: the suite may have been at work for minutes when they begin."""
    global NOW
    NOW = int(time.time())


DAY = 86400

KINDS = (
    (
        "Verified",
        "established",
        "TLSv1.3",
        "TLS_AES_256_GCM_SHA384",
        " key-exchange X25519MLKEM768",
    ),
    ("Trusted", "established", "TLSv1.3", "TLS_AES_256_GCM_SHA384", " key-exchange X25519"),
    ("Untrusted", "established", "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", ""),
    ("Anonymous", "established", "TLSv1", "ADH-AES256-SHA", ""),
    ("Trusted", "reused", "TLSv1.3", "TLS_AES_256_GCM_SHA384", ""),
)
COUNTS = (
    {"connections.verified": 1, "protocols.tlsv1_3": 1, "key_exchange.post_quantum": 1},
    {"connections.trusted": 1, "protocols.tlsv1_3": 1, "key_exchange.ecdh": 1},
    {"connections.untrusted": 1, "protocols.tlsv1_2": 1, "key_exchange.ecdh": 1},
    {"connections.anonymous": 1, "protocols.tlsv1": 1, "key_exchange.dh": 1},
    {"connections.reused": 1},
)

Event = tuple[int, int]
"""When, and which of `KINDS`."""


def line(at: int, kind: int) -> str:
    label, verb, protocol, cipher, group = KINDS[kind]
    stamp = datetime.fromtimestamp(at, timezone.utc).isoformat()
    relay = "mx.example.org[192.0.2.1]:25"
    return (
        f"{stamp} mail postfix/smtp[7]: {label} TLS connection {verb} to {relay}: "
        f"{protocol} with cipher {cipher} (256/256 bits){group}\n"
    )


class Host(NamedTuple):
    """A store on disk and what has gone into it."""

    events: list[Event]
    state: str
    step: int

    @property
    def options(self) -> list[str]:
        return [
            "--config",
            os.devnull,
            "--state-dir",
            self.state,
            "--step",
            str(self.step),
            "--time-zone",
            "UTC",
        ]

    def truth(self, since: int, until: int) -> Counter[str]:
        begin, end = bisect_left(self.events, (since, 0)), bisect_left(self.events, (until, 0))
        sums: Counter[str] = Counter()
        for kind, times in Counter(kind for _, kind in self.events[begin:end]).items():
            sums.update({key: times for key in COUNTS[kind]})
        return sums

    def report(self, since: int, until: int) -> Any:
        with Ledger(os.path.join(self.state, "ledger.sqlite"), writable=False) as ledger:
            return totals(Store(self.state, self.step).rrd, ledger, since, until)


def counted(folder: Path, events: list[Event], step: int) -> Host:
    log = folder / "mail.log"
    log.write_text("".join(line(*event) for event in events))
    here = Host(events, str(folder / "state"), step)
    assert (
        command_line.main(
            ["import", *here.options, "--log", str(folder / "none"), "--grace", GRACE, str(log)]
        )
        == 0
    )
    return here


def made(spans: list[tuple[int, int]]) -> list[Event]:
    """Events of the last so many seconds, so many of each, the last of them just now."""
    chance = random.Random(4)
    times = [NOW - chance.randrange(seconds) for seconds, number in spans for _ in range(number)]
    return sorted((at, chance.randrange(len(KINDS))) for at in [*times, NOW, NOW])


@pytest.fixture(scope="module")
def recent(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Nineteen days by the minute, with intervals that are still open."""
    return counted(
        tmp_path_factory.mktemp("recent"),
        made([(19 * DAY, 4000), (DAY, 500), (3600, 200), (50, 20)]),
        60,
    )


@pytest.fixture(scope="module")
def long_ago(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Six years in steps of ten minutes: in all three archives."""
    return counted(
        tmp_path_factory.mktemp("old"),
        made([(6 * 366 * DAY, 4000), (20 * DAY, 500), (3600, 50)]),
        600,
    )


def output(here: Host, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    assert command_line.main(["report", *here.options, *more]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


# ---- JSON -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_json_is_one_object_as_the_contract_says(
    recent: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    out = output(recent, capsys, "--format", "json", "--since", "7d", "--until", "now")
    report = json.loads(out)

    assert out.count("\n") == 1
    assert list(report) == [*HEAD, *FAMILIES, "reach", "omitted"]
    assert list(report["omitted"]) == [each.name for each in OMISSIONS]
    assert 0 < report["observed"] <= report["until"] - report["since"]
    assert {family: list(report[family]) for family in CONTRACT} == CONTRACT
    assert all(type(report[each]) is int for each in HEAD)
    assert all(type(count) is int for family in FAMILIES for count in report[family].values())
    truth = recent.truth(report["since"], report["until"])
    assert {each.key: report[each.family][each.name] for each in CATEGORIES} == {
        each.key: truth[each.key] for each in CATEGORIES
    }
    new = sum(report["connections"].values()) - report["connections"]["reused"]
    assert new == sum(report["protocols"].values()) == sum(report["key_exchange"].values()) > 0


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("days", [1, 17, 200, pytest.param(1500, marks=pytest.mark.slow)])
def test_rows_never_overlap_and_each_is_exact(period: str, days: int, long_ago: Host) -> None:
    if period == "hour" and days > 20:
        pytest.skip("years of hours take long, and are rows of days")
    with Ledger(os.path.join(long_ago.state, "ledger.sqlite"), writable=False) as ledger:
        rrd = Store(long_ago.state, 600).rrd
        rows = totals_by(rrd, ledger, NOW - days * DAY, NOW, period, ZoneInfo("Europe/Berlin"))

    assert all(one.until == two.since for one, two in pairwise(rows))
    assert NOW - days * DAY - DAY < rows[0].since and NOW - DAY <= rows[-1].until <= NOW
    for row in rows:
        truth = long_ago.truth(row.since, row.until)
        assert {each.key: row.totals[each] or 0 for each in CATEGORIES} == {
            each.key: truth[each.key] for each in CATEGORIES
        }


def test_a_row_a_day_is_of_the_local_calendar_and_in_every_format(
    recent: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "--since", "3d", "--by", "day"
    rows = json.loads(output(recent, capsys, *asked, "--format", "json"))["rows"]

    assert len(rows) == 4
    assert all(time.localtime(row["since"])[3:6] == (0, 0, 0) for row in rows[1:])
    lines = output(recent, capsys, *asked, "--format", "csv").splitlines()
    assert len(lines) == 1 + 4 * (len(CATEGORIES) + len(REACH) + len(OMISSIONS))
    text = output(recent, capsys, *asked).splitlines()
    assert text[2].startswith(time.strftime("%Y-%m-%d", time.localtime(rows[0]["since"])))
    assert len(text) == 6


@pytest.mark.slow
def test_omissions_are_those_of_the_range(tmp_path: Path) -> None:
    here = counted(tmp_path, [(NOW - 40 * DAY, 0), (NOW - 600, 0)], 60)
    log = tmp_path / "bad.log"
    log.write_text("no time postfix/qmgr[1]: in this line\n" * 7)
    assert command_line.main(["import", *here.options, str(log)]) == 0

    assert here.report(NOW - 41 * DAY, NOW + DAY).omitted["unreadable"] == 7
    assert here.report(NOW - 30 * DAY, NOW - 2 * DAY).omitted["unreadable"] == 0


def test_last_update_is_where_the_rrd_ends(
    recent: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(output(recent, capsys, "--format", "json"))

    assert report["last_update"] == Store(recent.state, 60).rrd.last
    assert NOW - int(GRACE) - 120 < report["last_update"] <= NOW
    assert report["last_update"] % 60 == 0


def test_what_is_unknown_is_null_and_what_was_quiet_is_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = NOW - NOW % 3600 - 5 * 3600
    here = counted(tmp_path, [(begin, 0), (begin + 3 * 3600, 0)], 60)

    def counts(since: int, until: int) -> set[int | None]:
        report = json.loads(
            output(here, capsys, "--format", "json", "--since", f"@{since}", "--until", f"@{until}")
        )
        return {count for family in FAMILIES for count in report[family].values()}

    assert counts(begin - 7200, begin) == {None}
    assert counts(begin + 60, begin + 3 * 3600) == {0}
    assert counts(begin - 7200, begin + 60) == {0, 1}
    assert counts(begin + 4 * 3600, begin + 5 * 3600) == {None}
    assert counts(NOW + DAY, NOW + 2 * DAY) == {None}
    assert counts(begin - 7200, NOW + DAY) == {0, 2}


def test_a_store_that_has_counted_nothing_yet_has_no_last_update(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = counted(tmp_path, [], 60)
    report = json.loads(output(here, capsys, "--format", "json"))

    assert report["last_update"] is None
    assert {count for family in FAMILIES for count in report[family].values()} == {None}


# ---- ranges ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ago", "step"),
    [(1, 60), (14 * DAY, 60), (16 * DAY, 3600), (18 * DAY, 3600), (6 * 366 * DAY, DAY)],
)
def test_the_finest_archive_that_covers_the_range_is_taken(
    ago: int, step: int, recent: Host
) -> None:
    assert recent.report(NOW - ago, NOW).step == step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ago", "step"),
    [(DAY, 600), (16 * DAY, 3600), (4 * 366 * DAY, 3600), (5 * 366 * DAY + 2 * DAY, DAY)],
)
def test_the_archive_follows_from_the_step_of_the_store_too(
    ago: int, step: int, long_ago: Host
) -> None:
    assert long_ago.report(NOW - ago, NOW).step == step


def exact(here: Host, since: int, until: int) -> None:
    found = here.report(since, until)
    truth = here.truth(found.since, found.until)

    assert found.since % found.step == 0 == found.until % found.step
    assert found.since <= since < found.since + found.step
    assert found.until - found.step < until <= found.until
    assert {each.key: count or 0 for each, count in found.totals.items()} == {
        each.key: truth[each.key] for each in CATEGORIES
    }


@pytest.mark.slow
@given(ago=st.integers(1, 21 * DAY), length=st.integers(1, 21 * DAY))
@settings(max_examples=150)
def test_sums_are_exact_over_any_range_of_the_last_weeks(
    ago: int, length: int, recent: Host
) -> None:
    exact(recent, NOW - ago, NOW - ago + length)


@pytest.mark.slow
@given(ago=st.integers(1, 6 * 366 * DAY + 9 * DAY), length=st.integers(1, 7 * 366 * DAY))
@settings(max_examples=150)
def test_sums_are_exact_over_any_range_of_years(ago: int, length: int, long_ago: Host) -> None:
    exact(long_ago, NOW - ago, NOW - ago + length)


@pytest.mark.parametrize(
    "ago", [1, 60, 3600, 5 * 3600, DAY, 10 * DAY, 15 * DAY, 17 * DAY, 40 * DAY]
)
def test_a_range_that_ends_now_holds_the_intervals_that_only_the_ledger_has(
    ago: int, recent: Host
) -> None:
    last = Store(recent.state, 60).rrd.last

    assert last is not None and recent.truth(last, NOW + 1).total() > 0
    exact(recent, NOW - ago, NOW)
    exact(recent, NOW - ago, NOW + 1)


def test_every_resolution_gives_the_same_sum(long_ago: Host) -> None:
    rrd = Store(long_ago.state, 600).rrd
    # Right after midnight the last intervals of yesterday are in the ledger alone.
    until = (rrd.last or 0) // DAY * DAY
    start = until - 14 * DAY
    verified = [
        sum(row.counts[0] or 0 for row in rrd.rows(archive, start, until))
        for archive in (600, 3600, DAY)
    ]

    assert verified == [long_ago.truth(start, until)["connections.verified"]] * 3


def test_the_whole_of_time_can_be_asked_for(recent: Host) -> None:
    exact(recent, 0, NOW + 1)
    exact(recent, 0, parse_time("9998-12-30", NOW, None))
    exact(recent, NOW - DAY, parse_time("9998-12-30", NOW, None))


@pytest.mark.parametrize(
    ("since", "until"), [("now", "now"), ("now", "24h"), ("2026-01-02", "2026-01-01")]
)
def test_an_empty_range_is_refused(
    since: str, until: str, recent: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["report", *recent.options, "--since", since, "--until", until]) == 2
    assert "--until must be later than --since" in capsys.readouterr().err


# ---- an RRD that is gone --------------------------------------------------------------------


@pytest.fixture
def forgetful(tmp_path: Path) -> Host:
    """Nineteen days: the ledger keeps the last eight, the RRD and its snapshot hold all."""
    here = counted(tmp_path, made([(19 * DAY, 400), (3600, 20)]), 60)
    with Ledger(os.path.join(here.state, "ledger.sqlite"), writable=True) as ledger:
        for now in (NOW - DAY, NOW):
            Store(here.state, 60).take_snapshot(ledger, now)
        assert ledger.state.pruned_before
    return here


def lost(here: Host) -> None:
    for name in ("outbound.rrd", "outbound.rrd.snapshot"):
        os.unlink(os.path.join(here.state, name))


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_what_only_a_lost_rrd_knew_is_never_left_out_in_silence(
    form: str, forgetful: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    lost(forgetful)
    capsys.readouterr()

    assert (
        command_line.main(["report", *forgetful.options, "--since", "14d", "--format", form]) == 74
    )
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "outbound.rrd is gone, and " in err
    (since,) = re.findall(r"keeps nothing from before (\S+);", err)
    begin = parse_time(since, NOW, None)
    assert (
        command_line.main(["report", *forgetful.options, "--since", since, "--format", form]) == 0
    ), "from there on the ledger knows all"
    assert forgetful.report(begin, NOW + 60).totals == {
        each: forgetful.truth(begin, NOW + 60)[each.key] for each in CATEGORIES
    }
    with pytest.raises(StoreError):
        forgetful.report(begin - 1, NOW)
    assert forgetful.report(NOW - 30 * DAY, NOW - 25 * DAY).totals == dict.fromkeys(CATEGORIES), (
        "before the beginning"
    )


def test_an_rrd_that_ends_before_the_ledger_begins_is_reported_too(forgetful: Host) -> None:
    path = os.path.join(forgetful.state, "outbound.rrd")
    lost(forgetful)
    with Ledger(os.path.join(forgetful.state, "ledger.sqlite"), writable=False) as ledger:
        begin, pruned = ledger.state.begin, ledger.state.pruned_before
    assert begin is not None and pruned is not None
    RRD(path, 60).create(begin)

    with pytest.raises(StoreError, match=r"outbound\.rrd is an old one, and "):
        forgetful.report(begin, NOW)
    assert forgetful.report(pruned, NOW + 60).totals[CATEGORIES[0]] is not None


def test_what_the_ledger_still_has_as_a_whole_is_told_without_the_rrd(
    recent: Host, tmp_path: Path
) -> None:
    state = shutil.copytree(recent.state, tmp_path / "state")
    os.unlink(state / "outbound.rrd")

    exact(recent._replace(state=str(state)), NOW - 14 * DAY, NOW)


def test_the_text_says_that_the_rrd_is_gone(
    forgetful: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    lost(forgetful)

    assert "in the RRD up to   nothing: it is gone" in output(forgetful, capsys)


def test_relays_does_not_need_the_rrd(forgetful: Host, capsys: pytest.CaptureFixture[str]) -> None:
    def listed() -> str:
        capsys.readouterr()
        relays = ["relays", *forgetful.options, "--since", "14d", "--format", "json"]
        assert command_line.main(relays) == 0
        return capsys.readouterr().out

    before = listed()
    lost(forgetful)

    assert listed() == before


@pytest.mark.slow
def test_without_the_rrd_the_page_stays_as_it_was(
    forgetful: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*forgetful.options, "--output-dir", str(tmp_path / "www"), "--renderer", "rrdtool"]
    assert command_line.main(["render", *options]) == 0
    page = (tmp_path / "www" / "index.html").read_bytes()
    lost(forgetful)
    capsys.readouterr()

    assert command_line.main(["render", *options]) == 74
    assert "outbound.rrd is gone, so the page stays as it was; " in capsys.readouterr().err
    assert (tmp_path / "www" / "index.html").read_bytes() == page


# ---- CSV and text ---------------------------------------------------------------------------


def test_csv_holds_the_same_numbers(recent: Host, capsys: pytest.CaptureFixture[str]) -> None:
    times = ("--since", f"@{NOW - DAY}", "--until", f"@{NOW}")
    report = json.loads(output(recent, capsys, "--format", "json", *times))
    rows = list(csv.DictReader(output(recent, capsys, "--format", "csv", *times).splitlines()))

    assert [(row["family"], row["category"], row["count"]) for row in rows] == [
        (family, name, "" if count is None else str(count))
        for family in (*FAMILIES, "reach", "omitted")
        for name, count in report[family].items()
    ]
    assert {(row["since"], row["until"]) for row in rows} == {
        (str(report["since"]), str(report["until"]))
    }


def test_an_unknown_count_is_empty_in_csv_and_unknown_in_text(
    recent: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    times = ("--since", f"@{NOW + DAY}", "--until", f"@{NOW + 2 * DAY}")
    rows = list(csv.DictReader(output(recent, capsys, "--format", "csv", *times).splitlines()))

    assert {row["count"] for row in rows if row["family"] != "omitted"} == {""}
    assert output(recent, capsys, *times).count("unknown") >= len(CATEGORIES)


def test_text_says_what_when_and_how_well_the_counting_goes(
    recent: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    text = output(recent, capsys, "--since", f"@{NOW - 14 * DAY}", "--until", f"@{NOW}")
    report = recent.report(NOW - 14 * DAY, NOW)

    assert (
        datetime.fromtimestamp(report.since, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") in text
    )
    for each, count in report.totals.items():
        assert f"{each.label:<14}{count:>12,}" in text
    new = [
        count
        for each, count in report.totals.items()
        if each.family == "connections" and each.name != "reused"
    ]
    assert f"{100 * new[0] / sum(new):.1f} %" in text
    assert "in the RRD up to" in text
    assert "newest line" in text


# ---- moment ---------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("now", THEN),
        ("90s", THEN - 90),
        ("5m", THEN - 300),
        ("24h", THEN - DAY),
        ("7d", THEN - 7 * DAY),
        ("2w", THEN - 14 * DAY),
        ("0s", THEN),
        ("@0", 0),
        ("@1795485600", 1795485600),
        ("1795485600", 1795485600),
        ("2026-11-24", 1795474800),
        ("2026-11-24 03:00", 1795485600),
        ("2026-11-24T03:00:00", 1795485600),
        ("2026-11-24T02:00:00Z", 1795485600),
        ("2026-11-24T02:00:00z", 1795485600),
        ("2026-11-24T02:00:00+00:00", 1795485600),
        ("2026-11-23T21:00:00-05:00", 1795485600),
        ("2026-11-24T03:00:00.900+01:00", 1795485600),
        ("2026-07-01", 1782856800),
    ],
)
def test_a_time_is_understood(text: str, second: int) -> None:
    assert parse_time(text, THEN, BERLIN) == second


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert parse_time("2026-11-23T21:00:00", NOW, None) == 1795485600
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "24", "-24h", "1h30m", "24H", "2026-13-01", "2026-02-30", "@", "@-1",
        "@now", "99999999999999", "999999999d", "@99999999999999999999", "9" * 5000 + "d",
        "0001-01-01", "1969-12-31", "9999-12-31T23:59:59",
        "2026-11-24T25:00", "٢٤h",
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_no_time_is_reported_in_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r" is not a time; write 2026-11-24, .*\.$") as caught:
        parse_time(text, NOW, BERLIN)
    assert caught.value.status == 2
