"""The table of conditions in a ledger: since when each holds, and what was told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .ledger import Ledger


class Told(NamedTuple):
    """A condition of the last checks. Times are epoch seconds; None is not yet."""

    name: str
    subject: str
    since: int
    last: int
    """When a check last found it."""
    level: int
    text: str
    held: int = 1
    """Checks in a row that found it."""
    missed: int = 0
    """Checks in a row that did not."""
    told_at: int | None = None
    told_level: int = 0
    over_at: int | None = None
    """When it was told that it is over."""


def load_told(ledger: Ledger) -> list[Told]:
    """Return what is remembered of the last checks."""
    return [Told(*row) for row in ledger.read(f"SELECT {', '.join(Told._fields)} FROM told")]


def save_told(ledger: Ledger, told: Iterable[Told]) -> None:
    """Replace what is remembered; inside a transaction."""
    ledger.write("DELETE FROM told", [()])
    names, slots = ", ".join(Told._fields), ", ".join("?" * len(Told._fields))
    ledger.write(f"INSERT INTO told ({names}) VALUES ({slots})", told)
