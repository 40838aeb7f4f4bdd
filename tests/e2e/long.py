"""Recurrent networks of more steps than are worth unrolling."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUT = 3


def _values(name: str, *shape: int) -> onnx.TensorProto:
    random = np.random.default_rng(len(name) + sum(shape))
    return numpy_helper.from_array(random.uniform(-0.5, 0.5, shape).astype(np.float32), name)


def _info(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "long", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def long_recurrence(
    op_type: str, steps: int, hidden: int, batch: int = 1, direction: str = "forward"
) -> onnx.ModelProto:
    """One recurrent node; its whole sequence and its last state are outputs."""
    ways, rows = 2 if direction == "bidirectional" else 1, GATES[op_type] * hidden
    weights = [_values("w", ways, rows, INPUT), _values("r", ways, rows, hidden)]
    weights.append(_values("b", ways, 2 * rows))
    node = helper.make_node(
        op_type,
        ["x", "w", "r", "b"],
        ["y", "last"],
        name="net",
        hidden_size=hidden,
        direction=direction,
    )
    outputs = [_info("y", steps, ways, batch, hidden), _info("last", ways, batch, hidden)]
    return _model([node], weights, [_info("x", steps, batch, INPUT)], outputs)


def long_scan(steps: int, hidden: int) -> onnx.ModelProto:
    """``h = tanh(x w + h r)`` in a Scan."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["xi", "w"], ["a"], name="in"),
            helper.make_node("MatMul", ["hi", "r"], ["b"], name="again"),
            helper.make_node("Add", ["a", "b"], ["c"], name="sum"),
            helper.make_node("Tanh", ["c"], ["ho"], name="act"),
            helper.make_node("Identity", ["ho"], ["yo"], name="out"),
        ],
        "body",
        [_info("hi", 1, hidden), _info("xi", 1, INPUT)],
        [_info("ho", 1, hidden), _info("yo", 1, hidden)],
    )
    node = helper.make_node(
        "Scan", ["h0", "x"], ["last", "y"], name="net", body=body, num_scan_inputs=1
    )
    inputs = [_info("h0", 1, hidden), _info("x", steps, 1, INPUT)]
    outputs = [_info("last", 1, hidden), _info("y", steps, 1, hidden)]
    return _model(
        [node], [_values("w", INPUT, hidden), _values("r", hidden, hidden)], inputs, outputs
    )


def feeds_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Values for the inputs of a model."""
    random = np.random.default_rng(7)
    return {
        item.name: random.standard_normal(
            [dim.dim_value for dim in item.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for item in model.graph.input
    }
