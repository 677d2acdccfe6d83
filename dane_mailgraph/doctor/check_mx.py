"""Whether others can reach us by DANE, now and when the key changes.

`dane/verdict.py` judges it, as for `check --probe`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timezone

from ..dane import causes, verdict
from ..language import ENGLISH
from ..levels import Level
from ..times import format_day
from .facts import Facts
from .findings import FAIL, OK, SKIP, WARN, Finding, Row, always, first
from .own_mx import Mx
from .served import Served

_NO_SERVER: Row[Facts] = Row(
    always,
    SKIP,
    "no server of our own is known",
    "No instance of Postfix takes mail from others on port 25, or none is here.",
    "dane-mailgraph doctor --mx mail.example.org:25",
)

_REFUSED = Finding(
    "own MX",
    "",
    WARN,
    "",
    "It is the first sign of a TLSA record that does not match.",
    "dane-mailgraph check --probe --only own_mx,certificate",
)

_GRADES = {Level.OK: WARN, Level.WARNING: WARN, Level.CRITICAL: FAIL, Level.UNKNOWN: SKIP}
"""A cause of level OK raises no condition of `check`, and is worth a look here all the same."""

_REASONS = {
    Level.OK: "It does no harm, and is not meant to be so.",
    Level.WARNING: "Mail comes, but DANE does not protect it, or a change will stop it.",
    Level.CRITICAL: "What is not mended keeps mail from coming in.",
    Level.UNKNOWN: "",
}

_AS_IT_SHOULD_BE = ("announced",)
"""Causes that are found where all is well."""

_FOUND_BY_FILE = ("files_unread",)
"""Causes for which `_files` yields a finding for each file."""

_CHECKS = {causes.OWN_MX: "own MX", causes.CERTIFICATE: "certificate"}
"""Condition of a cause -> the check that reports it."""


def servers(facts: Facts) -> Iterator[Finding]:
    """Check everything about each of our own servers."""
    if facts.conditions and facts.conditions.refusals:
        yield _REFUSED._replace(found=facts.conditions.refusals.removesuffix("."))
    if not facts.mx:
        yield first("own MX", "", (_NO_SERVER,), facts)
    for mx in facts.mx:
        yield from _server(mx, facts.now)
        yield from _files(mx, facts)


def _server(mx: Mx, now: int) -> Iterator[Finding]:
    """Yield what senders make of a server: each cause, and each condition that has none."""
    found, about = verdict.judge(mx.server, now), str(mx.server.target)
    listed = [each for each in found.findings if each.cause not in _FOUND_BY_FILE]
    yield from (_of_cause(each, about) for each in listed)
    troubled = {
        causes.CAUSES[each.cause].condition for each in listed if each.cause not in _AS_IT_SHOULD_BE
    }
    if causes.OWN_MX not in troubled:
        count = len(mx.server.published.records)
        deliver = f"senders that do DANE deliver: {found.matches} of {count} TLSA records match"
        yield Finding(_CHECKS[causes.OWN_MX], about, OK, deliver)
    if causes.CERTIFICATE not in troubled and found.ends:
        valid = f"valid until {format_day(found.ends, timezone.utc)}"
        yield Finding(_CHECKS[causes.CERTIFICATE], about, OK, valid)


def _of_cause(found: causes.Finding, about: str) -> Finding:
    check = _CHECKS[causes.CAUSES[found.cause].condition]
    text, next_step = causes.sentences(found, ENGLISH, timezone.utc)
    found_text = text.removesuffix(".")
    if found.cause in _AS_IT_SHOULD_BE:
        return Finding(check, about, OK, found_text)
    return Finding(check, about, _GRADES[found.level], found_text, _REASONS[found.level], next_step)


# ---- what Postfix is configured to serve ----------------------------------------------------

_NO_TLS = (
    "Without STARTTLS no one can send to us over TLS, and with TLSA records senders that do DANE "
    "cannot send at all."
)
_TLS_ON = "postconf {flag}-e 'smtpd_tls_security_level = may' && postfix {flag}reload"


def _files(mx: Mx, facts: Facts) -> Iterator[Finding]:
    off: Row[Served] = Row(
        always,
        FAIL if mx.server.published.records else WARN,
        "TLS is off (smtpd_tls_security_level)",
        _NO_TLS,
        _TLS_ON,
    )
    unreadable: Row[str] = Row(
        always,
        FAIL if facts.is_root else SKIP,
        "{it}",
        "Whether TLSA records match it is unknown.",
        "postconf {flag}smtpd_tls_cert_file" if facts.is_root else "run as root",
    )
    for served in mx.served:
        about = f"{mx.server.target} in {served.directory}"
        if not served.offers_tls:
            yield first("certificate", about, (off,), served, flag=served.flag)
        for trouble in served.service.unread:
            yield first("certificate", about, (unreadable,), trouble, flag=served.flag)
