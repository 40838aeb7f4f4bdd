"""Attention in blocks of keys: the same result, and only where its scores find no room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import wsc
from tests.stacks import decoder
from wsc.errors import CompileError
from wsc.frontend import import_onnx
from wsc.frontend.store import Seed, write_model
from wsc.ir.check import check_graph
from wsc.ir.graph import Contract, Graph
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Loop
from wsc.isa.types import DType
from wsc.models.builders import transformer_encoder
from wsc.models.language import Task, build, find_shape
from wsc.passes.blocks import Blocks
from wsc.passes.heads import Heads
from wsc.passes.simplify import Simplify

EXPORTS = Path(__file__).parents[1] / "exports"


def force(patch: pytest.MonkeyPatch, size: int) -> None:
    """Blocks of so many keys, whether they are needed or not."""
    patch.setattr(Blocks, "keys", lambda self, types, item: size)
    patch.setattr(Heads, "sizes", lambda self, graph, item: None)


def feeds(session: onnxruntime.InferenceSession) -> dict[str, np.ndarray]:
    """Inputs; a mask hides the first two positions, and so whole rows of causal attention."""
    random = np.random.default_rng(3)
    found: dict[str, np.ndarray] = {}
    for value in session.get_inputs():
        if "mask" in value.name:
            found[value.name] = np.ones(value.shape, np.int64)
            found[value.name][:, :2] = 0
        elif "int" in value.type:
            found[value.name] = random.integers(0, 5, value.shape)
        else:
            found[value.name] = random.standard_normal(value.shape).astype(np.float32)
    return found


def agree(model: bytes | Path, program: wsc.Program, tolerance: float) -> None:
    session = onnxruntime.InferenceSession(model)
    given = feeds(session)
    wanted = session.run(None, given)
    result = program.run(given, engine="values")
    for output, value in zip(session.get_outputs(), wanted, strict=True):
        np.testing.assert_allclose(
            result.outputs[output.name], np.asarray(value), tolerance, tolerance
        )


def blocked(
    model: onnx.ModelProto, fabric: str, precision: DType = DType.F32
) -> tuple[Graph, Graph]:
    before = Simplify().apply(import_onnx(model, {}, {}, precision))
    return before, Blocks(find_fabric(fabric)).apply(before)


@pytest.mark.parametrize(("size", "fabric"), [(2, "4x4"), (4, "3x5"), (5, "1x1")])
def test_blocks_of_any_size(size: int, fabric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(2)
    force(monkeypatch, size)
    check_graph(blocked(model, fabric)[1])
    agree(model.SerializeToString(), wsc.compile(model, fabric), 2e-5)


def test_halves_have_wide_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(2)
    force(monkeypatch, 2)
    before, after = blocked(model, "4x4", DType.F16)
    assert len(after.nodes) > len(before.nodes)
    check_graph(after)
    agree(model.SerializeToString(), wsc.compile(model, "4x4", precision="f16"), 2e-2)


@pytest.mark.parametrize("name", ["gpt2_script", "gptj_script", "llama_step_script"])
def test_what_exporters_write(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of minus infinity, rows of which every key is masked, scores that are scaled later."""
    path = EXPORTS / f"{name}.onnx"
    force(monkeypatch, 2)
    stages: dict[str, object] = {}
    program = wsc.compile(path, "3x3", observe=stages.__setitem__)
    before, after = stages["simplify"], stages["blocks"]
    assert isinstance(before, Graph)
    assert isinstance(after, Graph)
    assert len(after.nodes) > len(before.nodes) + 40
    agree(path.read_bytes(), program, 2e-5)


