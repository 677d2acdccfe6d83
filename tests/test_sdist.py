"""What goes to the package index is whole: all that is committed, and a page that leads nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FORGE = {".editorconfig", ".gitattributes", ".gitignore", ".gitlab-ci.yml", ".github"}
"""What only git, a forge or an editor reads."""


@pytest.fixture(scope="module")
def committed() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = ("git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard")
    done = subprocess.run(listed, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def sdist(committed: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("sdist")
    for name in committed:
        (folder / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "checkout" / name)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "-d", str(folder)],
        cwd=folder / "checkout",
        check=True,
        capture_output=True,
    )
    (archive,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder)], check=True)
    return folder / archive.name.removesuffix(".tar.gz")


def test_the_sdist_has_all_that_is_committed(sdist: Path, committed: list[str]) -> None:
    assert [
        name
        for name in committed
        if name.partition("/")[0] not in FORGE and not (sdist / name).is_file()
    ] == []


def test_the_page_of_the_package_index_has_the_readme_and_no_link_that_leads_nowhere(
    sdist: Path,
) -> None:
    said = (sdist / "PKG-INFO").read_text(encoding="utf-8")

    assert "\n# dane-mailgraph\n" in said
    assert "\nDescription-Content-Type: text/markdown\n" in said
    assert re.findall(r"\]\((?!https?:)|<img", said) == []
