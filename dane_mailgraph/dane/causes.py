"""What can be wrong with one of our servers; a new cause is one row of `CAUSES`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import NamedTuple

from ..language import Language
from ..levels import Level
from ..times import format_time

OWN_MX, CERTIFICATE = "own_mx", "certificate"
"""The conditions that causes belong to."""


class Cause(NamedTuple):
    """One thing that can be wrong."""

    level: Level
    """OK: no condition of `check`, but worth knowing."""
    text: str
    """What senders see: an English template."""
    next_step: str = ""
    condition: str = OWN_MX


class Finding(NamedTuple):
    """A cause that holds."""

    cause: str
    values: Mapping[str, str | int]
    """What the templates name; `time` is an epoch second, `duration` is in seconds."""

    @property
    def level(self) -> Level:
        """How bad it is."""
        return CAUSES[self.cause].level


_DEFER = "Senders that do DANE defer their mail to {mx}: "
_PUBLISH = "Publish `{line}`; caches keep the old records for up to {duration} more."
_NOT_USED = "DANE is off for {mx}, though records are published: "

CAUSES: Mapping[str, Cause] = {
    # ---- mail is deferred ----
    "lookup_fails": Cause(
        Level.CRITICAL,
        _DEFER + "the lookup of {name} ends with {words}.",
        "See `delv {name} TLSA`; mend the signatures or the name servers of the zone.",
    ),
    "no_starttls": Cause(
        Level.CRITICAL,
        _DEFER + "{places} offers no STARTTLS, or refuses it ({words}).",
        "See what smtpd logs; key and certificate must belong together: `postconf -n | grep "
        "smtpd_tls`.",
    ),
    "no_handshake": Cause(
        Level.CRITICAL,
        _DEFER + "the TLS handshake with {places} fails ({words}).",
        "See what smtpd logs, and whether its files are there: `postconf -n | grep smtpd_tls`.",
    ),
    "old_process": Cause(
        Level.CRITICAL,
        _DEFER + "{places} still serves the previous certificate, and only the record of the new "
        "one is published.",
        "Run `{command}`.",
    ),
    "old_table": Cause(
        Level.CRITICAL,
        _DEFER + "the table of SNI still holds the previous certificate for {places}, and only the "
        "record of the new one is published.",
        "Run `{command}`.",
    ),
    "hidden": Cause(
        Level.CRITICAL,
        "Some senders that do DANE defer their mail to {mx}: {record} matches the certificate at "
        "{places}, but a stronger digest that does not match is published beside it.",
        "Withdraw the record `{other}`, which matches nothing.",
    ),
    "anchor_at_leaf": Cause(
        Level.CRITICAL,
        _DEFER + "{record} is of the certificate of {places} itself, and usage 2 never matches "
        "that one.",
        _PUBLISH,
    ),
    "anchor_expired": Cause(
        Level.CRITICAL,
        _DEFER + "{record} is of an issuer, and the certificate at {places} has expired.",
        "Renew the certificate: `certbot renew`, or as you got it.",
    ),
    "anchor_name": Cause(
        Level.CRITICAL,
        _DEFER + "{record} is of an issuer, and the certificate at {places} is for another name.",
        _PUBLISH,
    ),
    "anchor_unproven": Cause(
        Level.CRITICAL,
        _DEFER + "{record} is of a certificate that {places} sends, but no valid signatures lead "
        "there.",
        _PUBLISH,
    ),
    "nothing_hashed": Cause(
        Level.CRITICAL,
        _DEFER + "{record} is the digest of an empty file, and no other record matches the "
        "certificate at {places}.",
        _PUBLISH,
    ),
    "no_match": Cause(
        Level.CRITICAL,
        _DEFER + "no TLSA record matches the certificate at {places}.",
        _PUBLISH,
    ),
    # ---- mail will be deferred at the next reload ----
    "file_no_match": Cause(
        Level.CRITICAL,
        "Within minutes senders that do DANE will defer their mail to {mx}: no TLSA record matches "
        "{file}, which the next process of Postfix serves.",
        "Put the previous key and certificate back until `{line}` has been published for "
        "{duration}.",
    ),
    "files_unfit": Cause(
        Level.CRITICAL,
        "Within minutes senders that do DANE will defer their mail to {mx}: {words}.",
        "Put the files right, then run `{command}`.",
    ),
    "renewed_no_match": Cause(
        Level.CRITICAL,
        "When the table of SNI is made again, senders that do DANE will defer their mail to {mx}: "
        "no TLSA record matches {file}.",
        "Publish `{line}`, wait {duration}, and only then run `{command}`.",
    ),
    # ---- DANE is off ----
    "host_unsigned": Cause(
        Level.WARNING,
        _NOT_USED + "the address of {host} is not signed.",
        "Sign the zone; see `delv {host} A`.",
    ),
    "records_unsigned": Cause(
        Level.WARNING, _NOT_USED + "they are not signed.", "Sign the zone; see `delv {name} TLSA`."
    ),
    "unusable": Cause(
        Level.WARNING,
        _NOT_USED + "no sender can use {record}; only usages 3 and 2 with a whole digest count.",
        _PUBLISH,
    ),
    # ---- what is planned ----
    "next_no_match": Cause(
        Level.WARNING,
        "No TLSA record of {mx} matches the next certificate, {file}.",
        "Publish `{line}`, and wait {duration} before the change.",
    ),
    "next_too_early": Cause(
        Level.WARNING,
        "The TLSA record of the next certificate, {file}, is not known everywhere yet.",
        "Wait until {time} before {mx} gets the next certificate.",
    ),
    "whole_certificate": Cause(
        Level.WARNING,
        "The next renewal will make senders that do DANE defer their mail to {mx}: {record} "
        "matches the whole certificate, which changes even where its key is kept.",
        _PUBLISH,
    ),
    # ---- what cannot be known ----
    "no_resolver": Cause(
        Level.UNKNOWN,
        "Whether senders that do DANE reach {mx} is unknown: the resolver does not answer "
        "({words}).",
        "See `dane-mailgraph doctor`.",
    ),
    "not_validating": Cause(
        Level.UNKNOWN,
        "Whether senders that do DANE reach {mx} is unknown: the resolver here does not validate.",
        "See `dane-mailgraph doctor`.",
    ),
    "no_address": Cause(
        Level.UNKNOWN,
        "Whether senders that do DANE reach {mx} is unknown: {host} has no address.",
        "Name your servers in `own_mx`.",
    ),
    "unreachable": Cause(
        Level.UNKNOWN,
        "What {mx} serves is unknown: {places} cannot be reached from here ({words}).",
        "Ask from outside: `posttls-finger -c -l dane [{host}]:{port}`.",
    ),
    # ---- worth knowing, and no condition ----
    "no_record": Cause(Level.OK, "No TLSA record is published at {name}.", "Publish `{line}`."),
    "set_aside": Cause(
        Level.OK, "Senders set {record} aside: it is malformed or of no use.", "Withdraw it."
    ),
    "nothing_hashed_beside": Cause(
        Level.OK, "{record} is the digest of an empty file.", "Withdraw it."
    ),
    "left_over": Cause(
        Level.OK, "{record} last matched at {time}: it is left over.", "Withdraw it."
    ),
    "announced": Cause(Level.OK, "{record} has never matched: it announces the next key."),
    "files_unread": Cause(
        Level.OK,
        "What the next process of Postfix serves is unknown: {words}.",
        "Run `dane-mailgraph check --probe` as root.",
    ),
    "domain_only": Cause(
        Level.OK,
        "The certificate at {places} is for {words} and not for {host}: only mail to that domain "
        "is verified.",
        "Get a certificate for {host}.",
    ),
    # ---- dates ----
    "expired": Cause(
        Level.CRITICAL,
        "The certificate of {mx} expired at {time}: senders that verify it refuse it.",
        "Renew it: `certbot renew`, or as you got it.",
        CERTIFICATE,
    ),
    "expired_by_key": Cause(
        Level.WARNING,
        "The certificate of {mx} expired at {time}: only its 3 1 1 record still works, MTA-STS "
        "does not.",
        "Renew it: `certbot renew`, or as you got it.",
        CERTIFICATE,
    ),
    "ends_soon": Cause(
        Level.WARNING,
        "The certificate of {mx} ends at {time}.",
        "Renew it: `certbot renew`, or as you got it.",
        CERTIFICATE,
    ),
}


def sentences(finding: Finding, language: Language, zone: tzinfo | None) -> tuple[str, str]:
    """Write what senders see, and the next step."""
    row, values = CAUSES[finding.cause], dict(finding.values)
    if "time" in values:
        values["time"] = format_time(int(values["time"]), zone)
    values["duration"] = language.duration(int(values.get("duration", 0)))
    text = language.say(row.text, **values)
    if values.get("others"):
        text += " " + language.say("Over {others} their mail comes in.", **values)
    return text, language.say(row.next_step, **values)
