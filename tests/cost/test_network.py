"""Many messages: what may be left out without being seen, and what it costs where it may not."""

from __future__ import annotations

import time

import numpy as np
import pytest

from wsc.cost.messages import Messages
from wsc.cost.network import Patterns, followed, simulate
from wsc.cost.tiles import sample

DEPTH, RAMP, LENGTH = 4, 2, 4


def batches(width: int, height: int, rounds: int, seed: int, along: str) -> list[Messages]:
    """Rounds in which each tile sends one message: along its row, its column, or anywhere."""
    random = np.random.default_rng(seed)
    row, column = (grid.ravel() for grid in np.mgrid[:height, :width])
    found: list[Messages] = []
    for number in range(rounds):
        target_x = column if along == "column" else np.full_like(column, random.integers(width))
        target_y = row if along == "row" else np.full_like(row, random.integers(height))
        first = np.full(row.size, 8.0 * number)
        ones = np.ones(row.size)
        found.append(
            Messages(
                row, column, target_x, target_y, ones, LENGTH * ones, first, first + LENGTH - 1
            )
        )
    return found


@pytest.mark.parametrize("along", ["row", "column"])
@pytest.mark.parametrize("seed", range(3))
def test_lines_that_do_not_meet_arefollowed_one_by_one(along: str, seed: int) -> None:
    sent = batches(5, 4, 6, seed, along)
    mesh = (sample(5), sample(4), DEPTH, RAMP)
    for ours, whole in zip(Patterns().times(sent, *mesh), simulate(sent, *mesh), strict=True):
        assert np.array_equal(ours, whole)


@pytest.mark.parametrize("seed", range(3))
def test_a_sample_of_the_messages_takes_about_as_long_as_all(seed: int) -> None:
    sent = batches(12, 12, 40, seed, "anywhere")
    mesh = (sample(12), sample(12), DEPTH, RAMP)
    whole, _ = simulate(sent, *mesh)
    some, _ = followed(sent, *mesh, most=1500)
    assert abs(some.max() / whole.max() - 1) < 0.25


def test_the_time_that_it_takes_is_bounded() -> None:
    sent = batches(24, 24, 300, 0, "anywhere")
    # Compiling is paid once an installation, by whichever test comes first.
    simulate(batches(2, 2, 1, 0, "anywhere"), sample(2), sample(2), DEPTH, RAMP, compiled=True)
    started = time.process_time()
    patterns = Patterns(budget=0)
    patterns.times(sent, sample(24), sample(24), DEPTH, RAMP)
    assert time.process_time() - started < 2


def test_as_many_messages_as_may_be_are_followed_one_by_one() -> None:
    sent = batches(6, 5, 8, 1, "anywhere")
    mesh = (sample(6), sample(5), DEPTH, RAMP)
    for ours, whole in zip(followed(sent, *mesh, most=240), simulate(sent, *mesh), strict=True):
        assert np.array_equal(ours, whole)


def test_a_sender_that_is_late_stays_late() -> None:
    """Its later messages leave so much after their plan as the one that had to wait."""

    def message(column: int, wavelets: int, first: int) -> Messages:
        last = first + wavelets - 1
        numbers = (0, column, 2, 0, 1, wavelets, first, last)
        return Messages(*(np.array([number]) for number in numbers))

    held, later = [message(0, 100, 0), message(1, LENGTH, 10)], message(1, LENGTH, 50)
    mesh = (sample(3), sample(1), DEPTH, RAMP)
    late = simulate(held, *mesh)[1][0, 1] - (10 + LENGTH)
    assert late > 80
    alone, behind = (simulate(sent, *mesh)[0][0, 2] for sent in ([later], [*held, later]))
    assert behind == alone + late
