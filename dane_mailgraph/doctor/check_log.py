"""Whether our log is the one that Postfix writes to, and what in it makes the numbers wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..answer import DANE_IS_OFF
from ..config import FILE
from ..postfix_warnings import WARNINGS
from ..times import DAY, HOUR, MINUTE, format_duration
from .facts import Facts
from .findings import FAIL, OK, SKIP, WARN, Finding, Row, always, every, first
from .log_end import JOURNAL
from .loggers import Routes
from .postconf import Instance
from .unit import UNIT

_STALE = DAY
"""Seconds without any line: the smallest server logs its own cron jobs once a day."""

_AHEAD = 5 * MINUTE
"""Seconds that a stamp may be ahead of the clock."""

_HALF_HOUR = HOUR // 2
"""Seconds: time zones differ by multiples of it."""

_MOST_HALF_HOURS = 28
"""No zone is more than 14 hours from UTC."""

_CLOSE = 2 * MINUTE
"""Seconds by which stamp and file time may miss a multiple of half an hour."""

_NOT_COUNTED = "What is not in our log is not counted."


def _set_log(path: str) -> str:
    return f"set `log = {path}` in {FILE}, then systemctl restart {UNIT}"


# ---- where Postfix logs to ------------------------------------------------------------------


class _Route(NamedTuple):
    """How the lines of an instance reach our log, or do not."""

    instance: Instance
    routes: Routes
    log: str
    file: str
    """maillog_file; empty where Postfix logs to syslog."""
    same: bool
    """That file, or one that rsyslog writes mail into, is our log."""


_WHEREABOUTS: tuple[Row[_Route], ...] = (
    Row(
        lambda it: it.file.startswith("/dev/"),
        FAIL,
        "Postfix logs to {it.file}",
        "What goes to a container's standard output is in no file here.",
        "postconf {it.instance.flag}-e 'maillog_file = /var/log/mail.log' && "
        "postfix {it.instance.flag}reload",
    ),
    Row(
        lambda it: it.file and not it.same,
        FAIL,
        "Postfix logs to {it.file}, we read {it.log}",
        _NOT_COUNTED,
        _set_log("{it.file}"),
    ),
    Row(lambda it: it.file, OK, "Postfix logs to {it.file} (maillog_file), as we read"),
    Row(
        lambda it: it.log == JOURNAL and not it.routes.journal,
        FAIL,
        "there is no journal here",
        _NOT_COUNTED,
        _set_log("/var/log/mail.log"),
    ),
    Row(lambda it: it.log == JOURNAL, OK, "Postfix logs to the journal, as we read"),
    Row(
        lambda it: it.same and not it.routes.rsyslog,
        FAIL,
        "rsyslog does not run",
        "No program writes our log.",
        "systemctl enable --now rsyslog",
    ),
    Row(lambda it: it.same, OK, "rsyslog writes Postfix's lines to {it.log}, as we read"),
    Row(
        lambda it: it.routes.files,
        FAIL,
        "rsyslog writes mail to {files}, we read {it.log}",
        _NOT_COUNTED,
        _set_log("{it.routes.files[0]}"),
    ),
    Row(
        lambda it: it.routes.journal and not it.routes.rsyslog,
        FAIL,
        "Postfix logs to the journal alone, we read {it.log}",
        _NOT_COUNTED,
        f"apt-get install rsyslog, or {_set_log(JOURNAL)}",
    ),
    Row(
        always,
        SKIP,
        "who writes {it.log} is unknown",
        "rsyslog's configuration has no rule for mail; another logger may have one.",
        "logger -p mail.info -t postfix/doctor test",
    ),
)


def whereabouts(facts: Facts) -> Iterator[Finding]:
    """Check that Postfix's lines go where we read."""
    routes = facts.routes
    for each in facts.active_instances:
        file = each.value("maillog_file")
        same = any(facts.is_our_log.get(name) for name in ([file] if file else routes.files))
        route = _Route(each, routes, facts.log_end.path, file, same)
        words = ", ".join(routes.files)
        yield first("log", each.directory, _WHEREABOUTS, route, files=words)


# ---- whether it can be read -----------------------------------------------------------------


def _denied(facts: Facts) -> bool:
    trouble = facts.log_end.trouble
    return "Permission denied" in trouble or trouble.startswith("The journal cannot be read")


def _unknown(facts: Facts) -> bool:
    return facts.account is None or facts.log_is_readable is None


_UNKNOWN = "whether the user that counts can read it is unknown"

_TROUBLE: tuple[Row[Facts], ...] = (
    Row(lambda it: not it.is_root and _denied(it), SKIP, "{thing}", _NOT_COUNTED, "{step}"),
    Row(always, FAIL, "{thing}", _NOT_COUNTED, "{step}"),
)

