"""Constants that the builder makes of small operations, and of those without elements."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isa.types import DType
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.fold import LIMIT
from wsc.ir.graph import Reduction, Type


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
    large = build.constant(np.arange(LIMIT + 1), DType.I32)
    assert build.host(build.map(lambda a: a + 1, large)) is None


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
