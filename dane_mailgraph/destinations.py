"""What went to whom: relays by day, what changed for them, and what Postfix itself warned of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .counted import Counted

OTHER = "(other)"
"""Stands for the relays of a day beyond the most that are kept: the names of MX hosts are chosen by strangers."""


class Destination(NamedTuple):
    """A relay, and what was counted of it over some days."""

    relay: str
    """The host, in lower case. Where no server was reached: `@` and the recipient's domain."""
    first: int
    """Epoch second of the minute in which it was first seen."""
    last: int
    counts: Mapping[Counted, int]
    """Categories of the families `connections`, `deliveries` and `failures`; what is not there is 0."""
    protocol: str = ""
    """Of its last TLS session, as Postfix names it; empty where there was none."""
    key_exchange: str = ""


class Regression(NamedTuple):
    """A relay that was authenticated on every day it was seen, and is not any more."""

    relay: str
    good_since: int
    """Epoch second at which it was first seen in the unbroken run of good days."""
    good_until: int
    """Epoch second at which it was last seen in it."""
    days: int
    """Days of that run on which it was seen."""
    last: int
    """Epoch second at which it was last seen, not authenticated."""
    counts: Mapping[Counted, int]
    """What was counted on the days since."""


class Alarm(NamedTuple):
    """Something that Postfix said of its own DANE, in its own words."""

    name: str
    """A key of `postfix.ALARMS`."""
    text: str
    """What Postfix wrote."""
    meaning: str
    """A sentence for the operator: what it means and what to do."""
    count: int
    last: int
    """Epoch second."""
