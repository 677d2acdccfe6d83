"""Heads of other forms are read, alone and amid usual ones; what is not understood is named."""

from __future__ import annotations

from collections import Counter
from datetime import timezone
from pathlib import Path

import pytest
from host import START, Host, line, rfc3339
from test_law import IGNORED, LATEST, SAMPLES, Sample, ids, samples

from dane_mailgraph.answer.report import totals
from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.log.forms import in_usual_form, usual
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix.explanation import explain
from dane_mailgraph.postfix.tally import Tally

EVER = 1 << 40
HEADS = samples(SAMPLES / "heads.log")
COUNTING = [each for each in HEADS if each.keys]

TLS = (
    b"Trusted TLS connection established to mx.example.org[192.0.2.10]:25: TLSv1.3 with cipher "
    b"TLS_AES_256_GCM_SHA384 (256/256 bits)"
)
USUAL = b"Nov 24 00:06:58 mx1 postfix/smtp[102]: " + TLS
PUZZLING = b"Nov 24 00:06:58 mx1/postfix/smtp/102/ " + TLS
MANY = 2000
"""Lines of a block that is read by its usual heads alone."""


def counted(*lines: bytes, blocks: int = 2) -> tuple[Counter[str], Counter[str]]:
    """What these lines count as in the last of some blocks of usual ones, and the omissions."""
    tally, clock = Tally(60, PeerSet(IGNORED), EVER), Clock(timezone.utc, LATEST)
    for block in [[USUAL] * MANY] * blocks + [[USUAL] * MANY + [*lines] + [USUAL] * MANY]:
        data = bytearray(b"\n".join(block) + b"\n")
        tally.add_block(data, len(data), clock)
    counts: Counter[str] = Counter()
    for interval in tally.intervals():
        counts.update({each.key: n for each, n in zip(CATEGORIES, interval.counts, strict=True)})
    counts["connections.trusted"] -= MANY * (blocks + 2)
    counts["protocols.tlsv1_3"] -= MANY * (blocks + 2)
    counts["key_exchange.unknown"] -= MANY * (blocks + 2)
    return +counts, +tally.omitted


@pytest.mark.parametrize("each", COUNTING, ids=ids)
def test_a_line_of_another_form_counts_amid_usual_ones(each: Sample) -> None:
    assert counted(each.line) == (each.counts, Counter())


@pytest.mark.parametrize("each", COUNTING, ids=ids)
def test_a_log_of_one_form_counts_in_each_of_its_lines(each: Sample) -> None:
    data = bytearray((each.line + b"\n") * 5)
    tally = Tally(1, PeerSet(IGNORED), EVER)
    tally.add_block(data, len(data), Clock(timezone.utc, LATEST))

    (interval,) = tally.intervals()
    assert {
        category.key: n for category, n in zip(CATEGORIES, interval.counts, strict=True) if n
    } == {key: 5 * n for key, n in each.counts.items()}
    assert not +tally.omitted


@pytest.mark.parametrize("each", COUNTING, ids=ids)
def test_the_usual_form_of_a_line_has_itself_as_its_usual_form(each: Sample) -> None:
    assert usual(usual(each.line)) == usual(each.line) != each.line


def test_a_client_s_line_behind_an_unknown_head_is_not_understood() -> None:
    assert counted(PUZZLING) == (Counter(), Counter(not_understood=1))
    recipient = b"x/smtp: 4F1E2D3C4B5A: to=<u@example.org>, relay=none, delay=1"
    assert counted(recipient) == (Counter(), Counter(unreadable=1))


@pytest.mark.parametrize(
    "quoting",
    [
        b"Nov 24 00:06:58 mx1 postfix/cleanup[3]: 4F1E2D3C4B5A: warning: header Subject: ",
        b"Nov 24 00:06:58 mx1 sshd[3]: Invalid user ",
        b"<22>1 2026-11-24T00:06:58Z mx1 postfix/cleanup 3 - - header ",
        b"2026-11-24T00:06:58Z mx1 rspamd[3]: <a1b2c3>; ",
    ],
)
def test_what_another_program_quotes_is_no_omission(quoting: bytes) -> None:
    for quoted in (USUAL, b"x smtp: 4F1E2D3C4B5A: to=<u@example.org>", PUZZLING):
        assert counted(quoting + quoted) == (Counter(), Counter())


