"""Blocks that lie near those that they are moved to: in their columns, and in their rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.fabric import build, compare
from tests.frontend.cases import floats, model_of
from wsc.ir.graph import (
    Constant,
    Contract,
    Graph,
    Index,
    MoveStep,
    Node,
    Reshape,
    Slice,
    Transpose,
    Type,
)
from wsc.ir.layout import Mesh, beyond, block, start, valid, whole
from wsc.isa.expr import evaluate
from wsc.isa.program import Extent
from wsc.isa.types import DType
from wsc.passes.near import (
    _columns,  # pyright: ignore[reportPrivateUsage]
    block_near,
    spread_blocks,
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


def test_features_are_in_columns_of_heads_that_lie_apart() -> None:
    """256 pairs over 288 columns: nine of them for a head, of which the last one has no pair."""
    mesh = Mesh(360, 4, frozenset({("x", 32 * BATCH, 288)}))
    assert block(32 * 3 * PART, "x", mesh).step == 7
    assert chosen(mesh, 32, [moved(mesh, 32, part) for part in range(3)]) == 8


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
@pytest.mark.parametrize("over", [0, 85])
def test_columns_are_those_of_all_positions_one_by_one(
    keys: tuple[int, int], part: int, over: int
) -> None:
    """Tokens of which a block of positions is moved decide by their sequence alone."""
    heads = 5
    mesh = Mesh(90, 4, frozenset({("x", heads * BATCH, over)} if over else ()))
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
    blocks = np.arange(heads * BATCH) // wanted[0].step
    if over:
        blocks = blocks * over // wanted[0].blocks
    column = np.broadcast_to(blocks[:, None, None], here.shape)
    low, high = np.full(shape[1], np.inf), np.full(shape[1], -np.inf)
    np.minimum.at(low, here.ravel() % shape[1], column.ravel())
    np.maximum.at(high, here.ravel() % shape[1], column.ravel())
    assert np.array_equal(first, np.where(np.isinf(low), -np.inf, low))
    assert np.array_equal(last, np.where(np.isinf(high), np.inf, high))


def test_positions_go_where_their_heads_do() -> None:
    """Heads that are joined: the column of a position is that of any head's features."""
    mesh, heads = Mesh(90, 4), 6
    steps = (Transpose((1, 0, 2)), Reshape((SEQUENCE, heads * PART)))
    wanted = (block(SEQUENCE, "y", mesh), block(heads * PART, "x", mesh))
    shape = Type(DType.F16, (heads, SEQUENCE, PART))
    first, last = _columns(1, shape, steps, wanted, mesh)
    assert first.tolist() == [0] * SEQUENCE
    assert last.tolist() == [(heads * PART - 1) // wanted[1].step] * SEQUENCE
    nothing = (*steps[:1], Slice((0, 0, 0), (SEQUENCE, 0, PART), (1, 1, 1)))
    first, last = _columns(1, shape, nothing, (wanted[0], whole(0), wanted[1]), mesh)
    assert np.isneginf(first).all()
    assert np.isposinf(last).all()


@given(st.sampled_from("xy"), st.integers(1, 90), st.integers(1, 40), st.integers(0, 9))
def test_blocks_that_lie_apart_hold_each_index_once(
    axis: str, size: int, tiles: int, rest: int
) -> None:
    over = tiles
    while over > block(size, axis, Mesh(tiles, tiles)).blocks and over > tiles - rest:
        over -= 1  # as many tiles at the end have none
    mesh = Mesh(tiles, tiles, frozenset({(axis, size, over)}))
    extent = block(size, axis, mesh)
    assert extent.over == over
    assert not block(size, "x" if axis == "y" else "y", mesh).over
    found: list[int] = []
    for tile in range(tiles):
        first, last = extent.held(tile)
        names = {axis: tile}
        assert (first, last) == (
            evaluate(start(extent), names),
            evaluate(beyond(extent), names),
        )
        held = range(first, min(last, size))
        assert len(held) == evaluate(valid(extent, mesh), names) <= extent.step
        assert all(index // extent.step * over // extent.blocks == tile for index in held)
        found += held
    assert found == [*range(size)]


def graph_of(shapes: Sequence[tuple[int, int, int]], weights: int) -> Graph:
    """Products m x k x n, of which the first ones have a weight."""
    weight = Constant("w", Type(DType.F16, (1,)), lambda: np.zeros(1))
    nodes: list[Node] = []
    for number, (m, k, n) in enumerate(shapes):
        one, other = (Index((("m", 1),)), Index((("k", 1),))), Index((("n", 1),))
        sizes = (("m", m), ("k", k), ("n", n))
        op = Contract(one, (one[1], other), ("m", "n"), sizes)
        name, second = f"y{number}", "w" if number < weights else "x"
        nodes.append(Node(name, op, ("x", second), name, Type(DType.F16, (m, n))))
    return Graph("products", (), (), (weight,), tuple(nodes))


def attention(
    batch: int, positions: int, size: int
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Queries and keys of two heads out of one product, and their scores."""
    feeds = {"x": floats(batch, positions, 4)}
    constants = {
        "w": floats(4, 4 * size),
        "heads": np.array([batch, positions, 4, size], np.int64),
        "cut": np.array([2, 2], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Reshape", ["p", "heads"], ["h"]),
        helper.make_node("Split", ["h", "cut"], ["q", "k"], axis=2),
        helper.make_node("Transpose", ["q"], ["qt"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["qt", "kt"], ["y"]),
    ]
    return model_of(nodes, feeds, constants, ["y"]), feeds


@pytest.mark.parametrize(("positions", "precision"), [(50, DType.F32), (80, DType.F16)])
def test_positions_are_in_the_rows_of_their_tokens(positions: int, precision: DType) -> None:
    """Six or nine tokens of eight sequences in a row; one position of all of them, or two."""
    model, feeds = attention(8, positions, 3)
    assert f"{positions} y:{-(-positions // 72)} over 72" in build(model, "3x72", precision).text
    compare(model, feeds, "3x72", precision)


def test_only_fewer_rows_than_those_of_tokens_lie_apart() -> None:
    tokens, positions = (1000, 4, 8), (300, 8, 4)
    apart = frozenset({("y", 300, 200)})
    assert spread_blocks(graph_of([tokens, positions], 1), Mesh(8, 200)) == apart
    assert not spread_blocks(graph_of([tokens, positions], 1), Mesh(8, 64))  # rows are near there
    assert not spread_blocks(graph_of([tokens, positions], 2), Mesh(8, 200))  # none has positions
    assert not spread_blocks(graph_of([positions, positions], 1), Mesh(8, 200))  # rows are the same
    assert not spread_blocks(graph_of([tokens, (195, 8, 4)], 1), Mesh(8, 200))  # nearly as many


def heads_of(
    batch: int, positions: int, heads: int, size: int
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Attention of the heads of one product, and the product that takes their results."""
    features = heads * size
    feeds = {"x": floats(batch, positions, 4)}
    constants = {
        "w": floats(4, 3 * features),
        "heads": np.array([batch, positions, heads, 3 * size], np.int64),
        "features": np.array([batch, positions, features], np.int64),
        "last": floats(features, 5),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Reshape", ["p", "heads"], ["h"]),
        helper.make_node("Split", ["h"], ["q", "k", "v"], axis=3),
        helper.make_node("Transpose", ["q"], ["qt"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["v"], ["vt"], perm=[0, 2, 1, 3]),
        helper.make_node("MatMul", ["qt", "kt"], ["s"]),
        helper.make_node("Softmax", ["s"], ["a"]),
        helper.make_node("MatMul", ["a", "vt"], ["o"]),
        helper.make_node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["ot", "features"], ["f"]),
        helper.make_node("MatMul", ["f", "last"], ["y"]),
    ]
    return model_of(nodes, feeds, constants, ["y"]), feeds


@pytest.mark.parametrize(
    ("heads", "fabric", "over", "precision"),
    [(40, "80x3", 80, DType.F16), (35, "77x2", 70, DType.F32), (30, "70x4", 60, DType.F16)],
)
def test_heads_are_in_the_columns_of_their_features(
    heads: int, fabric: str, over: int, precision: DType
) -> None:
    """A head of four features in every second column, which have two features each."""
    model, feeds = heads_of(2, 6, heads, 4)
    assert f"{heads} x:1 over {over}" in build(model, fabric, precision).text
    compare(model, feeds, fabric, precision)
