"""What `run` costs a small server: CPU time, memory, bytes and syncs to disk, over an hour.

python benchmarks/daemon.py --minutes 60 --lines-a-day 54000

Lines of an invented log are written in true time, ten at once as they come with one message, and
the daemon's own figures are read from /proc; syncs are counted by strace where it is installed.
Beside it a second one follows a log in which nothing is written.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
AT_ONCE = 10
SYNCS = "fsync,fdatasync"


def invented(folder: Path, lines: int) -> list[bytes]:
    """Return that many texts of a log, each without its stamp."""
    log, truth = folder / "invented.log", folder / "truth.json"
    size = str(300 * lines + 100_000)
    make = [sys.executable, str(HERE / "make_log.py"), "--size", size, str(log), str(truth)]
    subprocess.run(make, check=True)
    return [line[15:] for line in log.read_bytes().splitlines()[:lines]]


class Daemon:
    """A running `run`, and what /proc says of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log, self.syncs = folder / "mail.log", folder / "syncs"
        self.log.touch()
        command = [sys.executable, "-m", "dane_mailgraph", "run", "--config", "/dev/null"]
        options = ["--log", str(self.log), "--state-dir", str(folder / "state")]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)}
        # It stops the daemon at its syncs alone, so that it costs no CPU time that counts.
        trace = ["strace", "-D", "-q", "-f", "--seccomp-bpf", "-e", f"trace={SYNCS}"]
        self.is_traced = bool(shutil.which("strace"))
        traced = [*trace, "-o", str(self.syncs)] if self.is_traced else []
        self.process = subprocess.Popen([*traced, *command, *options], env=environment)

    def figures(self) -> dict[str, float]:
        """CPU seconds, bytes written, MiB resident, and syncs, from its start on."""
        proc = Path("/proc") / str(self.process.pid)
        io = dict(line.split(": ") for line in (proc / "io").read_text().splitlines())
        resident = re.search(r"VmRSS:\s+(\d+)", (proc / "status").read_text())
        assert resident
        return {
            "CPU s": int((proc / "schedstat").read_text().split()[0]) / 1e9,
            "MB written": int(io["write_bytes"]) / 1e6,
            "MiB resident": int(resident[1]) / 1024,
            "syncs": self.syncs.read_bytes().count(b"sync(") if self.is_traced else float("nan"),
        }

    def stop(self) -> None:
        """End it as systemd does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def play(log: Path, texts: list[bytes], minutes: float) -> None:
    """Append the texts in true time, spread at random."""
    chance, begin, end = random.Random(1), time.monotonic(), minutes * 60
    times = sorted(chance.uniform(0, end) for _ in range(0, len(texts), AT_ONCE))
    with open(log, "ab", buffering=0) as file:
        for number, at in enumerate(times):
            time.sleep(max(0, begin + at - time.monotonic()))
            stamp = time.strftime("%b %e %H:%M:%S").encode()
            some = texts[number * AT_ONCE : (number + 1) * AT_ONCE]
            file.write(b"".join(stamp + text + b"\n" for text in some))
    time.sleep(max(0, begin + end - time.monotonic()))


def main() -> int:
    """Print the figures, and what they are an hour and a day."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lines-a-day", type=int, default=54_000)
    options = parser.parse_args()
    minutes = options.minutes
    with tempfile.TemporaryDirectory(prefix="dane-mailgraph-", dir="/var/tmp") as name:
        folder = Path(name)
        texts = invented(folder, int(options.lines_a_day / 1440 * minutes))
        daemons = {
            "nothing logged": Daemon(folder / "quiet"),
            "small server": Daemon(folder / "it"),
        }
        try:
            for each in daemons.values():
                play(each.log, texts[:AT_ONCE], 0)
            time.sleep(240)  # it makes an RRD of 29 MB at first, and closes the last interval
            before = {name: each.figures() for name, each in daemons.items()}
            play(daemons["small server"].log, texts, minutes)
            after = {name: each.figures() for name, each in daemons.items()}
        finally:
            for each in daemons.values():
                each.stop()
    print(f"{len(texts):,} lines in {minutes:g} minutes ({options.lines_a_day:,} a day)")
    print(f"{'':16} {'CPU s/hour':>10} {'MB/day':>8} {'syncs/day':>10} {'MiB resident':>13}")
    for name, figures in after.items():
        spent = {what: figures[what] - before[name][what] for what in figures}
        print(
            f"{name:16} {spent['CPU s'] * 60 / minutes:10.2f} "
            f"{spent['MB written'] * 1440 / minutes:8.1f} "
            f"{spent['syncs'] * 1440 / minutes:10,.0f} {figures['MiB resident']:13.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
