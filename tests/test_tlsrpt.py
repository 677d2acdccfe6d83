"""`tlsrpt` keeps what others report, once each, while other programs use the ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tls_reports import BIG, NORTH, OFFICE, SMALL, STS, detail, mail, mbox, policy, report, samples

from dane_mailgraph.categories import REACH
from dane_mailgraph.cli.command_line import main
from dane_mailgraph.cli.counter import open_counter
from dane_mailgraph.config import load
from dane_mailgraph.reports.report import Failures, TlsReport
from dane_mailgraph.store import (
    COPY,
    Ledger,
    add_reports,
    sessions_by_policy,
)
from dane_mailgraph.store.reach import reach_failures, reporters

DAY = 1795478400
"""2026-11-24T00:00Z, which the samples report."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(str(tmp_path / "ledger.sqlite"), writable=True) as opened:
        yield opened


def one(n: int, day: int = DAY, *failures: Failures, **changes: Any) -> TlsReport:
    """Return a report with an identity of its own."""
    made = TlsReport(
        *(n.to_bytes(16, "big"), f"reporter {n}", "", "example.org", day, 1, 2, 3, 4), failures
    )
    return made._replace(**changes)


def sessions(ledger: Ledger, since: int = 0, until: int = 1 << 40) -> list[int | None]:
    return list(sessions_by_policy(ledger, since, until).values())


# ---- the ledger -----------------------------------------------------------------------------


def test_a_report_counts_once(ledger: Ledger) -> None:
    assert add_reports(ledger, [one(1), one(2), one(1)]) == ["", "", COPY]
    assert add_reports(ledger, [one(2), one(3)]) == [COPY, ""]
    assert sessions(ledger) == [3, 6, 9, 12]


def test_a_day_without_reports_is_unknown(ledger: Ledger) -> None:
    add_reports(ledger, [one(1, DAY, dane=0)])

    assert sessions(ledger, DAY, DAY + 86400) == [0, 2, 3, 4]
    assert sessions(ledger, DAY + 86400) == sessions(ledger, 0, DAY) == [None] * 4


def test_failures_are_kept_by_reason_reporter_and_server(ledger: Ledger) -> None:
    failed = Failures("tlsa-invalid", "mx.example.org", 5)
    add_reports(ledger, [one(1, DAY, failed), one(2, DAY + 86400, failed, reporter="reporter 1")])
    add_reports(ledger, [one(3, DAY, failed._replace(sessions=1), signer="signed.example")])

    assert [tuple(each) for each in reach_failures(ledger, DAY, DAY + 2 * 86400)] == [
        ("tlsa-invalid", "reporter 1", "", "mx.example.org", 10, DAY + 86400),
        ("tlsa-invalid", "reporter 3", "signed.example", "mx.example.org", 1, DAY),
    ]
    first, second = reporters(ledger, DAY, DAY + 2 * 86400)
    assert (first.name, first.reports, first.last) == ("reporter 1", 2, DAY + 86400)
    assert (second.name, second.signer, sum(second.sessions.values())) == (
        *("reporter 3", "signed.example"),
        10,
    )


def test_reporters_of_a_day_beyond_those_that_are_kept_are_one(ledger: Ledger) -> None:
    failures = [Failures("tlsa-invalid", f"mx{n}.example.org", 1) for n in range(1000)]
    add_reports(ledger, [one(n) for n in range(1000)])
    add_reports(ledger, [one(1000, DAY, *failures)])

    assert sessions(ledger) == [1001, 2002, 3003, 4004]
    assert len(reporters(ledger, 0, 1 << 40)) == 201
    assert reporters(ledger, 0, 1 << 40)[0][:3] == ("(other)", "", 801)
    assert len(reach_failures(ledger, 0, 1 << 40)) == 501
    assert sum(each.sessions for each in reach_failures(ledger, 0, 1 << 40)) == 1000


def test_a_day_takes_no_more_reports_than_are_kept(ledger: Ledger) -> None:
    refusals = add_reports(ledger, [one(n) for n in range(5002)])

    assert refusals[5000:] == ["5,000 reports of its day have been counted"] * 2
    assert add_reports(ledger, [one(0), one(6000, DAY + 86400)]) == [COPY, ""]


@pytest.mark.slow
def test_the_oldest_days_go_first_and_are_not_counted_again(ledger: Ledger) -> None:
    for day in range(62):
        many = [one(day * 5000 + n, DAY + day * 86400, reporter="x") for n in range(5000)]
        assert not any(add_reports(ledger, many))

    assert sessions(ledger, DAY, DAY + 2 * 86400) == [None] * 4
    assert sessions(ledger)[0] == 300_000
    assert add_reports(ledger, [one(0)]) == ["days before 2026-11-26 are no longer kept"]
    assert os.stat(ledger.path).st_size < 20 << 20


