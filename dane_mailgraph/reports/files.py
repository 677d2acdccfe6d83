"""Files that hold TLS reports: JSON, gzip, mails, mboxes, Maildirs, standard input."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ..errors import SourceError, reason
from ..privileges import as_caller
from .mail import MOST_MAIL_BYTES, begins_like_mail, domain_in_name, read_mail
from .report import (
    Origin,
    Reading,
    TlsReport,
    UnusableError,
    is_packed,
    read_report,
    refusal,
    unpack,
)

_BLOCK = 256 << 10
"""Bytes of an mbox that are read at once."""


class Found(NamedTuple):
    """Reports and where they are, or why what is there cannot be used."""

    where: str
    """The file, and the message of an mbox: `reports.mbox, message 3`."""
    reports: tuple[TlsReport, ...]
    unusable: str = ""
    """A sentence without its subject."""


def read_files(path: str, now: int, host: str) -> Iterator[Found]:
    """Yield what a file, a Maildir or standard input holds.

    Args:
        path: As the operator names it; `-` is standard input.
        now: Epoch second.
        host: Our own server, as its `Authentication-Results` name it.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        if path == "-":
            with open(sys.stdin.fileno(), "rb", closefd=False) as file:
                yield from _read(file, "standard input", now, host)
        elif _is_directory(path):
            for name in _mails(path):
                yield from _read_mail_of_maildir(name, now, host)
        else:
            with _open(path) as file:
                yield from _read(file, path, now, host)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {reason(error)}; name a report, a mail, an mbox or a Maildir."
        ) from error


def _is_directory(path: str) -> bool:
    with as_caller():
        return os.path.isdir(path)


def _open(path: str, flags: int = 0) -> BinaryIO:
    with as_caller():
        return open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags), "rb")


def _mails(path: str) -> Iterator[str]:
    """Yield the paths of a Maildir's mails, new ones first: a mail reader moves those to `cur`."""
    folders = [os.path.join(path, name) for name in ("new", "cur")]
    if not all(map(_is_directory, folders)):
        raise SourceError(
            f"{path} is a folder, but no Maildir; name the reports in it, or a folder that holds "
            "`new` and `cur`."
        )
    for folder in folders:
        with as_caller():
            names = sorted(os.listdir(folder))
        yield from (os.path.join(folder, name) for name in names if not name.startswith("."))


def _read_mail_of_maildir(path: str, now: int, host: str) -> Iterator[Found]:
    try:
        file = _open(path, os.O_NONBLOCK | os.O_NOFOLLOW)  # a pipe would wait for its writer
    except FileNotFoundError:  # moved by a reader of mail, or deleted
        return
    except OSError as error:
        yield Found(path, (), f"it cannot be read: {reason(error)}")
        return
    with file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            yield from _read(file, path, now, host)


def _read(file: BinaryIO, where: str, now: int, host: str) -> Iterator[Found]:
    """Yield what an open file holds, by its first bytes."""
    begin = file.read(5)
    if begin == b"From ":
        yield from _read_mbox(file, where, now, host)
        return
    data = begin + file.read(MOST_MAIL_BYTES + 1 - len(begin))
    if len(data) > MOST_MAIL_BYTES:
        yield Found(where, (), f"it has more than {MOST_MAIL_BYTES >> 20} MiB")
        return
    try:
        if is_packed(data):
            data = unpack(data)
        if data.startswith(b"From "):
            yield from _read_mbox(io.BytesIO(data[5:]), where, now, host)
            return
        readings = _readings(data, where, now, host)
    except UnusableError as error:
        readings = [refusal(error)]
    yield from _found(where, readings)


def _readings(data: bytes, where: str, now: int, host: str) -> list[Reading]:
    """Read a report or a mail; raises UnusableError."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return [read_report(unpack(data), now, Origin(domain_in_name(where)))]
    if begins_like_mail(data):
        return read_mail(data, now, host, where)
    raise UnusableError("it is no TLS report" if data else "it is empty")


def _found(where: str, readings: list[Reading]) -> Iterator[Found]:
    for reading in readings:
        if reading.reports:
            yield Found(where, reading.reports)
        yield from (Found(where, (), why) for why in reading.unusable)


# ---- mbox -----------------------------------------------------------------------------------

_SEPARATOR = re.compile(rb"^From [^\n]{1,256}\d\d:\d\d[^\n]{0,64}\n", re.MULTILINE)


def _read_mbox(file: BinaryIO, where: str, now: int, host: str) -> Iterator[Found]:
    """Yield what the messages of an mbox hold; its first `From ` has been read."""
    for number, mail in enumerate(messages(file), 1):
        place = f"{where}, message {number}"
        try:
            if mail is None:
                raise UnusableError(f"it has more than {MOST_MAIL_BYTES >> 20} MiB")
            readings = read_mail(mail, now, host, where)
        except UnusableError as error:
            readings = [refusal(error)]
        yield from _found(place, readings)


def messages(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the messages of an mbox whose first `From ` has been read; None is too large."""
    file.readline(_BLOCK)
    mail, is_large, before = bytearray(), False, b""
    while block := file.read(_BLOCK):
        block += file.readline(_BLOCK)
        begin = 0
        # A search for bytes is ten times as fast.
        for found in _SEPARATOR.finditer(block) if b"From " in block else ():
            above = (before + block[max(0, found.start() - 4) : found.start()])[-4:]
            if above.endswith((b"\n\n", b"\r\n\r\n")) or not above:
                mail += block[begin : found.start()]
                yield None if is_large or len(mail) > MOST_MAIL_BYTES else bytes(mail)
                mail, is_large, begin = bytearray(), False, found.end()
        mail += block[begin:]
        if len(mail) > MOST_MAIL_BYTES:
            mail, is_large = bytearray(), True
        before = block[-4:]
    yield None if is_large else bytes(mail)
