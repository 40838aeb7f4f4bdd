"""Constants that the builder makes of small operations, and of those without elements."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wsc.ir.build import GraphBuilder, Value
from wsc.ir.fold import LIMIT
from wsc.ir.graph import Reduction, Type
from wsc.isa.types import DType
from wsc.isa.values import evaluate


def _numbers(build: GraphBuilder, *values: int) -> Value:
    return build.constant(np.array(values), DType.I32)


def test_small_integers_are_computed_when_the_graph_is_built() -> None:
    build = GraphBuilder("g")
    total = build.map(lambda a, b: a * 2 + b, _numbers(build, 1, 2, 3), _numbers(build, 10))
    joined = build.concat([total, _numbers(build, 5)], 0)
    picked = build.gather(joined, _numbers(build, -1, 0), 0)
    host = build.host(picked)
    assert host is not None
    assert host.tolist() == [5, 12]


def test_a_division_by_zero_is_left_to_the_fabric() -> None:
    build = GraphBuilder("g")
    result = build.map(lambda a, b: a.op("div", b), _numbers(build, 1, 2), _numbers(build, 1, 0))
    assert build.host(result) is None


def test_large_constants_are_left_to_the_fabric() -> None:
    build = GraphBuilder("g")
    large = build.constant(np.linspace(0, 1, LIMIT + 1), DType.F32)
    assert build.host(build.map(lambda a: a.exp(), large)) is None


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16])
def test_weights_of_few_bits_are_what_the_fabric_would_make_of_them(dtype: DType) -> None:
    """Bit for bit what ``evaluate`` says, for whole arrays."""
    rng = np.random.default_rng(0)
    codes = rng.integers(-128, 128, (LIMIT, 3))
    zeros, scales = rng.integers(-9, 9, 3), rng.standard_normal(3)
    build = GraphBuilder("g")
    inputs = (
        build.constant(codes, DType.I32),
        build.constant(zeros, DType.I32),
        build.constant(scales, dtype),
    )
    total = build.map(lambda q, z, s: (q - z).cast(dtype) * s / 3, *inputs)
    host = build.host(total)
    assert host is not None
    assert host.dtype == dtype.numpy
    for row, column in ((0, 0), (7, 1), (LIMIT - 1, 2)):
        whole = evaluate("sub", DType.I32, codes[row, column], zeros[column])
        value = evaluate("from_int", dtype, whole)
        value = evaluate("mul", dtype, value, dtype.numpy.type(scales[column]))
        assert host[row, column] == evaluate("div", dtype, value, 3)


def test_a_small_constant_that_grows_is_left_to_the_fabric() -> None:
    build = GraphBuilder("g")
    sides = (
        build.constant(np.zeros((LIMIT, 1)), DType.F32),
        build.constant(np.ones((1, LIMIT)), DType.F32),
    )
    assert build.host(build.map(lambda a, b: a + b, *sides)) is None


def test_an_index_out_of_range_is_left_to_the_fabric() -> None:
    build = GraphBuilder("g")
    assert build.host(build.gather(_numbers(build, 1, 2), _numbers(build, 2), 0)) is None


@pytest.mark.parametrize(
    ("kind", "want"),
    [
        (Reduction.SUM, 0),
        (Reduction.PROD, 1),
        (Reduction.MAX, -math.inf),
        (Reduction.MIN, math.inf),
    ],
)
def test_a_reduction_of_nothing(kind: Reduction, want: float) -> None:
    build = GraphBuilder("g")
    x = build.input("x", Type(DType.F32, (2, 3)), "float32")
    nothing = build.slice_axis(x, 1, 0, 0)
    host = build.host(build.reduce(kind, nothing, [1]))
    assert host is not None
    assert host.tolist() == [[want], [want]]


def test_a_product_over_nothing_is_zero() -> None:
    build = GraphBuilder("g")
    x = build.input("x", Type(DType.F32, (2, 3)), "float32")
    nothing = build.slice_axis(x, 1, 3, 0)
    weights = build.constant(np.zeros((0, 4)), DType.F32)
    host = build.host(build.contract(nothing, weights, "m k", "k n", "m n"))
    assert host is not None
    assert host.shape == (2, 4)


def test_what_has_no_elements_is_left_out_of_a_concatenation() -> None:
    build = GraphBuilder("g")
    x = build.input("x", Type(DType.F32, (2, 3)), "float32")
    assert build.concat([x, build.slice_axis(x, 1, 0, 0)], 1) == x
