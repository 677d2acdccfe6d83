"""What we say of our own server is what a real sender meets: Postfix on both sides, a signed zone.

The servers run in namespaces of their own, where port 53 and /etc/resolv.conf are free.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from own_mx_lab import DEFERRED, DELIVERED, UNPROTECTED
from servers import needs

TESTS = Path(__file__).parent

pytestmark = [
    pytest.mark.server,
    needs("postfix", "postconf", "unbound", "ldns-signzone", "unshare", "ip", root=True),
]

EXPECTED = {
    "right": (DELIVERED, "ok", ""),
    "right, next key announced": (DELIVERED, "ok", ""),
    "wrong": (DEFERRED, "critical", "IN TLSA 3 1 1 "),
    "anchor": (DELIVERED, "ok", ""),
    "anchor at the leaf": (DEFERRED, "critical", "IN TLSA 3 1 1 "),
    "anchor itself": (DELIVERED, "ok", ""),
    "anchor, expired": (DEFERRED, "critical", "certbot renew"),
    "anchor, another name": (DEFERRED, "critical", "IN TLSA 3 1 1 "),
    "expired by key": (DELIVERED, "warning", "certbot renew"),
    "usage 1 only": (UNPROTECTED, "warning", "IN TLSA 3 1 1 "),
    "no record": (UNPROTECTED, "ok", ""),
    "STARTTLS refused": (DEFERRED, "critical", "what smtpd logs"),
    "STARTTLS off": (DEFERRED, "critical", "what smtpd logs"),
    # This sender knows both types of keys, others know RSA alone.
    "RSA not published": (DELIVERED, "critical", "IN TLSA 3 1 1 "),
    "no validation": (UNPROTECTED, "unknown", "dane-mailgraph doctor"),
    "SNI: right": (DELIVERED, "ok", ""),
    "SNI: renewed, record missing": (DELIVERED, "critical", "only then run `postmap "),
    "SNI: table is old": (DEFERRED, "critical", "Run `postmap "),
    "SNI: table is made again": (DELIVERED, "ok", ""),
    "renewal: before": (DELIVERED, "ok", ""),
    "renewal: next not published": (DELIVERED, "warning", "before the change"),
    "renewal: next too early": (DELIVERED, "warning", "Wait until"),
    "renewal: file is there": (DELIVERED, "ok", ""),
    "renewal: not reloaded": (DEFERRED, "critical", " reload`"),
    "renewal: reloaded": (DELIVERED, "ok", ""),
    # The next process of smtpd serves it, within minutes.
    "renewal: wrong file, not reloaded": (DELIVERED, "critical", "Put the previous key"),
}
"""Scenario -> what the sender meets, our level, and what is in the first next step.

`stale digest` is left to the version of Postfix: 3.7 defers, 3.10 delivers.
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("lab")
    words = ["unshare", "--mount", "--net", sys.executable, str(TESTS / "own_mx_lab.py")]
    where = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    done = subprocess.run(
        [*words, str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": where},
        timeout=600,
        check=False,
    )
    if "unshare" in done.stderr and not done.stdout:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_sender_meets_what_we_say(lab: dict[str, dict[str, Any]], name: str) -> None:
    did, level, step = EXPECTED[name]
    found = lab[name]

    assert found["sender"].partition(":")[0] == did
    assert found["level"] == level, found
    assert step in " ".join(found["steps"][:1])


def test_a_stale_digest_is_critical_whatever_this_sender_does(
    lab: dict[str, dict[str, Any]],
) -> None:
    found = lab["stale digest"]

    assert found["level"] == "critical" and "Withdraw the record `3 1 2 " in found["steps"][0]


def test_every_scenario_is_expected(lab: dict[str, dict[str, Any]]) -> None:
    assert set(lab) == {*EXPECTED, "stale digest"}
