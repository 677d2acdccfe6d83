"""What the lines of Postfix's server count as: messages that came in, and handshakes of clients.

`smtpd` ends each connection with `disconnect from HOST[ADDRESS]` and how often each command was
given (`smtpd.c`, Postfix 3.0 and later): that one line says how many messages came, and whether
over TLS, except on ports where TLS comes first (`smtpd_tls_wrappermode`).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ..categories import BY_KEY, CATEGORIES, HANDSHAKES_IN, NO_COUNTERS, OLD_PROTOCOLS
from ..log import forms
from ..peers import Relay, Relays
from ..times import HOUR
from . import handshake
from .outcome import Outcome

CONNECT, DISCONNECT, REPEATED = b"connect from", b"disconnect from", b"message repeated"

TEXT = r"""
    (?: ( connect\ from | disconnect\ from
        | (?:[A-Z][a-z]+\ )?TLS\ connection\ established\ from      # no label before Postfix 2.5
        | message\ repeated )
      \ ( [^[ \n]*\[[^] \n]*\] | \d{1,9}\ times: )
      ( .* ) )
"""
"""The pattern of a text that matters, verbose, to be followed by its end."""

SAYS = r"(?:disconnect\ from\ \S*\[\S*\ .*=\d|TLS\ connection\ established\ from\ )"
"""The pattern of words that only a server's text says."""

UNLESS = r"(?<!/submission/smtpd)(?<!/submissions/smtpd)(?<!/smtps/smtpd)"
"""Lookbehinds that skip the services for users, as master.cf names them: often most lines."""

REMEMBERED = 4000
"""Texts and clients whose outcomes are remembered: a busy server repeats itself."""

_MOST_HANDSHAKES = 10_000
"""Processes of one service that are remembered to have logged a handshake."""

_TEXT = re.compile(TEXT.encode(), re.VERBOSE | re.DOTALL)
_COUNTERS = re.compile(
    rb"(?::\d{1,5})?((?: [a-z]+=\d{1,9}(?:/\d{1,9})?)* commands=\d{1,9}(?:/\d{1,9})?|)"
)
"""The last counter is always there; a line without it is cut off."""

_COUNTER = re.compile(rb" ([a-z]+)=(\d+)")
_OF_USERS = re.compile(rb"submission|smtps")
"""What the log name of a service says that takes mail from users: `postfix/submission/smtpd`."""

_PLACES = {category.key: place for place, category in enumerate(CATEGORIES)}


def counts(text: bytes) -> bool:
    """Return whether a text of a server without a name would count."""
    match = _TEXT.fullmatch(text)
    return match is not None and match[1] != CONNECT and bool(match[3].strip())


class Server:
    """What is known of one service of one host: the processes whose client made a handshake."""

    __slots__ = ("handshakes", "is_of_users")

    def __init__(self, name: bytes) -> None:
        """`name` is host and tag: `mx1 postfix/smtpd`."""
        self.is_of_users = bool(_OF_USERS.search(name.rpartition(b" ")[2]))
        self.handshakes: dict[bytes, int] = {}
        """PID -> when its client made a handshake, until it disconnects."""


class Servers:
    """The services of `smtpd` by name, as far as a log has been read."""

    def __init__(self, saved: Any = None) -> None:
        """`saved` is as `dump` gives it, or as JSON gives it back, or None."""
        self._by_name: dict[bytes, Server] = {}
        for name, handshakes in (saved or {}).items():
            known = self.service(name.encode("latin-1"))
            known.handshakes = {pid.encode("latin-1"): at for pid, at in handshakes.items()}

    def service(self, name: bytes) -> Server:
        """Return the service of this name: host and tag."""
        found = self._by_name.get(name)
        if found is None:
            if len(self._by_name) >= REMEMBERED:
                del self._by_name[next(iter(self._by_name))]
            found = self._by_name[name] = Server(name)
        return found

    def forget(self, name: bytes = b"") -> None:
        """Forget the handshakes of services that begin with `name`: their processes ended."""
        for each, server in self._by_name.items():
            if each.startswith(name):
                server.handshakes.clear()

    def dump(self) -> Any:
        """Return all that still matters, for JSON."""
        return {
            name.decode("latin-1"): {
                pid.decode("latin-1"): at for pid, at in server.handshakes.items()
            }
            for name, server in self._by_name.items()
            if server.handshakes
        }


