"""CPU time of an import beside that of other programs on one log, and whether it is right.

Whole processes in turn (A B C A B C ...), medians; ratios are medians of the rounds' own ratios,
because they hold where seconds move with the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

WORDS = "TLS connection established to"
# The slower ones take about a minute for 1 GB, so they get the first part only.
HEAD = 100_000_000
RELAYS = (1000, 30_000, 600_000)
MTAIL = Path(__file__).with_name("connections.mtail")
# A process inherits our peak across fork and exec (getrusage(2)), so smaller ones do not show.
OWN_KIB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Run(NamedTuple):
    """What one process used: seconds of CPU, seconds, peak KiB, and its output."""

    cpu: float
    wall: float
    rss_kib: int
    output: bytes


def run(command: list[str], status: tuple[int, ...] = (0,)) -> Run:
    """Run one whole process. Its output is a pipe: into /dev/null grep stops at the first match."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith("DANE_MAILGRAPH_")
    }
    with tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env | {"LC_ALL": "C", "TZ": "UTC"},
        )
        assert process.stdout is not None
        with process.stdout:
            output = process.stdout.read()
        _, ended, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(ended)
        if process.returncode not in status:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
            sys.exit(f"{' '.join(command)}: exit status {process.returncode}: {said}")
    return Run(used.ru_utime + used.ru_stime, wall, used.ru_maxrss, output)


