"""The journal counts as a log does: exactly once, whatever happens to it.

`test_systemd.py` has a real journald.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torture
from host import START, TEXT, Host, line, rfc3339
from torture import ended

from dane_mailgraph.cli import command_line
from dane_mailgraph.errors import SourceError
from dane_mailgraph.log import journal
from dane_mailgraph.log.journal import Journal

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "journal"

OWNER = 102
"""The user postfix of the machine on which the entries below were recorded."""

RECORDED: dict[str, Any] = {
    "_BOOT_ID": "4e2e41583784450086215f0783acad67",
    "_CAP_EFFECTIVE": "0",
    "_COMM": "smtp",
    "_EXE": "/usr/lib/postfix/sbin/smtp",
    "_GID": "105",
    "_HOSTNAME": "box",
    "_PID": "596",
    "_SYSTEMD_UNIT": "postfix@-.service",
    "_TRANSPORT": "syslog",
    "_UID": "102",
    "PRIORITY": "6",
    "SYSLOG_FACILITY": "2",
    "SYSLOG_IDENTIFIER": "postfix/smtp",
    "SYSLOG_PID": "596",
}
"""What journald 252 has of a line of Postfix 3.7.11."""


class Journald(Host):
    """A host whose log is the journal: a file of entries, which a stand-in for journalctl reads."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.entries = folder / "entries.json"
        self.file = folder / "journal" / "machine" / "system.journal"
        self.file.parent.mkdir(parents=True)
        self.sequence = 0
        super().__init__(folder, **more)
        self.entries.touch()
        self.changed()

    def start(self) -> None:
        super().start()
        self.follower = Journal()  # type: ignore[assignment]

    def changed(self) -> None:
        """Say so as journald does: by the time of its file."""
        self.sequence += 1
        self.file.touch()
        os.utime(self.file, ns=(self.sequence, self.sequence))

    def entry(self, message: object, *, at: int | None = None, **fields: object) -> dict[str, Any]:
        self.sequence += 1
        at = (self.now if at is None else at) * 1_000_000 + self.sequence % 1_000_000
        number = self.sequence
        cursor = f"s=7b5d;i={number:x};b=4e2e;m={at - START:x};t={at:x};x={number * 7919:x}"
        stamps = {
            "__CURSOR": cursor,
            "__REALTIME_TIMESTAMP": str(at),
            "__MONOTONIC_TIMESTAMP": str(at - START),
        }
        said = {**stamps, **RECORDED, "MESSAGE": message, **fields}
        return {
            name: value for name, value in said.items() if value is not None or name == "MESSAGE"
        }

    def log_entry(self, message: object = TEXT, **more: Any) -> None:
        self.append(json.dumps(self.entry(message, **more)))

    def append(self, text: str) -> None:
        with open(self.entries, "a", encoding="utf-8") as file:
            file.write(text + "\n")
        self.changed()

    def connect(self, times: int = 1, at: int | None = None, to: Path | None = None) -> None:
        at = self.now if at is None else at
        self.truth[at - at % self.rules.step] += times
        for _ in range(times):
            self.log_entry(at=at)

    def vacuum(self, keep: int = 0) -> None:
        """Remove the oldest entries."""
        lines = self.entries.read_text().splitlines(keepends=True)
        self.entries.write_text("".join(lines[len(lines) - keep :]))
        self.changed()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journald:
    monkeypatch.setattr(journal, "FOLDERS", (str(tmp_path / "journal"),))
    monkeypatch.setattr(Journal, "owners", frozenset({OWNER}))
    monkeypatch.setenv("JOURNAL", str(tmp_path / "entries.json"))
    monkeypatch.setenv("PATH", f"{HERE}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    return Journald(tmp_path)


# ---- entries --------------------------------------------------------------------------------


def test_what_is_logged_is_counted_once(host: Journald) -> None:
    host.connect(3)
    host.collect()
    host.collect()
    host.now += 60
    host.connect(2)
    host.restart()
    host.collect()
    host.settles()


def test_a_quiet_minute_is_zero(host: Journald) -> None:
    host.connect()
    host.collect()
    host.now += 600
    host.collect()

    assert [count for _, count in host.rows()] == [1] + [0] * 8


def test_every_instance_counts_and_a_master_that_was_started_by_hand(host: Journald) -> None:
    for unit, name in (
        ("postfix@-.service", "postfix"),
        ("postfix@out.service", "postfix-out"),
        (None, "mx/out"),
    ):
        host.truth[START] += 1
        host.log_entry(_SYSTEMD_UNIT=unit, SYSLOG_IDENTIFIER=f"{name}/smtp", _COMM=None, _EXE=None)
    host.settles()


@pytest.mark.parametrize("uid", ["33", "1000", "65534"])
def test_what_another_user_logs_under_the_name_of_postfix_counts_nowhere(
    uid: str, host: Journald
) -> None:
    host.connect()
    host.log_entry(_UID=uid)
    host.log_entry(_UID=uid, _COMM="smtp", _SYSTEMD_UNIT="postfix@-.service")
    host.settles()


def test_root_is_believed_where_it_logs_as_mail(host: Journald) -> None:
    host.connect()
    host.truth[START] += 1
    host.log_entry(_UID="0")
    host.log_entry(_UID="0", SYSLOG_FACILITY="1")
    host.settles()


@pytest.mark.parametrize(
    "message",
    [
        f"connect\n{rfc3339(START)} mx1 postfix/smtp[1]: {TEXT}",
        f"\n{rfc3339(START)} mx1 postfix/smtp[1]: {TEXT}\n",
        list(f"\xff\n{rfc3339(START)} mx1 postfix/smtp[1]: {TEXT}".encode("latin-1")),
        f"connect\0\r\u2028\x85{TEXT}",
        None,
        [],
        ["one", TEXT],
        [1, 2, 300],
    ],
    ids=repr,
)
def test_no_message_forges_a_line(message: object, host: Journald) -> None:
    host.connect()
    host.log_entry(message)
    host.connect()
    step = host.collect()

    assert step.omitted["unreadable"] == 0
    host.settles()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("SYSLOG_IDENTIFIER", f"x\n{rfc3339(START)} mx1 postfix/smtp[1]: {TEXT}\nx"),
        ("SYSLOG_IDENTIFIER", f"postfix/smtp[1]: {TEXT}"),
        ("SYSLOG_IDENTIFIER", None),
        ("SYSLOG_IDENTIFIER", ["postfix/smtp", "postfix/smtp"]),
    ],
)
def test_no_identifier_forges_a_line(field: str, value: object, host: Journald) -> None:
    host.connect()
    host.log_entry("lost connection", **{field: value})
    host.log_entry(**{field: value})
    host.settles()


