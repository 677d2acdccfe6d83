"""Seconds, days and moments."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from .errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_NEWEST = 253370764800
"""The year 9999, the last that datetime can reckon in."""


def moment(text: str, now: int, zone: tzinfo | None) -> int:
    """Epoch second of `now`, of `24h` (so long ago), of `@EPOCH` or of an ISO 8601 time; raises UsageError."""
    if text == "now":
        return now
    try:
        if ago := re.fullmatch(r"([0-9]+)([smhdw])", text):
            second = now - int(ago[1]) * _UNITS[ago[2]]
        elif epoch := re.fullmatch(r"@([0-9]+)|([0-9]{9,11})", text):
            second = int(epoch[1] or epoch[2])
        else:
            at = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
            second = int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp())
        if not 0 <= second < _NEWEST:
            raise ValueError("not from 1970 to 9998")
        return second
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text} is no time; write 2026-11-24, 2026-11-24T12:00:00+01:00, 24h, 7d or now."
        ) from error


def midnight(at: int, zone: tzinfo | None, *, days: int = 0) -> int:
    """When the local day of this second begins, or the one so many days after it."""
    local = datetime.fromtimestamp(at, timezone.utc).astimezone(zone)
    day = datetime(local.year, local.month, local.day, tzinfo=zone) + timedelta(days=days)
    return int(day.timestamp())


def day_of(at: int, zone: tzinfo | None) -> int:
    """The day of the local calendar, as the number 20261124."""
    local = datetime.fromtimestamp(at, zone)
    return local.year * 10000 + local.month * 100 + local.day


MINUTE, HOUR, DAY = 60, 3600, 86400
