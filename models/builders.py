"""Builders of ONNX graphs: the usual networks at any size, with weights by seed.

Each builder returns a checked ``onnx.ModelProto`` whose weights are initializers drawn
from a normal distribution scaled by the square root of the fan-in, so that activations
keep their magnitude through the layers. A builder that takes ``weights`` uses those,
by initializer name, in place of the draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx
from onnx import helper

from wsc.models.writer import Dim, Weights, Writer


def matmul(m: int, k: int, n: int, *, streamed: bool = True, seed: int = 0) -> onnx.ModelProto:
    """``c[m, n] = a[m, k] @ b[k, n]``.

    ``b`` is an initializer (weights that stream in) or, with ``streamed=False``, a
    second input (activation times activation).
    """
    graph = Writer(f"matmul_{m}x{k}x{n}", seed)
    a = graph.input("a", (m, k))
    b = graph.parameter("b", (k, n), k) if streamed else graph.input("b", (k, n))
    graph.node("MatMul", "c", a, b)
    graph.output("c", (m, n))
    return graph.model()


def mlp(
    sizes: Sequence[int],
    *,
    batch: Dim = 1,
    image: Sequence[int] | None = None,
    seed: int = 0,
    weights: Weights | None = None,
) -> onnx.ModelProto:
    """A multi-layer perceptron: Gemm layers of the given sizes with Relu between them.

    Input ``x`` is ``[batch, sizes[0]]``; with ``image`` it is ``image`` of shape
    ``[batch, *image]`` and flattened first. Output ``logits`` is ``[batch, sizes[-1]]``.
    """
    if len(sizes) < 2:
        raise ValueError(f"an MLP has an input and an output size, got {list(sizes)}")
    graph = Writer("mlp", seed, weights)
    if image is None:
        x = graph.input("x", (batch, sizes[0]))
    else:
        x = graph.node("Flatten", "flatten", graph.input("image", (batch, *image)), axis=1)
    _classifier(graph, x, sizes, batch)
    return graph.model()


def _classifier(graph: Writer, x: str, sizes: Sequence[int], batch: Dim) -> None:
    """Gemm layers with Relu between them, ending in the output ``logits``."""
    last = len(sizes) - 2
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        # Weights are [out, in], as PyTorch exports them.
        weight = graph.parameter(f"fc{i}.weight", (fan_out, fan_in), fan_in)
        bias = graph.parameter(f"fc{i}.bias", (fan_out,), fan_in)
        name = "logits" if i == last else f"fc{i}"
        x = graph.node("Gemm", name, x, weight, bias, transB=1)
        if i < last:
            x = graph.node("Relu", f"fc{i}.relu", x)
    graph.output("logits", (batch, sizes[-1]))


def cnn(
    image: tuple[int, int, int] = (1, 28, 28),
    channels: Sequence[int] = (6, 16),
    *,
    kernel: int = 5,
    padding: int = 0,
    pooled: int = 2,
    hidden: Sequence[int] = (120, 84),
    classes: int = 10,
    batch: Dim = 1,
    seed: int = 0,
    weights: Weights | None = None,
) -> onnx.ModelProto:
    """A LeNet-like network: convolutions with Relu, then fully connected layers.

    The first ``pooled`` convolutions are each followed by 2 x 2 max-pooling. Input
    ``image`` is ``[batch, *image]`` (channels, height, width), output ``logits`` is
    ``[batch, classes]``. The defaults are LeNet-5 with Relu and max-pooling.
    """
    graph = Writer("cnn", seed, weights)
    x = graph.input("image", (batch, *image))
    depth, height, width = image
    for i, out in enumerate(channels):
        fan_in = depth * kernel * kernel
        weight = graph.parameter(f"conv{i}.weight", (out, depth, kernel, kernel), fan_in)
        bias = graph.parameter(f"conv{i}.bias", (out,), fan_in)
        shape = {"kernel_shape": [kernel] * 2, "pads": [padding] * 4}
        x = graph.node("Conv", f"conv{i}", x, weight, bias, **shape)
        x = graph.node("Relu", f"conv{i}.relu", x)
        depth, height, width = out, *(s + 2 * padding - kernel + 1 for s in (height, width))
        if i < pooled:
            x = graph.node("MaxPool", f"pool{i}", x, kernel_shape=[2, 2], strides=[2, 2])
            height, width = height // 2, width // 2
        if min(height, width) < 1:
            raise ValueError(f"nothing is left of a {image} image after convolution {i}")
    x = graph.node("Flatten", "flatten", x, axis=1)
    _classifier(graph, x, (depth * height * width, *hidden, classes), batch)
    return graph.model()


def transformer_encoder(
    layers: int,
    hidden: int,
    heads: int,
    tokens: int,
    *,
    expansion: int = 4,
    batch: int = 1,
    seed: int = 0,
) -> onnx.ModelProto:
    """A post-norm transformer encoder, as BERT: attention, then a GELU feed-forward block.

    Input ``x`` and output ``y`` are ``[batch, tokens, hidden]``; ``hidden`` is a multiple
    of ``heads``. The operators are those that exporters write (MatMul and Add, Reshape,
    Transpose, Softmax, LayerNormalization, Gelu).
    """
    if hidden % heads:
        raise ValueError(f"hidden size {hidden} is not a multiple of {heads} heads")
    graph = Writer("transformer_encoder", seed)
    x = graph.input("x", (batch, tokens, hidden))
    split = np.array([batch, tokens, heads, hidden // heads], np.int64)
    graph.constant("shape.split", split)
    graph.constant("shape.merge", np.array([batch, tokens, hidden], np.int64))
    graph.constant("scale", np.array(np.sqrt(hidden // heads), np.float32))
    for i in range(layers):
        attended = _attention(graph, f"layer{i}.attention", x, hidden)
        x = _add_and_norm(graph, f"layer{i}.norm0", x, attended, hidden)
        inner = graph.dense(f"layer{i}.up", x, hidden, expansion * hidden)
        inner = graph.node("Gelu", f"layer{i}.gelu", inner)
        inner = graph.dense(f"layer{i}.down", inner, expansion * hidden, hidden)
        out = "y" if i == layers - 1 else ""
        x = _add_and_norm(graph, f"layer{i}.norm1", x, inner, hidden, out=out)
    graph.output("y", (batch, tokens, hidden))
    return graph.model()


def _attention(graph: Writer, name: str, x: str, hidden: int) -> str:
    """Multi-head self-attention with its output projection."""

    def head(part: str, perm: list[int]) -> str:
        projected = graph.dense(f"{name}.{part}", x, hidden, hidden)
        split = graph.node("Reshape", f"{name}.{part}.split", projected, "shape.split")
        return graph.node("Transpose", f"{name}.{part}.heads", split, perm=perm)

    query = head("query", [0, 2, 1, 3])
    key = head("key", [0, 2, 3, 1])
    value = head("value", [0, 2, 1, 3])
    scores = graph.node("MatMul", f"{name}.scores", query, key)
    scores = graph.node("Div", f"{name}.scaled", scores, "scale")
    weights = graph.node("Softmax", f"{name}.softmax", scores, axis=-1)
    mixed = graph.node("MatMul", f"{name}.mixed", weights, value)
    mixed = graph.node("Transpose", f"{name}.rows", mixed, perm=[0, 2, 1, 3])
    mixed = graph.node("Reshape", f"{name}.merge", mixed, "shape.merge")
    return graph.dense(f"{name}.output", mixed, hidden, hidden)


def _add_and_norm(graph: Writer, name: str, x: str, y: str, hidden: int, *, out: str = "") -> str:
    """Layer normalisation of the residual sum ``x + y``."""
    total = graph.node("Add", f"{name}.residual", x, y)
    scale = graph.constant(f"{name}.scale", np.ones(hidden, np.float32))
    bias = graph.parameter(f"{name}.bias", (hidden,), hidden)
    return graph.node("LayerNormalization", out or name, total, scale, bias, axis=-1, epsilon=1e-5)


def lstm(
    inputs: int,
    hidden: int,
    steps: int,
    *,
    batch: int = 1,
    bidirectional: bool = False,
    seed: int = 0,
) -> onnx.ModelProto:
    """One LSTM layer with its state as inputs and outputs.

    ``x`` is ``[steps, batch, inputs]``; ``h`` and ``c`` are ``[directions, batch,
    hidden]``. Outputs: ``y`` ``[steps, directions, batch, hidden]``, and the last
    states ``h_out`` and ``c_out``.
    """
    directions = 2 if bidirectional else 1
    state = (directions, batch, hidden)
    graph = Writer("lstm", seed)
    x = graph.input("x", (steps, batch, inputs))
    weight = graph.parameter("W", (directions, 4 * hidden, inputs), inputs)
    recurrence = graph.parameter("R", (directions, 4 * hidden, hidden), hidden)
    bias = graph.parameter("B", (directions, 8 * hidden), hidden)
    h, c = graph.input("h", state), graph.input("c", state)
    outputs = ["y", "h_out", "c_out"]
    graph.nodes.append(
        helper.make_node(
            "LSTM",
            [x, weight, recurrence, bias, "", h, c],
            outputs,
            name="lstm",
            hidden_size=hidden,
            direction="bidirectional" if bidirectional else "forward",
        )
    )
    graph.output("y", (steps, *state))
    graph.output("h_out", state)
    graph.output("c_out", state)
    return graph.model()
