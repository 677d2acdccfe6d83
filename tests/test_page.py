"""What the status page says, and that nothing from outside can change its markup."""

from __future__ import annotations

import ast
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph import page
from dane_mailgraph.counted import CONNECTIONS, COUNTED, FAMILIES
from dane_mailgraph.graphs import GRAPHS
from dane_mailgraph.page import Picture, Status, html, moment, percent
from dane_mailgraph.series import SPANS, Series, Span

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1795485600  # 2026-11-24 03:00 CET
DASH = "\N{EN DASH}"

PICTURES = tuple(
    Picture(f"{graph.slug}-{span.name}.png", span, graph, f"{graph.title}, {span.title}") for span in SPANS for graph in GRAPHS
)


def totals(count: int | None) -> tuple[tuple[Span, Series], ...]:
    series = Series(NOW - 60, 60, {row: (count,) for row in COUNTED}, dict.fromkeys(COUNTED))
    return tuple((span, series) for span in SPANS)


STATUS = Status("mail.example.org", NOW, BERLIN, "1.2.3", NOW - 120, PICTURES, totals(1234), ())

VOID = {"meta", "link", "img", "br", "hr"}


class Outline(HTMLParser):
    """The elements of a page, its text, and the cells of its table's body."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self._row: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self._row = []
        if tag in ("td", "th"):
            self._row.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "tr":
            self.rows[self._row[0].strip()] = [cell.strip() for cell in self._row[1:]]

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)
        if "table" in self.open and self._row:
            self._row[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.elements if each == tag]


def outline(**changed: object) -> Outline:
    return Outline(html(Status(**{**STATUS._asdict(), **changed})))


def test_every_element_is_closed() -> None:
    assert outline(notes=("One.", "Two.")).open == []


def test_the_page_is_html5_in_english_and_its_title_names_the_host() -> None:
    text = html(STATUS)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>Outbound TLS of mail.example.org</title>" in text


def test_the_same_status_gives_the_same_page() -> None:
    assert html(STATUS) == html(Status(*STATUS))


def test_the_page_has_no_script_and_loads_nothing_but_its_pictures() -> None:
    text = html(STATUS)
    found = Outline(text)
    assert not {"script", "iframe", "object", "embed", "video", "form"} & {tag for tag, _ in found.elements}
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert [each["href"] for each in found.all("link")] == ["data:,"]
    assert [each["src"] for each in found.all("img")] == [picture.file for picture in PICTURES]


def test_a_browser_loads_the_page_again_every_five_minutes() -> None:
    assert {"http-equiv": "refresh", "content": "300"} in outline().all("meta")


def test_every_picture_has_its_alternative_text_and_its_size() -> None:
    for picture, image in zip(PICTURES, outline().all("img"), strict=True):
        assert image["alt"] == picture.alt
        assert (image["width"], image["height"]) == ("850", "380")


def test_every_span_has_a_section_that_the_navigation_leads_to() -> None:
    found = outline()
    sections = [each["id"] for each in found.all("section")]
    assert sections == [*(span.name for span in SPANS), "totals", "words"]
    assert [f"#{name}" for name in sections] == [each["href"] for each in found.all("a") if str(each["href"]).startswith("#")]
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in found.elements}


def test_ids_are_unique() -> None:
    ids = [attributes["id"] for _, attributes in outline().elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_all_categories_of_all_families_are_in_the_table_with_one_cell_for_each_span() -> None:
    rows = outline().rows
    for row in COUNTED:
        assert len(rows[row.label]) == len(SPANS)
    assert {family.replace("_", " ").capitalize() for family in FAMILIES} <= set(rows)


def test_a_count_stands_beside_its_share_within_the_family() -> None:
    rows = outline().rows
    assert rows["Verified"] == ["1,234 25.0%"] * len(SPANS)
    assert rows["TLSv1.3"] == ["1,234 20.0%"] * len(SPANS)


def test_reused_has_a_count_and_no_share() -> None:
    assert outline().rows["reused"] == ["1,234"] * len(SPANS)


def test_unknown_is_a_dash_and_zero_is_zero() -> None:
    unknown, zero = (outline(totals=totals(count)).rows for count in (None, 0))
    for row in COUNTED:
        assert unknown[row.label] == [DASH] * len(SPANS)
        assert all(cell.split()[0] == "0" for cell in zero[row.label])


def test_without_totals_and_pictures_there_is_still_a_page() -> None:
    found = outline(totals=(), pictures=())
    assert found.all("table") == []
    assert found.all("img") == []
    assert "mail.example.org" in "".join(found.text)


def test_the_words_are_explained() -> None:
    text = "".join(outline().text)
    for row in CONNECTIONS:
        assert row.meaning in text


def test_the_page_says_until_when_everything_is_counted_and_when_it_was_drawn() -> None:
    text = "".join(outline().text)
    assert "Counted until 2026-11-24 02:58 CET." in text
    assert "dane-mailgraph 1.2.3, drawn 2026-11-24 03:00 CET" in text


def test_the_first_second_of_all_is_a_time_and_none_is_not() -> None:
    assert "Counted until 1970-01-01 01:00 CET." in "".join(outline(last_update=0).text)
    assert "Nothing is counted yet." in "".join(outline(last_update=None).text)


def test_notes_are_said_and_without_any_there_is_no_place_for_them() -> None:
    assert "The log is gone." in outline(notes=("The log is gone.",)).text
    assert outline().all("aside") == []


hostile = st.text(max_size=40) | st.sampled_from(
    ["</style><script>alert(1)</script>", '"><img src=x onerror=a>', "a'b&amp;c<!--"]
)


@given(hostile, hostile, hostile, hostile)
def test_nothing_from_outside_changes_the_markup(host: str, version: str, note: str, alt: str) -> None:
    def pictures(alt: str) -> tuple[Picture, ...]:
        return tuple(picture._replace(alt=alt) for picture in PICTURES)

    tame = outline(host="host", version="1", notes=("note",), pictures=pictures("alt"))
    wild = outline(host=host, version=version, notes=(note,), pictures=pictures(alt))
    assert [tag for tag, _ in wild.elements] == [tag for tag, _ in tame.elements]
    assert [list(attributes) for _, attributes in wild.elements] == [list(attributes) for _, attributes in tame.elements]


def test_names_of_files_and_spans_are_escaped_too() -> None:
    span = SPANS[0]._replace(name='"<x>', title="<Last & day>")
    found = outline(pictures=(Picture('a "b"#<c>.png', span, GRAPHS[0], "alt"),))
    assert found.all("img")[0]["src"] == "a%20%22b%22%23%3Cc%3E.png"
    assert "<Last & day>" in found.text
    assert not found.all("x") and not found.all("last")


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, DASH), (0, "0%"), (1, "100%"), (0.4351, "43.5%"), (0.0000001, "<0.1%"), (0.9999999, ">99.9%")],
)
def test_only_nothing_and_everything_are_called_so(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_a_moment_names_its_zone_in_summer_and_in_winter() -> None:
    assert moment(NOW, BERLIN) == "2026-11-24 03:00 CET"
    assert moment(1782878400, BERLIN) == "2026-07-01 06:00 CEST"


def test_the_page_needs_nothing_to_draw_with() -> None:
    tree = ast.parse(Path(page.__file__).read_text(encoding="utf-8"))
    beside = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level}
    assert beside == {"counted", "graphs", "series"}
