"""The marks of an axis lie on the local calendar, and on round numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.site.axis import scale, ticks
from dane_mailgraph.store.series import SPANS, Span
from dane_mailgraph.times import DAY, HOUR, format_time, local_time

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1795485600  # 2026-11-24 03:00 CET, on the hour


def epoch(zone: tzinfo | None, *moment: int) -> int:
    year, month, day, *clock = moment
    hour = clock[0] if clock else 0
    return int(datetime(year, month, day, hour, tzinfo=zone).timestamp())


def labels(since: int, until: int, zone: tzinfo | None = BERLIN) -> list[str]:
    return [tick.label for tick in ticks(since, until, zone, ENGLISH) if tick.label]


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """New York as the local time of the system."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# The axis of time


def test_a_day_has_a_tick_every_three_hours_and_the_date_at_midnight() -> None:
    expected = ["03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "24 Nov", "03:00"]
    assert labels(NOW - DAY, NOW) == expected


def test_a_week_has_a_tick_at_each_local_midnight() -> None:
    assert labels(NOW - 7 * DAY, NOW) == [
        "Wed 18",
        "Thu 19",
        "Fri 20",
        "Sat 21",
        "Sun 22",
        "Mon 23",
        "Tue 24",
    ]


def test_a_month_names_the_mondays_and_marks_the_days_between() -> None:
    since = NOW - 31 * DAY
    assert labels(since, NOW) == ["26 Oct", "2 Nov", "9 Nov", "16 Nov", "23 Nov"]
    assert len(ticks(since, NOW, BERLIN, ENGLISH)) == 31


def test_a_year_has_a_tick_at_the_first_of_each_month_and_the_year_in_january() -> None:
    expected = [
        "Dec",
        "Jan 2026",
        "Feb",
        "Mar",
        "Apr",
        "May",
        "Jun",
        "Jul",
        "Aug",
        "Sep",
        "Oct",
        "Nov",
    ]
    assert labels(NOW - 366 * DAY, NOW) == expected


def test_the_night_the_clocks_go_forward_has_its_midnight_and_three_two_hours_apart() -> None:
    until = epoch(BERLIN, 2026, 3, 29, 12)
    at = {tick.label: tick.at for tick in ticks(until - DAY, until, BERLIN, ENGLISH)}
    assert at["29 Mar"] == epoch(timezone.utc, 2026, 3, 28, 23)
    assert at["03:00"] == epoch(timezone.utc, 2026, 3, 29, 1)


def test_the_night_the_clocks_go_back_has_its_midnight_and_three_four_hours_apart() -> None:
    until = epoch(BERLIN, 2026, 10, 25, 12)
    at = {tick.label: tick.at for tick in ticks(until - DAY, until, BERLIN, ENGLISH)}
    assert at["03:00"] - at["25 Oct"] == 4 * HOUR


def test_the_days_of_a_week_stay_at_midnight_over_the_change_of_the_clocks() -> None:
    until = epoch(BERLIN, 2026, 4, 1, 12)
    marks = ticks(until - 7 * DAY, until, BERLIN, ENGLISH)
    assert [b.at - a.at for a, b in pairwise(marks)] == [DAY, DAY, DAY, 23 * HOUR, DAY, DAY]


def test_a_day_whose_midnight_is_left_out_starts_with_its_first_hour() -> None:
    santiago = ZoneInfo("America/Santiago")
    until = epoch(santiago, 2026, 9, 6, 12)
    at = {tick.label: tick.at for tick in ticks(until - DAY, until, santiago, ENGLISH)}
    assert datetime.fromtimestamp(at["6 Sep"], santiago).hour == 1


def test_a_day_that_the_calendar_leaves_out_has_no_ticks() -> None:
    # In Samoa the 30th of December 2011 did not happen.
    apia = ZoneInfo("Pacific/Apia")
    until = epoch(apia, 2011, 12, 31, 6)
    assert labels(until - DAY, until, apia) == [
        "06:00",
        "09:00",
        "12:00",
        "15:00",
        "18:00",
        "21:00",
        "31 Dec",
        "03:00",
        "06:00",
    ]


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
def test_no_zone_is_the_local_time_of_the_system(span: Span) -> None:
    for until in (
        NOW,
        epoch(ZoneInfo("America/New_York"), 2026, 3, 8, 12),
        epoch(ZoneInfo("America/New_York"), 2026, 11, 1, 12),
    ):
        assert ticks(until - span.seconds, until, None, ENGLISH) == ticks(
            until - span.seconds, until, ZoneInfo("America/New_York"), ENGLISH
        )


zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo"]
)


