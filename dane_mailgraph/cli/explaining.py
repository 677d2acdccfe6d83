"""Log lines, and what each of them counts as."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..config import Config
from ..counting import TOLERANCE
from ..log import LONGEST, Clock, LogFile, open_log
from ..postfix import explanation
from .logs import only_hosts
from .terminal import output_error, printable


def explain_lines(settings: Config, path: str, form: str, *, everything: bool) -> None:
    """Print of each line what it counts as, or why it does not; with `everything` of all programs.

    Args:
        settings: Those that counting depends on.
        path: Of a log, or `-`.
        form: `text` or `json`.
        everything: Show the lines of other programs, too.
    """
    zone = settings.time_zone
    with open_log(path, named=True) as log:
        latest = int(log.status.st_mtime) if log.is_regular else int(time.time())
        horizon = int(time.time()) + TOLERANCE
        summary, as_json = explanation.Summary(), form == "json"
        for each in explanation.explain(
            _lines(log),
            Clock(zone, latest),
            settings.ignore_relays,
            horizon,
            only_hosts(settings),
            settings.ignore_clients,
        ):
            summary.add(each)
            if as_json or everything or each.kind != explanation.OTHERS:
                shown = explanation.as_json(each) if as_json else explanation.as_text(each, zone)
                _print_now(shown, at_once=not log.is_regular)
        if not as_json:
            _print_now(summary.as_text(), at_once=True)


def _print_now(text: str, *, at_once: bool) -> None:
    """Print lines while a log is open, whose errors must not be taken for those of the output."""
    try:
        print("\n".join(map(printable, text.split("\n"))), flush=at_once)
    except OSError as error:
        raise output_error(error) from error


def _lines(log: LogFile) -> Iterator[bytes]:
    """Yield lines as they arrive: the answer to a line must not wait for the next ones."""
    view = memoryview(bytearray(1 << 16))
    rest = b""
    while got := log.readinto(view):
        *lines, rest = (rest + bytes(view[:got])).split(b"\n")
        yield from lines
        rest = rest[:LONGEST]  # the length alone says that no such line counts
    if rest:
        yield rest
