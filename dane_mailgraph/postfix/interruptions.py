"""Finds the lines that change what sessions tell.

Postfix was started or reloaded, lines were lost, or tlsproxy made a connection for a client.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..log import heads
from .handshake import quotes_addresses
from .sessions import Sessions

_WRITERS = re.compile(rb"\[(?<=(ter|oxy|ald|fix)\[)")
"""What lines of `master[`, `tlsproxy[`, `systemd-journald[` and of a tag cut to `postfix[` hold,
except in RFC 5424.

It begins with the bracket because re looks for a single byte fast: 0.45 s a GB, where a search for
three words takes 1.1 s.
"""

CUT_TAG = b"fix"
"""What `writers` finds where a tag was cut to the package's name."""

_LOST = b" due to rate-limiting"
"""What a line of rsyslogd holds that tells of lost lines."""

_INTERRUPTION = heads.compiled(
    rf"""
    ^(?:<\d{{1,3}}>1\ )?{heads.STAMP} (?:
        \ ({heads.HOST}\ {heads.NAME})(?:
            master(?:\[\d+\]:|\ \d+\ \S+\ {heads.DATA})
                \ (daemon\ started|reload)\ --\ version\ ([^, ]+)     # master.c
          | tlsproxy(?:\[\d+\]:|\ \d+\ \S+\ {heads.DATA})
                \ (?:CONNECT\ to\ (\[[^\]\s]+\]:\d+)$
                  | [A-Z][a-z]+\ TLS\ connection\ established\ to
                      \ [^\[\s]*(\[[^\]\s]+\]:\d+):\ ) )
      | \ {heads.HOST}\ (?:rsyslogd|systemd-journald) \S*\ (?:
            .*\ due\ to\ rate-limiting | .*Suppressed\ \d+\ messages\ from\ ) )
    """
)


class Interruption(NamedTuple):
    """A line that tells of a start or reload of Postfix, of lost lines, or of tlsproxy."""

    begin: int
    """Where the line begins in its block."""
    stamp: bytes
    offset: bytes
    instance: bytes
    """`HOST SYSLOG_NAME/` of the Postfix that wrote it; empty where lines were lost."""
    what: bytes
    """`daemon started` or `reload`."""
    version: bytes
    """Of that Postfix."""
    connecting: bytes
    """`[ADDRESS]:PORT` to which tlsproxy connects for a client."""
    established: bytes
    """The same where tlsproxy logged a handshake."""


def writers(block: bytearray, end: int) -> set[bytes]:
    """Return the ends of the names of those who wrote lines in `block[:end]` that are rare."""
    return set(_WRITERS.findall(block, 0, end))


def interruptions(
    block: bytearray, end: int, found: set[bytes] | None = None
) -> list[Interruption]:
    """Return the interruptions in `block[:end]`, in order; `found` is what `writers` found."""
    found = writers(block, end) if found is None else found
    if not (found - {CUT_TAG} or heads.holds_rfc5424(block, end) or block.find(_LOST, 0, end) >= 0):
        return []
    return [
        Interruption(each.start(), *each.groups(b""))
        for each in _INTERRUPTION.finditer(block, 0, end)
    ]


def interrupt(sessions: Sessions, interruption: Interruption, at: int | None) -> None:
    """End the sessions that an interruption ends; `at` is when it was logged, if that is known."""
    if interruption.connecting or interruption.established:
        host = interruption.instance.partition(b" ")[0]
        peer = interruption.connecting or interruption.established
        sessions.note_tlsproxy(host, peer, 1 if interruption.connecting else -1)
    elif interruption.what == b"reload":
        sessions.reload(interruption.instance, at)
    elif interruption.instance:
        quotes = quotes_addresses(interruption.version)
        sessions.start(interruption.instance, quotes_addresses=quotes)
    elif at is not None:
        sessions.begin(at)
