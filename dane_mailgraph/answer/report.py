"""Totals of a range of time, as text, JSON or CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone, tzinfo
from typing import NamedTuple

from ..categories import (
    CATEGORIES,
    FAMILIES,
    REACH,
    WHOLE,
    Authentication,
    Category,
    unknown_categories,
)
from ..errors import StoreError, UsageError
from ..omissions import OMISSIONS
from ..reports import RESULTS
from ..store import (
    RRD,
    Ledger,
    ReachFailure,
    Row,
    State,
    WarningCount,
    sessions_by_policy,
    together,
)
from ..times import DAY, format_duration, format_time, local_time, period_edges
from .tables import BOLD, FAINT, GREEN, RED, Format, coloured, columns, csv_text


class Report(NamedTuple):
    """Totals of a range of time."""

    since: int
    until: int
    """Epoch seconds."""
    step: int
    """Seconds; the range begins and ends on a multiple of it."""
    last_update: int | None
    """Epoch second up to which the RRD holds counts; None where it holds none."""
    observed: int
    """Seconds of the range for which the log was read."""
    totals: dict[Category, int | None]
    """None is unknown."""
    omitted: dict[str, int]
    """Name of each omission -> lines, by the hours that the range touches."""
    reach: dict[Category, int | None]
    """Sessions that others report, of whole days of UTC; None is unknown."""

    @property
    def counts(self) -> dict[Category, int | None]:
        """All counts."""
        return self.totals | self.reach


def totals(rrd: RRD, ledger: Ledger, since: int, until: int) -> Report:
    """Return the totals of [since, until), widened to rows of the finest archive that covers it.

    The intervals that are not in the RRD yet are added from the ledger. Raises StoreError where the
    ledger has pruned some of them, because totals without them would look complete, and UsageError
    for an empty range.
    """
    if until <= since:
        raise UsageError("the range is empty: --until must be later than --since.")
    archive = rrd.covering(since)
    since, until = since - since % archive, until + -until % archive
    found = _totals(rrd, ledger, since, until, archive)
    return _with_reach(found, ledger, since - since % DAY, until + -until % DAY)


def totals_by(
    rrd: RRD, ledger: Ledger, since: int, until: int, period: str, zone: tzinfo | None
) -> list[Report]:
    """Return the totals of each hour, day, week or month of [since, until), in `zone`.

    They never overlap: their edges are rounded down to rows of the finest archive that covers each,
    and for what others report to whole days of UTC, which have the dates of the local ones.
    Raises StoreError and UsageError as `totals` does.
    """
    if until <= since:
        raise UsageError("the range is empty: --until must be later than --since.")
    last = rrd.last
    start, *ends = period_edges(since, until, period, zone)
    archive = rrd.covering(start)
    start -= start % archive
    reports = []
    for end in ends:
        archive = rrd.covering(start)
        rounded = end - end % archive
        if rounded > start:
            found = _totals(rrd, ledger, start, rounded, archive)
            days = _utc_day(start, zone), _utc_day(rounded, zone)
            reports.append(_with_reach(found, ledger, *days))
            start = rounded
    if rrd.last != last:  # a writer was at work meanwhile
        return totals_by(rrd, ledger, since, until, period, zone)
    return reports


def _totals(rrd: RRD, ledger: Ledger, since: int, until: int, archive: int) -> Report:
    """Return the totals of whole rows of an archive."""
    state, last = ledger.state, rrd.last
    written = max(since, last if last is not None else since)
    # Rows after the newest one are unknown, and there may be millions of them.
    rows = _read(rrd, archive, since, min(until, written + -written % archive))
    rows.append(_open(ledger, state, written, until, rrd.step))
    if rrd.last != last:  # a writer was at work meanwhile
        return _totals(rrd, ledger, since, until, archive)
    pruned = state.pruned_before or 0
    if max(since, (state.begin or 0) if last is None else last) < min(until, pruned):
        begin = datetime.fromtimestamp(pruned, timezone.utc)
        raise StoreError(
            f"{rrd.path} is {'gone' if last is None else 'an old one'}, and {ledger.path} keeps "
            f"nothing from before {begin:%Y-%m-%dT%H:%M:%SZ}; "
            "let the counter rebuild it from its snapshot, restore one of the two from a backup, "
            "or ask with --since for no earlier time."
        )
    whole = together(rows)
    counts = dict(zip(CATEGORIES, whole.counts, strict=True))
    return Report(
        *(since, until, archive, last, whole.observed),
        counts | dict.fromkeys(unknown_categories(ledger.hours(since, until), counts)),
        _omitted(ledger, state, since, until),
        dict.fromkeys(REACH),
    )


def _with_reach(report: Report, ledger: Ledger, since: int, until: int) -> Report:
    """Add what others report of the days that begin in [since, until)."""
    return report._replace(reach=sessions_by_policy(ledger, since, until))


def _utc_day(at: int, zone: tzinfo | None) -> int:
    """Return when the day begins in UTC that has the local date of an epoch second."""
    day = local_time(at, zone)
    return int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp())


def _omitted(ledger: Ledger, state: State, since: int, until: int) -> dict[str, int]:
    """Return the omissions of a range; hours are forgotten after a while, the whole is not."""
    is_whole = since <= (state.begin or 0) and until > max(state.newest or 0, state.read_at or 0)
    by_name = ledger.omitted() if is_whole else ledger.hours(since, until)
    return {each.name: by_name.get(each.name, 0) for each in OMISSIONS}


def _read(rrd: RRD, archive: int, since: int, until: int) -> list[Row]:
    """Read [since, until): whole days from their archive, what is beside them from this one.

    Sums are the same in every archive, and five years of hours would be a million numbers.
    """
    first, last = since + -since % DAY, until - until % DAY
    if archive >= DAY or first >= last:
        return rrd.rows(archive, since, until)
    return (
        rrd.rows(archive, since, first)
        + rrd.rows(DAY, first, last)
        + rrd.rows(archive, last, until)
    )


def _open(ledger: Ledger, state: State, start: int, until: int, step: int) -> Row:
    """Add up the intervals that are not in the RRD yet."""
    found = [Row(step, counts) for _, counts in ledger.intervals(start, until)]
    reached = min(until, start if state.read_until is None else state.read_until)
    start = max(start, reached if state.begin is None else state.begin)
    known = (
        reached
        - start
        - sum(
            min(gap.until, reached) - max(gap.start, start) for gap in ledger.gaps(start, reached)
        )
    )
    quiet = [Row(known, (0,) * len(CATEGORIES))] if known > 0 else []
    return together(found + quiet)._replace(observed=max(known, len(found) * step))


# ---- writing --------------------------------------------------------------------------------

_FAMILIES = FAMILIES | {"reach": REACH}
_WHOLE = WHOLE | {"reach": REACH}


def format_report(
    report: Report,
    form: Format,
    zone: tzinfo | None,
    remarks: list[str],
    *,
    is_coloured: bool = False,
) -> str:
    """Write a report as text, JSON or CSV; the text has times of this zone, and ends in remarks."""
    if form == "text":
        return "\n".join([*_as_text(report, zone, is_coloured=is_coloured), *remarks])
    return json.dumps(_plain(report)) if form == "json" else _as_csv([report])


def format_rows(reports: Sequence[Report], form: Format, zone: tzinfo | None, period: str) -> str:
    """Write the totals of periods as text, JSON or CSV."""
    if form == "json":
        return json.dumps({"rows": [_plain(each) for each in reports]})
    return _as_csv(reports) if form == "csv" else _as_table(reports, zone, period)


def _as_table(reports: Sequence[Report], zone: tzinfo | None, period: str) -> str:
    """Write a row a period, without the columns in which nothing was counted."""
    rows = [row for row in (*CATEGORIES, *REACH) if any(each.counts[row] for each in reports)]
    families = [
        "" if n and rows[n - 1].family == row.family else row.family.replace("_", " ")
        for n, row in enumerate(rows)
    ]
    written = {"hour": "%Y-%m-%d %H:%M", "month": "%Y-%m"}.get(period, "%Y-%m-%d")
    cells = [
        [
            local_time(each.since, zone).strftime(written),
            *("unknown" if (n := each.counts[row]) is None else f"{n:,}" for row in rows),
        ]
        for each in reports
    ]
    if not rows:
        return "nothing was counted"
    return "\n".join(columns(["", *families], [[period, *(row.label for row in rows)], *cells]))


def _plain(report: Report) -> dict[str, object]:
    by_family = {
        family: {row.name: report.counts[row] for row in rows} for family, rows in _FAMILIES.items()
    }
    about = report._asdict()
    del about["totals"], about["reach"], about["omitted"]
    return about | by_family | {"omitted": report.omitted}


def _rows(report: Report) -> Iterator[tuple[str, str, int | None]]:
    for row, count in report.counts.items():
        yield row.family, row.name, count
    for name, lines in report.omitted.items():
        yield "omitted", name, lines


def _as_csv(reports: Iterable[Report]) -> str:
    """Write a line for each category and each omission; an unknown count is empty."""
    return csv_text(
        ("since", "until", "family", "category", "count"),
        (
            (report.since, report.until, family, name, count)
            for report in reports
            for family, name, count in _rows(report)
        ),
    )


def _as_text(report: Report, zone: tzinfo | None, *, is_coloured: bool) -> list[str]:
    since, until = (_format_time(at, zone) for at in (report.since, report.until))
    lines = [f"TLS of Postfix, {since} to {until}", ""]
    for family, rows in _FAMILIES.items():
        whole = sum(report.counts[row] or 0 for row in _WHOLE[family])
        lines.append(coloured(family.replace("_", " "), BOLD * is_coloured))
        for row in rows:
            count = report.counts[row]
            number = "unknown" if count is None else f"{count:,}"
            has_share = count is not None and whole and row in _WHOLE[family]
            share = f"{100 * (count or 0) / whole:6.1f} %" if has_share else ""
            line = f"  {row.label:<14}{number:>12}  {share}".rstrip()
            lines.append(coloured(line, _colour(row, count) * is_coloured))
        lines.append("")
    return lines


def _colour(row: Category, count: int | None) -> int:
    """Return the colour of a line: red is in plaintext or failed, green authenticated."""
    if not count:
        return FAINT
    if row.name in ("plaintext", "failed") or row.family == "failures":
        return RED
    return GREEN if row.authentication is Authentication.PROVEN else 0


def state_of_counting(ledger: Ledger, report: Report, now: int, zone: tzinfo | None) -> list[str]:
    """Return lines on how far counting has come, and what it had to leave out so far."""
    state = ledger.state
    if report.last_update:
        last = _format_time(report.last_update, zone)
    else:
        last = "nothing: it is gone" if state.rrd_until else "nothing yet"
    lines = [f"in the RRD up to   {last}"]
    if state.newest is not None:
        age = format_duration(max(0, now - state.newest))
        lines.append(f"newest line        {_format_time(state.newest, zone)} ({age} ago)")
    omitted = ledger.omitted()
    for omission in OMISSIONS:
        if count := omitted[omission.name]:
            lines.append(f"{omission.name:<18} {omission.in_words(count)}")
    return lines


def warning_lines(warnings: Iterable[WarningCount], zone: tzinfo | None) -> list[str]:
    """Return a line for each of Postfix's own warnings."""
    return [
        f'Postfix logged "{each.text}" {_times(each.times)}, last at '
        f"{format_time(each.last, zone)}: {each.meaning}."
        for each in warnings
    ]


_LISTED_FAILURES = 10


def failure_lines(failures: Sequence[ReachFailure]) -> list[str]:
    """Return a line for each failure that others report, or for the first ones."""
    lines = []
    for each in failures[:_LISTED_FAILURES]:
        sessions = f"{each.sessions:,} failed {'session' if each.sessions == 1 else 'sessions'}"
        who = f"{each.reporter or 'somebody'} ({signature(each)})"
        where = f" at {each.mx}" if each.mx else ""
        last = format_time(each.last, timezone.utc)[:10]
        lines.append(f"{who} reports {sessions}{where}, last of {last}: {RESULTS[each.result]}.")
    if more := len(failures) - len(lines):
        lines.append(f"{more:,} more failures are reported.")
    return lines


def signature(failure: ReachFailure) -> str:
    """Return by whom a report is signed, in words."""
    return f"signed by {failure.signer}" if failure.signer else "not signed"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _format_time(at: int, zone: tzinfo | None) -> str:
    return format_time(at, zone, seconds=True, zone_name=True)
