"""What comes in: what the lines of `smtpd` tell together, which each alone does not."""

from __future__ import annotations

import lzma
from collections import Counter
from datetime import timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.peers import Relays
from dane_mailgraph.postfix import Sessions, Tally

LATEST = 1795600000
LOCAL = Relays("127.0.0.0/8 ::1 unix")
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
    *texts: str, sessions: Sessions | None = None, ignored: Relays = LOCAL, name: str = "postfix"
) -> Counter[str]:
    """What lines of one host count as, in order."""
    log = "".join(f"2026-11-24T00:06:58+00:00 mx1 {name}/{text}\n" for text in texts).encode()
    tally = Tally(60, LOCAL, LATEST, sessions, ignored_clients=ignored)
    tally.add_block(bytearray(log), len(log), Clock(timezone.utc, LATEST))
    counts = Counter({"illegible": tally.omitted["illegible"]})
    for interval in tally.intervals():
        for category, count in zip(CATEGORIES, interval.counts, strict=True):
            if category.family == "inbound":
                counts[category.name] += count
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
    assert counted(CLEAR, ignored=Relays("203.0.113.0/24")) == {}
    assert counted(CLEAR, ignored=Relays(".example.net")) == {}
    assert counted(CLEAR.replace("203.0.113.7", "127.0.0.1"), ignored=Relays("")) == {
        "plaintext": 1
    }


@pytest.mark.parametrize("name", ["postfix/submission", "postfix-submission", "x/smtps"])
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


def test_the_lab_got_as_many_messages_as_were_submitted() -> None:
    """Programs submitted 266 over TLS and 70 in the clear; the other Postfix handed over six."""
    log = lzma.decompress((WHOLE / "main-smtpd.log.xz").read_bytes())
    tally = Tally(60, LOCAL, LATEST)
    tally.add_block(bytearray(log), len(log), Clock(ZoneInfo("Europe/Berlin"), LATEST))
    counts: Counter[str] = Counter()
    for interval in tally.intervals():
        counts.update({row.key: n for row, n in zip(CATEGORIES, interval.counts, strict=True) if n})

    assert counts["inbound.tls"] == 266 + 6
    assert counts["inbound.plaintext"] == 70
