"""TLS reports of others are read as real senders write them, and within bounds."""

from __future__ import annotations

import copy
import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tls_reports import (
    BIG,
    MAIL,
    NORTH,
    OFFICE,
    SIGNED,
    SMALL,
    STS,
    mail,
    mbox,
    packed,
    policy,
    report,
    samples,
)

from dane_mailgraph.errors import SourceError
from dane_mailgraph.reports.files import Found, read_files
from dane_mailgraph.reports.report import (
    RESULTS,
    Origin,
    TlsReport,
    UnusableError,
    domain_name,
    read_report,
)

DAY = 1795478400
"""2026-11-24T00:00Z, which the samples report."""

NOW = DAY + 2 * 86400
HOST = "mail.example.org"


def found(path: Path, content: bytes | None = None) -> list[Found]:
    if content is not None:
        path.write_bytes(content)
    return list(read_files(str(path), NOW, HOST))


def usable(some: list[Found]) -> list[TlsReport]:
    assert [each.unusable for each in some if each.unusable] == []
    return [one for each in some for one in each.reports]


def counts(one: TlsReport) -> tuple[int, int, int, int]:
    return one.dane, one.mta_sts, one.no_policy, one.failed


def changed(document: object, *path: object, to: object) -> dict[str, Any]:
    """Return a report with another value in one place."""
    new = inside = copy.deepcopy(document)
    for step in path[:-1]:
        inside = inside[step]  # type: ignore[index] # any JSON
    inside[path[-1]] = to  # type: ignore[index] # any JSON
    assert isinstance(new, dict)
    return new


def read(document: object, origin: Origin = Origin("example.org")) -> list[TlsReport]:  # noqa: B008 - it is frozen
    return list(read_report(json.dumps(document).encode(), NOW, origin).reports)


def refusal(document: object) -> str:
    with pytest.raises(UnusableError) as error:
        read_report(json.dumps(document).encode(), NOW)
    return str(error.value)


# ---- what real senders write ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("big.json", [("Big Mail Inc.", "", (0, 120, 0, 3))]),
        (
            "north.example!example.org!1795478400!1795564800.json.gz",
            [("North Mail", "", (11, 0, 0, 1))],
        ),
        ("office.eml", [("Office Cloud Corporation", "office.example", (40, 41, 0, 2))]),
        ("small.eml", [("small.example", "", (0, 0, 7, 0))]),
        (
            "both.mbox",
            [
                ("Office Cloud Corporation", "office.example", (40, 41, 0, 2)),
                ("small.example", "", (0, 0, 7, 0)),
            ],
        ),
    ],
)
def test_reports_of_real_senders_are_read_in_every_form(
    tmp_path: Path, name: str, expected: list[object]
) -> None:
    reports = usable(found(tmp_path / name, samples()[name]))

    assert [(each.reporter, each.signer, counts(each)) for each in reports] == expected
    assert {(each.day, each.domain) for each in reports} == {(DAY, "example.org")}


def test_failures_are_told_by_reason_and_server() -> None:
    (north,) = read(NORTH)

    assert sorted(north.failures) == [
        ("starttls-not-supported", "mail.example.org", 1),
        ("validation-failure", "mail.example.org", 1),
    ]
    assert north.failed == 1


def test_a_reason_that_is_not_known_is_another_one() -> None:
    strange = changed(NORTH, "policies", 0, "failure-details", 0, "result-type", to="<b>\n")

    assert {each.result for each in read(strange)[0].failures} <= set(RESULTS)


def test_a_copy_by_another_path_has_the_same_identity(tmp_path: Path) -> None:
    (by_mail,) = usable(found(tmp_path / "a.eml", mail(BIG)))
    (by_hand,) = usable(found(tmp_path / "b.json", json.dumps(BIG).encode()))
    shouted = changed(changed(BIG, "organization-name", to="BIG MAIL INC."), "contact-info", to="")

    assert by_mail.identity == by_hand.identity == read(shouted)[0].identity
    assert read(changed(BIG, "report-id", to="2"))[0].identity != by_hand.identity


