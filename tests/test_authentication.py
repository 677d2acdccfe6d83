"""Which relays are authenticated, and which have lost authentication."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.answer.authentication import add_counts, find_losses, is_authenticated
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
def test_a_relay_is_authenticated_if_no_count_shows_the_contrary(
    keys: tuple[str, ...], expected: bool | None
) -> None:
    assert is_authenticated(counts(*keys)) is expected
    assert (
        is_authenticated(
            counts(*keys)
            | {BY_KEY["failures.local"]: 0, BY_KEY["deliveries.plaintext"]: 0}
            | counts(*keys)
        )
        is expected
    )


def days_of(relay: str, *days: tuple[str, ...], first: int = 20261101) -> list[RelayDay]:
    return [
        RelayDay(relay, first + n, 1000 + 10 * n, 1005 + 10 * n, counts(*keys))
        for n, keys in enumerate(days)
    ]


def test_a_relay_that_was_always_authenticated_and_no_longer_is_has_lost_authentication() -> None:
    (found,) = find_losses(days_of("mx", GOOD, GOOD, GOOD, BAD, BAD), 0, 3)

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
def test_a_short_history_or_a_recovery_is_no_loss(
    days: tuple[tuple[str, ...], ...],
) -> None:
    assert find_losses(days_of("mx", *days), 0, 3) == ()


def test_days_without_evidence_neither_break_a_run_nor_lengthen_it() -> None:
    (found,) = find_losses(
        days_of("mx", GOOD, NOTHING, GOOD, NOTHING, GOOD, NOTHING, BAD, NOTHING), 0, 3
    )

    assert (found.days, found.last) == (3, 1065)
    assert find_losses(days_of("mx", GOOD, NOTHING, GOOD, NOTHING, BAD), 0, 3) == ()


def test_only_the_unbroken_run_before_counts() -> None:
    (found,) = find_losses(days_of("mx", GOOD, GOOD, BAD, GOOD, GOOD, GOOD, BAD), 0, 3)

    assert (found.days, found.good_since) == (3, 1030)


def test_a_loss_of_long_ago_is_left_out() -> None:
    days = days_of("mx", GOOD, GOOD, GOOD, BAD)

    assert find_losses(days, 20261104, 3)
    assert not find_losses(days, 20261105, 3)


def test_the_longest_run_comes_first_and_the_others_together_are_no_relay() -> None:
    days = (
        days_of(OTHER, GOOD, GOOD, GOOD, BAD)
        + days_of("a", GOOD, GOOD, BAD)
        + days_of("b", GOOD, GOOD, GOOD, BAD)
        + days_of("c", GOOD, GOOD, BAD)
    )

    assert [each.relay for each in find_losses(days, 0, 2)] == ["b", "a", "c"]


@given(st.lists(st.sampled_from([GOOD, BAD, NOTHING, ()]), max_size=12), st.integers(1, 4))
def test_a_loss_is_a_run_of_authenticated_days_with_only_others_after_it(
    days: list[tuple[str, ...]], most: int
) -> None:
    known = [keys for keys in days if keys in (GOOD, BAD)]
    bad = next((n for n, keys in enumerate(reversed(known)) if keys is GOOD), len(known))
    good = next(
        (n for n, keys in enumerate(reversed(known[: len(known) - bad])) if keys is BAD),
        len(known) - bad,
    )

    assert bool(find_losses(days_of("mx", *days), 0, most)) == (bad > 0 and good >= most)


def test_counts_are_added_up() -> None:
    assert add_counts(
        [counts("deliveries.dane"), counts("deliveries.dane", "failures.local"), {}]
    ) == {
        BY_KEY["deliveries.dane"]: 2,
        BY_KEY["failures.local"]: 1,
    }
