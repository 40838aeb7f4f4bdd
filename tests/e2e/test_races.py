"""No race in what the compiler makes of whole networks (kernels alone: tests/kernels)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import wsc
from wsc import models
from wsc.models import builders

NETWORKS = {
    "digits": (lambda: onnx.load(models.DIGITS), "8x8"),
    "mlp": (lambda: builders.mlp((16, 32, 10), batch=4), "3x5"),
    "encoder": (lambda: builders.transformer_encoder(1, 16, 2, 8), "4x4"),
    "cnn": (lambda: builders.cnn((1, 12, 12), (3, 5), kernel=3, hidden=(16,)), "5x4"),
    "lstm": (lambda: builders.lstm(6, 8, 3), "4x3"),
}


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_none(name: str, precision: str, tmp_path: Path) -> None:
    build, fabric = NETWORKS[name]
    onnx.save(build(), tmp_path / "model.onnx")
    program = wsc.compile(tmp_path / "model.onnx", fabric=fabric, precision=precision)
    random = np.random.default_rng(5)
    inputs = {
        tensor.name: random.standard_normal(tensor.shape).astype(tensor.host_dtype)
        for tensor in program.assembly.edge_tensors
        if tensor.kind.value == "input"
    }
    checked = program.run(inputs, check_races=True, delays=7)
    plain = program.run(inputs)
    for output, value in plain.outputs.items():
        assert np.array_equal(checked.outputs[output], value, equal_nan=True)
