"""What went to whom, as text, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone, tzinfo

from ..categories import Category
from ..errors import UsageError
from ..store import KEPT, RelayCounts, WarningCount
from .changes import authenticated

_FAMILIES = tuple(dict.fromkeys(each.family for each in KEPT))

# ---- which, and in which order --------------------------------------------------------------


def _some(chosen: Iterable[Category]) -> Callable[[RelayCounts], int]:
    return lambda one: sum(one.counts.get(each, 0) for each in chosen)


def _named(word: str) -> Callable[[RelayCounts], int]:
    """How often a relay was counted in a category (`plaintext`, `deliveries.verified`) or a family; raises UsageError."""
    chosen = [each for each in KEPT if word in (each.name, each.key, each.family)]
    if not chosen:
        words = ", ".join(dict.fromkeys([*_FAMILIES, *(each.name for each in KEPT)]))
        raise UsageError(
            f"there is no category {word}; write one of {words}, or with its family, as deliveries.verified."
        )
    return _some(chosen)


UNAUTHENTICATED = "unauthenticated"


def only(destinations: Iterable[RelayCounts], word: str) -> list[RelayCounts]:
    """Those that were counted in a category or a family, or were not always authenticated; raises UsageError."""
    if word == UNAUTHENTICATED:
        return [one for one in destinations if authenticated(one.counts) is False]
    chosen = _named(word)
    return [one for one in destinations if chosen(one)]


def ordered(destinations: Iterable[RelayCounts], word: str) -> list[RelayCounts]:
    """By `name`, by when they were `last` seen, or by how often they were counted in a category or a family."""
    if word == "name":
        return sorted(destinations, key=lambda one: one.relay)
    if word == "last":
        return sorted(destinations, key=lambda one: (-one.last, one.relay))
    chosen = _some(KEPT) if word == "total" else _named(word)
    return sorted(destinations, key=lambda one: (-chosen(one), one.relay))


# ---- relays ---------------------------------------------------------------------------------


def as_json(since: int, until: int, destinations: Sequence[RelayCounts]) -> str:
    """One object; what was not counted of a relay is 0."""
    return json.dumps(
        {"since": since, "until": until, "relays": [_plain(one) for one in destinations]}
    )


def _plain(one: RelayCounts) -> dict[str, object]:
    return {
        "relay": one.relay,
        "first": one.first,
        "last": one.last,
        "last_failure": None,
        "protocol": one.protocol or None,
        "key_exchange": one.key_exchange or None,
        "counts": {each.key: one.counts.get(each, 0) for each in KEPT},
    }


def as_csv(destinations: Iterable[RelayCounts]) -> str:
    """A line a relay, below one of names."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["relay", "first", "last", "protocol", "key_exchange", *(each.key for each in KEPT)]
    )
    for one in destinations:
        counts = (one.counts.get(each, 0) for each in KEPT)
        table.writerow([one.relay, one.first, one.last, one.protocol, one.key_exchange, *counts])
    return text.getvalue().rstrip("\n")


def as_text(
    since: int, until: int, destinations: Sequence[RelayCounts], zone: tzinfo | None
) -> str:
    """A table; columns in which nothing was counted are left out."""
    lines = [f"Relays, {_shown(since, zone)} to {_shown(until, zone)}", ""]
    if not destinations:
        return "\n".join([*lines, "none"])
    columns = [each for each in KEPT if any(one.counts.get(each) for one in destinations)]
    families = [
        "" if n and columns[n - 1].family == each.family else each.family
        for n, each in enumerate(columns)
    ]
    rows = [
        ["", *families, "", ""],
        ["relay", *(each.label for each in columns), "last TLS", "last seen"],
    ]
    for one in destinations:
        counts = (f"{one.counts[each]:,}" if each in one.counts else "-" for each in columns)
        rows.append([one.relay, *counts, one.protocol or "-", _shown(one.last, zone)])
    return "\n".join(lines + _table(rows))


def _table(rows: list[list[str]]) -> list[str]:
    """Columns below each other: the first one to the left, the others to the right."""
    widths = [max(len(row[n]) for row in rows[1:]) for n in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(widths[n]) for n, cell in enumerate(row) if n)]
        )
        for row in rows[1:]
    ]
    # The name of a family begins where its first column does.
    places = [sum(widths[:n]) + 2 * n for n in range(len(widths))]
    head = ""
    for place, name in zip(places, rows[0], strict=True):
        if name:
            head = (f"{head}  " if head else "").ljust(place) + name
    return [head.rstrip(), *lines]


def alarms_as_text(alarms: Sequence[WarningCount], zone: tzinfo | None) -> list[str]:
    """The warnings of Postfix itself, a line each."""
    return [
        f'Postfix warned {one.times:,} times of "{one.text}", last {_shown(one.last, zone)}: {one.meaning}.'
        for one in alarms
    ]


def _shown(at: int, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(at, timezone.utc).astimezone(zone).strftime("%Y-%m-%d %H:%M")
