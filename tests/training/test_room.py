"""What finds no room as a whole is made part by part: the same gradients all the same."""

from __future__ import annotations

from dataclasses import replace

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
from wsc.ir.check import check_graph
from wsc.ir.graph import Contract, Graph
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Loop
from wsc.isa.turns import plain_transfers
from wsc.isa.types import DType
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
    monkeypatch.setattr(Groups, "_sizes", lambda self, types, item: (1,))
    program = step()
    layers = [item for item in program.assembly.regions[0].main if isinstance(item, Loop)]
    inner = [item for loop in layers for item in loop.body if isinstance(item, Loop)]
    assert [str(loop.register) for loop in layers[:1]] == ["layer"]
    assert len(inner) >= 2
    for name, array in results(program).items():
        np.testing.assert_allclose(wanted[name], array, 1e-4, 1e-6, err_msg=name)
