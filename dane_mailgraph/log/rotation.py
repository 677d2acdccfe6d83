"""The files beside a log, and what their names say of rotation."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from ..errors import SourceError
from ..privileges import as_caller
from .files import open_log, source_errors

_COMPRESSED = re.compile(r"\.(gz|bz2|xz|zst)$")

_ROTATED = r"[.-](?:(\d{1,4})|\d{8}(?:-\d+)?|\d{4}-\d\d-\d\d\S*)"
"""What logrotate, savelog and dated rotations append to the log's name, before `.gz`."""

_DATE = r"(?:19|20)\d\d[-._]?[01]\d[-._]?[0-3]\d"
"""A date in the name of the log to which a symbolic link points today."""


class File(NamedTuple):
    """A file beside the log."""

    path: str
    inode: int
    size: int
    changed: int
    """When it was last written, in nanoseconds since the epoch."""
    rotated: bool
    """Its name is one that rotation gives."""
    number: int | None
    """The number in that name; the oldest file has the highest."""

    @property
    def dated(self) -> bool:
        """Whether a date in its name, the year first, says which is older."""
        return self.number is None and bool(re.search(_DATE, self.path))

    @property
    def compressed(self) -> bool:
        """Whether its name says so."""
        return bool(_COMPRESSED.search(self.path))


def beside(log: str, earlier: Iterable[str], inodes: Collection[int]) -> list[File]:
    """Return the files that may have been the log, by their names or as one of these inodes.

    `earlier` are the paths to which the log's name pointed before. Files whose names only begin
    like the log's are among them, as they may be copies of it. Raises SourceError.
    """
    itself = {log, os.path.realpath(log)}
    bases = tuple(dict.fromkeys((log, os.path.realpath(log), *earlier)))
    files = []
    with source_errors(log), as_caller():
        for path, inode in _entries(bases, inodes):
            if path in itself:
                continue
            rotated, number = _rotation(path, bases, itself)
            if rotated or inode in inodes or path.startswith(bases):
                # It may have been renamed just now, or be a symbolic link to nowhere.
                with suppress(FileNotFoundError):
                    status = os.stat(path)
                    if stat.S_ISREG(status.st_mode):
                        state = status.st_ino, status.st_size, status.st_mtime_ns
                        files.append(File(path, *state, rotated, number))
    paths = {each.path for each in files}
    return sorted(each for each in files if not (each.compressed and _repeats(each.path, paths)))


def _repeats(packed: str, paths: Collection[str]) -> bool:
    """Return whether `.1.gz` is made of the `.1` beside it, perhaps just now.

    When compression is switched on, logrotate leaves a `.2` of another time beside `.2.gz`.
    """
    plain = _COMPRESSED.sub("", packed)
    if plain not in paths:
        return False
    try:
        with open_log(packed) as one, open_log(plain) as other:
            return other.begin.startswith(one.begin)
    except SourceError:  # it is not whole yet
        return True


def _entries(bases: tuple[str, ...], inodes: Collection[int]) -> Iterator[tuple[str, int]]:
    """Give path and inode of the files beside these paths that may have been the log."""
    _, begins = _names(bases)
    for folder in dict.fromkeys(os.path.dirname(base) for base in bases):
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(begins) or entry.inode() in inodes:
                        yield os.path.join(folder, entry.name), entry.inode()


def _rotation(path: str, bases: tuple[str, ...], itself: set[str]) -> tuple[bool, int | None]:
    """Return whether a path is one that rotation gives, and the number in it."""
    named, _ = _names(bases)
    stem = _COMPRESSED.sub("", path)
    match = named.fullmatch(stem)
    number = int(match[match.lastindex]) if match and match.lastindex else None
    return match is not None or stem in set(bases) - itself, number


def in_order(files: Iterable[File]) -> list[File]:
    """Return files oldest first: by their numbers or by their dates, else by time.

    A slow writer may still write into an older one, so time comes last.
    """
    by_time = sorted(files, key=lambda each: each.changed)
    if all(each.number is not None for each in by_time):
        return sorted(by_time, key=lambda each: -(each.number or 0))
    if all(each.dated for each in by_time):
        return sorted(by_time, key=lambda each: _COMPRESSED.sub("", each.path))
    return by_time


@lru_cache(maxsize=8)
def _names(bases: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return the pattern of these logs' rotated files, and with what all their names begin.

    The files include those with another date in their names.
    """
    return re.compile("|".join(map(_series, bases))), tuple(
        {re.split(_DATE, os.path.basename(base))[0] for base in bases}
    )


def _series(base: str) -> str:
    folder, name = os.path.split(base)
    parts = re.split(_DATE, name)
    of_any_day = (
        f"|{re.escape(os.path.join(folder, ''))}{_DATE.join(map(re.escape, parts))}"
        if len(parts) > 1
        else ""
    )
    return f"{re.escape(base)}{_ROTATED}{of_any_day}"
