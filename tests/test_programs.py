"""Other programs are asked without a shell, in English, and not for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from servers import needs

from dane_mailgraph.programs import Account, ask


def test_the_status_and_both_outputs_of_a_program_are_returned() -> None:
    said = ask(
        "sh",
        "-c",
        'read line; echo "$line, $LC_ALL"; echo one >&2; echo two >&2; exit 3',
        stdin="hello\n",
    )

    assert said == (3, "hello, C\n", "one two")


def test_a_missing_program_gives_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert ask("no-such-program-anywhere") is None
    (tmp_path / "broken").write_text("no program")
    (tmp_path / "broken").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    said = ask("broken")
    assert said and said.status == 126 and "Exec format error" in said.err


def test_words_are_words_and_no_shell_reads_them() -> None:
    said = ask("printf", "%s", "$(id); `id` > /x")

    assert said and said.out == "$(id); `id` > /x"


def test_a_program_that_hangs_is_ended() -> None:
    began = time.monotonic()
    said = ask("sleep", "60", seconds=0.2)

    assert said == (124, "", "no answer within 0.2 seconds")
    assert time.monotonic() - began < 20


def test_bytes_that_are_no_text_are_replaced() -> None:
    said = ask("printf", r"\377")

    assert said and said.out == "\ufffd"


@needs("id", root=True)
def test_root_can_run_a_program_as_another_user() -> None:
    said = ask("id", "-u", account=Account("nobody", 65534, 65534, ()))
    groups = ask("id", "-G", account=Account("nobody", 65534, 65534, (4,)))

    assert said and said.out == "65534\n"
    assert groups and groups.out.split() == ["65534", "4"]
    assert os.geteuid() == 0
