"""rrdtool: the RRD follows the ledger; read series.

`rrdtool.update` is not atomic: a writer that is killed can leave an RRD that opens fine and is silently
wrong. So the ledger says before each update what will be written, and after it what has been; an RRD found
in between is taken from its snapshot and the ledger is written onto it once more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import tzinfo
from itertools import chain
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import rrdtool

from .counted import COUNTED
from .errors import StoreError, reason
from .ledger import Gap, Ledger
from .series import ARCHIVES, DAY, HOUR, MINUTE, PEAKS, UNKNOWN, Row, Series, Span, together

OBSERVED = "observed"
"""A data source of its own: 1 for each step of which the log was read, so that unknown is not zero."""

SOURCES = (*(each.source for each in COUNTED), OBSERVED)

_AT_ONCE = 500
"""Values in one call of rrdtool.update: 400,000 crash it, a few hundred cost a microsecond each."""

_PATIENCE = 5.0
"""Seconds to wait for a lock: rrdtool's readers lock too, for milliseconds."""

_ALIGNED = DAY
"""An RRD begins at a border of its coarsest rows, else the first of them is unknown."""

_RETAINED = 8 * DAY
"""Seconds of intervals that the ledger keeps although a snapshot holds them: for an older snapshot or RRD."""


_AWAY = "move it away, then it is made anew from what is kept beside it"


class _Facts(NamedTuple):
    last: int
    sources: tuple[str, ...]


class _Damaged(StoreError):
    """What stands there is no whole RRD: torn by a crash, or somebody else's."""


