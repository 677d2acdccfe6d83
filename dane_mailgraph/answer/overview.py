"""The answer in one screen: what needs attention, and the figures of the last 24 hours."""

from __future__ import annotations

from datetime import tzinfo
from itertools import chain
from textwrap import wrap

from ..categories import WHOLE
from ..language import ENGLISH
from ..omissions import OMISSIONS
from ..store import RRD, Ledger, RelayTable
from ..times import DAY, day_of, format_time
from .attention import problems_of_counting
from .authentication import lost_authentication
from .report import Report, totals, warning_lines

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
    table, omitted = RelayTable(ledger), ledger.omitted()
    lost = lost_authentication(table, day_of(now - 7 * DAY, zone))
    return [
        *problems_of_counting(rrd.last, ledger.state.newest, now, ENGLISH),
        *(
            f"{one.relay} has lost authentication: it was authenticated on {one.days} days until "
            f"{format_time(one.good_until, zone)}, and not since; see `dane-mailgraph relays "
            "--only unauthenticated`"
            for one in lost
        ),
        *warning_lines(table.warnings(now - DAY), zone),
        *(
            omission.with_remedy(count)
            for omission in OMISSIONS
            if omission.is_loss and (count := omitted[omission.name])
        ),
    ]


def _figures(report: Report) -> list[str]:
    """Return a line a family: how many, and the shares of the categories that are not 0."""
    lines = ["Last 24 hours (`dane-mailgraph report` prints all):"]
    for family, categories in WHOLE.items():
        counted = {
            row.label: count for row in categories if (count := report.totals[row]) is not None
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
