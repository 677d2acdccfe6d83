"""The answer in one screen: what needs attention, and the figures of the last 24 hours."""

from __future__ import annotations

from datetime import tzinfo
from itertools import chain
from textwrap import wrap

from ..categories import FAMILIES
from ..language import ENGLISH
from ..omissions import OMISSIONS
from ..store import RRD, Ledger, RelayTable
from ..times import DAY, HOUR, MINUTE, day_of, format_duration, format_time
from .changes import GOOD, REMEMBERED, SUSPECT, regressions
from .relays import alarms_as_text
from .report import Report, totals

STALLED = 15 * MINUTE
"""Seconds without counting after which the counter does not work."""

SILENT = HOUR
"""Seconds without a new line after which something may be wrong."""

_WIDTH = 78


def as_lines(rrd: RRD, ledger: Ledger, now: int, zone: tzinfo | None) -> list[str]:
    """Return the lines of the screen: the verdict, what needs attention, the figures."""
    found = attention(rrd, ledger, now, zone)
    many = f"{len(found)} things need" if len(found) > 1 else "1 thing needs"
    verdict = f"{many} attention:" if found else "All is well."
    report = totals(rrd, ledger, now - DAY, now)
    listed = (wrap(f"- {each}", _WIDTH, subsequent_indent="  ") for each in found)
    return [verdict, *chain.from_iterable(listed), "", *_figures(report)]


def attention(rrd: RRD, ledger: Ledger, now: int, zone: tzinfo | None) -> list[str]:
    """Return a sentence for each thing that is wrong, the most urgent first."""
    table = RelayTable(ledger)
    week = day_of(now - 7 * DAY, zone)
    lost = regressions(table.suspects(week, GOOD, SUSPECT), REMEMBERED, week)
    omitted = ledger.omitted()
    return [
        *_not_counting(rrd.last, ledger.state.newest, now),
        *(
            f"{one.relay} has lost authentication: it was authenticated on {one.days} days until "
            f"{format_time(one.good_until, zone)}, and not since; see `dane-mailgraph relays "
            "--only unauthenticated`"
            for one in lost
        ),
        *alarms_as_text(table.warnings(now - DAY), zone),
        *(
            each.with_remedy(count)
            for each in OMISSIONS
            if each.is_loss and (count := omitted[each.name])
        ),
    ]


def _not_counting(last: int | None, newest: int | None, now: int) -> list[str]:
    """Return at most one sentence: nothing has been counted for long, or nothing was written."""
    if last is None:
        return ["Nothing has been counted yet: see `dane-mailgraph doctor`"]
    if now - last > STALLED:
        return [
            f"Nothing has been counted for {format_duration(now - last)}: see "
            "`systemctl status dane-mailgraph` and `dane-mailgraph doctor`"
        ]
    if newest is not None and now - newest > SILENT:
        return [
            f"The newest line of the log is {format_duration(now - newest)} old; perhaps Postfix "
            "does not run, or logs elsewhere: see `dane-mailgraph doctor`"
        ]
    return []


def _figures(report: Report) -> list[str]:
    """Return a line a family: how many, and the shares of the categories that are not 0."""
    lines = ["Last 24 hours (`dane-mailgraph report` prints all):"]
    for family, categories in FAMILIES.items():
        counted = {
            each.label: count
            for each in categories
            if each.name != "reused" and (count := report.totals[each]) is not None
        }
        whole = sum(counted.values())
        shares = ", ".join(
            f"{label} {ENGLISH.percent(count / whole)}" for label, count in counted.items() if count
        )
        number = f"{whole:,}" if counted else "unknown"
        head = f"{family.replace('_', ' '):<12} {number:>9}  "
        lines += wrap(
            head + shares, _WIDTH, subsequent_indent=" " * len(head), break_on_hyphens=False
        )
    return lines
