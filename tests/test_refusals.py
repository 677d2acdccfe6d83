"""Senders that refuse our certificate: more than before is the sign of a wrong TLSA record."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest
from host import START, Host, rfc3339

from dane_mailgraph.answer import Evidence, judge_conditions, without_names
from dane_mailgraph.answer.conditions import Condition
from dane_mailgraph.answer.refusals import refusing
from dane_mailgraph.language import ENGLISH, load_language
from dane_mailgraph.levels import Level
from dane_mailgraph.times import DAY, HOUR

NOW = START + 60 * DAY
BROUGHT = "disconnect from {} ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7"
LEFT = "disconnect from {} ehlo=1 starttls=1 quit=1 commands=3"

Rows = list[tuple[str, int, int]]


def hours(domain: str, *ago: int, times: int = 1) -> Rows:
    """Refusals so many hours ago."""
    return sorted((domain, NOW - each * HOUR, times) for each in ago)


def found(*rows: Rows, begin: int = START) -> tuple[int, int, int] | None:
    """Senders, connections and senders before."""
    result = refusing(sorted(chain.from_iterable(rows)), begin, NOW)
    return (result.senders, result.times, result.before) if result else None


def test_one_sender_that_tries_again_for_hours_is_enough_where_none_ever_did() -> None:
    assert found(hours("a", 1, 2, 3, times=4)) == (1, 12, 0)


@pytest.mark.parametrize("ago", [(1,), (1, 2), (1, 2, 40), (14, 15, 16)])
def test_once_or_over_is_no_sign(ago: tuple[int, ...]) -> None:
    assert found(hours("a", *ago, times=50)) is None


def test_two_weeks_must_have_been_counted() -> None:
    rows = hours("a", 1, 2, 3)
    assert found(rows, begin=NOW - 13 * DAY) is None
    assert found(rows, begin=NOW - 15 * DAY)


def test_a_sender_that_always_did_is_no_sign() -> None:
    assert found(hours("a", *range(1, 45 * 24, 5))) is None


def test_more_senders_than_before_are_a_sign_where_some_always_did() -> None:
    before = [hours(f"old{n}", *range(24 * n, 24 * n + 4)) for n in range(3, 28)]
    new = [hours(f"new{n}", 1, 2, 3) for n in range(8)]

    assert found(*before, *new[:3]) is None
    assert found(*before, *new) == (8, 24, 25)


def test_it_holds_as_long_as_they_try_again() -> None:
    assert found(hours("a", *range(1, 9 * 24))) == (1, 9 * 24 - 1, 0)
    assert found(hours("a", *range(1, 29 * 24, 6), *range(2, 29 * 24, 6)))
    assert found(hours("a", *range(1, 32 * 24))) is None


# ---- the condition --------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def log(host: Host, *texts: str) -> None:
    host.write("".join(f"{rfc3339(host.now)} mx1 postfix/smtpd[7]: {each}\n" for each in texts))
    host.now += 120
    host.collect()


def conditions(host: Host, code: str = "") -> list[Condition]:
    said = load_language(code) if code else ENGLISH
    seen = Evidence(host.ledger, host.store.rrd, host.now, host.zone, said)
    return judge_conditions(seen, ("own_mx",))


def test_with_five_mails_a_day_a_refusing_sender_is_found_in_the_third_hour(host: Host) -> None:
    sender, scanner = "mail.example.net[203.0.113.7]", "scan1.example.com[203.0.113.9]"
    for _ in range(16):
        log(host, BROUGHT.format(sender), LEFT.format(scanner))
        host.now += DAY
    begin = host.now
    for _ in range(3):
        assert conditions(host) == []
        log(host, *[LEFT.format(sender)] * 3, LEFT.format(scanner))
        host.now += HOUR

    (one,) = conditions(host)
    assert (one.name, one.level, one.since) == ("own_mx", Level.WARNING, begin - begin % HOUR)
    assert "again and again: 1 since" in one.text and "in 9 connections" in one.text
    assert "in the 16 days before, 0. They are example.net." in one.text
    assert without_names([one], ENGLISH)[0].text == one.text.replace(" They are example.net.", "")
    assert "nameless" not in one.for_json()
    assert "check --probe" in one.next_step
    (german,) = conditions(host, "de")
    assert "in 9 Verbindungen" in german.text

    host.now += 14 * HOUR
    assert conditions(host) == []


def test_the_probe_s_verdict_stays_and_gains_the_number(host: Host) -> None:
    sender = "mail.example.net[203.0.113.7]"
    for _ in range(16):
        log(host, BROUGHT.format(sender))
        host.now += DAY
    for _ in range(3):
        log(host, LEFT.format(sender), LEFT.format("mx.example.org[192.0.2.1]"))
        host.now += HOUR

    look(host, [])
    (one,) = conditions(host)
    assert (one.level, one.subject) == (Level.WARNING, "mail.example.org:25")
    assert one.text.endswith("(Looked at 60 min ago.)")

    look(host, [["lookup_fails", {"mx": "x", "name": "n", "words": "SERVFAIL"}, host.now]])
    (one,) = conditions(host)
    assert (one.level, one.subject) == (Level.CRITICAL, "mail.example.org:25")
    assert "SERVFAIL" in one.text and one.text.endswith("before, 0. They are example.net.")
    assert without_names([one], ENGLISH)[0].text.endswith("in the 16 days before, 0.")


def test_the_senders_with_most_refusals_are_named_first_and_the_others_counted() -> None:
    rows = [hours(f"{n}.example", 1, 2, 3, times=1 + n) for n in range(7)]
    result = refusing(sorted(chain.from_iterable(rows)), START, NOW)

    assert result is not None
    assert result.domains[:2] == ("6.example", "5.example")
    assert (result.senders, len(result.domains)) == (7, 7)


def look(host: Host, findings: list[object]) -> None:
    with host.ledger.transaction():
        host.ledger.write("DELETE FROM own_mx", [()])
        row = ("mail.example.org", 25, host.now - HOUR, json.dumps(findings), 1, 1, None, 60)
        host.ledger.write("INSERT INTO own_mx VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row])
