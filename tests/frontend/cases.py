"""Models of one operator, and their comparison with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.oracle import evaluate
from wsc.comparison.compare import session_options
from wsc.errors import UnsupportedOperators
from wsc.frontend import import_model, import_onnx
from wsc.ir.check import check_graph
from wsc.ir.graph import Graph
from wsc.ir.text import parse_graph, print_graph
from wsc.isa.types import DType

RNG = np.random.default_rng(20)


_FIRST = RNG.bit_generator.state


def reseed() -> None:
    """Draw the same numbers again: a test's inputs do not depend on which tests ran before."""
    RNG.bit_generator.state = _FIRST


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Random float32 values between ``low`` and ``high``."""
    return RNG.uniform(low, high, shape).astype(np.float32)


def ints(*shape: int, low: int = -5, high: int = 6, dtype: Any = np.int64) -> np.ndarray:
    """Random integers from ``low`` to ``high - 1``."""
    return RNG.integers(low, high, shape).astype(dtype)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    feeds: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    outputs: Sequence[str],
    opset: int = 17,
    domains: Sequence[str] = (),
    dtype: Any = np.float32,
    version: int = 1,
) -> onnx.ModelProto:
    """A model with these inputs and initializers whose output shapes are left open.

    dtype: of the outputs where shape inference does not tell it. version: of the domains.
    """
    graph = helper.make_graph(
        list(nodes),
        "case",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, version) for d in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model)
    for output in inferred.graph.output:
        if not output.type.HasField("tensor_type"):
            output.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return inferred


def node(
    op_type: str, count: int, outputs: int = 1, domain: str = "", **attributes: Any
) -> onnx.NodeProto:
    """A node with inputs x0.. and outputs y0.."""
    return helper.make_node(
        op_type,
        [f"x{i}" for i in range(count)],
        [f"y{i}" for i in range(outputs)],
        name="/case/op",
        domain=domain,
        **attributes,
    )


def run_reference(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """ONNX Runtime's outputs."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    outputs = session.run(None, dict(feeds))
    arrays = [output for output in outputs if isinstance(output, np.ndarray)]
    assert len(arrays) == len(outputs)  # no sequences, maps or sparse tensors
    return arrays


def run_evaluator(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of ONNX's reference evaluator, for what ONNX Runtime does not have."""
    outputs = ReferenceEvaluator(model).run(None, dict(feeds))
    assert isinstance(outputs, list)
    return [np.asarray(output) for output in outputs]


Oracle = Callable[[onnx.ModelProto, Mapping[str, np.ndarray]], list[np.ndarray]]


def assert_close(got: np.ndarray, want: np.ndarray, tolerance: float) -> None:
    """Equal shapes and dtypes; values within tolerance of the largest finite magnitude.

    Integers and booleans are equal.
    """
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
        return
    finite = np.abs(want[np.isfinite(want)].astype(np.float64))
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


def compare(
    path: Path,
    op_type: str,
    *inputs: np.ndarray | None,
    const: Sequence[int] = (),
    outputs: int = 1,
    opset: int = 17,
    domain: str = "",
    precision: DType = DType.F32,
    tolerance: float = 2e-5,
    dtype: Any = np.float32,
    oracle: Oracle = run_reference,
    version: int = 1,
    **attributes: Any,
) -> Graph:
    """Import a one-operator model and hold NumPy's answer to its graph against ONNX Runtime.

    inputs: arrays, or None for an input that is left out; those numbered in ``const``
    are initializers. dtype: of the outputs of an operator that ONNX does not know. oracle:
    whose answer is right. version: of the domain.
    """
    given = {f"x{i}": array for i, array in enumerate(inputs) if array is not None}
    constants = {name: array for name, array in given.items() if int(name[1:]) in const}
    feeds = {name: array for name, array in given.items() if name not in constants}
    one = node(op_type, len(inputs), outputs, domain, **attributes)
    one.input[:] = [name if name in given else "" for name in one.input]
    domains = [domain] if domain else []
    model = model_of([one], feeds, constants, list(one.output), opset, domains, dtype, version)
    return compare_model(path, model, feeds, precision, tolerance, oracle)


def refuse(
    op_type: str,
    *inputs: np.ndarray | None,
    const: Sequence[int] = (),
    outputs: int = 1,
    opset: int = 17,
    **attributes: Any,
) -> str:
    """The reason why a model of one operator of ONNX, as for ``compare``, is refused."""
    given = {f"x{i}": array for i, array in enumerate(inputs) if array is not None}
    constants = {name: array for name, array in given.items() if int(name[1:]) in const}
    feeds = {name: array for name, array in given.items() if name not in constants}
    one = node(op_type, len(inputs), outputs, **attributes)
    one.input[:] = [name if name in given else "" for name in one.input]
    model = model_of([one], feeds, constants, list(one.output), opset)
    with pytest.raises(UnsupportedOperators) as caught:
        import_model(onnx_ir.from_proto(model))
    (operator,) = caught.value.operators
    return operator.reason


def compare_model(
    path: Path,
    model: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
    precision: DType = DType.F32,
    tolerance: float = 2e-5,
    oracle: Oracle = run_reference,
) -> Graph:
    """As ``compare``, for a whole model; the graph must also survive its text form."""
    want = oracle(model, feeds)
    for output, array in zip(model.graph.output, want, strict=True):
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        output.CopyFrom(helper.make_tensor_value_info(output.name, kind, array.shape))
    file = path / "case.onnx"
    onnx.save(model, file)
    graph = import_onnx(file, precision=precision)
    check_graph(graph)
    constants = {item.name: item for item in graph.constants}
    assert parse_graph(print_graph(graph), constants) == graph
    got = evaluate(graph, feeds)
    for output, expected in zip(model.graph.output, want, strict=True):
        assert_close(got[output.name], expected, tolerance)
    return graph
