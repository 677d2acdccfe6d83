"""Times and durations are written for people in one format everywhere."""

from __future__ import annotations

from datetime import timezone
from zoneinfo import ZoneInfo

import pytest

from dane_mailgraph.times import format_day, format_duration, format_time

LATE_EVENING = 1795474807
"""2026-11-23T23:00:07Z."""


def test_a_time_is_local_and_has_seconds_only_where_they_are_asked_for() -> None:
    assert format_time(LATE_EVENING, timezone.utc) == "2026-11-23 23:00"
    assert format_time(LATE_EVENING, ZoneInfo("Europe/Berlin")) == "2026-11-24 00:00"
    assert format_time(LATE_EVENING, timezone.utc, seconds=True) == "2026-11-23 23:00:07"
    assert format_day(LATE_EVENING, ZoneInfo("Europe/Berlin")) == "2026-11-24"


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172799, "47 h"),
        (172800, "2 days"),
        (86400 * 1200, "1,200 days"),
    ],
)
def test_a_duration_is_in_the_largest_unit_that_it_holds_twice(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text
