"""Where the loggers of this machine put Postfix's lines."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from ..programs import ask
from .log_end import DROPPED

_SUPPRESSED = "a596d6fe7bfa4994828e72309e95d61e"
"""SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h."""


class Routes(NamedTuple):
    """Where the lines that are written to /dev/log go."""

    rsyslog: bool
    files: tuple[str, ...]
    """The files into which rsyslog's rules write mail.info."""
    reduced: bool
    """rsyslog folds repeats (RepeatedMsgReduction)."""
    journal: bool
    dropped: int
    """How often within a week journald has suppressed messages of Postfix's."""


def find_routes(root: str = "/") -> Routes:
    """Return what the loggers of this machine do with mail.info."""
    texts = []
    for path in [
        os.path.join(root, "etc/rsyslog.conf"),
        *sorted(glob.glob(os.path.join(root, "etc/rsyslog.d/*.conf"))),
    ]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        except OSError:
            continue
    rules = "\n".join(texts)
    reduced = re.search(
        r'^\s*(?:\$RepeatedMsgReduction\s+on|.*\bmsgReduction\s*=\s*"?on)',
        rules,
        re.MULTILINE | re.IGNORECASE,
    )
    journal = os.path.exists(os.path.join(root, "run/systemd/journal/socket"))
    files = tuple(dict.fromkeys(_files(rules)))
    return Routes(
        _runs("rsyslogd", root), files, bool(reduced), journal, _suppressed() if journal else 0
    )


def _runs(program: str, root: str) -> bool:
    """Return whether a process has this name; Debian's rsyslogd writes no pid file (-iNONE)."""
    for path in glob.iglob(os.path.join(root, "proc/[0-9]*/comm")):
        try:
            with open(path, "rb") as file:
                if file.read() == program.encode() + b"\n":
                    return True
        except OSError:  # it has ended meanwhile
            continue
    return False


def _files(rules: str) -> Iterable[str]:
    for match in re.finditer(
        r'^\s*([\w*,.;=!]+)\s+(?:-?(/\S+)|action\(.*?\bfile\s*=\s*"(/[^"]+)")', rules, re.MULTILINE
    ):
        if _takes_mail(match[1]):
            yield match[2] or match[3]


def _takes_mail(selector: str) -> bool:
    """Return whether a selector such as `*.*;auth.none` takes mail.info (syslog.conf(5))."""
    takes = False
    for part in selector.lower().split(";"):
        facilities, _, priority = part.partition(".")
        if {"mail", "*"} & set(facilities.split(",")):
            takes = priority in ("*", "info", "debug", "=info")
    return takes


def _suppressed() -> int:
    output = ask(
        "journalctl", "-q", "--no-pager", "-o", "cat", "--since=-7d", f"MESSAGE_ID={_SUPPRESSED}"
    )
    return len(DROPPED.findall(output.out.encode())) if output else 0
