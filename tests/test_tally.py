"""Lines become counts of intervals, however they are cut into blocks."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from bits import source
from hypothesis import given, settings
from hypothesis import strategies as st

from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.counts import Interval, connections, events
from dane_mailgraph.log.blocks import LONGEST, Blocks
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix.classify import REMEMBERED
from dane_mailgraph.postfix.explanation import as_json, as_text, explain
from dane_mailgraph.postfix.pending import MOST_INTERVALS
from dane_mailgraph.postfix.tally import Tally

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
IGNORED = PeerSet("127.0.0.0/8 ::1 unix")
LATEST = 1795485600  # 2026-11-24T02:00Z
EVER = 1 << 40

SUITE = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"
VERIFIED = f"Verified TLS connection established to mx.example.org[192.0.2.10]:25: {SUITE}"
KINDS = (
    VERIFIED,
    f"Trusted TLS connection established to mx.example.org[192.0.2.10]:25: {SUITE}MLKEM768",
    "Untrusted TLS connection established to mx.example.org[2001:db8::25]:25: TLSv1.2 "
    "with cipher AES256-SHA (256/256 bits)",
    "Anonymous TLS connection established to mx.example.org[192.0.2.10]:25: TLSv1 with "
    "cipher ADH-AES256-SHA (256/256 bits)",
    f"Trusted TLS connection reused to mx.example.org[192.0.2.10]:25: {SUITE}",
    f"message repeated 3 times: [ {VERIFIED}]",
    VERIFIED.replace("192.0.2.10", "127.0.0.1"),
    "2CE5121E153: to=<e@example.org>, relay=none, delay=0, delays=0/0/0/0, dsn=4.7.5, "
    "status=deferred (no TLSA records found)",
    "2CE5121E153: host mx.example.org[192.0.2.10] said: 450 \u2028Nov 24 00:00:00 h "
    "postfix/smtp[1]: " + VERIFIED,
)


def line(
    text: str = VERIFIED, stamp: str = "2026-11-24T00:06:58Z", tag: str = "postfix/smtp[101]:"
) -> bytes:
    return f"{stamp} mx1 {tag} {text}\n".encode()


def tally(step: int = 60, horizon: int = EVER) -> Tally:
    return Tally(step, IGNORED, horizon)


def counted(*blocks: bytes, step: int = 60, clock: Clock | None = None) -> list[Interval]:
    """The intervals of these blocks of whole lines, taken one after another."""
    found, clock = tally(step), clock or Clock(UTC, LATEST)
    for block in blocks:
        found.add_block(bytearray(block), len(block), clock)
    return found.intervals()


def verified(intervals: list[Interval]) -> list[tuple[str, int | None]]:
    return [
        (datetime.fromtimestamp(each.start, UTC).strftime("%H:%M"), each.counts[0])
        for each in intervals
    ]


def by_name(counts: tuple[int | None, ...]) -> dict[str, int]:
    return {each.key: count for each, count in zip(CATEGORIES, counts, strict=True) if count}


def sums(intervals: list[Interval]) -> Counter[str]:
    return sum((Counter(by_name(each.counts)) for each in intervals), Counter[str]())


# ---- counting -------------------------------------------------------------------------------


def test_a_connection_is_counted_in_the_interval_of_its_own_stamp() -> None:
    block = (
        line(stamp="2026-11-24T00:06:00Z")
        + line(stamp="2026-11-24T00:06:59.999999Z")
        + line(stamp="2026-11-24T00:07:00Z")
    )

    assert verified(counted(block)) == [("00:06", 2), ("00:07", 1)]


@pytest.mark.parametrize("step", [1, 7, 30, 60, 90, 120, 300, 3600])
def test_an_interval_begins_at_a_multiple_of_its_step(step: int) -> None:
    times = [1795478400 + n for n in (0, 1, 29, 30, 59, 60, 61, 119, 299, 300, 3599, 3600)]
    block = b"".join(
        line(stamp=datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")) for at in times
    )
    expected = Counter(at - at % step for at in times)

    assert {each.start: each.counts[0] for each in counted(block, step=step)} == expected


def test_each_kind_of_line_is_counted_as_it_is() -> None:
    (interval,) = counted(b"".join(line(text) for text in KINDS))

    assert by_name(interval.counts) == {
        "connections.verified": 4,
        "connections.trusted": 1,
        "connections.untrusted": 1,
        "connections.anonymous": 1,
        "connections.reused": 1,
        "protocols.tlsv1_3": 5,
        "protocols.tlsv1_2": 1,
        "protocols.tlsv1": 1,
        "key_exchange.ecdh": 4,
        "key_exchange.post_quantum": 1,
        "key_exchange.rsa": 1,
        "key_exchange.dh": 1,
        "failures.dane_required": 1,
    }
    assert connections(interval.counts) == 8
    assert events(interval.counts) == 9


def test_an_interval_without_connections_is_no_interval() -> None:
    assert (
        counted(
            line("connect to mx.example.org[192.0.2.10]:25: Connection refused"),
            line(tag="postfix/smtpd[1]:"),
        )
        == []
    )


def test_lines_in_all_forms_of_stamps_are_counted_together() -> None:
    block = (
        line(stamp="Nov 24 00:06:58")
        + line(stamp="2026-11-24T01:06:58+01:00")
        + line(stamp="<22>1 2026-11-24T00:06:58Z", tag="postfix/smtp 101 - -")
        + line(stamp="2026-11-24T00:06:58")
    )

    assert verified(counted(block)) == [("00:06", 4)]


def test_connections_of_a_cut_tag_are_counted_nowhere_but_as_nameless() -> None:
    found = tally()
    nameless = line(stamp="<22>1 2026-11-24T00:06:58Z", tag="postfix 101 - - ")
    repeated = line(
        f"message repeated 3 times: [ {VERIFIED}]", "<22>1 2026-11-24T00:06:58Z", "postfix 101 - - "
    )
    block = nameless * 2 + repeated + line()
    found.add_block(bytearray(block), len(block), Clock(UTC, LATEST))

    assert verified(found.intervals()) == [("00:06", 1)]
    assert found.omitted["nameless"] == 5


def test_what_is_stamped_after_the_horizon_is_counted_nowhere() -> None:
    found = tally(horizon=LATEST)
    block = (
        line(stamp="2026-11-24T01:59:59Z")
        + line(stamp="2026-11-24T02:01:00Z") * 3
        + line(stamp="2026-11-24T02:00:00Z")
    )
    found.add_block(bytearray(block), len(block), Clock(UTC, LATEST))

    assert verified(found.intervals()) == [("01:59", 1), ("02:00", 1)]
    assert sum(each.times for each in found.ahead) == 3


def test_the_first_and_the_newest_line_are_known_whoever_wrote_them() -> None:
    found, clock = tally(), Clock(UTC, LATEST)
    block = (
        line(stamp="2026-11-24T00:01:00Z", tag="sshd[1]:")
        + line()
        + line(stamp="2026-11-24T00:09:00Z", tag="cron:")
    )
    found.add_block(bytearray(block), len(block), clock)

    assert (found.first, found.newest, clock.previous) == (1795478460, 1795478940, 1795478940)


def test_intervals_are_given_once() -> None:
    found = tally()
    found.add_block(bytearray(line()), len(line()), Clock(UTC, LATEST))

    assert len(found.intervals()) == 1
    assert found.intervals() == []


def test_what_stands_behind_the_end_of_a_block_is_not_looked_at() -> None:
    found = tally()
    found.add_block(
        bytearray(line() + line(stamp="2026-11-24T00:08:00Z")), len(line()), Clock(UTC, LATEST)
    )

    assert verified(found.intervals()) == [("00:06", 1)]


def test_more_different_texts_than_are_remembered_are_all_counted() -> None:
    texts = [
        VERIFIED.replace("192.0.2.10", f"198.51.{n >> 8}.{n & 255}")
        for n in range(REMEMBERED + 100)
    ]
    block = b"".join(line(text) for text in texts + texts[:50] + list(KINDS))

    assert sums(counted(block))["connections.verified"] == REMEMBERED + 150 + 4


def test_a_tally_is_full_after_many_intervals() -> None:
    found = tally(step=1)
    stamps = [
        datetime.fromtimestamp(LATEST - n, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for n in range(MOST_INTERVALS)
    ]
    block = b"".join(line(stamp=stamp) for stamp in stamps)
    found.add_block(bytearray(block[: -len(line())]), len(block) - len(line()), Clock(UTC, LATEST))

    assert not found.should_flush
    found.add_block(bytearray(line(stamp=stamps[-1])), len(line()), Clock(UTC, LATEST))

    assert found.should_flush
    assert len(found.intervals()) == MOST_INTERVALS
    assert not found.should_flush


# ---- lines without a time -------------------------------------------------------------------


def unreadable(*blocks: bytes) -> int:
    found = tally()
    for block in blocks:
        found.add_block(bytearray(block), len(block), Clock(UTC, LATEST))
    return found.omitted["unreadable"]


def test_lines_without_a_time_are_reported_where_they_are_looked_at() -> None:
    other = b"no time here\n"

    assert unreadable(other) == 1
    assert unreadable(other * 3 + line()) == 3
    assert unreadable(line() + other * 2) == 2
    assert unreadable(line() + line(stamp="Feb 30 00:00:00") + line()) == 1
    assert unreadable(line()) == 0


def test_annotations_and_empty_lines_need_no_time() -> None:
    assert unreadable(b"# expect: nothing, at all\n\n" + line() + b"\n") == 0


def test_a_connection_without_a_time_is_reported_once() -> None:
    assert unreadable(line(stamp="Feb 30 00:00:00")) == 1


# ---- changes of the clocks ------------------------------------------------------------------

AUTUMN = ("01:50", "02:30", "02:59", "02:05", "02:40", "02:41", "02:50", "03:10")
AUTUMN_UTC = ["23:50", "00:30", "00:59", "01:05", "01:40", "01:41", "01:50", "02:10"]


def autumn(*clock: str, tag: str = "postfix/smtp[101]:") -> bytes:
    return b"".join(line(stamp=f"Oct 25 {each}:00", tag=tag) for each in clock)


def test_the_hour_that_autumn_repeats_is_counted_in_both_its_passes() -> None:
    assert verified(counted(autumn(*AUTUMN), clock=Clock(BERLIN, LATEST))) == [
        (each, 1) for each in AUTUMN_UTC
    ]


@pytest.mark.parametrize("cut", range(1, len(AUTUMN)))
def test_the_repeated_hour_is_the_same_wherever_blocks_are_cut(cut: int) -> None:
    blocks = autumn(*AUTUMN[:cut]), autumn(*AUTUMN[cut:])

    assert verified(counted(*blocks, clock=Clock(BERLIN, LATEST))) == [
        (each, 1) for each in AUTUMN_UTC
    ]


def test_in_the_repeated_hour_lines_that_do_not_count_tell_the_pass() -> None:
    silent = autumn("02:59", "02:10").replace(b"Verified", b"Terrified")
    block = autumn("02:30") + silent + autumn("02:31")

    assert verified(counted(block, clock=Clock(BERLIN, LATEST))) == [("00:30", 1), ("01:31", 1)]


def test_offsets_need_no_order() -> None:
    block = (
        line(stamp="2026-10-25T02:30:00+01:00")
        + line(stamp="2026-10-25T02:30:00+02:00")
        + line(stamp="2026-10-25T02:30:00Z")
    )

    assert verified(counted(block, clock=Clock(BERLIN, LATEST))) == [
        ("00:30", 1),
        ("01:30", 1),
        ("02:30", 1),
    ]


def test_new_year_is_counted_on_both_its_sides() -> None:
    stamps = ("Dec 31 23:59:59", "Jan  1 00:00:00", "Dec 31 23:59:58", "Jan  1 00:00:01")
    block = b"".join(line(stamp=stamp) for stamp in stamps)
    intervals = counted(block, clock=Clock(UTC, 1798848000))

    assert [each.start for each in intervals] == [1798761540, 1798761600]
    assert [each.counts[0] for each in intervals] == [2, 2]


# ---- anything -------------------------------------------------------------------------------


def read(data: bytes, sizes: list[int], found: Tally, clock: Clock) -> Blocks:
    """Count these bytes as a file that gives no more at a time than these sizes say."""
    blocks = Blocks(source(data, sizes), to_the_end=True)
    for block, end in blocks:
        found.add_block(block, end, clock)
    return blocks


MINUTES = (
    "Nov 24 00:06:58",
    "2026-11-24T00:06:01+00:00",
    "2026-11-24T01:06:59+0100",
    "<22>1 2026-11-24T00:06:58Z",
    "Nov 23 23:59:59",
)


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    stamp = draw(st.sampled_from(MINUTES))
    tag = draw(
        st.sampled_from(
            ["postfix/smtp", "postfix/relay/smtp", "postfix/lmtp", "postfix/smtpd", "postfix"]
        )
    )
    pid = " 101 - -" if stamp.startswith("<") else "[101]:"
    return line(draw(st.sampled_from(KINDS)), stamp, tag + pid)


@given(st.lists(logs(), max_size=30), st.lists(st.integers(1, 400), min_size=1))
def test_reads_of_any_sizes_give_the_same_counts(lines: list[bytes], sizes: list[int]) -> None:
    data = b"".join(lines)
    found = tally()
    read(data, sizes, found, Clock(UTC, LATEST))

    assert found.intervals() == (counted(data) if data else [])


@given(
    st.lists(logs(), min_size=1, max_size=30).flatmap(
        lambda lines: st.tuples(st.just(lines), st.permutations(lines))
    )
)
def test_any_order_of_lines_gives_the_same_counts(orders: tuple[list[bytes], list[bytes]]) -> None:
    one, other = orders

    assert counted(b"".join(one)) == counted(b"".join(other))


@given(st.lists(logs(), min_size=1, max_size=30))
def test_a_log_is_the_sum_of_its_lines_and_explained_as_counted(lines: list[bytes]) -> None:
    whole = sums(counted(b"".join(lines)))
    said = list(explain((each[:-1] for each in lines), Clock(UTC, LATEST), IGNORED))
    times = [3 if b"message repeated 3" in each else 1 for each in lines]

    assert whole == sum((sums(counted(each)) for each in lines), Counter[str]())
    assert whole == sum(
        (Counter(dict.fromkeys(each.counts, n)) for each, n in zip(said, times, strict=True)),
        Counter[str](),
    )


@settings(max_examples=300)
@given(
    st.lists(
        st.binary(max_size=60)
        | logs()
        | logs().map(lambda each: each[:-1])
        | st.sampled_from([b"\n", b"# "]),
        max_size=12,
    ),
    st.lists(st.integers(1, 300), min_size=1),
    st.sampled_from([1, 60, 300]),
    st.sampled_from([UTC, BERLIN, None]),
)
def test_any_bytes_are_counted_and_explained_without_complaint(
    pieces: list[bytes], sizes: list[int], step: int, zone: ZoneInfo | None
) -> None:
    data = b"".join(pieces)
    found = tally(step)
    read(data, sizes, found, Clock(zone, LATEST))
    counts = sums(found.intervals())
    said = list(explain(data.split(b"\n"), Clock(zone, LATEST), IGNORED))

    assert sum(counts.values()) >= sum(len(each.counts) for each in said)
    assert [each.line for each in said] == list(range(1, 1 + len(said)))
    assert all(each.note and as_json(each) and as_text(each) for each in said)


@pytest.mark.parametrize("over", [-2, -1, 0, 1])
def test_a_line_too_long_is_passed_over_and_the_next_one_counted(over: int) -> None:
    """Postfix cuts its text at 2000 bytes; a line of LONGEST bytes with its newline is the last
    that fits."""
    long = line()[:-1] + b" "
    long += b"x" * (LONGEST + over - len(long)) + b"\n"
    found = tally()
    blocks = read(line() + long + line(), [4096], found, Clock(UTC, LATEST))

    assert verified(found.intervals()) == [("00:06", 3 if over < 0 else 2)]
    assert blocks.long_lines == (0 if over < 0 else 1)


@pytest.mark.parametrize(
    "character", ["\u2028", "\u2029", "\x85", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e"]
)
def test_only_a_newline_ends_a_line(character: str) -> None:
    reply = (
        "2131521E14B: host mx.example.org[192.0.2.10] said: 450 no"
        + character
        + line().decode().rstrip()
    )

    assert counted(line(reply)) == []
    assert verified(counted(line(reply.replace(character, "\n")))) == [("00:06", 1)]


# ---- what interrupts sessions ---------------------------------------------------------------

STARTED = "daemon started -- version 3.7.11, configuration /etc/postfix"
FIELDS = "delay=1, delays=0/0/0.5/0.5, dsn=2.0.0, status=sent (ok)"
SENT = f"2CE5121E154: to=<e@example.org>, relay=mx.example.org[192.0.2.10]:25, {FIELDS}"


@pytest.mark.parametrize("busy", [0, 400, 4000])
def test_a_start_of_postfix_is_seen_in_small_and_in_large_blocks(busy: int) -> None:
    """What a process held ended with it, and its number is soon used again."""
    lines = [line(STARTED, tag="postfix/master[1]:")]
    lines += [
        line(stamp="2026-11-24T00:07:00Z", tag=f"postfix/smtp[{number + 200}]:")
        for number in range(busy)
    ]
    lines += [
        line(stamp="2026-11-24T00:07:01Z"),
        line(STARTED, "2026-11-24T00:07:03Z", "postfix/master[2]:"),
        line(stamp="2026-11-24T00:07:04Z", tag="postfix/smtp[199]:"),
    ]
    lines += [line(SENT, "2026-11-24T00:07:04Z")]

    assert sums(counted(b"".join(lines)))["deliveries.plaintext"] == 1
    assert sums(counted(b"".join(lines[:-3] + lines[-2:])))["deliveries.verified"] == 1
    assert sums(counted(*lines)) == sums(counted(b"".join(lines)))


@pytest.mark.parametrize("busy", [0, 4000])
def test_lines_that_the_syslog_daemon_has_lost_make_unknown_in_small_and_in_large_blocks(
    busy: int,
) -> None:
    lost = line(
        "imuxsock lost 13 messages from pid 101 due to rate-limiting",
        "2026-11-24T00:07:00Z",
        "rsyslogd:",
    )
    lines = [line()] + [
        line(stamp="2026-11-24T00:06:59Z", tag=f"postfix/smtp[{number + 200}]:")
        for number in range(busy)
    ]
    lines += [lost, line(SENT, "2026-11-24T00:07:00Z")]
    without = [each for each in lines if each != lost]

    assert sums(counted(b"".join(lines)))["deliveries.unknown"] == 1
    assert sums(counted(b"".join(without)))["deliveries.verified"] == 1


def test_a_log_that_came_by_windows_counts_the_same() -> None:
    block = b"".join(
        line(text, stamp=f"2026-11-24T00:06:{number:02}Z")
        for number, text in enumerate((*KINDS, SENT))
    )

    assert counted(block.replace(b"\n", b"\r\n")) == counted(block)
