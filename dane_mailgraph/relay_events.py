"""Table: what Postfix's client logs of a relay beside categories. It is kept by relay and day.

A new one is one new row, and its pattern in `postfix/delivery.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class RelayEvent(NamedTuple):
    """One kind of event of a relay."""

    name: str
    meaning: str
    """What happened, after the relay's name and a colon."""


MISMATCH, DOWNGRADE, TLSRPT = "mismatch", "downgrade", "tlsrpt"

RELAY_EVENTS = (
    RelayEvent(MISMATCH, "its certificate was refused, and the mail went on to another server"),
    RelayEvent(DOWNGRADE, "the handshake failed, and the mail went in plaintext"),
    RelayEvent(TLSRPT, "what Postfix reports to the recipient's domain by TLSRPT"),
)

MEANINGS = {each.name: each.meaning for each in RELAY_EVENTS}