@pytest.mark.parametrize("field", ["_HOSTNAME", "_PID"])
@pytest.mark.parametrize("value", [None, "a b", "x\ny", "x:", "", [1, 2]])
def test_a_host_or_process_without_a_name_loses_no_line(
    field: str, value: object, host: Journald
) -> None:
    host.truth[START] += 1
    host.log_entry(**{field: value})
    host.settles()


def test_a_message_that_is_no_text_is_the_bytes_it_is(host: Journald) -> None:
    host.truth[START] += 1
    host.log_entry(list(TEXT.encode() + b" server-digest \xff"))
    host.settles()


def test_an_entry_is_the_line_that_rsyslog_would_write(host: Journald) -> None:
    said = host.entry("lost connection", SYSLOG_IDENTIFIER="postfix-out/smtp")

    assert (
        journal._line(said) == b"2026-11-24T02:00:00Z box postfix-out/smtp[596]: lost connection\n"
    )


# ---- the files of the journal ---------------------------------------------------------------


def test_nothing_is_read_while_no_file_changes(
    host: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.connect()
    host.collect()
    monkeypatch.setenv("JOURNAL", "/nowhere")
    host.now += 1
    host.collect()
    host.changed()
    with pytest.raises(SourceError):
        host.collect()


def test_a_reading_that_was_not_committed_is_done_again(
    host: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.connect()
    host.collect()
    host.now += 1
    host.connect()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "bookmark_after", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            host.collect()
    host.collect()

    assert host.counted == dict(host.truth)


def test_an_entry_that_was_moved_from_run_to_var_is_known_again(host: Journald) -> None:
    host.connect(2)
    host.collect()
    host.entries.write_text(host.entries.read_text().replace("s=7b5d;i=", "s=9999;i=1"))
    host.changed()
    host.now += 60
    host.connect()
    host.collect()

    assert host.steps[-1].gaps == ()
    host.settles()


# ---- what is lost ---------------------------------------------------------------------------


def test_what_was_vacuumed_before_it_was_read_is_unknown(host: Journald) -> None:
    host.connect(2)
    host.collect()
    host.now += 180
    host.log_entry()  # nobody will read it
    host.now += 180
    host.connect()
    host.vacuum(keep=1)
    step = host.collect()
    host.now += 300
    host.connect()
    host.collect()

    assert [(gap.start - START, gap.until - START) for gap in step.gaps] == [(0, 420)]
    assert host.counted == dict(host.truth)
    assert [start - START for start in host.unknown()] == list(range(60, 360, 60)), (
        "what was read of a minute is kept"
    )


def test_what_was_vacuumed_after_it_was_read_is_not_lost(host: Journald) -> None:
    """On a busy machine Postfix's last entry goes, and younger ones of others stay."""
    host.connect(2)
    host.collect()
    host.now += 7200
    host.log_entry(_UID="1000", SYSLOG_IDENTIFIER="busy")
    host.now += 60
    host.collect()
    host.log_entry(_UID="1000", SYSLOG_IDENTIFIER="busy")
    host.vacuum(keep=2)
    host.now += 60
    host.connect()
    step = host.collect()

    assert step.gaps == ()
    host.settles()


def test_a_journal_that_was_emptied_is_a_gap_and_then_goes_on(host: Journald) -> None:
    host.connect(2)
    host.collect()
    host.now += 600
    host.log_entry(_UID="1000")
    host.vacuum(keep=1)
    lost = host.collect().gaps
    assert [(gap.start - START, gap.until - START) for gap in lost] == [(0, 660)]
    host.now += 60
    host.log_entry(_UID="1000")
    assert host.collect().gaps == ()
    host.now += 60
    host.connect(3)
    assert host.collect().gaps == ()
    assert host.counted == dict(host.truth)


def test_a_journal_without_a_line_of_postfix_waits_for_the_first(host: Journald) -> None:
    host.log_entry(_UID="1000")
    host.collect()
    host.now += 60
    host.collect()
    host.connect(2)
    host.collect()
    host.settles()


def test_messages_that_journald_suppressed_are_reported(host: Journald) -> None:
    fields = {
        "_UID": "0",
        "_TRANSPORT": "driver",
        "MESSAGE_ID": journal.SUPPRESSED,
        "N_DROPPED": "57",
        "SYSLOG_FACILITY": "3",
    }
    host.connect()
    host.log_entry("Suppressed 57 messages from postfix@-.service", OBJECT_UID=str(OWNER), **fields)
    host.log_entry("Suppressed 57 messages from user@1000.service", OBJECT_UID="1000", **fields)
    host.log_entry(
        "Suppressed 57 messages from postfix@-.service",
        **{**fields, "_UID": "1000", "_TRANSPORT": "journal"},
    )
    host.collect()

    assert host.steps[-1].notices == (
        "journald has suppressed 57 messages of Postfix before 2026-11-24 02:00 UTC, "
        "so some may be missing in the counts; "
        "set LogRateLimitIntervalSec=0 in Postfix's unit.",
    )
    host.collect()
    host.settles()


# ---- what goes wrong ------------------------------------------------------------------------


def refused(host: Journald) -> str:
    with pytest.raises(SourceError) as caught:
        host.collect()
    assert caught.value.status == 66
    return str(caught.value)


def test_a_journalctl_that_fails_is_reported_in_one_sentence_and_nothing_is_counted(
    host: Journald,
) -> None:
    host.connect(2000)
    kept = host.entries.read_text()
    host.append("!1 Failed to iterate through journal: Bad message")

    assert refused(host) == (
        "The journal cannot be read: Failed to iterate through journal: Bad message; "
        "see whether `journalctl --system --verify` finds it whole."
    )
    assert host.counted == {}
    host.entries.write_text(kept)
    host.changed()
    host.settles()


def test_a_bookmark_that_is_no_cursor_is_reported_and_counting_goes_on_when_it_is_forgotten(
    host: Journald,
) -> None:
    host.connect(3)
    host.collect()
    host.now += 120
    host.collect()
    with host.ledger.transaction():
        host.ledger.set_bookmark(Journal.bookmark_key, ["nonsense", host.now])
    host.connect(2)

    said = refused(host)
    assert said.startswith(
        "The journal cannot be read from the bookmark in ledger.sqlite on: "
        "Failed to seek to cursor: Invalid argument; "
    )
    (forget,) = re.findall(r'`sqlite3 ledger\.sqlite "(.*)"`', said)
    with closing(sqlite3.connect(host.ledger.path)) as ledger, ledger:
        ledger.execute(forget)
    host.restart()
    host.settles()


def test_who_may_not_read_the_journal_hears_which_group_may(host: Journald) -> None:
    host.append("!1 No journal files were opened due to insufficient permissions.")

    assert refused(host) == (
        "The journal cannot be read: No journal files were opened due to insufficient permissions; "
        "run as a user of the group systemd-journal."
    )


def test_a_machine_without_journalctl_is_told_so(
    host: Journald, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert refused(host) == (
        "journalctl cannot be started: No such file or directory; "
        "install systemd, or set `log` to the file that Postfix logs to."
    )


def test_a_machine_without_a_journal_is_told_so(host: Journald) -> None:
    host.file.unlink()

    assert refused(host).startswith("No journal of the system is in ")


def test_what_is_no_json_is_reported(
    host: Journald, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "bin" / "journalctl"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho '-- Journal begins --'\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{other.parent}:/usr/bin:/bin")

    assert refused(host).startswith("The journal cannot be understood: ")


# ---- overlap --------------------------------------------------------------------------------


def test_the_first_reading_counts_what_is_later_than_an_import(host: Journald) -> None:
    old = host.folder / "mail.log.1"
    host.truth[START] += 2
    said = 2 * line(rfc3339(START + 2))
    old.write_text(said.replace(" mx1 ", " box ").replace("[4711]", "[596]"))
    host.take(old)
    host.log_entry(at=START + 2)
    host.connect(at=START + 3)
    host.connect(3, at=START + 61)
    host.now += 120
    step = host.collect()

    assert (step.counted, step.omitted["skipped"]) == (4, 1)
    host.settles()


def test_an_import_goes_on_from_the_journal(host: Journald) -> None:
    host.connect(2)
    host.collect()
    host.now += 60
    host.connect()
    old = host.folder / "mail.log.1"
    both = line(rfc3339(START)) + line(rfc3339(START + 120))
    old.write_text(both.replace(" mx1 ", " box "))
    host.now += 200
    host.truth[START + 120] += 1
    step = host.take(old)

    assert (step.counted, step.omitted["skipped"]) == (1, 1)
    assert host.counted == dict(host.truth)


# ---- kills ----------------------------------------------------------------------------------


@pytest.fixture
def killed(host: Journald) -> Iterator[list[str]]:
    settings = {
        "config": os.devnull,
        "log": "journal",
        "state-dir": host.state,
        "step": 60,
        "grace": 10,
        "time-zone": "UTC",
    }
    with torture.small_archives():
        yield ["collect", *(f"--{name}={value}" for name, value in settings.items())]


def test_a_death_at_any_step_of_the_work_changes_nothing(host: Journald, killed: list[str]) -> None:
    host.ledger.__exit__(None, None, None)
    shutil.rmtree(host.state)
    said = host.folder / "said"
    for _ in range(40):
        host.now += 60
        host.connect(3)
    assert ended(torture.fork(killed, said, now=host.now)) == 0
    for _ in range(5):
        host.now += 60
        host.connect(2)
    before = host.folder / "before"
    shutil.copytree(host.state, before)
    number, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        number += 1 if number < 4 else 6
        shutil.rmtree(host.state)
        shutil.copytree(before, host.state)
        status = ended(torture.fork(killed, said, now=host.now, before=torture.die_at(number)))
        assert ended(torture.fork(killed, said, now=host.now + 300)) == 0, said.read_text()
        host.start()
        assert host.counted == dict(host.truth)
        assert {start: count for start, count in host.rows() if count} == dict(host.truth)
        host.ledger.__exit__(None, None, None)
    assert status == 0, said.read_text()
    assert number > 12


def test_a_history_full_of_kills_ends_with_the_truth(tmp_path: Path) -> None:
    history = torture.Journaled(tmp_path, 1, step=60, grace=1)
    with torture.small_archives():
        history.run(15)

    assert history.done["killed"] >= 15 and history.done["comparisons"]


def test_the_command_line_counts_the_journal_and_says_what_is_wrong(
    host: Journald, killed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    host.ledger.__exit__(None, None, None)
    host.connect(3)
    assert command_line.main([*killed, "-v"]) == 0
    assert "counted 3 connections" in capsys.readouterr().out
    host.append("!1 No journal files were opened due to insufficient permissions.")
    assert command_line.main(killed) == 66
    assert capsys.readouterr().err.count("\n") == 1


def test_entries_are_taken_as_they_come_and_never_gathered(host: Journald) -> None:
    """Of a journal that does not end the first entries are there at once."""
    host.connect(5)
    said = host.entries.read_text()
    os.unlink(host.entries)
    os.mkfifo(host.entries)
    writer = os.open(host.entries, os.O_RDWR)
    os.write(writer, said.encode() * 20)
    assert isinstance(host.follower, Journal)
    with host.follower.entries(None) as entries:
        first = list(islice(entries, 50))
        os.close(writer)  # leaving waits for journalctl, which waits for the end of what it reads

    assert len(first) == 50


def test_the_containers_that_are_named_count_too(host: Journald) -> None:
    line = f"postfix/smtp[101]: {TEXT}"
    of_docker = {"SYSLOG_FACILITY": None, "SYSLOG_IDENTIFIER": "3f2a9c", "_PID": "9"}
    host.log_entry(line, _UID="0", CONTAINER_NAME="postfix", **of_docker)
    host.log_entry(line, _UID="0", CONTAINER_NAME="other", **of_docker)
    host.log_entry(line, _UID="1000", CONTAINER_NAME="postfix", **of_docker)
    host.follower = Journal(containers=["postfix"])  # type: ignore[assignment]

    assert host.collect().counted == 1
