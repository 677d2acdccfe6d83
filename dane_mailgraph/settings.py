"""The settings: one row each, and how its text becomes a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo
from typing import Any, NamedTuple

from .language import language_codes, load_language
from .messenger import parse_command, parse_messenger
from .peers import PeerSet

PREFIX = "DANE_MAILGRAPH_"

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


def _relays(text: str) -> PeerSet:
    try:
        return PeerSet(text)
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
    if "none" in words:
        raise ValueError("none stands alone")
    for word in words:
        match = _SERVER.fullmatch(word)
        if not match or int(match[1] or 25) not in range(1, 65536):
            raise ValueError(f"{word} is no NAME or NAME:PORT, such as mail.example.org:25")
    return tuple(words)


_SERVER = re.compile(
    r"(?=.{1,253}(?::|$))[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"
    r"(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?(?::([0-9]{1,5}))?"
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
        f"language of page, pictures and messages: {' or '.join(language_codes())}",
        load_language,
        (*PAINTERS, "check", "summary"),
        language_codes(),
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
        "where `check --tell` sends: mail:ADDRESS, or command:/path; empty: nowhere",
        parse_messenger,
        ("check",),
    ),
    Setting(
        "heartbeat",
        "",
        "COMMAND",
        "what `check --tell` runs at its end: command:/path; empty: nothing",
        parse_command,
        ("check",),
    ),
)
