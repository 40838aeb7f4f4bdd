"""The multicast down the columns: when a word was taken."""

from __future__ import annotations

import numpy as np

from wsc.flows.multicast import History


def test_when_a_tile_took_a_word() -> None:
    # Two tiles of one column take blocks of 10 words, a word a cycle, then one every 3 cycles.
    history = History(np.zeros((2, 1)), most=25.0)
    for number in range(9):
        start = np.array([[100.0 * number], [100.0 * number + 50]])
        pace = np.full((2, 1), 3.0 if number else 1.0)
        history.add(start, pace, np.full((2, 1), 10.0 * number), np.full((2, 1), True))
        word = 10.0 * number + np.array([-1.0, 4.0])
        found = history.taken_at(np.broadcast_to(word[:, None, None], (2, 2, 1)))[:, :, 0]
        before = [0.0, 0.0]
        if number:
            at = 100.0 * (number - 1) + 9 * (3 if number > 1 else 1)
            before = [at, at + 50]
        assert found[0].tolist() == before
        assert found[1].tolist() == (start[:, 0] + 4 * pace[:, 0]).tolist()
    history.advance(np.full((2, 1), 7.0))
    history.take(np.full((2, 1), 100.0))
    assert history.taken_at(np.full((1, 2, 1), 184.0))[0, :, 0].tolist() == [819.0, 869.0]


def test_a_tile_that_took_nothing_keeps_nobody_waiting() -> None:
    history = History(np.zeros((2, 1)), most=25.0)
    took = np.array([[True], [False]])
    history.add(np.full((2, 1), 40.0), np.ones((2, 1)), np.zeros((2, 1)), took)
    assert history.taken_at(np.full((1, 2, 1), 5.0))[0, :, 0].tolist() == [45.0, 0.0]
