"""`demo` shows everything at once, again and again, and touches nobody's files but its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

import dane_mailgraph
from dane_mailgraph.cli import command_line, demo

pytestmark = pytest.mark.slow

NOW = 1795485600


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("DANE_MAILGRAPH_")
    }
    environment["PYTHONPATH"] = str(Path(dane_mailgraph.__file__).parents[1])
    settings = ["--config", os.devnull, "--metrics-file", str(folder.parent / "x.prom")]
    command = [sys.executable, "-m", "dane_mailgraph", "demo", *settings, str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=600, check=False
    )


def test_it_ends_with_the_path_of_the_page_also_where_an_earlier_one_was_broken_off(
    tmp_path: Path,
) -> None:
    for name in (
        f"state/{demo.MARK}",
        "state/ledger.sqlite",
        "state/outbound.rrd",
        "state/making/x",
        "www/index.html",
        "mail.log",
    ):
        stale = tmp_path / "demo" / name
        stale.parent.mkdir(parents=True, exist_ok=True)
        stale.write_text("Nothing has been counted; stale")
    done = run(tmp_path / "demo")
    page = Path(done.stdout.rstrip("\n").split("\n")[-1])

    assert (done.returncode, done.stderr) == (0, "")
    assert page == tmp_path / "demo" / "www" / "index.html"
    assert "Nothing has been counted" not in page.read_text()
    assert len(list(page.parent.glob("*.png"))) >= 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "mail.log",
        "state",
        "www",
    ]


@pytest.mark.parametrize("name", ["state", "www", "mail.log"])
def test_what_is_no_demos_is_refused_and_left_alone(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / name
    if name != "mail.log":
        theirs.mkdir()
        theirs /= "precious"
    theirs.write_text("precious")

    assert command_line.main(["demo", "--config", os.devnull, str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        said.err.startswith(
            f"dane-mailgraph: {tmp_path / name} already exists and was not made by `demo`; "
        )
        and said.err.count("\n") == 1
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [theirs]
    assert theirs.read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")

    assert command_line.main(["demo", "--config", os.devnull, str(tmp_path / "file")]) == 74
    assert capsys.readouterr().err.count("\n") == 1


def test_the_traffic_is_the_same_each_time_ends_now_and_is_in_order() -> None:
    lines = list(demo.traffic(NOW))
    stamps = [line.split(" ", 1)[0] for line in lines]

    assert list(islice(demo.traffic(NOW), 5000)) == lines[:5000]
    assert stamps == sorted(stamps)
    assert stamps[-1] <= time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(NOW + 3600))
    assert all(
        f"{label} TLS connection" in "".join(lines[-2000:])
        for label in ("Verified", "Trusted", "Untrusted", "Anonymous")
    )


def test_what_others_report_ends_yesterday_and_tells_of_a_renewal_in_the_wrong_order() -> None:
    reports = list(demo.reports(NOW))

    assert len({each.identity for each in reports}) == len(reports) > 60
    assert max(each.day for each in reports) == NOW - NOW % 86400 - 86400
    assert {each.result for one in reports for each in one.failures} == {"tlsa-invalid"}


def test_the_sample_logs_come_with_the_program() -> None:
    assert [Path(path).name for path in demo.sample_logs()] == sorted(
        Path(path).name for path in demo.sample_logs()
    )
    assert all(Path(path).stat().st_size for path in demo.sample_logs()) and demo.sample_logs()
