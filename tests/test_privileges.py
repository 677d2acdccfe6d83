"""What root types in another user's folder makes files of that user, and is led nowhere else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torture
from host import TEXT, line, rfc3339
from tls_reports import samples
from torture import ended, fork

from dane_mailgraph.cli import command_line
from dane_mailgraph.cli.demo import prepare
from dane_mailgraph.cli.stores import lock
from dane_mailgraph.config import load
from dane_mailgraph.doctor import own_state, unit
from dane_mailgraph.errors import StoreError
from dane_mailgraph.programs import Account
from dane_mailgraph.site.build import present_pictures, publish
from dane_mailgraph.store import Ledger

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may look into, with a state and an output_dir of another user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for each in ("state", "www"):
            (folder / each).mkdir()
            os.chown(folder / each, NOBODY, NOBODY)
        log = folder / "mail.log"
        log.write_text(line(rfc3339(1795485600), TEXT))
        log.chmod(0o600)
        (folder / "victim").mkdir()
        (folder / "victim" / "file").write_text("keep")
        yield folder


def options(folder: Path) -> list[str]:
    names = {"config": "/dev/null", "state-dir": folder / "state", "output-dir": folder / "www"}
    return [f"--{name}={value}" for name, value in {**names, "log": folder / "mail.log"}.items()]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dane_mailgraph", *arguments, *options(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "may not read" in done.stderr:
        assert done.returncode == 74
        assert not list((folder / "state").iterdir())
        pytest.skip("this Python is in a folder of root's, and that is said")
    return done


def test_root_counts_and_draws_for_the_owner_of_the_folders(folder: Path) -> None:
    assert run(folder, "collect").stderr == ""
    assert run(folder, "import", str(folder / "mail.log")).returncode == 0
    assert run(folder, "render").returncode == 0

    made = [*(folder / "state").rglob("*"), *(folder / "www").rglob("*")]
    assert len(made) > 10
    assert {each.stat().st_uid for each in made} == {NOBODY}


def test_root_opens_reports_that_the_owner_of_the_store_may_not_read(folder: Path) -> None:
    maildir = folder / "maildir"
    for name in ("new", "cur"):
        (maildir / name).mkdir(parents=True)
    (maildir / "new" / "1").write_bytes(samples()["office.eml"])
    maildir.chmod(0o700)
    done = run(folder, "tlsrpt", str(maildir))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("counted 1 report of 1 organization: ")
    assert {each.stat().st_uid for each in (folder / "state").iterdir()} == {NOBODY}


def test_reports_are_written_through_no_symbolic_link(folder: Path) -> None:
    report, ledger = folder / "report.json", folder / "state" / "ledger.sqlite"
    report.write_bytes(samples()["big.json"])
    assert run(folder, "tlsrpt", str(report)).returncode == 0
    ledger.unlink()
    ledger.symlink_to(folder / "victim" / "made")

    assert run(folder, "tlsrpt", str(report)).returncode == 74
    assert [each.name for each in (folder / "victim").iterdir()] == ["file"]


def test_a_symbolic_link_leads_root_no_further_than_its_owner(folder: Path) -> None:
    for name in ("making", "lock", "ledger.sqlite"):
        run(folder, "collect")
        link = folder / "state" / name
        for each in (folder / "state").iterdir():
            if each.is_dir():
                each.rmdir()
            else:
                each.unlink()
        link.symlink_to(folder / "victim" / ("made" if name != "making" else ""))
        assert run(folder, "import", str(folder / "mail.log")).returncode == 74
        assert [each.name for each in (folder / "victim").iterdir()] == ["file"]
        link.unlink()


NAMES = (
    *("lock", "ledger.sqlite", "ledger.sqlite-journal", "ledger.sqlite.new", "mail.log.offset"),
    *("outbound.rrd", "outbound.rrd.snapshot", "making", "making/outbound.rrd"),
)
"""What a verb opens in state_dir."""

READ = ("ledger.sqlite", "outbound.rrd")
"""What `render` opens of it."""


def everything_below(folder: Path) -> list[tuple[str, bytes, int, int]]:
    return [
        (
            each.name,
            each.read_bytes() if each.is_file() else b"",
            each.stat().st_mode,
            each.stat().st_mtime_ns,
        )
        for each in sorted([folder, *folder.rglob("*")])
    ]


@pytest.mark.disk
@pytest.mark.parametrize("target", ["file", "nothing", "."])
@pytest.mark.parametrize("name", NAMES)
def test_no_file_of_state_dir_is_opened_through_a_symbolic_link(
    name: str, target: str, tmp_path: Path
) -> None:
    state, victim = tmp_path / "state", tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("keep")
    (victim / "outbound.rrd").write_text("keep")
    (tmp_path / "www").mkdir()
    now = int(time.time())
    log = tmp_path / "mail.log"
    log.write_text(line(rfc3339(now - 3600), TEXT))
    said = tmp_path / "said"
    assert ended(fork(["collect", *options(tmp_path)], said, now=now)) == 0, said.read_text()
    kept = tmp_path / "kept"
    shutil.copytree(state, kept)
    verbs = (["collect"], ["import", "--rebuild", str(log)], ["report"], ["check"])
    for verb in (*verbs, ["render", "--renderer=rrdtool"])[: 5 if name in READ else 4]:
        shutil.rmtree(state)
        shutil.copytree(kept, state)
        link = state / name
        if name == "outbound.rrd.snapshot" or verb[0] == "import":
            (state / "outbound.rrd").unlink()  # so that it must be made
        if link.is_dir():
            link.rmdir()
        else:
            link.unlink(missing_ok=True)
        link.symlink_to(victim / target)
        with log.open("a") as file:
            file.write(line(rfc3339(now - 60), TEXT))
        before = everything_below(victim)
        said.unlink(missing_ok=True)
        ended(fork([*verb, *options(tmp_path)], said, now=now))
        assert "Traceback" not in said.read_text()
        assert everything_below(victim) == before, verb


def test_the_doctor_looks_as_the_owner_and_says_what_that_user_may_not_write(
    folder: Path,
) -> None:
    state, log = folder / "state", folder / "mail.log"
    nobody = Account("nobody", NOBODY, NOBODY, (NOBODY,))
    with torture.small_archives():
        collect_for(NOBODY, folder)
        assert unit.unwritable(str(state), nobody) == ()
        (state / "ledger.sqlite").chmod(0o600)
        if "may not read" in own_state.read_own_state(str(log), str(state), "x", 60).ledger_trouble:
            pytest.skip("this Python is in a folder of root's, and that is said")
        assert own_state.read_own_state(str(log), str(state), str(folder), 60).ledger_trouble == ""
        assert os.geteuid() == 0, "it is the caller again"

        os.chown(state / "ledger.sqlite", 0, 0)
        assert own_state.read_own_state(str(log), str(state), "x", 60).ledger_trouble
        assert unit.unwritable(str(state), nobody) == (str(state / "ledger.sqlite"),)


def test_the_doctor_sees_whether_the_store_is_locked_without_locking_it(folder: Path) -> None:
    assert unit.is_locked(str(folder / "state")) is None
    settings = load(os.devnull, {}, {"state_dir": str(folder / "www")})
    os.chown(folder / "www", 0, 0)
    with lock(settings):
        assert unit.is_locked(str(folder / "www")) is True
    assert unit.is_locked(str(folder / "www")) is False


@pytest.mark.server
@pytest.mark.parametrize("what", ["state", "ledger", "log"])
def test_run_goes_on_by_itself_when_a_permission_is_mended(what: str, folder: Path) -> None:
    state, log, said = folder / "state", folder / "mail.log", folder / "said"
    log.write_text(line(rfc3339(int(time.time()) - 200), TEXT))
    log.chmod(0o644)
    said.touch()
    ledger, clock = state / "ledger.sqlite", time.time
    with torture.small_archives():
        collect_for(NOBODY, folder)
        with log.open("a") as file:
            file.write(line(rfc3339(int(time.time())), TEXT) * 3)
        path = {"state": state, "ledger": ledger, "log": log}[what]
        owner, mode = path.stat().st_uid, path.stat().st_mode
        os.chown(path, 0, 0)
        path.chmod(0o700 if path.is_dir() else 0o600)

        def become_nobody() -> None:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            time.time = clock

        process = fork(["run", *options(folder)], said, now=0, before=become_nobody)
        try:
            until(lambda: bool(said.read_text()))
            os.chown(path, owner, owner)
            path.chmod(mode)
            until(lambda: counted(ledger) == 4)
            until(lambda: "All is well again" in said.read_text())
        finally:
            os.kill(process, signal.SIGTERM)
            assert ended(process) == 0
    assert said.read_text().count("\n") == 2, said.read_text()


def collect_for(user: int, folder: Path) -> None:
    """Count in this process, which loads what later processes need, and give it to a user."""
    state = folder / "state"
    os.chown(state, 0, 0)
    assert command_line.main(["collect", *options(folder)]) == 0
    for each in (state, *state.rglob("*")):
        os.chown(each, user, user)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def counted(ledger: Path) -> int:
    with Ledger(str(ledger), writable=False) as opened:
        return sum(each[0] or 0 for _, each in opened.intervals(0, 1 << 40))


@pytest.mark.disk
def test_demo_leaves_what_a_symbolic_link_leads_to(tmp_path: Path) -> None:
    victim, state = tmp_path / "victim", tmp_path / "state"
    for folder in (victim, state):
        folder.mkdir()
    (victim / "file").write_text("keep")
    before = everything_below(victim)
    for name, target in (("demo", "nothing"), ("../log", "file"), ("a.png", "file"), ("b", ".")):
        (state / name).symlink_to(victim / target)
        with suppress(StoreError):
            prepare(str(state), str(tmp_path / "log"), 1_700_000_000)
        assert everything_below(victim) == before
        (state / name).unlink(missing_ok=True)


def test_two_that_draw_at_once_do_not_meet_and_leave_nothing_behind(tmp_path: Path) -> None:
    www = tmp_path / "www"
    content = {f"{name}.html": name.encode() * 100_000 for name in "abc"}
    with ThreadPoolExecutor() as pool:
        assert len(set(pool.map(lambda _: publish(content, str(www)), range(40)))) == 1

    assert {each.name: each.read_bytes() for each in www.iterdir()} == content


def test_what_a_killed_writer_has_left_is_deleted_later(tmp_path: Path) -> None:
    old, new, theirs = (tmp_path / name for name in ("a.png.12ab.new", "b.png.12ab.new", "news"))
    for each in (old, new, theirs):
        each.touch()
    os.utime(old, (1, 1))
    os.utime(theirs, (1, 1))

    publish({"status.json": b"{}"}, str(tmp_path))

    assert sorted(each.name for each in tmp_path.iterdir()) == [new.name, "news", "status.json"]


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_picture_that_is_no_file_is_not_read(what: str, tmp_path: Path) -> None:
    if what == "link":
        (tmp_path / "a.png").symlink_to("/dev/zero")
    else:
        os.mkfifo(tmp_path / "a.png")

    assert present_pictures(str(tmp_path)) == {}


def test_what_is_drawn_follows_no_symbolic_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep")
    victim.chmod(0o600)
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "status.json").symlink_to(victim)

    publish({"status.json": b"{}"}, str(tmp_path / "www"))

    assert (tmp_path / "www" / "status.json").read_bytes() == b"{}"
    assert not (tmp_path / "www" / "status.json").is_symlink()
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("keep", 0o600)
