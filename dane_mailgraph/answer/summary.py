"""A week or a month as a text to mail: its figures, how they changed, who was lost, who came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

from ..categories import (
    AUTHENTICATED_DELIVERIES,
    BY_KEY,
    CONNECTIONS,
    DELIVERIES,
    FAILURES,
    HANDSHAKES,
    KEY_EXCHANGE,
    PROTOCOLS,
    Category,
)
from ..language import Language
from ..store import RRD, Ledger, RelayCounts, RelayTable
from ..times import DAY, day_number, format_day, midnight, period_edges
from .authentication import LostAuthentication, is_authenticated, lost_authentication
from .figures import PLAINTEXT
from .judgement import Judgement, by_subject
from .report import Report, totals

_BEFORE = 4
"""Periods that the last one is compared with."""

_LISTED = 10
"""Relays named in a list."""


class Summary(NamedTuple):
    """What happened in a period."""

    periods: tuple[Report, ...]
    """The oldest first; the last one is what the summary is of."""
    lost: tuple[LostAuthentication, ...]
    came: tuple[str, ...]
    """Relays that were seen before, but never authenticated before."""
    judgement: Judgement
    """What needs attention now."""


def summarize(
    rrd: RRD, ledger: Ledger, now: int, period: str, zone: tzinfo | None, judgement: Judgement
) -> Summary:
    """Return the summary of the last whole `week` or `month` before now; raises StoreError."""
    longest = 7 * DAY if period == "week" else 31 * DAY
    begins = period_edges(midnight(now - (_BEFORE + 3) * longest, zone), now, period, zone)[1:-1]
    begins = begins[-(_BEFORE + 2) :]
    reports = tuple(totals(rrd, ledger, since, until) for since, until in pairwise(begins))
    since, until = begins[-2:]
    relays = RelayTable(ledger)
    lost = (each for each in lost_authentication(relays, now, zone) if since <= each.since < until)
    before = relays.totals(0, day_number(since - 1, zone))
    during = relays.totals(day_number(since, zone), day_number(until - 1, zone))
    return Summary(reports, tuple(lost), tuple(_came(before, during)), judgement)


def _came(before: Iterable[RelayCounts], during: Iterable[RelayCounts]) -> Iterable[str]:
    never = {each.relay for each in before if not _ever_authenticated(each)}
    return (each.relay for each in during if each.relay in never and is_authenticated(each.counts))


def _ever_authenticated(relay: RelayCounts) -> bool:
    shown_by = BY_KEY["connections.verified"], *AUTHENTICATED_DELIVERIES
    return any(relay.counts.get(row) for row in shown_by)


# ---- writing --------------------------------------------------------------------------------


class _Line(NamedTuple):
    title: str
    part: Sequence[Category]
    whole: Sequence[Category] = ()
    """Of what it is a share; empty for a number."""

    def value(self, report: Report) -> float | None:
        """Return the number or the share from 0 to 1; None is unknown."""
        part = _sum(report, self.part)
        if not self.whole:
            return part
        whole = _sum(report, self.whole)
        return (part or 0) / whole if whole else None


LINES = (
    _Line("Connections", HANDSHAKES),
    _Line("Verified", CONNECTIONS[:1], HANDSHAKES),
    _Line("Deliveries", DELIVERIES),
    _Line("authenticated", AUTHENTICATED_DELIVERIES, DELIVERIES),
    _Line("plaintext", PLAINTEXT, DELIVERIES),
    _Line("Failed for TLS or DANE", FAILURES),
    _Line("TLS versions", ()),
    *(_Line(row.label, (row,), PROTOCOLS) for row in PROTOCOLS),
    _Line("Key exchange", ()),
    *(_Line(row.label, (row,), KEY_EXCHANGE) for row in KEY_EXCHANGE),
)
"""In the order of the text, which leaves out shares of nothing. A line of nothing is a heading."""

_KNOWN = 0.9
"""Share of a period that must be known to compare numbers with it."""


def as_text(summary: Summary, host: str, zone: tzinfo | None, language: Language) -> str:
    """Write the summary."""
    say, last = language.say, summary.periods[-1]
    days = format_day(last.since, zone), format_day(last.until - 1, zone)
    known = language.percent(min(1.0, last.observed / (last.until - last.since)))
    blocks = [
        [
            say(
                "Outbound TLS of {host}, {since} to {until}",
                host=host,
                since=days[0],
                until=days[1],
            ),
            say("The log is known of {share} of that time.", share=known),
        ],
        _table(summary, language),
    ]
    blocks += [
        [f"{say(title)}: {language.number(len(some))}", *_few(some, language)]
        for title, some in (
            ("Servers that lost authentication", [each.relay for each in summary.lost]),
            ("Servers that are authenticated now and never were before", summary.came),
        )
    ]
    holding = by_subject(summary.judgement.conditions)
    blocks.append(
        [f"{say('Needs attention')}: {language.number(len(holding))}"]
        + (_few([each.text for each in holding], language) or [say("Nothing to do.")])
    )
    # Mail and terminals break no lines here.
    return "\n\n".join("\n".join(block) for block in blocks).replace("\xa0", " ")


def _table(summary: Summary, language: Language) -> list[str]:
    """Write a line a figure: its value, and its change from the period before and the four."""
    *before, last = summary.periods
    say = language.say
    rows = [("", "", say("from the one before"), say("from the four before"))]
    for line in LINES:
        value = line.value(last)
        if not line.part:
            rows.append((say(line.title), "", "", ""))
            continue
        if value is None or (line.whole and not value):
            continue
        values = [line.value(each) if line.whole or _is_known(each) else None for each in before]
        earlier = [each for each in values[-_BEFORE:] if each is not None]
        previous = values[-1] if values else None
        write: Callable[[float], str] = language.percent if line.whole else language.number
        rows.append(
            (
                ("  " if line.whole else "") + say(line.title),
                write(value),
                _change(value, previous, line, language),
                _change(value, mean(earlier) if earlier else None, line, language),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def _change(value: float, before: float | None, line: _Line, language: Language) -> str:
    """Write a change in percent, or in percentage points of a share."""
    if before is None or (not line.whole and not before):
        return "-"
    change = 100 * (value - before if line.whole else (value - before) / before)
    sign = "+" if round(change, 1) > 0 else "-" if round(change, 1) < 0 else ""
    number = language.number(abs(change), 1)
    return sign + (
        language.say("{number} points", number=number)
        if line.whole
        else language.say("{number}%", number=number)
    )


def _is_known(report: Report) -> bool:
    return report.observed >= _KNOWN * (report.until - report.since)


def _few(some: Sequence[str], language: Language) -> list[str]:
    more = len(some) - _LISTED
    rest = [language.say("and {count} more", count=language.number(more))] if more > 0 else []
    return [f"* {each}" for each in (*some[:_LISTED], *rest)]


def _sum(report: Report, rows: Iterable[Category]) -> int | None:
    known = [count for row in rows if (count := report.totals[row]) is not None]
    return sum(known) if known else None
