"""Small stacks of layers: pre-norm attention with what the layers of language models share."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


class Stack:
    """A decoder under construction: nodes and weights, names that go on with the layers."""

    def __init__(self, hidden: int, heads: int, tokens: int, seed: int = 0) -> None:
        self.hidden, self.heads, self.tokens = hidden, heads, tokens
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info("x", FLOAT, [1, tokens, hidden])]
        self.outputs: list[onnx.ValueInfoProto] = []

    def weight(self, name: str, *shape: int) -> str:
        """A drawn weight."""
        value = self.random.standard_normal(shape) / np.sqrt(shape[0])
        return self.constant(name, value.astype(np.float32))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def norm(self, name: str, x: str) -> str:
        scale = self.weight(f"{name}.weight", self.hidden)
        return self.node("LayerNormalization", name, x, scale, axis=-1)

    def dense(self, name: str, x: str, wide: int, out: int) -> str:
        return self.node("MatMul", name, x, self.weight(f"{name}.weight", wide, out))

    def layer(self, name: str, x: str, caches: bool = False) -> str:
        """One layer: rotated queries, a mask that all layers share, a feed-forward block."""
        width, size = self.hidden, self.hidden // self.heads
        normed = self.norm(f"{name}.ln_1", x)
        parts: list[str] = []
        for part in ("q", "k", "v"):
            made = self.dense(f"{name}.{part}", normed, width, width)
            split = self.node("Reshape", f"{name}.{part}.split", made, "split")
            parts.append(self.node("Transpose", f"{name}.{part}.t", split, perm=[0, 2, 1, 3]))
        query = self.node("Mul", f"{name}.turned", parts[0], "angles")
        key = self.node("Transpose", f"{name}.key", parts[1], perm=[0, 1, 3, 2])
        if caches:
            shape = [1, self.heads, self.tokens, size]
            for number, part in enumerate(parts[1:]):
                shown = self.node("Identity", f"present.{name}.{number}", part)
                self.outputs.append(helper.make_tensor_value_info(shown, FLOAT, shape))
        scores = self.node("MatMul", f"{name}.scores", query, key)
        scores = self.node("Add", f"{name}.masked", scores, "mask")
        shares = self.node("Softmax", f"{name}.softmax", scores, axis=-1)
        mixed = self.node("MatMul", f"{name}.mixed", shares, parts[2])
        mixed = self.node("Transpose", f"{name}.mixed.t", mixed, perm=[0, 2, 1, 3])
        mixed = self.node("Reshape", f"{name}.merge", mixed, "merge")
        x = self.node("Add", f"{name}.attended", x, self.dense(f"{name}.o", mixed, width, width))
        inner = self.dense(f"{name}.up", self.norm(f"{name}.ln_2", x), width, 2 * width)
        inner = self.node("Gelu", f"{name}.gelu", inner)
        return self.node(
            "Add", f"{name}.out", x, self.dense(f"{name}.down", inner, 2 * width, width)
        )

    def model(self, x: str) -> onnx.ModelProto:
        """The model with a last norm behind ``x``."""
        size = self.hidden // self.heads
        self.constant("split", np.array([1, self.tokens, self.heads, size]))
        self.constant("merge", np.array([1, self.tokens, self.hidden]))
        mask = np.triu(np.full((self.tokens, self.tokens), -1e9, np.float32), 1)
        self.constant("mask", mask)
        turns = np.arange(self.tokens)[:, None] * np.arange(size)[None, :]
        self.constant("angles", np.cos(turns).astype(np.float32))
        self.norm("y", x)
        shape = [1, self.tokens, self.hidden]
        self.outputs.insert(0, helper.make_tensor_value_info("y", FLOAT, shape))
        graph = helper.make_graph(self.nodes, "stack", self.inputs, self.outputs, self.weights)
        opset = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, ir_version=10, opset_imports=opset)


def decoder(
    layers: int,
    hidden: int = 16,
    heads: int = 2,
    tokens: int = 6,
    *,
    caches: bool = False,
    name: str = "h.{}",
) -> onnx.ModelProto:
    """A decoder of so many layers. caches: each layer's keys and values are outputs."""
    stack = Stack(hidden, heads, tokens)
    x = "x"
    for number in range(layers):
        x = stack.layer(name.format(number), x, caches)
    return stack.model(x)


def residual(layers: int, hidden: int = 8, tokens: int = 5) -> onnx.ModelProto:
    """Layers that are a norm and a product each, added to what they are handed."""
    stack = Stack(hidden, 2, tokens)
    x = "x"
    for number in range(layers):
        name = f"h.{number}"
        inner = stack.dense(f"{name}.up", stack.norm(f"{name}.ln", x), hidden, hidden)
        x = stack.node("Add", f"{name}.out", x, stack.node("Tanh", f"{name}.tanh", inner))
    return stack.model(x)


def normed_behind(layers: int, hidden: int = 8, tokens: int = 5) -> onnx.ModelProto:
    """Layers with their norm at the end, as BERT has them, and one more norm in front of all."""
    stack = Stack(hidden, 2, tokens)
    x = stack.norm("embedding.ln", "x")
    for number in range(layers):
        name = f"h.{number}"
        inner = stack.dense(f"{name}.up", x, hidden, hidden)
        inner = stack.node("Add", f"{name}.sum", x, stack.node("Tanh", f"{name}.tanh", inner))
        x = stack.norm(f"{name}.ln", inner)
    return stack.model(x)


def patchwork(layers: int = 3) -> onnx.ModelProto:
    """Layers between others: a plain product, a stack, a norm, a second stack of wider names."""
    stack = Stack(16, 2, 6)
    x = stack.dense("first", "x", 16, 16)
    for number in range(layers):
        x = stack.layer(f"encoder.{number}", x)
    x = stack.norm("between", x)
    for number in range(layers):
        x = stack.node("Tanh", f"decoder.{number}.tanh", stack.layer(f"decoder.{number}", x))
    return stack.model(x)
