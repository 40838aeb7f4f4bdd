"""Which tiles stand for a mesh."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.cost.tiles import Lanes, changes, sample, stretches
from wsc.isa.expr import Name, X, maximum, minimum


@pytest.mark.parametrize("size", [1, 2, 7, 24])
def test_small_axes_are_taken_whole(size: int) -> None:
    axis = sample(size)
    assert axis.complete
    assert axis.places.tolist() == list(range(size))
    assert axis.weight.sum() == size


@pytest.mark.parametrize("size", [25, 26, 32, 33, 127, 512, 750, 994, 1170])
def test_large_axes(size: int) -> None:
    axis = sample(size)
    places, root = axis.places.tolist(), (size - 1) // 2
    assert not axis.complete
    assert len(places) <= 24
    assert {0, 1, root, size - 1} <= set(places)
    assert (axis.gaps[1:] % 2 == 1).all()  # even and odd tiles take turns
    assert axis.weight.sum() == size
    assert np.array_equal(axis.nearest(axis.places), np.arange(len(places)))
    # A place stands for the coordinates that it is nearest to.
    assert np.array_equal(np.bincount(axis.nearest(np.arange(size))), axis.weight)


def test_lanes_divide() -> None:
    lanes = Lanes(np.ones((2, 3), bool), np.full((2, 3), 4.0), whole=True)
    left, right = lanes.divide(np.array([[True, False, False]]))
    assert left is not None
    assert right is not None
    assert (left.tiles, right.tiles) == (8.0, 16.0)
    assert lanes.divide(np.array([[True]])) == (lanes, None)
    assert left.divide(np.array([[False]])) == (None, left)


def test_where_blocks_end_is_sampled() -> None:
    # Blocks of 3 over 100 rows, of 7 columns, of all: the last block is not full.
    block = maximum(0, minimum(3, 128 - Name("y") * 3))
    assert changes([block, block * 5, Name("y"), X * 2, Name("t")], "y", 100, {"W": 9}) == [42, 43]
    axis = sample(100, changes=[42, 43])
    assert {41, 42, 43} <= set(axis.places.tolist())
    assert axis.weight.sum() == 100
    assert (axis.gaps[1:] % 2 == 1).all()
    assert sample(100, changes=[0, 100]).weight.sum() == 100


@pytest.mark.parametrize("size", [1, 5, 150, 994])
@pytest.mark.parametrize("most", [1, 4, 146, 2000])
def test_one_of_each_stretch_stands_for_the_whole_axis(size: int, most: int) -> None:
    axis = stretches(size, most)
    assert len(axis.places) == min(size, most)
    assert (np.diff(axis.places) > 0).all()
    assert axis.weight.sum() == size
    assert axis.places[-1] < size
