"""Logs of a real Postfix, imported with the real command line, give the totals that were counted
by hand.

`lab/truth.json` was made with grep and sed, not with this program.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

import dane_mailgraph
from dane_mailgraph import categories

pytestmark = pytest.mark.slow

LAB = Path(__file__).parent / "lab"
TRUTH: dict[str, dict[str, dict[str, int]]] = json.loads((LAB / "truth.json").read_text())
FAMILIES = ("connections", "protocols", "key_exchange")
WRITTEN = 1795482000  # 2026-11-24T01:00Z, a few minutes after the newest line


def command(*arguments: str | Path, home: Path, stdin: bytes = b"") -> str:
    """Run the program as an operator does; what it printed."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("DANE_MAILGRAPH_")
    }
    environment["PYTHONPATH"] = str(Path(dane_mailgraph.__file__).parents[1])
    verb, *rest = map(str, arguments)
    settings = [
        "--config",
        str(home / "none.conf"),
        "--state-dir",
        str(home / "state"),
        "--log",
        str(home / "none.log"),
    ]
    (home / "none.conf").touch()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dane_mailgraph",
            verb,
            *settings,
            "--time-zone",
            "Europe/Berlin",
            *rest,
        ],
        input=stdin,
        capture_output=True,
        env=environment,
        cwd=home,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done.stdout.decode()


def copied(name: str, home: Path) -> Path:
    """A log as it was left: the time of the file says the year of its stamps."""
    path = home / name
    path.write_bytes((LAB / name).read_bytes())
    os.utime(path, (WRITTEN, WRITTEN))
    return path


def report(home: Path, since: str = "2026-11-24") -> dict[str, Any]:
    said: dict[str, Any] = json.loads(
        command("report", "--format", "json", "--since", since, "--until", "now", home=home)
    )
    return {family: said[family] for family in FAMILIES}


def total(*names: str) -> dict[str, dict[str, int]]:
    sums: dict[str, Counter[str]] = {family: Counter() for family in FAMILIES}
    for name in names:
        for family in FAMILIES:
            sums[family].update(TRUTH[name][family])
    return {family: dict(counts) for family, counts in sums.items()}


def test_the_truth_is_there_for_every_log_and_agrees_with_itself() -> None:
    assert sorted(TRUTH) == sorted(path.name for path in LAB.glob("*.log"))
    assert sum(path.stat().st_size for path in LAB.rglob("*") if path.is_file()) <= 300_000
    for said in TRUTH.values():
        new = sum(said["connections"].values()) - said["connections"]["reused"]

        assert new == sum(said["protocols"].values()) == sum(said["key_exchange"].values())


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_a_log_is_imported_to_the_unit(name: str, tmp_path: Path) -> None:
    command("import", copied(name, tmp_path), home=tmp_path)

    assert report(tmp_path) == TRUTH[name]


@pytest.mark.parametrize("order", list(permutations(sorted(TRUTH)))[::2], ids=" ".join)
def test_all_logs_together_are_their_sum_in_any_order(
    order: tuple[str, ...], tmp_path: Path
) -> None:
    command("import", *(copied(name, tmp_path) for name in order), home=tmp_path)

    assert report(tmp_path) == total(*order)


def test_importing_twice_counts_nothing_twice(tmp_path: Path) -> None:
    log = copied("mail.log", tmp_path)
    command("import", log, home=tmp_path)
    command("import", log, home=tmp_path)

    assert report(tmp_path) == TRUTH["mail.log"]


def test_a_packed_log_counts_as_the_plain_one(tmp_path: Path) -> None:
    packed = tmp_path / "mail.log.1.gz"
    packed.write_bytes(gzip.compress((LAB / "mail-rfc3339.log").read_bytes()))
    command("import", packed, home=tmp_path)

    assert report(tmp_path) == TRUTH["mail-rfc3339.log"]


def test_standard_input_counts_as_the_file_does(tmp_path: Path) -> None:
    command(
        "import",
        "-",
        "--year",
        "2026",
        home=tmp_path,
        stdin=(LAB / "maillog-postlogd.log").read_bytes(),
    )

    assert report(tmp_path) == TRUTH["maillog-postlogd.log"]


def test_explain_says_of_every_line_what_import_counts(tmp_path: Path) -> None:
    for name, truth in TRUTH.items():
        printed = command("explain", "--format", "json", copied(name, tmp_path), home=tmp_path)
        said = [json.loads(line) for line in printed.split("\n") if line]
        counts = Counter(key for each in said for key in each["counts"])

        assert [each["line"] for each in said] == list(
            range(1, 1 + (LAB / name).read_bytes().count(b"\n"))
        )
        assert {
            family: {each: counts[f"{family}.{each}"] for each in truth[family]}
            for family in FAMILIES
        } == truth


def annotated(path: Path) -> Counter[str]:
    """How often a sample log's annotations name each category."""
    counts: Counter[str] = Counter()
    for times, keys in re.findall(
        rb"^# expect: (?:(\d+) x )?([a-z_]+\..*)$", path.read_bytes(), re.MULTILINE
    ):
        counts.update(dict.fromkeys(keys.decode().split(" "), int(times or 1)))
    return counts


def sample(name: str, home: Path) -> Path:
    log = home / name
    log.write_bytes((LAB.parents[1] / "sample_logs" / name).read_bytes())
    os.utime(log, (WRITTEN + 3600, WRITTEN + 3600))
    return log


def reported(home: Path, *families: str) -> Counter[str]:
    printed = command(
        "report", "--format", "json", "--since", "2026-03-22", "--until", "now", home=home
    )
    said = json.loads(printed)
    return +Counter(
        {
            f"{family}.{name}": count or 0
            for family in families
            for name, count in said[family].items()
        }
    )


SAMPLES = sorted(path.name for path in (LAB.parents[1] / "sample_logs").glob("*.log"))


def test_all_sample_logs_are_reported_as_annotated(tmp_path: Path) -> None:
    """They begin with a remark, and some end with a line that holds no time: what they hold is
    counted all the same.

    Read as one log, the lines of one file tell what deliveries of another went over: only their
    number is the same.
    """
    expected = sum(
        (annotated(LAB.parents[1] / "sample_logs" / name) for name in SAMPLES), Counter[str]()
    )
    command("import", *(sample(name, tmp_path) for name in SAMPLES), home=tmp_path)
    said = reported(tmp_path, *categories.FAMILIES)
    deliveries = {key for key in said.keys() | expected.keys() if key.startswith("deliveries.")}

    assert sum(said.pop(key, 0) for key in deliveries) == sum(
        expected.pop(key, 0) for key in deliveries
    )
    assert said == expected


@pytest.mark.parametrize("name", ["deliveries.log", "failures.log", "hostile.log", "repeated.log"])
def test_a_sample_log_is_reported_as_annotated(name: str, tmp_path: Path) -> None:
    log = sample(name, tmp_path)
    command("import", log, home=tmp_path)

    assert reported(tmp_path, *FAMILIES, "failures", "deliveries") == annotated(log)
