"""A look at our own servers, taken as the caller and kept as the owner of the store."""

from __future__ import annotations

from contextlib import suppress

from ..config import Config
from ..dane import ResolvConf, Target, resolver, servers, verdict
from ..doctor import own_mx, postconf
from ..errors import StoreError
from ..privileges import act_as_caller
from ..store import load_history, load_watched, save_look
from ..times import DAY, HOUR
from . import stores

_EARLY = 10 * 60
"""Seconds by which a timer may come early."""


def targets(settings: Config) -> list[Target] | None:
    """Return the servers that the setting names; None for those that Postfix names."""
    if settings.own_mx == ("none",):
        return []
    named = list(dict.fromkeys(servers.parse_target(each) for each in settings.own_mx))
    return named or None


def probe(
    settings: Config,
    now: int,
    *,
    only_if_due: bool = False,
    resolv: ResolvConf | None = None,
) -> None:
    """Look at our own servers now, and keep what is found; raises MailgraphError.

    Args:
        settings: Name servers and store.
        now: Epoch second.
        only_if_due: Only where the last look is a day old, or an hour where it found something.
        resolv: The resolvers to ask; None for those of this machine.
    """
    if only_if_due and not _is_due(settings, now):
        return
    # Postfix's files are the caller's to open: what is in the store does not matter for that.
    looks = own_mx.look_at_all(
        targets(settings),
        postconf.active(postconf.instances()),
        resolv or resolver.read_resolv_conf(),
        settings.own_mx_next_cert,
    )
    with stores.open_ledger_to_add(settings) as ledger:
        known = {each.target: each for each in load_watched(ledger)}
        servers = []
        for each in looks:
            before = known.get(each.server.target)
            published = each.server.published
            servers.append(
                each.server._replace(
                    published=published._replace(
                        ttl=max(published.ttl, before.ttl if before else 0)
                    ),
                    history=load_history(ledger, each.server.target),
                )
            )
        with ledger.transaction():
            save_look(ledger, [(each, verdict.judge(each, now)) for each in servers], now)


def _is_due(settings: Config, now: int) -> bool:
    """Return whether one of our servers has not been looked at for too long."""
    try:
        with suppress(StoreError), stores.open_ledger(settings, with_counts=False) as ledger:
            watched = load_watched(ledger)
            return not watched or any(
                now - each.at >= (DAY if each.is_well else HOUR) - _EARLY for each in watched
            )
        return True
    finally:
        act_as_caller()
