"""What the lines of Postfix's server count as: messages that came in, and handshakes of clients.

`smtpd` ends each connection with `disconnect from HOST[ADDRESS]` and how often each command was
given (`smtpd.c`, Postfix 3.0 and later): that one line says how many messages came, and whether
over TLS, except on ports where TLS comes first (`smtpd_tls_wrappermode`).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from .. import peers
from ..categories import BY_KEY, CATEGORIES, HAS_HANDSHAKES, LACKS_COUNTERS, OLD_PROTOCOLS
from ..log import forms
from ..peers import Peer, PeerSet
from ..refusals import ALERT, LEFT, MEANINGS
from ..times import HOUR
from . import handshake
from .outcome import Outcome

CONNECT, DISCONNECT, REPEATED = b"connect from", b"disconnect from", b"message repeated"
FAILED, LIBRARY = b"SSL_accept error from", b"warning: TLS library problem:"

TEXT = r"""
    (?: (?:\[ID\ \d{1,9}\ \S+\][ ]|)                              # Solaris
        ( connect\ from | disconnect\ from
        | (?:[A-Z][a-z]+\ )?TLS\ connection\ established\ from      # no label before Postfix 2.5
        | SSL_accept\ error\ from | warning:\ TLS\ library\ problem:
        | message\ repeated )
      \ ( [^[ \n]*\[[^] \n]*\] | \d{1,9}\ times: | (?:\d{1,20}:)?error:[^ \n]* )
      ( .* ) )
"""
"""The pattern of a text that matters, verbose, to be followed by its end."""

# tls_server_start() and tls_print_errors() of Postfix; the numbers of alerts are those of RFC 8446.
_ALERT = re.compile(rb".*:SSL alert number (?:4[2-6]|48):?\r?", re.DOTALL)
"""The end of a line about an alert that a client sent because of our certificate."""

_LEFT = re.compile(rb"(?::\d{1,5})? ehlo=1 starttls=1(?: quit=1)? commands=[23]\r?")
"""What the end of a connection says whose client was silent behind the handshake."""

SAYS = r"(?:disconnect\ from\ [^\s[]*\[\S*\ .{0,500}=\d|TLS\ connection\ established\ from\ )"
"""The pattern of words that only a server's text says; the first counter follows the client.

