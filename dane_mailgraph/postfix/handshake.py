"""Reads the summary line of a TLS handshake.

Nothing that a remote side chooses comes at the start of a client's text: each format of smtp(8)
begins with a literal, a queue ID, a host name or `warning: `. So a pattern that must match the
whole text from its start cannot be fooled by a reply, an address, a certificate or a header that
quotes a summary line.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..categories import BY_KEY, Category
from ..peers import RELAY

# ---- the summary line -----------------------------------------------------------------------

_WRAPPED = re.compile(
    rb"""
    (?: \[ID\ \d{1,9}\ \S+\][ ] | )                               # Solaris
    (?: message\ repeated\ (?P<times>\d{1,9})\ times:\ \[[ ]      # rsyslog's RepeatedMsgReduction
        (?P<repeated> .*) \]
      | (?P<text> .*) )
    """,
    re.VERBOSE | re.DOTALL,
)


def unwrap(text: bytes) -> tuple[int, bytes]:
    """Return how often Postfix wrote a text, and the text without what syslogs put around it."""
    if not text.startswith((b"[", b"m")):  # nearly every text
        return 1, text
    match = _WRAPPED.fullmatch(text)
    assert match is not None
    if match["times"] is None:
        return 1, match["text"]
    return int(match["times"]), match["repeated"]


_HANDSHAKE = re.compile(
    rb"""
    (?P<protocol> SSLv3 | TLSv1 (?: \.[123] )? )               # SSL_get_version(3)
    \ with\ cipher\ (?P<cipher> \S+ )\ \(\d+/\d+\ bits\)
    (?: \ key-exchange\ (?P<group> \S+ )                        # TLS 1.3, Postfix 3.4 and later
        (?: \ \( (?P<curve> [^)]* ) \) )? )?
    (?: \ [^\n]* )?                                             # signatures, digests: any names
    """,
    re.VERBOSE,
)

_SUMMARY = re.compile(
    rb"""
    (?P<label> Verified | Trusted | Untrusted | Anonymous )     # tls_log_summary() in tls_misc.c
    \ TLS\ connection\ (?P<verb> established | reused )\ to[ ]
    (?P<relay>"""
    + RELAY
    + rb"""):\ (?P<handshake> .* )""",
    re.VERBOSE | re.DOTALL,
)

_FROM_CLIENT = re.compile(
    rb"(?: :\d{1,5} )? (?: \ to\ \S+ )? :\ (?P<handshake> .* )", re.VERBOSE | re.DOTALL
)


class Handshake(NamedTuple):
    """What a summary line says of a handshake."""

    protocol: str
    key_exchange: str
    """A category of the family `key_exchange`."""


class Summary(NamedTuple):
    """A handshake that Postfix's client finished, or a further use of a connection."""

    label: str
    """`Verified`, `Trusted`, `Untrusted` or `Anonymous`."""
    reused: bool
    relay: bytes
    """As the delivery lines of this connection name it."""
    protocol: str
    key_exchange: str
    """A category of the family `key_exchange`."""


def summary(text: bytes) -> Summary | None:
    """Read the summary line of a client's TLS session; return None for any other text.

    The formats are those of Postfix 2.5 to 3.12. Before 2.5 there is no label, so no category.
    """
    match = _SUMMARY.fullmatch(text)
    said = _handshake(match["handshake"]) if match else None
    if match is None or said is None:
        return None
    return Summary(match["label"].decode(), match["verb"] == b"reused", match["relay"], *said)


def from_client(said: bytes) -> Handshake | None:
    """Read what follows the client in the summary line of `smtpd`; None for any other text.

    Its port may follow (smtpd_client_port_logging), and the server's name (SNI, Postfix 3.4).
    """
    match = _FROM_CLIENT.fullmatch(said)
    return _handshake(match["handshake"]) if match else None


