"""The verb `check`: one line, an exit status, and nothing that a monitoring system cannot read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from host import TEXT, line, rfc3339

from dane_mailgraph.cli import main
from dane_mailgraph.settings import SETTINGS

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(verb: str, *options: str) -> tuple[int, str]:
        settings = ["--config", os.devnull, "--state-dir", str(tmp_path / "state")]
        status = main([verb, *settings, "--log", str(tmp_path / "mail.log"), *options])
        return status, capsys.readouterr().out

    return run


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_text(line(rfc3339(int(time.time()) - 300), TEXT))
    return path


def test_all_is_well_is_0_and_quiet_prints_nothing(run: Run, log: Path) -> None:
    assert run("collect")[0] == 0
    status, said = run("check")

    assert status == 0
    assert said == (
        "OK - All is well. | connections=1 verified=1 deliveries=0 plaintext=0 failures=0 "
        "conditions=0\n"
    )
    assert run("check", "--quiet") == (0, "")


def test_what_is_wrong_is_its_level_and_one_can_ask_for_it_alone(run: Run, log: Path) -> None:
    with log.open("a") as file:
        file.write("no time in this line\n" * 9)
    run("collect")

    status, said = run("check", "--format", "json")
    found = json.loads(said)
    assert (status, found["level"]) == (2, "critical")
    assert [each["name"] for each in found["conditions"]] == ["omissions"]
    assert run("check", "--only", "store,failing")[0] == 0
    assert run("check", "--quiet")[1].startswith("CRITICAL - 9 of 10 lines of the last 24 hours")
    assert "1 accepted (omissions)" in run("check", "--ignore-conditions", "omissions")[1]


def test_what_cannot_be_told_is_3_on_standard_output(run: Run) -> None:
    status, said = run("check")
    assert status == 3
    assert said.startswith("UNKNOWN - ") and "nothing has been counted yet" in said

    for option in (["--format", "json"], ["--format=json", "--only", "nothing"]):
        status, said = run("check", *option)
        found = json.loads(said)
        assert (status, found["level"], found["conditions"]) == (3, "unknown", [])
        assert "nothing" in found["text"]

    status, said = run("check", "--only", "nothing")
    assert status == 3
    assert "there is no condition nothing; names are store, not_counting" in said

    for option in (
        ["--step", "7"],
        ["--config", "/nowhere"],
        *([each.option] for each in SETTINGS),
    ):
        status, said = run("check", *option)
        assert status == 3 and said.startswith("UNKNOWN - ") and said.count("\n") == 1


def test_a_damaged_store_is_critical(run: Run, log: Path, tmp_path: Path) -> None:
    run("collect")
    (tmp_path / "state" / "ledger.sqlite").write_bytes(b"no database" * 999)

    status, said = run("check")
    assert status == 2
    assert said.startswith("CRITICAL - ")


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ("lost_authentification", "there is no condition lost_authentification; there are store,"),
        ("failing,fail:mx.example.org", "there is no condition fail; there are store,"),
        ("log_silent:mx.example.org", "log_silent has no subjects; write log_silent alone"),
    ],
)
def test_accepting_what_there_is_not_is_a_wrong_setting(
    accepted: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--config", os.devnull, "--state-dir", str(tmp_path)]

    assert main(["report", *settings, "--ignore-conditions", accepted]) == 78
    wrong = capsys.readouterr().err
    assert f"ignore_conditions = {accepted} on the command line (--ignore-conditions) is" in wrong
    assert said in wrong
    assert main(["config", *settings, "--ignore-conditions", "failing:@a.example own_mx"]) == 0


def test_without_a_messenger_there_is_one_sentence(run: Run, log: Path) -> None:
    run("collect")

    for options in (("--tell",), ("--tell", "--test"), ("--tell", "--quiet")):
        status, said = run("check", *options)
        assert status == 3
        assert said == (
            "UNKNOWN - --tell has no messenger: set `tell = mail:ADDRESS` or "
            "`tell = command:/path`.\n"
        )
