"""Whether others reach our own servers, and may believe them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..dane import SMTP, causes
from ..levels import Level
from .evidence import Evidence, Finding
from .own_mx import describe_server, trouble


def own_servers(condition: str) -> Callable[[Evidence], Iterator[Finding]]:
    """Return the judge of `own_mx` or of `certificate`, by the last look at our own servers."""

    def judge(evidence: Evidence) -> Iterator[Finding]:
        refused = refused_by_senders(evidence) if condition == causes.OWN_MX else ""
        names = _names(evidence) if refused else ""
        for each in evidence.watched:
            found = trouble(each, condition, evidence.language, evidence.zone, evidence.now)
            if found:
                text, nameless = found.text, ""
                if refused and each.target.port == SMTP:
                    nameless, refused = f"{text} {refused}", ""
                    text = f"{nameless} {names}"
                yield Finding(
                    found.level, found.since, text, str(each.target), found.next_step, nameless
                )
        if refused and evidence.refusing:
            # Which of several servers they came to, the log does not say.
            on_smtp = [each for each in evidence.watched if each.target.port == SMTP]
            (one,) = on_smtp if len(on_smtp) == 1 else (None,)
            looked = (
                describe_server(one, evidence.language, evidence.zone, evidence.now) if one else ""
            )
            subject, nameless = str(one.target) if one else "", f"{refused} {looked}".rstrip()
            text = f"{refused} {names} {looked}".rstrip()
            yield Finding(Level.WARNING, evidence.refusing.since, text, subject, nameless=nameless)

    return judge


_NAMED = 5
"""Domains of senders that are named."""


def _names(evidence: Evidence) -> str:
    found = evidence.refusing
    domains = found.domains if found else ()
    shown = ", ".join(domains[:_NAMED])
    more = len(domains) - _NAMED
    if more > 0:
        return evidence.say("They are {names} and {count} more.", names=shown, count=more)
    return evidence.say("They are {names}.", names=shown)


def refused_by_senders(evidence: Evidence) -> str:
    """Say in a sentence that senders refuse our certificate; empty where they do not."""
    found = evidence.refusing
    if found is None:
        return ""
    return evidence.say(
        "Senders refuse our certificate again and again: {senders} since {time}, in {count} "
        "connections, by an alert or by leaving right after STARTTLS, as where no TLSA record "
        "matches; in the {days} days before, {before}.",
        time=evidence.time(found.since),
        senders=evidence.number(found.senders),
        count=evidence.number(found.times),
        days=evidence.number(found.days),
        before=evidence.number(found.before),
    )
