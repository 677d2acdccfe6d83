"""Files in folders of other users: opened through no symbolic link, and replaced atomically.

The owner of state_dir or output_dir could lead the hand of root, who runs a verb there, elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress

from .times import HOUR

_UNFINISHED = ".new"


def no_link(path: str, flags: int) -> int:
    """Open a file for `open(path, opener=no_link)`; raises OSError for a link, a pipe, a device."""
    refuse_link(path)
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file", path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def refuse_link(path: str) -> None:
    """Raise OSError where a symbolic link has this name: for files that a library opens."""
    if os.path.islink(path):
        raise OSError(errno.ELOOP, "it is a symbolic link", path)


def write_anew(path: str, content: bytes) -> None:
    """Replace a file at once by one that all may read, whatever the umask; raises OSError.

    Until then it has a random name, so two writers do not meet.
    """
    new = f"{path}.{os.urandom(8).hex()}{_UNFINISHED}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(new, flags, 0o644), "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        with suppress(OSError):
            os.unlink(new)
        raise


def delete_unfinished(folder: str) -> None:
    """Delete what killed writers have left of `write_anew` more than an hour ago."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with suppress(OSError):
            if name.endswith(_UNFINISHED) and os.lstat(path).st_mtime < time.time() - HOUR:
                os.unlink(path)


def empty_folder(path: str) -> None:
    """Make a folder, or delete all files in it; raises OSError for a link in its place."""
    refuse_link(path)
    with suppress(FileExistsError):
        os.mkdir(path, 0o750)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for each in os.listdir(descriptor):
            os.unlink(each, dir_fd=descriptor)
    finally:
        os.close(descriptor)
