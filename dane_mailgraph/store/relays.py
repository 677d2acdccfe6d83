"""The tables of relays by day and of Postfix's warnings in a ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..categories import (
    AUTHENTICATED_DELIVERIES,
    AUTHENTICATED_EVENTS,
    CATEGORIES,
    DELIVERIES,
    UNAUTHENTICATED_EVENTS,
    Category,
)
from ..counts import NOTHING, DayCounts, SinceGood
from ..postfix_warnings import BY_NAME
from .ledger import Ledger
from .relay_months import add_up_months, days_and_months, forget_months, forget_months_before

OTHER = "(other)"
"""The relays of a day beyond `relays_per_day`: strangers choose the names of MX hosts."""


class RelayCounts(NamedTuple):
    """What was counted of one relay over some days."""

    relay: str
    """The host in lower case; where no server answered, `@` and the recipient's domain."""
    first: int
    """Epoch second of the minute in which it was first logged."""
    last: int
    counts: Mapping[Category, int]
    """Categories of `KEPT`; those that are not in it are 0."""
    protocol: str = ""
    """Of its last TLS session, as Postfix names it; empty where there was none."""
    key_exchange: str = ""
    last_failure: int = 0
    """Epoch second of the minute in which a delivery last failed; 0 is never."""


class RelayDay(NamedTuple):
    """What was counted of one relay on one day."""

    relay: str
    day: int
    """As the number 20261124."""
    first: int
    last: int
    counts: Mapping[Category, int]
    authentication: SinceGood = NOTHING
    handover: SinceGood = NOTHING


class WarningCount(NamedTuple):
    """A warning of Postfix's about its own TLS or DANE, and how often it came."""

    name: str
    """A key of `postfix_warnings.BY_NAME`."""
    text: str
    """What Postfix writes."""
    meaning: str
    """What it means and what to do, a sentence for the operator."""
    times: int
    """How often; not `count`, which every tuple has."""
    last: int
    """Epoch second of the minute in which it was last logged."""


KEPT = tuple(
    each for each in CATEGORIES if each.family in ("connections", "deliveries", "failures")
)

_INDEXES = tuple(CATEGORIES.index(each) for each in KEPT)
_COLUMNS = tuple(each.data_source for each in KEPT)

_NAMES = ", ".join(_COLUMNS)
_SUMS = ", ".join(f"sum({column})" for column in _COLUMNS)
_LAST_DAY = 99999999
_NAMED = "relay IN (SELECT value FROM json_each(?))"

_NEWER = "excluded.protocol <> '' AND excluded.last >= last"


_AUTHENTICATION = ("last_good", "bad_after", "bad_first", "last_bad")
_HANDOVER = ("last_ok", "fail_after", "fail_first", "last_fail")
_SINCE_GOOD = ", ".join((*_AUTHENTICATION, *_HANDOVER))


def _merge(last_good: str, bad: str, first: str, last: str) -> str:
    """Write the right sides that join two `SinceGood`s: what came before the later good is over."""
    good = f"max({last_good}, excluded.{last_good})"
    ours, theirs = f"{first} > {good}", f"excluded.{first} > {good}"
    return (
        f"{last_good} = {good}, "
        f"{bad} = iif({ours}, {bad}, 0) + iif({theirs}, excluded.{bad}, 0), "
        f"{first} = iif({ours} AND ({first} < excluded.{first} OR NOT {theirs}), {first}, "
        f"iif({theirs}, excluded.{first}, 0)), "
        f"{last} = max({last}, excluded.{last})"
    )


# The right sides see the row as it was.
_ADD = f"""
    INSERT INTO relays (day, relay, first, last, protocol, key_exchange, {_SINCE_GOOD}, {_NAMES})
    VALUES ({", ".join("?" * (14 + len(_COLUMNS)))})
    ON CONFLICT (day, relay) DO UPDATE SET
        first = min(first, excluded.first),
        last = max(last, excluded.last),
        protocol = iif({_NEWER}, excluded.protocol, protocol),
        key_exchange = iif({_NEWER}, excluded.key_exchange, key_exchange),
        {_merge(*_AUTHENTICATION)},
        {_merge(*_HANDOVER)},
        {", ".join(f"{column} = {column} + excluded.{column}" for column in _COLUMNS)}
"""


