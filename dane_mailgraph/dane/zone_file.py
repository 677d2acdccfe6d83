"""The TLSA records to publish for a certificate, as a zone file with advice in its comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import timezone

from ..times import format_day
from . import tlsa
from .servers import Target
from .tlsa import Chain, Tlsa


def zone_lines(chains: Sequence[Chain], targets: Sequence[Target], now: int) -> Iterator[str]:
    """Give the records by which mail clients accept these chains, for each port of one server.

    They are 3 1 1 of each leaf, and 2 1 1 of each issuer that is sent along (RFC 7672, 3.1).
    """
    # The advice is for the day of the renewal, so it stands in comments beside the records.
    name = targets[0].name
    issued = False
    for chain in chains:
        until = format_day(chain.own.ends, timezone.utc)
        yield from _comment(f"{chain.path}: {chain.own.subject}, valid until {until}.")
        for trouble in _troubles(chain, name, now):
            yield from _comment(f"WARN: {trouble}")
        yield from _records(tlsa.of(chain.own), targets)
        for record, subject in _issuers(chain).items():
            if tlsa.matches(record, chain):
                issued = True
                yield from _comment(f"Its issuer {subject}:")
                yield from _records(record, targets)
    yield from _advice(name, issued=issued)
    yield from _comment("Once it is published, see whether it matches what is served:")
    yield f";   dane-mailgraph doctor {' '.join(f'--mx {target}' for target in targets)}"


def _issuers(chain: Chain) -> dict[Tlsa, str]:
    """Return the records of the issuers, with their subjects.

    A cross-signed issuer has one key in two certificates, and so one record.
    """
    own = tlsa.of(chain.own, 2)
    records = {tlsa.of(each, 2): each.subject for each in chain.certificates[1:]}
    return {record: subject for record, subject in records.items() if record != own}


def _troubles(chain: Chain, name: str, now: int) -> Iterator[str]:
    """Give what is wrong with the chain now, a sentence each."""
    own, issuers = chain.own, _issuers(chain)
    is_valid_now = own.begins <= now <= own.ends
    if not is_valid_now:
        date = (
            f"It expired on {format_day(own.ends, timezone.utc)}"
            if own.ends < now
            else f"It is not valid before {format_day(own.begins, timezone.utc)}"
        )
        without = "; 2 1 1 does, so there is none here" if issuers else ""
        yield f"{date}. 3 1 1 does not look at the date (RFC 7672, section 3.1.1){without}."
    if issuers and not chain.named:
        yield (
            f"It is not for the name {name}. 3 1 1 does not look at the name "
            "(RFC 7672, section 3.1.1); 2 1 1 does, so there is none here."
        )
    if is_valid_now and chain.named:
        for record, subject in issuers.items():
            if not tlsa.matches(record, chain):
                yield (
                    f"{subject}, which is in the file, does not verify as its issuer, "
                    "so there is no 2 1 1 of it here."
                )


def _advice(name: str, *, issued: bool) -> Iterator[str]:
    """Give what would break the records later; each command is a line of its own, to be copied."""
    yield from _comment(
        "3 1 1 is the digest of the key: keep the key at renewals (certbot renew --reuse-key). "
        "Before the server uses another key, publish that key's 3 1 1 beside this one and wait "
        "two TTLs:"
    )
    yield ";   openssl pkey -in next.key -pubout -outform DER | sha256sum"
    yield from _comment(
        "Do not publish 3 0 1 instead: it is the digest of the whole certificate, "
        "and every renewal breaks it."
    )
    if issued:
        yield from _comment(
            "2 1 1 holds only as long as the server sends that issuer along and the certificate "
            f"is for {name} and not expired (RFC 7672, section 3.1.2). Authorities change their "
            "issuers: compare at each renewal."
        )
    yield from _comment("Usages 0 and 1 mean nothing to mail servers (RFC 7672, section 3.1.3).")


def _records(record: Tlsa, targets: Sequence[Target]) -> list[str]:
    return [f"{target.record}. IN TLSA {record.in_full}" for target in targets]


def _comment(sentence: str) -> list[str]:
    return textwrap.wrap(
        sentence,
        79,
        initial_indent="; ",
        subsequent_indent=";   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
