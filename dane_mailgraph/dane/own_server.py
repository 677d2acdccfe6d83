"""What a look at one of our servers shows: its records in DNS, what it serves, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .servers import Target
from .tlsa import Chain

UNREACHABLE, NO_STARTTLS, NO_HANDSHAKE = "unreachable", "starttls", "handshake"
"""Why a handshake gave no certificate."""


class Published(NamedTuple):
    """What DNS has for one of our servers, by the resolver of this machine."""

    name: str
    """Of the TLSA records that senders use: `_25._tcp.mail.example.org`."""
    records: tuple[str, ...] = ()
    """As zone files spell them, the malformed ones too."""
    ttl: int = 0
    """Seconds for which caches may keep them: the longest that was ever seen."""
    code: str = "NOERROR"
    """Of the answer: `NOERROR`, `SERVFAIL`...; empty where no resolver answers."""
    trouble: str = ""
    """Why no resolver answers."""
    validates: bool = True
    """The resolver validates."""
    host_is_signed: bool = True
    """The addresses are signed; or the host is an alias, and the alias is signed."""
    is_signed: bool = True
    """The TLSA records are signed."""
    has_address: bool = True


class Handshake(NamedTuple):
    """What an address showed to a sender that knows certain types of keys."""

    address: str
    keys: str = ""
    """`RSA`, `ECDSA`; empty for a sender that knows all."""
    chain: Chain | None = None
    trouble: str = ""
    """UNREACHABLE, NO_STARTTLS or NO_HANDSHAKE where there is no chain."""
    words: str = ""
    """What the server or the system said of the trouble."""

    @property
    def place(self) -> str:
        """`192.0.2.1 (RSA)`."""
        return f"{self.address} ({self.keys})" if self.keys else self.address


class Service(NamedTuple):
    """A service of Postfix that answers on some addresses of our server, and its files."""

    addresses: tuple[str, ...]
    chains: tuple[Chain, ...]
    """What its next process serves to senders with DANE."""
    reload: str = "postfix reload"
    renewed: tuple[Chain, ...] = ()
    """What it serves once the table of SNI is made again from its files, if that is something else.
    """
    remake: str = ""
    """The command that makes the table of SNI again."""
    troubles: tuple[str, ...] = ()
    """Why its next process can offer no TLS: a file is gone, or key and certificate do not fit."""
    unread: tuple[str, ...] = ()
    """A sentence, without its full stop, on each file that could not be read."""


class RecordHistory(NamedTuple):
    """What earlier looks saw of a record. Times are epoch seconds."""

    first_seen: int
    last_matched: int | None = None
    """When it last matched a certificate that was served; None where it never did."""


class Server(NamedTuple):
    """Everything that a look at one of our servers shows, and what earlier looks saw."""

    target: Target
    published: Published
    handshakes: tuple[Handshake, ...] = ()
    services: tuple[Service, ...] = ()
    next_chain: Chain | None = None
    """The chain that will be served after a planned change."""
    history: Mapping[str, RecordHistory] = {}
    """Record, as zone files spell it -> what earlier looks saw of it."""
