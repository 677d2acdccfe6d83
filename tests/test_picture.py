"""What a picture means: its axes, ticks, gaps and table, and that equal input is an equal image."""

from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Iterator
from datetime import datetime, timezone, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.counted import KEY_EXCHANGE, PROTOCOLS
from dane_mailgraph.graphs import GRAPHS, TRUST, Graph
from dane_mailgraph.page import PICTURE_HEIGHT, PICTURE_WIDTH
from dane_mailgraph.picture import Stretch, blanks, draw, gaps, rates, scale, seen, table, ticks, tops, window
from dane_mailgraph.series import DAY, HOUR, SPANS, Series, Span

BERLIN = ZoneInfo("Europe/Berlin")
DASH = "\N{EN DASH}"
DAY_SPAN, WEEK_SPAN, MONTH_SPAN, YEAR_SPAN = SPANS
STACK, SHARES = GRAPHS
NOW = 1795485600  # 2026-11-24 03:00 CET, on the hour

Bucket = tuple[int | None, int | None, int | None, int | None]
SHORT = Span("short", "Short", 6 * HOUR, HOUR)
NONE: Bucket = (None, None, None, None)
ZERO: Bucket = (0, 0, 0, 0)


def series(buckets: list[Bucket], step: int = HOUR, until: int = NOW, peak: float | None = 3) -> Series:
    columns = tuple(zip(*buckets, strict=True)) or ((),) * len(TRUST)
    return Series(until - step * len(buckets), step, dict(zip(TRUST, columns, strict=True)), dict.fromkeys(TRUST, peak))


