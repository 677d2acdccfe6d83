"""The site: the same bytes for the same store, published so that readers see whole files only."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dane_mailgraph.categories import BY_KEY, CATEGORIES, DELIVERIES
from dane_mailgraph.cli import command_line
from dane_mailgraph.counts import Interval
from dane_mailgraph.errors import StoreError
from dane_mailgraph.language import load_language
from dane_mailgraph.site import build
from dane_mailgraph.site.build import Look
from dane_mailgraph.site.graphs import GRAPHS
from dane_mailgraph.site.page import PAGE
from dane_mailgraph.store.ledger import Ledger
from dane_mailgraph.store.relays import RelayCounts
from dane_mailgraph.store.series import SPANS
from dane_mailgraph.store.sync import Store
from dane_mailgraph.times import DAY, HOUR

pytestmark = pytest.mark.slow

NOW = int(time.time()) // 3600 * 3600
"""Where hours begin decides how many events each has, and so which pictures there are."""
TLS = (
    "TLS connection established to mx.example.org[192.0.2.1]:25: "
    "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
)
LOOK = Look("mail.example.org")

ALL = 2 * len(SPANS) * len(GRAPHS)
"""Pictures of a site."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that has counted a few connections of the last hour."""
    folder = tmp_path_factory.mktemp("counted")
    stamps = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - ago)) for ago in range(3600, 600, -60)
    )
    log = folder / "mail.log"
    log.write_text("".join(f"{stamp} mail postfix/smtp[7]: Verified {TLS}\n" for stamp in stamps))
    folders = ["--state-dir", str(folder / "state"), "--log", str(folder / "none")]
    assert command_line.main(["import", "--config", os.devnull, *folders, str(log)]) == 0
    return str(folder / "state")


@pytest.fixture(scope="module")
def files(state: str) -> Mapping[str, bytes]:
    return build.build(Store(state, 60).rrd, NOW, LOOK).files


BEGIN = 1795392000  # 2026-11-23 00:00 UTC


class Growing:
    """A store that counts on, one of each connection and delivery an interval."""

    def __init__(self, folder: Path, step: int = 60) -> None:
        self.folder, self.at = folder, BEGIN
        self.store, self.ledger = (
            Store(str(folder), step),
            Ledger(str(folder / "ledger.sqlite"), writable=True),
        )
        self.ledger._db.execute("PRAGMA synchronous = OFF")  # power does not fail here
        self.www = folder / "www"

    def count(self, until: int) -> None:
        one = tuple(int(row.family in ("connections", "deliveries")) for row in CATEGORIES)
        with self.ledger.transaction():
            self.ledger.add(Interval(at, one) for at in range(self.at, until, self.store.rrd.step))
            self.ledger.save(self.ledger.state._replace(begin=BEGIN, read_until=until))
        self.store.reconcile(self.ledger)
        self.store.follow(self.ledger, until + 60, 10)
        self.at = until

    def render(self, now: int | None = None, look: Look = LOOK) -> list[str]:
        """The pictures that were drawn."""
        site = build.build(
            self.store.rrd,
            self.at + 60 if now is None else now,
            look,
            present=build.present_pictures(str(self.www)),
        )
        build.publish(site.files, str(self.www))
        return sorted(name for name in site.files if name.endswith(".png"))


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    found = Growing(tmp_path)
    with found.ledger:
        yield found


