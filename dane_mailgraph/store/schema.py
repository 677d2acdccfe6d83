"""The tables and columns of a ledger, and how they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..categories import CATEGORIES, REACH

Execute = Callable[[str], Iterable[tuple[Any, ...]]]
"""Runs a statement, and returns its rows."""

SCHEMA = 3

APPLICATION = 0x44414E45  # "DANE": distinguishes our file from any other database

COLUMNS = tuple(each.data_source for each in CATEGORIES)

_TABLES = {
    "state": "(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "bookmarks": "(log TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "totals": "(name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
    "hours": "(hour INTEGER NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, "
    "PRIMARY KEY (hour, name)) WITHOUT ROWID",
    "rhythm": "(day INTEGER PRIMARY KEY, events INTEGER NOT NULL, longest_pause INTEGER NOT NULL)",
    "intervals": "(start INTEGER PRIMARY KEY)",
    "relays": "(day INTEGER NOT NULL, relay TEXT NOT NULL, "
    "first INTEGER NOT NULL, last INTEGER NOT NULL, "
    "protocol TEXT NOT NULL, key_exchange TEXT NOT NULL, "
    "last_good INTEGER NOT NULL, bad_after INTEGER NOT NULL, "
    "bad_first INTEGER NOT NULL, last_bad INTEGER NOT NULL, "
    "last_ok INTEGER NOT NULL, fail_after INTEGER NOT NULL, "
    "fail_first INTEGER NOT NULL, last_fail INTEGER NOT NULL, "
    "PRIMARY KEY (day, relay)) WITHOUT ROWID",
    "relay_months": "(month INTEGER NOT NULL, relay TEXT NOT NULL, "
    "first INTEGER NOT NULL, last INTEGER NOT NULL, protocol TEXT NOT NULL, "
    "key_exchange TEXT NOT NULL, last_fail INTEGER NOT NULL, "
    "PRIMARY KEY (month, relay)) WITHOUT ROWID",
    "gaps": "(start INTEGER PRIMARY KEY, until INTEGER NOT NULL)",
    "omissions": "(name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
    "events": "(day INTEGER NOT NULL, relay TEXT NOT NULL, name TEXT NOT NULL, "
    "detail TEXT NOT NULL, count INTEGER NOT NULL, last INTEGER NOT NULL, "
    "PRIMARY KEY (day, relay, name, detail)) WITHOUT ROWID",
    "senders": "(day INTEGER NOT NULL, domain TEXT NOT NULL, category TEXT NOT NULL, "
    "count INTEGER NOT NULL, last INTEGER NOT NULL, "
    "PRIMARY KEY (day, domain, category)) WITHOUT ROWID",
    "refusals": "(hour INTEGER NOT NULL, domain TEXT NOT NULL, name TEXT NOT NULL, "
    "count INTEGER NOT NULL, PRIMARY KEY (hour, domain, name)) WITHOUT ROWID",
    "known_senders": "(domain TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
    "warnings": "(name TEXT PRIMARY KEY, count INTEGER NOT NULL, last INTEGER NOT NULL) "
    "WITHOUT ROWID",
    "told": "(name TEXT NOT NULL, subject TEXT NOT NULL, since INTEGER NOT NULL, "
    "last INTEGER NOT NULL, level INTEGER NOT NULL, text TEXT NOT NULL, found_in_a_row "
    "INTEGER NOT NULL, missed_in_a_row INTEGER NOT NULL, told_at INTEGER, "
    "told_level INTEGER NOT NULL, end_told_at INTEGER, "
    "PRIMARY KEY (name, subject)) WITHOUT ROWID",
    "reports": "(identity BLOB PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID",
    "reach": "(day INTEGER NOT NULL, reporter TEXT NOT NULL, signer TEXT NOT NULL, "
    "reports INTEGER NOT NULL, "
    + "".join(f"{each.data_source} INTEGER NOT NULL, " for each in REACH)
    + "PRIMARY KEY (day, reporter, signer)) WITHOUT ROWID",
    "reach_failures": "(day INTEGER NOT NULL, reporter TEXT NOT NULL, signer TEXT NOT NULL, "
    "result TEXT NOT NULL, mx TEXT NOT NULL, sessions INTEGER NOT NULL, "
    "PRIMARY KEY (day, reporter, signer, result, mx)) WITHOUT ROWID",
    "reach_pruned": "(before INTEGER NOT NULL)",
    "shipped": "(url TEXT NOT NULL, host TEXT NOT NULL, past_revision INTEGER NOT NULL, "
    "series INTEGER NOT NULL, first INTEGER, retention INTEGER, durable_until INTEGER, "
    "accepted_until INTEGER, "
    "accepted_at INTEGER, server TEXT NOT NULL, states_at INTEGER, "
    "PRIMARY KEY (url, host)) WITHOUT ROWID",
    "own_mx": "(mx TEXT NOT NULL, port INTEGER NOT NULL, at INTEGER NOT NULL, "
    "findings TEXT NOT NULL, records INTEGER NOT NULL, matches INTEGER, ends INTEGER, "
    "ttl INTEGER NOT NULL, PRIMARY KEY (mx, port)) WITHOUT ROWID",
    "own_records": "(mx TEXT NOT NULL, port INTEGER NOT NULL, record TEXT NOT NULL, "
    "first INTEGER NOT NULL, last INTEGER NOT NULL, matched INTEGER, "
    "PRIMARY KEY (mx, port, record)) WITHOUT ROWID",
    "ahead": "(read_at INTEGER NOT NULL, at INTEGER NOT NULL, host TEXT NOT NULL, "
    "line TEXT NOT NULL, keys TEXT NOT NULL, times INTEGER NOT NULL, relay TEXT NOT NULL, "
    "protocol TEXT NOT NULL, key_exchange TEXT NOT NULL, warning TEXT NOT NULL)",
}
"""The tables as they are made; those of `_MISSING` gain a column for each category.

Each minute writes to the first ones, so that they share blocks of the disk.
"""

_MISSING = {
    "intervals": "INTEGER",
    "relays": "INTEGER NOT NULL DEFAULT 0",
    "relay_months": "INTEGER NOT NULL DEFAULT 0",
}
"""Tables with a column for each category -> its type; in older intervals a new one is unknown."""


def is_whole(execute: Execute) -> bool:
    """Return whether no table and no column is missing."""
    tables = {name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return tables.issuperset(_TABLES) and not _missing(execute)


def make(execute: Execute, *, is_new: bool) -> None:
    """Make the tables and columns that are missing: all, or what this version adds.

    Inside a transaction, because another writer of a new ledger may make them, too.
    """
    for name, definition in _TABLES.items():
        execute(f"CREATE TABLE IF NOT EXISTS {name} {definition}")
    for table, column in _missing(execute):
        execute(f"ALTER TABLE {table} ADD COLUMN {column} {_MISSING[table]}")
    if is_new:
        execute(f"PRAGMA application_id = {APPLICATION}")
        execute(f"PRAGMA user_version = {SCHEMA}")


def _missing(execute: Execute) -> list[tuple[str, str]]:
    """Return table and column of each that is missing."""
    return [
        (table, column)
        for table, kept in ((table, columns_of(execute, table)) for table in _MISSING)
        for column in COLUMNS
        if column not in kept
    ]


def columns_of(execute: Execute, table: str) -> set[str]:
    """Return the names of a table's columns."""
    return {row[1] for row in execute(f"PRAGMA table_info({table})")}
