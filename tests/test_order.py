"""Which files are read in which order, by what their folder and their first bytes say of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from dane_mailgraph.log.files import Content, Head
from dane_mailgraph.log.inode import Inode
from dane_mailgraph.log.order import Reading, Turn, reading_order, readings
from dane_mailgraph.log.position import Position
from dane_mailgraph.log.rotation import File, beside, in_order

NOW = 1795485600
LOG = "/var/log/mail.log"


class Given(NamedTuple):
    """A file as the table describes it."""

    file: File
    content: Content
    length: int | None


def given(
    name: str,
    inode: int,
    text: str,
    *,
    written: int = NOW - 10,
    damaged: bool = False,
) -> Given:
    """A file of this name that holds this text; `.gz` is compressed, `.N` is rotated."""
    compressed = name.endswith(".gz")
    number = name.removesuffix(".gz").rpartition(".")[2]
    begin = text.encode()
    return Given(
        File(
            f"/var/log/{name}",
            inode,
            len(begin),
            written * 10**9,
            number.isdecimal(),
            int(number) if number.isdecimal() else None,
        ),
        Content(Inode(inode, 0), begin, compressed, len(begin), written),
        None if damaged else len(begin),
    )


def at(
    inode: int, text: str, *, replaced_at: int | None = None, finished: bool = False
) -> Position:
    """The position after this text, of a file that was the log."""
    begin = text.encode()
    return Position(LOG, inode, len(begin), *Head.of(begin), False, "", replaced_at, finished)


def named(turns: list[Turn]) -> list[str]:
    """Each file's name, with `+` where it is read on; `?` is lost, `-` holds nothing new."""
    return [
        turn.candidate.file.path.removeprefix("/var/log/") + ("+" if turn.position else "")
        if turn.candidate
        else ("-" if turn.position else "?")
        for turn in turns
    ]


# ---- what the names say ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, rotated, number",
    [
        ("mail.log.0", True, 0),
        ("mail.log.1", True, 1),
        ("mail.log.12.gz", True, 12),
        ("mail.log.2.zst", True, 2),
        ("mail.log-20261124", True, None),
        ("mail.log-20261124.xz", True, None),
        ("mail.log-20261124-1795485620.bz2", True, None),
        ("mail.log.2026-11-24", True, None),
        ("mail.log-2026-11-24T02:00.gz", True, None),
        ("mail.log.bak", False, None),
        ("mail.log.old", False, None),
        ("mail.log~", False, None),
        ("mail.log.save.gz", False, None),
        ("mail.log.gz", False, None),
        ("mail.log-x", False, None),
        ("mail.log.err", False, None),
    ],
)
def test_a_name_tells_a_rotated_file_from_one_that_may_only_be_a_copy(
    tmp_path: Path, name: str, rotated: bool, number: int | None
) -> None:
    (tmp_path / name).touch()
    (file,) = beside(str(tmp_path / "mail.log"), [], [])

    assert (file.rotated, file.number) == (rotated, number)


def test_other_logs_are_not_beside_it(tmp_path: Path) -> None:
    for name in ("mail.log", "mail.err", "syslog.1", "xmail.log.1"):
        (tmp_path / name).touch()

    assert beside(str(tmp_path / "mail.log"), [], []) == []


def test_a_file_that_is_just_being_compressed_is_one_file(tmp_path: Path) -> None:
    for name in ("mail.log.1", "mail.log.1.gz"):
        (tmp_path / name).touch()

    assert [each.path for each in beside(str(tmp_path / "mail.log"), [], [])] == [
        str(tmp_path / "mail.log.1")
    ]


@pytest.mark.parametrize(
    "oldest_first",
    [
        ["mail.log.10.gz", "mail.log.9", "mail.log.1"],
        ["mail.log-20261124.gz", "mail.log-20261125", "mail.log-20261126.xz"],
    ],
)
def test_numbers_and_dates_tell_which_file_is_older_and_not_when_it_was_written(
    oldest_first: list[str],
) -> None:
    files = [given(name, at, A, written=NOW - at).file for at, name in enumerate(oldest_first, 1)]

    assert in_order(reversed(files)) == files


def test_files_whose_names_do_not_compare_are_in_the_order_in_which_they_were_written() -> None:
    files = [
        given(name, at, A, written=NOW + at).file
        for at, name in enumerate(("mail.log.1", "mail.log-20261124", "mail.log.2"))
    ]

    assert in_order(reversed(files)) == files


# ---- the order of reading -------------------------------------------------------------------

A, B, C = "2026-11-24T02:00:00Z a\n", "2026-11-24T02:01:00Z b\n", "2026-11-24T02:02:00Z c\n"
LONG_AGO = NOW - 10 * 86400