def test_a_domain_is_the_same_in_every_spelling() -> None:
    assert domain_name(" Bücher.Example. ") == "xn--bcher-kva.example"
    assert domain_name("a" * 300) == domain_name("<b>") == domain_name("a..b") == ""


def test_the_domain_comes_from_the_report_the_header_or_the_name_of_the_file(
    tmp_path: Path,
) -> None:
    name = "small.example!example.net!1795478400!1795564799.json"
    plain = json.dumps(SMALL).encode()
    both = SMALL | {
        "policies": [policy(STS, 1, 0), policy({"policy-type": "no-policy-found"}, 2, 0)]
    }

    assert usable(found(tmp_path / name, plain))[0].domain == "example.net"
    assert usable(found(tmp_path / "a.eml", mail(SMALL)))[0].domain == "example.org"
    assert counts(read(both, Origin("example.net"))[0]) == (0, 1, 2, 0)
    (none,) = found(tmp_path / "a.json", plain)
    assert none.unusable == "a policy names no domain"


def test_policies_of_many_domains_count_each() -> None:
    about = [STS | {"policy-domain": f"{n}.example"} for n in range(30)]
    reports = read(report("Many", "1", "2026-11-24T23:59:59Z", *(policy(p, 2, 1) for p in about)))

    assert len({each.identity for each in reports}) == 30
    assert {counts(each) for each in reports} == {(0, 2, 0, 1)}


@pytest.mark.parametrize(
    ("begin", "end", "day"),
    [
        ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", DAY),
        ("2026-11-24T00:00:00.000Z", "2026-11-24T23:59:59.999Z", DAY),
        ("2026-11-24T00:00:00+03:00", "2026-11-24T23:59:59+03:00", DAY),
        ("2026-11-24T00:00:00-0800", "2026-11-24T23:59:59-0800", DAY),
        ("2026-11-24", "", DAY),
        ("2026-11-28T00:00:00Z", "2026-11-28T23:59:59Z", DAY + 4 * 86400),
        ("2016-01-01T00:00:00Z", "2016-01-01T23:59:59Z", 1451606400),
    ],
)
def test_a_report_is_of_the_day_in_utc_that_holds_the_middle_of_its_range(
    begin: str, end: str, day: int
) -> None:
    span = {"start-datetime": begin, "end-datetime": end}

    assert read(changed(BIG, "date-range", to=span))[0].day == day


# ---- what cannot be used --------------------------------------------------------------------

SUCCESSFUL = "policies", 0, "summary", "total-successful-session-count"
IMPOSSIBLE: tuple[object, ...] = (
    *(-1, 10**12 + 1, 10**30, 1e30, 1.5),
    *("-1", "9" * 30, "1e3", True, [], {}),
)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("report-id",), "", "no report-id"),
        (("date-range", "start-datetime"), "2099-01-01T00:00:00Z", "ahead"),
        (("date-range", "start-datetime"), "2015-12-31T23:59:59Z", "before 2016"),
        (("date-range", "start-datetime"), "2026-11-20T00:00:00Z", "not a day"),
        (("date-range", "start-datetime"), "2026-13-01T00:00:00Z", "no readable date-range"),
        (("date-range", "start-datetime"), "0001-01-01T00:00:00+23:00", "no readable date-range"),
        (("date-range", "end-datetime"), "2026-11-29T00:00:01Z", "ahead"),
        (("date-range", "end-datetime"), "2026-11-23T00:00:00Z", "not a day"),
        (("date-range",), None, "no readable date-range"),
        (("policies",), {}, "no policies"),
        (("policies",), [BIG["policies"]] * 1001, "more than 1,000 policies"),
        (("policies", 0, "policy", "policy-type"), "none", "policy-type"),
        (("policies", 0, "summary"), [], "no summary"),
        *((SUCCESSFUL, count, "10^12") for count in IMPOSSIBLE),
        (("policies", 0, "failure-details", 0, "failed-session-count"), -1, "10^12"),
    ],
)
def test_what_cannot_be_right_is_refused(path: tuple[object, ...], value: object, why: str) -> None:
    assert why in refusal(changed(BIG, *path, to=value))


