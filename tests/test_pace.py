"""A followed log is read seldom, and never later than its intervals need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.counting.pace import SHORTEST, Pace
from dane_mailgraph.log import Look

LOG = Look("inode 1", 1000)


def read_at(now: int, seen: Look = LOG, step: int = 60, grace: int = 7) -> Pace:
    pace = Pace(step, grace)
    pace.note_reading(now, seen)
    return pace


def test_the_first_reading_is_at_once() -> None:
    assert Pace(60, 7).is_due(1000, LOG)


def test_a_log_that_goes_on_is_read_every_minute_while_no_interval_is_closed() -> None:
    pace = read_at(6010, step=3600)
    grown = LOG._replace(extent=1001)
    assert [now for now in range(6010, 6075) if pace.is_due(now, grown)] == [*range(6070, 6075)]


def readings(pace: Pace, seen: Look, seconds: range) -> list[int]:
    found = []
    for now in seconds:
        if pace.is_due(now, seen):
            pace.note_reading(now, seen)
            found.append(now)
    return found


def test_a_quiet_log_is_read_each_minute_until_its_last_line_may_be_in_a_closed_interval() -> None:
    assert readings(read_at(6010), LOG, range(6010, 6300)) == [6067, 6127, 6187]


@pytest.mark.parametrize(
    ("step", "until", "quiet"),
    [
        (60, 7200, [6187, 6487, 6787, 7087]),
        (10, 6260, [6147, 6197, 6247]),
        (300, 7000, [6307, 6607, 6907]),
    ],
)
def test_then_five_quiet_intervals_are_closed_at_once_or_those_of_five_minutes(
    step: int, until: int, quiet: list[int]
) -> None:
    assert readings(read_at(6010, step=step), LOG, range(6010, until))[-len(quiet) :] == quiet


def test_a_line_after_a_long_silence_is_read_when_its_interval_is_closed() -> None:
    pace = read_at(6010)
    readings(pace, LOG, range(6010, 9000))
    assert pace.is_due(9007, LOG._replace(extent=1001))


def test_a_log_that_was_rotated_or_emptied_is_read_at_once() -> None:
    pace = read_at(6010)
    assert pace.is_due(6011, Look("inode 2", 5000))
    assert pace.is_due(6011, LOG._replace(extent=0))


def test_a_clock_that_was_set_back_does_not_stop_it() -> None:
    assert read_at(6010).is_due(6009, LOG)


@given(st.integers(0, 10**6), st.sampled_from([1, 5, 60, 3600]), st.integers(0, 120), st.booleans())
def test_no_interval_is_closed_later_than_the_second_after_its_grace(
    begin: int, step: int, grace: int, grows: bool
) -> None:
    pace, extent = read_at(begin, step=step, grace=grace), LOG.extent
    readings = []
    for now in range(begin + 1, begin + 2 * step + SHORTEST):
        extent += grows
        if pace.is_due(now, LOG._replace(extent=extent)):
            readings.append(now)
            pace.note_reading(now, LOG._replace(extent=extent))
    closings = {
        at for at in range(begin + 1, begin + 2 * step + SHORTEST) if not (at - grace) % step
    }
    assert closings <= set(readings)
