"""The marks of two axes: time on the local calendar, and counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from ..language import Language
from ..times import DAY

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Tick(NamedTuple):
    """A mark on the time axis."""

    at: float
    """Epoch second."""
    label: str
    """Empty for a minor mark."""


def ticks(since: int, until: int, zone: tzinfo | None, language: Language) -> tuple[Tick, ...]:
    """Return the marks of a time axis: starts of hours, days, weeks or months, local time."""
    length = until - since
    if length <= 2 * DAY:
        found = _hours(since, until, zone, language)
    elif length <= 14 * DAY:
        found = (
            Tick(_second(day, 0, zone), _weekday(day, language))
            for day in _days(since, until, zone)
        )
    elif length <= 92 * DAY:
        found = (
            Tick(_second(day, 0, zone), "" if day.weekday() else _date(day, language))
            for day in _days(since, until, zone)
        )
    else:
        found = (
            Tick(_second(day, 0, zone), _month(day, language))
            for day in _days(since, until, zone)
            if day.day == 1
        )
    return tuple(tick for tick in found if since <= tick.at <= until)


def _hours(since: int, until: int, zone: tzinfo | None, language: Language) -> Iterator[Tick]:
    for day in _days(since, until, zone):
        yield Tick(_second(day, 0, zone), _date(day, language))
        for hour in range(3, 24, 3):
            second = _second(day, hour, zone)
            # Skip an hour that does not exist because the clocks go forward.
            if datetime.fromtimestamp(second, zone).hour == hour:
                yield Tick(second, f"{hour:02}:00")


def _days(since: int, until: int, zone: tzinfo | None) -> Iterator[date]:
    day, last = (datetime.fromtimestamp(second, zone).date() for second in (since, until))
    while day <= last:
        # Skip a day that does not exist because the zone crosses the date line.
        if datetime.fromtimestamp(_second(day, 0, zone), zone).date() == day:
            yield day
        day += timedelta(days=1)


def _second(day: date, hour: int, zone: tzinfo | None) -> float:
    # Where the clocks skip midnight, this is the first second of the day.
    return datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()


def _date(day: date, language: Language) -> str:
    return language.say("{day} {month}", day=day.day, month=language.say(MONTHS[day.month - 1]))


def _weekday(day: date, language: Language) -> str:
    return f"{language.say(WEEKDAYS[day.weekday()])} {day.day}"


def _month(day: date, language: Language) -> str:
    month = language.say(MONTHS[day.month - 1])
    return month if day.month > 1 else f"{month} {day.year}"


def scale(top: float, language: Language, *, whole: bool = False) -> tuple[tuple[float, str], ...]:
    """Return the values and labels of an axis from 0 to `top`: at most five round steps.

    With `whole`, the values are whole numbers.
    """
    top = top or 1
    power = 10.0 ** math.floor(math.log10(axis_end(top) / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 5 >= axis_end(top))
    step = max(step, 1) if whole else step
    values = [i * step for i in range(6) if i * step <= axis_end(top)]
    unit, suffix = next(
        (
            (unit, suffix)
            for least, unit, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
            if values[-1] >= least
        ),
        (1.0, ""),
    )
    # 1e-9 because 0.1 as a float is not exact, and needs one decimal all the same.
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    return tuple(
        (value, f"{language.number(value / unit, decimals)}{suffix}" if value else "0")
        for value in values
    )


def axis_end(top: float) -> float:
    """Return where an axis ends whose highest value is `top`: a little above."""
    return top * 1.05