@lru_cache(200)
def _handshake(said: bytes) -> Handshake | None:
    """Read how a summary line ends: in few ways, whoever the other side is."""
    match = _HANDSHAKE.fullmatch(said)
    if match is None:
        return None
    protocol, cipher, group, curve = (
        (match[name] or b"").decode("ascii", "replace")
        for name in ("protocol", "cipher", "group", "curve")
    )
    named = f"{group} {curve}"
    key_exchange = _of_group(named) if protocol == "TLSv1.3" else _of_cipher(cipher)
    return Handshake(protocol, key_exchange)


_SUMMARY_BEGIN = re.compile(rb"(?:[A-Z][a-z]+ )?TLS connection (established|reused) to ")


def summary_verb(text: bytes) -> bytes:
    """Return `established` or `reused` where a text begins like a summary line, or nothing.

    Before Postfix 2.5 such a line has no label, and names the host alone.
    """
    match = _SUMMARY_BEGIN.match(text)
    return match[1] if match else b""


_LABELLED = re.compile(rb"(?:Verified|Trusted|Untrusted|Anonymous) TLS\b")


def begins_as_summary(text: bytes) -> bool:
    """Return whether a text has the label of a summary line, whatever follows."""
    return bool(_LABELLED.match(text))


# OpenSSL's group names: `ECDHE (P-256)`, `X25519` of Postfix 3.4, `secp256r1`, `ffdhe2048`,
# `X25519MLKEM768` of 3.10 with OpenSSL 3.
_GROUPS = (
    ("post_quantum", re.compile(".*(mlkem|kyber)", re.IGNORECASE)),
    (
        "ecdh",
        re.compile(
            r"(ecdhe?|x25519|x448|sec[pt]\d{3}[rk]\d|prime\d{3}v\d|brainpoolp\d{3}[rt]1(tls13)?"
            r"|[pbk]-\d{3}|(curve)?sm2|gc(256|512)[a-d])\b|c2|wap-",
            re.I,
        ),
    ),
    ("dh", re.compile(r"dhe?\b|ffdhe|modp", re.IGNORECASE)),
)

# OpenSSL's cipher names up to TLS 1.2 (ciphers(1)); those without a prefix carry the key by RSA.
# What PSK, SRP, GOST and Kerberos do is none of these.
_CIPHERS = (
    ("ecdh", re.compile("A?ECDHE?-")),
    ("dh", re.compile("(EXP-|EXP1024-)?(A?DHE?|EDH)-")),
    ("rsa", re.compile(r"(EXP-|EXP1024-)?(AES|CAMELLIA|ARIA|SEED|IDEA|DES|RC|NULL)\d*-", re.ASCII)),
)


@lru_cache(1000)
def _of_group(name: str) -> str:
    return next((category for category, pattern in _GROUPS if pattern.match(name)), "unknown")


@lru_cache(1000)
def _of_cipher(name: str) -> str:
    return next((category for category, pattern in _CIPHERS if pattern.match(name)), "unknown")


# ---- the version ----------------------------------------------------------------------------

_VERSION = re.compile(rb"(\d{1,4})\.(\d{1,4})")


def quotes_addresses(version: bytes) -> bool:
    """Return whether Postfix of this version quotes addresses: 3.5 (info_log_address_format)."""
    match = _VERSION.match(version)
    return match is not None and (int(match[1]), int(match[2])) >= (3, 5)


# ---- what it counts as ----------------------------------------------------------------------


def categories(summary: Summary) -> tuple[Category, ...]:
    """Return what a session counts as: one category of each family, or `reused` alone."""
    if summary.reused:
        return (BY_KEY["connections.reused"],)
    return (BY_KEY[f"connections.{summary.label.lower()}"], *_categories(summary))


def inbound_categories(handshake: Handshake) -> tuple[Category, ...]:
    """Return what a client's handshake with `smtpd` counts as: one category of each family."""
    return _categories(handshake, "inbound_")


def _categories(said: Summary | Handshake, direction: str = "") -> tuple[Category, ...]:
    return (
        BY_KEY[f"{direction}protocols.{said.protocol.lower().replace('.', '_')}"],
        BY_KEY[f"{direction}key_exchange.{said.key_exchange}"],
    )
