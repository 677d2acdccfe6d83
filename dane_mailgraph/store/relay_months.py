"""The table of relays by month: what the days of a month that is over add up to.

Years of relays by day are too much to add up at each question. A month is added up when a day
begins after it, and forgotten when one of its days changes, until the next day begins.
"""

from __future__ import annotations

from collections.abc import Iterable

from .ledger import Ledger

_LEAST_DAYS = 3
"""Days of a month on which its relays were seen, on average, for it to be added up."""

_SEGMENT = "SELECT {columns} FROM relays WHERE day BETWEEN ? AND ?"


def forget_months(ledger: Ledger, days: Iterable[int]) -> None:
    """Forget the months of these days (20261124), which change; inside a transaction."""
    months = {day // 100 for day in days}
    ledger.write("DELETE FROM relay_months WHERE month = ?", [(month,) for month in months])


def forget_months_before(ledger: Ledger, day: int) -> None:
    """Forget the months with days before this one; inside a transaction."""
    ledger.write("DELETE FROM relay_months WHERE month < ?", [(_first_whole(day),)])


def add_up_months(ledger: Ledger, first: int, counted: Iterable[str]) -> None:
    """Add up the months that are over and have all their days; inside a transaction.

    Args:
        ledger: Has the days.
        first: The first day (20261124) that is kept whole.
        counted: The columns of counts.
    """
    newest: int | None = ledger.read("SELECT max(day) FROM relays")[0][0]
    if newest is None:
        return
    done, columns = set(_months(ledger, 0, 1 << 40)), list(counted)
    days = 100 * _first_whole(first)
    while True:
        day = ledger.read("SELECT min(day) FROM relays WHERE day > ?", days)[0][0]
        if day is None or day // 100 == newest // 100:
            return
        month = day // 100
        days = 100 * month + 99
        if month not in done and _is_worth_it(ledger, month):
            names = ", ".join(columns)
            sums = ", ".join(f"sum({each})" for each in columns)
            # As `RelayTable.totals`: what is not summed is of the row of the last max().
            ledger.write(
                "INSERT INTO relay_months "
                f"(month, relay, first, protocol, key_exchange, last, {names}, last_fail) "
                f"SELECT ?1, relay, min(first), protocol, key_exchange, max(last), {sums}, 0 "
                "FROM relays WHERE day BETWEEN ?1 * 100 AND ?1 * 100 + 99 GROUP BY relay",
                [(month,)],
            )
            ledger.write(
                "UPDATE relay_months SET last_fail = failed.last FROM (SELECT relay, "
                "max(last_fail) AS last FROM relays WHERE day BETWEEN ?1 * 100 AND ?1 * 100 + 99 "
                "AND last_fail > 0 GROUP BY relay) AS failed "
                "WHERE month = ?1 AND relay_months.relay = failed.relay",
                [(month,)],
            )


def _is_worth_it(ledger: Ledger, month: int) -> bool:
    """Return whether few rows stand for many: strangers can have each day know other relays."""
    ((rows, relays),) = ledger.read(
        "SELECT count(*), count(DISTINCT relay) FROM relays WHERE day BETWEEN ? AND ?",
        *(100 * month, 100 * month + 99),
    )
    return bool(rows >= _LEAST_DAYS * relays)


def days_and_months(
    ledger: Ledger, columns: str, since: int, until: int
) -> tuple[str, tuple[int, ...]]:
    """Return what to select columns from, so that it is of days from one to another.

    Months that have been added up stand for their days.
    """
    months = [
        each
        for each in _months(ledger, _first_whole(since), (until + 69) // 100)
        if 100 * each + 31 <= until
    ]
    parts, parameters, at = [], [], since
    for month in months:
        if at < 100 * month:
            parts.append(_SEGMENT.format(columns=columns))
            parameters += [at, 100 * month]
        parts.append(f"SELECT {columns} FROM relay_months WHERE month = ?")
        parameters.append(month)
        at = 100 * month + 99
    if at <= until:
        parts.append(_SEGMENT.format(columns=columns))
        parameters += [at, until]
    return f"({' UNION ALL '.join(parts)})", tuple(parameters)


def _first_whole(day: int) -> int:
    """Return the first month that begins on this day or later."""
    return (day + 98) // 100


def _months(ledger: Ledger, first: int, end: int) -> list[int]:
    """Return the months of [first, end) that have been added up."""
    found: list[int] = []
    month = first - 1
    while True:
        month = ledger.read("SELECT min(month) FROM relay_months WHERE month > ?", month)[0][0]
        if month is None or month >= end:
            return found
        found.append(month)
