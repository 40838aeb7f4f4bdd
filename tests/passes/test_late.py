"""What is computed again comes right before who reads it; nothing but the order changes."""

from __future__ import annotations

from tests.stacks import decoder
from wsc.frontend import import_onnx
from wsc.ir.text import parse_graph
from wsc.isa.types import DType
from wsc.passes.late import Late
from wsc.passes.stage import run

HEAD = 'graph "g"\ninput %x : f32[2,6] from "float32"\ninput %d : f32[2,6] from "float32"\n'


def order(*lines: str, outputs: str) -> list[str]:
    """The outputs of maps in their order. lines: ``name: operands``."""
    text = HEAD
    for line in lines:
        name, _, operands = line.partition(": ")
        body = "exp.f32 $0" if " " not in operands else "mul.f32 $0 $1"
        inputs = ", ".join(f"%{operand}" for operand in operands.split())
        text += f"%{name} = map({inputs}) {{ {body} }} : f32[2,6]\n"
    text += "".join(f'output "{name}" = %{name} as "float32"\n' for name in outputs.split())
    return [node.output for node in run(Late(), parse_graph(text)).nodes]


def test_each_group_is_computed_before_its_own_derivative() -> None:
    found = order(
        "p0.again: x",
        "p1.again: x",
        "g1: d p1.again",
        "g0: d p0.again",
        "dx: g0 g1",
        outputs="dx",
    )
    assert found == ["p1.again", "g1", "p0.again", "g0", "dx"]


def test_what_keeps_a_value_alive_is_computed_when_its_derivatives_are_done() -> None:
    # o0 is for the gradient of a weight alone; p0 would stay until then.
    found = order(
        "p0.again: x",
        "o0.again: p0.again",
        "p1.again: x",
        "o1.again: p1.again",
        "both.again: o0.again o1.again",
        "w: d both.again",
        "g1: d p1.again",
        "g0: d p0.again",
        "dx: g0 g1",
        "b: d dx",
        outputs="w b",
    )
    assert found.index("o1.again") == found.index("g1") + 1 < found.index("p0.again")
    assert found.index("w") > found.index("g0")


def test_the_layers_stay_apart() -> None:
    found = order(
        "a1.again: x",
        "w1: d a1.again",
        "d1: d a1.again",
        "a0.again: x",
        "w0: d1 a0.again",
        "d0: d1 a0.again",
        outputs="w1 w0 d0",
    )
    layer = [name[-1] if "." not in name else name[1] for name in found]
    assert layer == ["1", "1", "1", "0", "0", "0"]


def test_a_graph_that_computes_nothing_again_stays_as_it_is() -> None:
    graph = import_onnx(decoder(2), {}, {}, DType.F32)
    assert run(Late(), graph).nodes == graph.nodes
