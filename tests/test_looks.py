"""A file without a line of Postfix's is refused with what it looks like; the others count."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from host import START, Host

from dane_mailgraph.cli import command_line
from dane_mailgraph.errors import SourceError


def tarred(text: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        about = tarfile.TarInfo("mail.log")
        about.size = len(text)
        archive.addfile(about, io.BytesIO(text))
    return packed.getvalue()


def zipped(text: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mail.log", text)
    return packed.getvalue()


OTHERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
    "UTF-16, no mark": (lambda text: text.decode().encode("utf-16-le"), "text in UTF-16"),
    "UTF-16, big": (lambda text: text.decode().encode("utf-16-be"), "text in UTF-16"),
    "zip": (zipped, "a zip archive; unzip it first"),
    "tar": (tarred, "a tar archive; unpack it with `tar -xf` first"),
    "tar.gz": (lambda text: gzip.compress(tarred(text)), "a tar archive"),
    "gzip in gzip": (lambda text: gzip.compress(gzip.compress(text)), "compressed twice"),
    "PDF": (lambda text: b"%PDF-1.7\n" + text, "a PDF"),
    "Sendmail": (
        lambda _: b"Nov 24 02:00:00 mx1 sm-mta[77]: 4AO1xyz0123456: from=<a@example.org>, size=1\n",
        "Sendmail",
    ),
    "Exim": (
        lambda _: (
            b"2026-11-24 02:00:00 1tEXnS-0001Ab-2C <= a@example.org H=x [192.0.2.1] P=esmtp\n"
        ),
        "Exim",
    ),
    "OpenSMTPD": (
        lambda _: b"Nov 24 02:00:00 mx1 smtpd[77]: 0123456789abcdef mta delivery evpid=1\n",
        "OpenSMTPD",
    ),
    "HTTP": (
        lambda _: b'192.0.2.1 - - [24/Nov/2026:02:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "x"\n',
        "a web server",
    ),
    "auth.log": (
        lambda _: b"Nov 24 02:00:00 mx1 sshd[77]: Invalid user x from 192.0.2.1\n",
        "log people in",
    ),
    "JSON": (lambda _: b'{"a": 1}\n', "is JSON"),
    "prose": (lambda _: b"Dear postmaster,\nwhere is my mail?\n", "'Dear postmaster,'"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_log_of_postfix_is_named_and_other_logs_of_the_import_count(
    name: str, tmp_path: Path
) -> None:
    host = Host(tmp_path)
    host.write(host.lines(3, START))
    made, words = OTHERS[name]
    other = tmp_path / "other"
    other.write_bytes(made(host.lines(40, START - 86400).encode()))

    result = host.take(other, host.log)

    (refused,) = result.refused
    assert refused.startswith(f"{other} ")
    assert words in refused
    assert host.counted == {START: 3}
    assert not any(result.omitted.values())


def test_a_byte_order_mark_loses_no_line(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.log.write_bytes(b"\xef\xbb\xbf" + host.lines(2).encode())

    assert host.take(host.log).counted == 2


def test_an_empty_log_is_no_error(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.touch()

    assert host.take(host.log).refused == ()


def test_the_command_ends_with_66_and_says_it_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "access.log").write_bytes(OTHERS["HTTP"][0](b""))
    state = ["--config", "/dev/null", "--state-dir", str(tmp_path / "state")]

    assert command_line.main(["import", *state, str(tmp_path / "access.log")]) == SourceError.status
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith("a web server; name the log that Postfix writes to.\n")
