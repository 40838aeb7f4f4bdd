"""Chains: what a core waits for."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.cost.model import CostModel
from wsc.cost.tiles import Axis, Lanes, sample
from wsc.flows.chain import EAST, ChainStream, Posted
from wsc.flows.feed import Schedule
from wsc.flows.stream import Site
from wsc.flows.work import Work
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
