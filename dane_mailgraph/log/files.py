"""Logs as files, compressed or not: what begins like gzip, bzip2, xz or zstd is unpacked."""

from __future__ import annotations

import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, cast

from ..errors import MissingError, SourceError, reason
from ..privileges import as_caller
from . import export
from .inode import Inode
from .prefixed import Prefixed, Readable

# Who unpacks is imported where it is needed: the counter holds none for years.


class DamagedError(SourceError):
    """A compressed log that cannot be unpacked."""


HEAD = 1024
"""Bytes at its beginning by which a log is recognized: they hold the stamps of its first lines."""


class Head(NamedTuple):
    """A fingerprint of a log's first bytes, the same after renaming, copying and compressing."""

    length: int
    crc: int

    @classmethod
    def of(cls, begin: bytes) -> Head:
        """Make the fingerprint of a log from its first bytes."""
        return cls(len(begin[:HEAD]), zlib.crc32(begin[:HEAD]))

    def begins(self, begin: bytes) -> bool:
        """Return whether these first bytes are of that log, which may be longer by now."""
        return len(begin) >= self.length and zlib.crc32(begin[: self.length]) == self.crc


class _Zstandard(io.RawIOBase):
    """The frames of a .zst file; the package's own reader takes a cut file for a short one."""

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._file, self._new = file, zstandard.ZstdDecompressor().decompressobj
        self._error: type[Exception] = zstandard.ZstdError
        self._frame: Any = None
        self._packed = self._plain = b""

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any, /) -> int:
        while not self._plain:
            if not self._packed:
                self._packed = self._file.read(1 << 16)
                if not self._packed:
                    if self._frame:
                        raise EOFError("it ends within a frame")
                    return 0
            frame = self._frame or self._new()
            try:
                self._plain = frame.decompress(self._packed)
            except self._error as error:
                raise EOFError(str(error)) from error
            self._frame, self._packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        size = min(len(view), len(self._plain))
        view[:size], self._plain = self._plain[:size], self._plain[size:]
        return size


def _gzip(file: BinaryIO) -> Readable:
    import gzip

    return cast(Readable, gzip.GzipFile(fileobj=file))


def _bzip2(file: BinaryIO) -> Readable:
    import bz2

    return cast(Readable, bz2.BZ2File(file))


def _xz(file: BinaryIO) -> Readable:
    import lzma

    return cast(Readable, lzma.LZMAFile(file))


def _errors_of_unpacking() -> tuple[type[Exception], ...]:
    import gzip
    import lzma

    return EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error


