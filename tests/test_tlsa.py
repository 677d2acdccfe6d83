"""Which TLSA record matches which certificate, by RFC 6698 and RFC 7672."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.dane import tlsa
from dane_mailgraph.dane.tlsa import Certificate, Chain, Tlsa

LEAF = Certificate(b"leaf", b"leaf's key", "CN = leaf", 0, 1)
ISSUER = Certificate(b"issuer", b"issuer's key", "CN = issuer", 0, 1)
CHAIN = Chain("/x", (LEAF, ISSUER), True, (True, True))


@pytest.mark.parametrize("usage", [2, 3])
@pytest.mark.parametrize(
    ("selector", "matching", "data"),
    [
        (0, 0, b"leaf"),
        (0, 1, hashlib.sha256(b"leaf").digest()),
        (0, 2, hashlib.sha512(b"leaf").digest()),
        (1, 0, b"leaf's key"),
        (1, 1, hashlib.sha256(b"leaf's key").digest()),
        (1, 2, hashlib.sha512(b"leaf's key").digest()),
    ],
)
def test_every_selector_and_matching_type_is_known(
    usage: int, selector: int, matching: int, data: bytes
) -> None:
    record = Tlsa(usage, selector, matching, data)
    chain = CHAIN if usage == 3 else CHAIN._replace(certificates=(ISSUER, LEAF))

    assert record.is_usable and tlsa.matches(record, chain)
    assert record == tlsa.record_of(LEAF, usage, selector, matching)
    assert not tlsa.matches(record._replace(data=data[::-1]), chain)


def test_an_end_entity_record_matches_the_servers_own_certificate_only() -> None:
    assert not tlsa.matches(tlsa.record_of(ISSUER), CHAIN)
    assert tlsa.matches(tlsa.record_of(ISSUER, 2), CHAIN)


def test_an_end_entity_record_looks_at_neither_name_nor_date() -> None:
    bad = CHAIN._replace(names_server=False, leaf_verifies=(False, False))

    assert tlsa.matches(tlsa.record_of(LEAF), bad)
    assert not tlsa.matches(tlsa.record_of(ISSUER, 2), bad)


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_a_trust_anchor_is_never_the_servers_own_certificate(selector: int, matching: int) -> None:
    alone = Chain("/x", (LEAF,), True, (True,), unsent_anchors=frozenset())

    for chain in (CHAIN, alone):
        assert not tlsa.matches(tlsa.record_of(LEAF, 2, selector, matching), chain)


def test_a_record_that_holds_an_issuer_works_though_the_server_does_not_send_it() -> None:
    alone = Chain("/x", (LEAF,), True, (True,), unsent_anchors=frozenset({ISSUER.der}))

    assert tlsa.matches(tlsa.record_of(ISSUER, 2, 0, 0), alone)
    assert not tlsa.matches(tlsa.record_of(ISSUER, 2, 0, 1), alone)
    assert not tlsa.matches(tlsa.record_of(ISSUER, 2, 0, 0), alone._replace(names_server=False))
    assert not tlsa.matches(
        tlsa.record_of(ISSUER, 2, 0, 0), alone._replace(unsent_anchors=frozenset())
    )


def test_the_domain_of_the_recipient_is_a_name_of_the_server() -> None:
    other = CHAIN._replace(names_server=False)

    assert not tlsa.matches(tlsa.record_of(ISSUER, 2), other)
    assert tlsa.matches(tlsa.record_of(ISSUER, 2), other._replace(domains=("example.org",)))


WEAK, STRONG = tlsa.record_of(LEAF), tlsa.record_of(ISSUER, 3, 1, 2)


@pytest.mark.parametrize(
    ("records", "counting"),
    [
        ([WEAK], [WEAK]),
        ([WEAK, STRONG], [STRONG]),
        ([WEAK, tlsa.record_of(LEAF, 3, 0, 2)], [WEAK, tlsa.record_of(LEAF, 3, 0, 2)]),
        ([WEAK, tlsa.record_of(LEAF, 2, 1, 2)], [WEAK, tlsa.record_of(LEAF, 2, 1, 2)]),
        ([WEAK, tlsa.record_of(LEAF, 3, 1, 0)], [WEAK, tlsa.record_of(LEAF, 3, 1, 0)]),
        ([tlsa.record_of(LEAF, 3, 1, 0), STRONG], [tlsa.record_of(LEAF, 3, 1, 0), STRONG]),
        ([WEAK, Tlsa(3, 1, 2, b"short")], [WEAK]),
        ([WEAK, tlsa.record_of(LEAF, 1, 1, 2)], [WEAK]),
    ],
)
def test_of_digests_of_one_usage_and_selector_the_strongest_counts(
    records: list[Tlsa], counting: list[Tlsa]
) -> None:
    assert tlsa.strongest(records) == counting


@pytest.mark.parametrize(("matching", "digest"), [(1, "sha256"), (2, "sha512")])
def test_the_digest_of_an_empty_file_is_known(matching: int, digest: str) -> None:
    assert Tlsa(3, 1, matching, hashlib.new(digest, b"").digest()).is_of_empty_file
    assert not Tlsa(3, 1, matching, hashlib.new(digest, b"x").digest()).is_of_empty_file
    assert not Tlsa(3, 1, 0, b"").is_of_empty_file


@pytest.mark.parametrize(
    "chain",
    [
        CHAIN._replace(names_server=False),
        CHAIN._replace(leaf_verifies=(True, False)),
        Chain("/x", (LEAF,), True, (True,)),
    ],
)
def test_a_trust_anchor_must_be_sent_and_name_and_signatures_must_be_right(chain: Chain) -> None:
    assert not tlsa.matches(tlsa.record_of(ISSUER, 2), chain)


@pytest.mark.parametrize(
    "record",
    [
        tlsa.record_of(LEAF, 0),
        tlsa.record_of(LEAF, 1),
        tlsa.record_of(LEAF)._replace(selector=2),
        tlsa.record_of(LEAF)._replace(matching=3),
        Tlsa(3, 1, 1, b"short"),
    ],
)
def test_a_record_that_mail_servers_cannot_use_matches_nothing(record: Tlsa) -> None:
    assert not record.is_usable and not tlsa.matches(record, CHAIN)


def test_a_record_is_read_as_zone_files_spell_it() -> None:
    assert tlsa.parse("3 1 1 00ff 10AB") == Tlsa(3, 1, 1, b"\x00\xff\x10\xab")
    assert [tlsa.parse(text) for text in ("", "3 1 1 0", "3 1 x 00", "3 1 1", "-3 1 1 00")] == [
        None
    ] * 5


@given(st.builds(Tlsa, *[st.integers(0, 255)] * 3, st.binary(max_size=80)))
def test_any_record_is_read_back_and_never_breaks_anything(record: Tlsa) -> None:
    assert tlsa.parse(record.in_full) == record
    assert tlsa.matches(record, CHAIN) in (True, False)
    assert len(str(record)) < 40
