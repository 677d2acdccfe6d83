"""Whole logs to the ledger, and what mailgraph has counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from ..errors import SourceError
from ..log import (
    Blocks,
    Bookmark,
    Clock,
    FollowedFile,
    Limited,
    LogFile,
    Position,
    Source,
    forms,
    heads,
    holds,
    is_at,
    looks,
    open_log,
)
from ..postfix import Counted, marks_of
from ..store import Ledger
from .live_log import collect
from .mailgraph import carry, is_rrd
from .overlap import JOINT, Part
from .result import Result
from .run import CountedBlock, CountingRun, Rules, known_until

_NO_HANDSHAKE = (
    "No TLS handshake is logged where recipients are, so smtp_tls_loglevel is probably 0 and what "
    "went over TLS stays unknown; `postconf -e smtp_tls_loglevel=1`, then `postfix reload`."
)

Progress = Callable[[list[LogFile]], None]
"""Is called after each block with all the logs, which know how far they have been read."""


class Import:
    """Counts whole logs; where the live log is among them it is left with its bookmark."""

    def __init__(
        self,
        live: Source,
        ledger: Ledger,
        rules: Rules,
        now: int,
        *,
        year: int | None = None,
        progress: Progress = lambda logs: None,
    ) -> None:
        """`year` is that of the first line of each log, for stamps without one."""
        self._live, self._ledger, self._rules, self._now = live, ledger, rules, now
        self._year, self._progress = year, progress
        self._live_log: LogFile | None = None
        self._followed: Bookmark = ()
        self._last: Position | None = None
        self._counted = Counted({})

    def count(self, paths: Iterable[str]) -> Result:
        """Count these logs in one transaction, by the times of their first lines.

        Of each host only what lies behind its newest line counts, or before its first one. What
        has been read of the live log is skipped. A mailgraph's RRD comes before all logs. Raises
        SourceError.
        """
        if self._ledger.bookmark(self._live.bookmark_key):
            collect(self._live, self._ledger, self._rules, self._now)
        self._followed = self._bookmark()
        self._last = self._followed[-1] if self._followed else None
        with ExitStack() as stack:
            files = [
                (path, stack.enter_context(open_log(path, named=True))) for path in _distinct(paths)
            ]
            rrds = [file.name for _, file in files if is_rrd(file.begin)]
            parts = [
                Part(path, file, self._first_time(file))
                for path, file in files
                if not is_rrd(file.begin)
            ]
            what_else = {part: _what_else(part) for part in parts}
            parts = [part for part in parts if not what_else[part]]
            # Its name may be another file's before it is read: the open one is the log.
            self._live_log = next((log for _, log in files if self._live.is_at(log)), None)
            parts.sort(key=lambda part: (part.first, part.log is self._live_log, part.log.name))
            with self._ledger.transaction():
                carried = [carry(path, self._ledger, self._rules.step, self._now) for path in rrds]
                result = self._count_parts(parts)
        for part in parts:
            if part.log.begin and not part.is_of_postfix:
                what_else[part] = looks.not_of_postfix(part.log.begin)
        refused = tuple(f"{part.log.name} {what}" for part, what in what_else.items() if what)
        connections = sum(each.connections for each in carried)
        silent = result.recipients and not result.counted and not result.omitted["skipped"]
        return result._replace(
            counted=result.counted + connections,
            carried=tuple(carried),
            refused=refused,
            notices=(*result.notices, _NO_HANDSHAKE) if silent else result.notices,
        )

    def _count_parts(self, parts: list[Part]) -> Result:
        run = CountingRun(self._ledger, self._rules, self._now)
        with self._ledger.refusing_nonsense():
            self._counted = Counted(marks_of(self._ledger.state.hosts))
        live_newest = self._ledger.state.newest
        logs = [part.log for part in parts]
        overlaps = []
        newest_new = 0
        for number, part in enumerate(parts):
            before, later = parts[:number], parts[number + 1 :]
            if not run.continues(part.first):
                run.forget_sessions()
            known = part.bytes_known(before, later)
            part.is_of_postfix = known > 0
            for block, end, begin in self._blocks(part, known, run):
                part.is_of_postfix = part.is_of_postfix or looks.holds_postfix(block, end)
                for each in later:
                    each.look(part, run.newest, block, end, known + begin)
                self._progress(logs)
            if overlap := part.shared_time(before, run.first_new):
                overlaps.append(overlap)
            if part.log is self._live_log:
                live_newest = run.newest
            elif run.first_new is not None and run.newest is not None:
                newest_new = max(newest_new, run.newest)
        if newest_new > (live_newest or 0) - JOINT:
            # The live log may yet say what another has said.
            self._ledger.save(self._ledger.state._replace(source=None))
        return run.close()._replace(overlaps=tuple(overlaps))

    def _blocks(self, part: Part, known: int, run: CountingRun) -> Iterator[CountedBlock]:
        """Count a log from the byte `known` on, and give each block when it has been counted."""
        log, live, last = part.log, self._live, self._last
        clock = self._clock(log)
        if last and is_at(log.content, last) and holds(log.content, last):
            # The next reading of the live log counts what is behind it, even if it is renamed now.
            run.skip(Blocks(Limited(log, last.offset).readinto), clock)
            part.is_of_postfix = True
        elif not isinstance(live, FollowedFile) or log is not self._live_log:
            log.skip(known)
            # A line that is begun in a followed file counts when it is finished.
            blocks = Blocks(log.readinto, to_the_end=not self._is_followed(log))
            yield from run.count_blocks(blocks, clock, counted=self._counted)
            run.finish_log()
            part.mark_counted(run.newest, known + blocks.consumed)
        elif last:
            raise SourceError(f"{log.name} was rotated just now; run the import again.")
        else:
            piece = live.first_piece(log, min(known, log.status.st_size))  # a copy may be longer
            yield from run.count_blocks(piece.blocks, clock, counted=self._counted)
            piece.check()
            self._finish_live(run, live.bookmark_after((), [piece], self._now))
            part.mark_counted(run.newest, piece.position.offset)

    def _finish_live(self, run: CountingRun, bookmark: Bookmark) -> None:
        if run.first is not None:
            run.mark_gap_before(run.first)
        if (newest := self._ledger.state.newest) is not None:
            end = min(self._now, newest + self._rules.step)
            run.mark_read_until(max(known_until(newest, self._now), end))
        run.mark_read(self._live, bookmark)

    def _bookmark(self) -> Bookmark:
        """Return how far the live log has been read, if it is a file."""
        live = self._live
        if not isinstance(live, FollowedFile):
            return ()
        with self._ledger.refusing_nonsense():
            return live.load_bookmark(self._ledger.bookmark(live.bookmark_key))

    def _is_followed(self, log: LogFile) -> bool:
        return any(is_at(log.content, each) and not each.finished for each in self._followed)

    def _clock(self, log: LogFile) -> Clock:
        latest = self._now if self._year or not log.is_regular else int(log.status.st_mtime)
        return Clock(self._rules.zone, latest, year=self._year)

    def _first_time(self, log: LogFile) -> float:
        """Return when the log begins by its first lines; infinite if they have no time."""
        log.read_ahead()
        clock = self._clock(log)
        times = (heads.stamp_of(forms.usual(line), clock) for line in log.begin.split(b"\n"))
        return next((at for at in times if at is not None), float("inf"))


def _what_else(part: Part) -> str:
    """Return why a file is refused and what to do; empty for a log of Postfix's.

    A pipe can be read once, so it is known only when it has been counted.
    """
    log = part.log
    what = looks.no_log(log.begin)
    if what or not log.is_regular or not log.begin or part.path == "-":
        return what
    with open_log(part.path, named=True) as again:
        blocks = Blocks(again.readinto, to_the_end=True)
        is_of_postfix = any(looks.holds_postfix(block, end) for block, end in blocks)
    return "" if is_of_postfix else looks.not_of_postfix(log.begin)


def _distinct(paths: Iterable[str]) -> list[str]:
    """Return each file once, under whatever names it is given."""
    return list({"-" if path == "-" else os.path.realpath(path): path for path in paths}.values())
