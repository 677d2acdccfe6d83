"""Which relays were authenticated, and which are not any more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.answer.changes import authenticated, regressions, together
from dane_mailgraph.categories import BY_KEY, Category
from dane_mailgraph.store.relays import OTHER, RelayDay


def counts(*keys: str) -> dict[Category, int]:
    return {BY_KEY[key]: 1 for key in keys}


GOOD = ("connections.verified",)
BAD = ("connections.untrusted", "deliveries.encrypted")
NOTHING = ("connections.reused",)


@pytest.mark.parametrize(
    "keys, expected",
    [
        ((), None),
        (("connections.verified",), True),
        (("connections.verified", "deliveries.dane"), True),
        (("deliveries.dane",), True),
        (("deliveries.half_dane",), True),
        (("deliveries.verified",), True),
        (("connections.trusted", "deliveries.half_dane"), True),
        (("connections.trusted",), False),
        (("connections.trusted", "deliveries.encrypted"), False),
        (("connections.trusted", "connections.verified"), False),
        (("connections.untrusted",), False),
        (("connections.anonymous",), False),
        (("deliveries.encrypted",), False),
        (("deliveries.plaintext",), False),
        (("connections.verified", "deliveries.plaintext"), False),
        (("connections.verified", "connections.untrusted"), False),
        (("failures.certificate",), False),
        (("connections.verified", "failures.certificate"), False),
        (("failures.dane_required",), False),
        (("failures.starttls",), False),
        (("failures.dane_lookup",), False),
        (("failures.handshake",), False),
        (("connections.verified", "failures.dane_lookup"), True),
        (("connections.verified", "failures.handshake"), True),
        (("connections.reused",), None),
        (("deliveries.unknown",), None),
        (("failures.local",), None),
        (("failures.requiretls",), None),
    ],
)
def test_a_relay_is_authenticated_when_nothing_speaks_against_it(
    keys: tuple[str, ...], expected: bool | None
) -> None:
    assert authenticated(counts(*keys)) is expected
    assert (
        authenticated(
            counts(*keys)
            | {BY_KEY["failures.local"]: 0, BY_KEY["deliveries.plaintext"]: 0}
            | counts(*keys)
        )
        is expected
    )


def seen(relay: str, *days: tuple[str, ...], first: int = 20261101) -> list[RelayDay]:
    return [
        RelayDay(relay, first + n, 1000 + 10 * n, 1005 + 10 * n, counts(*keys))
        for n, keys in enumerate(days)
    ]


def test_a_relay_that_was_always_authenticated_and_is_not_any_more_is_a_regression() -> None:
    (found,) = regressions(seen("mx", GOOD, GOOD, GOOD, BAD, BAD), 3, 0)

    assert (found.relay, found.days, found.good_since, found.good_until, found.last) == (
        "mx",
        3,
        1000,
        1025,
        1045,
    )
    assert found.counts == {BY_KEY[key]: 2 for key in BAD}


@pytest.mark.parametrize(
    "days",
    [
        (),
        (GOOD, GOOD, GOOD),
        (BAD, BAD, BAD),
        (GOOD, GOOD, BAD),
        (GOOD, GOOD, GOOD, BAD, GOOD),
        (GOOD, GOOD, BAD, GOOD, BAD),
        (GOOD, GOOD, GOOD, NOTHING),
        (NOTHING, NOTHING, NOTHING, BAD),
    ],
)
def test_what_was_not_authenticated_for_long_or_is_again_is_none(
    days: tuple[tuple[str, ...], ...],
) -> None:
    assert regressions(seen("mx", *days), 3, 0) == []


def test_days_that_tell_nothing_neither_break_a_run_nor_lengthen_it() -> None:
    (found,) = regressions(
        seen("mx", GOOD, NOTHING, GOOD, NOTHING, GOOD, NOTHING, BAD, NOTHING), 3, 0
    )

    assert (found.days, found.last) == (3, 1065)
    assert regressions(seen("mx", GOOD, NOTHING, GOOD, NOTHING, BAD), 3, 0) == []


def test_only_the_unbroken_run_before_counts() -> None:
    (found,) = regressions(seen("mx", GOOD, GOOD, BAD, GOOD, GOOD, GOOD, BAD), 3, 0)

    assert (found.days, found.good_since) == (3, 1030)


def test_what_was_last_seen_long_ago_is_no_news() -> None:
    days = seen("mx", GOOD, GOOD, GOOD, BAD)

    assert regressions(days, 3, 20261104)
    assert not regressions(days, 3, 20261105)


def test_the_longest_run_comes_first_and_the_others_together_are_no_relay() -> None:
    days = (
        seen(OTHER, GOOD, GOOD, GOOD, BAD)
        + seen("a", GOOD, GOOD, BAD)
        + seen("b", GOOD, GOOD, GOOD, BAD)
        + seen("c", GOOD, GOOD, BAD)
    )

    assert [each.relay for each in regressions(days, 2, 0)] == ["b", "a", "c"]


@given(st.lists(st.sampled_from([GOOD, BAD, NOTHING, ()]), max_size=12), st.integers(1, 4))
def test_a_regression_is_a_run_of_good_days_with_only_bad_ones_after_it(
    days: list[tuple[str, ...]], most: int
) -> None:
    told = [keys for keys in days if keys in (GOOD, BAD)]
    bad = next((n for n, keys in enumerate(reversed(told)) if keys is GOOD), len(told))
    good = next(
        (n for n, keys in enumerate(reversed(told[: len(told) - bad])) if keys is BAD),
        len(told) - bad,
    )

    assert bool(regressions(seen("mx", *days), most, 0)) == (bad > 0 and good >= most)


def test_counts_are_added_up() -> None:
    assert together(
        [counts("deliveries.dane"), counts("deliveries.dane", "failures.local"), {}]
    ) == {
        BY_KEY["deliveries.dane"]: 2,
        BY_KEY["failures.local"]: 1,
    }
