"""The tables of what others report about us, by day (UTC), in a ledger.

They are written in short transactions, which do not wait for the counter.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timezone
from typing import NamedTuple

from ..categories import REACH, Category
from ..reports import TlsReport
from ..times import DAY, format_day
from .ledger import Ledger
from .relays import OTHER

_MOST_A_DAY = {"reports": 5000, "reach": 200, "reach_failures": 500}
"""Table -> rows of one day: anybody can send reports. Reporters beyond are kept as one."""

_MOST = {"reports": 300_000, "reach": 50_000, "reach_failures": 50_000}
"""Table -> rows in all; the oldest days go first."""

_COLUMNS = tuple(each.data_source for each in REACH)

_SUMS = ", ".join(f"sum({name})" for name in _COLUMNS)


COPY = "it was counted before"


class Reporter(NamedTuple):
    """What one organization reports of some days."""

    name: str
    signer: str
    """The domain that signed its reports; empty where our server verified no signature."""
    reports: int
    sessions: dict[Category, int]
    last: int
    """Epoch second in which the last of the days begins."""


class ReachFailure(NamedTuple):
    """Sessions of some days that one organization reports as failed for one reason."""

    result: str
    """A key of `RESULTS`."""
    reporter: str
    signer: str
    mx: str
    """Our server as the reporter names it; empty where it names none."""
    sessions: int
    last: int


class Reach(NamedTuple):
    """What others report of some days of UTC."""

    since: int
    until: int
    """Epoch seconds; of the days that begin in [since, until)."""
    sessions: dict[Category, int | None]
    """None without a report."""
    reporters: tuple[Reporter, ...]
    """Most sessions first."""
    failures: tuple[ReachFailure, ...]
    """Most sessions first; they need not add up to the sessions that failed."""
    days: dict[int, dict[Category, int] | None]
    """Epoch second in which each day begins -> its sessions; None without a report."""


def add_reports(ledger: Ledger, reports: Iterable[TlsReport]) -> list[str]:
    """Count reports in a transaction; return for each why it is not counted, empty if it is.

    The same report, whatever way it comes, is a `COPY`.
    """
    refusals = []
    with ledger.transaction():
        pruned = _pruned_before(ledger)
        for each in reports:
            refusal = _refusal(ledger, each, pruned)
            if not refusal:
                _add(ledger, each)
            refusals.append(refusal)
        _prune(ledger)
    return refusals


def _refusal(ledger: Ledger, report: TlsReport, pruned: int) -> str:
    if ledger.read("SELECT 1 FROM reports WHERE identity = ?", report.identity):
        return COPY
    if report.day < pruned:
        return f"days before {format_day(pruned, timezone.utc)} are no longer kept"
    if _is_full(ledger, "reports", report.day):
        return f"{_MOST_A_DAY['reports']:,} reports of its day have been counted"
    return ""


def _add(ledger: Ledger, report: TlsReport) -> None:
    ledger.write("INSERT INTO reports VALUES (?, ?)", [(report.identity, report.day)])
    who = report.reporter, report.signer
    if _is_full(ledger, "reach", report.day) and not ledger.read(
        "SELECT 1 FROM reach WHERE day = ? AND reporter = ? AND signer = ?", report.day, *who
    ):
        who = OTHER, ""
    sessions = report.dane, report.mta_sts, report.no_policy, report.failed
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COLUMNS)
    ledger.write(
        "INSERT INTO reach VALUES (?, ?, ?, 1, ?, ?, ?, ?) "
        f"ON CONFLICT (day, reporter, signer) DO UPDATE SET reports = reports + 1, {sums}",
        [(report.day, *who, *sessions)],
    )
    room = _MOST_A_DAY["reach_failures"] - _filled(ledger, "reach_failures", report.day)
    ledger.write(
        "INSERT INTO reach_failures VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (day, reporter, signer, result, mx) "
        "DO UPDATE SET sessions = sessions + excluded.sessions",
        (
            (report.day, *who, each.result, each.mx, each.sessions)
            if n < room
            else (report.day, OTHER, "", each.result, "", each.sessions)
            for n, each in enumerate(report.failures)
        ),
    )


# ---- bounds ---------------------------------------------------------------------------------


def _filled(ledger: Ledger, table: str, day: int) -> int:
    """Return how much of the day's bound is taken."""
    # The table of identities has no index by day.
    column, table = ("sum(reports)", "reach") if table == "reports" else ("count(*)", table)
    rows: int | None = ledger.read(f"SELECT {column} FROM {table} WHERE day = ?", day)[0][0]
    return rows or 0


