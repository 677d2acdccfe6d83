"""Every text in every language, and numbers as each writes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import dane_mailgraph
from dane_mailgraph.answer import unprotected
from dane_mailgraph.answer.conditions import CONDITIONS
from dane_mailgraph.answer.figures import figures
from dane_mailgraph.answer.summary import LINES
from dane_mailgraph.categories import CATEGORIES, REACH
from dane_mailgraph.dane.causes import CAUSES
from dane_mailgraph.language import ENGLISH, UNKNOWN, language_codes, load_language
from dane_mailgraph.omissions import OMISSIONS
from dane_mailgraph.postfix_warnings import WARNINGS
from dane_mailgraph.reports import RESULTS
from dane_mailgraph.site import axis, page
from dane_mailgraph.site.graphs import GRAPHS
from dane_mailgraph.store.series import SPANS

PACKAGE = Path(dane_mailgraph.__file__).parent
GERMAN = load_language("de")
UNKNOWN_COUNTS = dict.fromkeys(CATEGORIES)


def texts_of_the_program() -> Iterator[str]:
    """Iterate over every text: in the modules, the template, the tables."""
    for module in PACKAGE.rglob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            name = (
                getattr(node.func, "attr", getattr(node.func, "id", ""))
                if isinstance(node, ast.Call)
                else ""
            )
            if (
                name == "say"
                and isinstance(node, ast.Call)
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            ):
                yield node.args[0].value
    for template in (PACKAGE / "site" / "templates").glob("*.html"):
        text = template.read_text(encoding="utf-8")
        for double, single in re.findall(r"""\bsay\((?:"([^"]+)"|'([^']+)')""", text):
            yield double or single
    yield from (text for each in OMISSIONS for text in (*each.texts, each.remedy) if text)
    yield from (text for row in (*CATEGORIES, *REACH) for text in (row.label, row.meaning))
    yield from (span.title for span in SPANS)
    yield from (graph.title for graph in GRAPHS)
    yield from (*axis.MONTHS, *axis.WEEKDAYS)
    yield from page.FAMILY_TITLES.values()
    yield from (text for group in unprotected(()) for text in (group.title, group.meaning))
    shown = figures(UNKNOWN_COUNTS, ())
    yield from (text for figure in shown for text in (figure.title, figure.meaning))
    yield from page.LONG_RUN.values()
    yield from (f"{{number}} {unit}" for unit in ("s", "min", "h", "days"))
    yield from (each.meaning for each in WARNINGS)
    yield from RESULTS.values()
    yield from (row.next_step for row in CONDITIONS)
    yield from (row.summary for row in CONDITIONS if row.summary)
    yield from (text for row in CAUSES.values() for text in (row.text, row.next_step) if text)
    yield from (line.title for line in LINES)
    yield from ("Servers that lost authentication",)
    yield from ("Servers that are authenticated now and never were before",)
    yield from (
        "per minute",
        "per hour",
        "per 3 hours",
        "per day",
        "per 6 hours",
        "per week",
        "better",
        "worse",
    )


@pytest.mark.parametrize("code", language_codes()[1:])
def test_a_catalogue_has_every_text_and_no_unused_one(code: str) -> None:
    texts, needed = set(load_language(code).texts), set(texts_of_the_program())

    assert sorted(needed - texts) == []
    assert sorted(texts - needed) == []


@pytest.mark.parametrize("code", language_codes()[1:])
def test_a_translation_names_the_same_values(code: str) -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    for text, translation in load_language(code).texts.items():
        assert fields(text) == fields(translation), text
        assert translation.strip(), text


def test_the_languages_are_english_and_what_has_a_catalogue() -> None:
    assert language_codes() == ("en", "de")
    assert load_language("en") is ENGLISH
    with pytest.raises(ValueError, match="one of en, de is needed"):
        load_language("../de")


def test_numbers_are_written_as_the_language_does() -> None:
    assert [each.number(1234567.25, 2) for each in (ENGLISH, GERMAN)] == [
        "1,234,567.25",
        "1.234.567,25",
    ]
    assert [each.percent(0.4351) for each in (ENGLISH, GERMAN)] == [
        "43.5%",
        "43,5\N{NO-BREAK SPACE}%",
    ]
    assert ENGLISH.number(None) == UNKNOWN


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, UNKNOWN),
        (0, "0%"),
        (1, "100%"),
        (0.4351, "43.5%"),
        (0.0000001, "<0.1%"),
        (0.9999999, ">99.9%"),
    ],
)
def test_only_nothing_and_everything_are_called_so(share: float | None, text: str) -> None:
    assert ENGLISH.percent(share) == text


def test_what_a_catalogue_lacks_stays_english() -> None:
    assert GERMAN.say("a text of {who}", who="tomorrow") == "a text of tomorrow"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172800, "2 days"),
    ],
)
def test_a_duration_is_short(seconds: int, text: str) -> None:
    assert ENGLISH.duration(seconds) == text
