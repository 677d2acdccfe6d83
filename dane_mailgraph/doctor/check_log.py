"""Whether our log is the one that Postfix's lines go to, and what it shows that keeps the numbers from being right."""

from __future__ import annotations

from collections.abc import Iterator

from ..postfix_warnings import WARNINGS
from .facts import Facts
from .findings import Finding, Verdict
from .loggers import JOURNAL, UNIT

OK, WARN, FAIL, SKIP = Verdict

_STALE = 86400
"""Seconds without any line: the smallest server hears from its own cron once a day."""

_AHEAD = 300
"""Seconds that a stamp may be ahead of the clock."""

_HALF_HOUR = 1800

CONF = "/etc/dane-mailgraph.conf"


def _set_log(path: str) -> str:
    return f"set `log = {path}` in {CONF}, then systemctl restart {UNIT}"


def whereabouts(facts: Facts) -> Iterator[Finding]:
    """Whether Postfix's lines go where we read."""
    log = facts.end.path
    for each in facts.at_work:
        file = each.said("maillog_file")
        if file.startswith("/dev/"):
            why = "What goes to a container's standard output is in no file here."
            remedy = f"postconf {each.flag}-e 'maillog_file = /var/log/mail.log' && postfix {each.flag}reload"
            yield Finding("log", each.directory, FAIL, f"Postfix logs to {file}", why, remedy)
        elif file and not facts.same.get(file):
            yield Finding(
                "log",
                each.directory,
                FAIL,
                f"Postfix logs to {file}, we read {log}",
                _OTHER,
                _set_log(file),
            )
        elif file:
            yield Finding(
                "log", each.directory, OK, f"Postfix logs to {file} (maillog_file), as we read"
            )
        else:
            yield _by_syslog(facts, each.directory)


_OTHER = "What is not in our log is not counted."


def _by_syslog(facts: Facts, about: str) -> Finding:
    log, routes = facts.end.path, facts.routes
    if log == JOURNAL:
        if routes.journal:
            return Finding("log", about, OK, "Postfix logs to the journal, as we read")
        return Finding(
            "log", about, FAIL, "there is no journal here", _OTHER, _set_log("/var/log/mail.log")
        )
    if any(facts.same.get(file) for file in routes.files):
        if routes.rsyslog:
            return Finding("log", about, OK, f"rsyslog writes Postfix's lines to {log}, as we read")
        return Finding(
            "log",
            about,
            FAIL,
            "rsyslog does not run",
            "Nobody writes our log.",
            "systemctl enable --now rsyslog",
        )
    if routes.files:
        files = ", ".join(routes.files)
        return Finding(
            "log",
            about,
            FAIL,
            f"rsyslog writes mail to {files}, we read {log}",
            _OTHER,
            _set_log(routes.files[0]),
        )
    if routes.journal and not routes.rsyslog:
        remedy = f"apt-get install rsyslog, or {_set_log(JOURNAL)}"
        return Finding(
            "log", about, FAIL, f"Postfix logs to the journal alone, we read {log}", _OTHER, remedy
        )
    why = "No rule for mail was found in rsyslog's configuration; another logger may have one."
    return Finding(
        "log",
        about,
        SKIP,
        f"who writes {log} cannot be told",
        why,
        "logger -p mail.info -t postfix/doctor test",
    )


def reading(facts: Facts) -> Iterator[Finding]:
    """Whether the log can be read, by us and by the user that counts."""
    end = facts.end
    if end.trouble:
        thing, _, step = end.trouble.rstrip(".").partition("; ")
        yield Finding(
            "reading",
            "",
            FAIL if facts.root or not _denied(end.trouble) else SKIP,
            thing,
            _OTHER,
            step,
        )
        return
    if facts.account is None or facts.readable is None:
        if end.path != JOURNAL:
            why = (
                "Only root can ask that."
                if facts.account
                else f"There is no {UNIT} and no {facts.upkeep.state_dir} yet."
            )
            what = "whether the user that counts can read it cannot be told"
            yield Finding("reading", end.path, SKIP, what, why, "run as root")
    elif facts.readable:
        yield Finding("reading", end.path, OK, f"{facts.account.name} can read it")
    else:
        name = facts.account.name
        remedy = f"chgrp adm {end.path} && chmod g+r {end.path} && adduser {name} adm && systemctl restart {UNIT}"
        yield Finding(
            "reading",
            end.path,
            FAIL,
            f"{name}, who counts, may not read it",
            "Nothing is counted.",
            remedy,
        )


def _denied(trouble: str) -> bool:
    return "Permission denied" in trouble or trouble.startswith("The journal cannot be read")


