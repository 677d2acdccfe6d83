"""DNS answers of the resolvers in a resolv.conf, and whether they are validated (the AD bit).

The queries are those that Postfix sends: with DO and AD set, to the servers and in the order that
the C library takes from the file.
"""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import ip_address
from typing import NamedTuple

from ..errors import reason

PATH = "/etc/resolv.conf"

_MOST_SERVERS = 3
"""The C library uses no more (MAXNS in resolv.h)."""

_PATIENCE = 3.0
"""Seconds for the answer of one server."""

_AUTHENTIC, _TRUNCATED = 0x0020, 0x0200
"""The flags AD and TC of a message."""

_HEADER = 12
"""Bytes of a message before the question."""


class ResolvConf(NamedTuple):
    """A resolv.conf."""

    path: str
    text: str | None
    """None where it is absent or cannot be read: the C library then asks 127.0.0.1."""
    trouble: str = ""
    """Why it cannot be read."""
    port: int = 53
    """Of the servers; the file cannot name another."""

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses to ask, in order (resolv.conf(5))."""
        addresses = [
            words[1] for words in self._lines if words[0] == "nameserver" and len(words) > 1
        ]
        return tuple(addresses[:_MOST_SERVERS]) or ("127.0.0.1",)

    @property
    def trust_ad(self) -> bool:
        """Whether the C library hands the AD bit to every program."""
        return any(words[0] == "options" and "trust-ad" in words for words in self._lines)

    @property
    def _lines(self) -> list[list[str]]:
        return [line.split() for line in (self.text or "").split("\n") if line.split()]


class Answer(NamedTuple):
    """The answer to one question, or why there is none."""

    question: str
    """`_25._tcp.mail.example.org TLSA`."""
    server: str
    code: str
    """`NOERROR`, `NXDOMAIN`, `SERVFAIL`..., empty where no answer came."""
    secure: bool
    """The AD bit: the resolver says that it has validated the answer."""
    records: tuple[str, ...]
    """Of the type that was asked for, as zone files spell them."""
    trouble: str = ""
    """Why there is no answer."""
    owner: str = ""
    """The name that has the records: the one in question, or the one that it is an alias of."""
    ttl: int = 0
    """Seconds for which caches may still keep the records."""

    @property
    def is_final(self) -> bool:
        """Whether no other server need be asked: there are these records, or there are none."""
        return self.code in ("NOERROR", "NXDOMAIN")


def read_resolv_conf(path: str = PATH) -> ResolvConf:
    """Read a resolv.conf."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
            return ResolvConf(path, file.read())
    except FileNotFoundError:
        return ResolvConf(path, None)
    except OSError as error:
        return ResolvConf(path, None, reason(error))


def is_loopback(server: str) -> bool:
    """Return whether an address is on this machine: nothing on the way to it can set AD then."""
    try:
        return ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


def query(name: str, kind: str, server: str, port: int = 53) -> Answer:
    """Ask one server for the records of one type that a name has.

    A malformed TLSA record does not make the answer fail: Postfix, too, takes it for a record.
    """
    import dns.exception  # 60 ms that only the doctor pays
    import dns.message
    import dns.rcode

    question = f"{name} {kind}"
    try:
        query = dns.message.make_query(name, kind, use_edns=True, want_dnssec=True)
        query.flags |= _AUTHENTIC
        wire = _exchange(query.to_wire(), server, port)
        flags = int.from_bytes(wire[2:4], "big")
        rcode = dns.rcode.to_text(dns.rcode.from_flags(flags, 0))
        records = _records(wire, kind)
    except TimeoutError:
        return Answer(question, server, "", False, (), f"no answer within {_PATIENCE:g} seconds")
    except (dns.exception.DNSException, OSError, ValueError) as error:
        return Answer(question, server, "", False, (), reason(error))
    return Answer(
        question,
        server,
        rcode,
        bool(flags & _AUTHENTIC),
        tuple(each.text for each in records),
        owner=records[0].owner if records else name,
        ttl=min((each.ttl for each in records), default=0),
    )


def _exchange(query: bytes, server: str, port: int) -> bytes:
    """Return the answer to a message, by UDP, or by TCP where that is truncated.

    Raises OSError, ValueError.
    """
    deadline = time.monotonic() + _PATIENCE
    family, _, _, _, address = socket.getaddrinfo(
        server, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.connect(address)
        udp.sendall(query)
        answer = b""
        while len(answer) < _HEADER or answer[:2] != query[:2]:
            udp.settimeout(_seconds_left(deadline))
            answer = udp.recv(65535)
    if not int.from_bytes(answer[2:4], "big") & _TRUNCATED:
        return answer
    with socket.socket(family, socket.SOCK_STREAM) as tcp:
        tcp.settimeout(_seconds_left(deadline))
        tcp.connect(address)
        tcp.sendall(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(_receive(tcp, 2, deadline), "big")
        answer = _receive(tcp, length, deadline)
    if answer[:2] != query[:2] or len(answer) < _HEADER:
        raise ValueError("the answer is to another question")
    return answer


def _seconds_left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _receive(tcp: socket.socket, length: int, deadline: float) -> bytes:
    data = b""
    while len(data) < length:
        tcp.settimeout(_seconds_left(deadline))
        more = tcp.recv(length - len(data))
        if not more:
            raise ValueError("the answer is cut off")
        data += more
    return data


class _Record(NamedTuple):
    """A record of an answer."""

    owner: str
    ttl: int
    text: str


def _records(wire: bytes, kind: str) -> list[_Record]:
    """Return the records of one type in the answer section."""
    import dns.name
    import dns.rdata
    import dns.rdatatype

    wanted = dns.rdatatype.from_text(kind)
    questions, answers = (int.from_bytes(wire[at : at + 2], "big") for at in (4, 6))
    at = _HEADER
    for _ in range(questions):
        at += dns.name.from_wire(wire, at)[1] + 4
    records = []
    for _ in range(answers):
        owner, length = dns.name.from_wire(wire, at)
        at += length
        if at + 10 > len(wire):
            raise ValueError("the answer is cut off")
        number, klass, ttl, length = struct.unpack_from("!HHIH", wire, at)
        begin, at = at + 10, at + 10 + length
        if number != wanted:
            continue
        if wanted == dns.rdatatype.TLSA and length >= 3:
            data = wire[begin:at]
            text = f"{data[0]} {data[1]} {data[2]} {data[3:].hex()}"
        else:
            text = dns.rdata.from_wire(klass, number, wire, begin, length).to_text()
        records.append(_Record(owner.to_text(omit_final_dot=True).lower(), ttl, text))
    return records


def look_up(name: str, kind: str, resolv: ResolvConf) -> Answer:
    """Ask the servers of a resolv.conf in order; return the first final answer, else the last."""
    for server in resolv.servers:
        answer = query(name, kind, server, resolv.port)
        if answer.is_final:
            break
    return answer
