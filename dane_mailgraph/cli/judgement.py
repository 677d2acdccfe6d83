"""Judges the store for those who ask: verbs, the messenger to the operator, `metrics`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from ..answer import (
    CONDITIONS_OF_OWN_MX,
    NAMES,
    Condition,
    Evidence,
    Judgement,
    after_telling,
    judge_conditions,
    message,
    news,
    observe,
    silence_accepted,
    trial_message,
)
from ..config import Config
from ..errors import ConfigError, NothingCountedError, StoreError
from ..language import ENGLISH, Language
from ..levels import Level
from ..store import Ledger, ledger_path, load_known_conditions, save_known_conditions
from .host import host_name
from .stores import open_ledger, open_rrd


@contextmanager
def judging(
    settings: Config, now: int, only: Collection[str] | None = None
) -> Iterator[tuple[Ledger | None, Judgement]]:
    """Yield the ledger, and the judgement of `judge`: conditions that hold, and accepted ones.

    A store that is there and cannot be read is a condition, too, and then there is no ledger.
    Raises StoreError where there is none yet, or this user may not read it.
    """
    with_counts = not only or not set(only).issubset(CONDITIONS_OF_OWN_MX)
    try:
        with open_ledger(settings, with_counts=with_counts) as ledger:
            yield ledger, judge(settings, ledger, now, only)
            return
    except StoreError as error:
        if isinstance(error, NothingCountedError) or not os.access(
            ledger_path(settings.state_dir), os.R_OK
        ):
            raise
        damaged = Condition("store", "", Level.CRITICAL, now, str(error), "")
    yield None, Judgement((damaged,))


def judge(
    settings: Config,
    ledger: Ledger,
    now: int,
    only: Collection[str] | None = None,
    language: Language = ENGLISH,
) -> Judgement:
    """Return the conditions that hold, and which of them the operator has accepted."""
    seen = Evidence(ledger, open_rrd(settings, ledger), now, settings.time_zone, language)
    return silence_accepted(judge_conditions(seen, only or NAMES), settings.ignore_conditions)


def tell_operator(settings: Config, now: int, only: Collection[str] | None = None) -> None:
    """Tell the operator what is new, still so or over, and remember what was told.

    Raises MailgraphError where the messenger fails; then the next check tries again.
    """
    from . import messengers

    with Ledger(ledger_path(settings.state_dir), writable=True) as ledger:
        found = judge(settings, ledger, now, only, settings.language)
        # A store that cannot be written is found out before anything is sent.
        with ledger.transaction():
            known = observe(load_known_conditions(ledger), found, only or NAMES, now)
            save_known_conditions(ledger, known)
        new, host = news(known, now), host_name(settings)
        text = message(new, found.conditions, host, settings.language)
        if settings.tell and text:
            messengers.send(settings.tell, text, host, now)
            with ledger.transaction():
                save_known_conditions(ledger, after_telling(known, new, now))
    if settings.heartbeat:
        messengers.run(settings.heartbeat)


def require_messenger(settings: Config) -> None:
    """Raise ConfigError where `--tell` has neither messenger nor heartbeat."""
    if not settings.tell and not settings.heartbeat:
        raise _no_messenger()


def _no_messenger() -> ConfigError:
    return ConfigError(
        "--tell has no messenger: set `tell = mail:ADDRESS` or `tell = command:/path`."
    )


def send_test(settings: Config, now: int) -> None:
    """Send a message that says only that messages arrive; raises MailgraphError."""
    from . import messengers

    if not settings.tell:
        raise _no_messenger()
    host = host_name(settings)
    messengers.send(settings.tell, trial_message(host, settings.language), host, now)


def metrics(settings: Config, ledger: Ledger, now: int) -> str:
    """Return counts and states in the Prometheus text format."""
    from ..fleet import metrics

    return metrics.as_text(ledger, now, judge(settings, ledger, now))
