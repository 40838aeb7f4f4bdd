"""Streams: transfers at hand, what a core waits for, when a word was taken."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.cost.streams import PROMISED, Chain, History, Posted, Schedule, Work
from wsc.cost.tiles import Axis, Lanes


def _schedule(*ends: tuple[int, int]) -> Schedule:
    upto = np.array(ends, float).reshape(len(ends), 2)
    return Schedule(upto, np.ones(len(ends)), np.zeros(len(ends), bool), np.ones(len(ends)))


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


def test_when_a_tile_took_a_word() -> None:
    # Two tiles of one column take blocks of 10 words, a word a cycle, then one every 3 cycles.
    history = History(np.zeros((2, 1)), most=25.0)
    for number in range(9):
        start = np.array([[100.0 * number], [100.0 * number + 50]])
        pace = np.full((2, 1), 3.0 if number else 1.0)
        history.add(start, pace, np.full((2, 1), 10.0 * number))
        word = 10.0 * number + np.array([-1.0, 4.0])
        found = history.taken_at(np.broadcast_to(word[:, None, None], (2, 2, 1)))[:, :, 0]
        before = -np.inf if number == 0 else 100.0 * (number - 1) + 9 * (3 if number > 1 else 1)
        assert found[0].tolist() == [before, before + 50]
        assert found[1].tolist() == (start[:, 0] + 4 * pace[:, 0]).tolist()
    history.advance(np.full((2, 1), 7.0), np.full((2, 1), 100.0))
    assert history.taken_at(np.full((1, 2, 1), 184.0))[0, :, 0].tolist() == [819.0, 869.0]


@pytest.mark.parametrize("distance", [1, 31])
@pytest.mark.parametrize(("words", "waits"), [(4, False), (40, True)])
def test_a_core_waits_for_its_neighbour_and_not_for_the_next_sampled_tile(
    distance: int, words: int, waits: bool
) -> None:
    places = np.array([0, distance])
    chain = Chain((1, 2), Axis(distance + 1, places, np.ones(2)), (False, False), 6, 10)
    works: list[Work] = []
    for place in range(2):
        mask = np.arange(2)[None, :] == place
        start = np.array([[5.0, 6.0 + 40.0 * distance]])
        count = np.full((1, 2), float(words))
        done = np.where(mask, PROMISED, 0.0)
        works.append(Work(Lanes(mask, mask * 1.0), start, count, np.ones((1, 2)), done))
        chain.posted.append(Posted(works[-1], place > 0, place == 0))
    assert chain.resolve()
    sent = works[0].done[0, 0]
    room = 10 * distance  # what fits between the two
    late = 6.0 + 40 * distance + words - room if words > room else 0.0
    near = 5.0 + 6 + words - 10 if waits and distance > 1 else 0.0
    assert sent == max(5.0 + words, late, near)
