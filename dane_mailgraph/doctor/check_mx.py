"""The other half of DANE: whether others can reach us by it, today and when the key changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timezone
from typing import NamedTuple

from ..dane import Chain, Tlsa, tlsa
from ..times import DAY, format_day
from .facts import Facts
from .findings import FAIL, OK, SKIP, WARN, Finding, Row, always, every, first
from .own_mx import Mx, Served
from .postconf import USUAL

_SOON = 14 * DAY
"""Let's Encrypt renews 30 days before the end: what is so late is not renewed."""


class _Server(NamedTuple):
    """One of our own servers: what is published for it beside what it serves."""

    mx: Mx
    records: Sequence[Tlsa]
    chains: Sequence[Chain]
    """What is served, each certificate once: from the files, and live."""
    validates: bool
    """Some resolver here validates, so it is known whether records are signed."""

    @property
    def about(self) -> str:
        """Host and port."""
        return str(self.mx.target)

    @property
    def unusable(self) -> list[Tlsa]:
        """The records that no mail server uses."""
        return [each for each in self.records if not each.usable]

    @property
    def used(self) -> list[Tlsa]:
        """The records that match a certificate."""
        return [one for one in self.records if any(tlsa.matches(one, c) for c in self.chains)]

    @property
    def serves_another(self) -> bool:
        """What answers is in none of the files that Postfix names."""
        files = {chain.own.der for served in self.mx.served for chain in served.chains}
        by_name = any(served.sni for served in self.mx.served)
        live = self.mx.live
        return live is not None and bool(files) and live.own.der not in files and not by_name


_NO_SERVER: Row[Facts] = Row(
    always,
    SKIP,
    "no server of our own is known",
    "No instance of Postfix takes mail from others on port 25, or none is here.",
    "dane-mailgraph doctor --mx mail.example.org:25",
)


def servers(facts: Facts) -> Iterator[Finding]:
    """Check everything about each of our own servers."""
    if not facts.mx:
        yield first("own MX", "", (_NO_SERVER,), facts)
    validates = any(each.secure for each in facts.probes)
    for mx in facts.mx:
        records = [each for each in map(tlsa.read, mx.records.records) if each]
        server = _Server(mx, records, _chains(mx), validates)
        yield from _published(server)
        yield from _files(server, facts)
        if records:
            for chain in server.chains:
                yield _matched(server, chain)
            yield from _next(server)
        yield from _dates(server, facts.now)


def _chains(mx: Mx) -> list[Chain]:
    chains: dict[bytes, Chain] = {}
    from_files = (chain for served in mx.served for chain in served.chains)
    for chain in (*from_files, *((mx.live,) if mx.live else ())):
        chains.setdefault(chain.own.der, chain)
    return list(chains.values())


# ---- what is published ----------------------------------------------------------------------

_DELV = "delv {name} TLSA"

_UNKNOWN: tuple[Row[_Server], ...] = (
    Row(
        lambda it: not it.mx.records.code and not it.mx.address.known,
        SKIP,
        "{name} cannot be looked up: {trouble}",
        "No resolver answers.",
    ),
    Row(
        always,
        FAIL,
        "{name} cannot be looked up: {trouble}",
        "Servers that do DANE defer their mail for us as long as this lasts.",
        _DELV,
    ),
)

_ADDRESS: tuple[Row[_Server], ...] = (
    Row(
        lambda it: not it.mx.address.records,
        WARN,
        "this name has no address",
        "A name without an address receives no mail.",
        "dane-mailgraph doctor --mx NAME:25",
    ),
)

_RECORDS: tuple[Row[_Server], ...] = (
    Row(
        lambda it: not it.records,
        WARN,
        "no TLSA record at {name}",
        "Nobody can verify us; mail comes, but a man in the middle can strip its TLS.",
        "{advice}",
    ),
    Row(
        lambda it: not it.validates,
        SKIP,
        "{shown}, whether signed is unknown",
        "The resolver here does not validate.",
        _DELV,
    ),
    Row(
        lambda it: not it.mx.records.secure,
        FAIL,
        "{shown}, but not signed",
        "Records without DNSSEC are ignored.",
        _DELV,
    ),
    Row(
        lambda it: not it.mx.address.secure,
        FAIL,
        "{it.mx.address.question} is not signed",
        "Postfix looks for TLSA records only where the address is signed, too.",
        "delv {it.mx.address.question}",
    ),
    Row(always, OK, "{shown}, signed"),
)

