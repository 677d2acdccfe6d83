"""Every connection is counted once, and in the right minute if that can be known, whatever clocks
do."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from host import START, TEXT, Host, line, rfc3339, yearless

pytestmark = pytest.mark.slow

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def logs(host: Host, when: int, zone: ZoneInfo | timezone = timezone.utc) -> None:
    """A connection with a stamp that has neither year nor zone."""
    host.truth[when - when % 60] += 1
    host.write(line(yearless(when, zone), f"{TEXT} {when}"))


def test_new_year_is_passed_while_following(tmp_path: Path) -> None:
    host = Host(tmp_path, now=at("2026-12-31T23:57:30+00:00"))
    for _ in range(6):
        logs(host, host.now)
        host.collect()
        host.now += 60

    host.settles()


@pytest.mark.parametrize("year", [None, 2021])
def test_an_old_log_is_of_the_year_of_its_file_or_the_one_that_is_reported(
    tmp_path: Path, year: int | None
) -> None:
    host = Host(tmp_path)
    old = tmp_path / "old"
    times = [
        at("2021-12-30T12:00:00+00:00"),
        at("2022-01-02T12:00:00+00:00"),
        at("2022-02-28T12:00:00+00:00"),
    ]
    old.write_text("".join(line(yearless(each)) for each in times))
    written = times[-1] if year is None else START
    os.utime(old, (written, written))
    host.truth.update(each - each % 60 for each in times)
    host.take(old, year=year)

    assert host.counted == dict(host.truth)


def test_a_mail_of_each_day_at_the_same_second_is_of_its_own_year(tmp_path: Path) -> None:
    host = Host(tmp_path)
    old = tmp_path / "old"
    first = at("2023-11-01T00:00:03+00:00")
    times = [first + day * 86400 for day in range(800)]
    old.write_text("".join(line(yearless(each)) for each in times))
    host.truth.update(each - each % 60 for each in times)
    host.take(old, year=2023)

    assert host.counted == dict(host.truth)


def test_the_29th_of_february_is_of_a_leap_year(tmp_path: Path) -> None:
    host = Host(tmp_path)
    leap = at("2024-02-29T12:00:00+00:00")
    old = tmp_path / "old"
    old.write_text(line(yearless(leap)))
    os.utime(old, (leap + 9, leap + 9))
    host.truth[leap] += 1
    host.take(old)

    host.agrees()


@pytest.mark.parametrize("every", [60, 600, 1500])
def test_the_hour_that_autumn_repeats_is_followed_through_both_passes(
    tmp_path: Path, every: int
) -> None:
    host = Host(tmp_path, now=at("2026-10-25T01:30:00+02:00"), zone=BERLIN)
    while host.now < at("2026-10-25T04:00:00+01:00"):
        logs(host, host.now, BERLIN)
        host.collect()
        host.now += every

    host.settles()


@pytest.mark.parametrize("change", ["2026-10-25T00:00:00+00:00", "2026-03-29T00:00:00+00:00"])
def test_a_change_of_the_clocks_is_seen_in_a_log_that_is_imported(
    tmp_path: Path, change: str
) -> None:
    host = Host(tmp_path, zone=BERLIN)
    for when in range(at(change) - 3600, at(change) + 3 * 3600, 240):
        host.now = when
        logs(host, when, BERLIN)
    host.now += 86400
    host.take(host.log)

    host.agrees()


def test_offsets_that_change_mean_what_they_say(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for offset in ("+02:00", "+01:00", "-08:00", "+05:45"):
        stamp = datetime.fromtimestamp(
            host.now, datetime.fromisoformat(f"2026-01-01T00:00:00{offset}").tzinfo
        ).isoformat()
        host.write(line(stamp))
        host.truth[host.now - host.now % 60] += 1
        host.now += 60

    host.settles()


def test_a_line_out_of_order_is_of_its_own_interval_while_that_is_open(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(1)
    host.now += 62
    host.connect(1)
    host.collect()
    host.connect(1, at=host.now - 4)
    host.collect()

    host.settles()


def test_a_line_that_comes_too_late_is_counted_in_the_oldest_open_interval_and_reported(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    host.connect(1)
    host.now += 300
    host.collect()
    oldest = host.store.rrd.last
    host.write(host.line(START))
    step = host.collect()
    assert oldest is not None
    host.truth[oldest] += 1

    assert step.omitted["late"] == 1
    host.settles()


def test_a_stamp_in_the_future_is_reported_and_stops_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(1)
    host.write(line(rfc3339(host.now + 40 * 86400)))
    step = host.collect()
    host.now += 120
    host.connect(1)

    assert (step.counted, step.omitted["future"]) == (1, 1)
    host.settles()


def test_a_line_of_the_future_counts_when_its_time_has_come(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(1)
    host.connect(3, at=host.now + 1800)
    host.write(line(rfc3339(host.now + 40 * 86400)))
    host.connect(2)
    step = host.collect()
    assert (step.counted, step.omitted["future"], host.ledger.omitted()["future"]) == (3, 4, 4)

    for _ in range(8):
        host.now += 300
        host.restart()
        host.connect(1)
        host.collect()
    assert host.ledger.omitted()["future"] == 1
    host.settles()

    host.now += 86400
    assert host.collect().notices[0].startswith("Gave up 1 line stamped in the future")
    assert host.ledger.omitted(for_good=True)["future"] == 1


def test_what_is_logged_while_a_reading_takes_long_counts(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(2)
    host.connect(3, at=host.now + 170)
    host.rules = host.rules._replace(clock=lambda: host.now + 180)

    assert host.collect().counted == 5
    host.now += 180
    host.settles()


def test_a_reader_whose_clock_is_an_hour_back_counts_all_in_the_end(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(4)
    host.collect()
    host.now += 600
    host.connect(5)
    host.now -= 3600
    host.restart()
    host.collect()
    host.now += 3600
    host.connect(1)
    host.collect()
    host.settles()


def test_no_more_than_a_thousand_lines_of_the_future_are_kept(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(1)
    host.connect(1000, at=host.now + 600)
    host.write("".join(host.line(host.now + 660) for _ in range(7)))
    host.collect()
    assert host.ledger.omitted(for_good=True)["future"] == 7
    host.now += 700
    host.settles()


def test_a_stream_that_is_imported_again_brings_its_future_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    stream = host.folder / "stream"
    stream.write_text(host.lines(2) + host.lines(3, at=host.now + 1800))
    for _ in range(3):
        host.take(stream)
        host.now += 700
    host.touch()
    host.take(stream)
    host.settles()


@pytest.mark.parametrize("jump", [-7200, 3 * 3600])
def test_a_clock_that_jumps_loses_and_doubles_nothing(tmp_path: Path, jump: int) -> None:
    host = Host(tmp_path)
    for _ in range(5):
        host.connect(2)
        host.collect()
        host.now += 60
    host.now += jump
    for _ in range(3):
        host.connect(2)
        host.collect()
        host.now += 60
    host.now += 8 * 3600
    host.collect()

    assert sum(count or 0 for _, count in host.rows()) == sum(host.truth.values()) == 16


def test_a_daemon_that_was_suspended_catches_up_without_a_gap(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.connect(1)
    host.collect()
    for _ in range(50):
        host.now += 400
        host.connect(1)

    host.settles()
