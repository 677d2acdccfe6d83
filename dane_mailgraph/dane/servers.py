"""Mail servers as the command line names them: NAME or NAME:PORT."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import UsageError

SMTP, SUBMISSIONS = 25, 465

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(\.{_LABEL})*\.?")


class Target(NamedTuple):
    """A mail server, by name and port."""

    name: str
    port: int = SMTP

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def record(self) -> str:
        """The name of its TLSA records: `_25._tcp.mail.example.org`."""
        return f"_{self.port}._tcp.{self.name}"


def parse_host(text: str) -> str:
    """Read the name of a server; raises UsageError."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} is not the name of a server; give one as in --name mail.example.org."
        )
    return text.rstrip(".").lower()


def parse_target(text: str) -> Target:
    """Read NAME or NAME:PORT; raises UsageError."""
    name, colon, port = text.rpartition(":") if re.search(r":\d*$", text) else (text, "", "")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{text!r} is not NAME or NAME:PORT; name a server as in --mx mail.example.org:25."
        )
    if colon and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(
            f"{text!r} has no port from 1 to 65535 after the colon; "
            "name a server as in --mx mail.example.org:25."
        )
    return Target(name.rstrip(".").lower(), int(port) if colon else SMTP)
