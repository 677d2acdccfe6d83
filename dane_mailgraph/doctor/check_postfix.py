"""How Postfix sends: parameters by which it logs nothing, does no DANE, or means something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .facts import Facts
from .findings import FAIL, OK, SKIP, WARN, Finding, Grade, Row, always, every, first
from .postconf import Instance, Service

JudgeParameter = Callable[[str, Instance, "Service | None"], tuple[Grade, str]]
"""From a parameter's value to its grade, and why it matters where that is not OK."""


def _set(instance: Instance, parameter: str, value: str, service: Service | None = None) -> str:
    """Return the command that changes a parameter, in main.cf or for one service."""
    change = (
        f"-P '{service.label}/{parameter}={value}'" if service else f"-e '{parameter} = {value}'"
    )
    return f"postconf {instance.flag}{change} && postfix {instance.flag}reload"


# ---- the parameters that decide --------------------------------------------------------------


class ParameterRule(NamedTuple):
    """How one parameter of main.cf is judged, which a service of master.cf may override."""

    parameter: str
    judge: JudgeParameter
    wanted: str = ""
    """The value to set; empty where only the operator can say."""


def _security_level(value: str, instance: Instance, service: Service | None) -> tuple[Grade, str]:
    if value in ("dane", "dane-only"):
        return OK, ""
    if value in ("verify", "secure", "fingerprint"):
        return WARN, "Verified then says that this level was satisfied, not that DANE was."
    mapped = instance.value("smtp_tls_policy_maps", service)
    why = (
        "it sends in plaintext"
        if value in ("", "none")
        else "no TLSA record is looked up, so nothing is ever Verified by DANE"
    )
    if mapped:
        return WARN, f"For all destinations that {mapped} does not name, {why}."
    return FAIL, f"With this level {why}."


_VERBOSE = {"2", "3", "4", "debug", "ssl-expert", "ssl-developer"}
_LOGS = {"1", "routine", "summary"} | _VERBOSE
"""Words of smtp_tls_loglevel with which each connection is logged (tls_misc.c)."""


def _loglevel(value: str, instance: Instance, service: Service | None) -> tuple[Grade, str]:
    words = set(value.lower().replace(",", " ").split())
    if not words & _LOGS:
        return FAIL, (
            "At 0, the default, Postfix logs no TLS connection: there is nothing to count, and the "
            "graph stays empty."
        )
    if words & _VERBOSE:
        return WARN, (
            "The counts are right, but each connection writes dozens of lines; 1 writes the one "
            "that counts."
        )
    return OK, ""


def _lmtp_loglevel(value: str, instance: Instance, service: Service | None) -> tuple[Grade, str]:
    grade, _ = _loglevel(value, instance, service)
    if grade is FAIL and instance.value("lmtp_tls_security_level", service) not in ("", "none"):
        return WARN, "lmtp uses TLS, but logs none of its connections, so they are not counted."
    return OK, ""


def _smtpd_loglevel(value: str, instance: Instance, service: Service | None) -> tuple[Grade, str]:
    grade, _ = _loglevel(value, instance, service)
    if grade is FAIL and instance.value("smtpd_tls_security_level", service) not in ("", "none"):
        return WARN, (
            "smtpd uses TLS, but logs none of its handshakes, so no one knows which TLS versions "
            "clients need."
        )
    return OK, ""


def _policy_maps(value: str, instance: Instance, service: Service | None) -> tuple[Grade, str]:
    if not value:
        return OK, ""
    more = ""
    if instance.version >= (3, 11):
        more = " The field tls= of the delivery lines says which it was."
    return WARN, (
        "Where such a map says verify, secure or fingerprint (as MTA-STS does), Verified does not "
        f"mean DANE.{more}"
    )


def _wants(*good: str, bad: Grade, why: str) -> JudgeParameter:
    return lambda value, instance, service: (OK, "") if value in good else (bad, why)


def _lists(word: str, bad: Grade, why: str) -> JudgeParameter:
    return lambda value, *_: (OK, "") if word in value.replace(",", " ").split() else (bad, why)


def _lists_none_of(words: set[str], bad: Grade, why: str) -> JudgeParameter:
    return lambda value, *_: (
        (bad, why) if words & set(value.lower().replace(",", " ").split()) else (OK, "")
    )


def _is_set(bad: Grade, why: str) -> JudgeParameter:
    return lambda value, *_: (OK, "") if value else (bad, why)


_SILENT = "Postfix then treats dane as may: DANE is silently off."

