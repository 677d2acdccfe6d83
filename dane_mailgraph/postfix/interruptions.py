"""Finds the lines that end sessions: Postfix was started, or lines were lost."""

from __future__ import annotations

from typing import NamedTuple

from ..log import heads
from .handshake import quotes_addresses
from .sessions import Sessions

_STARTED = b"daemon started -- version "
_LOST = b" due to rate-limiting", b": Suppressed "

_INTERRUPTION = heads.compiled(
    rf"""
    ^(?:<\d{{1,3}}>1\ )?{heads.STAMP} (?:
        \ ({heads.HOST}\ {heads.NAME})master(?:\[\d+\]:|\ \d+\ \S+\ {heads.DATA})
            \ daemon\ started\ --\ version\ ([^, ]+)     # master.c
      | \ {heads.HOST}\ (?:rsyslogd|systemd-journald) \S*\ (?:
            .*\ due\ to\ rate-limiting | .*Suppressed\ \d+\ messages\ from\ ) )
    """
)


class Interruption(NamedTuple):
    """A line that says that Postfix was started, or that the syslog daemon has lost lines."""

    begin: int
    """Where the line begins in its block."""
    stamp: bytes
    offset: bytes
    instance: bytes
    """`HOST SYSLOG_NAME/` of the Postfix that was started; empty where lines were lost."""
    version: bytes
    """Of that Postfix."""


def interruptions(block: bytearray, end: int) -> list[Interruption]:
    """Return the interruptions in `block[:end]`, in order."""
    if all(block.find(words, 0, end) < 0 for words in (_STARTED, *_LOST)):
        return []
    return [
        Interruption(each.start(), *each.groups(b""))
        for each in _INTERRUPTION.finditer(block, 0, end)
    ]


def interrupt(sessions: Sessions, interruption: Interruption, at: int | None) -> None:
    """End the sessions that an interruption ends; `at` is when it was logged, if that is known."""
    if interruption.instance:
        quotes = quotes_addresses(interruption.version)
        sessions.start(interruption.instance, quotes_addresses=quotes)
    elif at is not None:
        sessions.begin(at)
