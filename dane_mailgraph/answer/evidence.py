"""What is known when conditions are judged, and what a judge finds in it."""

from __future__ import annotations

from datetime import date, timedelta, tzinfo
from functools import cached_property
from typing import NamedTuple

from ..language import ENGLISH, Language
from ..levels import Level
from ..peers import domain_of
from ..store import (
    RRD,
    DeliveriesTo,
    Ledger,
    RefusalTable,
    RelayTable,
    State,
    Watched,
    load_watched,
)
from ..times import DAY, day_number, format_time
from . import refusals
from .authentication import LostAuthentication, lost_authentication
from .failing import Failing, failing
from .silence import HISTORY, is_known


class Finding(NamedTuple):
    """What a judge finds."""

    level: Level
    since: int
    text: str
    subject: str = ""
    next_step: str | None = None
    """In place of the one in the table."""
    nameless: str = ""
    """The text where no domain may be named, if it is another one."""


class Evidence:
    """What is known when conditions are judged."""

    def __init__(
        self,
        ledger: Ledger,
        rrd: RRD,
        now: int,
        zone: tzinfo | None,
        language: Language = ENGLISH,
    ) -> None:
        self.ledger, self.rrd, self.now, self.zone = ledger, rrd, now, zone
        self.language, self.say = language, language.say
        self.relays = RelayTable(ledger)
        self._deliveries: dict[range, list[DeliveriesTo]] = {}

    @cached_property
    def state(self) -> State:
        """How far counting is."""
        return self.ledger.state

    @cached_property
    def losses(self) -> tuple[LostAuthentication, ...]:
        """The relays that lost authentication."""
        return lost_authentication(self.relays, self.now, self.zone)

    @cached_property
    def failing(self) -> tuple[Failing, ...]:
        """The relays to which mail fails now."""
        return failing(self.relays, self.now, self.zone)

    def deliveries(self, ago: range) -> list[DeliveriesTo]:
        """Those to each relay, of a range of days ago; 0 is today and what is stamped later."""
        if ago not in self._deliveries:
            first, last = (self._day(days) for days in (ago[-1], ago[0]))
            self._deliveries[ago] = self.relays.deliveries(first, last if ago[0] else None)
        return self._deliveries[ago]

    def _day(self, ago: int) -> int:
        """Return a day as the number 20261124."""
        today = day_number(self.now, self.zone)
        day = date(today // 10000, today // 100 % 100, today % 100) - timedelta(ago)
        return day.year * 10000 + day.month * 100 + day.day

    @cached_property
    def rhythm(self) -> list[tuple[int, int]]:
        """Events and longest pause of each of the last days with any."""
        since = day_number(self.now - HISTORY * DAY, self.zone)
        return self.ledger.read("SELECT events, longest_pause FROM rhythm WHERE day >= ?", since)

    @property
    def knows_rhythm(self) -> bool:
        """Whether enough was counted to tell a silent log from a quiet one."""
        return is_known(self.rhythm)

    @cached_property
    def watched(self) -> list[Watched]:
        """What the last look at our own servers found."""
        return load_watched(self.ledger)

    @cached_property
    def refusing(self) -> refusals.Refusing | None:
        """Whether more senders than before refuse our certificate; our own probes are none."""
        begin = self.state.begin
        if begin is None:
            return None
        rows = RefusalTable(self.ledger).by_domain(self.now - refusals.LOOKED_BACK)
        ours = {domain_of(each.target.name) for each in self.watched}
        return refusals.refusing((row for row in rows if row[0] not in ours), begin, self.now)

    def time(self, at: int) -> str:
        """Write a time for the operator."""
        return format_time(at, self.zone)

    def number(self, count: float) -> str:
        """Write a number."""
        return self.language.number(count)
