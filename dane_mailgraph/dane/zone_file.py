"""The TLSA records to publish for a certificate, as a zone file with advice in its comments.

The advice is for the day of the renewal, so it stands beside the records.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import timezone

from ..times import format_day
from . import tlsa
from .servers import Target
from .tlsa import Chain, Tlsa


def zone_lines(chains: Sequence[Chain], targets: Sequence[Target], now: int) -> Iterator[str]:
    """Yield the records by which mail clients accept these chains, for each port of one server.

    They are 3 1 1 of each leaf, and 2 1 1 of each issuer that is sent along (RFC 7672, 3.1).
    """
    name = targets[0].name
    issued = False
    for chain in chains:
        until = format_day(chain.leaf.ends, timezone.utc)
        yield from _comment(f"{chain.path}: {chain.leaf.subject}, valid until {until}.")
        for trouble in _troubles(chain, name, now):
            yield from _comment(f"WARN: {trouble}")
        yield from _records(tlsa.record_of(chain.leaf), targets)
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
    of_leaf = tlsa.record_of(chain.leaf, 2)
    records = {tlsa.record_of(each, 2): each.subject for each in chain.certificates[1:]}
    return {record: subject for record, subject in records.items() if record != of_leaf}


def _troubles(chain: Chain, name: str, now: int) -> Iterator[str]:
    """Yield what is wrong with the chain now, a sentence each."""
    leaf, issuers = chain.leaf, _issuers(chain)
    is_valid_now = leaf.begins <= now <= leaf.ends
    if not is_valid_now:
        date = (
            f"It expired on {format_day(leaf.ends, timezone.utc)}"
            if leaf.ends < now
            else f"It is not valid before {format_day(leaf.begins, timezone.utc)}"
        )
        without = "; 2 1 1 does, so there is none here" if issuers else ""
        yield f"{date}. 3 1 1 does not look at the date (RFC 7672, section 3.1.1){without}."
    if issuers and not chain.names_server:
        yield (
            f"It is not for the name {name}. 3 1 1 does not look at the name "
            "(RFC 7672, section 3.1.1); 2 1 1 does, so there is none here."
        )
    if is_valid_now and chain.names_server:
        for record, subject in issuers.items():
            if not tlsa.matches(record, chain):
                yield (
                    f"{subject}, which is in the file, does not verify as its issuer, "
                    "so there is no 2 1 1 of it here."
                )


def _advice(name: str, *, issued: bool) -> Iterator[str]:
    """Yield what would break the records later; each command is a line of its own, to be copied."""
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