def test_the_highest_count_is_counted_and_what_is_left_out_is_none() -> None:
    summary = {"total-successful-session-count": 10**12, "total-failure-session-count": None}

    assert counts(read(changed(BIG, "policies", 0, "summary", to=summary))[0]) == (0, 10**12, 0, 0)


def test_a_domain_that_cannot_be_used_keeps_no_other_from_being_counted(tmp_path: Path) -> None:
    bad = policy(STS | {"policy-domain": "bad.example"}, -1, 0)
    whole = report("One", "1", "2026-11-24T23:59:59Z", policy(STS, 5, 0), bad)
    good, refused = found(tmp_path / "a.json", json.dumps(whole).encode())

    assert counts(good.reports[0]) == (0, 5, 0, 0)
    assert refused.unusable.endswith("(bad.example)")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"\x00\x01\x02", "it is no TLS report"),
        (b"{", "it is not JSON"),
        (b"[1]", "it is JSON, but no TLS report"),
        (b'{"a": NaN}', "it is not JSON"),
        (b'{"a": "\xff"}', "it is not UTF-8"),
        (packed(BIG)[:-9], "its gzip data ends early"),
        (packed(BIG)[:20] + b"\xff" * 50, "its gzip data is damaged"),
        (gzip.compress(b"") * 40, "it has more than 15 gzip members"),
        (b"Subject: Win a prize\n\nNow!\n", "it is a mail without a TLS report"),
        (mail(BIG).replace(b"H4sI", b"AAAA"), "its part of the type tlsrpt is neither gzip nor"),
    ],
)
def test_a_file_that_is_no_report_says_why(tmp_path: Path, content: bytes, why: str) -> None:
    (refused,) = found(tmp_path / "file", content)

    assert refused.where == str(tmp_path / "file")
    assert refused.unusable.startswith(why)


def test_a_message_of_an_mbox_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    some = found(tmp_path / "mbox", mbox(mail(BIG), b"Subject: spam\n\nNow!\n", mail(NORTH)))

    assert [each.unusable for each in some] == ["", "it is a mail without a TLS report", ""]
    assert some[1].where == f"{tmp_path / 'mbox'}, message 2"


def test_a_message_of_an_mbox_that_is_too_large_hides_no_other(tmp_path: Path) -> None:
    large = b"Subject: large\n\n" + b"x" * (7 << 20) + b"\n"
    some = found(tmp_path / "mbox", mbox(mail(BIG), large, mail(NORTH)))

    assert [each.unusable for each in some] == ["", "it has more than 5 MiB", ""]


def test_a_maildir_is_read_new_and_old_and_what_is_no_file_of_it_is_left_out(
    tmp_path: Path,
) -> None:
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(mail({"new": BIG, "cur": NORTH, "tmp": SMALL}[name]))
    os.mkfifo(tmp_path / "new" / "2")

    assert [each.reporter for each in usable(found(tmp_path))] == ["Big Mail Inc.", "North Mail"]


def test_a_folder_that_is_no_maildir_and_a_file_that_is_not_there_are_errors(
    tmp_path: Path,
) -> None:
    with pytest.raises(SourceError, match="no Maildir"):
        found(tmp_path)
    with pytest.raises(SourceError, match="No such file"):
        found(tmp_path / "none")


# ---- mails ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "signer"),
    [
        ("", ""),
        (SIGNED, "office.example"),
        (SIGNED.replace("mail.example.org;", "mx.elsewhere.example;"), ""),
        (
            "Authentication-Results: MAIL.example.org 1;\n\tdkim=pass header.i=@a.example\n",
            "a.example",
        ),
        ("Authentication-Results: mail.example.org; dkim=fail header.d=a.example\n", ""),
        ("Authentication-Results: mail.example.org; spf=pass (dkim=pass header.d=a.example)\n", ""),
        ("Authentication-Results: mail.example.org; dkim=pass header.d=<script>\n", ""),
        ("Authentication-Results: mail.example.org; none\n" + SIGNED, ""),
    ],
)
def test_a_report_is_signed_where_the_topmost_result_of_our_own_server_says_so(
    tmp_path: Path, headers: str, signer: str
) -> None:
    assert usable(found(tmp_path / "a.eml", mail(BIG, headers)))[0].signer == signer


