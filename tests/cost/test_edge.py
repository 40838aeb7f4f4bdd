"""What a transfer moves at each port, counted one by one."""

from __future__ import annotations

import pytest

from wsc.cost.edge import traffic
from wsc.isa.parser import parse
from wsc.isa.turns import plain_transfers

TEXT = """wsc 1
fabric "tiny" 4x3
input a : f16[999] "float16"
color ins = 0
region all at 0,0 size 4x3
route ins in all : {side} -> RAMP
feed ins in all side {side}{guard} from a[i + 0*n]{repeat} for i:{extent}{controls}
"""
PORTS = {
    "N": [(x, 0) for x in range(4)],
    "S": [(x, 2) for x in range(4)],
    "W": [(0, y) for y in range(3)],
    "E": [(3, y) for y in range(3)],
}


@pytest.mark.parametrize("side", PORTS)
@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("controls", "each"), [("", 0), (" then advance", 1)])
def test_elements_at_every_port(
    side: str, guarded: bool, ragged: bool, controls: str, each: int
) -> None:
    text = TEXT.format(
        side=side,
        guard=" when (x == 1) + (y == 1)" if guarded else "",
        repeat=" repeat n:5",
        extent="x + 3*y + 2" + (" - 2*n" if ragged else ""),
        controls=controls,
    )
    moved = traffic(parse(text), plain_transfers(parse(text))[0])
    turns = [2 * n if ragged else 0 for n in range(5)]
    wanted = [
        0 if guarded and 1 not in (x, y) else sum(max(x + 3 * y + 2 - less, 0) for less in turns)
        for x, y in PORTS[side]
    ]
    assert moved.ports.tolist() == wanted
    assert moved.bytes == 2 * sum(wanted)
    assert moved.wavelets == max(wanted) + 5 * each


def test_a_guard_that_holds_nowhere_moves_nothing() -> None:
    text = TEXT.format(
        side="N", guard=" when x == 9", repeat="", extent="4", controls=" then advance"
    ).replace(" + 0*n", "")
    moved = traffic(parse(text), plain_transfers(parse(text))[0])
    assert (moved.ports.tolist(), moved.wavelets, moved.bytes) == ([0] * 4, 0, 0)
