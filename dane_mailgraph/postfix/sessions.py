"""Which process holds which TLS session: turns deliveries into protected and plaintext ones.

A process of Postfix's client serves one delivery request at a time. While it does it may connect to several servers,
one after the other; every TLS handshake and every use of a kept TLS connection has a line of its own before the lines
of the recipients. So what a delivery line finds held by its process, to its relay, of its request, it went over; and
where nothing is held it went in the clear, if a handshake would have been logged and seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..categories import BY_KEY, Category

PLAINTEXT, UNKNOWN = BY_KEY["deliveries.plaintext"], BY_KEY["deliveries.unknown"]

ROUNDED = 1.05
"""Delays have two significant digits, so that they are at most 5 % too short (format_tv() in format_tv.c)."""

SLACK = 5
"""Seconds more than its delays say for which a session may have been there when a delivery is logged."""

LONGEST = 1800
"""Seconds. A request that took longer is not told, so that what is older need not be kept."""

SILENT = 200
"""Deliveries without any TLS line after which it is doubted that this service logs its handshakes (smtp_tls_loglevel)."""

NEW = 20
"""The same for a service of which no TLS line has been seen, where there is one of others; else it is doubted at once."""

_SERVICES = 200
"""Services of which something is known at a time: hosts and syslog names."""

_HELD = 10_000
"""Sessions more after which the old ones are cleared away."""


class Session:
    """A TLS session, as the line said that announced it."""

    __slots__ = ("meanings", "peer", "reused", "sent_as")

    def __init__(self, peer: bytes, sent_as: Category, reused: bool) -> None:
        self.peer = peer
        """The relay, as delivery lines name it; empty where the line does not tell."""
        self.sent_as = sent_as
        """What a delivery over it counts as."""
        self.reused = reused
        """The connection was kept open since an earlier request."""
        self.meanings: dict[bytes, Any] = {}
        """The same by the field `tls` that says so, as far as whoever reads the lines has put it down here."""


Held = tuple[Session, int, bytes]
"""A session in the hands of a process, when it announced it, and the queue id of the request that it is for, if known."""


class Service:
    """What is known of one service of one host, and what its processes hold."""

    __slots__ = ("held", "name", "quotes", "silent", "tells")

    def __init__(self, name: bytes) -> None:
        self.name = name
        """Its host and tag."""
        self.held: dict[bytes, Held] = {}
        """Process id -> the last session it announced."""
        self.silent: int | None = None
        """Deliveries without a session since the last TLS line; None where no TLS line of it has been seen."""
        self.quotes = False
        """It is known to quote addresses, so that nothing in them looks like a field."""
        self.tells = False
        """It writes conn_use where a connection is used again, as every Postfix does."""


class Sessions:
    """What is held by whom, as far as a log has been read."""

    def __init__(self) -> None:
        self.known: int | None = None
        """From when on nothing of the log is missing; None before all."""
        self._fresh: tuple[bytes, ...] = ()
        """What the services begin with that were started in the log: nothing is missing of these."""
        self._quoting: tuple[bytes, ...] = ()
        """What services begin with that are known to quote addresses."""
        self._services: dict[bytes, Service] = {}
        self.told = False
        """The syslog daemon writes into the log too, which would tell of lines that it has lost."""
        self._most = _HELD

    def begin(self, at: int) -> None:
        """What was logged before this time is not known, or not all of it."""
        self.known, self._fresh = at, ()
        for service in self._services.values():
            service.held.clear()

    def started(self, name: bytes, *, quotes: bool) -> None:
        """Postfix has been started, whose services begin with `HOST NAME/`: what their processes held ended with them.

        `quotes` says whether it quotes addresses. A service with one more slash in its name may be of another Postfix, so
        that what it held may still be.
        """
        self._fresh = _with(self._fresh, name)
        self._quoting = _with(self._quoting, name)[: None if quotes else -1]
        for service in self._services.values():
            if service.name.startswith(name):
                service.quotes = quotes
                for process, (session, at, queue) in list(service.held.items()):
                    if b"/" in service.name[len(name) :]:
                        service.held[process] = (
                            Session(session.peer, UNKNOWN, session.reused),
                            at,
                            queue,
                        )
                    else:
                        del service.held[process]

    def service(self, name: bytes) -> Service:
        """The service of this name."""
        found = self._services.get(name)
        if found is None:
            found = self._services[name] = Service(name)
            found.quotes = name.startswith(self._quoting)
        return found

    def opened(self, service: Service, process: bytes, session: Session, at: int) -> None:
        """A process announces a session that it has made, or uses again."""
        service.held[process] = session, at, b""
        service.silent = 0

    def broken(self, service: Service, process: bytes) -> None:
        """A process says that its session has ended and that it tries once more."""
        service.held.pop(process, None)

    def unreadable(self, service: Service, process: bytes, queue: bytes) -> None:
        """A line about a recipient cannot be read: what is held is of this request, if it is of any."""
        session, at, known = service.held.get(process, (None, 0, b""))
        if session is not None and not known:
            service.held[process] = session, at, queue

    def over(
        self,
        service: Service,
        process: bytes,
        queue: bytes,
        peer: bytes,
        uses: int,
        at: int,
        spent: bytes | None,
    ) -> Session | None:
        """The session that a delivery went over; None where it went over none that is known of.

        Told of every line about a recipient, however the delivery went: it ends what is held of other requests. `spent`
        are its delays.
        """
        service.tells |= uses > 1
        held = service.held.get(process)
        if held is None:
            return None
        session, opened, known = held
        if session.peer in (peer, b"") and (uses == 1 or session.reused):
            age = at - opened
            # A request is told by its queue id. Its next attempt has the same one, but begins later.
            fits = 0 <= age <= SLACK if not known else False
            if not fits and known in (b"", queue):
                fits = -SLACK <= age <= min(_seconds(spent), LONGEST) + SLACK
            # Else the connection was dead, and the one made in its place needed no handshake.
            fits &= uses > 1 or not session.reused or not service.tells
            if fits:
                service.held[process] = session, opened, queue
                return session
            if (
                age < -SLACK
            ):  # the clock was set back, and until it has caught up no time tells anything
                self._forget(opened)
        service.held.pop(process, None)
        return None

    def without(self, service: Service, at: int, spent: bytes | None) -> Category:
        """What a delivery counts as that went over no session that is known of."""
        if service.silent is None:
            if all(each.silent is None for each in self._services.values()):
                return UNKNOWN
            service.silent = SILENT - NEW
        service.silent += 1
        took = ROUNDED * _seconds(spent)
        # A handshake in the second of the first line that is known may have been logged before it.
        begun = self.known is not None and at - took >= self.known + 1
        seen = took <= LONGEST and (begun or service.name.startswith(self._fresh))
        return PLAINTEXT if seen and service.silent <= SILENT else UNKNOWN

    def _forget(self, now: int) -> None:
        """Something is dropped that may still matter."""
        self.begin(now if self.known is None else max(now, self.known))

    def clear(self, now: int) -> None:
        """Forget the sessions that are too old to matter, where there are many; where there are very many, all of them.

        Forget services, the first ones met, where there are too many.
        """
        while len(self._services) > _SERVICES:
            del self._services[next(iter(self._services))]
            self._forget(now)
        if self._held() <= self._most:
            return
        for service in self._services.values():
            for process in [
                process for process, held in service.held.items() if held[1] < now - LONGEST - SLACK
            ]:
                del service.held[process]
        if self._held() > 2 * _HELD:
            self._forget(now)
        self._most = self._held() + _HELD

    def _held(self) -> int:
        return sum(len(service.held) for service in self._services.values())

    # ---- between two runs ----

    def saved(self, now: int) -> Any:
        """All that still matters at the time of the newest line, as what JSON can say."""
        self._most = 0
        self.clear(now)
        services = [
            {
                "name": service.name.decode("latin-1"),
                "silent": service.silent,
                "tells": service.tells,
                "quotes": service.quotes,
                "held": [
                    (
                        process.decode("latin-1"),
                        one.peer.decode("latin-1"),
                        one.sent_as.key,
                        one.reused,
                        at,
                        queue.decode(),
                    )
                    for process, (one, at, queue) in service.held.items()
                ],
            }
            for service in self._services.values()
        ]
        fresh, quoting = (
            [each.decode("latin-1") for each in names] for names in (self._fresh, self._quoting)
        )
        return {
            "known": self.known,
            "fresh": fresh,
            "quoting": quoting,
            "told": self.told,
            "services": services,
        }

    @classmethod
    def restored(cls, saved: Any) -> Sessions:
        """What was saved; an empty one for None."""
        made = cls()
        if saved:
            made.known, made.told = saved["known"], saved["told"]
            made._fresh = tuple(each.encode("latin-1") for each in saved["fresh"])
            made._quoting = tuple(each.encode("latin-1") for each in saved["quoting"])
            for said in saved["services"]:
                service = made.service(said["name"].encode("latin-1"))
                service.silent, service.tells, service.quotes = (
                    said["silent"],
                    said["tells"],
                    said["quotes"],
                )
                for process, peer, sent_as, reused, at, queue in said["held"]:
                    session = Session(peer.encode("latin-1"), BY_KEY[sent_as], reused)
                    service.held[process.encode("latin-1")] = session, at, queue.encode()
        return made

    def each_held(self) -> Iterator[Session]:
        """The sessions that are held."""
        for service in self._services.values():
            for session, _, _ in service.held.values():
                yield session


def _with(names: tuple[bytes, ...], name: bytes) -> tuple[bytes, ...]:
    """The names with this one last, and not too many."""
    return (*(each for each in names if each != name), name)[-_SERVICES:]


def _seconds(spent: bytes | None) -> float:
    """How long a request has taken, of `A/B/C/D`: C and D; before Postfix 2.3 nobody knows it."""
    ours = (spent or b"").split(b"/")[2:]
    try:
        return sum(map(float, ours)) if ours else math.inf
    except ValueError:  # `1.2.3`, which is none of Postfix's
        return math.inf
