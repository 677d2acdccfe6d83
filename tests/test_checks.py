"""Facts become findings: one thing is wrong at a time, and the finding says what mends it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timezone
from typing import Any

import pytest

from dane_mailgraph.answer import Condition
from dane_mailgraph.dane import own_server
from dane_mailgraph.dane.own_server import UNREACHABLE, Handshake, Published, Server
from dane_mailgraph.dane.resolver import Answer, ResolvConf
from dane_mailgraph.dane.servers import Target
from dane_mailgraph.dane.tlsa import Certificate, Chain, Tlsa, record_of
from dane_mailgraph.doctor.check_postfix import RULES
from dane_mailgraph.doctor.checks import diagnose
from dane_mailgraph.doctor.conditions import Conditions
from dane_mailgraph.doctor.facts import Facts
from dane_mailgraph.doctor.findings import Finding, Grade, as_json, as_text
from dane_mailgraph.doctor.log_end import JOURNAL, LogEnd
from dane_mailgraph.doctor.loggers import Routes
from dane_mailgraph.doctor.own_mx import Mx
from dane_mailgraph.doctor.own_state import Disk, FilePlace, OwnState
from dane_mailgraph.doctor.postconf import PARAMETERS, Instance, Service
from dane_mailgraph.doctor.served import Served
from dane_mailgraph.doctor.unit import Unit
from dane_mailgraph.levels import Level
from dane_mailgraph.postfix_warnings import WARNINGS, PostfixWarning
from dane_mailgraph.programs import Account
from dane_mailgraph.times import format_day

OK, WARN, FAIL, SKIP = Grade

NOW = 1795485600
DAY = 86400
LOG = "/var/log/mail.log"

GOOD = {
    **dict.fromkeys(PARAMETERS, ""),
    "mail_version": "3.11.1",
    "default_transport": "smtp",
    "relay_transport": "relay",
    "disable_dns_lookups": "no",
    "ignore_mx_lookup_error": "no",
    "dnssec_probe": "ns:.",
    "info_log_address_format": "external",
    "tls_dane_digests": "sha512 sha256",
    "smtp_dns_support_level": "dnssec",
    "smtp_host_lookup": "dns",
    "smtp_log_tls_feature_status": "yes",
    "smtp_tls_CAfile": "/etc/ssl/certs/ca-certificates.crt",
    "smtp_tls_connection_reuse": "no",
    "smtp_tls_dane_insecure_mx_policy": "dane",
    "smtp_tls_loglevel": "1",
    "smtp_tls_security_level": "dane",
    "lmtp_tls_loglevel": "0",
    "smtpd_tls_loglevel": "0",
    "syslog_name": "postfix",
    "queue_directory": "/var/spool/postfix",
    "myhostname": "mail.example.org",
}
SMTP = Service("smtp", "unix", "smtp", True, {})
POSTFIX = Instance("/etc/postfix", GOOD, (SMTP, Service("tlsmgr", "unix", "tlsmgr", False, {})))


def certificate(name: str, *, ends: int = NOW + 60 * DAY) -> Certificate:
    return Certificate(
        f"certificate of {name}".encode(),
        f"key of {name}".encode(),
        f"CN = {name}",
        NOW - DAY,
        ends,
    )


LEAF, AUTHORITY, NEXT = (
    certificate("mail.example.org"),
    certificate("the CA"),
    certificate("the next key"),
)
CHAIN = Chain("/etc/ssl/mail.pem", (LEAF, AUTHORITY), True, (True, True))


def zone(*records: Tlsa) -> tuple[str, ...]:
    return tuple(
        f"{each.usage} {each.selector} {each.matching} {each.data.hex()}" for each in records
    )


def answer(question: str, *records: str, secure: bool = True, code: str = "NOERROR") -> Answer:
    return Answer(question, "127.0.0.1", code, secure, records)


MX = Mx(
    Server(
        Target("mail.example.org"),
        Published("_25._tcp.mail.example.org", zone(record_of(LEAF)), 3600),
        (Handshake("192.0.2.1", "", CHAIN),),
        (own_server.Service(("192.0.2.1",), (CHAIN,)),),
    ),
    (Served("/etc/postfix", "", True, own_server.Service(("192.0.2.1",), (CHAIN,))),),
)
"""A single record, and a key that is kept."""
RESOLV = ResolvConf("/etc/resolv.conf", "nameserver 127.0.0.1\n")
CHROOT = "/var/spool/postfix/etc/resolv.conf"

HEALTHY = Facts(
    now=NOW,
    is_root=True,
    instances=(POSTFIX,),
    resolv=RESOLV,
    probes=(answer(". NS", "a.root-servers.net."),),
    chroots={"/var/spool/postfix": RESOLV._replace(path=CHROOT)},
    glibc=(2, 36),
    mx=(MX,),
    log_end=LogEnd(
        LOG, "", NOW - 5, lines=900, newest=NOW - 5, postfix=900, deliveries=40, connections=30
    ),
    routes=Routes(True, (LOG,), False, True, 0),
    is_our_log={LOG: True},
    account=Account("dane-mailgraph", 998, 998, (4, 998)),
    log_is_readable=True,
    unit=Unit("active", "running", "success", True, ""),
    store_is_locked=True,
    unwritable=(),
    own_state=OwnState(
        "/var/lib/dane-mailgraph",
        "/var/cache/dane-mailgraph",
        rrd_until=NOW - 60,
        bookmark=FilePlace(7, 1000),
        end_of_file=FilePlace(7, 1200),
        rrd_last=NOW - 60,
        intervals_compared=1000,
        drawn_at=NOW - 200,
        disks=(Disk("/var/lib/dane-mailgraph", 10 << 30, 1000000),),
    ),
    conditions=Conditions(),
    time_zone="",
    clock_is_synchronized=True,
)


def postfix(*services: Service, **settings: str) -> Facts:
    """One setting is another, or there are more services."""
    return HEALTHY._replace(
        instances=(
            POSTFIX._replace(
                parameters={**GOOD, **settings}, services=(*POSTFIX.services, *services)
            ),
        )
    )


def without(setting: str) -> Facts:
    """A Postfix that does not know a setting yet."""
    return HEALTHY._replace(
        instances=(
            POSTFIX._replace(
                parameters={name: value for name, value in GOOD.items() if name != setting}
            ),
        )
    )


def holding(name: str, level: Level, text: str) -> Facts:
    """A condition holds."""
    return HEALTHY._replace(conditions=Conditions((Condition(name, "", level, NOW, text, ""),)))


def end(**changed: Any) -> Facts:
    return HEALTHY._replace(log_end=HEALTHY.log_end._replace(**changed))


def unit(**changed: Any) -> Facts:
    assert HEALTHY.unit
    return HEALTHY._replace(unit=HEALTHY.unit._replace(**changed))


def kept(**changed: Any) -> Facts:
    return HEALTHY._replace(own_state=HEALTHY.own_state._replace(**changed))


def mx(**changed: Any) -> Facts:
    """Our server is seen otherwise."""
    return HEALTHY._replace(mx=(MX._replace(server=MX.server._replace(**changed)),))


def served(**changed: Any) -> Facts:
    """Postfix is configured otherwise."""
    return HEALTHY._replace(mx=(MX._replace(served=(MX.served[0]._replace(**changed),)),))


def unread(sentence: str) -> Facts:
    """A file cannot be read."""
    service = MX.server.services[0]._replace(unread=(sentence,))
    seen = MX.server._replace(services=(service,))
    return HEALTHY._replace(mx=(Mx(seen, (MX.served[0]._replace(service=service),)),))


def published(*records: Tlsa, **changed: Any) -> Facts:
    return mx(published=MX.server.published._replace(records=zone(*records), **changed))


def wrong(facts: Facts) -> list[Finding]:
    """Everything that is not well."""
    return [each for each in diagnose(facts) if each.grade is not OK]


def service(name: str, **overrides: str) -> Service:
    return Service(name, "unix", "smtp", False, overrides)


def test_where_all_is_well_nothing_is_reported() -> None:
    assert wrong(HEALTHY) == []
    assert {each.check for each in diagnose(HEALTHY)} >= {
        "postfix",
        "smtp_tls_loglevel",
        "resolver",
        "chroot",
        "log",
        "rrd",
        "own MX",
    }


@dataclass
class Case:
    """What is wrong, and what must be said of it."""

    facts: Facts
    check: str
    grade: Grade
    found: str
    remedy: str = ""
    about: str = ""


SETTING = {
    "smtp_tls_loglevel": [
        ("0", FAIL),
        ("", FAIL),
        ("none", FAIL),
        ("certmatch", FAIL),
        ("2", WARN),
        ("1,certmatch", OK),
        ("summary", OK),
    ],
    "smtp_tls_security_level": [
        ("", FAIL),
        ("none", FAIL),
        ("may", FAIL),
        ("encrypt", FAIL),
        ("secure", WARN),
        ("dane-only", OK),
    ],
    "smtp_dns_support_level": [("", FAIL), ("enabled", FAIL), ("disabled", FAIL)],
    "smtp_host_lookup": [("native", FAIL), ("dns, native", OK)],
    "disable_dns_lookups": [("yes", FAIL)],
    "ignore_mx_lookup_error": [("yes", FAIL)],
    "smtp_dns_resolver_options": [("res_defnames", FAIL), ("res_defnames, res_dnsrch", FAIL)],
    "tls_dane_digests": [("sha512", FAIL), ("sha512,sha256", OK)],
    "dnssec_probe": [("", WARN)],
    "smtp_tls_dane_insecure_mx_policy": [("may", WARN), ("encrypt", WARN)],
    "smtp_tls_policy_maps": [("hash:/etc/postfix/tls_policy", WARN)],
    "smtp_tls_connection_reuse": [("yes", OK)],
    "smtp_log_tls_feature_status": [("no", WARN)],
    "info_log_address_format": [("internal", WARN)],
    "lmtp_tls_loglevel": [("0", OK), ("1", OK)],
    "smtpd_tls_loglevel": [("0", OK), ("1", OK)],
}
"""For each rule values with the grade they deserve."""


def test_every_rule_has_a_value_and_a_grade_here_and_is_asked_of_postfix() -> None:
    assert [rule.parameter for rule in RULES] == list(SETTING)
    assert set(SETTING) <= set(PARAMETERS)


@pytest.mark.parametrize(
    ("name", "value", "grade"),
    [(name, *each) for name, values in SETTING.items() for each in values],
)
def test_a_setting_is_judged_and_its_remedy_sets_it(name: str, value: str, grade: Grade) -> None:
    found = wrong(postfix(**{name: value}))

    assert [(each.check, each.grade, each.about) for each in found] == [
        (name, grade, "/etc/postfix")
    ] * (grade is not OK)
    for each in found:
        wanted = next(rule.wanted for rule in RULES if rule.parameter == name)
        assert each.remedy == (
            f"postconf -e '{name} = {wanted}' && postfix reload" if wanted else f"postconf {name}"
        )
        assert each.found == f"it is {value or 'empty'}" and each.why.endswith(".")


@pytest.mark.parametrize("name", SETTING)
def test_a_setting_that_this_postfix_does_not_know_is_not_missed(name: str) -> None:
    assert name not in {each.check for each in diagnose(without(name))}


def test_what_a_policy_map_can_still_make_right_is_a_warning() -> None:
    found = wrong(postfix(smtp_tls_security_level="may", smtp_tls_policy_maps="hash:/x"))

    assert [(each.check, each.grade) for each in found] == [
        ("smtp_tls_security_level", WARN),
        ("smtp_tls_policy_maps", WARN),
    ]


@pytest.mark.parametrize("name", ["lmtp", "smtpd"])
def test_what_else_uses_tls_must_log_it(name: str) -> None:
    (found,) = wrong(postfix(**{f"{name}_tls_security_level": "may"}))

    assert (found.check, found.grade) == (f"{name}_tls_loglevel", WARN)


@pytest.mark.parametrize(("name", "grade"), [("smtp", FAIL), ("relay", FAIL), ("amavis", WARN)])
def test_an_override_in_master_cf_is_judged_for_its_service(name: str, grade: Grade) -> None:
    (found,) = wrong(postfix(service(name, smtp_tls_loglevel="0")))

    assert (found.check, found.grade, found.about) == (
        "smtp_tls_loglevel",
        grade,
        f"{name}/unix in /etc/postfix",
    )
    assert found.remedy == f"postconf -P '{name}/unix/smtp_tls_loglevel=1' && postfix reload"


def test_an_override_that_makes_it_right_is_well() -> None:
    (found,) = wrong(postfix(service("bulk", smtp_tls_loglevel="1"), smtp_tls_loglevel="0"))

    assert found.about == "/etc/postfix"


def test_another_instance_is_named_in_the_remedy() -> None:
    out = POSTFIX._replace(
        directory="/etc/postfix-out", parameters={**GOOD, "smtp_tls_loglevel": "0"}
    )
    (found,) = wrong(HEALTHY._replace(instances=(POSTFIX, out)))

    assert found.about == "/etc/postfix-out"
    assert (
        found.remedy == "postconf -c /etc/postfix-out -e 'smtp_tls_loglevel = 1' && "
        "postfix -c /etc/postfix-out reload"
    )


EXPIRED = CHAIN._replace(
    certificates=(certificate("mail.example.org", ends=NOW - DAY), AUTHORITY),
    leaf_verifies=(False, False),
)
PROBE = HEALTHY.probes[0]

CASES = {
    # ---- Postfix ----
    "unconfigured": Case(
        HEALTHY._replace(
            instances=(
                Instance(
                    "/etc/postfix", {}, (), "open /etc/postfix/main.cf: No such file or directory"
                ),
            )
        ),
        "postfix",
        FAIL,
        "open /etc/postfix/main.cf: No such file or directory",
        "dpkg-reconfigure postfix",
    ),
    "too old for DANE": Case(postfix(mail_version="2.10.1"), "postfix", FAIL, "Postfix 2.10.1"),
    "half-DANE bug": Case(postfix(mail_version="3.7.3"), "postfix", WARN, "Postfix 3.7.3"),
    "no CA": Case(
        postfix(smtp_tls_CAfile=""), "authorities", WARN, "no CA is configured", "smtp_tls_CAfile"
    ),
    "no tlsmgr": Case(
        HEALTHY._replace(instances=(POSTFIX._replace(services=(SMTP,)),)),
        "tlsmgr",
        FAIL,
        "master.cf has none",
        "-M tlsmgr/unix",
    ),
    "a tag with a blank": Case(postfix(syslog_name="my mta"), "syslog_name", FAIL, "it is my mta"),
    "a service's tag": Case(
        postfix(service("relay", syslog_name="a[b")),
        "syslog_name",
        FAIL,
        "it is a[b",
        "-P 'relay/unix/syslog_name=postfix'",
    ),
    # ---- the resolver ----
    "no AD bit": Case(
        HEALTHY._replace(probes=(PROBE, PROBE._replace(server="192.0.2.53", secure=False))),
        "resolver",
        FAIL,
        "its answer to `. NS` is not validated (NOERROR, no AD bit)",
        "apt-get install unbound",
    ),
    "no answer": Case(
        HEALTHY._replace(
            probes=(
                PROBE,
                Answer(". NS", "192.0.2.53", "", False, (), "no answer within 3 seconds"),
            )
        ),
        "resolver",
        FAIL,
        "it does not answer `. NS`: no answer within 3 seconds",
    ),
    "a resolver elsewhere": Case(
        HEALTHY._replace(probes=(PROBE._replace(server="192.0.2.53"),)),
        "resolver",
        WARN,
        "it validates, but is another machine",
    ),
    "another chroot": Case(
        HEALTHY._replace(
            chroots={"/var/spool/postfix": ResolvConf(CHROOT, "nameserver 192.0.2.53\n")}
        ),
        "chroot",
        FAIL,
        "it names 192.0.2.53, but /etc/resolv.conf 127.0.0.1",
        f"install -D -m 644 /etc/resolv.conf {CHROOT} && postfix reload",
    ),
    "a chroot that cannot be read": Case(
        HEALTHY._replace(chroots={"/x": ResolvConf(CHROOT, None, "Permission denied")}),
        "chroot",
        SKIP,
        "it cannot be read: Permission denied",
    ),
    "glibc takes the AD bit": Case(
        postfix(mail_version="3.4.10"),
        "trust-ad",
        FAIL,
        "glibc 2.36 removes the AD bit from what this Postfix gets",
        "options trust-ad",
    ),
    # ---- the log ----
    "maillog_file elsewhere": Case(
        postfix(maillog_file="/var/log/postfix.log"),
        "log",
        FAIL,
        f"Postfix logs to /var/log/postfix.log, we read {LOG}",
        "set `log = /var/log/postfix.log`",
    ),
    "a container": Case(
        postfix(maillog_file="/dev/stdout"),
        "log",
        FAIL,
        "Postfix logs to /dev/stdout",
        "maillog_file = /var/log/mail.log",
    ),
    "rsyslog elsewhere": Case(
        HEALTHY._replace(
            routes=Routes(True, ("/var/log/maillog",), False, True, 0),
            is_our_log={"/var/log/maillog": False},
        ),
        "log",
        FAIL,
        f"rsyslog writes mail to /var/log/maillog, we read {LOG}",
        "set `log = /var/log/maillog`",
    ),
    "rsyslog stands still": Case(
        HEALTHY._replace(routes=HEALTHY.routes._replace(rsyslog=False)),
        "log",
        FAIL,
        "rsyslog does not run",
        "systemctl enable --now rsyslog",
    ),
    "the journal alone": Case(
        HEALTHY._replace(routes=Routes(False, (), False, True, 0)),
        "log",
        FAIL,
        f"Postfix logs to the journal alone, we read {LOG}",
        "apt-get install rsyslog",
    ),
    "an unknown logger": Case(
        HEALTHY._replace(routes=Routes(False, (), False, False, 0)),
        "log",
        SKIP,
        f"who writes {LOG} is unknown",
    ),
    "no log": Case(
        end(trouble=f"{LOG} is not there; set `log` to the file."),
        "reading",
        FAIL,
        f"{LOG} is not there",
        "set `log` to the file",
    ),
    "not for the user that counts": Case(
        HEALTHY._replace(log_is_readable=False),
        "reading",
        FAIL,
        "dane-mailgraph, the user that counts, may not read it",
        "adduser dane-mailgraph adm",
    ),
    "nobody knows who counts": Case(
        HEALTHY._replace(account=None),
        "reading",
        SKIP,
        "whether the user that counts can read it is unknown",
        "run as root",
    ),
    "an old log": Case(
        end(newest=NOW - 3 * DAY),
        "lines",
        FAIL,
        "its newest line is 3 days old",
        "postconf maillog_file",
    ),
    "a log of the future": Case(
        end(newest=NOW + 7300),
        "lines",
        FAIL,
        "its newest line is 2 h ahead of the clock",
        "timedatectl",
    ),
    "no stamps": Case(
        end(newest=None), "lines", FAIL, "none of its last 900 lines begins with a time", "explain"
    ),
    "some without a stamp": Case(
        end(unstamped=3), "lines", WARN, "3 of its last 900 lines have no readable time", "explain"
    ),
    "somebody else's": Case(
        end(postfix=0), "lines", WARN, "none of its last 900 lines is Postfix's", "explain"
    ),
    "an empty log": Case(
        end(lines=0, newest=None, deliveries=0, connections=0), "lines", WARN, "it is empty"
    ),
    "another zone": Case(
        end(yearless=900, changed=NOW - 5, newest=NOW - 5 - 7200),
        "time zone",
        WARN,
        "the newest stamp is 2 h behind the file's own time",
        "time_zone",
    ),
    "no name": Case(
        end(nameless=9),
        "connections",
        FAIL,
        "9 lines have lost the program's name",
        "RSYSLOG_FileFormat",
    ),
    "no connection": Case(
        end(connections=0),
        "connections",
        FAIL,
        "40 deliveries, but no TLS connection",
        "postconf smtp_tls_loglevel",
    ),
    "no mail": Case(
        end(connections=0, deliveries=0), "connections", SKIP, "no delivery in the last 900 lines"
    ),
    "folded": Case(
        end(folded=2),
        "repeats",
        WARN,
        "2 lines are folded repeats that cannot be counted",
        "$RepeatedMsgReduction off",
    ),
    "will be folded": Case(
        HEALTHY._replace(routes=HEALTHY.routes._replace(reduced=True)),
        "repeats",
        WARN,
        "rsyslog folds repeats",
    ),
    "dropped": Case(
        end(dropped=1),
        "rate limit",
        WARN,
        "a logger says that it has dropped lines of Postfix's",
        "RateLimit",
    ),
    "dropped by journald": Case(
        HEALTHY._replace(routes=HEALTHY.routes._replace(dropped=4)),
        "rate limit",
        WARN,
        "a logger says that it has dropped lines of Postfix's",
    ),
    # ---- what we keep ----
    "a unit that failed": Case(
        unit(active="failed", result="exit-code"),
        "unit",
        FAIL,
        "it has failed (exit-code)",
        "systemctl start dane-mailgraph.service",
    ),
    "a unit that starts again and again": Case(
        unit(active="activating", sub="auto-restart", result="watchdog"),
        "unit",
        FAIL,
        "it ends and is started again (watchdog)",
        "journalctl",
    ),
    "a unit that is stopped": Case(
        unit(active="inactive", sub="dead"),
        "unit",
        FAIL,
        "it is not running",
        "systemctl start dane-mailgraph.service",
    ),
    "a unit that is not used": Case(
        unit(active="inactive", sub="dead", is_enabled=False), "unit", SKIP, "it is not used"
    ),
    "a unit that is active and counts nothing": Case(
        unit(status="/var/lib/x cannot be written")._replace(store_is_locked=False),
        "unit",
        FAIL,
        "it is active and has not locked /var/lib/dane-mailgraph",
        "journalctl -u dane-mailgraph.service",
    ),
    "a store of root's": Case(
        HEALTHY._replace(unwritable=("/var/lib/dane-mailgraph/ledger.sqlite",)),
        "writing",
        FAIL,
        "dane-mailgraph, the user that counts, may not write /var/lib/dane-mailgraph/ledger.sqlite",
        "chown -R dane-mailgraph: /var/lib/dane-mailgraph",
    ),
    "no ledger": Case(
        kept(
            ledger_trouble="/var/lib/dane-mailgraph/ledger.sqlite is not there: nothing has been "
            "counted yet; run it.",
            bookmark=None,
        ),
        "ledger",
        FAIL,
        "it is not there: nothing has been counted yet",
        "systemctl enable --now dane-mailgraph.service",
    ),
    "an empty ledger": Case(kept(rrd_until=None), "ledger", WARN, "nothing has been counted yet"),
    "nobody counts": Case(
        holding("not_counting", Level.CRITICAL, "Nothing has been counted for 2 h."),
        "ledger",
        FAIL,
        "Nothing has been counted for 2 h",
        "journalctl -u dane-mailgraph.service",
    ),
    "counted in the future": Case(
        kept(rrd_until=NOW + 7200),
        "ledger",
        FAIL,
        "it has counted up to 120 minutes ahead of the clock",
    ),
    "no bookmark": Case(kept(bookmark=None), "bookmark", WARN, "there is none"),
    "truncated": Case(
        kept(end_of_file=FilePlace(7, 10)),
        "bookmark",
        WARN,
        "it is at byte 1,000 of 10",
        "collect -v",
    ),
    "no RRD any more": Case(
        holding("store", Level.CRITICAL, "/var/lib/dane-mailgraph/outbound.rrd is gone."),
        "rrd",
        FAIL,
        "it is gone",
        "journalctl -u dane-mailgraph.service",
    ),
    "damaged": Case(
        kept(rrd_trouble="/var/lib/dane-mailgraph/outbound.rrd is no RRD; move it away."),
        "rrd",
        FAIL,
        "it is no RRD",
        "outbound.rrd.wrong && systemctl restart",
    ),
    "another step": Case(
        kept(
            rrd_trouble="/var/lib/dane-mailgraph/outbound.rrd has steps of 30 seconds, the setting "
            "step says 60; set it back."
        ),
        "rrd",
        FAIL,
        "it has steps of 30 seconds, the setting step says 60",
        "set it back",
    ),
    "another truth": Case(
        kept(intervals_differing=2),
        "rrd",
        FAIL,
        "2 of 1000 intervals differ from the ledger",
        "outbound.rrd.wrong",
    ),
    "left out": Case(
        holding("omissions", Level.WARNING, "12 of 40 lines were not counted."),
        "left out",
        WARN,
        "12 of 40 lines were not counted",
        "dane-mailgraph explain",
    ),
    "a log that is silent": Case(
        holding("log_silent", Level.WARNING, "The log has been silent for 3 d."),
        "lines",
        WARN,
        "The log has been silent for 3 d",
        "postconf maillog_file",
    ),
    "no DNSSEC": Case(
        holding("no_dnssec", Level.CRITICAL, "Postfix cannot use DANE."),
        "warnings",
        FAIL,
        "Postfix cannot use DANE",
    ),
    "no TLS of our own": Case(
        holding("own_tls", Level.CRITICAL, "Postfix's own TLS does not work."),
        "own TLS",
        FAIL,
        "Postfix's own TLS does not work",
    ),
    "senders that refuse our certificate": Case(
        HEALTHY._replace(conditions=Conditions(refusals="Senders that refuse: 3.")),
        "own MX",
        WARN,
        "Senders that refuse: 3",
        "check --probe",
    ),
    "no page": Case(
        kept(drawn_at=None), "page", WARN, "it is not there", "dane-mailgraph-render.timer"
    ),
    "an old page": Case(kept(drawn_at=NOW - 7200), "page", WARN, "it was drawn 120 minutes ago"),
    "a full disk": Case(
        kept(disks=(Disk("/", 5 << 20, 9),)), "disk", FAIL, "5 MiB free", "df -h -i /"
    ),
    "no inode": Case(
        kept(disks=(Disk("/", 5 << 30, 0),)), "disk", FAIL, "5,120 MiB free, no inode left"
    ),
    "a nearly full disk": Case(
        kept(disks=(Disk("/", 100 << 20, None),)), "disk", WARN, "100 MiB free"
    ),
    # ---- our own servers ----
    "a clock that nobody sets": Case(
        HEALTHY._replace(clock_is_synchronized=False),
        "clock",
        WARN,
        "it follows no time server",
        "set-ntp",
    ),
    "a clock of which nobody knows": Case(
        HEALTHY._replace(clock_is_synchronized=None),
        "clock",
        SKIP,
        "whether it follows a time server is unknown",
        "date",
    ),
    "no server": Case(
        HEALTHY._replace(mx=()),
        "own MX",
        SKIP,
        "no server of our own is known",
        "doctor --mx mail.example.org:25",
    ),
    "no record": Case(
        published(),
        "own MX",
        WARN,
        "No TLSA record is published at _25._tcp.mail.example.org",
        "IN TLSA 3 1 1 ",
    ),
    "another key": Case(
        published(record_of(NEXT)),
        "own MX",
        FAIL,
        "Senders that do DANE defer their mail to mail.example.org:25: no TLSA record matches the "
        "certificate at 192.0.2.1",
        f"IN TLSA {record_of(LEAF).in_full}",
    ),
    "not signed": Case(
        published(record_of(LEAF), is_signed=False),
        "own MX",
        WARN,
        "DANE is off for mail.example.org:25, though records are published: they are not signed",
        "delv ",
    ),
    "nobody answers": Case(
        mx(handshakes=(Handshake("192.0.2.1", "", None, UNREACHABLE, "Connection refused"),)),
        "own MX",
        SKIP,
        "What mail.example.org:25 serves is unknown: 192.0.2.1 cannot be reached from here "
        "(Connection refused)",
        "posttls-finger",
    ),
    "a record too many": Case(
        published(record_of(LEAF), record_of(LEAF, 1)),
        "own MX",
        WARN,
        f"Senders set {record_of(LEAF, 1)} aside: it is malformed or of no use",
        "Withdraw",
    ),
    "expired": Case(
        mx(handshakes=(Handshake("192.0.2.1", "", EXPIRED),)),
        "certificate",
        WARN,
        "The certificate of mail.example.org:25 expired at 2026-11-23 02:00: only its 3 1 1 record "
        "still works, MTA-STS does not",
        "certbot renew",
    ),
    "TLS is off": Case(
        served(offers_tls=False),
        "certificate",
        FAIL,
        "TLS is off (smtpd_tls_security_level)",
        "postconf -e 'smtpd_tls_security_level = may'",
    ),
    "a file that cannot be read": Case(
        unread("/x cannot be read: Permission denied"),
        "certificate",
        FAIL,
        "/x cannot be read: Permission denied",
        "postconf smtpd_tls_cert_file",
    ),
}


def test_before_the_first_interval_is_over_there_is_no_rrd_yet() -> None:
    found = wrong(kept(rrd_last=None, rrd_until=None))

    assert [(each.check, each.grade, each.found) for each in found] == [
        ("ledger", WARN, "nothing has been counted yet"),
        ("rrd", WARN, "it is not there yet"),
    ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_thing_that_is_wrong_is_reported_alone(case: Case) -> None:
    (found,) = wrong(case.facts)

    assert (found.check, found.grade, found.found) == (case.check, case.grade, case.found)
    assert case.remedy in found.remedy
    assert case.about in found.about


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_wrong_has_a_reason_and_a_remedy_each_in_a_sentence(case: Case) -> None:
    for found in wrong(case.facts):
        assert found.why == "" or found.why.endswith(".")
        assert (
            not found.why
            or found.why[0].isupper()
            or found.why.startswith(("`", "rsyslog", "lmtp"))
        )
        if found.grade in (FAIL, WARN):
            assert found.why and found.remedy
        assert found.found and not found.found.removesuffix("...").endswith(".")


@pytest.mark.parametrize("alarm", WARNINGS, ids=lambda alarm: alarm.name)
def test_what_postfix_warns_of_is_passed_on(alarm: PostfixWarning) -> None:
    (found,) = wrong(end(warnings={alarm.name: 2})._replace(conditions=None))

    assert (found.check, found.grade, found.found) == (
        "warnings",
        WARN,
        f"Postfix says 2 times: {alarm.text}",
    )
    assert found.why[1:-1] in alarm.meaning
    assert found.remedy == f"grep '{alarm.text}' {LOG}"


def test_a_warning_after_which_dane_worked_again_is_well() -> None:
    warned = end(warnings={"dnssec_unavailable": 2, "tlsa_lookup": 1})
    stopped = holding("not_counting", Level.WARNING, "Nothing is counted.")

    assert [each.grade for each in wrong(warned)] == [WARN]
    assert len(wrong(stopped._replace(log_end=warned.log_end))) == 3


def test_a_quiet_server_with_a_known_rhythm_is_well() -> None:
    old = end(newest=NOW - 2 * DAY)

    assert [each.check for each in wrong(old)] == ["lines"]
    assert wrong(old._replace(conditions=Conditions(knows_rhythm=True))) == []


def test_what_was_left_out_once_is_listed_and_well() -> None:
    listed = [each for each in diagnose(kept(omitted={"future": 12})) if each.check == "left out"]

    assert [(each.grade, each.found) for each in listed] == [
        (
            OK,
            "12 lines stamped in the future, not counted until then; look at the clock and at "
            "time_zone",
        )
    ]


def test_without_postfix_its_checks_are_skipped_and_nothing_fails() -> None:
    found = wrong(HEALTHY._replace(instances=None, mx=(), chroots={}, probes=()))

    assert [(each.check, each.grade) for each in found] == [
        ("postfix", SKIP),
        ("resolver", SKIP),
        ("own MX", SKIP),
    ]


def test_an_instance_that_is_disabled_is_skipped() -> None:
    off = POSTFIX._replace(
        directory="/etc/postfix-off", parameters={**GOOD, "smtp_tls_loglevel": "0"}, disabled=True
    )
    (found,) = wrong(HEALTHY._replace(instances=(POSTFIX, off)))

    assert (found.check, found.about, found.grade) == ("postfix", "/etc/postfix-off", SKIP)


def test_an_instance_that_sends_nothing_is_skipped() -> None:
    (found,) = wrong(
        HEALTHY._replace(
            instances=(
                POSTFIX._replace(services=(), parameters={**GOOD, "smtp_tls_loglevel": "0"}),
            )
        )
    )

    assert (found.check, found.grade) == ("sending", SKIP)


def test_what_only_root_may_know_is_skipped_for_others() -> None:
    denied = f"{LOG} cannot be read: Permission denied; run as a user who may."
    nobody = end(trouble=denied)._replace(is_root=False)
    store = kept(
        ledger_trouble="x cannot be read: Permission denied; y.",
        rrd_trouble="z: Permission denied; y.",
        bookmark=None,
    )
    files = unread("/x cannot be read: Permission denied")

    assert [(each.check, each.grade) for each in wrong(nobody)] == [("reading", SKIP)]
    assert [(each.check, each.grade) for each in wrong(store._replace(is_root=False))] == [
        ("ledger", SKIP),
        ("rrd", SKIP),
    ]
    assert [(each.check, each.grade) for each in wrong(files._replace(is_root=False))] == [
        ("certificate", SKIP)
    ]


def test_the_journal_is_a_log_too() -> None:
    journal = end(path=JOURNAL)._replace(
        routes=Routes(False, (), False, True, 0), log_is_readable=None
    )

    assert wrong(journal) == []
    (found,) = wrong(journal._replace(routes=Routes(True, (), False, False, 0)))
    assert (found.check, found.found) == ("log", "there is no journal here")


def test_a_single_record_of_a_kept_key_is_no_warning() -> None:
    found = [each for each in diagnose(HEALTHY) if each.check in ("own MX", "certificate")]

    assert [(each.grade, each.found) for each in found] == [
        (OK, "senders that do DANE deliver: 1 of 1 TLSA records match"),
        (OK, f"valid until {format_day(LEAF.ends, timezone.utc)}"),
    ]


def test_a_record_of_the_next_key_is_no_warning() -> None:
    assert wrong(published(record_of(LEAF), record_of(NEXT))) == []
    assert wrong(published(record_of(LEAF), record_of(AUTHORITY, 2))) == []


def test_tls_that_is_off_without_records_is_only_a_pity() -> None:
    (server,) = served(offers_tls=False).mx
    off = HEALTHY._replace(
        mx=(
            server._replace(
                server=server.server._replace(published=Published("_25._tcp.mail.example.org"))
            ),
        )
    )

    assert {(each.check, each.grade) for each in wrong(off)} == {
        ("own MX", WARN),
        ("certificate", WARN),
    }


@pytest.mark.parametrize(
    ("version", "good"),
    [
        ("3.2.13", False),
        ("3.2.14", True),
        ("3.3.8", False),
        ("3.3.9", True),
        ("3.4.11", True),
        ("3.5.0", False),
        ("3.5.1", True),
    ],
)
def test_postfix_that_keeps_the_ad_bit_itself_needs_no_trust_ad(version: str, good: bool) -> None:
    old = postfix(mail_version=version)

    assert [each.check for each in wrong(old)] == ["trust-ad"] * (not good)
    assert wrong(old._replace(glibc=(2, 28))) == wrong(old._replace(glibc=())) == []
    trusting = RESOLV._replace(text="nameserver 127.0.0.1\noptions edns0 trust-ad\n")
    assert wrong(old._replace(resolv=trusting, chroots={})) == []


def test_a_stamp_in_another_zone_is_told_from_a_quiet_log() -> None:
    assert wrong(end(yearless=900, newest=NOW - 300)) == []
    found = wrong(end(yearless=900, changed=NOW - 5, newest=NOW - 5 + 3600))
    assert [each.check for each in found] == ["lines", "time zone"]


# ---- how it is said -------------------------------------------------------------------------


def test_text_says_what_is_well_in_a_line_and_the_rest_in_three() -> None:
    findings = [
        Finding("postfix", "/etc/postfix", OK, "Postfix 3.7.11"),
        Finding(
            "smtp_tls_loglevel",
            "/etc/postfix",
            FAIL,
            "it is 0",
            "Nothing is counted.",
            "postconf -e 'smtp_tls_loglevel = 1'",
        ),
        Finding("own MX", "", SKIP, "no server is known"),
    ]

    assert as_text(findings).split("\n") == [
        "OK    postfix            /etc/postfix: Postfix 3.7.11",
        "FAIL  smtp_tls_loglevel  /etc/postfix: it is 0",
        "                         Nothing is counted.",
        "                         -> postconf -e 'smtp_tls_loglevel = 1'",
        "SKIP  own MX             no server is known",
        "",
        "1 to mend, 0 to look at, 1 well, 1 not checked",
    ]


def test_json_says_the_same() -> None:
    said = json.loads(as_json(wrong(CASES["no answer"].facts)))

    assert {name: said[name] for name in ("ok", "warn", "fail", "skip")} == {
        "ok": 0,
        "warn": 0,
        "fail": 1,
        "skip": 0,
    }
    (found,) = said["findings"]
    assert sorted(found) == ["about", "check", "found", "remedy", "verdict", "why"]
    assert (found["verdict"], found["about"]) == ("fail", "192.0.2.53")


def test_every_case_is_of_another_kind() -> None:
    assert len({(case.check, case.grade, case.found) for case in CASES.values()}) >= len(CASES) - 2
