"""The store that the settings name: its lock, ledger and RRD, opened here for all verbs."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..config import Config
from ..errors import BusyError, StoreError, reason
from ..privileges import act_as_owner_of
from ..store import RRD, Ledger, Store, holds_reports, ledger_path
from .terminal import tell

_PATIENCE = 0.5
"""Seconds to wait for the lock."""


@contextmanager
def lock(
    settings: Config, name: str = "lock", *, make: bool = True
) -> Iterator[Callable[[], bool]]:
    """Be the only writer of this store, or the only one that does what another lock guards.

    Args:
        settings: Name the store.
        name: Of the lock's file.
        make: Make state_dir where it does not exist.

    Yields:
        A function that returns whether the lock is still the file of that name.

    Raises:
        BusyError: Another process writes to the store.
        StoreError: state_dir cannot be written.
    """
    state_dir = settings.state_dir
    path = os.path.join(state_dir, name)
    act_as_owner_of(state_dir)
    try:
        if make:
            os.makedirs(state_dir, mode=0o750, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise _not_writable(state_dir, error) from error
    try:
        try:
            _take(descriptor)
        except BlockingIOError as error:
            raise BusyError(
                f"{state_dir} is being written by another dane-mailgraph; "
                "let it work, or stop it (`systemctl stop dane-mailgraph`)."
            ) from error
        yield (
            lambda: os.path.exists(path) and os.path.samestat(os.lstat(path), os.fstat(descriptor))
        )
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    """Take the lock; raises BlockingIOError where another process holds it for longer.

    A writer that was killed while it started journalctl leaves it to that for an instant.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _not_writable(state_dir: str, error: OSError) -> StoreError:
    return StoreError(
        f"{state_dir} cannot be written: {reason(error)}; make it a folder of the user that counts."
    )


def open_ledger(settings: Config, *, with_counts: bool = True) -> Ledger:
    """Open the ledger to read it; raises StoreError.

    Without `with_counts` a ledger will do that holds only what others report; else that, too, is a
    NothingCountedError.
    """
    act_as_owner_of(settings.state_dir)
    ledger = Ledger(ledger_path(settings.state_dir), writable=False)
    if with_counts:
        try:
            ledger.require_counts()
        except BaseException:
            ledger.close()
            raise
    return ledger


def open_ledger_to_add(settings: Config) -> Ledger:
    """Open the ledger to write what does not wait for the counter; raises StoreError, BusyError.

    It is made where there is none. Only the tables that no counter writes may be changed.
    """
    act_as_owner_of(settings.state_dir)
    try:
        os.makedirs(settings.state_dir, mode=0o750, exist_ok=True)
    except OSError as error:
        raise _not_writable(settings.state_dir, error) from error
    return Ledger(ledger_path(settings.state_dir), writable=True)


def open_rrd(settings: Config, ledger: Ledger) -> RRD:
    """Open the RRD to read it, with the step of its ledger whatever the setting is."""
    return Store(settings.state_dir, ledger.state.step or settings.step).rrd


@contextmanager
def open_ledger_to_count(settings: Config, path: str = "") -> Iterator[Ledger]:
    """Open the ledger, or that of another path, as its only writer; raises StoreError, BusyError.

    A new one is removed again where nothing came to be counted.
    """
    path = path or ledger_path(settings.state_dir)
    new = not os.path.exists(path)
    with Ledger(path, writable=True) as ledger:
        ledger.check_times(int(time.time()))
        ledger.agree(settings.step)
        try:
            yield ledger
        except BaseException:
            # An empty store would answer every question with "unknown", and not say why.
            if new and not ledger.state.log_was_read and not holds_reports(ledger):
                os.unlink(path)
            raise


def reconcile(store: Store, ledger: Ledger, now: int) -> None:
    """Bring RRD and ledger together, and tell the operator what was amiss; raises StoreError."""
    for notice in store.reconcile(ledger, now):
        tell(notice)
