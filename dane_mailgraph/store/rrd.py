"""Make, write and read an RRD of our data sources and archives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from ..categories import CATEGORIES
from ..errors import StoreError, reason
from ..files import no_link
from ..times import DAY, HOUR, MINUTE
from . import librrd, rrd_file
from .series import ARCHIVES, PEAKS, UNKNOWN, Row, Series, Span, together

OBSERVED = "observed"
"""The data source that is 1 for each step whose log was read: unknown is not zero."""

SOURCES = (*(each.data_source for each in CATEGORIES), OBSERVED)

_AT_ONCE = 500
"""Values in one call of update: 400,000 crash it, a few hundred cost a microsecond each."""

_ALIGNED = DAY
"""Seconds. An RRD begins where a coarsest row begins, else the first one is unknown."""

_Number = TypeVar("_Number", int, float)

_AWAY = "move it away, then it is made anew from what is kept beside it"


class Facts(NamedTuple):
    """What an RRD says of itself."""

    last: int
    """Up to when it is written, epoch seconds."""
    sources: tuple[str, ...]


class DamagedError(StoreError):
    """The file is no whole RRD: torn by a crash, or overwritten."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} {why}; {_AWAY}.")
        self.why = why


class ForeignError(StoreError):
    """The file is an RRD, and none of ours."""


