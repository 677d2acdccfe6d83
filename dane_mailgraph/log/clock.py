"""Stamps become epoch seconds, the missing year and zone supplied."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone, tzinfo

_MONTHS = {
    name: 1 + n for n, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
}

_DAY = 86400
_OLDEST = 946684800
"""The year 2000. What is stamped earlier was written by a machine that did not know the time yet."""
_NEWEST = 253370764800
"""The year 9999, the last that datetime can reckon in."""
_MINUTES = 60
"""Minutes whose beginning is remembered: lines of a few of them stand mixed."""
_OUT_OF_ORDER = 31 * _DAY
"""A stamp without a year is taken to be at most this much older than the line before it."""
_FOLD = 300
"""In the hour that autumn repeats, a step back by more than this many seconds is its second pass."""


class Clock:
    """Stamps become epoch seconds, line after line.

    A stamp without a year or zone says too little; the line before it and the latest time at which it
    can have been written (the file's modification, or now) say the rest.
    """

    def __init__(
        self,
        zone: tzinfo | None,
        latest: int,
        *,
        year: int | None = None,
        previous: int | None = None,
    ) -> None:
        self.zone = zone
        self.latest = latest
        self.year = year
        self.previous = previous
        """When the line before was written."""
        self._minutes: dict[bytes, int] = {}
        self._hours = (0, 0)
        self._crosses = False
        self._ambiguous = False

    def resolve(self, stamp: bytes, offset: bytes) -> int | None:
        """The epoch second of a stamp; None where there is no such day or hour."""
        minute = stamp[:-3] + offset
        begins = self._minutes.get(minute)
        if begins is None or (self.previous is not None and self.previous > begins + 60 + _FOLD):
            self._ambiguous = False
            try:
                begins = self._resolve_minute(stamp[:-3], offset)
            except (ValueError, KeyError, OverflowError):
                return None
            if len(self._minutes) >= _MINUTES:
                self._minutes.clear()
            if not self._ambiguous:
                self._minutes[minute] = begins
        if not _OLDEST <= begins < _NEWEST:
            return None
        # The leap second 60 belongs to its minute.
        self.previous = begins + min(int(stamp[-2:]), 59)
        return self.previous

    def _resolve_minute(self, stamp: bytes, offset: bytes) -> int:
        if len(stamp) == 12:
            return self._yearless(
                _MONTHS[stamp[:3]], int(stamp[4:6]), int(stamp[7:9]), int(stamp[10:])
            )
        fields = (
            int(stamp[:4]),
            int(stamp[5:7]),
            int(stamp[8:10]),
            int(stamp[11:13]),
            int(stamp[14:]),
        )
        if not offset:
            return self._local(*fields)
        return int(datetime(*fields, tzinfo=_zone(offset)).timestamp())

    def crosses_a_fold(self, first: int, last: int) -> bool:
        """Whether local clocks were put back or forward near these two times."""
        hours = first // 3600 - 2, last // 3600 + 2
        if hours != self._hours:
            self._hours = hours
            before, after = (
                datetime.fromtimestamp(hour * 3600, timezone.utc).astimezone(self.zone)
                for hour in hours
            )
            self._crosses = before.utcoffset() != after.utcoffset()
        return self._crosses

    def _yearless(self, *fields: int) -> int:
        if self.previous is None and self.year is not None:
            return self._local(self.year, *fields)
        around = datetime.fromtimestamp(
            self.latest if self.previous is None else self.previous, self.zone
        ).year
        if self.previous is not None:
            with suppress(ValueError):
                at = self._local(around, *fields)
                if abs(at - self.previous) < _OUT_OF_ORDER and at <= self.latest + _DAY:
                    return at
        years = []
        for year in range(around - (8 if self.previous is None else 1), around + 2):
            with suppress(ValueError):  # 29 February is not in every year
                years.append(self._local(year, *fields))
        if self.previous is not None:
            for at in years:
                # A little after `latest` it is a wrong clock's, and not of the year before.
                if self.previous - _OUT_OF_ORDER <= at <= self.latest + _OUT_OF_ORDER:
                    return at
        return max(at for at in years if at <= self.latest + _DAY)

    def _local(self, year: int, month: int, day: int, hour: int, minute: int) -> int:
        """Epoch second of local time; an hour that spring leaves out is taken as the one after it."""
        early, late = (
            int(datetime(year, month, day, hour, minute, tzinfo=self.zone, fold=fold).timestamp())
            for fold in (0, 1)
        )
        self._ambiguous = early < late
        if (
            early < late <= self.latest + _FOLD
            and self.previous is not None
            and early < self.previous - _FOLD
        ):
            return late
        return early


def _zone(offset: bytes) -> timezone:
    if offset in b"Zz":
        return timezone.utc
    east = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return timezone(-east if offset.startswith(b"-") else east)
