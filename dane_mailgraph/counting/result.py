"""What a counting run did, and what of it the operator should know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import NamedTuple

from ..omissions import NOTHING_OMITTED, OMISSIONS
from ..store import Gap
from ..times import format_time
from .mailgraph import Carried
from .overlap import SharedTime


class Result(NamedTuple):
    """What one counting run did."""

    read: int = 0
    """Bytes of log."""
    lines: int = 0
    """Lines of log, if asked for: counting them costs as much as all the rest."""
    counted: int = 0
    """Connections, new and reused."""
    recipients: int = 0
    """Deliveries, and failures for a TLS or DANE reason."""
    received: int = 0
    """Messages that came in."""
    omitted: Mapping[str, int] = NOTHING_OMITTED
    """Name of each of the `OMISSIONS` -> how many lines."""
    gaps: tuple[Gap, ...] = ()
    """Stretches of time whose log is lost."""
    overlaps: tuple[SharedTime, ...] = ()
    """Stretches of time that are in two imported logs of one host."""
    notices: tuple[str, ...] = ()
    """Sentences about the reading: from the source, the counting run and the import."""
    refused: tuple[str, ...] = ()
    """Files that are no log of Postfix's, a sentence without its full stop each."""
    carried: tuple[Carried, ...] = ()
    """What mailgraph's RRDs brought; `counted` includes it."""


def remarks(result: Result, zone: tzinfo | None) -> Iterator[str]:
    """Yield a sentence for each thing out of the ordinary."""
    for omission in OMISSIONS:
        count = result.omitted[omission.name]
        if count and omission.is_remarkable:
            yield f"{omission.with_remedy(count)}."
    yield from (each.in_words(zone) for each in result.carried)
    for gap in result.gaps:
        start, until = (format_time(at, zone) for at in gap)
        yield (
            f"The log from {start} to {until} is lost, so that time is unknown; "
            "look at how the log is rotated."
        )
    for each in result.overlaps:
        start, until = (format_time(at, zone, seconds=True) for at in (each.start, each.until))
        yield (
            f"{each.earlier} and {each.later} are logs of one host, "
            f"and both hold {start} to {until}: what is in both is counted twice; "
            "if they are copies, `import --rebuild` without one of them."
        )
    yield from result.notices


def in_words(result: Result) -> str:
    """Write what was counted: `counted 3 connections and 4 recipients`."""
    counted = f"counted {many(result.counted, 'connection')}"
    also = [
        many(count, unit)
        for count, unit in (
            (result.recipients, "recipient"),
            (result.received, "received message"),
        )
        if count
    ]
    counted = " and ".join([", ".join([counted, *also[:-1]]), *also[-1:]])
    expected = (
        each.in_words(count)
        for each in OMISSIONS
        if not each.is_remarkable and (count := result.omitted[each.name])
    )
    return "; ".join([counted, *expected])


def many(count: int, unit: str) -> str:
    """Return `1 line`, `2,000 lines`."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
