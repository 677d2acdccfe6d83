"""Whole logs, compressed or not: what begins like gzip, bzip2, xz or zstd is read as such."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from ..errors import SourceError, reason
from .inode import Inode


class DamagedError(SourceError):
    """A compressed log that cannot be unpacked."""


HEAD = 1024
"""Bytes at its beginning by which a log is known again; they hold the stamps of its first lines."""


class Head(NamedTuple):
    """The first bytes of a log, as a fingerprint that outlives renaming, copying and compressing."""

    length: int
    crc: int

    @classmethod
    def of(cls, begin: bytes) -> Head:
        """The fingerprint of a log that begins so."""
        return cls(len(begin[:HEAD]), zlib.crc32(begin[:HEAD]))

    def begins(self, begin: bytes) -> bool:
        """Whether a log that begins so is that log, perhaps longer by now."""
        return len(begin) >= self.length and zlib.crc32(begin[: self.length]) == self.crc


class _Zstandard(io.RawIOBase):
    """The frames of a .zst file. The package's own reader takes a cut file for a short one."""

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
                raise lzma.LZMAError(str(error)) from error
            self._frame, self._packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        size = min(len(view), len(self._plain))
        view[:size], self._plain = self._plain[:size], self._plain[size:]
        return size


_FORMATS: tuple[tuple[bytes, Callable[[BinaryIO], _Readable]], ...] = (
    (b"\x1f\x8b", lambda file: cast(_Readable, gzip.GzipFile(fileobj=file))),
    (b"BZh", lambda file: cast(_Readable, bz2.BZ2File(file))),
    (b"\xfd7zXZ\0", lambda file: cast(_Readable, lzma.LZMAFile(file))),  # noqa: SIM115 - `open_log` closes the file
    (b"\x28\xb5\x2f\xfd", lambda file: cast(_Readable, _Zstandard(file))),
)
_LONGEST_MAGIC = 6


class LogFile:
    """A log that is open for reading from its beginning."""

    def __init__(self, name: str, raw: io.RawIOBase) -> None:
        self.name = name
        self.status = os.fstat(raw.fileno())
        self.inode = Inode.of(raw.fileno())
        self.is_regular = stat.S_ISREG(self.status.st_mode)
        """Its modification time says when its last line was written."""
        self._raw = raw
        self._ahead = b""
        with translated(name):
            magic = _read(raw, _LONGEST_MAGIC)
            source = _Rejoined(magic, raw)
            if raw.seekable():
                raw.seek(0)
            unpack = next((each for begins, each in _FORMATS if magic.startswith(begins)), None)
            self.compressed = unpack is not None
            plain = raw if raw.seekable() else source
            self._file = unpack(cast(BinaryIO, plain)) if unpack else plain
            self.begin = _read(self._file, HEAD, whole=self.is_regular)
            """Its first bytes; of a pipe those that are there: nobody waits for more to be written."""
        self._ahead = self.begin

    def readinto(self, view: memoryview) -> int:
        """Like `io.RawIOBase.readinto`; raises SourceError for what cannot be unpacked."""
        if self._ahead:
            ahead, self._ahead = self._ahead[: len(view)], self._ahead[len(view) :]
            view[: len(ahead)] = ahead
            return len(ahead)
        with translated(self.name):
            return self._file.readinto(view) or 0

    def read(self, size: int) -> bytes:
        """So many bytes, or what is left."""
        return _read(self, size)

    def skip(self, offset: int) -> bool:
        """Go from its beginning to this byte; False where the log is shorter than that."""
        if not self.compressed and self._raw.seekable():
            self._ahead = b""
            self._raw.seek(offset)
            return offset <= self.status.st_size
        view = memoryview(bytearray(1 << 16))
        while offset and (got := self.readinto(view[: min(offset, len(view))])):
            offset -= got
        return not offset

    def stays(self, offset: int) -> bool:
        """Whether it still begins as it did and reaches this byte, as one that was not truncated; `begin` grows with it."""
        if self.compressed or not self.is_regular:
            return True
        begin = os.pread(self._raw.fileno(), HEAD, 0)
        if not begin.startswith(self.begin) or os.fstat(self._raw.fileno()).st_size < offset:
            return False
        self.begin = begin
        return True

    @property
    def taken(self) -> int:
        """How many bytes of the file itself have been read."""
        return self._raw.tell() if self._raw.seekable() else 0


class _Readable(Protocol):
    def readinto(self, view: memoryview, /) -> int | None: ...


def _read(file: _Readable, size: int, *, whole: bool = True) -> bytes:
    view = memoryview(bytearray(size))
    have = 0
    while have < size and (got := file.readinto(view[have:])):
        have += got
        if not whole:
            break
    return bytes(view[:have])


class _Rejoined(io.RawIOBase):
    """A pipe whose first bytes have been looked at."""

    def __init__(self, begin: bytes, raw: io.RawIOBase) -> None:
        self._begin, self._raw = begin, raw

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any, /) -> int:
        if not self._begin:
            return self._raw.readinto(view) or 0
        begin, self._begin = self._begin[: len(view)], self._begin[len(view) :]
        view[: len(begin)] = begin
        return len(begin)


@contextmanager
def open_log(path: str, *, named: bool = False) -> Iterator[LogFile]:
    """Open a log, or with `-` standard input; raises SourceError. `named`: by its name on the command line."""
    with translated(path, named=named):
        if path == "-":
            yield LogFile("standard input", cast(Any, sys.stdin.buffer).raw)
            return
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
            raise SourceError(
                f"{path} is {'a directory' if stat.S_ISDIR(mode) else 'no regular file'}; name the log that Postfix writes."
            )
        with open(path, "rb", buffering=0) as raw:
            yield LogFile(path, raw)


@contextmanager
def translated(name: str, *, named: bool = False) -> Iterator[None]:
    """Say what went wrong with a log in one sentence; whoever named it on the command line has no setting to look at."""
    try:
        yield
    except FileNotFoundError as error:
        followed = "set `log` to the file that Postfix's lines go to (see `postconf maillog_file`)"
        raise SourceError(
            f"{name} is not there; {'name a log that is' if named else followed}."
        ) from error
    except PermissionError as error:
        raise SourceError(
            f"{name} cannot be read: {reason(error)}; run as a user who may, on Debian one of the group adm."
        ) from error
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise _damaged(name, error) from error
    except OSError as error:
        if error.errno is None:  # bz2 has no error of its own
            raise _damaged(name, error) from error
        raise SourceError(
            f"{name} cannot be read: {reason(error)}; look at the file and its disk."
        ) from error


def _damaged(name: str, error: Exception) -> DamagedError:
    return DamagedError(
        f"{name} cannot be unpacked: {reason(error)}; it is cut or damaged, or still being compressed."
    )
