"""Weights that are drawn: in part or whole the same, of the distribution that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsc.isa.diagnostics import AssemblyError
from wsc.isa.drawing import LARGEST, draw, drawing_key, drawn_value, shifted_key
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Drawn
from wsc.isa.verifier import verify


def test_the_distribution_is_the_one_that_is_asked_for() -> None:
    values = draw(drawing_key(1, "w"), 0, 400_000, 3.0, 0.5)
    assert values.dtype == np.float32
    assert values.mean() == pytest.approx(3.0, abs=0.005)
    assert values.std() == pytest.approx(0.5, rel=0.01)
    assert abs(values - 3.0).max() <= LARGEST * 0.5
    # Neighbours, and equal places of other tensors and seeds, know nothing of each other.
    for other in (
        values[1:],
        draw(drawing_key(1, "v"), 0, 399_999, 3.0, 0.5),
        draw(drawing_key(2, "w"), 0, 399_999, 3.0, 0.5),
    ):
        assert abs(np.corrcoef(values[:-1], other)[0, 1]) < 0.01


@given(st.integers(0, 2**40), st.integers(1, 50), st.integers(0, 2**40))
def test_any_part_is_drawn_alone(start: int, count: int, first: int) -> None:
    key = drawing_key(0, "w")
    whole = draw(key, start, count, 0.0, 1.0)
    assert (draw(key, start + count - 1, 1, 0.0, 1.0) == whole[-1:]).all()
    assert (
        draw(shifted_key(key, first), start, count, 0.0, 1.0)
        == draw(key, start + first, count, 0.0, 1.0)
    ).all()


@pytest.mark.parametrize("chunk", [1, 7, 20, 21, 22])
def test_parts_that_are_drawn_at_once_join(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw(drawing_key(3, "w"), 5, 21, 1.0, 2.0)
    monkeypatch.setattr("wsc.isa.drawing._CHUNK", chunk)
    assert (draw(drawing_key(3, "w"), 5, 21, 1.0, 2.0) == whole).all()


def test_every_machine_draws_the_same() -> None:
    """These numbers are what programs that are stored elsewhere rely on."""
    assert drawing_key(0, "w") == 0xA96BE602F3F7B416
    assert draw(drawing_key(7, "w"), 0, 3, 1.0, 0.5).view(np.uint32).tolist() == [
        1068651041,
        1066061223,
        1062487711,
    ]


def test_a_constant_is_drawn_with_no_deviation() -> None:
    assert (drawn_value(np.uint64(5), np.arange(9, dtype=np.uint64), 2.5, 0.0) == 2.5).all()


TURNED = 'drawn 0 key "w"'
TEXT = """\
wsc 1
fabric "wse2" 1x1
precision f32

weight w : f32[3] {}
"""


@pytest.mark.parametrize(
    ("declaration", "drawn"),
    [
        ('drawn 0 key "w" mean 0.0 deviation 0.125', Drawn(0, 0.0, 0.125)),
        ('drawn 12 key "h.0.w" from 48 mean -1.5 deviation 1e-07', Drawn(12, -1.5, 1e-07, 48)),
        (
            'drawn 0 key "w" from 5 as [3, 1] by [1, 0] mean 0.0 deviation 1.0',
            Drawn(0, 0.0, 1.0, 5, (3, 1), (1, 0)),
        ),
    ],
)
def test_the_text_says_how(declaration: str, drawn: Drawn) -> None:
    program = parse(TEXT.format(declaration))
    assert program.edge_tensors[0].drawn == drawn
    assert declaration in print_program(program)
    assert parse(print_program(program)) == program


@pytest.mark.parametrize(
    ("dtype", "declaration", "fact"),
    [
        ("f32", 'drawn 0 key "w" mean nan deviation 1.0', "the mean nan"),
        ("f32", 'drawn 0 key "w" mean 0.0 deviation -1.0', "the deviation -1"),
        ("f32", 'drawn 0 key "w" mean 0.0 deviation inf', "the deviation inf"),
        ("i32", 'drawn 0 key "w" mean 0.0 deviation 1.0', "is drawn, and is no weight of floats"),
        ("f32", f"{TURNED} as [2, 2] by [1, 0] mean 0.0 deviation 1.0", "3 elements, and 4 are"),
        ("f32", f"{TURNED} as [3, 1] by [1, 1] mean 0.0 deviation 1.0", "not by each of the 2"),
        ("f32", f"{TURNED} as [3, 1] by [0] mean 0.0 deviation 1.0", "not by each of the 2"),
    ],
)
def test_what_cannot_be_drawn(dtype: str, declaration: str, fact: str) -> None:
    program = parse(TEXT.format(declaration).replace("f32[", f"{dtype}["))
    with pytest.raises(AssemblyError, match=fact):
        verify(program, find_fabric("1x1"))
