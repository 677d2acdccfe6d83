"""A client's text becomes what happened to one recipient's mail, or the end of a session; every pattern beside its reader.

A delivery line is `QID: to=<R>[, orig_to=<O>], relay=RELAY[, conn_use=N], delay=D, delays=A/B/C/D[, tls=T], dsn=X.Y.Z,
status=S (REASON)` (log_adhoc() in log_adhoc.c). Two of its parts are strangers' to choose: the addresses and the reason.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

from ..categories import BY_KEY, Category

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
_DOMAIN = re.compile(rb"@([A-Za-z0-9._-]{1,255})\Z")


class Delivery(NamedTuple):
    """One way to read what became of one recipient's mail."""

    queue: bytes
    """The queue id."""
    address: bytes
    """The recipient's, as it stands there."""
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

    @property
    def domain(self) -> str:
        """The recipient's, in lower case; empty where it has none of a domain's characters."""
        found = _DOMAIN.search(self.address)
        return found[1].decode("ascii").lower() if found else ""


_PLAIN = r'[^ "<>\n]*'  # an address in which nothing can hide


def _usual(relay: str, spent: str, status: str) -> str:
    """The pattern of a line that can be read in one way only, with those of its parts."""
    # `(?:x|)` is much faster than `(?:x)?`.
    return rf"""
        ({_QUEUE}):\ to=<{_PLAIN}>,\ (?:relay|orig_to=<{_PLAIN}>,\ relay)=({relay}(?:,\ conn_use=[0-9]{{1,9}}|))
        ,\ delay=[0-9.]+,\ delays=({spent})
        ,\ (?:dsn|tls=([^,\s]+),\ dsn)=[0-9.]+,\ status={status}\ \(
        (?!.*>,\ relay=)                                       # nor does anything hide in the reply
    """


_RELAY, _SPENT = r"[^,\s]+", "[0-9.]+/[0-9.]+/[0-9.]+/[0-9.]+"

CUT = 2000
"""Bytes at which Postfix cuts its text (MSG_SYSLOG_RECLEN): what could be read otherwise may be gone."""

TEXT = rf"(?: (?={_usual('[^,]+', '[0-9./]+', 'sent')}) .{{0,{CUT - 1}}} | (.*) )"
"""The pattern of a text, verbose, to be followed by its end: nearly all lines of mail that was sent can be read in one way.

Their groups are queue id, relay with conn_use, delays and tls; the last group is any other text, and then the first is empty.
The patterns of relay and delays take more than Postfix writes, because they are faster than the right ones. Where a line is
torn within its relay, that may run into the next line. What stands there is to be compared with what is right, or to
be looked at by `damaged`.
"""


_WAYS = CUT // len(">, relay=x, delay=1, status=x (")
"""More ways to read a line are in none of Postfix's."""


def queued(text: bytes) -> tuple[bytes, bool] | None:
    """The queue id that a text begins with, and whether it is about a recipient; None where there is none."""
    match = _QUEUED.match(text)
    return (match[1], match[2] is not None) if match else None


_SOUND = re.compile(rf"{_RELAY}(?:, conn_use=[0-9]{{1,9}})?, {_SPENT}".encode())


def damaged(relay: bytes, spent: bytes) -> bool:
    """Whether these parts of a usual line are none that Postfix writes."""
    return not _SOUND.fullmatch(b"%s, %s" % (relay, spent))


def uses(relay: bytes) -> tuple[bytes, int]:
    """The relay of a usual line and its conn_use apart."""
    relay, _, number = relay.partition(b", conn_use=")
    return relay, int(number or 1)


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
    if original := _ORIGINAL.match(text, at):
        at = _past_quoted(text, original.end())
    if text.startswith(b'"', at):
        return []  # the line has been cut inside the quoted address, and all that follows is of the address
    return [
        _of(head[1], text, begin, fields) for fields in islice(_FIELDS.finditer(text, at), _WAYS)
    ]


def _past_quoted(text: bytes, at: int) -> int:
    match = _QUOTED.match(text, at)
    return match.end() if match else at


def _of(queue: bytes, text: bytes, begin: int, fields: re.Match[bytes]) -> Delivery:
    return Delivery(
        queue=queue,
        address=text[begin : fields.start()].partition(b">, orig_to=<")[0],
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


def protected(tls: bytes) -> Category | None:
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


_REASONS = (
    ("certificate", r"Server\ certificate\ not\ (?:verified|trusted)"),
    ("dane_lookup", r"TLSA\ lookup\ error\ for\ "),
    ("dane_required", r"no\ TLSA\ records\ found|non\ DNSSEC\ destination|TLSA\ records\ unusable"),
    ("dane_required", r"Verification\ not\ possible,\ MX\ RRset\ is\ insecure"),
    (
        "starttls",
        r"TLS\ is\ required,\ but\ (?:was\ not\ offered\ by\ host\ |host\ \S+\ refused\ to\ start\ TLS)",
    ),
    ("handshake", r"Cannot\ start\ TLS:\ handshake\ failure"),
    ("requiretls", r"Sender\ requested\ REQUIRETLS,\ but"),
    (
        "local",
        r"TLS\ is\ required,\ but\ (?:our\ TLS\ engine\ is\ )?unavailable|client\ TLS\ configuration\ problem",
    ),
)

_REASON = re.compile("|".join(f"({pattern})" for _, pattern in _REASONS).encode(), re.VERBOSE)

_CATEGORIES = [BY_KEY[f"failures.{name}"] for name, _ in _REASONS]

FAILED = (b"deferred", b"bounced", b"SOFTBOUNCE")
"""What Postfix says of a recipient that was not delivered to; there are others of address verification."""

_REFUSED = re.compile(
    (
        _usual(_RELAY, _SPENT, "(?:deferred|bounced|SOFTBOUNCE)")
        + f"(?!{'|'.join(pattern for _, pattern in _REASONS)})"
    ).encode(),
    re.VERBOSE,
)


def refused(text: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Queue id, relay with conn_use, and delays of a usual line whose recipient was not delivered to for other reasons."""
    match = _REFUSED.match(text)
    return (match[1], match[2], match[3]) if match else None


_LOOKED_UP = re.compile(rb"TLSA lookup error for ([A-Za-z0-9._-]{1,255}):\d+\)")


def failure(reason: bytes) -> Category | None:
    """The TLS or DANE reason for which a mail was deferred or bounced; None where it is another one."""
    match = _REASON.match(reason)
    return _CATEGORIES[(match.lastindex or 0) - 1] if match else None


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
