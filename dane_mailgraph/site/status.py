"""Everything the page says, as values: how fresh the counts are, what changed since yesterday, what to look at."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import NamedTuple

from ..answer import Regression
from ..categories import CONNECTIONS, DELIVERIES, FAILURES, FAMILIES, Category
from ..language import Language
from ..store import OTHER, RelayCounts, Series, Span, WarningCount
from ..times import HOUR, MINUTE
from .drawing import Drawing, Line
from .graphs import TRUST

SCHEMA = 1
"""Of status.json; what is added to it does not change this number."""

SILENT = HOUR
"""Seconds without any line in the log after which something may be wrong: a mail server is never that quiet."""

STALLED = 15 * MINUTE
"""Seconds without counting after which the counter is not running."""

LISTED = 50
"""Destinations named of each kind: a page is read, the ledger holds them all."""

AUTHENTICATED = tuple(row for row in DELIVERIES if row.name in ("dane", "verified"))
VERIFIED = CONNECTIONS[0]
PLAINTEXT = next(row for row in DELIVERIES if row.name == "plaintext")


class Picture(NamedTuple):
    """One graph of one span, as files beside the page."""

    slug: str
    title: str
    light: str
    """File and identity: what a browser has kept of an older picture is not what is meant."""
    dark: str
    width: int
    """CSS pixels."""
    height: int
    alt: str
    heading: Line
    lines: tuple[tuple[Category | None, Line], ...]
    """The numbers, a row for each category and one for all."""


class Chapter(NamedTuple):
    """A span and its pictures."""

    span: Span
    series: Series
    pictures: tuple[Picture, ...]


class Figure(NamedTuple):
    """A number that matters: of the last 24 hours, and of the 24 hours before."""

    name: str
    title: str
    now: float | None
    before: float | None
    is_share: bool
    more_is_better: bool
    of: int | None
    """What it is a share of, how many there were."""

    @property
    def change(self) -> float | None:
        """How much more it is than before; None where nobody knows."""
        return None if self.now is None or self.before is None else self.now - self.before

    @property
    def mood(self) -> str:
        """`better`, `worse`, or empty where it stayed as it was, by the tenth of a percent that is shown."""
        change = round(self.change or 0, 3)
        return "" if not change else "better" if (change > 0) == self.more_is_better else "worse"


class Kind(NamedTuple):
    """One way in which a destination is not protected."""

    name: str
    title: str
    meaning: str
    destinations: tuple[RelayCounts, ...]


class Status(NamedTuple):
    """Everything the page says."""

    host: str
    now: int
    zone: tzinfo | None
    """None is the local time of the system."""
    language: Language
    version: str
    last_update: int | None
    """Epoch second until which everything is counted."""
    newest: int | None
    """When the newest line that was read was written; None where nobody knows."""
    figures: tuple[Figure, ...]
    chapters: tuple[Chapter, ...]
    destinations: tuple[RelayCounts, ...] = ()
    regressions: tuple[Regression, ...] = ()
    alarms: tuple[WarningCount, ...] = ()
    names_destinations: bool = False
    """Whom one writes to is nobody's business; without this the page only says how many there are."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for who trusts the numbers."""
        say = self.language.say
        if self.last_update is None:
            return (
                say(
                    "Nothing has been counted yet. Postfix logs TLS connections only with smtp_tls_loglevel = 1 or more."
                ),
            )
        found = []
        if self.now - self.last_update > STALLED:
            found.append(
                say(
                    "Nothing has been counted for {duration}: the counter is not running, or cannot read the log or write its "
                    "store; see `systemctl status dane-mailgraph`.",
                    duration=duration(self.now - self.last_update, self.language),
                )
            )
        elif self.newest is not None and self.now - self.newest > SILENT:
            found.append(
                say(
                    "The newest line of the log is {duration} old: perhaps Postfix does not run, or logs elsewhere; "
                    "see `dane-mailgraph doctor`.",
                    duration=duration(self.now - self.newest, self.language),
                )
            )
        return tuple(found)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The destinations that are not protected, the worst kind first, each destination once."""
        return tuple(kind for kind in _kinds(self.destinations) if kind.destinations)


def figures(
    today: Sequence[int | None], before: Sequence[int | None], counted: Sequence[Category]
) -> tuple[Figure, ...]:
    """The numbers that matter, from the counts of the last 24 hours and of those before, in the order of `counted`."""
    now, then = (dict(zip(counted, counts, strict=True)) for counts in (today, before))

    def share(
        name: str,
        title: str,
        part: tuple[Category, ...],
        whole: tuple[Category, ...],
        more_is_better: bool,
    ) -> Figure:
        return Figure(
            name,
            title,
            _share(now, part, whole),
            _share(then, part, whole),
            True,
            more_is_better,
            _sum(now, whole),
        )

    return (
        share("verified_connections", "Verified connections", (VERIFIED,), TRUST, True),
        share(
            "authenticated_deliveries", "Authenticated deliveries", AUTHENTICATED, DELIVERIES, True
        ),
        share("plaintext_deliveries", "Deliveries in the clear", (PLAINTEXT,), DELIVERIES, False),
        Figure(
            "failures",
            "Failed for TLS or DANE",
            _sum(now, FAILURES),
            _sum(then, FAILURES),
            False,
            False,
            None,
        ),
    )


def shown(
    light: Drawing, dark: Drawing, identities: tuple[str, str], size: tuple[int, int]
) -> Picture:
    """A drawing in both themes, as the page shows it."""
    files = [
        f"{each.file}?{identity}" for each, identity in zip((light, dark), identities, strict=True)
    ]
    legend = light.legend()
    lines = tuple(zip((*light.graph.counted, None), legend, strict=True))
    return Picture(
        light.graph.slug,
        light.title,
        files[0],
        files[1],
        size[0],
        size[1],
        light.alt(legend),
        light.heading(),
        lines,
    )


def _sum(counts: dict[Category, int | None], rows: Iterable[Category]) -> int | None:
    known = [n for row in rows if (n := counts[row]) is not None]
    return sum(known) if known else None


def _share(
    counts: dict[Category, int | None], part: tuple[Category, ...], whole: tuple[Category, ...]
) -> float | None:
    total = _sum(counts, whole)
    return (_sum(counts, part) or 0) / total if total else None


def _kinds(destinations: tuple[RelayCounts, ...]) -> Iterable[Kind]:
    left = list(destinations)
    for name, title, meaning, rows in (
        (
            "failing",
            "Mail fails",
            "for a TLS or DANE reason: it waits in the queue, or was returned",
            FAILURES,
        ),
        (
            "plaintext",
            "Mail goes in the clear",
            "anybody on the way can read and change it",
            (PLAINTEXT,),
        ),
    ):
        chosen = [each for each in left if _counts(each, rows)]
        left = [each for each in left if each not in chosen]
        yield Kind(name, title, meaning, _sorted(chosen, rows))
    encrypted = tuple(
        row for row in (*TRUST, *DELIVERIES) if row not in (VERIFIED, *AUTHENTICATED, PLAINTEXT)
    )
    chosen = [
        each
        for each in left
        if _counts(each, encrypted) and not _counts(each, (VERIFIED, *AUTHENTICATED))
    ]
    meaning = "encrypted, but to a server that nobody vouches for: who sits in between can read it all the same"
    yield Kind("unauthenticated", "No DANE", meaning, _sorted(chosen, encrypted))


def _counts(destination: RelayCounts, rows: Iterable[Category]) -> int:
    return sum(destination.counts.get(row, 0) for row in rows)


def _sorted(destinations: list[RelayCounts], rows: tuple[Category, ...]) -> tuple[RelayCounts, ...]:
    return tuple(sorted(destinations, key=lambda each: (-_counts(each, rows), each.relay)))


def told(destination: RelayCounts, language: Language) -> str:
    """What was counted of a destination, in words."""
    return ", ".join(
        f"{language.number(count)} {language.say(row.label)}"
        for family in ("failures", "deliveries", "connections")
        for row in FAMILIES[family]
        if (count := destination.counts.get(row, 0))
    )


def check(relay: str) -> str | None:
    """The command that looks at a destination with Postfix's own eyes; None where the name is none of a host.

    A relay is asked directly, `@domain` by its MX records. Names come from strangers: nothing but a host's signs is passed on.
    """
    name = relay.removeprefix("@")
    if relay == OTHER or not re.fullmatch(r"[a-z0-9_][a-z0-9._:-]*", name):
        return None
    return f"posttls-finger -t30 -c -l dane {shlex.quote(name if relay.startswith('@') else f'[{name}]')}"


def duration(seconds: int, language: Language) -> str:
    """So long: `12 min`, `5 h`, `3 days`."""
    if seconds < 2 * HOUR:
        return language.say("{number} min", number=language.number(seconds // MINUTE))
    if seconds < 72 * HOUR:
        return language.say("{number} h", number=language.number(seconds // HOUR))
    return language.say("{number} days", number=language.number(seconds // (24 * HOUR)))


# ---- for machines ---------------------------------------------------------------------------


def as_json(status: Status) -> str:
    """The same numbers for programs; docs/operations.md says what is what."""
    named = status.names_destinations
    said: dict[str, object] = {
        "schema": SCHEMA,
        "program": f"dane-mailgraph {status.version}",
        "host": status.host,
        "drawn": status.now,
        "last_update": status.last_update,
        "newest_line": status.newest,
        "warnings": list(status.warnings),
        "last_24_hours": {
            each.name: {"now": each.now, "before": each.before, "of": each.of}
            for each in status.figures
        },
        "spans": {chapter.span.name: _span(chapter.series) for chapter in status.chapters},
        "not_protected": {
            kind.name: [_destination(each) for each in kind.destinations[:LISTED]]
            if named
            else len(kind.destinations)
            for kind in _kinds(status.destinations)
        },
        "regressions": [_regression(each) for each in status.regressions]
        if named
        else len(status.regressions),
        "alarms": [
            {"name": each.name, "meaning": each.meaning, "times": each.times, "last": each.last}
            | ({"text": each.text} if named else {})
            for each in status.alarms
        ],
    }
    return json.dumps(said, indent=1) + "\n"


def _span(series: Series) -> dict[str, object]:
    said: dict[str, object] = {
        "since": series.start,
        "until": series.until,
        "reached": series.reached,
        "step": series.step,
    }
    for family, rows in FAMILIES.items():
        totals = {row: series.total(row) for row in rows}
        shared = TRUST if family == "connections" else rows
        whole = sum(totals[row] or 0 for row in shared)
        said[family] = {
            row.name: {
                "total": total,
                "share": total / whole if total is not None and whole and row in shared else None,
                "average_per_minute": series.per_minute(row),
                "maximum_per_minute": series.peaks[row],
            }
            for row, total in totals.items()
        }
    return said


def _destination(each: RelayCounts) -> dict[str, object]:
    counts = {row.key: count for row, count in each.counts.items() if count}
    return {
        "relay": each.relay,
        "first": each.first,
        "last": each.last,
        "counts": counts,
        "check": check(each.relay),
    }


def _regression(each: Regression) -> dict[str, object]:
    counts = {row.key: count for row, count in each.counts.items() if count}
    return {
        "relay": each.relay,
        "good_since": each.good_since,
        "good_until": each.good_until,
        "days": each.days,
        "last": each.last,
        "counts": counts,
        "check": check(each.relay),
    }