RULES = (
    ParameterRule("smtp_tls_loglevel", _loglevel, "1"),
    ParameterRule("smtp_tls_security_level", _security_level, "dane"),
    ParameterRule("smtp_dns_support_level", _wants("dnssec", bad=FAIL, why=_SILENT), "dnssec"),
    ParameterRule("smtp_host_lookup", _lists("dns", FAIL, _SILENT), "dns"),
    ParameterRule("disable_dns_lookups", _wants("no", "", bad=FAIL, why=_SILENT), "no"),
    ParameterRule("ignore_mx_lookup_error", _wants("no", "", bad=FAIL, why=_SILENT), "no"),
    ParameterRule(
        "smtp_dns_resolver_options",
        _lists_none_of({"res_defnames", "res_dnsrch"}, FAIL, _SILENT),
        "",
    ),
    ParameterRule(
        "tls_dane_digests",
        _lists("sha256", FAIL, "Nearly all TLSA records are SHA-256 and cannot be used."),
        "sha512 sha256",
    ),
    ParameterRule(
        "dnssec_probe",
        _is_set(WARN, "Postfix does not warn when the resolver stops validating."),
        "ns:.",
    ),
    ParameterRule(
        "smtp_tls_dane_insecure_mx_policy",
        _wants(
            "dane",
            bad=WARN,
            why="TLSA records behind an MX lookup that is not signed are not used: Trusted is too "
            "low.",
        ),
        "dane",
    ),
    ParameterRule("smtp_tls_policy_maps", _policy_maps),
    ParameterRule("smtp_tls_connection_reuse", lambda *_: (OK, "")),
    ParameterRule(
        "smtp_log_tls_feature_status",
        _wants(
            "yes",
            bad=WARN,
            why="Delivery lines do not name their TLS level, so it has to be inferred.",
        ),
        "yes",
    ),
    ParameterRule(
        "info_log_address_format",
        _wants(
            "external",
            bad=WARN,
            why="Addresses are not quoted then, so one of them can pass for a whole delivery line.",
        ),
        "external",
    ),
    ParameterRule("lmtp_tls_loglevel", _lmtp_loglevel, "1"),
    ParameterRule("smtpd_tls_loglevel", _smtpd_loglevel, "1"),
)


def parameters(facts: Facts) -> Iterator[Finding]:
    """JudgeParameter each setting of each instance, and each override of it in master.cf."""
    for instance in _sending(facts):
        for rule in RULES:
            if rule.parameter in instance.parameters:
                yield _judged(rule, instance, None)
                for service in _clients(instance):
                    if rule.parameter in service.overrides:
                        yield _judged(rule, instance, service)


def _judged(rule: ParameterRule, instance: Instance, service: Service | None) -> Finding:
    value = instance.value(rule.parameter, service)
    grade, why = rule.judge(value, instance, service)
    remedy = ""
    if grade is not OK:
        remedy = (
            _set(instance, rule.parameter, rule.wanted, service)
            if rule.wanted
            else f"postconf {instance.flag}{rule.parameter}"
        )
    if service and grade is FAIL and service.name not in _usual(instance):
        grade, why = WARN, f"{why} For a content filter that may be right."
    return Finding(
        rule.parameter, _place(instance, service), grade, f"it is {value or 'empty'}", why, remedy
    )


def _place(instance: Instance, service: Service | None) -> str:
    return f"{service.label} in {instance.directory}" if service else instance.directory


def _usual(instance: Instance) -> set[str]:
    """Return the transports that carry mail to others by default."""
    return {
        instance.value(name).partition(":")[0] for name in ("default_transport", "relay_transport")
    }


def _clients(instance: Instance) -> list[Service]:
    return [each for each in instance.services if each.program in ("smtp", "lmtp")]


def _sending(facts: Facts) -> list[Instance]:
    return [each for each in facts.active_instances if _clients(each)]


# ---- Postfix itself -------------------------------------------------------------------------

_FIRST_DANE = (2, 11)

_HALF_DANE_BUG = ((3, 6, 0), (3, 6, 8)), ((3, 7, 0), (3, 7, 4))
"""From, and before which version a half-DANE connection is logged as Untrusted."""

_UPGRADE = "apt-get install postfix"

_NO_POSTFIX: Row[Facts] = Row(
    always,
    SKIP,
    "there is no postconf here, so nothing of Postfix is checked",
    "That is right if the log comes from another machine; run the doctor there, too.",
)

