"""What happens with a relay and counts nowhere is kept of it, by day."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from datetime import timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from host import START, Host, rfc3339

from dane_mailgraph.answer.relays import find_relays, format_relays
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix import Tally
from dane_mailgraph.relay_events import RELAY_EVENTS
from dane_mailgraph.store import OTHER, EventTable
from dane_mailgraph.times import day_number

WHOLE = Path(__file__).parent / "lab" / "whole"
UTC = timezone.utc

STARTED = "master[1]: daemon started -- version 3.7.11, configuration /etc/postfix"
HANDSHAKE = (
    "smtp[101]: Untrusted TLS connection established to {relay}: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)
SENT = (
    "smtp[101]: 4F1E2D3C4B5A: to=<u@example.org>, relay={relay}, delay=1, "
    "delays=0.1/0/0.9/0.2, dsn=2.0.0, status=sent (250 ok)"
)
FIRST, SECOND = "mx1.example.org[192.0.2.1]:25", "mx2.example.org[192.0.2.2]:25"
REFUSED = "smtp[101]: 4F1E2D3C4B5A: Server certificate not verified"
FAILED = "smtp[101]: 4F1E2D3C4B5A: Cannot start TLS: handshake failure"
TLSRPT = (
    "smtp[101]: TLSRPT: status=failure, domain=example.org, "
    "receiving_mx=mx1.example.org[192.0.2.1], failure_type=validation_failure, "
    "failure_reason=self-signed_certificate"
)


def logged(host: Host, *texts: str) -> None:
    host.write("".join(f"{rfc3339(host.now)} mx1 postfix/{text}\n" for text in texts))
    host.collect()


def happened(host: Host) -> dict[str, list[tuple[str, str, int]]]:
    day = day_number(START, UTC)
    return {
        relay: [(each.name, each.detail, each.times) for each in events]
        for relay, events in EventTable(host.ledger).by_relay(day, day).items()
    }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_certificate_that_another_server_hides_is_kept_of_the_first(host: Host) -> None:
    first, second = (HANDSHAKE.format(relay=relay) for relay in (FIRST, SECOND))
    logged(host, STARTED, first, REFUSED, second, SENT.format(relay=SECOND))

    assert happened(host) == {"mx1.example.org": [("mismatch", "", 1)]}


def test_a_handshake_that_failed_before_the_mail_went_in_the_clear_is_a_downgrade(
    host: Host,
) -> None:
    proof = HANDSHAKE.format(relay=SECOND).replace("101", "102")
    logged(host, STARTED, proof, FAILED, SENT.format(relay=FIRST), SENT.format(relay=FIRST))
    logged(host, FAILED, SENT.format(relay=FIRST).replace("4F1E2D3C4B5A", "4F1E2D3C4B5B"))

    assert happened(host) == {"mx1.example.org": [("downgrade", "", 1)]}


def test_what_postfix_reports_by_tlsrpt_is_kept_with_its_domain(host: Host) -> None:
    of_domain = TLSRPT.replace("receiving_mx=mx1.example.org[192.0.2.1], ", "")
    logged(host, TLSRPT, TLSRPT, of_domain, TLSRPT.replace("failure, d", "success, d"))

    detail = "example.org: validation_failure (self-signed_certificate)"
    assert happened(host) == {
        "mx1.example.org": [("tlsrpt", detail, 2)],
        "@example.org": [("tlsrpt", detail, 1)],
    }


def test_events_of_ignored_relays_are_not_kept(host: Host) -> None:
    logged(host, TLSRPT.replace("192.0.2.1", "127.0.0.1"))

    assert happened(host) == {}


def test_strangers_cannot_fill_the_table(host: Host) -> None:
    day = day_number(START, UTC)
    with host.ledger.transaction():
        host.ledger.write(
            "INSERT INTO events VALUES (?, ?, 'tlsrpt', '', 1, 1)",
            [(day, f"mx{n}.example") for n in range(1000)],
        )
    logged(host, TLSRPT, TLSRPT.replace("=example.org", "=example.net"))

    assert happened(host)[OTHER] == [("tlsrpt", "", 2)]


def test_the_list_of_relays_says_what_happened(host: Host) -> None:
    logged(host, TLSRPT, HANDSHAKE.format(relay=FIRST))
    found = find_relays(host.ledger, START, START + 60, UTC)

    (relay,) = json.loads(format_relays(found, "json", UTC))["relays"]
    assert relay["relay"] == "mx1.example.org"
    assert [each["name"] for each in relay["events"]] == ["tlsrpt"]
    assert "mx1.example.org: what Postfix reports" in format_relays(found, "text", UTC)


def test_the_lab_shows_each_kind_of_event() -> None:
    found: Counter[str] = Counter()
    for path in sorted(WHOLE.glob("*.log.xz")):
        log = lzma.decompress(path.read_bytes())
        tally = Tally(60, PeerSet("127.0.0.0/8 ::1 unix"), 1 << 40)
        tally.add_block(bytearray(log), len(log), Clock(ZoneInfo("Europe/Berlin"), 1796000000))
        for each in tally.drain(UTC).events:
            found[each.name] += each.times

    assert found.keys() == {each.name for each in RELAY_EVENTS}
