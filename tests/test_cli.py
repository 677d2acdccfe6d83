"""The command line: verbs, help, exit statuses, and one sentence for each error."""

from __future__ import annotations

import bz2
import fcntl
import gzip
import json
import lzma
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest
import zstandard
from servers import NAME, Authority

import dane_mailgraph
from dane_mailgraph.cli import command_line, commands
from dane_mailgraph.config import Config
from dane_mailgraph.settings import SETTINGS, Setting

pytestmark = pytest.mark.slow

ROOT = Path(dane_mailgraph.__file__).parents[1]
VERBS = [
    "run",
    "collect",
    "import",
    "render",
    "report",
    "relays",
    "check",
    "summary",
    "metrics",
    "explain",
    "doctor",
    "tlsa",
    "config",
    "demo",
]

OTHERS = [verb for verb in VERBS if verb != "check"]
"""All but the monitoring plugin, whose errors are answers: tests/test_check.py."""

TLS = (
    "TLS connection established to mx.example.org[192.0.2.1]:25: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if not key.startswith("DANE_MAILGRAPH_")
}
ENVIRONMENT["PYTHONPATH"] = str(ROOT)


def connections(number: int, *, ago: int = 3600) -> bytes:
    """Lines of a log: one connection a second, the first of them so long ago."""
    begin = time.time() - ago
    stamps = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin + n)) for n in range(number))
    return "".join(f"{stamp} mail postfix/smtp[7]: Verified {TLS}\n" for stamp in stamps).encode()


class Home:
    """A folder with a log, and the command run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.state, self.www = (
            folder,
            folder / "mail.log",
            folder / "state",
            folder / "www",
        )
        self.log.write_bytes(connections(3))
        self.settings = ["--config", os.devnull, "--time-zone", "UTC"]
        self.settings += ["--state-dir", str(self.state), "--output-dir", str(self.www)]
        self.settings += ["--log", str(self.log)]

    def command(self, verb: str, *rest: str | Path) -> list[str]:
        return [sys.executable, "-m", "dane_mailgraph", verb, *self.settings, *map(str, rest)]

    def run(
        self, verb: str, *rest: str | Path, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        command = self.command(verb, *rest)
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env=ENVIRONMENT,
            timeout=300,
            check=False,
        )

    def done(self, verb: str, *rest: str | Path, stdin: bytes = b"") -> str:
        done = self.run(verb, *rest, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()

    def collected(self) -> None:
        """A store that has counted the log, made in this process because that is faster."""
        assert command_line.main(["collect", *self.settings]) == 0

    def fails(self, status: int, verb: str, *rest: str | Path) -> str:
        """The one sentence on standard error."""
        done = self.run(verb, *rest)
        return sentence(done.returncode, done.stderr.decode(), status)

    def verified(self) -> int | None:
        """How many verified connections `report` knows of."""
        count: int | None = json.loads(self.done("report", "--format", "json", "--since", "2d"))[
            "connections"
        ]["verified"]
        return count


def sentence(returned: int, said: str, status: int) -> str:
    assert returned == status, said
    assert said.startswith("dane-mailgraph: ")
    assert said.endswith((".\n", "?\n"))
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
    return said.rstrip("\n")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run it in this process and expect a failure: what it said."""

    def failing(status: int, *arguments: str) -> str:
        try:
            returned = command_line.main(list(arguments))
        except SystemExit as left:
            returned = int(left.code or 0)
        said = capsys.readouterr()
        assert said.out == ""
        return sentence(returned, said.err, status)

    return failing


# ---- every verb -----------------------------------------------------------------------------


def test_collect_counts_what_is_new_and_nothing_twice(home: Home) -> None:
    assert home.done("collect") == ""
    assert home.done("collect", "--verbose").startswith(
        "read 0 lines (0 bytes), counted 0 connections\nunreadable 0, "
    )
    with home.log.open("ab") as log:
        log.write(connections(2, ago=3))

    assert (
        "read 2 lines" in (said := home.done("collect", "-v")) and "counted 2 connections\n" in said
    )
    assert home.verified() == 5


def test_import_counts_and_says_what_it_skipped(home: Home) -> None:
    older = home.folder / "mail.log.1"
    older.write_bytes(connections(4, ago=7200))

    assert home.done("import", older, home.log) == "counted 7 connections\n"
    assert (
        home.done("import", older)
        == "counted 0 connections; 4 lines skipped, because counted before\n"
    )
    assert home.verified() == 7


