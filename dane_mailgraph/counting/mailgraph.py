"""Carry the counts of a mailgraph patched for DANE from its RRD into an empty ledger.

The older its rows, the coarser they are, so one row becomes many intervals of ours. Its whole count
is spread as evenly as whole counts can be: sums over rows stay exact, and no false peak appears.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Any, NamedTuple

from ..categories import BY_KEY, CATEGORIES
from ..errors import SourceError, StoreError
from ..store import Gap, Ledger, describe, rates, unfinished_rows
from ..times import HOUR, MINUTE

SOURCES = {
    "verifiedtls": "connections.verified",
    "trustedtls": "connections.trusted",
    "untrustedtls": "connections.untrusted",
    "anonymoustls": "connections.anonymous",
}
"""Its data sources -> our categories; all others are unknown."""

_INDEXES = tuple(CATEGORIES.index(BY_KEY[key]) for key in SOURCES.values())

_IMPOSSIBLE = 10**9
"""Connections a second: only a damaged file, or an infinity, holds such a rate."""


class Stretch(NamedTuple):
    """A stretch of time that is kept in rows of one length."""

    start: int
    until: int
    row: int
    """Seconds."""


class Carried(NamedTuple):
    """What came from one RRD."""

    path: str
    connections: int
    stretches: tuple[Stretch, ...]
    """Oldest, that is coarsest, first."""
    unknown: int
    """Seconds among them that are unknown."""

    def in_words(self, zone: tzinfo | None) -> str:
        """Say in a sentence what came and at which resolution."""
        begin = _shown(self.stretches[0].start, zone)
        rows = ", ".join(
            f"{_length(row)} until {_shown(until, zone)}" for _, until, row in self.stretches
        )
        unknown = f"; {_length(self.unknown)} in between are unknown" if self.unknown else ""
        return (
            f"{self.path} brings {self.connections:,} connections from {begin} on, "
            f"at a resolution of {rows}{unknown}."
        )


class _Row(NamedTuple):
    start: int
    until: int
    archive: int
    """Seconds in a row of its archive."""
    rates: tuple[float | None, ...]
    """A second, in the order of `SOURCES`; None is unknown."""


class _Counts(NamedTuple):
    start: int
    until: int
    counts: tuple[int | None, ...]
    """In the order of `SOURCES`."""


def is_rrd(begin: bytes) -> bool:
    """Return whether a file that begins with these bytes is an RRD."""
    return begin.startswith(b"RRD\0")


def carry(path: str, ledger: Ledger, step: int, now: int) -> Carried:
    """Count what a mailgraph's RRD holds, inside a transaction.

    Raises SourceError for another file, and StoreError where counting has begun.
    """
    if ledger.state.begin is not None:
        raise StoreError(
            f"{path} can only be carried into a store in which nothing is counted yet; "
            "name another state_dir, or run `dane-mailgraph import --rebuild` with it "
            "and all the logs you have."
        )
    rows = _known_rows(path, now)
    counted = list(_whole(rows))
    ledger.add(_intervals(counted, step))
    gaps = [
        Gap(before.until, after.start)
        for before, after in pairwise(rows)
        if before.until < after.start
    ]
    for gap in gaps:
        ledger.mark_gap(gap)
    first, end = rows[0].start, rows[-1].until
    until = end + -end % step
    # Which host it counted is unknown.
    ledger.save(
        ledger.state._replace(
            begin=first - first % step, read_until=until, already_counted_until=until
        )
    )
    connections = sum(n or 0 for each in counted for n in each.counts)
    return Carried(
        path, connections, tuple(_stretches(rows)), sum(gap.until - gap.start for gap in gaps)
    )


def _known_rows(path: str, now: int) -> list[_Row]:
    """Return the known rows, each time from the finest archive that reaches back to it."""
    try:
        info = describe(path)
        archives = _archives(path, info)
        last = info["last_update"] - info["last_update"] % info["step"]
        rows = [
            row
            for row in _rows(path, info, archives, last)
            if any(rate is not None for rate in row.rates)
        ]
        written = describe(path)["last_update"] != info["last_update"]
    except StoreError as error:
        raise SourceError(
            f"{path} cannot be read as an RRD: {error.__cause__ or error}; name the unpacked file, "
            "and bring one from another kind of machine over with `rrdtool dump` there and "
            "`rrdtool restore` here."
        ) from error
    if written:
        raise SourceError(f"{path} is being written; stop mailgraph first.")
    if last > now:
        raise SourceError(f"{path} is written up to a time in the future; look at the clock.")
    if not rows:
        raise SourceError(f"{path} holds no counts; import the logs alone.")
    if rows[-1].until == last:
        # mailgraph stamps a minute with its beginning, and rrdtool takes a stamp as the end of a
        # step: the minute that begins with the last stamp is counted in the one before it.
        rows.append(_Row(last, last + info["step"], archives[0].row, (0.0,) * len(SOURCES)))
    return rows


class _Archive(NamedTuple):
    number: int
    row: int
    """Seconds."""
    kept: int
    """Seconds."""


def _archives(path: str, info: dict[str, Any]) -> list[_Archive]:
    """Return its archives of averages, finest first; raises SourceError for another shape."""
    numbers = range(sum(key.endswith("].cf") for key in info))
    rows = [
        (info[f"rra[{n}].pdp_per_row"] * info["step"], info[f"rra[{n}].rows"], n) for n in numbers
    ]
    averages = [
        _Archive(n, row, row * kept)
        for row, kept, n in sorted(rows)
        if info[f"rra[{n}].cf"] == "AVERAGE"
    ]
    # One takes over from the next where a row of that begins.
    nested = all(
        coarse.row % fine.row == 0 and fine.kept >= 2 * coarse.row
        for fine, coarse in pairwise(averages)
    )
    if (
        not averages
        or not nested
        or any(info.get(f"ds[{source}].type") != "ABSOLUTE" for source in SOURCES)
    ):
        raise SourceError(
            f"{path} is an RRD of another shape; expected is mailgraph_dane.rrd, "
            f"with the data sources {', '.join(SOURCES)} of type ABSOLUTE "
            "and mailgraph's archives of averages (rows of 8, 56, 280 and 3360 minutes)."
        )
    return averages


def _rows(path: str, info: dict[str, Any], archives: list[_Archive], last: int) -> Iterator[_Row]:
    """Yield all rows in order, each time from the finest archive that reaches back to it."""
    begins = [last - last % each.row - each.kept for each in archives]
    takes_over = [
        begin + -begin % coarser.row
        for begin, coarser in zip(begins, (*archives[1:], archives[-1]), strict=True)
    ]
    finest = archives[0]
    unfinished = last - last % finest.row
    for archive, start, until in reversed(
        list(zip(archives, takes_over, (unfinished, *takes_over), strict=False))
    ):
        values = rates(path, "AVERAGE", archive.row, start, until, SOURCES)
        for at, value in zip(range(start, until, archive.row), values, strict=True):
            yield _Row(at, at + archive.row, archive.row, tuple(map(_believed, value)))
    steps = (last - unfinished) // info["step"]
    if steps:
        sums = unfinished_rows(path)[finest.number]
        yield _Row(
            unfinished,
            last,
            finest.row,
            tuple(_so_far(info, finest, sums, source, steps) for source in SOURCES),
        )


def _so_far(
    info: dict[str, Any], archive: _Archive, sums: list[float], source: str, steps: int
) -> float | None:
    """Return the rate of the unfinished row; by rrdtool's own rule it is known if half of it is."""
    number = info[f"ds[{source}].index"]
    known = steps - info[f"rra[{archive.number}].cdp_prep[{number}].unknown_datapoints"]
    return _believed(sums[number] / known) if 2 * known >= steps else None