def test_a_report_in_an_attached_mail_is_not_signed_by_what_is_said_of_the_mail_around_it(
    tmp_path: Path,
) -> None:
    around = SIGNED.encode() + b"Content-Type: message/rfc822\n\n" + mail(BIG)
    (attached,) = usable(found(tmp_path / "a.eml", around))

    assert (attached.signer, counts(attached)) == ("", (0, 120, 0, 3))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("application/tlsrpt+gzip", "application/octet-stream"),
        ("application/tlsrpt+gzip", "text/plain"),
        ("\n--=_outer_7--\n", "\n"),
        ("\n--=_outer_7--\n", "\n--=_outer_7--\nThis mail was scanned.\n"),
        ("\n--=_outer_7--\n", "\nScanned by the gateway.\n--=_outer_7--\n"),
        ('report-type="tlsrpt";\n\tboundary="=_outer_7"', "boundary*0==_ou;\n\tboundary*1=ter_7"),
        ("Content-Transfer-Encoding: base64", "content-transfer-encoding:BASE64"),
    ],
)
@pytest.mark.parametrize("more", range(6))  # base64 ends in none, one or two signs of equality
def test_a_mail_that_a_gateway_has_rewritten_is_read(
    tmp_path: Path, old: str, new: str, more: int
) -> None:
    sent = mail({**BIG, "contact-info": "abcdef"[:more]}).decode()
    rewritten = sent.replace(old, new)

    assert rewritten != sent
    assert counts(usable(found(tmp_path / "a.eml", rewritten.encode()))[0]) == (0, 120, 0, 3)


# ---- bombs ----------------------------------------------------------------------------------


HEAD = json.dumps(BIG)[:-1].encode() + b', "more": '
ONE = json.dumps(policy(STS, 1, 0)).encode()
MIXED = b"Content-Type: multipart/mixed; boundary="
BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip of zeros": lambda: gzip.compress(bytes(1 << 28), 1),
    "gzip of gzip": lambda: gzip.compress(gzip.compress(bytes(1 << 28), 1)),
    "gzip members": lambda: gzip.compress(b"") * 300_000,
    "deep lists": lambda: b'{"policies":' + b"[" * 3_000_000,
    "deep objects": lambda: b'{"policies":' * 300_000,
    "deep lists that end": lambda: HEAD + b"[" * 70_000 + b"]" * 70_000 + b"}",
    "digits": lambda: b'{"policies":' + b"9" * 3_100_000 + b"}",
    "digits of a fraction": lambda: HEAD + b"0." + b"9" * 3_100_000 + b"e-999999999}",
    "empty lists": lambda: b'{"policies":[' + b"[]," * 1_300_000 + b"0]}",
    "as many values as are allowed": lambda: HEAD + b"[" + b'{"a":0},' * 74_000 + b"0]}",
    "wide characters": lambda: HEAD + '"\N{PILE OF POO}'.encode() + b"a" * 3_100_000 + b'"}',
    "backslashes": lambda: HEAD + b'"' + b"\\" * 3_000_000 + b'"}',
    "escapes": lambda: HEAD + b'"' + b"\\ud83d" * 500_000 + b'"}',
    "policies": lambda: b'{"policies":[' + b",".join([ONE] * 10_000) + b"]}",
    "gzip of policies": lambda: gzip.compress(b'{"policies":[' + (ONE + b",") * 1_000_000, 1),
    "parts within parts": lambda: b"".join(MIXED + b"%d\n\n--%d\n" % (n, n) for n in range(90_000)),
    "mails within mails": lambda: b"Content-Type: message/rfc822\n\n" * 170_000,
    "boundaries": lambda: MIXED + b"-\n\n" + b"\n---" * 1_250_000,
    "long boundaries": lambda: MIXED + b"a\n\n" + b"\n--a " * 1_000_000,
    "header lines": lambda: b"Subject: x\n" + b"a: b\n" * 1_000_000,
    "one header": lambda: b"Content-Type: " + b";a=" * 1_500_000,
    "comments": lambda: b"Authentication-Results: " + b"(" * 5_000_000,
    "empty lines of an mbox": lambda: mbox(b"Subject: x\n\n" + b"\n" * 20_000_000),
    "messages of an mbox": lambda: mbox(*[b"Subject: x\n"] * 20_000),
    "a line of an mbox": lambda: mbox(b"Subject: " + b"x" * 50_000_000),
    "bombs in a mail": lambda: (
        MIXED
        + b"b\n\n"
        + (b"--b\nContent-Type: application/gzip\n\n" + gzip.compress(bytes(4 << 20)) + b"\n") * 90
    ),
    "reports in a mail": lambda: (
        MIXED
        + b"b\n\n"
        + (b"--b\nContent-Type: application/json\n\n" + HEAD + b"[],[]," * 20_000 + b"\n") * 40
    ),
    "base64": lambda: MAIL.format(
        headers="", kind="json", suffix="", content="eyJh" * 1_040_000
    ).encode(),
    "base64 that ends early": lambda: MAIL.format(
        headers="", kind="json", suffix="", content="eyJh" * 1_040_000 + "A"
    ).encode(),
    "quoted": lambda: mail(BIG).replace(b"base64", b"quoted-printable") + b"=3D" * 1_700_000,
    "xz": lambda: b"\xfd7zXZ\0" + bytes(1000),
}


