"""status.json: what the page says, for programs; docs/operations.md describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..answer import probe_command, unprotected
from ..categories import FAMILIES, WHOLE, Category
from ..levels import worst
from ..omissions import OMISSIONS
from ..store import RelayCounts, Series, WarningCount, Watched
from .status import LISTED_RELAYS, Status

SCHEMA = 1
"""Changes where a key changes its meaning; a new key does not change it."""


def as_json(status: Status) -> str:
    """Return the content of status.json."""
    named = status.names_relays
    content: dict[str, object] = {
        "schema": SCHEMA,
        "program": f"dane-mailgraph {status.version}",
        "host": status.host,
        "drawn": status.now,
        "valid_until": status.valid_until,
        "last_update": status.last_update,
        "newest_line": status.newest,
        "level": status.level,
        "conditions": [each.for_json() for each in status.conditions],
        "last_24_hours": {
            figure.name: {
                "now": figure.now,
                "before": figure.before,
                "of": figure.whole,
                "trend": figure.trend or None,
                "weeks": figure.weeks,
            }
            for figure in status.today.figures
        },
        "observed": status.today.observed,
        "omitted": {each.name: status.omitted.get(each.name, 0) for each in OMISSIONS},
        "spans": {chapter.span.name: _span(chapter.series) for chapter in status.chapters},
        "not_protected": {
            group.name: list(map(_relay, group.relays[:LISTED_RELAYS]))
            if named
            else len(group.relays)
            for group in unprotected(status.relays)
        },
        "received": _received(status),
        "reach": _reach(status),
        "own_mx": [_server(each) for each in status.servers],
        "postfix_warnings": [_warning(warning, named) for warning in status.warnings],
    }
    return json.dumps(content, indent=1) + "\n"


def _received(status: Status) -> dict[str, object] | None:
    received = status.received
    if received is None:
        return None
    return {
        "messages": received.messages,
        "plaintext": received.plaintext,
        "handshakes": received.handshakes,
        "before_tls_1_2": received.old,
        "senders": len(received.senders),
    }


def _server(watched: Watched) -> dict[str, object]:
    return {
        "mx": watched.target.name,
        "port": watched.target.port,
        "looked": watched.at,
        "level": worst(finding.level for finding, _ in watched.findings).word,
        "records": watched.records,
        "matches": watched.matches,
        "certificate_ends": watched.ends,
    }


def _reach(status: Status) -> dict[str, object] | None:
    if not status.reach:
        return None
    return {
        "since": status.reach.since,
        "until": status.reach.until,
        "reporters": len(status.reach.reporters),
        "sessions": {row.name: count for row, count in status.reach.sessions.items()},
        "failures": [
            {
                "reason": each.result,
                "sessions": each.sessions,
                "reporters": each.reporters,
                "signed": each.signed,
                "last": each.last,
            }
            for each in status.reasons
        ],
    }


def _span(series: Series) -> dict[str, object]:
    families = {}
    for family, rows in FAMILIES.items():
        totals = {row: series.total(row) for row in rows}
        whole = sum(totals[row] or 0 for row in WHOLE[family])
        families[family] = {
            row.name: {
                "total": total,
                "share": total / whole
                if total is not None and whole and row in WHOLE[family]
                else None,
                "average_per_minute": series.per_minute(row),
                "maximum_per_minute": series.peaks[row],
            }
            for row, total in totals.items()
        }
    return {
        "since": series.start,
        "until": series.until,
        "reached": series.reached,
        "step": series.step,
        **families,
    }


def _relay(relay: RelayCounts) -> dict[str, object]:
    return {
        "relay": relay.relay,
        "first": relay.first,
        "last": relay.last,
        "counts": _counts(relay.counts),
        "check": probe_command(relay.relay),
    }


def _counts(counts: Mapping[Category, int]) -> dict[str, int]:
    return {row.key: count for row, count in counts.items() if count}


def _warning(warning: WarningCount, named: bool) -> dict[str, object]:
    """Return a warning; its text may name a relay."""
    content = warning._asdict()
    if not named:
        del content["text"]
    return content
