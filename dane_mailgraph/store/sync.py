"""The RRD follows the ledger, whatever happens to either.

`rrdtool.update` is not atomic: a writer that is killed can leave an RRD that opens fine and is
silently wrong. So the commit before each update announces what it will write, and the next commit
says that it was written. If only the announcement is there, the RRD is compared with one that is
made of its snapshot and the ledger, and replaced if they differ.

The same is done with an RRD that another program has touched, and with every RRD once a day.
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import Enum, auto

from ..errors import StoreError, reason
from ..files import empty_folder, no_link
from ..times import DAY
from .durable import put_aside, replace, sync
from .ledger import Gap, Ledger
from .rrd import RRD, SOURCES, DamagedError, Facts, ForeignError
from .seal import is_whole, seal, without_seal
from .series import together
from .state import State
from .steps import write_intervals
from .totals import add_to_totals, greater, replace_totals, sum_of_closed, totals

_RETAINED = 8 * DAY
"""Seconds of intervals that the ledger keeps beyond its snapshot: for an older snapshot or RRD."""

_TORN = "was torn when its writer was stopped"

_OTHER = "held other numbers than were counted"


class Situation(Enum):
    """How RRD and ledger stand to each other when a writer begins."""

    NOTHING_WRITTEN = auto()
    """The ledger has written nothing, and there is no RRD."""
    IN_STEP = auto()
    """Both end at the same time."""
    TOUCHED = auto()
    """They do, but another program has written to the RRD or replaced the file."""
    LEDGER_IS_NEW = auto()
    """The ledger was rebuilt from the logs, and the RRD is that of the old ledger."""
    RRD_IS_AHEAD = auto()
    """The RRD or its snapshot holds more: the ledger was lost, or is an old copy."""
    UPDATE_WAS_CUT_OFF = auto()
    """A writer was killed before, amid or after an update: the RRD may be silently wrong."""
    RRD_IS_LOST = auto()
    """It is gone, damaged, or an old copy."""
    RRD_LACKS_SOURCES = auto()
    """An earlier version made it, which knew fewer categories."""


class Store:
    """The RRD in `state_dir`, its snapshot, and what the ledger says of both."""

    def __init__(self, state_dir: str, step: int) -> None:
        self.rrd = RRD(os.path.join(state_dir, "outbound.rrd"), step)
        self.snapshot = RRD(self.rrd.path + ".snapshot", step)
        self._making = os.path.join(state_dir, "making")
        self._announced: Gap | None = None
        """What the ledger has announced, and `follow` will write."""
        self._snapshot_seen: tuple[int, int] | None = None
        """When the snapshot was changed last, and up to when it was found to be written."""

    def reconcile(self, ledger: Ledger, now: int | None = None) -> list[str]:
        """Make RRD and ledger agree, whatever happened to either.

        An RRD that ends a day after `now` was written by another program: it is rebuilt.

        Returns a sentence for each thing out of the ordinary. Raises StoreError where no repair is
        sure to be right.
        """
        horizon = None if now is None else now + DAY
        situation, why = self._situation(ledger.state, horizon)
        match situation:
            case Situation.LEDGER_IS_NEW:
                self._restart_from_new_ledger(ledger)
            case Situation.TOUCHED:
                return self._heal(ledger, _OTHER)
            case Situation.RRD_IS_AHEAD:
                return [self._trust_rrd(ledger)]
            case Situation.UPDATE_WAS_CUT_OFF:
                return self._heal(ledger, why)
            case Situation.RRD_IS_LOST:
                return [self._remake_lost(ledger, why)]
            case Situation.RRD_LACKS_SOURCES:
                self._complete(ledger)
                return self.reconcile(ledger, now)
        return []

    def _situation(self, state: State, horizon: int | None) -> tuple[Situation, str]:
        """Return the situation, and what is wrong with the RRD; raises StoreError if not ours."""
        if state.rebuilt:
            return Situation.LEDGER_IS_NEW, ""
        facts, why = self._facts(state)
        if facts and set(SOURCES) - set(facts.sources):
            return Situation.RRD_LACKS_SOURCES, ""
        last, until = facts.last if facts else 0, state.rrd_until
        if last == until and state.rrd_mtime_ns is None:
            return Situation.UPDATE_WAS_CUT_OFF, _TORN
        if last == until:
            untouched = self._mtime_ns() == state.rrd_mtime_ns
            return Situation.IN_STEP if untouched else Situation.TOUCHED, ""
        if horizon is not None and last > horizon and until is not None:
            return Situation.RRD_IS_LOST, "ends in the future"
        if last % self.rrd.step and until is not None:
            return Situation.RRD_IS_LOST, _OTHER
        if max(self._snapshot_until(), last) > (until or 0):
            return Situation.RRD_IS_AHEAD, ""
        if until is None:
            return Situation.NOTHING_WRITTEN, ""
        if state.rrd_mtime_ns is None and (facts or not self._was_there(state)):
            return Situation.UPDATE_WAS_CUT_OFF, ""
        return Situation.RRD_IS_LOST, why

    def _was_there(self, state: State) -> bool:
        """Return whether there is a sign that the RRD had been made."""
        return bool(state.pruned_before or self._snapshot_until() or os.path.lexists(self.rrd.path))

    def _facts(self, state: State) -> tuple[Facts | None, str]:
        """Return what the RRD says of itself, and what is wrong if it is not up to date."""
        try:
            facts = self.rrd.facts(writing=True)
        except DamagedError as error:
            if state.rrd_until is None:  # it may not be ours
                raise
            return None, error.why
        except ForeignError:
            if state.rrd_until is None or not self._is_as_long_as_ours(state):
                raise
            return None, "is damaged"
        return facts, "was older than the ledger" if facts else "was gone"

    def announce(self, ledger: Ledger, now: int, grace: int) -> None:
        """Announce in the ledger that `follow` will write the closed intervals; in a transaction.

        The first RRD is made by `follow`, which announces it itself.
        """
        if ledger.state.rrd_until is not None:
            self._announce(ledger, now, grace)

    def _announce(self, ledger: Ledger, now: int, grace: int) -> None:
        state = ledger.state
        if stretch := self._closed_stretch(state, now, grace):
            self._announced = stretch
            ledger.save(state._replace(rrd_until=stretch.until, rrd_mtime_ns=None))
            add_to_totals(ledger, sum_of_closed(ledger, *stretch, self.rrd.step))

    def _closed_stretch(self, state: State, now: int, grace: int) -> Gap | None:
        """Return the stretch of closed intervals that are not in the RRD."""
        if state.read_until is None or state.begin is None:
            return None
        start = state.begin if state.rrd_until is None else state.rrd_until
        until = min(state.read_until, (now - grace) // self.rrd.step * self.rrd.step)
        return Gap(start, until) if until > start else None

    def follow(self, ledger: Ledger, now: int, grace: int) -> int:
        """Write the closed intervals into the RRD, quiet ones as zeros; return how many.

        The next commit of the ledger says that they are written.
        """
        first: RRD | None = None
        if closed := self._closed_stretch(ledger.state, now, grace):
            if ledger.state.rrd_until is None:  # no reader may miss it when it is announced
                first = self._create(closed.start)
                write_intervals(first, ledger, *closed)
                sync(first.path, whole=True)
            with ledger.transaction():
                self._announce(ledger, now, grace)
        announced, self._announced = self._announced, None
        state = ledger.state
        if state.rrd_stale_from is not None:
            self._follow_changes(ledger, state.rrd_stale_from)
        elif announced and announced.until == state.rrd_until:
            if first:
                replace(first.path, self.rrd.path)
            else:
                self._write(ledger, announced)
            ledger.save(state._replace(rrd_mtime_ns=self._mtime_ns()))
        else:
            return 0
        return (announced.until - announced.start) // self.rrd.step if announced else 0

    def _write(self, ledger: Ledger, announced: Gap) -> None:
        pruned = ledger.state.pruned_before
        if pruned is not None and not pruned <= self._snapshot_until() <= announced.start:
            self._renew_snapshot()  # without one an update that is cut off could not be mended
        write_intervals(self.rrd, ledger, *announced)
        sync(self.rrd.path)

    def _follow_changes(self, ledger: Ledger, changed: int) -> None:
        """Rebuild the RRD because intervals that it holds have changed."""
        self._remake(ledger, "lacks what an older log has brought")
        if self._snapshot_until() > changed:
            self._renew_snapshot()
        before, after = totals(ledger), together(row for _, row in self.rrd.finest(0))
        with ledger.transaction():
            replace_totals(ledger, greater(before, after))
            state = ledger.state
            ledger.save(state._replace(rrd_stale_from=None, past_revision=state.past_revision + 1))

    def take_snapshot(self, ledger: Ledger, now: int, *, every: int = DAY) -> list[str]:
        """Keep a copy of the RRD once a day, so that the ledger may drop what both hold.

        The copy is made from the one before it and the ledger, and the RRD must be the same.
        Returns a sentence where it was not.
        """
        state = ledger.state
        until, taken = state.rrd_until, state.snapshot_at
        if until is None or (taken is not None and 0 <= now - taken < every):
            return []
        if taken is None and state.begin is not None and until - state.begin < every:
            return []  # the ledger still holds everything
        said = []
        if (state.pruned_before or 0) <= self._snapshot_until() <= until and self._snapshot_until():
            fresh = self._make_anew(ledger, _OTHER)
            if fresh.checksum() != self.rrd.checksum():
                said = [self._put_into_place(ledger, fresh, _OTHER)]
                fresh = self._copy(self.rrd)
        else:  # the first one: years may have been imported
            fresh = self._copy(self.rrd)
        self._keep(fresh)
        with ledger.transaction():
            ledger.save(ledger.state._replace(snapshot_until=until, snapshot_at=now))
            if state.snapshot_until is not None:
                ledger.prune(min(state.snapshot_until, until - _RETAINED))
        return said

    def _renew_snapshot(self) -> None:
        self._keep(self._copy(self.rrd))

    def _keep(self, fresh: RRD) -> None:
        """Let this be the snapshot."""
        if not self._snapshot_until():
            put_aside(self.snapshot.path)
        seal(fresh.path)
        replace(fresh.path, self.snapshot.path)

    def _snapshot_until(self) -> int:
        """Return up to when the snapshot is written; 0 if it is missing or damaged."""
        try:
            changed_at = os.lstat(self.snapshot.path).st_ctime_ns
        except OSError:
            return 0
        if self._snapshot_seen is None or self._snapshot_seen[0] != changed_at:
            whole = is_whole(self.snapshot.path)
            self._snapshot_seen = changed_at, self.snapshot.whole_until() if whole else 0
        return self._snapshot_seen[1]

    def _mtime_ns(self) -> int | None:
        """Return when the RRD was changed last, in nanoseconds; no program can set that back."""
        try:
            return os.lstat(self.rrd.path).st_ctime_ns
        except OSError:
            return None

    def _complete(self, ledger: Ledger) -> None:
        """Add the data sources of this version to an older one's RRD."""
        in_step = self.rrd.whole_until() == ledger.state.rrd_until
        replace(self._copy(self.rrd).path, self.rrd.path)
        if in_step and ledger.state.rrd_mtime_ns is not None:
            self._renew_snapshot()  # an older one would make zeros of what was not looked for
            self._note_place(ledger)

    def _note_place(self, ledger: Ledger) -> None:
        """Remember that the RRD is as the ledger says."""
        with ledger.transaction():
            ledger.save(ledger.state._replace(rrd_mtime_ns=self._mtime_ns()))

    # ---- rebuilding it ----

    def _heal(self, ledger: Ledger, why: str) -> list[str]:
        """Compare the RRD with what snapshot and ledger make, and replace it if it differs.

        Returns a sentence then, where `why` says of what.
        """
        state = ledger.state
        try:
            fresh = self._make_anew(ledger, why or _OTHER)
        except StoreError:
            if state.rrd_mtime_ns is None:
                raise
            self._note_place(ledger)  # there is nothing to compare it with
            return []
        if os.path.lexists(self.rrd.path) and fresh.checksum() == self.rrd.checksum():
            os.unlink(fresh.path)
            self._note_place(ledger)
            return []
        if why and state.rrd_stale_from is None:
            return [self._put_into_place(ledger, fresh, why)]
        replace(fresh.path, self.rrd.path)
        self._note_place(ledger)
        return []

    def _make_anew(self, ledger: Ledger, why: str) -> RRD:
        """Return a correct RRD: an older copy or a new one, brought up to date."""
        fresh, start = self._base(ledger, why)
        write_intervals(fresh, ledger, start, ledger.state.rrd_until or start)
        return fresh

    def _remake(self, ledger: Ledger, why: str) -> None:
        """Put a correct RRD into place."""
        replace(self._make_anew(ledger, why).path, self.rrd.path)
        self._note_place(ledger)

    def _remake_lost(self, ledger: Ledger, why: str) -> str:
        """Rebuild the RRD, put the old one aside, and say so in a sentence."""
        return self._put_into_place(ledger, self._make_anew(ledger, why), why)

    def _put_into_place(self, ledger: Ledger, fresh: RRD, why: str) -> str:
        aside = put_aside(self.rrd.path)
        replace(fresh.path, self.rrd.path)
        self._note_place(ledger)
        old = f"; what stood there is now {aside}, delete it when you do not want it back"
        return (
            f"{self.rrd.path} {why}: made anew from what is kept beside it, nothing is lost"
            f"{old if aside else ''}."
        )

    def _is_as_long_as_ours(self, state: State) -> bool:
        """Return whether the RRD has the length of ours; else it may be another program's."""
        ours = self._create(state.begin or 0)
        same = os.path.getsize(ours.path) == os.path.getsize(self.rrd.path)
        os.unlink(ours.path)
        return same

    def _base(self, ledger: Ledger, why: str) -> tuple[RRD, int]:
        """Return a copy or a new RRD, which the ledger can bring up to date, and its end so far."""
        state = ledger.state
        begin, until, pruned = state.begin or 0, state.rrd_until or 0, state.pruned_before
        if state.rrd_stale_from is not None:
            until = min(until, state.rrd_stale_from)
        since = begin if pruned is None else pruned
        if since <= (kept := self._snapshot_until()) <= until:
            return self._copy(self.snapshot), kept
        if pruned is None:
            return self._create(begin), begin
        # An update never moves the time of the last one back: an older RRD was restored, whole.
        if since <= (last := self.rrd.whole_until()) < until:
            return self._copy(self.rrd), last
        raise StoreError(
            f"{self.rrd.path} {why} and {self.snapshot.path} cannot replace it; "
            "restore one of them from a backup, "
            "or run `dane-mailgraph import --rebuild` with all the logs you have."
        )

    def _trust_rrd(self, ledger: Ledger) -> str:
        """Take what RRD or snapshot hold beyond the ledger as counted; return a sentence."""
        last, kept = self.rrd.whole_until(), self._snapshot_until()
        if kept > last:
            put_aside(self.rrd.path)
            replace(self._copy(self.snapshot).path, self.rrd.path)
        else:  # first, because without it an RRD that is torn later could not be mended
            self._renew_snapshot()
        newest = max(last, kept)
        with ledger.transaction():
            replace_totals(ledger, together(row for _, row in self.rrd.finest(0)))
            ledger.prune(newest)
            state = ledger.state
            ledger.save(
                state._replace(
                    past_revision=state.past_revision + 1,
                    begin=newest if state.begin is None else state.begin,
                    read_until=max(newest, state.read_until or newest),
                    rrd_until=newest,
                    rrd_mtime_ns=self._mtime_ns(),
                    already_counted_until=newest,
                    snapshot_until=newest,
                )
            )
        return (
            f"{self.rrd.path} holds more than {ledger.path}: counting goes on where the RRD ends."
        )

    def _restart_from_new_ledger(self, ledger: Ledger) -> None:
        """Put the RRD and the snapshot of the ledger before this one aside."""
        put_aside(self.rrd.path)
        put_aside(self.snapshot.path)
        with ledger.transaction():
            ledger.save(ledger.state._replace(rebuilt=False))

    # ---- RRDs in the making ----

    def _fresh(self) -> RRD:
        """Return the file to make an RRD in, after deleting what a killed writer left there."""
        try:
            empty_folder(self._making)  # rrdtool makes files beside its own, too
        except OSError as error:
            raise StoreError(
                f"{self._making} cannot be written: {reason(error)}; look at its permissions."
            ) from error
        return RRD(os.path.join(self._making, "outbound.rrd"), self.rrd.step)

    def _create(self, begin: int) -> RRD:
        fresh = self._fresh()
        fresh.create(begin)
        return fresh

    def _copy(self, rrd: RRD) -> RRD:
        """Return a copy, with the data sources of this version."""
        fresh = self._fresh()
        try:
            with open(fresh.path, "wb", opener=no_link) as file:
                file.writelines(without_seal(rrd.path))
        except OSError as error:
            with suppress(OSError):
                os.unlink(fresh.path)
            raise StoreError(
                f"{rrd.path} cannot be copied to {fresh.path}: {reason(error)}; "
                "look at the free space."
            ) from error
        fresh.complete()
        return fresh
