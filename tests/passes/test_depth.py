"""Deep stacks: a few layers go through the passes, and the program is that of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import wsc
from tests.cli.helpers import done
from tests.cli.helpers import wsc as cli
from tests.stacks import decoder, normed_behind, patchwork
from wsc.frontend import import_onnx
from wsc.ir.cut import BEFORE, Cut, NotAlike
from wsc.ir.graph import Graph, GraphOutput
from wsc.ir.tasks import Placed
from wsc.isa.types import DType
from wsc.passes.depth import BEHIND, TOGETHER, shorten
from wsc.passes.layers import find_layers
from wsc.passes.simplify import Simplify

KEPT = BEFORE + BEHIND  # layers that are kept at least


def simplified(model: onnx.ModelProto) -> Graph:
    return Simplify().apply(import_onnx(model, {}, {}, DType.F32))


def compiled(model: onnx.ModelProto, fabric: str, whole: bool) -> tuple[wsc.Program, int]:
    """The program, and how many tasks went through the passes."""
    tasks: list[int] = []

    def observe(name: str, stage: object) -> None:
        del name
        if isinstance(stage, Placed):
            tasks.append(len(stage.tasks))

    return wsc.compile(model, fabric, observe=observe, whole=whole), tasks[0]


@pytest.mark.parametrize(
    ("layers", "fabric"), [(8, "4x4"), (9, "1x1"), (11, "7x3"), (13, "1x5"), (10, "6x1")]
)
def test_the_program_is_the_same(layers: int, fabric: str) -> None:
    model = decoder(layers)
    few, short = compiled(model, fabric, whole=False)
    many, long = compiled(model, fabric, whole=True)
    assert few.text == many.text
    assert short < long
    assert few.assembly == many.assembly


@pytest.mark.parametrize(("layers", "fabric"), [(8, "3x2"), (11, "1x1"), (14, "2x7")])
def test_what_lies_in_front_may_look_like_a_layers_end(layers: int, fabric: str) -> None:
    """A norm of an embedding is no layer's, however many layers there are."""
    model = normed_behind(layers)
    few, short = compiled(model, fabric, whole=False)
    many, long = compiled(model, fabric, whole=True)
    assert short < long
    assert few.assembly == many.assembly


# --- what is left out --------------------------------------------------------------------


@pytest.mark.parametrize("layers", range(KEPT, KEPT + 3 * TOGETHER))
def test_a_multiple_of_what_takes_turns_is_left_out(layers: int) -> None:
    graph = simplified(decoder(layers))
    short = shorten(graph)
    if layers < KEPT + TOGETHER:
        assert short is None
        return
    assert short is not None
    made, cut = short
    (before,), (after,) = find_layers(graph), find_layers(made)
    assert cut.left % TOGETHER == 0
    assert KEPT <= after.count == before.count - cut.left < KEPT + TOGETHER
    names = {name for node in made.nodes for name in node.origin}
    assert {f"h.{number}.up" in names for number in range(BEFORE)} == {True}
    assert f"h.{layers - 1}.up" in names
    assert f"h.{BEFORE}.up" not in names
    assert cut.with_constants(made).constants == graph.constants


def shown(graph: Graph) -> Graph:
    """A graph that shows what a layer in the middle makes."""
    (layers,) = find_layers(graph)
    node = graph.nodes[layers.start + 5 * layers.period - 1]
    return graph.with_(outputs=(*graph.outputs, GraphOutput("middle", node.output, "float32")))


def skipped(graph: Graph) -> Graph:
    """A graph whose last node reads what a layer in the middle makes."""
    (layers,) = find_layers(graph)
    middle = graph.nodes[layers.start + 5 * layers.period - 1]
    *rest, last = graph.nodes
    same = [middle.output if middle.type == graph.types()[name] else name for name in last.inputs]
    assert middle.output in same
    return graph.with_(nodes=(*rest, replace(last, inputs=tuple(same))))


def trained(graph: Graph) -> Graph:
    """A graph with a weight that training changes."""
    first, *rest = graph.constants
    return graph.with_(constants=(replace(first, state=True), *rest))


def not_shortened() -> Iterator[Graph]:
    yield simplified(patchwork(9))  # two stacks
    yield simplified(decoder(9, caches=True))  # each layer has outputs
    yield from (change(simplified(decoder(9))) for change in (shown, skipped, trained))


@pytest.mark.parametrize("graph", [*not_shortened()])
def test_what_has_more_of_its_own_than_weights_stays_whole(graph: Graph) -> None:
    assert shorten(graph) is None


