"""What is wrong, judged on servers with five mails a day and with many."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from host import START, TEXT, Host, line, rfc3339
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.answer import (
    Evidence,
    Judgement,
    by_subject,
    judge_conditions,
    silence_accepted,
)
from dane_mailgraph.answer.check import as_json, as_plugin, figures
from dane_mailgraph.answer.conditions import CONDITIONS, NAMES, Condition
from dane_mailgraph.answer.failing import find_failing
from dane_mailgraph.answer.shares import Deliveries, fell, rose
from dane_mailgraph.answer.silence import silence
from dane_mailgraph.categories import BY_KEY
from dane_mailgraph.counts import SinceGood
from dane_mailgraph.fleet import metrics
from dane_mailgraph.levels import Level
from dane_mailgraph.store import RelayDay

DAY, HOUR, MINUTE = 86400, 3600, 60
UNTRUSTED = TEXT.replace("Verified", "Untrusted")
DEFERRED = (
    "2CE5121E153: to=<s@example.org>, relay=none, delay=1, delays=0/0/1/0, dsn=4.7.5, "
    "status=deferred (TLSA lookup error for mx.example.org:25)"
)
OUR_OWN = DEFERRED.replace(
    "TLSA lookup error for mx.example.org:25",
    "TLS is required, but our TLS engine is unavailable",
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def log(host: Host, *texts: str) -> None:
    host.write("".join(line(rfc3339(host.now), text) for text in texts))
    host.now += 2 * MINUTE
    host.collect()


def found(host: Host, *only: str) -> list[Condition]:
    seen = Evidence(host.ledger, host.store.rrd, host.now, host.zone)
    return judge_conditions(seen, only or NAMES)


def names(host: Host) -> list[str]:
    return [each.name for each in found(host)]


# ---- failing --------------------------------------------------------------------------------


def test_mail_fails_after_an_hour_of_failures_and_no_longer_when_one_gets_through(
    host: Host,
) -> None:
    log(host, DEFERRED)
    for _ in range(3):
        assert names(host) == []
        host.now += 20 * MINUTE
        log(host, DEFERRED)

    (one,) = found(host)
    assert (one.name, one.subject, one.level) == ("failing", "mx.example.org", Level.WARNING)
    assert one.since == START
    assert one.text == (
        "Mail to mx.example.org is not delivered: the lookup of TLSA records failed; 4 attempts "
        "since 2026-11-24 02:00, the last at 2026-11-24 03:06."
    )
    assert "posttls-finger" in one.next_step

    log(
        host,
        DEFERRED.replace("relay=none", "relay=mx.example.org[192.0.2.1]:25").replace(
            "deferred (TLSA lookup error for mx.example.org:25)", "sent (250 ok)"
        ),
    )
    assert names(host) == []


def turn(relay: str, since: int, last: int, count: int) -> RelayDay:
    counts = {BY_KEY["failures.dane_lookup"]: count}
    return RelayDay(relay, 1, since, last, counts, handover=SinceGood(0, count, since, last))


@given(st.integers(1, 20), st.integers(0, 3 * DAY), st.integers(0, 5 * HOUR))
def test_failing_is_three_failures_an_hour_old_and_retried_within_two(
    count: int, lasted: int, ago: int
) -> None:
    row = turn("mx", START, START + lasted, count)
    held = bool(find_failing([row], START + lasted + ago))

    is_retried = lasted >= 4 * MINUTE

    assert held == (count >= 3 and is_retried and lasted + ago >= HOUR and ago <= 2 * HOUR)


def test_one_message_to_many_recipients_is_one_attempt() -> None:
    assert not find_failing([turn("mx", START, START + MINUTE, 50)], START + HOUR)


def test_a_domain_must_have_failed_over_an_hour() -> None:
    assert not find_failing([turn("@a.example", START, START, 9)], START + HOUR)
    assert find_failing([turn("@a.example", START, START + HOUR, 9)], START + HOUR)


def test_what_failed_once_a_week_ago_is_no_failing(host: Host) -> None:
    log(host, *[DEFERRED] * 5)
    host.now += 7 * DAY
    log(host, TEXT)

    assert names(host) == []


# ---- shares ---------------------------------------------------------------------------------


def traffic(
    relays: int, per_day: int, share: float, days: range
) -> list[tuple[str, int, int, int]]:
    good = round(per_day * share)
    return [(f"mx{n}", ago, per_day, good) for n in range(relays) for ago in days]


def deliveries(rows: Iterable[tuple[str, int, int, int]]) -> Deliveries:
    """Rows of relay, days ago, deliveries and those of one kind."""
    kept = list(rows)

    def added_up(days: range) -> list[tuple[str, int, int]]:
        sums: dict[str, list[int]] = {}
        for relay, ago, n, x in kept:
            if ago in days:
                both = sums.setdefault(relay, [0, 0])
                both[0] += n
                both[1] += x
        return [(relay, n, x) for relay, (n, x) in sums.items() if n]

    return Deliveries(added_up)


BEFORE = traffic(8, 10, 1, range(1, 30))


def test_a_newsletter_to_strangers_fells_nothing() -> None:
    strangers = [(f"stranger{n}", 0, 1, 0) for n in range(5000)]

    assert not fell(deliveries([*BEFORE, *traffic(8, 10, 1, range(1)), *strangers]))
    assert not rose(
        deliveries([*traffic(8, 10, 0, range(30)), *[(r, a, n, n) for r, a, n, _ in strangers]])
    )


def test_the_fall_of_all_is_found_on_the_same_day_and_that_of_one_relay_is_not_this() -> None:
    shift = fell(deliveries([*BEFORE, *traffic(8, 10, 0, range(1))]))
    assert shift and (shift.days, shift.deliveries, shift.actual) == (1, 80, 0)

    one = [("mx0", 0, 10, 0), *((f"mx{n}", 0, 10, 10) for n in range(1, 8))]
    assert not fell(deliveries([*BEFORE, *one]))


def test_it_is_over_when_a_day_is_good_again() -> None:
    bad = traffic(8, 10, 0, range(1, 3))

    assert not fell(
        deliveries([*traffic(8, 10, 1, range(3, 30)), *bad, *traffic(8, 10, 1, range(1))])
    )


def test_unencrypted_mail_that_rises_is_found() -> None:
    never = traffic(8, 10, 0, range(1, 30))

    assert rose(deliveries([*never, *traffic(8, 10, 1, range(1))]))
    assert not rose(deliveries([*never, *traffic(8, 10, 0, range(1))]))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 50)), max_size=99))
def test_no_traffic_breaks_the_judgement(rows: list[tuple[int, int, int]]) -> None:
    days = deliveries((f"mx{n}", ago, count, count // 2) for n, ago, count in rows)
    for shift in (fell(days), rose(days)):
        assert shift is None or shift.deliveries > 0


# ---- silence --------------------------------------------------------------------------------

OFFICE = [(5, 16 * HOUR)] * 8
"""Eight working days; the weekend's pause is in it once."""


