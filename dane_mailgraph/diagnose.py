"""Facts become findings, each with its remedy: the table of all checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import diagnose_dns, diagnose_log, diagnose_mx, diagnose_postfix, diagnose_upkeep
from .facts import Facts
from .findings import Finding

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    diagnose_postfix.presence,
    diagnose_postfix.settings,
    diagnose_postfix.authorities,
    diagnose_postfix.session_cache,
    diagnose_postfix.tags,
    diagnose_dns.validation,
    diagnose_dns.chroots,
    diagnose_dns.trust,
    diagnose_log.whereabouts,
    diagnose_log.reading,
    diagnose_log.freshness,
    diagnose_log.clock,
    diagnose_log.zone,
    diagnose_log.connections,
    diagnose_log.complaints,
    diagnose_upkeep.ledger,
    diagnose_upkeep.bookmark,
    diagnose_upkeep.rrd,
    diagnose_upkeep.marks,
    diagnose_upkeep.page,
    diagnose_upkeep.disks,
    diagnose_mx.servers,
)
"""In the order in which an empty graph is looked into: from Postfix to the page, then our own servers."""


def diagnose(facts: Facts) -> list[Finding]:
    """Every finding, in the order of the table."""
    return [finding for check in CHECKS for finding in check(facts)]
