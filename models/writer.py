"""An ONNX graph under construction: what all builders write with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# The newest onnx writes IR 14 and opset 28; ONNX Runtime 1.31 takes 13 and 26 at most.
# These two are older than either limit and hold all that the builders need.
IR_VERSION = 10
OPSET = 21

Dim = int | str
"""A static size, or the name of a dimension that is bound when the model is compiled."""

Weights = Mapping[str, NDArray[np.float32]]


class Writer:
    """An ONNX graph under construction; values are known by name."""

    opset = OPSET
    ir_version = IR_VERSION

    def __init__(self, name: str, seed: int, weights: Weights | None = None) -> None:
        self.name = name
        self.random = np.random.default_rng(seed)
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def input(self, name: str, shape: Sequence[Dim]) -> str:
        """A float32 graph input."""
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name: str, shape: Sequence[Dim]) -> None:
        """Declare a float32 graph output."""
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """An initializer with the given value."""
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def parameter(self, name: str, shape: Sequence[int], fan_in: int) -> str:
        """A trainable initializer: given by name, or drawn with variance 1 / ``fan_in``."""
        if self.weights is None:
            drawn = self.random.standard_normal(tuple(shape)) / np.sqrt(fan_in)
            return self.constant(name, drawn.astype(np.float32))
        value = self.weights[name]
        if value.shape != tuple(shape):
            raise ValueError(f"weight {name}: shape {value.shape}, wanted {tuple(shape)}")
        return self.constant(name, value)

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output; node and output both carry ``name``."""
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def dense(self, name: str, x: str, fan_in: int, fan_out: int, *, out: str = "") -> str:
        """``x @ W + b`` over the last dimension, as MatMul and Add."""
        weight = self.parameter(f"{name}.weight", (fan_in, fan_out), fan_in)
        bias = self.parameter(f"{name}.bias", (fan_out,), fan_in)
        product = self.node("MatMul", f"{name}.matmul", x, weight)
        return self.node("Add", out or f"{name}.add", product, bias)

    def model(self) -> onnx.ModelProto:
        """The finished model, checked."""
        graph = helper.make_graph(
            self.nodes, self.name, self.inputs, self.outputs, self.initializers
        )
        model = helper.make_model(
            graph,
            ir_version=self.ir_version,
            opset_imports=[helper.make_opsetid("", self.opset)],
            producer_name="wsc-models",
        )
        self.check(model)
        return model

    def check(self, model: onnx.ModelProto) -> None:
        """Raise onnx.checker.ValidationError for a model that is none."""
        onnx.checker.check_model(model)
