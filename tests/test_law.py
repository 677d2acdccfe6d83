"""The annotated sample logs are the law: every line counts as exactly what the comment above it
says.

Beside the program stands `reference`, a slow classifier written from the law's words alone; the
two agree
on the samples, on the logs of the lab, and on whatever becomes of a sample line when it is
damaged. What a delivery went over
depends on the lines before it: test_law_of_sessions.py has that part of the law.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import timezone
from pathlib import Path
from typing import NamedTuple

import opinion
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dane_mailgraph import postfix_warnings
from dane_mailgraph.categories import BY_KEY, CATEGORIES, FAMILIES
from dane_mailgraph.log.clock import Clock
from dane_mailgraph.log.forms import usual
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.postfix import classify, delivery, handshake, lines
from dane_mailgraph.postfix.explanation import explain
from dane_mailgraph.postfix.tally import Tally

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "sample_logs"
LAB = HERE / "lab"
IN_ORDER = SAMPLES / "sessions.log"
"""Scenes: what a line counts as depends on those before it."""
FILES = sorted(path for path in SAMPLES.glob("*.log") if path != IN_ORDER)
IGNORED = "127.0.0.0/8 ::1 unix"
LATEST = 1795485600  # 2026-11-24T02:00Z: all samples are of March 2026
EVER = 1 << 40
UTC = timezone.utc

THEMES = """ciphers deliveries established failures heads hostile inbound old-postfix relays
    repeated stamps tags tls13-tails"""


class Sample(NamedTuple):
    """A line, and what the annotation above it says."""

    where: str
    line: bytes
    times: int
    keys: tuple[str, ...]
    reason: str

    @property
    def counts(self) -> Counter[str]:
        return Counter(dict.fromkeys(self.keys, self.times))


def samples(path: Path) -> list[Sample]:
    found, expect = [], b""
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        where = f"{path.name}:{number}"
        if line.startswith(b"# expect: "):
            assert not expect, f"{where}: two annotations"
            expect = line.removeprefix(b"# expect: ")
        elif line and not line.startswith(b"#"):
            assert expect, f"{where}: no annotation"
            found.append(sample(where, line, expect.decode("ascii")))
            expect = b""
    assert not expect, f"{path.name}: an annotation without a line"
    return found


def sample(where: str, line: bytes, expect: str) -> Sample:
    if expect.startswith("nothing, "):
        return Sample(where, line, 0, (), expect.removeprefix("nothing, "))
    times, _, keys = expect.rpartition(" x ")
    return Sample(where, line, int(times or 1), tuple(keys.split(" ")), "")


def reference(line: bytes) -> opinion.Opinion:
    """The second opinion of a line, which knows the usual form of a head alone."""
    return opinion.reference(usual(line))


ALL = [each for path in FILES for each in samples(path)]
COUNTING = [each for each in ALL if each.keys]
TEXTS = [
    each.line.partition(b"]: ")[2]
    for each in COUNTING
    if not each.where.startswith("heads.log")
    and not each.line.startswith(b"<")
    and b"]: " in each.line
]


def tallied(data: bytes, step: int = 1) -> Counter[str]:
    """What the counting path makes of whole lines, over all intervals."""
    tally = Tally(step, PeerSet(IGNORED), EVER)
    tally.add_block(bytearray(data), len(data), Clock(UTC, LATEST))
    counts: Counter[str] = Counter()
    for interval in tally.intervals():
        for each, count in zip(CATEGORIES, interval.counts, strict=True):
            counts[each.key] += count or 0
    return +counts


def explained(line: bytes) -> tuple[str, ...]:
    (said,) = explain([line], Clock(UTC, LATEST), PeerSet(IGNORED))
    return said.counts


def ids(each: Sample) -> str:
    return each.where


# ---- the annotations ------------------------------------------------------------------------


@pytest.mark.parametrize("each", ALL, ids=ids)
def test_a_sample_line_is_counted_as_its_annotation_says(each: Sample) -> None:
    assert tallied(each.line + b"\n") == each.counts
    assert tallied(each.line + b"\n", step=60) == each.counts


@pytest.mark.parametrize("each", ALL, ids=ids)
def test_a_sample_line_is_explained_as_its_annotation_says(each: Sample) -> None:
    (said,) = explain([each.line], Clock(UTC, LATEST), PeerSet(IGNORED))

    assert said.counts == each.keys
    assert said.note


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_whole_file_is_the_sum_of_its_lines(path: Path) -> None:
    expected = sum((each.counts for each in samples(path)), Counter[str]())

    assert tallied(path.read_bytes()) == expected


def test_all_files_together_are_the_sum_of_all_lines() -> None:
    """But for what deliveries count as: in one log, the lines of one file tell what those of
    another went over."""
    files = [*FILES, IN_ORDER]
    expected = sum((each.counts for path in files for each in samples(path)), Counter[str]())

    assert merged(tallied(b"".join(path.read_bytes() for path in files))) == merged(expected)


def merged(counts: Counter[str]) -> Counter[str]:
    """Deliveries without their categories."""
    found: Counter[str] = Counter()
    for key, count in counts.items():
        found["deliveries" if key.startswith("deliveries.") else key] += count
    return found


def test_every_theme_has_its_file_and_every_file_its_lines() -> None:
    assert [path.stem for path in FILES] == THEMES.split()
    assert IN_ORDER.exists()
    assert all(samples(path) for path in FILES)
    assert {path.suffix for path in SAMPLES.iterdir() if path.is_file()} <= {
        ".log",
        ".md",
        ".py",
        ".pyc",
    }


def test_every_annotation_names_known_categories_one_of_each_family() -> None:
    for each in COUNTING:
        families = [BY_KEY[key].family for key in each.keys]

        assert families in (
            list(FAMILIES)[:3],
            ["connections"],
            ["deliveries"],
            ["failures"],
            ["inbound"],
            list(FAMILIES)[-2:],
        ), each.where
        assert (each.keys == ("connections.reused",)) == (families == ["connections"]), each.where


def test_every_line_that_counts_nowhere_says_why() -> None:
    assert all(each.reason for each in ALL if not each.keys)


def test_only_the_true_line_among_the_hostile_ones_is_a_connection() -> None:
    hostile = samples(SAMPLES / "hostile.log")

    assert len(hostile) >= 85
    assert [
        each.keys[0] for each in hostile if any(key.startswith("connections.") for key in each.keys)
    ] == ["connections.untrusted"]


def test_every_category_has_a_sample() -> None:
    told = [*ALL, *samples(IN_ORDER)]  # a label tells only over a session

    assert {key for each in told for key in each.keys} == set(BY_KEY)


def test_samples_end_in_a_newline_and_hold_the_bytes_they_are_about() -> None:
    hostile = (SAMPLES / "hostile.log").read_bytes()

    assert all(path.read_bytes().endswith(b"\n") for path in FILES)
    for each in ("\u2028", "\u2029", "\x85", "\v", "\f", "\r", "\x1c", "\x1e", "\0"):
        assert each.encode() in hostile
    assert b"\xed\xa0\x80" in hostile


def test_other_ways_to_split_lines_would_count_forged_ones() -> None:
    """The hostile samples are worth something: with str.splitlines() they do harm."""
    text = (SAMPLES / "hostile.log").read_bytes().decode("utf-8", "replace")
    forged = sum(bool(reference(line.encode()).keys) for line in text.splitlines())

    assert forged > 8


# ---- every piece of every pattern has a sample ----------------------------------------------


def alternatives(pattern: str) -> list[str]:
    """A pattern once for each of its alternatives: the outermost, and those of each group in
    turn."""
    depth, parts = 0, [""]
    for c in pattern:
        depth += (c == "(") - (c == ")")
        if c == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += c
    found = []
    for part in parts:
        groups = list(re.finditer(r"\(([^()]*)\)(\??)", part))
        for group in groups:
            choices = [f"(?:{each})" for each in group[1].split("|")] + ([""] if group[2] else [])
            found += [part[: group.start()] + choice + part[group.end() :] for choice in choices]
        if not groups:
            found.append(part)
    return found


def test_alternatives_are_found() -> None:
    assert alternatives("a|b(c|d)?e(f)") == [
        "a",
        "b(?:c)e(f)",
        "b(?:d)e(f)",
        "be(f)",
        "b(c|d)?e(?:f)",
    ]


GROUP_NAMES = {
    m[1].decode()
    for text in TEXTS
    if (m := re.search(rb"bits\) key-exchange (\S+?)[\]]?(?: |$)", text))
}
CIPHER_NAMES = {m[1].decode() for text in TEXTS if (m := re.search(rb" with cipher (\S+)", text))}


@pytest.mark.parametrize(
    "table, names",
    [(handshake._GROUPS, GROUP_NAMES), (handshake._CIPHERS, CIPHER_NAMES)],
    ids=["groups", "ciphers"],
)
def test_every_alternative_of_the_key_exchange_tables_has_a_sample(
    table: tuple[tuple[str, re.Pattern[str]], ...], names: set[str]
) -> None:
    for category, pattern in table:
        for piece in alternatives(pattern.pattern):
            assert any(re.match(piece, name, pattern.flags) for name in names), (
                f"{category}: {piece}"
            )
        assert any(f"key_exchange.{category}" in each.keys for each in COUNTING)


@pytest.mark.parametrize("piece", ["label", "verb"])
def test_every_label_and_verb_has_a_sample(piece: str) -> None:
    listed = re.search(rf"\(\?P<{piece}>([^()]*)\)", handshake._SUMMARY.pattern.decode())
    assert listed is not None

    for word in listed[1].split("|"):
        assert any(re.search(rb"\b" + word.strip().encode() + rb"\b", text) for text in TEXTS), word


@pytest.mark.parametrize("protocol", ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"])
def test_every_protocol_has_a_sample(protocol: str) -> None:
    assert any(f": {protocol} with cipher ".encode() in text for text in TEXTS)


@pytest.mark.parametrize("verb", ["established", "reused"])
@pytest.mark.parametrize("label", ["Verified", "Trusted", "Untrusted", "Anonymous"])
def test_every_label_is_there_with_every_verb(label: str, verb: str) -> None:
    assert any(f"{label} TLS connection {verb} to ".encode() in text for text in TEXTS)


@pytest.mark.parametrize("note", classify._NOTES, ids=lambda note: note[0].decode())
def test_every_note_has_a_sample(note: tuple[bytes, str]) -> None:
    said = {
        each.note
        for each in explain([sample.line for sample in ALL], Clock(UTC, LATEST), PeerSet(IGNORED))
    }

    assert note[1] in said


SAID = [each.line.partition(b"]: ")[2] for each in ALL]


@pytest.mark.parametrize("level", delivery._LEVELS, ids=bytes.decode)
def test_every_level_of_the_field_tls_has_a_sample(level: bytes) -> None:
    key = delivery._LEVELS[level]

    assert any(b", tls=" + level + b"," in each.line and each.keys == (key,) for each in ALL)
    assert any(
        b", tls=" + level + b"?" in each.line and each.keys == ("deliveries.unknown",)
        for each in ALL
    ) or level in (
        b"encrypt",
        b"fingerprint",
        b"verify",
    )


REASONS = [
    (f"failures.{name}", piece)
    for name, pattern in delivery._REASONS
    for piece in alternatives(pattern.replace("\\ ", " ").replace("(?:", "("))
]


@pytest.mark.parametrize("key, words", REASONS)
def test_every_reason_has_a_sample(key: str, words: str) -> None:
    lines = [each.line for each in ALL if each.keys == (key,)]

    assert any(
        re.search(rb" status=[A-Za-z]+ \((?:" + words.encode() + b")", line) for line in lines
    )
    for status in (b"deferred", b"bounced", b"SOFTBOUNCE"):
        assert any(b" status=" + status + b" (" in line for line in lines)


@pytest.mark.parametrize(
    "end",
    re.findall(
        r"(?:\||\(\?:)\s*(lost|conversation|local|Cannot)", delivery._SESSION_ENDS.pattern.decode()
    ),
)
def test_every_end_of_a_session_has_a_sample(end: str) -> None:
    assert (
        len(
            re.findall(
                r"(?:\||\(\?:)\s*(lost|conversation|local|Cannot)",
                delivery._SESSION_ENDS.pattern.decode(),
            )
        )
        == 4
    )
    assert any(
        re.match(rb"\w+: " + end.encode(), each.line.partition(b"]: ")[2])
        for each in samples(IN_ORDER)
    )


@pytest.mark.parametrize("warning", postfix_warnings.WARNINGS, ids=lambda warning: warning.name)
def test_every_warning_has_a_sample_and_counts_nowhere(
    warning: postfix_warnings.PostfixWarning,
) -> None:
    lines = [
        each
        for each, text in zip(ALL, SAID, strict=True)
        if postfix_warnings.warning_in(text) is warning
    ]

    assert lines
    assert not any(each.keys for each in lines)


STAMPS = {
    "traditional": r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d ",
    "RFC 3339, fraction, offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+\d\d:\d\d ",
    "RFC 3339, offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d ",
    "RFC 3339, offset to the west": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-\d\d:\d\d ",
    "RFC 3339, offset without a colon": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d{4} ",
    "RFC 3339, Z": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ",
    "RFC 3339, small letters": r"\d{4}-\d\d-\d\dt\d\d:\d\d:\d\d\.\dz ",
    "RFC 3339, comma": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d+\+",
    "RFC 3339, no offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d ",
    "RFC 3339, fraction, no offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+ ",
    "leap second": r"\S+:60Z ",
    "RFC 5424": r"<\d+>1 \S+ \S+ postfix/smtp \d+ - - [A-Z]",
    "RFC 5424, lmtp": r"<\d+>1 \S+ \S+ postfix/lmtp ",
    "RFC 5424, rsyslog's space": r"<\d+>1 \S+ \S+ \S+ \d+ - -  [A-Z]",
    "RFC 5424, byte order mark": r"<\d+>1 \S+ \S+ \S+ \d+ - - \xef\xbb\xbf",
    "RFC 5424, message id": r"<\d+>1 \S+ \S+ \S+ \d+ ID\d+ - ",
    "RFC 5424, structured data": r'<\d+>1 \S+ \S+ \S+ \d+ - \[[^]]+="[^]]+"\] ',
    "RFC 5424, no host": r"<\d+>1 \S+ - ",
    "repeated": r".*\]: message repeated \d+ times: \[ ",
    "repeated, RFC 3339": r"\d{4}-.*message repeated ",
    "repeated, RFC 5424": r"<.*message repeated ",
    "lmtp": r".*/lmtp\[",
    "tag of three parts": r".* [^ /]+/[^ /]+/smtp\[",
    "IPv6": r".*\[2001:db8:[0-9a-f:]+\]:25: ",
    "zone": r".*\[fe80::[0-9a-f]+%\w+\]:25: ",
    "no host name": r".* to \[",
    "address literal": r".* to 192[0-9.]+\[192",
    "IPv6 address literal": r".* to 2001:db8[0-9a-f:]+\[2001",
}


@pytest.mark.parametrize("form", STAMPS)
def test_every_form_of_a_line_has_a_sample_that_counts(form: str) -> None:
    assert any(re.match(STAMPS[form].encode("latin-1"), each.line) for each in COUNTING)


def test_a_cut_tag_and_a_socket_have_samples_that_do_not_count() -> None:
    nothing = [each.line for each in ALL if not each.keys]

    assert any(
        re.match(rb"<\d+>1 \S+ \S+ postfix \d+ - -  ?Verified TLS connection established to ", line)
        for line in nothing
    )
    assert any(
        re.search(rb"\]: \w+ TLS connection established to [^ ]*\[[^ \]]*/[^ \]]*\]: TLSv1", line)
        for line in nothing
    )


# ---- the patterns themselves ----------------------------------------------------------------

CATCH_ALL = re.compile(r"(?<!\\)\.[*+{]|\[\^\\n\][*+{]|\\[SWD][*+{]\\?\[")


def beginnings() -> list[tuple[str, str]]:
    """What each pattern that leads to a count says before the label."""
    session = handshake._SUMMARY.pattern.decode()
    found = [("session", session[: session.index("(?P<label>")])]
    for name, pattern, text in (
        ("line", lines._patterns(lines.CLIENT).line, delivery.TEXT),
        ("rfc5424", lines._patterns(lines.CLIENT).rfc5424, delivery.TEXT),
        ("nameless", lines._NAMELESS, "(.*)"),
    ):
        head = pattern.pattern.decode().removesuffix(f"{text}$")
        assert head.startswith("^") and not head.endswith("$"), name
        found.append((name, head))
    found.append(("usual", delivery._USUAL[: delivery._USUAL.index("(?!.*")]))
    found.append(("fields", delivery._FIELDS.pattern.decode()))
    return found


@pytest.mark.parametrize(
    "name, head", beginnings(), ids=lambda each: each if len(each) < 20 else ""
)
def test_nothing_before_the_label_catches_just_anything(name: str, head: str) -> None:
    assert not CATCH_ALL.search(head), name


SUMMARY = (
    b"Verified TLS connection established to mx.example.org[192.0.2.10]:25: "
    b"TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)


@given(st.binary(min_size=1, max_size=80))
def test_no_text_before_a_summary_leaves_it_a_summary(before: bytes) -> None:
    assert handshake.summary(SUMMARY) is not None
    assert handshake.summary(before + SUMMARY) is None


@given(st.sampled_from(ALL), st.binary(max_size=60))
def test_a_summary_quoted_in_any_other_line_counts_nowhere(each: Sample, between: bytes) -> None:
    before = (
        b"Nov 24 00:06:58 mx1 postfix/smtp[101]: 2131521E14B: host mx.example.org[192.0.2.10] "
        b"said: 450 "
    )
    quoting = before + between.replace(b"\n", b" ") + each.line

    assert not tallied(quoting + b"\n")
    assert not explained(quoting)


TLS = (
    b"dane",
    b"dane-only",
    b"halfdane",
    b"secure",
    b"verify",
    b"fingerprint",
    b"encrypt",
    b"may",
    b"none",
    b"may:none",
)


@given(
    st.sampled_from(ALL),
    st.binary(max_size=60),
    st.sampled_from(TLS),
    st.sampled_from([b"mx1[192.0.2.1]:25", b"none"]),
)
def test_whatever_a_reply_quotes_a_delivery_is_what_its_own_fields_say_or_unknown(
    each: Sample, between: bytes, tls: bytes, relay: bytes
) -> None:
    fields = b", delay=1.2, delays=0.1/0/0.9/0.2, tls=" + tls + b", dsn=2.0.0, status="
    before = (
        b"Nov 24 00:06:58 mx1 postfix/smtp[101]: 2131521E14B: to=<s@example.org>, relay="
        + relay
        + fields
    )
    quoting = between.replace(b"\n", b" ") + each.line
    (own,) = explained(before + b"sent (250 ok)")

    assert set(explained(before + b"sent (250 " + quoting)) <= {own, "deliveries.unknown"}
    assert not explained(before + b"bounced (host mx1[192.0.2.1] said: 550 " + quoting)


@given(st.sampled_from(ALL), st.binary(max_size=60), st.sampled_from(TLS))
def test_whatever_a_quoted_recipient_holds_the_fields_behind_it_count(
    each: Sample, between: bytes, tls: bytes
) -> None:
    local = (
        (between + each.line)[:900]
        .replace(b"\n", b"")
        .replace(b"\\", b"\\\\")
        .replace(b'"', b'\\"')
    )
    begin = b"Nov 24 00:06:58 mx1 postfix/smtp[101]: 2131521E14B: to=<"
    before = begin + b'"' + local + b'"@example.org>, relay=mx1[192.0.2.1]:25, '
    fields = b"delay=1.2, delays=0.1/0/0.9/0.2, tls=" + tls + b", dsn=2.0.0, status="
    plain = begin + b"s@example.org>, relay=mx1[192.0.2.1]:25, " + fields

    assert explained(before + fields + b"sent (250 ok)") == explained(plain + b"sent (250 ok)")
    assert not explained(before + fields + b"bounced (550 no)")
    assert not explained(before[:-30])


# ---- a second opinion -----------------------------------------------------------------------


@pytest.mark.parametrize("each", ALL, ids=ids)
def test_the_reference_agrees_with_the_annotation(each: Sample) -> None:
    said = reference(each.line)

    assert each.keys in said.all
    assert said.times in (each.times, 0) or not each.keys
    assert (
        len(said.all) == 1
        or each.line.count(b">, relay=") > 1
        or re.search(b", tls=(evil|dane):", each.line)
    )


@pytest.mark.parametrize("path", sorted(LAB.glob("*.log")), ids=lambda path: path.name)
def test_the_reference_agrees_on_each_line_of_the_lab(path: Path) -> None:
    for line in path.read_bytes().removesuffix(b"\n").split(b"\n"):
        said = reference(line)

        assert tallied(line + b"\n") == said.counts
        assert explained(line) == said.keys


def without_names(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The names of groups and ciphers are open-ended; damaged ones are not in the reference's
    short lists."""
    return tuple(key.partition(".")[0] if key.startswith("key_exchange.") else key for key in keys)


