"""What an operator reads: the standard streams, one printable line at a time."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from ..errors import StoreError, reason
from ..log import LogFile


def open_streams() -> None:
    """Open what whoever started us has closed: else a file of ours takes its number, and is written into.

    Standard output stays one that cannot be written, so that what is printed into it fails as it would have.
    A letter that the locale's encoding does not have is printed as its escape, as on standard error.
    """
    for name, mode, flags in (
        ("stdin", "r", os.O_RDONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, flags), mode))  # noqa: SIM115 - open for good
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def discard_unwritten() -> None:
    """Discard what standard output or standard error does not take.

    Python would try again at its end, and end with status 120 and words of its own.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def tell(sentence: str) -> None:
    """Print a sentence for the operator on standard error; where that cannot be written, the exit status is all there is."""
    with suppress(OSError):
        print(f"dane-mailgraph: {printable(sentence)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """One line, whatever names and logs hold: a terminal obeys control characters."""
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    )


def unprinted(error: OSError) -> StoreError:
    """Say which file cannot be read or written; standard output is the one without a name."""
    if error.filename:
        return StoreError(
            f"{error.filename} cannot be read or written: {reason(error)}; look at the file and its disk."
        )
    return StoreError(f"Standard output cannot be written: {reason(error)}; look at where it goes.")


def progress() -> Callable[[list[LogFile]], None]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _: None
    shown = -1

    def show(logs: list[LogFile]) -> None:
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
