"""The text of `relays`: what is shown, and how wide."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from datetime import timezone
from pathlib import Path

import pytest
from host import Host

from dane_mailgraph.answer.relays import Relays, choose, format_relays
from dane_mailgraph.categories import BY_KEY
from dane_mailgraph.store import RelayCounts

NOW = 1795485600  # 2026-11-24 02:00 UTC
NAME = "a-rather-long-name-of-a-mail-server.example.org"


def relay(name: str, *, failed: int = 0, **counts: int) -> RelayCounts:
    given = {BY_KEY[key.replace("_", ".", 1)]: count for key, count in counts.items()}
    return RelayCounts(name, NOW, NOW, given, "TLSv1.3", "", failed)


BUSY = relay(
    NAME,
    failed=NOW - 600,
    connections_verified=1234,
    connections_anonymous=2,
    deliveries_dane=300,
    failures_certificate=100,
)


def text(*relays: RelayCounts, width: int | None = None) -> list[str]:
    return format_relays(Relays(NOW, NOW, relays), "text", timezone.utc, width).splitlines()


def test_how_much_failed_and_when_last_stand_where_something_failed() -> None:
    shown = text(BUSY, relay("b.example", deliveries_plaintext=1))

    assert shown[3].split()[-7:] == ["failed", "last", "failure", "last", "TLS", "last", "seen"]
    assert "25.0%" in shown[4] and "2026-11-24 01:50" in shown[4]
    assert "failed" not in text(relay("b.example", deliveries_plaintext=1))[3]


def test_it_is_as_wide_as_the_terminal_and_says_what_it_left_out() -> None:
    for width in (80, 100, 120):
        shown = text(BUSY, width=width)
        assert max(map(len, shown[:5])) <= width
    assert "Left out for the width of the terminal: Anonymous" in "\n".join(text(BUSY, width=120))
    assert "Left out" not in "\n".join(text(BUSY))
    assert "..." in text(BUSY, width=70)[4]


def test_every_column_of_the_json_sorts_relays() -> None:
    rows = Relays(NOW, NOW, (relay("b.example", failed=NOW - 60), BUSY, relay("c.example")))

    order = {
        column: "".join(each.relay[0] for each in choose(rows, sort=column).relays)
        for column in ("relay", "first", "last", "last_failure", "failures")
    }

    assert order == {
        "relay": "abc",
        "first": "abc",
        "last": "abc",
        "last_failure": "bac",
        "failures": "abc",
    }


def test_in_colours_the_text_is_the_same_and_what_failed_is_red() -> None:
    relays = Relays(NOW, NOW, (BUSY, relay("b.example", connections_verified=1)))
    plain = format_relays(relays, "text", timezone.utc)
    painted = format_relays(relays, "text", timezone.utc, is_coloured=True)

    assert re.sub(r"\033\[\d+m", "", painted) == plain
    assert [line[:5] == "\033[31m" for line in painted.splitlines()[4:]] == [True, False]


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_and_can_be_forbidden(
    environment: dict[str, str], coloured: bool, tmp_path: Path
) -> None:
    host = Host(tmp_path)
    host.write(host.lines(3))
    host.take(host.log)

    def shown(verb: str, output: int) -> bytes:
        command = [sys.executable, "-m", "dane_mailgraph", verb, "--config", os.devnull]
        subprocess.run(
            [*command, "--state-dir", str(host.state), "--since", "@0"],
            stdout=output,
            env=os.environ | {"TERM": "xterm"} | environment,
            cwd=Path(__file__).parents[1],
            check=True,
        )
        os.close(output)
        return os.read(there, 1 << 16)

    for verb in ("report", "relays"):
        there, terminal = pty.openpty()
        assert (b"\033[" in shown(verb, terminal)) == coloured
        os.close(there)
        there, pipe = os.pipe()
        assert b"\033[" not in shown(verb, pipe)
        os.close(there)
