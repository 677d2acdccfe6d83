"""Installed by `make install` and run under a real systemd: `make test-systemd`."""

from __future__ import annotations

import hashlib
import os
import quopri
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from box import Box, CannotBoot, why_not
from servers import MAIN, MASTER, NAME, Authority, call, needs

ROOT = Path(__file__).parents[1]
WHEELS = ROOT / "build" / "wheels"
SOURCE = "/usr/local/src/dane-mailgraph"
SERVICE, RENDER, TIMER, CHECK, CHECK_TIMER, PROBE, PROBE_TIMER = (
    "dane-mailgraph.service",
    "dane-mailgraph-render.service",
    "dane-mailgraph-render.timer",
    "dane-mailgraph-check.service",
    "dane-mailgraph-check.timer",
    "dane-mailgraph-probe.service",
    "dane-mailgraph-probe.timer",
)
SHIP, SHIP_TIMER = "dane-mailgraph-ship.service", "dane-mailgraph-ship.timer"
UNITS = (SERVICE, RENDER, TIMER, CHECK, CHECK_TIMER, PROBE, PROBE_TIMER, SHIP, SHIP_TIMER)
COMMAND = "/opt/dane-mailgraph/bin/dane-mailgraph"
CONF, SHORT = "/etc/dane-mailgraph.conf", "step = 20\ngrace = 0\n"
LOG = "/var/log/mail.log"
NODE_EXPORTER = "/var/lib/prometheus/node-exporter"
TEXT = (
    "TLS connection established to mx.example.org[192.0.2.1]:25: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)

pytestmark = pytest.mark.systemd


def sources() -> list[str]:
    listed = (
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    )
    return subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")[
        :-1
    ]


