"""What finds no room as a whole is made part by part: the same gradients all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

import wsc
from tests import oracle
from tests.stacks import decoder
from tests.training.networks import Builder
from tests.training.test_layers import results
from wsc.api import compile_step
from wsc.frontend import import_onnx
from wsc.frontend.store import Seed
from wsc.ir.check import check_graph
from wsc.ir.graph import Contract, Graph
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Loop
from wsc.isa.turns import plain_transfers
from wsc.isa.types import DType
from wsc.models.language import Task, build, find_shape
from wsc.passes import contraction
from wsc.passes.groups import Groups

WORDS, TOKENS = 50, 11


def reader() -> ModelProto:
    """Words of a table, mixed and classified."""
    b = Builder(2)
    b.weight("table", WORDS, 12)
    b.weight("wide", 12, 20)
    b.weight("narrow", 20, 3)
    x = b.node(
        "Tanh", "tanh", b.node("MatMul", "up", b.node("Gather", "words", "table", "tokens"), "wide")
    )
    b.node("MatMul", "logits", x, "narrow")
    return b.model("reader", {"tokens": (TensorProto.INT64, [2, TOKENS])})


def gradients(fabric: str) -> tuple[wsc.Program, dict[str, np.ndarray]]:
    """The step of the reader, and what it gives for words of which some come twice."""
    random = np.random.default_rng(5)
    program = compile_step(reader(), optimizer="sgd", fabric=fabric)
    feeds = {
        "tokens": random.integers(0, WORDS, (2, TOKENS)) // 2 * 2,
        "label": random.integers(0, 3, (2, TOKENS)),
    }
    return program, program.run(feeds, engine="values").outputs


def drains(program: wsc.Program, name: str) -> int:
    """In how many parts a gradient leaves."""
    return sum(item.tensor == f"{name}.grad" for item in plain_transfers(program.assembly))


@pytest.mark.parametrize("fabric", ["3x4", "1x3", "4x1"])
def test_a_table_and_its_updates_in_parts(fabric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, wanted = gradients(fabric)
    monkeypatch.setattr("wsc.passes.place.SHARE_OF_TABLE", 0.004)
    parts, found = gradients(fabric)
    assert drains(whole, "table") == 1 < drains(parts, "table")
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, 1e-5, 1e-7, err_msg=name)


@pytest.mark.parametrize("fabric", ["3x4", "1x3"])
def test_products_in_pieces(fabric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, wanted = gradients(fabric)
    monkeypatch.setattr("wsc.passes.place.WHOLE", 0.0)
    monkeypatch.setattr("wsc.passes.place.PIECE", 0.02)
    pieces, found = gradients(fabric)
    assert drains(whole, "wide") == 1 < drains(pieces, "wide")
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, 1e-5, 1e-7, err_msg=name)


@pytest.mark.parametrize(
    ("fabric", "piece", "precision"),
    [
        ("5x4", 0.004, "f16"),
        ("2x6", 0.012, "f16"),
        ("4x9", 0.006, "f32"),
        ("3x17", 0.006, "f16"),
    ],
)
def test_sums_of_pieces_rise_while_the_next_one_is_made(
    fabric: str, piece: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same gradients in fewer cycles; no word of one is written before it has left."""
    b = Builder(3)
    for name, shape in (("one", (48, 64)), ("two", (64, 48))):
        b.weight(name, *shape)
    x = b.node("Tanh", "between", b.node("MatMul", "first", "x", "one"))
    b.node("MatMul", "logits", x, "two")
    model = b.model("wide", {"x": (TensorProto.FLOAT, [20, 48])})
    random = np.random.default_rng(8)
    feeds: dict[str, np.ndarray] = {"x": random.standard_normal((20, 48)).astype(np.float32)}
    feeds["label"] = random.integers(0, 48, 20)
    monkeypatch.setattr("wsc.passes.place.WHOLE", 0.0)
    monkeypatch.setattr("wsc.passes.place.PIECE", piece)

    def step() -> wsc.Program:
        return compile_step(model, optimizer="sgd", fabric=f"wse2:{fabric}", precision=precision)

    found = step()
    if precision == "f16":
        feeds["loss.scale"] = np.array(8.0, np.float32)
    assert any(item.name.startswith("risen") for item in found.assembly.procedures)
    reference, time = (found.run(feeds, engine=engine) for engine in ("reference", "time"))
    assert reference.cycles == time.cycles
    assert abs(found.estimate().cycles / reference.cycles - 1) < 0.05
    monkeypatch.setattr("wsc.passes.place.rises", lambda fabric: False)
    plain = step().run(feeds, engine="reference")
    assert plain.cycles > reference.cycles
    for name, array in plain.outputs.items():
        # Parts are added up in another order, and then rounded.
        near = 1e-3 if precision == "f16" else 1e-6
        np.testing.assert_allclose(reference.outputs[name], array, near, near / 10, err_msg=name)


