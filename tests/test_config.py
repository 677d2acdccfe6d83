"""The configuration from option, environment, file and default, and the errors for mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import dane_mailgraph
from dane_mailgraph import config
from dane_mailgraph.cli import command_line
from dane_mailgraph.config import Config, as_file, load
from dane_mailgraph.errors import ConfigError
from dane_mailgraph.settings import SETTINGS, Setting

OTHER = {
    "log": "/srv/mail.log",
    "containers": "postfix",
    "state_dir": "/srv/state",
    "output_dir": "/srv/www",
    "step": "300",
    "grace": "30",
    "time_zone": "Europe/Berlin",
    "ignore_relays": "10.0.0.0/8 unix",
    "ignore_clients": "10.0.0.0/8 unix",
    "metrics_file": "/srv/metrics.prom",
    "host": "mail.example.org",
    "language": "de",
    "renderer": "rrdtool",
    "show_destinations": "yes",
    "only_hosts": "mx1",
    "ship_url": "https://vm.example.org:8428/insert/0/prometheus",
    "ship_ca_file": "/srv/ca.pem",
    "ship_token_file": "/srv/token",
    "ship_password_file": "/srv/password",
    "relays_per_day": "200",
    "relays_days": "30",
    "own_mx": "mx.example.org mx.example.org:465",
    "own_mx_next_cert": "/next.pem",
    "ignore_conditions": "failing",
    "tell": "mail:postmaster@example.org",
    "heartbeat": "command:/bin/true",
}
"""For each setting a text that is not its default."""

THIRD = {
    "log": "/other.log",
    "containers": "",
    "state_dir": "/other/state",
    "output_dir": "/other/www",
    "step": "120",
    "grace": "5",
    "time_zone": "UTC",
    "ignore_relays": "",
    "ignore_clients": "",
    "metrics_file": "/other.prom",
    "host": "mail.example.net",
    "language": "en",
    "renderer": "matplotlib",
    "show_destinations": "no",
    "only_hosts": "mx2",
    "ship_url": "http://localhost:8428",
    "ship_ca_file": "/other.pem",
    "ship_token_file": "/other/token",
    "ship_password_file": "/other/password",
    "relays_per_day": "0",
    "relays_days": "9",
    "own_mx": "none",
    "own_mx_next_cert": "/other.pem",
    "ignore_conditions": "",
    "tell": "",
    "heartbeat": "",
}


def written(folder: Path, text: str) -> str:
    path = folder / "dane-mailgraph.conf"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return str(path)


def loaded(
    folder: Path, text: str = "", environment: Mapping[str, str] | None = None, **options: str
) -> Config:
    return load(written(folder, text), environment or {}, options)


def refused(
    folder: Path, text: str = "", environment: Mapping[str, str] | None = None, **options: str
) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environment, **options)
    assert caught.value.status == 78
    return str(caught.value)


# ---- precedence -----------------------------------------------------------------------------


def test_nothing_given_is_the_default(tmp_path: Path) -> None:
    assert loaded(tmp_path).texts == {setting.name: setting.default for setting in SETTINGS}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_is_a_key_a_variable_and_an_option_and_the_later_wins(
    setting: Setting, tmp_path: Path
) -> None:
    name, variable = setting.name, f"DANE_MAILGRAPH_{setting.name.upper()}"
    file = f"{name} = {OTHER[name]}\n"

    assert loaded(tmp_path, file).texts[name] == OTHER[name]
    assert loaded(tmp_path, file, {variable: THIRD[name]}).texts[name] == THIRD[name]
    assert (
        loaded(tmp_path, file, {variable: THIRD[name]}, **{name: setting.default}).texts[name]
        == setting.default
    )
    assert loaded(tmp_path, "", {}, **{name: OTHER[name]}).texts[name] == OTHER[name]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_command_line_knows_each_setting_by_its_three_names(
    setting: Setting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    option = "--" + setting.name.replace("_", "-")
    path = written(tmp_path, f"{setting.name} = {OTHER[setting.name]}\n")

    def said(*arguments: str) -> str:
        assert command_line.main(["config", "--config", path, *arguments]) == 0
        lines = [each.removeprefix("# ") for each in capsys.readouterr().out.split("\n")]
        (line,) = [each for each in lines if each.startswith(f"{setting.name} =")]
        return line.partition("=")[2].strip()

    assert said() == OTHER[setting.name]
    monkeypatch.setenv(f"DANE_MAILGRAPH_{setting.name.upper()}", THIRD[setting.name])
    assert said() == THIRD[setting.name]
    assert said(option, OTHER[setting.name]) == OTHER[setting.name]


def test_an_empty_variable_is_a_value_like_any_other(tmp_path: Path) -> None:
    empty = {"DANE_MAILGRAPH_TIME_ZONE": ""}

    assert loaded(tmp_path, "time_zone = Europe/Berlin\n", empty).time_zone is None
    assert "DANE_MAILGRAPH_STATE_DIR" in refused(tmp_path, "", {"DANE_MAILGRAPH_STATE_DIR": ""})


def test_a_comment_behind_a_value_is_told_where_it_belongs(tmp_path: Path) -> None:
    said = refused(tmp_path, "step = 300 # comment\n")

    assert ", line 1 is wrong: a whole number of seconds " in said
    assert said.endswith("; a comment needs a line of its own.")
    assert "a comment needs" not in refused(tmp_path, "step = 7\n")


def test_the_usual_file_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "FILE", str(tmp_path / "nowhere.conf"))

    assert load(None, {}, {}).texts == {setting.name: setting.default for setting in SETTINGS}


def test_the_usual_file_is_read_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "FILE", written(tmp_path, "grace = 7\n"))

    assert load(None, {}, {}).grace == 7


def test_a_file_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.conf does not exist; "):
        load(str(tmp_path / "nowhere.conf"), {}, {})


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(str(tmp_path), {}, {})


# ---- the file -------------------------------------------------------------------------------


def test_comments_empty_lines_spaces_and_line_ends_of_other_systems_do_not_matter(
    tmp_path: Path,
) -> None:
    said = loaded(
        tmp_path,
        "# a comment\r\n\r\n   # another\r\n  grace=7  \r\n\tstate_dir =  /srv/a = b # c \r\n",
    )

    assert (said.grace, said.state_dir) == (7, "/srv/a = b # c")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("grace = 7\nwhat is this\n", "line 2", "not `name = value`"),
        ("\n\ngrase = 7\n", "line 3", "did you mean grace?"),
        ("state-dir = /srv\n", "line 1", "did you mean state_dir?"),
        ("timezone = UTC\n", "line 1", "did you mean time_zone?"),
        ("ignore_relay = unix\n", "line 1", "did you mean ignore_relays?"),
        ("flavour = sweet\n", "line 1", "`dane-mailgraph config` lists all"),
        ("grace = 7\n# and\ngrace = 8\n", "line 3", "a second time, first in line 1"),
        ("log = /a\ngrace = soon\n", "line 2", "grace = soon"),
        ("step = 7\n", "line 1", "divides an hour"),
        ("step = 0\n", "line 1", "divides an hour"),
        ("step = -60\n", "line 1", "divides an hour"),
        ("step = 7200\n", "line 1", "divides an hour"),
        ("grace = 86401\n", "line 1", "at most 86400"),
        ("time_zone = Mars/Olympus\n", "line 1", "Europe/Berlin"),
        ("time_zone = ../../etc/passwd\n", "line 1", "Europe/Berlin"),
        ("time_zone = Europe\n", "line 1", "Europe/Berlin"),
        ("ignore_relays = 10.0.0.1/8\n", "line 1", "10.0.0.1/8"),
        ("own_mx = none mx.example.org\n", "line 1", "none stands alone"),
        ("own_mx = mx.example.org:\u0662\u0665\n", "line 1", "is no NAME or NAME:PORT"),
        ("ignore_relays = mail.example.org/24\n", "line 1", "mail.example.org"),
        (
            "ignore_relays = [::1]\n",
            "line 1",
            "networks such as 10.0.0.0/8 or hosts such as mail.example.org are needed, "
            "and `unix` for sockets",
        ),
        ("state_dir =\n", "line 1", "a path is needed"),
        ("state_dir = a\0b\n", "line 1", "one line of text"),
        ("\x7fELF\x02\x01=\x1b[2J\n", "line 1", "not `name = value`"),
        ("\udcff\udcfe = 1\n", "line 1", "not `name = value`"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(
    text: str, place: str, words: str, tmp_path: Path
) -> None:
    said = refused(tmp_path, text)

    assert said.count(str(tmp_path / "dane-mailgraph.conf")) == 1
    assert place in said.replace("first in line", "")
    assert words in said
    assert said.endswith((".", "?"))


def test_a_wrong_variable_or_option_is_named(tmp_path: Path) -> None:
    assert "DANE_MAILGRAPH_STEP" in refused(tmp_path, "", {"DANE_MAILGRAPH_STEP": "often"})
    assert "--step" in refused(tmp_path, "", {}, step="often")
    assert "one line" in refused(tmp_path, "", {}, log="/a\n/b")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("DANE_MAILGRAPH_STATEDIR", "; did you mean DANE_MAILGRAPH_STATE_DIR?"),
        ("DANE_MAILGRAPH_state_dir", "; did you mean DANE_MAILGRAPH_STATE_DIR?"),
        ("DANE_MAILGRAPH_QQQQQQQQQQQQQQQQQQQQQQ", "; `dane-mailgraph config` lists all."),
        ("DANE_MAILGRAPH_", "; "),
    ],
)
def test_a_variable_that_is_no_setting_is_named(variable: str, hint: str, tmp_path: Path) -> None:
    said = refused(tmp_path, "", {variable: "/srv"})

    assert f"In the environment: there is no setting {variable}{hint}" in said


@pytest.mark.parametrize(
    "variable",
    [
        "DANE_MAILGRAPH_MESSAGE",
        "DANE_MAILGRAPH_PORT",
        "DANE_MAILGRAPH_PORT_80_TCP_ADDR",
        "DANE_MAILGRAPH_SERVICE_HOST",
        "DANE_MAILGRAPH_SERVICE_PORT_HTTP",
        "DANE_MAILGRAPH_PAGE_SERVICE_HOST",
        "DANE_MAILGRAPH_PAGE_PORT_80_TCP",
        "STATE_DIRECTORY",
        "DANE_MAILGRAPHS",
    ],
)
def test_variables_that_others_set_are_left_aside(variable: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, "", {variable: "tcp://10.0.0.1:80"}).texts == loaded(tmp_path).texts


def test_a_wrong_text_that_another_place_overrules_does_no_harm(tmp_path: Path) -> None:
    assert loaded(tmp_path, "step = often\n", {}, step="60").step == 60


# ---- printed --------------------------------------------------------------------------------


def test_untouched_defaults_are_commented_out_and_the_rest_is_not(tmp_path: Path) -> None:
    lines = as_file(loaded(tmp_path, "", {}, grace="30", step="60")).split("\n")

    assert "grace = 30" in lines
    for setting in SETTINGS:
        if setting.name != "grace":
            assert f"# {setting.name} = {setting.default}".rstrip() in lines
        assert (
            f"# {setting.help[0].upper()}{setting.help[1:]} "
            f"(default: {setting.default or 'empty'})." in lines
        )


_SPACES = st.sampled_from(["", " ", "\t", "\r", "\x85", "\u2028"])
_ODD = st.sampled_from(["\udcff/x", "#", "= =", '"'])
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), min_size=1) | _ODD
_PATH = (
    st.tuples(_SPACES, _TEXT, _SPACES)
    .map("".join)
    .filter(lambda text: text.strip() not in ("", "journal"))
)


@given(
    options=st.fixed_dictionaries(
        {},
        optional={
            "log": _PATH,
            "state_dir": _PATH,
            "output_dir": _PATH,
            "step": st.sampled_from(["1", "60", " 300 ", "0060", "3600"]),
            "grace": st.integers(0, 86400).map(str),
            "time_zone": st.sampled_from(["", "UTC", "Europe/Berlin", "America/New_York"]),
            "ignore_relays": st.sampled_from(
                ["", "unix", "10.0.0.0/8, 2001:db8::/32", "127.0.0.0/8 ::1 unix", "::1\tunix"]
            ),
        },
    )
)
@example(options={"log": "/a\r/b", "ignore_relays": ""})
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_printed_gives_the_same_configuration_again(
    options: dict[str, str], tmp_path: Path
) -> None:
    first = load(written(tmp_path, ""), {}, options)
    again = load(written(tmp_path, as_file(first)), {}, {})

    assert again.texts == first.texts
    assert (
        again._replace(ignore_relays=first.ignore_relays, ignore_clients=first.ignore_clients)
        == first
    )
    assert as_file(again) == as_file(first)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_path_is_printed_as_the_bytes_it_is_whatever_the_locale(
    encoding: str, tmp_path: Path
) -> None:
    name = b"/srv/\xff\xfe\xe2\x82\xac"
    arguments = [
        sys.executable,
        "-m",
        "dane_mailgraph",
        "config",
        "--config",
        os.devnull,
        "--state-dir",
        os.fsdecode(name),
    ]
    done = subprocess.run(
        arguments,
        capture_output=True,
        env=environment(PYTHONIOENCODING=f"{encoding}:strict"),
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\nstate_dir = " + name + b"\n" in done.stdout


# ---- the zone -------------------------------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if key != "TZ" and not key.startswith("DANE_MAILGRAPH_")
    }
    return {**kept, "PYTHONPATH": str(Path(dane_mailgraph.__file__).parents[1]), **more}


@pytest.mark.parametrize(
    ("zone", "system", "hour"),
    [
        ("", "America/New_York", 17),
        ("", "UTC", 12),
        ("Europe/Berlin", "America/New_York", 11),
        ("Asia/Kolkata", "", 6),
    ],
)
def test_stamps_without_a_zone_are_local_time_of_time_zone_or_else_of_the_system(
    zone: str, system: str, hour: int, tmp_path: Path
) -> None:
    log = tmp_path / "mail.log"
    log.write_text(
        "Jan 15 12:00:00 mail postfix/smtp[7]: "
        "connect to mx.example.org[192.0.2.1]:25: Connection refused\n"
    )
    written_at = datetime(2024, 1, 16, tzinfo=timezone.utc).timestamp()
    os.utime(log, (written_at, written_at))
    command = [
        sys.executable,
        "-m",
        "dane_mailgraph",
        "explain",
        "--config",
        os.devnull,
        "--time-zone",
        zone,
        "--format",
        "json",
    ]
    more = {"TZ": system} if system else {}
    done = subprocess.run(
        [*command, str(log)], capture_output=True, env=environment(**more), check=True
    )

    at = datetime.fromtimestamp(json.loads(done.stdout)["time"], timezone.utc)
    assert (at.year, at.month, at.day, at.hour) == (2024, 1, 15, hour)
