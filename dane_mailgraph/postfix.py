"""An `Entry`'s text becomes what Postfix said: a TLS session, or nothing. Every pattern stands beside its reader.

Nothing a remote side chooses can stand at the start of a client's text: every format of smtp(8) begins
with a literal, a queue id, a host name or `warning: `. So a pattern that must match the whole text from
its start cannot be fooled by a reply, an address, a certificate or a header that quotes a summary line.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from .counted import BY_KEY, Counted

SIGN = re.compile(rb"TLS connection (?:established|reused) to .*")
"""What a line must hold to count. It begins with a rare letter: re looks for the first one byte by byte."""

ANY_LINE = re.compile(rb".+")

# ---- relays that are not outbound -----------------------------------------------------------


class Relays:
    """The relays that are counted nowhere: networks, and `unix` for unix-domain sockets."""

    def __init__(self, words: str) -> None:
        """`words` are separated by spaces or commas; raises ValueError for what is no network."""
        listed = words.replace(",", " ").split()
        self._unix = "unix" in listed
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(word) for word in listed if word != "unix"]

    def __contains__(self, address: bytes) -> bool:
        text = address.decode("ascii", "replace")
        if "/" in text:
            return self._unix
        try:
            ip = ip_address(text)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in network for network in self._networks)


# ---- the summary line -----------------------------------------------------------------------

_SESSION = re.compile(
    rb"""
    (?: \[ID\ \d+\ [a-z0-9]+\.[a-z]+\][ ] )?                     # Solaris
    (?P<repeated> message\ repeated\ (?P<times>\d{1,9})\ times:\ \[[ ] )?  # rsyslog's RepeatedMsgReduction
    (?P<label> Verified | Trusted | Untrusted | Anonymous )     # tls_log_summary() in tls_misc.c
    \ TLS\ connection\ (?P<verb> established | reused )\ to[ ]
    (?P<host> [A-Za-z0-9._:-]{0,255} )                          # valid_hostname(), or an address literal
    \[ (?P<address> [0-9A-Fa-f.:]+ (?:%[A-Za-z0-9._-]+)?        # the address, with a zone where link-local
                  | [^\s\[\]]*/[^\s\[\]]* ) \]                  # or the path of a unix-domain socket
    (?: : \d{1,5} )?                                            # which has no port
    :\ (?P<protocol> SSLv3 | TLSv1 (?: \.[123] )? )             # SSL_get_version(3)
    \ with\ cipher\ (?P<cipher> \S+ )\ \(\d+/\d+\ bits\)
    (?: \ key-exchange\ (?P<group> \S+ )                        # TLS 1.3, Postfix 3.4 and later
        (?: \ \( [^)]* \) )? )?
    (?: \ [^\n]*? )?                                            # signatures and digests: open-ended names
    (?(repeated) \] )
    """,
    re.VERBOSE,
)


class Session(NamedTuple):
    """A handshake that Postfix's client finished, or a connection that it used again."""

    label: str
    """One of Postfix's four words."""
    reused: bool
    relay: str
    """The address or the socket's path."""
    protocol: str
    key_exchange: str
    """A category of the family `key_exchange`."""
    times: int
    """How often the line stands for itself: more than 1 where syslog has folded repeats."""


def session(text: bytes) -> Session | None:
    """Read the summary line of a TLS session; None for every other text.

    Formats of Postfix 2.5 to 3.12, client side. Before 2.5 there is no label, so there is no category.
    """
    match = _SESSION.fullmatch(text)
    if match is None:
        return None
    protocol, cipher, group = ((match[name] or b"").decode("ascii", "replace") for name in ("protocol", "cipher", "group"))
    return Session(
        label=match["label"].decode(),
        reused=match["verb"] == b"reused",
        relay=match["address"].decode("ascii", "replace"),
        protocol=protocol,
        key_exchange=_of_group(group) if protocol == "TLSv1.3" else _of_cipher(cipher),
        times=int(match["times"] or 1),
    )


# OpenSSL's group names: `ECDHE (P-256)`, `X25519` of Postfix 3.4, `secp256r1`, `ffdhe2048`, `X25519MLKEM768`
# of 3.10 with OpenSSL 3.
_GROUPS = (
    ("post_quantum", re.compile(".*(mlkem|kyber)", re.IGNORECASE)),
    ("ecdh", re.compile("ecdhe?$|x25519|x448|sec[pt]|prime|brainpool|[pbk]-[2345]|c2|wap-|(curve)?sm2|gc(256|512)", re.I)),
    ("dh", re.compile("dhe?$|ffdhe|modp", re.IGNORECASE)),
)

# OpenSSL's cipher names up to TLS 1.2 (ciphers(1)); those without a prefix carry the key by RSA. What PSK,
# SRP, GOST and Kerberos do is none of these.
_CIPHERS = (
    ("ecdh", re.compile("A?ECDHE?-")),
    ("dh", re.compile("(EXP-|EXP1024-)?(A?DHE?|EDH)-")),
    ("rsa", re.compile("(EXP-|EXP1024-)?(AES|CAMELLIA|ARIA|SEED|IDEA|DES|RC[24]|NULL)[0-9-]")),
)


def _of_group(name: str) -> str:
    return next((category for category, pattern in _GROUPS if pattern.match(name)), "unknown")


def _of_cipher(name: str) -> str:
    return next((category for category, pattern in _CIPHERS if pattern.match(name)), "unknown")


# ---- what it counts as ----------------------------------------------------------------------


def counted(said: Session, ignored: Relays) -> tuple[Counted, ...]:
    """The categories that a session adds to: one of each family, or `reused` alone, or none."""
    if said.relay.encode() in ignored:
        return ()
    if said.reused:
        return (BY_KEY["connections.reused"],)
    return (
        BY_KEY[f"connections.{said.label.lower()}"],
        BY_KEY[f"protocols.{said.protocol.lower().replace('.', '_')}"],
        BY_KEY[f"key_exchange.{said.key_exchange}"],
    )


# ---- why a line counts nowhere --------------------------------------------------------------

_NOTES = (
    (re.compile(rb"TLS connection established to "), "Postfix before 2.5 names no trust level, so there is no category"),
    (re.compile(rb"(?:[0-9A-F]{5,}|[0-9A-Za-z]{10,}): to=<"), "a delivery, not a connection"),
    (re.compile(rb"(?:[0-9A-F]{5,}|[0-9A-Za-z]{10,}): "), "about one message, not about a connection"),
    (re.compile(rb"(?:warning|error|fatal|panic): "), "a warning, not the outcome of a handshake"),
    (re.compile(rb"SSL_connect error to "), "a handshake that failed, so there is no connection"),
)


def why_not(text: bytes, ignored: Relays) -> str:
    """Why a client's text counts nowhere, in words for an operator."""
    said = session(text)
    if said is not None:
        return f"{said.relay} is a local relay (setting ignore_relays)" if said.relay.encode() in ignored else ""
    for pattern, note in _NOTES:
        if pattern.match(text):
            return note
    if SIGN.search(text):
        return "it quotes a TLS summary but does not begin with one"
    return "not the summary line of a TLS session"
