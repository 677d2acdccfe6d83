"""The answer in one screen: what is wrong stands first, and nothing else is called wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from host import TEXT, Host, line, rfc3339

from dane_mailgraph.answer import Condition, Evidence, Judgement, judge_conditions
from dane_mailgraph.answer.overview import as_lines
from dane_mailgraph.levels import Level

DAY = 86400
WELL = "All is well. Nothing to do."


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def log(host: Host, *texts: str) -> None:
    """Log something and count it, also the interval that it belongs to."""
    host.write("".join(line(rfc3339(host.now), text) for text in texts))
    host.now += 120
    host.collect()


def screen(host: Host) -> list[str]:
    seen = Evidence(host.ledger, host.store.rrd, host.now, host.zone)
    found = Judgement(tuple(judge_conditions(seen)))
    return as_lines(host.store.rrd, host.ledger, host.now, found)


def complaints(host: Host) -> str:
    """What stands above the figures, in one line."""
    lines = screen(host)
    return " ".join(lines[: lines.index("")])


def test_the_verdict_is_the_first_line_and_the_figures_are_the_last(host: Host) -> None:
    log(host, TEXT, TEXT, TEXT.replace("Verified", "Untrusted"))
    lines = screen(host)

    assert lines[:3] == [WELL, "", "Last 24 hours (`dane-mailgraph report` prints all):"]
    assert lines[3] == "connections                  3  Verified 66.7%, Untrusted 33.3%"
    assert max(map(len, lines)) < 80


def test_where_nothing_was_counted_it_is_not_said_that_all_is_well(host: Host) -> None:
    host.write("")
    host.collect()

    assert screen(host)[0].startswith("Nothing has been counted yet; ")


def test_what_is_older_than_24_hours_is_not_in_the_figures(host: Host) -> None:
    log(host, TEXT)
    host.now += 2 * DAY
    log(host, TEXT, TEXT)

    assert "connections                  2  Verified 100%" in screen(host)


def test_counting_that_stands_still_is_reported(host: Host) -> None:
    log(host, TEXT)
    host.now += 1200

    assert complaints(host).startswith(
        "1 thing needs attention: - WARNING: Nothing has been counted for 2"
    )


def test_a_log_that_is_silent_is_reported(host: Host) -> None:
    for _ in range(20):
        log(host, TEXT)
        host.now += DAY // 2 - 120
    host.now += DAY
    host.collect()

    assert "WARNING: The log has been silent for" in complaints(host)


def test_a_relay_that_lost_authentication_is_reported(host: Host) -> None:
    for number in range(13):
        log(host, *[TEXT if number < 12 else TEXT.replace("Verified", "Untrusted")] * 2)
        host.now += DAY // 2 - 120
    host.now -= DAY // 2 - 4 * 3600
    log(host, *[TEXT.replace("Verified", "Untrusted")] * 2)

    said = complaints(host)
    assert "- WARNING: Mail to mx.example.org is still delivered" not in said  # none was tried
    assert "- WARNING: Connections to mx.example.org have been without authentication of" in said


def test_a_warning_of_postfix_is_reported_for_a_day(host: Host) -> None:
    log(host, TEXT)
    log(host, "warning: DNSSEC validation may be unavailable")

    assert "Postfix cannot use DANE" in complaints(host)
    host.now += 2 * DAY
    log(host, TEXT)
    assert screen(host)[0] == WELL


def test_a_warning_that_is_no_condition_is_reported_too(host: Host) -> None:
    log(host, TEXT, *["warning: DANE TLSA lookup problem: x"] * 2)

    lines = screen(host)
    assert lines[0] == "All is well."
    assert lines[1].startswith("- Postfix warned 2 times: DANE TLSA lookup problem. TLSA ")


def test_a_command_and_a_record_are_not_broken_into_lines(host: Host) -> None:
    log(host, TEXT)
    record = f"_25._tcp.mail.example.org. 3600 IN TLSA 3 1 1 {'0a' * 32}"
    step = f"Publish `{record}`; caches keep the old records for up to 1 h more, and this is long."
    wrong = Condition("own_mx", "mail.example.org:25", Level.CRITICAL, 1, "Mail waits.", step)

    lines = as_lines(host.store.rrd, host.ledger, host.now, Judgement((wrong,)))

    assert [each for each in lines if record in each]
    assert not [each for each in lines if "\N{NO-BREAK SPACE}" in each]
    assert max(len(each) for each in lines if record not in each) <= 78


def test_of_hundreds_of_one_kind_five_are_listed(host: Host) -> None:
    log(host, TEXT)
    lost = [
        Condition("failing", f"mx{n}", Level.WARNING, 1, f"Mail to mx{n} has failed.", "Look.")
        for n in range(300)
    ]
    lines = as_lines(host.store.rrd, host.ledger, host.now, Judgement(tuple(lost)))

    assert lines[0] == "300 things need attention:"
    assert lines[5] == "- WARNING: Mail to mx4 has failed. Look."
    assert (
        lines[6] == "- 295 more failing: see `dane-mailgraph check --format json --only failing`."
    )


def test_what_is_wrong_with_one_server_is_one_thing(host: Host) -> None:
    log(host, TEXT)
    step = "Ask."
    found = (
        Condition("failing", "mx", Level.CRITICAL, 9, "Mail to mx fails.", f"{step} See."),
        Condition("failing", "mx2", Level.CRITICAL, 9, "Mail to mx2 fails.", step),
        Condition("lost_authentication", "mx", Level.CRITICAL, 5, "mx is lost.", step),
        Condition("share_fell", "", Level.WARNING, 5, "Less.", step),
        Condition("plaintext", "", Level.WARNING, 5, "More.", step),
    )
    lines = as_lines(host.store.rrd, host.ledger, host.now, Judgement(found))

    assert lines[:5] == [
        "4 things need attention:",
        "- CRITICAL: Mail to mx fails. mx is lost. Ask. See.",
        "- CRITICAL: Mail to mx2 fails. Ask.",
        "- WARNING: Less. Ask.",
        "- WARNING: More. Ask.",
    ]


def test_lines_that_could_not_be_counted_are_reported_and_late_ones_are_not(host: Host) -> None:
    log(host, TEXT)
    host.write(line(rfc3339(host.now - 600)))
    log(host, TEXT)
    assert screen(host)[0] == WELL

    host.write("no time in this line\n" * 5)
    log(host, "warning: DNSSEC validation may be unavailable")
    said = complaints(host)
    assert said.startswith("2 things need attention: - ")
    assert "of them are unreadable" in said
