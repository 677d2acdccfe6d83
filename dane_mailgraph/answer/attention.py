"""Relays without protection, and the command that asks one of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from ..categories import AUTHENTICATED_DELIVERIES, DELIVERIES, FAILURES, HANDSHAKES, Category
from ..store import OTHER, RelayCounts
from .figures import PLAINTEXT, VERIFIED


class Unprotected(NamedTuple):
    """The relays that lack protection in one way."""

    name: str
    title: str
    meaning: str
    relays: tuple[RelayCounts, ...]
    """The most lines first, then by name."""


_AUTHENTICATED = *VERIFIED, *AUTHENTICATED_DELIVERIES
_ENCRYPTED = tuple(
    row for row in (*HANDSHAKES, *DELIVERIES) if row not in (*_AUTHENTICATED, *PLAINTEXT)
)


def unprotected(relays: Iterable[RelayCounts]) -> tuple[Unprotected, ...]:
    """Sort relays into the ways in which they lack protection, the worst first, each relay once."""
    failed, never_failed = _split(relays, FAILURES)
    failing = tuple(relay for relay in failed if not _count(relay, DELIVERIES))
    got_through = (relay for relay in failed if _count(relay, DELIVERIES))
    plaintext, others = _split((*never_failed, *got_through), PLAINTEXT)
    encrypted, _ = _split(others, _ENCRYPTED)
    return (
        Unprotected(
            "failing",
            "Mail fails",
            "for a TLS or DANE reason, and none got through: it waits in the queue, or was "
            "returned",
            failing,
        ),
        Unprotected(
            "plaintext",
            "Mail goes unencrypted",
            "anybody on the way can read and change it",
            plaintext,
        ),
        Unprotected(
            "unauthenticated",
            "No DANE",
            "encrypted, but the server is not authenticated: an attacker on the way can pretend "
            "to be it",
            tuple(relay for relay in encrypted if not _count(relay, _AUTHENTICATED)),
        ),
    )


def _split(
    relays: Iterable[RelayCounts], rows: tuple[Category, ...]
) -> tuple[tuple[RelayCounts, ...], tuple[RelayCounts, ...]]:
    """Return the relays counted in these categories, the most first, and the others."""
    counts = [(relay, _count(relay, rows)) for relay in relays]
    chosen = sorted(
        (pair for pair in counts if pair[1]), key=lambda pair: (-pair[1], pair[0].relay)
    )
    return tuple(relay for relay, _ in chosen), tuple(relay for relay, n in counts if not n)


def _count(relay: RelayCounts, rows: Iterable[Category]) -> int:
    return sum(relay.counts.get(row, 0) for row in rows)


def probe_command(relay: str) -> str | None:
    """Return the command that connects to a relay as Postfix does; None where its name is no host.

    A relay is asked directly, `@domain` by its MX records. Names are chosen by strangers: only the
    characters of a host name reach the command.
    """
    name = relay.removeprefix("@")
    if relay == OTHER or not re.fullmatch(r"[a-z0-9_][a-z0-9._:-]*", name):
        return None
    host = shlex.quote(name if relay.startswith("@") else f"[{name}]")
    return f"posttls-finger -t30 -c -l dane {host}"
