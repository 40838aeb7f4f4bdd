"""Which of the flows that share a color runs at a tile."""

from __future__ import annotations

import pytest

from wsc.cost.flows import flow_at
from wsc.isa.fabric import find_fabric
from wsc.isa.types import Side
from wsc.kernels.flows import FLOWS
from wsc.passes.route import route, route_table

ROUTING = route(list(FLOWS), find_fabric("8x8"))


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("size", [(5, 4), (1, 6), (8, 8)])
def test_a_core_uses_the_flow_that_begins_or_ends_there(name: str, size: tuple[int, int]) -> None:
    for (x, y), positions in route_table(FLOWS[name], *size).items():
        place = {"x": x, "y": y, "W": size[0], "H": size[1]}
        leaves = any(receive is Side.RAMP for receive, _ in positions)
        arrives = any(Side.RAMP in sends for _, sends in positions)
        for used, leaving in ((leaves, True), (arrives, False)):
            if used:
                assert flow_at(ROUTING.color_of[name], place, leaving) == name