def test_a_quiet_null_client_may_be_silent_for_twice_its_longest_pause() -> None:
    weekend = [*OFFICE, (5, 64 * HOUR)]

    assert not silence(weekend, START, START, START + 128 * HOUR)
    assert silence(weekend, START, START, START + 128 * HOUR + 1)
    assert not silence(weekend[:6], START, START, START + 30 * DAY)


def test_a_busy_server_is_silent_after_two_hours() -> None:
    busy = [(100_000, 0)] * 10
    late = silence(busy, START, START, START + 2 * HOUR + 1)

    assert late and late.is_critical and not late.has_lines
    assert not silence(busy, START, START, START + 2 * HOUR)


def test_lines_without_anything_that_counts_are_found_too() -> None:
    now = START + 3 * HOUR
    late = silence([(1000, 0)] * 10, now, START, now)

    assert late and late.has_lines
    assert not silence([(10, 0)] * 10, now, START, now)


def test_a_weekend_is_no_silence(host: Host) -> None:
    for day in range(22):
        if day % 7 < 5:
            for _ in range(5):
                log(host, TEXT)
                host.now += 90 * MINUTE
            host.now += DAY - 5 * 92 * MINUTE
        else:
            for _ in range(48):
                host.now += 30 * MINUTE
                host.collect()
                assert day < 7 or names(host) == []


