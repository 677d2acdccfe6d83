"""What a log says that ends what is known of sessions: a start of Postfix, lost lines."""

from __future__ import annotations

from typing import NamedTuple

from ..log import heads

_STARTED = b"daemon started -- version "
_LOST = b" due to rate-limiting", b": Suppressed "
_DAEMONS = b" rsyslogd", b" systemd-journald["

_INTERRUPTION = heads.compiled(
    rf"""
    ^(?:<\d{{1,3}}>1\ )?{heads.STAMP} (?:
        \ ({heads.HOST}\ {heads.NAME})master(?:\[\d+\]:|\ \d+\ \S+\ {heads.DATA})\ daemon\ started\ --\ version\ ([^, ]+)     # master.c
      | \ {heads.HOST}\ (?:rsyslogd|systemd-journald) \S*\ (?:
            .*\ due\ to\ rate-limiting | .*Suppressed\ \d+\ messages\ from\ ) )
    """
)


class Interruption(NamedTuple):
    """What a line says that ends what has been known of sessions: Postfix was started, or lines have been lost."""

    begin: int
    """Where the line begins."""
    stamp: bytes
    offset: bytes
    started: bytes
    """Host and syslog name, with the slash, of the Postfix that was started; empty where lines have been lost."""
    version: bytes
    """Its version."""


def interruptions(block: bytearray, end: int, *, told: bool = True) -> list[Interruption]:
    """The interruptions in `block[:end]`; where the daemon has not `told` of anything, it has lost nothing either."""
    if all(
        block.find(words, 0, end) < 0 for words in ((_STARTED, *_LOST) if told else (_STARTED,))
    ):
        return []
    found = _INTERRUPTION.finditer(block, 0, end)
    return [Interruption(each.start(), *each.groups(b"")) for each in found]


def by_the_daemon(block: bytearray, end: int) -> bool:
    """Whether the syslog daemon itself, which says when it has lost lines, writes into this log too."""
    return any(block.find(words, 0, end) >= 0 for words in _DAEMONS)
