"""The site: the same bytes for the same store, published file by file without a reader ever seeing half of one."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dane_mailgraph import cli, site
from dane_mailgraph.errors import StoreError
from dane_mailgraph.store import Store

NOW = int(time.time())
TLS = "TLS connection established to mx.example.org[192.0.2.1]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that has counted a few connections of the last hour."""
    folder = tmp_path_factory.mktemp("counted")
    stamps = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - ago)) for ago in range(3600, 600, -60))
    log = folder / "mail.log"
    log.write_text("".join(f"{stamp} mail postfix/smtp[7]: Verified {TLS}\n" for stamp in stamps))
    folders = ["--state-dir", str(folder / "state"), "--log", str(folder / "none")]
    assert cli.main(["import", "--config", os.devnull, *folders, str(log)]) == 0
    return str(folder / "state")


@pytest.fixture(scope="module")
def files(state: str) -> dict[str, bytes]:
    return site.build(Store(state, 60), NOW, None, "mail.example.org")


class References(HTMLParser):
    """The files that a page refers to."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data") and value and not value.startswith(("#", "data:")):
                self.found.add(value)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def full_disk(free: int) -> Iterator[None]:
    """No file can grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---- building -------------------------------------------------------------------------------


def test_the_same_store_and_the_same_moment_give_the_same_bytes(state: str, files: dict[str, bytes]) -> None:
    assert site.build(Store(state, 60), NOW, None, "mail.example.org") == files


def test_the_page_comes_last_and_refers_to_every_picture_and_to_nothing_else(files: dict[str, bytes]) -> None:
    *pictures, last = files

    assert last == site.PAGE == "index.html"
    assert References(files[last]).found == set(pictures)
    assert pictures and all(files[name].startswith(b"\x89PNG\r\n\x1a\n") for name in pictures)


def test_the_page_says_what_was_counted_and_where(files: dict[str, bytes]) -> None:
    page = files[site.PAGE].decode()

    assert "mail.example.org" in page
    assert "Nothing" not in page
    assert "50 <small>100%</small>" in page


def test_a_store_of_nothing_has_its_page_and_its_pictures_too(files: dict[str, bytes], tmp_path: Path) -> None:
    empty = site.build(Store(str(tmp_path / "nowhere"), 60), NOW, None, "mail.example.org")

    assert list(empty) == list(files)
    assert "Nothing has been counted yet" in empty[site.PAGE].decode()
    assert "smtp_tls_loglevel" in empty[site.PAGE].decode()
    assert not (tmp_path / "nowhere").exists()


# ---- publishing -----------------------------------------------------------------------------

SMALL = {"a.png": b"a" * 5000, "b.png": b"b", "index.html": b"<!DOCTYPE html>"}


def test_every_file_is_there_as_it_was_built_and_nothing_else(tmp_path: Path) -> None:
    where = site.publish(SMALL, str(tmp_path / "deep" / "www"))

    assert where == str(tmp_path / "deep" / "www" / "index.html")
    assert {path.name: path.read_bytes() for path in (tmp_path / "deep" / "www").iterdir()} == SMALL


def test_a_web_server_may_read_all_of_it_whatever_the_umask(tmp_path: Path) -> None:
    with umask(0o077):
        site.publish(SMALL, str(tmp_path / "www"))

    assert (tmp_path / "www").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "www").iterdir()} == {0o644}


def test_the_mode_of_a_folder_that_is_there_is_its_owners_choice(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir(mode=0o750)
    site.publish(SMALL, str(tmp_path / "www"))

    assert (tmp_path / "www").stat().st_mode & 0o777 == 0o750


def test_a_reader_in_the_midst_of_a_file_reads_it_to_its_end(tmp_path: Path) -> None:
    site.publish(SMALL, str(tmp_path))
    with (tmp_path / "a.png").open("rb", buffering=0) as reader:
        begin = reader.read(1000)
        site.publish({**SMALL, "a.png": b"A" * 5000}, str(tmp_path))

        assert begin + reader.read() == SMALL["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"A" * 5000


def test_pictures_stand_before_the_page_that_shows_them(tmp_path: Path) -> None:
    site.publish(SMALL, str(tmp_path))
    written = {name: (tmp_path / name).stat().st_mtime_ns for name in SMALL}

    assert sorted(written, key=lambda name: written[name])[-1] == "index.html" or len(set(written.values())) < len(written)
    assert max(written.values()) == written["index.html"]


def test_what_a_killed_painter_left_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / "a.png.new").write_bytes(b"half")
    site.publish(SMALL, str(tmp_path))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == SMALL


def test_a_full_disk_is_said_and_leaves_the_old_files_whole(tmp_path: Path) -> None:
    site.publish(SMALL, str(tmp_path))
    with full_disk(1000), pytest.raises(StoreError, match=r"cannot be written: .*; look at"):
        site.publish({name: content.upper() * 2 for name, content in SMALL.items()}, str(tmp_path))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == SMALL


@pytest.mark.parametrize("where", ["file", "file/www", "/proc/www"])
def test_a_folder_that_cannot_be_is_said(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match="cannot be written: ") as caught:
        site.publish(SMALL, str(tmp_path / where))
    assert caught.value.status == 74
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_in_a_files_place_is_said_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "b.png").mkdir()

    with pytest.raises(StoreError, match="Is a directory"):
        site.publish(SMALL, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
