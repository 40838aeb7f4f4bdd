"""Reshapes and transposes of single dimensions: held against what NumPy does."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsc.ir.build import move_array
from wsc.ir.graph import Reshape, Slice, Transpose
from wsc.ir.regroup import Group, Turn, adapted, apart, delayed, groups, joins, place, unsplit


def test_groups_are_the_least_that_hold_the_same_elements() -> None:
    assert groups((16, 64, 96), (1024, 4, 24)) == [Group((0, 1), (0,)), Group((2,), (1, 2))]
    assert groups((1, 5), (5,)) == [Group((0, 1), (0,))]
    assert groups((2, 3, 1, 1), (2, 3)) == [Group((0,), (0,)), Group((1, 2, 3), (1,))]


@st.composite
def turns(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Turn]]:
    """A shape, and reshapes and transposes of it."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4)))
    now, steps = shape, list[Turn]()
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            steps.append(Transpose(tuple(draw(st.permutations(range(len(now)))))))
            now = tuple(now[i] for i in steps[-1].perm)  # type: ignore[union-attr]
        else:
            left, sizes = prod(now), list[int]()
            while left > 1 and len(sizes) < 3:
                sizes.append(
                    draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0]))
                )
                left //= sizes[-1]
            now = (*sizes, left)
            steps.append(Reshape(now))
    return shape, steps


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(prod(shape)).reshape(shape)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(turns(), st.data())
def test_a_place_is_where_the_dimension_is(
    given_: tuple[tuple[int, ...], list[Turn]], data: st.DataObject
) -> None:
    shape, steps = given_
    dim = data.draw(st.integers(0, len(shape) - 1))
    found = place(shape, steps, dim)
    if found is None:
        assert joins(shape, steps) or shape[dim] == 1
        return
    index = np.broadcast_to(
        np.arange(shape[dim]).reshape([-1] + [1] * (len(shape) - dim - 1)), shape
    )
    moved = move_array(np.array(index), steps)
    wanted = np.arange(shape[dim]).reshape([-1] + [1] * (moved.ndim - found - 1))
    assert np.array_equal(moved, np.broadcast_to(wanted, moved.shape))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(turns(), st.data())
def test_broadcast_operands_are_moved_as_whole_ones_would_be(
    given_: tuple[tuple[int, ...], list[Turn]], data: st.DataObject
) -> None:
    shape, steps = given_
    own = tuple(data.draw(st.sampled_from([1, size])) for size in shape)
    found = adapted(shape, steps, own, repeat=True)
    assert found is not None
    values = numbers(own)
    wanted = move_array(np.array(np.broadcast_to(values, shape)), steps)
    assert np.array_equal(np.broadcast_to(move_array(values, found), wanted.shape), wanted)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(turns(), st.data())
def test_a_slice_may_come_last(
    given_: tuple[tuple[int, ...], list[Turn]], data: st.DataObject
) -> None:
    part, steps = given_
    dim = data.draw(st.integers(0, len(part) - 1))
    start, stride = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 2))
    full = tuple(start + stride * size + 1 if i == dim else size for i, size in enumerate(part))
    starts = tuple(start if i == dim else 0 for i in range(len(part)))
    cut = Slice(starts, part, tuple(stride if i == dim else 1 for i in range(len(part))))
    found = delayed(full, cut, steps)
    if found is None:
        assert part[dim] == 1 or place(part, steps, dim) is None
        return
    before, last = found
    values = numbers(full)
    assert np.array_equal(move_array(values, [*before, last]), move_array(values, [cut, *steps]))


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([Transpose((1, 0, 2))], False),
        ([Reshape((2, 1, 3, 4))], False),
        ([Reshape((6, 4))], True),
        ([Transpose((0, 2, 1)), Reshape((2, 2, 2, 3))], True),
    ],
)
def test_what_puts_dimensions_together(steps: list[Turn], wanted: bool) -> None:
    assert joins((2, 3, 4), steps) is wanted


@settings(max_examples=100, deadline=None, derandomize=True)
@given(turns(), st.data())
def test_what_is_joined_may_be_joined_at_the_end(
    given_: tuple[tuple[int, ...], list[Turn]], data: st.DataObject
) -> None:
    shape, steps = given_
    dim = data.draw(st.integers(0, len(shape) - 1))
    found = apart(shape, steps, dim)
    if found is None:
        return
    first, join = found
    values = numbers(shape)
    assert np.array_equal(move_array(values, (*first, join)), move_array(values, steps))
    assert shape[dim] == 1 or place(shape, first, dim) is not None


def test_neighbours_stay_apart_until_their_heads_are_in_front() -> None:
    steps = (Reshape((2, 5, 3, 8)), Transpose((2, 0, 1, 3)), Reshape((6, 5, 8)))
    assert apart((2, 5, 3, 4, 2), steps, 4) == (
        (Reshape((2, 5, 3, 4, 2)), Transpose((2, 0, 1, 3, 4)), Reshape((6, 5, 4, 2))),
        Reshape((6, 5, 8)),
    )
    # What is taken apart again in another way is not.
    assert apart((2, 5, 3, 4, 2), (*steps, Reshape((6, 5, 2, 4))), 4) is None


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4), st.data())
def test_a_position_of_a_part_is_a_slice_of_the_whole(
    sizes: list[int], data: st.DataObject
) -> None:
    split = Reshape(tuple(sizes))
    first = data.draw(st.integers(0, len(sizes)))
    shape = (prod(sizes[:first]), prod(sizes[first:]))
    dim = data.draw(st.integers(0, len(sizes) - 1))
    start = data.draw(st.integers(0, sizes[dim] - 1))
    ones = tuple(1 if i == dim else n for i, n in enumerate(sizes))
    cut = Slice(tuple(start if i == dim else 0 for i in range(len(sizes))), ones, (1,) * len(sizes))
    found = unsplit(shape, split, cut)
    parts = [i for i in range(*((0, first) if dim < first else (first, 9))) if i < len(sizes)]
    large = [i for i in parts if sizes[i] > 1]
    if found is None:
        assert sizes[dim] == 1 or dim not in (large[0], large[-1])
        return
    values = numbers(shape)
    assert np.array_equal(move_array(values, found), move_array(values, (split, cut)))
