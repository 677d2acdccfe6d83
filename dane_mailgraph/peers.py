"""Servers as Postfix names them, and sets of them as a setting names them."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
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


class Relay(NamedTuple):
    """A server that Postfix's client was connected to."""

    host: str
    """In lower case, of a host name's characters; strangers choose it. Empty where it has none."""
    address: str
    """The address or the socket's path."""

    @classmethod
    def of(cls, text: bytes) -> Relay | None:
        """Read `HOST[ADDRESS]:PORT` or `HOST[PATH]`; None for `none` and what else is no server."""
        match = _RELAY.fullmatch(text)
        return (
            cls(match["host"].decode("ascii").lower(), match["address"].decode("ascii", "replace"))
            if match
            else None
        )

    @property
    def name(self) -> str:
        """What an operator knows it by."""
        return self.host or self.address


class Relays:
    """A set of servers: networks, hosts, `.example.org` for the hosts below, `unix` for sockets."""

    def __init__(self, words: str) -> None:
        """`words` are separated by spaces or commas; raises ValueError for a wrong one."""
        self._unix = False
        self._hosts: set[str] = set()
        self._below: list[str] = []
        self._networks: list[IPv4Network | IPv6Network] = []
        for word in words.lower().replace(",", " ").split():
            if word == "unix":
                self._unix = True
            elif not _DOMAIN.fullmatch(word):
                self._networks.append(ip_network(word))
            elif word.startswith("."):
                self._below.append(word)
            else:
                self._hosts.add(word)

    def __contains__(self, relay: Relay) -> bool:
        if relay.host in self._hosts or any(relay.host.endswith(each) for each in self._below):
            return True
        if "/" in relay.address:
            return self._unix
        try:
            ip = ip_address(relay.address)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in network for network in self._networks)
