"""What `journalctl -o export` prints becomes lines.

An entry is a field in each line, `NAME=VALUE`, and ends with an empty line. A value that holds more
than text follows its name on lines of their own: eight bytes of length, the value, a newline
(systemd's JOURNAL_EXPORT_FORMATS).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from .blocks import LONGEST
from .forms import from_journal
from .prefixed import Prefixed, Readable

BEGIN = b"__CURSOR="

_WANTED = {
    b"MESSAGE",
    b"_HOSTNAME",
    b"SYSLOG_IDENTIFIER",
    b"SYSLOG_PID",
    b"_PID",
    b"__REALTIME_TIMESTAMP",
    b"CONTAINER_NAME",
}


class Export(io.RawIOBase):
    """The lines of an export, to be read like a file."""

    def __init__(self, begin: bytes, rest: Readable) -> None:
        """`begin` was read ahead of `rest`."""
        self._lines = _lines(io.BufferedReader(Prefixed(begin, rest)))
        self._line = b""

    def readable(self) -> bool:
        """Return True, for readers that ask."""
        return True

    def readinto(self, view: Any, /) -> int:
        """Fill the buffer from its start and return the number of bytes; 0 at the end."""
        if not self._line:
            self._line = next(self._lines, b"")
        size = min(len(view), len(self._line))
        view[:size], self._line = self._line[:size], self._line[size:]
        return size


def _lines(file: io.BufferedReader) -> Iterator[bytes]:
    entry: dict[str, bytes] = {}
    while field := file.readline(LONGEST):
        if field == b"\n":
            yield from _line(entry)
            entry = {}
            continue
        name, equals, value = field.rstrip(b"\n").partition(b"=")
        if not equals:
            value = _sized(file)
        elif not field.endswith(b"\n"):
            _drop_line(file)
        if name in _WANTED:
            entry[name.decode()] = value
    yield from _line(entry)


def _sized(file: io.BufferedReader) -> bytes:
    """Read a value that is written with its length; of a long one its beginning."""
    size = int.from_bytes(file.read(8), "little")
    value = file.read(min(size, LONGEST // 2))
    left = size + 1 - len(value)
    while left > 0 and (got := len(file.read(min(left, LONGEST)))):
        left -= got
    return value


def _drop_line(file: io.BufferedReader) -> None:
    while (more := file.readline(LONGEST)) and not more.endswith(b"\n"):
        pass


def _line(entry: dict[str, bytes]) -> Iterator[bytes]:
    message = entry.get("MESSAGE")
    if message is not None:
        fields = {name: value.decode("utf-8", "replace") for name, value in entry.items()}
        text = from_journal(fields, message.replace(b"\n", b" ").replace(b"\0", b" "))
        if text:
            yield text + b"\n"
