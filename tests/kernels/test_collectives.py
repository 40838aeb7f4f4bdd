"""Collectives as kernels: what they refuse, columns, other types, other fabrics."""

from __future__ import annotations

import numpy as np
import pytest

from wsc import runtime
from wsc.errors import CompileError
from wsc.flows.collectives import COLUMN
from wsc.flows.collectives.two_phase import group_of
from wsc.isa.expr import Name
from wsc.isa.types import DType
from wsc.kernels.collectives.draft import Vector
from wsc.kernels.collectives.lines import ring, two_phase
from wsc.kernels.collectives.program import SHAPES, compile_collective
from wsc.kernels.collectives.tree import tree

LINES = [name for name in SHAPES if name != "broadcast_2d"]


def result(a: np.ndarray, name: str, op: str = "add") -> np.ndarray:
    if not SHAPES[name].from_all:
        return a
    return a.max(axis=0) if op == "max" else a.sum(axis=0, dtype=a.dtype)


@pytest.mark.parametrize("name", LINES)
def test_a_column_gives_what_a_row_gives(name: str) -> None:
    a = np.random.default_rng(2).integers(-9, 9, (8, 16)).astype(np.float32)
    a = a if SHAPES[name].from_all else a[0]
    outputs = [
        runtime.run(compile_collective(name, *size, 16), {"a": a}).outputs["r"]
        for size in ((8, 1), (1, 8))
    ]
    for r in outputs:
        np.testing.assert_array_equal(r, np.broadcast_to(result(a, name), r.shape))


@pytest.mark.parametrize("dtype", DType)
@pytest.mark.parametrize("name", ["chain", "tree", "two_phase", "star", "ring"])
def test_the_largest_in_every_type(name: str, dtype: DType) -> None:
    program = compile_collective(name, 4, 1, 8, dtype=dtype, op="max")
    a = np.random.default_rng(3).integers(-99, 99, (4, 8)).astype(dtype.numpy)
    r = runtime.run(program, {"a": a}).outputs["r"]
    np.testing.assert_array_equal(r, np.broadcast_to(result(a, name, "max"), r.shape))


@pytest.mark.parametrize("fabric", ["wse3", "tiny"])
def test_other_fabrics(fabric: str) -> None:
    a = np.ones((4, 4), np.float32)
    for name in ("chain", "star", "ring"):
        program = compile_collective(name, 4, 1, 4, fabric=fabric)
        assert (runtime.run(program, {"a": a}).outputs["r"] == 4).all()


def test_a_rectangle_of_two_tiles_each_way() -> None:
    r = runtime.run(
        compile_collective("broadcast_2d", 2, 2, 3), {"a": np.arange(3, dtype=np.float32)}
    ).outputs["r"]
    np.testing.assert_array_equal(r, np.broadcast_to(np.arange(3), (2, 2, 3)))


def test_unit_and_semaphore_are_the_callers() -> None:
    made = ring(Vector(8, COLUMN, Name("w"), unit=3, semaphore=5), 4)
    assert [strand.name for strand in made.flow.strands] == ["even", "odd", "back"]
    assert "unit=3, semaphore=5" in repr(made.body)
    paths = [path for strand in made.flow.strands for path in strand.paths]
    sides = {side.value for path in paths for p in path.positions for side in p.send}
    assert sides == {"N", "S", "RAMP"}


def test_groups_are_next_to_the_square_root() -> None:
    assert [group_of(tiles) for tiles in (4, 8, 9, 16, 32, 512)] == [2, 2, 3, 4, 4, 16]


@pytest.mark.parametrize(
    ("name", "width", "height", "words", "message"),
    [
        ("sum", 4, 1, 1, "there is no collective 'sum'"),
        ("chain", 4, 2, 1, "chain needs a row or a column of tiles, not 4x2"),
        ("chain", 1, 1, 1, "chain needs a row or a column of tiles, not 1x1"),
        ("broadcast_2d", 4, 1, 1, "broadcast_2d needs two tiles or more each way, not 4x1"),
        ("tree", 6, 1, 1, "a tree reduce needs a power of two of tiles; there are 6"),
        ("two_phase", 7, 1, 1, "a two-phase reduce over 7 tiles cannot have groups of 7"),
        ("ring", 4, 1, 6, "cannot cut 6 words into 4 equal chunks"),
    ],
)
def test_refusals(name: str, width: int, height: int, words: int, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_collective(name, width, height, words)


def test_emitters_refuse_by_themselves() -> None:
    with pytest.raises(CompileError, match="groups of 3"):
        two_phase(Vector(4), 8, 3)
    with pytest.raises(CompileError, match="power of two"):
        tree(Vector(4), 12)
