"""Attention of a training step in blocks: the same gradients, and no block is kept."""

from __future__ import annotations

import re
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
from wsc.ir.naming import KEYS, LOOK, ROWS, block_of, blocks_of, numbered_block
from wsc.ir.tasks import MoveTask, Placed
from wsc.ir.text import parse_graph
from wsc.isa.fabric import find_fabric
from wsc.isa.types import DType
from wsc.kernels.index_map import stays_in_tile
from wsc.kernels.library import sends_ahead
from wsc.models.language import Task, build, find_shape
from wsc.passes.between import Between
from wsc.passes.blocks import attentions
from wsc.passes.differentiate import Differentiate
from wsc.passes.groups import Groups, in_groups, inner_nodes
from wsc.passes.keys import InBlocks, Sizes, blocks_apart, left_behind, settled
from wsc.passes.late import Late
from wsc.passes.place import Place
from wsc.passes.simplify import Simplify
from wsc.passes.tokens import Tokens
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


def in_blocks(graph: Graph, sizes: Sizes) -> Graph:
    """All attention of a graph in blocks of so many keys and rows."""
    work: list[InBlocks] = []
    for item in attentions(graph):
        inner = inner_nodes(graph, item)
        assert inner is not None
        work.append(InBlocks(item, inner, sizes))
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
    ("name", "sizes", "precision", "error"),
    [
        ("gpt-neox-20b", Sizes(4, 2), DType.F32, 1e-6),
        ("gpt-neox-20b", Sizes(3, 5), DType.F16, 4e-3),  # the last blocks have less
        ("llama3-8b", Sizes(3, 3), DType.F32, 1e-6),
    ],
)
def test_gradients_are_those_of_all_keys_at_once(
    name: str, sizes: Sizes, precision: DType, error: float
) -> None:
    step = step_of(name, precision)
    assert step.differentiate is not None
    feeds = fed(step.graph)
    wanted = oracle.evaluate(step.graph, feeds)
    forward = in_blocks(step.forward, sizes)
    apart = step.differentiate.apply(forward)
    found = oracle.evaluate(settled(apart), feeds)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        scale = np.abs(array).max()
        np.testing.assert_allclose(found[key], array, error, error * scale, err_msg=key)
    # What stands for the result in the derivative has the same value.
    for key, array in oracle.evaluate(apart, feeds).items():
        scale = np.abs(array).max()
        np.testing.assert_allclose(found[key], array, error, error * scale, err_msg=key)
    again = replace(step.differentiate, recompute=True).apply(forward)
    again = Late().apply(settled(again))
    for key, array in oracle.evaluate(again, feeds).items():
        np.testing.assert_array_equal(array, found[key], err_msg=key)


MASKED = """\
graph "masked"
input %q : f32[2,5,4] from "float32"
input %k : f32[2,6,4] from "float32"
input %v : f32[2,6,3] from "float32"
input %mask : f32[1,5,6] from "float32"
%s = contract(%q, %k) [b, s, d] [b, t, d] -> [b, s, t] where b=2 s=5 d=4 t=6 : f32[2,5,6]
%logits = map(%s, %mask) { add.f32 $0 $1 } : f32[2,5,6]
%most = reduce.max(%logits) [b, s, t] -> [b, s, _] where b=2 s=5 t=6 : f32[2,5,1]
%raised = map(%logits, %most) { sub.f32 $0 $1; exp.f32 #0 } : f32[2,5,6]
%sum = reduce.sum(%raised) [b, s, t] -> [b, s, _] where b=2 s=5 t=6 : f32[2,5,1]
%shares = map(%raised, %sum) { div.f32 $0 $1 } : f32[2,5,6]
%out = contract(%shares, %v) [b, s, t] [b, t, e] -> [b, s, e] where b=2 s=5 t=6 e=3 : f32[2,5,3]
output "out" = %out as "float32"
"""


LEARNT = (
    MASKED.replace(
        "input %mask : f32[1,5,6]",
        'input %scale : f32[2,1,1] from "float32"\ninput %mask : f32[1,5,6]',
    )
    .replace(
        "map(%s, %mask) { add.f32 $0 $1 }",
        "map(%s, %mask, %scale) { mul.f32 $0 $2; add.f32 #0 $1 }",
    )
    .replace(
        'output "out" = %out',
        """\
%square = map(%out) { mul.f32 $0 $0 } : f32[2,5,3]
%loss = reduce.sum(%square) [b, s, e] -> [] where b=2 s=5 e=3 : f32[]
output "loss" = %loss""",
    )
)


