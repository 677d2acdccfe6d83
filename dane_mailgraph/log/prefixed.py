"""Readers of more or of less than a file: what was read ahead is put back, or an end is set."""

from __future__ import annotations

import io
from typing import Any, Protocol


class Readable(Protocol):
    """What can fill a buffer, as `io.RawIOBase` does."""

    def readinto(self, view: memoryview, /) -> int | None:
        """Fill the buffer from its start and return the number of bytes; 0 at the end."""


class Prefixed(io.RawIOBase):
    """A reader that gives `prefix` first and then what `rest` gives."""

    def __init__(self, prefix: bytes, rest: Readable) -> None:
        self._prefix, self._rest = prefix, rest

    def readable(self) -> bool:
        """Return True, for readers that ask."""
        return True

    def readinto(self, view: Any, /) -> int:
        """Fill the buffer from its start and return the number of bytes; 0 at the end."""
        if not self._prefix:
            return self._rest.readinto(view) or 0
        first, self._prefix = self._prefix[: len(view)], self._prefix[len(view) :]
        view[: len(first)] = first
        return len(first)


class Limited(io.RawIOBase):
    """A reader that ends after so many bytes of `whole`."""

    def __init__(self, whole: Readable, size: int) -> None:
        self._whole, self._left = whole, size

    def readable(self) -> bool:
        """Return True, for readers that ask."""
        return True

    def readinto(self, view: Any, /) -> int:
        """Fill the buffer from its start and return the number of bytes; 0 at the end."""
        got = self._whole.readinto(view[: self._left]) or 0
        self._left -= got
        return got
