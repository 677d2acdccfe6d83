"""A seal at the end of a snapshot says that none of its bytes has changed.

librrd ignores what follows an RRD.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import StoreError, reason
from ..files import no_link

_SEAL = struct.Struct(">12sI")
_NAME = b"\nsnapshot of"

_BLOCK = 1 << 18


def seal(path: str) -> None:
    """Append the seal; raises StoreError."""
    try:
        with open(path, "r+b", opener=no_link) as file:
            checksum = 0
            while block := file.read(_BLOCK):
                checksum = zlib.crc32(block, checksum)
            file.write(_SEAL.pack(_NAME, checksum))
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {reason(error)}; look at the free space."
        ) from error


def is_whole(path: str) -> bool:
    """Return whether the seal fits the file; True for a file without one."""
    try:
        with open(path, "rb", opener=no_link) as file:
            end, wanted = _end(file)
            checksum = 0
            for block in _blocks(file, end):
                checksum = zlib.crc32(block, checksum)
    except OSError:
        return False
    return wanted in (None, checksum)


def without_seal(path: str) -> Iterator[bytes]:
    """Yield the file without its seal; raises OSError."""
    with open(path, "rb", opener=no_link) as file:
        yield from _blocks(file, _end(file)[0])


def _end(file: BinaryIO) -> tuple[int, int | None]:
    """Return where the file ends without its seal, and the checksum that the seal tells."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _SEAL.size))
    last = file.read(_SEAL.size)
    file.seek(0)
    if len(last) < _SEAL.size or not last.startswith(_NAME):
        return size, None
    return size - _SEAL.size, _SEAL.unpack(last)[1]


def _blocks(file: BinaryIO, end: int) -> Iterator[bytes]:
    while block := file.read(min(_BLOCK, end - file.tell())):
        yield block