def freshness(facts: Facts) -> Iterator[Finding]:
    """Whether its stamps are understood, and the newest is of now."""
    end = facts.end
    if end.trouble:
        return
    show = (
        "dane-mailgraph explain"
        if end.path == JOURNAL
        else f"tail -n 20 {end.path} | dane-mailgraph explain"
    )
    if not end.lines:
        yield Finding(
            "lines",
            end.path,
            WARN,
            "it is empty",
            "After a rotation that is right, else nobody writes it.",
            show,
        )
        return
    if end.newest is None:
        why = "Without a time a line is counted nowhere."
        yield Finding(
            "lines",
            end.path,
            FAIL,
            f"none of its last {end.lines} lines begins with a time",
            why,
            show,
        )
        return
    if end.unstamped:
        what = f"{end.unstamped} of its last {end.lines} lines have no readable time"
        yield Finding("lines", end.path, WARN, what, "Those are counted nowhere.", show)
    if not end.postfix:
        why = "It may be the log of something else."
        yield Finding(
            "lines", end.path, WARN, f"none of its last {end.lines} lines is Postfix's", why, show
        )
    age = facts.now - end.newest
    if age < -_AHEAD:
        why = "Lines of the future are counted nowhere; the clock was wrong, or the stamps are of another zone."
        yield Finding(
            "lines",
            end.path,
            FAIL,
            f"its newest line is {_span(-age)} ahead of the clock",
            why,
            "timedatectl",
        )
    elif age > _STALE:
        why = "Nobody seems to write it any more; Postfix may log elsewhere."
        yield Finding(
            "lines",
            end.path,
            FAIL,
            f"its newest line is {_span(age)} old",
            why,
            "postconf maillog_file",
        )
    else:
        yield Finding(
            "lines",
            end.path,
            OK,
            f"{end.lines} lines looked at, the newest {_span(max(0, age))} old",
        )


def clock(facts: Facts) -> Iterator[Finding]:
    """Whether this machine knows the time: a step back stops the counting, a wrong year fills the RRD."""
    if facts.synchronized is None:
        yield Finding(
            "clock",
            "",
            SKIP,
            "whether it follows a time server cannot be told",
            "",
            "date; chronyc tracking",
        )
    elif facts.synchronized:
        yield Finding("clock", "", OK, "it follows a time server")
    else:
        why = "Each line is counted by its stamp, and signatures of DNSSEC have dates."
        yield Finding(
            "clock", "", WARN, "it follows no time server", why, "timedatectl set-ntp true"
        )


def zone(facts: Facts) -> Iterator[Finding]:
    """Whether stamps without a zone are of the zone that we take them for."""
    end = facts.end
    if end.trouble or not end.yearless or end.newest is None:
        return
    slip = end.newest - end.changed
    steps = round(slip / _HALF_HOUR)
    about = facts.time_zone or "the system's zone"
    if steps and abs(slip - steps * _HALF_HOUR) < 120 and abs(steps) <= 28:
        way = "ahead of" if steps > 0 else "behind"
        why = f"Each connection is counted {abs(steps) / 2:g} hours away from when it was."
        remedy = f"set `time_zone` in {CONF} to the zone that Postfix's logger has"
        yield Finding(
            "time zone",
            about,
            WARN,
            f"the newest stamp is {_span(abs(slip))} {way} the file's own time",
            why,
            remedy,
        )
    else:
        yield Finding(
            "time zone", about, OK, "stamps without a zone agree with the file's own time"
        )


def connections(facts: Facts) -> Iterator[Finding]:
    """Whether what is in the log can be counted: the proof that Postfix logs its TLS connections."""
    end = facts.end
    if end.trouble:
        return
    if end.nameless:
        why = "rsyslog's RFC 5424 format cuts postfix/smtp to postfix, so nobody can tell who wrote the line; nothing is counted."
        remedy = "in /etc/rsyslog.conf: $ActionFileDefaultTemplate RSYSLOG_FileFormat, then systemctl restart rsyslog"
        yield Finding(
            "connections",
            end.path,
            FAIL,
            f"{end.nameless} lines have lost the program's name",
            why,
            remedy,
        )
    elif end.connections:
        yield Finding(
            "connections",
            end.path,
            OK,
            f"{end.connections} of the last {end.lines} lines count as connections",
        )
    elif end.deliveries:
        why = "Postfix logs no TLS connections (smtp_tls_loglevel), has no TLS, or sends only to local relays."
        remedy = "postconf smtp_tls_loglevel smtp_tls_security_level; then look at a line with dane-mailgraph explain"
        yield Finding(
            "connections",
            end.path,
            FAIL,
            f"{end.deliveries} deliveries, but no TLS connection",
            why,
            remedy,
        )
    elif end.lines:
        why = "Postfix may have sent nothing of late."
        yield Finding(
            "connections", end.path, SKIP, f"no delivery in the last {end.lines} lines", why
        )
    if end.folded or facts.routes.reduced:
        what = (
            f"{end.folded} lines are folded repeats that cannot be counted"
            if end.folded
            else "rsyslog folds repeats"
        )
        why = "`last message repeated N times` does not say of whom; `message repeated N times: [ ... ]` is counted."
        remedy = (
            "set $RepeatedMsgReduction off in /etc/rsyslog.conf, then systemctl restart rsyslog"
        )
        yield Finding("repeats", end.path, WARN, what, why, remedy)
    if end.dropped or facts.routes.dropped:
        why = "What a logger drops is never counted."
        remedy = "RateLimitIntervalSec=0 in /etc/systemd/journald.conf and $SystemLogRateLimitInterval 0 for rsyslog"
        yield Finding(
            "rate limit",
            end.path,
            WARN,
            "a logger says that it has dropped lines of Postfix's",
            why,
            remedy,
        )


# ---- what Postfix itself complains of -------------------------------------------------------


def complaints(facts: Facts) -> Iterator[Finding]:
    """What Postfix's clients have warned of; it may have been mended since."""
    end = facts.end
    for each in WARNINGS:
        if times := end.warnings.get(each.name):
            why = f"{each.meaning[0].upper()}{each.meaning[1:]}."
            remedy = (
                f"journalctl -g '{each.text}'"
                if end.path == JOURNAL
                else f"grep '{each.text}' {end.path}"
            )
            yield Finding(
                "warnings", end.path, WARN, f"Postfix says {times} times: {each.text}", why, remedy
            )


def _span(seconds: int) -> str:
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"
