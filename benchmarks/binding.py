"""What the binding of librrd that this Python has does with the calls that we rely on.

One line a question, so that two answers can be laid side by side. docs/house.md has the table.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import rrdtool

from dane_mailgraph.store.rrd import RRD, SOURCES

BEGIN = 1_700_006_400
"""A midnight."""

_UNKNOWN = ("rra[0].cdp_prep[0].value", "ds[count].value", "ds[count].max")
"""Keys of an RRD in whose first row something is unknown, and whose maximum is none."""

_FLOATS = ("rra[0].xff", "ds[count].min", "rra[0].cdp_prep[1].value")


def made(path: Path, minutes: int = 1000) -> str:
    """Make an RRD of two sources; one is unknown in the newest, unfinished row."""
    archives = ["RRA:AVERAGE:0:8:200", "RRA:AVERAGE:0:1:2000", "RRA:MAX:0:60:100"]
    sources = ["DS:count:ABSOLUTE:120:0:U", "DS:other:ABSOLUTE:120:0:U"]
    rrdtool.create(str(path), "--step", "60", "--start", str(BEGIN), *sources, *archives)
    for first in range(1, minutes + 1, 500):
        values = [
            f"{BEGIN + 60 * n}:{n % 7}:{n}" for n in range(first, min(first + 500, minutes + 1))
        ]
        rrdtool.update(str(path), "--template", "count:other", *values)
    rrdtool.update(str(path), *(f"{BEGIN + 60 * (minutes + n)}:U:5" for n in range(1, 4)))
    return str(path)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cost(call: Callable[[int], object], times: int) -> tuple[float, float]:
    """Bytes that stay behind after each call, and its CPU time in microseconds."""
    for n in range(times):
        call(n)
    before, began = resident(), time.process_time()
    for n in range(times, 2 * times):
        call(n)
    return (resident() - before) / times, (time.process_time() - began) / times * 1e6


def refused(function: Callable[..., object], *arguments: object) -> str:
    """Return the exception of a call that must fail."""
    try:
        function(*arguments)
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__name__}"
    return "none"


def ends(child: Callable[[], object]) -> str:
    """How a process of its own ends that does this."""
    pid = os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            child()
        except Exception:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {0: "well", 1: "exception"}.get(code) or signal.Signals(-code).name


def together(folder: Path) -> str:
    """Whether four threads get their own answers while half of their calls fail."""
    wrong: list[object] = []

    def work(number: int) -> None:
        path = made(folder / f"thread{number}.rrd", 10)
        for n in range(500):
            at = BEGIN + 60 * (20 + n)
            rrdtool.update(path, f"{at}:{n}:1")
            try:
                rrdtool.update(path, f"{at}:{n}:1")
            except Exception as error:
                wrong.extend([] if path in str(error) and str(at) in str(error) else [error])
            wrong.extend([] if rrdtool.last(path) == at else [at])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{len(wrong)} wrong answers"


def main() -> int:
    """Ask all of it."""
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"{rrdtool.__name__} {getattr(rrdtool, '__version__', '')}, Python {version}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = made(folder / "a.rrd")
        end = BEGIN + 60 * 1003
        ours = RRD(str(folder / "ours.rrd"), 60)
        ours.create(BEGIN)
        fetch = ["AVERAGE", "-s", str(BEGIN), "-e", str(end - 60), "-r", "60"]
        every = ["-s", str(BEGIN), "-e", str(BEGIN + 60000), "--step", "60", "--maxrows", "1000"]
        every += [f"DEF:v{n}={ours.path}:{name}:AVERAGE:step=60" for n, name in enumerate(SOURCES)]
        every += [f"XPORT:v{n}" for n in range(len(SOURCES))]
        graph = [
            "-",
            "-s",
            str(end - 3600),
            "-e",
            str(end),
            f"DEF:a={path}:count:AVERAGE",
            "AREA:a#00795C",
        ]
        calls: dict[str, Callable[[int], object]] = {
            "last": lambda n: rrdtool.last(path),
            "info": lambda n: rrdtool.info(ours.path),
            "fetch": lambda n: rrdtool.fetch(path, *fetch),
            "xport": lambda n: rrdtool.xport(*every),
            "update": lambda n: rrdtool.update(path, f"{end + 60 * (n + 1)}:1:2"),
            "refused": lambda n: refused(rrdtool.update, path, f"{BEGIN}:1:2"),
            "create": lambda n: rrdtool.create(
                str(folder / "b.rrd"), "DS:x:ABSOLUTE:120:0:U", "RRA:AVERAGE:0:1:10"
            ),
            "graphv": lambda n: rrdtool.graphv(*graph),
        }
        info = rrdtool.info(path)
        print("unknown in info ", {key: info.get(key, "left out") for key in _UNKNOWN})
        print("floats in info  ", {key: info.get(key, "left out") for key in _FLOATS})
        print("keys of info    ", len(info))
        print("unknown in fetch", [row[0] for row in rrdtool.fetch(path, *fetch)[2]][-3:])
        print("image of graphv ", bytes(rrdtool.graphv(*graph)["image"][:4]))
        rrdtool.tune(path, "DS:third:ABSOLUTE:120:0:U")
        print("tune adds       ", "ds[third].index" in rrdtool.info(path))
        print("old stamp       ", refused(rrdtool.update, path, f"{BEGIN}:1:2:3"))
        print("no file         ", refused(rrdtool.last, str(folder / "none.rrd")))
        print("a Path          ", refused(rrdtool.last, Path(path)))
        missing = str(folder / "none.rrd")
        print(
            "fetch, no file  ",
            ends(lambda: [refused(rrdtool.fetch, missing, *fetch) for _ in range(10)]),
        )
        print(
            "xport, no file  ", ends(lambda: rrdtool.xport(f"DEF:a={missing}:x:AVERAGE", "XPORT:a"))
        )
        print("lone surrogate  ", ends(lambda: rrdtool.graphv(*graph, "COMMENT:\udcfc")))
        print("after fork      ", ends(lambda: (rrdtool.info(path), rrdtool.graphv(*graph))))
        print("four threads    ", ends(lambda: together(folder)), "with", together(folder))
        for each, call in calls.items():
            path = made(folder / f"{each}.rrd")
            left, taken = cost(call, 300 if each in ("graphv", "xport") else 2000)
            print(f"{each:16}", f"{left:.0f} bytes stay, {taken:.0f} us a call")
    return 0


if __name__ == "__main__":
    sys.exit(main())
