"""The figures of 24 hours: shares, counts, and how they have changed."""

from __future__ import annotations

from collections.abc import Mapping

from dane_mailgraph.answer.figures import Figure, figures
from dane_mailgraph.categories import BY_KEY, CATEGORIES, Category

Counts = Mapping[Category, int | None]


def counts(**given: int) -> dict[Category, int]:
    """Return the counts of a day: `deliveries_plaintext=3`; all others are 0."""
    return dict.fromkeys(CATEGORIES, 0) | {
        BY_KEY[key.replace("_", ".", 1)]: count for key, count in given.items()
    }


def figure(name: str, today: Counts, before: Counts) -> Figure:
    return next(each for each in figures(today, before) if each.name == name)


def test_verified_connections_are_a_share_of_the_new_ones() -> None:
    now = counts(connections_verified=3, connections_trusted=1, connections_reused=100)
    found = figure(
        "verified_connections", now, counts(connections_verified=1, connections_trusted=1)
    )

    assert (found.now, found.before, found.whole, found.trend) == (0.75, 0.5, 4, "better")


def test_dane_and_verified_deliveries_are_authenticated_and_half_dane_is_not() -> None:
    now = counts(deliveries_dane=2, deliveries_verified=1, deliveries_encrypted=1)
    half = now | {BY_KEY["deliveries.half_dane"]: 4}

    assert figure("authenticated_deliveries", now, now).now == 0.75
    assert figure("authenticated_deliveries", half, half).now == 0.375


def test_more_plaintext_and_more_failures_are_worse() -> None:
    now = counts(deliveries_plaintext=2, deliveries_dane=2, failures_certificate=3)
    before = counts(deliveries_plaintext=1, deliveries_dane=3, failures_handshake=1)

    assert figure("plaintext_deliveries", now, before).trend == "worse"
    assert (figure("failures", now, before).now, figure("failures", now, before).change) == (3, 2)
    assert figure("failures", now, before).trend == "worse"
    assert figure("failures", now, now).trend == ""


def test_a_figure_without_counts_is_unknown_and_not_zero() -> None:
    unknown: Counts = dict.fromkeys(CATEGORIES)

    for each in figures(unknown, counts(deliveries_dane=1)):
        assert (each.now, each.change, each.trend) == (None, None, "")


def test_a_share_of_nothing_is_no_share() -> None:
    found = figure("plaintext_deliveries", counts(), counts())

    assert (found.now, found.whole) == (None, 0)
