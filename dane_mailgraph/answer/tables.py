"""Tables as text and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal

Format = Literal["text", "json", "csv"]

_GAP = "  "
"""Between two columns of text."""


BOLD, FAINT, RED, GREEN = 1, 2, 31, 32
"""Codes of ECMA-48 that every terminal with colours knows."""


def coloured(text: str, code: int) -> str:
    """Return a text as a terminal shows it in a colour; 0 is none."""
    return f"\033[{code}m{text}\033[0m" if code else text


def csv_text(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write rows as CSV below a line of names; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def columns(groups: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows in columns, the first one flush left, the others flush right.

    Args:
        groups: for each column the name above it, where a group of columns begins, else empty.
        rows: the cells; the first row is the names of the columns.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    starts = accumulate((width + len(_GAP) for width in widths), initial=0)
    head = ""
    for start, group in zip(starts, groups, strict=False):
        if group:
            head = (head + _GAP if head else "").ljust(start) + group
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return [head, *map(_GAP.join, lines)]
