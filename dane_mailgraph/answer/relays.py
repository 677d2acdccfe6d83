"""Per relay, what was counted over some days, as text, JSON or CSV."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from types import MappingProxyType
from typing import NamedTuple

from ..categories import DELIVERIES, FAILURES, Category
from ..errors import UsageError
from ..language import ENGLISH
from ..relay_events import MEANINGS
from ..store import KEPT, EventTable, Happened, Ledger, RelayCounts, RelayTable
from ..times import day_number, format_time, midnight
from .authentication import is_authenticated
from .tables import BOLD, RED, Format, coloured, columns, csv_text

UNAUTHENTICATED = "unauthenticated"
"""Selects the relays that were not always authenticated."""

_FAMILIES = tuple(dict.fromkeys(row.family for row in KEPT))


class Relays(NamedTuple):
    """Relays, and the range of whole local days that their counts are of."""

    since: int
    until: int
    """Epoch seconds at midnight."""
    relays: tuple[RelayCounts, ...]
    events: Mapping[str, tuple[Happened, ...]] = MappingProxyType({})
    """Relay -> what happened with it that counts nowhere."""


def find_relays(ledger: Ledger, since: int, until: int, zone: tzinfo | None) -> Relays:
    """Return the relays of the local days that [since, until) touches, by name."""
    last = max(since, until - 1)
    days = day_number(since, zone), day_number(last, zone)
    found = tuple(RelayTable(ledger).totals(*days))
    events = EventTable(ledger).by_relay(*days)
    return Relays(midnight(since, zone), midnight(last, zone, days=1), found, events)


# ---- which, and in which order --------------------------------------------------------------


def choose(
    relays: Relays, *, only: str | None = None, sort: str = "total", limit: int | None = None
) -> Relays:
    """Filter and sort relays; raises UsageError for a word that names no category.

    Args:
        relays: what is chosen from.
        only: a category, a family, or `unauthenticated`: not always authenticated.
        sort: `relay` or `name`, one of the times (latest first), `total`, a category or a family
            (most first).
        limit: number of relays to keep.
    """
    found = list(relays.relays)
    if only == UNAUTHENTICATED:
        found = [each for each in found if is_authenticated(each.counts) is False]
    elif only:
        found = list(filter(_counter(only), found))
    found.sort(key=lambda each: each.relay)
    if sort not in ("relay", "name"):
        found.sort(key=_rank(sort), reverse=True)  # stable: equal ones stay sorted by name
    return relays._replace(relays=tuple(found[:limit]))


def _rank(word: str) -> Callable[[RelayCounts], int]:
    if word in ("first", "last", "last_failure"):
        return lambda relay: int(getattr(relay, word))
    return _sum(KEPT) if word == "total" else _counter(word)


def _sum(rows: Iterable[Category]) -> Callable[[RelayCounts], int]:
    chosen = tuple(rows)
    return lambda relay: sum(relay.counts.get(row, 0) for row in chosen)


def _counter(word: str) -> Callable[[RelayCounts], int]:
    """Return what counts a category (`plaintext`, `deliveries.verified`) or family of a relay."""
    chosen = [row for row in KEPT if word in (row.name, row.key, row.family)]
    if not chosen:
        words = ", ".join(dict.fromkeys([*_FAMILIES, *(row.name for row in KEPT)]))
        raise UsageError(
            f"there is no category {word}; write one of {words}, "
            "or with its family, as deliveries.verified."
        )
    return _sum(chosen)


# ---- writing --------------------------------------------------------------------------------


def format_relays(
    relays: Relays,
    form: Format,
    zone: tzinfo | None,
    width: int | None = None,
    *,
    is_coloured: bool = False,
) -> str:
    """Write the relays as text, JSON or CSV; the text has times of this zone.

    `width` is that of the terminal in characters; None for no terminal. In colours, those to which
    mail failed or went unencrypted are red.
    """
    if form == "text":
        return _as_text(relays, zone, width, is_coloured=is_coloured)
    return _as_json(relays) if form == "json" else _as_csv(relays)


def _as_json(relays: Relays) -> str:
    rows = [_plain(each, relays.events.get(each.relay, ())) for each in relays.relays]
    return json.dumps({"since": relays.since, "until": relays.until, "relays": rows})


def _plain(relay: RelayCounts, events: Iterable[Happened]) -> dict[str, object]:
    return {
        "relay": relay.relay,
        "first": relay.first,
        "last": relay.last,
        "last_failure": relay.last_failure or None,
        "protocol": relay.protocol or None,
        "key_exchange": relay.key_exchange or None,
        "counts": {row.key: relay.counts.get(row, 0) for row in KEPT},
        "events": [each._asdict() for each in events],
    }


def _as_csv(relays: Relays) -> str:
    head = ["relay", "first", "last", "last_failure", "protocol", "key_exchange"]
    return csv_text(
        [*head, *(row.key for row in KEPT)],
        (
            [
                *(each.relay, each.first, each.last, each.last_failure or None),
                *(each.protocol, each.key_exchange),
                *(each.counts.get(row, 0) for row in KEPT),
            ]
            for each in relays.relays
        ),
    )


def _as_text(relays: Relays, zone: tzinfo | None, width: int | None, *, is_coloured: bool) -> str:
    """Write a table without the columns in which nothing was counted, no wider than `width`.

    Where it would be wider, the columns of the fewest go first; then long names are cut.
    """
    since, until = (format_time(at, zone) for at in (relays.since, relays.until))
    lines = [f"Relays, {since} to {until}", ""]
    if not relays.relays:
        return "\n".join([*lines, "none"])
    totals = {row: sum(each.counts.get(row, 0) for each in relays.relays) for row in KEPT}
    rows = [row for row in KEPT if totals[row]]
    left_out = []
    table = _table(relays.relays, rows, zone)
    while width and rows and max(map(len, table)) > width:
        fewest = min(rows, key=lambda row: totals[row])
        left_out.append(fewest.label)
        rows.remove(fewest)
        table = _table(relays.relays, rows, zone)
    if width and (excess := max(map(len, table)) - width) > 0:
        longest = max(len(each.relay) for each in relays.relays)
        table = _table(relays.relays, rows, zone, max(_SHORTEST, longest - excess))
    if is_coloured:
        is_red = _sum(row for row in KEPT if row.family == "failures" or row.name == "plaintext")
        colours = (BOLD, BOLD, *(RED if is_red(each) else 0 for each in relays.relays))
        table = [coloured(line, colour) for line, colour in zip(table, colours, strict=True)]
    if left_out:
        names = ", ".join(left_out)
        table += ["", f"Left out for the width of the terminal: {names}. `--format csv` has all."]
    return "\n".join(lines + table + _happened(relays, zone))


def _happened(relays: Relays, zone: tzinfo | None) -> list[str]:
    """Write what happened with these relays, a line each, behind an empty one."""
    found = [
        f"{each.relay}: {MEANINGS[event.name]}{': ' if event.detail else ''}{event.detail}; "
        f"{event.times:,} time{'s' if event.times > 1 else ''}, last {_time(event.last, zone)}"
        for each in relays.relays
        for event in relays.events.get(each.relay, ())
    ]
    return ["", *found] if found else []


_SHORTEST = 20
"""Characters to which a name may be cut."""


def _table(
    relays: Iterable[RelayCounts], rows: list[Category], zone: tzinfo | None, longest: int = 0
) -> list[str]:
    """Write the table with these categories, and names of at most so many characters."""
    fail = any(each.last_failure for each in relays)
    families = [
        "" if n and rows[n - 1].family == row.family else row.family for n, row in enumerate(rows)
    ]
    cells = [
        [
            _cut(each.relay, longest),
            *(f"{each.counts[row]:,}" if row in each.counts else "-" for row in rows),
            *((_failed(each), _time(each.last_failure, zone)) if fail else ()),
            each.protocol or "-",
            format_time(each.last, zone),
        ]
        for each in relays
    ]
    labels = ["relay", *(row.label for row in rows)]
    labels += ["failed", "last failure"] if fail else []
    rest = [""] * (len(labels) - len(rows) + 1)
    return columns(["", *families, *rest], [[*labels, "last TLS", "last seen"], *cells])


def _cut(name: str, longest: int) -> str:
    return f"{name[: longest - 3]}..." if 0 < longest < len(name) else name


def _failed(relay: RelayCounts) -> str:
    """Write the share of recipients whose mail failed."""
    failed, handed_over = _sum(FAILURES)(relay), _sum(DELIVERIES)(relay)
    return ENGLISH.percent(failed / (failed + handed_over)) if failed else "-"


def _time(at: int, zone: tzinfo | None) -> str:
    return format_time(at, zone) if at else "-"
