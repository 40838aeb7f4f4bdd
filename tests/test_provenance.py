"""Names of nodes go from the model to text, inspection and reports as they are, commas and all."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import wsc
from wsc.ir.tasks import Run
from wsc.isa.parser import parse
from wsc.isa.printer import print_program
from wsc.isa.shown import named
from wsc.isa.turns import expanded
from wsc.passes.roll import LAYER, Names
from wsc.views.inspect import all_nodes, node_view

NODES = ("mat, mul", "re,lu", '"exp"')


def model() -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [5, 8])
    steps = [(["x", "w"], "a", "MatMul"), (["a"], "b", "Relu"), (["b"], "y", "Exp")]
    nodes = [
        helper.make_node(op, inputs, [output], name=name)
        for (inputs, output, op), name in zip(steps, NODES, strict=True)
    ]
    weight = numpy_helper.from_array(np.eye(8, dtype=np.float32), "w")
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_names_with_commas() -> None:
    program = wsc.compile(model(), "2x2").assembly
    text = print_program(program)
    assert '@"mat, mul"\n' in text
    assert '@"re,lu" @"\\"exp\\""\n' in text
    again = parse(text)
    assert [call.nodes for call in again.regions[0].main] == [  # type: ignore[union-attr]
        call.nodes  # type: ignore[union-attr]
        for call in program.regions[0].main
    ]
    assert {*all_nodes(again)} == {*NODES, "x", "y"}
    for name in NODES:
        assert any(line.line.text.startswith("  call") for line in node_view(again, name).lines)
    assert len(node_view(again, named(NODES[1:])).lines) == len(node_view(again, NODES[1]).lines)


def test_turns_with_fewer_nodes_than_others() -> None:
    names = Names()
    turns = [("h.0.a", "h.0.b"), ("h.1.a",), ("h.2.a", "h.2.b")]
    nodes = names.nodes(turns, Run(0, 1, 3))
    tables = {name: entries for entries, name in names.tables.items()}
    assert [expanded(nodes, LAYER, turn, tables) for turn in range(3)] == turns


def test_names_that_could_be_two() -> None:
    assert named(["a", "b"]) == "a, b"
    assert named(["a, b"]) == "'a, b'"
    assert (
        len({named(nodes) for nodes in ([], ["a, b"], ["a", "b"], ["'a, b'"], ["'a", "b'"])}) == 5
    )
