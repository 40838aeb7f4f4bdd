"""The four real networks, whole: compiled, run on the simulated fabric, held against ONNX Runtime.

Predicted cycles are held against those of the same runs.

Each at its full input: f32 on a square and on a rectangle that is neither square nor a power
of two, f16 on the square. Nothing is skipped: a package that is missing fails its tests.
"""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

import wsc
from tests.fabric import assert_as_onnx_runtime
from tests.networks import NETWORKS, Network
from tests.runtime.agreement import assert_agree
from wsc.cost.agreement import NETWORK as TOLERATED
from wsc.cost.agreement import kind, pairs
from wsc.cost.predict import predict
from wsc.isa.types import DType

CASES = [("16x16", DType.F32), ("20x12", DType.F32), ("16x16", DType.F16)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fabric", "precision"), CASES, ids=[f"{fabric}-{kind.value}" for fabric, kind in CASES]
)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_outputs_agree_with_onnx_runtime(network: Network, fabric: str, precision: DType) -> None:
    feeds = network.feeds()
    program = wsc.compile(
        network.path, fabric=fabric, dims=dict(network.dims), precision=precision.value
    )
    prediction = predict(program.assembly, program.fabric)
    run = program.run(feeds)
    assert abs(prediction.cycles / run.cycles - 1) <= TOLERATED
    calls = pairs(prediction, run.counters.statements)
    beyond = [call for call in calls if not call.agrees]
    # Where the model is less exact, and by how much at most: see docs/cost.md.
    assert {kind(call.name) for call in beyond} <= {
        "move",
        "convolution_streamed",
        "matmul_resident",
    }
    assert sum(abs(call.predicted - call.measured) for call in beyond) <= 0.03 * run.cycles
    session = onnxruntime.InferenceSession(network.path)
    assert_as_onnx_runtime(run, session, feeds, precision)


@pytest.mark.slow
def test_the_engines_agree_on_a_real_network(tmp_path: Path) -> None:
    """The smallest of the four, on few tiles: outputs to the bit, cycles, all counters."""
    (silero,) = [item for item in NETWORKS if item.name == "silero"]
    program = wsc.compile(silero.path, fabric="4x4", dims=dict(silero.dims), precision="f16")
    program.save(tmp_path / "program.wsa")
    end = assert_agree(
        program.assembly, silero.feeds(), fabric=program.fabric, weights_dir=tmp_path
    )
    assert not end.error
