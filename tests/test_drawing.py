"""What a picture means: its areas, its gaps, its legend, and when two of them are the same."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.categories import HANDSHAKES
from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.site.drawing import Drawing, Range, fitted, numbers, per_bucket, visible
from dane_mailgraph.site.graphs import GRAPHS, Graph
from dane_mailgraph.site.palette import DARK, LIGHT
from dane_mailgraph.store.series import SPANS, Series, Span
from dane_mailgraph.times import DAY, HOUR

BERLIN = ZoneInfo("Europe/Berlin")
DASH = "\N{EN DASH}"
NOW = 1795485600  # 2026-11-24 03:00 CET, on the hour
STACK, SHARES = GRAPHS[:2]
BARS = Graph("bars", "Bars", HANDSHAKES, "bars")

Bucket = tuple[int | None, int | None, int | None, int | None]
SHORT = Span("short", "Short", 6 * HOUR, HOUR, HOUR)
NONE: Bucket = (None, None, None, None)
ZERO: Bucket = (0, 0, 0, 0)


def series(
    buckets: Sequence[Bucket], step: int = HOUR, until: int = NOW, peak: float | None = 3
) -> Series:
    columns = tuple(zip(*buckets, strict=True)) or ((),) * len(HANDSHAKES)
    counts = dict(zip(HANDSHAKES, columns, strict=True))
    return Series(
        until - step * len(buckets),
        step,
        counts,
        dict.fromkeys(HANDSHAKES, peak),
        reached=until - 60,
    )


def drawing(
    graph: Graph,
    buckets: list[Bucket],
    span: Span = SHORT,
    *,
    step: int = HOUR,
    peak: float | None = 3,
) -> Drawing:
    shown = series(buckets, step, peak=peak)
    return Drawing(graph, span, shown, LIGHT, "mail.example.org", BERLIN, ENGLISH)


# ---- the areas ------------------------------------------------------------------------------


def test_a_stack_shows_the_counts_of_each_bucket_on_top_of_each_other() -> None:
    assert [edges[0] for edges in drawing(STACK, [(60, 120, 0, 30)]).tops()] == [60, 180, 180, 210]


def test_a_bucket_of_which_a_half_was_read_is_as_high_as_one_that_was_read_whole() -> None:
    whole = drawing(STACK, [(60, 0, 0, 0), (30, 0, 0, 0)])
    half = whole._replace(series=whole.series._replace(observed=(HOUR, HOUR // 2)))

    assert half.tops()[0] == (60, 60)


def test_few_events_are_bars_and_each_is_one_also_where_a_half_was_read() -> None:
    few = drawing(STACK, [(1, 0, 0, 0), (2, 0, 0, 0)])
    half = few._replace(series=few.series._replace(observed=(HOUR // 2, HOUR)))

    assert (half.style, half.tops()[0]) == ("bars", (1, 2))
    assert drawing(STACK, [(60, 0, 0, 0)]).style == "stack"


def test_what_came_in_the_first_minutes_of_all_is_not_made_more_than_it_is() -> None:
    fresh = drawing(STACK, [NONE, NONE, (5, 0, 0, 0)])
    fresh = fresh._replace(series=fresh.series._replace(observed=(0, 0, HOUR // 6)))
    shares = fresh._replace(graph=SHARES)

    assert (fresh.style, fresh.tops()[0][-1]) == ("bars", 5)
    assert (fresh.legend()[-1].average, fresh.legend()[-1].maximum) == ("5", "5")
    assert shares.note == "too few for percentages"


def test_buckets_widen_until_they_hold_about_twenty_events() -> None:
    def width(events: int, span: Span) -> int:
        shown = series([(events, 0, 0, 0)] * (span.seconds // span.bucket), span.bucket)
        return fitted(shown, HANDSHAKES, span).step

    day, week, month, year = SPANS
    assert [width(n, day) for n in (20, 19, 6, 2, 1)] == [600, 1800, HOUR, 3 * HOUR, 3 * HOUR]
    assert [width(n, week) for n in (20, 2, 1)] == [HOUR, DAY, DAY]
    assert [width(n, month) for n in (20, 10, 2)] == [3 * HOUR, 6 * HOUR, DAY]
    assert [width(n, year) for n in (20, 3)] == [DAY, 7 * DAY]
    assert width(0, day) == 600


def test_wide_buckets_lose_no_event_of_their_time_and_end_where_the_series_ended() -> None:
    shown = series([(n, None, 0, 1) for n in range(7)])
    wide = shown.widen(3)

    assert (wide.start, wide.until, wide.step) == (NOW - 6 * HOUR, NOW, 3 * HOUR)
    assert wide.counts[HANDSHAKES[0]] == (1 + 2 + 3, 4 + 5 + 6)
    assert wide.counts[HANDSHAKES[1]] == (None, None)


def test_a_span_that_wide_buckets_do_not_fill_is_no_gap() -> None:
    year = SPANS[-1]
    shown = series([(1, 0, 0, 0)] * 366, DAY)
    drawn = Drawing(
        STACK, year, fitted(shown, HANDSHAKES, year), LIGHT, "mail.example.org", BERLIN, ENGLISH
    )

    assert drawn.series.step == 7 * DAY
    assert drawn.gaps() == ()
    assert drawn.window == Range(NOW - 52 * 7 * DAY, NOW)


def test_percentages_of_few_are_not_drawn() -> None:
    assert drawing(SHARES, [(2, 1, 0, 0)] * 6).note == "too few for percentages"
    assert drawing(SHARES, [(20, 10, 0, 0)] * 6).note == ""
    assert drawing(STACK, [(2, 1, 0, 0)] * 6).note == ""
    mixed = drawing(SHARES, [(200, 100, 0, 0), (3, 0, 0, 0)])
    assert [math.isnan(edge) for edge in mixed.tops()[0]] == [False, True]


def test_bars_are_the_counts_themselves() -> None:
    assert [edges[0] for edges in drawing(BARS, [(3, 0, 1, 0)]).tops()] == [3, 3, 4, 4]


def test_shares_end_at_a_hundred() -> None:
    assert [edges[0] for edges in drawing(SHARES, [(10, 10, 0, 20)]).tops()] == [25, 50, 50, 100]


def test_a_stack_is_zero_where_nothing_was_counted_and_nowhere_where_nothing_is_known() -> None:
    for edges in drawing(STACK, [ZERO, NONE]).tops():
        assert edges[0] == 0
        assert math.isnan(edges[1])


def test_shares_have_no_area_where_there_is_nothing_to_share() -> None:
    assert all(math.isnan(edge) for edges in drawing(SHARES, [ZERO, NONE]).tops() for edge in edges)


counted = st.none() | st.integers(0, 10**12)


@given(st.lists(st.tuples(counted, counted, counted, counted), max_size=20))
def test_areas_never_cross_and_shares_never_leave_a_hundred(buckets: list[Bucket]) -> None:
    for graph in (STACK, SHARES, BARS):
        for bucket in zip(*drawing(graph, buckets).tops(), strict=True):
            known = [edge for edge in bucket if not math.isnan(edge)]
            assert known == sorted(known)
            assert len(known) in (0, len(bucket))
            if graph.style == "share" and known:
                assert known[-1] == pytest.approx(100)


def test_a_single_delivery_in_the_clear_among_thousands_is_seen() -> None:
    assert visible((99.9, 99.95, 99.95, 100.0), 1) == (98.0, 99.0, 99.0, 100.0)
    assert visible((50.0, 80.0, 100.0), 1) == (50.0, 80.0, 100.0)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=7), st.floats(0.01, 10))
def test_what_is_made_visible_keeps_the_top_and_the_order(
    counts: list[float], least: float
) -> None:
    edges = tuple(sum(counts[: i + 1]) for i in range(len(counts)))
    raised = visible(edges, least)

    assert raised[-1] == edges[-1]
    assert list(raised) == sorted(raised) and raised[0] >= 0
    assert all(now <= before for now, before in zip(raised, edges, strict=True))


# ---- gaps and blanks ------------------------------------------------------------------------


@given(st.lists(st.sampled_from([NONE, ZERO, (10, 0, None, 20)]), min_size=6, max_size=12))
def test_the_span_is_made_of_gaps_blanks_and_areas(buckets: list[Bucket]) -> None:
    shares = drawing(SHARES, buckets)
    shown = sum(bucket not in (NONE, ZERO) for bucket in buckets[-6:]) * HOUR
    dark = sum(each.until - each.start for each in (*shares.gaps(), *shares.no_traffic()))
    assert shown + dark == SHORT.seconds


def test_neighbouring_unknown_buckets_are_one_gap() -> None:
    found = drawing(STACK, [ZERO, NONE, NONE, ZERO, NONE, ZERO]).gaps()
    assert found == (Range(NOW - 5 * HOUR, NOW - 3 * HOUR), Range(NOW - 2 * HOUR, NOW - HOUR))


def test_one_known_category_is_enough_not_to_be_a_gap() -> None:
    assert drawing(STACK, [(None, None, None, 0)] * 6).gaps() == ()


def test_the_time_before_the_series_is_a_gap_that_goes_on_in_its_unknown_buckets() -> None:
    assert drawing(STACK, [NONE, ZERO]).gaps() == (Range(NOW - 6 * HOUR, NOW - HOUR),)


def test_an_unknown_bucket_before_the_span_is_no_gap() -> None:
    assert drawing(STACK, [NONE, *[ZERO] * 6]).gaps() == ()


def test_only_a_series_of_which_nothing_is_known_has_no_data_yet() -> None:
    assert not drawing(STACK, []).has_data
    assert not drawing(STACK, [NONE, NONE]).has_data
    assert drawing(STACK, [NONE, ZERO]).has_data


def test_the_axis_ends_with_the_series_and_is_as_long_as_the_span() -> None:
    for buckets in ([ZERO], [ZERO] * 100):
        assert drawing(STACK, buckets, SPANS[0]).window == Range(NOW - DAY, NOW)


# ---- the words ------------------------------------------------------------------------------


def test_files_are_named_by_span_graph_and_theme() -> None:
    light = drawing(SHARES, [ZERO], SPANS[0])

    assert [each.file for each in (light, light._replace(theme=DARK))] == [
        "day-connections-share.png",
        "day-connections-share-dark.png",
    ]


def test_a_picture_says_its_span_its_unit_and_up_to_when_it_has_data() -> None:
    assert drawing(STACK, [(60, 0, 0, 0)]).subtitle == "Short, per hour"
    assert drawing(BARS, [(60, 0, 0, 0)]).subtitle == "Short, per hour"
    assert drawing(SHARES, [(60, 0, 0, 0)]).subtitle == "Short"
    assert drawing(STACK, [ZERO]).end == "data up to 2026-11-24 02:59 CET"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (60, "per minute"),
        (600, "per 10 minutes"),
        (3600, "per hour"),
        (10800, "per 3 hours"),
        (86400, "per day"),
        (90, "per 2 minutes"),
    ],
)
def test_bars_say_what_time_one_stands_for(seconds: int, text: str) -> None:
    assert per_bucket(seconds, ENGLISH) == text


def test_the_picture_in_words_has_every_number() -> None:
    stack = drawing(STACK, [(600, 300, 90, 10)])

    assert stack.alt(stack.legend()) == (
        "Outbound TLS connections, Short, per hour: "
        "Verified 600 (60.0%), Trusted 300 (30.0%), Untrusted 90 (9.0%), "
        "Anonymous 10 (1.0%), all 1,000; data up to 2026-11-24 02:59 CET"
    )


def test_a_picture_speaks_the_language() -> None:
    german = drawing(STACK, [(600, 300, 90, 10)])._replace(language=load_language("de"))

    assert german.title == "Ausgehende TLS-Verbindungen"
    assert german.legend()[0] == ("Verified", "600", "60,0\N{NO-BREAK SPACE}%", "600", "600")
    assert german.end == "Daten bis 2026-11-24 02:59 CET"


# ---- the legend -----------------------------------------------------------------------------


def test_the_legend_has_a_row_for_each_category_and_one_for_all() -> None:
    rows = drawing(STACK, [(600, 300, 90, 10), (601, 300, 90, 10)]).legend()
    assert [tuple(row) for row in rows] == [
        ("Verified", "1,201", "60.0%", "600", "601"),
        ("Trusted", "600", "30.0%", "300", "300"),
        ("Untrusted", "180", "9.0%", "90", "90"),
        ("Anonymous", "20", "1.0%", "10", "10"),
        ("all", "2,001", "", "1,000", "1,001"),
    ]


def test_the_maximum_in_the_legend_is_the_top_of_the_picture() -> None:
    shown = drawing(STACK, [(600, 300, 90, 10), (300, 700, 0, 0), (10, 10, 10, 10)])

    assert shown.legend()[-1].maximum == "1,000"
    assert max(shown.tops()[-1]) == 1000


def test_shares_have_neither_average_nor_maximum() -> None:
    shown = drawing(SHARES, [(600, 300, 90, 10)])

    assert shown.cells(shown.heading()) == ("total", "share")
    assert shown.cells(shown.legend()[0]) == ("600", "60.0%")


def test_what_is_unknown_is_a_dash_and_what_is_zero_is_zero() -> None:
    unknown, zero = (drawing(STACK, [bucket] * 3).legend()[0] for bucket in (NONE, ZERO))
    assert unknown == ("Verified", DASH, DASH, DASH, DASH)
    assert zero == ("Verified", "0", DASH, "0", "0")


def test_the_sum_of_unknown_is_unknown() -> None:
    assert drawing(STACK, [NONE]).legend()[-1] == ("all", DASH, "", DASH, DASH)


def test_a_category_that_is_unknown_among_known_ones_is_not_shown() -> None:
    shown = drawing(STACK, [(1, 1, None, None)])

    assert [row.name for row in shown.rows] == ["verified", "trusted"]
    assert [row.share for row in shown.legend()] == ["50.0%", "50.0%", ""]
    assert [edges[0] for edges in shown.tops()] == [1, 2]
    assert len(drawing(STACK, [NONE]).rows) == 4


def deliveries(**counts: int | None) -> Drawing:
    """A picture of deliveries that counts these; None is unknown."""
    graph = next(each for each in GRAPHS if each.slug == "deliveries")
    shown = Series(
        NOW - HOUR,
        HOUR,
        {row: (counts.get(row.name, 0),) for row in graph.categories},
        dict.fromkeys(graph.categories, 1.0),
        reached=NOW,
    )
    return Drawing(graph, SHORT, shown, LIGHT, "mail.example.org", BERLIN, ENGLISH)


def test_where_the_log_does_not_tell_dane_there_is_only_authenticated() -> None:
    old = deliveries(dane=None, half_dane=None, verified=3)
    new = deliveries(verified=3)

    assert [line.label for line in old.legend()] == [
        *("authenticated", "Trusted", "Untrusted", "Anonymous", "plaintext", "unknown", "all")
    ]
    assert [line.label for line in new.legend()][:4] == ["DANE", "verified", "half DANE", "Trusted"]


def test_the_numbers_of_a_column_have_equally_many_decimals() -> None:
    assert numbers((12.345, 0.5, 3, None), ENGLISH) == ("12.35", "0.50", "3.00", DASH)
    assert numbers((1234.5, 7.0), ENGLISH) == ("1,234", "7")
    assert numbers((3.0, 40.0, 0.0), ENGLISH) == ("3", "40", "0")


def test_a_connection_in_a_year_is_not_rounded_to_none() -> None:
    assert numbers((1 / 527040, 0.0), ENGLISH) == ("0.000002", "0")
    assert numbers((100.5, 0.001), ENGLISH) == ("100.5", "<0.1")


@settings(max_examples=300)
@given(st.lists(st.none() | st.floats(0, 1e10), max_size=6))
def test_only_zero_is_printed_as_zero(values: list[float | None]) -> None:
    for value, text in zip(values, numbers(tuple(values), ENGLISH), strict=True):
        assert (value == 0) == (re.fullmatch(r"[0.]+", text) is not None)
        assert (value is None) == (text == DASH)


# ---- identity -------------------------------------------------------------------------------


def test_whatever_changes_the_picture_changes_its_identity() -> None:
    first = drawing(STACK, [(5, 3, 1, 0)] * 6)
    others = [
        first._replace(graph=SHARES),
        first._replace(span=SHORT._replace(title="Other")),
        first._replace(series=series([(5, 3, 1, 0)] * 5 + [(5, 3, 2, 0)])),
        first._replace(series=series([(5, 3, 1, 0)] * 6, until=NOW + HOUR)),
        first._replace(series=first.series._replace(reached=NOW)),
        first._replace(series=first.series._replace(observed=(HOUR,) * 5 + (60,))),
        first._replace(theme=DARK),
        first._replace(host="other.example.org"),
        first._replace(zone=ZoneInfo("Europe/London")),
        first._replace(language=load_language("de")),
    ]
    identities = [each.identity("matplotlib 1") for each in (first, *others)] + [
        first.identity("rrdtool 1")
    ]

    assert len(set(identities)) == len(identities)
    assert drawing(STACK, [(5, 3, 1, 0)] * 6).identity("matplotlib 1") == identities[0]


def test_what_the_picture_does_not_show_does_not_change_its_identity() -> None:
    first = drawing(STACK, [(5, 3, 1, 0)] * 6)
    more = first.series._replace(counts={**first.series.counts, GRAPHS[2].categories[0]: (7,) * 6})

    assert first._replace(series=more).identity("m") == first.identity("m")
