"""Settings become a log, and the rules to count it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..config import Config
from ..counting import Rules
from ..errors import SourceError
from ..log import FollowedFile, Source, forms, sought
from ..store import State
from ..times import HOUR


def with_log_found(settings: Config, now: int, kept: State | None = None) -> Config:
    """Return the settings with the path of the log, which we may have to find; raises SourceError.

    With `log = auto` the source of the ledger's state (`kept`) is taken again, without a look at
    the others, while its newest line is less than an hour old.
    """
    if not sought.is_sought(settings.log):
        return settings
    is_fresh = kept and kept.newest and 0 <= now - kept.newest < _SURE
    if settings.log == "auto" and is_fresh and kept and kept.source:
        return settings._replace(log=kept.source)
    return settings._replace(log=sought.find(settings.log, settings.time_zone, now))


LIKELY = "/var/log/mail.log"

_SURE = HOUR
"""Seconds after its newest line for which a source that `log = auto` found is not doubted."""


def with_likely_log(settings: Config, now: int, kept: State | None = None) -> Config:
    """Return the same, but where no log is found, with the place where it most likely will be."""
    try:
        return with_log_found(settings, now, kept)
    except SourceError:
        return settings._replace(log=LIKELY)


def source(settings: Config, alive: Callable[[], None] = lambda: None) -> Source:
    """Return the log of the settings; `alive` is called while a long reading goes on."""
    if settings.log != "journal":
        return FollowedFile(settings.log, settings.state_dir)
    from ..log import journal  # 10 ms that most starts need not spend

    return journal.Journal(alive, settings.containers)


def rules(settings: Config) -> Rules:
    """Return the settings that counting depends on."""
    most, kept = settings.relays_per_day, settings.relays_days
    return Rules(
        settings.step,
        settings.grace,
        settings.time_zone,
        settings.ignore_relays,
        settings.ignore_clients,
        most,
        kept,
        clock=lambda: int(time.time()),
        hosts=only_hosts(settings),
    )


def only_hosts(settings: Config) -> forms.Hosts | None:
    """Return those whose lines count; None for all."""
    return forms.Hosts(settings.only_hosts) if settings.only_hosts else None
