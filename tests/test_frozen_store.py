"""A store that an older version made is read, and gone on with, by this one."""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from frozen_store import FOLDER, LATER, QUESTIONS, answers, command

from dane_mailgraph.store.schema import SCHEMA

STORES = sorted(FOLDER.glob("*.tar.xz"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.byteorder != "little" or platform.architecture()[0] != "64bit",
        reason="an RRD is of one architecture",
    ),
]


@pytest.fixture(params=STORES, ids=[each.name.removesuffix(".tar.xz") for each in STORES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a store, and what it must say."""
    path: Path = request.param
    for name in ("ledger.sqlite", "outbound.rrd"):
        (tmp_path / name).write_bytes(packed_file(path, name))
    expected = path.with_name(path.name.replace(".tar.xz", ".json"))
    return tmp_path, json.loads(expected.read_text())


def packed_file(path: Path, name: str) -> bytes:
    """Return a file of a packed store."""
    with tarfile.open(path) as packed:
        file = packed.extractfile(name)
        assert file
        return file.read()


def holds(found: Any, expected: Any) -> bool:
    """Whether all that is expected is found; a later version may add keys."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and holds(found[key], each) for key, each in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(holds, found, expected))
    return bool(found == expected)


def test_the_schema_of_this_version_has_its_store(tmp_path: Path) -> None:
    found = []
    for path in STORES:
        (tmp_path / "ledger.sqlite").write_bytes(packed_file(path, "ledger.sqlite"))
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as ledger:
            found += ledger.execute("PRAGMA user_version").fetchone()

    assert SCHEMA in found, "run python tests/frozen_store.py"


def test_it_says_what_it_said_to_the_version_that_made_it(
    store: tuple[Path, dict[str, Any]],
) -> None:
    state, expected = store
    found = answers(state)

    assert set(found) == set(expected)
    for name in QUESTIONS:
        assert holds(found[name], expected[name]), name


def test_it_is_gone_on_with(store: tuple[Path, dict[str, Any]]) -> None:
    state, expected = store
    command("import", "-", state=state, stdin=LATER * 2)
    found = answers(state)

    before = expected["total"]["connections"]["verified"]
    assert found["total"]["connections"]["verified"] == before + 2
    assert holds(found["reach"]["reach"], expected["reach"]["reach"])
    assert command("import", "-", state=state, stdin=LATER * 2).startswith("counted 0 ")


def test_an_rrd_that_is_lost_is_made_again_from_its_ledger(
    store: tuple[Path, dict[str, Any]],
) -> None:
    state, expected = store
    (state / "outbound.rrd").unlink()
    command("import", "-", state=state, stdin=LATER)

    assert holds(answers(state)["total"]["deliveries"], expected["total"]["deliveries"])
