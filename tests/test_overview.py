"""The answer in one screen: what is wrong stands first, and nothing else is called wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from host import TEXT, Host, line, rfc3339

from dane_mailgraph.answer.overview import as_lines

DAY = 86400


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def log(host: Host, *texts: str) -> None:
    """Log something and count it, also the interval that it belongs to."""
    host.write("".join(line(rfc3339(host.now), text) for text in texts))
    host.now += 120
    host.collect()


def screen(host: Host) -> list[str]:
    return as_lines(host.store.rrd, host.ledger, host.now, host.zone)


def complaints(host: Host) -> str:
    """What stands above the figures, in one line."""
    lines = screen(host)
    return " ".join(lines[: lines.index("")])


def test_the_verdict_is_the_first_line_and_the_figures_are_the_last(host: Host) -> None:
    log(host, TEXT, TEXT, TEXT.replace("Verified", "Untrusted"))
    lines = screen(host)

    assert lines[:3] == ["All is well.", "", "Last 24 hours (`dane-mailgraph report` prints all):"]
    assert lines[3] == "connections          3  Verified 66.7%, Untrusted 33.3%"
    assert max(map(len, lines)) < 80


def test_what_is_older_than_24_hours_is_not_in_the_figures(host: Host) -> None:
    log(host, TEXT)
    host.now += 2 * DAY
    log(host, TEXT, TEXT)

    assert "connections          2  Verified 100%" in screen(host)


def test_counting_that_stands_still_is_said(host: Host) -> None:
    log(host, TEXT)
    host.now += 1200

    assert complaints(host).startswith("1 thing needs attention: - Nothing has been counted for 2")


def test_a_log_that_is_silent_is_said(host: Host) -> None:
    log(host, TEXT)
    host.now += 7200
    host.collect()

    assert complaints(host).startswith("1 thing needs attention: - The newest line of the log is 2")


def test_a_relay_that_lost_authentication_is_said(host: Host) -> None:
    for _ in range(7):
        log(host, TEXT)
        host.now += DAY - 120
    log(host, TEXT.replace("Verified", "Untrusted"))

    assert "- mx.example.org has lost authentication" in complaints(host)


def test_a_warning_of_postfix_is_said_for_a_day(host: Host) -> None:
    log(host, TEXT, "warning: DNSSEC validation may be unavailable")

    assert "DNSSEC validation may be unavailable" in complaints(host)
    host.now += 2 * DAY
    log(host, TEXT)
    assert screen(host)[0] == "All is well."


def test_lines_that_could_not_be_counted_are_said_and_late_ones_are_not(host: Host) -> None:
    log(host, TEXT)
    host.write(line(rfc3339(host.now - 600)))
    log(host, TEXT)
    assert screen(host)[0] == "All is well."

    host.write("no time in this line\n")
    host.write(line(rfc3339(host.now), "warning: DNSSEC validation may be unavailable"))
    log(host, TEXT)
    said = complaints(host)
    assert said.startswith("2 things need attention: - ")
    assert "1 line without a readable time" in said
