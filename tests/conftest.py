"""The tests see the same machine wherever they run: nothing of the caller's environment, time zone and umask."""

from __future__ import annotations

import os
import time

KEPT = ("CI", "EVERY", "HISTORIES", "HOME", "PATH", "PYTHONPATH", "TMPDIR")
"""Where things are, and the settings of the tests themselves."""

for name in [name for name in os.environ if name not in KEPT and not name.startswith("PYTEST_")]:
    del os.environ[name]
os.environ["LANG"] = "C.UTF-8"
time.tzset()
os.umask(0o022)
