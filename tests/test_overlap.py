"""Logs that are imported together and overlap: counted once, or named where that is unsure."""

from __future__ import annotations

import itertools
import shutil
from datetime import timezone
from pathlib import Path

import pytest
from host import PACK, START, Host, line, pack, rfc3339, yearless

from dane_mailgraph.counting import remarks

pytestmark = pytest.mark.slow


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, now=START)


def logged(host: Host, number: int) -> list[str]:
    """Lines of a log, one a second, each of its own."""
    lines = [host.lines(at=START + second) for second in range(number)]
    host.now = START + number
    return lines


def put(host: Host, name: str, lines: list[str], packed: str = "") -> Path:
    path = host.folder / name
    path.write_text("".join(lines))
    return pack(path, packed) if packed else path


@pytest.mark.parametrize("packed", ["", *PACK])
@pytest.mark.parametrize("number", [400, 6000])
def test_what_stands_in_both_of_two_logs_is_counted_once(
    host: Host, packed: str, number: int
) -> None:
    lines = logged(host, number)
    earlier, later = (
        put(host, "b", lines[: number - 50], packed),
        put(host, "a", lines[number - 150 :], packed),
    )
    step = host.take(later, earlier)

    assert step.counted == number and not step.overlaps
    assert host.counted == dict(host.truth)


def test_many_logs_that_hold_parts_of_each_other_are_counted_once(host: Host) -> None:
    lines = logged(host, 500)
    parts = [(0, 300), (100, 120), (250, 400), (280, 450), (399, 500), (450, 500), (480, 490)]
    paths = [put(host, f"part{begin}", lines[begin:end]) for begin, end in parts]
    step = host.take(*paths)

    assert step.counted == 500 and not step.overlaps


def test_a_log_that_is_followed_may_hold_the_end_of_another(host: Host) -> None:
    lines = logged(host, 300)
    host.write("".join(lines[100:]))
    step = host.take(
        put(host, "saved", lines[:200]), host.log, put(host, "excerpt", lines[150:180])
    )

    assert step.counted == 300 and not step.overlaps
    host.connect(2)
    host.settles()


def test_a_log_that_is_followed_may_be_shorter_than_its_copy(host: Host) -> None:
    lines = logged(host, 100)
    host.write("".join(lines[:40]))

    assert host.take(put(host, "copy", lines), host.log).counted == 100


def test_the_same_traffic_in_two_formats_is_reported_with_both_names_and_the_time(
    host: Host,
) -> None:
    old = put(host, "old", [line(yearless(START + second)) for second in range(100)])
    new = put(host, "new", [line(rfc3339(START + second)) for second in range(50, 150)])
    host.now += 300
    step = host.take(new, old)

    assert step.counted == 200
    (said,) = remarks(step, timezone.utc)
    assert said.startswith(
        f"{old} and {new} are logs of one host, "
        "and both hold 2026-11-24 02:00:50 to 2026-11-24 02:01:39: "
    )
    assert said.endswith("; if they are copies, `import --rebuild` without one of them.")


def test_lines_that_are_the_same_only_at_first_are_all_counted_and_said(host: Host) -> None:
    lines = logged(host, 200)
    step = host.take(put(host, "whole", lines), put(host, "some", [*lines[100:150], *lines[160:]]))

    assert step.counted == 290
    assert [(each.start, each.until) for each in step.overlaps] == [(START + 100, START + 199)]


def test_logs_of_several_hosts_may_tell_of_the_same_time(host: Host) -> None:
    lines = logged(host, 200)
    step = host.take(
        put(host, "one", lines),
        put(host, "other", [each.replace(" mx1 ", " mx2 ") for each in lines]),
    )

    assert step.counted == 400 and not step.overlaps


def test_logs_that_follow_each_other_may_hold_the_same_line_where_they_join(host: Host) -> None:
    same, end = line(rfc3339(START + 60)), line(rfc3339(START + 120))
    step = host.take(
        put(host, "older", [line(rfc3339(START)), same]),
        put(host, "newer", [same, line(rfc3339(START + 55)), end]),
    )

    assert step.counted == 5 and not step.overlaps


def test_what_was_counted_by_an_earlier_import_is_not_said_to_be_counted_twice(host: Host) -> None:
    old = put(host, "old", [line(yearless(START + second)) for second in range(100)])
    new = put(host, "new", [line(rfc3339(START + second)) for second in range(50, 150)])
    host.now += 300
    assert host.take(old, new).overlaps
    again = host.take(old, new)

    assert (again.counted, again.omitted["skipped"], again.overlaps) == (0, 200, ())


def test_the_order_of_the_command_line_is_nothing(tmp_path: Path) -> None:
    for number, order in enumerate(itertools.permutations(range(3))):
        host = Host(tmp_path / str(number))
        lines = logged(host, 300)
        paths = [put(host, f"part{begin}", lines[begin : begin + 150]) for begin in (0, 100, 150)]
        shutil.copy(paths[1], host.folder / "copy")

        assert host.take(*(paths[place] for place in order), host.folder / "copy").counted == 300
