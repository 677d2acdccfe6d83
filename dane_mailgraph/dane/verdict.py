"""What senders with DANE make of our records and certificates, now and after a change.

The rules are those of Postfix's SMTP client at the level `dane`, RFC 7671 and RFC 7672. A new cause
is one row of `CAUSES`, and the `_Judge.add` that finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple

from ..language import Language
from ..levels import Level, worst
from ..times import DAY, format_time
from . import tlsa
from .servers import Target
from .tlsa import Chain, Tlsa

OWN_MX, CERTIFICATE = "own_mx", "certificate"
"""The conditions that causes belong to."""

UNREACHABLE, NO_STARTTLS, NO_HANDSHAKE = "unreachable", "starttls", "handshake"
"""Why a handshake gave no certificate."""


class Published(NamedTuple):
    """What DNS has for one of our servers, by the resolver of this machine."""

    name: str
    """Of the TLSA records that senders use: `_25._tcp.mail.example.org`."""
    records: tuple[str, ...] = ()
    """As zone files spell them, the malformed ones too."""
    ttl: int = 0
    """Seconds for which caches may keep them: the longest that was ever seen."""
    code: str = "NOERROR"
    """`SERVFAIL`..., empty where no resolver answers."""
    trouble: str = ""
    """Why it does not answer."""
    validates: bool = True
    """The resolver validates."""
    host_is_signed: bool = True
    """The addresses are signed, or the name is a signed alias of what is not."""
    is_signed: bool = True
    """The TLSA records are."""
    has_address: bool = True


class Handshake(NamedTuple):
    """What an address showed to a sender that knows certain types of keys."""

    address: str
    keys: str = ""
    """`RSA`, `ECDSA`; empty for a sender that knows all."""
    chain: Chain | None = None
    trouble: str = ""
    """UNREACHABLE, NO_STARTTLS or NO_HANDSHAKE where there is no chain."""
    words: str = ""
    """What the server or the system said of it."""

    @property
    def place(self) -> str:
        """`192.0.2.1 (RSA)`."""
        return f"{self.address} ({self.keys})" if self.keys else self.address


class Service(NamedTuple):
    """A service of Postfix that answers on some addresses of our server, and its files."""

    addresses: tuple[str, ...]
    chains: tuple[Chain, ...]
    """What its next process serves to senders with DANE."""
    reload: str = "postfix reload"
    renewed: tuple[Chain, ...] = ()
    """What is in the files from which the table of SNI is yet to be made again."""
    remake: str = ""
    """The command that makes that table again."""
    troubles: tuple[str, ...] = ()
    """Why its next process can offer no TLS: a file is gone, or key and certificate do not fit."""
    unread: tuple[str, ...] = ()
    """A sentence, without its point, on each file that could not be read."""


class History(NamedTuple):
    """What is known of a record that is or was published. Times are epoch seconds."""

    first: int
    """When it was first seen."""
    matched: int | None = None
    """When it last matched a certificate that was served; None where it never did."""


class Server(NamedTuple):
    """All that is known of one of our servers."""

    target: Target
    published: Published
    handshakes: tuple[Handshake, ...] = ()
    services: tuple[Service, ...] = ()
    next_chain: Chain | None = None
    """The chain that will be served after a planned change."""
    history: Mapping[str, History] = {}
    """Record -> what is known of it."""


class Cause(NamedTuple):
    """One thing that may be found."""

    level: Level
    text: str
    """What senders see, in English."""
    next_step: str = ""
    condition: str = OWN_MX


class Finding(NamedTuple):
    """A cause that holds."""

    cause: str
    values: Mapping[str, str | int]
    """For the texts; `time` is an epoch second, `duration` are seconds."""

    @property
    def level(self) -> Level:
        """How bad it is."""
        return CAUSES[self.cause].level


_DEFER = "Senders that do DANE defer their mail to {mx}: "
_PUBLISH = "Publish `{line}`; caches keep the old records for up to {duration} more."
_LOOK = "See `delv {name} TLSA`."
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
    return language.say(row.text, **values), language.say(row.next_step, **values)


class Verdict(NamedTuple):
    """What was found of one of our servers."""

    findings: tuple[Finding, ...]
    """The worst first."""
    matches: int | None
    """How many published records match what is served; None where it is unknown."""
    ends: int | None
    """Epoch second after which the certificate served is invalid; None where it is unknown."""
    matching: tuple[str, ...] = ()
    """The records that match what is served, as zone files spell them."""

    @property
    def level(self) -> Level:
        """The worst of all."""
        return worst(each.level for each in self.findings)


def judge(server: Server, now: int) -> Verdict:
    """Return what senders make of one of our servers."""
    return _Judge(server, now).verdict()


_ACME = (
    "Let's Encrypt",
    "ZeroSSL",
    "Google Trust Services",
    "Buypass",
    "SSL Corp",
    "Actalis",
)
"""In the names of authorities whose certificates are renewed by program, every few weeks."""

_SOON = 14 * DAY
"""Seconds before its end in which a certificate should have been renewed."""

_QUARTERS = 4
"""One of a life shorter than 56 days should have been renewed before the last quarter of it."""


class _Judge:
    """The facts about one server, parted as senders part them."""

    def __init__(self, server: Server, now: int) -> None:
        self.server, self.published, self.now = server, server.published, now
        read = [(text, tlsa.read(text)) for text in server.published.records]
        self.records = [each for _, each in read if each]
        self.counting = tlsa.strongest(self.records)
        self.aside = [
            str(each) if each else text for text, each in read if not each or not each.usable
        ]
        self.chains = [each.chain for each in server.handshakes if each.chain]
        self.findings: list[Finding] = []

    def verdict(self) -> Verdict:
        """Return all that is found."""
        self.judge_records()
        self.judge_dates()
        matching = {
            each.in_full
            for each in self.counting
            if any(tlsa.matches(each, chain) for chain in self.chains)
        }
        is_known = self.published.code and any(
            each.trouble != UNREACHABLE for each in self.server.handshakes
        )
        return Verdict(
            tuple(sorted(self.findings, key=lambda each: -each.level.urgency)),
            len(matching) if is_known else None,
            min((each.own.ends for each in self.served), default=None),
            tuple(sorted(matching)),
        )

    @property
    def served(self) -> list[Chain]:
        """The chains that answer, else those of the files."""
        return self.chains or [
            chain for service in self.server.services for chain in service.chains
        ]

    def add(self, cause: str, **values: str | int) -> None:
        """Note a cause, with the values that every text may use."""
        target = self.server.target
        usual: dict[str, str | int] = {
            "mx": str(target),
            "host": target.name,
            "port": target.port,
            "name": self.published.name,
            "duration": self.published.ttl,
        }
        self.findings.append(Finding(cause, {**usual, **values}))

    def line(self, chain: Chain | None) -> str:
        """The record to publish for a chain, as a line of a zone file."""
        if chain is None:
            return f"{self.published.name}. IN TLSA 3 1 1 ..."
        ttl = f"{self.published.ttl} " if self.published.ttl else ""
        return f"{self.published.name}. {ttl}IN TLSA {tlsa.of(chain.own).in_full}"

    # ---- the records ----

    def judge_records(self) -> None:
        """Judge what DNS has, and where senders use it, what is served."""
        published = self.published
        if not published.code:
            self.add("no_resolver", words=published.trouble)
        elif not published.validates:
            self.add("not_validating")
        elif published.code not in ("NOERROR", "NXDOMAIN"):
            self.add("lookup_fails", words=published.code)
        elif not published.has_address:
            self.add("no_address")
        elif not published.records:
            self.add("no_record", line=self.line(self.served[0] if self.served else None))
        elif not published.host_is_signed:
            self.add("host_unsigned")
        elif not published.is_signed:
            self.add("records_unsigned")
        elif not self.counting:
            line = self.line(self.served[0] if self.served else None)
            self.add("unusable", record="; ".join(self.aside), line=line)
        else:
            self.judge_answers()
            self.judge_files()
            self.judge_plans()
            self.judge_beside()

    def accepts(self, chain: Chain) -> bool:
        """Return whether every sender that does DANE accepts a chain."""
        return any(tlsa.matches(each, chain) for each in self.counting)

    def judge_answers(self) -> None:
        """Judge what each address serves to each type of sender."""
        unrestricted = {each.address: each for each in self.server.handshakes if not each.keys}
        for trouble, cause in (
            (UNREACHABLE, "unreachable"),
            (NO_STARTTLS, "no_starttls"),
            (NO_HANDSHAKE, "no_handshake"),
        ):
            by_words: dict[str, list[str]] = {}
            for each in unrestricted.values():
                if each.trouble == trouble:
                    by_words.setdefault(each.words, []).append(each.place)
            for words, places in by_words.items():
                self.add(cause, places=", ".join(places), words=words)
        refused: dict[bytes, list[Handshake]] = {}
        for each in self.server.handshakes:
            if each.chain and not self.accepts(each.chain):
                refused.setdefault(each.chain.own.der, []).append(each)
        for handshakes in refused.values():
            self.judge_refused(handshakes)
        for each in self.server.handshakes:
            if each.chain and self.needs_domain(each.chain):
                words = ", ".join(each.chain.domains)
                self.add("domain_only", places=each.place, words=words)
                break

    def needs_domain(self, chain: Chain) -> bool:
        """Return whether a chain is accepted only where the recipient's domain is its name."""
        bare = chain._replace(domains=())
        return self.accepts(chain) and not self.accepts(bare)

    def judge_refused(self, handshakes: Sequence[Handshake]) -> None:
        """Say why a chain is refused, and what mends it."""
        chain = handshakes[0].chain
        assert chain is not None
        places = _places(handshakes)
        addresses = {each.address for each in handshakes}
        for service in self.server.services:
            if not addresses.intersection(service.addresses):
                continue
            is_current = chain.own.der in {each.own.der for each in service.chains}
            if not is_current and any(map(self.accepts, service.chains)):
                self.add("old_process", places=places, command=service.reload)
                return
            if any(map(self.accepts, service.renewed)):
                self.add("old_table", places=places, command=service.remake)
                return
        cause, record = self.why(chain)
        values = {"record": str(record or ""), "places": places, "line": self.line(chain)}
        if cause == "hidden" and record:
            hiding = [each for each in self.counting if each[:2] == record[:2] and each.matching]
            values["other"] = hiding[0].in_full
        self.add(cause, **values)

    def why(self, chain: Chain) -> tuple[str, Tlsa | None]:
        """Return the cause for which no record accepts a chain, and the record nearest to it."""
        for each in self.records:
            if tlsa.matches(each, chain):
                return "hidden", each
        for each in self.counting:
            if each.usage == 2 and each == tlsa.of(chain.own, *each[:3]):
                return "anchor_at_leaf", each
        for each in self.counting:
            if each.usage == 2 and (
                each.data in chain.trusted
                or any(each == tlsa.of(one, *each[:3]) for one in chain.certificates[1:])
            ):
                if not chain.own.begins <= self.now <= chain.own.ends:
                    return "anchor_expired", each
                if not chain.named and not chain.domains:
                    return "anchor_name", each
                return "anchor_unproven", each
        nothing = [each for each in self.counting if each.of_nothing]
        return ("nothing_hashed", nothing[0]) if nothing else ("no_match", None)

    def judge_files(self) -> None:
        """Judge what the next processes will serve."""
        known = {each.own.der for each in self.chains}
        for service in self.server.services:
            if service.troubles:
                self.add("files_unfit", words="; ".join(service.troubles), command=service.reload)
            if service.unread:
                self.add("files_unread", words="; ".join(service.unread))
            for chain in service.chains:
                if chain.own.der not in known and not self.accepts(chain):
                    known.add(chain.own.der)
                    self.add("file_no_match", file=chain.path, line=self.line(chain))
            for chain in service.renewed:
                if chain.own.der not in known and not self.accepts(chain):
                    known.add(chain.own.der)
                    self.add(
                        "renewed_no_match",
                        file=chain.path,
                        line=self.line(chain),
                        command=service.remake,
                    )

    # ---- what is planned, and what is left ----

    def judge_plans(self) -> None:
        """Judge the next certificate, and records that no renewal survives."""
        following = self.server.next_chain
        if following:
            fitting = [each for each in self.counting if tlsa.matches(each, following)]
            ready = min((self.known_everywhere(each) for each in fitting), default=None)
            if ready is None:
                self.add("next_no_match", file=following.path, line=self.line(following))
            elif ready > self.now:
                self.add("next_too_early", file=following.path, time=ready)
        for chain in _unique(self.chains):
            fitting = [each for each in self.counting if tlsa.matches(each, chain)]
            is_short = any(name in chain.own.issuer for name in _ACME)
            if fitting and is_short and all(each[:2] == (3, 0) for each in fitting):
                self.add("whole_certificate", record=str(fitting[0]), line=self.line(chain))

    def known_everywhere(self, record: Tlsa) -> int:
        """Return when every cache has a record: it may keep the set before it for its TTL."""
        if any(tlsa.matches(record, chain) for chain in self.chains):
            return 0
        history = self.server.history.get(record.in_full)
        return (history.first if history else self.now) + self.published.ttl

    def judge_beside(self) -> None:
        """Note the records that match nothing and do no harm."""
        if self.aside:
            self.add("set_aside", record="; ".join(self.aside))
        if not self.chains or any(each.level is Level.CRITICAL for each in self.findings):
            return
        chains = [*self.chains, *([self.server.next_chain] if self.server.next_chain else [])]
        for each in self.counting:
            if any(tlsa.matches(each, chain) for chain in chains):
                continue
            history = self.server.history.get(each.in_full)
            if each.of_nothing:
                self.add("nothing_hashed_beside", record=str(each))
            elif history and history.matched is not None:
                self.add("left_over", record=str(each), time=history.matched)
            else:
                self.add("announced", record=str(each))

    # ---- dates ----

    def judge_dates(self) -> None:
        """Judge until when the certificates are valid."""
        if not self.served:
            return
        chain = min(self.served, key=lambda each: each.own.ends)
        left, life = chain.own.ends - self.now, chain.own.ends - chain.own.begins
        if left < 0:
            by_key = self.published.is_signed and any(
                each.usage == 3 and tlsa.matches(each, chain) for each in self.counting
            )
            self.add("expired_by_key" if by_key else "expired", time=chain.own.ends)
        elif left < min(_SOON, life // _QUARTERS):
            self.add("ends_soon", time=chain.own.ends)


def _places(handshakes: Iterable[Handshake]) -> str:
    """Name where a chain was served; the type of key only where a sender that knows all has not."""
    addresses: dict[str, list[Handshake]] = {}
    for each in handshakes:
        addresses.setdefault(each.address, []).append(each)
    places: list[str] = []
    for some in addresses.values():
        whole = [each for each in some if not each.keys]
        places += [each.place for each in (whole or some)]
    return ", ".join(places)


def _unique(chains: Iterable[Chain]) -> Iterator[Chain]:
    """Yield each leaf's chain once."""
    seen: set[bytes] = set()
    for each in chains:
        if each.own.der not in seen:
            seen.add(each.own.der)
            yield each
