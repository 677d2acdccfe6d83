"""The Debian package says what the program says. `tools/deb.sh` builds it and tries it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from dane_mailgraph import __version__

ROOT = Path(__file__).parent.parent
CONTROL = (ROOT / "debian" / "control").read_text(encoding="utf-8")


def packages(field: str) -> set[str]:
    """The packages that a field of debian/control names."""
    found = re.search(rf"^{field}:((?:.*\n)(?: .*\n)*)", CONTROL, re.MULTILINE)
    assert found
    return set(re.findall(r"[a-z][a-z0-9.-]+[a-z0-9]", found[1]))


def test_the_package_has_the_programs_version() -> None:
    first = (ROOT / "debian" / "changelog").read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith(f"dane-mailgraph ({__version__}-")


def test_all_that_the_program_asks_for_is_there_when_the_package_is_built() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = {
        f"python3-{line.partition('>')[0]}" for line in setup["options"]["install_requires"].split()
    }

    assert packages("Build-Depends") >= (required - {"python3-matplotlib"}) | {"python3-rrdtool"}
    assert "python3-rrdtool" in packages("Depends")
    assert "python3-matplotlib" in packages("Recommends")
