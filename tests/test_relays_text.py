"""The text of `relays`: what is shown, and how wide."""

from __future__ import annotations

from datetime import timezone

from dane_mailgraph.answer.relays import Relays, format_relays
from dane_mailgraph.categories import BY_KEY
from dane_mailgraph.store import RelayCounts

NOW = 1795485600  # 2026-11-24 02:00 UTC
NAME = "a-rather-long-name-of-a-mail-server.example.org"


def relay(name: str, *, failed: int = 0, **counts: int) -> RelayCounts:
    given = {BY_KEY[key.replace("_", ".", 1)]: count for key, count in counts.items()}
    return RelayCounts(name, NOW, NOW, given, "TLSv1.3", "", failed)


BUSY = relay(
    NAME,
    failed=NOW - 600,
    connections_verified=1234,
    connections_anonymous=2,
    deliveries_dane=300,
    failures_certificate=100,
)


def text(*relays: RelayCounts, width: int | None = None) -> list[str]:
    return format_relays(Relays(NOW, NOW, relays), "text", timezone.utc, width).splitlines()


def test_how_much_failed_and_when_last_stand_where_something_failed() -> None:
    shown = text(BUSY, relay("b.example", deliveries_plaintext=1))

    assert shown[3].split()[-7:] == ["failed", "last", "failure", "last", "TLS", "last", "seen"]
    assert "25.0%" in shown[4] and "2026-11-24 01:50" in shown[4]
    assert "failed" not in text(relay("b.example", deliveries_plaintext=1))[3]


def test_it_is_as_wide_as_the_terminal_and_says_what_it_left_out() -> None:
    for width in (80, 100, 120):
        shown = text(BUSY, width=width)
        assert max(map(len, shown[:5])) <= width
    assert "Left out for the width of the terminal: Anonymous" in "\n".join(text(BUSY, width=120))
    assert "Left out" not in "\n".join(text(BUSY))
    assert "..." in text(BUSY, width=70)[4]