@pytest.mark.parametrize("tag", ["mailserver[7]", "postfix/4f1e2d3c4b5a[7]", "tag"])
def test_a_relayed_line_whose_relay_is_not_known_is_not_understood(tag: str) -> None:
    relayed = b"Nov 24 00:06:58 host1 " + tag.encode() + b": " + USUAL

    assert counted(relayed) == (Counter(), Counter(not_understood=1))


@pytest.mark.parametrize(
    "text",
    [
        TLS[:60],
        TLS.replace(b"TLSv1.3", b"TLSv1.4"),
        b"Trusted TLS connection reused to mx.example.org[192.0.2.10]:25",
    ],
)
def test_a_summary_that_is_cut_off_or_of_an_unknown_protocol_is_illegible(text: bytes) -> None:
    line_ = b"Nov 24 00:06:58 mx1 postfix/smtp[102]: " + text

    assert counted(line_) == (Counter(), Counter(illegible=1))


def test_a_block_in_the_usual_form_is_not_changed() -> None:
    block = bytearray(b"\n".join([USUAL, HEADS[0].line, USUAL]) + b"\n")
    assert in_usual_form(block, len(block))[0] is block


def test_an_interval_none_of_whose_lines_is_understood_is_unknown_and_not_zero(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    host.write(host.line(host.now))
    host.collect()
    host.now += 60
    host.write(host.line(host.now).replace(" mx1 ", " mx1 x y "))
    host.collect()
    host.now += 60
    host.write(host.line(host.now) + host.line(host.now).replace(" mx1 ", " mx1 x y "))
    host.now += 120
    host.collect()

    rows = list(host.rows())
    assert rows == [(START, 1), (START + 60, None), (START + 120, 1)]
    assert host.ledger.omitted()["not_understood"] == 2


def test_omissions_and_read_seconds_are_of_the_range_that_is_asked_for(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.write(host.line(host.now).replace(" mx1 ", " mx1 x y "))
    host.now += 2 * 3600
    host.write(host.line(host.now))
    host.collect()
    host.now += 120
    host.collect()

    before = totals(host.store.rrd, host.ledger, START, START + 3600)
    after = totals(host.store.rrd, host.ledger, START + 7200, START + 7260)
    whole = totals(host.store.rrd, host.ledger, START, START + 7260)
    assert [each.omitted["not_understood"] for each in (before, after, whole)] == [1, 0, 1]
    assert (before.observed, after.observed) == (3600 - 60, 60)


SENT = (
    "2131521E14B: to=<u@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, "
    "delays=0.1/0/0.9/0.2, {tls}dsn=2.0.0, status=sent (250 ok)"
)


@pytest.mark.parametrize(
    ("tls", "dane", "half_dane"), [("", None, None), ("tls=may, ", 0, 0), ("tls=dane, ", 1, 0)]
)
def test_dane_is_unknown_where_no_delivery_says_its_level(
    tmp_path: Path, tls: str, dane: int | None, half_dane: int | None
) -> None:
    host = Host(tmp_path)
    host.write(line(rfc3339(host.now), SENT.format(tls=tls)))
    host.now += 120
    host.collect()

    found = totals(host.store.rrd, host.ledger, START, START + 120).totals
    keys = ("deliveries.dane", "deliveries.half_dane")
    assert tuple(found[BY_KEY[key]] for key in keys) == (dane, half_dane)


# ---- lines that others end, cut or fold -----------------------------------------------------


@pytest.mark.parametrize(
    "text", [TLS, SENT.format(tls="").encode()], ids=["a handshake", "a recipient"]
)
def test_a_tag_cut_to_the_package_s_name_is_nameless_amid_usual_lines(text: bytes) -> None:
    cut = b"Nov 24 00:06:58 mx1 postfix[101]: " + text
    other = b"Nov 24 00:06:58 mx1 postfix[101]: 4F1E2D3C4B5A: removed"

    assert counted(cut) == (Counter(), Counter(nameless=1))
    assert counted(other) == (Counter(), Counter())


@pytest.mark.parametrize(
    "tag, omission", [("postfix[101]:", "nameless"), ("smtp [101]:", "not_understood")]
)
def test_a_line_alone_in_its_interval_whose_tag_is_cut_makes_it_unknown(
    tag: str, omission: str, tmp_path: Path
) -> None:
    host = Host(tmp_path)
    host.write(host.line(host.now).replace("postfix/smtp[4711]:", tag))
    host.now += 60
    host.write(host.line(host.now))
    host.now += 120
    host.collect()

    assert list(host.rows()) == [(START, None), (START + 60, 1)]
    assert host.ledger.omitted()[omission] == 1


@pytest.mark.parametrize(
    "torn",
    [
        b"Nov 24 00:06:50 mx1 postfix/qmgr[101]: 4F1E2D3C4B5A: fro",
        b"Nov 24 00:06:50 mx1 systemd[1]: Start",
        b"Nov 24 00:06:50 mx1 postfix/smtp[101]: Verified TLS connec",
        b"Nov 24 00:06:50 mx1 postfix/smtp[101]: 2CE5121E153: to=<s@exa",
        b"Nov 24 00:06:50 mx1 post",
        b"Nov 24 00:06",
    ],
)
def test_a_line_that_is_glued_to_a_torn_one_is_an_omission(torn: bytes) -> None:
    counts, omissions = counted(torn + USUAL)

    assert (counts, omissions.total()) == (Counter(), 1)


def test_a_line_of_another_program_that_quotes_one_is_none() -> None:
    quoting = b"Nov 24 00:06:50 mx1 watch[1]: seen: " + USUAL
    quoted = b'Nov 24 00:06:50 mx1 watch[1]: seen "' + USUAL + b'"'

    assert counted(quoting, quoted) == (Counter(), Counter())


REPEATED = b"Nov 24 00:07:10 mx1 last message repeated 3 times"


@pytest.mark.parametrize("repeat", [REPEATED, REPEATED.replace(b"mx1 ", b"mx1 --- ") + b" ---"])
def test_a_repeat_without_a_name_counts_as_the_line_before_it(repeat: bytes) -> None:
    counts, omitted = counted(USUAL.replace(b"Trusted", b"Verified"), repeat)

    assert (counts["connections.verified"], counts["connections.trusted"]) == (4, 0)
    assert not omitted
    assert counted(repeat) == (
        Counter({"connections.trusted": 3, "protocols.tlsv1_3": 3, "key_exchange.unknown": 3}),
        Counter(),
    )


def test_a_repeat_is_explained_as_what_it_repeats() -> None:
    lines = [REPEATED, USUAL, REPEATED, REPEATED]
    said = list(explain(lines, Clock(timezone.utc, LATEST), PeerSet(IGNORED)))

    assert [bool(each.counts) for each in said] == [False, True, True, True]
    assert said[0].kind == "not_understood"
    assert "counted 3 times" in said[2].note


@pytest.mark.parametrize(
    "before, omitted",
    [
        (b"Nov 24 00:06:58 mx1 sshd[7]: Invalid user x", 0),
        (b"Nov 24 00:06:58 mx1 kernel: x", 0),
        (b"Nov 24 00:06:58 mx2 postfix/smtp[102]: " + TLS, 1),
    ],
)
def test_a_repeat_of_another_program_counts_nowhere_and_one_of_another_host_is_told(
    before: bytes, omitted: int
) -> None:
    counts, omissions = counted(before, REPEATED)

    assert counts["connections.trusted"] == omitted
    assert omissions == +Counter(not_understood=omitted)


def tallied(*blocks: bytes) -> tuple[int, Counter[str]]:
    """The Trusted connections in blocks of one log, and the omissions."""
    tally, clock = Tally(60, PeerSet(IGNORED), EVER), Clock(timezone.utc, LATEST)
    for block in blocks:
        tally.add_block(bytearray(block), len(block), clock)
    tally.end_log(clock)
    index = CATEGORIES.index(BY_KEY["connections.trusted"])
    return sum(each.counts[index] or 0 for each in tally.intervals()), +tally.omitted


def test_a_repeat_at_the_beginning_of_a_block_is_of_the_end_of_the_one_before() -> None:
    assert tallied(USUAL + b"\n", REPEATED + b"\n" + REPEATED + b"\n") == (7, Counter())
    assert tallied(REPEATED + b"\n") == (0, Counter(not_understood=1))


STAMP = "2026-11-24T00:06:58.123456789Z"
POD, DOCKER = "{stamp} stdout {end} {text}\n", '{{"log": "{text}{end}", "time": "{stamp}"}}\n'


@pytest.mark.parametrize(
    "form, part, last", [(POD, "P", "F"), (DOCKER, "", "\\n")], ids=["pod", "Docker"]
)
@pytest.mark.parametrize("cut", [1, 20, 60, 130])
@pytest.mark.parametrize("text", [USUAL.decode(), "postfix/smtp[102]: " + TLS.decode()])
def test_a_line_that_a_container_s_runtime_has_cut_is_one_line(
    form: str, part: str, last: str, cut: int, text: str
) -> None:
    entries = [
        form.format(stamp=STAMP, end=end, text=each).encode()
        for each, end in ((text[:cut], part), (text[cut:], last), (text, last))
    ]

    assert tallied(b"".join(entries)) == (2, Counter())
    assert tallied(*entries) == (2, Counter())


def test_a_container_that_was_killed_in_a_line_leaves_what_it_had_written() -> None:
    whole = DOCKER.format(stamp=STAMP, end="", text=USUAL.decode()).encode()

    assert tallied(whole) == (1, Counter())
    assert tallied(whole, whole) == (2, Counter())


def exported(fields: dict[str, bytes]) -> bytes:
    """An entry as `journalctl -o export` prints it."""
    return b"".join(
        name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
        if b"\n" in value or not value.isascii()
        else name.encode() + b"=" + value + b"\n"
        for name, value in {"__CURSOR": b"s=1;i=2", **fields}.items()
    ) + (b"\n")


@pytest.mark.parametrize("fields", [b'"_PID":"7","SYSLOG_PID":"8"', b'"SYSLOG_PID":"7"'])
def test_the_process_id_that_the_journal_does_not_know_is_that_of_the_line(fields: bytes) -> None:
    entry = b'{"__REALTIME_TIMESTAMP":"1795475218000000","_HOSTNAME":"mx1",'
    entry += b'"SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"x",' + fields + b"}"

    assert usual(entry).endswith(b" mx1 postfix/smtp[7]: x")


def test_an_export_of_the_journal_is_read(tmp_path: Path) -> None:
    host = Host(tmp_path)
    entry = {
        "__REALTIME_TIMESTAMP": str(START * 10**6 + 5).encode(),
        "_HOSTNAME": b"mx1",
        "SYSLOG_IDENTIFIER": b"postfix/smtp",
        "_PID": b"102",
    }
    log = tmp_path / "journal.export"
    log.write_bytes(
        exported({**entry, "MESSAGE": TLS})
        + exported({**entry, "MESSAGE": b"x\ny" * 100_000, "_UID": b"0" * 300_000})
        + exported({"MESSAGE": TLS})
        + exported({**entry, "MESSAGE": TLS + b" \xff\n", "_COMM": b"a\nb"})
    )

    step = host.take(log)
    assert (step.counted, dict(+Counter(step.omitted))) == (2, {})