_READING: tuple[Row[Facts], ...] = (
    Row(
        lambda it: _unknown(it) and it.account,
        SKIP,
        _UNKNOWN,
        "Only root can find out.",
        "run as root",
    ),
    Row(
        _unknown,
        SKIP,
        _UNKNOWN,
        f"There is no {UNIT} and no {{it.own_state.state_dir}} yet.",
        "run as root",
    ),
    Row(lambda it: it.log_is_readable, OK, "{it.account.name} can read it"),
    Row(
        always,
        FAIL,
        "{it.account.name}, the user that counts, may not read it",
        "Nothing is counted.",
        "chgrp adm {about} && chmod g+r {about} && adduser {it.account.name} adm && "
        f"systemctl restart {UNIT}",
    ),
)


def reading(facts: Facts) -> Iterator[Finding]:
    """Check that we, and the user that counts, can read the log."""
    end = facts.log_end
    if end.trouble:
        thing, _, step = end.trouble.rstrip(".").partition("; ")
        yield first("reading", "", _TROUBLE, facts, thing=thing, step=step)
    elif end.path != JOURNAL or not _unknown(facts):
        yield first("reading", end.path, _READING, facts)


# ---- its lines ------------------------------------------------------------------------------

_NO_LINES: tuple[Row[Facts], ...] = (
    Row(
        lambda it: not it.log_end.lines,
        WARN,
        "it is empty",
        "After a rotation that is right, else nothing writes it.",
        "{show}",
    ),
    Row(
        lambda it: it.log_end.newest is None,
        FAIL,
        "none of its last {it.log_end.lines} lines begins with a time",
        "Without a time a line is counted nowhere.",
        "{show}",
    ),
)
"""Without a time there is nothing more to look at."""

_LINES: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.log_end.unstamped,
        WARN,
        "{it.log_end.unstamped} of its last {it.log_end.lines} lines have no readable time",
        "Those are counted nowhere.",
        "{show}",
    ),
    Row(
        lambda it: not it.log_end.postfix,
        WARN,
        "none of its last {it.log_end.lines} lines is Postfix's",
        "It may be the log of something else.",
        "{show}",
    ),
)

_AGE: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.line_age < -_AHEAD,
        FAIL,
        "its newest line is {age} ahead of the clock",
        "Lines stamped in the future wait until then, and are given up after a day; the clock was "
        "wrong, or the stamps are of another zone.",
        "timedatectl",
    ),
    Row(
        lambda it: it.line_age > _STALE and not (it.conditions and it.conditions.knows_rhythm),
        FAIL,
        "its newest line is {age} old",
        "Nothing seems to write it any more; Postfix may log elsewhere.",
        "postconf maillog_file",
    ),
    Row(
        lambda it: it.line_age < 0,
        OK,
        "{it.log_end.lines} lines looked at, the newest 0 s old",
    ),
    Row(always, OK, "{it.log_end.lines} lines looked at, the newest {age} old"),
)


def freshness(facts: Facts) -> Iterator[Finding]:
    """Check that its stamps are understood, and that the newest is recent."""
    end = facts.log_end
    if end.trouble:
        return
    show = "dane-mailgraph explain"
    if end.path != JOURNAL:
        show = f"tail -n 20 {end.path} | {show}"
    if not end.lines or end.newest is None:
        yield first("lines", end.path, _NO_LINES, facts, show=show)
        return
    yield from every("lines", end.path, _LINES, facts, show=show)
    age = format_duration(abs(facts.line_age))
    yield from facts.of_condition("log_silent", end.path) or [
        first("lines", end.path, _AGE, facts, age=age)
    ]


# ---- its time -------------------------------------------------------------------------------

_CLOCK: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.clock_is_synchronized is None,
        SKIP,
        "whether it follows a time server is unknown",
        "",
        "date; chronyc tracking",
    ),
    Row(lambda it: it.clock_is_synchronized, OK, "it follows a time server"),
    Row(
        always,
        WARN,
        "it follows no time server",
        "Each line is counted by its stamp, and signatures of DNSSEC have dates.",
        "timedatectl set-ntp true",
    ),
)


def clock(facts: Facts) -> Iterator[Finding]:
    """Check the clock: a step back stops the counting, a wrong year fills the RRD."""
    yield first("clock", "", _CLOCK, facts)


_ZONE: tuple[Row[int], ...] = (
    Row(
        bool,
        WARN,
        "the newest stamp is {slip} {way} the file's own time",
        "Each connection is counted {hours:g} hours away from when it was.",
        f"set `time_zone` in {FILE} to the zone that Postfix's logger has",
    ),
    Row(always, OK, "stamps without a zone agree with the file's own time"),
)
"""Of the half hours by which stamps are wrong."""


