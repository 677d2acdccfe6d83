"""How Postfix sends: the settings without which it logs nothing, does no DANE, or means something else by its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .facts import Facts
from .findings import Finding, Verdict
from .postconf import Instance, Service

OK, WARN, FAIL, SKIP = Verdict

Judge = Callable[[str, Instance, "Service | None"], tuple[Verdict, str]]
"""Of a setting's value its verdict, and why it matters where that is not OK."""


def reload(instance: Instance) -> str:
    """What makes Postfix read its configuration again."""
    return f"postfix {instance.flag}reload"


def mend(instance: Instance, setting: str, value: str, service: Service | None = None) -> str:
    """The command that changes a setting, in main.cf or for one service."""
    change = f"-P '{service.label}/{setting}={value}'" if service else f"-e '{setting} = {value}'"
    return f"postconf {instance.flag}{change} && {reload(instance)}"


# ---- the settings that decide ---------------------------------------------------------------


class Rule(NamedTuple):
    """One setting of main.cf, which a service of master.cf may override."""

    setting: str
    judge: Judge
    wanted: str = ""
    """The value to set; empty where only a person can say."""


def _security_level(value: str, instance: Instance, service: Service | None) -> tuple[Verdict, str]:
    if value in ("dane", "dane-only"):
        return OK, ""
    if value in ("verify", "secure", "fingerprint"):
        return WARN, "Verified then says that this level was satisfied, not that DANE was."
    mapped = instance.said("smtp_tls_policy_maps", service)
    why = (
        "it sends in the clear"
        if value in ("", "none")
        else "no TLSA record is looked at, so nothing is ever Verified by DANE"
    )
    if mapped:
        return WARN, f"For all destinations that {mapped} does not name, {why}."
    return FAIL, f"With this level {why}."


def _loglevel(value: str, instance: Instance, service: Service | None) -> tuple[Verdict, str]:
    words = value.lower().replace(",", " ").split()
    if not set(words) & {
        "1",
        "2",
        "3",
        "4",
        "routine",
        "debug",
        "ssl-expert",
        "ssl-developer",
        "summary",
    }:
        return (
            FAIL,
            "At 0, the default, Postfix logs no TLS connection: there is nothing to count, and the graph stays empty.",
        )
    if set(words) & {"2", "3", "4", "debug", "ssl-expert", "ssl-developer"}:
        return (
            WARN,
            "The counts are right, but each connection writes dozens of lines; 1 writes the one that counts.",
        )
    return OK, ""


def _lmtp_loglevel(value: str, instance: Instance, service: Service | None) -> tuple[Verdict, str]:
    verdict, _ = _loglevel(value, instance, service)
    if verdict is FAIL and instance.said("lmtp_tls_security_level", service) not in ("", "none"):
        return WARN, "lmtp uses TLS, but logs none of its connections, so they are not counted."
    return OK, ""


def _policy_maps(value: str, instance: Instance, service: Service | None) -> tuple[Verdict, str]:
    if not value:
        return OK, ""
    more = (
        ""
        if instance.version < (3, 11)
        else " The field tls= of the delivery lines tells which it was."
    )
    return (
        WARN,
        f"Where such a map says verify, secure or fingerprint (as MTA-STS does), Verified does not mean DANE.{more}",
    )


def _wants(*good: str, bad: Verdict, why: str) -> Judge:
    return lambda value, instance, service: (OK, "") if value in good else (bad, why)


def _lists(word: str, bad: Verdict, why: str) -> Judge:
    return lambda value, *_: (OK, "") if word in value.replace(",", " ").split() else (bad, why)


def _lists_none_of(words: set[str], bad: Verdict, why: str) -> Judge:
    return lambda value, *_: (
        (bad, why) if words & set(value.lower().replace(",", " ").split()) else (OK, "")
    )


def _is_set(bad: Verdict, why: str) -> Judge:
    return lambda value, *_: (OK, "") if value else (bad, why)


_SILENT = "Postfix then takes dane for may: DANE is silently off."

