"""File systems of each kind that logs are on, mounted for one test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

KINDS = ("here", "ext4", "tmpfs", "overlayfs")

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@contextmanager
def disk(kind: str, folder: Path) -> Iterator[Path]:
    """An empty folder on a file system of this kind; skips the test where it cannot be had."""
    with ExitStack() as stack:
        if kind == "here":
            yield folder
            return
        if os.geteuid():
            pytest.skip(f"only root can mount {kind}")
        if kind == "tmpfs":
            yield _mounted(stack, folder / "tmpfs", "-t", "tmpfs", "tmpfs")
            return
        image = folder / "image"
        with open(image, "wb") as file:
            file.truncate(64 << 20)
        _call("mkfs.ext4", "-q", str(image))
        ext4 = _mounted(stack, folder / "ext4", "-o", "loop", str(image))
        if kind == "ext4":
            yield ext4
            return
        # Containers have their writable layer on such a file system. It reuses an inode at once.
        lower, upper, work = (ext4 / name for name in ("lower", "upper", "work"))
        for each in (lower, upper, work):
            each.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        yield _mounted(stack, folder / "overlayfs", "-t", "overlay", "-o", options, "overlay")


def _mounted(stack: ExitStack, folder: Path, *options: str) -> Path:
    folder.mkdir()
    _call("mount", *options, str(folder))
    stack.callback(
        subprocess.run, ["umount", "-l", str(folder)], check=True, env={**os.environ, "PATH": _PATH}
    )
    return folder


def _call(*words: str) -> None:
    if not shutil.which(words[0], path=_PATH):
        pytest.skip(f"not installed: {words[0]}")
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "PATH": _PATH}, check=False
    )
    if done.returncode:
        pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")
