"""Time stamps of log lines as epoch seconds, with the missing year and zone supplied."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta, timezone, tzinfo

from ..times import DAY, YEAR_9999

_MONTHS = {
    name: 1 + n for n, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
}

_YEAR_2005 = 1104537600
"""Epoch second. In that year Postfix learned TLS: an earlier stamp, as the 2000-01-01 of a machine
without a clock, is of one that does not know the time yet."""
_REMEMBERED_MINUTES = 60
"""Minutes whose epoch second is remembered: lines of a few of them stand mixed."""
_OUT_OF_ORDER = 31 * DAY
"""A stamp without a year is at most this many seconds older than the line before it."""
_SECOND_PASS = 300
"""In the hour that autumn repeats, a step back by more seconds than this begins its second pass."""
_YEARS_BACK = 8
"""How many years before `latest` the first line may be: two 29 Februaries are at most 8 apart."""


class Clock:
    """Reads the stamps of one log, from its first line to its last.

    A stamp may lack its year and its zone. What it lacks follows from the line before it and from
    the latest time at which it can have been written: the file's modification time, or now.
    Reading a stamp changes nothing: who accepts its line calls `advance`.
    """

    def __init__(
        self,
        zone: tzinfo | None,
        latest: int,
        *,
        year: int | None = None,
        previous: int | None = None,
    ) -> None:
        """`zone` is the zone of stamps without one, `year` the year of the first stamp without one.

        `latest` and `previous`, the time of the line before the first one, are epoch seconds.
        """
        self._zone = zone
        self._latest = latest
        self._year = year
        self._previous = previous
        self._minutes: dict[bytes, int] = {}
        self._hours = (0, 0)
        self._crosses = False
        self._ambiguous = False

    @property
    def previous(self) -> int | None:
        """When the line before was written, as an epoch second; None before the first line."""
        return self._previous

    def advance(self, at: int) -> None:
        """Take `at` for the time of the line before the next one."""
        self._previous = at

    def read(self, stamp: bytes, offset: bytes) -> int | None:
        """Return the epoch second of a stamp; None where there is no such day or hour.

        `stamp` is `Nov  4 00:06:58` or `2026-11-04T00:06:58`; `offset` is `Z`, `+0100`, `+01:00` or
        empty. The leap second 60 belongs to the second before it.
        """
        minute = stamp[:-3] + offset
        begins = self._minutes.get(minute)
        if begins is None or (
            self._previous is not None and self._previous > begins + 60 + _SECOND_PASS
        ):
            self._ambiguous = False
            try:
                begins = self._read_minute(stamp[:-3], offset)
            except (ValueError, KeyError, OverflowError):
                return None
            if len(self._minutes) >= _REMEMBERED_MINUTES:
                self._minutes.clear()
            if not self._ambiguous:
                self._minutes[minute] = begins
        if not _YEAR_2005 <= begins < YEAR_9999:
            return None
        return begins + min(int(stamp[-2:]), 59)

    def _read_minute(self, stamp: bytes, offset: bytes) -> int:
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

    def recurs(self, at: int) -> bool:
        """Return whether a stamp without a year that meant `at` means a later year by now."""
        return self._previous is not None and self._previous - at >= _OUT_OF_ORDER

    def crosses_a_fold(self, first: int, last: int) -> bool:
        """Return whether local clocks change within two hours of these two epoch seconds."""
        hours = first // 3600 - 2, last // 3600 + 2
        if hours != self._hours:
            self._hours = hours
            before, after = (
                datetime.fromtimestamp(hour * 3600, timezone.utc).astimezone(self._zone)
                for hour in hours
            )
            self._crosses = before.utcoffset() != after.utcoffset()
        return self._crosses

    def _yearless(self, *fields: int) -> int:
        if self._previous is None and self._year is not None:
            return self._local(self._year, *fields)
        around = datetime.fromtimestamp(
            self._latest if self._previous is None else self._previous, self._zone
        ).year
        if self._previous is not None:
            with suppress(ValueError):
                at = self._local(around, *fields)
                if abs(at - self._previous) < _OUT_OF_ORDER and at <= self._latest + DAY:
                    return at
        years = []
        for year in range(around - (_YEARS_BACK if self._previous is None else 1), around + 2):
            with suppress(ValueError):  # 29 February is not in every year
                years.append(self._local(year, *fields))
        if self._previous is not None:
            for at in years:
                # A time somewhat after `latest` is of a wrong clock, and not of the year before.
                if self._previous - _OUT_OF_ORDER <= at <= self._latest + _OUT_OF_ORDER:
                    return at
        return max(at for at in years if at <= self._latest + DAY)

    def _local(self, year: int, month: int, day: int, hour: int, minute: int) -> int:
        """Return the epoch second of a local time; an hour that spring skips is the one after."""
        early, late = (
            int(datetime(year, month, day, hour, minute, tzinfo=self._zone, fold=fold).timestamp())
            for fold in (0, 1)
        )
        self._ambiguous = early < late
        if (
            early < late <= self._latest + _SECOND_PASS
            and self._previous is not None
            and early < self._previous - _SECOND_PASS
        ):
            return late
        return early


def _zone(offset: bytes) -> timezone:
    if offset in b"Zz":
        return timezone.utc
    east = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
    return timezone(-east if offset.startswith(b"-") else east)
