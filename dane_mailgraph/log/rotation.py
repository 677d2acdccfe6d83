"""The files beside a log that were the log before, by their names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from .files import translated

_COMPRESSED = re.compile(r"\.(gz|bz2|xz|zst)$")

_ROTATED = r"[.-](?:(\d{1,4})|\d{8}(?:-\d+)?|\d{4}-\d\d-\d\d\S*)"
"""What logrotate, savelog and dated rotations put behind the log's name, but for the compression."""

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
        """The date in its name, the year first, says which is older."""
        return self.number is None and bool(re.search(_DATE, self.path))

    @property
    def compressed(self) -> bool:
        """By its name."""
        return bool(_COMPRESSED.search(self.path))


def beside(log: str, before: Iterable[str], inodes: Collection[int]) -> list[File]:
    """The files that may have been the log: by one of these inodes or by their names; raises SourceError.

    `before` says where the log's name pointed earlier. Names that only begin like the log's are among them.
    """
    itself = {log, os.path.realpath(log)}
    bases = tuple(dict.fromkeys((log, os.path.realpath(log), *before)))
    pointed, (named, begins) = set(bases) - itself, _names(bases)
    files = []
    with translated(log):
        for folder in dict.fromkeys(os.path.dirname(base) for base in bases):
            if not os.path.isdir(folder):
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(begins) and entry.inode() not in inodes:
                        continue
                    path = os.path.join(folder, entry.name)
                    stem = _COMPRESSED.sub("", path)
                    match = named.fullmatch(stem)
                    rotated = match is not None or stem in pointed
                    number = int(match[match.lastindex]) if match and match.lastindex else None
                    if (
                        rotated or entry.inode() in inodes or path.startswith(bases)
                    ) and path not in itself:
                        with suppress(
                            FileNotFoundError
                        ):  # just renamed, or a symbolic link to nowhere
                            status = entry.stat()
                            if stat.S_ISREG(status.st_mode):
                                files.append(
                                    File(
                                        path,
                                        status.st_ino,
                                        status.st_size,
                                        status.st_mtime_ns,
                                        rotated,
                                        number,
                                    )
                                )
    # `.1` and the `.1.gz` that is just being made of it are one file.
    paths = {each.path for each in files}
    return sorted(
        each for each in files if not each.compressed or _COMPRESSED.sub("", each.path) not in paths
    )


def in_order(files: Iterable[File]) -> list[File]:
    """Oldest first: by their numbers or dates, as a slow writer may have written last into an older one; else by time."""
    by_time = sorted(files, key=lambda each: each.changed)
    if all(each.number is not None for each in by_time):
        return sorted(by_time, key=lambda each: -(each.number or 0))
    if all(each.dated for each in by_time):
        return sorted(by_time, key=lambda each: _COMPRESSED.sub("", each.path))
    return by_time


@lru_cache(maxsize=8)
def _names(bases: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """What these logs' rotated files are named, also those with another date in their names, and how all of them begin."""
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
