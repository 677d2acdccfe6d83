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

ADDRESSES = {
    "A and AAAA": (DELIVERED, "ok", ""),
    # A sender tries the other address after a mismatch, so the fault hides.
    "A and AAAA, AAAA wrong": (DELIVERED, "critical", "IN TLSA 3 1 1 "),
    "A and AAAA, A wrong": (DELIVERED, "critical", "IN TLSA 3 1 1 "),
    "A and AAAA, AAAA is of nobody": (DELIVERED, "unknown", "posttls-finger"),
    "IPv6 only": (DELIVERED, "ok", ""),
    "IPv6 only, wrong": (DEFERRED, "critical", "IN TLSA 3 1 1 "),
    "::1": (DELIVERED, "ok", ""),
    "::1, wrong": (DEFERRED, "critical", "IN TLSA 3 1 1 "),
}

KNOT = {
    "knot: right": (DELIVERED, "ok", ""),
    "knot: wrong": (DEFERRED, "critical", "IN TLSA 3 1 1 "),
    "knot: malformed beside right": (DELIVERED, "ok", ""),
    "knot: malformed only": (UNPROTECTED, "warning", "IN TLSA 3 1 1 "),
    "knot: no record": (UNPROTECTED, "ok", ""),
    "knot: alias of what is unsigned": (DEFERRED, "critical", "IN TLSA 3 1 1 "),
}


def looked_at(folder: Path, group: str) -> dict[str, dict[str, Any]]:
    """Run the lab."""
    words = ["unshare", "--mount", "--net", sys.executable, str(TESTS / "own_mx_lab.py")]
    where = os.pathsep.join((str(TESTS), str(TESTS.parent)))
    done = subprocess.run(
        [*words, str(folder), group],
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


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return looked_at(tmp_path_factory.mktemp("lab"), "scenarios")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return looked_at(tmp_path_factory.mktemp("addresses"), "addresses")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_sender_meets_what_we_say(lab: dict[str, dict[str, Any]], name: str) -> None:
    judged(lab[name], *EXPECTED[name])


def judged(found: dict[str, Any], did: str, level: str, step: str) -> None:
    """What the sender met and what we say is as expected."""
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


@pytest.mark.parametrize("name", ADDRESSES)
def test_each_address_is_judged_over_ipv6_too(
    addresses: dict[str, dict[str, Any]], name: str
) -> None:
    judged(addresses[name], *ADDRESSES[name])


def test_one_wrong_address_of_two_is_named_with_the_one_that_is_right(
    addresses: dict[str, dict[str, Any]],
) -> None:
    (text,) = addresses["A and AAAA, AAAA wrong"]["texts"]

    assert "the certificate at 2001:db8::2. Over 127.0.0.2 their mail comes in. " in text


@needs("knotd", "keymgr")
def test_a_zone_that_knot_signs_is_judged_the_same(tmp_path: Path) -> None:
    found = looked_at(tmp_path, "knot")

    assert set(found) == set(KNOT)
    for name, expected in KNOT.items():
        judged(found[name], *expected)
