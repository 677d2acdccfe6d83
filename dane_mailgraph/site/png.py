"""PNG files: written fast, and with the identity of what they show, so that nobody need draw the same again.

The format is that of ISO/IEC 15948. An encoder that tries filters takes four times as long for flat colours, and its files
are larger (measured: 22 ms and 89 kB beside 6 ms and 75 kB for 1280 x 872 pixels).
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_KEYWORD = b"Identity\0"

HEAD = 128
"""Bytes at the begin of a file that hold all that `about` reads."""


class About(NamedTuple):
    """What a file says of itself."""

    width: int
    """Pixels."""
    height: int
    identity: str
    """Empty where it names none."""


def encoded(width: int, height: int, rows: bytes) -> bytes:
    """The file of an image of 8 bit RGB; each row of `rows` is a 0 and its pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        _SIGNATURE
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(rows, 4))
        + _chunk(b"IEND", b"")
    )


def stamped(file: bytes, identity: str) -> bytes:
    """The same image, and it names its identity."""
    begin = len(_SIGNATURE) + 25
    return file[:begin] + _chunk(b"tEXt", _KEYWORD + identity.encode("ascii")) + file[begin:]


def about(head: bytes) -> About | None:
    """What the begin of a file says; None where it is no PNG."""
    if len(head) < 33 or not head.startswith(_SIGNATURE) or head[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", head[16:24])
    length = int.from_bytes(head[33:37], "big")
    text = head[41 : 41 + length] if head[37:41] == b"tEXt" else b""
    identity = text.removeprefix(_KEYWORD) if text.startswith(_KEYWORD) else b""
    return About(width, height, identity.decode("ascii", "replace"))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
