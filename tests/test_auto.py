"""`log = auto` takes the source with Postfix's newest line."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest
from host import line

from dane_mailgraph.cli import command_line
from dane_mailgraph.cli.counter import ReopeningCounter
from dane_mailgraph.config import load
from dane_mailgraph.errors import MissingError, SourceError
from dane_mailgraph.log import auto, sought

UTC = timezone.utc
NOW = 1795521600
FOREIGN = "2026-11-24T11:59:59+00:00 mx1 dovecot: imap-login: Login: user=<x>\n"


def stamped(at: int) -> str:
    return line(datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def log(path: Path, text: str, at: int = NOW) -> str:
    path.write_text(text)
    os.utime(path, (at, at))
    return str(path)


@pytest.fixture(autouse=True)
def no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal of the machine that runs the tests says nothing of Postfix here."""
    monkeypatch.setattr(auto, "FOLDERS", ())


def test_of_two_files_the_one_with_the_newest_line_is_taken(tmp_path: Path) -> None:
    left = log(tmp_path / "mail.log", stamped(NOW - 9 * 86400), NOW - 9 * 86400)
    fresh = log(tmp_path / "maillog", stamped(NOW - 60))

    assert auto.find(UTC, NOW, [left, fresh]) == fresh
    assert auto.find(UTC, NOW, [fresh, left]) == fresh
    assert auto.find(UTC, NOW, [left, str(tmp_path / "none")]) == left


def test_lines_of_other_programs_are_none_of_postfix(tmp_path: Path) -> None:
    others = log(tmp_path / "mail.log", FOREIGN)
    ours = log(tmp_path / "maillog", stamped(NOW - 9 * 86400))

    assert auto.find(UTC, NOW, [others, ours]) == ours


def test_a_line_of_postfix_far_before_the_end_is_found(tmp_path: Path) -> None:
    path = log(tmp_path / "mail.log", stamped(NOW - 600) + FOREIGN * 20_000)

    assert auto.find(UTC, NOW, [path]) == path


def test_a_log_that_was_rotated_just_now_is_taken(tmp_path: Path) -> None:
    log(tmp_path / "mail.log.1", stamped(NOW - 60))
    path = log(tmp_path / "mail.log", "")

    assert auto.find(UTC, NOW, [path]) == path


def test_where_there_is_none_the_places_are_named(tmp_path: Path) -> None:
    nothing = log(tmp_path / "mail.log", FOREIGN)

    with pytest.raises(MissingError, match=r"here yet: no line of it in .*mail\.log.*`log`"):
        auto.find(UTC, NOW, [nothing])


def test_a_log_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "mail.log"
    folder.mkdir()

    with pytest.raises(SourceError, match="is a directory"):
        auto.find(UTC, NOW, [str(folder)])


def test_counting_goes_over_to_the_log_that_postfix_writes_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = int(datetime.now(UTC).timestamp())
    first, second = tmp_path / "mail.log", tmp_path / "maillog"
    monkeypatch.setattr(auto, "FILES", (str(first), str(second)))
    options = ["--config", os.devnull, "--state-dir", str(tmp_path / "state"), "--time-zone", "UTC"]

    assert command_line.main(["collect", *options]) == 66
    assert "No log of Postfix's is here yet" in capsys.readouterr().err

    log(first, stamped(now - 9000) * 2 + stamped(now - 8000), now - 8000)
    assert command_line.main(["collect", *options]) == 0
    log(second, stamped(now - 9000) * 2 + stamped(now - 8000) + stamped(now - 5), now)
    assert command_line.main(["collect", "--verbose", *options]) == 0

    assert "counted 1 connection" in capsys.readouterr().out


def test_as_long_as_none_is_found_all_is_not_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mail.log"
    monkeypatch.setattr(auto, "FILES", (str(path),))
    settings = load(None, {}, {"state_dir": str(tmp_path / "state"), "time_zone": "UTC"})
    service = ReopeningCounter(settings, lambda: settings, lambda: None)
    service.open(make=True)

    for second in range(120):
        with pytest.raises(MissingError, match="No log of Postfix's is here yet"):
            service.tick(NOW + second)
    log(path, stamped(NOW + 100), NOW + 100)
    service.tick(NOW + 120)
    assert service.open().newest == NOW + 100
    service.close()


# ---- containers and patterns ----------------------------------------------------------------


def container(folder: Path, name: str, identity: str) -> Path:
    """What Docker keeps of a container with a json-file."""
    here = folder / identity
    here.mkdir()
    path = here / f"{identity}-json.log"
    (here / "config.v2.json").write_text(json.dumps({"Name": f"/{name}", "LogPath": str(path)}))
    return path


def test_a_container_is_followed_by_its_name_also_when_it_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "containers"
    folder.mkdir()
    monkeypatch.setattr(sought, "FOLDER", str(folder))
    (folder / "broken").mkdir()
    (folder / "broken" / "config.v2.json").write_text("[")
    container(folder, "other", "a1")
    first = container(folder, "postfix", "b2")

    assert sought.find("container:postfix", UTC, NOW) == str(first)
    shutil.rmtree(folder / "b2")
    second = container(folder, "postfix", "c3")
    assert sought.find("container:postfix", UTC, NOW) == str(second)
    with pytest.raises(MissingError, match="No container 'none' with a json-file"):
        sought.find("container:none", UTC, NOW)


def test_of_a_pattern_the_file_is_taken_that_was_written_last(tmp_path: Path) -> None:
    log(tmp_path / "a.log", "", NOW - 60)
    newest = log(tmp_path / "b.log", "", NOW)
    log(tmp_path / "c.log.gz", "", NOW + 1)

    assert sought.find(f"{tmp_path}/*.log*", UTC, NOW) == newest
    with pytest.raises(MissingError, match="No file matches"):
        sought.find(f"{tmp_path}/*.txt", UTC, NOW)


@pytest.mark.parametrize(
    "setting, expected",
    [("auto", True), ("journal", False), ("/var/log/mail.log", False), ("container:x", True)],
)
def test_a_setting_says_where_a_log_is_or_how_to_find_it(setting: str, expected: bool) -> None:
    assert sought.is_sought(setting) == expected
