"""Which relays are authenticated, and which have lost authentication."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.answer.authentication import (
    LostAuthentication,
    add_counts,
    find_losses,
    is_authenticated,
)
from dane_mailgraph.categories import BY_KEY, Category
from dane_mailgraph.counts import SinceGood
from dane_mailgraph.store.relays import OTHER, RelayDay
from dane_mailgraph.times import DAY, HOUR


def counts(*keys: str) -> dict[Category, int]:
    return {BY_KEY[key]: 1 for key in keys}


VERIFIED, UNTRUSTED = BY_KEY["connections.verified"], BY_KEY["connections.untrusted"]


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


NOON = 1795521600
"""2026-11-24 12:00 UTC."""


def day(number: int, good: int = 0, bad: int = 0, *, after: int = 0, relay: str = "mx") -> RelayDay:
    """A day: `good` events at noon, and `bad` ones, `after` of them in the six hours after it."""
    noon = NOON + number * DAY
    turn = SinceGood(
        noon if good else 0,
        after if good else bad,
        noon + 1 if (after if good else bad) else 0,
        noon + 6 * HOUR if bad else 0,
    )
    sums = {VERIFIED: good, UNTRUSTED: bad}
    return RelayDay(relay, number, noon, noon + 6 * HOUR, sums, turn)


def losses(*rows: RelayDay, now: int | None = None) -> tuple[LostAuthentication, ...]:
    return find_losses(rows, rows[-1].last if now is None else now)


SIX_DAYS = [day(n, 30) for n in range(6)]


def test_a_bank_that_was_verified_for_six_days_and_then_is_untrusted_has_lost_it() -> None:
    (found,) = losses(*SIX_DAYS, day(6, bad=30), day(7, bad=30), day(8, bad=30))

    assert (found.relay, found.good, found.of) == ("mx", 0, 90)
    assert (found.good_before, found.of_before, found.days) == (180, 180, 6)
    assert found.since == NOON + 6 * DAY + 1
    assert found.good_until == NOON + 5 * DAY


def test_it_is_found_on_the_first_day_after_three_hours() -> None:
    assert losses(*SIX_DAYS, day(6, bad=3))
    assert not losses(*SIX_DAYS, day(6, bad=2))


def test_half_a_day_that_was_good_does_not_hide_the_loss() -> None:
    (found,) = losses(*SIX_DAYS, day(6, 20, 10, after=10))

    assert (found.good, found.of, found.of_before) == (0, 10, 200)


def test_failures_do_not_switch_the_detector_off() -> None:
    refused = RelayDay("mx", 5, NOON, NOON, {BY_KEY["failures.certificate"]: 1})

    assert losses(*SIX_DAYS[:5], refused, day(6, bad=30))


def test_one_stray_of_fifty_is_no_loss_and_one_good_one_does_not_end_it() -> None:
    assert not losses(*SIX_DAYS, day(6, 49, 1, after=1))
    assert losses(*SIX_DAYS, day(6, bad=30), day(7, bad=30), day(8, 1, 30, after=0))


def test_it_is_over_when_it_is_authenticated_again() -> None:
    assert not losses(*SIX_DAYS, day(6, bad=30), day(7, 30))


def test_a_relay_of_one_mail_a_day_is_over_on_its_second_good_day_and_not_a_fortnight_later() -> (
    None
):
    lost = [day(n, 1) for n in range(20)] + [day(n, bad=1) for n in range(20, 40)]
    good = day(40, 1)

    assert losses(*lost)
    assert losses(*lost, good)
    assert not losses(*lost, good, day(41, 1))
    assert not losses(*lost, good, now=good.last + 24 * HOUR)


def test_one_good_event_of_a_busy_relay_does_not_end_its_loss() -> None:
    lost = [*SIX_DAYS, *(day(n, bad=50) for n in range(6, 10))]

    assert losses(*lost, day(10, 1, 25, after=25))


def test_plaintext_is_a_loss_and_said_so() -> None:
    (found,) = losses(
        *SIX_DAYS,
        day(6, bad=30)._replace(counts={BY_KEY["deliveries.plaintext"]: 30}),
    )

    assert found.is_plaintext


def test_half_dane_is_authenticated_though_its_connections_are_trusted() -> None:
    counts = {BY_KEY["connections.trusted"]: 30, BY_KEY["deliveries.half_dane"]: 30}
    half = [day(n, 30)._replace(counts=counts) for n in range(6)]

    assert losses(*half, day(6, bad=30))
    assert not losses(*half)


@pytest.mark.parametrize(
    "before",
    [
        (),
        (day(0, 100),),
        (day(0, 3), day(1, 4)),
        (day(0, 30, 10), day(1, 30, 10)),
        (day(0, bad=30), day(1, bad=30)),
    ],
)
def test_a_short_or_a_mixed_history_is_no_history(before: tuple[RelayDay, ...]) -> None:
    assert not losses(*before, day(6, bad=30), day(7, bad=30))


def test_where_some_failed_before_it_takes_more_to_be_no_chance() -> None:
    before = [day(n, 19, 1) for n in range(3)]

    assert not losses(*before, day(3, bad=3))
    assert losses(*before, day(3, bad=4))


def test_after_thirty_days_it_is_the_new_normal_and_unseen_it_is_dropped() -> None:
    rows = [*SIX_DAYS, day(6, bad=30)]
    since = NOON + 6 * DAY

    assert losses(*rows, now=since + 30 * DAY)
    assert not losses(*rows, now=since + 30 * DAY + 2)


def test_the_others_together_and_domains_are_no_relays() -> None:
    for name in (OTHER, "@example.org"):
        rows = [each._replace(relay=name) for each in (*SIX_DAYS, day(6, bad=30))]
        assert not losses(*rows)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30),
    st.integers(0, 40),
)
def test_a_loss_is_always_significant_long_and_of_a_good_history(
    days: list[tuple[int, int]], after: int
) -> None:
    rows = [day(n, good, bad, after=min(bad, after)) for n, (good, bad) in enumerate(days)]
    for found in losses(*rows):
        assert found.good_before >= 0.9 * found.of_before >= 7.2 and found.days >= 2
        assert found.of - found.good >= 3 and found.good <= 0.2 * found.of
        assert found.last - found.since >= 3 * HOUR - 1
        assert found.good_until < found.since


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60))
def test_who_is_always_authenticated_loses_nothing(days: list[int]) -> None:
    assert not losses(*(day(n, good) for n, good in enumerate(days)))


def test_counts_are_added_up() -> None:
    assert add_counts(
        [counts("deliveries.dane"), counts("deliveries.dane", "failures.local"), {}]
    ) == {
        BY_KEY["deliveries.dane"]: 2,
        BY_KEY["failures.local"]: 1,
    }