_USABLE = (
    "Mail servers use 3 (DANE-EE) and 2 (DANE-TA) only, with a digest of its full length "
    "(RFC 7672, section 3.1)."
)

_USAGE: tuple[Row[_Server], ...] = (
    Row(
        lambda it: len(it.unusable) == len(it.records),
        FAIL,
        "unusable: {unusable}",
        _USABLE,
        "{advice}",
    ),
    Row(always, WARN, "unusable: {unusable}", _USABLE, "{advice}"),
)


def _published(it: _Server) -> Iterator[Finding]:
    name, records = it.mx.target.record, it.mx.records
    advice = f"dig +dnssec {name} TLSA"
    if it.chains:
        advice = f"publish: {name}. IN TLSA {tlsa.of(it.chains[0].own).in_full}"
    words = {"name": name, "advice": advice, "shown": _listed(it.records)}
    if not records.known:
        trouble = records.code or records.trouble
        yield first("tlsa", it.about, _UNKNOWN, it, name=name, trouble=trouble)
        return
    yield from every("tlsa", it.about, _ADDRESS, it)
    if it.records or it.mx.address.records:
        yield first("tlsa", it.about, _RECORDS, it, **words)
    if it.unusable:
        unusable = _listed(it.unusable)
        yield first("tlsa usage", it.about, _USAGE, it, unusable=unusable, **words)


def _listed(records: Sequence[Tlsa]) -> str:
    return "; ".join(map(str, records))


# ---- what Postfix is configured to serve ----------------------------------------------------

_NO_TLS = (
    "Without STARTTLS nobody can send to us over TLS, and with TLSA records servers that do DANE "
    "cannot send at all."
)
_TLS_ON = "postconf {flag}-e 'smtpd_tls_security_level = may' && postfix {flag}reload"

_LIVE: tuple[Row[_Server], ...] = (
    Row(
        lambda it: it.mx.live is None,
        SKIP,
        "{it.mx.no_answer}",
        "Whether Postfix serves now what its files hold cannot be seen from here.",
        "posttls-finger -c -l dane '[{it.mx.target.name}]:{it.mx.target.port}'",
    ),
    Row(
        lambda it: it.serves_another,
        WARN,
        "{it.mx.live.own.subject}, in none of the files",
        "Postfix still serves the one it was started with, or another machine answers.",
        "postfix reload",
    ),
    Row(always, OK, "{it.mx.live.own.subject}"),
)


def _files(it: _Server, facts: Facts) -> Iterator[Finding]:
    off: tuple[Row[Served], ...] = (
        Row(
            lambda served: not served.offers,
            FAIL if it.mx.records.records else WARN,
            "TLS is off (smtpd_tls_security_level)",
            _NO_TLS,
            _TLS_ON,
        ),
    )
    unreadable: tuple[Row[str], ...] = (
        Row(
            always,
            FAIL if facts.root else SKIP,
            "{it}",
            "Whether TLSA records match it is unknown.",
            "postconf {flag}smtpd_tls_cert_file" if facts.root else "run as root",
        ),
    )
    for served in it.mx.served:
        about = f"{it.about} in {served.directory}"
        flag = "" if served.directory == USUAL else f"-c {served.directory} "
        yield from every("certificate", about, off, served, flag=flag)
        for trouble in served.troubles:
            yield first("certificate", about, unreadable, trouble, flag=flag)
    yield first("served now", it.about, _LIVE, it)


# ---- whether both agree ---------------------------------------------------------------------


class _Match(NamedTuple):
    """A chain that is served, beside the records."""

    chain: Chain
    matching: Sequence[Tlsa]
    anchors: Sequence[Tlsa]
    """Records of a CA (usage 2) whose certificate is in the chain."""


_REFUSED = "Servers that do DANE refuse to deliver to us."
_OF_THIS_CHAIN = "{it.anchors[0]} is of this chain, but the certificate is "
_NO_MATCH = "no record matches {it.chain.own.subject}"
_PUBLISH = "publish beside the others: {name}. IN TLSA {record}"

