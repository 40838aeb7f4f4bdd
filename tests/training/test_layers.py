"""Layers in training: loops of the forward and of the backward pass, with the same gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

import wsc
from tests.passes.test_layers import loops
from tests.stacks import decoder, patchwork
from wsc.api import compile_step
from wsc.frontend.store import Seed
from wsc.isa.code_size import code_bytes
from wsc.isa.program import Loop
from wsc.isa.turns import plain_transfers
from wsc.models.language import Task, build, find_shape


def step(model: onnx.ModelProto, fabric: str) -> wsc.Program:
    """A training step of a small decoder."""
    return compile_step(model, "mse", "sgd", fabric=fabric)


def results(
    program: wsc.Program, more: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Loss and gradients of a batch. more: other inputs."""
    random = np.random.default_rng(3)
    feeds = {
        tensor.name: random.standard_normal(tensor.shape).astype(np.float32)
        for tensor in program.assembly.edge_tensors
        if tensor.name in ("x", "label")
    }
    return program.run({**feeds, **(more or {})}, engine="values").outputs


def test_stacks_are_loops_forwards_and_backwards() -> None:
    # The last layer of a backward pass ends where nothing before it is trained, or hands on to
    # something else than a layer: it is on its own.
    program = step(patchwork(3), "3x4").assembly
    assert loops(program) == [(3, 3), (3, 3), (2, 2), (2, 2)]
    drained = [t.tensor for t in plain_transfers(program) if t.tensor.endswith(".grad")]
    assert sorted(drained) == sorted(update.gradient for update in program.updates)


def test_code_does_not_grow_with_depth() -> None:
    few, many = (max(code_bytes(p.assembly, p.fabric).values()) for p in map(deep, (4, 7)))
    # What the layers share has a gradient from each of them: an instruction a layer adds it.
    assert many < 1.03 * few


def deep(layers: int) -> wsc.Program:
    return step(decoder(layers), "2x2")


@pytest.mark.parametrize(("layers", "fabric"), [(3, "4x3"), (2, "1x4")])
def test_gradients_are_those_of_layers_one_by_one(
    layers: int, fabric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled = results(step(decoder(layers), fabric))
    monkeypatch.setattr("wsc.passes.place.find_layers", lambda graph: [])
    plain = results(step(decoder(layers), fabric))
    assert rolled.keys() == plain.keys()
    for name, array in plain.items():
        np.testing.assert_allclose(rolled[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["gpt-neox-20b", "llama3-8b"])
def test_gradients_of_language_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Parallel branches, whose sums do not come to lie where the layer was handed its gradient.
    shape = find_shape(name).sized(layers=3, hidden=32, heads=2, ffn=24, vocabulary=20)
    shape = shape.sized(kv_heads=1) if "llama" in name else shape
    random = np.random.default_rng(2)
    feeds = {key: random.integers(0, 20, (2, 5)) for key in ("input_ids", "label")}

    def gradients(loops: int) -> dict[str, np.ndarray]:
        model = build(shape, Task(sequence=5, batch=2))
        program = compile_step(model, fabric="3x4", weights=Seed(1), recompute="none")
        stacks = [item for item in program.assembly.regions[0].main if isinstance(item, Loop)]
        assert len([loop for loop in stacks if loop.register == "layer"]) == loops
        return program.run(feeds, engine="values").outputs

    rolled = gradients(2)
    monkeypatch.setattr("wsc.passes.place.find_layers", lambda graph: [])
    for key, array in gradients(0).items():
        np.testing.assert_allclose(rolled[key], array, 1e-4, 1e-6, err_msg=key)
