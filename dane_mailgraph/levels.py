"""How bad something is, as monitoring plugins say it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Level(IntEnum):
    """How bad something is; the values are the exit statuses of a monitoring plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def word(self) -> str:
        """As in JSON: `ok`."""
        return self.name.lower()

    @property
    def urgency(self) -> int:
        """For sorting: what is unknown outranks only what is well."""
        return _URGENCY.index(self)


_URGENCY = (Level.OK, Level.UNKNOWN, Level.WARNING, Level.CRITICAL)


def worst(levels: Iterable[Level]) -> Level:
    """Return the most urgent of some levels; of none, OK."""
    return max(levels, key=lambda each: each.urgency, default=Level.OK)
