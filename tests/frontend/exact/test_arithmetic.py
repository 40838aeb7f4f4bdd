"""Arithmetic of tensors of doubles, against that of NumPy, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.doubles import ONE, OTHER, RANDOM, SPECIAL, drawn, same
from wsc.frontend.exact import arithmetic
from wsc.frontend.exact.item import Double, of_array
from wsc.ir.build import GraphBuilder
from wsc.ir.evaluate import evaluate_graph
from wsc.ir.graph import GraphOutput

Body = Callable[..., Double]


def computed(body: Body, *arrays: np.ndarray) -> np.ndarray:
    """What a function of tensors of doubles gives."""
    build = GraphBuilder("case")
    given = [of_array(build, array, f"x{i}") for i, array in enumerate(arrays)]
    result = body(build, *given)
    outputs = [GraphOutput("y", result.low.name, "float64", high=result.high.name)]
    found = evaluate_graph(build.finish(outputs))
    high, low = (found[word.name] for word in result.words)
    bits = np.asarray((high.astype(np.int64) << 32) | low.view(np.uint32))
    return bits.view(np.float64)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (arithmetic.add, np.add),
        (arithmetic.subtract, np.subtract),
        (arithmetic.multiply, np.multiply),
        (arithmetic.divide, np.divide),
    ],
)
def test_arithmetic_is_that_of_ieee_754(body: Body, wanted: np.ufunc) -> None:
    near = drawn(40)
    beside = (near.view(np.int64) + RANDOM.integers(-3, 4, len(near))).view(np.float64)
    a, b = np.concatenate([ONE, near]), np.concatenate([OTHER, beside])
    with np.errstate(all="ignore"):
        same(computed(body, a, b), wanted(a, b))


def test_a_square_needs_its_operand_once() -> None:
    with np.errstate(all="ignore"):
        same(computed(lambda build, x: arithmetic.multiply(build, x, x), ONE), ONE * ONE)


def test_roots() -> None:
    squares = RANDOM.integers(1, 2**26, 40).astype(np.float64) ** 2
    near = np.concatenate([np.nextafter(squares, 0), squares, np.nextafter(squares, np.inf)])
    a = np.concatenate([drawn(60), SPECIAL, near])
    with np.errstate(all="ignore"):
        same(computed(arithmetic.root, a), np.sqrt(a))


@pytest.mark.parametrize(
    ("row", "neutral", "wanted"),
    [
        (arithmetic.add, -0.0, np.sum),
        (arithmetic.larger, -np.inf, np.max),
        (arithmetic.smaller, np.inf, np.min),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_an_axis_joined(
    row: arithmetic.Binary, neutral: float, wanted: Callable[..., np.ndarray], size: int
) -> None:
    x = RANDOM.integers(-(2**50), 2**50, (3, size)) / 1024.0  # no sum of these is rounded

    def body(build: GraphBuilder, a: Double) -> Double:
        return arithmetic.joined(build, a, 1, row, neutral, 0.0)

    same(computed(body, x), wanted(x, axis=1, keepdims=True))


def test_a_sum_of_zeros_below_zero_is_one() -> None:
    def body(build: GraphBuilder, a: Double) -> Double:
        return arithmetic.joined(build, a, 0, arithmetic.add, -0.0, 0.0)

    same(computed(body, np.full(3, -0.0)), np.array([-0.0]))
    same(computed(body, np.zeros(0)), np.zeros(1))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_running_sums(exclusive: bool, reverse: bool, size: int) -> None:
    x = RANDOM.integers(-(2**40), 2**40, (size, 2)) / 16.0

    def body(build: GraphBuilder, a: Double) -> Double:
        return arithmetic.running(build, a, 0, exclusive, reverse)

    turned = x[::-1] if reverse else x
    sums = np.cumsum(turned, axis=0)
    sums = np.concatenate([np.zeros((1, 2)), sums[:-1]]) if exclusive else sums
    same(computed(body, x), np.ascontiguousarray(sums[::-1] if reverse else sums))
