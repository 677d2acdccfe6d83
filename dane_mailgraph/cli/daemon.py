"""Repeat a tick on the clock's grid until a signal ends it, and keep systemd informed."""

from __future__ import annotations

import fcntl
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from ..errors import MailgraphError, MissingError, reason
from ..privileges import as_caller
from .terminal import tell

LONGEST = 5
"""Seconds between two ticks, at most; one that finds nothing new costs a stat(2)."""

ALIVE = 10
"""Seconds between two signs of life for systemd's watchdog, at most."""

PATIENCE = 60
"""Seconds for which a log may be missing: logrotate renames it first, then makes the new one."""

_STOP = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOP, signal.SIGHUP)

_SETTLED = 0.5
"""Seconds from a rotation to the tick for it: a log is renamed, then made, then others packed."""


def notify_systemd(state: str) -> None:
    """Send a state by sd_notify(3); does nothing where no systemd listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        try:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.send(state.encode())
        except OSError as error:
            tell(f"systemd cannot be notified of {state!r}: {reason(error)}; look at {address}.")


def notify_alive() -> None:
    """Tell systemd's watchdog that the work goes on."""
    notify_systemd("WATCHDOG=1")


def _sign_of_life_every() -> float:
    """Return the seconds between two signs of life: a quarter of what systemd waits at most."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return min(ALIVE, int(microseconds) / 4e6) if microseconds.isdecimal() else ALIVE


class RotationSignal:
    """Has the kernel send SIGIO when a file of a directory is renamed, made or removed.

    By dnotify (F_NOTIFY of fcntl(2)): what it does not see is seen at the next tick.
    """

    def __init__(self) -> None:
        self._directory = ""
        self._descriptor: int | None = None

    def watch(self, directory: str) -> None:
        """Watch a directory in place of the one before; none if this is empty.

        SIGIO must be blocked.
        """
        if directory == self._directory:
            return
        self._directory = directory
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        with suppress(OSError), as_caller():
            if directory:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
                self._descriptor = os.open(directory, flags)
                fcntl.fcntl(self._descriptor, fcntl.F_NOTIFY, _ROTATION)


_ROTATION = fcntl.DN_RENAME | fcntl.DN_CREATE | fcntl.DN_DELETE | fcntl.DN_MULTISHOT


def block_signals() -> Callable[[float], int | None]:
    """Block SIGTERM, SIGINT, SIGHUP and SIGIO, so that none of them interrupts a tick.

    Returns:
        A function that waits for one of them for so many seconds at most, and returns its number;
        None for SIGIO.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_SIGNALS, signal.SIGIO))

    def wait_for_signal(seconds: float) -> int | None:
        received = signal.sigtimedwait((*_SIGNALS, signal.SIGIO), seconds)
        if received and received.si_signo == signal.SIGIO:
            received = signal.sigtimedwait(_SIGNALS, _SETTLED)
            signal.sigtimedwait((signal.SIGIO,), 0)  # one tick for all that has happened
        return received.si_signo if received else None

    return wait_for_signal


def seconds_to_tick(now: float, step: int, grace: int) -> float:
    """Return the seconds to the next tick, so that one comes as each interval closes."""
    every = next(each for each in range(LONGEST, 0, -1) if step % each == 0)
    return every - (now - grace) % every


class TroubleReport:
    """Reports trouble once, and again when it changes or is over."""

    def __init__(
        self, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._clock = report, clock
        self._trouble: str | None = None
        self._missing_since: float | None = None
        self._was_well = False

    def trouble(self, error: MailgraphError) -> None:
        """Report what went wrong, unless that was the last report.

        A log that was there is reported as missing only after `PATIENCE`.
        """
        now = self._clock()
        if not isinstance(error, MissingError):
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        waits = self._missing_since is not None and now - self._missing_since < PATIENCE
        if waits and self._was_well:
            return
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._report(self._trouble)

    def well(self) -> None:
        """Report that the trouble is over, if any was reported."""
        self._missing_since, self._was_well = None, True
        if self._trouble is not None:
            self._trouble = None
            self._report("All is well again, and what was missed has been counted.")


def run(
    tick: Callable[[int], None],
    reload: Callable[[], None],
    wait_for_signal: Callable[[float], int | None],
    report: TroubleReport,
    until_next: Callable[[float], float],
    clock: Callable[[], float] = time.time,
) -> None:
    """Tick, and again after the seconds that `until_next` says of a time, until SIGTERM or SIGINT.

    A tick that raises MailgraphError is reported, and tried again at the next. SIGHUP calls
    `reload` between two ticks.
    """
    notify_systemd("READY=1")
    pause, alive_at, alive_every = 0.0, -math.inf, _sign_of_life_every()
    while (received := wait_for_signal(pause)) not in _STOP:
        if received == signal.SIGHUP:
            notify_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            reload()
            notify_systemd("READY=1")
            alive_at = -math.inf
        try:
            tick(int(clock()))
            report.well()
        except MailgraphError as error:
            report.trouble(error)
        if not 0 <= clock() - alive_at < alive_every:
            alive_at = clock()
            notify_alive()
        pause = min(until_next(clock()), alive_every)
    notify_systemd("STOPPING=1")
