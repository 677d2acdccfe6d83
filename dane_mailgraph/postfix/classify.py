"""What each line of Postfix's clients counts as, the lines before it remembered."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from .. import postfix_warnings
from ..categories import BY_KEY, CATEGORIES, Category
from ..peers import Relay, Relays
from . import delivery, handshake
from .delivery import Delivery
from .sessions import PLAINTEXT, UNKNOWN, Service, Session, Sessions

KEPT = 4000
"""Texts and relays of which the meaning is remembered: a busy server says the same things again and again."""

_PLACES = {each: place for place, each in enumerate(CATEGORIES)}

_AUTHENTICATED, _ENCRYPTED = BY_KEY["deliveries.verified"], BY_KEY["deliveries.encrypted"]


class Kind:
    """What all lines have in common that add as much to the same categories: compared by identity, which is fast."""

    __slots__ = ("places", "times")

    def __init__(self, places: tuple[int, ...], times: int) -> None:
        self.places, self.times = places, times


_kind = lru_cache(Kind)


class Meaning:
    """What a line counts as. Compared by identity: there is one for all lines that say the same of one relay."""

    __slots__ = ("alarm", "key_exchange", "kind", "note", "places", "protocol", "relay", "times")

    def __init__(
        self,
        places: tuple[int, ...],
        relay: str,
        note: str,
        times: int = 1,
        protocol: str = "",
        key_exchange: str = "",
    ) -> None:
        self.places = places
        """Positions in `CATEGORIES`; empty for what counts nowhere."""
        self.kind = _kind(places, times)
        self.relay = relay
        """The relay's name, or `@` and a domain; empty for what is about none."""
        self.note = note
        """For a person: what it is, or why it counts nowhere."""
        self.times = times
        """How often the line stands for itself: more than 1 where syslog has folded repeats."""
        self.protocol, self.key_exchange = protocol, key_exchange
        """Of a session."""
        self.alarm = ""
        """Name of the warning that it is, of those in `alarms`."""


class _Peer:
    """A relay as delivery lines name it, and what they count as."""

    __slots__ = ("address", "local", "name", "sent")

    def __init__(self, name: str, address: str, local: Meaning | None) -> None:
        self.name, self.address, self.local = name, address, local
        self.sent: dict[str, Meaning] = {}
        """By the data source of the category."""


