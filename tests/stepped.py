"""Models of one step, and ONNX Runtime's answer to several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
Dims = Sequence[int | str]
Port = tuple[str, Dims] | tuple[str, Dims, int]


def model(
    nodes: Sequence[tuple[Any, ...]],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    weights: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """A model of nodes (operator, inputs, outputs, attributes)."""

    def declared(port: Port) -> onnx.ValueInfoProto:
        kind = port[2] if len(port) == 3 else FLOAT
        return helper.make_tensor_value_info(port[0], kind, port[1])

    made = [
        helper.make_node(op, list(given), list(left), name=left[0], **dict(*more))
        for op, given, left, *more in nodes
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(
        made, "step", [*map(declared, inputs)], [*map(declared, outputs)], constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def recurrent(*sizes: int) -> onnx.ModelProto:
    """Products one behind the other; the first one's state is handed on, from ``h`` to ``hn``."""
    random = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {}
    nodes: list[tuple[Any, ...]] = []
    value = "x"
    for place, (k, n) in enumerate(pairwise(sizes)):
        weights[f"w{place}"] = (random.standard_normal((k, n)) / np.sqrt(k)).astype(np.float32)
        weights[f"b{place}"] = random.standard_normal(n).astype(np.float32)
        nodes.append(("MatMul", [value, f"w{place}"], [f"m{place}"]))
        nodes.append(("Add", [f"m{place}", f"b{place}"], [f"a{place}"]))
        if place:
            nodes.append(("Relu", [f"a{place}"], [f"r{place}"]))
            value = f"r{place}"
        else:
            nodes += [("Add", ["a0", "h"], ["s"]), ("Tanh", ["s"], ["hn"])]
            value = "hn"
    nodes.append(("Identity", [value], ["y"]))
    state = [1, sizes[1]]
    return model(
        nodes, [("x", [1, sizes[0]]), ("h", state)], [("y", [1, sizes[-1]]), ("hn", state)], weights
    )


def arrays(
    proto: onnx.ModelProto, carry: Mapping[str, str], count: int, bound: int = 6
) -> dict[str, np.ndarray]:
    """Inputs of several steps, and of what is handed on that of the first one."""
    random = np.random.default_rng(3)
    found: dict[str, np.ndarray] = {}
    for item in proto.graph.input:
        kind = helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)
        shape = [dim.dim_value for dim in item.type.tensor_type.shape.dim]
        shape = shape if item.name in carry else [count, *shape]
        if kind.kind == "f":
            found[item.name] = random.standard_normal(shape).astype(kind)
        else:
            found[item.name] = random.integers(0, bound, shape).astype(kind)
    return found


def expected(
    proto: onnx.ModelProto | str, given: Mapping[str, np.ndarray], carry: Mapping[str, str], n: int
) -> dict[str, np.ndarray]:
    """What ONNX Runtime gives, step after step."""
    source = proto if isinstance(proto, str) else proto.SerializeToString()
    session = onnxruntime.InferenceSession(source)
    names = [item.name for item in session.get_outputs()]
    held = {name: given[name] for name in carry}
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for step in range(n):
        each = {name: held[name] if name in carry else given[name][step] for name in given}
        left = dict(zip(names, session.run(None, each), strict=True))
        held = {name: left[output] for name, output in carry.items()}
        for name, value in left.items():
            found[name].append(np.asarray(value))
    return {
        name: values[-1] if name in carry.values() else np.stack(values)
        for name, values in found.items()
    }
