"""Attention in blocks of keys: the same result, and only where its scores find no room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import wsc
from tests.stacks import decoder
from wsc.errors import CompileError
from wsc.frontend import import_onnx
from wsc.ir.check import check_graph
from wsc.ir.graph import Graph
from wsc.isa.fabric import find_fabric
from wsc.isa.program import Loop
from wsc.isa.types import DType
from wsc.models.builders import transformer_encoder
from wsc.passes.blocks import Blocks
from wsc.passes.simplify import Simplify

EXPORTS = Path(__file__).parents[1] / "exports"


def force(patch: pytest.MonkeyPatch, size: int) -> None:
    """Blocks of so many keys, whether they are needed or not."""
    patch.setattr(Blocks, "_size", lambda self, types, item: size)


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


def agree(model: bytes, program: wsc.Program, tolerance: float) -> None:
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
