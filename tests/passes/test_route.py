"""Routing: which flows may share a color, and the cycles that are named."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from wsc.errors import CompileError
from wsc.flows import SAMPLE, STRANDS, WEIGHTS, Path, Strand
from wsc.isa.expr import Int, Name, X, Y, binary
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Direction, If, Lookup, Loop, Mem, Op, Position, Queue, Transfer
from wsc.isa.types import DType, Side
from wsc.passes.route import Routing, flows_of, recolor_transfer, route

N, E, S, WEST, RAMP = Side.NORTH, Side.EAST, Side.SOUTH, Side.WEST, Side.RAMP
FABRIC = find_fabric("8x8")


def numbers(*names: str) -> list[int]:
    routing = route(list(names), FABRIC)
    number = dict(routing.colors)
    return [number[routing.color_of[name]] for name in names]


def test_flows_that_meet_in_a_tile_get_their_own_colors() -> None:
    assert numbers("weights", "scatter", "collect") == [0, 1, 2]


def test_where_the_edge_is_slow_casts_have_a_deep_queue() -> None:
    """The ramp's first queues are the deepest: they are for what is not held up by the edge."""
    names = ["weights", "scatter", "east_even", "column_cast"]
    assert [name for name, _ in route(names, FABRIC).colors] == names
    wide = replace(FABRIC, width=750)
    found = [name for name, _ in route(names, wide).colors]
    assert found == ["weights", "column_cast", "east_even", "scatter"]


def test_flows_that_meet_nowhere_share_a_color() -> None:
    routing = route(["indices", "north_even"], FABRIC)
    assert routing.colors == (("indices_or_north_even", 0),)
    assert {item.color for item in routing.routes} == {name for name, _ in routing.colors}


def test_flows_that_go_opposite_ways_share_no_color() -> None:
    """The halves of a column meet nowhere, but one runs south and the other north."""
    assert numbers("south_even", "north_odd") == [0, 1]
    assert numbers("south_even", "south_odd", "north_even", "north_odd") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "mesh", [(1, 1), (1, 5), (6, 1), (4, 3), (7, 7), (16, 9), (130, 3), (5, 90)]
)
def test_flows_of_one_color_meet_on_no_mesh(mesh: tuple[int, int]) -> None:
    routing = route(list(STRANDS), replace(FABRIC, colors=len(STRANDS)))
    for one, other in combinations(STRANDS.values(), 2):
        if routing.color_of[one.name] == routing.color_of[other.name]:
            assert not one.table(*mesh).keys() & other.table(*mesh).keys()


@pytest.mark.parametrize("name", STRANDS)
def test_no_flow_of_the_library_is_cyclic(name: str) -> None:
    for mesh in ((1, 1), (2, 1), (1, 2), (3, 5), (SAMPLE, SAMPLE)):
        assert STRANDS[name].circle(*mesh) is None


def ring() -> Strand:
    """Round the four tiles at the north-west corner."""
    corners = {(0, 0): (S, E), (1, 0): (WEST, S), (1, 1): (N, WEST), (0, 1): (E, N)}
    paths = tuple(
        Path(
            binary("==", X, x) * binary("==", Y, y),
            (Position(receive, (send, RAMP)),),
        )
        for (x, y), (receive, send) in corners.items()
    )
    return Strand(WEIGHTS, "ring", "a stream that bites its tail", paths)


def test_a_cycle_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRANDS, "ring", ring())
    with pytest.raises(CompileError) as caught:
        route(["ring"], FABRIC)
    message = str(caught.value)
    assert message.startswith("flow 'ring' waits for itself in the cycle ")
    for tile in ("(0,0)", "(1,0)", "(1,1)", "(0,1)"):
        assert tile in message


def test_too_few_colors_are_refused_with_both_numbers() -> None:
    with pytest.raises(CompileError, match=r"routing needs 3 colors, but fabric '8x8' has 2"):
        route(["weights", "scatter", "collect"], replace(FABRIC, name="8x8", colors=2))


def test_flows_are_found_in_every_block() -> None:
    memory = Mem(Name("a"))
    move = Op("mov", DType.F32, (memory, Queue("weights")))
    send = Op("control", color="collect")
    body = (Loop("i", Int(3), (If(X, "<", Int(1), (move,), (send,)),)),)
    assert flows_of([body], []) == ["weights", "collect"]


def test_the_indices_of_a_lookup_are_a_flow_too() -> None:
    lookup = Lookup("row", 4, "indices", Side.SOUTH, 0)
    rows = Transfer(Direction.FEED, "weights", "all", N, None, "w", Name("row"), lookup=lookup)
    plain = replace(rows, lookup=None)
    assert flows_of([], [plain]) == ["weights"]
    assert sorted(flows_of([], [plain, rows])) == ["indices", "weights"]
    routing = Routing((), (), {"weights": "first", "indices": "second"})
    assert recolor_transfer(plain, routing) == replace(plain, color="first")
    recolored = replace(rows, color="first", lookup=replace(lookup, color="second"))
    assert recolor_transfer(rows, routing) == recolored
