"""What the ledger remembers beside its counts, as one value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..times import DAY, HOUR


class State(NamedTuple):
    """How far everything is. Times are epoch seconds unless said; None is not yet."""

    step: int | None = None
    """Seconds in an interval."""
    begin: int | None = None
    """Start of the first interval of all."""
    newest: int | None = None
    """When the newest line was written."""
    read_at: int | None = None
    """When the log was last read to its end."""
    read_until: int | None = None
    """The end of what the log has been read for: intervals before it can be closed."""
    already_counted_until: int | None = None
    """Lines from before this time are counted already: the RRD was ahead of the ledger."""
    sessions: Any = None
    """The open TLS sessions of Postfix's processes, as `Sessions.saved` gives them."""
    hosts: Any = None
    """Up to which line each host is counted, as `Marks.marks` gives it."""
    source: str | None = None
    """The bookmark's name of the log that was read last; None after other logs were counted."""
    counted_elsewhere: Any = None
    """What of `hosts` stood in other logs, and may still come in this one; None where nothing."""
    rrd_until: int | None = None
    """Up to when the RRD holds the intervals, or will after the update that was announced."""
    rrd_stale_from: int | None = None
    """Intervals from here on have changed since the RRD got them: it must be rebuilt."""
    rrd_mtime_ns: int | None = None
    """When its file was changed last, by us; None where an update may be under way
    or was cut off."""
    snapshot_until: int | None = None
    """Up to when they stood in the RRD when its snapshot was made."""
    snapshot_at: int | None = None
    """When that was."""
    pruned_before: int | None = None
    """Intervals before it are kept in RRD and snapshot alone."""
    last_event: int | None = None
    """Start of the newest interval in which something was counted."""
    past_revision: int = 0
    """Goes up whenever counts change that stood in the RRD."""
    rebuilt: bool = False
    """The ledger was rebuilt from the logs; the RRD of the old ledger must go."""

    def nonsense(self, now: int) -> str:
        """Return a value that cannot be, with its name; empty if all of them can."""
        for name in TIMES:
            value = getattr(self, name)
            if value is None:
                continue
            if value > now + DAY:
                return f"{name} is {value}, and it is {now} now"
            if name in _BOUNDARIES and self.step and value % self.step:
                return f"{name} is {value}, which is no start of an interval"
        return ""

    @property
    def log_was_read(self) -> bool:
        """Whether any log has been read."""
        return self.begin is not None or self.read_at is not None

    def changes(self, before: State) -> Iterator[tuple[str, str]]:
        """Yield the fields that differ, each with its value as JSON."""
        for name, value, old in zip(self._fields, self, before, strict=True):
            if value != old:
                yield name, json.dumps(value)

    @classmethod
    def parsed(cls, rows: Iterable[tuple[str, str]]) -> State:
        """Read the state from these names and values; other names are ignored.

        Raises ValueError that names a value of the wrong type.
        """
        texts = dict(rows)
        return cls(**{name: _value(name, texts[name]) for name in cls._fields if name in texts})


_BOUNDARIES = ("begin", "read_until", "rrd_until")

_NEVER = 1 << 37
"""The year 6325: what is later cannot be written as a date."""

TIMES = (
    *_BOUNDARIES,
    *("newest", "read_at", "already_counted_until", "rrd_stale_from"),
    *("snapshot_until", "snapshot_at", "pruned_before", "last_event"),
)
"""Fields that are epoch seconds."""

_TYPES = {
    "sessions": None,
    "hosts": None,
    "counted_elsewhere": None,
    "source": str,
    "rebuilt": bool,
}
"""Fields that are no whole numbers; None for those whose owner reads them."""


def _value(name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text[:40]}") from error
    wanted = _TYPES.get(name, int)
    if wanted and value is not None and type(value) is not wanted:
        raise ValueError(f"{name} is {text[:40]}")
    if name in TIMES and value is not None and not 0 <= value < _NEVER:
        raise ValueError(f"{name} is {value}")
    if name == "step" and value is not None and (not 1 <= value <= HOUR or HOUR % value):
        raise ValueError(f"{name} is {value}")
    return value