@pytest.mark.parametrize("sizes", [Sizes(2, 3), Sizes(5, 1), Sizes(1, 4)])
def test_what_is_added_to_scores_and_multiplies_them_has_one_derivative(sizes: Sizes) -> None:
    graph, random = parse_graph(LEARNT), np.random.default_rng(6)
    given = {item.name: random.standard_normal(item.type.shape) for item in graph.inputs}
    (item,) = attentions(graph)
    inner = inner_nodes(graph, item)
    assert inner is not None
    blocks = in_groups(graph, [InBlocks(item, inner, sizes)])
    derivative = Differentiate("loss", ("q", "k", "v", "mask", "scale"))
    found, wanted = (
        oracle.evaluate(settled(derivative.apply(form)), given) for form in (blocks, graph)
    )
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, 1e-5, 1e-5, err_msg=name)


@pytest.mark.parametrize(("sizes", "what"), [(Sizes(8, 2), "keys"), (Sizes(2, 9), "rows")])
def test_a_single_block_is_none(sizes: Sizes, what: str) -> None:
    """Its operands would have the derivatives of both walks: gradients would be twice theirs."""
    with pytest.raises(AssertionError, match=f"one block of {what}"):
        in_blocks(step_of("gpt-neox-20b").forward, sizes)


@pytest.mark.parametrize("masked", [0, 2, 3, 5])
def test_blocks_of_which_all_keys_are_masked(masked: int) -> None:
    graph, random = parse_graph(MASKED), np.random.default_rng(5)
    given = {item.name: random.standard_normal(item.type.shape) for item in graph.inputs}
    given["mask"] = np.where(np.arange(6) < masked, -np.inf, np.zeros((1, 5, 6)))
    (item,) = attentions(graph)
    inner = inner_nodes(graph, item)
    assert inner is not None
    blocks = settled(in_groups(graph, [InBlocks(item, inner, Sizes(2, 3))]))
    assert not any(block_of(node.name, ROWS) for node in blocks.nodes)
    found, wanted = oracle.evaluate(blocks, given), oracle.evaluate(graph, given)
    np.testing.assert_allclose(found["out"], wanted["out"], 1e-6, 1e-6)


def test_rows_that_become_zeros_are_not_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are they where other attention of the same shapes is."""
    lines = MASKED.splitlines()
    first = lines.index(next(line for line in lines if line.startswith("%s =")))
    body = "\n".join(lines[first:-1]).replace("%out", "%more").replace("%shares, %v", "%some, %v")
    body += '\noutput "more" = %more as "float32"\n'
    for name in ("s", "logits", "most", "raised", "sum", "shares"):
        body = re.sub(rf"%{name}\b", f"%{name}2", body)
    zeros = "%some = map(%shares2) { isnan.f32 $0; select.f32 #0 0.0 $0 } : f32[2,5,6]\n"
    body = body.replace("%more = ", f"{zeros}%more = ", 1)
    graph = parse_graph(MASKED + body)
    assert [item.zeroed for item in attentions(graph)] == [False, True]
    way = Sizes(2, 2)
    monkeypatch.setattr(Groups, "_way", lambda self, types, item: None if item.zeroed else way)
    found = Groups(find_fabric("wse2").sized(2, 3)).apply(graph)
    blocks = {blocks_of(node.name) for node in found.nodes} - {None}
    assert blocks == {("out", kind) for kind in (LOOK, KEYS, ROWS)}


def test_what_is_moved_back_to_features_is_moved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of a rotation are made where its heads are; a mask is laid out for all layers."""
    monkeypatch.setattr(Groups, "_room", lambda self, types, item, sizes, share: False)
    monkeypatch.setattr(Groups, "_way", lambda self, types, item: Sizes(2, 2))
    shape = find_shape("gpt-neox-20b").sized(layers=2, hidden=64, heads=4, ffn=12, vocabulary=WORDS)
    model = build(shape, Task(sequence=TOKENS, batch=BATCH))
    loss, rule = parse_loss("cross_entropy"), parse_optimizer("sgd")
    fabric = find_fabric("wse2").sized(8, 8)
    step = build_step(model, loss, rule, {}, DType.F16, weights=Seed(1)).on(fabric).recomputing()
    graph: Graph = step.graph
    for item in (Simplify(), Tokens(fabric), Between()):
        graph = item.apply(graph)
    placed = Place(fabric).apply(graph)
    moves = [
        task
        for task in placed.tasks
        if isinstance(task, MoveTask) and not stays_in_tile(task, placed.mesh)
    ]
    back = [move for move in moves if move.out.buffer == "v_layers_0_cut_grad_back"]
    assert [move.value.extents[0].axis for move in back] == ["x", "x", "x"]
    assert not [move for move in moves if "turned" in (name := move.out.buffer) and "grad" in name]
    masks = [move for move in moves if "window" in move.value.buffer]
    wide = [move for move in masks if move.out.on("x") is not None]
    assert len(wide) <= 4  # rows and keys along either axis, before and behind the loss