# ---- this server ----------------------------------------------------------------------------


def test_dane_that_is_off_is_over_with_the_first_verified(host: Host) -> None:
    log(host, TEXT)
    log(host, "warning: DNSSEC validation may be unavailable", UNTRUSTED)
    assert names(host) == ["no_dnssec"]

    log(host, TEXT)
    assert names(host) == []


def test_our_own_tls_is_over_with_the_first_connection(host: Host) -> None:
    log(host, TEXT)
    log(host, OUR_OWN)
    assert names(host) == ["own_tls"]

    log(host, UNTRUSTED)
    assert names(host) == []


def test_counting_that_stands_still_is_found_and_a_quiet_log_is_not(host: Host) -> None:
    log(host, TEXT)
    for _ in range(600):
        host.now += 5 * MINUTE
        host.collect()
    assert names(host) == []

    host.now += 16 * MINUTE
    assert names(host) == ["not_counting"]


def test_an_import_alone_is_a_warning_and_a_log_that_is_not_read_is_not_silent(host: Host) -> None:
    for day in range(20):
        old = host.folder / f"old{day}"
        host.write("".join(line(rfc3339(host.now + n), TEXT) for n in range(200)), old)
        host.now += DAY
        host.take(old)
    assert names(host) == []

    host.now += 300 * DAY
    (one,) = found(host)
    assert (one.name, one.level) == ("not_counting", Level.WARNING)
    assert one.text.startswith("No log is followed: what was imported ends at")


def test_many_that_are_lost_at_once_are_each_named_and_point_at_our_own_resolver(
    host: Host,
) -> None:
    def connect(label: str) -> None:
        text = TEXT.replace("Verified", label)
        log(host, *(text.replace("mx.example", f"mx{n}.example") for n in range(6)))

    for _ in range(4):
        connect("Verified")
        connect("Verified")
        connect("Verified")
        host.now += DAY
    for _ in range(4):
        connect("Untrusted")
        host.now += HOUR

    lost = found(host, "lost_authentication")
    assert [each.subject for each in lost] == [f"mx{n}.example.org" for n in range(6)]
    assert all(each.level is Level.CRITICAL for each in lost)
    assert all("your own resolver" in each.next_step for each in lost)
    assert as_plugin(Judgement(tuple(lost)), {}).startswith(
        "CRITICAL - Servers that are not authenticated any more: 6. Look at your own resolver"
    )


def test_many_servers_of_our_own_are_not_made_one() -> None:
    wrong = [
        Condition("own_mx", f"mx{n}:25", Level.CRITICAL, 1, f"Mail to mx{n} waits.", "Look.")
        for n in range(5)
    ]

    assert as_plugin(Judgement(tuple(wrong)), {}) == (
        "CRITICAL - Mail to mx0 waits. Mail to mx1 waits. Mail to mx2 waits. "
        "2 more: see `dane-mailgraph`."
    )


def test_an_rrd_that_is_gone_is_found(host: Host) -> None:
    log(host, TEXT)
    (host.state / "outbound.rrd").unlink()

    assert names(host) == ["store"]


def test_few_omissions_are_none(host: Host) -> None:
    log(host, *[TEXT] * 50)
    host.write("no time in this line\n" * 4)
    log(host, TEXT)
    assert names(host) == []

    host.write("no time in this line\n" * 5)
    log(host, TEXT)
    assert names(host) == ["omissions"]

    host.now += DAY + HOUR
    log(host, TEXT)
    assert names(host) == []


