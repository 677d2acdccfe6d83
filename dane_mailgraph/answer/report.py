"""What was counted between two times, as text, JSON or CSV."""

from __future__ import annotations

import json
from datetime import datetime, timezone, tzinfo
from typing import NamedTuple

from ..categories import CATEGORIES, FAMILIES, Category
from ..errors import StoreError, UsageError
from ..omissions import OMISSIONS
from ..store import RRD, Ledger, Row, State, together


class Report(NamedTuple):
    """Totals of a range of time."""

    since: int
    until: int
    step: int
    """Seconds: the range begins and ends with whole intervals of this length."""
    last_update: int | None
    totals: dict[Category, int | None]
    """None where nothing is known."""


def totals(rrd: RRD, ledger: Ledger, since: int, until: int) -> Report:
    """The totals of [since, until), widened to whole intervals of the finest archive that covers them.

    What the RRD does not hold yet is taken from the ledger, so nothing that was counted is missing. Raises StoreError where
    the ledger has forgotten some of that: a part of the numbers would look like all of them.
    """
    if until <= since:
        raise UsageError("the range is empty: --until must be later than --since.")
    state, last = ledger.state, rrd.last
    archive = rrd.covering(since)
    since -= since % archive
    until += -until % archive
    written = max(since, last if last is not None else since)
    # The rows after the newest one are unknown, and there may be very many of them.
    rows = rrd.rows(archive, since, min(until, written + -written % archive))
    rows.append(_open(ledger, state, written, until, rrd.step))
    if rrd.last != last:  # a writer was at work between the two
        return totals(rrd, ledger, since, until)
    pruned = state.pruned_before or 0
    if max(since, (state.begin or 0) if last is None else last) < min(until, pruned):
        raise StoreError(
            f"{rrd.path} is {'gone' if last is None else 'an old one'}, and {ledger.path} keeps nothing from before "
            f"{datetime.fromtimestamp(pruned, timezone.utc):%Y-%m-%dT%H:%M:%SZ}; "
            "let the counter make it anew from its snapshot, restore one of the two from a backup, "
            "or ask with --since for no earlier time."
        )
    return Report(
        since, until, archive, last, dict(zip(CATEGORIES, together(rows).counts, strict=True))
    )


def _open(ledger: Ledger, state: State, start: int, until: int, step: int) -> Row:
    """The intervals that are not in the RRD yet."""
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
    return together(found + quiet)


def as_json(report: Report) -> str:
    """The object that the contract describes."""
    said: dict[str, object] = {
        "since": report.since,
        "until": report.until,
        "step": report.step,
        "last_update": report.last_update,
    }
    for family, categories in FAMILIES.items():
        said[family] = {each.name: report.totals[each] for each in categories}
    return json.dumps(said)


def as_csv(report: Report) -> str:
    """A line a category; an unknown count is empty."""
    lines = ["since,until,family,category,count"]
    for each, count in report.totals.items():
        lines.append(
            f"{report.since},{report.until},{each.family},{each.name},{'' if count is None else count}"
        )
    return "\n".join(lines)


def as_text(report: Report, zone: tzinfo | None, health: list[str]) -> str:
    """A table for people, and below it how well the counting goes."""
    since, until = (_shown(at, zone) for at in (report.since, report.until))
    lines = [f"Outbound TLS of Postfix, {since} to {until}", ""]
    for family, categories in FAMILIES.items():
        shared = [each for each in categories if each.name != "reused"]
        whole = sum(report.totals[each] or 0 for each in shared)
        lines.append(family.replace("_", " "))
        for each in categories:
            count = report.totals[each]
            share = (
                f"{100 * count / whole:6.1f} %"
                if count is not None and whole and each in shared
                else ""
            )
            lines.append(
                f"  {each.label:<14}{'unknown' if count is None else f'{count:,}':>12}  {share}".rstrip()
            )
        lines.append("")
    return "\n".join(lines + health)


def health(ledger: Ledger, report: Report, now: int, zone: tzinfo | None) -> list[str]:
    """How far the counting is, and what was out of the ordinary so far."""
    state = ledger.state
    newest = state.newest
    nothing = "nothing: it is gone" if state.rrd_until else "nothing yet"
    lines = [
        f"in the RRD up to   {_shown(report.last_update, zone) if report.last_update else nothing}"
    ]
    if newest is not None:
        lines.append(f"newest line        {_shown(newest, zone)} ({now - newest:,} s ago)")
    omitted = ledger.omitted()
    for each in OMISSIONS:
        if count := omitted[each.name]:
            lines.append(f"{each.name:<18} {each.in_words(count)}")
    return lines


def _shown(at: int, zone: tzinfo | None) -> str:
    return (
        datetime.fromtimestamp(at, timezone.utc).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")
    )
