"""Whole logs to the ledger: what was logged before it was followed, and what a mailgraph has counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import tzinfo

from ..errors import SourceError
from ..log import Blocks, Clock, FollowedFile, LogFile, Source, holds, open_log, stamp_of
from ..store import Ledger
from .live_log import collect
from .mailgraph import carry, is_rrd
from .overlap import Part
from .step import CountingRun, Look, Result, Rules, counted_until, known_until

Progress = Callable[[list[LogFile]], None]
"""Is told now and then how far an import has come."""


def import_logs(
    paths: list[str],
    live: Source,
    ledger: Ledger,
    rules: Rules,
    now: int,
    year: int | None,
    progress: Progress,
) -> Result:
    """Count whole logs, in the order of their first lines, in one transaction; raises SourceError.

    Only what is later than the newest interval already counted. Where the live log is among them it is
    left with its bookmark; what of it has been read is skipped, and all the rest counted. What an RRD of
    mailgraph's holds comes before all logs.
    """
    if ledger.bookmark(live.bookmark_key):
        collect(live, ledger, rules, now)
    with ExitStack() as stack:
        files = [
            (path, stack.enter_context(open_log(path, named=True))) for path in _distinct(paths)
        ]
        parts = [
            Part(path, file, _first_time(file, rules.zone, now, year))
            for path, file in files
            if not is_rrd(file.begin)
        ]
        parts.sort(key=lambda part: (part.first, live.is_at(part.log), part.log.name))
        logs = [part.log for part in parts]
        with ledger.transaction():
            carried = tuple(
                carry(file.name, ledger, rules.step, now) for _, file in files if is_rrd(file.begin)
            )
            count = CountingRun(ledger, rules, now, lambda: progress(logs))
            horizon = counted_until(ledger, rules.step)
            overlaps = []
            for number, part in enumerate(parts):
                log, before, later = part.log, parts[:number], parts[number + 1 :]
                clock = _clock(log, rules.zone, now, year)
                if not count.continues(part.first):
                    count.sessions.known = None
                known = part.known(before, later)
                look = _looking(part, known, later, count)
                if isinstance(live, FollowedFile) and live.is_at(log):
                    first, part.size = _import_live(
                        log, live, count, ledger, clock, horizon, now, known, look
                    )
                else:
                    # The end of a followed file's unfinished line is still to come, and the bookmark waits for it.
                    places = (
                        live.load_bookmark(ledger.bookmark(live.bookmark_key))
                        if isinstance(live, FollowedFile)
                        else ()
                    )
                    ours = any(holds(log, place) for place in places)
                    first, part.size = _import_one(
                        log, count, clock, horizon, known, look, to_the_end=not ours
                    )
                part.newest = None if first is None else count.newest
                if overlap := part.overlap(before, first, horizon):
                    overlaps.append(overlap)
            step = count.close()
    counted = step.counted + sum(each.connections for each in carried)
    return step._replace(counted=counted, carried=carried, overlaps=tuple(overlaps))


def _looking(part: Part, known: int, later: list[Part], count: CountingRun) -> Look | None:
    """What looks in a log for the beginnings of later ones; nothing where none is of the same host."""
    beside = [each for each in later if each.is_beside(part)]

    def look(block: bytearray, end: int, place: int) -> None:
        for each in beside:
            each.look(part, count.newest, block, end, known + place)

    return look if beside else None


def _import_one(
    log: LogFile,
    count: CountingRun,
    clock: Clock,
    horizon: int | None,
    known: int,
    look: Look | None,
    *,
    to_the_end: bool,
) -> tuple[int | None, int]:
    """When the first line was written that was not `known`, and up to which byte the log has been counted."""
    log.skip(known)
    blocks = Blocks(log.readinto, to_the_end=to_the_end)
    first = count.take(blocks, clock, horizon, look=look)
    count.finish(first)
    return first, known + blocks.consumed


def _import_live(
    log: LogFile,
    live: FollowedFile,
    count: CountingRun,
    ledger: Ledger,
    clock: Clock,
    horizon: int | None,
    now: int,
    known: int,
    look: Look | None,
) -> tuple[int | None, int]:
    """The same of the live log; what its bookmark says has been read is left out."""
    places = live.load_bookmark(ledger.bookmark(live.bookmark_key))
    if places:
        if not holds(log, places[-1]):
            raise SourceError(f"{log.name} was rotated just now; run the import again.")
        count.skip(Blocks(_limited(log.readinto, places[-1].offset)), clock)
        return None, 0
    piece = live.first_piece(log, min(known, log.status.st_size))  # a copy may be longer
    first = count.take(piece.blocks, clock, horizon, look=look)
    piece.check()
    newest = ledger.state.newest
    if first is not None:
        count.mark_gap_before(first)
    if newest is not None:
        count.mark_read_until(max(known_until(newest, now), min(now, newest + count.rules.step)))
    count.mark_read(live, live.bookmark_after((), [piece], now))
    return first, piece.position.offset


def _limited(
    readinto: Callable[[memoryview], int | None], size: int
) -> Callable[[memoryview], int | None]:
    """The same file, ending after `size` bytes."""

    def limited(view: memoryview) -> int | None:
        nonlocal size
        got = readinto(view[:size]) or 0
        size -= got
        return got

    return limited


def _clock(log: LogFile, zone: tzinfo | None, now: int, year: int | None) -> Clock:
    return Clock(zone, now if year or not log.is_regular else int(log.status.st_mtime), year=year)


def _first_time(log: LogFile, zone: tzinfo | None, now: int, year: int | None) -> float:
    """When the log begins, as far as its first lines tell."""
    clock = _clock(log, zone, now, year)
    times = (stamp_of(line, clock) for line in log.begin.split(b"\n"))
    return next((at for at in times if at is not None), float("inf"))


def _distinct(paths: Iterable[str]) -> list[str]:
    """Each file once, under whatever names it is given."""
    return list({"-" if path == "-" else os.path.realpath(path): path for path in paths}.values())