def assert_agreement(data: bytes) -> None:
    """The program and the reference agree on each line of this, and on the whole but for what
    deliveries went over."""
    lines = data.split(b"\n")
    expected: Counter[str] = Counter()
    sure = True
    for line in lines:
        said = reference(line)
        keys = explained(line)
        counts = tallied(line + b"\n")
        expected += counts

        assert without_names(keys) in [without_names(each) for each in said.all], line
        assert counts == +Counter(dict.fromkeys(keys, said.times)), line
        sure &= () not in said.others

    assert not sure or merged(tallied(data + b"\n")) == merged(expected)


TELLING = [each for each in ALL if b"TLS connection" in each.line or b": to=<" in each.line]
BYTE = st.one_of(
    st.sampled_from(sorted(set(b' []:/.%-<>"\\=?()\t\r\n\x00\x7f\x85\xff0129aAT+Z,_'))),
    st.integers(0, 255),
)
PIECES = st.one_of(
    st.lists(BYTE, max_size=4).map(bytes),
    st.sampled_from(
        [
            b"message repeated 3 times: [ ",
            b"[ID 1 mail.info] ",
            b"postfix/smtp[1]: ",
            b"dovecot: ",
            b"<22>1 ",
        ]
    ),
    st.sampled_from(
        [
            b"%eth0",
            b"::1",
            b"127.",
            b" key-exchange ",
            b"\xef\xbb\xbf",
            b"\xe2\x80\xa8",
            b"Feb 29",
            b" reused to ",
        ]
    ),
    st.sampled_from(
        [
            b'"',
            b">, relay=",
            b", tls=dane",
            b" status=sent (",
            b">, orig_to=<",
            b", conn_use=2",
            b"?",
            b"/1/2",
        ]
    ),
)
GENEROUS = settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.slow
@GENEROUS
@given(st.sampled_from(TELLING), st.data())
def test_a_damaged_line_is_what_the_reference_says(each: Sample, data: st.DataObject) -> None:
    line = each.line
    for _ in range(data.draw(st.integers(1, 3))):
        # A head and a summary are short: most of what matters is in the first 160 bytes.
        begin = data.draw(st.integers(0, len(line)) | st.integers(0, min(len(line), 160)))
        end = min(len(line), begin + data.draw(st.integers(0, 3) | st.just(0)))
        line = line[:begin] + data.draw(PIECES) + line[end:]

    assert_agreement(line)


@pytest.mark.slow
@GENEROUS
@given(st.sampled_from(TELLING), st.sampled_from(TELLING), st.data())
def test_two_spliced_lines_are_what_the_reference_says(
    one: Sample, other: Sample, data: st.DataObject
) -> None:
    marks = [b" ", b": ", b"[", b"]", b"]: ", b" TLS", b"", b"<", b">", b", ", b"="]
    mark = data.draw(st.sampled_from(marks))
    cuts = [m.start() for m in re.finditer(re.escape(mark), one.line)] or [0]
    starts = [m.start() for m in re.finditer(re.escape(mark), other.line)] or [0]
    spliced = (
        one.line[: data.draw(st.sampled_from(cuts))]
        + other.line[data.draw(st.sampled_from(starts)) :]
    )

    assert_agreement(spliced)


@given(st.sampled_from(COUNTING), st.data())
def test_a_line_cut_short_is_what_the_reference_says(each: Sample, data: st.DataObject) -> None:
    assert_agreement(each.line[: data.draw(st.integers(0, len(each.line)))])
