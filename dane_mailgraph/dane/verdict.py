"""What senders with DANE make of our records and certificates, now and after a change.

The rules are those of Postfix's SMTP client at the level `dane`, RFC 7671 and RFC 7672.
`_Judge.add` notes a cause, a row of `causes.CAUSES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..levels import Level, worst
from ..times import DAY
from . import tlsa
from .causes import Finding
from .own_server import NO_HANDSHAKE, NO_STARTTLS, UNREACHABLE, Handshake, Server
from .tlsa import Chain, Tlsa


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
    """Return what senders with DANE make of one of our servers, at epoch second `now`."""
    return _Judge(server, now).verdict()


_ACME = (
    "Let's Encrypt",
    "ZeroSSL",
    "Google Trust Services",
    "Buypass",
    "SSL Corp",
    "Actalis",
)
"""Parts of the names of authorities whose certificates programs renew every few weeks."""

_SOON = 14 * DAY
"""A certificate should be renewed this many seconds before it ends."""

_QUARTERS = 4
"""A certificate valid for less than 56 days should be renewed before its last quarter begins."""


class _Judge:
    """Judges one server; the findings gather in `findings`."""

    def __init__(self, server: Server, now: int) -> None:
        self.server, self.published, self.now = server, server.published, now
        read = [(text, tlsa.parse(text)) for text in server.published.records]
        self.records = [each for _, each in read if each]
        self.effective = tlsa.strongest(self.records)
        """The records that count for every sender."""
        self.useless = [
            str(each) if each else text for text, each in read if not each or not each.is_usable
        ]
        self.chains = [each.chain for each in server.handshakes if each.chain]
        self.findings: list[Finding] = []

    def verdict(self) -> Verdict:
        """Return all that is found."""
        self.judge_records()
        self.judge_dates()
        matching = {
            each.in_full
            for each in self.effective
            if any(tlsa.matches(each, chain) for chain in self.chains)
        }
        is_known = self.published.code and any(
            each.trouble != UNREACHABLE for each in self.server.handshakes
        )
        return Verdict(
            tuple(sorted(self.findings, key=lambda each: -each.level.urgency)),
            len(matching) if is_known else None,
            min((each.leaf.ends for each in self.served), default=None),
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
        """Return the record to publish for a chain, as a line of a zone file."""
        if chain is None:
            return f"{self.published.name}. IN TLSA 3 1 1 ..."
        ttl = f"{self.published.ttl} " if self.published.ttl else ""
        return f"{self.published.name}. {ttl}IN TLSA {tlsa.record_of(chain.leaf).in_full}"

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
        elif not self.effective:
            line = self.line(self.served[0] if self.served else None)
            self.add("unusable", record="; ".join(self.useless), line=line)
        else:
            self.judge_answers()
            self.judge_files()
            self.judge_plans()
            self.judge_beside()

    def accepts(self, chain: Chain) -> bool:
        """Return whether every sender that does DANE accepts a chain."""
        return any(tlsa.matches(each, chain) for each in self.effective)

    def judge_answers(self) -> None:
        """Judge what each address serves to each type of sender."""
        others = self.accepted_places()
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
                said = {} if trouble == UNREACHABLE else {"others": others}
                self.add(cause, places=", ".join(places), words=words, **said)
        refused: dict[bytes, list[Handshake]] = {}
        for each in self.server.handshakes:
            if each.chain and not self.accepts(each.chain):
                refused.setdefault(each.chain.leaf.der, []).append(each)
        for handshakes in refused.values():
            self.judge_refused(handshakes, others)
        for each in self.server.handshakes:
            if each.chain and self.needs_domain(each.chain):
                words = ", ".join(each.chain.domains)
                self.add("domain_only", places=each.place, words=words)
                break

    def needs_domain(self, chain: Chain) -> bool:
        """Return whether a chain is accepted only where the recipient's domain is its name."""
        bare = chain._replace(domains=())
        return self.accepts(chain) and not self.accepts(bare)

    def accepted_places(self) -> str:
        """Name where senders that do DANE deliver."""
        shown = [each for each in self.server.handshakes if each.chain]
        accepted = [each for each in shown if each.chain and self.accepts(each.chain)]
        partly = {each.address for each in shown if each not in accepted}
        # Of an address that refuses some the type of key is named.
        return _places(each for each in accepted if each.keys or each.address not in partly)

    def judge_refused(self, handshakes: Sequence[Handshake], others: str) -> None:
        """Say where a chain is refused and why, where mail comes in, and what mends it."""
        chain = handshakes[0].chain
        assert chain is not None
        places = _places(handshakes)
        addresses = {each.address for each in handshakes}
        for service in self.server.services:
            if not addresses.intersection(service.addresses):
                continue
            is_current = chain.leaf.der in {each.leaf.der for each in service.chains}
            if not is_current and any(map(self.accepts, service.chains)):
                self.add("old_process", places=places, others=others, command=service.reload)
                return
            if any(map(self.accepts, service.renewed)):
                self.add("old_table", places=places, others=others, command=service.remake)
                return
        cause, record = self.cause_of_refusal(chain)
        values = {"record": str(record or ""), "places": places, "line": self.line(chain)}
        values["others"] = others if cause != "hidden" else ""
        if cause == "hidden" and record:
            hiding = [each for each in self.effective if each[:2] == record[:2] and each.matching]
            values["other"] = hiding[0].in_full
        self.add(cause, **values)

    def cause_of_refusal(self, chain: Chain) -> tuple[str, Tlsa | None]:
        """Return the cause for which no record accepts a chain, and the record nearest to it."""
        for each in self.records:
            if tlsa.matches(each, chain):
                return "hidden", each
        for each in self.effective:
            if each.usage == 2 and each == tlsa.record_of(chain.leaf, *each[:3]):
                return "anchor_at_leaf", each
        for each in self.effective:
            if each.usage == 2 and (
                each.data in chain.unsent_anchors
                or any(each == tlsa.record_of(one, *each[:3]) for one in chain.certificates[1:])
            ):
                if not chain.leaf.begins <= self.now <= chain.leaf.ends:
                    return "anchor_expired", each
                if not chain.names_server and not chain.domains:
                    return "anchor_name", each
                return "anchor_unproven", each
        nothing = [each for each in self.effective if each.is_of_empty_file]
        return ("nothing_hashed", nothing[0]) if nothing else ("no_match", None)

    def judge_files(self) -> None:
        """Judge what the next processes will serve."""
        known = {each.leaf.der for each in self.chains}
        for service in self.server.services:
            if service.troubles:
                self.add("files_unfit", words="; ".join(service.troubles), command=service.reload)
            if service.unread:
                self.add("files_unread", words="; ".join(service.unread))
            for chain in service.chains:
                if chain.leaf.der not in known and not self.accepts(chain):
                    known.add(chain.leaf.der)
                    self.add("file_no_match", file=chain.path, line=self.line(chain))
            for chain in service.renewed:
                if chain.leaf.der not in known and not self.accepts(chain):
                    known.add(chain.leaf.der)
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
            fitting = [each for each in self.effective if tlsa.matches(each, following)]
            ready = min((self.known_everywhere(each) for each in fitting), default=None)
            if ready is None:
                self.add("next_no_match", file=following.path, line=self.line(following))
            elif ready > self.now:
                self.add("next_too_early", file=following.path, time=ready)
        for chain in _unique(self.chains):
            fitting = [each for each in self.effective if tlsa.matches(each, chain)]
            is_short = any(name in chain.leaf.issuer for name in _ACME)
            if fitting and is_short and all(each[:2] == (3, 0) for each in fitting):
                self.add("whole_certificate", record=str(fitting[0]), line=self.line(chain))

    def known_everywhere(self, record: Tlsa) -> int:
        """Return when every cache has a record: it may keep the set before it for its TTL."""
        if any(tlsa.matches(record, chain) for chain in self.chains):
            return 0
        history = self.server.history.get(record.in_full)
        return (history.first_seen if history else self.now) + self.published.ttl

    def judge_beside(self) -> None:
        """Note the records that match nothing and do no harm."""
        if self.useless:
            self.add("set_aside", record="; ".join(self.useless))
        if not self.chains or any(each.level is Level.CRITICAL for each in self.findings):
            return
        chains = [*self.chains, *([self.server.next_chain] if self.server.next_chain else [])]
        for each in self.effective:
            if any(tlsa.matches(each, chain) for chain in chains):
                continue
            history = self.server.history.get(each.in_full)
            if each.is_of_empty_file:
                self.add("nothing_hashed_beside", record=str(each))
            elif history and history.last_matched is not None:
                self.add("left_over", record=str(each), time=history.last_matched)
            else:
                self.add("announced", record=str(each))

    # ---- dates ----

    def judge_dates(self) -> None:
        """Judge until when the certificates are valid."""
        if not self.served:
            return
        chain = min(self.served, key=lambda each: each.leaf.ends)
        left, life = chain.leaf.ends - self.now, chain.leaf.ends - chain.leaf.begins
        if left < 0:
            by_key = self.published.is_signed and any(
                each.usage == 3 and tlsa.matches(each, chain) for each in self.effective
            )
            self.add("expired_by_key" if by_key else "expired", time=chain.leaf.ends)
        elif left < min(_SOON, life // _QUARTERS):
            self.add("ends_soon", time=chain.leaf.ends)


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
        if each.leaf.der not in seen:
            seen.add(each.leaf.der)
            yield each