def test_one_block_is_done_with_before_the_next_one_begins() -> None:
    step = step_of("gpt-neox-20b")
    assert step.differentiate is not None
    again = replace(step.differentiate, recompute=True)
    graph = Late().apply(settled(again.apply(in_blocks(step.forward, Sizes(4, 2)))))
    made, read = dict[str, int](), dict[str, int]()
    for number, node in enumerate(graph.nodes):
        made[node.output] = number
        read |= dict.fromkeys(node.inputs, number)
    shares = [
        (made[node.output], read[node.output])
        for node in graph.nodes
        if block_of(node.name, KEYS, ROWS) and ".shares" in node.name and ".grad" not in node.name
        if isinstance(node.op, Map)
    ]
    assert len(shares) == 2 * (TOKENS // 4 + TOKENS // 2)  # for the derivative alone
    for (_, last), (first, _) in zip(sorted(shares)[:-1], sorted(shares)[1:], strict=True):
        assert last < first


def compiled(fabric: str, sizes: Sizes | None, monkeypatch: pytest.MonkeyPatch) -> wsc.Program:
    """A step of one layer on a mesh. sizes: of blocks; None: all at once."""
    with monkeypatch.context() as patch:
        if sizes is not None:
            patch.setattr(Groups, "_way", lambda self, types, item: sizes)
        model = decoder(1, hidden=8, heads=2, tokens=5)
        return compile_step(model, "mse", "sgd", fabric=fabric)


@pytest.mark.parametrize("fabric", ["wse2:2x5", "wse2:5x2", "wse2:1x3"])
def test_programs_in_blocks_of_keys(fabric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tall, flat and ragged meshes: the same gradients."""
    wanted = results(compiled(fabric, None, monkeypatch))
    program = compiled(fabric, Sizes(3, 2), monkeypatch)
    assert any("rows1" in tensor.name for tensor in program.assembly.tensors)
    for name, array in results(program).items():
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(array, wanted[name], 1e-4, 1e-5 * scale, err_msg=name)


def test_engines_agree_on_blocks_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    program = compiled("wse2:2x3", Sizes(3, 2), monkeypatch)
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


def kinds_of_moves(fabric: str, keys: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages of all moves to whole lines in a step, one after the other."""
    placed: list[Placed] = []

    def observe(name: str, stage: object) -> None:
        placed.extend([stage] if isinstance(stage, Placed) and name == "place" else [])

    shape = find_shape("gpt-neox-20b").sized(layers=1, hidden=16, heads=2, ffn=8, vocabulary=8)
    model = build(shape, Task(sequence=12, batch=2))
    with monkeypatch.context() as patch:
        patch.setattr(Groups, "_way", lambda self, types, item: Sizes(keys, rows))
        patch.setattr(Groups, "_room", lambda *_: False)
        compile_step(model, fabric=fabric, observe=observe, weights=Seed(0), recompute="none")
    moves = [task for task in placed[-1].tasks if isinstance(task, MoveTask)]
    return [task.stage for task in moves if task.stage]


def test_what_blocks_read_is_sent_while_the_core_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One move is on its way at a time; each that is sent is taken."""
    stages = kinds_of_moves("2x4", 3, 6, monkeypatch)
    # Values of four blocks forwards, and the keys of all but the first; of the derivative's blocks
    # of keys and of rows, four and two, one operand each, and what is sent for gradients.
    assert stages.count("send") >= 7
    assert stages == ["send", "take"] * (len(stages) // 2)


def test_cores_without_a_unit_more_send_nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    units = replace(find_fabric("wse2").sized(2, 4), stream_units=5)
    monkeypatch.setattr("wsc.passes.place.sends_ahead", lambda _: sends_ahead(units))
    stages = kinds_of_moves("2x4", 3, 6, monkeypatch)
    assert len(stages) < 7
    assert sends_ahead(find_fabric("wse2"))


@pytest.mark.parametrize(
    ("fabric", "precision", "slow"),
    [("wse2:7x3", "f16", False), ("wse2:3x7", "f32", True), ("wse2:2x6", "f16", True)],
)
def test_blocks_that_are_sent_ahead_run_alike(
    fabric: str, precision: str, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a race, equal to the bit and to the cycle, and in the cycles that are predicted."""
    in_parts(monkeypatch, 3)
    shape = find_shape("gpt-neox-20b").sized(layers=1, hidden=16, heads=2, ffn=8, vocabulary=8)
    model = build(shape, Task(sequence=12, batch=2))
    settings = {"io.bytes_per_cycle": 4} if slow else {}  # then casts have a deep queue
    program = compile_step(
        model,
        fabric=fabric,
        precision=precision,
        settings=settings,
        weights=Seed(0),
        recompute="none",
    )
    assert "call move_send" in program.text
    random = np.random.default_rng(3)
    feeds: dict[str, np.ndarray] = {
        tensor.name: random.integers(0, 8, tensor.shape)
        if tensor.shape
        else np.full((), 64.0, np.float32)
        for tensor in program.assembly.edge_tensors
        if tensor.name in ("input_ids", "label", "loss.scale")
    }
    reference = program.run(feeds, engine="reference", check_races=True)
    both = program.run(feeds, engine="both")
    assert reference.cycles == both.cycles
    assert abs(program.estimate().cycles / both.cycles - 1) < 0.05
    for name, array in reference.outputs.items():
        np.testing.assert_array_equal(both.outputs[name], array, err_msg=name)


def test_long_sequences_go_in_blocks_of_whole_rows() -> None:
    graph = import_onnx(decoder(1, hidden=64, heads=8, tokens=66), {}, {}, DType.F32)
    fabric = find_fabric("wse2").sized(4, 22)
    assert Groups(fabric).apply(graph) is graph
    found = Groups(replace(fabric, sram_bytes=8192)).apply(graph)
    blocks = {block_of(node.name, ROWS) for node in found.nodes} - {""}
    assert len(blocks) == 11  # of six keys, which are those of two rows of tiles


def in_parts(patch: pytest.MonkeyPatch, keys: int, joined: bool = True) -> None:
    """Let attention go in blocks of so many keys (rows).

    joined: heads and sequences are one dimension, as where they find no room.
    """
    patch.setattr(Groups, "_way", lambda self, types, item: Sizes(keys, keys))
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


@pytest.mark.parametrize("hidden", [32, 64])
def test_a_few_blocks_stand_for_all(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 29 blocks eight are left out, in each walk; the last one has one key (row).

    With heads of 16 the walks over keys of both passes read the same parts of them.
    """
    in_parts(monkeypatch, 2)
    shape = find_shape("gpt-neox-20b").sized(layers=1, hidden=hidden, heads=4, ffn=8, vocabulary=8)
    model = build(shape, Task(sequence=57, batch=2))
    gaps, fewer = both_ways(model, "cross_entropy", fabric="4x29", recompute="none")
    assert gaps == 3
    assert fewer > 100


def test_a_few_blocks_that_are_parts_of_rows_stand_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block is a part of what a row of tiles has: the next one may begin in the same row."""
    in_parts(monkeypatch, 1, joined=False)
    model = decoder(1, hidden=8, heads=2, tokens=25)
    assert both_ways(model, "mse", fabric="2x5", recompute="none") == (3, 160)


def test_blocks_are_left_out_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in range(120):
        left = blocks_apart(count)
        assert left % 4 == 0  # so that what takes turns goes on behind them
        assert count - left >= 20 or not left
        assert count - left < 24
    monkeypatch.setattr(Groups, "_way", lambda self, types, item: Sizes(1, 1))
    graph = import_onnx(decoder(1, hidden=8, heads=2, tokens=29), {}, {}, DType.F32)
    found = Groups(find_fabric("wse2").sized(2, 29), few=True).apply(graph)
    kinds = [f"h.0.mixed{kind}" for kind in (LOOK, KEYS, ROWS)]
    assert left_behind(found) == {(kind, 9): 8 for kind in kinds}
    blocks = {numbered_block(node.name) for node in found.nodes} - {None}
    assert blocks == {(kind, n) for kind in kinds for n in (*range(10), *range(18, 29))}
