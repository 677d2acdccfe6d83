"""The other half of DANE: whether others can reach us by it, today and on the day the key changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from ..dane import Chain, Tlsa, tlsa
from .facts import Facts
from .findings import Finding, Verdict
from .own_mx import Mx

OK, WARN, FAIL, SKIP = Verdict

_DAY = 86400
_SOON = 14 * _DAY
"""Let's Encrypt renews 30 days before the end: who is so late does not renew."""


def servers(facts: Facts) -> Iterator[Finding]:
    """Everything about each of our own servers."""
    if not facts.mx:
        why = "No instance of Postfix takes mail from others on port 25, or none is here."
        yield Finding(
            "own MX",
            "",
            SKIP,
            "no server of our own is known",
            why,
            "dane-mailgraph doctor --mx mail.example.org:25",
        )
    validates = any(each.secure for each in facts.probes)
    for mx in facts.mx:
        records = [each for each in map(tlsa.read, mx.records.records) if each]
        chains = _chains(mx)
        yield from _published(mx, records, chains, validates)
        yield from _files(mx, facts)
        if records:
            for chain in chains:
                yield _matched(mx, chain, records)
            yield from _next(mx, records, chains)
        yield from _dates(mx, chains, records, facts.now)


def _chains(mx: Mx) -> list[Chain]:
    """What is served, each certificate once: from the files, and live."""
    chains: dict[bytes, Chain] = {}
    for chain in (
        *(chain for served in mx.served for chain in served.chains),
        *((mx.live,) if mx.live else ()),
    ):
        chains.setdefault(chain.own.der, chain)
    return list(chains.values())


# ---- what is published ----------------------------------------------------------------------


def _published(
    mx: Mx, records: Sequence[Tlsa], chains: Sequence[Chain], validates: bool
) -> Iterator[Finding]:
    about, name = str(mx.target), mx.target.record
    advice = (
        f"publish: {name}. IN TLSA {tlsa.of(chains[0].own).in_full}"
        if chains
        else f"dig +dnssec {name} TLSA"
    )
    delv = f"delv {name} TLSA"
    if not mx.records.known:
        said = mx.records.code or mx.records.trouble
        if not any((mx.records.code, mx.address.known)):
            yield Finding(
                "tlsa", about, SKIP, f"{name} cannot be looked up: {said}", "No resolver answers."
            )
            return
        why = "Servers that do DANE defer their mail for us as long as this lasts."
        yield Finding("tlsa", about, FAIL, f"{name} cannot be looked up: {said}", why, delv)
        return
    if not mx.address.records:
        why = "A name without an address receives no mail."
        yield Finding(
            "tlsa",
            about,
            WARN,
            "this name has no address",
            why,
            "dane-mailgraph doctor --mx NAME:25",
        )
        if not records:
            return
    if not records:
        why = "Nobody can verify us; mail comes, but a man in the middle can strip its TLS."
        yield Finding("tlsa", about, WARN, f"no TLSA record at {name}", why, advice)
        return
    shown = "; ".join(map(str, records))
    if not validates:
        what = f"{shown}, whether signed cannot be told"
        yield Finding("tlsa", about, SKIP, what, "The resolver here does not validate.", delv)
    elif not mx.records.secure:
        yield Finding(
            "tlsa",
            about,
            FAIL,
            f"{shown}, but not signed",
            "Records without DNSSEC are ignored.",
            delv,
        )
    elif not mx.address.secure:
        why = "Postfix looks for TLSA records only where the address is signed, too."
        yield Finding(
            "tlsa",
            about,
            FAIL,
            f"{mx.address.question} is not signed",
            why,
            f"delv {mx.address.question}",
        )
    else:
        yield Finding("tlsa", about, OK, f"{shown}, signed")
    useless = [each for each in records if not each.usable]
    if useless:
        why = "Mail servers use 3 (DANE-EE) and 2 (DANE-TA) only, with a digest of its full length (RFC 7672, section 3.1)."
        verdict = FAIL if len(useless) == len(records) else WARN
        yield Finding(
            "tlsa usage", about, verdict, f"unusable: {'; '.join(map(str, useless))}", why, advice
        )


