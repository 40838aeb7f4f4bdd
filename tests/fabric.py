"""The whole path: compile a small model, run it on the simulated fabric, ask ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import wsc
from tests.frontend.cases import run_reference
from tests.runtime.agreement import Ending, assert_agree
from wsc.frontend import import_model
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.types import DType
from wsc.pipeline import run_passes
from wsc.runtime.api import RunResult, ValuesResult

TOLERANCE = {DType.F32: 1e-4, DType.F16: 2e-2}


def build(
    model: onnx.ModelProto,
    fabric: str | Fabric,
    precision: DType = DType.F32,
    same_order: bool = False,
) -> Any:
    """Compile a model in memory; the API's program."""
    import onnx_ir

    graph = import_model(onnx_ir.from_proto(model), precision)
    description = find_fabric(fabric) if isinstance(fabric, str) else fabric
    compiled = run_passes(graph, description, precision, "case", None, same_order)
    return wsc.Program(compiled.program, compiled.fabric, compiled.constants)


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference, relative to the largest magnitude of the wanted output."""
    assert got.shape == wanted.shape, f"shape {got.shape}, wanted {wanted.shape}"
    if not wanted.size:
        return 0.0
    wanted = wanted.astype(np.float64)
    scale = float(np.max(np.abs(wanted))) or 1.0
    return float(np.max(np.abs(got.astype(np.float64) - wanted))) / scale


def assert_as_onnx_runtime(
    run: RunResult | ValuesResult,
    session: onnxruntime.InferenceSession,
    feeds: Mapping[str, np.ndarray],
    precision: DType,
) -> None:
    """Hold the outputs of a run against ONNX Runtime's: names, types and values."""
    names = [item.name for item in session.get_outputs()]
    assert list(run.outputs) == names
    for name, wanted in zip(names, session.run(None, dict(feeds)), strict=True):
        wanted = np.asarray(wanted)
        assert run.outputs[name].dtype == wanted.dtype
        error = difference(run.outputs[name], wanted)
        assert error <= TOLERANCE[precision], f"{name}: {error:.3g}"


def compare(
    model: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
    fabric: str,
    precision: DType = DType.F32,
    same_order: bool = False,
) -> Ending:
    """Run on both engines and in ONNX Runtime; how the fabric's run ended, when all agree."""
    with tempfile.TemporaryDirectory() as folder:
        program = build(model, fabric, precision, same_order)
        program.save(Path(folder) / "program.wsa")
        end = assert_agree(
            program.assembly,
            feeds,
            check_races=True,
            fabric=program.fabric,
            weights_dir=Path(folder),
        )
    assert not end.error, end.error
    wanted = run_reference(model, feeds)
    for output, value in zip(model.graph.output, wanted, strict=True):
        error = difference(end.outputs[output.name], value)
        assert error <= TOLERANCE[precision], f"{output.name}: {error:.3g} on {fabric}"
    return end


def network(path: Path) -> onnx.ModelProto:
    """A model from a file."""
    return onnx.load(path)
