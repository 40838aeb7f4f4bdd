"""The multicast down the columns: when a word was taken."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.flows.multicast import History, Slow


def test_when_a_tile_took_a_word() -> None:
    # Two tiles of one column take blocks of 10 words, a word a cycle, then one every 3 cycles.
    history = History(np.zeros((2, 1)), most=25.0)
    for number in range(9):
        start = np.array([[100.0 * number], [100.0 * number + 50]])
        pace = np.full((2, 1), 3.0 if number else 1.0)
        history.add(start, pace, np.full((2, 1), 10.0 * number), np.full((2, 1), True))
        word = 10.0 * number + np.array([-1.0, -1.0, 4.0, 4.0])
        found = history.taken_at(word[:, None], np.array([0, 1, 0, 1])).reshape(2, 2)
        before = [0.0, 0.0]
        if number:
            at = 100.0 * (number - 1) + 9 * (3 if number > 1 else 1)
            before = [at, at + 50]
        assert found[0].tolist() == before
        assert found[1].tolist() == (start[:, 0] + 4 * pace[:, 0]).tolist()
    history.advance(np.full((2, 1), 7.0))
    history.take(np.full((2, 1), 100.0))
    assert history.taken_at(np.full((2, 1), 184.0), np.arange(2))[:, 0].tolist() == [819.0, 869.0]


def test_a_tile_that_took_nothing_keeps_nobody_waiting() -> None:
    history = History(np.zeros((2, 1)), most=25.0)
    took = np.array([[True], [False]])
    history.add(np.full((2, 1), 40.0), np.ones((2, 1)), np.zeros((2, 1)), took)
    assert history.taken_at(np.full((2, 1), 5.0), np.arange(2))[:, 0].tolist() == [45.0, 0.0]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_each_tile_waits_for_all_of_its_column(rows: int) -> None:
    """Those to the north by the queue alone, those to the south by the buffers in between, too.

    What a tile to the north has let pass is on its way for as long as it is away.
    """
    random = np.random.default_rng(rows)
    ahead, slow = np.triu_indices(rows, 1)
    slow = np.concatenate([np.arange(rows), slow])
    start, pace = random.uniform(0, 99, (rows, 3)), random.uniform(1, 3, (rows, 3))
    now, then = random.random((rows, 3)) < 0.8, random.uniform(0, 99, (rows, 3))
    words = random.integers(-5, 9, (len(slow), 3)).astype(float)
    words[:rows] = words[0]
    begins = np.searchsorted(ahead, np.arange(rows - 1))
    way = np.cumsum(random.integers(1, 9, (rows, 1)), axis=0).astype(float)
    times = Slow(slow, begins, way, words, start[slow], now[slow], then[slow])

    def taken(pair: int, tile: int) -> np.ndarray:
        fresh = np.where(now[tile], start[tile] + words[pair] * pace[tile], 0.0)
        return np.where(words[pair] > 0, fresh, then[tile])

    expected = [
        [
            *(taken(tile, tile) + way[row] - way[tile] for tile in range(row + 1)),
            *(taken(rows + n, slow[rows + n]) for n in range(len(ahead)) if ahead[n] == row),
        ]
        for row in range(rows)
    ]
    assert times.all(pace) == pytest.approx(np.array([np.max(n, axis=0) for n in expected]))
    assert times.north(pace) == pytest.approx(np.max(expected[0], axis=0))