def make(
    box: Box, target: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run make in the box, where there is no network: pip finds in a folder what it would fetch."""
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/usr/local/src/wheels",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    variables = {**offline, **environment}
    return box.run(
        "make",
        "--no-print-directory",
        "-C",
        SOURCE,
        "PYTHON=/usr/bin/python3",
        target,
        check=check,
        timeout=300,
        **variables,
    )


def told(said: str) -> list[str]:
    """The lines without those that say how far an installation is: they depend on its time."""
    return [line for line in said.splitlines() if not line.startswith("| ")]


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    """A box with a checkout, wheels and a log that Debian's rsyslog could have written."""
    if reason := why_not():
        pytest.skip(reason)
    if not (WHEELS / "ready").exists():
        pytest.skip("the wheels are not there; run this with `make test-systemd`")
    with ExitStack() as stack:
        try:
            box = stack.enter_context(Box())
        except CannotBoot as error:
            pytest.skip(str(error))
        for names, folder, target in (
            (sources(), ROOT, SOURCE),
            ([each.name for each in WHEELS.glob("*.whl")], WHEELS, "/usr/local/src/wheels"),
        ):
            (box / target).mkdir(parents=True)
            packed = subprocess.run(
                ("tar", "-C", str(folder), "-c", *names), check=True, capture_output=True
            ).stdout
            subprocess.run(
                ("tar", "-C", str(box / target), "--no-same-owner", "-x"), check=True, input=packed
            )
        box.run("install", "-m", "640", "-o", "root", "-g", "adm", "/dev/null", LOG)
        yield box


@pytest.fixture(scope="module")
def installed(box: Box) -> str:
    """What `make install` printed."""
    return make(box, "install").stdout


@pytest.fixture(scope="module")
def configured(box: Box, installed: str) -> Box:
    """The box with intervals so short that a test need not wait a minute for each count."""
    box.run("systemctl", "stop", SERVICE)
    with open(box / CONF, "a", encoding="ascii") as conf:
        conf.write(SHORT)
    return box


@pytest.fixture
def running(configured: Box) -> Iterator[Box]:
    """The service, started and stopped."""
    box = configured
    box.run("systemctl", "reset-failed", SERVICE, check=False)
    box.run("systemctl", "start", SERVICE)
    yield box
    box.run("systemctl", "stop", SERVICE)


def until(true: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait until something is true: a count is committed once in each interval."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@contextmanager
def settings(box: Box, *lines: str) -> Iterator[None]:
    """Let the configuration have these lines and no others but those of short intervals."""
    conf = box / CONF
    kept = conf.read_text()
    conf.write_text("".join(f"{line}\n" for line in lines) + SHORT)
    try:
        yield
    finally:
        conf.write_text(kept)


def connect(box: Box, times: int = 1) -> None:
    """The log grows."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    with open(box / LOG, "a", encoding="ascii") as log:
        log.write(f"{stamp} mx postfix/smtp[7]: Verified {TEXT}\n" * times)


def verified(box: Box) -> int:
    """How many are counted: as one asks who may read the counts and nothing more."""
    ask = (
        "runuser",
        "-u",
        "nobody",
        "-g",
        "dane-mailgraph",
        "--",
        "dane-mailgraph",
        "report",
        "--since",
        "2d",
        "--format",
        "csv",
    )
    done = box.run(*ask, check=False)
    found = [line for line in done.stdout.splitlines() if ",connections,verified," in line]
    return int(found[0].rpartition(",")[2] or 0) if found else -1


def counted(box: Box, number: int) -> None:
    until(lambda: verified(box) >= number, f"{number} connections are not counted")
    assert verified(box) == number


def drop_in(box: Box, *lines: str, section: str = "Service", unit: str = SERVICE) -> None:
    """Change a unit for one test: what is below /run goes with `uninstall` or the box."""
    folder = box / f"/run/systemd/system/{unit}.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test.conf").write_text(
        "\n".join((f"[{section}]", *lines, "[Unit]", "StartLimitIntervalSec=0", ""))
    )
    box.run("systemctl", "daemon-reload")


# ---- installing -----------------------------------------------------------------------------


def test_install_prints_the_two_commands_that_start_it(installed: str) -> None:
    start = [
        "  systemctl enable --now dane-mailgraph.service",
        "  systemctl enable --now dane-mailgraph-render.timer",
    ]

    assert installed.splitlines()[-2:] == start


def test_what_is_installed_belongs_to_whom_it_should(box: Box, installed: str) -> None:
    said = box.says(
        "stat",
        "-c",
        "%U:%G %a %n",
        "/var/lib/dane-mailgraph",
        "/var/cache/dane-mailgraph",
        CONF,
    )

    assert said.splitlines() == [
        "dane-mailgraph:dane-mailgraph 750 /var/lib/dane-mailgraph",
        "dane-mailgraph:dane-mailgraph 755 /var/cache/dane-mailgraph",
        "root:root 644 /etc/dane-mailgraph.conf",
    ]
    assert set(box.says("id", "-nG", "dane-mailgraph").split()) == {
        "dane-mailgraph",
        "adm",
        "systemd-journal",
    }


def test_the_file_is_what_config_prints_with_every_default_commented_out(
    box: Box, installed: str
) -> None:
    written = (box / CONF).read_text()

    assert box.says("dane-mailgraph", "config") == written.strip()
    assert not [line for line in written.splitlines() if line and not line.startswith("#")]


def test_the_units_are_clean_where_they_are_installed(box: Box, installed: str) -> None:
    done = box.run(
        "systemd-analyze",
        "verify",
        "--man=yes",
        *(f"/etc/systemd/system/{unit}" for unit in UNITS),
        *(f"/etc/systemd/system/{of_host(unit, 'mx1')}" for unit in UNITS),
    )

    assert (done.stdout, done.stderr) == ("", "")


def test_man_pages_and_completions_are_where_they_are_looked_for(box: Box, installed: str) -> None:
    assert (
        box.says("sh", "-c", "PATH=$PATH command -v dane-mailgraph")
        == "/usr/local/bin/dane-mailgraph"
    )
    for path in (
        "man/man8/dane-mailgraph.8",
        "man/man5/dane-mailgraph.conf.5",
        "bash-completion/completions/dane-mailgraph",
        "zsh/site-functions/_dane-mailgraph",
        "fish/vendor_completions.d/dane-mailgraph.fish",
    ):
        assert (box / f"/usr/local/share/{path}").stat().st_mode & 0o777 == 0o644


def test_a_new_shell_of_fish_completes_it(box: Box, installed: str) -> None:
    if box.run("fish", "--version", check=False).returncode:
        pytest.skip("fish is not installed")

    assert box.says("fish", "-c", "complete -C 'dane-mailgraph rep'").startswith("report\t")


def test_installing_again_keeps_the_configuration_and_takes_the_new_program(
    box: Box, installed: str
) -> None:
    conf, version = box / CONF, box / f"{SOURCE}/dane_mailgraph/__init__.py"
    kept, before = conf.read_text(), version.read_text()
    conf.write_text("grace = 1\n")
    version.write_text("__version__ = '99'\n")
    (box / f"{SOURCE}/build/lib/dane_mailgraph").mkdir(parents=True, exist_ok=True)
    (box / f"{SOURCE}/build/lib/dane_mailgraph/gone.py").write_text("")
    box.run("systemctl", "start", SERVICE)
    pid = box.show(SERVICE, "MainPID")
    try:
        said = make(box, "install").stdout
        assert told(said) == [line for line in told(installed) if not line.startswith("Making ")]
        assert box.says("dane-mailgraph", "--version") == "dane-mailgraph 99"
        assert conf.read_text() == "grace = 1\n"
        assert box.show(SERVICE, "MainPID") not in (pid, "0"), "the new program runs"
        assert not list((box / "/opt/dane-mailgraph/lib").rglob("gone.py"))
    finally:
        conf.write_text(kept)
        version.write_text(before)


def test_a_wrong_configuration_is_no_success(box: Box, installed: str) -> None:
    conf = box / CONF
    kept = conf.read_text()
    conf.write_text("step = many\n")
    try:
        done = make(box, "install", check=False)
    finally:
        conf.write_text(kept)
    assert done.returncode == 2
    assert "To start it" not in done.stdout
    wrong, what_to_do, _ = done.stderr.splitlines()
    assert "/etc/dane-mailgraph.conf, line 1 is wrong" in wrong
    assert what_to_do == (
        "It is installed in /opt/dane-mailgraph but would not start: "
        "mend what the lines above say, then run make install again."
    )


@pytest.mark.parametrize(
    "prefix", ["/usr/local", "/", "", "/srv/../usr", "/home/me/dane", "/opt/a b", "/etc"]
)
def test_a_folder_that_is_not_ours_is_neither_filled_nor_removed(
    prefix: str, box: Box, installed: str
) -> None:
    for target in ("install", "uninstall"):
        done = box.run(
            "make",
            "--no-print-directory",
            "-C",
            SOURCE,
            "PYTHON=/usr/bin/python3",
            f"PREFIX={prefix}",
            target,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"PREFIX={prefix.rstrip('/')} ")
    assert (box / "/etc/hostname").exists()


# ---- running --------------------------------------------------------------------------------


def test_the_service_is_ready_and_counts_what_is_logged(running: Box) -> None:
    assert running.show(SERVICE, "ActiveState") == "active"
    assert running.show(SERVICE, "User") == "dane-mailgraph"
    before = max(verified(running), 0)
    connect(running, 3)
    counted(running, before + 3)


def test_what_root_types_leaves_the_store_to_the_service(running: Box) -> None:
    before = max(verified(running), 0)
    running.run("systemctl", "stop", SERVICE)
    connect(running, 2)
    running.run("dane-mailgraph", "collect")
    running.run("dane-mailgraph", "render")
    folders = ("/var/lib/dane-mailgraph", "/var/cache/dane-mailgraph")
    assert running.says("find", *folders, "!", "-user", "dane-mailgraph") == ""
    running.run("systemctl", "start", SERVICE)
    connect(running, 3)
    counted(running, before + 5)


def test_a_log_that_is_rotated_is_followed(running: Box) -> None:
    before = max(verified(running), 0)
    connect(running, 2)
    running.run("mv", LOG, f"{LOG}.1")
    running.run("install", "-m", "640", "-o", "root", "-g", "adm", "/dev/null", LOG)
    connect(running, 5)
    counted(running, before + 7)


def test_a_reload_reads_the_configuration_again(running: Box) -> None:
    pid = running.show(SERVICE, "MainPID")
    with settings(running, "grase = 5"):
        running.run("systemctl", "reload", SERVICE)
        wrong = "/etc/dane-mailgraph.conf, line 1: there is no setting grase; did you mean grace? "
        until(lambda: wrong in running.journal(SERVICE), "the wrong configuration is not said")
    with settings(running, "relays_days = 5"):
        running.run("systemctl", "reload", SERVICE)
        until(
            lambda: "Read the configuration again" in running.journal(SERVICE),
            "the right configuration is not said",
        )
    assert (running.show(SERVICE, "ActiveState"), running.show(SERVICE, "MainPID")) == (
        "active",
        pid,
    )


def test_metrics_reach_the_folder_of_node_exporter_by_the_commands_of_the_docs(
    running: Box,
) -> None:
    docs = (running / SOURCE / "docs" / "operations.md").read_text()
    commands = docs.partition("```sh\n")[2].partition("```")[0].splitlines()
    folder, conf = running / NODE_EXPORTER, running / CONF
    folder.mkdir(parents=True, exist_ok=True)
    kept = conf.read_text()
    connect(running)  # an empty file is no log yet
    try:
        for command in commands:
            if not command.startswith("curl "):
                running.run("sh", "-e", "-c", command)
        file = folder / "dane-mailgraph.prom"
        until(file.exists, "metrics_file is not written")
    finally:
        conf.write_text(kept)
    assert "# TYPE dane_mailgraph_build_info gauge\n" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o644


FETCH = """
import urllib.request
asked = urllib.request.Request("http://127.0.0.1:8428/api/v1/export?match[]=%7Bhost!=%22%22%7D&start=0")
asked.add_header("Authorization", "Basic bXg6c2VjcmV0")
print(urllib.request.urlopen(asked).read().decode())
"""


@needs("victoria-metrics")
def test_a_host_sends_its_counts_by_the_commands_of_the_docs(running: Box) -> None:
    docs = (running / SOURCE / "docs" / "operations.md").read_text().partition("## Many hosts")[2]
    conf = running / CONF
    kept = conf.read_text()
    database, host = [
        [line for line in each.partition("```")[0].splitlines() if not line.startswith("apt-get")]
        for each in docs.split("```sh\n")[1:3]
    ]

    def there() -> bool:
        fetched = running.run("/usr/bin/python3", "-c", FETCH, check=False).stdout
        return "dane_mailgraph_connections_total" in fetched

    drop_in(
        running,
        "OnCalendar=*:*:0/2",
        "RandomizedDelaySec=0",
        "AccuracySec=100ms",
        section="Timer",
        unit=SHIP_TIMER,
    )
    try:
        for command in database + host:
            running.run("sh", "-e", "-c", command.replace("vm.example.org", "127.0.0.1"))
        connect(running)
        until(there, f"nothing arrives: {running.journal(SHIP)}", seconds=200)
    finally:
        conf.write_text(kept)
        running.run("systemctl", "stop", SHIP_TIMER, "victoria-metrics", check=False)


@needs("victoria-metrics")
def test_the_unit_sends_with_a_secret_from_a_file(running: Box) -> None:
    secret = "/etc/dane-mailgraph/vm-password"
    database = ("systemd-run", "--unit=vm", "/usr/bin/victoria-metrics", "-retentionPeriod=20y")
    access = ("-httpAuth.username=mx", "-httpAuth.password=secret")
    place = ("-storageDataPath=/var/tmp/vm", "-httpListenAddr=127.0.0.1:8428")
    running.run(*database, *access, *place)
    running.run("install", "-m", "640", "-g", "dane-mailgraph", "/dev/null", secret)
    (running / secret).write_text("mx:secret\n")
    connect(running)

    def there() -> bool:
        running.run("systemctl", "start", SHIP, check=False)
        fetched = running.says("/usr/bin/python3", "-c", FETCH)
        return (
            running.show(SHIP, "Result") == "success"
            and "dane_mailgraph_connections_total" in fetched
        )

    lines = "ship_url = http://127.0.0.1:8428", f"ship_password_file = {secret}"
    try:
        with settings(running, *lines):
            until(there, "nothing arrives", seconds=120)
        assert "secret" not in running.journal(SHIP)
    finally:
        running.run("systemctl", "stop", "vm.service", check=False)


def test_a_stop_is_quick_and_well(box: Box, installed: str) -> None:
    box.run("systemctl", "start", SERVICE)
    began = time.monotonic()
    box.run("systemctl", "stop", SERVICE)

    assert time.monotonic() - began < 3
    assert (box.show(SERVICE, "ActiveState"), box.show(SERVICE, "Result")) == (
        "inactive",
        "success",
    )


def test_a_service_that_is_killed_comes_again_and_has_lost_nothing(running: Box) -> None:
    drop_in(running, "RestartSec=100ms")
    before, pid = max(verified(running), 0), running.show(SERVICE, "MainPID")
    running.run("kill", "-KILL", pid)
    connect(running, 4)
    until(lambda: running.show(SERVICE, "MainPID") not in (pid, "0"), "it does not come again")
    counted(running, before + 4)


def test_a_service_that_hangs_is_found_by_the_watchdog(running: Box) -> None:
    drop_in(running, "RestartSec=100ms", "WatchdogSec=2", "TimeoutAbortSec=1")
    running.run("systemctl", "restart", SERVICE)
    pid = running.show(SERVICE, "MainPID")
    time.sleep(3)
    assert running.show(SERVICE, "MainPID") == pid, "while it works it is left alone"
    running.run("kill", "-STOP", pid)
    until(lambda: running.show(SERVICE, "MainPID") not in (pid, "0"), "the watchdog does not bark")
    assert "Watchdog timeout" in running.journal(SERVICE)


def test_a_wrong_configuration_is_not_tried_again(box: Box, installed: str) -> None:
    conf = box / CONF
    kept = conf.read_text()
    drop_in(box, "RestartSec=100ms")
    try:
        conf.write_text("step = 7\n")
        assert box.run("systemctl", "restart", SERVICE, check=False).returncode == 1
        until(lambda: box.show(SERVICE, "ActiveState") == "failed", "it does not give up")
        time.sleep(1)
        assert box.show(SERVICE, "ActiveState") == "failed"
        assert (box.show(SERVICE, "ExecMainStatus"), box.show(SERVICE, "NRestarts")) == ("78", "0")
    finally:
        conf.write_text(kept)
        box.run("systemctl", "reset-failed", SERVICE)


def test_a_step_that_does_not_fit_the_store_is_not_tried_again(running: Box) -> None:
    conf = running / CONF
    kept, before = conf.read_text(), max(verified(running), 0)
    connect(running)
    counted(running, before + 1)
    drop_in(running, "RestartSec=100ms")
    try:
        conf.write_text("step = 300\n")
        assert running.run("systemctl", "restart", SERVICE, check=False).returncode == 1
        until(lambda: running.show(SERVICE, "ActiveState") == "failed", "it does not give up")
        time.sleep(1)
        assert (running.show(SERVICE, "ExecMainStatus"), running.show(SERVICE, "NRestarts")) == (
            "78",
            "0",
        )
        assert (
            "counts in steps of 20 seconds, the setting step says 300; set it back"
            in running.journal(SERVICE)
        )
    finally:
        conf.write_text(kept)
        running.run("systemctl", "reset-failed", SERVICE)


def test_status_tells_what_keeps_a_service_from_counting(running: Box) -> None:
    # While it runs, a rotation may be under way: the log must be missing for a minute.
    running.run("mv", LOG, f"{LOG}.away")
    running.run("systemctl", "restart", SERVICE)
    until(lambda: LOG in running.show(SERVICE, "StatusText"), "it is not told")
    assert running.show(SERVICE, "ActiveState") == "active"
    running.run("mv", f"{LOG}.away", LOG)
    until(
        lambda: running.show(SERVICE, "StatusText").startswith("All is well again"),
        "it is not over",
    )


def test_the_timer_draws_at_low_priority(running: Box) -> None:
    before = max(verified(running), 0)
    connect(running)
    counted(running, before + 1)
    drop_in(
        running,
        "OnCalendar=*:*:0/2",
        "RandomizedDelaySec=0",
        "AccuracySec=100ms",
        section="Timer",
        unit=TIMER,
    )
    page = running / "/var/cache/dane-mailgraph/index.html"
    running.run("systemctl", "start", TIMER)
    try:
        until(page.exists, f"the timer draws nothing: {running.journal(RENDER)}", 60)
    finally:
        running.run("systemctl", "stop", TIMER)
    until(lambda: running.show(RENDER, "ActiveState") == "inactive", "it does not end", 60)
    assert (running.show(RENDER, "Result"), running.show(RENDER, "Nice")) == ("success", "19")
    names = {each.name for each in page.parent.iterdir()}
    assert "index.html" in names and any(name.endswith(".png") for name in names)
    assert running.run(
        "runuser", "-u", "nobody", "--", "cat", "/var/cache/dane-mailgraph/index.html"
    ).stdout.startswith("<!")
    assert "rror" not in running.journal(RENDER)


MAILBOX = """
import socketserver

class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 box\\r\\n")
        while words := self.rfile.readline().strip():
            if words.upper() == b"DATA":
                self.wfile.write(b"354 go\\r\\n")
                content = b"".join(iter(self.rfile.readline, b".\\r\\n"))
                open("/run/mail", "wb").write(content)
            self.wfile.write(b"250 ok\\r\\n")

socketserver.TCPServer(("127.0.0.1", 2525), Session).serve_forever()
"""


def test_the_check_hands_its_mail_to_this_machine_and_reaches_no_log(running: Box) -> None:
    mail = running / "/run/mail"
    (running / "/usr/local/bin/mailbox.py").write_text(MAILBOX)
    listener = "mailbox.service"
    running.run(
        "systemd-run", f"--unit={listener}", "/usr/bin/python3", "/usr/local/bin/mailbox.py"
    )
    before = max(verified(running), 0)
    with open(running / LOG, "a", encoding="ascii") as log:
        log.write("no time in this line\n" * 2000)
    connect(running)
    counted(running, before + 1)
    drop_in(running, f"ExecStartPre=/bin/sh -xc 'cat {LOG}; echo $$?'", unit=CHECK)
    try:
        with settings(running, "tell = mail:postmaster@example.org via 127.0.0.1:2525"):
            for _ in range(2):
                running.run("systemctl", "start", CHECK, check=False)
                said = running.journal(CHECK)
                assert running.show(CHECK, "Result") == "success", said
            until(mail.exists, f"no mail comes: {said}")
        assert re.findall(r"^\d$", said, re.MULTILINE)[-1:] == ["1"], said
    finally:
        running.run("systemctl", "stop", listener, check=False)
    assert (
        "lines of the last 24 hours were not counted"
        in quopri.decodestring(mail.read_bytes()).decode()
    )


def test_who_draws_reads_the_counts_and_can_neither_change_them_nor_read_the_log(
    running: Box,
) -> None:
    state = "/var/lib/dane-mailgraph"
    before = max(verified(running), 0)
    connect(running)
    counted(running, before + 1)
    tried = (
        f"test -r {state}/ledger.sqlite; test -w {state}; touch {state}/x; cat {LOG}; "
        "ls /run/log/journal"
    )
    drop_in(
        running,
        f"ExecStartPre=/bin/sh -xc '{tried.replace(';', '; echo $$?;')}; echo $$?'",
        unit=RENDER,
    )
    page = running / "/var/cache/dane-mailgraph/index.html"
    page.unlink(missing_ok=True)
    running.run("systemctl", "start", RENDER)
    said = running.journal(RENDER)

    assert re.findall(r"^\d$", said, re.MULTILINE)[-5:] == ["0", "1", "1", "1", "2"], said
    assert page.exists()
    assert running.show(RENDER, "Result") == "success"


def test_to_whom_mail_goes_is_not_for_every_user_and_a_picture_leaves_it_so(running: Box) -> None:
    running.run("chmod", "755", "/var/lib/dane-mailgraph")  # an earlier version's
    running.run("systemctl", "restart", SERVICE)
    running.run("systemctl", "start", RENDER)
    done = running.run("runuser", "-u", "nobody", "--", "dane-mailgraph", "relays", check=False)

    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr == (
        "dane-mailgraph: /var/lib/dane-mailgraph/ledger.sqlite cannot be read: Permission denied; "
        "run this as root or as a user of the group of its folder.\n"
    )
    assert running.says("stat", "-c", "%a", "/var/lib/dane-mailgraph") == "750"
    assert running.run(
        "runuser", "-u", "nobody", "--", "cat", "/var/cache/dane-mailgraph/index.html"
    ).stdout.startswith("<!")


def test_what_is_taken_away_is_out_of_reach(running: Box) -> None:
    """Not only said in the unit: tried in its namespaces, as its user."""
    pid = running.show(SERVICE, "MainPID")
    status = dict(
        line.split(":\t", 1)
        for line in (running / f"/proc/{pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert (status["CapEff"], status["CapBnd"], status["NoNewPrivs"], status["Seccomp"]) == (
        "0" * 16,
        "0" * 16,
        "1",
        "2",
    )
    mounts = [line.split() for line in (running / f"/proc/{pid}/mounts").read_text().splitlines()]
    writable = {fields[1] for fields in mounts if "rw" in fields[3].split(",")}
    assert {each for each in writable if not each.startswith(("/dev", "/proc", "/run", "/sys"))} - {
        NODE_EXPORTER
    } == {
        "/tmp",
        "/var/tmp",
        "/var/lib/dane-mailgraph",
    }


# ---- one machine that counts for many --------------------------------------------------------


def of_host(unit: str, name: str) -> str:
    """The unit that does for one host what another does for the machine."""
    return unit.replace(".", f"@{name}.")


def test_hosts_of_a_central_log_are_counted_and_drawn_apart_beside_each_other(
    box: Box, installed: str
) -> None:
    central, folder = box / "/var/log/central.log", box / "/etc/dane-mailgraph"
    box.run("install", "-m", "640", "-o", "root", "-g", "adm", "/dev/null", "/var/log/central.log")
    names = {"mx1": 3, "mx2": 5}
    services = [of_host(SERVICE, name) for name in names]
    for name in names:
        (folder / f"{name}.conf").write_text(
            f"log = /var/log/central.log\nonly_hosts = {name}\ntell = command:/bin/true\n{SHORT}"
        )
    box.run("systemctl", "enable", "--now", *services)
    try:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        with open(central, "a", encoding="ascii") as log:
            for name, times in names.items():
                log.write(f"{stamp} {name} postfix/smtp[7]: Verified {TEXT}\n" * times)

        def found(name: str) -> int:
            conf = ("--config", f"/etc/dane-mailgraph/{name}.conf")
            done = box.run("dane-mailgraph", *conf, "report", "--format", "csv", check=False)
            rows = [line for line in done.stdout.splitlines() if ",connections,verified," in line]
            return int(rows[0].rpartition(",")[2] or 0) if rows else -1

        for name, times in names.items():
            until(lambda name=name, times=times: found(name) >= times, f"{name} is not counted")  # type: ignore[misc]
            assert found(name) == times
            box.run("systemctl", "start", of_host(RENDER, name))
            page = (box / f"/var/cache/dane-mailgraph/{name}/index.html").read_text()
            assert name in page
            assert box.run("systemctl", "start", of_host(CHECK, name), check=False).returncode == 0
        owners = box.says("stat", "-c", "%U %a", "/var/lib/dane-mailgraph/mx1")
        assert owners == "dane-mailgraph 750"
        make(box, "install")
        assert [box.show(each, "ActiveState") for each in services] == ["active", "active"]
    finally:
        box.run("systemctl", "disable", "--now", *services)


# ---- the journal ----------------------------------------------------------------------------

SAY = """
import sys, syslog
syslog.openlog("postfix/smtp", syslog.LOG_PID, syslog.LOG_MAIL)
for n in range(int(sys.argv[1])):
    syslog.syslog(sys.argv[2].replace("mx.", f"mx{n}."))
"""


def say(box: Box, times: int, text: str = f"Verified {TEXT}", user: str = "postfix") -> None:
    """Log to the journal as a client of Postfix does, or as somebody else."""
    box.run("runuser", "-u", user, "--", "/usr/bin/python3", "-c", SAY, str(times), text)


@pytest.fixture
def journaled(configured: Box) -> Iterator[Box]:
    """The service, following the journal from now on."""
    box = configured
    box.run("rm", "-rf", "/var/lib/dane-mailgraph/journal")
    box.run("useradd", "--system", "postfix", check=False)
    limits = box / "/run/systemd/journald.conf.d/limits.conf"
    limits.parent.mkdir(parents=True, exist_ok=True)
    limits.write_text("[Journal]\nRateLimitIntervalSec=1s\nRateLimitBurst=50\n")
    box.run("systemctl", "restart", "systemd-journald")
    # What an earlier test has logged goes.
    box.run("journalctl", "--rotate", "--vacuum-time=1us")
    drop_in(box, "RestartSec=100ms")
    box.run("systemctl", "reset-failed", SERVICE, check=False)
    with settings(box, "log = journal", "state_dir = /var/lib/dane-mailgraph/journal"):
        box.run("systemctl", "start", SERVICE)
        yield box
        box.run("systemctl", "stop", SERVICE)


def test_the_journal_is_counted_and_only_what_postfix_has_logged(journaled: Box) -> None:
    say(journaled, 12)
    say(journaled, 5, user="nobody")
    say(journaled, 3, f"lost connection\n2026-11-24T02:00:00Z box postfix/smtp[1]: Verified {TEXT}")
    say(journaled, 2)
    counted(journaled, 14)


def test_the_journal_is_counted_exactly_through_kills_rotations_and_restarts(
    journaled: Box,
) -> None:
    for turn in range(6):
        say(journaled, 40)
        if turn % 2:
            journaled.run("journalctl", "--rotate")
        journaled.run("kill", "-KILL", journaled.show(SERVICE, "MainPID"), check=False)
        say(journaled, 7)
        if turn == 3:
            journaled.run("systemctl", "restart", "systemd-journald")
        until(lambda: journaled.show(SERVICE, "MainPID") != "0", "it does not come again")
    counted(journaled, 6 * 47)
    journaled.run("journalctl", "--rotate")
    say(journaled, 4)
    counted(journaled, 6 * 47 + 4)
    time.sleep(2)  # read once more after the rotation
    journaled.run("journalctl", "--vacuum-time=1us")
    say(journaled, 3)
    counted(journaled, 6 * 47 + 7)
    assert " is lost" not in journaled.journal(SERVICE)


def test_a_journal_that_was_vacuumed_before_it_was_read_is_reported_to_be_lost(
    journaled: Box,
) -> None:
    say(journaled, 4)
    counted(journaled, 4)
    journaled.run("systemctl", "stop", SERVICE)
    say(journaled, 9)
    time.sleep(1.1)  # a second is the finest that we reckon in
    journaled.run("journalctl", "--rotate", "--vacuum-time=1us")
    say(journaled, 5)
    journaled.run("systemctl", "start", SERVICE)
    counted(journaled, 9)
    assert " is lost, so that time is unknown" in journaled.journal(SERVICE)


def test_messages_that_journald_suppressed_are_reported(journaled: Box) -> None:
    run = ("systemd-run", "--quiet", "--wait", "--property=User=postfix", "--unit=chatty")
    journaled.run(*run, "/usr/bin/python3", "-c", SAY, "200", f"Verified {TEXT}")
    time.sleep(1.2)  # RateLimitIntervalSec
    journaled.run(*run, "/usr/bin/python3", "-c", SAY, "1", f"Verified {TEXT}")
    said = r"journald has suppressed (\d+) messages of Postfix before "
    until(lambda: bool(re.search(said, journaled.journal(SERVICE))), "it does not say so")
    (suppressed,) = re.findall(said, journaled.journal(SERVICE))
    counted(journaled, 201 - int(suppressed))


def test_who_may_not_read_the_journal_ends_with_66_and_a_sentence(journaled: Box) -> None:
    ask = (
        "runuser",
        "-u",
        "nobody",
        "--",
        "dane-mailgraph",
        "collect",
        "--log",
        "journal",
        "--state-dir",
        "/tmp/nobody",
    )
    done = journaled.run(*ask, check=False)

    assert done.returncode == 66
    assert done.stderr == (
        "dane-mailgraph: The journal cannot be read: "
        "No journal files were opened due to insufficient permissions; "
        "run as a user of the group systemd-journal.\n"
    )


# ---- our own servers ------------------------------------------------------------------------

SERVE = """
import sys
from pathlib import Path
from servers import nameserver
with nameserver(Path(sys.argv[1]), sys.argv[2], port=53):
    print(flush=True)
    sys.stdin.read()
"""


LOOKED = """
import sqlite3, sys
ledger = sqlite3.connect("/var/lib/dane-mailgraph/ledger.sqlite", isolation_level=None, timeout=10)
ledger.execute("UPDATE own_mx SET at = at - ?", (int(sys.argv[1]),))
print(ledger.execute("SELECT max(at) FROM own_mx").fetchone()[0])
"""


class OwnServer:
    """A Postfix in the box that others may reach by DANE, and the resolver that says so."""

    def __init__(self, box: Box, folder: Path) -> None:
        self._box, self._folder = box, folder
        _, chain = Authority(folder).issue("old")
        public = call("openssl", "x509", "-noout", "-pubkey", "-in", chain)
        der = subprocess.run(
            ("openssl", "pkey", "-pubin", "-outform", "DER"),
            input=public.encode(),
            capture_output=True,
            check=True,
        ).stdout
        self.right = f"3 1 1 {hashlib.sha256(der).hexdigest()}"
        self._begin()

    def _begin(self) -> None:
        box = self._box
        box.run("ip", "address", "add", "127.0.0.2/8", "dev", "lo", check=False)
        (box / "/etc/resolv.conf").unlink(missing_ok=True)
        (box / "/etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions trust-ad\n")
        main = MAIN.format(folder="/etc/postfix") + (
            "smtpd_tls_security_level = may\n"
            "smtpd_tls_cert_file = /etc/postfix/old.pem\n"
            "smtpd_tls_key_file = /etc/postfix/old.key\n"
        )
        (box / "/etc/postfix").mkdir(exist_ok=True)
        (box / "/etc/postfix/main.cf").write_text(main)
        (box / "/etc/postfix/master.cf").write_text(
            MASTER + "127.0.0.2:smtp inet n - n - - smtpd\n"
        )
        for each in ("old.pem", "old.key"):
            box.run("install", "-m", "600", "/dev/null", f"/etc/postfix/{each}")
            (box / f"/etc/postfix/{each}").write_text((self._folder / each).read_text())
        box.run("install", "-d", "/etc/postfix/queue")
        box.run("install", "-d", "-o", "postfix", "/etc/postfix/data")
        box.run("postfix", "start")

    @contextmanager
    def published(self, record: str) -> Iterator[None]:
        """Publish a TLSA record."""
        zone = f"{NAME}. 60 IN A 127.0.0.2\n_25._tcp.{NAME}. 60 IN TLSA {record}\n"
        folder = self._folder / f"dns{time.monotonic_ns()}"
        folder.mkdir()
        inside = ("nsenter", f"--net=/proc/{self._box.pid}/ns/net")
        served = subprocess.Popen(
            (*inside, sys.executable, "-c", SERVE, str(folder), zone),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))},
        )
        try:
            assert served.stdout and served.stdout.readline(), "no name server begins"
            yield
        finally:
            served.communicate(timeout=20)

    def looked(self, *, longer_ago: int = 0) -> int:
        """When the last look was; let it be longer ago."""
        user = ("runuser", "-u", "dane-mailgraph", "--", "/usr/bin/python3", "-c", LOOKED)
        return int(self._box.says(*user, str(longer_ago)))

    def stop(self) -> None:
        """Let the box be as it was."""
        self._box.run("postfix", "stop")
        self._box.run("rm", "-rf", "/etc/postfix/main.cf", "/etc/postfix/queue")


@pytest.fixture
def own(running: Box, tmp_path: Path) -> Iterator[OwnServer]:
    connect(running)
    until(lambda: verified(running) > 0, "nothing is counted")
    conf = running / "/etc/dane-mailgraph.conf"
    kept = conf.read_text()
    # By itself it takes no server for ours that listens on the loopback interface alone.
    conf.write_text(f"own_mx = {NAME}\n")
    own = OwnServer(running, tmp_path)
    yield own
    own.stop()
    conf.write_text(kept)


@needs("postfix", "unbound", "ldns-signzone", "nsenter")
def test_the_timer_looks_each_day_and_each_hour_while_something_is_wrong(
    own: OwnServer, running: Box
) -> None:
    def fires() -> None:
        """The timer fires once and the look is over, if there is one."""
        before = running.show(PROBE, "InvocationID")
        until(lambda: running.show(PROBE, "InvocationID") not in (before, ""), "it does not fire")
        until(lambda: running.show(PROBE, "ActiveState") == "inactive", "it does not end")

    seconds = ("OnCalendar=", "OnCalendar=*:*:*", "RandomizedDelaySec=0", "AccuracySec=1ms")
    drop_in(running, *seconds, section="Timer", unit=PROBE_TIMER)
    drop_in(running, "StartLimitIntervalSec=0", section="Unit", unit=PROBE)
    hour, day = 3600, 86400
    with own.published(own.right):
        running.run("systemctl", "start", PROBE_TIMER)
        fires()
        first = own.looked(longer_ago=hour)
        fires()
        assert own.looked() == first, "all is well, and it is less than a day ago"
        own.looked(longer_ago=day - hour)
        fires()
        fires()
        assert own.looked() > first
    with own.published(f"3 1 1 {'00' * 32}"):
        own.looked(longer_ago=day)
        fires()
        fires()
        second = own.looked()
        check = ("dane-mailgraph", "check", "--only", "own_mx,certificate")
        assert running.run(*check, check=False).stdout.startswith(
            "CRITICAL - Senders that do DANE "
        )
        fires()
        assert own.looked() == second, "something is wrong, and it is less than an hour ago"
        third = own.looked(longer_ago=hour)
        fires()
        fires()
        assert own.looked() > third
    running.run("systemctl", "stop", PROBE_TIMER)


@needs("postfix", "unbound", "ldns-signzone", "nsenter")
def test_a_hook_of_a_renewal_says_at_once_whether_senders_deliver(
    own: OwnServer, running: Box
) -> None:
    hook = running / "/etc/deploy-hook"
    docs = (running / SOURCE / "docs" / "operations.md").read_text()
    command = "dane-mailgraph check --probe --only own_mx,certificate"
    assert command in docs
    hook.write_text(f"#!/bin/sh\npostfix reload\n{command}\n")
    hook.chmod(0o755)
    with own.published(own.right):
        done = running.run("/etc/deploy-hook")
        assert done.stdout.startswith("OK - "), done
    with own.published(f"3 1 1 {'00' * 32}"):
        done = running.run("/etc/deploy-hook", check=False)
        assert done.returncode == 2 and done.stdout.startswith("CRITICAL - "), done
        assert f"IN TLSA {own.right}" in running.says("dane-mailgraph")
    assert running.says("find", "/var/lib/dane-mailgraph", "!", "-user", "dane-mailgraph") == ""


# ---- cron -----------------------------------------------------------------------------------


def test_the_lines_of_cron_do_the_same_where_no_systemd_runs(box: Box, installed: str) -> None:
    text = (box / "/etc/cron.d/dane-mailgraph").read_text()
    fields = [line.split(None, 6) for line in text.splitlines() if line.startswith("*")]
    commands = [each[5] + " " + each[6] for each in fields]
    users = {each.split()[0] for each in commands}
    assert users == {"dane-mailgraph"}
    before = max(verified(box), 0)
    connect(box, 2)
    page = box / "/var/cache/dane-mailgraph/index.html"
    page.unlink(missing_ok=True)
    for each in commands:
        line = each.split(None, 1)[1]
        box.run("runuser", "-u", "dane-mailgraph", "--", "/bin/sh", "-c", line)
        assert verified(box) == before and not page.exists(), "systemd's units do it"
        unguarded = line.replace("test -d /run/systemd/system || ", "")
        box.run(
            "runuser",
            "-u",
            "dane-mailgraph",
            "--",
            "/bin/sh",
            "-c",
            unguarded,
            MPLCONFIGDIR="/var/cache/dane-mailgraph-matplotlib",
        )
        before = verified(box)
    assert page.exists()


# ---- taking it away -------------------------------------------------------------------------


def test_uninstall_takes_all_away_but_the_data(box: Box, installed: str) -> None:
    drop_in(box, "ExecStart=", "ExecStart=/bin/false", unit=RENDER)
    (box / "/etc/dane-mailgraph/mx1.conf").write_text(f"log = /var/log/central.log\n{SHORT}")
    box.run("systemctl", "enable", "--now", SERVICE, TIMER, of_host(SERVICE, "mx1"))
    box.run("systemctl", "start", RENDER, check=False)
    until(lambda: box.show(RENDER, "ActiveState") == "failed", "it does not fail")
    said = make(box, "uninstall").stdout

    assert said.startswith("Removed. Left are the counts in /var/lib/dane-mailgraph")
    assert box.run("systemctl", "is-active", SERVICE, TIMER, check=False).stdout.split() == [
        "inactive",
        "inactive",
    ]
    assert "dane-mailgraph" not in box.says(
        "systemctl", "list-units", "--all", "--plain", "--no-legend", "dane-mailgraph*"
    )
    folders = ("/etc", "/home", "/opt", "/root", "/srv", "/usr/local", "/var")
    left = box.says("find", *folders, "-name", "*dane*mailgraph*")
    ours = (SOURCE, "/run/systemd/system/", "/root/.cache/")
    outside = [each for each in left.splitlines() if not each.startswith(ours)]
    kept = ("/var/lib/dane-mailgraph", "/var/cache/dane-mailgraph", "/etc/dane-mailgraph")
    data = (*kept, NODE_EXPORTER)
    assert [each for each in outside if not each.startswith(data)] == []
    assert (box / "/var/lib/dane-mailgraph/ledger.sqlite").exists()
    assert make(box, "uninstall").stdout == said, "twice does no harm"