@pytest.mark.parametrize(
    "live, beside, bookmark, expected",
    [
        pytest.param(given("mail.log", 1, A + B), [], [at(1, A)], ["mail.log+"], id="grown"),
        pytest.param(
            given("mail.log", 2, B),
            [given("mail.log.1", 1, A)],
            [at(1, A)],
            ["mail.log.1+", "mail.log"],
            id="renamed",
        ),
        pytest.param(
            given("mail.log", 2, B),
            [given("mail.log.1.gz", 3, A)],
            [at(1, A)],
            ["mail.log.1.gz+", "mail.log"],
            id="renamed and compressed",
        ),
        pytest.param(
            given("mail.log", 1, B),
            [given("mail.log.1", 2, A)],
            [at(1, A)],
            ["mail.log.1+", "mail.log"],
            id="copied and truncated",
        ),
        pytest.param(
            given("mail.log", 2, A + B),
            [],
            [at(1, A)],
            ["mail.log+"],
            id="written anew by an editor",
        ),
        pytest.param(given("mail.log", 1, ""), [], [at(1, A)], ["?", "mail.log"], id="truncated"),
        pytest.param(given("mail.log", 2, B), [], [at(1, A)], ["?", "mail.log"], id="deleted"),
        pytest.param(
            given("mail.log", 3, C),
            [given("mail.log.1", 2, B), given("mail.log.2", 1, A)],
            [at(1, A)],
            ["mail.log.2+", "mail.log.1", "mail.log"],
            id="rotated twice",
        ),
        pytest.param(
            given("mail.log", 3, C),
            [given("mail.log.1", 2, B), given("mail.log.2", 9, "old\n", written=LONG_AGO)],
            [at(2, B)],
            ["mail.log.1+", "mail.log"],
            id="an older file is not new",
        ),
        pytest.param(
            given("mail.log", 3, C),
            [given("mail.log.1", 2, B), given("mail.log.2.gz", 9, "old\n", damaged=True)],
            [at(2, B)],
            ["mail.log.1+", "?", "mail.log"],
            id="a new file is damaged",
        ),
        pytest.param(
            given("mail.log", 3, C),
            [
                given("mail.log.1", 2, B),
                given("mail.log.7.gz", 9, "old\n", written=LONG_AGO, damaged=True),
            ],
            [at(2, B)],
            ["mail.log.1+", "mail.log"],
            id="an old damaged file is none of the log's",
        ),
        pytest.param(
            given("mail.log", 2, B),
            [given("mail.log.1.gz", 3, A, damaged=True), given("mail.log.bak", 4, A)],
            [at(1, A)],
            ["mail.log.bak+", "?", "mail.log"],
            id="a copy under any name serves where the rotated file is damaged",
        ),
        pytest.param(
            given("mail.log", 2, B),
            [given("mail.log.1", 1, A)],
            [at(1, A, replaced_at=NOW - 60), at(2, "")],
            ["-", "mail.log"],
            id="a rotated file has not grown, and the log was empty",
        ),
        pytest.param(
            given("mail.log", 2, B + C),
            [given("mail.log.1", 1, A + B)],
            [at(1, A, replaced_at=NOW - 60), at(2, B)],
            ["mail.log.1+", "mail.log+"],
            id="a slow writer has added to a rotated file",
        ),
        pytest.param(
            given("mail.log", 2, B),
            [],
            [at(1, "")],
            ["?", "mail.log"],
            id="the log was empty and another file is there",
        ),
        pytest.param(
            given("mail.log", 2, B),
            [given("mail.log.1", 1, "")],
            [at(1, "")],
            ["mail.log.1", "mail.log"],
            id="the log was empty and was rotated empty",
        ),
    ],
)
def test_files_are_read_from_the_oldest_unread_one_to_the_log(
    live: Given, beside: list[Given], bookmark: list[Position], expected: list[str]
) -> None:
    order = reading_order(
        live, beside, tuple(bookmark), lambda position: None, read_at=NOW - 60, now=NOW
    )

    assert named(order) == expected


def test_the_hint_decides_between_files_that_are_alike() -> None:
    copies = [given("mail.log.1", 3, A + B), given("mail.log.2", 4, A + B, written=NOW - 5)]
    order = reading_order(
        given("mail.log", 2, C),
        copies,
        (at(1, A),),
        lambda position: "/var/log/mail.log.1",
        read_at=NOW - 60,
        now=NOW,
    )

    assert named(order)[0] == "mail.log.1+"


# ---- how each is read -----------------------------------------------------------------------


def read(*turns: Turn, last: Position) -> list[Reading]:
    return readings(list(turns), last, LOG, NOW)


def test_a_line_goes_on_in_the_next_file_that_does_not_begin_with_a_time() -> None:
    last = at(1, A)
    rotated = Turn(given("mail.log.1", 2, A + "2026-11-24T02:01"), last)
    whole = Turn(given("mail.log", 1, B))
    rest = Turn(given("mail.log", 1, ":00Z b\n"))

    assert [each.goes_on for each in read(rotated, rest, last=last)] == [True, False]
    assert [each.goes_on for each in read(rotated, whole, last=last)] == [False, False]


@pytest.mark.parametrize(
    "name, written, live, to_the_end",
    [
        ("mail.log.1", NOW - 10, B, False),
        ("mail.log.1", NOW - 7200, B, True),
        ("mail.log.1.gz", NOW - 10, B, True),
    ],
)
def test_an_unfinished_last_line_is_waited_for_as_long_as_it_may_be_finished(
    name: str, written: int, live: str, to_the_end: bool
) -> None:
    last = at(1, A, replaced_at=NOW - 7200)
    rotated = Turn(given(name, 2, A + "2026", written=written), last)

    assert read(rotated, Turn(given("mail.log", 3, live)), last=last)[0].to_the_end is to_the_end


def test_a_copy_waits_for_the_log_that_was_truncated_and_is_still_empty() -> None:
    last = at(1, A)
    copy = Turn(given("mail.log.1.gz", 2, A + "2026"), last)

    assert not read(copy, Turn(given("mail.log", 1, "")), last=last)[0].to_the_end
    assert read(copy, Turn(given("mail.log", 3, "")), last=last)[0].to_the_end
