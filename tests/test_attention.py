"""Relays without protection, and the command that asks one."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dane_mailgraph.answer import probe_command, unprotected
from dane_mailgraph.categories import BY_KEY
from dane_mailgraph.store.relays import OTHER, RelayCounts

NOW = 1795485600  # 2026-11-24 03:00 CET


def relay_counts(relay: str, **given: int) -> RelayCounts:
    counts = {BY_KEY[key.replace("_", ".", 1)]: count for key, count in given.items()}
    return RelayCounts(relay, NOW - 9000, NOW - 60, counts)


def test_each_relay_is_listed_once_under_its_worst_lack() -> None:
    failing = relay_counts("a.example", failures_certificate=1, connections_untrusted=3)
    plain = relay_counts("b.example", deliveries_plaintext=1, connections_verified=9)
    bare = relay_counts("c.example", connections_trusted=4)
    good = relay_counts("d.example", connections_verified=4, connections_trusted=1)
    idle = relay_counts("e.example")
    groups = unprotected((good, bare, idle, plain, failing))

    assert [(group.name, [each.relay for each in group.relays]) for group in groups] == [
        ("failing", ["a.example"]),
        ("plaintext", ["b.example"]),
        ("unauthenticated", ["c.example"]),
    ]


def test_mail_that_got_through_at_last_does_not_fail() -> None:
    once = relay_counts(
        "a.example", failures_dane_lookup=5, deliveries_verified=1429, connections_verified=1429
    )
    other = relay_counts("b.example", failures_handshake=1, deliveries_trusted=2)

    assert [[each.relay for each in group.relays] for group in unprotected((once, other))] == [
        [],
        [],
        ["b.example"],
    ]


def test_relays_with_the_most_mail_come_first_and_equal_ones_by_name() -> None:
    found = [
        relay_counts(f"{name}.example", deliveries_plaintext=n)
        for name, n in (("b", 1), ("a", 1), ("c", 7))
    ]

    assert [each.relay for each in unprotected(found)[1].relays] == [
        "c.example",
        "a.example",
        "b.example",
    ]


def test_a_relay_is_probed_itself_and_a_domain_by_its_mx() -> None:
    assert probe_command("mx.example.org") == "posttls-finger -t30 -c -l dane '[mx.example.org]'"
    assert probe_command("@example.org") == "posttls-finger -t30 -c -l dane example.org"
    assert probe_command("2001:db8::25") == "posttls-finger -t30 -c -l dane '[2001:db8::25]'"


@pytest.mark.parametrize(
    "name",
    [
        OTHER,
        "",
        "@",
        "-o.example",
        "@-o.example",
        "a b",
        "a;reboot",
        "$(reboot)",
        "a'b",
        "a\nb",
        "ü.example",
    ],
)
def test_a_name_that_is_no_host_gets_no_command(name: str) -> None:
    assert probe_command(name) is None


@given(st.text(max_size=30) | st.from_regex(r"@?[a-z0-9._:-]{1,30}", fullmatch=True))
def test_a_shell_reads_the_command_as_exactly_one_name(name: str) -> None:
    command = probe_command(name)

    if command is not None:
        *words, last = shlex.split(command)
        assert words == ["posttls-finger", "-t30", "-c", "-l", "dane"]
        assert last in (f"[{name}]", name.removeprefix("@")) and not last.startswith("-")
