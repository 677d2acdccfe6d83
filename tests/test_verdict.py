"""What senders with DANE see of one of our servers, as tables: a case each."""

from __future__ import annotations

import hashlib
from datetime import timezone
from typing import NamedTuple

import pytest

from dane_mailgraph.dane import tlsa
from dane_mailgraph.dane.causes import CAUSES, sentences
from dane_mailgraph.dane.own_server import (
    NO_HANDSHAKE,
    NO_STARTTLS,
    UNREACHABLE,
    Handshake,
    Published,
    RecordHistory,
    Server,
    Service,
)
from dane_mailgraph.dane.servers import Target
from dane_mailgraph.dane.tlsa import Certificate, Chain, Tlsa
from dane_mailgraph.dane.verdict import Verdict, judge
from dane_mailgraph.language import ENGLISH
from dane_mailgraph.levels import Level, worst
from dane_mailgraph.times import DAY

NOW = 1795824000
NAME = "_25._tcp.mail.example.org"
TARGET = Target("mail.example.org")
TTL = 3600


def certificate(name: str, *, days: int = 60, issuer: str = "CN = CA") -> Certificate:
    ends = NOW + days * DAY
    return Certificate(
        name.encode(), f"{name}'s key".encode(), f"CN = {name}", ends - 90 * DAY, ends, issuer
    )


def chain_of(own: Certificate, path: str = "/etc/cert.pem") -> Chain:
    return Chain(path, (own, ISSUER), True, (True, True))


ISSUER = certificate("issuer", days=3000)
OLD, NEW, RSA = (chain_of(certificate(each)) for each in ("old", "new", "rsa"))
EXPIRED = Chain("/etc/cert.pem", (certificate("past", days=-1), ISSUER), True, (False, False))
ENCRYPT = chain_of(certificate("short", issuer="C = US, O = Let's Encrypt, CN = E7"))
EMPTY = Tlsa(3, 1, 1, hashlib.sha256(b"").digest())
OTHER = Tlsa(3, 1, 1, bytes(32))


def dns(*records: Tlsa | str, **changed: object) -> Published:
    texts = tuple(each if isinstance(each, str) else each.in_full for each in records)
    return Published(NAME, texts, TTL)._replace(**changed)  # type: ignore[arg-type]  # any field


def shown(*chains: Chain, address: str = "192.0.2.1") -> tuple[Handshake, ...]:
    """The first chain is what a sender with all types of keys gets."""
    return tuple(
        Handshake(address, keys, chain)
        for keys, chain in zip(("", "RSA", "ECDSA"), chains, strict=False)
    )


def mute(trouble: str, address: str = "192.0.2.1") -> tuple[Handshake, ...]:
    return (Handshake(address, "", None, trouble, "words"),)


def files(*chains: Chain, address: str = "192.0.2.1") -> tuple[Service, ...]:
    return (Service((address,), chains),)


def verdict(
    records: Published,
    handshakes: tuple[Handshake, ...],
    services: tuple[Service, ...] = (),
    **more: object,
) -> Verdict:
    return judge(Server(TARGET, records, handshakes, services)._replace(**more), NOW)  # type: ignore[arg-type]  # any field


def causes(found: Verdict) -> list[str]:
    return [each.cause for each in found.findings]


class Case(NamedTuple):
    """What there is, and the causes that are found, the worst first."""

    published: Published
    handshakes: tuple[Handshake, ...]
    causes: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()


def of(chain: Chain, usage: int = 3, selector: int = 1, matching: int = 1) -> Tlsa:
    return tlsa.record_of(chain.leaf, usage, selector, matching)


def issuer(selector: int = 1, matching: int = 1) -> Tlsa:
    return tlsa.record_of(ISSUER, 2, selector, matching)


