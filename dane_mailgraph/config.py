"""The frozen `Config`: defaults, file, environment and options, each stronger than those before."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from types import MappingProxyType
from typing import NamedTuple

from .errors import ConfigError, reason
from .language import Language
from .messenger import Messenger
from .peers import PeerSet
from .settings import PREFIX, SETTINGS

FILE = "/etc/dane-mailgraph.conf"

FOLDER = "/etc/dane-mailgraph"
"""Of files NAME.conf, where one machine counts for many: each has its folders and its `host`."""

_LINE = re.compile(r"[^\n\0]*")

_NOT_OURS = re.compile(PREFIX + r"(?:MESSAGE|SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_\w+)?)")
"""What `tell` gives its command, which may start us; what Kubernetes sets in each container beside
a service that is named dane-mailgraph."""


class Config(NamedTuple):
    """The settings in force; `texts` is what they were read from."""

    log: str
    containers: frozenset[str]
    state_dir: str
    output_dir: str
    step: int
    grace: int
    time_zone: tzinfo | None
    ignore_relays: PeerSet
    only_hosts: frozenset[str]
    ignore_clients: PeerSet
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
