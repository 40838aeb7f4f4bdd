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
