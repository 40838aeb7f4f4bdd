"""A model's outputs in double precision, by ONNX's reference evaluator.

ONNX Runtime is a fast approximation, too: its Sigmoid is a percent off for tiny results. Where
a program differs from it, this is who decides. The evaluator is plain NumPy: it lacks some
operators and takes long for large networks, so it runs in a process of its own that is given
a time and then ended.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnx
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)

SECONDS = 60.0  # what a second opinion may take
# Attributes that name an element type by its number.
_TYPES = frozenset({"dtype", "to", "output_dtype"})


def second_opinion(
    model: Path,
    inputs: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    seconds: float = SECONDS,
) -> dict[str, np.ndarray] | str:
    """The named outputs in double precision, or the reason why there are none."""
    asked = pickle.dumps((model, dict(inputs), list(outputs)))
    command = [sys.executable, "-c", "from wsc.comparison.opinion import answer; answer()"]
    try:
        done = subprocess.run(command, input=asked, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"it takes more than {seconds:g} seconds"
    if done.returncode:
        return "it ended early, perhaps for want of memory"
    return pickle.loads(done.stdout)  # noqa: S301 - our own process wrote it


def answer() -> None:
    """The other end of ``second_opinion``: the question on standard input, the answer on output."""
    model, inputs, outputs = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - as above
    with redirect_stdout(sys.stderr):
        try:
            result = evaluate(onnx.load(model), inputs, outputs)
        except Exception as error:  # noqa: BLE001 - the evaluator's errors share no base class
            result = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    sys.stdout.buffer.write(pickle.dumps(result))


def evaluate(
    model: ModelProto, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    """The named outputs of the model with every f32 in double precision.

    Raises:
        Exception: of any class, as the evaluator does where it lacks an operator.
    """
    from onnx.reference import ReferenceEvaluator

    wide = {
        name: array.astype(np.float64) if array.dtype == np.float32 else array
        for name, array in inputs.items()
    }
    with np.errstate(all="ignore"):
        values = ReferenceEvaluator(in_double(model)).run(list(outputs), wide)
    return {name: np.asarray(value) for name, value in zip(outputs, values, strict=True)}


def in_double(model: ModelProto) -> ModelProto:
    """The model with f64 wherever it says f32: inputs, constants, casts, inner graphs."""
    changed = ModelProto()
    changed.CopyFrom(model)
    _widen_graph(changed.graph)
    for function in changed.functions:
        for node in function.node:
            _widen_node(node)
    return changed


def _widen_graph(graph: GraphProto) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        if tensor.elem_type == TensorProto.FLOAT:
            tensor.elem_type = TensorProto.DOUBLE
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for node in graph.node:
        _widen_node(node)


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        wide = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))


def _widen_node(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name in _TYPES and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.DOUBLE
        _widen_tensor(attribute.t)
        for tensor in attribute.tensors:
            _widen_tensor(tensor)
        for graph in _graphs(attribute):
            _widen_graph(graph)
    if node.op_type == "Constant":
        _widen_constant(node)


def _graphs(attribute: AttributeProto) -> Iterator[GraphProto]:
    if attribute.type == AttributeProto.GRAPH:
        yield attribute.g
    yield from attribute.graphs


def _widen_constant(node: NodeProto) -> None:
    """A constant that is given as plain floats becomes one that is given as a tensor."""
    for attribute in node.attribute:
        if attribute.name in ("value_float", "value_floats"):
            value = helper.get_attribute_value(attribute)
            tensor = numpy_helper.from_array(np.asarray(value, np.float64))
            attribute.CopyFrom(helper.make_attribute("value", tensor))
