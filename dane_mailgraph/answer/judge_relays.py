"""Whether mail reaches the servers of others, and as well protected as before."""

from __future__ import annotations

from collections.abc import Iterator

from ..levels import Level
from ..times import DAY, day_number, midnight
from . import shares
from .authentication import FORGOTTEN_AFTER
from .evidence import Evidence, Finding

MANY = 5
"""Relays at once from which on the cause is more likely here than there."""


def lost_authentication(evidence: Evidence) -> Iterator[Finding]:
    """Find the relays that have lost authentication."""
    failed, is_ours = {each.relay for each in evidence.failing}, _most_are_lost(evidence)
    for each in evidence.losses:
        is_critical = is_ours or each.relay in failed or each.is_plaintext
        values = {
            "relay": each.relay,
            "time": evidence.time(each.since),
            "good": evidence.number(each.good),
            "of": evidence.number(each.of),
            "good_before": evidence.number(each.good_before),
            "of_before": evidence.number(each.of_before),
            "days": evidence.number(each.days),
        }
        if each.relay in failed or not each.is_delivered:
            text = evidence.say(
                "Connections to {relay} have been without authentication of the server since "
                "{time}: {good} of {of} had it; before, {good_before} of {of_before} on {days} "
                "days.",
                **values,
            )
        elif each.is_plaintext:
            text = evidence.say(
                "Mail to {relay} is still delivered, but unencrypted since {time}: {good} of {of} "
                "times the server was authenticated; before, {good_before} of {of_before} on "
                "{days} days.",
                **values,
            )
        else:
            text = evidence.say(
                "Mail to {relay} is still delivered, but without authentication of the server "
                "since {time}: {good} of {of} connections had it; before, {good_before} of "
                "{of_before} on {days} days.",
                **values,
            )
        yield Finding(
            Level.CRITICAL if is_critical else Level.WARNING,
            each.since,
            text,
            each.relay,
            _look_here_first(evidence) if is_ours else None,
        )


def _look_here_first(evidence: Evidence) -> str:
    return evidence.say(
        "Look at your own resolver and its DNSSEC first (`dane-mailgraph doctor`): most servers "
        "that were authenticated are not any more."
    )


def _most_are_lost(evidence: Evidence) -> bool:
    """Return whether so many relays are lost that the cause is more likely here than there."""
    lost = evidence.losses
    if len(lost) < MANY:
        return False
    latest = max(each.since for each in lost)
    day = day_number(
        max(min(each.since for each in lost), evidence.now - FORGOTTEN_AFTER), evidence.zone
    )
    return len(lost) >= evidence.relays.authenticated_since(day, latest)


def failing(evidence: Evidence) -> Iterator[Finding]:
    """Find the relays that no mail reaches."""
    many = len(evidence.failing) >= MANY
    lost, is_ours = {each.relay for each in evidence.losses}, _most_are_lost(evidence)
    for each in evidence.failing:
        is_lost = each.relay in lost
        is_critical = many or is_lost or evidence.now - each.since >= DAY
        yield Finding(
            Level.CRITICAL if is_critical else Level.WARNING,
            each.since,
            evidence.say(
                "Mail to {relay} is not delivered: {reason}; {count} attempts since {time}, the "
                "last at {last}.",
                relay=each.relay.removeprefix("@"),
                time=evidence.time(each.since),
                count=evidence.number(each.attempts),
                last=evidence.time(each.last),
                reason=evidence.say(each.reason.meaning),
            ),
            each.relay,
            _look_here_first(evidence) if is_ours and is_lost else None,
        )


def share_fell(evidence: Evidence) -> Iterator[Finding]:
    """Find that less of the mail to known servers is authenticated than before."""
    days = shares.Deliveries(
        lambda ago: ((to.relay, to.number, to.authenticated) for to in evidence.deliveries(ago))
    )
    if shift := shares.fell(days):
        yield Finding(
            Level.CRITICAL if 2 * shift.actual <= shift.expected else Level.WARNING,
            midnight(evidence.now, evidence.zone, days=1 - shift.days),
            evidence.say(
                "Of {count} mails to servers you know, {expected} should have been authenticated "
                "as in the last four weeks; {actual} were.",
                count=evidence.number(shift.deliveries),
                expected=evidence.number(round(shift.expected)),
                actual=evidence.number(shift.actual),
            ),
        )


def plaintext(evidence: Evidence) -> Iterator[Finding]:
    """Find that more of the mail to known servers goes unencrypted than before."""
    days = shares.Deliveries(
        lambda ago: ((to.relay, to.number, to.plaintext) for to in evidence.deliveries(ago))
    )
    if shift := shares.rose(days):
        points = (shift.actual - shift.expected) / shift.deliveries
        yield Finding(
            Level.CRITICAL if points >= 0.2 else Level.WARNING,
            midnight(evidence.now, evidence.zone, days=1 - shift.days),
            evidence.say(
                "Of {count} mails to servers you know, {actual} went unencrypted; as in the last "
                "four weeks it should have been {expected}.",
                count=evidence.number(shift.deliveries),
                actual=evidence.number(shift.actual),
                expected=evidence.number(round(shift.expected)),
            ),
        )