def test_import_says_that_smtp_tls_loglevel_is_probably_0(home: Home) -> None:
    sent = "2CE5121E153: to=<s@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, "
    sent += "delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)"
    log = home.folder / "silent.log"
    log.write_text(f"2026-11-24T00:06:00Z mail postfix/smtp[7]: {sent}\n", encoding="ascii")

    assert b"smtp_tls_loglevel is probably 0" in home.run("import", log).stderr
    log.write_bytes(log.read_bytes() + connections(1))
    assert b"smtp_tls_loglevel" not in home.run("import", "--rebuild", log).stderr


def test_import_rebuild_makes_a_fresh_store(home: Home) -> None:
    older = home.folder / "mail.log.1"
    older.write_bytes(connections(4, ago=7200))
    home.done("collect")
    home.done("import", "--rebuild", home.log, older)

    assert home.verified() == 7


def test_import_rebuild_that_fails_leaves_everything_as_it_was(home: Home) -> None:
    home.done("collect")
    before = sorted(path.name for path in home.state.iterdir())
    damaged = home.folder / "mail.log.1.gz"
    damaged.write_bytes(gzip.compress(connections(2000))[:-200])
    home.fails(66, "import", "--rebuild", home.log, damaged)

    assert sorted(path.name for path in home.state.iterdir()) == before
    assert home.verified() == 3


def test_import_rebuild_says_that_nothing_counted_and_where_the_old_store_is(home: Home) -> None:
    home.done("collect")
    empty = home.folder / "empty.log"
    empty.touch()
    done = home.run("import", "--rebuild", empty)

    assert (done.returncode, done.stdout) == (0, b"counted 0 connections\n")
    assert f"kept as {home.state}/ledger.sqlite.aside-1 " in sentence(0, done.stderr.decode(), 0)
    assert not home.verified()
    for path in home.state.glob("*.aside-1"):
        path.rename(path.with_name(path.name.removesuffix(".aside-1")))
    assert home.verified() == 3
    home.done("collect")
    assert home.verified() == 3


def test_import_year_supplies_the_year_that_stamps_lack(home: Home) -> None:
    log = home.folder / "old.log"
    log.write_text(f"Mar  4 12:00:00 mail postfix/smtp[7]: Verified {TLS}\n")
    home.done("import", "--year", "2021", log)

    found = json.loads(
        home.done("report", "--format", "json", "--since", "2021-03-04", "--until", "2021-03-05")
    )
    assert found["connections"]["verified"] == 1


def test_render_report_and_config_speak_of_what_was_collected(home: Home) -> None:
    home.done("collect")
    home.done("render")

    assert (home.www / "index.html").stat().st_size > 1000
    assert re.search(r"Verified +3 +100\.0 %", home.done("report"))
    assert f"state_dir = {home.state}\n" in home.done("config")


def test_render_by_a_user_without_a_home_says_nothing_and_leaves_nothing_behind(home: Home) -> None:
    home.collected()
    scratch = home.folder / "scratch"
    scratch.mkdir()
    environment = {
        key: value
        for key, value in ENVIRONMENT.items()
        if key != "MPLCONFIGDIR" and not key.startswith("XDG_")
    }
    environment |= {"HOME": "/proc/nowhere", "TMPDIR": str(scratch)}
    done = subprocess.run(
        home.command("render"), capture_output=True, env=environment, timeout=300, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert (home.www / "day-connections.png").exists()
    assert list(scratch.iterdir()) == []


def test_explain_reads_standard_input_or_a_file(home: Home) -> None:
    by_name, by_dash, by_default = (
        home.done("explain", "--format", "json", home.log),
        home.done("explain", "--format", "json", "-", stdin=home.log.read_bytes()),
        home.done("explain", "--format", "json", stdin=home.log.read_bytes()),
    )

    assert by_name == by_dash == by_default
    assert [json.loads(line)["counts"][0] for line in by_name.splitlines()] == [
        "connections.verified"
    ] * 3


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress],
    ids=["plain", "gz", "bz2", "xz", "zst"],
)
def test_import_reads_standard_input_packed_or_not(
    pack: Callable[[bytes], bytes], home: Home
) -> None:
    assert home.done("import", "-", stdin=pack(connections(5))) == "counted 5 connections\n"
    assert home.verified() == 5


def test_import_of_standard_input_and_a_log_loses_no_first_line(home: Home) -> None:
    older = connections(97).replace(b" mail ", b" mx2 ")
    assert home.done("import", "-", home.log, stdin=older) == "counted 100 connections\n"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda stop: stop.name)
