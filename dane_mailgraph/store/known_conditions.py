"""The table of conditions in a ledger: since when each holds, and what messages said of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .ledger import Ledger


class KnownCondition(NamedTuple):
    """A condition of the last checks. Times are epoch seconds; None is not yet."""

    name: str
    subject: str
    since: int
    last: int
    """When a check last found it."""
    level: int
    text: str
    found_in_a_row: int = 1
    """Checks in a row that found it."""
    missed_in_a_row: int = 0
    """Checks in a row that did not."""
    told_at: int | None = None
    told_level: int = 0
    end_told_at: int | None = None
    """When a message said that it is over."""


def load_known_conditions(ledger: Ledger) -> list[KnownCondition]:
    """Return what is remembered of the last checks."""
    names = ", ".join(KnownCondition._fields)
    return [KnownCondition(*row) for row in ledger.read(f"SELECT {names} FROM told")]


def save_known_conditions(ledger: Ledger, told: Iterable[KnownCondition]) -> None:
    """Replace what is remembered; inside a transaction."""
    ledger.write("DELETE FROM told", [()])
    names, slots = ", ".join(KnownCondition._fields), ", ".join("?" * len(KnownCondition._fields))
    ledger.write(f"INSERT INTO told ({names}) VALUES ({slots})", told)
