"""The answer in one screen: what needs attention, and the figures of the last 24 hours."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from itertools import chain
from textwrap import wrap

from ..categories import WHOLE
from ..language import ENGLISH
from ..store import RRD, Ledger, RelayTable, load_watched
from ..times import DAY
from .conditions import Condition
from .judge_dane import DANE_IS_OFF
from .judgement import Judgement, Matter, by_subject
from .own_mx import describe_server
from .report import Report, totals

_WIDTH = 78

_COMMAND = re.compile("`[^`]*`")
_UNBROKEN = "\N{NO-BREAK SPACE}"


_LISTED = 5
"""Conditions of one name that are listed: hundreds of servers may be lost at once."""


def as_lines(
    rrd: RRD, ledger: Ledger, now: int, found: Judgement, zone: tzinfo | None = None
) -> list[str]:
    """Return the lines of the screen: the verdict, what needs attention, the figures."""
    holding = found.conditions
    matters = by_subject(holding)
    many = f"{len(matters)} things need" if len(matters) > 1 else "1 thing needs"
    listed = [*_matters(matters), *_warnings(ledger, now, holding)]
    well = "All is well." if listed else "All is well. Nothing to do."
    verdict = f"{many} attention:" if holding else well
    if not holding and ledger.state.begin is None:
        verdict = "Nothing has been counted yet; `dane-mailgraph doctor` says which log is read."
    listed += [f"- accepted (ignore_conditions): {each.text}" for each in found.silenced]
    listed += [
        describe_server(each, ENGLISH, zone, now) for each in load_watched(ledger) if each.is_well
    ]
    wrapped = (_wrapped(each, indent="  ") for each in listed)
    report = totals(rrd, ledger, now - DAY, now)
    return [verdict, *chain.from_iterable(wrapped), "", *_figures(report)]


def _matters(matters: Iterable[Matter]) -> Iterator[str]:
    """Write what is wrong, and for equal names how many more there are."""
    by_name: defaultdict[str, list[Matter]] = defaultdict(list)
    for each in matters:
        by_name[each.name].append(each)
    for name, some in by_name.items():
        shown = some if len(some) == _LISTED + 1 else some[:_LISTED]
        yield from (f"- {each.level.name}: {each.text} {each.next_step}" for each in shown)
        if more := len(some) - len(shown):
            yield f"- {more} more {name}: see `dane-mailgraph check --format json --only {name}`."


def _warnings(ledger: Ledger, now: int, holding: Iterable[Condition]) -> Iterator[str]:
    """Write Postfix's warnings of the last 24 hours that no condition speaks of."""
    known = DANE_IS_OFF if any(each.name == "no_dnssec" for each in holding) else ()
    by_name = ledger.hours(now - DAY, now + 1)
    for each in RelayTable(ledger).warnings(now - DAY):
        if each.name not in known:
            times = max(1, by_name.get(each.name, 0))
            yield (
                f"- Postfix warned {times:,} {'time' if times == 1 else 'times'}: {each.text}. "
                f"{each.meaning[0].upper()}{each.meaning[1:]}."
            )


def _figures(report: Report) -> list[str]:
    """Return a line a family: how many, and the shares of the categories that are not 0."""
    longest = max(map(len, WHOLE))
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
        head = f"{family.replace('_', ' '):<{longest}} {number:>9}  "
        lines += _wrapped(head + shares, indent=" " * len(head))
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    """Break a text into lines, but no command and no record, which are to be copied."""
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", _UNBROKEN), text)
    lines = wrap(
        whole, _WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return [each.replace(_UNBROKEN, " ") for each in lines]
