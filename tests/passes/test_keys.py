"""Attention of a training step in blocks of keys: the same gradients, and no block is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

import wsc
from tests import oracle
from tests.stacks import decoder
from tests.training.test_layers import results
from wsc.api import compile_step
from wsc.frontend import import_onnx
from wsc.frontend.store import Seed
from wsc.ir.graph import Graph, Map
from wsc.ir.naming import ANEW, block_number, block_of
from wsc.ir.tasks import Placed
from wsc.isa.fabric import find_fabric
from wsc.isa.types import DType
from wsc.models.language import Task, build, find_shape
from wsc.passes.blocks import attentions
from wsc.passes.groups import Groups, in_groups, inner_nodes
from wsc.passes.keys import InKeys, blocks_apart, left_behind
from wsc.passes.late import Late
from wsc.training.losses import parse_loss
from wsc.training.step import Step, build_step, parse_optimizer

WORDS, TOKENS, BATCH = 20, 8, 2


def step_of(name: str, precision: DType = DType.F32) -> Step:
    """Of two small layers of a family; of LLaMA two heads of queries share one of keys."""
    shape = find_shape(name).sized(layers=2, hidden=32, heads=4, ffn=12, vocabulary=WORDS)
    shape = shape.sized(kv_heads=2) if name.startswith("llama") else shape
    model = build(shape, Task(sequence=TOKENS, batch=BATCH))
    loss, rule = parse_loss("cross_entropy"), parse_optimizer("sgd")
    return build_step(model, loss, rule, {}, precision, weights=Seed(1))


def in_keys(graph: Graph, size: int) -> Graph:
    """All attention of a graph in blocks of so many keys."""
    work: list[InKeys] = []
    for item in attentions(graph):
        inner = inner_nodes(graph, item)
        assert inner is not None
        work.append(InKeys(item, inner, size))
    assert len(work) == 2
    return in_groups(graph, work)


def fed(graph: Graph) -> dict[str, np.ndarray]:
    """Words and labels; the scale of the loss."""
    random = np.random.default_rng(2)
    return {
        item.name: random.integers(0, WORDS, item.type.shape)
        if item.type.dtype is DType.I32
        else np.full(item.type.shape, 64.0)
        for item in graph.inputs
    }


@pytest.mark.parametrize(
    ("name", "size", "precision", "error"),
    [
        ("gpt-neox-20b", 4, DType.F32, 1e-6),
        ("gpt-neox-20b", 3, DType.F16, 4e-3),  # the last block has two keys
        ("llama3-8b", 3, DType.F32, 1e-6),
    ],
)
def test_gradients_are_those_of_all_keys_at_once(
    name: str, size: int, precision: DType, error: float
) -> None:
    step = step_of(name, precision)
    assert step.differentiate is not None
    feeds = fed(step.graph)
    wanted = oracle.evaluate(step.graph, feeds)
    forward = in_keys(step.forward, size)
    blocks = step.differentiate.apply(forward)
    found = oracle.evaluate(blocks, feeds)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        scale = np.abs(array).max()
        np.testing.assert_allclose(found[key], array, error, error * scale, err_msg=key)
    # Layers that are computed again have blocks that are computed once more than that.
    again = Late().apply(replace(step.differentiate, recompute=True).apply(forward))
    for key, array in oracle.evaluate(again, feeds).items():
        np.testing.assert_array_equal(array, found[key], err_msg=key)


def test_one_block_is_done_with_before_the_next_one_begins() -> None:
    step = step_of("gpt-neox-20b")
    assert step.differentiate is not None
    again = replace(step.differentiate, recompute=True)
    graph = Late().apply(again.apply(in_keys(step.forward, 2)))
    made, read = dict[str, int](), dict[str, int]()
    for number, node in enumerate(graph.nodes):
        made[node.output] = number
        read |= dict.fromkeys(node.inputs, number)
    shares = [
        (made[node.output], read[node.output])
        for node in graph.nodes
        if block_of(node.name, ANEW) and ".shares" in node.name and ".grad" not in node.name
        if isinstance(node.op, Map)
    ]
    assert len(shares) == 3 * 2 * TOKENS // 2  # forwards, again and for the derivative
    for (_, last), (first, _) in zip(sorted(shares)[:-1], sorted(shares)[1:], strict=True):
        assert last < first


def compiled(fabric: str, keys: int | None, monkeypatch: pytest.MonkeyPatch) -> wsc.Program:
    """A step of one layer on a mesh. keys: of a block; None: all at once."""
    with monkeypatch.context() as patch:
        if keys is not None:
            patch.setattr(Groups, "_way", lambda self, types, item: keys)
        model = decoder(1, hidden=8, heads=2, tokens=5)
        return compile_step(model, "mse", "sgd", fabric=fabric)


@pytest.mark.parametrize("fabric", ["wse2:2x5", "wse2:5x2", "wse2:1x3"])
def test_programs_in_blocks_of_keys(fabric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tall, flat and ragged meshes: the same gradients."""
    wanted = results(compiled(fabric, None, monkeypatch))
    program = compiled(fabric, 3, monkeypatch)
    assert any("anew" in tensor.name for tensor in program.assembly.tensors)
    for name, array in results(program).items():
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(array, wanted[name], 1e-4, 1e-5 * scale, err_msg=name)


