"""Which session a delivery went over, what it counts as without one, and how much is remembered."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.categories import BY_KEY
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix import sessions
from dane_mailgraph.postfix.classify import Classifier
from dane_mailgraph.postfix.delivery import Delivery
from dane_mailgraph.postfix.lines import ClientLine
from dane_mailgraph.postfix.sessions import (
    LONGEST_REQUEST,
    PLAINTEXT_IN_A_ROW,
    SLACK,
    Session,
    Sessions,
)

PLAINTEXT, UNKNOWN, ENCRYPTED = (
    BY_KEY[f"deliveries.{name}"] for name in ("plaintext", "unknown", "encrypted")
)
SMTP, PID, RELAY, QUEUE_ID = (
    b"mx1 postfix/smtp",
    b"101",
    b"mx.example.org[192.0.2.10]:25",
    b"2CE5121E153",
)
NOW = 1795485600
DELAYS = b"0.1/0/0.9/0.2"


def complete(since: int = NOW - 86400) -> Sessions:
    """No line is missing since then, and one service logs its handshakes."""
    made = Sessions()
    made.begin(since)
    made.service(SMTP).open(b"1", session(), since)
    return made


def session(relay: bytes = RELAY, *, reused: bool = False) -> Session:
    return Session(relay, ENCRYPTED, reused)


def opened(*, reused: bool = False) -> Sessions:
    """The same, and a process has just announced a session."""
    made = complete()
    made.service(SMTP).open(PID, session(reused=reused), NOW)
    return made


def has_session(made: Sessions, at: int = NOW, **fields: Any) -> bool:
    """Whether a delivery with these fields went over a session."""
    usual = Delivery(QUEUE_ID, b"", RELAY, 1, DELAYS, b"", b"sent", b"")
    delivery = usual._replace(**fields)
    return made.session_of_delivery(made.service(SMTP), PID, delivery, at) is not None


def without(made: Sessions, delays: bytes | None = b"0/0/0/0", service: bytes = SMTP) -> object:
    """What a delivery without a session counts as."""
    return made.outcome_without_session(made.service(service), NOW, delays)


def again(made: Sessions, now: int = NOW) -> Sessions:
    return Sessions.load(json.loads(json.dumps(made.dump(now))))


# ---- which session a delivery went over -----------------------------------------------------


def test_a_session_carries_all_recipients_of_its_request_and_no_others() -> None:
    made = opened()

    assert [has_session(made), has_session(made)] == [True, True]
    assert [has_session(made, queue_id=b"2CE5121E154"), has_session(made)] == [False, False]


@pytest.mark.parametrize("relay", [b"none", b"mx2.example.org[192.0.2.10]:25", RELAY + b"5", b""])
def test_a_line_about_another_relay_ends_the_session(relay: bytes) -> None:
    made = opened()

    assert [has_session(made, relay=relay), has_session(made)] == [False, False]


@pytest.mark.parametrize(
    "reused, conn_use, expected",
    [(False, 1, True), (False, 2, False), (True, 1, False), (True, 2, True), (True, 9, True)],
)
def test_a_new_session_carries_a_first_use_and_a_reused_one_a_further_use(
    reused: bool, conn_use: int, expected: bool
) -> None:
    made = opened(reused=True)
    assert has_session(made, conn_use=2)
    made.service(SMTP).open(PID, session(reused=reused), NOW)

    assert has_session(made, conn_use=conn_use) is expected


def test_a_reused_connection_is_believed_until_its_service_has_logged_conn_use() -> None:
    made = opened(reused=True)

    assert has_session(made, conn_use=1)
    assert has_session(made, conn_use=2)
    assert not has_session(made, conn_use=1)


def test_a_reused_connection_of_a_service_that_was_forgotten_is_no_error() -> None:
    made = opened(reused=True)
    for number in range(500):
        made.service(b"mx%d postfix/smtp" % number).open(b"1", session(), NOW)
        without(made, service=b"mx%d postfix/smtp" % number)

    assert has_session(made, conn_use=2)


@pytest.mark.parametrize(
    "later, delays, expected",
    [
        (0, b"0/0/0/0", True),
        (SLACK, b"0/0/0/0", True),
        (600, b"1/0/0.1/599", True),
        (1799, b"0/0/0/1800", True),
        (600, b"600/0/0.1/0.2", False),
        (LONGEST_REQUEST + SLACK + 1, b"0/0/0/9999", False),
        (-SLACK - 1, b"0/0/0/0", False),
        (600, None, True),
        (600, b"0/0/1.2.3/4", True),
    ],
)
def test_a_session_is_of_a_request_that_was_under_way(
    later: int, delays: bytes | None, expected: bool
) -> None:
    assert has_session(opened(), NOW + later, delays=delays) is expected


def test_the_next_attempt_of_a_message_by_the_same_process_does_not_go_over_the_old_session() -> (
    None
):
    made = opened()

    assert [has_session(made), has_session(made, NOW + 300)] == [True, False]


def test_a_session_that_has_ended_carries_nothing() -> None:
    made = opened()
    made.service(SMTP).close(PID)

    assert not has_session(made)


def test_an_illegible_line_says_whose_the_session_is() -> None:
    made = opened()
    made.service(SMTP).claim(PID, b"2CE5121E159")

    assert not has_session(made)


# ---- without a session ----------------------------------------------------------------------


def test_a_delivery_without_a_session_is_plaintext_where_a_handshake_would_have_been_read() -> None:
    assert without(complete(), DELAYS) is PLAINTEXT


@pytest.mark.parametrize(
    "delays, expected",
    [(b"99/9/0/9", PLAINTEXT), (b"0/0/0/11", UNKNOWN), (b"0/0/3/8", UNKNOWN), (None, UNKNOWN)],
)
def test_what_was_handed_over_before_the_log_begins_is_unknown(
    delays: bytes | None, expected: object
) -> None:
    assert without(complete(NOW - 11), delays) is expected


def test_what_was_handed_over_after_a_start_of_postfix_is_known() -> None:
    made = Sessions()
    made.begin(NOW)
    made.start(b"mx1 postfix/", quotes_addresses=True)
    made.service(SMTP).open(PID, session(), NOW)

    assert without(made) is PLAINTEXT
    assert without(made, service=b"mx2 postfix/smtp") is UNKNOWN
    assert without(made, service=b"mx1 postfix-out/smtp") is UNKNOWN


def test_what_took_very_long_is_unknown() -> None:
    assert without(complete(), b"0/0/0/%d" % LONGEST_REQUEST) is UNKNOWN


def test_where_no_service_logs_handshakes_nothing_is_known() -> None:
    made = Sessions()
    made.begin(NOW - 86400)

    assert {without(made) for _ in range(3)} == {UNKNOWN}


def test_after_many_deliveries_without_tls_it_is_doubted_that_the_service_logs_handshakes() -> None:
    made = complete()
    found = [without(made) for _ in range(PLAINTEXT_IN_A_ROW + 5)]

    assert found == [PLAINTEXT] * PLAINTEXT_IN_A_ROW + [UNKNOWN] * 5
    made.service(SMTP).open(PID, session(), NOW)
    assert without(made) is PLAINTEXT


def test_a_service_that_has_not_logged_tls_yet_proves_nothing_by_what_another_logs() -> None:
    assert without(complete(), service=b"mx1 postfix/lmtp") is UNKNOWN


# ---- how much is remembered -----------------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_thousand_processes_are_not_all_remembered() -> None:
    made = complete()
    tracemalloc.start()
    for number in range(100_000):
        made.service(SMTP).open(b"%d" % number, session(), NOW + number // 100)
        made.prune(NOW + number // 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(made.service(SMTP).session_by_pid) <= 3 * sessions._SESSIONS
    assert peak < 30_000_000
    assert len(json.dumps(made.dump(NOW + 1000))) < 5_000_000


def test_what_was_forgotten_for_want_of_room_makes_the_rest_unknown_and_not_plaintext() -> None:
    made = complete()
    for number in range(50_000):
        made.service(SMTP).open(b"%d" % number, session(), NOW)
        made.prune(NOW)

    assert without(made) is UNKNOWN
    assert made.outcome_without_session(made.service(SMTP), NOW + 60, DELAYS) is PLAINTEXT


def test_a_thousand_services_are_not_all_remembered() -> None:
    made = complete()
    for number in range(1000):
        without(made, service=b"mx%d postfix/smtp" % number)
        made.service(b"mx%d postfix/lmtp" % number).open(PID, session(), NOW)
        made.prune(NOW)

    assert len(made.dump(NOW)["services"]) <= sessions._SERVICES + 1


# ---- between two runs -----------------------------------------------------------------------


def test_of_nothing_dumped_nothing_is_known() -> None:
    assert Sessions.load(None).complete_since is None
    assert again(Sessions()).dump(NOW) == Sessions().dump(NOW)


def test_what_is_dumped_is_loaded() -> None:
    made = opened()
    made.start(b"mx1 postfix/", quotes_addresses=True)
    made.service(SMTP).open(PID, session(), NOW)
    made.service(b"mx1 \xffpostfix/smtp").open(b"2", session(b"mx1[\xff/x]", reused=True), NOW)
    has_session(made)

    assert again(made).dump(NOW) == made.dump(NOW)
    assert has_session(again(made))
    assert not has_session(again(made), queue_id=b"2CE5121E154")


# ---- the usual line, and the plain way ------------------------------------------------------

SUITE = b"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
RELAYS = (RELAY, b"mx2.example.org[192.0.2.20]:25", b"mail[127.0.0.1]:10024")
TEXTS = st.builds(
    b"%s TLS connection %s to %s: %s".__mod__,
    st.tuples(
        st.sampled_from([b"Verified", b"Trusted"]),
        st.sampled_from([b"established", b"established", b"reused"]),
        st.sampled_from(RELAYS),
        st.just(SUITE),
    ),
) | st.sampled_from(
    [
        b"TLS connection established to mx.example.org: TLSv1",
        QUEUE_ID + b": lost connection with mx.example.org[192.0.2.10] while sending RCPT TO",
        QUEUE_ID + b": to=<s@example.org>, relay=mx.exam",
        b"warning: DNSSEC validation may be unavailable",
    ]
)
"""What stands in a log beside usual lines about recipients."""


def lines() -> st.SearchStrategy[ClientLine]:
    pid = st.sampled_from([b"101", b"102"])
    relay = st.builds(
        bytes.__add__, st.sampled_from(RELAYS), st.sampled_from([b"", b"", b"", b", conn_use=2"])
    )
    recipient = st.builds(
        ClientLine,
        *(st.just(b""), st.just(b""), pid),
        queue_id=st.sampled_from([QUEUE_ID, b"2CE5121E154"]),
        relay=relay | st.just(b"none"),
        delays=st.sampled_from([b"0/0/0/0", b"0/0/20/9", b"0/0/1.2.3/4"]),
        tls=st.sampled_from([b"", b"", b"dane", b"may?", b"none"]),
        status=st.sampled_from([b"sent", b"sent", b"sent", b"deferred", b"bounced"]),
        text=st.just(b""),
    )
    other = st.builds(
        lambda pid, text: ClientLine(b"", b"", pid, b"", b"", b"", b"", b"", text), pid, TEXTS
    )
    return recipient | other


LOGS = st.lists(
    st.tuples(
        lines(),
        st.sampled_from([SMTP, b"mx1 postfix/lmtp"]),
        st.sampled_from([0, 0, 0, 1, SLACK, SLACK + 1, 30, 2000, -1, -60]),
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=400)
@given(LOGS)
def test_the_usual_line_counts_as_it_does_in_full_and_leaves_the_same_behind(
    log: list[tuple[ClientLine, bytes, int]],
) -> None:
    ignored = PeerSet("127.0.0.0/8")
    usual, full = (Classifier(ignored, complete()) for _ in range(2))
    at = NOW
    for line, name, later in log:
        at += later
        one = usual.outcome(usual.sessions.service(name), line, at)
        other = full.outcome_in_full(full.sessions.service(name), line, at)

        assert [getattr(one, slot) for slot in one.__slots__] == [
            getattr(other, slot) for slot in one.__slots__
        ]
        assert usual.sessions.dump(at) == full.sessions.dump(at)


@pytest.mark.slow
@settings(max_examples=400)
@given(LOGS)
def test_the_usual_session_is_that_of_the_delivery_and_leaves_the_same_behind(
    log: list[tuple[ClientLine, bytes, int]],
) -> None:
    ignored, at = PeerSet("127.0.0.0/8"), NOW
    classifier = Classifier(ignored, complete())
    for line, name, later in log:
        at += later
        before = classifier.sessions.dump(at)
        usual, plain = Sessions.load(before), Sessions.load(before)
        if line.queue_id and b"," not in line.relay:
            said = Delivery(line.queue_id, b"", line.relay, 1, line.delays, b"", b"sent", b"")
            service = plain.service(name)
            one = usual.service(name).usual_session(line.pid, line.queue_id, line.relay, at)
            if one is not None:
                other = plain.session_of_delivery(service, line.pid, said, at)
                assert other is not None
                assert (one.relay, one.category) == (other.relay, other.category)
            assert usual.dump(at) == plain.dump(at)
        classifier.outcome_in_full(classifier.sessions.service(name), line, at)


@given(LOGS, st.frozensets(st.integers(0, 40)))
def test_dumping_and_loading_at_any_moment_changes_nothing(
    log: list[tuple[ClientLine, bytes, int]], restarts: frozenset[int]
) -> None:
    assert list(outcomes(log, restarts)) == list(outcomes(log, frozenset()))


def outcomes(
    log: list[tuple[ClientLine, bytes, int]], restarts: frozenset[int]
) -> Iterator[tuple[int, ...]]:
    """What the lines count as, where all is dumped and loaded before these lines."""
    ignored, at = PeerSet("127.0.0.0/8"), NOW
    classifier = Classifier(ignored, complete())
    for number, (line, name, later) in enumerate(log):
        if number in restarts:
            classifier = Classifier(ignored, again(classifier.sessions, at))
        at += later
        yield classifier.outcome(classifier.sessions.service(name), line, at).indexes
