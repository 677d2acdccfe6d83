"""PNG files: whole by another's reading, and with the identity of what they show."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from dane_mailgraph.site.png import HEAD, About, about, encoded, stamped

ROWS = b"\0" + b"\xff\0\0" * 3 + b"\0" + b"\0\0\xff" * 3
"""A red row and a blue one."""


def pixels(file: bytes) -> list[list[list[int]]]:
    image: list[list[list[int]]] = (
        (imread(BytesIO(file), format="png") * 255).round().astype(int).tolist()
    )
    return image


def test_another_reader_sees_the_pixels() -> None:
    assert pixels(encoded(3, 2, ROWS)) == [[[255, 0, 0]] * 3, [[0, 0, 255]] * 3]


def test_the_identity_changes_no_pixel_and_is_in_the_first_bytes_of_the_file() -> None:
    file = stamped(encoded(3, 2, ROWS), "0123456789abcdef")

    assert pixels(file) == pixels(encoded(3, 2, ROWS))
    assert about(file[:HEAD]) == About(3, 2, "0123456789abcdef")


def test_an_image_of_others_has_no_identity() -> None:
    assert about(encoded(3, 2, ROWS)) == About(3, 2, "")


@given(st.binary(max_size=200))
def test_other_files_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a PNG file"):
        about(text)


@given(st.binary(max_size=100))
def test_any_bytes_after_the_first_chunk_are_harmless(rest: bytes) -> None:
    found = about(encoded(3, 2, ROWS)[:33] + rest)

    assert (found.width, found.height) == (3, 2)
