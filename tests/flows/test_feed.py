"""What the edge feeds: which transfer is at hand."""

from __future__ import annotations

import numpy as np

from wsc.flows.feed import Schedule


def _schedule(*ends: tuple[int, int]) -> Schedule:
    upto = np.array(ends, float).reshape(len(ends), 2)
    none, ones = np.zeros(len(ends), bool), np.ones(len(ends))
    return Schedule(upto, ones, none, ones, none, ones)


def test_the_transfer_at_hand() -> None:
    schedule = _schedule((4, 0), (4, 3), (9, 5))
    left, right = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    for done, wanted, current in (
        (0, left, 0),
        (3, left, 0),
        (4, left, 2),
        (8, left, 2),
        (9, left, 2),
        (50, left, 2),
        (0, right, 1),
        (2, right, 1),
        (3, right, 2),
        (5, right, 2),
    ):
        schedule.done[:] = done
        assert schedule.current(wanted) == current


def test_without_transfers_there_is_none() -> None:
    assert _schedule().current(np.ones(2)) == -1


def test_what_has_been_moved_comes_again() -> None:
    ends = [(2, 2), *((2 + 3 * n + part, 2 + 2 * n) for n in range(1, 5) for part in (-1, 0))]
    schedule = _schedule(*ends, (100, 40))
    schedule.done = np.array([5.0, 4.0])
    start = np.array([2.0, 2.0])
    assert schedule.recurs(start, 3)
    assert not schedule.recurs(start, 4)  # something else comes then
    assert schedule.recurs(schedule.done.copy(), 100)  # nothing was moved
    assert not schedule.recurs(np.array([3.0, 2.0]), 1)  # from within a transfer on
    schedule.interval = np.array([1.0] * (len(ends) - 1) + [2.0, 1.0])
    assert not schedule.recurs(start, 3)  # the last one has another pace
    assert schedule.recurs(start, 2)
