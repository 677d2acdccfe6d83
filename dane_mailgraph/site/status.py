"""Everything the page says, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from ..answer import (
    ALL_IS_WELL,
    Condition,
    Judgement,
    Matter,
    Today,
    Unprotected,
    by_subject,
    describe_server,
    level_in_words,
    unprotected,
    without_names,
)
from ..categories import (
    DELIVERIES,
    FAMILIES,
    HANDSHAKES,
    INBOUND,
    INBOUND_PROTOCOLS,
    OLD_PROTOCOLS,
    ONLY_BY_TLS_FIELD,
    REACH,
    Category,
)
from ..language import Language
from ..omissions import OMISSIONS
from ..reports import RESULTS
from ..store import (
    OTHER,
    Reach,
    ReachFailure,
    RelayCounts,
    Sender,
    Series,
    Span,
    WarningCount,
    Watched,
)
from ..times import MINUTE
from .bars import Bar, bars
from .drawing import Drawing, label, tells_dane

LISTED_RELAYS = 50
"""Relays named in each list: a page is read, the ledger holds all of them."""


VALID_FOR = 15 * MINUTE
"""Seconds in which the page is drawn three times, by timer or cron."""


class Image(NamedTuple):
    """One PNG beside the page."""

    drawing: Drawing
    identity: str
    """Digest of what it shows and of what draws it."""

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.drawing.file

    @property
    def url(self) -> str:
        """Reference in the page; the identity keeps a browser from showing an older picture."""
        return f"{self.file}?{self.identity}"


class Picture(NamedTuple):
    """One graph of one span, in both themes."""

    light: Image
    dark: Image


class Chapter(NamedTuple):
    """A span and its pictures."""

    span: Span
    series: Series
    pictures: tuple[Picture, ...]
    """On the page."""
    others: tuple[Picture, ...] = ()
    """For pages that embed them: nothing was counted for them yet, or too few for percentages."""

    @property
    def lacks_dane(self) -> bool:
        """Whether there are deliveries whose log cannot tell DANE from a CA."""
        has_deliveries = any(self.series.total(row) for row in DELIVERIES)
        return has_deliveries and not tells_dane(self.series)


class Reason(NamedTuple):
    """Sessions that others report as failed for one reason."""

    result: str
    """A key of `RESULTS`."""
    failures: tuple[ReachFailure, ...]

    @property
    def meaning(self) -> str:
        """What it means, a sentence without its point."""
        return RESULTS[self.result]

    @property
    def sessions(self) -> int:
        """How many sessions failed."""
        return sum(each.sessions for each in self.failures)

    @property
    def reporters(self) -> int:
        """How many organizations report it."""
        return len({(each.reporter, each.signer) for each in self.failures})

    @property
    def signed(self) -> int:
        """How many of them sign what they report."""
        return len({(each.reporter, each.signer) for each in self.failures if each.signer})

    @property
    def last(self) -> int:
        """Epoch second in which the last of the days begins, UTC."""
        return max(each.last for each in self.failures)


class Received(NamedTuple):
    """What came in over 31 days."""

    messages: int
    plaintext: int
    handshakes: int | None
    """None where the log does not tell them."""
    old: int
    """Handshakes with TLS before 1.2."""
    senders: tuple[Sender, ...]

    @property
    def share(self) -> float:
        """The part of the messages that came over TLS."""
        return 1 - self.plaintext / self.messages


class _Given(NamedTuple):
    """What the page is made from."""

    host: str
    now: int
    zone: tzinfo | None
    """None is the local time of the system."""
    language: Language
    version: str
    last_update: int | None
    """Epoch second until which everything is counted; None before the first count."""
    newest: int | None
    """Epoch second of the newest line of the log; None where unknown."""
    today: Today
    chapters: tuple[Chapter, ...]
    relays: tuple[RelayCounts, ...] = ()
    judgement: Judgement = ALL_IS_WELL
    warnings: tuple[WarningCount, ...] = ()
    """Postfix's own."""
    omitted: Mapping[str, int] = MappingProxyType({})
    """Name of each omission -> how many in 7 days."""
    reach: Reach | None = None
    """What others report of the last 31 days; None without a report."""
    servers: tuple[Watched, ...] = ()
    """Our own, as the last look found them."""
    senders: tuple[Sender, ...] = ()
    """Who came without TLS or with an old one, in the last 31 days; the most first."""
    names_relays: bool = False
    """Whether the page says to whom this server sends mail, or only to how many."""


