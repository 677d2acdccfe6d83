"""The unit that counts: whether it works, holds the store, and may write all of it."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..programs import Account, ask
from .loggers import UNIT

LOCKS = "/proc/locks"

_PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "StatusText")


class Unit(NamedTuple):
    """What systemd says of our unit."""

    active: str
    """`active`, `activating`, `inactive`, `failed`."""
    sub: str
    """`running`, `auto-restart`, `dead`."""
    result: str
    """Why it ended last: `success`, `exit-code`, `watchdog`."""
    is_enabled: bool
    """It is started with the machine."""
    status: str
    """The last `STATUS=` that it sent by sd_notify(3)."""


def ask_systemd() -> Unit | None:
    """Ask systemd for our unit; None where there is no systemd, or no such unit."""
    output = ask("systemctl", "show", UNIT, *(f"-p{each}" for each in _PROPERTIES))
    if output is None or output.status:
        return None
    properties = dict(line.split("=", 1) for line in output.out.split("\n") if "=" in line)
    if properties.get("LoadState") != "loaded":
        return None
    active, sub, result = (properties.get(each, "") for each in _PROPERTIES[1:4])
    is_enabled = properties.get("UnitFileState", "").startswith("enabled")
    return Unit(active, sub, result, is_enabled, properties.get("StatusText", ""))


def is_locked(state_dir: str, locks: str = LOCKS) -> bool | None:
    """Return whether a process holds the lock on the store; None where it cannot be seen."""
    try:
        inode = os.stat(os.path.join(state_dir, "lock")).st_ino
        with open(locks, encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return None
    return any("FLOCK" in words and any(w.endswith(f":{inode}") for w in words) for words in rows)


def unwritable(state_dir: str, account: Account | None) -> tuple[str, ...] | None:
    """Return what of the store that user may not write; None where only root could find out."""
    try:
        names = [each for each in sorted(os.listdir(state_dir)) if ".aside-" not in each]
    except OSError:
        return None
    paths = [state_dir, *(os.path.join(state_dir, each) for each in names)]
    if account is None or (os.geteuid() and account.uid != os.geteuid()):
        return None
    if account.uid == os.geteuid():
        return tuple(path for path in paths if not os.access(path, os.W_OK))
    test = 'for each; do test -w "$each" || printf "%s\\n" "$each"; done'
    output = ask("sh", "-c", test, "sh", *paths, account=account)
    if output is None or output.status:
        return None
    return tuple(output.out.splitlines())
