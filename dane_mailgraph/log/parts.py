"""Lines that a container's runtime has cut into entries are put together.

Docker's json-file and the logs of pods (CRI) hold at most 16 KiB of a line in an entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from . import heads
from .blocks import LONGEST


class _Part(NamedTuple):
    """An entry that may be a part of a line."""

    head: bytes
    """What stands before the text in an entry."""
    text: bytes
    is_last: bool
    """The line ends with it."""

    @property
    def line(self) -> bytes:
        """It as an entry of a pod's log."""
        return self.head + b"F " + self.text


_POD = heads.compiled(rf"^({heads.DATED}\S*\ (?:stdout|stderr)\ )([PF])\ (.*)$")


class Parts:
    """Puts lines together, over the ends of blocks too."""

    def __init__(self) -> None:
        self._held: _Part | None = None

    @property
    def waits(self) -> bool:
        """Whether it holds the beginning of a line and waits for the next part."""
        return self._held is not None

    def whole(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines, those that were cut as one; the beginning of the last one is held."""
        for line in lines:
            part = _of_pod(line) or _of_json(line)
            if part is None:
                yield from self.end()
                yield line
                continue
            held, self._held = self._held, None
            if held and not heads.stamped(part.text + b" "):
                text = (held.text + part.text)[:LONGEST]
                part = _Part(held.head, text, part.is_last)
            elif held:
                yield held.line
            if part.is_last:
                yield part.line
            else:
                self._held = part

    def end(self) -> Iterator[bytes]:
        """Yield what is held: nothing follows it."""
        if self._held:
            yield self._held.line
        self._held = None


def _of_pod(line: bytes) -> _Part | None:
    found = _POD.match(line)
    return _Part(found[1], found[3], found[2] == b"F") if found else None


def _of_json(line: bytes) -> _Part | None:
    if not line.startswith(b'{"'):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return of_docker(entry) if isinstance(entry, dict) else None


def of_docker(entry: dict[str, Any]) -> _Part | None:
    """Return what an entry of Docker's json-file holds of a line; None for other JSON."""
    log, time = entry.get("log"), entry.get("time")
    if not (isinstance(log, str) and isinstance(time, str)):
        return None
    text = log.encode("utf-8", "replace")
    ended = text.endswith((b"\n", b"\r"))
    text = text.rstrip(b"\r\n").replace(b"\n", b" ")
    return _Part(time.encode("utf-8", "replace").replace(b"\n", b"") + b" stdout ", text, ended)
