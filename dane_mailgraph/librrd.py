"""ctypes: librrd itself, called as its Python bindings call it; docs/house.md says what is wrong with each of those."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .errors import MissingError

_NAME = "librrd.so.8"
"""Its binary interface has kept this name since rrdtool 1.4."""

_TIME: type[ctypes.c_long] = getattr(ctypes, "c_time_t", ctypes.c_long)
"""Python 3.12 and later know time_t; on Debian 12 and before it is a long everywhere."""

Info = dict[str, Any]
Fetched = tuple[tuple[int, int, int], tuple[str, ...], list[tuple[float | None, ...]]]


class Refused(Exception):
    """What librrd says of a call that failed."""


# ---- the calls, each with the arguments of `rrdtool` on the command line ----


def create(*arguments: str) -> None:
    """Make an RRD."""
    _asked(_library().rrd_create, arguments)


def tune(*arguments: str) -> None:
    """Change what an RRD says of itself."""
    _asked(_library().rrd_tune, arguments)


def update(*arguments: str) -> None:
    """Write values into an RRD."""
    _asked(_library().rrd_update, arguments)


def last(*arguments: str) -> int:
    """Up to when an RRD is written, epoch seconds."""
    return int(_asked(_library().rrd_last, arguments))


def info(*arguments: str) -> Info:
    """All that an RRD says of itself; None is what it does not know."""
    return _taken(_asked(_library().rrd_info, arguments))


def graphv(*arguments: str) -> Info:
    """A picture, and what there is to say of it."""
    return _taken(_asked(_library().rrd_graph_v, arguments))


def fetch(*arguments: str) -> Fetched:
    """Start, end and step of what there is of the rows asked for; the names of its data sources; the rows."""
    start, end, step, width = _TIME(), _TIME(), ctypes.c_ulong(), ctypes.c_ulong()
    names, data = ctypes.POINTER(ctypes.c_void_p)(), ctypes.POINTER(ctypes.c_double)()
    _asked(_library().rrd_fetch, arguments, *map(ctypes.byref, (start, end, step, width, names, data)))
    try:
        sources = tuple(_text(names[n]) for n in range(width.value))
        values: list[Any] = data[: (end.value - start.value) // step.value * width.value]
    finally:
        for each in (*names[: width.value], names, data):
            _library().rrd_freemem(each)
    if math.isnan(sum(values)):  # looking at each takes ten times as long, and what is unknown is rare
        values = [None if value != value else value for value in values]
    return (start.value, end.value, step.value), sources, list(zip(*[iter(values)] * len(sources), strict=True))


# ---- how it is called ----


class _Blob(ctypes.Structure):
    _fields_ = (("size", ctypes.c_ulong), ("begin", ctypes.c_void_p))


class _Value(ctypes.Union):
    _fields_ = (
        ("count", ctypes.c_ulong),
        ("number", ctypes.c_double),
        ("text", ctypes.c_void_p),
        ("whole", ctypes.c_int),
        ("blob", _Blob),
    )


class _Entry(ctypes.Structure):
    """rrd_info_t of rrd.h."""


_Entries = ctypes.POINTER(_Entry)
_Entry._fields_ = (("key", ctypes.c_void_p), ("kind", ctypes.c_int), ("value", _Value), ("next", _Entries))


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_NAME)
    except OSError as error:
        raise MissingError(
            f"{_NAME} cannot be loaded: {error}; install it, on Debian with `apt install librrd8`, elsewhere with rrdtool."
        ) from error
    library.rrd_last.restype = _TIME
    library.rrd_info.restype = library.rrd_graph_v.restype = _Entries
    library.rrd_get_error.restype = ctypes.c_char_p
    library.rrd_freemem.argtypes = (ctypes.c_void_p,)
    library.rrd_freemem.restype = library.rrd_clear_error.restype = library.rrd_info_free.restype = None
    return library


def _asked(function: Any, arguments: tuple[str, ...], *results: Any) -> Any:
    """What a function of librrd returns; raises Refused."""
    said = [each.encode("utf-8", "surrogateescape") for each in (function.__name__.removeprefix("rrd_"), *arguments)]
    if any(b"\0" in each for each in said):
        raise Refused("an argument holds a zero byte")
    # As main() has them: librrd may write into them, puts them into another order, and expects a null behind them.
    copies = [ctypes.create_string_buffer(each) for each in said]
    places = (ctypes.c_void_p * (len(copies) + 1))(*map(ctypes.addressof, copies))
    library = _library()
    library.rrd_clear_error()
    answer = function(len(copies), places, *results)
    if library.rrd_test_error() or (answer == -1 if isinstance(answer, int) else not answer):
        raise Refused(_text(library.rrd_get_error()))
    return answer


def _taken(entries: Any) -> Info:
    """What a list of librrd's says; the list is freed."""
    try:
        return dict(_said(entries))
    finally:
        _library().rrd_info_free(entries)


def _said(entries: Any) -> Iterator[tuple[str, Any]]:
    while entries:
        entry = entries.contents
        value = entry.value
        match entry.kind:
            case 0:
                yield _text(entry.key), None if math.isnan(value.number) else value.number
            case 1:
                yield _text(entry.key), value.count
            case 2:
                yield _text(entry.key), _text(value.text)
            case 3:
                yield _text(entry.key), value.whole
            case 4:
                yield _text(entry.key), ctypes.string_at(value.blob.begin, value.blob.size)
        entries = entry.next


def _text(said: Any) -> str:
    return (said if isinstance(said, bytes) else ctypes.string_at(said)).decode("utf-8", "replace")
