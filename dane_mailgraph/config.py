"""One frozen `Config` from defaults, file, environment and command line; printable as that file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any, NamedTuple

from .errors import ConfigError, reason
from .language import Language, language, languages
from .peers import Relays

FILE = "/etc/dane-mailgraph.conf"

PREFIX = "DANE_MAILGRAPH_"

_LINE = re.compile(r"[^\n\0]*")


class Setting(NamedTuple):
    """One setting: a key of the file, a long option and an environment variable."""

    name: str
    default: str
    help: str
    read: Callable[[str], Any]
    """From text to value; raises ValueError with what is wrong."""

    @property
    def option(self) -> str:
        """`--state-dir`."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """`DANE_MAILGRAPH_STATE_DIR`."""
        return PREFIX + self.name.upper()

    @property
    def sentence(self) -> str:
        """What it is, for the file."""
        return f"{self.help[0].upper()}{self.help[1:]} (default: {self.default or 'empty'})."


def _path(text: str) -> str:
    if not text:
        raise ValueError("a path is needed")
    return text


def _step(text: str) -> int:
    step = int(text) if text.isdecimal() else 0
    if not 1 <= step <= 3600 or 3600 % step:
        raise ValueError("a whole number of seconds that divides an hour is needed, such as 60")
    return step


def _number(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) > most:
            raise ValueError(f"a whole number is needed, at most {most}")
        return int(text)

    return read


def _zone(text: str) -> tzinfo | None:
    if not text:
        return None
    from zoneinfo import ZoneInfo  # 2 ms that most starts need not spend

    try:
        return ZoneInfo(text)
    except (OSError, ValueError, LookupError) as error:
        raise ValueError("there is no such zone; use a name like Europe/Berlin") from error


def _relays(text: str) -> Relays:
    try:
        return Relays(text)
    except ValueError as error:
        raise ValueError(
            f"{error}; networks such as 10.0.0.0/8 or hosts such as mail.example.org are needed, and `unix` for sockets"
        ) from error


def _renderer(text: str) -> str:
    if text not in ("matplotlib", "rrdtool"):
        raise ValueError("matplotlib or rrdtool is needed")
    return text


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("yes or no is needed")
    return text == "yes"


SETTINGS = (
    Setting("log", "/var/log/mail.log", "the log that Postfix's lines go to, or `journal`", _path),
    Setting(
        "state_dir",
        "/var/lib/dane-mailgraph",
        "folder of the counts: the RRD, the ledger, the lock",
        _path,
    ),
    Setting(
        "output_dir",
        "/var/cache/dane-mailgraph",
        "folder that the pictures and index.html are written into",
        _path,
    ),
    Setting("step", "60", "seconds of an interval; fixed once the RRD is there", _step),
    Setting(
        "grace",
        "10",
        "seconds that an interval stays open after its end, for late lines",
        _number(86400),
    ),
    Setting(
        "time_zone",
        "",
        "zone of stamps that name none, and of the pictures; empty is the system's",
        _zone,
    ),
    Setting(
        "ignore_relays",
        "127.0.0.0/8 ::1 unix",
        "relays that are not outbound: networks, hosts, .domains; `unix`: sockets",
        _relays,
    ),
    Setting(
        "relays_per_day",
        "1000",
        "relays told apart each day, the rest is put together; 0 keeps none",
        _number(100_000),
    ),
    Setting("relays_days", "400", "days for which they are kept", _number(36_500)),
    Setting(
        "host", "", "name of the mail server, for page and pictures; empty is the system's", str
    ),
    Setting("language", "en", f"of page and pictures: {' or '.join(languages())}", language),
    Setting(
        "renderer",
        "matplotlib",
        "what draws the pictures: matplotlib, or rrdtool: classic, half the memory",
        _renderer,
    ),
    Setting(
        "show_destinations",
        "no",
        "whether the page names the servers that mail goes to: yes or no",
        _yes_or_no,
    ),
)


class Config(NamedTuple):
    """The settings in force; `texts` is what they were read from."""

    log: str
    state_dir: str
    output_dir: str
    step: int
    grace: int
    time_zone: tzinfo | None
    ignore_relays: Relays
    relays_per_day: int
    relays_days: int
    host: str
    language: Language
    renderer: str
    show_destinations: bool
    texts: Mapping[str, str]


def load(
    path: str | None, environment: Mapping[str, str], options: Mapping[str, str | None]
) -> Config:
    """Option beats environment beats file beats default; raises ConfigError.

    `path` is the file asked for, None for the usual one, which may be absent.
    """
    given = {
        name: (text, f"in {path or FILE}, line {line}")
        for name, (text, line) in _file(path).items()
    }
    for setting in SETTINGS:
        if setting.variable in environment:
            given[setting.name] = (
                environment[setting.variable],
                f"in the environment ({setting.variable})",
            )
        text = options.get(setting.name)
        if text is not None:
            given[setting.name] = text, f"on the command line ({setting.option})"
    values, texts = {}, {}
    for setting in SETTINGS:
        text, where = given.get(setting.name, (setting.default, "by default"))
        texts[setting.name] = text = text.strip()
        try:
            if not _LINE.fullmatch(text):
                raise ValueError("it must be one line of text")
            values[setting.name] = setting.read(text)
        except ValueError as error:
            hint = "; a comment needs a line of its own" if "#" in text else ""
            raise ConfigError(
                f"{setting.name} = {text} {where} is wrong: {error}{hint}."
            ) from error
    return Config(**values, texts=texts)


def _file(path: str | None) -> dict[str, tuple[str, int]]:
    """What a file says: name -> text, line number."""
    try:
        with open(path or FILE, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        if path is None:
            return {}
        raise ConfigError(
            f"{path} is not there; name a configuration file that is, or leave --config out."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path or FILE} cannot be read: {reason(error)}; look at its permissions."
        ) from error
    said: dict[str, tuple[str, int]] = {}
    names = [setting.name for setting in SETTINGS]
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, text = (part.strip() for part in stripped.partition("="))
        where = f"{path or FILE}, line {number}"
        if not equals or not name.replace("-", "_").isidentifier():
            raise ConfigError(f"{where} is not `name = value`; comments begin with #.")
        if name not in names:
            from difflib import get_close_matches  # costs every start 2 ms

            near = "".join(f"; did you mean {each}?" for each in get_close_matches(name, names, 1))
            raise ConfigError(
                f"{where}: there is no setting {name}{near or '; `dane-mailgraph config` lists all.'}"
            )
        if name in said:
            raise ConfigError(
                f"{where} sets {name} a second time, first in line {said[name][1]}; keep one of them."
            )
        said[name] = text, number
    return said


def printed(config: Config) -> str:
    """The configuration as a file that gives it again; untouched defaults are commented out."""
    lines = [
        "# dane-mailgraph: the configuration in force; what is commented out is the default.",
        "",
    ]
    for setting in SETTINGS:
        text = config.texts[setting.name]
        lines += [
            f"# {setting.sentence}",
            f"{'# ' if text == setting.default else ''}{setting.name} = {text}".rstrip(),
            "",
        ]
    return "\n".join(lines)