RULES = (
    Rule("smtp_tls_loglevel", _loglevel, "1"),
    Rule("smtp_tls_security_level", _security_level, "dane"),
    Rule("smtp_dns_support_level", _wants("dnssec", bad=FAIL, why=_SILENT), "dnssec"),
    Rule("smtp_host_lookup", _lists("dns", FAIL, _SILENT), "dns"),
    Rule("disable_dns_lookups", _wants("no", "", bad=FAIL, why=_SILENT), "no"),
    Rule("ignore_mx_lookup_error", _wants("no", "", bad=FAIL, why=_SILENT), "no"),
    Rule(
        "smtp_dns_resolver_options",
        _lists_none_of({"res_defnames", "res_dnsrch"}, FAIL, _SILENT),
        "",
    ),
    Rule(
        "tls_dane_digests",
        _lists("sha256", FAIL, "Nearly all TLSA records are SHA-256 and cannot be used."),
        "sha512 sha256",
    ),
    Rule(
        "dnssec_probe",
        _is_set(WARN, "Postfix does not warn when the resolver stops to validate."),
        "ns:.",
    ),
    Rule(
        "smtp_tls_dane_insecure_mx_policy",
        _wants(
            "dane",
            bad=WARN,
            why="TLSA records behind an MX lookup that is not signed are not used: Trusted is too low.",
        ),
        "dane",
    ),
    Rule("smtp_tls_policy_maps", _policy_maps),
    Rule("smtp_tls_connection_reuse", lambda *_: (OK, "")),
    Rule(
        "smtp_log_tls_feature_status",
        _wants(
            "yes",
            bad=WARN,
            why="Delivery lines do not tell the TLS level they were made with, so it has to be inferred.",
        ),
        "yes",
    ),
    Rule(
        "info_log_address_format",
        _wants(
            "external",
            bad=WARN,
            why="Addresses are not quoted then, so that one of them can pass for a whole delivery line.",
        ),
        "external",
    ),
    Rule("lmtp_tls_loglevel", _lmtp_loglevel, "1"),
)


def settings(facts: Facts) -> Iterator[Finding]:
    """Each setting of each instance, and each override of it in master.cf."""
    for instance in _sending(facts):
        for rule in RULES:
            if rule.setting in instance.settings:
                yield _judged(rule, instance, None)
                for service in _clients(instance):
                    if rule.setting in service.overrides:
                        yield _judged(rule, instance, service)


def _judged(rule: Rule, instance: Instance, service: Service | None) -> Finding:
    value = instance.said(rule.setting, service)
    verdict, why = rule.judge(value, instance, service)
    about = f"{service.label} in {instance.directory}" if service else instance.directory
    remedy = ""
    if verdict is not OK:
        remedy = (
            mend(instance, rule.setting, rule.wanted, service)
            if rule.wanted
            else f"postconf {instance.flag}{rule.setting}"
        )
    if service and verdict is FAIL and service.name not in _usual(instance):
        verdict, why = WARN, f"{why} For a content filter that may be right."
    return Finding(rule.setting, about, verdict, f"it is {value or 'empty'}", why, remedy)


def _usual(instance: Instance) -> set[str]:
    """The transports that carry mail to others when nothing else is said."""
    return {
        instance.said(name).partition(":")[0] for name in ("default_transport", "relay_transport")
    }


def _clients(instance: Instance) -> list[Service]:
    return [each for each in instance.services if each.program in ("smtp", "lmtp")]


def _sending(facts: Facts) -> list[Instance]:
    return [each for each in facts.at_work if _clients(each)]


# ---- Postfix itself -------------------------------------------------------------------------

_HALF_DANE_BUG = ((3, 6, 0), (3, 6, 8)), ((3, 7, 0), (3, 7, 4))
"""From, and before which version a half-DANE connection is logged as Untrusted."""


