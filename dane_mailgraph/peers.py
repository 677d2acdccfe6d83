"""Servers and clients as Postfix names them, and sets of them as a setting names them."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_network
from typing import NamedTuple

# ---- relays ---------------------------------------------------------------------------------

RELAY = rb"""
    (?P<host> [A-Za-z0-9._:-]{0,255} )                    # valid_hostname(), or an address literal
    \[ (?P<address> [0-9A-Fa-f.:]+ (?:%[A-Za-z0-9._-]+)?  # with a zone where it is link-local
                  | [^\s\[\]]*/[^\s\[\]]* ) \]            # or the path of a unix-domain socket
    (?: : \d{1,5} )?                                      # which has no port
"""
"""A relay as Postfix's client names it: `namaddrport` of its session."""

_RELAY = re.compile(RELAY, re.VERBOSE)
_DOMAIN = re.compile(r"(?=.*[a-z])(?:\.[a-z0-9_-]+)+|(?=.*[a-z])[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class Peer(NamedTuple):
    """A server or client that Postfix was connected to."""

    host: str
    """In lower case and of a host name's characters; strangers choose it. Empty without a name."""
    address: str
    """The address or the socket's path."""

    @classmethod
    def parse(cls, text: bytes) -> Peer | None:
        """Read `HOST[ADDRESS]:PORT` or `HOST[PATH]`; None for `none` and all else."""
        match = _RELAY.fullmatch(text)
        return (
            cls(match["host"].decode("ascii").lower(), match["address"].decode("ascii", "replace"))
            if match
            else None
        )

    @property
    def name(self) -> str:
        """The host, or else the address."""
        return self.host or self.address


def domain_of(host: str) -> str:
    """Return the domain of a host: its labels without the first, if it has three or more."""
    labels = host.split(".")
    return ".".join(labels[1:] if len(labels) > 2 else labels)


class PeerSet:
    """A set of peers: networks, hosts, `.example.org` for the hosts below, `unix` for sockets."""

    def __init__(self, words: str) -> None:
        """`words` are separated by spaces or commas; raises ValueError for a wrong one."""
        self._unix = False
        self._hosts: set[str] = set()
        self._below: tuple[str, ...] = ()
        self._networks: dict[int, list[tuple[int, int]]] = {0: [], 4: [], 16: []}
        """Length of an address in bytes -> number of host bits, and the bits before those."""
        for word in words.lower().replace(",", " ").split():
            if word == "unix":
                self._unix = True
            elif not _DOMAIN.fullmatch(word):
                network = ip_network(word)
                host_bits = network.max_prefixlen - network.prefixlen
                bits = int(network.network_address) >> host_bits
                self._networks[network.max_prefixlen // 8].append((host_bits, bits))
            elif word.startswith("."):
                self._below += (word,)
            else:
                self._hosts.add(word)

    def __contains__(self, peer: Peer) -> bool:
        if peer.host in self._hosts or peer.host.endswith(self._below):
            return True
        if "/" in peer.address:
            return self._unix
        ip = _packed(peer.address)
        number = int.from_bytes(ip, "big")
        # Each new client of a log asks: a loop costs half of what any() does.
        for host_bits, bits in self._networks[len(ip)]:  # noqa: SIM110
            if number >> host_bits == bits:
                return True
        return False


_MAPPED = bytes(10) + b"\xff\xff"


def _packed(address: str) -> bytes:
    """Return the bytes of an IP address, four of a mapped one; none of what is no address.

    inet_pton(3) is ten times as fast as the module ipaddress, and each new relay asks.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.inet_pton(family, address.partition("%")[0]).removeprefix(_MAPPED)
    except OSError:
        return b""
