"""Index arithmetic: what is simplified equals plain integer arithmetic at every point."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.isa.expr import Expr, Name, evaluate
from wsc.kernels.index import Ix, Quotient, quotient, remainder, to_expr, variable
from wsc.kernels.index_map import divided, reshape_index

NAMES = ("a", "b", "c")
POINTS = 200

ranges = st.tuples(st.integers(-6, 6), st.integers(0, 8)).map(lambda r: (r[0], r[0] + r[1]))
of_names: dict[str, st.SearchStrategy[tuple[int, int]]] = dict.fromkeys(NAMES, ranges)
spaces = st.fixed_dictionaries(of_names)
divisors = st.integers(1, 12)


@st.composite
def forms(draw: st.DrawFn, space: dict[str, tuple[int, int]], depth: int = 2) -> tuple[Ix, Expr]:
    """An index and, built beside it, the same thing as a plain expression."""
    total, plain = Ix((), draw(st.integers(-20, 20))), None
    shown: Expr = Name("zero") + total.constant
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        factor = draw(st.integers(-9, 9))
        part, plain = variable(name, *space[name]), Name(name)
        if depth and draw(st.booleans()):
            inner, expression = draw(forms(space, depth - 1))
            divisor = draw(divisors)
            if draw(st.booleans()):
                part, plain = quotient(inner, divisor), expression // divisor
            else:
                part, plain = remainder(inner, divisor), expression % divisor
        total, shown = total + part * factor, shown + plain * factor
    return total, shown


def grid(space: dict[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    """Points of the space, all of them if they are few."""
    points = list(product(*(range(low, high + 1) for low, high in space.values())))
    taken = points[:: max(1, len(points) // POINTS)]
    columns = np.array(taken, dtype=np.int64).T
    return {**dict(zip(space, columns, strict=True)), "zero": np.zeros(len(taken), np.int64)}


def value(form: Ix, points: dict[str, np.ndarray]) -> np.ndarray:
    result = evaluate(to_expr(form, {name: Name(name) for name in NAMES}), points)
    return np.broadcast_to(np.asarray(result), points["zero"].shape)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_simplified_forms_mean_the_same(data: st.DataObject) -> None:
    space = data.draw(spaces)
    form, plain = data.draw(forms(space))
    points = grid(space)
    got = value(form, points)
    np.testing.assert_array_equal(got, evaluate(plain, points))
    low, high = form.range
    assert low <= got.min()
    assert got.max() <= high


shapes = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_reshape_is_ravel_then_unravel(data: st.DataObject) -> None:
    old = tuple(data.draw(shapes))
    rest, new = math.prod(old), []
    while rest > 1 and len(new) < 4:
        size = data.draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0]))
        new.append(size)
        rest //= size
    shape = (*new, rest)
    index = [variable(f"s{i}", 0, size - 1) for i, size in enumerate(old)]
    got = reshape_index(index, old, shape)
    at = np.indices(old).reshape(len(old), -1)
    points = {f"s{i}": row for i, row in enumerate(at)}
    wanted = np.unravel_index(np.ravel_multi_index(tuple(at), old), shape)
    for form, row in zip(got, wanted, strict=True):
        result = evaluate(to_expr(form, {name: Name(name) for name in points}), points)
        np.testing.assert_array_equal(np.broadcast_to(result, row.shape), row)


def test_divisions_vanish_where_ranges_allow() -> None:
    heads, within = variable("h", 0, 11), variable("w", 0, 31)
    position = heads * 32 + within
    assert quotient(position, 32) == heads
    assert remainder(position, 32) == within
    assert quotient(position, 16) == heads * 2 + Ix(((Quotient(within, 16), 1),))


def test_a_split_dimension_needs_no_division() -> None:
    index = [variable("row", 0, 5), variable("column", 0, 383)]
    row, head, _ = reshape_index(index, (6, 384), (6, 12, 32))
    assert row == variable("row", 0, 5)
    assert head == Ix(((Quotient(variable("column", 0, 383), 32), 1),))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_what_is_divided_is_right_where_the_divisor_divides(data: st.DataObject) -> None:
    space, divisor = data.draw(spaces), data.draw(divisors)
    form, plain = data.draw(forms(space))
    points = grid(space)
    taken, found = divided(form, divisor)
    wanted = evaluate(plain, points)
    there = np.broadcast_to(wanted % divisor == 0, points["zero"].shape)
    np.testing.assert_array_equal(value(taken, points) % divisor == 0, there)
    exact = np.broadcast_to(wanted // divisor, there.shape)
    np.testing.assert_array_equal(value(found, points)[there], exact[there])
