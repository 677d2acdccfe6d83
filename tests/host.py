"""A mail server to count: a log that is written, rotated and lost, and a clock that can be set."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timezone, tzinfo
from pathlib import Path

import zstandard

from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.counting import Import, Result, Rules, collect
from dane_mailgraph.log.follow import FollowedFile
from dane_mailgraph.peers import PeerSet
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.sync import Store

VERIFIED = CATEGORIES.index(BY_KEY["connections.verified"])

START = 1795485600
"""2026-11-24 02:00 UTC."""

TEXT = (
    "Verified TLS connection established to mx.example.org[192.0.2.1]:25: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}


def rfc3339(at: int) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat()


def yearless(at: int, zone: tzinfo = timezone.utc) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%b %e %H:%M:%S")


def line(stamp: str, text: str = TEXT, program: str = "postfix/smtp") -> str:
    return f"{stamp} mx1 {program}[4711]: {text}\n"


def pack(path: Path, suffix: str) -> Path:
    """Compress a file as the usual programs do: under its name and the suffix, with its times."""
    packed = path.with_name(path.name + suffix)
    packed.write_bytes(PACK[suffix](path.read_bytes()))
    status = path.stat()
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()
    return packed


class Host:
    """Counts what it logs; `truth` is what must be found, by minute."""

    def __init__(
        self,
        folder: Path,
        *,
        now: int = START,
        step: int = 60,
        grace: int = 10,
        zone: tzinfo = timezone.utc,
    ) -> None:
        self.folder, self.now, self.zone = folder, now, zone
        self.log = folder / "log" / "mail.log"
        self.log.parent.mkdir(parents=True)
        self.state = folder / "state"
        self.state.mkdir()
        local = PeerSet("127.0.0.0/8 unix")
        self.rules = Rules(step, grace, zone, local, local)
        self.truth: Counter[int] = Counter()
        self.steps: list[Result] = []
        self._serial = 0
        self.start()

    # ---- the program ----

    def start(self) -> None:
        self.ledger = Ledger(str(self.state / "ledger.sqlite"), writable=True)
        self.ledger._db.execute(
            "PRAGMA synchronous = OFF"
        )  # power does not fail here, and a disk is slow
        self.store = Store(str(self.state), self.rules.step)
        self.follower = FollowedFile(str(self.log), str(self.state))

    def restart(self) -> None:
        self.ledger.__exit__(None, None, None)
        self.start()

    def collect(self) -> Result:
        self.store.reconcile(self.ledger)
        step = collect(self.follower, self.ledger, self.rules, self.now)
        self.store.follow(self.ledger, self.now, self.rules.grace)
        self.steps.append(step)
        return step

    def take(self, *paths: Path | str, year: int | None = None) -> Result:
        """Import logs."""
        names = [str(path) for path in paths]
        run = Import(self.follower, self.ledger, self.rules, self.now, year=year)
        step = run.count(names)
        self.store.follow(self.ledger, self.now, self.rules.grace)
        return step

    # ---- the log ----

    def write(self, text: str, to: Path | None = None) -> None:
        path = to or self.log
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(text)
        os.utime(path, (self.now, self.now))

    def lines(self, times: int = 1, at: int | None = None) -> str:
        """Lines of connections, counted in the truth; each says something of its own."""
        at = self.now if at is None else at
        self.truth[at - at % self.rules.step] += times
        return "".join(self.line(at) for _ in range(times))

    def line(self, at: int) -> str:
        self._serial += 1
        return line(
            rfc3339(at), f"{TEXT.replace('mx.', f'mx{self._serial}.')} server-digest {self._serial}"
        )

    def connect(self, times: int = 1, at: int | None = None, to: Path | None = None) -> None:
        self.write(self.lines(times, at), to)

    def rename(self, suffix: str = ".1", *, create: bool = True) -> Path:
        """Rotate; the numbered ones before it move on."""
        if suffix == ".1":
            self.shift()
        rotated = self.log.with_name(self.log.name + suffix)
        self.log.rename(rotated)
        if create:
            self.touch()
        return rotated

    def touch(self) -> None:
        self.log.touch()
        os.utime(self.log, (self.now, self.now))

    def shift(self) -> None:
        numbered = [
            path
            for path in self.log.parent.iterdir()
            if path.name.removeprefix("mail.log.").split(".")[0].isdecimal()
        ]
        for path in sorted(numbered, key=lambda path: -int(path.name.split(".")[2])):
            _, _, number, *packed = path.name.split(".")
            path.rename(path.with_name(".".join(["mail.log", str(int(number) + 1), *packed])))

    def copytruncate(self, suffix: str = ".1") -> Path:
        if suffix == ".1":
            self.shift()
        rotated = self.log.with_name(self.log.name + suffix)
        rotated.write_bytes(self.log.read_bytes())
        os.utime(rotated, (self.now, self.now))
        self.now += 1
        self.truncate()
        return rotated

    def truncate(self) -> None:
        os.truncate(self.log, 0)
        os.utime(self.log, (self.now, self.now))

    # ---- what was counted ----

    @property
    def counted(self) -> dict[int, int]:
        """The ledger's counts by interval."""
        rows = self.ledger.intervals(0, 1 << 40)
        return {start: counts[VERIFIED] or 0 for start, counts in rows if counts[VERIFIED]}

    def unknown(self) -> list[int]:
        """The intervals of the RRD that are unknown, from the first that was counted."""
        return [start for start, count in self.rows() if count is None]

    def rows(self) -> Iterable[tuple[int, int | None]]:
        """The RRD's counts by interval, from the first that was counted."""
        step, begin, last = self.rules.step, self.ledger.state.begin, self.store.rrd.last
        if begin is None or last is None:
            return []
        rows = self.store.rrd.rows(step, begin, last)
        return [(begin + n * step, row.counts[VERIFIED]) for n, row in enumerate(rows)]

    def settles(self) -> None:
        """Let everything be closed, then compare ledger and RRD with the truth."""
        self.now += 2 * self.rules.step + self.rules.grace
        self.collect()
        self.agrees()

    def agrees(self) -> None:
        assert self.counted == dict(self.truth)
        rows = dict(self.rows())
        assert {start: count for start, count in rows.items() if count} == dict(self.truth)
        assert None not in rows.values()
