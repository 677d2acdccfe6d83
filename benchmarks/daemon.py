"""What `run` costs a small server: CPU time, memory, bytes and syncs to disk, over an hour.

python benchmarks/daemon.py --minutes 60 --lines-a-day 54000

Lines of an invented log are written in true time, ten at once as they come with one message, and
the daemon's own figures are read from /proc; syncs are counted by strace where it is installed.
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
        self.log = folder / "mail.log"
        self.log.touch()
        command = [sys.executable, "-m", "dane_mailgraph", "run", "--config", "/dev/null"]
        options = ["--log", str(self.log), "--state-dir", str(folder / "state")]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)}
        self.process = subprocess.Popen([*command, *options], env=environment)
        self.syncs = folder / "syncs"
        self.strace = None
        if shutil.which("strace"):
            trace = ["strace", "-q", "-f", "-e", f"trace={SYNCS}", "-o", str(self.syncs)]
            self.strace = subprocess.Popen([*trace, "-p", str(self.process.pid)])

    def figures(self) -> dict[str, float]:
        """CPU seconds, bytes written, MiB resident, and syncs, from its start on."""
        proc = Path("/proc") / str(self.process.pid)
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        io = dict(line.split(": ") for line in (proc / "io").read_text().splitlines())
        status = (proc / "status").read_text()
        resident = re.search(r"VmRSS:\s+(\d+)", status)
        assert resident
        return {
            "CPU s": (int(fields[11]) + int(fields[12])) / ticks,
            "MB written": int(io["write_bytes"]) / 1e6,
            "MiB resident": int(resident[1]) / 1024,
            "syncs": len(self.syncs.read_bytes().splitlines()) if self.strace else float("nan"),
        }

    def stop(self) -> None:
        """End it as systemd does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        if self.strace:
            self.strace.wait()


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
        daemon = Daemon(folder)
        try:
            play(daemon.log, texts[:AT_ONCE], 0)
            time.sleep(180)  # it makes an RRD of 19 MB at first
            before = daemon.figures()
            play(daemon.log, texts, minutes)
            after = daemon.figures()
        finally:
            daemon.stop()
    spent = {name: after[name] - before[name] for name in after}
    print(f"{len(texts):,} lines in {minutes:g} minutes ({options.lines_a_day:,} a day)")
    print(f"CPU            {spent['CPU s'] * 60 / minutes:8.2f} s an hour")
    print(f"written        {spent['MB written'] * 1440 / minutes:8.1f} MB a day")
    print(f"syncs          {spent['syncs'] * 1440 / minutes:8,.0f} a day")
    print(f"resident       {after['MiB resident']:8.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
