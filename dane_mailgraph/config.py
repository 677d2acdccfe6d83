"""The settings in force, from defaults, file, environment and options; the later ones win."""

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
"""Of files NAME.conf, where one machine counts for many: each has folders and `host` of its own."""

_LINE = re.compile(r"[^\n\0]*")

_NOT_OURS = re.compile(
    PREFIX + r"(?:MESSAGE|(?:\w+_)?(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT(?:_\w+)?))"
)
"""What `tell` gives its command, which may start us; what Kubernetes sets in each container beside
a service whose name is or begins with dane-mailgraph."""


class Config(NamedTuple):
    """The settings in force, one field each (see `settings.SETTINGS`)."""

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
    """Name -> the text that the value was read from."""


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
    given = {
        **_defaults(path or FILE),
        **_from_file(path),
        **_from_environment(environment),
        **_from_options(options),
    }
    values, texts = {}, {}
    for setting in SETTINGS:
        text, where = given[setting.name]
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


class _Given(NamedTuple):
    """The text of a setting."""

    text: str
    where: str
    """`in /etc/dane-mailgraph.conf, line 3`."""


def _defaults(path: str) -> dict[str, _Given]:
    """Return the defaults; for a file in FOLDER its folders and `host` are named after it."""
    texts = {setting.name: setting.default for setting in SETTINGS}
    folder, name = os.path.split(os.path.abspath(path))
    if folder == FOLDER and name.endswith(".conf"):
        host = name.removesuffix(".conf")
        texts |= {each: f"{texts[each]}/{host}" for each in ("state_dir", "output_dir")}
        texts["host"] = host
    return {name: _Given(text, "by default") for name, text in texts.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, _Given]:
    names = {setting.variable: setting.name for setting in SETTINGS}
    for variable in sorted(environment):
        if (
            variable.startswith(PREFIX)
            and variable not in names
            and not _NOT_OURS.fullmatch(variable)
        ):
            near = _near(variable.upper(), names)
            raise ConfigError(f"In the environment: there is no setting {variable}{near}")
    return {
        name: _Given(environment[variable], f"in the environment ({variable})")
        for variable, name in names.items()
        if variable in environment
    }


def _from_options(options: Mapping[str, str | None]) -> dict[str, _Given]:
    return {
        setting.name: _Given(text, f"on the command line ({setting.option})")
        for setting in SETTINGS
        if (text := options.get(setting.name)) is not None
    }


def _near(name: str, names: Iterable[str]) -> str:
    """Return the end of the sentence that refuses a name."""
    from difflib import get_close_matches  # costs every start 2 ms

    for near in get_close_matches(name, names, 1):
        return f"; did you mean {near}?"
    return "; `dane-mailgraph config` lists all."


def _from_file(path: str | None) -> dict[str, _Given]:
    found: dict[str, _Given] = {}
    numbers: dict[str, int] = {}
    names = [setting.name for setting in SETTINGS]
    for number, line in enumerate(_lines(path), 1):
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
                f"{where} sets {name} a second time, first in line {numbers[name]}; "
                "keep one of them."
            )
        found[name], numbers[name] = _Given(text, f"in {where}"), number
    return found


def _lines(path: str | None) -> list[str]:
    """Read the file that --config names, or the usual one; none where that is absent."""
    try:
        with open(path or FILE, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read().split("\n")
    except FileNotFoundError:
        if path is None:
            return []
        raise ConfigError(
            f"{path} does not exist; name a configuration file that does, or leave --config out."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path or FILE} cannot be read: {reason(error)}; look at its permissions."
        ) from error


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