It is not looked for in the whole line, which may say `disconnect from` a thousand times.
"""

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
_UNKNOWN = b"unknown["

_OF_USERS = re.compile(rb"submission|smtps", re.IGNORECASE)
"""What the log name of a service says that takes mail from users: `postfix/submission/smtpd`."""

_INDEXES = {category.key: index for index, category in enumerate(CATEGORIES)}


def counts(text: bytes) -> bool:
    """Return whether a text of a server without a name would count."""
    match = _TEXT.fullmatch(text)
    counts_nowhere = CONNECT, FAILED, LIBRARY
    return match is not None and match[1] not in counts_nowhere and bool(match[3].strip())


class Server:
    """What is known of one service of one host: the processes whose client made a handshake."""

    __slots__ = ("failed", "handshakes", "is_of_users")

    def __init__(self, name: bytes) -> None:
        """`name` is host and tag: `mx1 postfix/smtpd`."""
        self.is_of_users = bool(_OF_USERS.search(name.rpartition(b" ")[2]))
        self.handshakes: dict[bytes, int] = {}
        """PID -> when its client made a handshake, until it disconnects."""
        self.failed: dict[bytes, bytes] = {}
        """PID -> its client, whose handshake failed: the next line says why."""

    def remember_handshake(self, pid: bytes, at: int) -> None:
        """Remember that the client of a process made a handshake."""
        if pid != forms.NO_PID:
            if len(self.handshakes) >= _MOST_HANDSHAKES:
                del self.handshakes[next(iter(self.handshakes))]
            self.handshakes[pid] = at

    def remember_failed(self, pid: bytes, client: bytes) -> None:
        """Remember that the handshake of a client failed."""
        if pid != forms.NO_PID:
            if len(self.failed) >= _MOST_HANDSHAKES:
                del self.failed[next(iter(self.failed))]
            self.failed[pid] = client


class Servers:
    """The services of `smtpd` by name, as far as a log has been read."""

    def __init__(self, saved: Any = None) -> None:
        """Read what `dump` gave, as it is or as JSON gives it back; None is nothing."""
        self._by_name: dict[bytes, Server] = {}
        for name, (handshakes, failed) in (saved or {}).items():
            known = self.service(name.encode("latin-1"))
            known.handshakes = {pid.encode("latin-1"): at for pid, at in handshakes.items()}
            known.failed = {
                pid.encode("latin-1"): client.encode("latin-1") for pid, client in failed.items()
            }

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
                server.failed.clear()

    def dump(self) -> Any:
        """Return all that still matters, for JSON."""
        return {
            name.decode("latin-1"): (
                {pid.decode("latin-1"): at for pid, at in server.handshakes.items()},
                {
                    pid.decode("latin-1"): each.decode("latin-1")
                    for pid, each in server.failed.items()
                },
            )
            for name, server in self._by_name.items()
            if server.handshakes or server.failed
        }


class Reception:
    """Says what the lines of servers count as, line by line in the order of the log."""

    def __init__(self, ignored: PeerSet, servers: Servers) -> None:
        """Lines about `ignored` clients count nowhere."""
        self._ignored, self.servers = ignored, servers
        self._clients: dict[bytes, bool] = {}
        self._of_senders: dict[tuple[Outcome, bytes], Outcome] = {}
        self._refusals: dict[tuple[str, int, str], Outcome] = {}
        self._handshakes: dict[bytes, Outcome] = {}
        self._ended: dict[tuple[bytes, bool], Outcome] = {}
        self.brought: set[bytes] = set()
        """Clients that brought messages over TLS."""
        self.made = 0
        """Outcomes that were made."""
        self.noted: Counter[tuple[int, str]] = Counter()
        """Hour and name -> how often; 1 for the names in `categories.VISIBILITY`, however often.

        `illegible` are handshakes that are cut off, and ends of connections that do not say how
        many messages came.
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
            server.failed.pop(pid, None)
            return CONNECTED
        if verb == LIBRARY:
            return self._of_library(said, server.failed.pop(pid, b""), at)
        ignores = self._clients.get(client)
        if ignores is None:
            ignores = self._ignores(client)
        if ignores:
            return _IGNORED
        if verb == DISCONNECT:
            over_tls = server.handshakes.pop(pid, None) is not None
            server.failed.pop(pid, None)
            outcome = self._ended.get((said, over_tls)) or self._of_end(said, over_tls)
            if outcome.sender:
                return self._of_sender(outcome, client)
            if outcome.indexes:
                self.brought.add(client)
                return outcome
            return self._at_end(outcome, client, at)
        if verb == REPEATED:
            return self._of_repeat(server, fields, at)
        if verb == FAILED:
            server.remember_failed(pid, client)
            return _FAILED
        server.remember_handshake(pid, at)
        self.noted[at - at % HOUR, HAS_HANDSHAKES] = 1
        outcome = self._handshakes.get(said) or self._of_handshake(said)
        if outcome is _TORN:
            self.noted[at - at % HOUR, "illegible"] += 1
        return self._of_sender(outcome, client) if outcome.sender else outcome

    def _at_end(self, outcome: Outcome, client: bytes, at: int) -> Outcome:
        """Note what else the end of a connection that brought no message tells."""
        if outcome is _HAS_LEFT:
            return self._refused(LEFT, client, at)
        if outcome is _ILLEGIBLE:
            self.noted[at - at % HOUR, "illegible"] += 1
        elif outcome is _WITHOUT_COUNTERS:
            self.noted[at - at % HOUR, LACKS_COUNTERS] = 1
        return outcome

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

    def take_senders(self) -> set[str]:
        """Return and forget the domains of clients that brought messages over TLS."""
        taken, self.brought = self.brought, set()
        return {domain_of(each) for each in taken if not each.startswith(_UNKNOWN)}

    def _of_library(self, said: bytes, client: bytes, at: int) -> Outcome:
        """Return what an error of OpenSSL counts as, in a process whose handshake failed, if so."""
        if not _ALERT.fullmatch(said):
            return _NOTHING
        return self._refused(ALERT, client, at) if client else _ALERT_OF_NOBODY

    def _refused(self, name: str, client: bytes, at: int) -> Outcome:
        """Return that a client refused our certificate; one without a name is a scanner."""
        if client.startswith(_UNKNOWN):
            return _REFUSED_BY_NOBODY
        key = name, at - at % HOUR, domain_of(client)
        outcome = self._refusals.get(key)
        if outcome is None:
            note = f"counts nowhere, and is kept of the sender: {MEANINGS[name]}"
            if len(self._refusals) >= REMEMBERED:
                self._refusals.clear()
            outcome = self._refusals[key] = self._made(Outcome.of_refusal(*key, note))
        return outcome

    def _ignores(self, client: bytes) -> bool:
        name, _, address = client.decode("latin-1").lower().rstrip("]").partition("[")
        if len(self._clients) >= REMEMBERED:
            self._clients.clear()
        ignores = self._clients[client] = Peer(name, address) in self._ignored
        return ignores

    def _of_repeat(self, server: Server, fields: tuple[bytes, ...], at: int) -> Outcome:
        stamp, writer, pid, _, times, said = fields
        times_said, text = handshake.unwrap(b" ".join((REPEATED, times)) + said)
        again = _TEXT.fullmatch(text)
        if again is None or again[1] == REPEATED:
            return _NOTHING
        outcome = self.outcome(server, (stamp, writer, pid, *again.groups(b"")), at)
        if not outcome.indexes:
            return outcome
        times_in_all = outcome.times * times_said
        note = f"{outcome.note.partition(', counted')[0]}, counted {times_in_all} times"
        repeated = Outcome(outcome.indexes, "", note, times_in_all)
        return self._made(Outcome.by(outcome.sender, repeated))

    def _of_end(self, said: bytes, over_tls: bool) -> Outcome:
        match = _COUNTERS.fullmatch(said.rstrip(b"\r"))
        if match is None:
            return _ILLEGIBLE
        if not match[1]:
            return _WITHOUT_COUNTERS
        if _LEFT.fullmatch(said):
            return _HAS_LEFT
        outcome = _of_counters(dict(_COUNTER.findall(match[1])), over_tls)
        if len(self._ended) >= REMEMBERED:
            self._ended.clear()
        self._ended[said, over_tls] = outcome
        return self._made(outcome)

    def _of_handshake(self, said: bytes) -> Outcome:
        read = handshake.from_client(said.rstrip(b"\r"))
        if read is None:
            return _TORN
        indexes = tuple(_INDEXES[each.key] for each in handshake.inbound_categories(read))
        note = f"a client's handshake: {read.protocol}"
        outcome = self._made(Outcome(indexes, "", note))
        if CATEGORIES[indexes[0]] in OLD_PROTOCOLS:
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

    BDAT is counted by chunks, so all messages that came by it count as one (`smtpd.c`).
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
    outcome = Outcome((_INDEXES[category.key],), "", note, messages)
    return Outcome.by(_SOMEBODY, outcome) if category.name == "plaintext" else outcome


def domain_of(client: bytes) -> str:
    """Return the domain of `HOST[ADDRESS]`, or the address of a client without a name."""
    host, _, address = client.decode("latin-1").lower().rstrip("]").partition("[")
    if not host or host == "unknown":
        return address
    return peers.domain_of(host)


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
_HAS_LEFT = _nothing(MEANINGS[LEFT])
_FAILED = _nothing("a handshake that failed; the next line says why")
_ALERT_OF_NOBODY = _nothing("an alert about our certificate, but the line before is missing")
_REFUSED_BY_NOBODY = _nothing(
    "a client without a name refused our certificate: of scanners, so it is not kept"
)
_TORN = _nothing("a client's handshake that is cut off, or of an unknown protocol")
_WITHOUT_COUNTERS = _nothing("Postfix before 3.0 does not say how many messages came")
