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
    """`SERVFAIL`..., empty where no resolver answers."""
    trouble: str = ""
    """Why it does not answer."""
    validates: bool = True
    """The resolver validates."""
    host_is_signed: bool = True
    """The addresses are signed, or the name is a signed alias of what is not."""
    is_signed: bool = True
    """The TLSA records are."""
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
    """What the server or the system said of it."""

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
    """What is in the files from which the table of SNI is yet to be made again."""
    remake: str = ""
    """The command that makes that table again."""
    troubles: tuple[str, ...] = ()
    """Why its next process can offer no TLS: a file is gone, or key and certificate do not fit."""
    unread: tuple[str, ...] = ()
    """A sentence, without its point, on each file that could not be read."""


class History(NamedTuple):
    """What is known of a record that is or was published. Times are epoch seconds."""

    first: int
    """When it was first seen."""
    matched: int | None = None
    """When it last matched a certificate that was served; None where it never did."""


class Server(NamedTuple):
    """All that is known of one of our servers."""

    target: Target
    published: Published
    handshakes: tuple[Handshake, ...] = ()
    services: tuple[Service, ...] = ()
    next_chain: Chain | None = None
    """The chain that will be served after a planned change."""
    history: Mapping[str, History] = {}
    """Record -> what is known of it."""
