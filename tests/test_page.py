"""What the status page says, and that nothing from outside can change its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.answer import Condition, Judgement
from dane_mailgraph.answer.figures import Today, figures
from dane_mailgraph.categories import (
    BY_KEY,
    CATEGORIES,
    FAMILIES,
    ONLY_BY_TLS_FIELD,
    REACH,
    Category,
)
from dane_mailgraph.language import ENGLISH, Language, load_language
from dane_mailgraph.levels import Level
from dane_mailgraph.site.drawing import Drawing
from dane_mailgraph.site.graphs import GRAPHS
from dane_mailgraph.site.page import FAMILY_TITLES, PAGE, icon, pages, stylesheet
from dane_mailgraph.site.palette import DARK, LIGHT
from dane_mailgraph.site.png import About
from dane_mailgraph.site.status import Chapter, Image, Picture, Status
from dane_mailgraph.store.reach import Reach, ReachFailure, Reporter
from dane_mailgraph.store.relays import OTHER, RelayCounts, WarningCount
from dane_mailgraph.store.series import SPANS, Series
from dane_mailgraph.times import DAY, HOUR

pytestmark = pytest.mark.slow

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1795485600  # 2026-11-24 03:00 CET
SERIES = Series(
    NOW - 600,
    600,
    {row: (1234,) for row in CATEGORIES},
    dict.fromkeys(CATEGORIES, 2.0),
    (600,),
    NOW,
)

PRIVATE = RelayCounts("private.example", NOW - 9000, NOW - 60, {BY_KEY["deliveries.plaintext"]: 3})
FAILING = RelayCounts("@failing.example", NOW - 9000, NOW - 60, {BY_KEY["failures.dane_lookup"]: 2})
LOSS = Condition(
    "lost_authentication",
    "was-good.example",
    Level.WARNING,
    NOW - 90000,
    "was-good.example has not been authenticated.",
    "Ask the server with `posttls-finger -t30 -c -l dane '[was-good.example]'`.",
)
WARNING = WarningCount(
    "dnssec", "no DNSSEC for hidden.example", "The resolver does not validate.", 3, NOW - 60
)


def chapters(speech: Language = ENGLISH) -> tuple[Chapter, ...]:
    def pictures(span: Any) -> Any:
        for graph in GRAPHS:
            light = Drawing(graph, span, SERIES, LIGHT, "mail.example.org", BERLIN, speech)
            dark = light._replace(theme=DARK)
            yield Picture(Image(light, "0123"), Image(dark, "4567"))

    return tuple(Chapter(span, SERIES, tuple(pictures(span))) for span in SPANS)


CHAPTERS = {code: chapters(load_language(code)) for code in ("en", "de")}

COUNTS = dict.fromkeys(CATEGORIES, 10)
BEFORE = dict.fromkeys(CATEGORIES, 5)
UNKNOWN: dict[Category, int | None] = dict.fromkeys(CATEGORIES)


def status(**changed: Any) -> Status:
    today = Today(NOW, DAY, figures(COUNTS, [BEFORE] * 4, [COUNTS, None, BEFORE, COUNTS]))
    plain = Status(
        "mail.example.org",
        NOW,
        BERLIN,
        ENGLISH,
        "1.2.3",
        NOW - 120,
        NOW - 60,
        today,
        CHAPTERS["en"],
    )
    return plain._replace(**changed)


REPORTED = Reach(
    NOW - 31 * 86400,
    NOW,
    dict(zip(REACH, (40, 120, 0, 5), strict=True)),
    (Reporter("Big <b>Mail</b>", "", 2, dict.fromkeys(REACH, 1), NOW - NOW % 86400),),
    (
        ReachFailure(
            "tlsa-invalid", "Big <b>Mail</b>", "big.example", "mx.example.org", 3, NOW - NOW % 86400
        ),
        ReachFailure("tlsa-invalid", "", "", "", 2, NOW - NOW % 86400),
    ),
    {
        NOW - NOW % 86400 - 86400: None,
        NOW - NOW % 86400: dict(zip(REACH, (40, 120, 0, 5), strict=True)),
    },
)

EVERYTHING: dict[str, Any] = {
    "reach": REPORTED,
    "relays": (PRIVATE, FAILING),
    "judgement": Judgement((LOSS,)),
    "warnings": (WARNING,),
    "names_relays": True,
}

VOID = {"meta", "link", "img", "br", "hr", "source"}


class Outline(HTMLParser):
    """The elements of a page, its text, and the rows of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "table" in self.open and "caption" not in self.open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.elements if each == tag]