def _is_full(ledger: Ledger, table: str, day: int) -> bool:
    return _filled(ledger, table, day) >= _MOST_A_DAY[table]


def _pruned_before(ledger: Ledger) -> int:
    """Return from which day on reports are kept: epoch second, 0 where all are."""
    before: int | None = ledger.read("SELECT max(before) FROM reach_pruned")[0][0]
    return before or 0


def _prune(ledger: Ledger) -> None:
    """Drop the oldest days while a table is too long; inside a transaction.

    Where only failures go, reports of their day still count.
    """
    for table, most in _MOST.items():
        while ledger.read(f"SELECT count(*) FROM {table}")[0][0] > most:
            oldest = ledger.read(f"SELECT min(day) FROM {table}")[0][0]
            tables = ["reach_failures"] if table == "reach_failures" else list(_MOST)
            for each in tables:
                ledger.write(f"DELETE FROM {each} WHERE day <= ?", [(oldest,)])
            if table != "reach_failures":
                ledger.write("DELETE FROM reach_pruned", [()])
                ledger.write("INSERT INTO reach_pruned VALUES (?)", [(oldest + DAY,)])


def copy_reports(source: Ledger, target: Ledger) -> None:
    """Copy all that was reported into an empty ledger; inside a transaction of it."""
    for table in (*_MOST, "reach_pruned"):
        rows = source.read(f"SELECT * FROM {table}")
        if rows:
            slots = ", ".join("?" * len(rows[0]))
            target.write(f"INSERT INTO {table} VALUES ({slots})", rows)


def holds_reports(ledger: Ledger) -> bool:
    """Return whether anything was reported."""
    return bool(ledger.read("SELECT 1 FROM reports LIMIT 1"))


# ---- reading --------------------------------------------------------------------------------


def sessions_by_policy(ledger: Ledger, since: int, until: int) -> dict[Category, int | None]:
    """Add up the sessions of the days that begin in [since, until); None where none reports."""
    (row,) = ledger.read(f"SELECT {_SUMS} FROM reach WHERE day >= ? AND day < ?", since, until)
    return dict(zip(REACH, row, strict=True))


def load_reach(ledger: Ledger, since: int, until: int) -> Reach:
    """Return what others report of the days of UTC that [since, until) touches."""
    since, until = since - since % DAY, until + -until % DAY
    return Reach(
        *(since, until, sessions_by_policy(ledger, since, until)),
        tuple(reporters(ledger, since, until)),
        tuple(reach_failures(ledger, since, until)),
        _by_day(ledger, since, until),
    )


def _by_day(ledger: Ledger, since: int, until: int) -> dict[int, dict[Category, int] | None]:
    rows = ledger.read(
        f"SELECT day, {_SUMS} FROM reach WHERE day >= ? AND day < ? GROUP BY day", since, until
    )
    found = {day: dict(zip(REACH, sessions, strict=True)) for day, *sessions in rows}
    return {day: found.get(day) for day in range(since, until, DAY)}


def reporters(ledger: Ledger, since: int, until: int) -> list[Reporter]:
    """Who reports of the days that begin in [since, until), those of most sessions first."""
    rows = ledger.read(
        f"SELECT reporter, signer, sum(reports), max(day), {_SUMS} FROM reach "
        "WHERE day >= ? AND day < ? GROUP BY reporter, signer",
        since,
        until,
    )
    found = [
        Reporter(name, signer, reports, dict(zip(REACH, sessions, strict=True)), last)
        for name, signer, reports, last, *sessions in rows
    ]
    return sorted(found, key=lambda each: (-sum(each.sessions.values()), each.name, each.signer))


def reach_failures(ledger: Ledger, since: int, until: int) -> list[ReachFailure]:
    """Return the failures of the days that begin in [since, until), most sessions first."""
    rows = ledger.read(
        "SELECT result, reporter, signer, mx, sum(sessions), max(day) FROM reach_failures "
        "WHERE day >= ? AND day < ? GROUP BY result, reporter, signer, mx "
        "ORDER BY sum(sessions) DESC, result, reporter, signer, mx",
        since,
        until,
    )
    return [ReachFailure(*row) for row in rows]
