"""The log that the settings name or let find, and the rules to count it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..config import Config
from ..counting import Rules
from ..errors import SourceError
from ..log import FollowedFile, Source, forms, sought
from ..store import State
from ..times import HOUR

LIKELY = "/var/log/mail.log"

_FRESH = HOUR
"""Seconds after its newest line for which a log that `log = auto` found is used again."""


def with_log_found(settings: Config, now: int, kept: State | None = None) -> Config:
    """Return the settings with the log found where they do not name its path; raises SourceError.

    With `log = auto` the log that `kept`, the ledger's state, names is used again, without a look
    at others, while its newest line is less than an hour old.
    """
    if not sought.is_sought(settings.log):
        return settings
    is_fresh = kept and kept.newest and 0 <= now - kept.newest < _FRESH
    if settings.log == "auto" and is_fresh and kept and kept.source:
        return settings._replace(log=kept.source)
    return settings._replace(log=sought.find(settings.log, settings.time_zone, now))


def with_likely_log(settings: Config, now: int, kept: State | None = None) -> Config:
    """Return the settings as `with_log_found`; without a log, with a usual path."""
    try:
        return with_log_found(settings, now, kept)
    except SourceError:
        return settings._replace(log=LIKELY)


def source(settings: Config, alive: Callable[[], None] = lambda: None) -> Source:
    """Return the log that the settings name; `alive` is called while a long reading goes on."""
    if settings.log != "journal":
        return FollowedFile(settings.log, settings.state_dir)
    from ..log import journal  # 10 ms that most starts need not spend

    return journal.Journal(alive, settings.containers)


def rules(settings: Config) -> Rules:
    """Return the settings that counting depends on."""
    return Rules(
        settings.step,
        settings.grace,
        settings.time_zone,
        settings.ignore_relays,
        settings.ignore_clients,
        settings.relays_per_day,
        settings.relays_days,
        clock=lambda: int(time.time()),
        hosts=only_hosts(settings),
    )


def only_hosts(settings: Config) -> forms.Hosts | None:
    """Return the hosts whose lines count; None for all."""
    return forms.Hosts(settings.only_hosts) if settings.only_hosts else None
