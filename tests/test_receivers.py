"""What we count of each delivery of a real Postfix is what the receiving server has seen.

`lab/whole` has the lines of the clients of Postfix 3.7.11 in four runs against 81 kinds of servers,
of 3.10.13 (trixie) and of 3.11.7 (forky) in five runs each, and what is known from elsewhere: for
each message whether it arrived over TLS, as the receiving server wrote into its Received: header,
and what was to come of it.
"""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from dane_mailgraph.log.clock import Clock
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix.explanation import Explained, explain

WHOLE = Path(__file__).parent / "lab" / "whole"
TRUTH: dict[str, Any] = json.loads(lzma.decompress((WHOLE / "truth.json.xz").read_bytes()))
IGNORED = PeerSet("127.0.0.0/8 ::1 unix")
BERLIN = ZoneInfo("Europe/Berlin")
LATEST = 1795824000  # 2026-11-28T00:00Z

OVER_TLS = tuple(
    f"deliveries.{name}"
    for name in ["dane", "half_dane", "verified", "trusted", "untrusted", "anonymous", "encrypted"]
)
IN_THE_CLEAR = ("deliveries.plaintext",)
UNKNOWN = "deliveries.unknown"

RECIPIENT = re.compile(rb'/[sl]mtp\[\d+\]: (\w+): to=<((?:"[^"]*")?[^>]*)>')

# How many messages arrived, how many of them in plaintext, and of how many the log does not tell.
OLD = {
    "main": (342, 72, 1),
    "loglevel2": (106, 16, 1),
    "postlogd": (114, 24, 0),
    "nodnssec": (32, 4, 1),
}
ARRIVED = {
    **OLD,
    "trixie-main": (342, 72, 0),
    "trixie-ll0": (114, 24, 110),  # smtp_tls_loglevel = 0, and one transport reuses connections
    "trixie-reuseheavy": (450, 125, 25),  # one service sends in plaintext alone
    "trixie-flip": (220, 48, 114),  # smtp_tls_loglevel 1, 0, 1
    "trixie-tlsrpt": (114, 24, 0),
    "forky-main": (342, 72, 0),
    "forky-ll0": (114, 24, 0),  # the field tls tells all
    "forky-reuseheavy": (450, 125, 21),
    "forky-tlsrpt": (114, 24, 0),
    "forky-requiretls": (34, 0, 0),
}

VERIFIED = (
    "dane-ee dane-ta dane-dual dane-only-ok dane-rollover dane-mixmx secure verify fpr "
    "reuse-dane out-dane"
)
"""Outcomes that are to be sent over a connection that Postfix calls Verified, with those that
begin so."""

FAILURES = {
    "certificate": "dane-bad dane-ta-bad secure-bad secure-selfsigned fpr-bad reuse-bad out-bad",
    "dane_lookup": "tlsa-bogus tlsa-servfail",
    "dane_required": "daneonly-unusable daneonly-notlsa daneonly-insecure",
    "starttls": "dane-notls enc-notls tls454-enc",
    "handshake": "protover-may protover-enc nocipher-may nocipher-enc nocipher-dane "
    "drophs-may drophs-enc",
    "local": "policy-bad",
}
"""Outcomes that are to be deferred, some of them only at first, by what they count as; all others
never fail for TLS."""


class Recipient(NamedTuple):
    queue: str
    address: str
    keys: tuple[str, ...]


@cache
def lines(run: str) -> tuple[bytes, ...]:
    return tuple(
        lzma.decompress((WHOLE / f"{run}.log.xz").read_bytes()).removesuffix(b"\n").split(b"\n")
    )


def told(run: str, since: int = 0) -> list[Recipient]:
    """What each line about a recipient counts as, for one who reads from the line `since` on."""
    read = lines(run)[since:]
    found = []
    said: Explained
    for line, said in zip(read, explain(read, Clock(BERLIN, LATEST), IGNORED), strict=True):
        if match := RECIPIENT.search(line):
            found.append(Recipient(match[1].decode(), match[2].decode(), said.counts))
    return found


def outcome(address: str) -> str:
    domain = address.rpartition("@")[2]
    return {"daneonly.insecure.test": "daneonly-insecure"}.get(domain) or domain.removesuffix(
        ".test"
    ).removesuffix(".lab")


def received(run: str) -> dict[tuple[str, str], bool]:
    """Queue id and recipient of each message that arrived, and whether it did so over TLS."""
    found = {(queue, address): tls for queue, address, tls in TRUTH[run]["received"]}
    assert len(found) == len(TRUTH[run]["received"])
    return found