CASES = {
    # ---- a server that is right ----
    "a single 3 1 1 and a kept key": Case(dns(of(OLD)), shown(OLD), (), files(OLD)),
    "a 2 1 1 of the issuer": Case(dns(issuer()), shown(OLD)),
    "an expired certificate by 3 1 1": Case(
        dns(of(EXPIRED)), shown(EXPIRED), ("expired_by_key",), files(EXPIRED)
    ),
    "a certificate for another name by 3 1 1": Case(
        dns(of(OLD)), shown(OLD._replace(names_server=False))
    ),
    "two types of keys": Case(dns(of(OLD), of(RSA)), shown(OLD, RSA, OLD)),
    "a malformed record beside the right one": Case(
        dns(of(OLD), "3 1 2 00ff", "\\# 2 0301"), shown(OLD), ("set_aside",)
    ),
    "a useless record beside the right one": Case(
        dns(of(OLD), of(NEW, 1)), shown(OLD), ("set_aside",)
    ),
    "the next key is announced": Case(dns(of(OLD), of(NEW)), shown(OLD), ("announced",)),
    "an empty file was hashed beside": Case(
        dns(of(OLD), EMPTY), shown(OLD), ("nothing_hashed_beside",)
    ),
    "the issuer's certificate itself, not sent": Case(
        dns(issuer(0, 0)),
        shown(Chain("/x", OLD.certificates[:1], True, (True,), (), frozenset({ISSUER.der}))),
    ),
    "for the domain of the recipient": Case(
        dns(issuer()),
        shown(OLD._replace(names_server=False, domains=("example.org",))),
        ("domain_only",),
    ),
    "no record": Case(dns(), shown(OLD), ("no_record",)),
    "no record and no STARTTLS": Case(dns(), mute(NO_STARTTLS), ("no_record",)),
    "a strong digest of the other selector": Case(
        dns(of(OLD), of(NEW, 3, 0, 2)), shown(OLD), ("announced",)
    ),
    # ---- refused ----
    "another key": Case(dns(of(NEW)), shown(OLD), ("no_match",)),
    "a useless record is right and a usable one wrong": Case(
        dns(of(OLD, 1), OTHER), shown(OLD), ("no_match", "set_aside")
    ),
    "the digest of nothing": Case(dns(EMPTY), shown(OLD), ("nothing_hashed",)),
    "usage 2 of the leaf": Case(dns(of(OLD, 2)), shown(OLD), ("anchor_at_leaf",)),
    "an expired chain by usage 2": Case(
        dns(issuer()), shown(EXPIRED), ("anchor_expired", "expired")
    ),
    "usage 2 and another name": Case(
        dns(issuer()), shown(OLD._replace(names_server=False)), ("anchor_name",)
    ),
    "usage 2 and no signatures": Case(
        dns(issuer()), shown(OLD._replace(leaf_verifies=(True, False))), ("anchor_unproven",)
    ),
    "the root is not sent": Case(
        dns(issuer()), shown(Chain("/x", OLD.certificates[:1], True, (True,))), ("no_match",)
    ),
    "a stale 3 1 2 hides the right 3 1 1": Case(
        dns(of(OLD), of(NEW, 3, 1, 2)), shown(OLD), ("hidden",)
    ),
    "one type of key": Case(dns(of(OLD)), shown(OLD, RSA, OLD), ("no_match",)),
    "one type of key, and both are in the files": Case(
        dns(of(OLD)), shown(OLD, RSA, OLD), ("no_match",), files(OLD, RSA)
    ),
    "one address of two": Case(
        dns(of(OLD)), (*shown(OLD), *shown(RSA, address="2001:db8::1")), ("no_match",)
    ),
    "STARTTLS is refused": Case(dns(of(OLD)), mute(NO_STARTTLS), ("no_starttls",), files(OLD)),
    "the handshake fails": Case(dns(of(OLD)), mute(NO_HANDSHAKE), ("no_handshake",), files(OLD)),
    "the lookup fails": Case(dns(code="SERVFAIL"), shown(OLD), ("lookup_fails",)),
    # ---- renewals ----
    "the new record is there and the old process answers": Case(
        dns(of(NEW)), shown(OLD), ("old_process",), files(NEW)
    ),
    "the new file is there and the old record": Case(
        dns(of(OLD)), shown(OLD), ("file_no_match",), files(NEW)
    ),
    "neither": Case(dns(OTHER), shown(OLD), ("no_match", "file_no_match"), files(NEW)),
    "the same file": Case(dns(OTHER), shown(OLD), ("no_match",), files(OLD)),
    "the files of another address": Case(
        dns(of(NEW)), shown(OLD), ("no_match",), files(NEW, address="192.0.2.9")
    ),
    "the table of SNI is old, and its record is gone": Case(
        dns(of(NEW)),
        shown(OLD),
        ("old_table",),
        (Service(("192.0.2.1",), (OLD,), "postfix reload", (NEW,), "postmap -F hash:/sni"),),
    ),
    "the table of SNI is old, and the new record is not there": Case(
        dns(of(OLD)),
        shown(OLD),
        ("renewed_no_match",),
        (Service(("192.0.2.1",), (OLD,), "postfix reload", (NEW,), "postmap -F hash:/sni"),),
    ),
    "a record of the whole certificate": Case(
        dns(of(ENCRYPT, 3, 0, 1)), shown(ENCRYPT), ("whole_certificate",)
    ),
    "a record of the whole certificate for years": Case(dns(of(OLD, 3, 0, 1)), shown(OLD)),
    "key and certificate do not fit": Case(
        dns(of(OLD)),
        shown(OLD),
        ("files_unfit",),
        (Service(("192.0.2.1",), (OLD,), troubles=("/key does not fit",)),),
    ),
    "files that cannot be read": Case(
        dns(of(OLD)),
        shown(OLD),
        ("files_unread",),
        (Service(("192.0.2.1",), (), unread=("/x cannot be read: Permission denied",)),),
    ),
    # ---- DANE is off ----
    "an unsigned address": Case(dns(OTHER, host_is_signed=False), shown(OLD), ("host_unsigned",)),
    "unsigned records": Case(dns(OTHER, is_signed=False), shown(OLD), ("records_unsigned",)),
    "only useless records": Case(dns(of(OLD, 1)), shown(OLD), ("unusable",)),
    "only malformed records": Case(dns("3 1 1 00"), shown(OLD), ("unusable",)),
    # ---- nobody can tell ----
    "no resolver": Case(dns(code="", trouble="x"), shown(OLD), ("no_resolver",)),
    "a resolver that does not validate": Case(
        dns(of(OLD), validates=False), shown(OLD), ("not_validating",)
    ),
    "a mismatch that nobody validates": Case(
        dns(OTHER, validates=False), shown(OLD), ("not_validating",)
    ),
    "nobody answers": Case(dns(of(OLD)), mute(UNREACHABLE), ("unreachable",), files(OLD)),
    "one of two answers": Case(
        dns(of(OLD)), (*shown(OLD), *mute(UNREACHABLE, "2001:db8::1")), ("unreachable",)
    ),
    "nobody answers, and the file is wrong": Case(
        dns(of(OLD)), mute(UNREACHABLE), ("file_no_match", "unreachable"), files(NEW)
    ),
    "no address": Case(dns(of(OLD), has_address=False), (), ("no_address",)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_case_is_found_with_its_causes(case: Case) -> None:
    found = verdict(case.published, case.handshakes, case.services)

    assert tuple(causes(found)) == case.causes


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_text_is_filled_in(case: Case) -> None:
    for each in verdict(case.published, case.handshakes, case.services).findings:
        text, next_step = sentences(each, ENGLISH, timezone.utc)
        assert text.endswith(".") and not set("{}").intersection(text + next_step)
        assert next_step.endswith((".", "...", "`")) or not each.level


def test_every_cause_has_a_case() -> None:
    planned = {"next_no_match", "next_too_early", "left_over", "ends_soon"}

    assert {each for case in CASES.values() for each in case.causes} | planned == set(CAUSES)


def test_the_level_is_that_of_the_worst() -> None:
    assert worst([]) is Level.OK
    assert worst([Level.OK, Level.UNKNOWN]) is Level.UNKNOWN
    assert worst([Level.UNKNOWN, Level.WARNING]) is Level.WARNING
    assert worst([Level.CRITICAL, Level.UNKNOWN, Level.WARNING]) is Level.CRITICAL
    assert verdict(dns(of(OLD)), mute(UNREACHABLE), files(NEW)).level is Level.CRITICAL


def test_the_line_to_publish_is_that_of_the_key_that_is_served() -> None:
    (found,) = verdict(dns(OTHER), (*shown(OLD, RSA, OLD),)).findings[:1]

    assert found.values["line"] == f"{NAME}. {TTL} IN TLSA {of(OLD).in_full}"
    assert found.values["places"] == "192.0.2.1"


def test_a_type_of_key_is_named_where_only_it_is_refused() -> None:
    (found,) = verdict(dns(of(OLD)), shown(OLD, RSA, OLD)).findings

    assert found.values["places"] == "192.0.2.1 (RSA)"
    assert found.values["line"] == f"{NAME}. {TTL} IN TLSA {of(RSA).in_full}"


def test_where_mail_still_comes_in_is_named_and_only_there() -> None:
    def others(records: Published, handshakes: tuple[Handshake, ...]) -> str:
        found = verdict(records, handshakes).findings[0]
        text, _ = sentences(found, ENGLISH, timezone.utc)
        return text.partition(" Over ")[2]

    second = "2001:db8::1"
    assert others(dns(of(OLD)), (*shown(OLD), *shown(RSA, address=second))) == (
        "192.0.2.1 their mail comes in."
    )
    assert others(dns(of(OLD)), (*shown(OLD), *mute(NO_STARTTLS, second))) == (
        "192.0.2.1 their mail comes in."
    )
    assert others(dns(of(OLD)), shown(OLD, RSA, OLD)) == "192.0.2.1 (ECDSA) their mail comes in."
    assert others(dns(OTHER), (*shown(OLD), *shown(RSA, address=second))) == ""
    assert others(dns(of(OLD)), (*shown(OLD), *mute(UNREACHABLE, second))) == ""
    assert others(dns(of(OLD), of(NEW, 3, 1, 2)), shown(OLD)) == ""


def test_the_record_that_hides_another_is_named() -> None:
    (found,) = verdict(dns(of(OLD), of(NEW, 3, 1, 2)), shown(OLD)).findings

    assert found.values["other"] == of(NEW, 3, 1, 2).in_full


# ---- what is planned ------------------------------------------------------------------------


def following(*records: Tlsa, first: int = NOW, chain: Chain = NEW) -> list[str]:
    history = {each.in_full: RecordHistory(first) for each in records}
    found = verdict(dns(*records), shown(OLD), files(OLD), next_chain=chain, history=history)
    return causes(found)


def test_the_record_of_the_next_key_must_be_known_everywhere_before_the_change() -> None:
    assert following(of(OLD)) == ["next_no_match"]
    assert following(of(OLD), of(NEW)) == ["next_too_early"]
    assert following(of(OLD), of(NEW), first=NOW - TTL + 1) == ["next_too_early"]
    assert following(of(OLD), of(NEW), first=NOW - TTL) == []


def test_a_key_that_is_kept_needs_no_other_record() -> None:
    renewed = chain_of(OLD.leaf._replace(der=b"renewed"))

    assert following(of(OLD), chain=renewed) == []


def test_nothing_is_claimed_of_a_next_key_that_nobody_named() -> None:
    assert causes(verdict(dns(of(OLD)), shown(OLD), files(OLD))) == []


def test_only_history_tells_what_is_left_over_from_what_is_announced() -> None:
    history = {of(RSA).in_full: RecordHistory(1, NOW - DAY), of(NEW).in_full: RecordHistory(1)}
    found = verdict(dns(of(OLD), of(RSA), of(NEW)), shown(OLD), history=history)

    assert {each.cause: each.values["record"] for each in found.findings} == {
        "left_over": str(of(RSA)),
        "announced": str(of(NEW)),
    }


# ---- dates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "life", "expected"),
    [(15, 90, []), (13, 90, ["ends_soon"]), (12, 45, []), (2, 6, []), (1, 6, ["ends_soon"])],
)
def test_a_certificate_ends_soon_in_proportion_to_its_life(
    days: int, life: int, expected: list[str]
) -> None:
    own = certificate("x", days=days)
    chain = chain_of(own._replace(begins=own.ends - life * DAY))

    assert causes(verdict(dns(of(chain)), shown(chain))) == expected


def test_how_many_records_match_and_until_when_the_certificate_is_valid() -> None:
    found = verdict(dns(of(OLD), issuer(), OTHER), shown(OLD))

    assert (found.matches, found.ends) == (2, OLD.leaf.ends)
    assert sorted(found.matching) == sorted([of(OLD).in_full, issuer().in_full])


def test_where_nobody_answers_the_files_tell_the_date_and_nothing_tells_matches() -> None:
    found = verdict(dns(of(OLD)), mute(UNREACHABLE), files(OLD))

    assert (found.matches, found.ends) == (None, OLD.leaf.ends)
    assert verdict(dns(of(OLD)), mute(NO_STARTTLS)).matches == 0
