"""The table of clients that come without TLS or with an old one, by day, in a ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..categories import BY_KEY, Category
from ..counts import SenderCount
from .ledger import Ledger
from .relays import OTHER


class Sender(NamedTuple):
    """What came from one domain on some days."""

    domain: str
    counts: dict[Category, int]
    last: int
    """Epoch second of the minute of its last line."""

    @property
    def total(self) -> int:
        """How many messages and handshakes these are."""
        return sum(self.counts.values())


class SenderTable:
    """Clients without TLS or with an old one, by domain and day.

    Strangers choose the names, so the domains of a day are bounded.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(self, counts: Iterable[SenderCount], most: int) -> None:
        """Add counts; at most `most` domains a day are kept, the others as one.

        Inside a transaction.
        """
        known: dict[int, set[str]] = {}
        rows = []
        for each in counts:
            names = known.get(each.day)
            if names is None:
                found = self._ledger.read(
                    "SELECT DISTINCT domain FROM senders WHERE day = ?", each.day
                )
                names = known[each.day] = {name for (name,) in found}
            if each.domain in names or len(names) < most:
                names.add(each.domain)
                domain = each.domain
            else:
                domain = OTHER
            rows.append((each.day, domain, each.category.key, each.times, each.last))
        self._ledger.write(
            "INSERT INTO senders VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (day, domain, category) DO UPDATE SET "
            "count = count + excluded.count, last = max(last, excluded.last)",
            rows,
        )

    def prune(self, first: int) -> None:
        """Forget the days before this one, a number like 20261124; inside a transaction."""
        self._ledger.write("DELETE FROM senders WHERE day < ?", [(first,)])

    def senders(self, first: int) -> list[Sender]:
        """Return the domains of the days from `first` on, most messages and handshakes first."""
        by_domain: dict[str, Sender] = {}
        for domain, key, count, last in self._ledger.read(
            "SELECT domain, category, sum(count), max(last) FROM senders "
            "WHERE day >= ? GROUP BY domain, category",
            first,
        ):
            before = by_domain.get(domain, Sender(domain, {}, 0))
            by_domain[domain] = Sender(
                domain, before.counts | {BY_KEY[key]: count}, max(before.last, last)
            )
        return sorted(by_domain.values(), key=lambda each: (-each.total, each.domain))
