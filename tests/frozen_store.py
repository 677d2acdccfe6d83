"""A store as a version made it, with what must be read out of it: later versions open it.

Make one for each version that changes the schema of the ledger, before it is released:

    python tests/frozen_store.py

It writes tests/frozen/VERSION.tar.xz and VERSION.json. Those of released versions never change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tls_reports import BIG, OFFICE

from dane_mailgraph import __version__

FOLDER = Path(__file__).parent / "frozen"

_ROOT = Path(__file__).parents[1]
_LOGS = ("established", "deliveries", "failures", "inbound")
_MARCH = ("--since", "2026-03-01T00:00:00Z", "--until", "2026-04-01T00:00:00Z")
_A_DAY = ("--since", "2026-03-24T00:00:00Z", "--until", "2026-03-25T00:00:00Z")
_REPORTED = ("--since", "2026-11-24T00:00:00Z", "--until", "2026-11-25T00:00:00Z")
_AS_JSON = ("--format", "json")

QUESTIONS = {
    "total": ("report", *_MARCH, *_AS_JSON),
    "days": ("report", *_MARCH, "--by", "day", *_AS_JSON),
    "hours": ("report", *_A_DAY, "--by", "hour", *_AS_JSON),
    "reach": ("report", *_REPORTED, *_AS_JSON),
    "relays": ("relays", *_MARCH, *_AS_JSON),
}
"""Name -> the command that is asked of the store."""

LATER = (
    "2026-03-30T12:00:00+00:00 mx1 postfix/smtp[9]: Verified TLS connection established to "
    "mx.example.org[192.0.2.1]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n"
)
"""A line that a later version counts into the store."""


def command(*words: str | Path, state: Path, stdin: str = "") -> str:
    """Run the program on a store, and return what it prints; it must end well."""
    settings = ("--config", os.devnull, "--state-dir", str(state), "--time-zone", "UTC")
    done = subprocess.run(
        [sys.executable, "-m", "dane_mailgraph", *settings, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers(state: Path) -> dict[str, Any]:
    """Return what a store says to all questions."""
    return {name: json.loads(command(*words, state=state)) for name, words in QUESTIONS.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        state = Path(name) / "state"
        logs = [_ROOT / "sample_logs" / f"{each}.log" for each in _LOGS]
        command("import", "--year", "2026", *logs, state=state)
        for each in (BIG, OFFICE):
            command("tlsrpt", "-", state=state, stdin=json.dumps(each))
        found = answers(state)
        FOLDER.mkdir(exist_ok=True)
        with tarfile.open(FOLDER / f"{__version__}.tar.xz", "w:xz") as packed:
            for file in ("ledger.sqlite", "outbound.rrd"):
                packed.add(state / file, file, filter=_of_nobody)
    (FOLDER / f"{__version__}.json").write_text(json.dumps(found, indent=1) + "\n")


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid, member.gid, member.uname, member.gname, member.mtime = 0, 0, "", "", 0
    return member


if __name__ == "__main__":
    main()