def zone(facts: Facts) -> Iterator[Finding]:
    """Check that stamps without a zone are of the zone that we take them for."""
    end = facts.log_end
    if end.trouble or not end.yearless or end.newest is None:
        return
    slip = end.newest - end.changed
    steps = round(slip / _HALF_HOUR)
    if abs(slip - steps * _HALF_HOUR) >= _CLOSE or abs(steps) > _MOST_HALF_HOURS:
        steps = 0
    yield first(
        "time zone",
        facts.time_zone or "the system's zone",
        _ZONE,
        steps,
        slip=format_duration(abs(slip)),
        way="ahead of" if slip > 0 else "behind",
        hours=abs(steps) / 2,
    )


# ---- what counts in it ----------------------------------------------------------------------

_CONNECTIONS: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.log_end.nameless,
        FAIL,
        "{it.log_end.nameless} lines have lost the program's name",
        "rsyslog's RFC 5424 format cuts postfix/smtp to postfix, so which program wrote the line "
        "is unknown; nothing is counted.",
        "in /etc/rsyslog.conf: $ActionFileDefaultTemplate RSYSLOG_FileFormat, then systemctl "
        "restart rsyslog",
    ),
    Row(
        lambda it: it.log_end.connections,
        OK,
        "{it.log_end.connections} of the last {it.log_end.lines} lines count as connections",
    ),
    Row(
        lambda it: it.log_end.deliveries,
        FAIL,
        "{it.log_end.deliveries} deliveries, but no TLS connection",
        "Postfix logs no TLS connections (smtp_tls_loglevel), has no TLS, or sends only to local "
        "relays.",
        "postconf smtp_tls_loglevel smtp_tls_security_level; then look at a line with "
        "dane-mailgraph explain",
    ),
    Row(
        always,
        SKIP,
        "no delivery in the last {it.log_end.lines} lines",
        "Postfix may have sent nothing lately.",
    ),
)

_REPEATS_WHY = (
    "`last message repeated N times` does not say which message; `message repeated N times: "
    "[ ... ]` is counted."
)
_REPEATS_REMEDY = (
    "set $RepeatedMsgReduction off in /etc/rsyslog.conf, then systemctl restart rsyslog"
)

_REPEATS: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.log_end.folded,
        WARN,
        "{it.log_end.folded} lines are folded repeats that cannot be counted",
        _REPEATS_WHY,
        _REPEATS_REMEDY,
    ),
    Row(
        lambda it: it.routes.reduced and not it.log_end.folded,
        WARN,
        "rsyslog folds repeats",
        _REPEATS_WHY,
        _REPEATS_REMEDY,
    ),
)

_DROPPED: tuple[Row[Facts], ...] = (
    Row(
        lambda it: it.log_end.dropped or it.routes.dropped,
        WARN,
        "a logger says that it has dropped lines of Postfix's",
        "What a logger drops is never counted.",
        "RateLimitIntervalSec=0 in /etc/systemd/journald.conf and $SystemLogRateLimitInterval 0 "
        "for rsyslog",
    ),
)


def connections(facts: Facts) -> Iterator[Finding]:
    """Check that what is in the log can be counted: the proof that Postfix logs its connections."""
    end = facts.log_end
    if end.trouble:
        return
    if end.lines:
        yield first("connections", end.path, _CONNECTIONS, facts)
    yield from every("repeats", end.path, _REPEATS, facts)
    yield from every("rate limit", end.path, _DROPPED, facts)


def warnings(facts: Facts) -> Iterator[Finding]:
    """List what Postfix's clients have warned of; most may have been mended since."""
    log, judged = facts.log_end.path, facts.conditions
    yield from facts.of_condition("no_dnssec", log)
    yield from facts.of_condition("own_tls", "")
    current = judged if judged and not judged.holds("not_counting") else None
    for each in WARNINGS:
        if times := facts.log_end.warnings.get(each.name):
            found = f"Postfix says {times} times: {each.text}"
            if current and each.name in DANE_IS_OFF:
                if not current.holds("no_dnssec"):
                    mended = "not in the last 24 hours, or DANE has been at work since"
                    yield Finding("warnings", log, OK, f"{found}; {mended}")
                continue
            why = f"{each.meaning[0].upper()}{each.meaning[1:]}."
            show = f"journalctl -g '{each.text}'" if log == JOURNAL else f"grep '{each.text}' {log}"
            yield Finding("warnings", log, WARN, found, why, show)
