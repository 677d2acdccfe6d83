"""The verb `doctor` as an operator meets it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from servers import NAME, Authority, call, configured, free_port, nameserver, needs, running
from test_cli import Home, connections

from dane_mailgraph.cli import command_line
from dane_mailgraph.config import load
from dane_mailgraph.dane.resolver import read_resolv_conf
from dane_mailgraph.dane.servers import Target
from dane_mailgraph.doctor import facts
from dane_mailgraph.doctor.checks import diagnose
from dane_mailgraph.doctor.findings import Grade
from dane_mailgraph.store import Ledger

pytestmark = pytest.mark.server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A log that has been counted and drawn, where there is no Postfix."""
    monkeypatch.setattr("dane_mailgraph.programs._SBIN", ())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "test").symlink_to(shutil.which("test") or "/usr/bin/test")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    home = Home(tmp_path)
    home.log.write_bytes(connections(3, ago=400))
    home.collected()
    home.www.mkdir()
    (home.www / "index.html").touch()
    return home


def said(
    home: Home, capsys: pytest.CaptureFixture[str], *rest: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Status, and what is not well by its check."""
    capsys.readouterr()
    status = command_line.main(["doctor", *home.settings, "--format", "json", *rest])
    told = json.loads(capsys.readouterr().out)
    assert [told[grade.value] for grade in Grade] == [
        sum(each["verdict"] == grade.value for each in told["findings"]) for grade in Grade
    ]
    assert (status == 1) is (told["fail"] > 0)
    return status, {each["check"]: each for each in told["findings"] if each["verdict"] != "ok"}


def test_a_log_of_another_machine_is_well_without_postfix(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    status, wrong = said(home, capsys)

    assert (status, {check: each["verdict"] for check, each in wrong.items()}) == (
        0,
        {"postfix": "skip", "resolver": "skip", "clock": "skip", "own MX": "skip"},
    )


def test_the_last_line_of_the_text_adds_the_findings_up(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    status = command_line.main(["doctor", *home.settings])
    lines = capsys.readouterr().out.rstrip("\n").split("\n")

    assert status == 0
    assert lines[0].startswith("SKIP  postfix ")
    assert lines[-1].startswith("0 to mend, 0 to look at, ")


def test_a_log_that_is_not_there_must_be_mended(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    status, wrong = said(home, capsys, "--log", str(home.folder / "maillog"))

    assert (status, wrong["reading"]["found"]) == (1, f"{home.folder}/maillog is not there")
    assert wrong["bookmark"]["verdict"] == "warn"


def test_a_stale_log_must_be_mended(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.log.write_bytes(connections(3, ago=5 * 86400))
    status, wrong = said(home, capsys)

    assert (status, wrong["lines"]["found"]) == (1, "its newest line is 4 days old")


def test_a_counter_that_stands_still_must_be_mended(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    status, wrong = said(home, capsys, "--state-dir", str(home.folder / "other"))

    assert (status, wrong["ledger"]["found"]) == (
        1,
        "it is not there: nothing has been counted yet",
    )


def test_a_counter_that_has_stopped_is_told_in_the_words_of_check(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(str(home.state / "ledger.sqlite"), writable=True) as ledger, ledger.transaction():
        state = ledger.state
        ledger.save(state._replace(read_at=(state.read_at or 0) - 2 * 3600))
    status, wrong = said(home, capsys)
    command_line.main(["check", *home.settings, "--only", "not_counting"])

    assert (status, wrong["ledger"]["verdict"]) == (1, "fail")
    assert wrong["ledger"]["found"] in capsys.readouterr().out
    status, wrong = said(home, capsys, "--ignore-conditions", "not_counting")
    assert "ledger" not in wrong


def test_a_damaged_rrd_must_be_mended(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (home.state / "outbound.rrd").write_bytes(b"not an RRD")
    status, wrong = said(home, capsys)

    assert (status, wrong["rrd"]["verdict"], wrong["rrd"]["found"]) == (1, "fail", "it is no RRD")


@needs("test", root=True)
def test_a_log_that_the_user_who_counts_cannot_read_must_be_mended(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chown(home.state, 65534, 65534)
    home.log.chmod(0o640)
    status, wrong = said(home, capsys)

    assert status == 1
    assert wrong["reading"]["found"] == "nobody, the user that counts, may not read it"


@pytest.mark.parametrize("option", ["--mx=a b", "--mx=mail:0", "--mx=", "--format=yaml", "file"])
def test_wrong_usage_is_2(option: str, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = command_line.main(["doctor", *home.settings, option])
    except SystemExit as left:
        status = int(left.code or 0)

    assert status == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_names_from_outside_cannot_command_the_terminal(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line.main(["doctor", *home.settings, "--log", f"{home.folder}/a\x1b[2Jb"])

    assert "\x1b" not in capsys.readouterr().out


# ---- with a real Postfix --------------------------------------------------------------------


@needs("postconf")
def test_loglevel_0_is_found_and_the_command_mends_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    postfix = configured(
        tmp_path / "postfix", "smtp_tls_security_level = dane\nsmtp_dns_support_level = dnssec\n"
    )
    environment = {**os.environ, "MAIL_CONFIG": str(postfix)}

    def told() -> tuple[int, dict[str, dict[str, str]]]:
        done = subprocess.run(
            home.command("doctor", "--format", "json"),
            capture_output=True,
            env=environment,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
        assert done.stderr == b""
        found = json.loads(done.stdout)["findings"]
        return done.returncode, {each["check"]: each for each in found}

    status, before = told()
    call("sh", "-c", before["smtp_tls_loglevel"]["remedy"].partition(" && ")[0])
    _, after = told()

    assert status == 1
    assert (before["smtp_tls_loglevel"]["verdict"], before["smtp_tls_loglevel"]["found"]) == (
        "fail",
        "it is 0",
    )
    assert (after["smtp_tls_loglevel"]["verdict"], after["smtp_tls_loglevel"]["found"]) == (
        "ok",
        "it is 1",
    )
    assert before["log"]["found"] == f"Postfix logs to {postfix}/maillog, we read {home.log}"


GOOD = """
smtp_tls_security_level = dane
smtp_dns_support_level = dnssec
smtp_tls_loglevel = 1
smtp_tls_CAfile = {folder}/ca.pem
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_chain_files = {folder}/chain
"""


@needs("postfix", "postconf", root=True)
@needs("unbound", "ldns-keygen", "ldns-signzone", "openssl")
def test_a_server_on_which_all_is_well_has_nothing_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postfix, resolver, zone, certificate, log and store are real, only on other ports."""
    authority = Authority(tmp_path)
    (key, path), (other, _) = authority.issue("mail"), authority.issue("next")
    (tmp_path / "chain").write_text(key.read_text() + path.read_text())
    target = Target(NAME, free_port())
    records = f"{NAME}. 60 IN A 127.0.0.1\n"
    for private in (key, other):
        public = subprocess.run(
            ["openssl", "pkey", "-in", private, "-pubout", "-outform", "DER"],
            capture_output=True,
            check=True,
        )
        records += (
            f"{target.record}. 60 IN TLSA 3 1 1 {hashlib.sha256(public.stdout).hexdigest()}\n"
        )
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    (tmp_path / "unbound").mkdir()
    main = GOOD.format(folder=tmp_path)
    service = f"{target.port} inet n - n - - smtpd\n"
    with nameserver(tmp_path / "unbound", records) as dns, running(main, service) as postfix:
        monkeypatch.setenv("MAIL_CONFIG", str(postfix))
        home = Home(tmp_path)
        home.log = postfix / "maillog"
        home.settings += ["--log", str(home.log)]
        home.log.write_bytes(connections(2, ago=400) + home.log.read_bytes())
        home.collected()
        home.www.mkdir()
        (home.www / "index.html").touch()
        options = dict(
            zip(
                ("state_dir", "output_dir", "log"),
                map(str, (home.state, home.www, home.log)),
                strict=True,
            )
        )
        settings = load(os.devnull, {}, options)
        found = diagnose(
            facts.gather(
                settings,
                [target],
                int(time.time()),
                read_resolv_conf(str(resolv))._replace(port=dns),
            )
        )

    assert [each for each in found if each.grade is not Grade.OK and each.check != "clock"] == []
    told = {each.check: each.found for each in found}
    assert told["resolver"] == "it validates, and is on this machine"
    assert told["own MX"] == "senders that do DANE deliver: 1 of 2 TLSA records match"
    assert told["certificate"].startswith("valid until ")
    assert told["log"] == f"Postfix logs to {postfix}/maillog (maillog_file), as we read"
    assert told["connections"].startswith("2 of the last ")
