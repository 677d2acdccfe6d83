"""The figures of 24 hours: shares, counts, and how they changed in weeks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest

from dane_mailgraph.answer.figures import Figure, figures
from dane_mailgraph.categories import BY_KEY, CATEGORIES, Category

Counts = Mapping[Category, int | None]


def counts(**given: int) -> dict[Category, int]:
    """Return the counts of a day: `deliveries_plaintext=3`; all others are 0."""
    return dict.fromkeys(CATEGORIES, 0) | {
        BY_KEY[key.replace("_", ".", 1)]: count for key, count in given.items()
    }


def figure(name: str, today: Counts, before: Sequence[Counts] = ()) -> Figure:
    return next(each for each in figures(today, before) if each.name == name)


def test_verified_connections_are_a_share_of_the_new_ones() -> None:
    now = counts(connections_verified=3, connections_trusted=1, connections_reused=100)
    before = counts(connections_verified=1, connections_trusted=1)
    found = figure("verified_connections", now, [before] * 3)

    assert (found.now, found.before, found.whole) == (0.75, 0.5, 4)


def test_deliveries_by_dane_half_dane_or_verified_are_authenticated() -> None:
    now = counts(deliveries_dane=2, deliveries_verified=1, deliveries_encrypted=1)
    half = now | {BY_KEY["deliveries.half_dane"]: 4}

    assert figure("authenticated_deliveries", now).now == 0.75
    assert figure("authenticated_deliveries", half).now == 0.875


def day(verified: int, of: int, failed: int = 0) -> dict[Category, int]:
    return counts(
        connections_verified=verified,
        connections_trusted=of - verified,
        failures_certificate=failed,
    )


def test_a_change_beyond_chance_and_what_weeks_do_is_better_or_worse() -> None:
    weeks = [day(500 + n, 1000, 3) for n in (0, 12, -9, 4)]

    assert figure("verified_connections", day(620, 1000), weeks).trend == "better"
    assert figure("verified_connections", day(380, 1000), weeks).trend == "worse"
    assert figure("failures", day(1, 1, 40), weeks).trend == "worse"


def test_small_changes_and_those_that_weeks_make_are_none() -> None:
    weeks = [day(500 + n, 1000, 3) for n in (0, 12, -9, 4)]
    moving = [day(n, 1000, 3) for n in (400, 620, 480, 530)]

    assert figure("verified_connections", day(530, 1000), weeks).trend == ""
    assert figure("verified_connections", day(620, 1000), moving).trend == ""
    assert figure("verified_connections", day(5, 5), weeks).trend == ""
    assert figure("failures", day(1, 1, 6), weeks).trend == ""


def test_two_weeks_are_too_few_to_compare_with() -> None:
    found = figure("verified_connections", day(900, 1000), [day(10, 1000)] * 2)

    assert (found.before, found.trend) == (None, "")


@pytest.mark.parametrize("mails", [5, 50, 2000, 100_000])
def test_a_server_on_which_nothing_changes_is_seldom_coloured(mails: int) -> None:
    chance = random.Random(mails)

    def a_day() -> dict[Category, int]:
        share = min(1, max(0, chance.gauss(0.5, 0.02)))  # the mix of a day
        got = round(min(mails, max(0, chance.gauss(share * mails, (mails / 4) ** 0.5))))
        return day(got, mails)

    coloured = sum(
        bool(figure("verified_connections", a_day(), [a_day() for _ in range(8)]).trend)
        for _ in range(2000)
    )

    assert coloured <= 20


def test_weeks_that_climb_are_better_and_weeks_that_only_move_are_nothing() -> None:
    def course(*shares: int) -> str:
        found = figures(day(1, 1), (), [day(share, 100) for share in shares])
        return found[0].course

    assert course(20, 21, 22, 24, 25, 27, 28, 30, 31) == "better"
    assert course(31, 30, 28, 27, 25, 24, 22, 21, 20) == "worse"
    assert course(20, 26, 21, 25, 20, 27, 22, 26, 21) == ""
    assert course(20, 40) == ""


def test_a_figure_without_counts_is_unknown_and_not_zero() -> None:
    unknown: Counts = dict.fromkeys(CATEGORIES)

    for each in figures(unknown, [counts(deliveries_dane=1)] * 3):
        assert (each.now, each.trend) == (None, "")


def test_a_share_of_nothing_is_no_share() -> None:
    found = figure("plaintext_deliveries", counts())

    assert (found.now, found.whole) == (None, 0)
