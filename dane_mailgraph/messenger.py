"""How messages reach the operator: `mail:ADDRESS`, or `command:/path`."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

_MAIL = re.compile(
    r"mail:(?P<to>[!-+\--~]+@[!-+\--~]+(?:,[!-+\--~]+@[!-+\--~]+)*)"
    r"(?: via (?P<server>\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?)?",
    re.ASCII,
)


class Messenger(NamedTuple):
    """A command, or else addresses and the server that takes mail to them."""

    command: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    server: str = "localhost"
    port: int = 25


def parse_messenger(text: str) -> Messenger | None:
    """Read the setting `tell`; empty is None. Raises ValueError."""
    if not text or text.startswith("command:"):
        command = parse_command(text)
        return Messenger(command) if command else None
    mail = _MAIL.fullmatch(text)
    if not mail or not int(mail["port"] or 25) < 65536:
        raise ValueError("mail:ADDRESS or command:/path is needed")
    server = (mail["server"] or "localhost").strip("[]")
    return Messenger((), tuple(mail["to"].split(",")), server, int(mail["port"] or 25))


def parse_command(text: str) -> tuple[str, ...]:
    """Read the setting `heartbeat` into a command and its arguments. Raises ValueError."""
    if not text:
        return ()
    kind, _, command = text.partition(":")
    words = tuple(shlex.split(command))
    if kind != "command" or not words or not words[0].startswith("/"):
        raise ValueError("command:/path is needed, with an absolute path")
    return words