def test_heads_in_groups_give_what_all_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsc.passes.groups.SHARE", 0.8)
    graph = import_onnx(decoder(2, hidden=24, heads=6, tokens=16), {}, {}, DType.F32)
    fabric = find_fabric("wse2").sized(2, 2)
    assert Groups(fabric).apply(graph) is graph
    split = Groups(replace(fabric, sram_bytes=1500)).apply(graph)
    check_graph(split)
    products = [node.type.shape for node in split.nodes if isinstance(node.op, Contract)]
    assert sum(shape == (1, 2, 16, 16) for shape in products) == 2 * 3
    feeds = inputs(graph)
    for name, array in oracle.evaluate(graph, feeds).items():
        np.testing.assert_allclose(oracle.evaluate(split, feeds)[name], array, 1e-5, 1e-6)


def inputs(graph: Graph) -> dict[str, np.ndarray]:
    """Inputs of a graph."""
    random = np.random.default_rng(1)
    return {item.name: random.standard_normal(item.type.shape) for item in graph.inputs}


def test_groups_are_loops_within_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(3, hidden=24, heads=12, tokens=4)

    def step() -> wsc.Program:
        return compile_step(model, "mse", "sgd", fabric="2x2", recompute="layers")

    wanted = results(step())
    monkeypatch.setattr(Groups, "_way", lambda self, types, item: (1,))
    program = step()
    layers = [item for item in program.assembly.regions[0].main if isinstance(item, Loop)]
    inner = [item for loop in layers for item in loop.body if isinstance(item, Loop)]
    assert [str(loop.register) for loop in layers[:1]] == ["layer"]
    assert len(inner) >= 2
    for name, array in results(program).items():
        np.testing.assert_allclose(wanted[name], array, 1e-4, 1e-6, err_msg=name)


def test_sequences_count_as_heads_where_they_find_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = find_shape("gpt2").sized(layers=1, hidden=24, heads=6, ffn=24, vocabulary=20)
    random = np.random.default_rng(2)
    feeds = {key: random.integers(0, 20, (3, 5)) for key in ("input_ids", "label")}

    def step() -> wsc.Program:
        model = build(shape, Task(sequence=5, batch=3))
        return compile_step(model, fabric="3x4", weights=Seed(1))

    def joined(program: wsc.Program) -> set[str]:
        return {item.name for item in program.assembly.tensors if "joined" in item.name}

    apart = step()
    monkeypatch.setattr("wsc.passes.groups.FITS", 0.0)
    monkeypatch.setattr(Groups, "_way", lambda self, types, item: None)
    together = step()
    assert joined(together) - joined(apart)
    wanted = apart.run(feeds, engine="values").outputs
    for name, array in together.run(feeds, engine="values").outputs.items():
        np.testing.assert_allclose(wanted[name], array, 1e-4, 1e-6, err_msg=name)


def over_columns(program: wsc.Program) -> bool:
    """Whether products of a step add up what the tiles of a column have, or pieces of it."""
    stems = ("matmul_resident_over_columns", "matmul_resident_rising")
    return any(item.name.startswith(stems) for item in program.assembly.procedures)


@pytest.mark.parametrize("fabric", ["3x4", "1x5", "2x7"])
def test_sums_down_the_columns(fabric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # More rows than tokens, ragged ones, one column; in one piece and in several.
    monkeypatch.setattr(contraction, "_summed_options", lambda op: [])
    _, wanted = gradients(fabric)
    monkeypatch.undo()
    forms = vars(contraction)["_forms"]

    def down(*given: Any) -> list[Any]:
        found = list(forms(*given))
        return [form for form in found if form.combined] or found

    monkeypatch.setattr(contraction, "_forms", down)
    for share in (contraction.SHARE_IN_TRAINING, 0.0):
        monkeypatch.setattr("wsc.passes.place.WHOLE", share)
        program, found = gradients(fabric)
        assert over_columns(program)
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, 1e-5, 1e-7, err_msg=name)


def test_sums_down_the_columns_in_halves() -> None:
    # Cycles and values of both engines; what is summed is wider than what leaves.
    program = compile_step(reader(), optimizer="sgd", fabric="3x4", precision="f16")
    random = np.random.default_rng(5)
    feeds = {
        "tokens": random.integers(0, WORDS, (2, TOKENS)),
        "label": random.integers(0, 3, (2, TOKENS)),
        "loss.scale": np.array(8, np.float32),
    }
    assert over_columns(program)
    both, reference = (program.run(feeds, engine=name) for name in ("both", "reference"))
    assert both.cycles == reference.cycles
    for name, array in both.outputs.items():
        np.testing.assert_array_equal(reference.outputs[name], array, err_msg=name)