def test_numbers_that_may_decide_something_stay() -> None:
    """Small integers of a layer are looked at: where they lie decides what is checked."""
    hidden, nodes, weights, x = 8, list[onnx.NodeProto](), list[onnx.TensorProto](), "x"
    random = np.random.default_rng(0)
    for layer in range(9):
        weight = random.standard_normal((hidden, hidden)).astype(np.float32)
        order = random.permutation(hidden) - (hidden if layer == 5 else 0)
        weights += [
            numpy_helper.from_array(weight, f"w.{layer}"),
            numpy_helper.from_array(order, f"order.{layer}"),
        ]
        chain = [
            ("MatMul", [x, f"w.{layer}"], "dense"),
            ("Softmax", [f"dense.{layer}"], "soft"),
            ("Gather", [f"soft.{layer}", f"order.{layer}"], "turned"),
            ("Gelu", [f"turned.{layer}"], "gelu"),
        ]
        for op, inputs, name in chain:
            nodes.append(helper.make_node(op, inputs, [f"{name}.{layer}"]))
            if op == "Gather":
                nodes[-1].attribute.append(helper.make_attribute("axis", 1))
        x = f"gelu.{layer}"
    shape = [4, hidden]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", x)]
    graph = helper.make_graph(nodes, "orders", ends[:1], ends[1:], weights)
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opset)
    made = simplified(model)
    assert [layers.count for layers in find_layers(made)] == [9]
    assert shorten(made) is None


# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize(("begin", "together"), list(product((0, 1, 2), (1, 2, 4))))
@pytest.mark.parametrize("layers", [8, 13])
def test_names_go_on_over_all_turns(layers: int, begin: int, together: int) -> None:
    left = (layers - KEPT) // TOGETHER * TOGETHER
    names = tuple(f"h{number}" for number in range(layers))
    cut = Cut(left, dict.fromkeys(names, names), ())
    there = [*names[:BEFORE], *names[BEFORE + left :]]
    turns = (len(there) - begin) // together
    for layer in range(together):
        texts = there[begin + layer :: together][:turns]
        wanted = [*names[begin + layer :: together]][: (layers - begin) // together]
        # The layers left out have to be between turns of the loop.
        if {*texts} & {*there[:BEFORE]} and {*texts} & {*there[BEFORE:]} and left % together == 0:
            assert cut.all_turns(cut.families, texts, together) == wanted
            # The backward pass goes down. Before and behind layers there may be other names.
            assert cut.all_turns(cut.families, texts[::-1], together) == wanted[::-1]
            ends = cut.all_turns(cut.families, ["embedding", *texts, "norm"], together)
            assert ends == ["embedding", *wanted, "norm"]
            # What is brought a layer ahead is brought once more in the last turn.
            again = cut.all_turns(cut.families, [*texts, texts[-1]], together)
            assert again == [*wanted, wanted[-1]]
            parts = cut.all_turns(cut.families, [f"{text}.a.b" for text in texts], together)
            assert parts == [f"{text}.a.b" for text in wanted]
        elif len(texts) > 1:
            assert not_alike(cut, texts, together)


def not_alike(cut: Cut, texts: list[str], together: int) -> bool:
    with pytest.raises(NotAlike):
        cut.all_turns(cut.families, texts, together)
    return True


def test_names_that_do_not_go_with_the_layers_are_refused() -> None:
    names = tuple(f"h{number}" for number in range(8))
    cut = Cut(4, dict.fromkeys(names, names), ())
    assert cut.all_turns(cut.families, ["mask"] * 4, 1) == ["mask"] * 8
    others = ["h0", "h1", "mask", "h7"], ["mask", "mask", "h6", "h7"], ["h0", "h1", "h7", "h6"]
    for texts in (["h0", "h1", "h2", "h3"], *others):
        assert not_alike(cut, texts, 1)
    with pytest.raises(NotAlike):
        cut.turns(3)


def test_forms_are_told_of_every_layer() -> None:
    model = decoder(9)
    few, many = (compiled(model, "4x4", whole)[0] for whole in (False, True))
    mine, others = (
        {item.names: (item.text, item.taken, item.forms) for item in program.weighed}
        for program in (few, many)
    )
    assert mine == others
    (form,) = few.explain("h.5.up")
    assert form.nodes == ("h.5.up",)


def test_a_dump_has_all_layers(tmp_path: Path) -> None:
    onnx.save(decoder(9), tmp_path / "m.onnx")
    given = ("compile", tmp_path / "m.onnx", "--fabric", "2x2", "-o", tmp_path / "m.wsa")
    text = done(cli(*given, "--print-ir-after", "place")).stdout
    assert all(f"h.{layer}.up" in text for layer in range(9))
