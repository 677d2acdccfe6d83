"""Relays: each one once a day, in bounded space, with the same sums as the intervals."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from host import START, Host, line, rfc3339
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from dane_mailgraph.answer.authentication import find_losses, lost_authentication
from dane_mailgraph.categories import CATEGORIES, Category
from dane_mailgraph.counts import DayCounts, SinceGood
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.relays import KEPT, OTHER, RelayTable

pytestmark = pytest.mark.slow

DAY = 86400
RELAXED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
SUITE = {
    "TLSv1.3": "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) "
    "key-exchange X25519MLKEM768",
    "TLSv1.2": "TLSv1.2 with cipher AES256-SHA (256/256 bits)",
}
FIELDS = "delay=1, delays=0/0/0.5/0.5"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(str(tmp_path / "ledger.sqlite"), writable=True) as opened:
        yield opened


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def tls(relay: str = "mx.example.org", label: str = "Verified", protocol: str = "TLSv1.3") -> str:
    return f"{label} TLS connection established to {relay}[192.0.2.10]:25: {SUITE[protocol]}"


def sent(relay: str = "mx.example.org", field: str = "") -> str:
    tls = f", tls={field}" if field else ""
    result = "dsn=2.0.0, status=sent (250 ok)"
    return f"2CE5121E153: to=<s@example.org>, relay={relay}[192.0.2.10]:25, {FIELDS}{tls}, {result}"


def failed(
    reason: str = "TLSA lookup error for mx.example.org:25", to: str = "s@example.org"
) -> str:
    return f"2CE5121E153: to=<{to}>, relay=none, {FIELDS}, dsn=4.7.5, status=deferred ({reason})"


def rows(host: Host, since: int = 0, until: int = 99999999) -> dict[str, dict[str, int]]:
    found = RelayTable(host.ledger).totals(since, until)
    return {
        each.relay: {counted.key: count for counted, count in each.counts.items()} for each in found
    }


def sums(host: Host) -> Counter[Category]:
    """What the intervals say of the families that the table of relays keeps."""
    found: Counter[Category] = Counter()
    for _, counts in host.ledger.intervals(0, 1 << 40):
        found.update(
            {
                each: count or 0
                for each, count in zip(CATEGORIES, counts, strict=True)
                if each in KEPT
            }
        )
    return +found


def together(host: Host) -> Counter[Category]:
    found: Counter[Category] = Counter()
    for each in RelayTable(host.ledger).totals(0, 99999999):
        found.update(each.counts)
    return +found


def log(host: Host, *texts: str, at: int | None = None) -> None:
    host.write("".join(line(rfc3339(host.now if at is None else at), text) for text in texts))


# ---- relays ---------------------------------------------------------------------------------


def test_each_relay_has_a_row_a_day(host: Host) -> None:
    log(
        host,
        tls(),
        sent(),
        tls("MX.Example.ORG"),
        tls("mx2.example.org", "Trusted"),
        sent("mx2.example.org"),
    )
    host.collect()
    host.now += DAY
    log(host, sent(field="dane"), failed())
    host.collect()

    assert rows(host, 20261124, 20261124) == {
        "mx.example.org": {"connections.verified": 2, "deliveries.verified": 1},
        "mx2.example.org": {"connections.trusted": 1, "deliveries.trusted": 1},
    }
    assert rows(host, 20261125, 20261125) == {
        "mx.example.org": {"deliveries.dane": 1, "failures.dane_lookup": 1}
    }
    assert [(each.relay, each.day) for each in RelayTable(host.ledger).days(20261124)] == [
        ("mx.example.org", 20261124),
        ("mx.example.org", 20261125),
        ("mx2.example.org", 20261124),
    ]


def test_first_last_and_protocol_are_of_the_first_and_the_last_session(host: Host) -> None:
    log(host, tls(protocol="TLSv1.2"))
    host.now += 120
    log(host, tls(protocol="TLSv1.3"))
    host.collect()
    (found,) = RelayTable(host.ledger).totals(0, 99999999)
    assert (found.first, found.last, found.protocol, found.key_exchange) == (
        START,
        START + 120,
        "TLSv1.3",
        "post_quantum",
    )
    host.now += 180
    log(host, tls(protocol="TLSv1.2"))
    host.collect()
    host.now += 60
    log(host, sent(field="may:none"))
    host.collect()
    (found,) = RelayTable(host.ledger).totals(0, 99999999)

    assert (found.first, found.last, found.protocol, found.key_exchange) == (
        START,
        START + 360,
        "TLSv1.2",
        "rsa",
    )


@pytest.mark.parametrize(
    "text, relay",
    [
        (failed("TLSA lookup error for MX.example.org:25"), "mx.example.org"),
        (failed("no TLSA records found"), "@example.org"),
        (failed("no TLSA records found", "S@Example.ORG"), "@example.org"),
        (failed("client TLS configuration problem", '"a b"@example.org'), "@example.org"),
        (sent(""), "192.0.2.10"),
    ],
)
def test_where_no_server_was_reached_the_row_is_of_the_server_that_was_sought_or_of_the_domain(
    text: str, relay: str, host: Host
) -> None:
    log(host, text)
    host.collect()

    assert list(rows(host)) == [relay]


def test_no_recipient_is_kept(host: Host) -> None:
    log(host, tls(), sent(), failed("no TLSA records found", "secret-user@example.org"))
    host.collect()

    assert b"secret-user" not in (host.state / "ledger.sqlite").read_bytes()


def test_what_is_ignored_has_no_row(host: Host) -> None:
    log(
        host,
        tls().replace("192.0.2.10", "127.0.0.1"),
        sent().replace("[192.0.2.10]:25", "[private/lmtp]"),
    )
    host.collect()

    assert rows(host) == {}


def test_only_so_many_relays_a_day_have_a_row_and_the_others_have_one_together(host: Host) -> None:
    host.rules = host.rules._replace(relays_per_day=3)
    for number in range(10):
        log(host, tls(f"mx{number}.example.org"), sent(f"mx{number}.example.org"))
        if number % 4 == 0:
            host.collect()
    log(host, tls("mx1.example.org"))
    host.collect()
    host.now += DAY
    log(host, tls("mx9.example.org"))
    host.collect()

    day = rows(host, 20261124, 20261124)
    assert list(day) == [OTHER, "mx0.example.org", "mx1.example.org", "mx2.example.org"]
    assert day[OTHER] == {"connections.verified": 7, "deliveries.verified": 7}
    assert day["mx1.example.org"] == {"connections.verified": 2, "deliveries.verified": 1}
    assert list(rows(host, 20261125)) == ["mx9.example.org"]
    assert together(host) == sums(host)


def test_ten_thousand_relays_make_a_thousand_rows(host: Host) -> None:
    log(host, *(tls(f"mx{number}.example.org") for number in range(10_000)))
    host.collect()

    assert len(rows(host)) == host.rules.relays_per_day + 1
    assert together(host) == sums(host)
    assert (host.state / "ledger.sqlite").stat().st_size < 1_000_000


def test_none_are_kept_where_none_are_wanted(host: Host) -> None:
    host.rules = host.rules._replace(relays_per_day=0)
    log(host, tls(), sent())
    host.collect()

    assert rows(host) == {}
    assert sum(sums(host).values()) == 2


def test_old_days_are_forgotten(host: Host) -> None:
    host.rules = host.rules._replace(relays_days=3)
    for _ in range(6):
        log(host, tls())
        host.collect()
        host.now += DAY

    assert [each.day for each in RelayTable(host.ledger).days(0)] == [
        20261126,
        20261127,
        20261128,
        20261129,
    ]


def test_a_day_is_of_the_local_calendar(tmp_path: Path) -> None:
    host = Host(tmp_path, zone=ZoneInfo("Asia/Tokyo"), now=START + 13 * 3600 - 1)
    log(host, tls())
    host.now += 1
    log(host, tls())
    host.collect()

    assert [each.day for each in RelayTable(host.ledger).days(0)] == [20261124, 20261125]


def test_what_was_counted_before_is_in_no_row_twice(host: Host) -> None:
    log(host, tls(), sent())
    host.collect()
    assert host.take(host.log).omitted["skipped"] == 2
    copy = host.folder / "copy"
    copy.write_bytes(host.log.read_bytes())
    assert host.take(copy).omitted["skipped"] == 2

    assert rows(host) == {"mx.example.org": {"connections.verified": 1, "deliveries.verified": 1}}


def test_what_is_stamped_in_the_future_is_in_no_row(host: Host) -> None:
    log(host, tls(), at=host.now + 9 * DAY)
    host.collect()

    assert rows(host) == {}


def test_rows_are_of_the_transaction_that_counts(ledger: Ledger) -> None:
    day = DayCounts(20261124, "mx", tuple(range(len(CATEGORIES))), 1, 2, "TLSv1.3", "ecdh")
    with pytest.raises(KeyError), ledger.transaction():
        RelayTable(ledger).add([day], 10)
        raise KeyError

    assert RelayTable(ledger).totals(0, 99999999) == []


OCTOBER = (20261001, 20261002, 20261015, 20261031)
DAYS = st.lists(
    st.tuples(
        st.sampled_from([20260930, *OCTOBER, 20261101, 20261115, 20261130, 20261201]),
        st.sampled_from("ab"),
        st.integers(0, 3),
    ),
    max_size=20,
)


def day_of_relay(day: int, relay: str, count: int) -> DayCounts:
    bad = SinceGood(0, count, day, day + 5) if count == 3 else SinceGood(day)
    protocol = ("", "TLSv1.3", "TLSv1.2", "")[count]
    counts = tuple(count * (place % 3) for place in range(len(CATEGORIES)))
    return DayCounts(day, relay, counts, day, day + 9, protocol, "ecdh" * bool(protocol), bad, bad)


@RELAXED
@given(
    st.lists(DAYS, min_size=1, max_size=4),
    st.sampled_from([0, 20260930, 20261001, 20261002]),
    st.sampled_from([0, 20261001, 20261015]),
    st.sampled_from([20261031, 20261130, 20261201, 99999999]),
)
@example([[(day, "a", day % 4) for day in OCTOBER], [(20261101, "a", 3)]], 0, 0, 99999999)
@example(
    [[(day, "a", day % 4) for day in OCTOBER], [(20261101, "b", 3)], [(20261002, "a", 2)]],
    *(0, 20261001, 20261031),
)
def test_months_that_are_over_add_up_to_what_their_days_do(
    tmp_path_factory: pytest.TempPathFactory,
    runs: list[list[tuple[int, str, int]]],
    pruned: int,
    since: int,
    until: int,
) -> None:
    folder = tmp_path_factory.mktemp("months")
    with Ledger(str(folder / "ledger.sqlite"), writable=True) as ledger:
        for made in runs:
            with ledger.transaction():
                book = RelayTable(ledger)
                book.add((day_of_relay(*each) for each in made), 10)
                book.prune(pruned)
        book = RelayTable(ledger)
        found = book.totals(since, until), list(book.suspects(20261115, 20261015))
        with ledger.transaction():
            ledger.write("DELETE FROM relay_months", [()])

        assert found == (book.totals(since, until), list(book.suspects(20261115, 20261015)))


def test_a_month_is_added_up_when_a_day_begins_after_it(ledger: Ledger) -> None:
    for day in (20260914, 20261001, 20261002, 20261031, 20261101, 20261102, 20261201):
        with ledger.transaction():
            book = RelayTable(ledger)
            name = f"mx{day}" if day // 100 == 202611 else "mx"  # each day another: not worth it
            book.add([day_of_relay(day, name, 1)], 10)
            book.prune(20260914)

    rows = ledger.read("SELECT month, relay, first, last FROM relay_months")
    assert rows == [(202610, "mx", 20261001, 20261040)]


TEXTS = st.sampled_from(
    [tls(f"mx{n}", label) for n in range(4) for label in ("Verified", "Trusted", "Untrusted")]
    + [sent(f"mx{n}", field) for n in range(4) for field in ("", "dane", "may:none", "may?")]
    + [
        failed(),
        failed("no TLSA records found"),
        f"message repeated 3 times: [ {tls('mx0')}]",
        "warning: x",
    ]
    + [
        tls("mx0").replace("established", "reused"),
        "2CE5121E153: lost connection with mx0[192.0.2.10] while sending RCPT TO",
    ]
)
LOG = st.lists(st.tuples(TEXTS, st.integers(0, 40_000), st.integers(1, 3)), min_size=1, max_size=25)


def lines_of(made: list[tuple[str, int, int]]) -> tuple[list[str], int]:
    at, found = START, []
    for text, gap, process in made:
        at += gap if gap > 30_000 else gap % 5
        found.append(line(rfc3339(at), text).replace("4711", str(process)))
    return found, at


def everything(host: Host) -> tuple[object, ...]:
    book = RelayTable(host.ledger)
    kept = host.ledger.state.sessions
    return (
        list(host.ledger.intervals(0, 1 << 40)),
        book.totals(0, 99999999),
        [
            each._replace(
                authentication=ends_of(each.authentication), handover=ends_of(each.handover)
            )
            for each in book.days(0)
        ],
        json.dumps(kept),
    )


def ends_of(turn: SinceGood) -> SinceGood:
    """Leave out what a cut inside the minute or the run of the last good event may make less."""
    return turn._replace(bad=0, first_bad=0)


@RELAXED
@given(LOG, st.lists(st.integers(0, 6000), max_size=5))
def test_a_log_in_any_polls_is_kept_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, int, int]], cuts: list[int]
) -> None:
    found, end = lines_of(made)
    text = "".join(found)
    kept = []
    for edges in ([0, len(text)], [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]):
        host = Host(tmp_path_factory.mktemp("polls"), now=end, grace=30 * DAY)
        for begin, until in itertools.pairwise(edges):
            host.write(text[begin:until])
            host.collect()
        kept.append(everything(host))
        assert together(host) == sums(host)

    assert kept[0] == kept[1]


@RELAXED
@given(LOG, st.data())
def test_the_parts_of_a_log_in_any_order_are_kept_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    found, end = lines_of(made)
    # Where two logs are hours apart, one between them may be lost, and with it sessions.
    apart = {number for number, (_, gap, _) in enumerate(made) if gap > 30_000}
    cuts = sorted(data.draw(st.sets(st.integers(1, len(found)), max_size=3)) - {len(found)} - apart)
    parts = [
        "".join(found[begin:until]) for begin, until in itertools.pairwise([0, *cuts, len(found)])
    ]
    # A log that begins like another one is a copy of it, and counted once.
    assume(not any(one.startswith(other) for one, other in itertools.permutations(parts, 2)))
    kept = []
    for pieces in (["".join(found)], parts):
        host = Host(tmp_path_factory.mktemp("parts"), now=end + 10)
        paths = [host.folder / f"part{number}" for number in range(len(pieces))]
        for path, piece in zip(paths, pieces, strict=True):
            path.write_text(piece)
        order = data.draw(st.permutations(paths))
        if len({part[:20] for part in pieces}) < len(pieces):
            order = paths  # which of two that begin in the same second comes first, nobody can tell
        host.take(*order)
        kept.append(everything(host)[:3])
        assert together(host) == sums(host)

    assert kept[0] == kept[1]


# ---- alarms ---------------------------------------------------------------------------------


def test_what_postfix_warns_of_is_kept_with_its_number_and_when_last(host: Host) -> None:
    unavailable = "warning: DNSSEC validation may be unavailable"
    log(host, unavailable, "warning: something else", f"message repeated 2 times: [ {unavailable}]")
    host.collect()
    host.now += 3600
    log(host, unavailable, "warning: DANE TLSA lookup problem: Host not found, try again")
    host.collect()
    found = RelayTable(host.ledger).warnings(0)

    assert {each.name: (each.times, each.last) for each in found} == {
        "dnssec_unavailable": (4, START + 3600),
        "tlsa_lookup": (1, START + 3600),
    }
    assert all(each.text and each.meaning for each in found)
    assert RelayTable(host.ledger).warnings(START + 3601) == []


def test_a_warning_that_was_counted_before_or_is_in_the_future_is_no_alarm(host: Host) -> None:
    log(host, tls(), "warning: DNSSEC validation may be unavailable")
    log(host, "warning: DNSSEC validation may be unavailable", at=host.now + 9 * DAY)
    host.collect()
    copy = host.folder / "copy"
    copy.write_bytes(host.log.read_bytes())
    host.take(copy)

    assert [each.times for each in RelayTable(host.ledger).warnings(0)] == [1]


def test_the_days_of_suspects_tell_of_the_same_changes_as_all_days(host: Host) -> None:
    """Verified for nine days: one still, one refused on the tenth, one trusted; and one never."""
    for number in range(10):
        for label, relay in (("Verified", "still"), ("Untrusted", "refused"), ("Trusted", "ca")):
            good = "Verified" if number < 9 else label
            for hour in (0, 1, 2, 4):
                host.write(line(rfc3339(host.now + hour * 3600), tls(f"{relay}.example", good)))
        host.write(line(rfc3339(host.now + 14400), tls("never.example", "Trusted")))
        host.now += DAY
        host.collect()
    table = RelayTable(host.ledger)

    found = lost_authentication(table, host.now, host.zone)

    assert [each.relay for each in found] == ["ca.example", "refused.example"]
    assert found == find_losses(table.days(0), host.now)