def attention(batch: int, heads: int, groups: int, mask: tuple[int, ...]) -> onnx.ModelProto:
    """The operator with 7 queries, and 7 keys of size 4 a head; causal, or with a constant mask."""
    sizes = {"q": heads * 4, "k": groups * 4, "v": groups * 4}
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 7, size])
        for name, size in sizes.items()
    ]
    hidden = np.asarray(np.random.default_rng(5).random(mask or (1,)) < 0.8)
    hidden[..., 0] = True
    node = helper.make_node(
        "Attention",
        ["q", "k", "v", *(["mask"] if mask else [])],
        ["y"],
        is_causal=not mask,
        q_num_heads=heads,
        kv_num_heads=groups,
    )
    shown = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 7, heads * 4])]
    weights = [numpy_helper.from_array(hidden, "mask")] if mask else []
    graph = helper.make_graph([node], "attention", given, shown, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def as_evaluated(model: onnx.ModelProto, program: wsc.Program) -> None:
    """Hold a program against the reference evaluator, on drawn inputs."""
    random = np.random.default_rng(3)
    given = {
        value.name: random.standard_normal(
            [d.dim_value for d in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in model.graph.input
    }
    (wanted,) = ReferenceEvaluator(model).run(None, given)
    result = program.run(given, engine="values")
    np.testing.assert_allclose(result.outputs["y"], np.asarray(wanted), 2e-5, 2e-5)


@pytest.mark.parametrize("fabric", ["1x1", "4x4", "5x2", "1x3"])
@pytest.mark.parametrize(
    ("batch", "heads", "groups", "mask"),
    [
        (1, 3, 3, ()),
        (2, 3, 3, ()),
        (3, 4, 2, (3, 1, 7, 7)),
        (2, 2, 1, (2, 2, 7, 7)),
        (2, 2, 2, (1, 2, 7, 7)),
    ],
)
def test_the_operator_over_sequences(
    batch: int,
    heads: int,
    groups: int,
    mask: tuple[int, ...],
    fabric: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sequences and heads are one dimension; the result has other dimensions than the scores."""
    model = attention(batch, heads, groups, mask)
    force(monkeypatch, 3)
    before, after = blocked(model, fabric)
    check_graph(after)
    assert len(after.nodes) > len(before.nodes)
    joined = batch > 1 and groups > 1
    ranks = {len(node.op.out) for node in after.nodes if isinstance(node.op, Contract)}
    assert ranks == {4 if joined else 5}
    as_evaluated(model, wsc.compile(model, fabric))


@pytest.mark.parametrize("name", ["gpt-neox-20b", "gopher-280b"])
def test_models_by_name_over_sequences(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three sequences, their row numbers and keys some at a time; layers stay a loop."""
    force(monkeypatch, 2)
    monkeypatch.setattr("wsc.passes.place.SHARE_OF_NUMBERS", 4e-4)
    shape = find_shape(name).sized(layers=2, hidden=32, heads=4, vocabulary=40)
    model, path = build(shape, Task(12, 3)), tmp_path / "model.onnx"
    write_model(model, Seed(0), path)
    program = wsc.compile(model, "5x4", weights=Seed(0))
    agree(path, program, 2e-5)
    main = program.assembly.regions[0].main
    assert any(isinstance(item, Loop) and item.register == "layer" for item in main)


def test_what_fits_stays() -> None:
    before, after = blocked(decoder(2), "4x4")
    assert after is before


def test_scores_that_no_tile_has_room_for() -> None:
    """2 x 112 x 112 scores are 100 KB; without blocks: no layout fits."""
    model = transformer_encoder(2, 8, 2, 112)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blocks, "apply", lambda self, graph: graph)
        with pytest.raises(CompileError, match="no layout"):
            wsc.compile(model, "1x1")
    agree(model.SerializeToString(), wsc.compile(model, "1x1"), 2e-5)


def test_a_loop_over_blocks_within_the_loop_over_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder(3, tokens=40)
    force(monkeypatch, 2)
    program = wsc.compile(model, "2x1")
    (layers,) = (item for item in program.assembly.regions[0].main if isinstance(item, Loop))
    assert layers.register == "layer"
    assert [item.register for item in layers.body if isinstance(item, Loop)] == ["turn"]
    agree(model.SerializeToString(), program, 2e-5)