def mismatches(truth: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Return what the report says otherwise than the truth, without what it does not know."""
    found = []
    for family, expected in truth["counts"].items():
        reported = report[family]
        found += [
            f"{family}.{name}: {reported.get(name)} reported, {count} right"
            for name, count in expected.items()
            if (reported.get(name) or 0) != count
        ]
    return found


def iso(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, timezone.utc).isoformat()


def copy_head(log: Path, head: Path, size: int) -> int:
    """Whole lines of at most `size` bytes, a block at a time to keep our own peak small."""
    left = size
    with log.open("rb") as source, head.open("wb") as target:
        while left > 0 and (block := source.read(min(1 << 16, left))):
            left -= len(block)
            target.write(block[: block.rfind(b"\n") + 1] if left <= 0 else block)
    return head.stat().st_size


class Candidate(NamedTuple):
    """One of the commands that are compared."""

    name: str
    command: Callable[[], list[str]]
    """Makes the command line, and an empty store for it."""
    scale: float = 1
    """What it read times this is the whole log."""
    status: tuple[int, ...] = (0,)


def fresh(folder: Path) -> Path:
    """Make an empty folder of this name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def candidates(log: Path, year: str, ours: list[str], work: Path) -> list[Candidate]:
    """Return what is installed here, in order; `ours` is the command and its settings."""
    found = [Candidate("grep -c", lambda: ["grep", "-c", WORDS, str(log)], status=(0, 1))]
    if shutil.which("rg"):
        found.append(Candidate("rg -c", lambda: ["rg", "-c", WORDS, str(log)], status=(0, 1)))

    def an_import() -> list[str]:
        state = str(fresh(work / "state"))
        return [ours[0], "import", str(log), "--year", year, "--state-dir", state, *ours[1:]]

    found.append(Candidate("dane-mailgraph import", an_import))
    head = work / "head.log"
    scale = log.stat().st_size / copy_head(log, head, HEAD)
    return found + [each._replace(scale=scale) for each in _slower(head, year, work)]


def _slower(head: Path, year: str, work: Path) -> list[Candidate]:
    """Return what is installed here of programs that take minutes for a large log."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    mailgraph, pflogsumm, mtail = (
        shutil.which(name, path=path) or "" for name in ("mailgraph", "pflogsumm", "mtail")
    )
    peers = {
        mailgraph: Candidate(
            "mailgraph --cat",
            lambda: [
                *(mailgraph, "--cat", "-l", str(head), "-t", "syslog", "-y", year),
                f"--daemon-rrd={fresh(work / 'rrd')}",
            ],
        ),
        pflogsumm: Candidate("pflogsumm", lambda: [pflogsumm, str(head)]),
        mtail: Candidate(
            "mtail --one_shot",
            lambda: [mtail, "--one_shot", "--progs", str(MTAIL), "--logs", str(head)],
        ),
    }
    return [each for command, each in peers.items() if command]


def measured(compared: list[Candidate], rounds: int) -> dict[str, list[Run]]:
    """Return the runs of each candidate, in turn; a round before them fills the page cache."""
    runs: dict[str, list[Run]] = {each.name: [] for each in compared}
    for number in range(rounds + 1):
        for each in compared:
            one = run(each.command(), each.status)
            if number:
                scaled = one._replace(cpu=one.cpu * each.scale, wall=one.wall * each.scale)
                runs[each.name].append(scaled)
    return runs


def ratio(runs: dict[str, list[Run]], one: str, other: str) -> float:
    """Return the median of the rounds' own ratios of CPU time."""
    pairs = zip(runs[one], runs[other], strict=True)
    return median(a.cpu / max(b.cpu, 1e-6) for a, b in pairs)


def print_table(runs: dict[str, list[Run]], size: int) -> None:
    """One row a candidate; `size` is the log's in bytes."""
    print(f"\n{'':22} {'cpu s':>8} {'wall s':>8} {'MB/s cpu':>9} {'peak MiB':>9}", end="")
    print(f" {'cpu/grep':>9} {'cpu/mailgraph':>14}")
    for name, done in runs.items():
        used, wall = median(one.cpu for one in done), median(one.wall for one in done)
        rss = max(one.rss_kib for one in done)
        peak = f"{rss / 1024:.1f}" if rss > OWN_KIB * 1.05 else f"<{OWN_KIB / 1024:.0f}"
        row = f"{name:22} {used:8.3f} {wall:8.3f} {size / 1e6 / max(used, 1e-6):9.0f} {peak:>9}"
        for other, width in (("grep -c", 9), ("mailgraph --cat", 14)):
            said = f"{ratio(runs, name, other):.3f}" if other in runs else "-"
            row += f" {said:>{width}}"
        print(row)
    if "mailgraph --cat" in runs:
        times = ratio(runs, "mailgraph --cat", "dane-mailgraph import")
        print(f"\nAn import takes 1/{times:.0f} of mailgraph's CPU time.")
    print(f"mailgraph, pflogsumm and mtail read the first {HEAD / 1e6:.0f} MB at most, scaled.")
    print("Each counts other things: this compares reading a log, not the same work.")


def compare(log: Path, truth: dict[str, Any] | None, command: str, rounds: int, work: Path) -> int:
    """Measure and print; 1 where the counts are wrong."""
    size = log.stat().st_size
    year = str(time.gmtime(truth["since"] if truth else log.stat().st_mtime).tm_year)
    settings = work / "empty.conf"
    settings.touch()
    config = ["--config", str(settings)]
    runs = measured(candidates(log, year, [command, *config], work), rounds)
    python = sys.version.split()[0]
    print(f"{log}: {size / 1e6:.0f} MB; {rounds} rounds; Python {python}, {os.cpu_count()} CPUs")
    print_table(runs, size)

    empty = work / "empty.log"
    empty.touch()
    state = ["--state-dir", str(fresh(work / "idle"))]
    idle = [command, "collect", "--log", str(empty), *state, *config]
    idles = [run(idle) for _ in range(rounds + 1)][1:]
    used, rss = median(one.cpu for one in idles), max(one.rss_kib for one in idles)
    print(f"\ncollect, nothing new: {used * 1000:.0f} ms cpu, peak {rss / 1024:.1f} MiB")

    if truth is None:
        print("\nCounts not checked: no truth given.")
        return 0
    span = ["--since", iso(truth["since"]), "--until", iso(truth["until"])]
    state = ["--state-dir", str(work / "state")]
    report = run([command, "report", "--format", "json", *span, *state, *config])
    wrong = mismatches(truth, json.loads(report.output))
    print(
        "\nCounts: " + ("all as logged" if not wrong else "\n  ".join(["NOT as logged:", *wrong]))
    )
    return 1 if wrong else 0


def made(work: Path, size: int, *options: str) -> tuple[Path, Path]:
    """Make a log and its truth, in a process of its own: children inherit our peak memory."""
    log, truth = work / "mail.log", work / "truth.json"
    maker = str(Path(__file__).with_name("make_log.py"))
    command = [sys.executable, maker, str(log), str(truth), "--size", str(size), *options]
    subprocess.run(command, check=True)
    return log, truth


def print_relays(size: int, command: str, rounds: int, work: Path) -> None:
    """Print what an import costs by the number of relays in a log of `size` bytes."""
    settings = work / "empty.conf"
    print(f"\n{'relays in ' + format(size / 1e6, '.0f') + ' MB':22} {'cpu s':>8} {'peak MiB':>18}")
    for relays in RELAYS:
        log, _ = made(work, size, "--relays", str(relays))
        runs = []
        for _ in range(rounds):
            state = ["--state-dir", str(fresh(work / "state")), "--config", str(settings)]
            runs.append(run([command, "import", str(log), "--year", "2026", *state]))
        used, rss = median(one.cpu for one in runs), max(one.rss_kib for one in runs)
        print(f"{relays:22,} {used:8.3f} {rss / 1024:18.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--log", type=Path, help="an uncompressed log (default: one of --size bytes is made)"
    )
    parser.add_argument("--truth", type=Path, help="its counts, as make_log.py writes them")
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument(
        "--rfc3339", action="store_true", help="make the log with stamps that have year and zone"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--command",
        default=str(Path(sys.executable).with_name("dane-mailgraph")),
        help="what is measured",
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dane-mailgraph-bench-") as name:
        work = Path(name)
        log, truth = args.log, args.truth
        if log is None:
            print(f"Making a log of {args.size / 1e6:.0f} MB", flush=True)
            log, truth = made(work, args.size, *["--rfc3339"] * args.rfc3339)
        status = compare(
            log, json.loads(truth.read_text()) if truth else None, args.command, args.rounds, work
        )
        if args.log is None:
            print_relays(min(args.size, HEAD), args.command, args.rounds, work)
        return status


if __name__ == "__main__":
    sys.exit(main())