class RRD:
    """The file at `path`, where there is one."""

    def __init__(self, path: str, step: int) -> None:
        self.path, self.step = path, step
        self._ours: tuple[tuple[int, int], tuple[str, ...]] | None = None
        """Device and inode of the file that was found to be ours, and its data sources."""

    # ---- what it is ----

    def facts(self, *, writing: bool = False) -> Facts | None:
        """Return what it says of itself, or None without a file; raises StoreError if not ours."""
        try:
            with open(self.path, "r+b" if writing else "rb", opener=no_link) as file:
                magic, status = file.read(4), os.fstat(file.fileno())
        except FileNotFoundError:
            return None
        except OSError as error:
            how = "written" if writing else "read"
            raise StoreError(
                f"{self.path} cannot be {how}: {reason(error)}; look at its permissions."
            ) from error
        if magic != b"RRD\0":
            raise DamagedError(self.path, "is no RRD")
        identity = status.st_dev, status.st_ino
        try:
            # Debian's binding leaves a kilobyte behind at each `info`, so a file is described once.
            if not self._ours or self._ours[0] != identity:
                self._ours = identity, self._check(librrd.describe(self.path))
            return Facts(int(librrd.call("last", self.path)), self._ours[1])
        except StoreError as error:
            if error.__cause__ is None or "could not lock" in str(error):
                raise
            said = str(error.__cause__).replace(f"'{self.path}'", "it").rstrip(".")
            raise DamagedError(self.path, f"is damaged ({said})") from error

    def _check(self, info: dict[str, Any]) -> tuple[str, ...]:
        """Return the data sources of an RRD of ours; raises StoreError for another."""
        step = int(info["step"])
        if step != self.step:
            raise ForeignError(
                f"{self.path} has steps of {step} seconds, the setting step says {self.step}; "
                "set it back, or use another state_dir."
            )
        sources = tuple(
            key[3:-7] for key in info if key.startswith("ds[") and key.endswith("].index")
        )
        kinds = {info[f"ds[{source}].type"] for source in sources}
        numbers = range(sum(key.endswith("].cf") for key in info))
        archives = [
            tuple(info[f"rra[{n}].{each}"] for each in ("cf", "pdp_per_row", "rows"))
            for n in numbers
        ]
        if (
            not {OBSERVED} <= set(sources) <= set(SOURCES)
            or kinds != {"ABSOLUTE"}
            or archives != self._schema()
        ):
            raise ForeignError(
                f"{self.path} has other data sources or archives than this version's; "
                "use the version that wrote it, or another state_dir."
            )
        return sources

    def whole_until(self) -> int:
        """Return up to when it is written; 0 if it is missing or damaged."""
        try:
            facts = self.facts()
        except DamagedError:
            return 0
        return facts.last if facts else 0

    def checksum(self) -> int | None:
        """Return a number that two of ours share if they hold the same; None for a damaged one."""
        return rrd_file.checksum(self.path, len(SOURCES), [rows for _, _, rows in self._schema()])

    # ---- making and writing ----

    def create(self, begin: int) -> None:
        """Make it, filled up to `begin` with steps that were not observed."""
        start = begin - begin % _ALIGNED
        # librrd holds all rows in memory while it makes them: 30 MB.
        self._make(start, [(kind, steps, 1) for kind, steps, _ in self._schema()])
        if not rrd_file.lengthen(self.path, len(SOURCES), self._schema()):
            os.unlink(self.path)
            self._make(start, self._schema())
        nothing = ":".join("0" for _ in SOURCES)
        self.update(f"{at + self.step}:{nothing}" for at in range(start, begin, self.step))

    def _make(self, start: int, archives: list[tuple[str, int, int]]) -> None:
        librrd.call(
            "create",
            self.path,
            *("--step", str(self.step), "--start", str(start)),
            *map(self._source, SOURCES),
            *(f"RRA:{kind}:0:{steps}:{rows}" for kind, steps, rows in archives),
        )

    def complete(self) -> None:
        """Add the data sources of this version that it lacks."""
        facts = self.facts()
        missing = [source for source in SOURCES if facts and source not in facts.sources]
        if missing:
            librrd.call("tune", self.path, *(self._source(source) for source in missing))

    def _source(self, name: str) -> str:
        # ABSOLUTE: only its totals stay exact at every resolution (measured: below 3e-16).
        return f"DS:{name}:ABSOLUTE:{2 * self.step}:0:U"

    def _schema(self) -> list[tuple[str, int, int]]:
        """Kind, steps in a row and rows of each archive.

        Their xff is 0: a fault then shows as unknown, and never as a scaled total.
        """
        all_of_them = [
            *(("AVERAGE", *each) for each in self._archives().items()),
            ("MAX", HOUR, PEAKS.kept),
        ]
        return [
            (kind, seconds // self.step, kept // seconds) for kind, seconds, kept in all_of_them
        ]

    def update(self, values: Iterable[str]) -> None:
        """Write a value for each step, oldest first: `END:COUNT:COUNT...`, as in `SOURCES`."""
        template = ["--template", ":".join(SOURCES)]
        batch: list[str] = []
        for value in values:
            batch.append(value)
            if len(batch) == _AT_ONCE:
                librrd.call("update", self.path, *template, *batch)
                batch.clear()
        if batch:
            librrd.call("update", self.path, *template, *batch)

    def update_at_once(self, start: int, until: int, *, observed: bool) -> None:
        """Write [start, until) without any count, in one update instead of one for each step."""
        steps = (until - start) // self.step
        self._tune(until - start + self.step)
        zeros = ["0"] * (len(SOURCES) - 1)
        self.update([":".join((str(until), *zeros, str(steps if observed else 0)))])
        self._tune(2 * self.step)

    def _tune(self, longest: int) -> None:
        """Set for how many seconds one update may speak."""
        librrd.call("tune", self.path, *(f"--heartbeat={source}:{longest}" for source in SOURCES))

    # ---- reading ----

    @property
    def last(self) -> int | None:
        """Up to when it is written, epoch seconds; None where there is no RRD yet."""
        facts = self.facts()
        return facts.last if facts else None

    @property
    def _last(self) -> int:
        """The same without `facts`, in a tenth of the time; 0 where there is no RRD."""
        return int(librrd.call("last", self.path)) if self._ours else self.last or 0

    def rows(self, archive: int, start: int, until: int) -> list[Row]:
        """Return the counts of [start, until), multiples of `archive`, a row for so many seconds.

        A row that is not over yet is the sum of its steps so far.
        """
        last = self._last
        complete = last - last % archive
        rows = self._fetch(archive, start, min(until, complete))
        if until > complete and start < last:
            begin = max(start, complete)
            rows += [together(self._fetch(self.step, begin, last))] if archive > self.step else []
        return rows + [UNKNOWN] * ((until - start) // archive - len(rows))

    def finest(self, start: int) -> Iterator[tuple[int, Row]]:
        """Yield the counts from `start` on as finely as they are kept: a row's end, and the row.

        The first row may begin before `start`; what is older than the RRD is left out.
        """
        last = self._last
        lengths = list(self._archives().items())[::-1]
        begins = [max(start, last - last % row - kept + row) for row, kept in lengths]
        at = 0
        for (row, _), begin, finer in zip(lengths, begins, (*begins[1:], last), strict=True):
            # One takes over from the next where a row of that begins.
            end = finer + -finer % row if start < finer < last else finer
            at = max(at, begin - begin % row)
            if at < end and begin < finer:
                yield from zip(range(at + row, end + 1, row), self.rows(row, at, end), strict=True)
                at = end

    def covering(self, start: int) -> int:
        """Return the seconds in a row of the finest archive that reaches back to `start`."""
        last = self._last
        for seconds, kept in self._archives().items():
            if start >= last - last % seconds - kept + seconds:
                return seconds
        return DAY

    def series(self, span: Span, at: int) -> Series:
        """Return the series of a span that ends at `at`; its last bucket may be counted in part."""
        bucket = -(-span.bucket // self.step) * self.step
        full = at - at % bucket
        until = full if full == at else full + bucket
        start = until - span.seconds // bucket * bucket
        archive = max(each for each in self._archives() if bucket % each == 0)
        rows = self.rows(archive, start, full)
        each = bucket // archive
        buckets = [together(rows[n : n + each]) for n in range(0, len(rows), each)]
        end = -(-at // self.step) * self.step
        if full < end:
            rest = self.rows(self.step, full, end)
            buckets.append(together(rest))
            rows = rows + rest
        last = self._last
        most = (
            _most(row.counts for row in rows)
            if archive == self.step
            else self._busiest(start, min(end, last))
        )
        peaks = {
            row: None if n is None else n * MINUTE / self.step
            for row, n in zip(CATEGORIES, most, strict=True)
        }
        return Series.of(start, bucket, buckets, peaks, min(last, end) if last > start else None)

    def _archives(self) -> dict[int, int]:
        """Return seconds in a row -> seconds kept, finest first."""
        return {row or self.step: kept for row, kept in ARCHIVES}

    def _busiest(self, start: int, until: int) -> list[int | None]:
        """Return the most in one step of [start, until): by hours, the last hour by steps."""
        full = max(start, until - until % HOUR)
        rows = [
            self._most_of_hours(start, full),
            *(row.counts for row in self._fetch(self.step, full, until)),
        ]
        return _most(rows)

    def _most_of_hours(self, start: int, until: int) -> list[int | None]:
        last = self._last
        begin = max(start, last - last % HOUR - PEAKS.kept // HOUR * HOUR)
        if begin >= until:
            return [None] * len(CATEGORIES)
        # Whole days are reduced by rrdtool: a year of hours would be a million numbers.
        first, end = begin + -begin % DAY, until - until % DAY
        parts = (
            ((HOUR, begin, first), (DAY, first, end), (HOUR, end, until))
            if first < end
            else ((HOUR, begin, until),)
        )
        rates = chain.from_iterable(
            self._values_of("MAX", *part) for part in parts if part[1] < part[2]
        )
        *columns, _ = zip(*rates, strict=True)
        most = [_largest(column) for column in columns]
        return [None if rate is None else round(rate * self.step) for rate in most]

    def _fetch(self, archive: int, start: int, until: int) -> list[Row]:
        """Return the rows of one archive, as counts."""
        last = self._last if start < until else 0
        oldest = last - last % archive - self._archives()[archive] // archive * archive
        before = [UNKNOWN] * max(0, (min(oldest, until) - start) // archive)
        begin = start + len(before) * archive
        if begin >= until:
            return before
        rows = []
        for value in self._values_of("AVERAGE", archive, begin, until):
            *counts, observed = _round(value, archive)
            rows.append(Row(observed * self.step, tuple(counts)) if observed else UNKNOWN)
        return before + rows

    def _values_of(
        self, kind: str, archive: int, start: int, until: int
    ) -> list[tuple[float | None, ...]]:
        """Rates a second of one archive, in the order of `SOURCES`."""
        facts = self.facts()
        there = facts.sources if facts else SOURCES
        if there == SOURCES:
            return librrd.rates(self.path, kind, archive, start, until, SOURCES)
        places = [there.index(source) if source in there else None for source in SOURCES]
        values = librrd.rates(self.path, kind, archive, start, until, there)
        return [
            tuple(None if place is None else value[place] for place in places) for value in values
        ]


def _round(rates: tuple[float | None, ...], seconds: int) -> list[int | None]:
    try:
        # As with `_largest`.
        return list(map(round, [rate * seconds for rate in rates]))  # type: ignore[operator]
    except TypeError:
        return [None if rate is None else round(rate * seconds) for rate in rates]


def _largest(column: tuple[_Number | None, ...]) -> _Number | None:
    try:
        # Unknown rates are rare, and looking for them takes as long as all the rest.
        return max(column)  # type: ignore[type-var]
    except TypeError:
        return max((rate for rate in column if rate is not None), default=None)


def _most(rows: Iterable[Sequence[int | None]]) -> list[int | None]:
    """Return the largest of each column."""
    return [_largest(column) for column in zip(*rows, strict=True)] or [None] * len(CATEGORIES)
