"""A line about a recipient is read as Postfix wrote it, in all ways in which it can be, or not at
all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix import delivery
from dane_mailgraph.postfix.classify import Classifier
from dane_mailgraph.postfix.lines import ClientLine
from dane_mailgraph.postfix.sessions import Sessions

RELAY = "mx.example.org[192.0.2.10]:25"
FORGED = (
    ">, relay=mx.bank.example[192.0.2.66]:25, delay=1, delays=0/0/0/1, tls=dane, dsn=2.0.0, "
    "status=sent (ok"
)


def text(
    to: str = "s@example.org",
    *,
    more: str = "",
    tls: str = "",
    status: str = "sent",
    reason: str = "250 ok",
) -> bytes:
    field = f", tls={tls}" if tls else ""
    fields = f"delay=1.2, delays=0.1/0/0.9/0.2{field}, dsn=2.0.0, status={status} ({reason})"
    return f"2CE5121E153: to=<{to}>{more}, relay={RELAY}, {fields}".encode()


TEXT = re.compile(f"{delivery.TEXT}$".encode(), re.VERBOSE | re.MULTILINE)


def usual(line: bytes) -> tuple[bytes, ...]:
    """Queue ID, relay with conn_use, delays, tls and status of a usual line; nothing for others."""
    match = TEXT.match(line)
    assert match is not None
    return match.groups(b"")[:5] if match[1] else ()


def test_a_delivery_line_is_taken_apart() -> None:
    line = text("U@Example.ORG", more=", orig_to=<alias>", tls="may:none").replace(
        b"]:25,", b"]:25, conn_use=3,"
    )
    (said,) = delivery.readings(line)

    assert said.queue_id == b"2CE5121E153"
    assert (said.domain, said.relay, said.conn_use) == ("example.org", RELAY.encode(), 3)
    assert (said.tls, said.status, said.reason) == (b"may:none", b"sent", b"250 ok)")


def test_a_line_that_only_a_forger_can_write_does_not_take_all_memory() -> None:
    assert len(delivery.readings(text(FORGED * 5000))) < 100


@pytest.mark.parametrize(
    "fields", ["", ", delays=0.1/0/0.9/0.2", ", dsn=2.0.0", ", tls=dane, dsn=2.0.0"]
)
def test_fields_that_older_versions_do_not_write_may_be_missing(fields: str) -> None:
    line = (
        f"2CE5121E153: to=<s@example.org>, relay=none, delay=1{fields}, status=bounced (x)".encode()
    )

    assert [each.status for each in delivery.readings(line)] == [b"bounced"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"2CE5121E153: removed",
        b"2CE5121E153: to=<s@example.org>, relay=none",
        text()[:-8],
        text().replace(b"delay=", b"delay:"),
        text().replace(b", status", b",status"),
        text().replace(b"2CE5121E153", b"2CE"),
        b"x " + text(),
        text('"' + "x" * 50)[:100],
        text('"x' + FORGED),
        text(more=', orig_to=<"x' + FORGED),
    ],
)
def test_what_is_no_whole_line_is_not_read(line: bytes) -> None:
    assert delivery.readings(line) == []


@pytest.mark.parametrize(
    "local",
    [
        "a b",
        'a\\"b',
        "a\\\\",
        ">, relay=x, ",
        FORGED,
        f"{FORGED}) {FORGED}",
        "@",
        '\\">, orig_to=<\\"',
    ],
)
def test_nothing_in_a_quoted_recipient_is_a_field(local: str) -> None:
    for line in (
        text(f'"{local}"@example.org'),
        text(more=f', orig_to=<"{local}"@example.org>'),
        text(f'"{local}"'),
    ):
        (said,) = delivery.readings(line)
        assert said.relay == RELAY.encode()


def test_what_can_be_read_in_two_ways_is_read_in_both() -> None:
    relays = [
        [each.relay for each in delivery.readings(line)]
        for line in (text(f"x{FORGED}@y"), text(reason=f"<x{FORGED})"))
    ]

    assert relays == [
        [b"mx.bank.example[192.0.2.66]:25", RELAY.encode()],
        [RELAY.encode(), b"mx.bank.example[192.0.2.66]:25"],
    ]
    assert not usual(text(f"x{FORGED}@y"))
    assert not usual(text(reason=f"<x{FORGED})"))


@pytest.mark.parametrize("to", ["s@example.org", "root", "", "a+b@x.example", "\u00e9@example.org"])
def test_a_usual_line_is_read_as_any_other(to: str) -> None:
    for line in (
        text(to),
        text(to, tls="dane"),
        text(to).replace(b"]:25", b"]:25, conn_use=7"),
        *(text(to, status=status) for status in ("deferred", "bounced", "SOFTBOUNCE")),
    ):
        (said,) = delivery.readings(line)

        assert delivery.usual_delivery(*usual(line)) == said._replace(address=b"", reason=b"")
    assert not usual(text(to, status="deferred", reason="TLSA lookup error for x:25"))
    assert not usual(text(to, status="deliverable"))


@pytest.mark.parametrize("torn", [b"mx.ex\nample.org[192.0.2.10]:25", b"mx [192.0.2.10]:25"])
def test_a_usual_line_whose_relay_is_torn_is_no_delivery(torn: bytes) -> None:
    assert delivery.usual_delivery(b"2CE5121E153", torn, b"0/0/0/0", b"", b"sent") is None


@pytest.mark.parametrize(
    "tls",
    [
        "dane?",
        "!dane",
        "unknown",
        "unknown?",
        "",
        ":",
        "dane:",
        "x:dane",
        "DANE",
        "dane!",
        "may:none?",
    ],
)
def test_a_field_that_says_nothing_sure_is_not_believed(tls: str) -> None:
    assert delivery.category_by_tls(tls.encode()) is None


@pytest.mark.parametrize(
    "part", ["", "/requiretls", "/requiretls:none", "/requiretls?", "/!requiretls:nostarttls"]
)
@pytest.mark.parametrize(
    "level, name", [("dane", "dane"), ("dane:encrypt", "encrypted"), ("may:none", "plaintext")]
)
def test_requiretls_does_not_change_the_class(level: str, name: str, part: str) -> None:
    said = delivery.category_by_tls((level + part).encode())

    assert said is not None
    assert said.name == name


def test_a_reason_counts_where_it_directly_follows_the_status() -> None:
    assert delivery.failure_category(b"Server certificate not verified)") is not None
    for before in (
        b" ",
        b"x",
        b"host mx[192.0.2.1] said: 450 ",
        b"delivery temporarily suspended: ",
    ):
        assert delivery.failure_category(before + b"Server certificate not verified)") is None


def test_a_failed_lookup_names_the_server() -> None:
    assert (
        delivery.server_looked_up(b"TLSA lookup error for MX.example.org:25)") == "mx.example.org"
    )
    assert delivery.server_looked_up(b"no TLSA records found)") == ""


@pytest.mark.parametrize(
    "line, expected",
    [
        (b"2CE5121E153: lost connection with mx[192.0.2.1] while sending RCPT TO", True),
        (b"2CE5121E153: conversation with mx[192.0.2.1] timed out while sending MAIL FROM", True),
        (b"2CE5121E153: Cannot start TLS: handshake failure", True),
        (b"2CE5121E153: local data error while talking to mx[192.0.2.1]", True),
        (b"2CE5121E153: host mx[192.0.2.1] said: 450 lost connection with mx[192.0.2.1]", False),
        (b"lost connection with mx[192.0.2.1]", False),
        (b"2CE5121E153: to=<lost connection with >", False),
    ],
)
def test_a_session_that_breaks_is_told_by_the_first_words(line: bytes, expected: bool) -> None:
    assert delivery.ends_session(line) is expected


PIECES = st.sampled_from(
    [
        *(
            b"2CE5121E153: to=<",
            b"s@example.org",
            b'"',
            b"\\",
            b">, relay=",
            b"mx[192.0.2.1]:25",
            b"none",
            b", conn_use=",
            b"2",
        ),
        *(
            b", delay=1",
            b", delays=0/0/0/1",
            b", tls=",
            b"dane?",
            b", dsn=2.0.0",
            b", status=",
            b"sent",
            b" (",
            b")",
            b">, orig_to=<",
        ),
        *(
            b"9" * 5000,
            b".",
            b"/",
            b"TLSA lookup error for x:25",
            b"message repeated 3 times: [ ",
            b"]",
            b"lost connection with ",
        ),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=5), max_size=30).map(b"".join))
def test_any_bytes_are_read_without_complaint(line: bytes) -> None:
    sessions = Sessions()
    sessions.begin(0)
    classifier = Classifier(PeerSet("127.0.0.0/8 unix"), sessions)
    service = sessions.service(b"mx1 postfix/smtp")
    for said in (line, text(), line):
        for match in TEXT.finditer(said):
            written = ClientLine(b"", b"", b"1", *match.groups(b""))
            assert classifier.outcome(service, written, 1795485600).note
    assert Sessions.load(sessions.dump(1795485600)).complete_since == 0
    readings = delivery.readings(line)
    if usual(line):
        assert len(readings) == 1
    delivery.ends_session(line)