_FORMATS: tuple[tuple[bytes, Callable[[BinaryIO], Readable]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ\0", _xz),
    (b"\x28\xb5\x2f\xfd", lambda file: cast(Readable, _Zstandard(file))),
)
_LONGEST_MAGIC = 6


class Content(NamedTuple):
    """What opening a file shows of it."""

    inode: Inode
    begin: bytes
    """Its first `HEAD` bytes, unpacked."""
    compressed: bool
    size: int
    """Bytes of the file itself."""
    written: int
    """When it was last written, in epoch seconds."""


class LogFile:
    """A log that is open for reading from its beginning."""

    def __init__(self, name: str, raw: io.RawIOBase) -> None:
        self.name = name
        self.status = os.fstat(raw.fileno())
        self.inode = Inode.of(raw.fileno())
        self.is_regular = stat.S_ISREG(self.status.st_mode)
        """It is no pipe: its modification time says when its last line was written."""
        self._raw = raw
        with source_errors(name):
            self._plain, self.compressed, self.begin = _unpacked(raw, whole=self.is_regular)
            """Its first bytes, unpacked; of a pipe those that are there without waiting."""
        self._reader = Prefixed(self.begin, self._plain)
        self._again: Readable | None = None
        """The same, unpacked once more, and how much of it has been read."""
        self._again_at = 0

    @property
    def content(self) -> Content:
        """What is known of it from opening it."""
        status = self.status
        return Content(
            self.inode, self.begin, self.compressed, status.st_size, int(status.st_mtime)
        )

    def readinto(self, view: memoryview) -> int:
        """Read like `io.RawIOBase.readinto`; raises SourceError for what cannot be unpacked."""
        with source_errors(self.name):
            return self._reader.readinto(view)

    def read(self, size: int) -> bytes:
        """Return so many bytes, or all that are left."""
        return _read(self, size)

    def read_ahead(self) -> None:
        """Wait for the first bytes of a pipe, as of a file; call it before anything is read."""
        self.begin += _read(self._plain, HEAD - len(self.begin))
        self._reader = Prefixed(self.begin, self._plain)

    def skip(self, offset: int) -> bool:
        """Go from its beginning to this byte; return False where the log is shorter than that."""
        if not self.compressed and self._raw.seekable():
            self._reader = Prefixed(b"", self._plain)
            self._raw.seek(offset)
            return offset <= self.status.st_size
        return self._discard(offset) == offset

    def length(self) -> int:
        """Read it from its beginning to its end and return its bytes, unpacked.

        Raises DamagedError for what cannot be unpacked.
        """
        return self._discard(sys.maxsize) if self.compressed else self.status.st_size

    def _discard(self, size: int) -> int:
        view, left = memoryview(bytearray(1 << 16)), size
        while left and (got := self.readinto(view[: min(left, len(view))])):
            left -= got
        return size - left

    def is_intact(self, offset: int) -> bool:
        """Return whether it begins as before and reaches this byte, so that it was not truncated.

        `begin` grows with the file.
        """
        if self.compressed or not self.is_regular:
            return True
        begin = os.pread(self._raw.fileno(), HEAD, 0)
        if not begin.startswith(self.begin) or os.fstat(self._raw.fileno()).st_size < offset:
            return False
        self.begin = begin
        return True

    def current_size(self) -> int:
        """Return its bytes at this moment, unpacked."""
        if not self.compressed:
            return os.fstat(self._raw.fileno()).st_size
        end = self._again_at
        while got := len(self.bytes_at(end, 1 << 18)):
            end += got
        return end

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return its bytes, unpacked, wherever it is being read; fewer at its end."""
        with source_errors(self.name):
            if not self.compressed:
                return os.pread(self._raw.fileno(), size, offset)
            if self._again is None or offset < self._again_at:
                plain, _, begin = _unpacked(_Beside(self._raw.fileno()), whole=True)
                self._again, self._again_at = Prefixed(begin, plain), 0
            while self._again_at < offset:
                passed = len(_read(self._again, min(offset - self._again_at, 1 << 18)))
                self._again_at += passed
                if not passed:
                    return b""
            found = _read(self._again, size)
            self._again_at += len(found)
            return found

    @property
    def taken(self) -> int:
        """How many bytes of the file itself have been read."""
        return self._raw.tell() if self._raw.seekable() else 0


class _Beside(io.RawIOBase):
    """An open file from its beginning, while it is also read elsewhere."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + (self._at if whence == os.SEEK_CUR else 0)
        return self._at

    def readinto(self, view: Any, /) -> int:
        got = os.preadv(self._descriptor, [view], self._at)
        self._at += got
        return got


def _unpacked(raw: io.RawIOBase, *, whole: bool) -> tuple[Readable, bool, bytes]:
    """Return what reads a log on, whether it is compressed, and its first bytes."""
    magic = _read(raw, _LONGEST_MAGIC)
    if raw.seekable():
        raw.seek(0)
    packed = raw if raw.seekable() else Prefixed(magic, raw)
    unpack = next((each for begins, each in _FORMATS if magic.startswith(begins)), None)
    plain: Readable = unpack(cast(BinaryIO, packed)) if unpack else packed
    begin = _read(plain, HEAD, whole=whole)
    if not begin.startswith(export.BEGIN):
        return plain, unpack is not None, begin
    plain = export.Export(begin, plain)
    return plain, True, _read(plain, HEAD, whole=whole)


def _read(file: Readable, size: int, *, whole: bool = True) -> bytes:
    view = memoryview(bytearray(size))
    have = 0
    while have < size and (got := file.readinto(view[have:])):
        have += got
        if not whole:
            break
    return bytes(view[:have])


@contextmanager
def open_log(path: str, *, named: bool = False) -> Iterator[LogFile]:
    """Open a log, or with `-` standard input; raises SourceError.

    `named` says that the path stands on the command line, and not in the setting `log`.
    """
    with source_errors(path, named=named):
        if path == "-":
            yield LogFile("standard input", cast(Any, sys.stdin.buffer).raw)
            return
        with as_caller():
            _check_kind(path, os.stat(path).st_mode, named=named)
            # What replaces it just now must not hang us: opening a pipe waits for its writer.
            opened = open(path, "rb", buffering=0, opener=None if named else _at_once)  # noqa: SIM115
        with opened as raw:
            _check_kind(path, os.fstat(raw.fileno()).st_mode, named=named)
            yield LogFile(path, raw)


def _check_kind(path: str, mode: int, *, named: bool) -> None:
    """Raise SourceError for what is no log; a pipe is one where it is named on the command line."""
    if stat.S_ISREG(mode) or (named and stat.S_ISFIFO(mode)):
        return
    kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
    raise SourceError(f"{path} is {kind}; name the log that Postfix writes.")


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def source_errors(name: str, *, named: bool = False) -> Iterator[None]:
    """Turn errors of reading a log into SourceError, with what the operator can do.

    `named` says that its path stands on the command line, and not in the setting `log`.
    """
    try:
        yield
    except FileNotFoundError as error:
        setting = "set `log` to the file that Postfix's lines go to (see `postconf maillog_file`)"
        raise MissingError(
            f"{name} is not there; {'name a log that is' if named else setting}."
        ) from error
    except PermissionError as error:
        raise SourceError(
            f"{name} cannot be read: {reason(error)}; "
            "run as a user who may, on Debian one of the group adm."
        ) from error
    except _errors_of_unpacking() as error:
        raise _damaged(name, error) from error
    except OSError as error:
        if error.errno is None:  # bz2 has no error of its own
            raise _damaged(name, error) from error
        raise SourceError(
            f"{name} cannot be read: {reason(error)}; look at the file and its disk."
        ) from error


def _damaged(name: str, error: Exception) -> DamagedError:
    return DamagedError(
        f"{name} cannot be unpacked: {reason(error)}; "
        "it is cut or damaged, or still being compressed."
    )
