"""Repeat a tick on the clock's grid until told to stop, and keep systemd informed."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from .errors import MailgraphError

GRID = 1
"""Seconds between two ticks; one that finds nothing new costs a stat(2)."""


def tell_systemd(state: str) -> None:
    """sd_notify(3); nothing where no systemd listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        try:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.send(state.encode())
        except OSError as error:
            print(f"systemd cannot be told {state!r}: {error}", file=sys.stderr)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


class Voice:
    """Says what is out of the ordinary once, and again when it changes or heals."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._trouble: str | None = None

    def trouble(self, sentence: str) -> None:
        """Something went wrong, perhaps still the same."""
        if sentence != self._trouble:
            self._trouble = sentence
            self._say(sentence)

    def well(self) -> None:
        """All is well, perhaps again."""
        if self._trouble is not None:
            self._trouble = None
            self._say("All is well again, and what was missed has been counted.")


def run(tick: Callable[[int], None], stop: threading.Event, voice: Voice, clock: Callable[[], float] = time.time) -> None:
    """Tick at every second of the clock until `stop` is set; a tick that fails is tried again at the next."""
    tell_systemd("READY=1")
    while not stop.is_set():
        try:
            tick(int(clock()))
            voice.well()
        except MailgraphError as error:
            voice.trouble(str(error))
        tell_systemd("WATCHDOG=1")
        now = clock()
        stop.wait(GRID - now % GRID)
    tell_systemd("STOPPING=1")
