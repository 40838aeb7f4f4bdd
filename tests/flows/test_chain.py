"""Chains: what a core waits for."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.cost.model import CostModel
from wsc.cost.tiles import Axis, Lanes, sample
from wsc.flows.chain import EAST, NORTH, SOUTH, WEST, Chain, ChainStream, Posted
from wsc.flows.feed import Schedule
from wsc.flows.stream import Site
from wsc.flows.work import MOST_RECENT, Work
from wsc.isa.fabric import find_fabric


def stream(axis: Axis) -> ChainStream:
    """Of one row: a hop takes 6 cycles, and 10 wavelets fit between two cores."""
    site = Site(
        CostModel(find_fabric("wse2")),
        axis,
        sample(1),
        lambda strand, leaves: 0,
        lambda flow: Schedule(*(np.zeros((0, 2)) for _ in range(6))),
    )
    return ChainStream(EAST, site, axis, 6, 10)


@pytest.mark.parametrize("distance", [1, 31])
@pytest.mark.parametrize(("words", "waits"), [(4, False), (40, True)])
def test_a_core_waits_for_its_neighbour_and_not_for_the_next_sampled_tile(
    distance: int, words: int, waits: bool
) -> None:
    places = np.array([0, distance])
    chain = stream(Axis(distance + 1, places, np.ones(2)))
    works: list[Work] = []
    for place in range(2):
        mask = np.arange(2)[None, :] == place
        start = np.array([[5.0, 6.0 + 40.0 * distance]])
        count = np.full((1, 2), float(words))
        works.append(Work(Lanes(mask, mask * 1.0), start, count, np.ones((1, 2))))
        chain.posted.append(Posted(works[-1], place > 0, place == 0))
    assert chain.resolve()
    sent = works[0].done[0, 0]
    room = 10 * distance  # what fits between the two
    late = 6.0 + 40 * distance + words - room if words > room else 0.0
    near = 5.0 + 6 + words - 10 if waits and distance > 1 else 0.0
    assert sent == max(5.0 + words, late, near)


def post(chain: ChainStream, start: float) -> None:
    """The first tile of two sends 40 words, and the second one takes them."""
    for place in range(2):
        mask = np.arange(2)[None, :] == place
        count, pace = np.full((1, 2), 40.0), np.ones((1, 2))
        work = Work(Lanes(mask, mask * 1.0), np.full((1, 2), start), count, pace)
        chain.posted.append(Posted(work, place > 0, place == 0))
    chain.swept = False


def test_what_may_still_become_later_is_all_that_is_remembered() -> None:
    chain = stream(Axis(2, np.arange(2), np.ones(2)))
    for number in range(3 * MOST_RECENT):
        post(chain, 100.0 * number)
        assert chain.resolve()
        assert len(chain.recent) <= MOST_RECENT
    # The last instruction of each tile is.
    assert {work.last for work in chain.recent} >= {float(end) for end in chain.ended.ravel()}


@pytest.mark.parametrize("towards", [EAST, WEST, SOUTH, NORTH])
def test_words_that_come_are_known_before_they_are_taken(towards: Chain) -> None:
    axes = sample(2), sample(1)
    x, y = axes if towards.along_row else axes[::-1]
    schedule = Schedule(*(np.zeros((0, 2)) for _ in range(6)))
    site = Site(CostModel(find_fabric("wse2")), x, y, lambda strand, leaves: 0, lambda _: schedule)
    chain = ChainStream(towards, site, axes[0], 6, 10)
    first = int(towards.backwards)
    for place in (first, 1 - first):
        mask = (np.arange(2) == place).reshape(site.shape)
        work = Work(Lanes(mask, mask * 1.0), *(np.full(site.shape, n) for n in (5.0, 40.0, 1.0)))
        chain.posted.append(Posted(work, place != first, place == first))
    before = chain.kept.copy()
    coming = chain.coming()
    assert np.array_equal(chain.kept, before)
    assert chain.resolve()
    assert np.array_equal(coming.count, chain.come)
    assert np.array_equal(coming.since, chain.since)
    assert np.array_equal(coming.until, chain.until)
    assert chain.come.ravel()[1 - first] == 40.0
    assert chain.come.ravel()[first] == 0.0
