"""The week or month as a text to mail."""

from __future__ import annotations

from datetime import timezone
from pathlib import Path

import pytest
from host import TEXT, Host, line, rfc3339

from dane_mailgraph.answer import Judgement
from dane_mailgraph.answer.summary import Summary, as_text, summarize
from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.times import DAY, HOUR, local_time

UTC = timezone.utc


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Seven weeks: in the last one a server is lost, another gains DANE, and mail doubles."""
    host = Host(tmp_path_factory.mktemp("summary"))
    host.now -= local_time(host.now, UTC).weekday() * DAY + host.now % DAY
    for day in range(49):
        is_last = day >= 42
        for number in range(2 if is_last else 1):
            at = host.now + (8 + number * 4) * HOUR
            for name, label in (
                ("good", "Verified"),
                ("lost", "Untrusted" if is_last else "Verified"),
                ("came", "Verified" if is_last else "Trusted"),
            ):
                text = TEXT.replace("mx.example", f"{name}.example").replace("Verified", label)
                host.write("".join(line(rfc3339(at + n), text) for n in range(3)))
            host.now = at + 60
            host.collect()
        host.now += DAY - host.now % DAY
        host.collect()
    host.now += HOUR
    host.collect()
    return host


def summary(host: Host, period: str = "week") -> Summary:
    judgement = Judgement(())
    return summarize(host.store.rrd, host.ledger, host.now, period, UTC, judgement)


def test_it_is_of_the_last_whole_week_with_four_before(host: Host) -> None:
    found = summary(host)

    assert [(each.until - each.since) // DAY for each in found.periods] == [7] * 5
    assert local_time(found.periods[-1].since, UTC).weekday() == 0
    assert host.now - 8 * DAY < found.periods[-1].since < found.periods[-1].until <= host.now
    assert [each.relay for each in found.lost] == ["lost.example.org"]
    assert found.came == ("came.example.org",)


def test_the_text_says_figures_changes_and_names(host: Host) -> None:
    text = as_text(summary(host), "mail.example.org", UTC, ENGLISH).splitlines()

    assert text[0].startswith("Outbound TLS of mail.example.org, 20")
    assert text[1] == "The log is known of 100% of that time."
    lines = {" ".join(each.split()) for each in text}
    assert "Connections 126 +100.0% +100.0%" in lines
    assert "Verified 66.7% 0.0 points 0.0 points" in lines
    assert "Servers that lost authentication: 1" in lines and "* lost.example.org" in lines
    assert "* came.example.org" in lines and "Needs attention: 0" in lines
    assert "Connections" in as_text(summary(host, "month"), "mx", UTC, ENGLISH)


def test_german_is_german(host: Host) -> None:
    text = as_text(summary(host), "mail.example.org", UTC, load_language("de"))

    assert "Verbindungen" in text and "+100,0 %" in text
    assert "Server, die erstmals authentifiziert sind: 1" in text


def test_what_is_unknown_is_compared_with_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.write(line(rfc3339(host.now)))
    host.now += 8 * DAY
    host.collect()
    text = as_text(summary(host), "mx", UTC, ENGLISH)

    assert "+" not in text
