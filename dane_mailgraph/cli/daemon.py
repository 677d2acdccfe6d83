"""Repeat a tick on the clock's grid until told to stop, and keep systemd informed."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable

from ..errors import MailgraphError, reason
from .terminal import tell

GRID = 1
"""Seconds between two ticks; one that finds nothing new costs a stat(2)."""

_STOP = (signal.SIGTERM, signal.SIGINT)
_HEARD = (*_STOP, signal.SIGHUP)


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
            tell(f"systemd cannot be told {state!r}: {reason(error)}; look at {address}.")


def alive() -> None:
    """Tell systemd's watchdog that the work goes on."""
    tell_systemd("WATCHDOG=1")


def hear_signals() -> Callable[[float], int | None]:
    """From now on SIGTERM, SIGINT and SIGHUP are taken only by the function given back: it waits so many seconds for one.

    A tick is thus never cut off, and no handler runs in the midst of anything.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)

    def heard(seconds: float) -> int | None:
        said = signal.sigtimedwait(_HEARD, seconds)
        return said.si_signo if said else None

    return heard


class Voice:
    """Says what is out of the ordinary once, and again when it changes or heals."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._trouble: str | None = None

    def trouble(self, sentence: str) -> None:
        """Something went wrong, perhaps still the same."""
        if sentence != self._trouble:
            self._trouble = sentence
            self._tell(sentence)

    def well(self) -> None:
        """All is well, perhaps again."""
        if self._trouble is not None:
            self._trouble = None
            self._tell("All is well again, and what was missed has been counted.")


def run(
    tick: Callable[[int], None],
    reload: Callable[[], None],
    heard: Callable[[float], int | None],
    voice: Voice,
    clock: Callable[[], float] = time.time,
) -> None:
    """Tick at every second of the clock until told to stop; a tick that fails is tried again at the next.

    `heard` waits for so many seconds at most and says which signal came: SIGHUP calls `reload`, between two ticks.
    """
    tell_systemd("READY=1")
    pause = 0.0
    while (said := heard(pause)) not in _STOP:
        if said == signal.SIGHUP:
            tell_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            reload()
            tell_systemd("READY=1")
        try:
            tick(int(clock()))
            voice.well()
        except MailgraphError as error:
            voice.trouble(str(error))
        alive()
        pause = GRID - clock() % GRID
    tell_systemd("STOPPING=1")
