"""Bytes become lines, lines become stamps and texts, stamps become epoch seconds."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from bits import source
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.log.blocks import LONGEST, Blocks
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.log.heads import entry, lines_with, stamp_of
from dane_mailgraph.postfix.interruptions import interruptions
from dane_mailgraph.postfix.lines import (
    CLIENT,
    KINDS,
    MANY,
    ClientLine,
    Kind,
    Lines,
    parse,
    split_writer,
)

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")

ODD = b"\r \v \f \x1c \x1d \x1e \x00 \x85 \xc2\x85 \xe2\x80\xa8 \xe2\x80\xa9 \xff"


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def client_lines(*lines: bytearray) -> list[tuple[bytes, ...]]:
    """Stamp, offset, service, PID and text of each."""
    found = map(ClientLine._make, parse([bytes(line) for line in lines], CLIENT).lines)
    return [(each.stamp, *split_writer(each.writer), each.pid, each.text) for each in found]


# ---- blocks of whole lines ------------------------------------------------------------------


def taken(blocks: Blocks) -> list[bytes]:
    """The lines of all blocks."""
    found = []
    for block, end in blocks:
        assert block[end - 1] == 0x0A
        found += bytes(block[: end - 1]).split(b"\n")
    return found


@given(
    st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_reads_of_any_sizes_give_the_same_lines(lines: list[bytes], sizes: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    blocks = Blocks(source(data, sizes))

    assert taken(blocks) == (without_zeros(data)[:-1].split(b"\n") if data else [])
    assert blocks.consumed == len(data)
    assert blocks.zeros == len(re.findall(rb"\0\0+", data))


def without_zeros(data: bytes) -> bytes:
    """Runs of zeros end a line: a file system leaves them where it lost what was written."""
    return re.sub(rb"\0\0+", lambda run: b"\n" * len(run[0]), data)


@pytest.mark.parametrize("first", range(1, 14))
@pytest.mark.parametrize("second", range(1, 14))
def test_zeros_end_a_line_wherever_a_read_ends(first: int, second: int) -> None:
    data = b"a\n\0\0\0\0b\0c\nd\0\0\n"
    blocks = Blocks(source(data, [first, second]))

    assert taken(blocks) == [b"a", b"", b"", b"", b"", b"b\0c", b"d", b"", b""]
    assert blocks.zeros == 2


@given(
    st.binary(),
    st.binary(max_size=9).map(lambda rest: rest.replace(b"\n", b"")),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_what_follows_the_last_newline_is_left_unread_or_taken_as_asked(
    data: bytes, rest: bytes, sizes: list[int]
) -> None:
    data, rest = data.replace(b"\0", b"0"), rest.replace(b"\0", b"0")
    whole = data + b"\n" + rest
    waiting, ending = Blocks(source(whole, sizes)), Blocks(source(whole, sizes), to_the_end=True)

    assert taken(waiting) == data.split(b"\n")
    assert waiting.consumed == len(data) + 1
    assert taken(ending) == data.split(b"\n") + ([rest] if rest else [])
    assert ending.consumed == len(whole)


def test_lines_end_at_a_newline_and_nowhere_else() -> None:
    assert taken(Blocks(source(ODD + b"\n" + ODD + b"\n", [7]))) == [ODD, ODD]


@pytest.mark.parametrize("size", [1 << 12, LONGEST - 1, LONGEST, 1 << 20])
@pytest.mark.parametrize(
    "length, kept",
    [(LONGEST - 2, True), (LONGEST - 1, True), (LONGEST, False), (LONGEST + 1, False)],
)
def test_a_line_is_kept_when_it_and_its_newline_fit(length: int, kept: bool, size: int) -> None:
    long = b"x" * length
    blocks = Blocks(source(b"before\n" + long + b"\nafter\n", [size]))

    assert taken(blocks) == ([b"before", long, b"after"] if kept else [b"before", b"after"])
    assert (blocks.long_lines, blocks.in_long_line) == (0 if kept else 1, False)
    assert blocks.consumed == length + 14


@pytest.mark.parametrize("times", [1, 2, 3, 7])
def test_lines_far_too_long_are_passed_over_each_once(times: int) -> None:
    data = (b"x" * (LONGEST * 2 + 5) + b"\nkept\n") * times
    blocks = Blocks(source(data, [70_001]))

    assert taken(blocks) == [b"kept"] * times
    assert blocks.long_lines == times
    assert blocks.consumed == len(data)


def test_a_line_that_is_still_too_long_at_the_end_is_gone_on_with_later() -> None:
    first = Blocks(source(b"one\n" + b"x" * LONGEST * 2, [50_000]))

    assert taken(first) == [b"one"]
    assert first.in_long_line
    later = Blocks(source(b"y" * 100 + b"\ntwo\n", [50_000]), in_long_line=first.in_long_line)

    assert taken(later) == [b"two"]
    assert (first.long_lines, later.long_lines) == (1, 0)


@pytest.mark.parametrize("to_the_end", [False, True])
@pytest.mark.parametrize("length", [LONGEST - 1, LONGEST, LONGEST + 1])
def test_a_long_line_without_a_newline_does_not_overrun_the_buffer(
    length: int, to_the_end: bool
) -> None:
    lines = taken(Blocks(source(b"x" * length, [1 << 20]), to_the_end=to_the_end))

    assert [len(line) for line in lines] in ([], [length])
    assert bool(lines) == (to_the_end and length < LONGEST)


def test_nothing_gives_no_block() -> None:
    assert taken(Blocks(source(b"", [9]), to_the_end=True)) == []


@given(
    st.binary(max_size=200), st.lists(st.integers(1, 50), min_size=1), st.booleans(), st.booleans()
)
def test_any_bytes_are_consumed_without_complaint(
    data: bytes, sizes: list[int], inside: bool, to_the_end: bool
) -> None:
    blocks = Blocks(source(data, sizes), in_long_line=inside, to_the_end=to_the_end)
    lines = taken(blocks)

    assert blocks.consumed <= len(data)
    assert sum(len(line) + 1 for line in lines) <= len(data) + 1


# ---- the head of a line ---------------------------------------------------------------------

PADDED = [
    (b"Nov  4 00:06:58", "2026-11-04T00:06:58+00:00"),
    (b"Nov 04 00:06:58", "2026-11-04T00:06:58+00:00"),
    (b"Nov 24 00:06:58", "2026-11-24T00:06:58+00:00"),
    (b"Jan  1 23:59:59", "2026-01-01T23:59:59+00:00"),
    (b"2026-11-04T00:06:58Z", "2026-11-04T00:06:58+00:00"),
    (b"2026-11-04t00:06:58.999z", "2026-11-04T00:06:58+00:00"),
    (b"2026-11-04T00:06:58,1+01:00", "2026-11-03T23:06:58+00:00"),
    (b"2026-11-04T00:06:58.123456789-0330", "2026-11-04T03:36:58+00:00"),
    (b"2026-11-04T00:06:58+14:00", "2026-11-03T10:06:58+00:00"),
    (b"2026-11-04T00:06:58", "2026-11-04T00:06:58+00:00"),
    (b"2026-12-31T23:59:60Z", "2026-12-31T23:59:59+00:00"),
    (b"2004-12-31T23:30:00-01:00", "2005-01-01T00:30:00+00:00"),
]
LATEST = epoch("2027-01-01T12:00:00+00:00")


@pytest.mark.parametrize("stamp, at", PADDED)
def test_a_stamp_is_read_in_every_form(stamp: bytes, at: str) -> None:
    said = entry(
        stamp + b" mx1 postfix/smtp[101]: text", Clock(UTC, epoch("2026-12-01T00:00:00+00:00"))
    )

    assert said is not None
    assert said.at == epoch(at)
    assert (said.program, said.text) == ("smtp", b"text")


@pytest.mark.parametrize("stamp, at", PADDED)
def test_the_counting_patterns_read_the_same_stamps(stamp: bytes, at: str) -> None:
    line = bytearray(stamp + b" mx1 postfix/smtp[101]: text")
    ((written, offset, service, process, text),) = client_lines(line)

    assert Clock(UTC, epoch("2026-12-01T00:00:00+00:00")).read(written, offset) == epoch(at)
    assert (service, process, text) == (b"mx1 postfix/smtp", b"101", b"text")


def test_a_process_is_named_by_its_service_and_process_id() -> None:
    traditional = b"Nov 24 00:06:58 mx1 postfix/relay/smtp[101]: text"
    rfc5424 = b"<22>1 2026-11-24T00:06:58Z mx1 postfix/relay/smtp 101 - - text"
    found = client_lines(
        bytearray(traditional), bytearray(traditional.replace(b"101", b"102")), bytearray(rfc5424)
    )

    assert [each[2:4] for each in found] == [
        (b"mx1 postfix/relay/smtp", number) for number in (b"101", b"102", b"101")
    ]


BAD = [
    b"Feb 30 00:00:00",
    b"Nov 31 00:00:00",
    b"Nov  0 00:00:00",
    b"Nov 00 00:00:00",
    b"Foo 24 00:00:00",
    b"Nov 24 24:00:00",
    b"Nov 24 23:60:00",
    b"Nov 24 3:06:58",
    b"Nov 4 00:06:58",
    b"nov 24 00:06:58",
    b"2026-02-29T00:00:00Z",
    b"2026-13-01T00:00:00Z",
    b"2026-00-01T00:00:00Z",
    b"2026-11-24T25:00:00Z",
    b"2026-11-24T00:60:00Z",
    b"2026-11-24T00:00:00+24:00",
    b"2026-11-24T00:00:00+99:99",
    b"2026-11-24T00:00:00Q",
    b"2026-11-24 00:00:00",
    b"2000-01-01T00:00:00Z",
    b"1970-01-01T00:00:00",
    b"0001-01-01T00:00:00+01:00",
    b"0001-01-01T00:00:00",
    b"0000-01-01T00:00:00Z",
    b"9999-12-31T23:59:59Z",
    b"9999-12-31T23:59:59-12:00",
    b"9999-12-31T23:59:59",
]


@pytest.mark.parametrize("stamp", BAD)
def test_a_stamp_of_no_day_or_hour_has_no_time(stamp: bytes) -> None:
    assert stamp_of(stamp + b" mx1 postfix/smtp[101]: text", Clock(BERLIN, LATEST)) is None


@pytest.mark.parametrize("stamp", BAD)
def test_a_bad_stamp_does_not_disturb_the_ones_after_it(stamp: bytes) -> None:
    clock = Clock(UTC, LATEST)
    times = read_all(clock, "Nov 24 00:06:58", stamp.decode("latin-1"), "Nov 24 00:06:59")

    assert times[-1] == epoch("2026-11-24T00:06:59+00:00")


def test_a_host_that_ends_with_a_colon_is_a_tag() -> None:
    hosts = (b"dovecot:", b"dovecot[7]:", b"2001:db8::1")
    lines = [bytearray(b"Nov 24 00:06:58 " + host + b" postfix/smtp[1]: text") for host in hosts]

    assert len(client_lines(*lines)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"-",
        b"[a]",
        b'[a b=""]',
        b'[a b="c" d="e"]',
        b'[a b="\\"\\]\\\\"][f@32473 g="h i"]',
        b'[a b="\xff \xe2\x80\xa8"]',
    ],
)
def test_structured_data_is_passed_over(data: bytes) -> None:
    line = b"<22>1 2026-11-24T00:06:58Z mx1 postfix/relay/smtp 101 - " + data + b" text"

    assert [found[-1] for found in client_lines(bytearray(line))] == [b"text"]
    said = entry(line, Clock(UTC, LATEST))

    assert said is not None
    assert (said.program, said.named, said.text) == ("smtp", True, b"text")


@pytest.mark.parametrize(
    "data", [b"", b"--", b"[]", b"[a", b'[a b="c]', b"[a b=c]", b'[a ="c"]', b'[a b="]"]']
)
def test_broken_structured_data_makes_no_line(data: bytes) -> None:
    line = b"<22>1 2026-11-24T00:06:58Z mx1 postfix/smtp 101 - " + data + b"text"

    assert client_lines(bytearray(line)) == []


def test_a_cut_tag_makes_a_nameless_line() -> None:
    cut = b"<22>1 2026-11-24T00:06:58.1+01:00 mail postfix 101 - -  text"
    whole = b"<22>1 2026-11-24T00:06:58.1+01:00 mail postfix/smtp 101 - -  text"

    found, nameless, _ = parse([cut, whole], CLIENT)

    assert nameless == [(b"2026-11-24T00:06:58", b"+01:00", b"text")]
    assert len(found) == 1
    said = entry(cut, Clock(UTC, LATEST))

    assert said is not None
    assert (said.program, said.named) == ("postfix", False)


@given(st.binary())
def test_any_bytes_are_read_without_moving_the_clock(line: bytes) -> None:
    clock = Clock(BERLIN, LATEST)
    stamp_of(line, clock)
    entry(line.replace(b"\n", b""), clock)

    assert clock.previous is None


@given(
    st.from_regex(
        rb"\A([A-Z][a-z]{2} [ \d]\d "
        rb"\d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([Zz]|[+-]\d\d:?\d\d)?) h p: t\Z"
    )
)
def test_any_stamp_of_the_right_shape_is_a_sane_time_or_none(line: bytes) -> None:
    at = stamp_of(line, Clock(BERLIN, LATEST))

    assert at is None or 946684800 <= at < 253370764800


# ---- the missing year -----------------------------------------------------------------------


def read_all(clock: Clock, *stamps: str) -> list[int | None]:
    """Read the stamps of lines that follow one another."""
    times = []
    for stamp in stamps:
        times.append(at := stamp_of(f"{stamp} mx1 x: y".encode("latin-1"), clock))
        if at is not None:
            clock.advance(at)
    return times


def resolved(clock: Clock, *stamps: str) -> list[str | None]:
    """Read the stamps of lines that follow one another, as UTC."""
    times = read_all(clock, *stamps)
    return [
        None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for at in times
    ]


def test_new_year_is_passed_in_order() -> None:
    clock = Clock(UTC, epoch("2027-01-02T00:00:00+00:00"))

    assert resolved(clock, "Dec 31 23:59:59", "Jan  1 00:00:00") == [
        "2026-12-31T23:59:59",
        "2027-01-01T00:00:00",
    ]


def test_a_late_line_of_the_old_year_stays_in_it() -> None:
    clock = Clock(UTC, epoch("2027-01-02T00:00:00+00:00"))
    said = resolved(
        clock, "Dec 31 23:59:59", "Jan  1 00:00:00", "Dec 31 23:59:58", "Jan  1 00:00:01"
    )

    assert said == [
        "2026-12-31T23:59:59",
        "2027-01-01T00:00:00",
        "2026-12-31T23:59:58",
        "2027-01-01T00:00:01",
    ]


def test_new_year_is_midnight_of_the_log_s_own_zone() -> None:
    clock = Clock(BERLIN, epoch("2027-01-02T00:00:00+00:00"))

    assert resolved(clock, "Dec 31 23:59:59", "Jan  1 00:00:00") == [
        "2026-12-31T22:59:59",
        "2026-12-31T23:00:00",
    ]


def test_the_first_stamp_is_no_later_than_the_file_was_written() -> None:
    written = epoch("2026-03-01T12:00:00+00:00")

    assert resolved(Clock(UTC, written), "Mar  1 11:59:59") == ["2026-03-01T11:59:59"]
    assert resolved(Clock(UTC, written), "Mar  2 11:00:00") == [
        "2026-03-02T11:00:00"
    ]  # a zone or a clock may be a day off
    assert resolved(Clock(UTC, written), "Mar  3 11:00:00") == ["2025-03-03T11:00:00"]
    assert resolved(Clock(UTC, written), "Dec 31 11:00:00") == ["2025-12-31T11:00:00"]


def test_a_log_of_several_years_goes_on_from_year_to_year() -> None:
    clock = Clock(UTC, epoch("2026-11-24T00:00:00+00:00"), year=2023)
    said = resolved(
        clock,
        "Mar  1 00:00:00",
        "Nov  1 00:00:00",
        "Feb  1 00:00:00",
        "Dec  1 00:00:00",
        "Jan  1 00:00:00",
    )

    assert [each and each[:4] for each in said] == ["2023", "2023", "2024", "2024", "2025"]


def test_the_year_given_is_the_first_line_s() -> None:
    clock = Clock(UTC, LATEST, year=2019)

    assert resolved(clock, "Dec 31 23:00:00", "Jan  1 01:00:00") == [
        "2019-12-31T23:00:00",
        "2020-01-01T01:00:00",
    ]


def test_the_29th_of_february_is_in_the_last_leap_year() -> None:
    assert resolved(Clock(UTC, LATEST), "Feb 29 12:00:00") == ["2024-02-29T12:00:00"]
    assert resolved(Clock(UTC, epoch("2028-06-01T00:00:00+00:00")), "Feb 29 12:00:00") == [
        "2028-02-29T12:00:00"
    ]


def test_the_29th_of_february_after_the_28th_is_in_the_same_year() -> None:
    clock = Clock(UTC, epoch("2024-03-10T00:00:00+00:00"))

    assert resolved(clock, "Feb 28 23:59:59", "Feb 29 00:00:00", "Mar  1 00:00:00") == [
        "2024-02-28T23:59:59",
        "2024-02-29T00:00:00",
        "2024-03-01T00:00:00",
    ]


def test_the_29th_of_february_of_a_common_year_has_no_time() -> None:
    assert resolved(Clock(UTC, LATEST, year=2026), "Feb 29 12:00:00") == [None]


# ---- the missing zone -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone, latest, stamps, expected",
    [
        (
            BERLIN,
            "2026-10-26T00:00:00+00:00",
            [
                "Oct 25 01:59:59",
                "Oct 25 02:30:00",
                "Oct 25 02:59:59",
                "Oct 25 02:00:00",
                "Oct 25 02:50:00",
                "Oct 25 02:59:59",
            ],
            [
                "2026-10-24T23:59:59",
                "2026-10-25T00:30:00",
                "2026-10-25T00:59:59",
                "2026-10-25T01:00:00",
                "2026-10-25T01:50:00",
                "2026-10-25T01:59:59",
            ],
        ),
        (
            NEW_YORK,
            "2026-11-02T00:00:00+00:00",
            [
                "Nov  1 00:59:59",
                "Nov  1 01:59:59",
                "Nov  1 01:00:00",
                "Nov  1 01:30:00",
                "Nov  1 02:00:00",
            ],
            [
                "2026-11-01T04:59:59",
                "2026-11-01T05:59:59",
                "2026-11-01T06:00:00",
                "2026-11-01T06:30:00",
                "2026-11-01T07:00:00",
            ],
        ),
        (
            LORD_HOWE,
            "2026-04-06T00:00:00+00:00",
            [
                "Apr  5 01:29:59",
                "Apr  5 01:59:59",
                "Apr  5 01:30:00",
                "Apr  5 01:50:00",
                "Apr  5 01:59:59",
            ],
            [
                "2026-04-04T14:29:59",
                "2026-04-04T14:59:59",
                "2026-04-04T15:00:00",
                "2026-04-04T15:20:00",
                "2026-04-04T15:29:59",
            ],
        ),
    ],
    ids=["Berlin", "New York", "Lord Howe"],
)
def test_the_hour_that_autumn_repeats_is_passed_twice(
    zone: ZoneInfo, latest: str, stamps: list[str], expected: list[str]
) -> None:
    assert resolved(Clock(zone, epoch(latest)), *stamps) == expected


@pytest.mark.parametrize("seconds", [1, 60, 299])
def test_a_small_step_back_is_disorder_and_not_the_second_pass(seconds: int) -> None:
    clock = Clock(BERLIN, epoch("2026-10-26T00:00:00+00:00"))
    stamp = (datetime(2026, 10, 25, 2, 30) - timedelta(seconds=seconds)).strftime("%b %d %H:%M:%S")
    before, after = read_all(clock, "Oct 25 02:30:00", stamp)

    assert before is not None
    assert after == before - seconds


def test_the_second_pass_cannot_be_later_than_now() -> None:
    clock = Clock(BERLIN, epoch("2026-10-25T00:59:59+00:00"))

    assert resolved(clock, "Oct 25 02:50:00", "Oct 25 02:10:00") == [
        "2026-10-25T00:50:00",
        "2026-10-25T00:10:00",
    ]


@pytest.mark.parametrize(
    "zone, stamps, expected",
    [
        (
            BERLIN,
            ["Mar 29 01:59:59", "Mar 29 02:30:00", "Mar 29 03:00:00"],
            ["00:59:59", "01:30:00", "01:00:00"],
        ),
        (
            NEW_YORK,
            ["Mar  8 01:59:59", "Mar  8 02:30:00", "Mar  8 03:00:00"],
            ["06:59:59", "07:30:00", "07:00:00"],
        ),
        (
            LORD_HOWE,
            ["Oct  4 01:59:59", "Oct  4 02:10:00", "Oct  4 02:30:00"],
            ["15:29:59", "15:40:00", "15:30:00"],
        ),
    ],
    ids=["Berlin", "New York", "Lord Howe"],
)
def test_the_hour_that_spring_leaves_out_is_the_one_after_it(
    zone: ZoneInfo, stamps: list[str], expected: list[str]
) -> None:
    said = resolved(Clock(zone, LATEST), *stamps)

    assert [each and each[11:] for each in said] == expected


def test_rfc3339_without_an_offset_is_local_time() -> None:
    clock = Clock(BERLIN, LATEST)

    assert stamp_of(b"2026-07-01T12:00:00.5 mx1 x: y", clock) == epoch("2026-07-01T10:00:00+00:00")
    assert stamp_of(b"2026-12-01T12:00:00 mx1 x: y", clock) == epoch("2026-12-01T11:00:00+00:00")


def test_rfc3339_without_an_offset_passes_the_repeated_hour_twice() -> None:
    stamps = [
        "2026-10-25T02:30:00",
        "2026-10-25T02:59:59",
        "2026-10-25T02:00:00",
        "2026-10-25T03:00:00",
    ]
    said = resolved(Clock(BERLIN, LATEST), *stamps)

    assert [each and each[11:] for each in said] == ["00:30:00", "00:59:59", "01:00:00", "02:00:00"]


def test_an_offset_says_it_all_and_may_change() -> None:
    clock = Clock(BERLIN, LATEST)
    stamps = [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T02:30:00Z",
        "2026-10-24T21:30:00-0500",
    ]
    said = resolved(clock, *stamps)

    assert [each and each[11:] for each in said] == ["00:30:00", "01:30:00", "02:30:00", "02:30:00"]


@pytest.mark.parametrize(
    "zone", [BERLIN, NEW_YORK, LORD_HOWE, UTC, ZoneInfo("Asia/Kathmandu")], ids=str
)
@settings(max_examples=60)
@given(data=st.data())
def test_stamps_in_order_resolve_to_the_times_they_were_made_of(
    zone: ZoneInfo, data: st.DataObject
) -> None:
    """Any log that is never silent for ten minutes is read back exactly, through changes of clocks
    and year."""
    special = [
        epoch(f"{at}:00+00:00")
        for at in ("2026-10-24T22:00", "2026-12-31T20:00", "2026-11-01T03:00", "2026-04-04T14:00")
    ]
    begin = data.draw(st.sampled_from(special) | st.integers(1767225600, 1798761600))
    gaps = data.draw(st.lists(st.integers(0, 600), max_size=60))
    times = [begin + sum(gaps[:n]) for n in range(len(gaps) + 1)]
    first = datetime.fromtimestamp(begin, zone)
    if first.fold:
        return  # the first line of all cannot say that it is in the second pass
    clock = Clock(zone, times[-1])
    stamps = [datetime.fromtimestamp(at, zone).strftime("%b %d %H:%M:%S") for at in times]

    assert read_all(clock, *stamps) == times


@pytest.mark.parametrize(
    "at, crosses",
    [("2026-10-25T00:30:00", True), ("2026-10-26T12:00:00", False), ("2026-03-29T01:00:00", True)],
)
def test_a_clock_knows_when_clocks_change(at: str, crosses: bool) -> None:
    when = epoch(at + "+00:00")

    assert Clock(BERLIN, LATEST).crosses_a_fold(when, when) is crosses
    assert Clock(UTC, LATEST).crosses_a_fold(when, when) is False


def test_times_before_2005_are_a_machine_s_that_did_not_know_the_time() -> None:
    assert stamp_of(b"2004-12-31T23:59:59Z h x: y", Clock(UTC, LATEST)) is None
    assert stamp_of(b"2005-01-01T00:00:00Z h x: y", Clock(UTC, LATEST)) == 1104537600


def test_the_signs_of_a_line_end_at_its_newline() -> None:
    block = bytearray(b"one sign " + ODD + b"\ntwo\nthree sign\n")
    sign = re.compile(rb"sign.*")

    assert lines_with(sign, block, len(block)) == [b"one sign " + ODD, b"three sign"]


# ---- heads that look alike ------------------------------------------------------------------

SENT = (
    "to=<s@example.org>, relay=mx.example.org[192.0.2.10]:25, delay=1.2, "
    "delays=0.1/0/0.9/0.2, dsn=2.0.0, status=sent (250 ok)"
)
TEXTS = st.sampled_from(
    [
        b"Trusted TLS connection established to mx.example.org[192.0.2.10]:25: TLSv1.3 "
        b"with cipher X (256/256 bits)",
        b"2CE5121E153: " + SENT.encode(),
        b"2CE5121E153: "
        + SENT.encode().replace(b"25,", b"25, conn_use=2,").replace(b", dsn", b", tls=dane, dsn"),
        b"2CE5121E153: " + SENT.encode() + b">, relay=none, delay=1, dsn=2.0.0, status=bounced (x)",
        b"2CE5121E153: " + SENT.encode()[:40],
        b"2CE5121E153: " + SENT.encode() + b"x" * 2000,
        b"2CE5121E153: host mx said: 450 Nov 24 00:06:58 mx1 postfix/smtp[1]: " + SENT.encode(),
        b"connect from mail.example.net[203.0.113.7]",
        b"disconnect from mail.example.net[203.0.113.7]:40000 ehlo=1 quit=1 commands=2",
        b"disconnect from mail.example.net[203.0",
        b"Anonymous TLS connection established from mail.example.net[203.0.113.7]: TLSv1.3 x",
        b"message repeated 2 times: [ disconnect from x[1] commands=0/0]",
        b"warning: x: disconnect from mail.example.net[203.0.113.7] ehlo=1 commands=1",
        b"mtp[1]: text",
        b"",
        b"text\r",
        ODD,
    ]
)
STAMPS = st.sampled_from(
    [
        b"Nov 24 00:06:58",
        b"Nov  4 00:06:58",
        b"2026-11-24T00:06:58.123456+01:00",
        b"2026-11-24T00:06:58Z",
    ]
)
HOSTS = st.sampled_from([b"mx1", b"mx1", b"mx2", b"m\xe4x", b"mx.example.org", b"-"])
TAGS = st.sampled_from(
    [
        b"postfix/smtp",
        b"postfix/lmtp",
        b"postfix/relay/smtp",
        b"p+(x/smtp",
        b"postfix/smtpd",
        b"postfix/submission/smtpd",
        b"out/smtpd",
        b"postfix/qmgr",
        b"x",
    ]
)
LINES = st.one_of(
    st.builds(lambda *parts: b"%s %s %s[101]: %s" % parts, STAMPS, HOSTS, TAGS, TEXTS),
    st.builds(
        lambda *parts: b"<22>1 2026-11-24T00:06:58Z %s %s 101 - - %s" % parts, HOSTS, TAGS, TEXTS
    ),
    st.builds(lambda head, text: head + text, st.binary(max_size=20), TEXTS),
)


@pytest.mark.parametrize("kind", KINDS, ids=["clients", "server"])
@given(st.lists(LINES, max_size=12), st.lists(LINES, max_size=12))
def test_what_is_found_does_not_depend_on_the_heads_that_were_met_before(
    kind: Kind, before: list[bytes], lines: list[bytes]
) -> None:
    search, filler = Lines(kind), b"x" * MANY
    for each in ([*before, filler], [filler, *lines]):
        block = bytearray(b"\n".join(each).replace(b"\n\n", b"\n") + b"\n")
        found, *_ = search.lines(block, len(block))
        signed = [bytes(line) for line in lines_with(kind.sign, block, len(block))]
        expected, *_ = parse(signed, kind)

        # The search skips submission's lines, which count nowhere; line by line they are explained.
        assert [each for each in found if b"/submission/" not in each[1]] == expected


def test_lines_with_heads_that_were_met_before_are_found_by_one_search() -> None:
    stamps = (b"Nov 24 00:06:58", b"2026-11-24T00:06:58.123456+01:00")
    lines = [
        b"%s mx1 %s[101]: text\n" % (stamp, tag)
        for stamp in stamps
        for tag in (b"postfix/smtp", b"postfix/lmtp", b"out/smtp")
    ]
    clients, block = Lines(CLIENT), bytearray(b"".join(lines) + b"x" * MANY + b"\n")
    clients.lines(block, len(block))

    assert clients._search is not None
    assert [line for line in clients._search.lines(block, len(block)) if line[2] == b""] == []
    assert len(clients._search.lines(block, len(block))) == len(lines)


def test_a_log_of_very_many_hosts_is_read_line_by_line() -> None:
    block = bytearray(
        b"".join(b"Nov 24 00:06:58 mx%d postfix/smtp[101]: text\n" % n for n in range(2000))
    )
    clients = Lines(CLIENT)

    assert [len(clients.lines(block, len(block))[0]) for _ in range(2)] == [2000, 2000]
    assert clients._search is None


@pytest.mark.parametrize(
    "words",
    [
        b"smtp=" * 390,
        b"smtp=" + b"a" * 1900,
        b"smtpd= disconnect from " + b"[" * 1900,
        b"smtpd=" + b" disconnect from [ " * 100,
        b"smtpd=" + b" disconnect from [ " * 5000,
        b"smtp= TLS connection established to " + b"xNov 24 00:06:58 m p/smtp[1]: " * 60,
    ],
    ids=lambda words: f"{words[:24].decode()} {len(words)}",
)
def test_words_that_a_stranger_chooses_cost_no_more_than_others(words: bytes) -> None:
    line = b"Nov 24 00:06:58 mx1 postfix/cleanup[101]: 9E995BCB59: message-id=<%s>\n" % words
    lines = line * (800_000 // len(line))
    block = bytearray(OF_CLIENT + lines + b"x" * MANY + b"\n")
    searches = [Lines(kind) for kind in KINDS]
    began = time.process_time()
    for search in searches * 2:
        search.lines(block, len(block))

    assert time.process_time() - began < 1


def test_a_doubtful_name_hides_no_line_behind_it() -> None:
    head = b"Nov 24 00:06:58 mx1 postfix/smtp[101]: "
    told = b"Verified TLS connection established to mx.example.org[192.0.2.1]:25: TLSv1.3"
    block = bytearray(head + told + b"\n" + b"x" * MANY + b"\n")
    clients = Lines(CLIENT)
    clients.lines(block, len(block))
    other = head + told + b"\n" + b"Nov 24 00:06:58 mx1 smtp/out/smtp[102]: " + told + b"\n"
    harmless = head + told + b"\nNov 24 00:06:58 mx1 x[1]: proto=smtp, <smtp> smtp=1 smtp\n"

    assert [len(clients.lines(bytearray(each), len(each)).lines) for each in (other, harmless)] == [
        2,
        1,
    ]


# ---- what interrupts sessions ---------------------------------------------------------------

MASTER = (
    b"2026-11-24T00:06:58+01:00 mx1 postfix/master[1]: daemon started -- version 3.7.11, "
    b"configuration /etc/postfix\n"
)
OF_CLIENT = b"2026-11-24T00:06:59+01:00 mx1 postfix/smtp[101]: text\n"


@pytest.mark.parametrize(
    "block, expected",
    [
        (MASTER, [b"mx1 postfix/"]),
        (
            MASTER + MASTER.replace(b"postfix/master", b"postfix-out/master"),
            [b"mx1 postfix/", b"mx1 postfix-out/"],
        ),
        (MASTER + OF_CLIENT, [b"mx1 postfix/"]),
        (OF_CLIENT + MASTER, [b"mx1 postfix/"]),
        (b"", []),
        (MASTER.replace(b"daemon started --", b"reload --"), [b"mx1 postfix/"]),
        (MASTER.replace(b"master[", b"smtpd["), []),
        (MASTER.replace(b"daemon", b"x daemon"), []),
        (MASTER.replace(b"2026-11-24T00:06:58+01:00", b"Nov 24 00:06:58"), [b"mx1 postfix/"]),
        (MASTER.replace(b"2026", b"<22>1 2026").replace(b"[1]:", b" 1 - -"), [b"mx1 postfix/"]),
    ],
)
def test_a_start_or_reload_of_postfix_has_the_name_of_its_instance(
    block: bytes, expected: list[bytes]
) -> None:
    found = interruptions(bytearray(OF_CLIENT + block), len(OF_CLIENT + block))

    assert [each.instance for each in found] == expected
    assert all(
        block[each.begin - len(OF_CLIENT) :].startswith(MASTER[:4])
        or b"Nov" in block
        or b"<" in block
        for each in found
    )


@pytest.mark.parametrize(
    "tag, text",
    [
        ("rsyslogd:", "imuxsock lost 13 messages from pid 101 due to rate-limiting"),
        ("rsyslogd:", "imuxsock[pid 101]: begin to drop messages due to rate-limiting"),
        (
            "rsyslogd:",
            "imjournal: 5000 messages lost due to rate-limiting (20000 allowed within 600 seconds)",
        ),
        ("rsyslogd[7]:", "imjournal: 5000 messages lost due to rate-limiting"),
        ("systemd-journald[300]:", "Suppressed 123 messages from postfix@-.service"),
    ],
)
def test_lines_that_the_syslog_daemon_has_lost_are_told(tag: str, text: str) -> None:
    block = bytearray(f"Nov 24 00:06:58 mx1 {tag} {text}\n".encode())
    forged = bytearray(
        f"Nov 24 00:06:58 mx1 postfix/smtp[101]: host x said: Nov 24 00:06:58 mx1 {tag} "
        f"{text}\n".encode()
    )

    assert [(each.stamp, each.instance) for each in interruptions(block, len(block))] == [
        (b"Nov 24 00:06:58", b"")
    ]
    assert interruptions(forged, len(forged)) == []


def test_an_interruption_behind_the_end_of_a_block_is_not_looked_at() -> None:
    assert len(interruptions(bytearray(MASTER + MASTER), len(MASTER))) == 1