def test_metrics_say_the_level_of_each_condition_and_name_no_relay(host: Host) -> None:
    log(host, TEXT)
    log(host, OUR_OWN)
    judgement = Judgement(tuple(found(host)), (LOST,))
    text = metrics.as_text(host.ledger, host.now, judgement)

    assert 'dane_mailgraph_condition{name="own_tls"} 2\n' in text
    assert 'dane_mailgraph_condition{name="failing"} 0\n' in text
    assert text.count("dane_mailgraph_condition{") == len(CONDITIONS)


# ---- the table and what it says -------------------------------------------------------------


def test_each_condition_has_one_row() -> None:
    assert len({row.name for row in CONDITIONS}) == len(CONDITIONS)


def test_mail_that_goes_unencrypted_now_is_reported_to(host: Host) -> None:
    sent = (
        "2CE5121E153: to=<s@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, "
        "delays=0/0/1/0, tls=may:none, dsn=2.0.0, status=sent (250 ok)"
    )
    for _ in range(3):
        log(host, *[TEXT] * 4)
        host.now += DAY
    for _ in range(4):
        log(host, sent)
        host.now += HOUR

    (one,) = found(host, "lost_authentication")
    assert one.level is Level.CRITICAL
    assert one.text.startswith("Mail to mx.example.org is still delivered, but unencrypted since ")
    assert "0 of 4 times the server was authenticated; before, 12 of 12 on 3 days." in one.text


def test_mail_to_a_lost_server_that_does_not_leave_is_critical_and_stands_first(host: Host) -> None:
    to = "2CE5121E153: to=<s@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, "
    to += "delays=0/0/1/0, "
    sent = to + "tls=may, dsn=2.0.0, status=sent (250 ok)"
    refused = to + "dsn=4.7.5, status=deferred (Server certificate not verified)"
    for _ in range(3):
        log(host, *[TEXT] * 4)
        host.now += DAY
    for _ in range(4):
        log(host, UNTRUSTED, sent)
        host.now += HOUR
    (lost,) = found(host, "lost_authentication", "failing")
    assert (lost.name, lost.level) == ("lost_authentication", Level.WARNING)
    assert lost.text.startswith(
        "Mail to mx.example.org is still delivered, but without authentication of the server since "
    )

    for _ in range(4):
        log(host, UNTRUSTED, refused)
        host.now += HOUR // 2
    fails, lost = found(host, "lost_authentication", "failing")
    assert (fails.name, fails.level) == ("failing", Level.CRITICAL)
    assert (lost.name, lost.level) == ("lost_authentication", Level.CRITICAL)
    assert lost.text.startswith("Connections to mx.example.org have been without authentication of")
    (matter,) = by_subject((fails, lost))
    assert matter.next_step == fails.next_step and matter.since == lost.since


LOST = Condition("failing", "a|b", Level.WARNING, START, "Mail to a|b\nfails.", "Look.")


def test_what_is_accepted_is_set_aside_and_named() -> None:
    for accepted in ("failing", "failing:a|b"):
        judgement = silence_accepted([LOST], {accepted})
        assert judgement.level is Level.OK
        assert as_plugin(judgement, {}) == "OK - All is well. 1 accepted (failing:a/b)."
    assert silence_accepted([LOST], {"failing:other"}).level is Level.WARNING
    domain = LOST._replace(subject="@example.org")
    for accepted in ("failing:@example.org", "failing:example.org", "failing:Example.org"):
        assert silence_accepted([domain], {accepted}).level is Level.OK


def test_names_of_strangers_do_not_become_performance_data() -> None:
    said = as_plugin(Judgement((LOST,)), {"connections": 3})

    assert said == "WARNING - Mail to a/b fails. | connections=3"


def test_json_is_what_the_contract_says(host: Host) -> None:
    log(host, TEXT)
    judgement = Judgement((LOST,))

    assert json.loads(as_json(judgement, figures(host.ledger, judgement, host.now))) == {
        "level": "warning",
        "text": "Mail to a|b\nfails.",
        "conditions": [
            {
                "name": "failing",
                "subject": "a|b",
                "level": "warning",
                "since": START,
                "text": "Mail to a|b\nfails.",
                "next_step": "Look.",
            }
        ],
    }
    assert figures(host.ledger, judgement, host.now)["verified"] == 1
