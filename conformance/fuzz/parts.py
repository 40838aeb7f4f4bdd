"""Parts of a model that a change may take hold of, and the values that it may put there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

INTS = (
    0,
    -1,
    1,
    2,
    3,
    7,
    -2,
    64,
    255,
    1000,
    10**6,
    2**31 - 1,
    2**31,
    2**32 + 1,
    2**40,
    2**63 - 1,
    -(2**31),
    -(2**63),
)
FLOATS = (0.0, -1.0, 3.5, -0.0, 1e30, 1e-45, float("inf"), float("-inf"), float("nan"))
STRINGS = (
    b"",
    b"x",
    b"NOTSET",
    b"SAME_UPPER",
    b"linear",
    b"...",
    b"ij,jk->ik",
    b"\xff\xfe",
    b"s" * 5000,
)
NAMES = ("", "x", "y", "nowhere", "a\nb", "../../etc", "n" * 5000, "naïve 名", "%s{0}", "x.0")
SIZES = (0, -1, 1, 2, 3, 5, 17, 1000, 10**6, 2**31, 2**40, 2**62, 2**63 - 1)
OPSETS = (0, -1, 1, 6, 9, 12, 13, 17, 18, 21, 24, 1000, 2**31, 2**62)
OPERATORS = (
    "Relu",
    "Add",
    "Pow",
    "MatMul",
    "Conv",
    "Gemm",
    "Reshape",
    "Slice",
    "Gather",
    "Concat",
    "Pad",
    "Resize",
    "TopK",
    "Softmax",
    "ReduceSum",
    "Where",
    "Cast",
    "Split",
    "Unsqueeze",
    "Squeeze",
    "Transpose",
    "Expand",
    "Tile",
    "MaxPool",
    "Einsum",
    "LSTM",
    "If",
    "Loop",
    "Scan",
    "Constant",
    "Identity",
    "ScatterND",
    "CumSum",
    "ArgMax",
    "LayerNormalization",
    "Nope",
    "",
)
TYPES = (*range(24), 99, -1)

_T = TypeVar("_T")


class NotApplicable(Exception):
    """The model has nothing that this change would change."""


def one(items: Sequence[_T], rng: random.Random) -> _T:
    """Any of them. Raises NotApplicable if there is none."""
    if not items:
        raise NotApplicable
    return items[rng.randrange(len(items))]


def graphs(graph: GraphProto) -> list[GraphProto]:
    """A graph and those of its nodes, at any depth."""
    inner = [
        part for node in graph.node for item in node.attribute for part in (item.g, *item.graphs)
    ]
    return [graph, *(found for part in inner if part.node for found in graphs(part))]


def node_of(model: ModelProto, rng: random.Random) -> NodeProto:
    """A node of any graph or function."""
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    return one(nodes, rng)


def attribute_of(model: ModelProto, rng: random.Random) -> AttributeProto:
    """An attribute of a node of the main graph."""
    node = one([node for node in model.graph.node if node.attribute], rng)
    return one(node.attribute, rng)


def info_of(model: ModelProto, rng: random.Random) -> ValueInfoProto:
    """A value that is declared as a tensor, often an input."""
    graph = model.graph
    infos = [*graph.input, *graph.input, *graph.output, *graph.value_info]
    return one([info for info in infos if info.type.HasField("tensor_type")], rng)


def tensor_of(model: ModelProto, rng: random.Random) -> TensorProto:
    """A tensor that the main graph stores."""
    inside = [item.t for node in model.graph.node for item in node.attribute if item.HasField("t")]
    return one([*model.graph.initializer, *inside], rng)
