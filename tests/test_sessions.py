"""What is known of who holds which session, and how much of it is kept."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.categories import BY_KEY
from dane_mailgraph.postfix import sessions
from dane_mailgraph.postfix.sessions import LONGEST, NEW, SILENT, SLACK, Session, Sessions

PLAINTEXT, UNKNOWN, ENCRYPTED = (
    BY_KEY[f"deliveries.{name}"] for name in ("plaintext", "unknown", "encrypted")
)
SMTP, PROCESS, PEER, QUEUE = (
    b"mx1 postfix/smtp",
    b"101",
    b"mx.example.org[192.0.2.10]:25",
    b"2CE5121E153",
)
NOW = 1795485600


def kept(since: int = NOW - 86400) -> Sessions:
    """Nothing is missing since then, and one service logs its handshakes."""
    made = Sessions()
    made.begin(since)
    made.opened(made.service(SMTP), b"1", session(), since)
    return made


def session(peer: bytes = PEER, *, reused: bool = False) -> Session:
    return Session(peer, ENCRYPTED, reused)


SPENT = b"0.1/0/0.9/0.2"


def over(
    made: Sessions,
    at: int = NOW,
    *,
    queue: bytes = QUEUE,
    peer: bytes = PEER,
    uses: int = 1,
    spent: bytes | None = SPENT,
) -> bool:
    return made.over(made.service(SMTP), PROCESS, queue, peer, uses, at, spent) is not None


def again(made: Sessions, now: int = NOW) -> Sessions:
    return Sessions.restored(json.loads(json.dumps(made.saved(now))))


# ---- what a delivery goes over --------------------------------------------------------------


def test_a_session_carries_all_recipients_of_its_request_and_no_others() -> None:
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(), NOW)

    assert [over(made), over(made), over(made, queue=b"2CE5121E154"), over(made)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("peer", [b"none", b"mx2.example.org[192.0.2.10]:25", PEER + b"5", b""])
def test_a_line_about_another_relay_ends_what_is_held(peer: bytes) -> None:
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(), NOW)

    assert [over(made, peer=peer), over(made)] == [False, False]


@pytest.mark.parametrize(
    "reused, uses, expected",
    [(False, 1, True), (False, 2, False), (True, 1, False), (True, 2, True), (True, 9, True)],
)
def test_a_new_session_carries_a_first_use_and_a_kept_one_a_further_use(
    reused: bool, uses: int, expected: bool
) -> None:
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(reused=True), NOW)
    assert over(made, uses=2)
    made.opened(made.service(SMTP), PROCESS, session(reused=reused), NOW)

    assert over(made, uses=uses) is expected


def test_a_kept_connection_is_believed_until_its_service_has_written_that_one_is_used_again() -> (
    None
):
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(reused=True), NOW)

    assert over(made, uses=1)
    assert over(made, uses=2)
    assert not over(made, uses=1)


def test_a_kept_connection_of_a_service_that_was_forgotten_is_no_error() -> None:
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(reused=True), NOW)
    for number in range(500):
        made.opened(made.service(b"mx%d postfix/smtp" % number), b"1", session(), NOW)
        made.without(made.service(b"mx%d postfix/smtp" % number), NOW, b"0/0/0/0")

    assert over(made, uses=2)


@pytest.mark.parametrize(
    "later, spent, expected",
    [
        (0, b"0/0/0/0", True),
        (SLACK, b"0/0/0/0", True),
        (600, b"1/0/0.1/599", True),
        (1799, b"0/0/0/1800", True),
        (600, b"600/0/0.1/0.2", False),
        (LONGEST + SLACK + 1, b"0/0/0/9999", False),
        (-SLACK - 1, b"0/0/0/0", False),
        (600, None, True),
        (600, b"0/0/1.2.3/4", True),
    ],
)
def test_a_session_is_of_a_request_that_was_under_way(
    later: int, spent: bytes | None, expected: bool
) -> None:
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(), NOW)

    assert over(made, NOW + later, spent=spent) is expected


def test_the_next_attempt_of_a_message_by_the_same_process_does_not_go_over_the_old_session() -> (
    None
):
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(), NOW)

    assert [over(made), over(made, NOW + 300)] == [True, False]


def test_what_is_broken_carries_nothing() -> None:
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(), NOW)
    made.broken(made.service(SMTP), PROCESS)

    assert not over(made)


def test_an_unreadable_line_says_whose_the_session_is() -> None:
    made = kept()
    made.opened(made.service(SMTP), PROCESS, session(), NOW)
    made.unreadable(made.service(SMTP), PROCESS, b"2CE5121E159")

    assert not over(made)


# ---- without a session ----------------------------------------------------------------------


def test_a_delivery_without_a_session_is_in_the_clear_where_one_would_have_been_seen() -> None:
    made = kept()

    assert made.without(made.service(SMTP), NOW, b"0.1/0/0.9/0.2") is PLAINTEXT


@pytest.mark.parametrize(
    "spent, expected",
    [(b"99/9/0/9", PLAINTEXT), (b"0/0/0/11", UNKNOWN), (b"0/0/3/8", UNKNOWN), (None, UNKNOWN)],
)
def test_what_was_handed_over_before_the_log_begins_is_unknown(
    spent: bytes | None, expected: object
) -> None:
    made = kept(NOW - 11)

    assert made.without(made.service(SMTP), NOW, spent) is expected


def test_what_was_handed_over_after_a_start_of_postfix_is_known() -> None:
    made = Sessions()
    made.begin(NOW)
    made.started(b"mx1 postfix/", quotes=True)
    made.opened(made.service(SMTP), PROCESS, session(), NOW)

    assert made.without(made.service(SMTP), NOW, b"0/0/0/0") is PLAINTEXT
    assert made.without(made.service(b"mx2 postfix/smtp"), NOW, b"0/0/0/0") is UNKNOWN
    assert made.without(made.service(b"mx1 postfix-out/smtp"), NOW, b"0/0/0/0") is UNKNOWN


def test_what_took_very_long_is_unknown() -> None:
    made = kept()

    assert made.without(made.service(SMTP), NOW, b"0/0/0/%d" % LONGEST) is UNKNOWN


def test_where_nobody_logs_handshakes_nothing_is_known() -> None:
    made = Sessions()
    made.begin(NOW - 86400)

    assert {made.without(made.service(SMTP), NOW, b"0/0/0/0") for _ in range(3)} == {UNKNOWN}


def test_after_many_deliveries_without_a_session_it_is_doubted_that_the_service_logs_them() -> None:
    made = kept()
    told = [made.without(made.service(SMTP), NOW, b"0/0/0/0") for _ in range(SILENT + 5)]

    assert told == [PLAINTEXT] * SILENT + [UNKNOWN] * 5
    made.opened(made.service(SMTP), PROCESS, session(), NOW)
    assert made.without(made.service(SMTP), NOW, b"0/0/0/0") is PLAINTEXT


def test_of_a_service_without_any_session_it_is_doubted_sooner() -> None:
    made = kept()
    told = [
        made.without(made.service(b"mx1 postfix/lmtp"), NOW, b"0/0/0/0") for _ in range(NEW + 5)
    ]

    assert told[-5:] == [UNKNOWN] * 5
    assert told.count(PLAINTEXT) <= NEW


# ---- how much is kept -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_thousand_processes_are_not_all_kept() -> None:
    made = kept()
    tracemalloc.start()
    for number in range(100_000):
        made.opened(made.service(SMTP), b"%d" % number, session(), NOW + number // 100)
        made.clear(NOW + number // 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(made.service(SMTP).held) <= 3 * sessions._HELD
    assert peak < 30_000_000
    assert len(json.dumps(made.saved(NOW + 1000))) < 5_000_000


def test_what_was_forgotten_for_want_of_room_makes_the_rest_unknown_and_not_plaintext() -> None:
    made = kept()
    for number in range(50_000):
        made.opened(made.service(SMTP), b"%d" % number, session(), NOW)
        made.clear(NOW)

    assert made.without(made.service(SMTP), NOW, b"0/0/0/0") is UNKNOWN
    made.opened(made.service(SMTP), PROCESS, session(), NOW + 60)
    assert made.without(made.service(SMTP), NOW + 60, b"0/0/0/0") is PLAINTEXT


def test_a_thousand_services_are_not_all_kept() -> None:
    made = kept()
    for number in range(1000):
        made.without(made.service(b"mx%d postfix/smtp" % number), NOW, b"0/0/0/0")
        made.opened(made.service(b"mx%d postfix/lmtp" % number), PROCESS, session(), NOW)
        made.clear(NOW)

    assert len(made.saved(NOW)["services"]) <= sessions._SERVICES + 1


# ---- between two runs -----------------------------------------------------------------------


def test_nothing_saved_is_nothing_known() -> None:
    assert Sessions.restored(None).known is None
    assert again(Sessions()).saved(NOW) == Sessions().saved(NOW)


def test_what_is_saved_is_restored() -> None:
    made = kept()
    made.started(b"mx1 postfix/", quotes=True)
    made.opened(made.service(SMTP), PROCESS, session(), NOW)
    made.opened(
        made.service(b"mx1 \xffpostfix/smtp"), b"2", session(b"mx1[\xff/x]", reused=True), NOW
    )
    made.over(made.service(SMTP), PROCESS, QUEUE, PEER, 1, NOW, b"0/0/0/0")

    assert again(made).saved(NOW) == made.saved(NOW)
    assert over(again(made))
    assert not over(again(made), queue=b"2CE5121E154")


STEPS = st.one_of(
    st.tuples(st.just("opened"), st.integers(0, 2), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("told"), st.integers(0, 2), st.integers(0, 1), st.integers(1, 2)),
    st.tuples(st.just("broken"), st.integers(0, 2)),
    st.tuples(st.just("unreadable"), st.integers(0, 2)),
    st.tuples(st.just("later"), st.integers(-10, 2000)),
)


def walked(
    made: Sessions, steps: list[tuple[Any, ...]], restore: frozenset[int]
) -> Iterator[object]:
    at = NOW
    for number, (what, *rest) in enumerate(steps):
        if number in restore:
            made = again(made, at)
        process = b"%d" % rest[0] if what != "later" else b""
        if what == "later":
            at += rest[0]
        elif what == "opened":
            made.opened(
                made.service(SMTP),
                process,
                Session(b"mx%d[192.0.2.1]:25" % rest[1], ENCRYPTED, bool(rest[2])),
                at,
            )
        elif what == "told":
            found = made.over(
                made.service(SMTP),
                process,
                QUEUE,
                b"mx%d[192.0.2.1]:25" % rest[1],
                rest[2],
                at,
                b"9/9/1/1",
            )
            yield found.sent_as if found else made.without(made.service(SMTP), at, b"9/9/1/1")
        elif what == "broken":
            made.broken(made.service(SMTP), process)
        else:
            made.unreadable(made.service(SMTP), process, QUEUE)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=40), st.frozensets(st.integers(0, 40)))
def test_saving_and_restoring_at_any_moment_changes_nothing(
    steps: list[tuple[Any, ...]], restore: frozenset[int]
) -> None:
    assert list(walked(kept(), steps, restore)) == list(walked(kept(), steps, frozenset()))
