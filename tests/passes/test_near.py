"""Outputs of a product in the columns to which they are moved next."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.ir.graph import MoveStep, Reshape, Slice, Transpose, Type
from wsc.isa.program import Extent
from wsc.isa.types import DType
from wsc.layout import Mesh, block, whole
from wsc.passes.near import (
    _columns,  # pyright: ignore[reportPrivateUsage]
    block_near,
)

BATCH, SEQUENCE, PART = 16, 8, 24  # sequences, positions, features of a head's part
Move = tuple[tuple[MoveStep, ...], tuple[Extent, ...]]


def moved(mesh: Mesh, heads: int, part: int, parts: int = 3) -> Move:
    """One part of the features of each head, to the columns of heads and sequences."""
    features = parts * PART
    steps: tuple[MoveStep, ...] = (
        Reshape((SEQUENCE, BATCH, heads, features)),
        Slice((0, 0, 0, PART * part), (SEQUENCE, BATCH, heads, PART), (1, 1, 1, 1)),
        Transpose((2, 1, 0, 3)),
        Reshape((heads * BATCH, SEQUENCE, PART)),
    )
    return steps, (block(heads * BATCH, "x", mesh), block(SEQUENCE, "y", mesh), whole(PART))


def chosen(mesh: Mesh, heads: int, moves: list[Move], parts: int = 3) -> int:
    shape = (SEQUENCE * BATCH, heads * parts * PART)
    out = (block(shape[0], "y", mesh), block(shape[1], "x", mesh))
    return block_near(out, 1, Type(DType.F16, shape), moves, mesh)


def test_features_are_in_the_columns_that_have_their_head() -> None:
    # 512 heads and sequences in pairs, 8 columns a head, and 72 features: 9 in each, where 7 do.
    mesh = Mesh(360, 4)
    assert block(32 * 3 * PART, "x", mesh).step == 7
    assert chosen(mesh, 32, [moved(mesh, 32, part) for part in range(3)]) == 9


def test_blocks_stay_where_columns_are_near() -> None:
    mesh = Mesh(24, 4)
    smallest = block(2 * 3 * PART, "x", mesh).step
    assert chosen(mesh, 2, [moved(mesh, 2, part) for part in range(3)]) == smallest


@pytest.mark.parametrize("heads", [24, 29])
def test_blocks_stay_where_none_fits(heads: int) -> None:
    """Parts one behind the other: a feature of each is wanted where the first one is."""
    mesh = Mesh(360, 4)
    steps: tuple[MoveStep, ...] = (
        Slice((0, heads * PART), (SEQUENCE * BATCH, heads * PART), (1, 1)),
        Reshape((SEQUENCE, BATCH, heads, PART)),
        Transpose((2, 1, 0, 3)),
        Reshape((heads * BATCH, SEQUENCE, PART)),
    )
    wanted = moved(mesh, heads, 0)[1]
    smallest = block(heads * 2 * PART, "x", mesh).step
    assert chosen(mesh, heads, [(steps, wanted)], 2) == smallest


@pytest.mark.parametrize("keys", [(0, 8), (3, 4), (7, 1)])
@pytest.mark.parametrize("part", [0, 2])
def test_columns_are_those_of_all_positions_one_by_one(keys: tuple[int, int], part: int) -> None:
    """Tokens of which a block of positions is moved decide by their sequence alone."""
    mesh, heads = Mesh(90, 4), 5
    steps, _ = moved(mesh, heads, part)
    begin, count = keys
    steps = (*steps, Slice((0, begin, 0), (heads * BATCH, count, PART), (1, 1, 1)))
    wanted = (block(heads * BATCH, "x", mesh), whole(count), whole(PART))
    shape = (SEQUENCE * BATCH, heads * 3 * PART)
    first, last = _columns(1, Type(DType.F16, shape), steps, wanted, mesh)
    # The same movement of the numbers of all elements, and where each comes to lie.
    here = np.arange(np.prod(shape)).reshape(SEQUENCE, BATCH, heads, 3 * PART)
    here = here[..., PART * part : PART * (part + 1)].transpose(2, 1, 0, 3)
    here = here.reshape(heads * BATCH, SEQUENCE, PART)[:, begin : begin + count]
    column = np.broadcast_to(
        (np.arange(heads * BATCH) // wanted[0].step)[:, None, None], here.shape
    )
    low, high = np.full(shape[1], np.inf), np.full(shape[1], -np.inf)
    np.minimum.at(low, here.ravel() % shape[1], column.ravel())
    np.maximum.at(high, here.ravel() % shape[1], column.ravel())
    assert np.array_equal(first, np.where(np.isinf(low), -np.inf, low))
    assert np.array_equal(last, np.where(np.isinf(high), np.inf, high))
