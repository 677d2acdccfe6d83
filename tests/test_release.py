"""What a release needs is asked for first, and what the version promises is its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dane_mailgraph import __version__
from dane_mailgraph.site.status_json import SCHEMA as STATUS_SCHEMA
from dane_mailgraph.store.schema import SCHEMA as LEDGER_SCHEMA

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
STABILITY = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def git(checkout: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(checkout), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that can be released."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    for name in (
        "setup.cfg",
        "CHANGELOG.md",
        "debian/changelog",
        "dane_mailgraph/__init__.py",
        "tools/release.sh",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(
        re.sub(
            r"^## .*", f"## {__version__} - 2026-12-01", changelog.read_text(), count=1, flags=re.M
        )
    )
    with (tmp_path / "setup.cfg").open("a") as setup:
        setup.write("project_urls =\n    Source = https://example.org\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "all")
    return tmp_path


def said(checkout: Path) -> list[str]:
    """What stands in the way of the release."""
    done = subprocess.run(
        ["sh", "tools/release.sh", "check"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "" and (done.returncode == 0) == (done.stderr == "")
    return done.stderr.splitlines()


def test_a_release_whose_versions_agree_may_go_on(checkout: Path) -> None:
    assert said(checkout) == []


def test_all_that_stands_in_the_way_is_said_at_once(checkout: Path) -> None:
    (checkout / "dane_mailgraph" / "__init__.py").write_text('__version__ = "99.0.0"\n')
    package, newest, committed = said(checkout)

    assert package.startswith("debian/changelog is at ") and "99.0.0-1" in package
    assert newest.startswith("CHANGELOG.md begins with ") and "## 99.0.0 - 20" in newest
    assert committed == ("Not committed: dane_mailgraph/__init__.py, of 1; commit or stash it.")


def test_a_version_without_its_date_or_with_its_tag_is_not_released_again(checkout: Path) -> None:
    changelog = checkout / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("2026-12-01", "unreleased"))
    git(checkout, "commit", "-q", "-a", "-m", "undated")
    git(checkout, "tag", f"v{__version__}")
    undated, tagged = said(checkout)

    assert undated.startswith(f"CHANGELOG.md begins with '## {__version__} - unreleased': make it")
    assert tagged.startswith(f"The tag v{__version__} is there already: ")


def test_a_release_says_where_its_source_is(checkout: Path) -> None:
    setup = checkout / "setup.cfg"
    setup.write_text(setup.read_text().replace("project_urls", "unknown"))
    git(checkout, "commit", "-q", "-a", "-m", "without an address")

    assert [each.split(":")[0] for each in said(checkout)] == ["setup.cfg has no project_urls"]


def test_the_changelog_has_a_section_a_version_and_short_items() -> None:
    heads = re.findall(r"^## (.*)", CHANGELOG, re.MULTILINE)
    items = re.findall(r"^- .*(?:\n  .*)*", CHANGELOG, re.MULTILINE)

    assert heads[0].startswith(__version__)
    assert [
        each
        for each in heads
        if not re.fullmatch(r"\d+\.\d+\.\d+ - (\d{4}-\d\d-\d\d|unreleased)", each)
    ] == []
    assert [each for each in items if each.count("\n") > 3] == []


def test_the_promise_names_the_schemas_of_this_version() -> None:
    assert f"the ledger's schema is {LEDGER_SCHEMA} |" in STABILITY
    assert f"`schema` of `status.json` is {STATUS_SCHEMA} |" in STABILITY
