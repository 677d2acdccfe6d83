"""sqlite3: what has been counted and how far the log has been read, in one transaction.

The ledger is the commit point of everything: counts and bookmark change together or not at all. It
keeps its intervals until a snapshot of the RRD holds them, and at least eight days.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

from ..categories import CATEGORIES, HAS_TLS_FIELD, Category
from ..counts import Interval
from ..errors import BusyError, ConfigError, NothingCountedError, StoreError, reason
from ..files import refuse_link
from ..omissions import NOTHING_OMITTED
from ..times import HOUR
from . import schema
from .state import State


class Gap(NamedTuple):
    """A stretch of time whose log is lost: unknown, not zero."""

    start: int
    until: int


def ledger_path(state_dir: str) -> str:
    """Return the path of a store's ledger."""
    return os.path.join(state_dir, "ledger.sqlite")


class Ledger:
    """What has been counted. Use it in a `with`, and write inside `transaction()` only."""

    def __init__(self, path: str, *, writable: bool) -> None:
        """Open the ledger; a writer makes it where there is none. Raises StoreError, BusyError."""
        self.path = path
        self._writable = writable
        self._state: State | None = None
        """As loaded or saved last, of a writer only: no other program changes it meanwhile."""
        self._stored: State | None = None
        """As the file has it; `_state` may be newer until the next transaction ends."""
        with _translating_errors(path):
            if not writable:
                _must_be_there(path)
            _must_be_no_link(path)
            quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
            uri = f"file:{quoted}?mode={'rwc' if writable else 'rw'}"
            self._db = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None)
            try:
                self._check(writable)
            except BaseException:
                self._db.close()
                raise
        self._identity = _identity(path)

    def _check(self, writable: bool) -> None:
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        empty = not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if application != schema.APPLICATION and (application or not empty):
            raise StoreError(
                f"{self.path} is no ledger of dane-mailgraph; move it away, "
                "or name another state_dir."
            )
        if empty and not writable:
            raise _nothing_yet(self.path)
        if not empty and version != schema.SCHEMA:
            raise StoreError(
                f"{self.path} is of version {version}, this program knows {schema.SCHEMA}; "
                "use the one that wrote it."
            )
        if empty:
            self._db.execute("PRAGMA page_size = 1024")
            self._db.execute("PRAGMA auto_vacuum = FULL")
        if writable:
            # One file that is whole after every commit, without a write-ahead log beside it.
            self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.execute("PRAGMA synchronous = EXTRA")
            if not schema.is_whole(self._db.execute):
                with self.transaction():
                    schema.make(self._db.execute, is_new=empty)
        columns = schema.columns_of(self._db.execute, "intervals")
        self._select = ", ".join(
            column if column in columns else f"NULL AS {column}" for column in schema.COLUMNS
        )

    @property
    def in_place(self) -> bool:
        """Whether the open file still has its name; if not, what is written is lost."""
        return _identity(self.path) == self._identity

    def require_counts(self) -> None:
        """Raise NothingCountedError where no log has been read yet, but other things are kept."""
        if not self.state.log_was_read:
            raise _nothing_yet(self.path, "holds no counts")

    def agree(self, step: int) -> None:
        """Remember the length of the intervals; raises ConfigError where it was another."""
        kept = self.state
        if kept.step not in (None, step) and kept.begin is not None:
            raise ConfigError(
                f"{self.path} counts in steps of {kept.step} seconds, "
                f"the setting step says {step}; set it back, or use another state_dir."
            )
        if kept.step != step:
            with self.transaction():
                self.save(kept._replace(step=step))

    def check_times(self, now: int) -> None:
        """Raise StoreError where a time of the state cannot be."""
        if what := self.state.nonsense(now):
            raise StoreError(
                f"{self.path} cannot be believed: {what}; set the clock, "
                "or move the ledger away or restore it from a backup."
            )

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            waits = self._state is not None and self._state != self._stored
            if waits and kind is None and self.in_place:
                with self.transaction():
                    """Write the state that waits for the next commit."""
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that is written inside durably at the end, or none of it."""
        with _translating_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            before: State | None = self._state
            try:
                yield
                before = None  # from here on only the file knows
                self._store_state()
                self._db.execute("COMMIT")
            except BaseException:
                self._state = before
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # ---- intervals ----

    def add(self, intervals: Iterable[Interval | tuple[int, tuple[int | None, ...]]]) -> None:
        """Add counts to their intervals; None is unknown, and leaves what is known as it is."""
        names = ", ".join(schema.COLUMNS)
        slots = ", ".join("?" * len(schema.COLUMNS))
        sums = ", ".join(
            f"{each} = coalesce({each} + excluded.{each}, {each}, excluded.{each})"
            for each in schema.COLUMNS
        )
        self._db.executemany(
            f"INSERT INTO intervals (start, {names}) VALUES (?, {slots}) "
            f"ON CONFLICT (start) DO UPDATE SET {sums}",
            ((start, *counts) for start, counts in intervals),
        )

    def intervals(self, start: int, until: int) -> Iterator[tuple[int, tuple[int | None, ...]]]:
        """Yield the intervals in [start, until) in which something was counted, in order."""
        with _translating_errors(self.path):
            for row in self._db.execute(
                f"SELECT start, {self._select} FROM intervals "
                "WHERE start >= ? AND start < ? ORDER BY start",
                (start, until),
            ):
                yield row[0], row[1:]

    def silences(self, start: int, until: int, seconds: int) -> list[tuple[int, int]]:
        """Return the stretches of [start, until) of at least so many seconds without a count.

        Each begins behind the start of an interval, the first one at `start`.
        """
        rows = self.read(
            "SELECT * FROM (SELECT start, lead(start, 1, ?2) OVER (ORDER BY start) AS next "
            "FROM intervals WHERE start >= ?1 AND start < ?2) WHERE next - start >= ?3",
            *(start, until, seconds),
        )
        ((first,),) = self.read(
            "SELECT coalesce(min(start), ?2) FROM intervals WHERE start >= ?1 AND start < ?2",
            *(start, until),
        )
        return [*([(start, first)] if first - start >= seconds else []), *rows]

    @property
    def newest(self) -> int | None:
        """Start of the newest interval in which something was counted."""
        with _translating_errors(self.path):
            newest: int | None = self._db.execute("SELECT max(start) FROM intervals").fetchone()[0]
            return newest

    def prune(self, before: int) -> None:
        """Drop the intervals that begin and the gaps that end before this time.

        Inside a transaction.
        """
        self._db.execute("DELETE FROM intervals WHERE start < ?", (before,))
        self._db.execute("DELETE FROM gaps WHERE until <= ?", (before,))
        self.save(self.state._replace(pruned_before=max(before, self.state.pruned_before or 0)))

    @property
    def changeable_from(self) -> int:
        """From when on intervals can still change, because the RRD can be rebuilt from there."""
        state = self.state
        if state.pruned_before is None:
            return 0
        return max(state.pruned_before, state.snapshot_until or 0)

    def mark_changed(self, start: int) -> None:
        """Remember that an interval changes which is in the RRD, or lies before all others."""
        state = self.state
        if state.rrd_until is not None:
            state = state._replace(rrd_stale_from=min(start, state.rrd_stale_from or start))
        if state.begin is not None:
            state = state._replace(begin=min(start, state.begin))
        self.save(state)

    # ---- gaps ----

    def mark_gap(self, gap: Gap) -> None:
        """Remember that the log of this time is lost."""
        self._db.execute(
            "INSERT INTO gaps VALUES (?, ?) "
            "ON CONFLICT (start) DO UPDATE SET until = max(until, excluded.until)",
            gap,
        )

    def gaps(self, start: int, until: int) -> list[Gap]:
        """Return the gaps that touch [start, until)."""
        with _translating_errors(self.path):
            rows = self._db.execute(
                "SELECT start, until FROM gaps WHERE until > ? AND start < ? ORDER BY start",
                (start, until),
            )
            return [Gap(*row) for row in rows]

    # ---- omissions ----

    def omit(self, counts: Mapping[str, int]) -> None:
        """Add to the omissions of these names; inside a transaction."""
        self._db.executemany(
            "INSERT INTO omissions VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
            [(name, count) for name, count in counts.items() if count],
        )

    def omitted(self, *, for_good: bool = False) -> dict[str, int]:
        """Name of each of the `OMISSIONS` -> how many there have been since counting began.

        With `for_good`, without lines whose time may yet come: that number never falls.
        """
        with _translating_errors(self.path):
            rows = self._db.execute("SELECT name, count FROM omissions").fetchall()
            ahead = self._db.execute("SELECT coalesce(sum(times), 0) FROM ahead").fetchone()[0]
        counts = NOTHING_OMITTED | dict(rows)
        return counts if for_good else counts | {"future": counts["future"] + ahead}

    # ---- by hour and by day ----

    def add_hours(self, counts: Mapping[tuple[int, str], int], before: int) -> None:
        """Add to omissions and warnings by hour, and drop what is older; inside a transaction."""
        self._db.executemany(
            "INSERT INTO hours VALUES (?, ?, ?) "
            "ON CONFLICT (hour, name) DO UPDATE SET count = count + excluded.count",
            [(hour, name, count) for (hour, name), count in counts.items() if count],
        )
        self._db.execute("DELETE FROM hours WHERE hour < ?", (before,))

    def hours(self, since: int, until: int) -> dict[str, int]:
        """Name of an omission or a warning -> how often in the hours that touch [since, until)."""
        return dict(
            self.read(
                "SELECT name, sum(count) FROM hours WHERE hour > ? AND hour < ? GROUP BY name",
                since - HOUR,
                until,
            )
        )

    def had_field(self, since: int, until: int) -> bool:
        """Return whether deliveries of the hours that touch [since, until) had the field `tls`."""
        return HAS_TLS_FIELD in self.hours(since, until)

    def add_rhythm(self, days: Iterable[tuple[int, int, int]]) -> None:
        """Add days: a number like 20261124, its events, its longest pause in seconds."""
        self._db.executemany(
            "INSERT INTO rhythm VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE SET "
            "events = events + excluded.events, "
            "longest_pause = max(longest_pause, excluded.longest_pause)",
            days,
        )

    def totals(self, since: int, until: int) -> dict[Category, int | None]:
        """Add up the intervals that begin in [since, until); None is unknown."""
        sums = ", ".join(f"sum({column})" for column in schema.COLUMNS)
        (row,) = self.read(
            f"SELECT {sums} FROM (SELECT {self._select} FROM intervals "
            "WHERE start >= ? AND start < ?)",
            since,
            until,
        )
        return dict(zip(CATEGORIES, row, strict=True))

    def last_interval(self, categories: Iterable[Category], since: int) -> int | None:
        """Return the start of the newest interval from `since` on that counted one of these."""
        counted = " + ".join(f"coalesce({each.data_source}, 0)" for each in categories)
        ((newest,),) = self.read(
            f"SELECT max(start) FROM (SELECT start, {self._select} FROM intervals "
            f"WHERE start >= ?) WHERE {counted} > 0",
            since,
        )
        found: int | None = newest
        return found

    # ---- other tables ----

    def read(self, query: str, *parameters: int | str | bytes) -> list[Any]:
        """Return the rows of a query, for the modules that own a table."""
        with _translating_errors(self.path):
            return self._db.execute(query, parameters).fetchall()

    def write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement for each of these rows, for the same modules; inside a transaction."""
        self._db.executemany(statement, rows)

    # ---- state and bookmarks ----

    @property
    def state(self) -> State:
        """How far everything is, by the last commit or this transaction; raises StoreError."""
        if self._state is not None:
            return self._state
        with _translating_errors(self.path):
            rows = self._db.execute("SELECT name, value FROM state").fetchall()
        try:
            state = State.parsed(rows)
        except ValueError as error:
            raise StoreError(
                f"{self.path} cannot be understood: {error}; "
                "move it away or restore it from a backup."
            ) from error
        if self._writable:
            self._state = self._stored = state
        return state

    def save(self, state: State) -> None:
        """Replace the state; the end of a transaction writes it, of this one or the next."""
        if state != self.state:
            self._state = state

    def _store_state(self) -> None:
        if self._state is None or self._stored is None or self._state == self._stored:
            return
        self._db.executemany(
            "INSERT INTO state VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            self._state.changes(self._stored),
        )
        self._stored = self._state

    @contextmanager
    def refusing_nonsense(self) -> Iterator[None]:
        """Read a value of the state or a bookmark inside; raises StoreError for nonsense."""
        try:
            yield
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise StoreError(
                f"{self.path} cannot be understood: {reason(error)}; "
                "move it away or restore it from a backup."
            ) from error

    def bookmark(self, log: str) -> Any:
        """Return how far this log has been read, as its `Source` keeps it; None if it never was."""
        with _translating_errors(self.path):
            row = self._db.execute("SELECT value FROM bookmarks WHERE log = ?", (log,)).fetchone()
        with self.refusing_nonsense():
            return json.loads(row[0]) if row else None

    def set_bookmark(self, log: str, value: Any) -> None:
        """Remember how far this log has been read, a value for JSON; inside a transaction."""
        self._db.execute(
            "INSERT INTO bookmarks VALUES (?, ?) "
            "ON CONFLICT (log) DO UPDATE SET value = excluded.value",
            (log, json.dumps(value)),
        )


@contextmanager
def _translating_errors(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise BusyError(
                f"{path} is in use by another program: {error}; try again when it has finished."
            ) from error
        raise StoreError(
            f"{path} cannot be read or written: {error}; "
            "look at its permissions and at the free space."
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} cannot be understood: {error}; move it away or restore it from a backup."
        ) from error


def _must_be_there(path: str) -> None:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _nothing_yet(path) from error
    except OSError as error:
        barred = isinstance(error, PermissionError)
        step = (
            "run this as root or as a user of the group of its folder"
            if barred
            else "look at its permissions"
        )
        raise StoreError(f"{path} cannot be read: {reason(error)}; {step}.") from error


def _must_be_no_link(path: str) -> None:
    try:
        refuse_link(path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {reason(error)}; put the file itself there, "
            "or make the whole folder a link."
        ) from error


def _nothing_yet(path: str, why: str = "is not there") -> NothingCountedError:
    return NothingCountedError(
        f"{path} {why}: nothing has been counted yet; "
        "run `dane-mailgraph doctor` to see why, or count a log with `collect` or `import`."
    )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
