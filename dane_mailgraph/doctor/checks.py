"""Facts become findings, each with its remedy: the table of all checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import check_dns, check_log, check_mx, check_own_state, check_postfix
from .facts import Facts
from .findings import Finding

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    check_postfix.presence,
    check_postfix.parameters,
    check_postfix.authorities,
    check_postfix.tls_manager,
    check_postfix.tags,
    check_dns.validation,
    check_dns.chroots,
    check_dns.trust_ad,
    check_log.whereabouts,
    check_log.reading,
    check_log.freshness,
    check_log.clock,
    check_log.zone,
    check_log.connections,
    check_log.warnings,
    check_own_state.unit,
    check_own_state.writing,
    check_own_state.ledger,
    check_own_state.bookmark,
    check_own_state.rrd,
    check_own_state.omissions,
    check_own_state.page,
    check_own_state.disks,
    check_mx.servers,
)
"""In the order of the journey: from Postfix to the page, then our own servers."""


def diagnose(facts: Facts) -> list[Finding]:
    """Return every finding, in the order of the table."""
    return [finding for check in CHECKS for finding in check(facts)]
