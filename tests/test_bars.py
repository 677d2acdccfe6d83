"""What others report by day is drawn to scale, and failures are always seen."""

from __future__ import annotations

from dane_mailgraph.categories import REACH, Category
from dane_mailgraph.site.bars import HEIGHT, STEP, bars

DAY = 1795478400


def sessions(*counts: int) -> dict[Category, int]:
    return dict(zip(REACH, counts, strict=True))


def test_bars_are_to_scale_and_stand_on_the_ground() -> None:
    first, second = bars({DAY: sessions(50, 25, 25, 0), DAY + 86400: sessions(50, 0, 0, 0)})

    assert [(each.category.name, each.y, each.height) for each in first.pieces] == [
        ("dane", HEIGHT / 2, HEIGHT / 2),
        ("mta_sts", HEIGHT / 4, HEIGHT / 4),
        ("no_policy", 0, HEIGHT / 4),
    ]
    assert [(each.y, each.height) for each in second.pieces] == [(HEIGHT / 2, HEIGHT / 2)]
    assert second.pieces[0].x - first.pieces[0].x == STEP


def test_a_day_of_which_nobody_reports_has_no_bar() -> None:
    (unknown, zero) = bars({DAY: None, DAY + 86400: sessions(0, 0, 0, 0)})

    assert (unknown.pieces, unknown.sessions) == ((), None)
    assert (zero.pieces, zero.sessions) == ((), sessions(0, 0, 0, 0))


def test_one_failure_among_a_million_is_seen() -> None:
    (day,) = bars({DAY: sessions(1_000_000, 0, 0, 1)})

    assert [each.height for each in day.pieces if each.category.name == "failed"] == [3]