def test_run_tells_systemd_that_it_is_ready_and_ends_quietly_when_told(
    stop: signal.Signals, home: Home
) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        tempfile.TemporaryDirectory() as short,
    ):
        systemd.bind(f"{short}/notify")
        systemd.settimeout(20)
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": f"{short}/notify"}
        with subprocess.Popen(
            home.command("run"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        ) as child:
            try:
                assert systemd.recv(100) == b"READY=1"
                assert systemd.recv(100) == b"WATCHDOG=1"
                child.send_signal(stop)
                assert child.communicate(timeout=20) == ("", "")
            finally:
                child.kill()
    assert child.returncode == 0
    assert home.verified() == 3


def test_it_starts_as_a_module_too() -> None:
    command = [sys.executable, "-m", "dane_mailgraph", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)

    assert done.stdout == f"dane-mailgraph {dane_mailgraph.__version__}\n"


def test_the_installed_command_is_the_same(home: Home) -> None:
    command = Path(sys.executable).with_name("dane-mailgraph")
    if not command.exists():
        pytest.skip("this interpreter has the package not installed")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"dane-mailgraph {dane_mailgraph.__version__}\n"


# ---- help -----------------------------------------------------------------------------------


def helped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        command_line.main([*arguments, "--help"])
    assert left.value.code == 0
    said = capsys.readouterr()
    assert said.err == ""
    return " ".join(said.out.split())


def test_help_names_every_verb(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    said = helped(capsys)

    for verb in VERBS:
        assert f" {verb} " in said


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_of_a_verb_lists_the_settings_that_it_uses(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    said = helped(capsys, *filter(None, [verb])).replace("--tell [MESSENGER]", "--tell MESSENGER")

    assert said.startswith(f"usage: dane-mailgraph {verb}")
    for setting in SETTINGS:
        text = f"{setting.option} {setting.takes} {setting.help} "
        assert (text in said) == (verb in (*setting.verbs, "config"))


@pytest.mark.parametrize(
    "verb", ["", *(verb for verb in VERBS if verb not in ("run", "config", "demo"))]
)
def test_a_verb_uses_the_settings_that_its_help_lists(
    verb: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[str] = set()

    class Recorder(Config):
        """Settings that remember which of them were asked for."""

        def __getattribute__(self, name: str) -> object:
            used.add(name)
            return super().__getattribute__(name)

    load = commands.settings_in_force
    monkeypatch.setattr(command_line, "settings_in_force", lambda each: Recorder(*load(each)))
    home.collected()
    used.clear()
    log = str(home.log)
    rest = {
        "import": [log],
        "explain": [log],
        "check": ["--tell", "command:/bin/true", "--probe"],
        "tlsa": ["/nowhere", "--name", NAME],
    }.get(verb, [])
    command_line.main([*filter(None, [verb]), *home.settings, *rest])

    expected = {each.name for each in SETTINGS if verb in each.verbs}
    assert expected - {"containers"} == used & {each.name for each in SETTINGS}  # of the journal


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_verb_accepts_every_setting(setting: Setting, here: Callable[..., str]) -> None:
    for verb in OTHERS:
        assert "expected one argument" in here(2, verb, setting.option)


@pytest.mark.parametrize(
    "before",
    [
        ["--state-dir", "STATE"],
        ["--config", os.devnull, "--state-dir=STATE"],
        ["--format", "json", "--state-dir", "STATE"],
        ["--limit", "3", "--state-dir", "STATE"],
        ["--state-dir", "STATE", "--"],
    ],
    ids=" ".join,
)
def test_options_may_stand_before_the_verb(
    before: list[str], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.collected()
    options = [word.replace("STATE", str(home.state)) for word in before]

    assert command_line.main([*options, "relays"]) == 0
    assert "mx.example.org" in capsys.readouterr().out


def test_an_option_beats_another_before_it(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--grace", "7", "config", "--config", os.devnull, "--grace=8"]) == 0
    assert "\ngrace = 8\n" in capsys.readouterr().out


def test_the_value_of_an_option_is_not_taken_for_the_verb(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["--host", "report", "config", "--config", os.devnull]) == 0
    assert "\nhost = report\n" in capsys.readouterr().out


# ---- without a verb -------------------------------------------------------------------------


def test_without_a_verb_it_says_that_all_is_well_and_the_figures_of_24_hours(home: Home) -> None:
    home.log.write_bytes(connections(5, ago=600))
    home.done("collect")
    done = subprocess.run(
        [sys.executable, "-m", "dane_mailgraph", *home.settings],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "All is well. Nothing to do."
    assert "connections                  5  Verified 100%" in lines
    assert len(lines) < 24 and max(map(len, lines)) < 80


@pytest.mark.parametrize("before", [[], ["--log", "/var/log/mail.log"]])
def test_without_a_verb_and_a_store_it_is_74(
    before: list[str], home: Home, here: Callable[..., str]
) -> None:
    assert "nothing has been counted yet" in here(74, *home.settings, *before)


# ---- wrong usage and configuration ----------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "no verb fly"),
        (["repotr"], "did you mean report?"),
        (["--stat-dir", "x", "report"], "no option --stat-dir (did you mean --state-dir?)"),
        (["relays", "--limt", "3"], "relays has no option --limt (did you mean --limit?)"),
        (["report", "--limit", "3"], "report has no option --limit"),
        (["tlsa", "x", "--nam", "y"], "did you mean --name?"),
        (["collect", "-x"], "-x"),
        (["relays", "--limit", "0"], "0 is no number of rows"),
        (["relays", "--only", "plain"], "'plain' (choose from "),
        (["collect", "--flavour", "sweet"], "--flavour"),
        (["collect", "--state", "/srv"], "--state"),
        (["collect", "what"], "what"),
        (["collect", "--step"], "--step"),
        (["report", "--format", "yaml"], "yaml"),
        (["explain", "--format", "csv"], "csv"),
        (["explain", "a", "b"], "b"),
        (["import"], "FILE"),
        (["import", "--year", "26", "x"], "26"),
        (["import", "--year", "x\x1b[2J\ny", "x"], "--year"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], words: str, here: Callable[..., str]) -> None:
    said = here(2, *arguments)

    assert words in said
    assert "--help`" in said


def test_a_time_that_is_none_is_2(home: Home) -> None:
    home.done("collect")

    assert "tomorrow is not a time" in home.fails(2, "report", "--since", "tomorrow")


@pytest.mark.parametrize("verb", OTHERS)
def test_wrong_configuration_is_78_for_every_verb(
    verb: str, home: Home, here: Callable[..., str]
) -> None:
    rest = {"import": ["x"], "tlsa": ["x", "--name", "mx"]}.get(verb, [])

    assert "step = 7 on the command line (--step) is wrong" in here(
        78, verb, *home.settings, "--step", "7", *rest
    )
    assert not home.state.exists()


def test_the_configuration_file_must_be_one(home: Home, here: Callable[..., str]) -> None:
    assert "does not exist" in here(78, "collect", "--config", str(home.folder / "none.conf"))
    assert "line 1 is not `name = value`" in here(78, "collect", "--config", sys.executable)


# ---- logs that are none ---------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["collect", "import", "explain"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.log", "is not there"),
        ("folder", "is a directory"),
        ("mail.log/x", "cannot be read"),
        ("/dev/zero", "is no regular file"),
    ],
)
def test_a_log_that_cannot_be_read_is_66(
    verb: str, name: str, words: str, home: Home, here: Callable[..., str]
) -> None:
    (home.folder / "folder").mkdir()
    path = str(home.folder / name)
    log = ["--log", path] if verb == "collect" else [path]

    said = here(66, verb, *home.settings, *log)
    assert path in said and words in said


@pytest.mark.parametrize("verb", ["collect", "import"])
def test_a_log_that_cannot_be_read_makes_no_store(
    verb: str, home: Home, here: Callable[..., str]
) -> None:
    path = str(home.folder / "nowhere.log")
    here(66, verb, *home.settings, *(["--log", path] if verb == "collect" else [path]))

    assert "nothing has been counted yet" in here(74, "report", *home.settings)
    home.done("collect")
    here(66, verb, *home.settings, *(["--log", path] if verb == "collect" else [path]))
    assert home.verified() == 3


def test_a_log_that_is_not_there_is_set_or_named_where_it_was(
    home: Home, here: Callable[..., str]
) -> None:
    path = str(home.folder / "nowhere.log")

    assert "set `log` to" in here(66, "collect", *home.settings, "--log", path)
    for verb in ("import", "explain"):
        assert here(66, verb, *home.settings, path).endswith(
            f"{path} is not there; name a log that is."
        )


@contextmanager
def nobody() -> Iterator[Path]:
    """A folder that an unprivileged user can reach; the process is such a user meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


def test_a_log_that_may_not_be_read_is_66(here: Callable[..., str]) -> None:
    with nobody() as folder:
        log = folder / "mail.log"
        log.touch(mode=0o000)
        settings = ["--config", os.devnull, "--state-dir", str(folder / "state"), "--log", str(log)]

        assert "Permission denied; run as a user who may" in here(66, "collect", *settings)
        assert "Permission denied; run as a user who may" in here(66, "import", *settings, str(log))


def test_a_state_dir_that_may_not_be_written_is_74(here: Callable[..., str]) -> None:
    with nobody() as folder:
        state, log = folder / "state", folder / "mail.log"
        log.touch()
        state.mkdir(mode=0o555)

        assert "Permission denied" in here(
            74, "collect", "--config", os.devnull, "--state-dir", str(state), "--log", str(log)
        )


def test_a_state_dir_that_may_not_be_entered_is_not_taken_for_an_empty_one(
    here: Callable[..., str],
) -> None:
    with nobody() as folder:
        state = folder / "state"
        state.mkdir(mode=0o000)

        assert "cannot be read: Permission denied; " in here(
            74, "report", "--config", os.devnull, "--state-dir", str(state)
        )


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda plain: zstandard.ZstdCompressor(write_checksum=True).compress(plain),
}


@pytest.mark.parametrize("harm", ["cut", "flipped"])
@pytest.mark.parametrize("name", PACKERS)
def test_a_damaged_archive_is_66_and_nothing_of_it_is_counted(
    name: str, harm: str, home: Home, here: Callable[..., str]
) -> None:
    packed = bytearray(PACKERS[name](connections(2000)))
    if harm == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2] ^= 0x55
    path = home.folder / f"mail.log.1.{name}"
    path.write_bytes(packed)

    assert str(path) in here(66, "import", *home.settings, str(home.log), str(path))
    path.unlink()
    assert home.done("import", home.log) == "counted 3 connections\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n\n", b"\0" * 5000, b"\xff\xfe\xfd" * 2000, b"no log at all"],
    ids=lambda content: repr(content[:9]),
)
def test_a_log_of_nothing_or_of_garbage_counts_nothing(content: bytes, home: Home) -> None:
    home.log.write_bytes(content)
    for verb, *rest in (
        ["collect"],
        ["import", str(home.log)],
        ["explain", str(home.log)],
        ["report"],
    ):
        done = home.run(verb, *rest)

        assert done.returncode == (66 if verb == "import" and content else 0)
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") <= (2 if verb == "import" else 1)
    assert not home.verified()


def test_a_line_of_megabytes_hides_only_itself(home: Home) -> None:
    home.log.write_bytes(connections(2) + b"x" * 3_000_000 + b"\n" + connections(2, ago=60))
    said = home.run("collect", "-v")

    assert (said.returncode, said.stderr.count(b"1 line without a readable time")) == (0, 1)
    assert b"counted 4 connections\n" in said.stdout
    assert home.done("explain", "--format", "json", home.log).count("connections.verified") == 4


def test_megabytes_without_a_newline_count_nothing(home: Home) -> None:
    home.log.write_bytes(b"x" * 3_000_000)

    said = home.run("import", home.log)

    assert (said.returncode, said.stdout) == (66, b"counted 0 connections\n")
    assert b"mail.log holds no line of Postfix's and begins with 'xxx" in said.stderr
    assert len(home.done("explain", home.log)) < 300


# ---- stores that are none -------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["collect", "import"])
@pytest.mark.parametrize(
    "place", ["/proc/dane-mailgraph", "/proc/1/dane-mailgraph", "mail.log", "mail.log/state"]
)
def test_a_state_dir_that_cannot_be_is_74(verb: str, place: str, home: Home) -> None:
    rest = [str(home.log)] if verb == "import" else []

    said = home.fails(74, verb, *rest, "--state-dir", str(home.folder / place))
    assert f"{home.folder / place} cannot be written: " in said


def test_a_store_that_is_not_there_is_74(home: Home, here: Callable[..., str]) -> None:
    assert "nothing has been counted yet" in here(74, "report", *home.settings)
    assert not home.state.exists()


@pytest.mark.parametrize("verb", ["collect", "import", "report"])
def test_a_ledger_that_is_none_is_74(verb: str, home: Home, here: Callable[..., str]) -> None:
    home.state.mkdir()
    (home.state / "ledger.sqlite").write_bytes(b"not a database" * 500)
    rest = [str(home.log)] if verb == "import" else []

    assert "ledger.sqlite" in here(74, verb, *home.settings, *rest)
    assert (home.state / "ledger.sqlite").read_bytes() == b"not a database" * 500


NO_RRD = pytest.mark.parametrize(
    "content", [b"", b"no RRD", b"RRD\0" + b"0003\0" + b"x" * 3000], ids=["empty", "text", "torn"]
)


@pytest.mark.parametrize("verb", ["report", "render"])
@NO_RRD
def test_an_rrd_that_is_none_is_74_for_who_only_reads(
    verb: str, content: bytes, home: Home, here: Callable[..., str]
) -> None:
    home.collected()
    (home.state / "outbound.rrd").write_bytes(content)

    assert "outbound.rrd" in here(74, verb, *home.settings)
    assert (home.state / "outbound.rrd").read_bytes() == content


@pytest.mark.parametrize("verb", ["collect", "import"])
@NO_RRD
def test_an_rrd_that_is_none_is_made_anew_by_who_writes(
    verb: str, content: bytes, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.collected()
    (home.state / "outbound.rrd").write_bytes(content)
    rest = [str(home.log)] if verb == "import" else []

    assert command_line.main([verb, *home.settings, *rest]) == 0
    assert "made anew from what is kept beside it" in capsys.readouterr().err
    assert (home.state / "outbound.rrd.aside-1").read_bytes() == content
    assert home.verified() == 3


@pytest.mark.parametrize("verb", ["run", "collect", "import"])
def test_another_step_than_the_stores_is_a_wrong_configuration(verb: str, home: Home) -> None:
    home.collected()
    rest = [str(home.log)] if verb == "import" else []

    assert "steps of 60 seconds, the setting step says 300" in home.fails(
        78, verb, "--step", "300", *rest
    )


def test_reading_takes_the_step_of_the_store(home: Home) -> None:
    home.collected()
    said = json.loads(home.done("report", "--format", "json", "--step", "300"))

    assert (said["step"], said["connections"]["verified"]) == (60, 3)
    home.done("render", "--step", "300")


def test_an_output_dir_that_cannot_be_written_is_74(home: Home, here: Callable[..., str]) -> None:
    home.www.write_text("in the way")

    assert f"{home.www} cannot be written: " in here(74, "render", *home.settings)


@pytest.mark.parametrize("verb", ["run", "collect", "import", "demo"])
def test_a_store_that_another_writes_to_is_75(verb: str, home: Home) -> None:
    home.state.mkdir()
    (home.state / "demo").touch()
    rest = {"import": [str(home.log)], "demo": [str(home.folder)]}.get(verb, [])
    with (home.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert "is being written by another dane-mailgraph" in home.fails(75, verb, *rest)
        assert (home.state / "demo").exists()
    if verb == "collect":
        home.done("collect")


def test_reading_does_not_need_the_lock(home: Home) -> None:
    home.collected()
    with (home.state / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert home.verified() == 3
        home.done("render")


# ---- streams and signals --------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_it_quietly(home: Home) -> None:
    home.log.write_bytes(connections(3000))
    with subprocess.Popen(
        home.command("explain", home.log),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as child:
        assert child.stdout and child.stderr
        assert child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == -signal.SIGPIPE


def test_ctrl_c_ends_it_quietly(home: Home) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        home.command("explain"), env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe
    ) as child:
        assert child.stdin and child.stdout and child.stderr
        overdue = Timer(20, child.kill)
        overdue.start()
        child.stdin.write(connections(20))
        child.stdin.flush()
        assert child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert child.stderr.read() == b""
        overdue.cancel()
    assert child.returncode == 128 + signal.SIGINT


INTERRUPTED = """
import os, runpy, signal, sys
name, begins, *sys.argv = sys.argv[1:]
def interrupt(event, about):
    if event == "import" and about[0] == name:
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(interrupt)
if begins == "-m":
    runpy.run_module("dane_mailgraph", run_name="__main__", alter_sys=True)
else:
    runpy.run_path(begins, run_name="__main__")
"""


@pytest.mark.parametrize(
    "begins",
    ["-m", str(Path(sys.executable).with_name("dane-mailgraph"))],
    ids=["module", "command"],
)
@pytest.mark.parametrize(
    "name",
    [
        "dane_mailgraph.cli.command_line",
        "pygtail",
        "dane_mailgraph.store.ledger",
        "dane_mailgraph.postfix.explanation",
    ],
)
def test_ctrl_c_while_modules_are_imported_ends_it_quietly(
    begins: str, name: str, home: Home
) -> None:
    if begins != "-m" and not os.path.exists(begins):
        pytest.skip("this interpreter has the package not installed")
    command = [
        sys.executable,
        "-c",
        INTERRUPTED,
        name,
        begins,
        *home.command("explain", home.log)[2:],
    ]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, b"", b"")


WITHOUT = """
import runpy, sys
missing, *sys.argv = sys.argv[1:]
sys.modules[missing] = None
DEBIAN = "/usr/lib/python3/dist-packages"
sys.path = [each.replace(DEBIAN, DEBIAN + "/") for each in sys.path]
if "--sees-debian" in sys.argv:
    sys.argv.remove("--sees-debian")
    sys.path.append(DEBIAN)
runpy.run_module("dane_mailgraph", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("missing", "verb", "mends"),
    [
        ("rrdtool", "collect --sees-debian", "`apt install python3-rrdtool`"),
        (
            "rrdtool",
            "report",
            f"`{sys.executable} -m pip install rrdtool-bindings`, "
            "which needs gcc and the headers of Python and librrd",
        ),
        ("jinja2", "render", f"`{sys.executable} -m pip install jinja2`"),
        ("pygtail", "collect --sees-debian", "`apt install python3-pygtail`"),
        ("dns", "doctor --sees-debian", "`apt install python3-dnspython`"),
        ("dns", "doctor", f"`{sys.executable} -m pip install dnspython`"),
    ],
)
def test_what_is_not_installed_is_reported_with_what_installs_it_where_this_python_looks(
    missing: str, verb: str, mends: str, home: Home
) -> None:
    home.done("collect")
    home.log.write_bytes(home.log.read_bytes() + b"\n")
    rrd, ledger = (
        (home.folder / "state" / name).read_bytes() for name in ("outbound.rrd", "ledger.sqlite")
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, *home.command(*verb.split())[2:]],
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )

    assert sentence(done.returncode, done.stderr.decode(), 1) == (
        f"dane-mailgraph: {sys.executable} has no Python package {missing}; run {mends}."
    )
    assert (home.folder / "state" / "outbound.rrd").read_bytes() == rrd
    assert (home.folder / "state" / "ledger.sqlite").read_bytes() == ledger


def test_without_matplotlib_rrdtool_draws_and_the_first_time_a_sentence_says_so(home: Home) -> None:
    home.done("collect")
    first, second = (
        subprocess.run(
            [sys.executable, "-c", WITHOUT, "matplotlib", *home.command("render")[2:]],
            capture_output=True,
            env=ENVIRONMENT,
            check=False,
        )
        for _ in range(2)
    )

    assert (first.returncode, first.stdout) == (0, b"")
    assert first.stderr.decode() == (
        "dane-mailgraph: matplotlib is not installed, so rrdtool draws the pictures: run "
        "`apt install python3-matplotlib`, or set renderer = rrdtool.\n"
    )
    assert (second.returncode, second.stderr) == (0, b"")
    assert len(list(home.www.glob("*.png"))) > 1


def test_what_needs_no_store_needs_no_rrdtool(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "rrdtool", *home.command("explain", home.log)[2:]],
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"") and done.stdout


@pytest.fixture(scope="module")
def printing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Each verb that prints on standard output, and `--help` and `--version`: the command."""
    home = Home(tmp_path_factory.mktemp("printing"))
    home.log.write_bytes(connections(500))
    home.collected()
    commands = {
        "collect": home.command("collect", "-v"),
        "import": home.command("import", home.log),
        "report": home.command("report"),
        "relays": home.command("relays"),
        "explain": home.command("explain", home.log),
        "doctor": home.command("doctor"),
        "config": home.command("config"),
        "--help": home.command("collect", "--help"),
        "--version": [sys.executable, "-m", "dane_mailgraph", "--version"],
    }
    if shutil.which("openssl"):
        _, chain = Authority(home.folder).issue("mail")
        commands["tlsa"] = home.command("tlsa", chain, "--name", NAME)
    return commands


# `demo` prints at the end of a quarter of a minute, and as the others do.
PRINTING = [verb for verb in VERBS if verb not in ("run", "render", "demo")]
PRINTING += ["--help", "--version"]


def redirected(
    command: list[str], where: str, buffered: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command with its streams redirected by a shell, in a nearly empty environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
    }
    if not buffered:
        environment["PYTHONUNBUFFERED"] = "1"
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {where}', "sh", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize(
    ("where", "why", "buffered"),
    [
        (">/dev/full", "No space left on device", "buffered"),
        (">/dev/full", "No space left on device", ""),
        (">&-", "Bad file descriptor", "buffered"),
    ],
)
@pytest.mark.parametrize("verb", PRINTING)
def test_an_output_that_cannot_be_written_is_74(
    verb: str, where: str, why: str, buffered: str, printing: dict[str, list[str]]
) -> None:
    if verb not in printing:
        pytest.skip("not installed: openssl")
    done = redirected(printing[verb], where, buffered)

    assert f"Standard output cannot be written: {why}; " in sentence(
        done.returncode, done.stderr, 74
    )


def test_a_check_whose_answer_cannot_be_written_is_3_and_says_it_on_standard_error() -> None:
    command = [sys.executable, "-m", "dane_mailgraph", "check", "--config", "/nowhere/it.conf"]
    done = redirected(command, ">/dev/full", "")

    assert "/nowhere/it.conf does not exist; " in sentence(done.returncode, done.stderr, 3)


@pytest.mark.parametrize("verb", OTHERS)
def test_an_error_that_cannot_be_said_keeps_its_exit_status(verb: str) -> None:
    rest = {"import": ["/nowhere"], "tlsa": ["/nowhere", "--name", NAME]}.get(verb, [])
    command = [sys.executable, "-m", "dane_mailgraph", verb, "--config", "/nowhere/it.conf", *rest]

    assert redirected(command, "2>/dev/full", "buffered").returncode == 78
    assert redirected([*command, "--nonsense"], "2>&-", "buffered").returncode == 2


@pytest.mark.parametrize("where", [">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("buffered", ["buffered", ""])
def test_where_no_stream_can_be_written_the_exit_status_is_left(
    where: str, buffered: str, printing: dict[str, list[str]]
) -> None:
    assert redirected(printing["config"], where, buffered).returncode == 74


@pytest.mark.parametrize(
    "closed", ["<&-", ">&-", "2>&-", ">/dev/full", "2>/dev/full", "<&- >&- 2>&-"]
)
@pytest.mark.parametrize("verb", ["collect", "render"])
def test_who_prints_nothing_needs_no_streams(verb: str, closed: str, home: Home) -> None:
    # In any second of the minute: lines of 30 seconds ago are in no interval that is closed yet.
    patient = home.folder / "patient.conf"
    patient.write_text("grace = 600\n")
    home.settings += ["--config", str(patient)]
    home.collected()
    home.log.write_bytes(home.log.read_bytes() + connections(2, ago=30))
    done = redirected(home.command(verb), closed, "buffered")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert home.verified() == (5 if verb == "collect" else 3)


def test_names_from_outside_cannot_command_the_terminal(home: Home) -> None:
    assert r"\x1b[2J\n" in home.fails(66, "import", home.folder / "\x1b[2J\n")
    assert r"\udcff" in home.fails(66, "import", os.fsdecode(b"\xff"))


# ---- what it costs --------------------------------------------------------------------------

MEASURE = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def test_collecting_nothing_costs_next_to_nothing(home: Home) -> None:
    # Through a small process: the peak memory of a child includes what its parent had.
    home.log.write_bytes(b"")
    best = (1e9, 1 << 60)
    for _ in range(3):
        command = [sys.executable, "-S", "-E", "-c", MEASURE, *home.command("collect")]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=True)
        status, seconds, kilobytes = done.stdout.split()
        assert (status, done.stderr) == ("0", "")
        best = min(best[0], float(seconds)), min(best[1], int(kilobytes))

    assert best[0] < 0.3
    assert best[1] < 30 * 1024


@pytest.mark.parametrize("verb", ["collect", "import", "report", "explain", "config"])
def test_who_does_not_paint_does_not_pay_for_the_painter(verb: str, home: Home) -> None:
    home.collected()
    rest = [str(home.log)] if verb in ("import", "explain") else []
    code = (
        "import sys; from dane_mailgraph.cli import main; status = main(sys.argv[1:]); "
        "print('painter:', sorted({'matplotlib', 'numpy', 'PIL'} & set(sys.modules)), status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, verb, *home.settings, *rest],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )

    assert done.stdout.endswith("painter: [] 0\n")


# ---- what is found in the place of a file ---------------------------------------------------


def test_a_pipe_as_log_is_an_error_and_never_waited_for(home: Home) -> None:
    home.log.unlink()
    os.mkfifo(home.log)
    assert "is no regular file" in home.fails(66, "collect")


def test_a_host_that_is_not_utf_8_is_a_wrong_setting(home: Home) -> None:
    assert "it must be UTF-8" in home.fails(78, "render", "--host", os.fsdecode(b"m\xff"))


def test_files_have_the_same_modes_under_any_umask(tmp_path: Path) -> None:
    modes = []
    for mask in (0o000, 0o022, 0o077):
        (tmp_path / f"{mask:o}").mkdir()
        home = Home(tmp_path / f"{mask:o}")
        for verb in ("collect", "render"):
            done = subprocess.run(
                home.command(verb), env=ENVIRONMENT, umask=mask, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
        kept = [home.state, home.www, *home.state.rglob("*"), *home.www.glob("*")]
        modes.append({str(each.relative_to(home.folder)): each.stat().st_mode for each in kept})
    assert modes[0] == modes[1] == modes[2]
