"""The settings, one row each, and the frozen `Config` made of defaults, file and options."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from types import MappingProxyType
from typing import Any, NamedTuple

from .errors import ConfigError, reason
from .language import Language, language, languages
from .messenger import Messenger, heartbeat, messenger
from .peers import Relays

FILE = "/etc/dane-mailgraph.conf"

FOLDER = "/etc/dane-mailgraph"
"""Of files NAME.conf, where one machine counts for many: each has its folders and its `host`."""

PREFIX = "DANE_MAILGRAPH_"

_LINE = re.compile(r"[^\n\0]*")

_NOT_OURS = re.compile(PREFIX + r"(?:MESSAGE|SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_\w+)?)")
"""What `tell` gives its command, which may start us; what Kubernetes sets in each container beside
a service that is named dane-mailgraph."""


COUNTERS = ("run", "collect", "import", "demo")
PAINTERS = ("render", "demo")
READERS = ("", "report", "relays", "check", "summary", "metrics", "ship")
"""Verbs that only ask the store; the empty one is the command without a verb."""


class Setting(NamedTuple):
    """One setting: a key of the file, a long option and an environment variable."""

    name: str
    default: str
    takes: str
    """What its value is, as help and man pages name it: `DIR`, `SECONDS`."""
    help: str
    read: Callable[[str], Any]
    """From text to value; raises ValueError with what is wrong."""
    verbs: tuple[str, ...]
    """The verbs that use it; every verb accepts it. `config` prints all and is not named."""
    choices: tuple[str, ...] = ()
    """All values, where they are few."""

    @property
    def option(self) -> str:
        """`--state-dir`."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """`DANE_MAILGRAPH_STATE_DIR`."""
        return PREFIX + self.name.upper()

    @property
    def description(self) -> str:
        """The help text and the default, as `--help` prints them."""
        return f"{self.help} (default: {self.default or 'empty'})"


def _path(text: str) -> str:
    if not text:
        raise ValueError("a path is needed")
    return text


def _text(text: str) -> str:
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError("it must be UTF-8")
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
        raise ValueError("no such time zone; use a name like Europe/Berlin") from error


def _url(text: str) -> str:
    if not text:
        return ""
    from urllib.parse import urlsplit  # 2 ms that most starts need not spend

    place = urlsplit(text)
    if place.scheme not in ("http", "https") or not place.hostname or place.query or place.fragment:
        raise ValueError("http://HOST:PORT or https://HOST is needed, perhaps with a path")
    if "@" in place.netloc:
        raise ValueError("a password is for ship_password_file")
    if place.port == 0 or not text.isascii() or " " in text:
        raise ValueError("it must be an address")
    return text.rstrip("/")


def _relays(text: str) -> Relays:
    try:
        return Relays(text)
    except ValueError as error:
        raise ValueError(
            f"{error}; networks such as 10.0.0.0/8 or hosts such as mail.example.org are needed, "
            "and `unix` for sockets"
        ) from error


def _renderer(text: str) -> str:
    if text not in ("matplotlib", "rrdtool"):
        raise ValueError("matplotlib or rrdtool is needed")
    return text


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("yes or no is needed")
    return text == "yes"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.replace(",", " ").split())


def _servers(text: str) -> tuple[str, ...]:
    words = text.replace(",", " ").split()
    if words == ["none"]:
        return ("none",)
    for word in words:
        match = _SERVER.fullmatch(word)
        if not match or int(match[1] or 25) not in range(1, 65536):
            raise ValueError(f"{word} is no NAME or NAME:PORT, such as mail.example.org:25")
    return tuple(words)


_SERVER = re.compile(
    r"(?=.{1,253}(?::|$))[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"
    r"(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?(?::(\d{1,5}))?"
)


SETTINGS = (
    Setting(
        "log",
        "auto",
        "FILE",
        "the log that Postfix's lines go to, `journal`, or container:NAME; auto: the newest",
        _path,
        ("run", "collect", "import", "doctor"),
    ),
    Setting(
        "containers",
        "",
        "NAMES",
        "with `log = journal`: containers of Docker whose lines count, too, by their names",
        _names,
        ("run", "collect", "import"),
    ),
    Setting(
        "state_dir",
        "/var/lib/dane-mailgraph",
        "DIR",
        "folder of the counts: the RRD, the ledger, the lock",
        _path,
        (*READERS, "run", "collect", "import", "render", "doctor", "tlsrpt"),
    ),
    Setting(
        "output_dir",
        "/var/cache/dane-mailgraph",
        "DIR",
        "folder that the pictures and index.html are written into",
        _path,
        ("render", "doctor"),
    ),
    Setting(
        "step",
        "60",
        "SECONDS",
        "seconds of an interval; fixed once the RRD exists",
        _step,
        (*COUNTERS, "doctor"),
    ),
    Setting(
        "grace",
        "10",
        "SECONDS",
        "seconds that an interval stays open after its end, for late lines",
        _number(86400),
        COUNTERS,
    ),
    Setting(
        "time_zone",
        "",
        "ZONE",
        "time zone of stamps that name none, and of what is shown; empty: the system's",
        _zone,
        (*READERS, *COUNTERS, "render", "explain", "doctor"),
    ),
    Setting(
        "ignore_relays",
        "127.0.0.0/8 ::1 unix",
        "RELAYS",
        "relays that are not outbound: networks, hosts, .domains; `unix`: sockets",
        _relays,
        (*COUNTERS, "explain", "doctor"),
    ),
    Setting(
        "only_hosts",
        "",
        "HOSTS",
        "of a log of many hosts only the lines of these count, as it names them; empty: all",
        _names,
        ("run", "collect", "import", "explain"),
    ),
    Setting(
        "ignore_clients",
        "127.0.0.0/8 ::1 unix",
        "CLIENTS",
        "clients that are local: networks, hosts, .domains; `unix`: sockets",
        _relays,
        (*COUNTERS, "explain"),
    ),
    Setting(
        "relays_per_day",
        "1000",
        "N",
        "relays kept by name each day, the others as one; 0 keeps none",
        _number(100_000),
        COUNTERS,
    ),
    Setting(
        "relays_days", "400", "DAYS", "days for which relays are kept", _number(36_500), COUNTERS
    ),
    Setting(
        "metrics_file",
        "",
        "FILE",
        "file of metrics, written anew at each commit, for node_exporter; empty: none",
        str,
        ("run", "collect", "import"),
    ),
    Setting(
        "ship_url",
        "",
        "URL",
        "base URL of the VictoriaMetrics that `ship` sends to; empty: none",
        _url,
        ("ship",),
    ),
    Setting(
        "ship_ca_file",
        "",
        "FILE",
        "certificates of the authorities that ship_url is trusted by; empty: the system's",
        str,
        ("ship",),
    ),
    Setting(
        "ship_token_file",
        "",
        "FILE",
        "file of the bearer token for ship_url; empty: none",
        str,
        ("ship",),
    ),
    Setting(
        "ship_password_file",
        "",
        "FILE",
        "file of the line USER:PASSWORD for ship_url; empty: none",
        str,
        ("ship",),
    ),
    Setting(
        "host",
        "",
        "NAME",
        "name of the mail server on page, pictures and messages; empty: the system's",
        _text,
        (*PAINTERS, "check", "summary", "tlsrpt", "ship"),
    ),
    Setting(
        "language",
        "en",
        "LANGUAGE",
        f"language of page, pictures and messages: {' or '.join(languages())}",
        language,
        (*PAINTERS, "check", "summary"),
        languages(),
    ),
    Setting(
        "renderer",
        "matplotlib",
        "RENDERER",
        "what draws the pictures: matplotlib, or rrdtool: classic, half the memory",
        _renderer,
        PAINTERS,
        ("matplotlib", "rrdtool"),
    ),
    Setting(
        "show_destinations",
        "no",
        "YES_OR_NO",
        "whether the page names the servers that mail goes to: yes or no",
        _yes_or_no,
        ("render",),
        ("yes", "no"),
    ),
    Setting(
        "own_mx",
        "",
        "SERVERS",
        "our servers, for DANE: NAME or NAME:PORT; empty: those of Postfix; `none`",
        _servers,
        ("check", "doctor"),
    ),
    Setting(
        "own_mx_next_cert",
        "",
        "FILE",
        "certificate that our servers get next, before it is in place; empty: none",
        str,
        ("check", "doctor"),
    ),
    Setting(
        "ignore_conditions",
        "",
        "NAMES",
        "conditions to accept: NAME or NAME:SUBJECT, as failing:mx.example.org",
        _names,
        ("", "check", "doctor", "summary", "metrics", *PAINTERS),
    ),
    Setting(
        "tell",
        "",
        "MESSENGER",
        "whom `check --tell` tells: mail:ADDRESS, or command:/path; empty: nobody",
        messenger,
        ("check",),
    ),
    Setting(
        "heartbeat",
        "",
        "COMMAND",
        "what `check --tell` runs at its end: command:/path; empty: nothing",
        heartbeat,
        ("check",),
    ),
)


class Config(NamedTuple):
    """The settings in force; `texts` is what they were read from."""

    log: str
    containers: frozenset[str]
    state_dir: str
    output_dir: str
    step: int
    grace: int
    time_zone: tzinfo | None
    ignore_relays: Relays
    only_hosts: frozenset[str]
    ignore_clients: Relays
    relays_per_day: int
    relays_days: int
    metrics_file: str
    ship_url: str
    ship_ca_file: str
    ship_token_file: str
    ship_password_file: str
    host: str
    language: Language
    renderer: str
    show_destinations: bool
    own_mx: tuple[str, ...]
    own_mx_next_cert: str
    ignore_conditions: frozenset[str]
    tell: Messenger | None
    heartbeat: tuple[str, ...]
    texts: Mapping[str, str]


def load(
    path: str | None,
    environment: Mapping[str, str],
    options: Mapping[str, str | None],
    checks: Mapping[str, Callable[[str], object]] = MappingProxyType({}),
) -> Config:
    """Return the settings in force: option beats environment beats file beats default.

    Args:
        path: The file that --config names; None for the usual one, which may be absent.
        environment: Variable -> text.
        options: Name of a setting -> text; None is not given.
        checks: Name of a setting -> what else looks at its text; raises ValueError as `read` does.

    Raises:
        ConfigError: The file cannot be read, a name is unknown, or a value is wrong.
    """
    own = _own_defaults(path or FILE)
    given = {
        name: (text, f"in {path or FILE}, line {line}")
        for name, (text, line) in _file(path).items()
    }
    _refuse_unknown_variables(environment)
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
        text, where = given.get(
            setting.name, (own.get(setting.name, setting.default), "by default")
        )
        texts[setting.name] = text = text.strip()
        try:
            if not _LINE.fullmatch(text):
                raise ValueError("it must be one line of text")
            values[setting.name] = setting.read(text)
            if setting.name in checks:
                checks[setting.name](text)
        except ValueError as error:
            hint = "; a comment needs a line of its own" if "#" in text else ""
            raise ConfigError(
                f"{setting.name} = {text} {where} is wrong: {error}{hint}."
            ) from error
    return Config(**values, texts=texts)


def _own_defaults(path: str) -> dict[str, str]:
    """Return the defaults of a file in FOLDER, which are others than those of the table."""
    folder, name = os.path.split(os.path.abspath(path))
    if folder != FOLDER or not name.endswith(".conf"):
        return {}
    name = name.removesuffix(".conf")
    folders = {
        each.name: f"{each.default}/{name}"
        for each in SETTINGS
        if each.name in ("state_dir", "output_dir")
    }
    return {**folders, "host": name}


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    names = {setting.variable for setting in SETTINGS}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in names and not _NOT_OURS.fullmatch(name):
            raise ConfigError(f"In the environment: there is no setting {name}{_near(name, names)}")


def _near(name: str, names: Iterable[str]) -> str:
    """Return the end of the sentence that refuses a name."""
    from difflib import get_close_matches  # costs every start 2 ms

    for near in get_close_matches(name, names, 1):
        return f"; did you mean {near}?"
    return "; `dane-mailgraph config` lists all."


def _file(path: str | None) -> dict[str, tuple[str, int]]:
    """Return name -> text, line number."""
    try:
        with open(path or FILE, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        if path is None:
            return {}
        raise ConfigError(
            f"{path} does not exist; name a configuration file that does, or leave --config out."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path or FILE} cannot be read: {reason(error)}; look at its permissions."
        ) from error
    found: dict[str, tuple[str, int]] = {}
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
            raise ConfigError(f"{where}: there is no setting {name}{_near(name, names)}")
        if name in found:
            raise ConfigError(
                f"{where} sets {name} a second time, first in line {found[name][1]}; "
                "keep one of them."
            )
        found[name] = text, number
    return found


def as_file(config: Config) -> str:
    """Return the configuration as a file that gives it again, with the defaults commented out."""
    lines = [
        "# dane-mailgraph: the configuration in force; defaults are commented out.",
        "",
    ]
    for setting in SETTINGS:
        text = config.texts[setting.name]
        lines += [
            f"# {setting.description[0].upper()}{setting.description[1:]}.",
            f"{'# ' if text == setting.default else ''}{setting.name} = {text}".rstrip(),
            "",
        ]
    return "\n".join(lines)