class Meanings:
    """Reads the texts of clients, in the order of the log."""

    def __init__(self, ignored: Relays, sessions: Sessions) -> None:
        self._ignored, self.sessions = ignored, sessions
        self.summaries: dict[bytes, tuple[Meaning, Session]] = {}
        """The TLS summary lines met lately: what they count as, and what the process holds from then on."""
        self._peers: dict[bytes, _Peer] = {}
        self.local: set[bytes] = set()
        """The relays met lately that are counted nowhere."""
        self._others: dict[tuple[str, str, int, tuple[int, ...]], Meaning] = {}
        for session in sessions.each_held():
            self._over(session)
        self.illegible = 0
        """Lines about a recipient that cannot be read for sure: they count nowhere, or as unknown."""

    def of(self, service: Service, process: bytes, said: Sequence[bytes], at: int) -> Meaning:
        """The meaning of what a process has written at this time: the groups of `delivery.TEXT`."""
        queue, relay, spent, tls, text = said
        if queue:
            return self.sent(service, process, queue, relay, spent, tls, at)
        summary = self.summaries.get(text)
        if summary is not None:
            self.sessions.opened(service, process, summary[1], at)
            return summary[0]
        return self.other(service, process, text, at)

    def sent(
        self,
        service: Service,
        process: bytes,
        queue: bytes,
        relay: bytes,
        spent: bytes,
        tls: bytes,
        at: int,
    ) -> Meaning:
        """The meaning of a usual line of a mail that was sent."""
        if delivery.damaged(relay, spent):
            return self._illegible(service, process, queue, _GARBLED)
        relay, uses = delivery.uses(relay)
        service.quotes |= bool(tls)  # Postfix 3.11
        session = self.sessions.over(service, process, queue, relay, uses, at, spent)
        peer = self._peers.get(relay) or self._peer(relay)
        return peer.local or self._sent(peer, service, session, tls, at, spent)

    def other(self, service: Service, process: bytes, text: bytes, at: int) -> Meaning:
        """The meaning of any other text that is none of `summaries`."""
        if len(text) < delivery.CUT and (refused := delivery.refused(text)):
            queue, relay, spent = refused
            relay, uses = delivery.uses(relay)
            self.sessions.over(service, process, queue, relay, uses, at, spent)
            peer = self._peers.get(relay) or self._peer(relay)
            return peer.local or self._nothing(_REFUSED)
        times, said = handshake.unwrapped(text.rstrip(b"\r"))  # of a log that came by Windows
        if session := handshake.session(said):
            meaning, held = self._summary(text, times, session)
            self.sessions.opened(service, process, held, at)
            return meaning
        if verb := handshake.vague(said):
            self.sessions.opened(service, process, Session(b"", UNKNOWN, verb == b"reused"), at)
            return self._nothing(_why_not(said))
        if queued := delivery.queued(said):
            meaning = self._about(service, process, *queued, said, at)
            if times == 1 or not meaning.places:
                return meaning
            return self._other(
                meaning.relay, f"{meaning.note}, counted {times} times", times, meaning.places
            )
        if warning := postfix_warnings.warned(said):
            meaning = self._other("", f"a warning, kept as an alarm: {warning.meaning}", times, ())
            meaning.alarm = warning.name
            return meaning
        return self._nothing(_why_not(said))

    # ---- sessions ----

    def _summary(self, text: bytes, times: int, said: handshake.Session) -> tuple[Meaning, Session]:
        session = Session(
            said.peer, _AUTHENTICATED if said.label == "Verified" else _ENCRYPTED, said.reused
        )
        self._over(session)
        if said.relay in self._ignored:
            meaning = self._nothing(_local(said.relay))
        else:
            places = tuple(_PLACES[each] for each in handshake.counted(said))
            note = f"{said.label} TLS to {said.relay.address}" + (
                f", counted {times} times" if times > 1 else ""
            )
            meaning = Meaning(
                places, said.relay.name, note, times, said.protocol, said.key_exchange
            )
        if len(self.summaries) >= KEPT:
            self.summaries.clear()
        self.summaries[text] = meaning, session
        return meaning, session

    def _over(self, session: Session) -> None:
        if not session.reused:
            session.meanings[b""] = self._to(self._peer(session.peer), session.sent_as)

    # ---- recipients ----

    def _about(
        self, service: Service, process: bytes, queue: bytes, recipient: bool, said: bytes, at: int
    ) -> Meaning:
        """The meaning of a text that begins with a queue id."""
        if not recipient:
            if delivery.breaks(said):
                self.sessions.broken(service, process)
                return self._nothing(
                    "a session that broke: what the process sends now is over a new connection"
                )
            return self._nothing("about one message, not about a connection or a recipient")
        readings = delivery.read(said)
        if readings and (service.quotes or (len(readings) == 1 and len(said) < delivery.CUT)):
            return self._delivered(service, process, readings[0], at)
        if not readings:
            return self._illegible(service, process, queue, _GARBLED)
        note = "it can be read in two ways, because of what its address or reply holds"
        if any(
            each.status != b"sent" or self._peer(each.relay).local is not None for each in readings
        ):
            return self._illegible(service, process, queue, note)
        said_so = {delivery.protected(each.tls) for each in readings}
        counted = said_so.pop() if len(said_so) == 1 and len(said) < delivery.CUT else None
        return self._illegible(service, process, queue, note, (_PLACES[counted or UNKNOWN],))

    def _illegible(
        self,
        service: Service,
        process: bytes,
        queue: bytes,
        note: str,
        places: tuple[int, ...] = (),
    ) -> Meaning:
        self.illegible += 1
        self.sessions.unreadable(service, process, queue)
        return self._other("", note, 1, places)

    def _delivered(self, service: Service, process: bytes, said: Delivery, at: int) -> Meaning:
        session = self.sessions.over(
            service, process, said.queue, said.relay, said.uses, at, said.spent
        )
        peer = self._peers.get(said.relay) or self._peer(said.relay)
        if peer.local is not None:
            return peer.local
        if said.status == b"sent":
            return self._sent(peer, service, session, said.tls, at, said.spent)
        if said.status in delivery.FAILED:
            return self._failed(peer, said)
        return self._nothing("the probe of an address, not a delivery")

    def _sent(
        self,
        peer: _Peer,
        service: Service,
        session: Session | None,
        tls: bytes,
        at: int,
        spent: bytes | None,
    ) -> Meaning:
        counted = delivery.protected(tls) if tls else None
        if session is not None:
            meaning = self._to(peer, counted or session.sent_as)
            if counted and not session.reused:
                session.meanings[tls] = meaning
            return meaning
        if counted is None:
            counted = self.sessions.without(service, at, spent)
            if counted is PLAINTEXT and tls and delivery.demanded(tls):
                counted = UNKNOWN
        return self._to(peer, counted)

    def _to(self, peer: _Peer, counted: Category) -> Meaning:
        if peer.local is not None:
            return peer.local
        meaning = peer.sent.get(counted.data_source)
        if meaning is None:
            note = f"sent to {peer.address}: {counted.meaning}"
            meaning = peer.sent[counted.data_source] = Meaning((_PLACES[counted],), peer.name, note)
        return meaning

    def _failed(self, peer: _Peer, said: Delivery) -> Meaning:
        counted = delivery.failure(said.reason)
        if counted is None:
            return self._nothing(_REFUSED)
        name = peer.name or delivery.sought(said.reason)
        if not name and said.domain:
            name = f"@{said.domain}"
        return self._other(name, f"failed: {counted.meaning}", 1, (_PLACES[counted],))

    def _peer(self, text: bytes) -> _Peer:
        relay = Relay.of(text)
        if relay is None:
            peer = _Peer("", "no server", None)
        else:
            local = self._nothing(_local(relay)) if relay in self._ignored else None
            peer = _Peer(relay.name, relay.address, local)
        if len(self._peers) >= KEPT:
            self._peers.clear()
            self.local.clear()
        self._peers[text] = peer
        if peer.local is not None:
            self.local.add(text)
        return peer

    # ---- the rest ----

    def _nothing(self, note: str) -> Meaning:
        return self._other("", note, 1, ())

    def _other(self, relay: str, note: str, times: int, places: tuple[int, ...]) -> Meaning:
        key = relay, note, times, places
        if key not in self._others:
            if len(self._others) >= KEPT:
                self._others.clear()
            self._others[key] = Meaning(places, relay, note, times)
        return self._others[key]


def _local(relay: Relay) -> str:
    return f"{relay.name} is a local relay (setting ignore_relays)"


_GARBLED = "about a recipient, but cut off or garbled before its status"

_REFUSED = "a recipient not delivered to, and not for a TLS or DANE reason"

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
    """Why a client's text counts nowhere, in words for an operator."""
    for begins, note in _NOTES:
        if text.startswith(begins):
            return note
    if b"TLS connection " in text:
        return "it quotes a TLS summary but does not begin with one"
    return "not the summary line of a TLS session, nor about a recipient"
