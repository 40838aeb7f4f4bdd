"""Spans of strided accesses, and static expressions, against integers that have no end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.isa import expr as ex
from wsc.isa.limits import MOST_NUMBER
from wsc.isa.spans import spanned

EDGES = (0, 1, 2, 3, 1 << 31, 1 << 32, (1 << 32) + 1, 3_037_000_500, MOST_NUMBER)
NUMBERS = st.sampled_from(EDGES).flatmap(lambda n: st.sampled_from((n, -n, n - 1)))


@settings(deadline=None, max_examples=150)
@given(
    NUMBERS,
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8),
    st.sampled_from((0, 1, 4, 1 << 31, MOST_NUMBER)),
)
def test_what_a_span_reaches_is_exact_or_beyond_every_size(base, dims, size):
    corners = [(0, (extent - 1) * stride) for extent, stride in dims]
    ends = [base + sum(corner) for corner in itertools.product(*corners)]
    outside = all(extent > 0 for extent, _ in dims) and (min(ends) < 0 or max(ends) >= size)
    span = spanned(base, [(np.array([extent]), stride) for extent, stride in dims])
    assert span.beyond(size).tolist() == ([outside] if dims else outside)


SMALL = st.tuples(
    st.integers(-9, 9), st.lists(st.tuples(st.integers(-1, 3), st.integers(-4, 4)), max_size=2)
)


@settings(deadline=None, max_examples=100)
@given(SMALL, SMALL, st.integers(-12, 12), st.integers(1, 6))
def test_what_spans_meet_lies_between_their_ends(one, other, begin, size):
    """Of two together, too, those without a step apart."""
    ends: list[int] = []
    for base, dims in (one, other):
        if all(extent > 0 for extent, _ in dims):
            corners = itertools.product(*((0, (extent - 1) * stride) for extent, stride in dims))
            ends += [base + sum(corner) for corner in corners]
    both = spanned(*one).joined(spanned(*other))
    wanted = bool(ends) and min(ends) < begin + size and max(ends) >= begin
    assert bool(both.meets(begin, begin + size)) == wanted


EXPRESSIONS = st.recursive(
    NUMBERS.map(ex.Int) | st.sampled_from(("x", "y", "W")).map(ex.Name),
    lambda inner: st.builds(ex.Binary, st.sampled_from((*ex.BINARY, *ex.FUNCTIONS)), inner, inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(EXPRESSIONS)
def test_a_static_expression_never_wraps(node):
    xs, ys = np.arange(3)[None, :], np.arange(2)[:, None]
    try:
        values = ex.evaluate(node, {"x": xs, "y": ys, "W": 3})
    except ArithmeticError:
        return  # refused
    for y, x in itertools.product(range(2), range(3)):
        there = int(np.broadcast_to(values, (2, 3))[y, x])
        assert there == _exact(node, {"x": x, "y": y, "W": 3})


def _exact(node, env):
    """With Python's integers, one tile at a time."""
    if isinstance(node, ex.Int):
        return node.value
    if isinstance(node, ex.Name):
        return env[node.name]
    left, right = _exact(node.left, env), _exact(node.right, env)
    return {"min": min, "max": max}.get(node.op, lambda a, b: ex.apply(node.op, a, b))(left, right)


def test_a_product_beyond_the_range_is_told():
    x = np.arange(750)[None, :]
    with pytest.raises(ex.TooLarge, match=r"x\*1099511627776 leaves the range of numbers"):
        ex.evaluate(ex.X * (1 << 40), {"x": x})


def test_a_quotient_is_as_small_as_its_divisor_makes_it():
    """The first index of a block over 683 of 750 columns, times words and bytes of a tile."""
    x, first = np.arange(750)[None, :], (ex.X * 512 + 682) // 683 * 2
    assert ex.evaluate(first * (1 << 37), {"x": x})[0, 749] == 1124 << 37
    with pytest.raises(ex.TooLarge):
        ex.evaluate(first * (1 << 38), {"x": x})
    below = (0 - ex.X - 1) // 3
    assert ex.evaluate(below * ((1 << 48) // 250), {"x": x})[0, 749] == -250 * ((1 << 48) // 250)