def site_of(shown: Status) -> dict[str, str]:
    return pages(shown, {image.file: About(1280, 784, "") for image in shown.images()})


def page_of(shown: Status) -> str:
    return site_of(shown)[PAGE]


def outline(**changed: Any) -> Outline:
    return Outline(page_of(status(**changed)))


# ---- markup ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [{}, EVERYTHING, {"chapters": (), "last_update": None, "newest": None}],
    ids=["plain", "all", "none"],
)
def test_every_element_is_closed_and_ids_are_unique(changed: dict[str, Any]) -> None:
    for text in site_of(status(**changed)).values():
        found = Outline(text)
        ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]

        assert found.open == []
        assert len(ids) == len(set(ids))
        assert {"header", "main", "footer", "h1"} <= {tag for tag, _ in found.elements}


@pytest.mark.parametrize(
    "changed", [{}, EVERYTHING, {"chapters": (), "last_update": None}], ids=["plain", "all", "none"]
)
def test_a_parser_that_forgives_nothing_finds_no_fault(changed: dict[str, Any]) -> None:
    for text in site_of(status(**changed)).values():
        html5lib.HTMLParser(strict=True).parse(text)


def test_the_page_is_html5_and_its_title_names_the_host() -> None:
    text = page_of(status())

    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>All is well. Nothing to do: Mail TLS of mail.example.org</title>" in text


def test_what_others_report_is_told_by_policy_and_reason() -> None:
    shown = outline(reach=REPORTED)

    assert ["DANE", "40", "24.2%"] in shown.rows
    assert ["no policy", "0", "0%"] in shown.rows
    assert "5 failed: no TLSA record matched our certificate" in shown.text
    assert "report it: 2, of them signed: 1; last 2026-11-24" in " ".join(shown.text.split())
    assert "2026-11-23: unknown" in shown.text
    assert "2026-11-24: DANE 40, MTA-STS 120, no policy 0, failed 5" in shown.text
    assert "Big" not in shown.text
    assert "mx.example.org" not in shown.text


def test_who_reports_what_is_told_where_servers_are_named() -> None:
    text = " ".join(outline(reach=REPORTED, names_relays=True).text.split())

    assert "Big <b>Mail</b> signed by big.example; mx.example.org; 3 ? not signed; 2" in text


def test_a_page_without_reports_of_others_does_not_speak_of_them() -> None:
    assert "report" not in outline().text


def test_the_same_status_gives_the_same_page() -> None:
    assert page_of(status(**EVERYTHING)) == page_of(status(**EVERYTHING))


def test_the_page_asks_nobody_else_for_anything_and_has_neither_script_nor_style_in_it() -> None:
    text = page_of(status(**EVERYTHING))
    found = Outline(text)

    assert not {"script", "style", "iframe", "object", "embed", "form"} & {
        tag for tag, _ in found.elements
    }
    assert not any(
        name == "style" or name.startswith("on")
        for _, attributes in found.elements
        for name in attributes
    )
    assert (
        "://" not in text
        and "//" not in stylesheet().replace("/*", "")
        and "url(" not in stylesheet()
    )
    assert b"://www.w3.org/2000/svg" in icon() and icon().count(b"://") == 1


