"""Ticks on the clock's grid, trouble that is reported once, and what systemd is notified of."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torture import Lived

from dane_mailgraph.cli import daemon
from dane_mailgraph.errors import MissingError, SourceError, StoreError

pytestmark = pytest.mark.slow


class Time:
    """A clock that goes on only while somebody waits."""

    def __init__(self, now: float, ends: float) -> None:
        self.now, self.ends = now, ends

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> int | None:
        assert 0 <= seconds <= daemon.LONGEST
        self.now += seconds
        return signal.SIGTERM if self.now >= self.ends else None


def each_second(now: float) -> float:
    return daemon.seconds_to_tick(now, 1, 10)


def never() -> None:
    raise AssertionError("nobody has sent SIGHUP")


def test_ticks_are_on_the_grid_however_long_they_take() -> None:
    clock, ticks = Time(1000.25, 1010), []

    def tick(now: int) -> None:
        ticks.append((now, clock.now))
        clock.now += (0.5, 0.0, 2.2)[len(ticks) % 3]

    daemon.run(tick, never, clock.wait, daemon.TroubleReport(print), each_second, clock)
    assert ticks[0] == (1000, 1000.25), "at once"
    assert ticks[1:] == [(now, now) for now in (1001, 1004, 1005, 1006, 1009)]


@pytest.mark.parametrize(
    ("step", "grace", "seconds"),
    [(60, 10, {0, 5}), (60, 7, {2, 7}), (12, 1, {1, 5, 9}), (1, 10, set(range(10)))],
)
def test_a_tick_comes_as_an_interval_is_closed_and_after_five_seconds_at_most(
    step: int, grace: int, seconds: set[int]
) -> None:
    now, ticks = 1200.5, []
    while now < 1200 + 2 * step + 20:
        now += daemon.seconds_to_tick(now, step, grace)
        ticks.append(int(now))

    assert {at for at in range(1211, 1200 + 2 * step) if (at - grace) % step == 0} <= {*ticks}
    assert max(after - before for before, after in itertools.pairwise(ticks)) <= 5
    assert step == 12 or {at % 10 for at in ticks} == seconds


def test_a_clock_that_is_set_back_or_forward_stops_no_tick() -> None:
    clock, ticks = Time(1000, 5000), []

    def tick(now: int) -> None:
        ticks.append(now)
        clock.now = {1001: 400.5, 402: 4990.0}.get(now, clock.now)

    daemon.run(tick, never, clock.wait, daemon.TroubleReport(print), each_second, clock)
    assert ticks == [1000, 1001, 401, 402, *range(4991, 5000)]


def test_trouble_is_reported_once_and_when_it_is_over() -> None:
    said: list[str] = []
    report = daemon.TroubleReport(said.append)
    for trouble in (None, "A.", "A.", "B.", None, None, "A."):
        report.trouble(SourceError(trouble)) if trouble else report.well()
    assert said == ["A.", "B.", "All is well again, and what was missed has been counted.", "A."]


def test_a_rotation_is_no_alarm_and_a_log_that_is_gone_for_a_minute_is_one() -> None:
    said: list[str] = []
    times = iter([*range(59), *range(100, 160), 160, 161])
    report = daemon.TroubleReport(said.append, lambda: next(times))
    report.well()
    for seconds in (59, 60):
        for _ in range(seconds):
            report.trouble(MissingError("no log."))
        assert not said
        if seconds == 59:
            report.well()
    report.trouble(MissingError("no log."))
    report.trouble(MissingError("no log."))
    report.well()
    assert said == ["no log.", "All is well again, and what was missed has been counted."]


def test_a_log_that_was_never_there_is_an_alarm_at_once() -> None:
    said: list[str] = []
    daemon.TroubleReport(said.append).trouble(MissingError("no log."))
    assert said == ["no log."]


def test_a_tick_that_fails_is_tried_again_at_the_next() -> None:
    clock = Time(0, 6)
    said: list[str] = []
    errors = iter(
        (SourceError("no log."), SourceError("no log."), StoreError("no disk."), None, None, None)
    )

    def tick(now: int) -> None:
        if error := next(errors):
            raise error

    daemon.run(tick, never, clock.wait, daemon.TroubleReport(said.append), each_second, clock)
    assert said == [
        "no log.",
        "no disk.",
        "All is well again, and what was missed has been counted.",
    ]


_WAITS = """
import os, sys, time
from dane_mailgraph.cli import daemon

