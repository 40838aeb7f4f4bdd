"""Flows of single collectives: their paths close no circle, their cycles follow the fabric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from wsc.cost.unpredictable import Unpredictable
from wsc.flows.collectives import (
    COLUMN,
    ROW,
    Broadcast,
    Broadcast2D,
    ChainReduce,
    Collective,
    Line,
    RingReduce,
    StarReduce,
    TreeReduce,
    TwoPhaseReduce,
)
from wsc.isa.fabric import find_fabric
from wsc.isa.types import Side

OVER_LINES: dict[str, Callable[[Line, int], Collective]] = {
    "broadcast": Broadcast,
    "chain": ChainReduce,
    "star": StarReduce,
    "tree": TreeReduce,
    "two_phase": lambda line, tiles: TwoPhaseReduce(line, tiles, 4),
    "ring": RingReduce,
}
WSE2 = find_fabric("wse2")


@pytest.mark.parametrize("line", [ROW, COLUMN], ids=["row", "column"])
@pytest.mark.parametrize("name", OVER_LINES)
def test_no_strand_of_a_line_waits_for_itself(name: str, line: Line) -> None:
    flow = OVER_LINES[name](line, 64)
    mesh = flow.sample
    assert mesh == ((64, 1) if line is ROW else (1, 64))
    for strand in flow.strands:
        assert strand.circle(*mesh) is None
        # All that is on its way ends at a core.
        assert any(Side.RAMP in p.send for ps in strand.table(*mesh).values() for p in ps)
    # Each needs a color of its own somewhere, or goes the other way; those of a ring do both.
    if name in ("chain", "ring"):
        assert all(one.conflicts(two) for one, two in combinations(flow.strands, 2))


def test_a_rectangle_is_reached_once() -> None:
    flow = Broadcast2D(5, 3)
    assert len(flow.strand.table(5, 3)) == 15
    assert flow.strand.circle(5, 3) is None


def test_no_walk_knows_their_times() -> None:
    site: Any = None
    with pytest.raises(Unpredictable, match="ChainReduce is the flow of a collective by itself"):
        ChainReduce(ROW, 4).stream(site)


def test_cycles_follow_issue_depth_and_queues() -> None:
    slow = replace(WSE2, issue_cycles=WSE2.issue_cycles + 1)
    ring = RingReduce(ROW, 8)
    assert ring.cycles(slow, 64) == ring.cycles(WSE2, 64) + 14
    deep = replace(WSE2, router_buffer_depth=WSE2.router_buffer_depth + 1)
    tree = TreeReduce(ROW, 8)
    assert tree.cycles(deep, 256) == tree.cycles(WSE2, 256) + 2
    short = replace(WSE2, input_queues=(2,) * 8)
    small = TreeReduce(ROW, 4)
    assert small.cycles(short, 4096) > small.cycles(WSE2, 4096) + 2000
    assert StarReduce(ROW, 2).cycles(WSE2, 100) == ChainReduce(ROW, 2).cycles(WSE2, 100)
