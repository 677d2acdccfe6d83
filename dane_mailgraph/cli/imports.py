"""Counts whole logs, into the existing store or into a fresh one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from ..config import Config
from ..counting import Import, Result
from ..errors import StoreError
from ..log import LogFile
from ..store import Ledger, Store, copy_reports, copy_watched, ledger_path, replace, unused
from .counter import publish_metrics
from .logs import rules, source, with_likely_log
from .stores import open_ledger, open_ledger_to_count, reconcile
from .terminal import tell


def import_logs(settings: Config, paths: list[str], year: int | None) -> Result:
    """Count whole logs into the existing store; the caller has it locked."""
    with open_ledger_to_count(settings) as ledger:
        return _import_into(ledger, settings, paths, year)


def rebuild(settings: Config, paths: list[str], year: int | None) -> Result:
    """Count whole logs into a fresh ledger, then replace the old one by it in one instant.

    The old ledger and its RRD are kept aside; where counting fails they stay. The caller has the
    store locked.
    """
    path, store = ledger_path(settings.state_dir), Store(settings.state_dir, settings.step)
    fresh = path + ".new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)
    with open_ledger_to_count(settings, fresh) as ledger:
        result = _import_into(ledger, settings, paths, year, follow=False)
        with ledger.transaction():
            ledger.save(ledger.state._replace(rebuilt=True))
    if os.path.exists(path):
        _keep_reports(settings, fresh)
        # Opening plays back the journal of a killed writer, which must not meet the new file.
        with suppress(StoreError), open_ledger(settings, with_counts=False):
            pass
        aside = unused(path + ".aside")
        os.link(path, aside, follow_symlinks=False)
        if settings.metrics_file:
            tell("The totals of `metrics` begin anew: a monitoring system sees a counter reset.")
        if not (result.counted or result.recipients or result.received):
            tell(
                f"Nothing in these logs counts, so the new store is empty; the old one is kept as "
                f"{aside} and the like: give those files their names back, or rebuild from other "
                "logs."
            )
    replace(fresh, path)
    with open_ledger_to_count(settings) as ledger:
        reconcile(store, ledger, int(time.time()))
        store.follow(ledger, int(time.time()), settings.grace)
        publish_metrics(settings, ledger, int(time.time()))
    return result


def _keep_reports(settings: Config, fresh: str) -> None:
    """Copy what others report into the ledger that replaces this one: no log says it again."""
    with (
        suppress(StoreError),
        open_ledger(settings, with_counts=False) as old,
        Ledger(fresh, writable=True) as new,
        new.transaction(),
    ):
        copy_reports(old, new)
        copy_watched(old, new)


def _import_into(
    ledger: Ledger, settings: Config, paths: list[str], year: int | None, *, follow: bool = True
) -> Result:
    now = int(time.time())
    store = Store(settings.state_dir, settings.step)
    if follow:
        reconcile(store, ledger, now)
    live = source(with_likely_log(settings, now, ledger.state))
    run = Import(live, ledger, rules(settings), now, year=year, progress=_progress())
    result = run.count(paths)
    if follow:
        store.follow(ledger, now, settings.grace)
        publish_metrics(settings, ledger, now)
    return result


def _progress() -> Callable[[list[LogFile]], None]:
    """Return a function that shows on a terminal how far logs are read, and nothing elsewhere."""
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