class References(HTMLParser):
    """The files that a page refers to."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (
                name in ("src", "href", "srcset", "data")
                and value
                and not value.startswith(("#", "data:"))
            ):
                self.found.add(value.partition("?")[0].partition("#")[0])


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


def test_the_same_store_and_the_same_moment_give_the_same_bytes(
    state: str, files: Mapping[str, bytes]
) -> None:
    assert build.build(Store(state, 60).rrd, NOW, LOOK).files == files


def test_the_page_comes_last_and_refers_to_every_file_and_to_nothing_else(
    files: Mapping[str, bytes],
) -> None:
    *others, last = files

    assert last == PAGE == "index.html"
    unseen = {"deliveries", "deliveries-share", "failures", "inbound", "inbound-protocols"}
    pages = [name for name in files if name.endswith(".html")]
    assert set().union(*(References(files[name]).found for name in pages)) == {
        *pages,
        *(
            name
            for name in others
            if name.partition("-")[2].removesuffix(".png").removesuffix("-dark") not in unseen
        ),
    }
    assert all(
        files[name].startswith(b"\x89PNG\r\n\x1a\n") for name in others if name.endswith(".png")
    )


def test_file_names_are_stable_for_those_who_embed_them(files: Mapping[str, bytes]) -> None:
    for span in ("day", "week", "month", "year"):
        for name in (
            "connections",
            "connections-dark",
            "connections-share",
            "connections-share-dark",
            "protocols",
        ):
            assert f"{span}-{name}.png" in files


def test_the_page_says_what_was_counted_and_where(files: Mapping[str, bytes]) -> None:
    page = files[PAGE].decode()

    assert "mail.example.org" in page
    content = json.loads(files["status.json"])
    drawn = content["spans"]["day"]["connections"]["verified"]["total"]
    assert 40 <= drawn <= 50  # figures end where the pictures do
    assert f"of {drawn}<" in page
    assert content["last_24_hours"]["verified_connections"] == {
        "now": 1.0,
        "before": None,
        "of": drawn,
        "trend": None,
        "weeks": [None] * 12,
    }


def test_a_graph_of_which_nothing_was_ever_counted_has_its_files_and_is_not_on_the_page(
    files: Mapping[str, bytes],
) -> None:
    shown = {
        name.removeprefix("day-")
        for name in References(files["index.html"]).found
        if name.startswith("day-") and not name.endswith("-dark.png")
    }

    assert {f"{span.name}-{graph.slug}.png" for span in SPANS for graph in GRAPHS} <= set(files)
    assert shown == {
        "connections.png",
        "connections-share.png",
        "protocols.png",
        "key-exchange.png",
    }


@pytest.mark.parametrize("renderer", ["matplotlib", "rrdtool"])
def test_a_store_of_nothing_has_its_page_and_all_pictures(renderer: str, tmp_path: Path) -> None:
    rrd = Store(str(tmp_path / "nowhere"), 60).rrd
    empty = build.build(rrd, NOW, LOOK._replace(renderer=renderer)).files

    assert len([name for name in empty if name.endswith(".png")]) == ALL
    assert "Nothing has been counted yet" in empty[PAGE].decode()
    assert "smtp_tls_loglevel" in empty[PAGE].decode()
    assert not (tmp_path / "nowhere").exists()


def test_a_destination_is_on_the_page_and_in_the_json_or_in_neither(state: str) -> None:
    one = RelayCounts("partner.example", NOW - 600, NOW - 60, {BY_KEY["deliveries.plaintext"]: 2})
    for shown in (False, True):
        look = LOOK._replace(names_relays=shown)
        files = build.build(Store(state, 60).rrd, NOW, look, build.Recent(relays=(one,))).files
        assert [b"partner.example" in files[name] for name in ("index.html", "status.json")] == [
            shown,
            shown,
        ]


# ---- what need not be drawn again -----------------------------------------------------------


def test_a_picture_whose_newest_pixel_is_the_same_is_not_drawn_again_and_its_file_not_touched(
    growing: Growing,
) -> None:
    growing.count(BEGIN + 7 * HOUR + 120)
    assert len(growing.render()) == ALL
    before = {path.name: path.stat().st_mtime_ns for path in growing.www.iterdir()}
    growing.count(BEGIN + 7 * HOUR + 540)

    assert growing.render() == []
    after = {path.name: path.stat().st_mtime_ns for path in growing.www.iterdir()}
    assert [name for name in before if before[name] != after[name] and name.endswith(".png")] == []
    assert after["index.html"] > before["index.html"]


def test_the_day_is_drawn_every_ten_minutes_the_week_every_hour_and_so_on(growing: Growing) -> None:
    drawn = {}
    growing.count(BEGIN + 7 * HOUR)
    growing.render()
    for minutes in (10, 60, 61, 70, 120, 300):
        growing.count(BEGIN + 7 * HOUR + minutes * 60)
        drawn[minutes] = sorted({name.split("-")[0] for name in growing.render()})

    assert drawn == {
        10: ["day"],
        60: ["day", "week"],
        61: [],
        70: ["day"],
        120: ["day", "month", "week"],
        300: ["day", "month", "week", "year"],
    }


def test_what_looks_different_is_drawn_again(growing: Growing) -> None:
    growing.count(BEGIN + HOUR)
    everything = growing.render()

    assert growing.render(look=LOOK._replace(host="other.example")) == everything
    assert (
        growing.render(look=LOOK._replace(host="other.example", language=load_language("de")))
        == everything
    )
    assert growing.render(look=LOOK._replace(renderer="rrdtool")) == everything
    assert growing.render(look=LOOK._replace(renderer="rrdtool")) == []


def test_a_picture_that_is_gone_or_was_replaced_is_drawn_again(growing: Growing) -> None:
    growing.count(BEGIN + HOUR)
    growing.render()
    (growing.www / "day-connections.png").unlink()
    (growing.www / "week-connections.png").write_bytes(b"something else")

    assert growing.render() == ["day-connections.png", "week-connections.png"]


def test_the_page_names_the_picture_that_it_means(growing: Growing) -> None:
    growing.count(BEGIN + HOUR)
    growing.render()
    before = "".join(path.read_text() for path in growing.www.glob("*.html"))
    growing.count(BEGIN + HOUR + 600)
    growing.render()
    after = "".join(path.read_text() for path in growing.www.glob("*.html"))

    def named(page: str, name: str) -> list[str]:
        return re.findall(rf'"({name}\?[0-9a-f]+)"', page)

    assert named(before, "day-connections.png") != named(after, "day-connections.png")
    assert named(before, "week-connections.png") == named(after, "week-connections.png") != []


def test_a_counter_that_stands_still_leaves_a_gap_that_grows(growing: Growing) -> None:
    growing.count(BEGIN + HOUR)
    growing.render()

    assert growing.render(now=BEGIN + HOUR + 15 * 60) == []
    assert growing.render(now=BEGIN + HOUR + 30 * 60) == sorted(
        f"day-{graph.slug}{theme}.png" for graph in GRAPHS for theme in ("", "-dark")
    )


def test_all_files_of_a_busy_server_have_two_megabytes_at_most(growing: Growing) -> None:
    chance = random.Random(1)
    begin = BEGIN - 366 * DAY
    with growing.ledger.transaction():
        growing.ledger.add(
            Interval(at, tuple(round(chance.gauss(100, 10)) for _ in CATEGORIES))
            for at in (*range(begin, BEGIN - DAY, HOUR), *range(BEGIN - DAY, BEGIN, 600))
        )
        growing.ledger.save(growing.ledger.state._replace(begin=begin, read_until=BEGIN))
    growing.store.reconcile(growing.ledger)
    growing.store.follow(growing.ledger, BEGIN + 60, 10)
    growing.render()

    assert sum(path.stat().st_size for path in growing.www.iterdir()) <= 2_000_000


def test_the_first_minutes_are_drawn_at_once(growing: Growing) -> None:
    growing.count(BEGIN + 120)
    growing.render()
    first = json.loads((growing.www / "status.json").read_text())

    assert {span["connections"]["verified"]["total"] for span in first["spans"].values()} == {2}


@pytest.mark.parametrize("renderer", ["matplotlib", "rrdtool"])
@pytest.mark.parametrize("step", [20, 60, 3600])
def test_every_step_and_every_renderer_makes_a_site(
    renderer: str, step: int, tmp_path: Path
) -> None:
    growing = Growing(tmp_path, step)
    with growing.ledger:
        growing.count(BEGIN + 2 * HOUR)

        assert len(growing.render(look=LOOK._replace(renderer=renderer))) == ALL
        assert growing.render(look=LOOK._replace(renderer=renderer)) == []


def test_numbers_are_the_same_in_every_span_that_holds_them_all(growing: Growing) -> None:
    growing.count(BEGIN + 18 * HOUR)
    growing.render()
    content = json.loads((growing.www / "status.json").read_text())

    assert [span["deliveries"]["plaintext"]["total"] for span in content["spans"].values()] == [
        18 * 60
    ] * 4
    assert content["last_24_hours"]["plaintext_deliveries"]["of"] == len(DELIVERIES) * 18 * 60


# ---- publishing -----------------------------------------------------------------------------

SMALL = {"a.png": b"a" * 5000, "b.png": b"b", "index.html": b"<!DOCTYPE html>"}


def test_every_file_is_there_as_it_was_built_and_nothing_else(tmp_path: Path) -> None:
    where = build.publish(SMALL, str(tmp_path / "deep" / "www"))

    assert where == str(tmp_path / "deep" / "www" / "index.html")
    assert {path.name: path.read_bytes() for path in (tmp_path / "deep" / "www").iterdir()} == SMALL


def test_a_web_server_may_read_all_of_it_whatever_the_umask(tmp_path: Path) -> None:
    with umask(0o077):
        build.publish(SMALL, str(tmp_path / "www"))

    assert (tmp_path / "www").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "www").iterdir()} == {0o644}


def test_the_mode_of_a_folder_that_is_there_is_its_owners_choice(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir(mode=0o750)
    build.publish(SMALL, str(tmp_path / "www"))

    assert (tmp_path / "www").stat().st_mode & 0o777 == 0o750


def test_a_reader_in_the_midst_of_a_file_reads_it_to_its_end(tmp_path: Path) -> None:
    build.publish(SMALL, str(tmp_path))
    with (tmp_path / "a.png").open("rb", buffering=0) as reader:
        begin = reader.read(1000)
        build.publish({**SMALL, "a.png": b"A" * 5000}, str(tmp_path))

        assert begin + reader.read() == SMALL["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"A" * 5000


def test_pictures_stand_before_the_page_that_shows_them(tmp_path: Path) -> None:
    build.publish(SMALL, str(tmp_path))
    written = {name: (tmp_path / name).stat().st_mtime_ns for name in SMALL}

    assert sorted(written, key=lambda name: written[name])[-1] == "index.html" or len(
        set(written.values())
    ) < len(written)
    assert max(written.values()) == written["index.html"]


def test_what_a_killed_painter_left_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / "a.png.new").write_bytes(b"half")
    os.utime(tmp_path / "a.png.new", (1, 1))
    build.publish(SMALL, str(tmp_path))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == SMALL


def test_a_full_disk_is_reported_and_leaves_the_old_files_whole(tmp_path: Path) -> None:
    build.publish(SMALL, str(tmp_path))
    with full_disk(1000), pytest.raises(StoreError, match=r"cannot be written: .*; look at"):
        build.publish({name: content.upper() * 2 for name, content in SMALL.items()}, str(tmp_path))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == SMALL


@pytest.mark.parametrize("where", ["file", "file/www", "/proc/www"])
def test_a_folder_that_cannot_be_is_reported(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match="cannot be written: ") as caught:
        build.publish(SMALL, str(tmp_path / where))
    assert caught.value.status == 74
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_in_a_files_place_is_reported_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "b.png").mkdir()

    with pytest.raises(StoreError, match="Is a directory"):
        build.publish(SMALL, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