def test_engines_agree_on_blocks_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    program = compiled("wse2:2x3", 3, monkeypatch)
    feeds = {
        tensor.name: random.standard_normal(tensor.shape).astype(np.float32)
        for tensor in program.assembly.edge_tensors
        if tensor.name in ("x", "label")
    }
    reference, both = (program.run(feeds, engine=engine) for engine in ("reference", "both"))
    assert reference.cycles == both.cycles
    assert abs(program.estimate().cycles / both.cycles - 1) < 0.05
    for name, array in reference.outputs.items():
        np.testing.assert_array_equal(both.outputs[name], array, err_msg=name)


def test_long_sequences_go_in_blocks_of_whole_rows() -> None:
    graph = import_onnx(decoder(1, hidden=64, heads=8, tokens=66), {}, {}, DType.F32)
    fabric = find_fabric("wse2").sized(4, 22)
    assert Groups(fabric).apply(graph) is graph
    found = Groups(replace(fabric, sram_bytes=8192)).apply(graph)
    blocks = {block_of(node.name, ANEW) for node in found.nodes} - {""}
    assert len(blocks) == 11  # of six keys, which are those of two rows of tiles


def in_parts(patch: pytest.MonkeyPatch, keys: int, joined: bool = True) -> None:
    """Let attention go in blocks of so many keys, of which a few stand for all from 16 on.

    joined: heads and sequences are one dimension, as where they find no room.
    """
    patch.setattr(Groups, "_way", lambda self, types, item: keys)
    patch.setattr("wsc.passes.keys.BEFORE", 6)
    patch.setattr("wsc.passes.keys.BEHIND", 6)
    if joined:
        patch.setattr(Groups, "_room", lambda *_: False)


def both_ways(model: onnx.ModelProto, loss: str, **options: Any) -> tuple[int, int]:
    """Compile a step by a few blocks, and by all of them: it has to be the same.

    Returns:
        How often blocks were left out when it was placed for the last time, and how many tasks
        fewer that were.
    """
    seen: list[Placed] = []

    def observe(name: str, stage: object) -> None:
        if isinstance(stage, Placed) and name == "place":
            seen.append(stage)

    few = compile_step(model, loss, "sgd", observe=observe, weights=Seed(0), **options)
    last = seen[-1]
    many = compile_step(model, loss, "sgd", observe=observe, weights=Seed(0), whole=True, **options)
    assert few.text == many.text
    assert few.assembly == many.assembly
    assert few.notes == many.notes
    return len(last.gaps), len(seen[-1].tasks) - len(last.tasks)


@pytest.mark.parametrize(
    ("name", "layers", "tokens", "keys", "fabric", "recompute"),
    [
        ("gpt-neox-20b", 1, 17, 1, "4x17", "none"),
        ("llama3-8b", 2, 35, 2, "4x18", "edge"),  # the last block has one key
    ],
)
def test_a_few_blocks_stand_for_all(
    name: str,
    layers: int,
    tokens: int,
    keys: int,
    fabric: str,
    recompute: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_parts(monkeypatch, keys)
    shape = find_shape(name).sized(layers=layers, hidden=32, heads=4, ffn=8, vocabulary=8)
    shape = shape.sized(kv_heads=2) if name.startswith("llama") else shape
    model = build(shape, Task(sequence=tokens, batch=2))
    gaps, fewer = both_ways(model, "cross_entropy", fabric=fabric, recompute=recompute)
    assert gaps == (3 if recompute == "none" else 5 * layers)
    assert fewer > 100


def test_blocks_that_do_not_go_on_evenly_are_placed_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here a block is a part of a row of tiles, and the next one may begin in the same row."""
    in_parts(monkeypatch, 1, joined=False)
    model = decoder(1, hidden=8, heads=2, tokens=17)
    assert both_ways(model, "mse", fabric="2x5", recompute="none") == (0, 0)


def test_blocks_are_left_out_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in range(120):
        left = blocks_apart(count)
        assert left % 4 == 0  # so that what takes turns goes on behind them
        assert count - left >= 20 or not left
        assert count - left < 24
    monkeypatch.setattr(Groups, "_way", lambda self, types, item: 1)
    graph = import_onnx(decoder(1, hidden=8, heads=2, tokens=29), {}, {}, DType.F32)
    found = Groups(find_fabric("wse2").sized(2, 29), few=True).apply(graph)
    assert left_behind(found) == {("h.0.mixed", 9): 8}
    numbers = {block_number(node.name) for node in found.nodes} - {None}
    assert numbers == {*range(10), *range(18, 29)}
