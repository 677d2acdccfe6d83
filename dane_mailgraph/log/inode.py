"""What tells a file from a later one that gets the same inode number."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from typing import NamedTuple

_GETVERSION = 2 << 30 | struct.calcsize("l") << 16 | ord("v") << 8 | 1
"""FS_IOC_GETVERSION of linux/fs.h: an inode's generation, new each time its number is reused."""

_AT_EMPTY_PATH, _STATX_BTIME = 0x1000, 0x800
_STATX = struct.Struct("=I76xqI164x")
"""Of struct statx (linux/stat.h): the mask, and the birth time as seconds and nanoseconds."""


class Inode(NamedTuple):
    """An inode of one file system."""

    number: int
    generation: int
    """The generation, else the birth time in nanoseconds; 0 where the file system has neither."""

    @classmethod
    def of(cls, descriptor: int) -> Inode:
        """Return the inode of an open file."""
        return cls(os.fstat(descriptor).st_ino, _generation(descriptor) or _born(descriptor))

    def may_be(self, other: Inode) -> bool:
        """Return whether nothing tells them apart."""
        return self.number == other.number and (
            self.generation == other.generation or not (self.generation and other.generation)
        )


def _generation(descriptor: int) -> int:
    """Return the generation; 0 on overlayfs, tmpfs and NFS: ext4, xfs and btrfs have one."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _GETVERSION, bytes(8))[:4], sys.byteorder)
    except OSError:
        return 0


def _born(descriptor: int) -> int:
    """Return the birth time in nanoseconds; 0 where file system, kernel, libc or Python lack it."""
    try:
        import ctypes  # here, since most logs are on file systems with generations
    except (
        ImportError,
        MemoryError,
    ):  # without libffi, or one that needs memory both writable and executable
        return 0

    # os.stat has no birth time on Linux.
    statx = getattr(ctypes.CDLL(None), "statx", None)
    answer = ctypes.create_string_buffer(_STATX.size)
    if not statx or statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, answer):
        return 0
    mask, seconds, nanoseconds = _STATX.unpack(answer.raw)
    return int(seconds * 1_000_000_000 + nanoseconds) if mask & _STATX_BTIME else 0
