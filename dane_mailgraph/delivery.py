"""A client's text becomes what happened to one recipient's mail, or the end of a session; every pattern beside its reader.

A delivery line is `QID: to=<R>[, orig_to=<O>], relay=RELAY[, conn_use=N], delay=D, delays=A/B/C/D[, tls=T], dsn=X.Y.Z,
status=S (REASON)` (log_adhoc() in log_adhoc.c). Two of its parts are strangers' to choose: the addresses and the reason.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .counted import BY_KEY, Counted

_QUEUE = r"(?:[0-9A-F]{5,}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,})"  # the long one has no vowels (mail_queue.h)

_QUEUED = re.compile(rf"({_QUEUE}): (?:(to=<)|.*)".encode(), re.DOTALL)

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"(?=@|>)|')

_FIELDS = re.compile(
    rb"""
    >,\ relay=(?P<relay> [^,\s]+)
    (?:,\ conn_use=(?P<uses> \d{1,9}))?
    ,\ delay=[\d.]+
    (?:,\ delays=(?P<spent> [\d.]+/[\d.]+/[\d.]+/[\d.]+))?                           # Postfix 2.3 and later
    (?:,\ tls=(?P<tls> [^,\s]+))?                               # Postfix 3.11 and later
    (?:,\ dsn=[\d.]+)?
    ,\ status=(?P<status> [A-Za-z-]+)\ \(
    """,
    re.VERBOSE,
)

_ORIGINAL = re.compile(rb"[^\s\"<>]*>, orig_to=<")
_SPECIAL = re.compile(rb"[\s<>]")
_DOMAIN = re.compile(rb"@([A-Za-z0-9._-]{1,255})\Z")


class Delivery(NamedTuple):
    """One way to read what became of one recipient's mail."""

    queue: bytes
    """The queue id."""
    domain: str
    """The recipient's, in lower case; empty where it has none of a domain's characters."""
    plain: bool
    """The recipient's address has a domain, and nothing can hide in it."""
    relay: bytes
    """`HOST[ADDRESS]:PORT`, or `none` where no server was reached."""
    uses: int
    """How many deliveries the connection has carried by now (conn_use); 1 for a new one."""
    spent: bytes | None
    """`A/B/C/D`, the delays: C + D are the seconds from the hand-over to the client until this line. None before 2.3."""
    tls: bytes
    """The field `tls`, or nothing before Postfix 3.11."""
    status: bytes
    reason: bytes


_USUAL = re.compile(
    rf"""
    ({_QUEUE}):\ to=<[^\ "<>]*>(?:,\ orig_to=<[^\ "<>]*>)?       # addresses that nothing can hide in
    ,\ relay=([^,\s]+(?:,\ conn_use=\d{{1,9}})?)
    ,\ delay=[\d.]+,\ delays=([\d.]+/[\d.]+/[\d.]+/[\d.]+)
    (?:,\ tls=([^,\s]+))?
    ,\ dsn=[\d.]+,\ status=(?:sent|(deferred|bounced|SOFTBOUNCE))\ \(
    (?!.*>,\ relay=)                                           # nor anything in the reply
    """.encode(),
    re.VERBOSE,
)

usual = _USUAL.match
"""Nearly all delivery lines, which can be read in one way only: the groups are queue id, relay with conn_use, delays,
tls, and the status unless it is `sent`. The reason follows the match."""

CUT = 2000
"""Bytes at which Postfix cuts its text (MSG_SYSLOG_RECLEN): what could be read otherwise may be gone."""

SENT = 3
"""The last group of a usual line of a mail that was sent, without the field tls."""


def queued(text: bytes) -> tuple[bytes, bool] | None:
    """The queue id that a text begins with, and whether it is about a recipient; None where there is none."""
    match = _QUEUED.match(text)
    return (match[1], match[2] is not None) if match else None


def uses(relay: bytes) -> tuple[bytes, int]:
    """The relay of a usual line and its conn_use apart."""
    relay, _, number = relay.partition(b", conn_use=")
    return relay, int(number or 1)


def domain(text: bytes) -> str:
    """The domain of the recipient of a usual line, in lower case; empty where it has none."""
    found = _DOMAIN.search(text[text.index(b"<") + 1 : text.index(b">")])
    return found[1].decode("ascii").lower() if found else ""


def read(text: bytes) -> list[Delivery]:
    """The ways to read a delivery line; none for what is no whole one.

    Before Postfix 3.5 addresses were not quoted, so that an address can hold all that follows an address; of later ones
    a reply can hold what looks like that. Either makes more than one way, and only one of them is the truth.
    """
    head = _QUEUED.match(text)
    if head is None or head[2] is None:
        return []
    begin = head.end()
    at = _past_quoted(text, begin)
    quoted = at > begin
    if original := _ORIGINAL.match(text, at):
        at = _past_quoted(text, original.end())
    if text.startswith(b'"', at):
        return []  # the line has been cut inside the quoted address, and all that follows is of the address
    return [_of(head[1], text, begin, quoted, fields) for fields in _FIELDS.finditer(text, at)]


def _past_quoted(text: bytes, at: int) -> int:
    match = _QUOTED.match(text, at)
    return match.end() if match else at


def _of(queue: bytes, text: bytes, begin: int, quoted: bool, fields: re.Match[bytes]) -> Delivery:
    address = text[begin : fields.start()].partition(b">, orig_to=<")[0]
    domain = _DOMAIN.search(address)
    return Delivery(
        queue=queue,
        domain=domain[1].decode("ascii").lower() if domain else "",
        plain=bool(domain) and (quoted or not _SPECIAL.search(address)),
        relay=fields["relay"],
        uses=int(fields["uses"] or 1),
        spent=fields["spent"],
        tls=fields["tls"] or b"",
        status=fields["status"],
        reason=text[fields.end() :],
    )


# ---- how it went ----------------------------------------------------------------------------

_LEVELS = {
    b"none": "plaintext",
    b"may": "encrypted",
    b"encrypt": "encrypted",
    b"fingerprint": "verified",
    b"verify": "verified",
    b"secure": "verified",
    b"halfdane": "half_dane",
    b"dane": "dane",
    b"dane-only": "dane",
}


def protected(tls: bytes) -> Counted | None:
    """What the field `tls` says of a mail that was sent; None where it says nothing sure.

    `LEVEL[:FINAL][?][/REQUIRETLS]`: a level that was downgraded stands before the final one, `?` is undecided.
    """
    level, _, final = tls.partition(b"/")[0].rpartition(b":")
    name = _LEVELS.get(final)
    return BY_KEY[f"deliveries.{name}"] if name and level in (b"", *_LEVELS) else None


def demanded(tls: bytes) -> bool:
    """Whether the field `tls` names a level at which nothing is sent in the clear, decided or not."""
    level = tls.partition(b"/")[0].rstrip(b"?").partition(b":")[0]
    return level in _LEVELS and level not in (b"none", b"may")


_REASONS = tuple(
    (BY_KEY[f"failures.{name}"], re.compile(pattern))
    for name, pattern in (
        ("certificate", rb"Server certificate not (?:verified|trusted)"),
        ("dane_lookup", rb"TLSA lookup error for "),
        ("dane_required", rb"no TLSA records found|non DNSSEC destination|TLSA records unusable"),
        ("dane_required", rb"Verification not possible, MX RRset is insecure"),
        ("starttls", rb"TLS is required, but (?:was not offered by host |host \S+ refused to start TLS)"),
        ("handshake", rb"Cannot start TLS: handshake failure"),
        ("requiretls", rb"Sender requested REQUIRETLS, but"),
        ("local", rb"TLS is required, but (?:our TLS engine is )?unavailable|client TLS configuration problem"),
    )
)

FAILED = (b"deferred", b"bounced", b"SOFTBOUNCE")
"""What Postfix says of a recipient that was not delivered to; there are others of address verification."""

_LOOKED_UP = re.compile(rb"TLSA lookup error for ([A-Za-z0-9._-]{1,255}):\d+\)")


def failure(reason: bytes) -> Counted | None:
    """The TLS or DANE reason for which a mail was deferred or bounced; None where it is another one."""
    return next((category for category, pattern in _REASONS if pattern.match(reason)), None)


def sought(reason: bytes) -> str:
    """The server whose TLSA records could not be looked up, in lower case; empty for another reason."""
    named = _LOOKED_UP.match(reason)
    return named[1].decode("ascii").lower() if named else ""


# ---- the end of a session -------------------------------------------------------------------

_BREAKS = re.compile(
    rf"""
    {_QUEUE}:\ (?:
        lost\ connection\ with[ ]
      | conversation\ with\ \S+\ timed\ out\ while[ ]
      | local\ data\ error\ while\ talking\ to[ ]
      | Cannot\ start\ TLS:\ handshake\ failure )
    """.encode(),
    re.VERBOSE,
)


def breaks(text: bytes) -> bool:
    """Whether a session has broken and the message is tried again at once: perhaps with the same server, in the clear.

    RETRY_AS_PLAINTEXT in smtp_trouble.c and smtp_proto.c; the line has no `to=`.
    """
    return bool(_BREAKS.match(text))