# ---- the verb -------------------------------------------------------------------------------


class Here:
    """A store, and what the command says about it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.options = [
            f"--state-dir={folder / 'state'}",
            f"--log={folder / 'mail.log'}",
            f"--output-dir={folder / 'www'}",
            "--host=mail.example.org",
            "--time-zone=UTC",
        ]

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        status = main([*arguments, *self.options])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def reach(self, *arguments: str) -> Any:
        status, out, err = self.ask("report", "--format=json", *arguments)
        assert (status, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, capsys)


WHOLE_DAY = "--since=2026-11-24", "--until=2026-11-25"


def test_reports_are_counted_where_nothing_else_has_been(here: Here) -> None:
    files = [here.file(name, content) for name, content in samples().items()]
    status, out, err = here.ask("tlsrpt", *files)

    assert (status, err) == (0, "")
    assert out == (
        "counted 4 reports of 4 organizations: 51 sessions by DANE, 161 by MTA-STS, "
        "7 without a policy, 6 failed; 2 counted before\n"
    )
    found = here.reach(*WHOLE_DAY)
    assert found["reach"] == {"dane": 51, "mta_sts": 161, "no_policy": 7, "failed": 6}
    assert found["connections"]["verified"] is None
    assert here.ask("tlsrpt", *files)[:2] == (0, "counted 0 reports; 6 counted before\n")
    assert here.reach(*WHOLE_DAY) == found


def test_a_report_shows_what_others_report_in_every_form_and_period(here: Here) -> None:
    here.ask("tlsrpt", here.file("a.json", samples()["big.json"]))
    rows = here.reach("--since=2026-11-23", "--until=2026-11-26", "--by=day")["rows"]

    assert [row["reach"]["mta_sts"] for row in rows] == [None, 120, None]
    for period in ("hour", "day", "week", "month"):
        rows = here.reach("--since=2026-11-01", "--until=2026-12-01", f"--by={period}")["rows"]
        assert sum(row["reach"]["mta_sts"] or 0 for row in rows) == 120
    text = here.ask("report", *WHOLE_DAY)[1]
    assert "\nreach\n  DANE                     0     0.0 %\n  MTA-STS                120" in text
    csv = here.ask("report", "--format=csv", "--since=2026-11-24", "--until=2026-11-26", "--by=day")
    lines = [line.split(",")[2:] for line in csv[1].splitlines() if ",reach," in line]
    assert lines[:4] == [
        *(["reach", "dane", "0"], ["reach", "mta_sts", "120"]),
        *(["reach", "no_policy", "0"], ["reach", "failed", "3"]),
    ]
    assert [count for *_, count in lines[4:]] == [""] * 4


def test_a_report_says_who_reports_which_failures(here: Here) -> None:
    here.ask("tlsrpt", *(here.file(name, content) for name, content in samples().items()))
    lines = here.ask("report", *WHOLE_DAY)[1].splitlines()

    assert lines[-4:] == [
        "Big Mail Inc. (not signed) reports 3 failed sessions at mail.example.org, "
        "last of 2026-11-24: our certificate had expired.",
        "Office Cloud Corporation (signed by office.example) reports 2 failed sessions at "
        "mail.example.org, last of 2026-11-24: no TLSA record matched our certificate.",
        "North Mail (not signed) reports 1 failed session at mail.example.org, "
        "last of 2026-11-24: our server did not offer STARTTLS.",
        "North Mail (not signed) reports 1 failed session at mail.example.org, "
        "last of 2026-11-24: our certificate failed verification.",
    ]


def test_a_range_within_a_day_is_widened_to_it(here: Here) -> None:
    here.ask("tlsrpt", here.file("a.json", samples()["big.json"]))

    assert (
        here.reach("--since=2026-11-24T11:00", "--until=2026-11-24T12:00")["reach"]["failed"] == 3
    )


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland"])
def test_a_local_day_has_what_is_reported_of_the_same_date(here: Here, zone: str) -> None:
    here.ask("tlsrpt", here.file("a.json", samples()["big.json"]))
    here.options[-1] = f"--time-zone={zone}"
    rows = here.reach("--since=2026-11-22", "--until=2026-11-28", "--by=day")["rows"]

    assert [row["reach"]["mta_sts"] for row in rows] == [None, None, 120, None, None, None]


def test_what_cannot_be_used_is_named_and_the_others_are_counted(here: Here) -> None:
    some = here.file("some.mbox", mbox(mail(BIG), b"Subject: spam\n\nNow!\n", mail(NORTH)))
    bad = here.file("bad\x1b[31m.json", b"{")
    status, out, err = here.ask("tlsrpt", some, bad)

    assert status == 65
    assert out.startswith("counted 2 reports of 2 organizations: ")
    assert err == (
        f"dane-mailgraph: {some}, message 2 cannot be used: it is a mail without a TLS report.\n"
        f"dane-mailgraph: {here.folder}/bad\\x1b[31m.json cannot be used: it is not JSON.\n"
    )


def test_of_many_that_cannot_be_used_the_first_are_named(here: Here) -> None:
    status, _, err = here.ask("tlsrpt", here.file("mbox", mbox(*[b"Subject: x\n"] * 100)))

    assert status == 65
    assert len(err.splitlines()) == 21
    assert err.endswith("dane-mailgraph: 80 more cannot be used.\n")


def test_a_file_that_cannot_be_read_is_an_error_and_the_others_are_counted(here: Here) -> None:
    status, out, err = here.ask("tlsrpt", "/nowhere", here.file("a.json", samples()["big.json"]))

    assert status == 65
    assert out.startswith("counted 1 report of 1 organization: ")
    assert err.startswith("dane-mailgraph: /nowhere cannot be read: No such file or directory; ")


def test_a_store_that_cannot_be_written_is_an_error(here: Here) -> None:
    here.options[0] = f"--state-dir={here.file('file', b'')}/state"
    status, _, err = here.ask("tlsrpt", here.file("a.json", samples()["big.json"]))

    assert (status, len(err.splitlines())) == (74, 1)


def test_names_of_strangers_reach_no_terminal(here: Here) -> None:
    evil = report(
        "\x1b]0;owned\x07<script>",
        "1",
        "2026-11-24T23:59:59Z",
        policy(STS, 1, 1, [detail("\x1b[2J", 1, **{"receiving-mx-hostname": "\x1b[2J.example"})]),
    )
    status, out, err = here.ask("tlsrpt", here.file("a.json", json.dumps(evil).encode()))

    assert (status, err) == (0, "")
    assert all(line.isprintable() for line in out.splitlines())


def test_a_pipe_of_a_mail_is_counted(here: Here) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dane_mailgraph", "tlsrpt", "-", *here.options],
        input=mbox(mail(OFFICE)),
        capture_output=True,
        check=True,
    )

    assert done.stdout.startswith(b"counted 1 report of 1 organization: 40 sessions by DANE, ")


def test_reports_are_counted_while_another_program_counts(here: Here) -> None:
    (here.folder / "mail.log").write_text("")
    running = subprocess.Popen([sys.executable, "-m", "dane_mailgraph", "run", *here.options])
    try:
        until = time.monotonic() + 30
        while not (here.folder / "state" / "ledger.sqlite").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        for n, sample in enumerate((BIG, NORTH, OFFICE)):
            content = json.dumps(sample).encode()
            assert here.ask("tlsrpt", here.file(f"{n}.json", content))[0] == 0
    finally:
        running.terminate()
    assert running.wait() == 0

    assert here.reach(*WHOLE_DAY)["reach"]["dane"] == 51


def test_a_rebuild_keeps_what_others_report(here: Here) -> None:
    here.ask("tlsrpt", here.file("a.json", samples()["big.json"]))
    log = here.file(
        "mail.log",
        b"2026-11-24T00:00:00Z mx postfix/smtp[1]: Verified TLS connection established to "
        b"mx.example.net[192.0.2.1]:25: TLSv1.2 with cipher AES128-SHA (128/128 bits)\n",
    )
    assert here.ask("import", "--rebuild", log)[0] == 0
    found = here.reach(*WHOLE_DAY)

    assert (found["connections"]["verified"], found["reach"]["mta_sts"]) == (1, 120)
    assert here.ask("tlsrpt", here.file("b.json", samples()["big.json"]))[1] == (
        "counted 0 reports; 1 counted before\n"
    )


def test_a_counter_without_a_log_leaves_what_others_report(here: Here) -> None:
    settings = load("/dev/null", {}, {"state_dir": str(here.folder / "state")})
    content = json.dumps(BIG).encode()
    with pytest.raises(KeyboardInterrupt), open_counter(settings):
        assert here.ask("tlsrpt", here.file("a.json", content))[0] == 0
        raise KeyboardInterrupt

    assert here.reach(*WHOLE_DAY)["reach"]["mta_sts"] == 120


@pytest.mark.parametrize("verb", ["", "check", "metrics", "summary", "relays"])
def test_where_no_log_has_been_counted_the_verbs_say_so(here: Here, verb: str) -> None:
    here.ask("tlsrpt", here.file("a.eml", mail(SMALL)))
    status, out, err = here.ask(*filter(None, [verb]))

    assert status == (3 if verb == "check" else 74)
    assert "nothing has been counted yet" in out + err


def test_the_family_has_the_categories_of_the_contract() -> None:
    assert [each.name for each in REACH] == ["dane", "mta_sts", "no_policy", "failed"]
