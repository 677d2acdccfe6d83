"""Which relays have lost authentication."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from ..categories import BY_KEY, CATEGORIES, Authentication, Category
from ..store import OTHER, RelayDay, RelayTable

DAYS_OF_HISTORY = 7
"""Days with authenticated sessions before a relay without them has lost authentication."""

_PROOFS = tuple(row for row in CATEGORIES if row.authentication is Authentication.PROVEN)
_DOUBTS = tuple(
    row
    for row in CATEGORIES
    if row.authentication in (Authentication.MISSING, Authentication.DOUBTFUL)
)
_TRUSTED, _HALF_DANE = BY_KEY["connections.trusted"], BY_KEY["deliveries.half_dane"]


class LostAuthentication(NamedTuple):
    """A relay that was authenticated on a run of days, and has not been since."""

    relay: str
    good_since: int
    """Epoch second of its first line in the run of authenticated days."""
    good_until: int
    """Epoch second of its last line in that run."""
    days: int
    """Number of days in that run on which it was used."""
    last: int
    """Epoch second of its last line without authentication."""
    counts: Mapping[Category, int]
    """Sums of the days after the run."""


def is_authenticated(counts: Mapping[Category, int]) -> bool | None:
    """Return whether a relay was authenticated in all its sessions; None where no count shows it.

    Postfix writes Trusted for half DANE, and also where a CA is trusted but no name was checked:
    only the delivery shows which.
    """
    categories = {row for row, count in counts.items() if count}
    if _HALF_DANE in categories:
        categories.discard(_TRUSTED)
    evidence = {row.authentication for row in categories}
    if Authentication.MISSING in evidence:
        return False
    if Authentication.PROVEN in evidence:
        return True
    return False if Authentication.DOUBTFUL in evidence else None


def lost_authentication(
    relays: RelayTable, since: int, days: int = DAYS_OF_HISTORY
) -> tuple[LostAuthentication, ...]:
    """Return the relays that have lost authentication, the longest history first.

    Args:
        relays: the relays of the ledger.
        since: the first day that is news, as the number 20261124; older losses are left out.
        days: days of authenticated sessions that make a loss.
    """
    return find_losses(relays.suspects(since, _PROOFS, _DOUBTS), since, days)


def find_losses(
    rows: Iterable[RelayDay], since: int, days: int = DAYS_OF_HISTORY
) -> tuple[LostAuthentication, ...]:
    """Do the same for rows in the order of relay and day."""
    losses = []
    for relay, rows_of_relay in groupby(rows, lambda row: row.relay):
        known = [
            (row, authenticated)
            for row in rows_of_relay
            if (authenticated := is_authenticated(row.counts)) is not None
        ]
        # known[begin:end] is the last run of authenticated days.
        end = next((n for n in range(len(known), 0, -1) if known[n - 1][1]), 0)
        begin = next((n for n in range(end, 0, -1) if not known[n - 1][1]), 0)
        run, after = [row for row, _ in known[begin:end]], [row for row, _ in known[end:]]
        if after and len(run) >= days and after[-1].day >= since and relay != OTHER:
            losses.append(
                LostAuthentication(
                    relay=relay,
                    good_since=run[0].first,
                    good_until=run[-1].last,
                    days=len(run),
                    last=after[-1].last,
                    counts=add_counts(row.counts for row in after),
                )
            )
    return tuple(sorted(losses, key=lambda loss: (-loss.days, loss.relay)))


def add_counts(counts: Iterable[Mapping[Category, int]]) -> dict[Category, int]:
    """Return the sum of counts, category by category."""
    sums: dict[Category, int] = {}
    for each in counts:
        for category, count in each.items():
            sums[category] = sums.get(category, 0) + count
    return sums
