"""Reads from a client's text what became of one recipient's mail, or that a session has ended.

A line about a recipient is written by `log_adhoc()` in `log_adhoc.c`:

    QID: to=<R>[, orig_to=<O>], relay=RELAY[, conn_use=N], delay=D, delays=A/B/C/D[, tls=T],
    dsn=X.Y.Z, status=S (REASON)

Strangers choose two of its parts: the addresses and the reason.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

from ..categories import BY_KEY, Category

# Short or long; a long queue ID has no vowels (mail_queue.h).
_QUEUE_ID = r"(?:[0-9A-F]{5,}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,})"

_BEGINNING = re.compile(rf"({_QUEUE_ID}): (?:(to=<)|.*)".encode(), re.DOTALL)

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"(?=@|>)|')

_FIELDS = re.compile(
    rb"""
    >,\ relay=(?P<relay> [^,\s]+)
    (?:,\ conn_use=(?P<conn_use> \d{1,9}))?
    ,\ delay=[\d.]+
    (?:,\ delays=(?P<delays> [\d.]+/[\d.]+/[\d.]+/[\d.]+))?     # Postfix 2.3 and later
    (?:,\ tls=(?P<tls> [^,\s]+))?                              # Postfix 3.11 and later
    (?:,\ dsn=[\d.]+)?
    ,\ status=(?P<status> [A-Za-z-]+)\ \(
    """,
    re.VERBOSE,
)

_ORIGINAL = re.compile(rb"[^\s\"<>]*>, orig_to=<")
_DOMAIN = re.compile(rb"@([A-Za-z0-9._-]{1,255})\Z")


class Delivery(NamedTuple):
    """One way to read a line about a recipient."""

    queue_id: bytes
    address: bytes
    """The recipient's, as the line has it; empty where it was not looked at."""
    relay: bytes
    """`HOST[ADDRESS]:PORT`, or `none` where no server was reached."""
    conn_use: int
    """How many deliveries the connection has carried so far; 1 for a new one."""
    delays: bytes | None
    """`A/B/C/D` in seconds: C + D lie between the hand-over to the client and this line.

    None before Postfix 2.3.
    """
    tls: bytes
    """The field `tls`; empty before Postfix 3.11."""
    status: bytes
    reason: bytes

    @property
    def domain(self) -> str:
        """The recipient's domain in lower case; empty where it has other characters."""
        found = _DOMAIN.search(self.address)
        return found[1].decode("ascii").lower() if found else ""


# ---- the usual line -------------------------------------------------------------------------

_REASONS = (
    ("certificate", r"Server\ certificate\ not\ (?:verified|trusted)"),
    ("dane_lookup", r"TLSA\ lookup\ error\ for\ "),
    ("dane_required", r"no\ TLSA\ records\ found|non\ DNSSEC\ destination|TLSA\ records\ unusable"),
    ("dane_required", r"Verification\ not\ possible,\ MX\ RRset\ is\ insecure"),
    (
        "starttls",
        r"TLS\ is\ required,\ but\ "
        r"(?:was\ not\ offered\ by\ host\ |host\ \S+\ refused\ to\ start\ TLS)",
    ),
    ("handshake", r"Cannot\ start\ TLS:\ handshake\ failure"),
    ("requiretls", r"Sender\ requested\ REQUIRETLS,\ but"),
    (
        "local",
        r"TLS\ is\ required,\ but\ (?:our\ TLS\ engine\ is\ )?unavailable"
        r"|client\ TLS\ configuration\ problem",
    ),
)

_ANY_REASON = "|".join(pattern for _, pattern in _REASONS)
_REASON = re.compile("|".join(f"({pattern})" for _, pattern in _REASONS).encode(), re.VERBOSE)

_CATEGORIES = [BY_KEY[f"failures.{name}"] for name, _ in _REASONS]

_PLAIN = r'[^ "<>\n]*'  # an address in which nothing can hide


CUT = 2000
"""Bytes at which Postfix cuts its text (MSG_SYSLOG_RECLEN), and another way to read it with it."""

# `(?:x|)` is much faster than `(?:x)?`.
_USUAL = rf"""
    ({_QUEUE_ID}):\ to=<{_PLAIN}>,\ (?:relay|orig_to=<{_PLAIN}>,\ relay)
    =([^,]+(?:,\ conn_use=[0-9]{{1,9}}|))
    ,\ delay=[0-9.]+,\ delays=([0-9.]+/[0-9.]+/[0-9.]+/[0-9.]+)
    ,\ (?:dsn|tls=([^,\s]+),\ dsn)=[0-9.]+
    ,\ status=(sent|(?:deferred|bounced|SOFTBOUNCE)(?!\ \((?:{_ANY_REASON})))\ \(
    (?!.*>,\ relay=)                                           # nothing hides in the reply
"""

TEXT = rf"(?: (?={_USUAL}) .{{0,{CUT - 1}}} | (.*) )"
"""The pattern of a text, verbose, to be followed by its end.

Nearly all lines about recipients have the usual form, which can be read in one way only: mail was
sent, or it was not and TLS and DANE are not the reason. The groups of such a line are queue ID,
relay with conn_use, delays, tls and status. The last group is any other text, and then the other
groups are empty. The pattern of the relay takes more than Postfix writes, because it is faster than
the right one: where a line is torn within its relay, it may run into the next line. So the relay is
to be compared with a right one, or given to `usual_delivery`.
"""

_WAYS = CUT // len(">, relay=x, delay=1, status=x (")
"""A line of Postfix's cannot be read in more ways."""


_TO_SERVER = re.compile(
    rf"{_QUEUE_ID}: to=<.*>, relay=[^,\s]+\[[^\]\s]+\]:\d+, .*status="
    r"(?:sent|deferred|bounced|SOFTBOUNCE) \(".encode()
)


def names_server(text: bytes) -> bool:
    """Return whether a text is about a recipient at a server, as only SMTP clients write."""
    return bool(_TO_SERVER.match(text))


def queue_id(text: bytes) -> tuple[bytes, bool] | None:
    """Return the queue ID that a text begins with, and whether the text is about a recipient."""
    match = _BEGINNING.match(text)
    return (match[1], match[2] is not None) if match else None


_RELAY_AND_USE = re.compile(rb"([^,\s]+)(?:, conn_use=([0-9]{1,9}))?")


def usual_delivery(
    queue_id: bytes, relay: bytes, delays: bytes, tls: bytes, status: bytes
) -> Delivery | None:
    """Return the delivery that the groups of a usual line are of; None where its relay is torn."""
    match = _RELAY_AND_USE.fullmatch(relay)
    if match is None:
        return None
    return Delivery(queue_id, b"", match[1], int(match[2] or 1), delays, tls, status, b"")


def readings(text: bytes) -> list[Delivery]:
    """Return all ways to read a line about a recipient; none for a text that is no whole one.

    Before Postfix 3.5 addresses were not quoted, so that an address can hold all that follows an
    address. Of any version the reply can hold what looks like that. Only one way is the truth.
    """
    head = _BEGINNING.match(text)
    if head is None or head[2] is None:
        return []
    begin = head.end()
    at = _past_quoted(text, begin)
    if original := _ORIGINAL.match(text, at):
        at = _past_quoted(text, original.end())
    if text.startswith(b'"', at):
        return []  # the line was cut inside the quoted address
    ways = islice(_FIELDS.finditer(text, at), _WAYS)
    return [_delivery(head[1], text, begin, fields) for fields in ways]


def _past_quoted(text: bytes, at: int) -> int:
    match = _QUOTED.match(text, at)
    return match.end() if match else at


def _delivery(queue_id: bytes, text: bytes, begin: int, fields: re.Match[bytes]) -> Delivery:
    return Delivery(
        queue_id=queue_id,
        address=text[begin : fields.start()].partition(b">, orig_to=<")[0],
        relay=fields["relay"],
        conn_use=int(fields["conn_use"] or 1),
        delays=fields["delays"],
        tls=fields["tls"] or b"",
        status=fields["status"],
        reason=text[fields.end() :],
    )


# ---- how it went ----------------------------------------------------------------------------

_LEVELS = {
    b"none": "deliveries.plaintext",
    b"may": "deliveries.encrypted",
    b"encrypt": "deliveries.encrypted",
    b"fingerprint": "deliveries.verified",
    b"verify": "deliveries.verified",
    b"secure": "deliveries.verified",
    b"halfdane": "deliveries.half_dane",
    b"dane": "deliveries.dane",
    b"dane-only": "deliveries.dane",
}


UNAUTHENTICATED = {
    label: BY_KEY[f"deliveries.{label.lower()}"] for label in ("Trusted", "Untrusted", "Anonymous")
}
"""Label of a session -> what a delivery over it counts as."""

_UNDECIDED = {
    (b"dane?", "deliveries.verified"): "deliveries.dane",
    (b"dane-only?", "deliveries.verified"): "deliveries.dane",
    (b"halfdane?", "deliveries.trusted"): "deliveries.half_dane",
}
"""Field `tls` of a reused connection, and what its session alone says -> what both say."""


def category_by_tls(tls: bytes, session: Category | None = None) -> Category | None:
    """Return what mail that was sent counts as by its field `tls`; None where that is not sure.

    The field is `LEVEL[:FINAL][?][/REQUIRETLS]`: a level that was downgraded stands before the
    final one, and `?` means undecided: the connection was reused.

    Args:
        tls: the field.
        session: what the session that the mail went over says alone; None if it is unknown.
    """
    level, _, final = tls.partition(b"/")[0].rpartition(b":")
    if level not in (b"", *_LEVELS):
        return None
    if final.endswith(b"?"):
        key = _UNDECIDED.get((final, session.key)) if session else None
    else:
        key = _LEVELS.get(final)
        if key == "deliveries.encrypted" and session in UNAUTHENTICATED.values():
            return session
    return BY_KEY[key] if key else None


def demands_tls(tls: bytes) -> bool:
    """Return whether nothing is sent as plaintext at the level of a field `tls`, decided or not."""
    level = tls.partition(b"/")[0].rstrip(b"?").partition(b":")[0]
    return level in _LEVELS and level not in (b"none", b"may")


FAILED = (b"deferred", b"bounced", b"SOFTBOUNCE")
"""The statuses of a recipient that mail was not delivered to; address verification has others."""

_LOOKED_UP = re.compile(rb"TLSA lookup error for ([A-Za-z0-9._-]{1,255}):\d+\)")


def failure_category(reason: bytes) -> Category | None:
    """Return the TLS or DANE reason for which mail was deferred or bounced; None for any other."""
    match = _REASON.match(reason)
    return _CATEGORIES[(match.lastindex or 0) - 1] if match else None


def server_looked_up(reason: bytes) -> str:
    """Return the server, in lower case, whose TLSA records could not be looked up; or nothing."""
    named = _LOOKED_UP.match(reason)
    return named[1].decode("ascii").lower() if named else ""


# ---- the end of a session -------------------------------------------------------------------

_SESSION_ENDS = re.compile(
    rf"""
    {_QUEUE_ID}:\ (?:
        lost\ connection\ with[ ]
      | conversation\ with\ \S+\ timed\ out\ while[ ]
      | local\ data\ error\ while\ talking\ to[ ]
      | Cannot\ start\ TLS:\ handshake\ failure )
    """.encode(),
    re.VERBOSE,
)


_HANDSHAKE_FAILED = re.compile(rf"{_QUEUE_ID}: Cannot start TLS: handshake failure".encode())
_REFUSED = re.compile(rf"{_QUEUE_ID}: Server certificate not (?:verified|trusted)".encode())


def handshake_failed(text: bytes) -> bool:
    """Return whether a message is tried again at once because its handshake failed."""
    return bool(_HANDSHAKE_FAILED.match(text))


def refuses_certificate(text: bytes) -> bool:
    """Return whether a server was left for its certificate, and the message goes on to the next."""
    return bool(_REFUSED.match(text))


_TLSRPT = re.compile(
    rb"TLSRPT: status=failure, domain=(?P<domain>[A-Za-z0-9._-]{1,253})"
    rb"(?:, receiving_mx=(?P<relay>[^,\s]+))?"
    rb", failure_type=(?P<type>[A-Za-z0-9_-]{1,40})"
    rb"(?:, failure_reason=(?P<reason>[!-~ ]{1,80}))?"
)


class TlsrptFailure(NamedTuple):
    """A failure that Postfix reports by TLSRPT (tls_stats.c, 3.10 and later)."""

    relay: bytes
    """Empty where no server was reached."""
    domain: str
    """The policy domain."""
    detail: str


def tlsrpt_failure(text: bytes) -> TlsrptFailure | None:
    """Read what Postfix reports of a failure; None for any other text."""
    match = _TLSRPT.fullmatch(text)
    if match is None:
        return None
    domain, kind, reason = (
        (match[name] or b"").decode("ascii", "replace") for name in ("domain", "type", "reason")
    )
    detail = f"{domain}: {kind} ({reason})" if reason else f"{domain}: {kind}"
    return TlsrptFailure(match["relay"] or b"", domain.lower(), detail)


def ends_session(text: bytes) -> bool:
    """Return whether a session has broken and its message is tried again at once.

    Perhaps with the same server and without TLS: `RETRY_AS_PLAINTEXT` in `smtp_trouble.c` and
    `smtp_proto.c`. Such a line has no `to=`.
    """
    return bool(_SESSION_ENDS.match(text))
