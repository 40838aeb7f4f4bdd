"""Trained networks of other kinds: recurrent, of 8 bits, over graphs, convolutions of all depths.

Each at a small input, on one fabric and in one precision: run on the simulated fabric and
held against ONNX Runtime. The detector and the ResNet are compiled at their full input and
verified, not run: that takes minutes. ``tests/frontend/test_networks.py`` holds what all of
them import as against ONNX Runtime.
"""

from __future__ import annotations

import onnxruntime
import pytest

import wsc
from tests.fabric import assert_as_onnx_runtime
from tests.networks import COMPILED, RUN, Network
from wsc.isa.types import DType


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "fabric", "precision"), RUN, ids=[network.name for network, _, _ in RUN]
)
def test_outputs_agree_with_onnx_runtime(network: Network, fabric: str, precision: str) -> None:
    feeds = network.feeds()
    program = wsc.compile(network.path, fabric=fabric, dims=dict(network.dims), precision=precision)
    run = program.run(feeds, engine="values")
    session = onnxruntime.InferenceSession(network.path)
    assert_as_onnx_runtime(run, session, feeds, DType(precision))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "fabric", "precision"), COMPILED, ids=[network.name for network, _, _ in COMPILED]
)
def test_compiles_and_verifies(network: Network, fabric: str, precision: str) -> None:
    """The compiler verifies what it returns; more tiles leave the text as long as it is."""
    program = wsc.compile(network.path, fabric=fabric, dims=dict(network.dims), precision=precision)
    assert program.text.count("\n") < 4000
