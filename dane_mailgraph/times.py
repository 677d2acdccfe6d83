"""Times and durations: read from the command line, cut into periods, written for people."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from .errors import UsageError

MINUTE, HOUR, DAY = 60, 3600, 86400

PERIODS = ("hour", "day", "week", "month")

_DAYS_AGO = {"today": 0, "yesterday": 1}

_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}

YEAR_9999 = 253370764800
"""Epoch second in which the last year begins that datetime knows."""


def parse_time(text: str, now: int, zone: tzinfo | None) -> int:
    """Read a time of the command line as an epoch second; raises UsageError.

    It is `now`, `24h` or `7d` (that long before `now`), `today` or `yesterday` (the beginning of
    that day), `@EPOCH`, or ISO 8601, in `zone` where it names none.
    """
    if text == "now":
        return now
    if text in _DAYS_AGO:
        return midnight(now, zone, days=-_DAYS_AGO[text])
    try:
        if ago := re.fullmatch(r"([0-9]+)([smhdw])", text):
            second = now - int(ago[1]) * _UNITS[ago[2]]
        elif epoch := re.fullmatch(r"@([0-9]+)|([0-9]{9,11})", text):
            second = int(epoch[1] or epoch[2])
        else:
            at = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
            second = int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp())
        if not 0 <= second < YEAR_9999:
            raise ValueError("not from 1970 to 9998")
        return second
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{text} is not a time; write 2026-11-24, 2026-11-24T12:00:00+01:00, 24h, 7d, today, "
            "yesterday or now."
        ) from error


def local_time(at: int, zone: tzinfo | None) -> datetime:
    """Return an epoch second as a datetime of this zone; None is the system's zone."""
    return datetime.fromtimestamp(at, timezone.utc).astimezone(zone)


def midnight(at: int, zone: tzinfo | None, *, days: int = 0) -> int:
    """Return the epoch second in which the local day of `at`, or that `days` later, begins."""
    today = local_time(at, zone)
    day = datetime(today.year, today.month, today.day, tzinfo=zone) + timedelta(days=days)
    return int(day.timestamp())


def period_edges(since: int, until: int, period: str, zone: tzinfo | None) -> list[int]:
    """Return `since`, where local hours, days, weeks or months begin after it, and `until`."""
    found = [since]
    while (at := _next(found[-1], period, zone)) < until:
        found.append(at)
    return [*found, until]


def _next(at: int, period: str, zone: tzinfo | None) -> int:
    """Return when the period after that of `at` begins."""
    here = local_time(at, zone)
    if period == "hour":
        return at - 60 * here.minute - here.second + HOUR
    if period == "month":
        days = (here.replace(day=28) + timedelta(days=4)).replace(day=1).date() - here.date()
        return midnight(at, zone, days=days.days)
    return midnight(at, zone, days=1 if period == "day" else 7 - here.weekday())


def day_number(at: int, zone: tzinfo | None) -> int:
    """Return the local day of an epoch second as the number 20261124."""
    day = datetime.fromtimestamp(at, zone)
    return day.year * 10000 + day.month * 100 + day.day


def format_time(
    at: int, zone: tzinfo | None, *, seconds: bool = False, zone_name: bool = False
) -> str:
    """Write an epoch second as local time: `2026-11-24 12:00`.

    With `seconds`: `2026-11-24 12:00:07`; with `zone_name`, for readers elsewhere:
    `2026-11-24 12:00 CET`.
    """
    form = "%Y-%m-%d %H:%M" + ":%S" * seconds + " %Z" * zone_name
    return local_time(at, zone).strftime(form).rstrip()


def format_day(at: int, zone: tzinfo | None) -> str:
    """Write the local day of an epoch second: `2026-11-24`."""
    return f"{local_time(at, zone):%Y-%m-%d}"


def format_duration(seconds: int) -> str:
    """Write a duration in its largest unit, rounded down: `45 s`, `20 min`, `3 h`, `5 days`."""
    count, unit = in_largest_unit(seconds)
    return f"{count:,} {unit}"


def in_largest_unit(seconds: int) -> tuple[int, str]:
    """Return a duration as count and unit: `s`, `min`, `h` or `days`.

    A unit is used from two of it on, so that the last digit always says something.
    """
    for length, unit in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * length:
            return seconds // length, unit
    return seconds, "s"