def filled(span: Span, bucket: Bucket) -> Series:
    return series([bucket] * (span.seconds // span.bucket), span.bucket, NOW // span.bucket * span.bucket)


def epoch(zone: tzinfo | None, *moment: int) -> int:
    year, month, day, *clock = moment
    hour = clock[0] if clock else 0
    return int(datetime(year, month, day, hour, tzinfo=zone).timestamp())


def labels(since: int, until: int, zone: tzinfo | None = BERLIN) -> list[str]:
    return [tick.label for tick in ticks(since, until, zone) if tick.label]


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """New York as the local time of the system."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# The image


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.slug)
@pytest.mark.parametrize("bucket", [NONE, ZERO, (1, 0, 0, 0), (3_000_000_000, 5, 1, 0)], ids=["none", "zero", "one", "giant"])
def test_every_graph_of_every_span_is_a_png_of_twice_the_size_on_the_page(graph: Graph, span: Span, bucket: Bucket) -> None:
    png = draw(graph, span, filled(span, bucket), NOW, BERLIN)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (2 * PICTURE_WIDTH, 2 * PICTURE_HEIGHT)


def test_a_series_without_buckets_is_drawn() -> None:
    assert draw(STACK, DAY_SPAN, series([]), NOW, BERLIN)


def test_a_family_of_five_is_drawn() -> None:
    for rows in (PROTOCOLS, KEY_EXCHANGE):
        counts = Series(NOW - DAY, HOUR, {row: (1,) * 24 for row in rows}, dict.fromkeys(rows))
        assert draw(Graph("five", "Five", rows, "stack"), DAY_SPAN, counts, NOW, BERLIN)


def test_the_same_input_gives_the_same_bytes() -> None:
    counts = series([(5, 3, 1, 0), NONE, ZERO] * 8)
    assert draw(SHARES, DAY_SPAN, counts, NOW, BERLIN) == draw(SHARES, DAY_SPAN, counts, NOW, BERLIN)


def test_settings_of_matplotlib_on_the_machine_do_not_change_the_picture() -> None:
    counts = series([(5, 3, 1, 0)] * 24)
    expected = draw(STACK, DAY_SPAN, counts, NOW, BERLIN)
    with matplotlib.rc_context({"figure.facecolor": "red", "savefig.bbox": "tight", "font.size": 20}):
        assert draw(STACK, DAY_SPAN, counts, NOW, BERLIN) == expected
        assert matplotlib.rcParams["figure.facecolor"] == "red"


def test_the_image_names_no_program_version() -> None:
    assert b"matplotlib" not in draw(STACK, DAY_SPAN, series([ZERO]), NOW, BERLIN).lower()


def test_unknown_and_zero_look_different() -> None:
    for graph in GRAPHS:
        pictures = [draw(graph, DAY_SPAN, series([(1, 1, 1, 1), bucket, (1, 1, 1, 1)]), NOW, BERLIN) for bucket in (NONE, ZERO)]
        assert pictures[0] != pictures[1]


def test_a_dollar_sign_in_a_title_is_only_a_dollar_sign() -> None:
    assert draw(STACK._replace(title=r"$\frac{1$"), DAY_SPAN, series([ZERO]), NOW, BERLIN)


def test_the_picture_is_stamped_with_the_time_it_was_drawn() -> None:
    counts = series([ZERO])
    assert draw(STACK, DAY_SPAN, counts, NOW, BERLIN) != draw(STACK, DAY_SPAN, counts, NOW + 60, BERLIN)


# The areas


def test_a_stack_shows_counts_per_minute_on_top_of_each_other() -> None:
    assert [edges[0] for edges in tops(STACK, series([(60, 120, 0, 30)]))] == [1, 3, 3, 3.5]


def test_shares_end_at_a_hundred() -> None:
    assert [edges[0] for edges in tops(SHARES, series([(1, 1, 0, 2)]))] == [25, 50, 50, 100]


def test_a_stack_is_zero_where_nothing_was_counted_and_nowhere_where_nothing_is_known() -> None:
    for edges in tops(STACK, series([ZERO, NONE])):
        assert edges[0] == 0
        assert math.isnan(edges[1])


def test_shares_have_no_area_where_there_is_nothing_to_share() -> None:
    assert all(math.isnan(edge) for edges in tops(SHARES, series([ZERO, NONE])) for edge in edges)


counted = st.none() | st.integers(0, 10**12)


@given(st.lists(st.tuples(counted, counted, counted, counted), max_size=20))
def test_areas_never_cross_and_shares_never_leave_a_hundred(buckets: list[Bucket]) -> None:
    for graph in GRAPHS:
        for bucket in zip(*tops(graph, series(buckets)), strict=True):
            known = [edge for edge in bucket if not math.isnan(edge)]
            assert known == sorted(known)
            assert len(known) in (0, len(bucket))
            if graph.style == "share" and known:
                assert known[-1] == pytest.approx(100)


@given(st.lists(st.sampled_from([NONE, ZERO, (1, 0, None, 2)]), min_size=6, max_size=12))
def test_the_span_is_made_of_gaps_blanks_and_areas(buckets: list[Bucket]) -> None:
    counts = series(buckets)
    shown = sum(bucket not in (NONE, ZERO) for bucket in buckets[-6:]) * HOUR
    dark = sum(each.until - each.start for each in (*gaps(SHARES, SHORT, counts), *blanks(SHARES, SHORT, counts)))
    assert shown + dark == SHORT.seconds


def test_neighbouring_unknown_buckets_are_one_gap() -> None:
    counts = series([ZERO, NONE, NONE, ZERO, NONE, ZERO])
    start = counts.start
    assert gaps(STACK, SHORT, counts) == (
        Stretch(start + HOUR, start + 3 * HOUR),
        Stretch(start + 4 * HOUR, start + 5 * HOUR),
    )


def test_a_bucket_of_which_one_category_is_known_is_no_gap() -> None:
    assert gaps(STACK, SHORT, series([(None, None, None, 0)] * 6)) == ()


def test_the_time_before_the_series_is_a_gap_that_goes_on_in_its_unknown_buckets() -> None:
    assert gaps(STACK, SHORT, series([NONE, ZERO])) == (Stretch(NOW - 6 * HOUR, NOW - HOUR),)


def test_an_unknown_bucket_before_the_span_is_no_gap() -> None:
    assert gaps(STACK, SHORT, series([NONE, *[ZERO] * 6])) == ()


def test_only_a_series_of_which_nothing_is_known_has_no_data_yet() -> None:
    assert not seen(STACK, series([]))
    assert not seen(STACK, series([NONE, NONE]))
    assert seen(STACK, series([NONE, ZERO]))


# The axis of time


def test_the_axis_ends_with_the_series_and_is_as_long_as_the_span() -> None:
    for buckets in ([ZERO], [ZERO] * 100):
        assert window(DAY_SPAN, series(buckets)) == Stretch(NOW - DAY, NOW)


def test_a_day_has_a_tick_every_three_hours_and_the_date_at_midnight() -> None:
    expected = ["03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "24 Nov", "03:00"]
    assert labels(NOW - DAY, NOW) == expected


def test_a_week_has_a_tick_at_each_local_midnight() -> None:
    assert labels(NOW - 7 * DAY, NOW) == ["Wed 18", "Thu 19", "Fri 20", "Sat 21", "Sun 22", "Mon 23", "Tue 24"]


def test_a_month_names_the_mondays_and_marks_the_days_between() -> None:
    since = NOW - 31 * DAY
    assert labels(since, NOW) == ["26 Oct", "2 Nov", "9 Nov", "16 Nov", "23 Nov"]
    assert len(ticks(since, NOW, BERLIN)) == 31


def test_a_year_has_a_tick_at_the_first_of_each_month_and_the_year_in_january() -> None:
    expected = ["Dec", "Jan 2026", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov"]
    assert labels(NOW - 366 * DAY, NOW) == expected


def test_the_night_the_clocks_go_forward_has_its_midnight_and_three_two_hours_apart() -> None:
    until = epoch(BERLIN, 2026, 3, 29, 12)
    at = {tick.label: tick.at for tick in ticks(until - DAY, until, BERLIN)}
    assert at["29 Mar"] == epoch(timezone.utc, 2026, 3, 28, 23)
    assert at["03:00"] == epoch(timezone.utc, 2026, 3, 29, 1)


def test_the_night_the_clocks_go_back_has_its_midnight_and_three_four_hours_apart() -> None:
    until = epoch(BERLIN, 2026, 10, 25, 12)
    at = {tick.label: tick.at for tick in ticks(until - DAY, until, BERLIN)}
    assert at["03:00"] - at["25 Oct"] == 4 * HOUR


def test_the_days_of_a_week_stay_at_midnight_over_the_change_of_the_clocks() -> None:
    until = epoch(BERLIN, 2026, 4, 1, 12)
    marks = ticks(until - 7 * DAY, until, BERLIN)
    assert [b.at - a.at for a, b in pairwise(marks)] == [DAY, DAY, DAY, 23 * HOUR, DAY, DAY]


def test_a_day_whose_midnight_is_left_out_starts_with_its_first_hour() -> None:
    santiago = ZoneInfo("America/Santiago")
    until = epoch(santiago, 2026, 9, 6, 12)
    at = {tick.label: tick.at for tick in ticks(until - DAY, until, santiago)}
    assert datetime.fromtimestamp(at["6 Sep"], santiago).hour == 1


def test_a_day_that_the_calendar_leaves_out_has_no_ticks() -> None:
    # In Samoa the 30th of December 2011 did not happen.
    apia = ZoneInfo("Pacific/Apia")
    until = epoch(apia, 2011, 12, 31, 6)
    assert labels(until - DAY, until, apia) == ["06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "31 Dec", "03:00", "06:00"]


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
def test_no_zone_is_the_local_time_of_the_system(span: Span) -> None:
    for until in (NOW, epoch(ZoneInfo("America/New_York"), 2026, 3, 8, 12), epoch(ZoneInfo("America/New_York"), 2026, 11, 1, 12)):
        assert ticks(until - span.seconds, until, None) == ticks(until - span.seconds, until, ZoneInfo("America/New_York"))


zones = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo"])


@given(st.integers(1_000_000_000, 2_500_000_000), st.sampled_from(SPANS), zones)
def test_ticks_lie_within_the_axis_in_order_and_leave_room_for_their_labels(until: int, span: Span, name: str) -> None:
    marks = ticks(until - span.seconds, until, ZoneInfo(name))
    at = [mark.at for mark in marks]
    assert at == sorted(set(at))
    assert all(until - span.seconds <= second <= until for second in at)
    assert 4 <= len([mark for mark in marks if mark.label]) <= 13


# The axis of counts


def test_an_empty_axis_goes_from_zero_to_one() -> None:
    assert scale(0) == ((0, "0"), (0.5, "0.5"), (1, "1"))


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (1 / 1440, ["0", "0.0002", "0.0004", "0.0006"]),
        (0.3, ["0", "0.1", "0.2", "0.3"]),
        (1, ["0", "0.5", "1.0"]),
        (4, ["0", "1", "2", "3", "4"]),
        (23, ["0", "5", "10", "15", "20"]),
        (9000, ["0", "2000", "4000", "6000", "8000"]),
        (23_000, ["0", "5k", "10k", "15k", "20k"]),
        (1_200_000, ["0", "0.5M", "1.0M"]),
        (5_000_000, ["0", "2M", "4M"]),
    ],
)
def test_an_axis_of_counts_has_round_steps(top: float, expected: list[str]) -> None:
    assert [label for _, label in scale(top)] == expected


@given(st.floats(1e-6, 1e12))
def test_an_axis_of_counts_has_few_different_labels_that_fit_beside_it(top: float) -> None:
    marks = scale(top)
    assert 3 <= len(marks) <= 6
    assert len({label for _, label in marks}) == len(marks)
    assert all(len(label) <= 9 for _, label in marks)
    assert marks[-1][0] <= top * 1.05


# The table


def test_the_table_has_a_row_for_each_category_and_one_for_all() -> None:
    rows = table(STACK, series([(600, 300, 90, 10), (600, 300, 90, 10)], peak=12.5))
    assert [tuple(row) for row in rows] == [
        ("Verified", "1,200", "60.0%", "10.00", "12.50"),
        ("Trusted", "600", "30.0%", "5.00", "12.50"),
        ("Untrusted", "180", "9.0%", "1.50", "12.50"),
        ("Anonymous", "20", "1.0%", "0.17", "12.50"),
        ("all", "2,000", "", "16.67", ""),
    ]


def test_what_is_unknown_is_a_dash_and_what_is_zero_is_zero() -> None:
    unknown, zero = (table(STACK, series([bucket] * 3, peak=peak))[0] for bucket, peak in ((NONE, None), (ZERO, 0.0)))
    assert unknown == ("Verified", DASH, DASH, DASH, DASH)
    assert zero == ("Verified", "0", DASH, "0", "0")


def test_the_sum_of_unknown_is_unknown() -> None:
    assert table(STACK, series([NONE]))[-1] == ("all", DASH, "", DASH, "")


def test_a_category_that_is_unknown_among_known_ones_has_no_share() -> None:
    assert [row.share for row in table(STACK, series([(1, 1, None, None)]))] == ["50.0%", "50.0%", DASH, DASH, ""]


def test_the_numbers_of_a_column_have_equally_many_decimals() -> None:
    assert rates((12.345, 0.5, 3, None)) == ("12.35", "0.50", "3.00", DASH)
    assert rates((1234.5, 7.0)) == ("1,234", "7")
    assert rates((3.0, 40.0, 0.0)) == ("3", "40", "0")


def test_a_connection_in_a_year_is_not_rounded_to_none() -> None:
    assert rates((1 / 527040, 0.0)) == ("0.000002", "0")
    assert rates((100.5, 0.001)) == ("100.5", "<0.1")


@settings(max_examples=300)
@given(st.lists(st.none() | st.floats(0, 1e10), max_size=6))
def test_only_zero_is_printed_as_zero(values: list[float | None]) -> None:
    for value, text in zip(values, rates(tuple(values)), strict=True):
        assert (value == 0) == (re.fullmatch(r"[0.]+", text) is not None)
        assert (value is None) == (text == DASH)
