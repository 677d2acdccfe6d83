"""The name of the mail server, as messages and pictures give it."""

from __future__ import annotations

import os
import socket

from ..config import Config


def host_name(settings: Config) -> str:
    """Return the setting `host`; where it is empty, the name of this machine."""
    # The kernel takes any bytes.
    return settings.host or os.fsencode(socket.gethostname()).decode("utf-8", "replace")
