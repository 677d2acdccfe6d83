"""The marks of an axis: of time, on the local calendar, and of counts."""

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
    """A mark on the axis of time."""

    at: float
    """Epoch second."""
    label: str
    """Empty for a mark between the labelled ones."""


def local(second: int, zone: tzinfo | None) -> datetime:
    """The aware local time of an epoch second; no zone is the system's."""
    return (
        datetime.fromtimestamp(second, zone)
        if zone
        else datetime.fromtimestamp(second).astimezone()
    )


def moment(second: int, zone: tzinfo | None) -> str:
    """An epoch second as `2026-11-24 03:00 CET`."""
    return local(second, zone).strftime("%Y-%m-%d %H:%M %Z").rstrip()


def ticks(since: int, until: int, zone: tzinfo | None, language: Language) -> tuple[Tick, ...]:
    """The marks of an axis of time, on the borders of hours, days, weeks or months of the local calendar."""
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
            # An hour that the clocks leave out has no place on the axis.
            if datetime.fromtimestamp(second, zone).hour == hour:
                yield Tick(second, f"{hour:02}:00")


def _days(since: int, until: int, zone: tzinfo | None) -> Iterator[date]:
    day, last = (datetime.fromtimestamp(second, zone).date() for second in (since, until))
    while day <= last:
        # A zone that moves over the date line leaves out a day.
        if datetime.fromtimestamp(_second(day, 0, zone), zone).date() == day:
            yield day
        day += timedelta(days=1)


def _second(day: date, hour: int, zone: tzinfo | None) -> float:
    # Where the clocks leave out midnight this is the first second of the day.
    return datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()


def _date(day: date, language: Language) -> str:
    return language.say("{day} {month}", day=day.day, month=language.say(MONTHS[day.month - 1]))


def _weekday(day: date, language: Language) -> str:
    return f"{language.say(WEEKDAYS[day.weekday()])} {day.day}"


def _month(day: date, language: Language) -> str:
    month = language.say(MONTHS[day.month - 1])
    return month if day.month > 1 else f"{month} {day.year}"


def scale(top: float, language: Language, *, whole: bool = False) -> tuple[tuple[float, str], ...]:
    """The values and labels of an axis from 0 that has to hold `top`: at most five round steps, `whole` numbers if asked for."""
    top = top or 1
    power = 10.0 ** math.floor(math.log10(room(top) / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 5 >= room(top))
    step = max(step, 1) if whole else step
    values = [i * step for i in range(6) if i * step <= room(top)]
    unit, suffix = next(
        (
            (unit, suffix)
            for least, unit, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
            if values[-1] >= least
        ),
        (1.0, ""),
    )
    # The slack keeps 0.1, which no float is exactly, at one decimal.
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    return tuple(
        (value, f"{language.number(value / unit, decimals)}{suffix}" if value else "0")
        for value in values
    )


def room(top: float) -> float:
    """How high an axis is that holds `top`."""
    return top * 1.05
