"""The table of lines that are stamped in the future: they count when their time has come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from ..counts import LineAhead
from .ledger import Ledger

MOST_AHEAD = 1000
"""Lines that are kept; those that come later are counted nowhere."""

_FIELDS = ("read_at", *LineAhead._fields)


class KeptAhead(NamedTuple):
    """A line that is kept, and when it was read."""

    read_at: int
    line: LineAhead


def load_ahead(ledger: Ledger) -> list[KeptAhead]:
    """Return the lines that are kept, in the order in which they were read."""
    rows = ledger.read(f"SELECT {', '.join(_FIELDS)} FROM ahead ORDER BY rowid")
    kept = (KeptAhead(read_at, LineAhead(*fields)) for read_at, *fields in rows)
    return [
        each._replace(line=each.line._replace(keys=tuple(json.loads(str(each.line.keys)))))
        for each in kept
    ]


def save_ahead(ledger: Ledger, kept: Iterable[KeptAhead]) -> None:
    """Replace the lines that are kept; inside a transaction."""
    ledger.write("DELETE FROM ahead", [()])
    names, slots = ", ".join(_FIELDS), ", ".join("?" * len(_FIELDS))
    rows = [
        (read_at, line.at, line.host, line.line, json.dumps(line.keys), *line[4:])
        for read_at, line in kept
    ]
    ledger.write(f"INSERT INTO ahead ({names}) VALUES ({slots})", rows)
