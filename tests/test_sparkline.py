"""A trend as a small line: gaps where it is unknown, and small moves look small."""

from __future__ import annotations

from dane_mailgraph.site.sparkline import HEIGHT, WIDTH, sparkline


def test_it_goes_from_the_first_to_the_last_value_and_up_where_they_rise() -> None:
    line = sparkline((0.2, 0.3, 0.4), 0.02)

    assert line is not None
    assert line.lines == ("3.0,29.0 80.0,16.0 157.0,3.0",)
    assert (line.x, line.y, line.dots) == (WIDTH - 3, 3, ())


def test_unknown_values_are_gaps_and_a_value_between_two_of_them_is_a_dot() -> None:
    line = sparkline((0.2, 0.2, None, 0.3, None, 0.4, 0.4, None), 0.02)

    assert line is not None
    assert len(line.lines) == 2
    assert len(line.dots) == 1
    assert line.x < WIDTH - 3


def test_small_moves_look_small() -> None:
    line = sparkline((0.500, 0.501), 0.02)

    assert line is not None
    assert abs(line.y - HEIGHT / 2) < 1


def test_one_value_is_no_trend() -> None:
    assert sparkline((None, 0.5), 0.02) is None