def test_the_policy_allows_images_and_styles_of_the_same_place_and_nothing_else() -> None:
    (policy,) = [
        each["content"]
        for each in outline().all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    ]

    assert (
        policy == "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_the_page_is_not_loaded_again_under_the_eyes_of_its_reader() -> None:
    assert not any(each.get("http-equiv") == "refresh" for each in outline().all("meta"))


def test_each_picture_has_its_size_its_text_and_its_dark_twin() -> None:
    texts = site_of(status())
    for chapter, name in zip(CHAPTERS["en"], FILES, strict=True):
        found = Outline(texts[name])
        for picture, image, source in zip(
            chapter.pictures, found.all("img"), found.all("source"), strict=True
        ):
            assert (image["src"], source["srcset"]) == (picture.light.url, picture.dark.url)
            assert picture.dark.url.endswith("-dark.png?4567")
            assert source["media"] == "screen and (prefers-color-scheme: dark)"
            assert (image["width"], image["height"]) == ("640", "392")
            assert image["alt"] == picture.light.drawing.alt(picture.light.drawing.legend())


FILES = ("index.html", "week.html", "month.html", "year.html")


def test_every_page_leads_to_every_span_and_section() -> None:
    texts = site_of(status())
    sections = [each["id"] for each in Outline(texts[PAGE]).all("section") if "id" in each]

    assert tuple(sorted(texts, key=FILES.index)) == FILES
    assert list(texts)[-1] == PAGE
    assert sections == ["attention", "day", "unprotected", "received", "glossary"]
    for name, text in texts.items():
        home = "" if name == PAGE else PAGE
        links = [each for each in Outline(text).all("a") if each["href"] != f"{home}#attention"]
        assert [each["href"] for each in links] == [
            "#content",
            *FILES,
            f"{home}#unprotected",
            f"{home}#glossary",
            "status.json",
        ]
        assert [each["href"] for each in links if each.get("aria-current") == "page"] == [name]


def test_the_navigation_counts() -> None:
    for text in site_of(status(**EVERYTHING)).values():
        assert "Needs attention (1)" in Outline(text).text
        assert "How others protect their mail" in Outline(text).text


def test_the_stylesheet_has_the_colour_of_every_category_in_both_themes() -> None:
    light, dark = stylesheet().split(f".{CATEGORIES[0].data_source} {{", 1)[1].split("@media", 1)

    for row in CATEGORIES[1:]:
        assert f".{row.data_source} {{ background: {row.light} }}" in light
        assert f".{row.data_source} {{ background: {row.dark} }}" in dark
    assert {each["class"] for each in outline().all("i")} == {
        f"swatch {row.data_source}"
        for row in {
            *(row for family in FAMILY_TITLES for row in FAMILIES[family]),
            *(row for graph in GRAPHS for row in graph.categories),
        }
    }


# ---- texts ----------------------------------------------------------------------------------


def test_the_numbers_stand_as_a_table_under_each_picture() -> None:
    rows = outline().rows

    assert rows[0] == ["", "total", "share", "average", "maximum"]
    assert rows[1:6] == [
        *(
            [name, "1,234", "25.0%", "1,234", "1,234"]
            for name in ("Verified", "Trusted", "Untrusted", "Anonymous")
        ),
        ["all", "4,936", "", "4,936", "4,936"],
    ]
    assert len(rows) == sum(len(graph.categories) + 2 for graph in GRAPHS)


def words(found: Outline) -> str:
    return re.sub(r"\s+", " ", found.text)


def test_the_figures_come_first_and_say_what_they_were_in_the_weeks_before() -> None:
    text = words(outline())

    assert (
        "Last 24 hours until 03:00 Verified connections the server proved who it is, by DANE or as "
        "your policy requires 25.0% of 40; " in text
    )
    assert "of 40; in the weeks before 25.0% 4 weeks: 25.0% to 25.0%" in text
    assert "deferred or returned for it 70 worse than in the weeks before (35)" in text
    assert text.index("Verified connections") < text.index("Last 24 hours: pictures")


def test_a_share_of_few_is_no_percentage() -> None:
    few = dict.fromkeys(CATEGORIES, 0) | {BY_KEY["connections.verified"]: 2}
    today = Today(NOW, DAY, figures(few | {BY_KEY["connections.trusted"]: 1}, [COUNTS] * 4))

    assert "as your policy requires 2 of 3 in the weeks before 25.0%" in words(outline(today=today))


def test_the_page_says_how_much_is_known() -> None:
    today = status().today._replace(observed=16 * HOUR + 48 * 60)

    assert "until 03:00; 16.8 of 24 h known" in words(outline(today=today))
    assert "h known" not in words(outline())


def test_where_there_are_no_weeks_to_compare_with_it_says_so() -> None:
    today = Today(NOW, DAY, figures(COUNTS, ()))

    assert "until 03:00; no weeks before to compare with Verified" in words(outline(today=today))
    assert "<svg" not in page_of(status(today=today))


def test_what_was_left_out_is_named_before_the_level_of_logging() -> None:
    empty = tuple(
        chapter._replace(series=SERIES._replace(counts=dict.fromkeys(CATEGORIES, (0,))))
        for chapter in CHAPTERS["en"]
    )
    bare = words(outline(chapters=empty))
    left_out = words(outline(chapters=empty, omitted={"future": 1234, "skipped": 1}))
    german = words(outline(omitted={"future": 1}, language=load_language("de")))

    assert "smtp_tls_loglevel" in bare
    assert "smtp_tls_loglevel" not in left_out + german
    assert (
        "1,234 lines stamped in the future, not counted until then; look at the clock and at "
        "time_zone. 1 line skipped, because counted before." in left_out
    )
    assert "1 Zeile" in german


def test_an_unknown_figure_is_a_dash() -> None:
    nothing = Today(NOW, 0, figures(UNKNOWN, ()))

    assert "read and change them \N{EN DASH} unknown" in words(outline(today=nothing))


def test_the_page_says_how_fresh_it_is() -> None:
    text = words(outline())

    assert "Judged at 2026-11-24 03:00 CET; valid until 03:15. If it is later now, drawing" in text
    assert "drawn by dane-mailgraph 1.2.3." in text
    assert "Warning" not in text and "Counted up to" not in text
    old = words(outline(last_update=NOW - HOUR, newest=NOW - HOUR + 60))
    assert "Counted up to 2026-11-24 02:00; newest line of the log 2026-11-24 02:01." in old
    silent = words(outline(newest=NOW - 2 * HOUR))
    assert "Counted up to 2026-11-24 02:58; newest line of the log 2026-11-24 01:00." in silent


def test_a_page_that_is_drawn_before_midnight_names_the_next_day() -> None:
    late = NOW + 21 * HOUR - 60
    text = words(outline(now=late, today=Today(late - 120, DAY, figures(COUNTS, ()))))

    assert "Judged at 2026-11-24 23:59 CET; valid until 2026-11-25 00:14." in text
    assert "Last 24 hours until 23:57;" in text


def test_the_verdict_says_trends_as_of_weeks() -> None:
    def verdict(*shares: int) -> str:
        weeks = [
            dict.fromkeys(CATEGORIES, 0)
            | {BY_KEY["deliveries.dane"]: n, BY_KEY["deliveries.plaintext"]: 100 - n}
            for n in shares
        ]
        text = words(outline(today=Today(NOW, DAY, figures(COUNTS, [BEFORE] * 4, weeks))))
        return text[text.index("Authenticated deliveries: ") : text.index(" Judged at")]

    better = "Authenticated deliveries: 33.3%; in the long run better: 20.0% to 31.0% in 9 weeks."
    assert verdict(20, 21, 22, 24, 25, 27, 28, 30, 31) == better
    assert "in the long run worse: 31.0% to 20.0%" in verdict(31, 30, 28, 27, 25, 24, 22, 21, 20)
    assert "in the long run no clear change: 2" in verdict(20, 26, 21, 25, 20, 27, 22, 26, 21)
    assert verdict(20, 40) == "Authenticated deliveries: 33.3%; 2 weeks: 20.0% to 40.0%."


def test_what_needs_attention_comes_before_everything_else() -> None:
    text = re.sub(r"\s+", " ", outline(**EVERYTHING).text)

    assert "Needs attention (1)" in text
    assert text.index("1 thing needs attention. Auth") < text.index("Warning since 2026")
    assert text.index("was-good.example has not been") < text.index("Last 24 hours")
    assert "Nothing has been counted yet." in outline(last_update=None).text
    two = Judgement((LOSS, LOSS._replace(subject="b.example", level=Level.CRITICAL)))
    assert "2 things need attention." in outline(judgement=two, names_relays=True).text


def test_one_server_has_one_card() -> None:
    step = LOSS.next_step
    fails = LOSS._replace(
        name="failing",
        level=Level.CRITICAL,
        text="Mail to was-good.example is not delivered: 9 attempts since 2026-11-24 01:00.",
        since=NOW - 2 * HOUR,
        next_step=f"{step} What waits is in `postqueue -p`.",
    )
    text = words(outline(judgement=Judgement((fails, LOSS)), names_relays=True))

    assert "Critical: 1 thing needs attention." in text and "Needs attention (1)" in text
    assert f"{fails.text} {LOSS.text} " in text
    assert text.count("posttls-finger") == 1 and "Warning" not in text


def test_the_state_of_the_world_claims_nothing_that_was_not_counted() -> None:
    good = RelayCounts("good.example", NOW - 9, NOW, {BY_KEY["connections.verified"]: 3})

    empty = words(outline(last_update=None, chapters=()))
    assert "No mail to other servers was counted." in empty
    assert empty.count("Nothing has been counted yet") == 2  # the title and the verdict
    assert "Each server was authenticated at least once." in words(outline(relays=(good,)))


def test_servers_that_cannot_be_watched_are_reported() -> None:
    others = RelayCounts(OTHER, NOW - 9, NOW, {BY_KEY["deliveries.plaintext"]: 3})

    assert "not watched" in outline(relays=(others,)).text
    assert "not watched" not in outline(**EVERYTHING).text


def test_the_first_second_of_all_is_a_time() -> None:
    assert "Counted up to 1970-01-01 01:00" in outline(last_update=0, newest=0).text


def test_relays_are_named_with_the_meaning_and_the_command_that_probes_them() -> None:
    text = re.sub(r"\s+", " ", outline(**EVERYTHING).text)

    assert (
        "Postfix warns The resolver does not validate. no DNSSEC for hidden.example "
        "3 times, last 2026" in text
    )
    assert "posttls-finger -t30 -c -l dane '[was-good.example]'" in text
    assert "Mail fails: 1 for a TLS or DANE reason, and none got through" in text
    assert "posttls-finger -t30 -c -l dane failing.example" in text
    assert "Mail goes unencrypted: 1 anybody on the way" in text


def test_relays_are_named_only_where_the_setting_says_so() -> None:
    text = page_of(status(**{**EVERYTHING, "names_relays": False}))

    for private in (
        "private.example",
        "failing.example",
        "was-good.example",
        "hidden.example",
        "posttls-finger",
    ):
        assert private not in text
    assert "Mail goes unencrypted: 1" in text and "show_destinations = yes" in text
    assert "Servers that are not authenticated any more: 1." in text
    fails = LOSS._replace(name="failing", text="Mail to was-good.example is not delivered.")
    quiet = words(outline(judgement=Judgement((fails, LOSS)), names_relays=False))
    assert "Warning: 1 thing needs attention." in quiet
    assert "mail is not delivered: 1. Servers that are not authenticated any more: 1." in quiet
    named = words(outline(judgement=Judgement((), (LOSS,)), names_relays=True))
    assert f"Accepted (ignore_conditions): 1. {LOSS.text}" in named


def test_a_page_without_anything_to_check_says_so() -> None:
    assert (
        "All is well. Nothing to do. Authenticated deliveries: 33.3%; 4 weeks: 33.3% to 33.3%. "
        "Judged at 2026" in re.sub(r"\s+", " ", outline().text)
    )


def test_where_the_log_does_not_tell_dane_the_page_says_why_and_shows_no_row_of_it() -> None:
    old = SERIES._replace(counts=SERIES.counts | dict.fromkeys(ONLY_BY_TLS_FIELD, (None,)))
    chapters = tuple(
        Chapter(
            chapter.span,
            old,
            tuple(
                Picture(
                    *(
                        image._replace(drawing=image.drawing._replace(series=old))
                        for image in picture
                    )
                )
                for picture in chapter.pictures
            ),
        )
        for chapter in CHAPTERS["en"]
    )
    found = outline(chapters=chapters)

    assert "before version 3.11, Postfix does not log which" in found.text
    assert not {"DANE", "half DANE"} & {row[0] for row in found.rows}
    assert "before version 3.11" not in outline().text


def test_german_is_german() -> None:
    text = page_of(status(language=load_language("de"), chapters=CHAPTERS["de"], **EVERYTHING))

    assert '<html lang="de">' in text
    assert "Letzte 24 Stunden" in text and "unverschlüsselt" in text and "1.234" in text
    for english in ("Last ", "counted", "total", "share<", "Numbers", "since"):
        assert english not in re.sub(
            r"<meta.*?>|TLS 1|no DNSSEC for hidden.example|The resolver does not validate.",
            "",
            text,
        )


# ---- strangers ------------------------------------------------------------------------------

hostile = st.text(max_size=40) | st.sampled_from(
    [
        "</title><script>alert(1)</script>",
        '"><img src=x onerror=a>',
        "a'b&amp;c<!--",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "<b>",
    ]
)


@settings(max_examples=40)
@given(hostile, hostile, hostile, hostile)
def test_nothing_from_outside_changes_the_markup(
    host: str, version: str, relay: str, text: str
) -> None:
    def page(host: str, version: str, relay: str, text: str) -> Outline:
        counts = {BY_KEY["deliveries.plaintext"]: 3}
        return outline(
            host=host,
            version=version,
            relays=(RelayCounts(f"<{relay}>", NOW - 9, NOW, counts),),
            judgement=Judgement((LOSS._replace(subject=relay, text=f"<{relay}>"),)),
            warnings=(WarningCount("x", text, "It is bad.", 1, NOW),),
            names_relays=True,
        )

    tame, wild = page("host", "1", "relay", "text"), page(host, version, relay, text)
    assert [tag for tag, _ in wild.elements] == [tag for tag, _ in tame.elements]
    assert [list(attributes) for _, attributes in wild.elements] == [
        list(attributes) for _, attributes in tame.elements
    ]
    assert (
        f"<{relay}>".replace("\r", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}") in wild.text
        or not relay.isprintable()
    )


def test_the_template_never_says_that_something_is_safe() -> None:
    templates = Path(__file__).parents[1] / "dane_mailgraph" / "site" / "templates"
    for path in templates.glob("*.html"):
        template = path.read_text(encoding="utf-8")
        assert "safe" not in template and "autoescape" not in template