READ_WITHIN_BOUNDS = """
import sys, time
from dane_mailgraph.reports.files import read_files
begin = time.process_time()
some = list(read_files(sys.argv[1], int(sys.argv[2]), "mail.example.org"))
print(time.process_time() - begin)
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_ends_in_under_a_second_and_64_mib(tmp_path: Path, name: str) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(BOMBS[name]())
    done = subprocess.run(
        [sys.executable, "-c", READ_WITHIN_BOUNDS, str(bomb), str(NOW)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, mib = map(float, done.stdout.split())

    assert seconds < 1
    assert mib < 64


# ---- fuzz -----------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=8,
)


def is_sound(one: TlsReport) -> bool:
    """Whether a report holds only what may be kept and shown."""
    numbers = (*counts(one), *(each.sessions for each in one.failures))
    texts = (one.reporter, one.signer, one.domain, *(each.mx for each in one.failures))
    return (
        all(0 <= number <= 10**12 for number in numbers)
        and all(text.isprintable() and len(text) <= 253 for text in texts)
        and all(each.result in RESULTS for each in one.failures)
        and 1451606400 <= one.day <= NOW + 2 * 86400
        and one.day % 86400 == 0
        and len(one.identity) == 16
    )


def places(value: object, *path: object) -> list[tuple[object, ...]]:
    """Return the path to everything within a JSON value."""
    inside: Any = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(deep for key, each in inside for deep in places(each, *path, key))]


@given(st.data(), st.sampled_from([BIG, OFFICE, SMALL, NORTH]), ANYTHING)
def test_anything_in_any_place_of_a_report_is_sound_or_refused(
    data: st.DataObject, sample: dict[str, object], value: object
) -> None:
    place = data.draw(st.sampled_from(places(sample)[1:]))
    document = json.dumps(changed(sample, *place, to=value)).encode()
    try:
        reports = read_report(document, NOW, Origin("example.org")).reports
    except UnusableError:
        return

    assert all(map(is_sound, reports))


@pytest.mark.parametrize("name", sorted(samples()))
def test_changed_bytes_of_a_sample_never_raise(tmp_path: Path, name: str) -> None:
    dice = random.Random(name)
    sample = samples()[name]
    for _ in range(settings().max_examples):
        content = bytearray(sample)
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(content) or 1)
            length = dice.choice((0, 1, 1, 1, 4, 40))
            with_what = dice.choice((b"", dice.randbytes(length), content[at : at + 30] * 3))
            content[at : at + length] = with_what
        for each in found(tmp_path / name, bytes(content)):
            assert each.reports or each.unusable.isprintable()
            assert all(map(is_sound, each.reports))


@given(st.binary(max_size=400))
def test_any_bytes_are_no_report_in_one_printable_sentence(content: bytes) -> None:
    path = Path(f"/dev/shm/dane-mailgraph-{os.getpid()}")
    try:
        some = found(path, content)
    finally:
        path.unlink()

    assert all(each.unusable and each.unusable.isprintable() for each in some)
