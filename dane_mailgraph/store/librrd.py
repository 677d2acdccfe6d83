"""rrdtool: call the binding, whichever of the three it is, and read any RRD with it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import tzinfo
from typing import Any

from ..errors import StoreError

_PATIENCE = 5.0
"""Seconds to wait for a lock: rrdtool's readers lock too, for milliseconds."""


def describe(path: str) -> dict[str, Any]:
    """Return what any RRD says of itself, by the names of `rrdtool info`; raises StoreError.

    Debian's binding leaves out every number that is not an integer.
    """
    try:
        info: dict[str, Any] = call("info", path)
    finally:
        # Of a damaged file librrd keeps an error in mind, which the next update of another reports.
        with suppress(StoreError):
            call("last", os.path.join(path, "none"))
    return info


_GATHERED = re.compile(r"<value>\s*(\S+?)\s*</value>")


def unfinished_rows(path: str) -> list[list[float]]:
    """Return the sum of rates, or NaN, of each source in each archive's unfinished row.

    Read from `rrdtool dump`, which has ten digits with every binding. Raises StoreError.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        dumped = os.path.join(folder, "dump")
        call("dump", path, dumped)
        with open(dumped, encoding="utf-8", errors="replace") as file:
            rows = re.findall(r"<cdp_prep>(.*?)</cdp_prep>", file.read(), re.DOTALL)
    return [[float(value) for value in _GATHERED.findall(row)] for row in rows]


def rates(
    path: str, kind: str, row: int, start: int, until: int, sources: Iterable[str]
) -> list[tuple[float | None, ...]]:
    """Return the rates a second of an RRD's sources in one archive; raises StoreError.

    By `xport`: with Debian's binding a `fetch` that fails, also for a writer's lock, ends the
    process. Both give the same rows and numbers.
    """
    file = path.replace(":", "\\:")
    defined = [f"DEF:v{n}={file}:{source}:{kind}:step={row}" for n, source in enumerate(sources)]
    wanted = [f"XPORT:v{n}" for n in range(len(defined))]
    times = (
        "--start",
        str(start),
        "--end",
        str(until),
        "--step",
        str(row),
        "--maxrows",
        str(max(400, (until - start) // row)),
    )
    found = call("xport", path, *times, *defined, *wanted)
    meta, values = found["meta"], found["data"]
    if (meta["start"], meta["step"], len(values)) != (start, row, (until - start) // row):
        raise StoreError(
            f"{path} has no rows of {row} seconds at {start}; "
            "it is not of this version, move it away."
        )
    return list(values)


def rrdtool_graph(arguments: list[str], zone: tzinfo | None) -> bytes:
    """Return the PNG that `rrdtool graph` draws, with its times in `zone`; raises StoreError."""
    from zoneinfo import ZoneInfo

    before = os.environ.get("TZ")
    try:
        if isinstance(zone, ZoneInfo):  # rrdtool knows only the zone of the process
            os.environ["TZ"] = zone.key
            time.tzset()
        image: bytes = call("graphv", "-", *arguments)["image"]
        return image
    finally:
        if before is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = before
        time.tzset()


def call(function: str, path: str, *arguments: str) -> Any:
    """Call a function of the binding; raises StoreError."""
    import rrdtool  # where it is missing, what needs no store works all the same

    deadline = time.monotonic() + _PATIENCE
    given = (
        arguments if function == "xport" else (path, *arguments)
    )  # its definitions name the file
    while True:
        try:
            return getattr(rrdtool, function)(*given)
        except (
            *(rrdtool.OperationalError, rrdtool.ProgrammingError),
            *(SystemError, OverflowError, ValueError),  # of damaged files
        ) as error:
            said = str(error)
            if "could not lock" in said and time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            # An empty text is what librrd 1.7.2 says of a full disk.
            why = said.replace(f"'{path}'", "it").rstrip(".") or "no space left on the device"
            raise StoreError(
                f"{path} cannot be read or written: {why}; "
                "look at its permissions and at the free space."
            ) from error
