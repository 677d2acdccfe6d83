"""Postfix's warnings of what keeps DANE from working, each with what it means."""

from __future__ import annotations

import re
from typing import NamedTuple

TLSPROXY = "tlsproxy"
"""The warning after which a handshake fails for a reason of our own."""


class PostfixWarning(NamedTuple):
    """A warning that Postfix logs."""

    name: str
    text: str
    """Postfix's words, without what differs from line to line."""
    meaning: str
    """What it means and what to do, in a sentence."""
    pattern: re.Pattern[bytes]


def _warning(name: str, before: str, text: str, meaning: str) -> PostfixWarning:
    pattern = re.compile(rf"warning: {before}{re.escape(text)}".encode())
    return PostfixWarning(name, text, meaning, pattern)


# dns_sec.c, smtp_tls_policy.c, tls_dane.c and tls_client_start() in tls_client.c
WARNINGS = (
    _warning(
        "dnssec_unavailable",
        "",
        "DNSSEC validation may be unavailable",
        "the resolver does not validate, so there is no DANE and all mail goes as with `may`: "
        "let Postfix ask a validating resolver on this machine",
    ),
    _warning(
        "dnssec_disabled",
        r"\S+: dane(?:-only)? configured ",
        "with dnssec lookups disabled",
        "DANE is off, because Postfix does not ask for DNSSEC: "
        "`postconf -e smtp_dns_support_level=dnssec`",
    ),
    _warning(
        "library",
        r"\S+: dane(?:-only)? configured, but ",
        "no requisite library support",
        "DANE is off, because this Postfix was built without what it needs: install another build",
    ),
    _warning(
        "mx_errors_ignored",
        r"\S+: dane(?:-only)? configured ",
        "with MX lookup errors ignored",
        "DANE is off, because MX lookup errors are ignored: "
        "`postconf -e ignore_mx_lookup_error=no`",
    ),
    _warning(
        "resolver_options",
        r"\S+: ",
        "dns resolver options incompatible with dane TLS",
        "DANE is off, because names are completed with local domains: "
        "`postconf -X smtp_dns_resolver_options`",
    ),
    _warning(
        "tlsa_lookup",
        "",
        "DANE TLSA lookup problem",
        "TLSA records could not be looked up, so mail to these servers waits: "
        "their DNSSEC or your resolver is broken",
    ),
    _warning(
        "dnssec_status",
        "",
        "DNSSEC status lookup error",
        "whether a zone is signed could not be found out, so mail to it waits: "
        "its DNSSEC or your resolver is broken",
    ),
    _warning(
        "tlsa_unusable",
        r"\S+: ",
        "all TLSA records unusable",
        "a server's TLSA records are of kinds that do not work for mail (usage 0 or 1), "
        "so it is not authenticated: tell its postmaster",
    ),
    _warning(
        "configuration",
        r"TLS policy lookup (?:error )?for \S+: ",
        "client TLS configuration problem",
        "your own TLS policy for a destination is wrong, so mail to it waits: "
        "look at smtp_tls_policy_maps",
    ),
    _warning(
        "tlsa_usage",
        r"\S+ ",
        "unsupported TLSA certificate usage",
        "a server publishes a TLSA record of usage 0 or 1, which does not work for mail: "
        "tell its postmaster",
    ),
    _warning(
        TLSPROXY,
        "",
        "connect to private/tlsproxy service",
        "connections that may be reused get no TLS, so mail to their servers waits: "
        "let master.cf have the service tlsproxy",
    ),
    _warning(
        "tlsrpt",
        "",
        "Could not report TLS handshake result to tlsrpt library",
        "TLS reports to others lack sessions: see whether what collects them listens at "
        "`postconf smtp_tlsrpt_socket_name`",
    ),
)

BY_NAME = {each.name: each for each in WARNINGS}


def warning_in(text: bytes) -> PostfixWarning | None:
    """Return the warning that a client's text is; None for any other text."""
    if not text.startswith(b"warning: "):
        return None
    return next((each for each in WARNINGS if each.pattern.match(text)), None)