class Store:
    """The RRD in `state_dir`, its snapshot, and what the ledger says of both."""

    def __init__(self, state_dir: str, step: int) -> None:
        self.path = os.path.join(state_dir, "outbound.rrd")
        self.snapshot_path = self.path + ".snapshot"
        self.step = step
        self.notices: list[str] = []
        """What was out of the ordinary, one sentence each; the caller takes them."""
        self._making = os.path.join(state_dir, "making")
        self._known = False
        """Whether an RRD was there and was found to be ours."""

    # ---- writing ----

    def settle(self, ledger: Ledger) -> None:
        """Make RRD and ledger agree, whatever happened to either; raises StoreError where nothing sure can be done."""
        if ledger.get("rebuilt"):
            self._give_way(ledger)
        written, writing = ledger.get("written"), ledger.get("writing")
        facts, why = None, "was gone"
        try:
            facts = self._facts(self.path, writing=True)
        except _Damaged:
            if written is None or writing is None:
                raise
            why = "was torn when its writer was stopped"
        if facts and set(SOURCES) - set(facts.sources):
            replace(self._copied(self.path), self.path)
        last = facts.last if facts else 0
        if last == written and writing is None:
            return
        kept = self._whole(self.snapshot_path)
        if kept > (written or 0) or last > max(written or 0, writing or 0):
            self._adopt(ledger, last, kept)
        elif written is not None:
            self._recover(ledger, why if facts is None else "was older than the ledger" if last < written else "")

    def follow(self, ledger: Ledger, now: int, grace: int) -> int:
        """Write the closed intervals of the ledger into the RRD, quiet ones as zeros; say how many."""
        reached, begin = ledger.get("reached"), ledger.get("begin")
        if reached is None or begin is None:
            return 0
        written = ledger.get("written")
        start = begin if written is None else written
        until: int = min(reached, (now - grace) // self.step * self.step)
        if until <= start:
            return 0
        forgotten = ledger.get("forgotten")
        if written is not None and forgotten is not None and not forgotten <= self._whole(self.snapshot_path) <= written:
            self._snapshot()  # without one an update that is cut off could not be mended
        with ledger.transaction():
            ledger.set("writing", until)
        if written is None:
            fresh = self._create(begin)
            self._write(fresh, ledger, start, until)
            replace(fresh, self.path)
        else:
            self._write(self.path, ledger, start, until)
        with ledger.transaction():
            ledger.set("written", until)
            ledger.set("writing", None)
        steps: int = (until - start) // self.step
        return steps

    def take_snapshot(self, ledger: Ledger, now: int, *, every: int = DAY) -> None:
        """Copy the RRD aside once in a while, so that the ledger may forget what both hold."""
        written, taken = ledger.get("written"), ledger.get("snapshot_at")
        if written is None or (taken is not None and 0 <= now - taken < every):
            return
        if taken is None and written - ledger.get("begin", written) < every:
            return  # the ledger still holds everything
        before = ledger.get("snapshot")
        self._snapshot()
        with ledger.transaction():
            ledger.set("snapshot", written)
            ledger.set("snapshot_at", now)
            if before is not None:
                ledger.forget(min(before, written - _RETAINED))

    def _snapshot(self) -> None:
        if not self._whole(self.snapshot_path):
            self._aside(self.snapshot_path)
        replace(self._copied(self.path), self.snapshot_path)

    def _recover(self, ledger: Ledger, why: str) -> None:
        """Put a true RRD into place: one that is older, or a new one, with the ledger written onto it."""
        fresh, start = self._base(ledger, why or "was torn when its writer was stopped")
        self._write(fresh, ledger, start, ledger.get("written"))
        if why:
            self._aside(self.path)
        replace(fresh, self.path)
        with ledger.transaction():
            ledger.set("writing", None)
        if why:
            self.notices.append(f"{self.path} {why}: made anew from what is kept beside it, nothing is lost.")

    def _base(self, ledger: Ledger, why: str) -> tuple[str, int]:
        """A new file that the ledger can bring up to date, and up to when it is written."""
        begin, written, forgotten = ledger.get("begin"), ledger.get("written"), ledger.get("forgotten")
        since = begin if forgotten is None else forgotten
        if since <= (kept := self._whole(self.snapshot_path)) <= written:
            return self._copied(self.snapshot_path), kept
        if forgotten is None:
            return self._create(begin), begin
        # An update never takes the time of the last one back: what is older was restored, and is whole.
        if since <= (last := self._whole(self.path)) < written:
            return self._copied(self.path), last
        raise StoreError(
            f"{self.path} {why} and {self.snapshot_path} cannot replace it; "
            "restore one of them from a backup, or run `dane-mailgraph import --rebuild` with all the logs you have."
        )

    def _adopt(self, ledger: Ledger, last: int, kept: int) -> None:
        """Take what the RRD or its snapshot hold beyond the ledger as counted: the ledger was lost, or is an old one."""
        if kept > last:
            self._aside(self.path)
            replace(self._copied(self.snapshot_path), self.path)
        else:  # first, because without it an RRD that is torn later could not be mended
            self._snapshot()
        newest = max(last, kept)
        with ledger.transaction():
            ledger.forget(newest)
            ledger.set("begin", ledger.get("begin", newest))
            ledger.set("reached", max(newest, ledger.get("reached", newest)))
            ledger.set("written", newest)
            ledger.set("writing", None)
            ledger.set("horizon", newest)
            ledger.set("snapshot", newest)
        self.notices.append(f"{self.path} holds more than {ledger.path}: counting goes on where the RRD ends.")

    def _give_way(self, ledger: Ledger) -> None:
        """The ledger was made anew from the logs: what was written of the one before it is not its own."""
        self._aside(self.path)
        self._aside(self.snapshot_path)
        with ledger.transaction():
            ledger.set("rebuilt", None)

    def _aside(self, path: str) -> None:
        if os.path.lexists(path):
            try:
                os.rename(path, unused(path + ".aside"))
            except OSError as error:
                raise StoreError(f"{path} cannot be put aside: {reason(error)}; look at its permissions.") from error

    def _whole(self, path: str) -> int:
        """Up to when an RRD is written; 0 where none is, or a damaged one."""
        try:
            facts = self._facts(path)
        except _Damaged:
            return 0
        return facts.last if facts else 0

    # ---- RRDs in the making ----

    def _fresh(self) -> str:
        """Where an RRD is made before it takes its place; what a killed writer left there is dropped."""
        try:
            os.makedirs(self._making, exist_ok=True)
            for each in os.listdir(self._making):  # rrdtool makes files beside its own, too
                os.unlink(os.path.join(self._making, each))
        except OSError as error:
            raise StoreError(f"{self._making} cannot be written: {reason(error)}; look at its permissions.") from error
        return os.path.join(self._making, "outbound.rrd")

    def _copied(self, path: str) -> str:
        """A copy, with the data sources of this version."""
        fresh = self._fresh()
        try:
            with open(path, "rb") as source, open(fresh, "wb") as file:
                while block := source.read(1 << 20):
                    file.write(block)
        except OSError as error:
            with suppress(OSError):
                os.unlink(fresh)
            raise StoreError(f"{path} cannot be copied to {fresh}: {reason(error)}; look at the free space.") from error
        facts = self._facts(fresh)
        missing = [source for source in SOURCES if facts and source not in facts.sources]
        if missing:
            self._call(rrdtool.tune, fresh, *(self._source(source) for source in missing))
        return fresh

    def _source(self, name: str) -> str:
        # ABSOLUTE: the only type whose totals stay exact at every resolution (measured: below 3e-16).
        return f"DS:{name}:ABSOLUTE:{2 * self.step}:0:U"

    def _create(self, begin: int) -> str:
        """A new RRD, filled up to `begin` with what is not observed."""
        start = begin - begin % _ALIGNED
        archives = [f"RRA:{kind}:0:{steps}:{rows}" for kind, steps, rows in self._schema()]
        fresh = self._fresh()
        self._call(rrdtool.create, fresh, "--step", str(self.step), "--start", str(start), *map(self._source, SOURCES), *archives)
        nothing = ":".join("0" for _ in SOURCES)
        self._update(fresh, (f"{at + self.step}:{nothing}" for at in range(start, begin, self.step)))
        return fresh

    def _schema(self) -> list[tuple[str, int, int]]:
        """Kind, steps in a row and rows of each archive.

        Their xff is 0: a broken rule shows as unknown, it is never a total that was scaled in silence.
        """
        all_of_them = [*(("AVERAGE", *each) for each in self._archives().items()), ("MAX", HOUR, PEAKS.kept)]
        return [(kind, seconds // self.step, kept // seconds) for kind, seconds, kept in all_of_them]

    def _write(self, path: str, ledger: Ledger, start: int, until: int) -> None:
        self._update(path, self._values(ledger, start, until))
        _sync(path)

    def _values(self, ledger: Ledger, start: int, until: int) -> Iterator[str]:
        """One value a step, each stamped with the end of its interval (rrdtool's time)."""
        gaps = ledger.gaps(start, until)
        zeros = ":".join("0" for _ in COUNTED)
        at = start
        for begin, counts in chain(ledger.intervals(start, until), [(until, ())]):
            for quiet in range(at, begin, self.step):
                yield f"{quiet + self.step}:{zeros}:{_observed(gaps, quiet)}"
            if counts:
                # Observed in any case: what was counted in it was read, even where the rest of it is lost.
                yield f"{begin + self.step}:{':'.join('U' if n is None else str(n) for n in counts)}:1"
            at = begin + self.step

    def _update(self, path: str, values: Iterator[str]) -> None:
        template = ["--template", ":".join(SOURCES)]
        batch: list[str] = []
        for value in values:
            batch.append(value)
            if len(batch) == _AT_ONCE:
                self._call(rrdtool.update, path, *template, *batch)
                batch.clear()
        if batch:
            self._call(rrdtool.update, path, *template, *batch)

    # ---- reading ----

    @property
    def last(self) -> int | None:
        """Up to when the RRD is written, epoch seconds; None where there is none yet."""
        facts = self._facts(self.path)
        self._known = facts is not None
        return facts.last if facts else None

    @property
    def _last(self) -> int:
        """The same without another look at all that the RRD says of itself: a tenth of the time. 0 where there is none."""
        return int(self._call(rrdtool.last, self.path)) if self._known else self.last or 0

    def rows(self, archive: int, start: int, until: int) -> list[Row]:
        """The counts of [start, until), a row for each `archive` seconds; both are multiples of it.

        A row that is not over yet is put together from the steps there are of it.
        """
        last = self._last
        complete = last - last % archive
        rows = self._fetch(archive, start, min(until, complete))
        if until > complete and start < last:
            begin = max(start, complete)
            rows += [together(self._fetch(self.step, begin, last))] if archive > self.step else []
        return rows + [UNKNOWN] * ((until - start) // archive - len(rows))

    def covering(self, start: int) -> int:
        """Seconds in a row of the finest archive that reaches back to `start`."""
        last = self._last
        for seconds, kept in self._archives().items():
            if start >= last - last % seconds - kept + seconds:
                return seconds
        return DAY

    def series(self, span: Span, at: int) -> Series:
        """The series of a span that ends at a time; its last bucket is the one that this is in, counted up to it."""
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
        most = _most(row.counts for row in rows) if archive == self.step else self._busiest(start, min(end, last))
        peaks = {row: None if n is None else n * MINUTE / self.step for row, n in zip(COUNTED, most, strict=True)}
        return Series.of(start, bucket, buckets, peaks, min(last, end) if last > start else None)

    def _archives(self) -> dict[int, int]:
        """Seconds in a row -> seconds kept, finest first."""
        return {row or self.step: kept for row, kept in ARCHIVES}

    def _busiest(self, start: int, until: int) -> list[int | None]:
        """The most in one step of [start, until): the busiest of each hour, of the last hour all."""
        full = max(start, until - until % HOUR)
        rows = [self._most_of_hours(start, full), *(row.counts for row in self._fetch(self.step, full, until))]
        return _most(rows)

    def _most_of_hours(self, start: int, until: int) -> list[int | None]:
        last = self._last
        begin = max(start, last - last % HOUR - PEAKS.kept // HOUR * HOUR)
        if begin >= until:
            return [None] * len(COUNTED)
        *columns, _ = zip(*self._values_of("MAX", HOUR, begin, until), strict=True)
        most = [_largest(column) for column in columns]
        return [None if rate is None else round(rate * self.step) for rate in most]

    def _fetch(self, archive: int, start: int, until: int) -> list[Row]:
        """Rows of one archive, as counts."""
        last = self._last if start < until else 0
        oldest = last - last % archive - self._archives()[archive] // archive * archive
        before = [UNKNOWN] * max(0, (min(oldest, until) - start) // archive)
        begin = start + len(before) * archive
        if begin >= until:
            return before
        rows = []
        for value in self._values_of("AVERAGE", archive, begin, until):
            *counts, observed = [None if rate is None else round(rate * archive) for rate in value]
            rows.append(Row(observed * self.step, tuple(counts)) if observed else UNKNOWN)
        return before + rows

    def _values_of(self, kind: str, archive: int, start: int, until: int) -> list[tuple[float | None, ...]]:
        """Rates a second of one archive, in the order of `SOURCES`."""
        (got, _, step), names, values = self._call(
            rrdtool.fetch, self.path, kind, "-s", str(start), "-e", str(until - archive), "-r", str(archive)
        )
        if (got, step, len(values)) != (start, archive, (until - start) // archive):
            raise StoreError(f"{self.path} has no rows of {archive} seconds at {start}; it is not of this version, move it away.")
        if tuple(names) == SOURCES:
            return list(values)
        places = [names.index(source) if source in names else None for source in SOURCES]
        return [tuple(None if place is None else value[place] for place in places) for value in values]

    # ---- drawing ----

    def graph(self, arguments: list[str], zone: tzinfo | None) -> bytes:
        """The PNG that `rrdtool graph` makes of these arguments, its times in that zone; raises StoreError."""
        before = os.environ.get("TZ")
        try:
            if isinstance(zone, ZoneInfo):  # rrdtool knows no zone but the process's
                os.environ["TZ"] = zone.key
                time.tzset()
            image: bytes = self._call(rrdtool.graphv, "-", *arguments)["image"]
            return image
        finally:
            if before is None:
                os.environ.pop("TZ", None)
            else:
                os.environ["TZ"] = before
            time.tzset()

    # ---- rrdtool ----

    def _facts(self, path: str, *, writing: bool = False) -> _Facts | None:
        """What an RRD says of itself; None where there is none. Raises StoreError for what is not ours."""
        try:
            with open(path, "r+b" if writing else "rb") as file:
                magic = file.read(4)
        except FileNotFoundError:
            return None
        except OSError as error:
            how = "written" if writing else "read"
            raise StoreError(f"{path} cannot be {how}: {reason(error)}; look at its permissions.") from error
        if magic != b"RRD\0":
            raise _Damaged(f"{path} is no RRD; {_AWAY}.")
        try:
            info = self._call(rrdtool.info, path)
        except StoreError as error:
            if "could not lock" in str(error):
                raise
            raise _Damaged(f"{path} is damaged: {error.__cause__}; {_AWAY}.") from error
        step = int(info["step"])
        if step != self.step:
            raise StoreError(
                f"{path} has steps of {step} seconds, the setting step says {self.step}; set it back, or use another state_dir."
            )
        sources = tuple(key[3:-7] for key in info if key.startswith("ds[") and key.endswith("].index"))
        kinds = {info[f"ds[{source}].type"] for source in sources}
        numbers = range(sum(key.endswith("].cf") for key in info))
        archives = [tuple(info[f"rra[{n}].{each}"] for each in ("cf", "pdp_per_row", "rows")) for n in numbers]
        if not {OBSERVED} <= set(sources) <= set(SOURCES) or kinds != {"ABSOLUTE"} or archives != self._schema():
            raise StoreError(
                f"{path} has other data sources or archives than this version's; "
                "use the version that wrote it, or another state_dir."
            )
        return _Facts(int(info["last_update"]), sources)

    def _call(self, function: Callable[..., Any], path: str, *arguments: str) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return function(path, *arguments)
            except (rrdtool.OperationalError, rrdtool.ProgrammingError) as error:
                said = str(error)
                if "could not lock" in said and time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                # An empty text is what librrd 1.7.2 says of a full disk.
                why = said.replace(f"'{path}'", "it").rstrip(".") or "no space left on the device"
                raise StoreError(
                    f"{path} cannot be read or written: {why}; look at its permissions and at the free space."
                ) from error


def _largest(column: tuple[float | None, ...]) -> float | None:
    try:
        # What is unknown is rare, and looking for it takes as long as all the rest.
        return max(column)  # type: ignore[type-var]
    except TypeError:
        return max((rate for rate in column if rate is not None), default=None)


def _most(rows: Iterable[Sequence[int | None]]) -> list[int | None]:
    """The largest of each column."""
    columns = zip((None,) * len(COUNTED), *rows, strict=True)
    return [max((n for n in column if n is not None), default=None) for column in columns]


def _observed(gaps: list[Gap], at: int) -> str:
    return "0" if any(gap.start <= at < gap.until for gap in gaps) else "1"


# ---- files ----


def unused(path: str) -> str:
    """A name that begins so and is nobody's."""
    number = 1
    while os.path.lexists(f"{path}-{number}"):
        number += 1
    return f"{path}-{number}"


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {reason(error)}; look at the free space and the disk.") from error


def replace(fresh: str, path: str) -> None:
    """Put a whole file into place, durably."""
    _sync(fresh)
    try:
        os.replace(fresh, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {reason(error)}; look at the permissions of its directory.") from error
    _sync(os.path.dirname(path) or ".")
