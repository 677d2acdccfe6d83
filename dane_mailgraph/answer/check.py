"""What `check` prints: a line for monitoring, or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import tzinfo

from ..categories import FAMILIES, HANDSHAKES
from ..language import ENGLISH
from ..store import Ledger, load_watched
from ..times import DAY
from .judgement import Judgement, condense
from .own_mx import describe_server

_TEXTS = 3
"""Conditions that the one line names in sentences."""


def figures(ledger: Ledger, found: Judgement, now: int) -> dict[str, int]:
    """Return performance data: counts of the last 24 hours, and how many conditions hold."""
    since, step = now - DAY, ledger.state.step or 1
    totals = ledger.totals(since - since % step, now + 1)

    def count(*names: str) -> int:
        rows = (row for family in names for row in FAMILIES[family] if row.name != "reused")
        return sum(totals[row] or 0 for row in rows)

    return {
        "connections": count("connections"),
        "verified": totals[HANDSHAKES[0]] or 0,
        "deliveries": count("deliveries"),
        "plaintext": sum(
            totals[row] or 0 for row in FAMILIES["deliveries"] if row.name == "plaintext"
        ),
        "failures": count("failures"),
        "conditions": len(found.conditions),
    }


def servers(ledger: Ledger, now: int, zone: tzinfo | None) -> list[str]:
    """Return a sentence on each of our own servers, as the last look found it."""
    return [describe_server(each, ENGLISH, zone, now) for each in load_watched(ledger)]


def as_plugin(found: Judgement, figures: Mapping[str, int], servers: Sequence[str] = ()) -> str:
    """Write one line as monitoring plugins do: `LEVEL - text | performance data`."""
    data = " ".join(f"{name}={count}" for name, count in figures.items())
    # What follows a bar is data, and names of strangers are in the text.
    text = _text(found, servers).replace("|", "/").replace("\n", " ")
    return f"{found.level.name} - {text}" + (f" | {data}" if data else "")


def as_json(found: Judgement, figures: Mapping[str, int], servers: Sequence[str] = ()) -> str:
    """Write what docs/operations.md describes; the figures are for the other form."""
    conditions = [each.for_json() for each in found.conditions]
    text = _text(found, servers)
    return json.dumps({"level": found.level.word, "text": text, "conditions": conditions})


def _text(found: Judgement, servers: Sequence[str]) -> str:
    """Write what holds in one line, and how many more conditions hold."""
    if found.conditions:
        conditions = condense(found.conditions, _TEXTS)
        texts = [each.text for each in conditions[:_TEXTS]]
        more = len(conditions) - _TEXTS
        texts += [f"{more} more: see `dane-mailgraph`."] if more > 0 else []
    else:
        texts = ["All is well.", *servers[:_TEXTS]]
    if found.silenced:
        names = ", ".join(f"{each.name}:{each.subject}".rstrip(":") for each in found.silenced[:3])
        texts.append(f"{len(found.silenced)} accepted ({names}).")
    return " ".join(texts)