class Reception:
    """Says what the lines of servers count as, line by line in the order of the log."""

    def __init__(self, ignored: Relays, servers: Servers) -> None:
        """Lines about `ignored` clients count nowhere."""
        self._ignored, self.servers = ignored, servers
        self._clients: dict[bytes, bool] = {}
        self._of_senders: dict[tuple[Outcome, bytes], Outcome] = {}
        self._handshakes: dict[bytes, Outcome] = {}
        self._ended: dict[tuple[bytes, bool], Outcome] = {}
        self.made = 0
        """Outcomes that were made."""
        self.noted: Counter[tuple[int, str]] = Counter()
        """Hour and name -> how often; 1 for the names in `categories.TELLING`, however often.

        `illegible` are ends of connections that do not say how many messages came.
        """

    def service(self, name: bytes) -> Server:
        """Return the service of this name: host and tag."""
        return self.servers.service(name)

    def outcome(self, server: Server, fields: tuple[bytes, ...], at: int) -> Outcome:
        """Return what a line counts as that a process of this server wrote at this second."""
        _, _, pid, verb, client, said = fields
        if server.is_of_users:
            return _OF_USERS_ALONE
        if verb == CONNECT:
            server.handshakes.pop(pid, None)
            return CONNECTED
        ignores = self._clients.get(client)
        if ignores is None:
            ignores = self._ignores(client)
        if ignores:
            return _IGNORED
        if verb == DISCONNECT:
            over_tls = server.handshakes.pop(pid, None) is not None
            outcome = self._ended.get((said, over_tls)) or self._of_end(said, over_tls)
            if outcome is _ILLEGIBLE:
                self.noted[at - at % HOUR, "illegible"] += 1
            elif outcome is _WITHOUT_COUNTERS:
                self.noted[at - at % HOUR, NO_COUNTERS] = 1
            return self._of_sender(outcome, client) if outcome.sender else outcome
        if verb == REPEATED:
            return self._of_repeat(server, fields, at)
        if pid != forms.NO_PID:
            if len(server.handshakes) >= _MOST_HANDSHAKES:
                del server.handshakes[next(iter(server.handshakes))]
            server.handshakes[pid] = at
        self.noted[at - at % HOUR, HANDSHAKES_IN] = 1
        outcome = self._handshakes.get(said) or self._of_handshake(said)
        return self._of_sender(outcome, client) if outcome.sender else outcome

    def _of_sender(self, outcome: Outcome, client: bytes) -> Outcome:
        """Return an outcome that is kept by the client's domain."""
        key = outcome, client
        named = self._of_senders.get(key)
        if named is None:
            if len(self._of_senders) >= REMEMBERED:
                self._of_senders.clear()
            named = self._made(Outcome.by(domain_of(client), outcome))
            self._of_senders[key] = named
        return named

    def _ignores(self, client: bytes) -> bool:
        name, _, address = client.decode("latin-1").lower().rstrip("]").partition("[")
        if len(self._clients) >= REMEMBERED:
            self._clients.clear()
        ignores = self._clients[client] = Relay(name, address) in self._ignored
        return ignores

    def _of_repeat(self, server: Server, fields: tuple[bytes, ...], at: int) -> Outcome:
        stamp, writer, pid, _, times, said = fields
        times_said, text = handshake.unwrap(b" ".join((REPEATED, times)) + said)
        again = _TEXT.fullmatch(text)
        if again is None or again[1] == REPEATED:
            return _NOTHING
        outcome = self.outcome(server, (stamp, writer, pid, *again.groups(b"")), at)
        if not outcome.places:
            return outcome
        times_in_all = outcome.times * times_said
        note = f"{outcome.note.partition(', counted')[0]}, counted {times_in_all} times"
        repeated = Outcome(outcome.places, "", note, times_in_all)
        return self._made(Outcome.by(outcome.sender, repeated))

    def _of_end(self, said: bytes, over_tls: bool) -> Outcome:
        match = _COUNTERS.fullmatch(said.rstrip(b"\r"))
        if match is None:
            return _ILLEGIBLE
        if not match[1]:
            return _WITHOUT_COUNTERS
        outcome = _of_counters(dict(_COUNTER.findall(match[1])), over_tls)
        if len(self._ended) >= REMEMBERED:
            self._ended.clear()
        self._ended[said, over_tls] = outcome
        return self._made(outcome)

    def _of_handshake(self, said: bytes) -> Outcome:
        read = handshake.from_client(said.rstrip(b"\r"))
        if read is None:
            return _NOTHING
        places = tuple(_PLACES[each.key] for each in handshake.inbound_categories(read))
        note = f"a client's handshake: {read.protocol}"
        outcome = self._made(Outcome(places, "", note))
        if CATEGORIES[places[0]] in OLD_PROTOCOLS:
            outcome = Outcome.by(_SOMEBODY, outcome)
        if len(self._handshakes) >= REMEMBERED:
            self._handshakes.clear()
        self._handshakes[said] = outcome
        return outcome

    def _made(self, outcome: Outcome) -> Outcome:
        self.made += 1
        return outcome


