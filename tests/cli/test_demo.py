"""What the demo shows; that it runs is proved end to end."""

from __future__ import annotations

import numpy as np

from wsc.cli.demo import excerpt, picture

TEXT = "\n".join(f"line {i}" for i in range(1, 41)).replace("line 30", "fmac.f32")


def test_picture_has_two_rows_of_pixels_to_a_line() -> None:
    image = np.array([[[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]], np.float32)
    assert picture(image) == " ▀▄█\n▀▀▀▀"


def test_excerpt_shows_the_head_and_the_first_mark_and_says_what_it_left_out() -> None:
    shown = list(excerpt(TEXT, "fmac", 4))
    assert [number for number, _ in shown] == [1, 2, 3, 4, 0, 28, 29, 30, 31, 0]
    assert shown[7] == (30, "fmac.f32")


def test_excerpt_of_a_short_program_is_the_program() -> None:
    assert list(excerpt("a\nb", "fmac", 4)) == [(1, "a"), (2, "b")]


def test_excerpt_without_the_mark_is_the_head() -> None:
    assert list(excerpt("a\nb\nc", "fmac", 2)) == [(1, "a"), (2, "b"), (0, "...")]
