"""Attention some heads at a time: the same result, and only where all heads leave no room."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsc
from tests.passes.test_blocks import EXPORTS, agree, as_evaluated, attention
from tests.stacks import decoder
from wsc.frontend import import_onnx
from wsc.frontend.store import Seed, write_model
from wsc.ir.check import check_graph
from wsc.ir.graph import Concat, Contract, Graph, Map
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Call, Loop
from wsc.isa.types import DType
from wsc.models.language import Task, build, find_shape
from wsc.passes.blocks import Blocks
from wsc.passes.heads import Heads
from wsc.passes.simplify import Simplify


def force(patch: pytest.MonkeyPatch) -> None:
    """Groups of any size, whether they are needed or not, and no blocks."""
    patch.setattr("wsc.passes.heads.room", lambda *arguments: False)
    patch.setattr("wsc.passes.heads.SHARE", 1.0)
    patch.setattr(Blocks, "keys", lambda self, types, item: None)


def compiled(model: bytes | Path, fabric: str, precision: str = "f32") -> tuple[wsc.Program, Graph]:
    """The program, and its graph behind the pass, in which something is in groups."""
    stages: dict[str, object] = {}
    program = wsc.compile(
        model, fabric, precision=precision, observe=stages.__setitem__, weights=Seed(0)
    )
    before, after = stages["tokens"], stages["heads"]
    assert isinstance(before, Graph)
    assert isinstance(after, Graph)
    assert products(after) > products(before)
    check_graph(after)
    return program, after


def products(graph: Graph) -> int:
    return sum(isinstance(node.op, Contract) for node in graph.nodes)


@pytest.mark.parametrize("fabric", ["4x2", "1x3"])
@pytest.mark.parametrize(
    ("batch", "heads", "groups", "mask"),
    [(1, 3, 3, ()), (3, 4, 2, (3, 1, 7, 7)), (2, 2, 2, (1, 2, 7, 7))],
)
def test_the_operator_over_sequences(
    batch: int,
    heads: int,
    groups: int,
    mask: tuple[int, ...],
    fabric: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sequences and heads are one dimension, of which a mask has its part in each group."""
    model = attention(batch, heads, groups, mask)
    force(monkeypatch)
    program, _ = compiled(model.SerializeToString(), fabric)
    as_evaluated(model, program)


@pytest.mark.parametrize("name", ["gptj_script", "gpt_neox_script"])
def test_what_exporters_write(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = EXPORTS / f"{name}.onnx"
    force(monkeypatch)
    program, _ = compiled(path, "3x2")
    agree(path.read_bytes(), program, 2e-5)


@pytest.mark.parametrize(("fabric", "precision", "clearly"), [("7x2", "f16", 2), ("7x3", "f32", 0)])
def test_rotations_go_with_their_groups(
    fabric: str, precision: str, clearly: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No map or join has more than the heads of one group; layers, which share angles, stay a loop.

    Where the angles would come through all ports, they come through one and go along the rows.
    """
    force(monkeypatch)
    monkeypatch.setattr("wsc.passes.place.CLEARLY", clearly)
    shape = find_shape("llama3-8b").sized(
        layers=3, hidden=24, heads=6, kv_heads=3, ffn=20, vocabulary=30
    )
    model, path = build(shape, Task(9)), tmp_path / "model.onnx"
    write_model(model, Seed(0), path)
    program, graph = compiled(path, fabric, precision)
    turned = [node for node in graph.nodes if "turned" in node.name]
    assert {node.type.shape[2] for node in turned if isinstance(node.op, Map | Concat)} == {1}
    fed = [tensor for tensor in program.assembly.tensors if "_fed" in tensor.name]
    assert bool(fed) == (clearly == 0)
    agree(path, program, 2e-5 if precision == "f32" else 2e-2)
    main = program.assembly.regions[0].main
    assert [item.register for item in main if isinstance(item, Loop)] == ["layer"]
    alone = {name for item in main if isinstance(item, Call) for name in item.nodes}
    assert not any("layers.2.mlp" in name for name in alone)


def test_turned_neighbours_go_with_their_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What joins neighbours is turned and joined in the part of each group, too."""
    force(monkeypatch)
    shape = find_shape("gpt-j-6b").sized(layers=1, hidden=48, heads=6, ffn=20, vocabulary=30)
    model, path = build(shape, Task(9)), tmp_path / "model.onnx"
    write_model(model, Seed(0), path)
    program, graph = compiled(path, "7x2", "f16")
    turned = [node for node in graph.nodes if "turned" in node.name]
    joined = [node.type.shape for node in turned if isinstance(node.op, Map | Concat)]
    assert {shape[2] for shape in joined} == {3}
    agree(path, program, 2e-2)


def test_what_fits_stays() -> None:
    graph = Simplify().apply(import_onnx(decoder(2), {}, {}, DType.F32))
    assert Heads(find_fabric("4x4")).apply(graph) is graph


def test_blocks_of_keys_stay_where_they_are_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Simplify().apply(import_onnx(decoder(2), {}, {}, DType.F32))
    monkeypatch.setattr("wsc.passes.heads.room", lambda *arguments: False)
    monkeypatch.setattr(Blocks, "keys", lambda self, types, item: 4)
    monkeypatch.setattr("wsc.passes.heads.MOST", 0)
    assert Heads(find_fabric("4x4")).apply(graph) is graph
