"""Passes say what they take, give and ensure, and a promise that is broken is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from wsc.cli.main import cli
from wsc.ir.graph import Graph, Map
from wsc.ir.tasks import MapTask, Placed, Store
from wsc.ir.text import parse_graph
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Program
from wsc.isa.types import DType
from wsc.passes import stage as stages
from wsc.passes.stage import BrokenPromise, Pass, Stage, check_promises, run
from wsc.pipeline import passes

FABRIC = find_fabric("tiny").sized(2, 2)
STEPS = passes(FABRIC, DType.F32, "m")
GRAPH = """\
graph "g"
input %x : f32[5,8] from "float32"
const %w : f32[8,8]
%a = map(%x) { exp.f32 $0 } : f32[5,8]
%s = reduce.sum(%a) [a, b] -> [a, _] where a=5 b=8 : f32[5,1]
%n = map(%a, %s) { div.f32 $0 $1 } : f32[5,8]
%p = contract(%n, %w) [m, k] [k, o] -> [m, o] where m=5 k=8 o=8 : f32[5,8]
output "y" = %p as "float32"
"""


def before(name: str) -> tuple[Pass[Any, Any], Stage, Stage]:
    """The pass of that name, what it takes and what it gives."""
    stage: Any = parse_graph(GRAPH)
    for step in STEPS:
        result = run(step, stage)
        if step.name == name:
            return step, stage, result
        stage = result
    raise AssertionError(name)


def dead(graph: Graph) -> Graph:
    node = next(node for node in graph.nodes if isinstance(node.op, Map))
    return graph.with_(nodes=(*graph.nodes, replace(node, name="dead", output="dead")))


def without_a_buffer(placed: Placed) -> Placed:
    return replace(placed, buffers=placed.buffers[:-1])


def short_buffers(placed: Placed) -> Placed:
    return replace(placed, buffers=tuple(replace(item, bytes=4) for item in placed.buffers))


def without_its_producer(placed: Placed) -> Placed:
    return replace(placed, tasks=tuple(t for t in placed.tasks if not isinstance(t, MapTask)))


def stored_twice(placed: Placed) -> Placed:
    store = next(task for task in placed.tasks if isinstance(task, Store))
    return replace(placed, tasks=(*placed.tasks, store))


def at_one_address(placed: Placed) -> Placed:
    return replace(placed, addresses=dict.fromkeys(placed.addresses, 64))


def beyond_sram(placed: Placed) -> Placed:
    far = FABRIC.sram_bytes
    return replace(placed, addresses={name: far + at for name, at in placed.addresses.items()})


def a_call_less(program: Program) -> Program:
    region = program.regions[0]
    return program.with_(regions=(replace(region, main=region.main[1:]),))


def one_color_for_all(program: Program) -> Program:
    return program.with_(colors=tuple((name, 0) for name, _ in program.colors))


def numbers_beyond(program: Program) -> Program:
    return program.with_(colors=tuple((name, 900 + at) for name, at in program.colors))


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("simplify", dead, "node 'dead' is dead"),
        ("heads", dead, "node 'dead' is dead"),
        ("blocks", dead, "node 'dead' is dead"),
        ("place", without_a_buffer, "that is not there"),
        ("place", short_buffers, "beyond its 4 bytes"),
        ("place", without_its_producer, "before anything is written there"),
        ("place", stored_twice, "and what comes back, is sent out once"),
        ("memory", at_one_address, "overlap"),
        ("memory", beyond_sram, "ends beyond the SRAM of a tile"),
        ("emit", a_call_less, "times that a task is done"),
        ("emit", one_color_for_all, "two flows have one color"),
        ("sections", a_call_less, "does not make the calls that it made"),
        ("route", numbers_beyond, "is none of the"),
    ],
)
def test_a_broken_promise_is_seen(name: str, spoil: Callable[[Any], Any], said: str) -> None:
    step, taken, given = before(name)
    assert [*step.broken(taken, given)] == []
    assert any(said in sentence for sentence in step.broken(taken, spoil(given)))


def test_each_pass_takes_what_the_one_before_gives() -> None:
    assert STEPS[0].takes is Graph
    assert STEPS[-1].gives is Program
    assert all(one.gives is two.takes for one, two in pairwise(STEPS))
    with pytest.raises(TypeError, match="pass 'route' takes a Program"):
        run(STEPS[-1], parse_graph(GRAPH))


def test_promises_are_checked_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, slots=True)
    class Spoils(Pass[Graph, Graph]):
        name: ClassVar[str] = "spoils"

        def apply(self, stage: Graph) -> Graph:
            return dead(stage)

        def broken(self, before: Graph, after: Graph) -> list[str]:
            return ["it is dead"] * (len(after.nodes) > len(before.nodes))

    graph = parse_graph(GRAPH)
    with pytest.raises(BrokenPromise, match="pass 'spoils': it is dead"):
        run(Spoils(), graph)
    check_promises(False)
    try:
        assert len(run(Spoils(), graph).nodes) == 5
        called: list[bool] = []
        monkeypatch.setattr(stages, "check_promises", lambda: called.append(True))
        for arguments in (["fabrics"], ["fabrics", "--debug"]):
            with pytest.raises(SystemExit):
                cli(arguments)
    finally:
        check_promises()
    assert called == [True]


def test_a_pass_says_what_it_takes() -> None:
    with pytest.raises(TypeError, match="pass Silent has no name"):

        class Silent(Pass):  # type: ignore[type-arg]
            pass
