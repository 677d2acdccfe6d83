"""The RRD follows the ledger, whatever happens to either.

`rrdtool.update` is not atomic: a writer that is killed can leave an RRD that opens fine and is silently
wrong. So the ledger says before each update what will be written, and after it what has been; an RRD found
in between is taken from its snapshot and the ledger is written onto it once more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from ..categories import CATEGORIES
from ..errors import StoreError, reason
from ..times import DAY
from .ledger import Gap, Ledger
from .rrd import RRD, SOURCES, DamagedError

_RETAINED = 8 * DAY
"""Seconds of intervals that the ledger keeps although a snapshot holds them: for an older snapshot or RRD."""


class Store:
    """The RRD in `state_dir`, its snapshot, and what the ledger says of both."""

    def __init__(self, state_dir: str, step: int) -> None:
        self.rrd = RRD(os.path.join(state_dir, "outbound.rrd"), step)
        self.snapshot = RRD(self.rrd.path + ".snapshot", step)
        self.notices: list[str] = []
        """What was out of the ordinary, one sentence each; the caller takes them."""
        self._making = os.path.join(state_dir, "making")

    def settle(self, ledger: Ledger) -> None:
        """Make RRD and ledger agree, whatever happened to either; raises StoreError where nothing sure can be done."""
        if ledger.get("rebuilt"):
            self._give_way(ledger)
        written, writing = ledger.get("written"), ledger.get("writing")
        facts, why = None, "was gone"
        try:
            facts = self.rrd.facts(writing=True)
        except DamagedError as error:
            if written is None:  # nobody knows that it was ours
                raise
            why = error.why if writing is None else "was torn when its writer was stopped"
        if facts and set(SOURCES) - set(facts.sources):
            replace(self._copied(self.rrd).path, self.rrd.path)
        last = facts.last if facts else 0
        if last == written and writing is None:
            return
        kept = self.snapshot.whole_until()
        if kept > (written or 0) or last > max(written or 0, writing or 0):
            self._adopt(ledger, last, kept)
        elif written is not None:
            self._recover(
                ledger,
                why if facts is None else "was older than the ledger" if last < written else "",
            )

    def follow(self, ledger: Ledger, now: int, grace: int) -> int:
        """Write the closed intervals of the ledger into the RRD, quiet ones as zeros; say how many."""
        reached, begin = ledger.get("reached"), ledger.get("begin")
        if reached is None or begin is None:
            return 0
        written = ledger.get("written")
        start = begin if written is None else written
        until: int = min(reached, (now - grace) // self.rrd.step * self.rrd.step)
        if until <= start:
            return 0
        forgotten = ledger.get("forgotten")
        if (
            written is not None
            and forgotten is not None
            and not forgotten <= self.snapshot.whole_until() <= written
        ):
            self._renew_snapshot()  # without one an update that is cut off could not be mended
        with ledger.transaction():
            ledger.set("writing", until)
        if written is None:
            fresh = self._created(begin)
            _write(fresh, ledger, start, until)
            replace(fresh.path, self.rrd.path)
        else:
            _write(self.rrd, ledger, start, until)
        with ledger.transaction():
            ledger.set("written", until)
            ledger.set("writing", None)
        steps: int = (until - start) // self.rrd.step
        return steps

    def take_snapshot(self, ledger: Ledger, now: int, *, every: int = DAY) -> None:
        """Copy the RRD aside once in a while, so that the ledger may forget what both hold."""
        written, taken = ledger.get("written"), ledger.get("snapshot_at")
        if written is None or (taken is not None and 0 <= now - taken < every):
            return
        if taken is None and written - ledger.get("begin", written) < every:
            return  # the ledger still holds everything
        before = ledger.get("snapshot")
        self._renew_snapshot()
        with ledger.transaction():
            ledger.set("snapshot", written)
            ledger.set("snapshot_at", now)
            if before is not None:
                ledger.forget(min(before, written - _RETAINED))

    def _renew_snapshot(self) -> None:
        if not self.snapshot.whole_until():
            _aside(self.snapshot.path)
        replace(self._copied(self.rrd).path, self.snapshot.path)

    def _recover(self, ledger: Ledger, why: str) -> None:
        """Put a true RRD into place: one that is older, or a new one, with the ledger written onto it."""
        fresh, start = self._base(ledger, why or "was torn when its writer was stopped")
        _write(fresh, ledger, start, ledger.get("written"))
        kept = _aside(self.rrd.path) if why else ""
        replace(fresh.path, self.rrd.path)
        with ledger.transaction():
            ledger.set("writing", None)
        if why:
            before = (
                f"; what stood there is now {kept}, delete it when you do not want it back"
                if kept
                else ""
            )
            self.notices.append(
                f"{self.rrd.path} {why}: made anew from what is kept beside it, nothing is lost{before}."
            )

    def _base(self, ledger: Ledger, why: str) -> tuple[RRD, int]:
        """A new one that the ledger can bring up to date, and up to when it is written."""
        begin, written, forgotten = (
            ledger.get("begin"),
            ledger.get("written"),
            ledger.get("forgotten"),
        )
        since = begin if forgotten is None else forgotten
        if since <= (kept := self.snapshot.whole_until()) <= written:
            return self._copied(self.snapshot), kept
        if forgotten is None:
            return self._created(begin), begin
        # An update never takes the time of the last one back: what is older was restored, and is whole.
        if since <= (last := self.rrd.whole_until()) < written:
            return self._copied(self.rrd), last
        raise StoreError(
            f"{self.rrd.path} {why} and {self.snapshot.path} cannot replace it; "
            "restore one of them from a backup, or run `dane-mailgraph import --rebuild` with all the logs you have."
        )

    def _adopt(self, ledger: Ledger, last: int, kept: int) -> None:
        """Take what the RRD or its snapshot hold beyond the ledger as counted: the ledger was lost, or is an old one."""
        if kept > last:
            _aside(self.rrd.path)
            replace(self._copied(self.snapshot).path, self.rrd.path)
        else:  # first, because without it an RRD that is torn later could not be mended
            self._renew_snapshot()
        newest = max(last, kept)
        with ledger.transaction():
            ledger.forget(newest)
            ledger.set("begin", ledger.get("begin", newest))
            ledger.set("reached", max(newest, ledger.get("reached", newest)))
            ledger.set("written", newest)
            ledger.set("writing", None)
            ledger.set("horizon", newest)
            ledger.set("snapshot", newest)
        self.notices.append(
            f"{self.rrd.path} holds more than {ledger.path}: counting goes on where the RRD ends."
        )

    def _give_way(self, ledger: Ledger) -> None:
        """The ledger was made anew from the logs: what was written of the one before it is not its own."""
        _aside(self.rrd.path)
        _aside(self.snapshot.path)
        with ledger.transaction():
            ledger.set("rebuilt", None)

    # ---- RRDs in the making ----

    def _fresh(self) -> RRD:
        """Where an RRD is made before it takes its place; what a killed writer left there is dropped."""
        try:
            os.makedirs(self._making, exist_ok=True)
            for each in os.listdir(self._making):  # rrdtool makes files beside its own, too
                os.unlink(os.path.join(self._making, each))
        except OSError as error:
            raise StoreError(
                f"{self._making} cannot be written: {reason(error)}; look at its permissions."
            ) from error
        return RRD(os.path.join(self._making, "outbound.rrd"), self.rrd.step)

    def _created(self, begin: int) -> RRD:
        fresh = self._fresh()
        fresh.create(begin)
        return fresh

    def _copied(self, rrd: RRD) -> RRD:
        """A copy, with the data sources of this version."""
        fresh = self._fresh()
        try:
            with open(rrd.path, "rb") as source, open(fresh.path, "wb") as file:
                while block := source.read(1 << 20):
                    file.write(block)
        except OSError as error:
            with suppress(OSError):
                os.unlink(fresh.path)
            raise StoreError(
                f"{rrd.path} cannot be copied to {fresh.path}: {reason(error)}; look at the free space."
            ) from error
        fresh.complete()
        return fresh


def _write(rrd: RRD, ledger: Ledger, start: int, until: int) -> None:
    rrd.update(_values(ledger, start, until, rrd.step))
    _sync(rrd.path)


def _values(ledger: Ledger, start: int, until: int, step: int) -> Iterator[str]:
    """One value a step, each stamped with the end of its interval (rrdtool's time)."""
    gaps = ledger.gaps(start, until)
    zeros = ":".join("0" for _ in CATEGORIES)
    at = start
    for begin, counts in chain(ledger.intervals(start, until), [(until, ())]):
        for quiet in range(at, begin, step):
            yield f"{quiet + step}:{zeros}:{_observed(gaps, quiet)}"
        if counts:
            # Observed in any case: what was counted in it was read, even where the rest of it is lost.
            yield f"{begin + step}:{':'.join('U' if n is None else str(n) for n in counts)}:1"
        at = begin + step


def _observed(gaps: list[Gap], at: int) -> str:
    return "0" if any(gap.start <= at < gap.until for gap in gaps) else "1"


# ---- files ----


def _aside(path: str) -> str:
    """Keep what stands there under another name, which is given back; empty where nothing does."""
    if not os.path.lexists(path):
        return ""
    aside = unused(path + ".aside")
    try:
        os.rename(path, aside)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be put aside: {reason(error)}; look at its permissions."
        ) from error
    return aside


def unused(path: str) -> str:
    """A name that begins so and is nobody's."""
    number = 1
    while os.path.lexists(f"{path}-{number}"):
        number += 1
    return f"{path}-{number}"


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {reason(error)}; look at the free space and the disk."
        ) from error


def replace(fresh: str, path: str) -> None:
    """Put a whole file into place, durably."""
    _sync(fresh)
    try:
        os.replace(fresh, path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {reason(error)}; look at the permissions of its directory."
        ) from error
    _sync(os.path.dirname(path) or ".")
