"""Bytes that come as slowly as a test asks for."""

from __future__ import annotations

from collections.abc import Callable


def source(data: bytes, sizes: list[int]) -> Callable[[memoryview], int]:
    """A readinto that gives no more bytes at a time than these sizes say, over and over."""
    at = turn = 0

    def readinto(view: memoryview) -> int:
        nonlocal at, turn
        got = data[at : at + min(len(view), sizes[turn % len(sizes)])]
        view[: len(got)] = got
        at, turn = at + len(got), turn + 1
        return len(got)

    return readinto
