"""The trained networks, imported and held against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from tests.fabric import TOLERANCE, difference
from tests.networks import NETWORKS, OTHERS, Network
from tests.oracle import evaluate
from wsc.frontend import import_onnx
from wsc.ir.graph import Gather
from wsc.ir.text import parse_graph, print_graph
from wsc.isa.types import DType

CASES = [
    *((network, precision) for network in NETWORKS for precision in TOLERANCE),
    *((network, DType.F32) for network in OTHERS),
]


@pytest.mark.parametrize(
    ("network", "precision"), CASES, ids=[f"{case[0].name}-{case[1].value}" for case in CASES]
)
def test_outputs_agree(network: Network, precision: DType) -> None:
    graph = import_onnx(network.path, network.dims, precision=precision)
    feeds = network.feeds()
    got = evaluate(graph, feeds)
    session = onnxruntime.InferenceSession(network.path)
    names = [item.name for item in session.get_outputs()]
    for name, want in zip(names, session.run(None, feeds), strict=True):
        assert isinstance(want, np.ndarray)
        assert got[name].dtype == want.dtype
        assert difference(got[name], want) <= TOLERANCE[precision]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_text_round_trip(network: Network) -> None:
    graph = import_onnx(network.path, network.dims)
    constants = {item.name: item for item in graph.constants}
    assert parse_graph(print_graph(graph), constants) == graph


def test_the_shape_arithmetic_of_minilm_is_gone() -> None:
    (network,) = [item for item in NETWORKS if item.name == "minilm"]
    graph = import_onnx(network.path, network.dims)
    # The embedding of the tokens; those of position and type are constants.
    assert sum(isinstance(node.op, Gather) for node in graph.nodes) == 1
    assert len(graph.nodes) < 200
    assert all(node.origin for node in graph.nodes)


def test_nodes_are_named_after_the_model() -> None:
    (network,) = [item for item in NETWORKS if item.name == "minilm"]
    graph = import_onnx(network.path, network.dims)
    wanted = "/model/model.0/auto_model/encoder/layer.0/attention/self/query/MatMul"
    (node,) = [item for item in graph.nodes if item.name == wanted]
    assert node.origin == (wanted,)