def _of_counters(counters: dict[bytes, bytes], over_tls: bool) -> Outcome:
    """Return what the end of a connection counts as, by how often each command succeeded.

    BDAT is counted by chunks, so of messages that came by it only one can be told (`smtpd.c`).
    """
    mail, data, bdat, auth, starttls = (
        int(counters.get(name, 0)) for name in (b"mail", b"data", b"bdat", b"auth", b"starttls")
    )
    if auth:
        return _AUTHENTICATED
    messages = data
    if bdat:
        if mail - data != 1:
            return _ILLEGIBLE
        messages += 1
    if not messages:
        return _WITHOUT_MESSAGE
    category = BY_KEY["inbound.tls" if over_tls or starttls else "inbound.plaintext"]
    note = f"a message received {category.label}"
    if messages > 1:
        note += f", counted {messages} times"
    outcome = Outcome((_PLACES[category.key],), "", note, messages)
    return Outcome.by(_SOMEBODY, outcome) if category.name == "plaintext" else outcome


def domain_of(client: bytes) -> str:
    """Return the domain of `HOST[ADDRESS]`, or the address of a client without a name.

    A host of three labels or more is in the domain behind the first of them.
    """
    host, _, address = client.decode("latin-1").lower().rstrip("]").partition("[")
    if not host or host == "unknown":
        return address
    labels = host.split(".")
    return ".".join(labels[1:] if len(labels) > 2 else labels)


def _nothing(note: str) -> Outcome:
    return Outcome((), "", note)


_SOMEBODY = "*"
"""A sender that is not named yet."""

_NOTHING = _nothing("not about a connection that Postfix's server took")
CONNECTED = _nothing("a client connects; its last line says what it brought")
_IGNORED = _nothing("a local client (setting ignore_clients)")
_OF_USERS_ALONE = _nothing("of a service for users (submission), which is not counted")
_AUTHENTICATED = _nothing("a user who logged in; only mail from other servers is counted")
_WITHOUT_MESSAGE = _nothing("a connection that brought no message")
_ILLEGIBLE = _nothing("it does not say how many messages came: by BDAT, or it is cut off")
_WITHOUT_COUNTERS = _nothing("Postfix before 3.0 does not say how many messages came")
