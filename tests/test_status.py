"""What the page says, as values: warnings, the numbers that matter, whom to look at, and the same for programs."""

from __future__ import annotations

import json
import shlex
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.answer.attention import probe_command
from dane_mailgraph.answer.authentication import LostAuthentication
from dane_mailgraph.answer.figures import Figure, figures
from dane_mailgraph.categories import BY_KEY, CATEGORIES, FAMILIES, Category
from dane_mailgraph.language import ENGLISH, language
from dane_mailgraph.site.status import LISTED_RELAYS, Chapter, Status, counts_in_words
from dane_mailgraph.site.status_json import as_json
from dane_mailgraph.store.relays import OTHER, RelayCounts, WarningCount
from dane_mailgraph.store.series import SPANS, Series

NOW = 1795485600  # 2026-11-24 03:00 CET
SERIES = Series(
    NOW - 600, 600, {row: (5,) for row in CATEGORIES}, dict.fromkeys(CATEGORIES, 2.0), (600,), NOW
)


def status(**changed: Any) -> Status:
    chapters = tuple(Chapter(span, SERIES, ()) for span in SPANS)
    berlin = ZoneInfo("Europe/Berlin")
    plain = Status(
        "mail.example.org",
        NOW,
        berlin,
        ENGLISH,
        "1.2.3",
        NOW - 120,
        NOW - 60,
        figures(COUNTS, COUNTS),
        chapters,
    )
    return plain._replace(**changed)


Counts = dict[Category, int | None]

COUNTS: Counts = dict.fromkeys(CATEGORIES, 10)


def counts(**given: int | None) -> Counts:
    """Counts of a day: `deliveries_plaintext=3`; everything else is 0."""
    named = {BY_KEY[key.replace("_", ".", 1)]: n for key, n in given.items()}
    return dict.fromkeys(CATEGORIES, 0) | named


def destination(relay: str, **given: int) -> RelayCounts:
    return RelayCounts(
        relay,
        NOW - 9000,
        NOW - 60,
        {BY_KEY[key.replace("_", ".", 1)]: n for key, n in given.items()},
    )


# ---- the numbers that matter ----------------------------------------------------------------


def figure(name: str, today: Counts, before: Counts) -> Figure:
    return next(each for each in figures(today, before) if each.name == name)


def test_the_share_of_verified_is_among_new_connections_and_says_of_how_many() -> None:
    now = counts(connections_verified=3, connections_trusted=1, connections_reused=100)
    found = figure(
        "verified_connections", now, counts(connections_verified=1, connections_trusted=1)
    )

    assert (found.now, found.before, found.whole, found.trend) == (0.75, 0.5, 4, "better")


def test_dane_and_verified_deliveries_are_authenticated_and_half_of_dane_is_not() -> None:
    now = counts(deliveries_dane=2, deliveries_verified=1, deliveries_encrypted=1)
    half = now | {BY_KEY["deliveries.half_dane"]: 4}

    assert figure("authenticated_deliveries", now, now).now == 0.75
    assert figure("authenticated_deliveries", half, half).now == 0.375


def test_more_plaintext_and_more_failures_are_worse() -> None:
    now = counts(deliveries_plaintext=2, deliveries_dane=2, failures_certificate=3)
    before = counts(deliveries_plaintext=1, deliveries_dane=3, failures_handshake=1)

    assert figure("plaintext_deliveries", now, before).trend == "worse"
    assert (figure("failures", now, before).now, figure("failures", now, before).change) == (3, 2)
    assert figure("failures", now, before).trend == "worse"
    assert figure("failures", now, now).trend == ""


def test_what_nobody_counted_is_unknown_and_not_zero() -> None:
    unknown: Counts = dict.fromkeys(CATEGORIES)

    for each in figures(unknown, counts(deliveries_dane=1)):
        assert (each.now, each.change, each.trend) == (None, None, "")


def test_a_share_of_nothing_is_no_share() -> None:
    found = figure("plaintext_deliveries", counts(), counts())

    assert (found.now, found.whole) == (None, 0)


# ---- warnings -------------------------------------------------------------------------------


def test_fresh_data_need_no_warning() -> None:
    assert status().problems == ()
    assert status(newest=None).problems == ()


def test_a_counter_that_stands_still_is_said() -> None:
    (warning,) = status(last_update=NOW - 3 * 3600, newest=NOW - 3 * 3600).problems

    assert warning.startswith("Nothing has been counted for 3 h: the counter is not running")


def test_a_log_that_is_silent_is_said() -> None:
    (warning,) = status(newest=NOW - 90 * 60).problems

    assert warning.startswith("The newest line of the log is 90 min old")


def test_a_store_of_nothing_says_what_to_set() -> None:
    (warning,) = status(last_update=None, newest=None).problems

    assert "smtp_tls_loglevel = 1" in warning


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


# ---- destinations ---------------------------------------------------------------------------


def test_each_destination_is_listed_once_under_the_worst_of_it() -> None:
    failing = destination(
        "a.example", failures_certificate=1, deliveries_plaintext=5, connections_untrusted=3
    )
    plain = destination("b.example", deliveries_plaintext=1, connections_verified=9)
    bare = destination("c.example", connections_trusted=4)
    good = destination("d.example", connections_verified=4, connections_trusted=1)
    idle = destination("e.example")
    groups = status(relays=(good, bare, idle, plain, failing)).unprotected

    assert [(group.name, [each.relay for each in group.relays]) for group in groups] == [
        ("failing", ["a.example"]),
        ("plaintext", ["b.example"]),
        ("unauthenticated", ["c.example"]),
    ]