class DeliveriesTo(NamedTuple):
    """The deliveries to one relay over some days."""

    relay: str
    number: int
    authenticated: int
    plaintext: int


class RelayTable:
    """Relays and warnings in a ledger; write inside `ledger.transaction()` only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[int, set[str]] = {}
        """Day -> its relays, of the days that were written to."""
        self._has_begun_a_day = False

    # ---- writing ----

    def add(self, days: Iterable[DayCounts], most: int) -> None:
        """Add these days; beyond `most` relays a day they count as `OTHER`, and 0 keeps none."""
        if most:
            rows = [
                (
                    each.day,
                    self.kept_name(each.day, each.relay, most),
                    *(each.first, each.last, each.protocol, each.key_exchange),
                    *(*each.authentication, *each.handover),
                    *(each.counts[index] for index in _INDEXES),
                )
                for each in days
            ]
            self._ledger.write(_ADD, rows)
            forget_months(self._ledger, self._known)

    def kept_name(self, day: int, relay: str, most: int) -> str:
        """Return the name under which a relay of a day is kept, and keep it from now on."""
        known = self._known.get(day)
        if known is None:
            found = self._ledger.read("SELECT relay FROM relays WHERE day = ?", day)
            known = self._known[day] = {each for (each,) in found}
            self._has_begun_a_day |= not known
        if relay not in known:
            if len(known) - (OTHER in known) >= most:
                return OTHER
            known.add(relay)
        return relay

    def add_warnings(self, warnings: Mapping[str, tuple[int, int]]) -> None:
        """Add warnings: name -> their number, and the time of the last one."""
        self._ledger.write(
            "INSERT INTO warnings VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET "
            "count = count + excluded.count, last = max(last, excluded.last)",
            [(name, count, last) for name, (count, last) in warnings.items()],
        )

    def prune(self, day: int) -> None:
        """Drop what is older than this day (20261124), and add up the months that are over."""
        self._ledger.write("DELETE FROM relays WHERE day < ?", [(day,)])
        forget_months_before(self._ledger, day)
        if self._has_begun_a_day:
            add_up_months(self._ledger, day, _COLUMNS)

    # ---- reading ----

    def totals(self, since: int, until: int) -> list[RelayCounts]:
        """Return what was counted of each relay from one day to another, both included."""
        # sqlite takes what is not summed from the row of the max().
        columns = f"relay, first, protocol, key_exchange, last, last_fail, {_NAMES}"
        kept, days = days_and_months(self._ledger, columns, since, until)
        found = self._ledger.read(
            "SELECT relay, min(first), protocol, key_exchange, max(last), "
            f"{_SUMS} FROM {kept} GROUP BY relay ORDER BY relay",
            *days,
        )
        failed = dict(
            self._ledger.read(
                f"SELECT relay, max(last_fail) FROM {kept} WHERE last_fail > 0 GROUP BY relay",
                *days,
            )
        )
        return [
            RelayCounts(
                relay, first, last, _counts(counts), protocol, key_exchange, failed.get(relay, 0)
            )
            for relay, first, protocol, key_exchange, last, *counts in found
        ]

    def days(self, since: int) -> Iterator[RelayDay]:
        """Yield each relay's days from this one on, by relay and day."""
        return self._days("day >= ?", since)

    def suspects(self, since: int, history: int) -> Iterator[RelayDay]:
        """Yield the days of relays that were once authenticated, and not always from `since` on.

        Days before `history` are not looked at.
        """
        good, bad = (
            " + ".join(sorted(each.data_source for each in some))
            for some in (AUTHENTICATED_EVENTS, UNAUTHENTICATED_EVENTS)
        )
        found = self._ledger.read(
            f"SELECT DISTINCT relay FROM relays WHERE day >= ? AND {bad} > 0", since
        )
        # From the first of its month on: more than is looked at does no harm.
        kept, days = days_and_months(
            self._ledger, f"relay, {good} AS good", history // 100 * 100 + 1, _LAST_DAY
        )
        names = self._ledger.read(
            f"SELECT DISTINCT relay FROM {kept} WHERE {_NAMED} AND good > 0",
            *days,
            _as_list(found),
        )
        return self._days_of(names, history)

    def failing(self, since: int, last_fail: int) -> Iterator[RelayDay]:
        """Yield the days from one on of relays to which mail failed after an epoch second."""
        today = self._ledger.read("SELECT max(day) FROM relays")[0][0] or 0
        # A failure of the last hours is on one of the last two days that there are.
        before = self._ledger.read("SELECT max(day) FROM relays WHERE day < ?", today)[0][0]
        names = self._ledger.read(
            "SELECT DISTINCT relay FROM relays WHERE day >= ? AND last_fail >= ?",
            *(before or today, last_fail),
        )
        return self._days_of(names, since)

    def authenticated_since(self, day: int, at: int) -> int:
        """Return how many relays were authenticated after an epoch second, on this day or later."""
        found = self._ledger.read(
            "SELECT count(DISTINCT relay) FROM relays WHERE day >= ? AND last_good > ?", day, at
        )
        count: int = found[0][0]
        return count

    def _days_of(self, names: Iterable[tuple[str]], since: int) -> Iterator[RelayDay]:
        """Yield the days of some relays from one on; each row is found by its key."""
        days: list[int] = []
        day = since - 1
        while day := self._ledger.read("SELECT min(day) FROM relays WHERE day > ?", day)[0][0]:
            days.append(day)
        return self._days(
            f"day IN (SELECT value FROM json_each(?)) AND {_NAMED}",
            *(json.dumps(days), _as_list(names)),
        )

    def _days(self, where: str, *parameters: int | str) -> Iterator[RelayDay]:
        found = self._ledger.read(
            f"SELECT relay, day, first, last, {_SINCE_GOOD}, {_NAMES} FROM relays "
            f"WHERE {where} ORDER BY relay, day",
            *parameters,
        )
        for relay, day, first, last, *rest in found:
            yield RelayDay(
                *(relay, day, first, last, _counts(rest[8:])),
                SinceGood(*rest[:4]),
                SinceGood(*rest[4:8]),
            )

    def deliveries(self, since: int, until: int | None) -> list[DeliveriesTo]:
        """Return the deliveries to each relay from one day to another, both included.

        None is the newest. Those of which the log does not show how are left out.
        """
        names = {each.name: each.data_source for each in DELIVERIES}
        whole = " + ".join(column for name, column in names.items() if name != "unknown")
        proven = " + ".join(each.data_source for each in AUTHENTICATED_DELIVERIES)
        plaintext = names["plaintext"]
        rows = self._ledger.read(
            f"SELECT relay, sum({whole}), sum({proven}), sum({plaintext}) FROM relays "
            f"WHERE day BETWEEN ? AND ? AND {whole} > 0 GROUP BY relay",
            *(since, _LAST_DAY if until is None else until),
        )
        return list(map(DeliveriesTo._make, rows))

    def warnings(self, since: int) -> list[WarningCount]:
        """Return the warnings that were last logged after this time, the latest first."""
        found = self._ledger.read(
            "SELECT name, count, last FROM warnings WHERE last >= ? ORDER BY last DESC", since
        )
        return [
            WarningCount(name, BY_NAME[name].text, BY_NAME[name].meaning, count, last)
            for name, count, last in found
            if name in BY_NAME
        ]


def _as_list(names: Iterable[tuple[str]]) -> str:
    """Write names for `_NAMED`: any number of them is one parameter."""
    return json.dumps([name for (name,) in names])


def _counts(counts: Iterable[int]) -> dict[Category, int]:
    return {each: count for each, count in zip(KEPT, counts, strict=True) if count}
