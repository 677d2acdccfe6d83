"""What an operator reads: the standard streams, one printable line at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from .archive import Opened
from .errors import StoreError, reason


def open_streams() -> None:
    """Give back what whoever started us has closed: else a file of ours takes its number, and is written into."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode))  # noqa: SIM115 - open for good


def tell(sentence: str) -> None:
    """A sentence for the operator, on standard error."""
    print(f"dane-mailgraph: {printable(sentence)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """One line, whatever names and logs hold: a terminal obeys control characters."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def unprinted(error: OSError) -> StoreError:
    """Which file the system would not let us read or write, if any, and why."""
    name = error.filename or "the output"
    return StoreError(f"{name} cannot be read or written: {reason(error)}; look at the file and its disk.")


def progress() -> Callable[[list[Opened]], None]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _: None
    shown = -1

    def show(logs: list[Opened]) -> None:
        nonlocal shown
        whole = sum(log.status.st_size for log in logs) or 1
        percent = min(100, 100 * sum(log.taken for log in logs) // whole)
        if percent != shown:
            shown = percent
            print(
                f"\r[{'#' * (percent * 2 // 5):<40}] {percent:3} %",
                end="\r" if percent < 100 else "\n",
                file=sys.stderr,
                flush=True,
            )

    return show
