"""What comes in: what the lines of `smtpd` tell together, which each alone does not."""

from __future__ import annotations

import lzma
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from host import START as BEGIN
from host import Host

from dane_mailgraph.answer.report import totals
from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix import Sessions, Tally
from dane_mailgraph.postfix.reception import domain_of
from dane_mailgraph.store import OTHER, RefusalTable, SenderTable
from dane_mailgraph.times import DAY, HOUR, day_number

LATEST = 1795600000
LOCAL = PeerSet("127.0.0.0/8 ::1 unix")
WHOLE = Path(__file__).parent / "lab" / "whole"

CONNECT = "smtpd[701]: connect from mail.example.net[203.0.113.7]"
HANDSHAKE = (
    "smtpd[701]: Anonymous TLS connection established from mail.example.net[203.0.113.7]: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)
CLEAR = (
    "smtpd[701]: disconnect from mail.example.net[203.0.113.7] "
    "ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
)
START = "master[1]: daemon started -- version 3.7.11, configuration /etc/postfix"


def counted(
    *texts: str, sessions: Sessions | None = None, ignored: PeerSet = LOCAL, name: str = "postfix"
) -> Counter[str]:
    """What lines of one host count as, in order."""
    log = "".join(f"2026-11-24T00:06:58+00:00 mx1 {name}/{text}\n" for text in texts).encode()
    tally = Tally(60, LOCAL, LATEST, sessions, ignored_clients=ignored)
    tally.add_block(bytearray(log), len(log), Clock(timezone.utc, LATEST))
    counts = Counter({"illegible": tally.omitted["illegible"]})
    for interval in tally.intervals():
        for category, count in zip(CATEGORIES, interval.counts, strict=True):
            if category.family == "inbound":
                counts[category.name] += count or 0
    return +counts


@pytest.mark.parametrize(
    "texts, expected",
    [
        ([CONNECT, HANDSHAKE, CLEAR], {"tls": 1}),
        ([CONNECT, CLEAR], {"plaintext": 1}),
        ([CONNECT, HANDSHAKE, CLEAR, CONNECT, CLEAR], {"tls": 1, "plaintext": 1}),
        ([CONNECT, HANDSHAKE, CONNECT, CLEAR], {"plaintext": 1}),
        ([CONNECT, HANDSHAKE, CLEAR.replace("701", "702")], {"plaintext": 1}),
        ([CONNECT, HANDSHAKE, START, CLEAR], {"plaintext": 1}),
        ([CONNECT, HANDSHAKE, START.replace("master", "out/master"), CLEAR], {"tls": 1}),
    ],
)
def test_where_tls_comes_first_the_handshake_of_the_process_tells(
    texts: list[str], expected: dict[str, int]
) -> None:
    assert counted(*texts) == expected


def test_a_client_that_is_connected_while_the_counter_restarts_keeps_its_handshake() -> None:
    before = Sessions()
    counted(CONNECT, HANDSHAKE, sessions=before)

    after = Sessions.load(before.dump(LATEST))

    assert counted(CLEAR, sessions=after) == {"tls": 1}
    assert not after.dump(LATEST)["servers"]


def test_lines_that_are_lost_end_what_is_known_of_handshakes() -> None:
    sessions = Sessions()
    counted(CONNECT, HANDSHAKE, sessions=sessions)
    sessions.mark_gap()

    assert counted(CLEAR, sessions=sessions) == {"plaintext": 1}


def test_ignored_clients_are_those_of_the_setting() -> None:
    assert counted(CLEAR, ignored=PeerSet("203.0.113.0/24")) == {}
    assert counted(CLEAR, ignored=PeerSet(".example.net")) == {}
    assert counted(CLEAR.replace("203.0.113.7", "127.0.0.1"), ignored=PeerSet("")) == {
        "plaintext": 1
    }


@pytest.mark.parametrize(
    "name", ["postfix/submission", "postfix-submission", "x/smtps", "x/SUBMISSION"]
)
def test_services_of_users_are_left_out_by_their_log_name(name: str) -> None:
    assert counted(CONNECT, HANDSHAKE, CLEAR, name=name) == {}


@pytest.mark.parametrize(
    "counters, expected",
    [
        ("ehlo=1 mail=1 rcpt=1 bdat=3 quit=1 commands=7", {"plaintext": 1}),
        ("ehlo=1 mail=2 rcpt=2 data=1 bdat=3 quit=1 commands=10", {"plaintext": 2}),
        ("ehlo=1 mail=2 rcpt=2 bdat=3 quit=1 commands=9", {"illegible": 1}),
        ("ehlo=1 mail=1 rcpt=1 bdat=0/1 quit=1 commands=4/5", {}),
        ("ehlo=1 mail=1 rcpt=1 data=1 quit=1", {"illegible": 1}),
        ("ehlo=1 mail=1 rcpt=1 data=x quit=1 commands=5", {"illegible": 1}),
    ],
)
def test_messages_are_told_by_the_counters_where_these_tell(
    counters: str, expected: dict[str, int]
) -> None:
    text = f"smtpd[9]: disconnect from mail.example.net[203.0.113.7] {counters}"

    assert counted(text) == expected


@pytest.mark.parametrize("end", ["TLSv1.3 with ci", "TLSv1.4 with cipher NEW (256/256 bits)"])
def test_a_handshake_that_is_cut_off_is_an_omission_and_still_tells_of_its_connection(
    end: str,
) -> None:
    text = HANDSHAKE.partition("TLSv1.3")[0] + end

    assert counted(CONNECT, text, CLEAR) == {"illegible": 1, "tls": 1}


def test_the_prefix_of_solaris_hides_nothing() -> None:
    texts = (each.replace("]: ", "]: [ID 197553 mail.info] ", 1) for each in (HANDSHAKE, CLEAR))

    assert counted(*texts) == {"tls": 1}


def test_the_lab_got_as_many_messages_as_were_submitted() -> None:
    """Programs submitted 266 over TLS and 70 in plaintext; the other Postfix handed over six."""
    log = lzma.decompress((WHOLE / "main-smtpd.log.xz").read_bytes())
    tally = Tally(60, LOCAL, LATEST)
    tally.add_block(bytearray(log), len(log), Clock(ZoneInfo("Europe/Berlin"), LATEST))
    counts: Counter[str] = Counter()
    for interval in tally.intervals():
        counts.update({row.key: n for row, n in zip(CATEGORIES, interval.counts, strict=True) if n})

    assert counts["inbound.tls"] == 266 + 6
    assert counts["inbound.plaintext"] == 70


# ---- what a log does not tell ---------------------------------------------------------------


def stamped(host: Host, text: str) -> str:
    """One line of Postfix's, of now."""
    at = datetime.fromtimestamp(host.now, host.zone).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{at} mx1 postfix/{text}\n"


def report(host: Host, *texts: str) -> dict[str, int | None]:
    """The totals of the hour in which these lines are logged, a minute apart."""
    for text in texts:
        host.write(stamped(host, text))
        host.collect()
        host.now += 60
    host.now += 60
    host.collect()
    found = totals(host.store.rrd, host.ledger, BEGIN, BEGIN + 3600).totals
    return {category.key: count for category, count in found.items()}


def test_without_a_handshake_in_the_log_the_protocols_are_unknown(tmp_path: Path) -> None:
    over_tls = CLEAR.replace("ehlo=1", "ehlo=2 starttls=1")
    silent = report(Host(tmp_path / "silent"), over_tls)
    telling = report(Host(tmp_path / "telling"), HANDSHAKE, over_tls)
    quiet = report(Host(tmp_path / "quiet"), CONNECT)

    assert (silent["inbound.tls"], silent["inbound_protocols.tlsv1_3"]) == (1, None)
    assert silent["inbound_key_exchange.rsa"] is None
    assert (telling["inbound.tls"], telling["inbound_protocols.tlsv1_2"]) == (1, 0)
    assert quiet["inbound_protocols.tlsv1_3"] == 0


def test_before_postfix_3_0_messages_are_unknown_and_not_zero(tmp_path: Path) -> None:
    old = report(Host(tmp_path), "smtpd[9]: disconnect from mail.example.net[203.0.113.7]")

    assert (old["inbound.tls"], old["inbound.plaintext"]) == (None, None)
    assert old["connections.verified"] == 0


TRUSTED = (
    "smtp[101]: Trusted TLS connection established to mx.example.org[192.0.2.10]:25: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)


@pytest.mark.parametrize(
    "odd, usual, unknown, known",
    [
        (TRUSTED, CLEAR, "connections.trusted", "inbound.plaintext"),
        (CLEAR, TRUSTED, "inbound.plaintext", "connections.trusted"),
    ],
)
def test_each_direction_is_unknown_for_itself(
    odd: str, usual: str, unknown: str, known: str, tmp_path: Path
) -> None:
    host = Host(tmp_path)
    host.write(stamped(host, usual) + stamped(host, odd).replace(" mx1 ", " mx1 x y "))

    found = report(host, "qmgr[1]: 4F1E2D3C4B5A: removed")

    assert (found[unknown], found[known]) == (0, 1)
    minute = totals(host.store.rrd, host.ledger, BEGIN, BEGIN + 60).totals
    assert (minute[BY_KEY[unknown]], minute[BY_KEY[known]]) == (None, 1)
    assert host.ledger.omitted()["not_understood"] == 1


def test_lines_without_a_time_are_of_the_newest_hour_of_their_log(tmp_path: Path) -> None:
    host = Host(tmp_path)
    old = tmp_path / "old.log"
    host.write("no time\n" + stamped(host, CLEAR), old)
    host.now += DAY
    host.take(old)

    assert host.ledger.hours(BEGIN, BEGIN + 3600)["unreadable"] == 1
    assert "unreadable" not in host.ledger.hours(BEGIN + 3600, host.now + 3600)


def test_what_is_left_out_is_told_of_the_hour_of_its_line(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.write(stamped(host, CLEAR.replace("commands=5", "")))
    host.now += 5 * 3600
    host.write(stamped(host, CLEAR))
    host.collect()

    assert host.ledger.hours(BEGIN, BEGIN + 3600)["illegible"] == 1
    assert "illegible" not in host.ledger.hours(BEGIN + 3600, host.now + 60)


# ---- who comes without TLS, or with an old one ----------------------------------------------

OLD = HANDSHAKE.replace("TLSv1.3", "TLSv1.1")


@pytest.mark.parametrize(
    "client, domain",
    [
        ("mail.example.net[203.0.113.7]", "example.net"),
        ("example.net[203.0.113.7]", "example.net"),
        ("MX1.Mail.Example.NET[203.0.113.7]", "mail.example.net"),
        ("unknown[203.0.113.7]", "203.0.113.7"),
        ("unknown[2001:db8::7]", "2001:db8::7"),
    ],
)
def test_a_client_is_kept_by_its_domain(client: str, domain: str) -> None:
    assert domain_of(client.encode()) == domain


def test_who_comes_without_tls_or_with_an_old_one_is_kept_by_day(tmp_path: Path) -> None:
    host = Host(tmp_path)
    over_tls = CLEAR.replace("ehlo=1", "ehlo=2 starttls=1").replace("701", "702")
    host.write("".join(stamped(host, each) for each in (HANDSHAKE, over_tls)))
    host.write("".join(stamped(host, each) for each in (OLD, OLD, CONNECT, CLEAR, CLEAR)))
    host.collect()
    host.now += DAY
    host.write(stamped(host, CLEAR.replace("mail.example.net", "unknown")))
    host.collect()

    table = SenderTable(host.ledger)
    assert [
        (each.domain, {row.key: count for row, count in each.counts.items()}, each.last)
        for each in table.senders(0)
    ] == [
        ("example.net", {"inbound.plaintext": 2, "inbound_protocols.tlsv1_1": 2}, BEGIN),
        ("203.0.113.7", {"inbound.plaintext": 1}, BEGIN + DAY),
    ]
    with host.ledger.transaction():
        table.prune(day_number(BEGIN + DAY, host.zone))
    assert [each.domain for each in table.senders(0)] == ["203.0.113.7"]


def test_strangers_cannot_fill_the_table_of_senders(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.rules = host.rules._replace(relays_per_day=2)
    for n in range(5):
        host.write(stamped(host, CLEAR.replace("mail.example.net", f"mx.{n}.example")))
        host.collect()

    found = SenderTable(host.ledger).senders(0)
    assert [(each.domain, each.total) for each in found] == [
        (OTHER, 3),
        ("0.example", 1),
        ("1.example", 1),
    ]


# ---- who refuses our certificate ------------------------------------------------------------

OVER_TLS = CLEAR.replace("ehlo=1", "ehlo=2 starttls=1")
LEFT_AT_ONCE = CLEAR.partition(" ehlo=")[0] + " ehlo=1 starttls=1 quit=1 commands=3"
ACCEPT = "smtpd[701]: SSL_accept error from mail.example.net[203.0.113.7]: -1"
ALERT = (
    "smtpd[701]: warning: TLS library problem: error:0A000418:SSL routines::tlsv1 alert unknown ca:"
    "../ssl/record/rec_layer_s3.c:1601:SSL alert number 48:"
)
NO_CIPHER = (
    "smtpd[701]: warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:"
    "../ssl/statem/statem_srvr.c:2220:"
)


def refused(host: Host, *texts: str) -> list[tuple[str, int, int]]:
    host.write("".join(stamped(host, each) for each in texts))
    host.collect()
    return RefusalTable(host.ledger).by_domain(0)


@pytest.mark.parametrize(
    "texts, times",
    [
        ([LEFT_AT_ONCE], 1),
        ([LEFT_AT_ONCE.replace(" quit=1 commands=3", " commands=2")], 1),
        ([LEFT_AT_ONCE, LEFT_AT_ONCE.replace("701", "702")], 2),
        ([ACCEPT, ALERT], 1),
        ([ACCEPT, ALERT.replace("unknown ca", "bad certificate").replace("48", "42")], 1),
        ([ACCEPT, ALERT, ALERT], 1),
        ([ACCEPT, NO_CIPHER, ALERT], 0),
        ([ACCEPT, ALERT.replace("48", "40")], 0),
        ([ALERT], 0),
        ([ACCEPT, ALERT.replace("701", "702")], 0),
        ([LEFT_AT_ONCE.replace("ehlo=1", "ehlo=2")], 0),
        ([LEFT_AT_ONCE.replace("mail.example.net", "unknown")], 0),
        ([LEFT_AT_ONCE.replace("mail.example.net[203.0.113.7]", "localhost[127.0.0.1]")], 0),
    ],
)
def test_who_refuses_our_certificate_is_kept_by_hour(
    tmp_path: Path, texts: list[str], times: int
) -> None:
    kept = [("example.net", BEGIN - BEGIN % HOUR, times)] if times else []
    host = Host(tmp_path)
    assert refused(host, OVER_TLS, *texts) == kept
    # Each line is found by another reading of the log, and the counter begins anew between two.
    other = Host(tmp_path / "one by one")
    for each in (OVER_TLS, *texts):
        found = refused(other, each)
    assert found == kept


def test_what_failed_in_a_connection_is_over_with_it(tmp_path: Path) -> None:
    host = Host(tmp_path)

    assert refused(host, OVER_TLS, ACCEPT, CLEAR, ALERT) == []
    assert refused(host, ACCEPT, CONNECT, ALERT) == []


def test_a_domain_that_has_sent_no_mail_is_a_scanner(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert refused(host, LEFT_AT_ONCE, CLEAR) == []
    assert refused(host, OVER_TLS) == []
    host.now += 80 * DAY
    assert len(refused(host, LEFT_AT_ONCE)) == 1
    host.now += 20 * DAY
    refused(host, CLEAR)
    assert len(refused(host, LEFT_AT_ONCE)) == 1


def test_a_log_that_is_read_twice_tells_of_each_refusal_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    once = refused(host, OVER_TLS, LEFT_AT_ONCE)
    host.take(host.log)

    assert RefusalTable(host.ledger).by_domain(0) == once


def test_senders_cannot_fill_the_table_of_refusals(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.rules = host.rules._replace(relays_per_day=2)
    for n in range(5):
        name = f"mx.{n}.example"
        texts = [each.replace("mail.example.net", name) for each in (OVER_TLS, LEFT_AT_ONCE)]
        found = refused(host, *texts)

    assert [domain for domain, _, _ in found] == ["0.example", "1.example"]


def test_strangers_cannot_fill_the_table_of_known_senders(tmp_path: Path) -> None:
    host = Host(tmp_path)
    table = RefusalTable(host.ledger)
    with host.ledger.transaction():
        table.know([f"{n}.example" for n in range(10_001)], host.now)
        table.know(["0.example", "new.example"], host.now + DAY)

    ((kept, latest),) = host.ledger.read("SELECT count(*), max(last) FROM known_senders")
    assert (kept, latest) == (10_000, host.now + DAY - host.now % DAY)
