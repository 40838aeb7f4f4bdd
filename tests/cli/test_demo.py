"""What the demo shows; that it runs is proved end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from wsc.cli.demo import excerpt, picture

TEXT = "\n".join(f"line {i}" for i in range(1, 41)).replace("line 30", "fmac.f32")


def test_picture_has_two_rows_of_pixels_to_a_line() -> None:
    image = np.array([[[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]], np.float32)
    assert picture(image) == " ▀▄█\n▀▀▀▀"
    assert picture(image, plain=True).isascii()


def test_it_runs_where_only_ascii_is_understood_and_its_last_line_can_be_pasted(
    tmp_path: Path,
) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "wsc.cli.demo", "--samples", "1"]
    demo = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    last = demo.stdout.decode("ascii").splitlines()[-1]
    pasted = subprocess.run(last, cwd=tmp_path, shell=True, capture_output=True, check=True)
    assert b"node conv0" in pasted.stdout


def test_excerpt_shows_the_head_and_the_first_mark_and_says_what_it_left_out() -> None:
    shown = list(excerpt(TEXT, "fmac", 4))
    assert [number for number, _ in shown] == [1, 2, 3, 4, 0, 28, 29, 30, 31, 0]
    assert shown[7] == (30, "fmac.f32")


def test_excerpt_of_a_short_program_is_the_program() -> None:
    assert list(excerpt("a\nb", "fmac", 4)) == [(1, "a"), (2, "b")]


def test_excerpt_without_the_mark_is_the_head() -> None:
    assert list(excerpt("a\nb\nc", "fmac", 2)) == [(1, "a"), (2, "b"), (0, "...")]