def test_the_most_mail_comes_first_and_equal_ones_by_name() -> None:
    found = [
        destination(f"{name}.example", deliveries_plaintext=n)
        for name, n in (("b", 1), ("a", 1), ("c", 7))
    ]

    assert [each.relay for each in status(relays=tuple(found)).unprotected[0].relays] == [
        "c.example",
        "a.example",
        "b.example",
    ]


def test_the_counts_of_a_relay_are_written_in_words_of_the_language() -> None:
    one = destination(
        "a.example", failures_certificate=1, deliveries_plaintext=1234, connections_untrusted=3
    )

    assert counts_in_words(one, ENGLISH) == "1 certificate, 1,234 plaintext, 3 Untrusted"
    assert (
        counts_in_words(one, language("de")) == "1 Zertifikat, 1.234 unverschlüsselt, 3 Untrusted"
    )


def test_a_relay_is_checked_itself_and_a_domain_by_its_mx() -> None:
    assert probe_command("mx.example.org") == "posttls-finger -t30 -c -l dane '[mx.example.org]'"
    assert probe_command("@example.org") == "posttls-finger -t30 -c -l dane example.org"
    assert probe_command("2001:db8::25") == "posttls-finger -t30 -c -l dane '[2001:db8::25]'"


@pytest.mark.parametrize(
    "name",
    [
        OTHER,
        "",
        "@",
        "-o.example",
        "@-o.example",
        "a b",
        "a;reboot",
        "$(reboot)",
        "a'b",
        "a\nb",
        "ü.example",
    ],
)
def test_a_name_that_is_no_hosts_gets_no_command(name: str) -> None:
    assert probe_command(name) is None


@given(st.text(max_size=30) | st.from_regex(r"@?[a-z0-9._:-]{1,30}", fullmatch=True))
def test_a_shell_reads_back_one_name_and_nothing_more(name: str) -> None:
    command = probe_command(name)

    if command is not None:
        *words, last = shlex.split(command)
        assert words == ["posttls-finger", "-t30", "-c", "-l", "dane"]
        assert last in (f"[{name}]", name.removeprefix("@")) and not last.startswith("-")


# ---- for programs ---------------------------------------------------------------------------

LOSS = LostAuthentication(
    "was-good.example",
    NOW - 900000,
    NOW - 90000,
    10,
    NOW - 60,
    {BY_KEY["connections.untrusted"]: 2},
)
WARNING = WarningCount("dnssec", "warning: private.example is bad", "It is bad.", 3, NOW - 60)


def json_of(**changed: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(as_json(status(**changed)))
    return said


def test_json_has_the_numbers_of_every_category_of_every_span() -> None:
    said = json_of()

    assert (said["schema"], said["host"], said["drawn"], said["last_update"]) == (
        1,
        "mail.example.org",
        NOW,
        NOW - 120,
    )
    assert list(said["spans"]) == [span.name for span in SPANS]
    for family, rows in FAMILIES.items():
        assert list(said["spans"]["day"][family]) == [row.name for row in rows]
    numbers = said["spans"]["day"]["connections"]["verified"]
    assert numbers == {
        "total": 5,
        "share": 0.25,
        "average_per_minute": 0.5,
        "maximum_per_minute": 2.0,
    }
    assert said["spans"]["day"]["connections"]["reused"]["share"] is None
    assert said["last_24_hours"]["failures"] == {"now": 70, "before": 70, "of": None}


def test_whom_we_write_to_is_in_no_file_unless_it_was_asked_for() -> None:
    private = (destination("private.example", deliveries_plaintext=3),)
    quiet = json_of(relays=private, lost=(LOSS,), warnings=(WARNING,))
    open_ = json_of(relays=private, lost=(LOSS,), warnings=(WARNING,), names_relays=True)

    assert quiet["not_protected"] == {"failing": 0, "plaintext": 1, "unauthenticated": 0}
    assert (quiet["regressions"], [each["name"] for each in quiet["alarms"]]) == (1, ["dnssec"])
    assert "private" not in json.dumps(quiet) and "was-good" not in json.dumps(quiet)
    assert open_["not_protected"]["plaintext"][0] == {
        "relay": "private.example",
        "first": NOW - 9000,
        "last": NOW - 60,
        "counts": {"deliveries.plaintext": 3},
        "check": "posttls-finger -t30 -c -l dane '[private.example]'",
    }
    assert open_["regressions"][0]["relay"] == "was-good.example"
    assert open_["alarms"][0]["text"] == WARNING.text


def test_a_list_of_destinations_has_an_end() -> None:
    many = tuple(
        destination(f"mx{n}.example", deliveries_plaintext=1) for n in range(LISTED_RELAYS + 5)
    )

    assert (
        len(json_of(relays=many, names_relays=True)["not_protected"]["plaintext"]) == LISTED_RELAYS
    )


def test_unknown_is_null() -> None:
    empty = Series(
        NOW - 600, 600, {row: (None,) for row in CATEGORIES}, dict.fromkeys(CATEGORIES), (0,), None
    )
    said = json_of(chapters=(Chapter(SPANS[0], empty, ()),), last_update=None)

    assert said["spans"]["day"]["deliveries"]["plaintext"] == {
        "total": None,
        "share": None,
        "average_per_minute": None,
        "maximum_per_minute": None,
    }
    assert said["warnings"] == list(status(last_update=None).problems)
