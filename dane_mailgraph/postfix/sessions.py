"""Which process uses which TLS session: tells protected deliveries from plaintext ones.

A process of Postfix's client serves one delivery request at a time. For one request it may connect
to several servers, one after the other. Each TLS handshake, and each further use of a connection,
has a line of its own before the lines of the recipients. So a delivery went over the last session
that its process announced, if that one is to the same relay and of the same request. A delivery
without a session was plaintext, if a handshake would have been logged and read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..categories import BY_KEY, Category
from ..log import forms
from .delivery import Delivery
from .outcome import Outcome
from .reception import Servers

PLAINTEXT, UNKNOWN = BY_KEY["deliveries.plaintext"], BY_KEY["deliveries.unknown"]

DELAYS_ROUNDED = 1.05
"""Delays have two significant digits, so they are at most 5 % too short (`format_tv.c`)."""

SLACK = 5
"""Seconds by which a session may be older than the delays of its delivery say."""

LONGEST_REQUEST = 1800
"""Seconds. Requests that took longer count as unknown, so that older sessions can be forgotten."""

PLAINTEXT_IN_A_ROW = 200
"""After this many deliveries without a TLS line, assume that `smtp_tls_loglevel` is 0."""

_SERVICES = 200
"""Services that are remembered: so many pairs of a host and a syslog name."""

_SESSIONS = 10_000
"""So many more sessions than at the last look, and the old ones are forgotten."""


class Session:
    """A TLS session, as its summary line announces it."""

    __slots__ = ("category", "outcomes", "relay", "reused")

    def __init__(self, relay: bytes, category: Category, reused: bool) -> None:
        self.relay = relay
        """As delivery lines name it; empty where the line does not tell."""
        self.category = category
        """What a delivery over this session counts as, unless its field `tls` says more."""
        self.reused = reused
        """The connection is one that was kept open since an earlier request."""
        self.outcomes: dict[bytes, Outcome] = {}
        """Field `tls` -> what mail sent over this session counts as; filled by the classifier."""


OpenSession = tuple[Session, int, bytes]
"""A session, when it was announced, and the queue ID of its request or empty: not yet known."""


class Service:
    """What is known of one service of one host, and of its processes."""

    __slots__ = (
        "deliveries_since_tls",
        "failed_by_pid",
        "logs_conn_use",
        "name",
        "quotes_addresses",
        "reloaded",
        "session_by_pid",
        "tlsproxy",
        "without_tlsproxy",
    )

    def __init__(
        self, name: bytes, *, quotes_addresses: bool, tlsproxy: dict[bytes, int] | None = None
    ) -> None:
        self.name = name
        """Host and tag: `mx1 postfix/smtp`."""
        self.session_by_pid: dict[bytes, OpenSession] = {}
        """The last session that each process announced."""
        self.failed_by_pid: dict[bytes, bytes] = {}
        """PID -> queue ID of the last request whose handshake failed."""
        self.deliveries_since_tls: int | None = None
        """Deliveries without a session since a TLS line that proves that handshakes are logged.

        None before the first, and again after a reload.
        """
        self.tlsproxy = {} if tlsproxy is None else tlsproxy
        """`[ADDRESS]:PORT` -> connections that tlsproxy made on this host and logged no TLS of.

        The client logs those at any `smtp_tls_loglevel`.
        """
        self.reloaded: int | None = None
        """When Postfix was reloaded last, perhaps with another `smtp_tls_loglevel`."""
        self.quotes_addresses = quotes_addresses
        """Addresses are quoted for sure (Postfix 3.5), so that none of them looks like a field."""
        self.without_tlsproxy: dict[bytes, int] = {}
        """PID -> when it found no tlsproxy to make its handshake, of the last half hour."""
        self.logs_conn_use = False
        """The field `conn_use` has been seen, with which every Postfix marks a further use."""

    def open(self, pid: bytes, session: Session, at: int) -> None:
        """Note that a process announced a session at this second."""
        if pid == forms.NO_PID:
            return
        self.session_by_pid[pid] = session, at, b""
        if self.deliveries_since_tls == 0 and not self.tlsproxy:
            return
        if not session.reused and self._proves(session.relay, at):
            self.deliveries_since_tls = 0

    def _proves(self, relay: bytes, at: int) -> bool:
        """Return whether a new session shows that the service logs each of its handshakes."""
        peer = relay[relay.find(b"[") :]
        if peer in self.tlsproxy:
            self.tlsproxy[peer] -= 1
            if not self.tlsproxy[peer]:
                del self.tlsproxy[peer]
            return False
        # Processes from before the reload end when their request does.
        return self.reloaded is None or at > self.reloaded + SLACK

    def close(self, pid: bytes) -> None:
        """Note that the session of a process has ended."""
        self.session_by_pid.pop(pid, None)

    def close_unless(self, pid: bytes, relay: bytes) -> bool:
        """End the session of a process unless it may be to this relay; return whether none is open.

        The same as `Sessions.session_of_delivery` does with a session to another relay.
        """
        session, _, _ = self.session_by_pid.get(pid, _NO_SESSION)
        if session is _NO_SESSION[0]:
            return True
        if session.relay in (relay, b""):
            return False
        del self.session_by_pid[pid]
        return True

    def note_failed_handshake(self, pid: bytes, queue_id: bytes) -> None:
        """Note that a handshake failed, after which the mail may go in plaintext."""
        if len(self.failed_by_pid) >= _SESSIONS:
            self.failed_by_pid.clear()
        self.failed_by_pid[pid] = queue_id

    def relay_of(self, pid: bytes) -> bytes:
        """Return the relay of the session that a process announced last; empty where unknown."""
        return self.session_by_pid.get(pid, _NO_SESSION)[0].relay

    def claim(self, pid: bytes, queue_id: bytes) -> None:
        """Note that the session of a process, if it has one, is of this request."""
        held = self.session_by_pid.get(pid)
        if held and not held[2]:
            self.session_by_pid[pid] = held[0], held[1], queue_id

    def usual_session(self, pid: bytes, queue_id: bytes, relay: bytes, at: int) -> Session | None:
        """Return the same as `Sessions.session_of_delivery` for the usual delivery.

        That is the first use of a new connection, a few seconds after the handshake. None, and
        nothing has changed, for any other delivery. Nearly all time of an import goes into lines
        that this answers.
        """
        session, opened, request = self.session_by_pid.get(pid, _NO_SESSION)
        if session.relay != relay or session.reused or not 0 <= at - opened <= SLACK:
            return None
        if request != queue_id:
            if request:
                return None
            self.session_by_pid[pid] = session, opened, queue_id
        return session

    def note_no_tlsproxy(self, pid: bytes, at: int) -> None:
        """Note that a process found no tlsproxy at this second."""
        if len(self.without_tlsproxy) >= _SERVICES:
            self.forget_tlsproxy(at)
        self.without_tlsproxy[pid] = at

    def forget_tlsproxy(self, now: int) -> None:
        """Forget who found no tlsproxy longer than a request ago."""
        oldest = now - LONGEST_REQUEST - SLACK
        self.without_tlsproxy = {
            pid: at for pid, at in self.without_tlsproxy.items() if at >= oldest
        }

    def lacks_tlsproxy(self, pid: bytes, delays: bytes | None, at: int) -> bool:
        """Return whether the request that ends at this second found no tlsproxy."""
        noted = self.without_tlsproxy.get(pid)
        took = min(seconds(delays), LONGEST_REQUEST)
        return noted is not None and noted >= at - took - SLACK

    def note_conn_use(self) -> None:
        """Note that a delivery has the field `conn_use`."""
        self.logs_conn_use = True

    def note_tls_field(self) -> None:
        """Note the field `tls` of a delivery: this is Postfix 3.11, which quotes addresses."""
        self.quotes_addresses = True

    def note_delivery_without_tls(self) -> None:
        """Count a delivery without a session."""
        if self.deliveries_since_tls is not None:
            self.deliveries_since_tls += 1

    @property
    def logs_tls(self) -> bool:
        """Whether TLS is logged: proven, at most `PLAINTEXT_IN_A_ROW` deliveries ago."""
        since = self.deliveries_since_tls
        return since is not None and since <= PLAINTEXT_IN_A_ROW

    def restart(self, *, quotes_addresses: bool, only_perhaps: bool) -> None:
        """End all sessions, because Postfix was started; doubt them where that is not sure.

        Its configuration may be another now, so that a handshake must show again that it logs them.
        """
        self.quotes_addresses = quotes_addresses
        self.deliveries_since_tls = None
        if not only_perhaps:
            self.session_by_pid.clear()
        for pid, (session, at, queue_id) in self.session_by_pid.items():
            doubtful = Session(session.relay, UNKNOWN, session.reused)
            self.session_by_pid[pid] = doubtful, at, queue_id

    def prune(self, before: int) -> None:
        """Forget the sessions that were announced before this second."""
        old = [pid for pid, (_, at, _) in self.session_by_pid.items() if at < before]
        for pid in old:
            del self.session_by_pid[pid]


class Sessions:
    """What is known of the sessions of all services, as far as a log has been read."""

    def __init__(self) -> None:
        self.complete_since: int | None = None
        """Epoch second since when no line is missing; None before the first line."""
        self._started: tuple[bytes, ...] = ()
        """Beginnings of the names of services that were started since then."""
        self._quoting: tuple[bytes, ...] = ()
        """Beginnings of the names of services that quote addresses."""
        self._services: dict[bytes, Service] = {}
        self._tlsproxies: dict[bytes, dict[bytes, int]] = {}
        """Host -> `Service.tlsproxy` of its services."""
        self._reloads: dict[bytes, int] = {}
        """Beginning of the names of services -> when their Postfix was reloaded last."""
        self.servers = Servers()
        """What the server has logged of clients that are connected."""
        self._most = _SESSIONS

    def begin(self, at: int) -> None:
        """Forget all sessions: lines from before this epoch second are missing."""
        self.complete_since, self._started = at, ()
        self.servers.forget()
        for service in self._services.values():
            service.session_by_pid.clear()

    def mark_gap(self) -> None:
        """Expect lines to be missing before the next line; its time goes to `begin`."""
        self.complete_since = None

    def start(self, name: bytes, *, quotes_addresses: bool) -> None:
        """Note that Postfix was started, whose services begin with `name`: `HOST SYSLOG_NAME/`.

        The sessions of its processes ended with them. A service with one more slash in its name may
        be of another Postfix that goes on, so its sessions are doubtful.
        """
        self._started = _with(self._started, name)
        self._quoting = _with(self._quoting, name)[: None if quotes_addresses else -1]
        self.servers.forget(name)
        for service in self._services.values():
            if service.name.startswith(name):
                service.restart(
                    quotes_addresses=quotes_addresses,
                    only_perhaps=b"/" in service.name[len(name) :],
                )

    def reload(self, name: bytes, at: int | None) -> None:
        """Note that Postfix was reloaded, whose services begin with `name`: `HOST SYSLOG_NAME/`.

        Its configuration may be another now, so that a handshake must show again that it logs them.
        """
        if at is None:
            at = self.complete_since or 0
        self._reloads.pop(name, None)
        self._reloads[name] = at
        if len(self._reloads) > _SERVICES:
            del self._reloads[next(iter(self._reloads))]
        for service in self._services.values():
            if service.name.startswith(name):
                service.deliveries_since_tls = None
                service.reloaded = at

    def note_tlsproxy(self, host: bytes, peer: bytes, change: int) -> None:
        """Note that tlsproxy connects to `[ADDRESS]:PORT` (1), or logged the handshake (-1)."""
        silent = self._tlsproxies.setdefault(host, {})
        count = silent.pop(peer, 0) + change
        if count > 0:
            silent[peer] = count
        if len(silent) > _SERVICES:
            del silent[next(iter(silent))]

    def service(self, name: bytes) -> Service:
        """Return the service of this name: host and tag."""
        found = self._services.get(name)
        if found is None:
            quotes = name.startswith(self._quoting)
            silent = self._tlsproxies.setdefault(name.partition(b" ")[0], {})
            found = self._services[name] = Service(name, quotes_addresses=quotes, tlsproxy=silent)
            reloads = [at for each, at in self._reloads.items() if name.startswith(each)]
            found.reloaded = max(reloads, default=None)
        return found

    def session_of_delivery(
        self, service: Service, pid: bytes, delivery: Delivery, at: int
    ) -> Session | None:
        """Return the session that a delivery went over; None where no session is known.

        To be called for each recipient's line, whatever its status, because it ends the sessions
        of other requests.
        """
        if pid == forms.NO_PID:
            return Session(delivery.relay, UNKNOWN, reused=False)
        if delivery.conn_use > 1:
            service.note_conn_use()
        held = service.session_by_pid.get(pid)
        if held is None:
            return None
        session, opened, request = held
        age = at - opened
        if session.relay in (delivery.relay, b"") and (delivery.conn_use == 1 or session.reused):
            longest = min(seconds(delivery.delays), LONGEST_REQUEST) + SLACK
            # The next attempt of a request has the same queue ID, but begins later.
            in_time = -SLACK <= age <= longest and request in (b"", delivery.queue_id)
            # The reused connection was dead, and the one in its place needed no handshake.
            dead = session.reused and delivery.conn_use == 1 and service.logs_conn_use
            if in_time and not dead:
                service.claim(pid, delivery.queue_id)
                return session
            if age < -SLACK:  # the clock was put back: times tell nothing until it catches up
                self._forget(opened)
        service.close(pid)
        return None

    def outcome_without_session(self, service: Service, at: int, delays: bytes | None) -> Category:
        """Count a delivery over no known session, and return its category: plaintext or unknown."""
        service.note_delivery_without_tls()
        took = DELAYS_ROUNDED * seconds(delays)
        # A handshake in the second of the first line may have been logged before that line.
        after = self.complete_since is not None and at - took >= self.complete_since + 1
        complete = took <= LONGEST_REQUEST and (after or service.name.startswith(self._started))
        if service.reloaded is not None:
            complete = complete and at - took > service.reloaded + SLACK
        return PLAINTEXT if complete and service.logs_tls else UNKNOWN

    def _forget(self, now: int) -> None:
        """Forget something that may still matter."""
        self.begin(now if self.complete_since is None else max(now, self.complete_since))

    def prune(self, now: int) -> None:
        """Forget what is too old to matter, where there is much; all, where there is very much."""
        if len(self._services) > _SERVICES:
            for name in list(self._services)[:-_SERVICES]:
                del self._services[name]
            self._forget(now)
        if self._count() <= self._most:
            return
        for service in self._services.values():
            service.prune(now - LONGEST_REQUEST - SLACK)
        if self._count() > 2 * _SESSIONS:
            self._forget(now)
        self._most = self._count() + _SESSIONS

    def _count(self) -> int:
        return sum(len(service.session_by_pid) for service in self._services.values())

    def __iter__(self) -> Iterator[Session]:
        """Iterate over the last sessions of all processes."""
        for service in self._services.values():
            for session, _, _ in service.session_by_pid.values():
                yield session

    # ---- between two runs ----

    def dump(self, now: int) -> Any:
        """Return all that still matters at the second of the newest line, for JSON."""
        self._most = 0
        self.prune(now)
        return {
            "complete_since": self.complete_since,
            "started": [_text(name) for name in self._started],
            "quoting": [_text(name) for name in self._quoting],
            "services": [_dump(service, now) for service in self._services.values()],
            "servers": self.servers.dump(),
            "reloads": [(_text(name), at) for name, at in self._reloads.items()],
            "tlsproxies": [
                (_text(host), [(_text(peer), count) for peer, count in silent.items()])
                for host, silent in self._tlsproxies.items()
                if silent
            ],
        }

    @classmethod
    def load(cls, dumped: Any) -> Sessions:
        """Return what `dump` gave; nothing is known for None."""
        made = cls()
        if dumped:
            made.complete_since = dumped["complete_since"]
            made._started = tuple(map(_bytes, dumped["started"]))
            made._quoting = tuple(map(_bytes, dumped["quoting"]))
            made._tlsproxies = {
                _bytes(host): {_bytes(peer): count for peer, count in silent}
                for host, silent in dumped.get("tlsproxies", ())
            }
            made.servers = Servers(dumped.get("servers"))
            made._reloads = {_bytes(name): at for name, at in dumped.get("reloads", ())}
            for each in dumped["services"]:
                made._load(each)
        return made

    def _load(self, dumped: dict[str, Any]) -> None:
        service = self.service(_bytes(dumped["name"]))
        service.quotes_addresses = dumped["quotes_addresses"]
        service.deliveries_since_tls = dumped["deliveries_since_tls"]
        service.logs_conn_use = dumped["logs_conn_use"]
        service.reloaded = dumped.get("reloaded")
        service.without_tlsproxy = {
            _bytes(pid): at for pid, at in dumped.get("without_tlsproxy", ())
        }
        for pid, relay, category, reused, at, queue_id in dumped["sessions"]:
            session = Session(_bytes(relay), BY_KEY[category], reused)
            service.session_by_pid[_bytes(pid)] = session, at, _bytes(queue_id)


_NO_SESSION: OpenSession = Session(b"", UNKNOWN, False), 0, b""


def _dump(service: Service, now: int) -> dict[str, Any]:
    service.forget_tlsproxy(now)
    return {
        "name": _text(service.name),
        "deliveries_since_tls": service.deliveries_since_tls,
        "logs_conn_use": service.logs_conn_use,
        "quotes_addresses": service.quotes_addresses,
        "reloaded": service.reloaded,
        "without_tlsproxy": [(_text(pid), at) for pid, at in service.without_tlsproxy.items()],
        "sessions": [
            (
                _text(pid),
                _text(session.relay),
                session.category.key,
                session.reused,
                at,
                _text(queue_id),
            )
            for pid, (session, at, queue_id) in service.session_by_pid.items()
        ],
    }


def _text(name: bytes) -> str:
    return name.decode("latin-1")


def _bytes(name: str) -> bytes:
    return name.encode("latin-1")


def _with(names: tuple[bytes, ...], name: bytes) -> tuple[bytes, ...]:
    """Return the names with this one last, and not too many."""
    return (*(each for each in names if each != name), name)[-_SERVICES:]


def seconds(delays: bytes | None) -> float:
    """Return how long a request took: C and D of `A/B/C/D`; infinite before Postfix 2.3."""
    ours = (delays or b"").split(b"/")[2:]
    try:
        return sum(map(float, ours)) if ours else math.inf
    except ValueError:  # `1.2.3` is not Postfix's
        return math.inf
