"""status.json, and the counts of a relay in words."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

from dane_mailgraph.answer import Condition, Judgement
from dane_mailgraph.answer.figures import Today, figures
from dane_mailgraph.categories import BY_KEY, CATEGORIES, FAMILIES
from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.levels import Level
from dane_mailgraph.omissions import NOTHING_OMITTED
from dane_mailgraph.site.status import LISTED_RELAYS, Chapter, Status, counts_in_words
from dane_mailgraph.site.status_json import as_json
from dane_mailgraph.store.relays import RelayCounts, WarningCount
from dane_mailgraph.store.series import SPANS, Series
from dane_mailgraph.times import DAY

NOW = 1795485600  # 2026-11-24 03:00 CET
SERIES = Series(
    NOW - 600, 600, {row: (5,) for row in CATEGORIES}, dict.fromkeys(CATEGORIES, 2.0), (600,), NOW
)
COUNTS = dict.fromkeys(CATEGORIES, 10)


def status(**changed: Any) -> Status:
    plain = Status(
        host="mail.example.org",
        now=NOW,
        zone=ZoneInfo("Europe/Berlin"),
        language=ENGLISH,
        version="1.2.3",
        last_update=NOW - 120,
        newest=NOW - 60,
        today=Today(NOW, DAY, figures(COUNTS, [COUNTS] * 3)),
        chapters=tuple(Chapter(span, SERIES, ()) for span in SPANS),
    )
    return plain._replace(**changed)


def relay_counts(relay: str, **given: int) -> RelayCounts:
    counts = {BY_KEY[key.replace("_", ".", 1)]: count for key, count in given.items()}
    return RelayCounts(relay, NOW - 9000, NOW - 60, counts)


def test_a_delivery_and_its_connection_are_written_once() -> None:
    one = relay_counts("a.example", deliveries_trusted=2, connections_trusted=3)

    assert counts_in_words(one, ENGLISH) == "2 Trusted"


def test_the_counts_of_a_relay_are_written_in_words_of_the_language() -> None:
    one = relay_counts(
        "a.example", failures_certificate=1, deliveries_plaintext=1234, connections_untrusted=3
    )

    assert counts_in_words(one, ENGLISH) == "1 certificate, 1,234 plaintext, 3 Untrusted"
    assert (
        counts_in_words(one, load_language("de"))
        == "1 Zertifikat, 1.234 unverschlüsselt, 3 Untrusted"
    )


LOSS = Condition(
    "lost_authentication",
    "was-good.example",
    Level.WARNING,
    NOW - 90000,
    "was-good.example has not been authenticated.",
    "Ask the server with `posttls-finger -t30 -c -l dane '[was-good.example]'`.",
)
WARNING = WarningCount("dnssec", "warning: private.example is bad", "It is bad.", 3, NOW - 60)


def json_of(**changed: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(as_json(status(**changed)))
    return content


def test_it_has_the_counts_of_every_category_of_every_span() -> None:
    content = json_of()

    assert (content["schema"], content["host"], content["drawn"], content["last_update"]) == (
        1,
        "mail.example.org",
        NOW,
        NOW - 120,
    )
    assert list(content["spans"]) == [span.name for span in SPANS]
    for family, rows in FAMILIES.items():
        assert list(content["spans"]["day"][family]) == [row.name for row in rows]
    numbers = content["spans"]["day"]["connections"]["verified"]
    assert numbers == {
        "total": 5,
        "share": 0.25,
        "average_per_minute": 0.5,
        "maximum_per_minute": 2.0,
    }
    assert content["spans"]["day"]["connections"]["reused"]["share"] is None
    assert content["last_24_hours"]["failures"] == {
        "now": 70,
        "before": 70,
        "of": None,
        "trend": None,
        "weeks": [],
    }


def test_relays_are_named_only_where_the_setting_says_so() -> None:
    private = (relay_counts("private.example", deliveries_plaintext=3),)
    judgement = Judgement((LOSS, LOSS._replace(subject="b.example", level=Level.CRITICAL)))
    quiet = json_of(relays=private, judgement=judgement, warnings=(WARNING,))
    open_ = json_of(relays=private, judgement=judgement, warnings=(WARNING,), names_relays=True)

    assert quiet["not_protected"] == {"failing": 0, "plaintext": 1, "unauthenticated": 0}
    assert [each["name"] for each in quiet["postfix_warnings"]] == ["dnssec"]
    (one,) = quiet["conditions"]
    assert (quiet["level"], one["level"], one["subject"]) == ("critical", "critical", "")
    assert one["text"] == "Servers that are not authenticated any more: 2."
    assert "private" not in json.dumps(quiet) and "was-good" not in json.dumps(quiet)
    assert open_["not_protected"]["plaintext"][0] == {
        "relay": "private.example",
        "first": NOW - 9000,
        "last": NOW - 60,
        "counts": {"deliveries.plaintext": 3},
        "check": "posttls-finger -t30 -c -l dane '[private.example]'",
    }
    assert open_["conditions"][0] == LOSS.for_json()
    assert open_["postfix_warnings"][0]["text"] == WARNING.text


def test_a_list_of_relays_has_an_end() -> None:
    many = tuple(
        relay_counts(f"mx{n}.example", deliveries_plaintext=1) for n in range(LISTED_RELAYS + 5)
    )

    assert (
        len(json_of(relays=many, names_relays=True)["not_protected"]["plaintext"]) == LISTED_RELAYS
    )


def test_unknown_is_null() -> None:
    empty = Series(
        NOW - 600, 600, {row: (None,) for row in CATEGORIES}, dict.fromkeys(CATEGORIES), (0,), None
    )
    content = json_of(chapters=(Chapter(SPANS[0], empty, ()),), last_update=None)

    assert content["spans"]["day"]["deliveries"]["plaintext"] == {
        "total": None,
        "share": None,
        "average_per_minute": None,
        "maximum_per_minute": None,
    }
    assert (content["level"], content["conditions"]) == ("unknown", [])


def test_what_was_left_out_is_in_it() -> None:
    assert json_of(omitted={"future": 7})["omitted"] == NOTHING_OMITTED | {"future": 7}
