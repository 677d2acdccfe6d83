"""What a host costs a VictoriaMetrics, and what a minute of thousands costs it.

python benchmarks/fleet.py --hosts 10000

The counts are those of `dane-mailgraph demo`, under as many names as there are hosts. It needs the
package victoria-metrics of Debian.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from dane_mailgraph.answer import Judgement
from dane_mailgraph.fleet import metrics
from dane_mailgraph.fleet.history import read_history
from dane_mailgraph.store import Ledger, Store
from dane_mailgraph.times import DAY, HOUR, MINUTE

NAME = "HOST-NAME"
AT_ONCE = 10
"""Hosts in one request: thousands of them would come by as many connections."""

DAILY = 20
"""Hosts whose day is written to disk."""


class Server:
    """A VictoriaMetrics on an empty folder."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        place = f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            ["victoria-metrics", "-retentionPeriod=100y", *place, *flags],
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                self.ask("GET", "/health")
                return
            except OSError:
                time.sleep(0.1)

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return the answer to a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, path, body or None)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        assert answer.status // 100 == 2, said
        return said

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes that are resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def stop(self) -> int:
        """End it; return the bytes of samples on disk."""
        self._process.terminate()
        self._process.wait()
        return sum(each.stat().st_size for each in (self.folder / "data").rglob("*.bin"))


def lines(state: Path, seconds: int) -> list[str]:
    """Return the counters of the last seconds, each series as a line of /api/v1/import."""
    ledger = Ledger(str(state / "ledger.sqlite"), writable=False)
    until = ledger.state.rrd_until or 0
    history = read_history(Store(str(state), MINUTE).rrd, ledger, until - seconds, NAME)
    assert history
    return [
        _line(labels, values, piece.stamps)
        for piece in history.samples(until - seconds)
        for labels, values in piece.series
    ]


def states(state: Path) -> list[str]:
    """Return the states of now, as lines of the same kind."""
    ledger = Ledger(str(state / "ledger.sqlite"), writable=False)
    until = ledger.state.rrd_until or 0
    return [
        _line({"__name__": metrics.PREFIX + name, "host": NAME, **labels}, [value], [until])
        for name, labels, value in metrics.state_samples(ledger, Judgement(()))
    ]


def _line(labels: object, values: list[int], stamps: list[int]) -> str:
    milliseconds = [1000 * each for each in stamps]
    return json.dumps({"metric": labels, "values": values, "timestamps": milliseconds})


def send(server: Server, text: list[str], hosts: int) -> None:
    """Send this as many hosts, and say what it cost."""
    began, cpu, whole = time.monotonic(), server.cpu(), "\n".join(text)
    for first in range(0, hosts, AT_ONCE):
        named = (whole.replace(NAME, f"mx{n}.example.org") for n in range(first, first + AT_ONCE))
        server.ask("POST", "/api/v1/import", "\n".join(named).encode())
    print(
        f"  {time.monotonic() - began:.1f} s, {server.cpu() - cpu:.1f} s of its CPU, "
        f"{server.memory() / 1e6:.0f} MB resident",
        flush=True,
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, default=1000)
    hosts = parser.parse_args().hosts
    with tempfile.TemporaryDirectory() as name:
        folder, program = Path(name), (sys.executable, "-m", "dane_mailgraph")
        subprocess.run([*program, "demo", name], check=True, stdout=subprocess.DEVNULL)
        state = folder / "state"
        hour, now = lines(state, HOUR), states(state)
        body = gzip.compress("\n".join(hour + now).encode(), 1)
        print(f"{len(hour)} counters and {len(now)} states; a minute is {len(body)} bytes")
        server = Server(folder / "fleet", "-dedup.minScrapeInterval=1ms")
        print(f"a first minute of {hosts} hosts")
        send(server, lines(state, MINUTE) + now, hosts)
        print("a minute with its last hour")
        send(server, hour + now, hosts)
        asked = {"query": f"count(max by (host) ({metrics.PREFIX}condition))"}
        began = time.monotonic()
        server.ask("GET", f"/api/v1/query?{urlencode(asked)}")
        print(f"the verdicts of all: {time.monotonic() - began:.1f} s")
        server.stop()
        day = lines(state, DAY)
        for again, flags in ((1, ()), (60, ("-dedup.minScrapeInterval=1ms",)), (60, ())):
            server = Server(folder / f"day{again}{len(flags)}", *flags)
            print(f"a day of {DAILY} hosts, sent {again} times {' '.join(flags)}")
            for _ in range(again):
                send(server, day, DAILY) if again == 1 else _quietly(server, day)
            for path in ("/internal/force_flush", "/internal/force_merge"):
                server.ask("GET", path)
                time.sleep(8)
            print(f"  {server.stop() / DAILY:.0f} bytes a host on disk")


def _quietly(server: Server, text: list[str]) -> None:
    for number in range(DAILY):
        named = "\n".join(text).replace(NAME, f"mx{number}.example.org")
        server.ask("POST", "/api/v1/import", named.encode())


if __name__ == "__main__":
    main()
