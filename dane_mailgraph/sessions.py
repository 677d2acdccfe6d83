"""Which process holds which TLS session: turns deliveries into protected and plaintext ones.

A process of Postfix's client serves one delivery request at a time. While it does it may connect to several servers,
one after the other; every TLS handshake and every use of a kept TLS connection has a line of its own before the lines
of the recipients. So what a delivery line finds held by its process, to its relay, of its request, it went over; and
where nothing is held it went in the clear, if a handshake would have been logged and seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .counted import BY_KEY, Counted

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

    __slots__ = ("meaning", "peer", "reused", "sent_as")

    def __init__(self, peer: bytes, sent_as: Counted, reused: bool) -> None:
        self.peer = peer
        """The relay, as delivery lines name it."""
        self.sent_as = sent_as
        """What a delivery over it counts as."""
        self.reused = reused
        """The connection was kept open since an earlier request."""
        self.meaning: Any = None
        """The same, as whoever reads the lines has put it down here."""


Held = tuple[Session, int, bytes]
"""A session in the hands of a process, when it announced it, and the queue id of the request that it is for, if known."""


class _Service:
    """What is known of one service of one host: it logs its handshakes."""

    __slots__ = ("silent",)

    def __init__(self) -> None:
        self.silent = 0
        """Deliveries without a session since the last TLS line."""


class Sessions:
    """What is held by whom, as far as a log has been read.

    A process is named by its host, tag and process id, a service by host and tag.
    """

    def __init__(self) -> None:
        self.known: int | None = None
        """From when on nothing of the log is missing; None before all."""
        self._fresh: tuple[bytes, ...] = ()
        """What the services begin with that were started in the log: nothing is missing of these."""
        self.waiting = False
        """No client has written a line yet, so that a start of Postfix is of interest."""
        self.held: dict[bytes, Held] = {}
        """Process -> the last session it announced."""
        self.spoke: set[bytes] = set()
        """The services that have logged a handshake since they were last asked for."""
        self._services: dict[bytes, _Service] = {}
        self._tell: set[bytes] = set()
        """The services that write conn_use where a connection is used again, as every Postfix does."""
        self._most = _HELD

    def begin(self, at: int) -> None:
        """What was logged before this time is not known."""
        self.known, self._fresh, self.waiting = at, (), True

    def started(self, names: Iterable[bytes], *, alone: bool) -> None:
        """Services that begin so have been started: `HOST NAME/`. `alone`: no client has written a line yet."""
        self._fresh += tuple(names)
        self.waiting = alone

    def opened(self, process: bytes, service: bytes, session: Session, at: int) -> None:
        """A process announces a session that it has made, or uses again."""
        self.held[process] = session, at, b""
        self.spoke.add(service)

    def broken(self, process: bytes) -> None:
        """A process says that its session has ended and that it tries once more."""
        self.held.pop(process, None)

    def unreadable(self, process: bytes, queue: bytes) -> None:
        """A line about a recipient cannot be read: what is held is of this request, if it is of any."""
        session, at, known = self.held.get(process, (None, 0, b""))
        if session is not None and not known:
            self.held[process] = session, at, queue

    def peer(self, process: bytes) -> bytes:
        """The relay to which a process holds a session; nothing where it holds none."""
        return self.held[process][0].peer if process in self.held else b""

    def over(
        self, process: bytes, service: bytes, queue: bytes, peer: bytes, uses: int, at: int, spent: bytes | None
    ) -> Session | None:
        """The session that a delivery went over; None where it went over none that is known of.

        Told of every line about a recipient, however the delivery went: it ends what is held of other requests. `spent`
        are its delays.
        """
        if uses > 1 and service not in self._tell:
            if len(self._tell) >= _SERVICES:
                self._tell.clear()
            self._tell.add(service)
        held = self.held.get(process)
        if held is None:
            return None
        session, opened, known = held
        if session.peer == peer and (uses == 1 or session.reused):
            age = at - opened
            # A request is told by its queue id. Its next attempt has the same one, but begins later.
            fits = 0 <= age <= SLACK if not known else False
            if not fits and known in (b"", queue):
                fits = -SLACK <= age <= min(_seconds(spent), LONGEST) + SLACK
            # Else the connection was dead, and the one made in its place needed no handshake.
            fits &= uses > 1 or not session.reused or service not in self._tell
            if fits:
                self.held[process] = session, opened, queue
                return session
            if age < -SLACK:  # the clock was set back, and until it has caught up no time tells anything
                self._forget(opened)
        del self.held[process]
        return None

    def without(self, service: bytes, at: int, spent: bytes | None) -> Counted:
        """What a delivery counts as that went over no session that is known of."""
        found = self._known(service, at)
        if found is None:
            return UNKNOWN
        found.silent += 1
        took = ROUNDED * _seconds(spent)
        # A handshake in the second of the first line that is known may have been logged before it.
        begun = self.known is not None and at - took >= self.known + 1
        seen = took <= LONGEST and (begun or service.startswith(self._fresh))
        return PLAINTEXT if seen and found.silent <= SILENT else UNKNOWN

    def _known(self, service: bytes, at: int) -> _Service | None:
        """What is known of a service; None where none has ever logged a handshake."""
        self._listen()
        if self._services and service not in self._services:
            self._services[service] = _Service()
            self._services[service].silent = SILENT - NEW
        while len(self._services) > _SERVICES:
            del self._services[next(iter(self._services))]
            self._forget(at)
        return self._services.get(service)

    def _listen(self) -> None:
        """Put down who has spoken."""
        for each in self.spoke:
            self._services.setdefault(each, _Service()).silent = 0
        self.spoke.clear()

    def _forget(self, now: int) -> None:
        """Something is dropped that may still matter."""
        self.begin(now if self.known is None else max(now, self.known))

    def clear(self, now: int) -> None:
        """Forget the sessions that are too old to matter, where there are many; where there are very many, all of them."""
        if len(self.held) <= self._most:
            return
        for process in [process for process, held in self.held.items() if held[1] < now - LONGEST - SLACK]:
            del self.held[process]
        if len(self.held) > 2 * _HELD:
            self.held.clear()
            self._forget(now)
        self._most = len(self.held) + _HELD

    # ---- between two runs ----

    def saved(self, now: int) -> Any:
        """All that still matters at the time of the newest line, as what JSON can say."""
        self._most = 0
        self.clear(now)
        self._listen()
        held = [
            (process.decode("latin-1"), one.peer.decode("latin-1"), one.sent_as.key, one.reused, at, queue.decode())
            for process, (one, at, queue) in self.held.items()
        ]
        services = [(name.decode("latin-1"), each.silent) for name, each in self._services.items()]
        fresh = [each.decode("latin-1") for each in self._fresh]
        tell = sorted(each.decode("latin-1") for each in self._tell)
        known = {"known": self.known, "fresh": fresh, "waiting": self.waiting}
        return known | {"held": held, "services": services, "tell": tell}

    @classmethod
    def restored(cls, saved: Any) -> Sessions:
        """What was saved; an empty one for None."""
        made = cls()
        if saved:
            made.known, made.waiting = saved["known"], saved["waiting"]
            made._fresh = tuple(each.encode("latin-1") for each in saved["fresh"])
            for process, peer, sent_as, reused, at, queue in saved["held"]:
                session = Session(peer.encode("latin-1"), BY_KEY[sent_as], reused)
                made.held[process.encode("latin-1")] = session, at, queue.encode()
            for name, silent in saved["services"]:
                service = made._services[name.encode("latin-1")] = _Service()
                service.silent = silent
            made._tell = {each.encode("latin-1") for each in saved["tell"]}
        return made


def _seconds(spent: bytes | None) -> float:
    """How long a request has taken, of `A/B/C/D`: C and D; before Postfix 2.3 nobody knows it."""
    ours = (spent or b"").split(b"/")[2:]
    try:
        return sum(map(float, ours)) if ours else math.inf
    except ValueError:  # `1.2.3`, which is none of Postfix's
        return math.inf
