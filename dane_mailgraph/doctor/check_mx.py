"""The other half of DANE: whether others can reach us by it, today and when the key changes.

`dane/verdict.py` judges, as for `check --probe`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timezone

from ..dane import Target, causes, verdict
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

_VERDICTS = {Level.OK: WARN, Level.WARNING: WARN, Level.CRITICAL: FAIL, Level.UNKNOWN: SKIP}
"""What is worth knowing is worth a look here, and no condition of `check`."""

_REASONS = {
    Level.OK: "It does no harm, and is not meant to be so.",
    Level.WARNING: "Mail comes, but DANE does not protect it, or a change will stop it.",
    Level.CRITICAL: "What is not mended keeps mail from coming in.",
    Level.UNKNOWN: "",
}

_AS_IT_SHOULD_BE = ("announced",)
"""Causes that a server shows that is right."""

_SAID_OF_FILES = ("files_unread",)
"""Causes that make one finding for each file."""


def servers(facts: Facts) -> Iterator[Finding]:
    """Check everything about each of our own servers."""
    if facts.judged and facts.judged.refused:
        yield _REFUSED._replace(found=facts.judged.refused.removesuffix("."))
    if not facts.mx:
        yield first("own MX", "", (_NO_SERVER,), facts)
    for mx in facts.mx:
        found = verdict.judge(mx.server, facts.now)
        for each in found.findings:
            if each.cause not in _SAID_OF_FILES:
                yield _finding(mx.server.target, each)
        for condition, about in ((causes.OWN_MX, _reachable), (causes.CERTIFICATE, _valid)):
            troubled = any(
                causes.CAUSES[each.cause].condition == condition
                and each.cause not in (*_AS_IT_SHOULD_BE, *_SAID_OF_FILES)
                for each in found.findings
            )
            if not troubled and (sentence := about(mx, found)):
                yield Finding(_CHECKS[condition], str(mx.server.target), OK, sentence)
        yield from _files(mx, facts)


_CHECKS = {causes.OWN_MX: "own MX", causes.CERTIFICATE: "certificate"}


def _finding(target: Target, found: causes.Finding) -> Finding:
    row = causes.CAUSES[found.cause]
    text, next_step = causes.sentences(found, ENGLISH, timezone.utc)
    grade = OK if found.cause in _AS_IT_SHOULD_BE else _VERDICTS[found.level]
    why, remedy = ("", "") if grade is OK else (_REASONS[found.level], next_step)
    check = _CHECKS[row.condition]
    return Finding(check, str(target), grade, text.removesuffix("."), why, remedy)


def _reachable(mx: Mx, found: verdict.Verdict) -> str:
    published = len(mx.server.published.records)
    return f"senders that do DANE deliver: {found.matches} of {published} TLSA records match"


def _valid(_: Mx, found: verdict.Verdict) -> str:
    return f"valid until {format_day(found.ends, timezone.utc)}" if found.ends else ""


# ---- what Postfix is configured to serve ----------------------------------------------------

_NO_TLS = (
    "Without STARTTLS no server can send to us over TLS, and with TLSA records those that do DANE "
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
        FAIL if facts.root else SKIP,
        "{it}",
        "Whether TLSA records match it is unknown.",
        "postconf {flag}smtpd_tls_cert_file" if facts.root else "run as root",
    )
    for served in mx.served:
        about = f"{mx.server.target} in {served.directory}"
        if not served.offers:
            yield first("certificate", about, (off,), served, flag=served.flag)
        for trouble in served.service.unread:
            yield first("certificate", about, (unreadable,), trouble, flag=served.flag)
