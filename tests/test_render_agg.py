"""The image that matplotlib makes: its size, its pixels, and that equal input is an equal image."""

from __future__ import annotations

import warnings
from io import BytesIO
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import matplotlib
import pytest
from matplotlib.image import imread

from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.site import render_agg
from dane_mailgraph.site.drawing import PLOT, WIDTH, ZOOM, Drawing
from dane_mailgraph.site.graphs import GRAPHS, Graph
from dane_mailgraph.site.palette import DARK, LIGHT, THEMES
from dane_mailgraph.site.png import about
from dane_mailgraph.site.render_agg import BOTTOM, LEFT, RIGHT, TOP, draw, height
from dane_mailgraph.store.series import SPANS, Series, Span
from dane_mailgraph.times import HOUR

pytestmark = pytest.mark.slow

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1795485600  # 2026-11-24 03:00 CET, on the hour
DAY_SPAN = SPANS[0]
STACK, SHARES = GRAPHS[:2]

Counts = tuple[int | None, ...]


def drawing(graph: Graph, buckets: list[Counts], span: Span = DAY_SPAN, **changed: Any) -> Drawing:
    counts = {row: tuple(_count(graph, row, bucket) for bucket in buckets) for row in CATEGORIES}
    until = NOW // span.bucket * span.bucket
    whole = Series(
        until - span.bucket * len(buckets),
        span.bucket,
        counts,
        dict.fromkeys(CATEGORIES, 3.0),
        reached=until,
    )
    return Drawing(graph, span, whole, LIGHT, "mail.example.org", BERLIN, ENGLISH)._replace(
        **changed
    )


def _count(graph: Graph, row: Any, bucket: Counts) -> int | None:
    if bucket[0] is None or row not in graph.categories:
        return None
    place = graph.categories.index(row)
    return bucket[place] if place < len(bucket) else 0


def pixels(png: bytes) -> Any:
    return (imread(BytesIO(png), format="png") * 255).round().astype(int)


def colour_at(image: Any, x: float, y: float) -> str:
    """At a place in CSS pixels."""
    red, green, blue = image[int(y * ZOOM), int(x * ZOOM)][:3]
    return f"#{red:02X}{green:02X}{blue:02X}"


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.slug)
def test_every_graph_of_every_span_is_a_png_of_twice_its_size_on_the_page(
    graph: Graph, span: Span, theme: Any
) -> None:
    for counts in ((None,), (0,), (1,), (3_000_000_000, 5, 1, 0)):
        one = drawing(graph, [counts] * (span.seconds // span.bucket), span, theme=theme)
        file = about(draw(one))
        assert (file.width, file.height) == (WIDTH * ZOOM, height(one) * ZOOM)


def test_a_series_without_buckets_is_drawn() -> None:
    assert draw(drawing(STACK, []))


def test_the_same_input_gives_the_same_bytes() -> None:
    one = drawing(SHARES, [(5, 3, 1, 0), (None,), (0,)] * 8)

    assert draw(one) == draw(one)


def test_settings_of_matplotlib_on_the_machine_do_not_change_the_picture() -> None:
    one = drawing(STACK, [(5, 3, 1, 0), (None,)] * 12)
    expected = draw(one)
    render_agg._rendered.cache_clear()
    with matplotlib.rc_context(
        {"figure.facecolor": "red", "savefig.bbox": "tight", "font.size": 20, "lines.linewidth": 9}
    ):
        assert draw(one) == expected


def test_an_area_has_the_colour_of_its_category_and_its_height() -> None:
    for theme in THEMES:
        image = pixels(draw(drawing(SHARES, [(9, 9, 9, 9)] * 144, theme=theme)))
        middle = (LEFT + RIGHT) / 2 + 3
        found = [
            colour_at(image, middle, BOTTOM - PLOT * part) for part in (0.12, 0.37, 0.62, 0.87)
        ]
        assert found == [theme.colour(row) for row in SHARES.categories]


def test_a_single_bad_one_among_a_million_is_a_line_of_its_colour_at_the_top() -> None:
    image = pixels(draw(drawing(SHARES, [(1_000_000, 0, 0, 1)] * 144)))

    assert colour_at(image, 300, TOP + 0.5) == SHARES.categories[3].light


def test_unknown_and_too_little_to_share_are_hatched_and_zero_is_not() -> None:
    def plot(graph: Graph, counts: Counts) -> set[str]:
        image = pixels(draw(drawing(graph, [(9, 9, 9, 9)] * 100 + [counts] * 44)))
        return {colour_at(image, x / 2, BOTTOM - 50) for x in range(2 * RIGHT - 100, 2 * RIGHT - 2)}

    assert {LIGHT.gap, LIGHT.hatch} <= plot(STACK, (None,)) and {LIGHT.gap, LIGHT.hatch} <= plot(
        SHARES, (None,)
    )
    assert plot(STACK, (0,)) == {LIGHT.background}
    assert {LIGHT.no_traffic, LIGHT.hatch} <= plot(SHARES, (0,))


def test_two_bars_beside_each_other_are_two() -> None:
    bars = next(graph for graph in GRAPHS if graph.style == "bars")
    image = pixels(draw(drawing(bars, [(1,)] * 144)))
    row = [colour_at(image, x / 2, BOTTOM - 20) for x in range(2 * LEFT, 2 * RIGHT)]

    assert sum(a == LIGHT.background != b for a, b in pairwise(row)) >= 140


def test_a_host_of_any_name_changes_nothing_but_the_upper_right_corner() -> None:
    plain = pixels(draw(drawing(STACK, [(5, 3, 1, 0)] * 24)))
    for host in ("x" * 500, r"$\frac{1$", "a\nb\0c", "\udcff", "\N{PILE OF POO}.example", ""):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = pixels(draw(drawing(STACK, [(5, 3, 1, 0)] * 24, host=host)))
        assert (image[28 * ZOOM :] == plain[28 * ZOOM :]).all()
        assert (image[:, : 260 * ZOOM] == plain[:, : 260 * ZOOM]).all()


def test_no_word_touches_the_edge_of_the_picture() -> None:
    for each in (ENGLISH, load_language("de")):
        for graph in GRAPHS:
            for span in SPANS:
                one = drawing(
                    graph,
                    [(5, 3, None), (None,), (0,)] * (span.seconds // span.bucket // 3),
                    span,
                    language=each,
                )
                image = pixels(draw(one._replace(theme=DARK)))[..., :3]
                for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
                    assert {tuple(pixel) for pixel in edge.tolist()} == {(0x15, 0x1B, 0x23)}, (
                        one.file
                    )


@pytest.mark.parametrize("hours", [0, 1, 2, 3])
def test_labels_of_time_do_not_run_into_each_other(hours: int) -> None:
    one = drawing(STACK, [(1,)] * 144)
    moved = one._replace(series=one.series._replace(start=one.series.start + hours * HOUR // 2))
    image = pixels(draw(moved))[(BOTTOM + 7) * ZOOM : (BOTTOM + 22) * ZOOM, :, :3]
    blank = [bool((column == 255).all()) for column in image.swapaxes(0, 1)]
    words = "".join("." if empty else "x" for empty in blank).split("." * 12)

    assert len([word for word in words if "x" in word]) in (8, 9)
