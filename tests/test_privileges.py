"""What root types in another user's folder makes files of that user, and is led nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import TEXT, line, rfc3339

from dane_mailgraph.site.build import publish

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may look into, with a state and an output_dir of another user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for each in ("state", "www"):
            (folder / each).mkdir()
            os.chown(folder / each, NOBODY, NOBODY)
        log = folder / "mail.log"
        log.write_text(line(rfc3339(1795485600), TEXT))
        log.chmod(0o600)
        (folder / "victim").mkdir()
        (folder / "victim" / "file").write_text("keep")
        yield folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--config", "/dev/null", "--state-dir", str(folder / "state")]
    options += ["--output-dir", str(folder / "www"), "--log", str(folder / "mail.log")]
    command = [sys.executable, "-m", "dane_mailgraph", *arguments, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "may not read" in done.stderr:
        assert done.returncode == 74
        assert not list((folder / "state").iterdir())
        pytest.skip("this Python is in a folder of root's, and that is said")
    return done


def test_root_counts_and_draws_for_the_owner_of_the_folders(folder: Path) -> None:
    assert run(folder, "collect").stderr == ""
    assert run(folder, "import", str(folder / "mail.log")).returncode == 0
    assert run(folder, "render").returncode == 0

    made = [*(folder / "state").rglob("*"), *(folder / "www").rglob("*")]
    assert len(made) > 10
    assert {each.stat().st_uid for each in made} == {NOBODY}


def test_a_symbolic_link_leads_root_no_further_than_its_owner(folder: Path) -> None:
    for name in ("making", "lock", "ledger.sqlite"):
        run(folder, "collect")
        link = folder / "state" / name
        for each in (folder / "state").iterdir():
            if each.is_dir():
                each.rmdir()
            else:
                each.unlink()
        link.symlink_to(folder / "victim" / ("made" if name != "making" else ""))
        assert run(folder, "import", str(folder / "mail.log")).returncode == 74
        assert [each.name for each in (folder / "victim").iterdir()] == ["file"]
        link.unlink()


def test_what_is_drawn_follows_no_symbolic_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep")
    victim.chmod(0o600)
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "status.json.new").symlink_to(victim)

    publish({"status.json": b"{}"}, str(tmp_path / "www"))

    assert (tmp_path / "www" / "status.json").read_bytes() == b"{}"
    assert not (tmp_path / "www" / "status.json").is_symlink()
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("keep", 0o600)
