"""What `explain` says of each line: in order, with a reason for each that does not count, and
never against the counting."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

import dane_mailgraph
from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.cli import command_line

TESTS = Path(__file__).parent
LOGS = sorted([*(TESTS / "lab").glob("*.log"), *(TESTS.parent / "sample_logs").glob("*.log")])
WRITTEN = 1795482000  # 2026-11-24T01:00Z, a few minutes after the newest line of these logs

TLS = (
    "TLS connection established to mx.example.org[192.0.2.1]:25: TLSv1.3 with cipher "
    "TLS_AES_256_GCM_SHA384 (256/256 bits)"
)
REUSED = TLS.replace("established", "reused")
KEYS = ["line", "time", "program", "counts", "note"]


def line(text: str, program: str = "postfix/smtp", stamp: str = "2024-01-15T12:00:00+00:00") -> str:
    return f"{stamp} mail {program}[7]: {text}"


def explained(
    *lines: str | bytes,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    more: tuple[str, ...] = (),
) -> list[Any]:
    log = folder / "lines.log"
    log.write_bytes(
        b"\n".join(each if isinstance(each, bytes) else each.encode() for each in lines)
    )
    assert (
        command_line.main(
            [
                "explain",
                "--config",
                os.devnull,
                "--time-zone",
                "UTC",
                "--format",
                "json",
                *more,
                str(log),
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert said.err == ""
    return [json.loads(each) for each in said.out.split("\n")[:-1]]


def test_a_new_connection_counts_in_one_category_of_each_family(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (said,) = explained(line(f"Verified {TLS}"), capsys=capsys, folder=tmp_path)

    assert list(said) == KEYS
    assert said | {"note": ""} == {
        "line": 1,
        "time": 1705320000,
        "program": "smtp",
        "counts": ["connections.verified", "protocols.tlsv1_3", "key_exchange.unknown"],
        "note": "",
    }
    assert said["note"]


def test_objects_come_in_order_one_for_each_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = explained(
        line(f"Trusted {TLS}"),
        "",
        "what?",
        line(f"Untrusted {REUSED}"),
        "",
        capsys=capsys,
        folder=tmp_path,
    )

    assert [each["line"] for each in said] == [1, 2, 3, 4]
    assert [each["counts"][:1] for each in said] == [
        ["connections.trusted"],
        [],
        [],
        ["connections.reused"],
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no readable time"),
        ("\x00\xff\x1b[2J", "no readable time"),
        (line(f"Verified {TLS}", stamp="yesterday"), "no readable time"),
        (line(f"Verified {TLS}", stamp="2024-13-15T12:00:00+00:00"), "no readable time"),
        (line(f"Verified {TLS}", stamp="Feb 30 12:00:00"), "no such day"),
        (line(f"Verified {TLS}", stamp="Feb 10 25:00:00"), "no such day, hour"),
        (line(f"Verified {TLS}", stamp="[   12.345678]"), "short-iso"),
        (line(f"Verified {TLS}", stamp="[   12.345678 <    0.000001 >]"), "short-iso"),
        (line(f"Verified {TLS}", stamp="Mai 10 12:00:00"), "LC_ALL=C"),
        (line(f"Verified {TLS}", stamp="2099-01-15T12:00:00+00:00"), "future"),
        ("x" * 300_000, "too long"),
        (line(f"Verified {TLS}") + " " + "x" * 300_000, "too long"),
        (line(f"Verified {TLS}", "postfix/smtpd"), "written by smtpd"),
        (line(f"Verified {TLS}", "postfix/qmgr"), "written by qmgr"),
        (line(f"Verified {TLS}", "sshd"), "written by sshd"),
        (f"<22>1 2024-01-15T12:00:00+00:00 mail postfix 7 - - Verified {TLS}", "RFC 5424"),
        (line(f"Verified {TLS}").replace("192.0.2.1", "127.0.0.1"), "ignore_relays"),
        (line(f"Verified {TLS}").replace("[192.0.2.1]:25", "[private/tls]"), "ignore_relays"),
        (line(TLS), "2.5"),
        (line(f"said: Verified {TLS}"), "does not begin"),
        (
            line(f"4VbXk21xZ7z: to=<a@example.org>, relay=none, status=deferred (Verified {TLS})"),
            "recipient",
        ),
        (line("4VbXk21xZ7z: host mx.example.org[192.0.2.1] said: 450 later"), "message"),
        (line("warning: TLS library problem"), "warning"),
        (line("SSL_connect error to mx.example.org[192.0.2.1]:25: -1"), "failed"),
        (
            line("connect to mx.example.org[192.0.2.1]:25: Connection refused"),
            "not the summary line",
        ),
        (line(f"Verified {TLS}").replace("[7]", "[]"), "head"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) and value.isprintable() else "",
)
def test_a_line_that_counts_nowhere_says_why(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = explained(text, "end", capsys=capsys, folder=tmp_path)[0]

    assert said["counts"] == []
    assert words in said["note"]
    assert said["program"] is None or said["program"]


def test_a_folded_repeat_says_how_often_it_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (said,) = explained(
        line(f"message repeated 3 times: [ Trusted {TLS}]"), capsys=capsys, folder=tmp_path
    )

    assert said["counts"][0] == "connections.trusted"
    assert "counted 3 times" in said["note"]


def test_the_setting_ignore_relays_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line(f"Trusted {TLS}"), line(f"Trusted {TLS}").replace("192.0.2.1", "127.0.0.1")]
    said = explained(
        *lines, capsys=capsys, folder=tmp_path, more=("--ignore-relays", "192.0.2.0/24")
    )

    assert [bool(each["counts"]) for each in said] == [False, True]


def test_text_is_a_line_a_line_that_no_log_can_use_to_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "lines.log"
    log.write_bytes(
        line(f"Trusted {TLS}").encode()
        + b"\n"
        + line("x", "ev\x1b[2Jil").encode()
        + b"\n"
        + b"\xff\x85\x0c\n"
    )

    assert command_line.main(["explain", "--config", os.devnull, str(log)]) == 0
    out = capsys.readouterr().out
    assert [each.split()[0] for each in out.split("\n")[:-1]] == ["1", "2", "3", "lines"]
    assert all(each.isprintable() for each in out.split("\n"))
    assert "connections.trusted protocols.tlsv1_3" in out


def test_an_answer_does_not_wait_for_the_next_line() -> None:
    command = [
        sys.executable,
        "-m",
        "dane_mailgraph",
        "explain",
        "--config",
        os.devnull,
        "--format",
        "json",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(dane_mailgraph.__file__).parents[1])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdin and child.stdout
        overdue = Timer(20, child.kill)
        overdue.start()
        number = 0
        for lines in (10, 1, 1):  # the first kibibyte shows whether it is compressed
            child.stdin.write((line(f"Trusted {TLS}").encode() + b"\n") * lines)
            child.stdin.flush()
            for _ in range(lines):
                number += 1
                assert json.loads(child.stdout.readline())["line"] == number
        child.stdin.close()
        overdue.cancel()
    assert child.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_what_is_explained_is_what_import_counts(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / path.name
    log.write_bytes(path.read_bytes())
    os.utime(log, (WRITTEN, WRITTEN))
    if time.time() < WRITTEN:
        pytest.skip("the clock of this machine is before these logs, so they are in the future")
    folders = [
        "--state-dir",
        str(tmp_path / "state"),
        "--log",
        str(tmp_path / "none"),
        "--config",
        os.devnull,
    ]
    assert (
        command_line.main(
            ["explain", *folders, "--time-zone", "Europe/Berlin", "--format", "json", str(log)]
        )
        == 0
    )
    said = [json.loads(each) for each in capsys.readouterr().out.split("\n")[:-1]]
    sums: Counter[str] = Counter()
    for each in said:
        assert each["note"]
        times = re.search(r"counted (\d+) times", each["note"])
        sums.update(dict.fromkeys(each["counts"], int(times[1]) if times else 1))

    assert command_line.main(["import", *folders, "--time-zone", "Europe/Berlin", str(log)]) == 0
    capsys.readouterr()
    assert command_line.main(["report", *folders, "--since", "2000-01-02", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {each.key: report[each.family][each.name] or 0 for each in CATEGORIES} == {
        each.key: sums[each.key] for each in CATEGORIES
    }


def test_text_leaves_other_programs_out_and_ends_in_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "lines.log"
    log.write_text(
        line(f"Trusted {TLS}")
        + "\n"
        + line(f"Trusted {TLS}").replace(" mail ", " mail x y ")
        + "\n"
        + line("connect from x[192.0.2.1]", "postfix/smtpd")
        + "\n# a remark\n"
    )
    command = ["explain", "--config", os.devnull, str(log)]

    assert command_line.main(command) == 0
    *shown, summary = capsys.readouterr().out.splitlines()
    assert [each.split()[0] for each in shown] == ["1", "2"]
    assert summary == (
        "lines 4: 1 count, 0 count nowhere, 2 of other programs, 1 omitted (not_understood 1)"
    )
    assert command_line.main([*command, "--all"]) == 0
    assert capsys.readouterr().out.count("\n") == 5
