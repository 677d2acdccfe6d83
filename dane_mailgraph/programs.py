"""Other programs, run without a shell and with a time limit."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NamedTuple

_SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")
"""Where Postfix's commands are; the PATH of most users lacks them."""

_TIMED_OUT, _NOT_EXECUTABLE = 124, 126
"""Exit statuses, as of timeout(1) and of a shell."""


class Output(NamedTuple):
    """What a program answered."""

    status: int
    out: str
    err: str
    """Its standard error, in one line."""


class Account(NamedTuple):
    """A user with its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def ask(
    *words: str, stdin: str = "", seconds: float = 10, account: Account | None = None
) -> Output | None:
    """Run a program and return what it answers, in English; None where there is no such program.

    Args:
        words: The program and its arguments.
        stdin: Its standard input.
        seconds: Time limit; then it is killed, and the status is 124.
        account: The user to run it as, for root only.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    program = shutil.which(words[0], path=path)
    if program is None:
        return None
    try:
        done = subprocess.run(
            (program, *words[1:]),
            input=stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
        )
    except subprocess.TimeoutExpired:
        return Output(_TIMED_OUT, "", f"no answer within {seconds:g} seconds")
    except OSError as error:
        return Output(_NOT_EXECUTABLE, "", str(error))
    out, err = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
    return Output(done.returncode, out, " ".join(err.split()))