@given(st.integers(1_000_000_000, 2_500_000_000), st.sampled_from(SPANS), zones)
def test_ticks_lie_within_the_axis_in_order_and_leave_room_for_their_labels(
    until: int, span: Span, name: str
) -> None:
    marks = ticks(until - span.seconds, until, ZoneInfo(name), ENGLISH)
    at = [mark.at for mark in marks]
    assert at == sorted(set(at))
    assert all(until - span.seconds <= second <= until for second in at)
    assert 4 <= len([mark for mark in marks if mark.label]) <= 13


# The axis of counts


def test_an_empty_axis_goes_from_zero_to_one() -> None:
    assert scale(0, ENGLISH) == ((0, "0"), (0.5, "0.5"), (1.0, "1.0"))


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (1 / 1440, ["0", "0.0002", "0.0004", "0.0006"]),
        (0.3, ["0", "0.1", "0.2", "0.3"]),
        (1, ["0", "0.5", "1.0"]),
        (4, ["0", "1", "2", "3", "4"]),
        (23, ["0", "5", "10", "15", "20"]),
        (9000, ["0", "2,000", "4,000", "6,000", "8,000"]),
        (23_000, ["0", "5k", "10k", "15k", "20k"]),
        (1_200_000, ["0", "0.5M", "1.0M"]),
        (5_000_000, ["0", "2M", "4M"]),
    ],
)
def test_an_axis_of_counts_has_round_steps(top: float, expected: list[str]) -> None:
    assert [label for _, label in scale(top, ENGLISH)] == expected


@given(st.floats(1e-6, 1e12))
def test_an_axis_of_counts_has_few_different_labels_that_fit_beside_it(top: float) -> None:
    marks = scale(top, ENGLISH)
    assert 3 <= len(marks) <= 6
    assert len({label for _, label in marks}) == len(marks)
    assert all(len(label) <= 9 for _, label in marks)
    assert marks[-1][0] <= top * 1.05


@given(st.integers(0, 10**9))
def test_an_axis_of_whole_things_has_whole_labels(top: int) -> None:
    assert all(value == int(value) for value, _ in scale(top, ENGLISH, whole=True))


def test_labels_are_written_as_the_language_does() -> None:
    german = load_language("de")

    assert [label for _, label in scale(0.3, german)] == ["0", "0,1", "0,2", "0,3"]
    assert [tick.label for tick in ticks(NOW - 7 * DAY, NOW, BERLIN, german)][:2] == [
        "Mi 18",
        "Do 19",
    ]
    assert "24. Nov" in [tick.label for tick in ticks(NOW - DAY, NOW, BERLIN, german)]


def test_a_time_for_readers_elsewhere_names_its_zone_in_summer_and_in_winter() -> None:
    assert format_time(NOW, BERLIN, zone_name=True) == "2026-11-24 03:00 CET"
    assert format_time(1782878400, BERLIN, zone_name=True) == "2026-07-01 06:00 CEST"


@pytest.mark.usefixtures("new_york")
def test_the_local_time_of_the_system_is_aware() -> None:
    assert local_time(NOW, None).isoformat() == "2026-11-23T21:00:00-05:00"
