"""What the host makes of a graph of constants: the oracle's answer, and the instructions' bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests import oracle
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.evaluate import TooMuch, evaluate_graph
from wsc.ir.fold import map_arrays
from wsc.ir.graph import (
    Arg,
    Contract,
    Graph,
    GraphOutput,
    Index,
    Map,
    Reduce,
    Reduction,
    Scatter,
    Step,
    Type,
)
from wsc.isa.table import BY_NAME, TABLE, Category, operand_type
from wsc.isa.types import DType
from wsc.isa.values import PARTIAL, DomainError, evaluate

SPECIAL = [0.0, -0.0, 1.0, -1.5, 2.5, 1e-40, 65504.0, 3e38, math.inf, -math.inf, math.nan]
WHOLE = [0, 1, -1, 31, 2**31 - 1, -(2**31), 12345]
ROWS = [
    (row.name, dtype)
    for row in TABLE
    if row.category is Category.VECTOR and not row.accumulates and len(row.operands) > 1
    for dtype in row.types
]


def _operand(dtype: DType, place: int, count: int) -> np.ndarray:
    """All combinations of special values over ``count`` operands: those of one of them."""
    values = np.array(SPECIAL if dtype.is_float else WHOLE)
    grid = np.meshgrid(*[np.arange(len(SPECIAL))] * count, indexing="ij")
    return values[grid[place].reshape(-1) % len(values)].astype(dtype.numpy)


@pytest.mark.parametrize(("name", "dtype"), ROWS, ids=lambda item: getattr(item, "value", item))
def test_a_step_of_a_map_is_its_instruction_to_the_bit(name: str, dtype: DType) -> None:
    row = BY_NAME[name]
    roles = [operand_type(role, dtype) for role in row.operands]
    with np.errstate(all="ignore"):
        arrays = [_operand(role, n, len(roles) - 1) for n, role in enumerate(roles[1:])]
    op = Map((Step(name, dtype, tuple(Arg(n) for n in range(len(arrays)))),))
    try:
        want = [evaluate(name, dtype, *elements) for elements in zip(*arrays, strict=True)]
    except DomainError:
        held = [PARTIAL[name].holds(int(a), int(b)) for a, b in zip(*arrays, strict=True)]
        arrays = [array[held] for array in arrays]
        want = [evaluate(name, dtype, *elements) for elements in zip(*arrays, strict=True)]
    got, wanted = map_arrays(op, arrays, Type(roles[0], arrays[0].shape)), np.array(want)
    assert got.dtype == roles[0].numpy
    np.testing.assert_array_equal(got, wanted.astype(got.dtype))
    number = got == got
    np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(wanted[number]))


def _graph(build: GraphBuilder, value: Value) -> Graph:
    return build.finish([GraphOutput("y", value.name, np.dtype(value.dtype.numpy).name)])


def _check(build: GraphBuilder, value: Value) -> None:
    graph = _graph(build, value)
    assert graph.nodes
    (got,) = evaluate_graph(graph).values()
    assert (got.shape, got.dtype) == (value.shape, value.dtype.numpy)
    np.testing.assert_allclose(got, oracle.evaluate(graph, {})["y"], rtol=1e-6)


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.I32])
def test_every_primitive_gives_what_the_oracle_gives(dtype: DType) -> None:
    rng = np.random.default_rng(3)
    build = GraphBuilder("g")
    # Large enough for the builder to leave it alone.
    x = build.constant(rng.integers(-9, 9, (20, 30)), dtype)
    places = build.constant(np.array([3, -1, 7]), DType.I32)
    for kind in Reduction:
        if kind is not Reduction.PROD:
            _check(build, build.reduce(kind, x, [1], keep=kind is Reduction.SUM))
        rows = build.constant(rng.integers(1, 5, (3, 30)), dtype)
        _check(build, build.scatter(x, places, rows, 0, kind))
    _check(build, build.gather(x, places, 0))
    _check(build, build.concat([x, build.gather(x, places, 0)], 0))
    _check(build, build.scatter(x, places, build.gather(x, places, 0), 0))
    into = Scatter(0, Reduction.SUM, zeros=9)
    _check(build, build.add(into, [places, build.gather(x, places, 0)]))
    _check(build, build.map(lambda v: v.max(1).op("sign") + v, x))
    if dtype.is_float:
        _check(build, build.contract(x, x, "m k", "n k", "n m"))


@pytest.mark.parametrize("kind", list(Reduction))
def test_windows_are_padded_with_what_changes_nothing(kind: Reduction) -> None:
    build = GraphBuilder("g")
    x = build.constant(np.random.default_rng(4).uniform(0.5, 1.5, 300), DType.F32)
    windows = Reduce(kind, (Index((("o", 2), ("k", 3)), -2),), ("o",), (("o", 150), ("k", 3)))
    _check(build, build.add(windows, [x]))
    if kind is Reduction.SUM:
        w = build.constant(np.ones((2, 3)), DType.F32)
        sums = Contract(
            windows.index,
            (Index((("f", 1),)), Index((("k", 1),))),
            ("f", "o"),
            (*windows.extents, ("f", 2)),
        )
        _check(build, build.add(sums, [x, w]))


def test_too_much_work_is_left_to_the_fabric() -> None:
    build = GraphBuilder("g")
    x = build.constant(np.ones((1 << 12, 1)), DType.F32)
    y = build.constant(np.ones((1, 1 << 12)), DType.F32)
    with pytest.raises(TooMuch):
        evaluate_graph(_graph(build, build.map(lambda a, b: (a + b).exp(), x, y)))
    with pytest.raises(TooMuch):
        evaluate_graph(_graph(build, build.contract(x, y, "m .", ". n", "m n")))


def test_an_index_outside_is_no_value() -> None:
    build = GraphBuilder("g")
    x = build.constant(np.ones(300), DType.F32)
    picked = build.gather(x, build.constant(np.array([300]), DType.I32), 0)
    with pytest.raises(IndexError):
        evaluate_graph(_graph(build, picked))
