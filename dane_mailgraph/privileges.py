"""Root acts as the user whose folder it works in, and as root only where it opens a log.

Else files that root makes in a service's state_dir would belong to root, and the service could
count no more; and the owner of the folder could make root write elsewhere by a symbolic link.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import StoreError

_root: list[tuple[int, list[int]]] = []
"""Group and groups of root, where root acts as another user now."""


def act_as_owner_of(folder: str) -> None:
    """Act from now on as the owner of a folder, with the owner's groups; root alone does so.

    Where the folder does not exist yet, that is the owner of the nearest one above it. Raises
    StoreError where the owner cannot read the program itself.
    """
    if os.geteuid() != 0:
        return
    status = os.stat(_nearest_existing(os.path.abspath(folder)))
    if status.st_uid == 0:
        return
    uid, gid = status.st_uid, status.st_gid
    groups, name = [gid], str(uid)
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        pass
    else:
        gid, name = account.pw_gid, account.pw_name
        groups = os.getgrouplist(name, gid)
    code = [each for each in _folders_of_code() if os.path.isdir(each)]
    _root.append((os.getegid(), os.getgroups()))
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    for needed in code:
        if not os.access(needed, os.R_OK | os.X_OK, effective_ids=True):
            act_as_caller()
            raise StoreError(
                f"{folder} belongs to {name}, who may not read {needed}; "
                f"install dane-mailgraph where {name} may, or run it as {name}."
            )


def _folders_of_code() -> tuple[str, ...]:
    """Return the folders from which modules may be imported later."""
    import sysconfig

    return os.path.dirname(__file__), os.path.dirname(os.__file__), sysconfig.get_path("platlib")


def act_as_caller() -> None:
    """Act again as the user who called the program; do nothing where that never changed."""
    if _root:
        gid, groups = _root.pop()
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


@contextmanager
def acting_as_owner_of(folder: str) -> Iterator[None]:
    """Act as the owner of a folder inside the `with`, then as the caller; raises StoreError."""
    act_as_owner_of(folder)
    try:
        yield
    finally:
        act_as_caller()


@contextmanager
def as_caller() -> Iterator[None]:
    """Act as the user who called the program inside the `with`, to open a log.

    Root may open what the owner of the folder may not.
    """
    acting = os.geteuid()
    if not _root:
        yield
        return
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(acting)


def _nearest_existing(path: str) -> str:
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path
