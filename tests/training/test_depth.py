"""Steps of deep networks: a few layers go through the passes, forwards and backwards."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest

import wsc
from tests.passes.test_layers import loops
from tests.stacks import Stack, decoder, residual
from wsc.api import compile_step
from wsc.cost.model import multiply_accumulates
from wsc.errors import DoesNotFit
from wsc.frontend.store import Seed
from wsc.ir.graph import Graph
from wsc.ir.tasks import Placed
from wsc.models.language import Task, build, find_shape
from wsc.training.losses import parse_loss
from wsc.training.step import build_step, parse_optimizer

OWN = ("h.*", "y.*")  # the weights of layers, without the mask that all of them add


def both_ways(model: onnx.ModelProto, **options: Any) -> tuple[wsc.Program, wsc.Program]:
    """The step by a few layers, which have to be enough, and by all of them."""
    placed: list[bool] = []

    def observe(name: str, stage: object) -> None:
        if isinstance(stage, Placed) and name == "place":
            placed.append(stage.cut is not None)

    few = compile_step(model, observe=observe, weights=Seed(0), **options)
    assert placed == [True]
    return few, compile_step(model, whole=True, weights=Seed(0), **options)


def is_the_same(few: wsc.Program, many: wsc.Program) -> None:
    assert few.text == many.text
    assert few.assembly == many.assembly
    assert few.notes == many.notes


@pytest.mark.parametrize(
    ("layers", "fabric", "options"),
    [
        (10, "3x4", {"recompute": "none", "optimizer": "adamw:lr=0.1", "groups": ["*.ln.*:lr=1"]}),
        (12, "1x5", {"recompute": "layers", "optimizer": "sgd", "clip": 1.0}),
        (14, "5x1", {"recompute": "layers", "optimizer": "momentum", "over": 2}),
        (11, "1x1", {"recompute": "none", "optimizer": "adam", "precision": "f16"}),
        (9, "7x2", {"recompute": "auto", "trainable": ["h.*.up.weight"]}),
        (13, "4x2", {"recompute": "edge"}),
    ],
)
def test_the_step_is_the_same(layers: int, fabric: str, options: dict[str, Any]) -> None:
    few, many = both_ways(residual(layers), loss="mse", fabric=fabric, **options)
    is_the_same(few, many)
    assert loops(few.assembly) == [(layers, layers), (layers - 2, layers - 2)]


@pytest.mark.parametrize("trainable", [("*",), ("*.h.*",)])
def test_a_step_is_the_same_where_what_was_kept_comes_ahead(
    trainable: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsc.passes.place.WHOLE", 0.0)
    monkeypatch.setattr("wsc.passes.place.PIECE", 0.02)
    shape = find_shape("gpt2").sized(layers=9, hidden=8, heads=1, ffn=8, vocabulary=8)
    model = build(shape, Task(sequence=4, batch=1))
    options: dict[str, Any] = {"recompute": "edge", "trainable": trainable}
    few, many = both_ways(model, fabric="wse2:2x3", **options)
    assert any(item.name.startswith("load_beside") for item in few.assembly.procedures)
    is_the_same(few, many)


def test_a_step_with_attention_is_the_same() -> None:
    options: dict[str, Any] = {"fabric": "3x1", "recompute": "layers", "trainable": OWN}
    is_the_same(*both_ways(decoder(9, hidden=4, tokens=3), loss="mse", **options))


def test_a_step_with_a_tied_embedding_is_the_same() -> None:
    shape = find_shape("gpt2").sized(layers=8, hidden=4, heads=1, ffn=4, vocabulary=5)
    model = build(shape, Task(sequence=2, batch=1))
    few, many = both_ways(model, fabric="2x3")
    is_the_same(few, many)
    assert "transformer.wte.weight" in {update.weight for update in few.assembly.updates}


def test_what_every_layer_adds_to_is_compiled_as_a_whole() -> None:
    """The gradient of a weight that all layers have is the sum of what each of them gives."""
    cuts: list[bool] = []

    def observe(name: str, stage: object) -> None:
        cuts.extend([stage.cut is not None] if isinstance(stage, Placed) else [])

    step = compile_step(scaled(10, "both"), "mse", fabric="2x2", observe=observe)
    assert set(cuts) == {False}
    assert "both" in {update.weight for update in step.assembly.updates}


def scaled(layers: int, shared: str = "", odd: float = 0.5) -> onnx.ModelProto:
    """Layers with a factor each that does not change; that of one in the middle may be another.

    shared: a weight that all layers have in the place of these.
    """
    stack = Stack(8, 2, 5)
    x = "x"
    if shared:
        stack.weight(shared, 8)
    for number in range(layers):
        name = f"h.{number}"
        factor = np.array(odd if number == layers // 2 else 0.5, np.float32)
        own = shared or stack.constant(f"{name}.factor", factor)
        inner = stack.dense(f"{name}.up", stack.norm(f"{name}.ln", x), 8, 8)
        inner = stack.node("Mul", f"{name}.scaled", inner, own)
        x = stack.node("Add", f"{name}.out", x, inner)
    return stack.model(x)


@pytest.mark.parametrize("odd", [0.5, 0.25])
def test_a_number_that_is_another_in_one_layer_is_seen(odd: float) -> None:
    step = build_step(scaled(9, odd=odd), parse_loss("mse"), parse_optimizer("sgd"))
    assert (step.short is not None) == (odd == 0.5)


def test_what_a_few_layers_stand_for() -> None:
    step = build_step(residual(13), parse_loss("mse"), parse_optimizer("adam"))
    deep = step.deep
    assert deep is not None
    cut = deep.cut
    assert cut is not None
    assert isinstance(step.graph, Graph)
    assert step.layers == 13
    assert cut.left == 8
    assert deep.work == step.work == multiply_accumulates(step.graph)
    given = [output.name for output in step.graph.outputs]
    assert [name for name, _ in cut.shown] == given
    assert [output.name for output in cut.all_outputs(deep.few.outputs)] == given
    named = {name for node in deep.few.nodes for name in node.origin}
    assert f"h.{cut.before}.up" not in named
    again = step.recomputing().deep
    assert again is not None
    assert again.work == multiply_accumulates(step.recomputing().graph) > deep.work
    assert cut.with_constants(deep.few).constants == step.graph.constants


def test_what_does_not_fit_is_refused_with_all_layers() -> None:
    options: dict[str, Any] = {"fabric": "1x1", "recompute": "none"}
    said: list[str] = []
    for whole in (False, True):
        with pytest.raises(DoesNotFit, match="the values alive there need") as error:
            compile_step(residual(11, tokens=200), "mse", whole=whole, **options)
        said.append(str(error.value))
    few, many = (re.split(r"(\d{4,}) bytes", text) for text in said)
    assert few[::2] == many[::2]
    # All layers are laid out in fewer ways before they are refused.
    assert [int(size) for size in few[1::2]] == pytest.approx(
        [int(s) for s in many[1::2]], rel=0.05
    )


def test_a_step_trains_as_that_of_all_layers() -> None:
    few, many = both_ways(residual(9), loss="mse", fabric="3x2", recompute="layers")
    random = np.random.default_rng(1)
    feeds = {name: random.standard_normal((1, 5, 8)).astype(np.float32) for name in ("x", "label")}
    first, second = (program.run(feeds, engine="values").outputs for program in (few, many))
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
