"""Whether our own Postfix can use DANE and TLS at all."""

from __future__ import annotations

from collections.abc import Iterator

from ..categories import BY_KEY, HANDSHAKES, Category
from ..levels import Level
from ..times import DAY, HOUR
from .evidence import Evidence, Finding

DANE_IS_OFF = (
    "dnssec_unavailable",
    "dnssec_disabled",
    "library",
    "mx_errors_ignored",
    "resolver_options",
)
"""Warnings after which nothing is authenticated by DANE."""


def _last(evidence: Evidence, *categories: Category) -> int | None:
    return evidence.ledger.last_interval(categories, evidence.now - DAY - HOUR)


def no_dnssec(evidence: Evidence) -> Iterator[Finding]:
    """Find that Postfix warned that it cannot use DANE, and authenticated none since."""
    warnings = [
        each for each in evidence.relays.warnings(evidence.now - DAY) if each.name in DANE_IS_OFF
    ]
    if warnings:
        warning, step = warnings[0], evidence.rrd.step
        verified = _last(evidence, BY_KEY["connections.verified"])
        if verified is None or verified + step <= warning.last:
            yield Finding(
                Level.CRITICAL,
                warning.last if verified is None else verified + step,
                evidence.say(
                    "Postfix cannot use DANE, and no connection has been Verified since its last "
                    "warning at {time}: {meaning}.",
                    time=evidence.time(warning.last),
                    meaning=evidence.say(warning.meaning),
                ),
            )


def own_tls(evidence: Evidence) -> Iterator[Finding]:
    """Find that Postfix's own TLS fails, and no connection has been made since."""
    failed = _last(evidence, BY_KEY["failures.local"])
    if failed is not None and evidence.now - failed <= DAY:
        connected = _last(evidence, *HANDSHAKES)
        if connected is None or connected < failed:
            yield Finding(
                Level.CRITICAL,
                failed,
                evidence.say(
                    "Postfix's own TLS does not work: mail fails for it, last at {time}, and no "
                    "TLS connection has been made since.",
                    time=evidence.time(failed),
                ),
            )
