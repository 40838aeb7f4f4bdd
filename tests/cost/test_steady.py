"""Which turns of a loop are walked: those at which tiles begin to do something else."""

from __future__ import annotations

from wsc.cost.steady import Rhythm


def test_the_turns_at_which_something_changes() -> None:
    # A counter compared with 3 differs in turn 3 and again in turn 4; the last turn is its own.
    assert Rhythm.of([3], 100).changes == [3, 4, 99, 100]
    assert Rhythm.of([], 100).changes == [99, 100]
    assert Rhythm.of([7, 3, 7], 8).changes == [3, 4, 7, 8]
    assert Rhythm.of([8, 99], 8).changes == [7, 8]
    assert Rhythm.of([0], 1).changes == [0, 1]
