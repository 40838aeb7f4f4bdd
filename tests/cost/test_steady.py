"""Which turns of a loop are walked: those at which tiles begin to do something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from wsc.cost.steady import PERIODS, Rhythm
from wsc.cost.threads import Tally


def test_the_turns_at_which_something_changes() -> None:
    # A counter compared with 3 differs in turn 3 and again in turn 4; the last turn is its own.
    assert Rhythm.of([3], 100).changes == [3, 4, 99, 100]
    assert Rhythm.of([], 100).changes == [99, 100]
    assert Rhythm.of([7, 3, 7], 8).changes == [3, 4, 7, 8]
    assert Rhythm.of([8, 99], 8).changes == [7, 8]
    assert Rhythm.of([0], 1).changes == [0, 1]


@dataclass
class _Walk:
    """Two tiles that take turns of a loop, each as long as the turn of a period says."""

    lengths: list[list[float]]
    time: np.ndarray = field(default_factory=lambda: np.zeros((1, 2)))
    tally: Tally = field(default_factory=Tally)
    current: None = None
    streams: Any = field(default_factory=lambda: SimpleNamespace(taken=np.zeros((1, 1, 2))))

    def turn(self, number: int) -> None:
        """Walk through one turn."""
        self.time = self.time + self.lengths[number % len(self.lengths)]
        self.tally.scalars += 1

    def advance(self, cycles: np.ndarray, words: np.ndarray) -> None:
        """Set the clocks on."""
        self.time = self.time + cycles
        self.streams.taken = self.streams.taken + words


@pytest.mark.parametrize("period", [1, 2, 3, 4])
def test_buffers_that_take_turns_give_a_loop_its_rhythm(period: int) -> None:
    count = 203
    lengths = [[100.0 + 7 * number, 90.0 - 3 * number] for number in range(period)]
    whole, walk, rhythm = _Walk(lengths), _Walk(lengths), Rhythm.of([], count)
    for turn in range(count):
        whole.turn(turn)
    walked, turn = 0, 0
    while turn < count:
        walk.turn(turn)
        walked += 1
        turn += 1 + rhythm.skip(cast(Any, walk), turn)
    assert walked <= 5 * max(PERIODS)
    assert (walk.time == whole.time).all()
    assert walk.tally == whole.tally


def test_turns_without_a_rhythm_are_all_walked() -> None:
    walk, rhythm = _Walk([[float(number**2)] * 2 for number in range(100)]), Rhythm.of([], 100)
    for turn in range(100):
        walk.turn(turn)
        assert rhythm.skip(cast(Any, walk), turn) == 0
