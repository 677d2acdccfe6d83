"""CPU time and memory of `render`, and of the verbs that answer, where there is much to read.

Whole processes, by both renderers, over five years of counts of every family and 1,000 relays a day
for the 400 days that are kept; the largest round counts.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dane_mailgraph
from dane_mailgraph.categories import BY_KEY, CATEGORIES
from dane_mailgraph.counts import DayCounts, Interval, SinceGood
from dane_mailgraph.store import RelayTable
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.sync import Store
from dane_mailgraph.times import day_number

ROUNDS = 3
DAY = 86400
YEARS, RELAYS, RELAY_DAYS = 5, 1000, 400
BOUNDS = {
    "from scratch": (4.5, 130.0),
    "every ten minutes": (1.8, 110.0),
    "nothing new": (0.55, 60.0),
}
"""CPU seconds and MiB at most, for matplotlib: up to a half more than on two quiet cores."""

ANSWERS = {
    "report": ["report", "--since", "24h"],
    "report, by month": ["report", "--since", "1800d", "--by", "month"],
    "relays": ["relays", "--since", "400d"],
    "check": ["check"],
}
ANSWER_BOUND = (0.5, 64.0)
"""The same for each of these."""


def fill(folder: Path, now: int) -> None:
    """Something of every category each ten minutes, and each relay each day."""
    end = now - now % 60
    begin = end - YEARS * 366 * DAY
    with Ledger(str(folder / "ledger.sqlite"), writable=True) as ledger:
        with ledger.transaction():
            rows = (
                (at, tuple(at // 600 % (7 + place) for place in range(len(CATEGORIES))))
                for at in (*range(begin, end - 20 * DAY, 7200), *range(end - 20 * DAY, end, 600))
            )
            ledger.add(Interval(at - at % 60, counts) for at, counts in rows)
            ledger.save(ledger.state._replace(begin=begin, read_until=end))
            relays = RelayTable(ledger)
            relays.add(relay_days(end), RELAYS)
            relays.prune(day_number(end - RELAY_DAYS * DAY, None))
        store = Store(str(folder), 60)
        store.reconcile(ledger)
        store.follow(ledger, now + 60, 10)


def relay_days(end: int) -> Iterator[DayCounts]:
    """Most relays are authenticated, one of fifty not always; of one of a hundred, mail fails."""
    good, bad, sent, failed = (
        CATEGORIES.index(BY_KEY[key])
        for key in (
            "connections.verified",
            "connections.untrusted",
            "deliveries.verified",
            "failures.handshake",
        )
    )
    for ago in range(RELAY_DAYS):
        at = end - ago * DAY
        day, first, last = day_number(at, None), at - at % 60 - 3600, at - at % 60 - 60
        for relay in range(RELAYS):
            counts = [0] * len(CATEGORIES)
            is_bad, has_failed = relay % 50 == 1 and ago % 3 == 0, relay % 100 == 2
            counts[bad if is_bad else good], counts[sent], counts[failed] = 7, 9, has_failed
            yield DayCounts(
                *(day, f"mx{relay}.a-name-of-some-length.example", tuple(counts), first, last),
                *("TLSv1.3", "X25519"),
                SinceGood(0, 7, first, last) if is_bad else SinceGood(last),
                SinceGood(last - 60, 1, last, last) if has_failed else SinceGood(last),
            )


def compile_package() -> None:
    """Write the bytecode that an installed program has; some environments keep Python from it."""
    compileall.compile_dir(dane_mailgraph.__path__[0], quiet=2)


def measured(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak MiB of a process."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # `check` says by 1 or 2 that something is wrong on this server.
    if process.returncode and not ("check" in command and process.returncode in (1, 2)):
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    """Print the table; 1 where a bound is broken."""
    broken = []
    with tempfile.TemporaryDirectory(prefix="dane-mailgraph-bench-") as name:
        folder = Path(name)
        compile_package()
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
        for case, words in ANSWERS.items():
            command = [sys.executable, "-m", "dane_mailgraph", *words]
            command += ["--config", os.devnull, "--state-dir", name]
            runs = [measured(command) for _ in range(ROUNDS)]
            cpu, peak = (max(values) for values in zip(*runs, strict=True))
            print(f"{case:33} {cpu:7.2f} {peak:9.0f}")
            if cpu > ANSWER_BOUND[0] or peak > ANSWER_BOUND[1]:
                broken.append(f"{case}: {cpu:.2f} s, {peak:.0f} MiB")
    if broken:
        print("More than it may be: " + "; ".join(broken))
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