def presence(facts: Facts) -> Iterator[Finding]:
    """Whether there is a Postfix, which, and whether it is new enough."""
    if facts.instances is None:
        yield Finding(
            "postfix",
            "",
            SKIP,
            "there is no postconf here, so nothing of Postfix is checked",
            _ELSEWHERE,
        )
    for each in facts.instances or ():
        if each.trouble:
            why = "Without its configuration nothing can be said of this instance."
            yield Finding(
                "postfix", each.directory, FAIL, each.trouble, why, "dpkg-reconfigure postfix"
            )
            continue
        if each.disabled:
            yield Finding(
                "postfix",
                each.directory,
                SKIP,
                "it is disabled (multi_instance_enable = no), so it is not checked",
            )
            continue
        said = each.settings.get("mail_version", "of unknown version")
        found = f"Postfix {said}"
        if each.version < (2, 11):
            yield Finding(
                "postfix",
                each.directory,
                FAIL,
                found,
                "It knows no DANE; 2.11 is the first that does.",
                _UPGRADE,
            )
        elif any(since <= each.version < before for since, before in _HALF_DANE_BUG):
            why = "It logs DANE over an unsigned MX lookup as Untrusted instead of Trusted."
            yield Finding("postfix", each.directory, WARN, found, why, _UPGRADE)
        else:
            yield Finding("postfix", each.directory, OK, found)
        if not _clients(each):
            yield Finding(
                "sending",
                each.directory,
                SKIP,
                "it has no smtp or lmtp client, so it sends nothing that counts",
            )


_ELSEWHERE = "That is right if the log comes from another machine; run the doctor there, too."
_UPGRADE = "apt-get install postfix"


def authorities(facts: Facts) -> Iterator[Finding]:
    """Whether Postfix has any CA to trust."""
    for each in _sending(facts):
        named = [
            f"{name} = {each.said(name)}"
            for name in ("smtp_tls_CAfile", "smtp_tls_CApath")
            if each.said(name)
        ]
        if named or each.said("tls_append_default_CA") == "yes":
            yield Finding(
                "authorities", each.directory, OK, ", ".join(named) or "tls_append_default_CA = yes"
            )
        else:
            why = "Trusted means a chain that ends in a CA of yours; without one every connection that is not DANE is Untrusted."
            remedy = mend(each, "smtp_tls_CAfile", "/etc/ssl/certs/ca-certificates.crt")
            yield Finding("authorities", each.directory, WARN, "no CA is configured", why, remedy)


def session_cache(facts: Facts) -> Iterator[Finding]:
    """Whether tlsmgr(8) is there, without which TLS clients cannot work."""
    for each in _sending(facts):
        if any(service.program == "tlsmgr" for service in each.services):
            yield Finding("tlsmgr", each.directory, OK, "master.cf has it")
        else:
            remedy = f"postconf {each.flag}-M tlsmgr/unix='tlsmgr unix - - n 1000? 1 tlsmgr' && {reload(each)}"
            yield Finding(
                "tlsmgr",
                each.directory,
                FAIL,
                "master.cf has none",
                "Postfix's TLS needs it for randomness.",
                remedy,
            )


def tags(facts: Facts) -> Iterator[Finding]:
    """Whether the lines of every client begin with a tag that can be told from a forged one."""
    for each in _sending(facts):
        names: list[tuple[Service | None, str]] = [(None, each.said("syslog_name"))]
        names += [
            (service, service.overrides["syslog_name"])
            for service in _clients(each)
            if "syslog_name" in service.overrides
        ]
        odd = [
            (service, name)
            for service, name in names
            if not re.fullmatch(r"[^\x00-\x20\[\x7f]+", name)
        ]
        for service, name in odd:
            about = f"{service.label} in {each.directory}" if service else each.directory
            why = "With a blank or a bracket in it the tag cannot be told from the text, so nothing of it is counted."
            remedy = mend(each, "syslog_name", "postfix", service)
            yield Finding("syslog_name", about, FAIL, f"it is {name or 'empty'}", why, remedy)
        if not odd:
            shown = ", ".join(dict.fromkeys(f"{name}/smtp" for _, name in names))
            yield Finding("syslog_name", each.directory, OK, f"its lines begin with {shown}")
