"""Which flow a color carries: told by the paths that it takes, whatever it is called."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.cost.cases import KERNELS
from tests.fabric import build
from wsc.cost.predict import predict
from wsc.flows import COLLECT, STRANDS, WEIGHTS
from wsc.flows.carried import at_core, carried
from wsc.isa.expr import Int, Y
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.program import Program, Region, Route
from wsc.isa.types import DType, Side
from wsc.passes.route import route

ROUTING = route(list(STRANDS), replace(find_fabric("8x8"), colors=len(STRANDS)))


def program(colors: tuple[tuple[str, int], ...], routes: tuple[Route, ...]) -> Program:
    """One with these routes that does nothing."""
    return Program(
        "wse2", 8, 8, regions=(Region("all", 0, 0, 8, 8, ()),), colors=colors, routes=routes
    )


EVERYTHING = program(ROUTING.colors, ROUTING.routes)


@pytest.mark.parametrize("name", STRANDS)
@pytest.mark.parametrize("size", [(5, 4), (1, 6), (8, 8)])
def test_a_core_uses_the_flow_that_begins_or_ends_there(name: str, size: tuple[int, int]) -> None:
    shared = carried(EVERYTHING)[ROUTING.color_of[name]]
    for (x, y), positions in STRANDS[name].table(*size).items():
        place = {"x": x, "y": y, "W": size[0], "H": size[1]}
        leaves = any(position.receive is Side.RAMP for position in positions)
        arrives = any(Side.RAMP in position.send for position in positions)
        for used, leaving in ((leaves, True), (arrives, False)):
            if used:
                assert at_core(shared, place, leaving) is STRANDS[name]


def test_the_text_of_a_program_carries_the_same_flows() -> None:
    assert carried(parse(print_program(EVERYTHING))) == carried(EVERYTHING)


def test_other_paths_under_the_name_of_a_flow_are_not_that_flow() -> None:
    (first, last), name = WEIGHTS.strand.paths, WEIGHTS.strand.name
    routes = tuple(Route(name, "all", path.guard, path.positions) for path in (first, last))
    assert carried(program(((name, 0),), routes)) == {name: WEIGHTS.strands}
    assert carried(program(((name, 0),), routes[:1])) == {}
    more = replace(routes[0], guard=Y + Int(1))
    assert carried(program(((name, 0),), (*routes, more))) == {}


def test_two_colors_do_not_carry_one_flow() -> None:
    paths = COLLECT.strand.paths
    routes = tuple(Route(c, "all", p.guard, p.positions) for c in ("one", "two") for p in paths)
    assert carried(program((("one", 0), ("two", 1)), routes)) == {"one": COLLECT.strands}


@pytest.mark.parametrize("name", ["matmul-16x24x40", "softmax", "lookup"])
def test_names_of_colors_decide_nothing(name: str) -> None:
    (case,) = (case for case in KERNELS if case.name == name)
    made = build(case.build()[0], "4x3", DType.F16)
    text = print_program(made.assembly)
    for number, (color, _) in enumerate(made.assembly.colors):
        text = re.sub(rf"(<|\b(?:color|route|feed|drain|by) ){color}\b", rf"\1c{number}", text)
    renamed = parse(text)
    assert [name for name, _ in renamed.colors] == [f"c{n}" for n in range(len(renamed.colors))]
    expected, found = (predict(p, made.fabric) for p in (made.assembly, renamed))
    assert (found.cycles, found.energy) == (expected.cycles, expected.energy)
