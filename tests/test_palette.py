"""The colours differ: for colour-blind readers, on grey paper, in both themes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations, pairwise

import pytest

from dane_mailgraph.categories import BY_KEY, CATEGORIES, FAMILIES, Category
from dane_mailgraph.site.graphs import GRAPHS, Graph
from dane_mailgraph.site.palette import DARK, LIGHT, THEMES, Theme

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

NORMAL: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))

# Machado, Oliveira and Fernandes 2009, table for a severity of 1.0; they apply to linear RGB.
PROTANOPIA: Matrix = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
DEUTERANOPIA: Matrix = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)

XYZ: Matrix = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""From linear sRGB (IEC 61966-2-1)."""


def linear(colour: str) -> Vector:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return red, green, blue


def times(matrix: Matrix, vector: Vector) -> Vector:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def lab(colour: str, seen_as: Matrix = NORMAL) -> Vector:
    """CIE L*a*b* of a colour, D65."""
    seen = times(seen_as, linear(colour))
    clipped = (min(1, max(0, seen[0])), min(1, max(0, seen[1])), min(1, max(0, seen[2])))
    scaled = (
        part / white for part, white in zip(times(XYZ, clipped), (0.95047, 1, 1.08883), strict=True)
    )
    x, y, z = (
        part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116 for part in scaled
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: str, other: str) -> float:
    """As WCAG 2 reckons it."""
    bright, dim = sorted((times(XYZ, linear(colour))[1] for colour in (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def coloured(
    pairs: Iterable[tuple[Category, Category]], theme: Theme
) -> list[tuple[Category, Category, str, str]]:
    return [(a, b, theme.colour(a), theme.colour(b)) for a, b in pairs]


def test_the_simulation_tells_what_everybody_knows() -> None:
    assert lab("#FFFFFF")[0] == pytest.approx(100)
    assert math.dist(lab("#B00000", DEUTERANOPIA), lab("#5A5A00", DEUTERANOPIA)) < 0.5 * math.dist(
        lab("#B00000"), lab("#5A5A00")
    )
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)


@pytest.mark.parametrize(
    "seen_as", [NORMAL, PROTANOPIA, DEUTERANOPIA], ids=["normal", "protanopia", "deuteranopia"]
)
@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.slug)
def test_any_two_in_a_picture_keep_apart_for_every_reader(
    graph: Graph, theme: Theme, seen_as: Matrix
) -> None:
    near = [
        (a.key, b.key)
        for a, b, one, other in coloured(combinations(graph.categories, 2), theme)
        if math.dist(lab(one, seen_as), lab(other, seen_as)) < 18
    ]
    assert near == []


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.slug)
def test_any_two_in_a_picture_keep_apart_on_grey_paper(graph: Graph, theme: Theme) -> None:
    def near(pairs: Iterable[tuple[Category, Category]], least: float) -> list[tuple[str, str]]:
        return [
            (a.key, b.key)
            for a, b, one, other in coloured(pairs, theme)
            if abs(lab(one)[0] - lab(other)[0]) < least
        ]

    assert near(combinations(graph.categories, 2), 6) == []
    assert near(pairwise(graph.categories), 12.5) == []


def test_the_same_colour_means_the_same_protection_everywhere() -> None:
    for name in ("verified", "trusted", "untrusted", "anonymous"):
        one, other = BY_KEY[f"connections.{name}"], BY_KEY[f"deliveries.{name}"]
        assert (one.light, one.dark) == (other.light, other.dark)
    best = ("deliveries.dane", "protocols.tlsv1_3", "key_exchange.post_quantum")
    assert len({(BY_KEY[key].light, BY_KEY[key].dark) for key in best}) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_no_colour_stands_for_two_categories_of_a_family(family: str) -> None:
    for theme in THEMES:
        assert len({theme.colour(row) for row in FAMILIES[family]}) == len(FAMILIES[family])


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_text_is_easy_to_read_and_every_area_stands_out_from_the_ground(theme: Theme) -> None:
    assert contrast(theme.text, theme.background) >= 12
    assert contrast(theme.muted, theme.background) >= 4.5
    assert min(contrast(theme.colour(row), theme.background) for row in CATEGORIES) >= 3
    assert contrast(theme.hatch, theme.gap) >= 1.4
    assert contrast(theme.hatch, theme.no_traffic) >= 1.4
    assert contrast(theme.muted, theme.gap) >= 4.5
    assert contrast(theme.muted, theme.no_traffic) >= 4.5


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_green_is_authenticated_and_red_is_in_the_clear(theme: Theme) -> None:
    hues = {row.key: lab(theme.colour(row)) for row in CATEGORIES}

    for good in (
        "connections.verified",
        "deliveries.dane",
        "protocols.tlsv1_3",
        "key_exchange.post_quantum",
    ):
        assert hues[good][1] < -20
    for bad in ("deliveries.plaintext", "protocols.sslv3", "failures.certificate"):
        assert hues[bad][1] > 50


def test_the_plain_file_name_is_the_light_picture() -> None:
    assert (LIGHT.suffix, DARK.suffix) == ("", "-dark")
