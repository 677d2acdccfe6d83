"""The tables of our own servers in a ledger: what the last look found, and every record seen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..dane import Target, causes, own_server, verdict
from ..times import DAY
from .ledger import Ledger

_TABLES = ("own_mx", "own_records")

_KEPT = 400 * DAY
"""Seconds after which a record that is no longer published is forgotten."""


class Watched(NamedTuple):
    """What the last look at one of our servers found. Times are epoch seconds."""

    target: Target
    at: int
    """When that was."""
    findings: tuple[tuple[causes.Finding, int], ...]
    """The worst first, each with the time since when looks have found it."""
    records: int
    """How many are published."""
    matches: int | None
    """How many of them match what is served; None where it is unknown."""
    ends: int | None
    """When the certificate ends; None where it is unknown."""
    ttl: int = 0
    """Seconds for which caches may keep the records: the longest ever seen."""

    @property
    def is_well(self) -> bool:
        """Whether the look found nothing that is a condition."""
        return not any(finding.level for finding, _ in self.findings)


def load_watched(ledger: Ledger) -> list[Watched]:
    """Return what the last look at each of our servers found."""
    if not _has_tables(ledger):
        return []
    rows = ledger.read(
        "SELECT mx, port, at, findings, records, matches, ends, ttl FROM own_mx ORDER BY mx, port"
    )
    with ledger.refusing_nonsense():
        return [
            Watched(
                Target(mx, port),
                at,
                tuple(
                    (causes.Finding(cause, values), since)
                    for cause, values, since in json.loads(findings)
                    if cause in causes.CAUSES
                ),
                *rest,
            )
            for mx, port, at, findings, *rest in rows
        ]


def load_history(ledger: Ledger, target: Target) -> Mapping[str, own_server.RecordHistory]:
    """Return what is known of each record that is or was published for a server."""
    if not _has_tables(ledger):
        return {}
    rows = ledger.read(
        "SELECT record, first, matched FROM own_records WHERE mx = ? AND port = ?", *target
    )
    return {record: own_server.RecordHistory(first, matched) for record, first, matched in rows}


def save_look(
    ledger: Ledger, looks: Iterable[tuple[own_server.Server, verdict.Verdict]], now: int
) -> None:
    """Replace what the last look found, and remember the records; inside a transaction."""
    before = {each.target: each for each in load_watched(ledger)}
    ledger.write("DELETE FROM own_mx", [()])
    for server, found in looks:
        old = before.get(server.target)
        since = {finding.cause: at for finding, at in old.findings} if old else {}
        findings = [
            (each.cause, dict(each.values), since.get(each.cause, now)) for each in found.findings
        ]
        ledger.write(
            "INSERT OR REPLACE INTO own_mx VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *server.target,
                    now,
                    json.dumps(findings),
                    len(server.published.records),
                    found.matches,
                    found.ends,
                    server.published.ttl,
                )
            ],
        )
        ledger.write(
            "INSERT INTO own_records VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (mx, port, record) "
            "DO UPDATE SET last = excluded.last, matched = coalesce(excluded.matched, matched)",
            [
                (*server.target, record, now, now, now if record in found.matching else None)
                for record in dict.fromkeys(server.published.records)
            ],
        )
    ledger.write("DELETE FROM own_records WHERE last < ?", [(now - _KEPT,)])


def copy_watched(source: Ledger, target: Ledger) -> None:
    """Copy all of it into an empty ledger; inside a transaction of it."""
    for table in _TABLES if _has_tables(source) else ():
        rows = source.read(f"SELECT * FROM {table}")
        if rows:
            slots = ", ".join("?" * len(rows[0]))
            target.write(f"INSERT INTO {table} VALUES ({slots})", rows)


def _has_tables(ledger: Ledger) -> bool:
    """Return whether a writer of this version has been at work: readers make no table."""
    names = ledger.read("SELECT name FROM sqlite_master WHERE name IN (?, ?)", *_TABLES)
    return len(names) == len(_TABLES)
