"""The standard streams: sentences for the operator, one printable line each."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress

from ..errors import StoreError, reason


def open_streams() -> None:
    """Open the standard streams that were closed at the start.

    Else a file of ours would get the number of one, and what is printed would go into it. Standard
    output stays unwritable, so that printing still fails. A letter that the locale's encoding lacks
    is printed as its escape, as on standard error.
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

    Python would try again at exit, and end with status 120 and a message of its own.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def tell(sentence: str) -> None:
    """Print a sentence for the operator on standard error; do nothing where that is unwritable."""
    with suppress(OSError):
        print(f"dane-mailgraph: {printable(sentence)}", file=sys.stderr, flush=True)


def width() -> int | None:
    """Return the characters in a line of the terminal; None where there is none."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def is_coloured() -> bool:
    """Return whether standard output is a terminal with colours, and NO_COLOR is not set."""
    forbidden = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not forbidden


def printable(text: str) -> str:
    """Return a text as one line without control characters, which a terminal would obey."""
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    )


def output_error(error: OSError) -> StoreError:
    """Return the error that says which file cannot be read or written.

    Without a file name it is standard output. If its reader has gone away, end by SIGPIPE as other
    programs do; elsewhere the signal is ignored, because messengers and servers go away too.
    """
    if isinstance(error, BrokenPipeError) and not error.filename:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)
    if error.filename:
        return StoreError(
            f"{error.filename} cannot be read or written: {reason(error)}; look at the file and "
            "its disk."
        )
    return StoreError(f"Standard output cannot be written: {reason(error)}; look at where it goes.")
