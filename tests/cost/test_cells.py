"""Messages between cells of a large mesh, against those of single tiles and against runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from wsc.cost import cells
from wsc.cost.cells import Cells, Moves
from wsc.cost.messages import Messages, Sample, of_batches
from wsc.cost.network import Patterns
from wsc.cost.tiles import Axis, sample

DEPTH, RAMP = 4, 2
Turns = list[tuple[np.ndarray, np.ndarray]]
Pattern = Callable[[int, int], Turns]


def whole(size: int) -> Axis:
    """All coordinates of an axis."""
    return sample(size, most=size)


def sent(width: int, height: int, turns: Turns, words: int) -> Sample:
    """In each turn each tile sends a message to the tile that the turn names; -1 for none."""
    row, column = (grid.ravel() for grid in np.mgrid[:height, :width])
    batches: list[Messages] = []
    for number, (to_x, to_y) in enumerate(turns):
        goes = (to_x.ravel() >= 0) & (to_y.ravel() >= 0)
        ones = np.ones(int(goes.sum()))
        first = ones * number * (words + 10)
        targets = to_x.ravel()[goes], to_y.ravel()[goes]
        last = first + words - 1
        batches.append(Messages(row[goes], column[goes], *targets, ones, words * ones, first, last))
    return of_batches(batches, whole(width), whole(height))


def only_cells(monkeypatch: pytest.MonkeyPatch, side: int, lanes: int = 8) -> None:
    """Follow messages between so many cells alone, never between tiles."""
    monkeypatch.setattr(cells, "GRIDS", ((side, lanes),))
    monkeypatch.setattr(cells, "BUDGET", 0)


def arrived(messages: Sample, width: int, height: int) -> float:
    """When the last of them has."""
    return float(
        Moves(cells.BUDGET).arrivals(messages, whole(width), whole(height), DEPTH, RAMP)[0].max()
    )


def shifted(apart: int, first: int, words: int) -> Sample:
    """In a column of 125 tiles, each from ``first`` on sends 25 messages so far to the north."""
    rows = np.arange(125)[:, None]
    to_y = np.where(rows >= first, rows - apart, -1)
    return sent(1, 125, [(np.zeros_like(rows), to_y)] * 25, words // 25)


@pytest.mark.parametrize("grid", ["tiles", "cells"])
@pytest.mark.parametrize(
    ("first", "apart", "measured"),
    [
        # Run on a column of 125 tiles of wse2, 875 wavelets a tile.
        (85, 40, 35_014),  # all of them share one link, and enter before it
        (45, 40, 69_896),  # those that enter further on go first: one group after the other
    ],
)
def test_a_message_waits_for_those_that_enter_on_its_way(
    first: int, apart: int, measured: int, grid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if grid == "cells":
        only_cells(monkeypatch, 8)
    assert abs(arrived(shifted(apart, first, 875), 1, 125) / measured - 1) < 0.1


def test_single_tiles_are_followed_as_on_small_meshes() -> None:
    random = np.random.default_rng(0)
    width, height = 7, 5
    turns = [tuple(random.integers(0, size, (height, width)) for size in (7, 5)) for _ in range(6)]
    messages = sent(width, height, [(to_x, to_y) for to_x, to_y in turns], 6)
    batches = [
        Messages(
            messages.y[here],
            messages.x[here],
            messages.to_x[here],
            messages.to_y[here],
            np.ones(int(here.sum())),
            messages.wavelets[here],
            messages.first[here],
            messages.last[here],
        )
        for here in (messages.turn == turn for turn in range(len(turns)))
    ]
    axes = whole(width), whole(height)
    for ours, known in zip(
        Moves().arrivals(messages, *axes, DEPTH, RAMP),
        Patterns().times(batches, *axes, DEPTH, RAMP),
        strict=True,
    ):
        assert np.array_equal(ours, known)


def transposed(width: int, height: int) -> Turns:
    y, x = np.mgrid[:height, :width]
    return [(np.where(x < height, y, -1), np.where(y < width, x, -1))]


def gathered(width: int, height: int) -> Turns:
    """All of a row to the tile in its middle."""
    y, _ = np.mgrid[:height, :width]
    return [(np.full_like(y, width // 2), y)] * 2


def by_heads(width: int, height: int) -> Turns:
    """Features of a head to the first columns, rows to the middle one: neighbours go far apart."""
    y, x = np.mgrid[:height, :width]
    return [((4 * x + turn) % min(24, width), np.full_like(y, height // 2)) for turn in range(4)]


def closer(width: int, height: int) -> Turns:
    """Rows come together in the north."""
    y, x = np.mgrid[:height, :width]
    return [(x, (2 * y + turn) // 3) for turn in range(3)]


@pytest.mark.parametrize("pattern", [transposed, gathered, by_heads, closer])
@pytest.mark.parametrize(("width", "height"), [(32, 32), (48, 20), (20, 48)])
def test_cells_take_about_as_long_as_single_tiles(
    pattern: Pattern, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = sent(width, height, pattern(width, height), 10)
    single = arrived(messages, width, height)
    only_cells(monkeypatch, 24)
    assert abs(arrived(messages, width, height) / single - 1) < 0.06


def test_a_sample_stands_for_all() -> None:
    """One row in three and one column in three, each for its neighbours."""
    turns = closer(60, 60)
    messages = sent(60, 60, turns, 10)
    some = (messages.x % 3 == 1) & (messages.y % 3 == 1)
    third = replace(
        messages,
        **{name: getattr(messages, name)[some] for name in Sample.__slots__},
    )
    third = replace(third, wide=third.wide * 3, high=third.high * 3)
    known = arrived(messages, 60, 60)
    assert abs(arrived(third, 60, 60) / known - 1) < 0.25


@pytest.mark.parametrize("size", [1, 23, 25, 64, 100, 750, 994])
@pytest.mark.parametrize("ends", [(), (0,), (5, 6, 7), tuple(range(0, 1000, 3))])
def test_an_axis_is_cut_into_a_few_cells(size: int, ends: tuple[int, ...]) -> None:
    places = np.array([end for end in ends if end < size], int)
    cut = Cells.cut(size, 24, (places, places))
    assert cut.count <= 24
    assert cut.tiles.sum() == size
    assert (np.diff(cut.of) >= 0).all()
    assert len(cut.of) == size


def test_followed_messages_are_bounded() -> None:
    random = np.random.default_rng(1)
    size = 60
    turns = [tuple(random.integers(0, size, (size, size)) for _ in "xy") for _ in range(4)]
    messages = sent(size, size, [(to_x, to_y) for to_x, to_y in turns], 5)
    most = 60_000
    assert cells.flows_of(messages, size, size, most).stages <= most


@pytest.mark.parametrize("more", [1.0, 2.5])
def test_lines_of_each_group_are_counted_once(more: float) -> None:
    rng = np.random.default_rng(1)
    group, line = rng.integers(0, 7, 60), rng.integers(0, 9, 60)
    group[group == 3] = 4  # a number without entries
    for number, found in enumerate(cells._lines(group, line, more).tolist()):  # pyright: ignore[reportPrivateUsage]
        mine = {*line[group == number].tolist()}
        known = min(len(mine) * more, max(mine) - min(mine) + more) if mine else 0.0
        assert found == max(known, 1.0)
