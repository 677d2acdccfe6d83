"""What each line of Postfix's clients counts as, with the lines before it in mind."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from .. import postfix_warnings
from ..categories import BY_KEY, CATEGORIES, HAS_TLS_FIELD, Category
from ..peers import Peer, PeerSet
from ..relay_events import DOWNGRADE, MEANINGS, MISMATCH, TLSRPT
from ..times import HOUR
from . import delivery, handshake
from .delivery import Delivery
from .lines import ClientLine, Fields
from .outcome import Outcome
from .sessions import PLAINTEXT, UNKNOWN, Service, Session, Sessions

REMEMBERED = 4000
"""Texts and relays whose outcomes are remembered: a busy server repeats itself."""

HANDSHAKE, LOCAL = BY_KEY["failures.handshake"], BY_KEY["failures.local"]

_INDEXES = {category: index for index, category in enumerate(CATEGORIES)}

_OF_LABEL = delivery.UNAUTHENTICATED | {"Verified": BY_KEY["deliveries.verified"]}


class _RelayOutcomes:
    """A relay as delivery lines name it, and what deliveries to it count as."""

    __slots__ = ("address", "by_category", "ignored", "name")

    def __init__(self, name: str, address: str, ignored: Outcome | None) -> None:
        self.name, self.address = name, address
        self.ignored = ignored
        """What all its lines count as, if it is one of the ignored relays: nothing."""
        self.by_category: dict[tuple[Category, bool], Outcome] = {}
        """Category, and whether the handshake failed before."""


class Classifier:
    """Says what the lines of clients count as, line by line in the order of the log."""

    def __init__(self, ignored: PeerSet, sessions: Sessions) -> None:
        self._ignored, self.sessions = ignored, sessions
        self._summaries: dict[bytes, tuple[Outcome, Session]] = {}
        self._relays: dict[bytes, _RelayOutcomes] = {}
        self._ignored_outcomes: dict[bytes, Outcome] = {}
        self._refused = Outcome((), "", _REFUSED)
        self._outcomes: dict[tuple[str, str, int, tuple[int, ...]], Outcome] = {}
        self._events: dict[tuple[bytes, str, str, str], Outcome] = {}
        self.made = 0
        """Outcomes that were made: one for each thing that a line may say of a relay."""
        self.noted: Counter[tuple[int, str]] = Counter()
        """Hour and name -> how often; 1 for the names in `categories.VISIBILITY`, however often.

        `illegible` are cut summaries, and lines about a recipient with no certain reading: counted
        as unknown or not.
        """

    def service(self, name: bytes) -> Service:
        """Return the service of this name: host and tag."""
        return self.sessions.service(name)

    def outcome(self, service: Service, fields: Fields, at: int) -> Outcome:
        """Return the same as `outcome_in_full`, and sooner for the usual line.

        Nearly all lines are of three kinds: a summary line that was read before, a delivery over
        the session that was just announced, and a delivery to an ignored relay.
        """
        _, _, pid, queue_id, relay, _, tls, status, text = fields
        if not queue_id:
            remembered = self._summaries.get(text)
            if remembered is not None:
                outcome, session = remembered
                service.open(pid, session, at)
                return outcome
            return self._of_text(service, pid, text, at)
        if tls:
            self.noted[at - at % HOUR, HAS_TLS_FIELD] = 1
        if tls and not service.quotes_addresses:
            pass  # the first field `tls` of a service
        elif relay in self._ignored_outcomes:
            if service.close_unless(pid, relay):
                return self._ignored_outcomes[relay]
        elif (over := service.usual_session(pid, queue_id, relay, at)) is not None:
            if status != b"sent":
                return self._refused
            return over.outcomes.get(tls) or self._sent_over(over, self._relay(relay), tls)
        return self.outcome_in_full(service, ClientLine._make(fields), at)

    def outcome_in_full(self, service: Service, line: ClientLine, at: int) -> Outcome:
        """Return what a line counts as that a process of this service wrote at this second."""
        if not line.queue_id:
            return self._of_text(service, line.pid, line.text, at)
        said = delivery.usual_delivery(
            line.queue_id, line.relay, line.delays, line.tls, line.status
        )
        if said is None:
            return self._illegible(service, line.pid, line.queue_id, at, _GARBLED)
        if said.tls:
            service.note_tls_field()
        return self._of_delivery(service, line.pid, said, at)

    def _of_text(self, service: Service, pid: bytes, text: bytes, at: int) -> Outcome:
        times, said = handshake.unwrap(text.rstrip(b"\r"))  # \r: the log came by Windows
        if summary := handshake.summary(said):
            outcome, session = self._of_summary(text, times, summary)
            service.open(pid, session, at)
            return outcome
        if verb := handshake.summary_verb(said):
            service.open(pid, Session(b"", UNKNOWN, verb == b"reused"), at)
        if handshake.begins_as_summary(said):
            self.noted[at - at % HOUR, "illegible"] += times
            return self._nothing("a TLS summary that is cut off, or of an unknown protocol")
        if verb:
            return self._nothing(_why_not(said))
        if begins := delivery.queue_id(said):
            queue_id, has_recipient = begins
            of_queue_id = self._of_recipient if has_recipient else self._of_message
            outcome = of_queue_id(service, pid, queue_id, said, at)
            if times == 1 or not outcome.indexes:
                return outcome
            note = f"{outcome.note}, counted {times} times"
            return self._outcome(outcome.relay, note, times, outcome.indexes)
        if failure := delivery.tlsrpt_failure(said):
            return self._event(failure.relay, TLSRPT, f"@{failure.domain}", failure.detail)
        if warning := postfix_warnings.warning_in(said):
            if warning.name == postfix_warnings.TLSPROXY:
                service.note_no_tlsproxy(pid, at)
            note = f"a warning, counted as such: {warning.meaning}"
            return self._outcome("", note, times, (), warning.name)
        return self._nothing(_why_not(said))

    # ---- sessions ----

    def _of_summary(
        self, text: bytes, times: int, summary: handshake.Summary
    ) -> tuple[Outcome, Session]:
        session = Session(summary.relay, _OF_LABEL[summary.label], summary.reused)
        relay = self._relay(summary.relay)
        if relay.ignored is not None:
            outcome = relay.ignored
        else:
            indexes = _indexes_of(
                summary.label, summary.reused, summary.protocol, summary.key_exchange
            )
            note = f"{summary.label} TLS to {relay.address}"
            if times > 1:
                note += f", counted {times} times"
            outcome = self._made(Outcome(indexes, relay.name, note, times, summary))
        if len(self._summaries) >= REMEMBERED:
            self._summaries.clear()
        self._summaries[text] = outcome, session
        return outcome, session

    # ---- what happens with relays ----

    def _event(self, text: bytes, event: str, name: str = "", detail: str = "") -> Outcome:
        """Return that something happened with a relay, as a line names it, or else with `name`."""
        relay = self._relay(text)
        if relay.ignored is not None:
            return relay.ignored
        if not relay.name and not name:
            return self._nothing(f"about a message and an unknown relay: {MEANINGS[event]}")
        key = text, event, name, detail
        outcome = self._events.get(key)
        if outcome is None:
            note = f"counts nowhere, and is kept of the relay: {MEANINGS[event]}"
            outcome = self._made(
                Outcome.with_event(event, Outcome((), relay.name or name, note), detail)
            )
            if len(self._events) >= REMEMBERED:
                self._events.clear()
            self._events[key] = outcome
        return outcome

    # ---- messages and recipients ----

    def _of_message(
        self, service: Service, pid: bytes, queue_id: bytes, text: bytes, at: int
    ) -> Outcome:
        if delivery.refuses_certificate(text):
            return self._event(service.relay_of(pid), MISMATCH)
        if delivery.handshake_failed(text):
            service.note_failed_handshake(pid, queue_id)
        if not delivery.ends_session(text):
            return self._nothing("about one message, not about a connection or a recipient")
        service.close(pid)
        return self._nothing(
            "a session that broke: what the process sends now is over a new connection"
        )

    def _of_recipient(
        self, service: Service, pid: bytes, queue_id: bytes, text: bytes, at: int
    ) -> Outcome:
        readings = delivery.readings(text)
        if not readings:
            return self._illegible(service, pid, queue_id, at, _GARBLED)
        # Where Postfix cuts a line, another way to read it may have been cut off.
        whole = len(text) < delivery.CUT
        if service.quotes_addresses or (len(readings) == 1 and whole):
            return self._of_delivery(service, pid, readings[0], at)
        indexes: tuple[int, ...] = ()
        if all(each.status == b"sent" and not self._relay(each.relay).ignored for each in readings):
            categories = {delivery.category_by_tls(each.tls) for each in readings}
            category = categories.pop() if len(categories) == 1 and whole else None
            indexes = (_INDEXES[category or UNKNOWN],)
        return self._illegible(service, pid, queue_id, at, _AMBIGUOUS, indexes)

    def _illegible(
        self,
        service: Service,
        pid: bytes,
        queue_id: bytes,
        at: int,
        note: str,
        indexes: tuple[int, ...] = (),
    ) -> Outcome:
        self.noted[at - at % HOUR, "illegible"] += 1
        service.claim(pid, queue_id)
        return self._outcome("", note, 1, indexes)

    def _of_delivery(self, service: Service, pid: bytes, said: Delivery, at: int) -> Outcome:
        session = self.sessions.session_of_delivery(service, pid, said, at)
        relay = self._relay(said.relay)
        if relay.ignored is not None:
            return relay.ignored
        if said.status == b"sent":
            if session is None:
                category = self._category_without_session(service, said, at)
                failed = service.failed_by_pid.pop(pid, None) == said.queue_id
                return self._sent(relay, category, downgraded=failed and category is PLAINTEXT)
            return self._sent_over(session, relay, said.tls)
        if said.status in delivery.FAILED:
            local = service.lacks_tlsproxy(pid, said.delays, at)
            return self._failed(relay, said, without_tlsproxy=local)
        return self._nothing("the probe of an address, not a delivery")

    def _category_without_session(self, service: Service, said: Delivery, at: int) -> Category:
        category = delivery.category_by_tls(said.tls)
        if category is None:
            category = self.sessions.outcome_without_session(service, at, said.delays)
            if category is PLAINTEXT and delivery.demands_tls(said.tls):
                return UNKNOWN
        return category

    def _sent_over(self, session: Session, relay: _RelayOutcomes, tls: bytes) -> Outcome:
        if relay.ignored is not None:
            return relay.ignored
        category = delivery.category_by_tls(tls, session.category) or session.category
        outcome = session.outcomes[tls] = self._sent(relay, category)
        return outcome

    def _sent(
        self, relay: _RelayOutcomes, category: Category, *, downgraded: bool = False
    ) -> Outcome:
        outcome = relay.by_category.get((category, downgraded))
        if outcome is None:
            note = f"sent to {relay.address}: {category.meaning}"
            outcome = self._made(Outcome((_INDEXES[category],), relay.name, note))
            if downgraded:
                outcome = Outcome.with_event(DOWNGRADE, outcome)
            relay.by_category[category, downgraded] = outcome
        return outcome

    def _failed(self, relay: _RelayOutcomes, said: Delivery, *, without_tlsproxy: bool) -> Outcome:
        category = delivery.failure_category(said.reason)
        if category is None:
            return self._refused
        if without_tlsproxy and category is HANDSHAKE:
            category = LOCAL
        name = relay.name or delivery.server_looked_up(said.reason)
        if not name and said.domain:
            name = f"@{said.domain}"
        return self._outcome(name, f"failed: {category.meaning}", 1, (_INDEXES[category],))

    def _relay(self, text: bytes) -> _RelayOutcomes:
        known = self._relays.get(text)
        if known is not None:
            return known
        relay = Peer.parse(text)
        if relay is None:
            known = _RelayOutcomes("", "no server", None)
        else:
            ignored = self._nothing(_ignored_note(relay)) if relay in self._ignored else None
            known = _RelayOutcomes(relay.name, relay.address, ignored)
        if len(self._relays) >= REMEMBERED:
            self._relays.clear()
            self._ignored_outcomes.clear()
        self._relays[text] = known
        if known.ignored is not None:
            self._ignored_outcomes[text] = known.ignored
        return known

    # ---- the rest ----

    def _nothing(self, note: str) -> Outcome:
        return self._outcome("", note, 1, ())

    def _outcome(
        self, relay: str, note: str, times: int, indexes: tuple[int, ...], warning: str = ""
    ) -> Outcome:
        key = relay, note, times, indexes
        if key not in self._outcomes:
            if len(self._outcomes) >= REMEMBERED:
                self._outcomes.clear()
            self._outcomes[key] = self._made(Outcome(indexes, relay, note, times, warning=warning))
        return self._outcomes[key]

    def _made(self, outcome: Outcome) -> Outcome:
        self.made += 1
        return outcome


@lru_cache(200)
def _indexes_of(label: str, reused: bool, protocol: str, key_exchange: str) -> tuple[int, ...]:
    """Return the positions of what a session counts as; each new relay has one of a few."""
    summary = handshake.Summary(label, reused, b"", protocol, key_exchange)
    return tuple(_INDEXES[each] for each in handshake.categories(summary))


def _ignored_note(relay: Peer) -> str:
    return f"{relay.name} is a local relay (setting ignore_relays)"


_REFUSED = "a recipient not delivered to, and not for a TLS or DANE reason"

_GARBLED = "about a recipient, but cut off or garbled before its status"

_AMBIGUOUS = "it can be read in two ways, because of what its address or reply holds"

_NOTES = (
    (
        b"TLS connection established to ",
        "Postfix before 2.5 names no trust level, so there is no category",
    ),
    (b"warning: ", "a warning, not the outcome of a handshake"),
    (b"error: ", "an error, not the outcome of a handshake"),
    (b"fatal: ", "an error, not the outcome of a handshake"),
    (b"panic: ", "an error, not the outcome of a handshake"),
    (b"SSL_connect error to ", "a handshake that failed, so there is no connection"),
)


def _why_not(text: bytes) -> str:
    """Return why a client's text counts nowhere, in words for an operator."""
    for begins, note in _NOTES:
        if text.startswith(begins):
            return note
    if b"TLS connection " in text:
        return "it quotes a TLS summary but does not begin with one"
    return "not the summary line of a TLS session, nor about a recipient"