_MATCHES: tuple[Row[_Match], ...] = (
    Row(lambda it: it.matching, OK, "{it.chain.own.subject} by {matching}"),
    Row(
        lambda it: it.anchors and it.chain.named,
        FAIL,
        _NO_MATCH,
        f"{_OF_THIS_CHAIN}out of date, or its signatures do not lead there. {_REFUSED}",
        _PUBLISH,
    ),
    Row(
        lambda it: it.anchors,
        FAIL,
        _NO_MATCH,
        f"{_OF_THIS_CHAIN}for another name. {_REFUSED}",
        _PUBLISH,
    ),
    Row(always, FAIL, _NO_MATCH, _REFUSED, _PUBLISH),
)


def _matched(server: _Server, chain: Chain) -> Finding:
    matching = [each for each in server.records if tlsa.matches(each, chain)]
    anchors = [
        each
        for each in server.records
        if each.usage == 2 and any(each == tlsa.of(one, *each[:3]) for one in chain.certificates)
    ]
    return first(
        "tlsa match",
        f"{server.about}, {chain.path}",
        _MATCHES,
        _Match(chain, matching, anchors),
        matching=_listed(matching),
        name=server.mx.target.record,
        record=tlsa.of(chain.own).in_full,
    )


# ---- whether the key can be changed without a moment in which nothing matches ---------------


def _only_whole(it: _Server) -> bool:
    return all(each.usage == 3 and each.selector == 0 for each in it.used)


def _only_current(it: _Server) -> bool:
    usable = {each for each in it.records if each.usable}
    return {each.usage for each in it.used} == {3} and set(it.used) == usable


_ROLLOVER: tuple[Row[_Server], ...] = (
    Row(
        _only_whole,
        WARN,
        "only {used}",
        "It matches the whole certificate, so each renewal breaks it, with the same key, too; "
        "3 1 1 matches the key.",
        "publish: {name}. IN TLSA {record}",
    ),
    Row(
        _only_current,
        WARN,
        "only records of the keys in use",
        "On the day the key changes nothing matches until the new record has spread, unless it "
        "was published before.",
        "openssl pkey -in next.key -pubout -outform DER | sha256sum; publish that beside the "
        "others as {name}. IN TLSA 3 1 1, wait two TTLs, and only then use the next key; or "
        "publish a 2 1 1 of your CA",
    ),
    Row(always, OK, "there is a record beyond the keys in use"),
)


def _next(it: _Server) -> Iterator[Finding]:
    if it.used:
        used, record = _listed(it.used), tlsa.of(it.chains[0].own).in_full
        name = it.mx.target.record
        yield first("rollover", it.about, _ROLLOVER, it, used=used, name=name, record=record)


# ---- dates ----------------------------------------------------------------------------------


class _Validity(NamedTuple):
    """How long a certificate is valid still."""

    seconds: int
    """Negative where it has expired."""
    by_key: bool
    """A record of usage 3 matches it, which does not look at dates (RFC 7671, section 5.1)."""

    @property
    def soon(self) -> bool:
        """Whether it ends soon, or has ended."""
        return self.seconds <= _SOON


_RENEW = "certbot renew, or as you got it: openssl x509 -noout -enddate -in {path}"

_EXPIRY: tuple[Row[_Validity], ...] = (
    Row(lambda it: not it.soon, OK, "valid until {day}"),
    Row(
        lambda it: it.by_key,
        WARN,
        "{ends} on {day}",
        "DANE-EE (3) does not look at the date, but others do.",
        _RENEW,
    ),
    Row(
        always,
        WARN,
        "{ends} on {day}",
        "Servers that verify it refuse it after that day.",
        _RENEW,
    ),
)


def _dates(server: _Server, now: int) -> Iterator[Finding]:
    for chain in server.chains:
        left = chain.own.ends - now
        by_key = any(each.usage == 3 and tlsa.matches(each, chain) for each in server.records)
        yield first(
            "expiry",
            f"{server.about}, {chain.path}",
            _EXPIRY,
            _Validity(left, by_key),
            day=format_day(chain.own.ends, timezone.utc),
            ends="expired" if left <= 0 else "expires",
            path=chain.path,
        )