class Status(_Given):
    """Everything the page says."""

    @property
    def valid_until(self) -> int:
        """Epoch second after which a newer page should be there."""
        return self.now + VALID_FOR

    @property
    def verdict(self) -> str:
        """The answer in a sentence, with its level: not all see colours."""
        count, say = len(self.matters), self.language.say
        if self.last_update is None and not count:
            return say("Nothing has been counted yet.")
        if not count:
            is_quiet = not self.warnings and not self.omissions and not self.lacks_handshakes
            return " ".join([say("All is well."), *([say("Nothing to do.")] if is_quiet else [])])
        many = say("{count} things need attention.", count=self.language.number(count))
        things = say("1 thing needs attention.") if count == 1 else many
        return f"{level_in_words(self.judgement.level, self.language)}: {things}"

    @property
    def reachable(self) -> tuple[str, ...]:
        """A sentence on each of our own servers that is well."""
        return tuple(
            describe_server(each, self.language, self.zone, self.now)
            for each in self.servers
            if each.is_well
        )

    @property
    def level(self) -> str:
        """`ok`, `warning`, `critical`, or `unknown` where nothing was counted."""
        is_unknown = self.last_update is None and not self.conditions
        return "unknown" if is_unknown else self.judgement.level.word

    @property
    def omissions(self) -> tuple[tuple[str, str], ...]:
        """What was left out, and what mends it, in words."""
        say = self.language.say
        return tuple(
            (each.in_words(count, self.language), say(each.remedy) if each.remedy else "")
            for each in OMISSIONS
            if (count := self.omitted.get(each.name, 0))
        )

    @property
    def lacks_handshakes(self) -> bool:
        """Whether no TLS connection was ever counted, and nothing else explains it."""
        *_, longest = self.chapters or (None,)
        is_counted = longest and any(longest.series.total(row) for row in HANDSHAKES)
        return not is_counted and not self.omissions

    @property
    def has_unwatched(self) -> bool:
        """Whether there are relays whose names are not kept."""
        return any(each.relay == OTHER for each in self.relays)

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """What holds, the worst first; relays are numbers where the page does not name them."""
        return self._shown(self.judgement.conditions)

    @cached_property
    def matters(self) -> tuple[Matter, ...]:
        """The same as people read it: one for each subject."""
        return by_subject(self.conditions)

    @property
    def accepted(self) -> tuple[Condition, ...]:
        """What holds and is accepted by the operator."""
        return self._shown(self.judgement.silenced)

    def _shown(self, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
        return conditions if self.names_relays else without_names(conditions, self.language)

    @cached_property
    def unprotected(self) -> tuple[Unprotected, ...]:
        """The relays that are not protected, the worst first; empty groups are left out."""
        return tuple(group for group in unprotected(self.relays) if group.relays)

    @cached_property
    def tells_dane(self) -> bool:
        """Whether the log told DANE from other authentication in any span, or nothing is known."""
        return not any(chapter.lacks_dane for chapter in self.chapters) or any(
            tells_dane(chapter.series) for chapter in self.chapters
        )

    def words(self, family: str) -> tuple[tuple[Category, str], ...]:
        """Return the categories of a family that can occur here, with their names."""
        return tuple(
            (row, self.language.say(label(row, with_dane=self.tells_dane)))
            for row in FAMILIES[family]
            if self.tells_dane or row not in ONLY_BY_TLS_FIELD
        )

    @property
    def received(self) -> Received | None:
        """Return what came in over 31 days; None where nothing did."""
        month = next((each.series for each in self.chapters if each.span.name == "month"), None)
        if month is None:
            return None
        over_tls, plaintext = (month.total(row) or 0 for row in INBOUND)
        if not over_tls + plaintext:
            return None
        handshakes = sum(month.total(row) or 0 for row in INBOUND_PROTOCOLS)
        old = sum(month.total(row) or 0 for row in OLD_PROTOCOLS)
        untold = over_tls and not handshakes
        return Received(
            over_tls + plaintext, plaintext, None if untold else handshakes, old, self.senders
        )

    def reported(self) -> tuple[tuple[Category, str, int, float | None], ...]:
        """Return what others report by policy: category, its name, sessions, share."""
        sessions = {row: (self.reach.sessions[row] if self.reach else None) or 0 for row in REACH}
        whole = sum(sessions.values())
        return tuple(
            (row, self.language.say(row.label), count, count / whole if whole else None)
            for row, count in sessions.items()
        )

    @property
    def reported_by_day(self) -> tuple[Bar, ...]:
        """Return what others report by day."""
        return bars(self.reach.days) if self.reach else ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why sessions failed, as others report it; the reason of most sessions first."""
        by_result: dict[str, list[ReachFailure]] = {}
        for each in self.reach.failures if self.reach else ():
            by_result.setdefault(each.result, []).append(each)
        found = (Reason(result, tuple(some)) for result, some in by_result.items())
        return tuple(sorted(found, key=lambda reason: (-reason.sessions, reason.result)))

    def images(self) -> Iterator[Image]:
        """Iterate over all pictures in both themes."""
        for chapter in self.chapters:
            for picture in (*chapter.pictures, *chapter.others):
                yield from picture


def counts_in_words(relay: RelayCounts, language: Language) -> str:
    """Write the counts of a relay as `2 certificate, 1,234 plaintext, 3 Untrusted`."""
    found: dict[str, int] = {}
    for family in ("failures", "deliveries", "connections"):
        for row in FAMILIES[family]:
            if count := relay.counts.get(row, 0):
                # A delivery and its connection have one word.
                found.setdefault(row.label, count)
    return ", ".join(
        f"{language.number(count)} {language.say(label)}" for label, count in found.items()
    )
