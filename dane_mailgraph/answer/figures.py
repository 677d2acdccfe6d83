"""The figures of the last 24 hours, each beside the 24 hours before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..categories import CATEGORIES, CONNECTIONS, DELIVERIES, FAILURES, HANDSHAKES, Category
from ..store import RRD, together
from ..times import DAY, HOUR

Counts = Mapping[Category, int | None]

VERIFIED = (CONNECTIONS[0],)
AUTHENTICATED = tuple(row for row in DELIVERIES if row.name in ("dane", "verified"))
PLAINTEXT = tuple(row for row in DELIVERIES if row.name == "plaintext")


class Figure(NamedTuple):
    """One number of the last 24 hours: a share from 0 to 1, or a count."""

    name: str
    title: str
    now: float | None
    before: float | None
    """The same of the 24 hours before."""
    whole: int | None
    """For a share: the number it is a share of; None for a count."""
    is_share: bool
    more_is_better: bool

    @property
    def change(self) -> float | None:
        """Difference to the day before; None where one of the two is unknown."""
        return None if self.now is None or self.before is None else self.now - self.before

    @property
    def trend(self) -> str:
        """`better`, `worse`, or empty where the change is below the tenth of a percent shown."""
        change = round(self.change or 0, 3)
        return "" if not change else "better" if (change > 0) == self.more_is_better else "worse"


def last_24_hours(rrd: RRD, until: int) -> tuple[Figure, ...]:
    """Return the figures of the 24 hours that end at this epoch second, a multiple of the step."""
    return figures(_counts(rrd, until - DAY, until), _counts(rrd, until - 2 * DAY, until - DAY))


def figures(now: Counts, before: Counts) -> tuple[Figure, ...]:
    """Return the figures of two days from their counts; None is unknown."""

    def share(
        name: str, title: str, part: Iterable[Category], whole: Iterable[Category], *, good: bool
    ) -> Figure:
        return Figure(
            name,
            title,
            now=_share(now, part, whole),
            before=_share(before, part, whole),
            whole=_sum(now, whole),
            is_share=True,
            more_is_better=good,
        )

    return (
        share("verified_connections", "Verified connections", VERIFIED, HANDSHAKES, good=True),
        share(
            "authenticated_deliveries",
            "Authenticated deliveries",
            AUTHENTICATED,
            DELIVERIES,
            good=True,
        ),
        share("plaintext_deliveries", "Plaintext deliveries", PLAINTEXT, DELIVERIES, good=False),
        Figure(
            "failures",
            "Failed for TLS or DANE",
            now=_sum(now, FAILURES),
            before=_sum(before, FAILURES),
            whole=None,
            is_share=False,
            more_is_better=False,
        ),
    )


def _counts(rrd: RRD, start: int, until: int) -> Counts:
    """Add up [start, until): whole hours from their archive, the rest by the step."""
    first, end = start + -start % HOUR, until - until % HOUR
    rows = (
        rrd.rows(rrd.step, start, first)
        + rrd.rows(HOUR, first, end)
        + rrd.rows(rrd.step, end, until)
    )
    return dict(zip(CATEGORIES, together(rows).counts, strict=True))


def _sum(counts: Counts, rows: Iterable[Category]) -> int | None:
    known = [count for row in rows if (count := counts[row]) is not None]
    return sum(known) if known else None


def _share(counts: Counts, part: Iterable[Category], whole: Iterable[Category]) -> float | None:
    total = _sum(counts, whole)
    return (_sum(counts, part) or 0) / total if total else None
