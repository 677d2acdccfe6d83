"""What `make` says when what it needs cannot be installed: one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

APART = ("unshare", "--mount", "--net", "--map-root-user")
"""Mounts of its own, and no network."""

BASE = str(Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}"))

needs_apart = pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run((*APART, "true"), capture_output=True, check=False).returncode != 0,
    reason="this machine gives no namespaces",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in (
        "setup.cfg",
        "setup.py",
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "dane_mailgraph",
        "sample_logs",
        "tools",
    ):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


def setup(
    checkout: Path, *arguments: str, first: str = ":", apart: bool = True
) -> subprocess.CompletedProcess[str]:
    line = ("sh", "-c", f'{first} && exec sh tools/setup.sh "$@"', "sh", *arguments)
    return subprocess.run(
        (*APART, *line) if apart else line,
        cwd=checkout,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_an_interpreter_that_is_not_there_is_named(checkout: Path) -> None:
    done = setup(checkout, "python9", "venv", "venv/ready", "", apart=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "There is no python9: install Python 3.10 or later, "
        "or name another one with make PYTHON=...\n"
    )


@pytest.mark.slow
@needs_apart
def test_without_a_network_it_says_so(checkout: Path) -> None:
    done = setup(checkout, BASE, "venv", "venv/ready", "", "a-package-that-nobody-has")
    assert done.returncode == 1
    assert done.stderr == (
        "Cannot install the Python packages, because the package index cannot be reached: "
        f"mend the network, then run make again (see {checkout}/build/setup.log).\n"
    )


@pytest.mark.slow
@needs_apart
def test_a_full_disk_is_told_and_what_is_half_made_is_made_again(checkout: Path) -> None:
    small = "mkdir small && mount -t tmpfs -o size=3m small small"
    done = setup(checkout, BASE, "small/venv", "small/venv/ready", "", first=small)
    assert done.returncode == 1
    assert done.stderr == (
        "Cannot make small/venv, because the disk is full: "
        f"make room, then run make again (see {checkout}/build/setup.log).\n"
    )