def _files(mx: Mx, facts: Facts) -> Iterator[Finding]:
    """What Postfix has been told, and whether that is what answers."""
    about = str(mx.target)
    for served in mx.served:
        where = f"{about} in {served.directory}"
        flag = "" if served.directory == "/etc/postfix" else f"-c {served.directory} "
        if not served.offers:
            why = "Without STARTTLS nobody can send to us over TLS, and with TLSA records who does DANE cannot send at all."
            remedy = f"postconf {flag}-e 'smtpd_tls_security_level = may' && postfix {flag}reload"
            verdict = FAIL if mx.records.records else WARN
            yield Finding(
                "certificate", where, verdict, "TLS is off (smtpd_tls_security_level)", why, remedy
            )
        for trouble in served.troubles:
            verdict, remedy = (
                (FAIL, f"postconf {flag}smtpd_tls_cert_file")
                if facts.root
                else (SKIP, "run as root")
            )
            yield Finding(
                "certificate",
                where,
                verdict,
                trouble,
                "Whether TLSA records match it cannot be told.",
                remedy,
            )
    if mx.live is None:
        why = "Whether Postfix serves now what its files hold cannot be told from here."
        remedy = f"posttls-finger -c -l dane '[{mx.target.name}]:{mx.target.port}'"
        yield Finding("served now", about, SKIP, mx.silent, why, remedy)
        return
    told = {chain.own.der for served in mx.served for chain in served.chains}
    if told and mx.live.own.der not in told and not any(served.sni for served in mx.served):
        why = "Postfix still serves the one it was started with, or another machine answers."
        yield Finding(
            "served now",
            about,
            WARN,
            f"{mx.live.own.subject}, in none of the files",
            why,
            "postfix reload",
        )
    else:
        yield Finding("served now", about, OK, mx.live.own.subject)


# ---- whether both agree ---------------------------------------------------------------------


def _matched(mx: Mx, chain: Chain, records: Sequence[Tlsa]) -> Finding:
    about = f"{mx.target}, {chain.path}"
    good = [each for each in records if tlsa.matches(each, chain)]
    if good:
        return Finding(
            "tlsa match", about, OK, f"{chain.own.subject} by {'; '.join(map(str, good))}"
        )
    sent = chain.certificates
    anchors = [
        each
        for each in records
        if each.usage == 2 and any(each == tlsa.of(one, *each[:3]) for one in sent)
    ]
    why = "Servers that do DANE refuse to deliver to us."
    if anchors:
        broken = (
            "out of date, or its signatures do not lead there"
            if chain.named
            else "for another name"
        )
        why = f"{anchors[0]} is of this chain, but the certificate is {broken}. {why}"
    remedy = f"publish beside the others: {mx.target.record}. IN TLSA {tlsa.of(chain.own).in_full}"
    return Finding("tlsa match", about, FAIL, f"no record matches {chain.own.subject}", why, remedy)


def _next(mx: Mx, records: Sequence[Tlsa], chains: Sequence[Chain]) -> Iterator[Finding]:
    """Whether the key can be changed without a moment in which nothing matches."""
    about = str(mx.target)
    used = {each for each in records if any(tlsa.matches(each, chain) for chain in chains)}
    if not used:
        return
    whole = [each for each in used if each.usage == 3 and each.selector == 0]
    if whole and len(whole) == len(used):
        why = "It matches the whole certificate, so each renewal breaks it, with the same key, too; 3 1 1 matches the key."
        remedy = f"publish: {mx.target.record}. IN TLSA {tlsa.of(chains[0].own).in_full}"
        yield Finding("rollover", about, WARN, f"only {'; '.join(map(str, whole))}", why, remedy)
    elif {each.usage for each in used} == {3} and used == {each for each in records if each.usable}:
        why = "On the day the key changes nothing matches until the new record has spread, unless it was published before."
        remedy = (
            "openssl pkey -in next.key -pubout -outform DER | sha256sum; publish that beside the others as "
            f"{mx.target.record}. IN TLSA 3 1 1, wait two TTLs, and only then use the next key; or publish a 2 1 1 of your CA"
        )
        yield Finding("rollover", about, WARN, "only records of the keys in use", why, remedy)
    else:
        yield Finding("rollover", about, OK, "there is a record beyond the keys in use")


def _dates(mx: Mx, chains: Sequence[Chain], records: Sequence[Tlsa], now: int) -> Iterator[Finding]:
    for chain in chains:
        about, ends = f"{mx.target}, {chain.path}", chain.own.ends
        day = datetime.fromtimestamp(ends, timezone.utc).strftime("%Y-%m-%d")
        renew = f"certbot renew, or as you got it: openssl x509 -noout -enddate -in {chain.path}"
        if ends > now + _SOON:
            yield Finding("expiry", about, OK, f"valid until {day}")
            continue
        by_key = any(each.usage == 3 and tlsa.matches(each, chain) for each in records)
        why = (
            "DANE-EE (3) does not look at the date, but others do."
            if by_key
            else "Who verifies it refuses it after that day."
        )
        yield Finding(
            "expiry", about, WARN, f"{'expired' if ends <= now else 'expires'} on {day}", why, renew
        )
