"""The bytes of an RRD, where the binding has no function, or one that takes too long."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import BinaryIO

from ..errors import StoreError, reason
from ..files import no_link

_DOUBLE = 8
"""Bytes of a number in an archive."""

_BLOCK = 1 << 18

_HEAD, _SOURCE, _ARCHIVE = map(struct.Struct, ("@4s5sd3L10d", "@20s20s10d", "@20s2L10d"))
"""What librrd's files begin with, as this machine writes it: stat_head, ds_def, rra_def."""


def lengthen(path: str, sources: int, archives: Sequence[tuple[str, int, int]]) -> bool:
    """Give each archive all of its rows, in place of one; False where the file is unlike ours.

    `sources` is how many data sources each row has; an archive is its kind, its steps in a row, and
    its rows. The definitions of the archives, behind those of the sources, have the numbers of
    rows. Raises StoreError where the file cannot be written.
    """
    try:
        with open(path, "r+b", opener=no_link) as file:
            return _lengthen(file, sources, archives)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {reason(error)}; "
            "look at its permissions and at the free space."
        ) from error


def _lengthen(file: BinaryIO, sources: int, archives: Sequence[tuple[str, int, int]]) -> bool:
    row, content = sources * _DOUBLE, bytearray(file.read(_BLOCK))
    begin = _HEAD.size + sources * _SOURCE.size
    places = [begin + n * _ARCHIVE.size for n in range(len(archives))]
    header = len(content) - len(archives) * row
    if header < begin + len(archives) * _ARCHIVE.size:
        return False
    for place, (_, steps, rows) in zip(places, archives, strict=True):
        kind, count, kept, *others = _ARCHIVE.unpack_from(content, place)
        if (count, kept) != (1, steps):
            return False
        _ARCHIVE.pack_into(content, place, kind, rows, kept, *others)
    file.seek(0)
    file.write(content[:header])
    unknown = bytes(content[header : header + row])
    many = unknown * (_BLOCK // row)
    for _, _, rows in archives:
        whole, rest = divmod(rows, _BLOCK // row)
        file.writelines(chain(repeat(many, whole), repeat(unknown, rest)))
    return True


def checksum(path: str, sources: int, rows: Sequence[int]) -> int | None:
    """Return a number that two RRDs share if they hold the same; None for a damaged one.

    `rows` says how many each archive has. librrd begins each archive at a random row, so the rows
    are taken in their order of time. Raises StoreError where the file cannot be read.
    """
    try:
        with open(path, "rb", opener=no_link) as file:
            checksum = 0
            for begin, end in _in_order(file, sources, rows):
                file.seek(begin)
                while block := file.read(min(_BLOCK, end - file.tell())):
                    checksum = zlib.crc32(block, checksum)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {reason(error)}; look at its permissions."
        ) from error
    except (ValueError, struct.error):
        return None
    return checksum


def _in_order(file: BinaryIO, sources: int, rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield where its parts begin and end; raises ValueError, struct.error for a damaged one."""
    row, pointers = sources * _DOUBLE, struct.Struct(f"@{len(rows)}L")
    at = os.fstat(file.fileno()).st_size - sum(rows) * row
    if at < pointers.size:
        raise ValueError(at)
    file.seek(at - pointers.size)
    newest = pointers.unpack(file.read(pointers.size))
    yield 0, at - pointers.size
    for count, last in zip(rows, newest, strict=True):
        if last >= count:
            raise ValueError(last)
        middle, end = at + (last + 1) * row, at + count * row
        yield middle, end
        yield at, middle
        at = end
