"""The tests see the same machine everywhere: no environment, time zone or umask of the caller."""

from __future__ import annotations

import os
import signal
import time

import pytest
from hypothesis import HealthCheck, settings

KEPT = ("CI", "EVERY", "HOME", "PATH", "PYTHONPATH", "TMPDIR")
"""Where things are, and the settings of the tests themselves."""

for name in [name for name in os.environ if name not in KEPT and not name.startswith("PYTEST_")]:
    del os.environ[name]
os.environ["LANG"] = "C.UTF-8"
time.tzset()
os.umask(0o022)
# A shell starts what runs in the background with SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: the machine may be busy. A failure of `nightly` prints how to repeat it.
settings.register_profile("local", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("nightly", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("ci" if "CI" in os.environ else "local")

SLOW = ("browser", "disk", "server", "systemd")
"""Markers that say why a test is slow."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow each test that carries a reason to be."""
    for item in items:
        if any(item.get_closest_marker(reason) for reason in SLOW):
            item.add_marker("slow")
