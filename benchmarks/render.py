"""CPU time and memory of `render`: all of it, what is due every ten minutes, and nothing new.

Whole processes, by both renderers, over a year of counts of every family; the largest round counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dane_mailgraph.categories import CATEGORIES
from dane_mailgraph.counts import Interval
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.sync import Store

ROUNDS = 3
DAY = 86400
BOUNDS = {
    "from scratch": (12.0, 120.0),
    "every ten minutes": (1.5, 120.0),
    "nothing new": (0.3, 120.0),
}
"""CPU seconds and MiB at most, for matplotlib."""


def fill(folder: Path, now: int) -> None:
    """A year in which something of every category is counted each ten minutes."""
    end = now - now % 60
    with Ledger(str(folder / "ledger.sqlite"), writable=True) as ledger:
        with ledger.transaction():
            rows = (
                (at, tuple(at // 600 % (7 + place) for place in range(len(CATEGORIES))))
                for at in range(end - 366 * DAY, end, 600)
            )
            ledger.add(Interval(at - at % 60, counts) for at, counts in rows)
            ledger.save(ledger.state._replace(begin=end - 366 * DAY, read_until=end))
        store = Store(str(folder), 60)
        store.reconcile(ledger)
        store.follow(ledger, now + 60, 10)


def measured(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak MiB of a process."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    """Print the table; 1 where a bound is broken."""
    broken = []
    with tempfile.TemporaryDirectory(prefix="dane-mailgraph-bench-") as name:
        folder = Path(name)
        if (
            not os.fork()
        ):  # a process inherits our peak across fork and exec (getrusage(2)): ours stays small
            fill(folder, int(time.time()))
            os._exit(0)
        os.wait()
        print(f"\n{'render':12} {'':20} {'cpu s':>7} {'peak MiB':>9} {'drawn':>6}")
        for renderer in ("matplotlib", "rrdtool"):
            www = folder / renderer
            command = [
                sys.executable,
                "-m",
                "dane_mailgraph",
                "render",
                "--config",
                os.devnull,
                "--state-dir",
                name,
            ]
            command += ["--output-dir", str(www), "--renderer", renderer]
            for case, forgotten in (
                ("from scratch", "*.png"),
                ("every ten minutes", "day-*.png"),
                ("nothing new", ""),
            ):
                runs, drawn = [], 0
                for _ in range(ROUNDS):
                    gone = list(www.glob(forgotten)) if forgotten else []
                    for path in gone:
                        path.unlink()
                    runs.append(measured(command))
                    drawn = len(gone) or (len(list(www.glob("*.png"))) if forgotten else 0)
                cpu, peak = (max(values) for values in zip(*runs, strict=True))
                print(f"{renderer:12} {case:20} {cpu:7.2f} {peak:9.0f} {drawn:6}")
                if renderer == "matplotlib" and (cpu > BOUNDS[case][0] or peak > BOUNDS[case][1]):
                    broken.append(f"{case}: {cpu:.2f} s, {peak:.0f} MiB")
    if broken:
        print("More than it may be: " + "; ".join(broken))
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