folder = sys.argv[1]
log = os.path.join(folder, "mail.log")

def seconds(longest):
    began = time.monotonic()
    assert wait(longest) is None
    return time.monotonic() - began

wait, rotations = daemon.block_signals(), daemon.RotationSignal()
for each in ("/nonexistent", folder):
    rotations.watch(each)
with open(log, "a") as file:
    print("a line", file=file)
assert seconds(1) >= 0.9, "a line is no rotation"
os.rename(log, log + ".1")
assert seconds(60) < 30
open(log, "w").close()
assert seconds(60) < 30
rotations.watch("")
os.rename(log, log + ".2")
assert seconds(1) >= 0.9, "it is not watched any more"
"""


def test_a_rotation_ends_the_wait_for_the_next_tick(tmp_path: Path) -> None:
    (tmp_path / "mail.log").touch()
    subprocess.run([sys.executable, "-c", _WAITS, str(tmp_path)], check=True, timeout=120)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_systemd_hears_of_start_life_and_end(systemd: socket.socket) -> None:
    clock = Time(0, daemon.ALIVE + 1)
    daemon.run(lambda now: None, never, clock.wait, daemon.TroubleReport(print), each_second, clock)
    assert [systemd.recv(99) for _ in range(4)] == [
        b"READY=1",
        b"WATCHDOG=1",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


@pytest.mark.parametrize("until_next", [each_second, lambda _: daemon.LONGEST])
def test_systemd_hears_of_life_four_times_as_often_as_its_watchdog_barks(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, until_next: Callable[[float], float]
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    clock = Time(0, 5)
    daemon.run(lambda now: None, never, clock.wait, daemon.TroubleReport(print), until_next, clock)
    alive = [b"WATCHDOG=1"] * 3
    assert [systemd.recv(99) for _ in range(5)] == [b"READY=1", *alive, b"STOPPING=1"]


def test_systemd_hears_of_a_reload_between_two_ticks(systemd: socket.socket) -> None:
    signals = iter((None, signal.SIGHUP, None, signal.SIGINT))
    done: list[str] = []
    before = time.monotonic_ns() // 1000
    daemon.run(
        lambda now: done.append("tick"),
        lambda: done.append("reload"),
        lambda _: next(signals),
        daemon.TroubleReport(print),
        each_second,
    )

    assert done == ["tick", "reload", "tick", "tick"]
    assert [systemd.recv(99) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
    reloading, microseconds = systemd.recv(99).split(b"\nMONOTONIC_USEC=")
    assert reloading == b"RELOADING=1"
    assert before <= int(microseconds) <= time.monotonic_ns() // 1000
    assert [systemd.recv(99) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_an_abstract_socket_is_heard_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0notify-{os.getpid()}")
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@notify-{os.getpid()}")
        daemon.notify_systemd("READY=1")
        assert listening.recv(99) == b"READY=1"


def test_without_systemd_nothing_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    daemon.notify_systemd("READY=1")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    daemon.notify_systemd("READY=1")
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("log", [True, False])
def test_run_ends_quietly_with_0_when_it_is_told_to(
    log: bool, number: int, tmp_path: Path, systemd: socket.socket
) -> None:
    history = Lived(tmp_path, 1)
    if log:
        history.log.touch()
    said = tmp_path / "said"
    with open(said, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dane_mailgraph", *history.arguments("run")],
            stdout=out,
            stderr=out,
        )
    try:
        assert systemd.recv(99) == b"READY=1", (
            "also where there is trouble: it is said, and tried again"
        )
        if not log:
            assert (
                systemd.recv(999)
                == f"STATUS={said.read_text().removeprefix('dane-mailgraph: ')}".encode().rstrip()
            )
        assert systemd.recv(99) == b"WATCHDOG=1"
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(5) == 0
        assert time.monotonic() - began < 1.5
    finally:
        process.kill()
        process.wait()
    while (heard := systemd.recv(99)) != b"STOPPING=1":
        assert heard == b"WATCHDOG=1"
    assert said.read_text().count("\n") == (0 if log else 1)


def test_run_counts_on_where_its_words_cannot_be_written(
    tmp_path: Path, systemd: socket.socket
) -> None:
    history = Lived(tmp_path, 1)  # without a log, and it says so
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "dane_mailgraph", *history.arguments("run")],
            stdout=full,
            stderr=full,
        )
    try:
        assert systemd.recv(99) == b"READY=1"
        assert systemd.recv(999).startswith(b"STATUS=")
        assert systemd.recv(99) == b"WATCHDOG=1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_run_ends_with_78_for_a_setting_that_is_wrong(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "dane_mailgraph",
        *Lived(tmp_path, 1).arguments("run"),
        "--step=7",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)


# ---- SIGHUP ---------------------------------------------------------------------------------


class Running:
    """`run` with a configuration file that can be written anew."""

    def __init__(self, folder: Path, systemd: socket.socket) -> None:
        self.folder, self.systemd, self.said = folder, systemd, folder / "said"
        self.file = folder / "dane-mailgraph.conf"
        (folder / "mail.log").touch()
        self.write()
        with open(self.said, "wb") as out:
            command = [sys.executable, "-m", "dane_mailgraph", "run", "--config", str(self.file)]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        self.wait_for(b"READY=1")
        self.wait_for(b"WATCHDOG=1")

    def write(self, *more: str, state: str = "state") -> None:
        lines = (f"state_dir = {self.folder / state}", f"log = {self.folder / 'mail.log'}", *more)
        self.file.write_text("\n".join(lines))

    def wait_for(self, word: bytes) -> None:
        until = time.monotonic() + 20
        while not self.systemd.recv(999).startswith(word):
            assert time.monotonic() < until

    def reload(self) -> str:
        """What it says to it."""
        before = len(self.said.read_text())
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(b"READY=1")
        self.wait_for(b"WATCHDOG=1")
        return self.said.read_text()[before:]


@pytest.fixture
def running(tmp_path: Path, systemd: socket.socket) -> Iterator[Running]:
    it = Running(tmp_path, systemd)
    try:
        yield it
        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(5) == 0
    finally:
        it.process.kill()
        it.process.wait()


def test_sighup_reads_the_configuration_again(running: Running) -> None:
    running.write(state="elsewhere")

    assert running.reload() == "dane-mailgraph: Read the configuration again.\n"
    assert (running.folder / "elsewhere" / "ledger.sqlite").exists()


def test_a_wrong_configuration_is_reported_and_the_one_of_before_stays(running: Running) -> None:
    running.write("grace = soon", state="elsewhere")

    said = running.reload()
    assert said.startswith(f"dane-mailgraph: grace = soon in {running.file}, line 3 is wrong: ")
    assert said.endswith(" Keeping the previous configuration.\n")
    assert said.count("\n") == 1
    assert not (running.folder / "elsewhere").exists()
    running.write("grace = 7")
    assert running.reload() == "dane-mailgraph: Read the configuration again.\n"


def test_a_store_that_cannot_be_had_leaves_the_one_of_before_in_force(running: Running) -> None:
    (running.folder / "file").touch()
    running.write(state="file")

    said = running.reload()
    assert said.endswith(" Keeping the previous configuration.\n")
    assert said.count("\n") == 1
    (running.folder / "state" / "ledger.sqlite").unlink()
    running.wait_for(b"WATCHDOG=1")
    running.wait_for(b"WATCHDOG=1")
    assert (running.folder / "state" / "ledger.sqlite").exists(), (
        "it is still the old one that is kept"
    )


def test_systemd_is_told_what_keeps_a_service_from_counting_and_when_it_is_over(
    running: Running,
) -> None:
    os.rename(running.folder / "state", running.folder / "elsewhere")
    (running.folder / "state").write_text("in the way")
    running.wait_for(f"STATUS={running.folder / 'state'} cannot be written: ".encode())
    (running.folder / "state").unlink()
    os.rename(running.folder / "elsewhere", running.folder / "state")
    running.wait_for(b"STATUS=All is well again")
