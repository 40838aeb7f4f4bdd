"""What flows from call to call, and how a page arranges it."""

from __future__ import annotations

import networkx as nx
import pytest

import wsc as package
from tests.cli.helpers import TWICE
from tests.stacks import decoder
from wsc.isa.parser import parse
from wsc.models import builders
from wsc.pages.network import network
from wsc.views.dataflow import Flow, dataflow
from wsc.views.streams import all_calls

# A register takes an address from a parameter; scratch is used by two calls that have nothing else
# in common; a value is carried from turn to turn.
CARRIED = """\
wsc 1
fabric "wse2" 1x1
precision f32

tensor a : f32[4] at 0 size 16 @"a"
tensor b : f32[4] at 16 size 16 @"b"
tensor scratch : f32[4] at 32 size 16

region all at 0,0 size 1x1

proc copy(out, from)
  i.add begin, from, 4
  mov.f32 [scratch + i*4], [begin + i*4] for i:2
  mov.f32 [out + i*4], [scratch + i*4] for i:2
end

main all
  loop turn: 3
    call copy(out = a, from = b) @"one"
    call copy(out = b, from = a) @"two"
  end
end
"""


def test_parameters_registers_and_the_edge() -> None:
    assert dataflow(parse(TWICE)) == [
        Flow(None, 0, "a"),
        Flow(0, 1, "buf"),
        Flow(1, 2, "buf"),
        Flow(2, None, "r"),
    ]


def test_what_a_turn_leaves_to_the_next_one() -> None:
    program = parse(CARRIED)
    assert dataflow(program) == [Flow(0, 1, "a"), Flow(1, 0, "b")]
    drawn = network(program, [])
    assert [(box["name"], box["layer"]) for box in drawn["boxes"]] == [("one", 0), ("two", 1)]
    assert [(arrow["from"], arrow["to"], arrow["back"]) for arrow in drawn["arrows"]] == [
        (0, 1, False),
        (1, 0, True),
    ]


def test_bytes_go_on_under_another_name() -> None:
    other = 'tensor c : f32[4] at 16 size 16 shares b @"c"'
    text = CARRIED.replace("tensor scratch", f"{other}\ntensor scratch")
    text = text.replace("copy(out = a, from = b)", "copy(out = a, from = c)")
    assert dataflow(parse(text)) == [Flow(0, 1, "a"), Flow(1, 0, "c")]


# A chain, branches, and layers that became a loop.
SHAPES = {
    "chain": lambda: builders.mlp((16, 32, 10), batch=4),
    "branches": lambda: builders.transformer_encoder(1, 8, 2, 8),
    "loop": lambda: decoder(3),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_flows_on_goes_down(shape: str) -> None:
    program = package.compile(SHAPES[shape](), "4x3").assembly
    drawn = network(program, [])
    boxes = drawn["boxes"]
    for arrow in drawn["arrows"]:
        giver, taker = boxes[arrow["from"]], boxes[arrow["to"]]
        assert arrow["back"] or giver["layer"] < taker["layer"], (giver, taker)
    # No two boxes in one place, and every node of the network in a box.
    assert len({(box["layer"], box["place"]) for box in boxes}) == len(boxes)
    shown = {node for box in boxes for node in box["nodes"]}
    assert shown == {node for _, call in all_calls(program) for node in call.nodes}
    # From each input something flows to each output.
    assert {box["kind"] for box in boxes} == {"", "input", "output"}


@pytest.mark.parametrize("shape", ["chain", "branches"])
def test_arrows_are_paths_of_the_model(shape: str) -> None:
    """Where a box flows to another one, a node of the one leads to a node of the other."""
    model = SHAPES[shape]()
    graph = nx.DiGraph()
    for node in model.graph.node:
        graph.add_edges_from((name, f"node {node.name}") for name in node.input)
        graph.add_edges_from((f"node {node.name}", name) for name in node.output)
    drawn = network(package.compile(model, "4x3").assembly, [])

    def nodes(place: int) -> list[str]:
        return [
            name for mark in drawn["boxes"][place]["nodes"] if (name := f"node {mark}") in graph
        ]

    shown = 0
    for arrow in drawn["arrows"]:
        givers, takers = nodes(arrow["from"]), nodes(arrow["to"])
        if givers and takers:
            shown += 1
            assert any(nx.has_path(graph, a, b) for a in givers for b in takers), arrow
    assert shown >= 2
