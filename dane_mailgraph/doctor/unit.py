"""Who counts: the unit, its user, and whether that user can read the log and write the store."""

from __future__ import annotations

import grp
import os
import pwd
from typing import NamedTuple

from ..programs import Account, ask

UNIT = "dane-mailgraph.service"


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
    found = _properties(
        "LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "StatusText"
    )
    if found.get("LoadState") != "loaded":
        return None
    active, sub, result = (found.get(each, "") for each in ("ActiveState", "SubState", "Result"))
    is_enabled = found.get("UnitFileState", "").startswith("enabled")
    return Unit(active, sub, result, is_enabled, found.get("StatusText", ""))


def _properties(*names: str) -> dict[str, str]:
    """Return properties of our unit; none where there is no systemd."""
    output = ask("systemctl", "show", UNIT, *(f"-p{each}" for each in names))
    if output is None or output.status:
        return {}
    return dict(line.split("=", 1) for line in output.out.split("\n") if "=" in line)


def is_locked(state_dir: str) -> bool | None:
    """Return whether a process holds the lock on the store; None where it cannot be seen."""
    try:
        inode = os.stat(os.path.join(state_dir, "lock")).st_ino
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return None
    return any("FLOCK" in words and any(w.endswith(f":{inode}") for w in words) for words in rows)


def counting_account(state_dir: str) -> Account | None:
    """Return the user that counts: of the systemd unit, else the owner of the state directory."""
    found = _properties("User", "SupplementaryGroups")
    name = found.get("User")
    try:
        user = pwd.getpwnam(name) if name else pwd.getpwuid(os.stat(state_dir).st_uid)
    except (OSError, KeyError):
        return None
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    for name in found.get("SupplementaryGroups", "").split():
        try:
            groups.add(grp.getgrnam(name).gr_gid)
        except KeyError:
            continue
    return Account(user.pw_name, user.pw_uid, user.pw_gid, tuple(sorted(groups)))


def can_read(path: str, account: Account) -> bool | None:
    """Return whether that user can read a file; None where only root could find out."""
    if account.uid == os.geteuid():
        return os.access(path, os.R_OK)
    if os.geteuid():
        return None
    output = ask("test", "-r", path, account=account)
    return None if output is None else output.status == 0


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