@pytest.mark.parametrize("run", ARRIVED)
def test_every_message_is_told_as_its_receiver_saw_it(run: str) -> None:
    sent = {
        (each.queue, each.address): key
        for each in told(run)
        for key in each.keys
        if key.startswith("deliveries.")
    }
    arrived = received(run)
    unknown = [each for each in arrived if sent[each] == UNKNOWN]

    assert (len(arrived), sum(not tls for tls in arrived.values()), len(unknown)) == ARRIVED[run]
    for message, tls in arrived.items():
        if message not in unknown:
            assert sent[message] in (OVER_TLS if tls else IN_THE_CLEAR), message


@pytest.mark.parametrize("run", OLD)
def test_the_messages_of_which_the_log_does_not_tell_come_before_a_session_of_their_service(
    run: str,
) -> None:
    said = explain(lines(run), Clock(BERLIN, LATEST), IGNORED)
    proven = set()
    for line, each in zip(lines(run), said, strict=True):
        service = line.partition(b"[")[0][len("Nov 24 01:50:24 ") :]
        if b" TLS connection established to " in line:
            proven.add(service)
        assert UNKNOWN not in each.counts or service not in proven, line


def test_dane_over_reused_connections_is_dane() -> None:
    found = Counter(key for each in told("forky-reuseheavy") for key in each.keys)

    assert (found["deliveries.dane"], found["deliveries.half_dane"]) == (100, 25)


@pytest.mark.parametrize("run", OLD)
def test_what_did_not_arrive_was_handed_to_the_second_instance_or_is_not_told_as_sent(
    run: str,
) -> None:
    sent = [each for each in told(run) if each.keys and each.keys[0].startswith("deliveries.")]
    arrived = received(run)

    # The receivers' headers of these have the queue id of the instance that sent last: the first
    # hands over by loopback.
    assert {
        outcome(each.address) for each in sent if (each.queue, each.address) not in arrived
    } <= {"via-out"}
    assert len({(each.queue, each.address) for each in sent}) == len(sent)


@pytest.mark.parametrize("run", ["main", "loglevel2", "postlogd"])
def test_a_message_is_verified_when_its_server_was_to_be_authenticated(run: str) -> None:
    for each in told(run):
        name = outcome(each.address)
        wanted = any(
            name == good or name.startswith((f"{good}-ecdsa", f"{good}12", f"{good}6"))
            for good in VERIFIED.split()
        )
        if each.keys and each.keys[0] in OVER_TLS:
            assert (each.keys[0] == "deliveries.verified") == wanted, each


@pytest.mark.parametrize("run", ["main", "loglevel2", "postlogd"])
def test_failures_are_of_the_outcomes_that_were_to_fail_and_of_no_others(run: str) -> None:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in told(run):
        if each.keys and each.keys[0].startswith("failures."):
            found[outcome(each.address)][each.keys[0].removeprefix("failures.")] += 1
    expected = {name: category for category, names in FAILURES.items() for name in names.split()}

    assert {name: list(categories) for name, categories in found.items()} == {
        name: [each] for name, each in expected.items()
    }
    for name, categories in found.items():
        waiting = TRUTH[run]["outcomes"][name]["queued"]
        assert sum(categories.values()) >= waiting > 0 or name.endswith("-may"), name
    assert all("deferred" in TRUTH[run]["outcomes"][name]["expect"] for name in expected)


def test_without_dnssec_validation_dane_only_is_all_that_fails() -> None:
    found = {
        (outcome(each.address), key)
        for each in told("nodnssec")
        for key in each.keys
        if key.startswith("failures.")
    }
    only = ("daneonly-unusable", "daneonly-notlsa", "daneonly-insecure", "dane-only-ok")

    assert found == {(name, "failures.dane_required") for name in only}


@pytest.mark.parametrize("run", OLD)
def test_what_hostile_servers_say_adds_nothing(run: str) -> None:
    keys = {
        (outcome(each.address), key)
        for each in told(run)
        for key in each.keys
        if "hostile" in each.address
    }
    expected = {
        ("hostile250", "plaintext"),
        ("hostiletls", "untrusted"),
        ("hostile-sender", "plaintext"),
    }

    assert keys == (
        set()
        if run == "nodnssec"
        else {(name, f"deliveries.{category}") for name, category in expected}
    )


@pytest.mark.slow
@pytest.mark.parametrize("run", sorted(ARRIVED.keys() - {"trixie-ll0"}))
def test_whoever_begins_to_read_in_the_middle_is_told_what_the_receiver_saw_or_unknown(
    run: str,
) -> None:
    """But not with smtp_tls_loglevel = 0: docs/counting.md says what is unseen there."""
    arrived = received(run)
    known = 0
    for since in range(1, len(lines(run)), max(1, len(lines(run)) // 40)):
        for each in told(run, since):
            tls = arrived.get((each.queue, each.address))
            for key in each.keys:
                if key.startswith("deliveries.") and key != UNKNOWN and tls is not None:
                    assert key in (OVER_TLS if tls else IN_THE_CLEAR), (since, each)
                    known += 1
    assert known > 0