_INSTANCE: tuple[Row[Instance], ...] = (
    Row(
        lambda it: it.trouble,
        FAIL,
        "{it.trouble}",
        "Without its configuration nothing can be checked of this instance.",
        "dpkg-reconfigure postfix",
    ),
    Row(
        lambda it: it.disabled,
        SKIP,
        "it is disabled (multi_instance_enable = no), so it is not checked",
    ),
    Row(
        lambda it: it.version < _FIRST_DANE,
        FAIL,
        "Postfix {version}",
        "It knows no DANE; 2.11 is the first that does.",
        _UPGRADE,
    ),
    Row(
        lambda it: any(since <= it.version < before for since, before in _HALF_DANE_BUG),
        WARN,
        "Postfix {version}",
        "It logs DANE over an unsigned MX lookup as Untrusted instead of Trusted.",
        _UPGRADE,
    ),
    Row(always, OK, "Postfix {version}"),
)

_SENDING: tuple[Row[Instance], ...] = (
    Row(
        lambda it: not it.trouble and not it.disabled and not _clients(it),
        SKIP,
        "it has no smtp or lmtp client, so it sends nothing that counts",
    ),
)


def presence(facts: Facts) -> Iterator[Finding]:
    """Check that there is a Postfix, and that it is new enough."""
    if facts.instances is None:
        yield first("postfix", "", (_NO_POSTFIX,), facts)
    for each in facts.instances or ():
        version = each.parameters.get("mail_version", "of unknown version")
        yield first("postfix", each.directory, _INSTANCE, each, version=version)
        yield from every("sending", each.directory, _SENDING, each)


_CA_SETTINGS = ("smtp_tls_CAfile", "smtp_tls_CApath")

_AUTHORITIES: tuple[Row[Instance], ...] = (
    Row(lambda it: any(map(it.value, _CA_SETTINGS)), OK, "{named}"),
    Row(lambda it: it.value("tls_append_default_CA") == "yes", OK, "tls_append_default_CA = yes"),
    Row(
        always,
        WARN,
        "no CA is configured",
        "Trusted means a chain that ends in a CA of yours; without one every connection that is "
        "not DANE is Untrusted.",
        "{mend}",
    ),
)


def authorities(facts: Facts) -> Iterator[Finding]:
    """Check that Postfix has a CA to trust."""
    for each in _sending(facts):
        named = ", ".join(
            f"{name} = {each.value(name)}" for name in _CA_SETTINGS if each.value(name)
        )
        remedy = _set(each, "smtp_tls_CAfile", "/etc/ssl/certs/ca-certificates.crt")
        yield first("authorities", each.directory, _AUTHORITIES, each, named=named, mend=remedy)


_TLSMGR: tuple[Row[Instance], ...] = (
    Row(
        lambda it: any(service.program == "tlsmgr" for service in it.services),
        OK,
        "master.cf has it",
    ),
    Row(
        always,
        FAIL,
        "master.cf has none",
        "Postfix's TLS needs it for randomness.",
        "postconf {it.flag}-M tlsmgr/unix='tlsmgr unix - - n 1000? 1 tlsmgr' && "
        "postfix {it.flag}reload",
    ),
)


def tls_manager(facts: Facts) -> Iterator[Finding]:
    """Check that tlsmgr(8) is there, without which TLS clients cannot work."""
    for each in _sending(facts):
        yield first("tlsmgr", each.directory, _TLSMGR, each)


# ---- how its lines begin --------------------------------------------------------------------

_READABLE_TAG = re.compile(r"[^\x00-\x20\[\x7f]+")

_TAG: tuple[Row[str], ...] = (
    Row(
        lambda it: not _READABLE_TAG.fullmatch(it),
        FAIL,
        "it is {shown}",
        "With a blank or a bracket in it the tag has no certain end, so none of its "
        "lines is counted.",
        "{mend}",
    ),
)


def tags(facts: Facts) -> Iterator[Finding]:
    """Check that the lines of every client begin with a tag whose end is certain."""
    for each in _sending(facts):
        names: list[tuple[Service | None, str]] = [(None, each.value("syslog_name"))]
        names += [
            (service, service.overrides["syslog_name"])
            for service in _clients(each)
            if "syslog_name" in service.overrides
        ]
        odd = [
            finding
            for service, name in names
            for finding in every(
                "syslog_name",
                _place(each, service),
                _TAG,
                name,
                shown=name or "empty",
                mend=_set(each, "syslog_name", "postfix", service),
            )
        ]
        shown = ", ".join(dict.fromkeys(f"{name}/smtp" for _, name in names))
        good = Finding("syslog_name", each.directory, OK, f"its lines begin with {shown}")
        yield from odd or [good]
