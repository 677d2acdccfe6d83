"""Files of the store: put into place durably, or aside."""

from __future__ import annotations

import os

from ..errors import StoreError, reason


def put_aside(path: str) -> str:
    """Rename a file out of the way and return its new name; empty where there is no file."""
    if not os.path.lexists(path):
        return ""
    aside = unused(path + ".aside")
    try:
        os.rename(path, aside)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be put aside: {reason(error)}; look at its permissions."
        ) from error
    return aside


def unused(path: str) -> str:
    """Return the first of PATH-1, PATH-2... that does not exist."""
    number = 1
    while os.path.lexists(f"{path}-{number}"):
        number += 1
    return f"{path}-{number}"


def sync(path: str, *, whole: bool = False) -> None:
    """Make a file durable; `whole` is one that was written from its beginning to its end."""
    try:
        link = 0 if os.path.isdir(path) else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | link)
        try:
            os.fsync(descriptor)
            if whole:
                # What is written in large pieces is cached in large pieces: each update of the RRD
                # then made 2 MB dirty, and 20 kB where the cache has been dropped once (ext4).
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {reason(error)}; look at the free space and the disk."
        ) from error


def replace(fresh: str, path: str) -> None:
    """Move a file into place durably; raises StoreError."""
    sync(fresh, whole=True)
    try:
        os.replace(fresh, path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {reason(error)}; look at the permissions of its directory."
        ) from error
    sync(os.path.dirname(path) or ".")
