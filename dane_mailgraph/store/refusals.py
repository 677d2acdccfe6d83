"""The tables of senders, and of those that refuse our certificate, in a ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..counts import RefusalCount
from ..times import DAY
from .ledger import Ledger
from .relays import OTHER

_MOST_SENDERS = 10_000
"""Domains that are remembered to have sent mail: strangers choose how many."""

_KNOWN_FOR = 90 * DAY


class RefusalTable:
    """Who refused our certificate, by domain and hour: of domains that have sent mail over TLS.

    The others look at the certificate and go: scanners and monitors.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def know(self, domains: Collection[str], now: int) -> None:
        """Remember that mail came from these domains; inside a transaction."""
        if not domains:
            return
        day = now - now % DAY
        known = dict(self._ledger.read("SELECT domain, last FROM known_senders"))
        room = _MOST_SENDERS - len(known)
        new = [each for each in sorted(domains) if each not in known][:room]
        seen_again = [each for each in domains if known.get(each, day) < day]
        self._ledger.write(
            "INSERT OR REPLACE INTO known_senders VALUES (?, ?)",
            [(domain, day) for domain in (*new, *seen_again)],
        )

    def add(self, counts: Iterable[RefusalCount], most: int) -> None:
        """Add counts of known domains; at most `most` rows a day (UTC), the others as OTHER.

        Inside a transaction.
        """
        for each in counts:
            if not self._ledger.read("SELECT 1 FROM known_senders WHERE domain = ?", each.domain):
                continue
            day = each.hour - each.hour % DAY
            ((rows,),) = self._ledger.read(
                "SELECT count(*) FROM refusals WHERE hour >= ? AND hour < ?", day, day + DAY
            )
            domain = each.domain if rows < most else OTHER
            self._ledger.write(
                "INSERT INTO refusals VALUES (?, ?, ?, ?) ON CONFLICT (hour, domain, name) "
                "DO UPDATE SET count = count + excluded.count",
                [(each.hour, domain, each.name, each.times)],
            )

    def prune(self, first: int, now: int) -> None:
        """Forget refusals before `first`, and who has sent nothing for long before `now`.

        Both are epoch seconds. Inside a transaction.
        """
        self._ledger.write("DELETE FROM refusals WHERE hour < ?", [(first,)])
        self._ledger.write("DELETE FROM known_senders WHERE last < ?", [(now - _KNOWN_FOR,)])

    def by_domain(self, first: int) -> list[tuple[str, int, int]]:
        """Domain, hour and how often it refused; from `first` on, in the order of both."""
        if not self._ledger.read("SELECT name FROM sqlite_master WHERE name = 'refusals'"):
            return []  # no writer of this version has been at work: readers make no table
        return self._ledger.read(
            "SELECT domain, hour, sum(count) FROM refusals WHERE hour >= ? AND domain != ? "
            "GROUP BY domain, hour ORDER BY domain, hour",
            *(first, OTHER),
        )