def _believed(rate: float | None) -> float | None:
    return rate if rate is not None and 0 <= rate < _IMPOSSIBLE else None


def _whole(rows: Sequence[_Row]) -> Iterator[_Counts]:
    """Round to whole counts, and carry what is left into the next row: errors never add up."""
    rests = [0.0] * len(SOURCES)
    for row in rows:
        counts: list[int | None] = [None] * len(row.rates)
        for index, rate in enumerate(row.rates):
            if rate is not None:
                exact = rate * (row.until - row.start) + rests[index]
                counts[index] = whole = round(exact)
                rests[index] = exact - whole
        yield _Counts(row.start, row.until, tuple(counts))


def _intervals(rows: Sequence[_Counts], step: int) -> Iterator[tuple[int, tuple[int | None, ...]]]:
    """Spread each row's counts over our intervals, as evenly as whole counts can be."""
    for start, until, counts in rows:
        twice = 2 * (until - start)
        before = [0] * len(counts)
        for at in range(start - start % step, until, step):
            share = 2 * (min(at + step, until) - start)
            found: list[int | None] = [None] * len(CATEGORIES)
            for index, count in enumerate(counts):
                if count is not None:
                    due = (count * share + twice // 2) // twice
                    found[_INDEXES[index]] = due - before[index]
                    before[index] = due
            yield at, tuple(found)


def _stretches(rows: Sequence[_Row]) -> Iterator[Stretch]:
    """Yield the stretches of rows of one length, oldest first."""
    for archive in dict.fromkeys(row.archive for row in rows):
        of_it = [row for row in rows if row.archive == archive]
        yield Stretch(of_it[0].start, of_it[-1].until, archive)


def _shown(at: int, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M")


def _length(seconds: int) -> str:
    unit, name = next(
        each for each in ((HOUR, "h"), (MINUTE, "min"), (1, "s")) if seconds % each[0] == 0
    )
    return f"{seconds // unit:,} {name}"
