"""What a model computes, by ONNX Runtime or by ONNX's reference evaluator."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper
from onnx.reference.op_run import OpRun

from wsc.comparison.compare import session_options

# The IR version of files with an opset that the checker accepts in all of them.
IR_VERSION = 10
MICROSOFT, CLASSIC, TRAINING = "com.microsoft", "ai.onnx.ml", "ai.onnx.preview.training"
# What ONNX Runtime says of a node, or of a whole opset, that it does not have.
LACKING = (
    "NOT_IMPLEMENTED",
    "NotImplemented",
    "not a registered function/op",
    "official released onnx opset",
)
# Operators of ai.onnx that ONNX's reference evaluator does not have.
ABSENT = frozenset({"GlobalLpPool", "Scatter", "SimplifiedLayerNormalization"})


class Refused(Exception):
    """A node that cannot be added, or evaluated; the graph is as it was."""


def model_of(graph: GraphProto, opset: int) -> ModelProto:
    """A model of a graph, with the domains that it uses."""
    versions = {"": opset, CLASSIC: classic(opset), MICROSOFT: 1, TRAINING: 1}
    used = {"", *(node.domain for node in graph.node)}
    imports = [helper.make_opsetid(domain, versions[domain]) for domain in sorted(used)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


def opset_of(model: ModelProto) -> int:
    """The version of ai.onnx in a model."""
    return next(item.version for item in model.opset_import if item.domain == "")


def classic(opset: int) -> int:
    """The version of ai.onnx.ml that goes with an opset: the last ones put all trees in one."""
    return 5 if opset >= 22 else 3


def evaluate(model: ModelProto, feeds: dict[str, np.ndarray]) -> tuple[list[Any], bool]:
    """Outputs, and whether they are the reference evaluator's because ONNX Runtime has none.

    Raises:
        Refused: neither has a result.
    """
    try:
        return by_runtime(model, feeds), False
    except Exception as error:
        if not any(word in str(error) for word in LACKING):
            raise Refused(" ".join(str(error).split())[:200]) from error
    return by_reference(model, feeds), True


def by_runtime(model: ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    """Outputs of ONNX Runtime, which changes nothing of the model before; its own errors."""
    import onnxruntime

    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(None, feeds))


def by_reference(model: ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    """Outputs of ONNX's reference evaluator; ONNX Runtime lends it the operators that it lacks.

    Raises:
        Refused: it has no result.
    """
    from onnx.reference import ReferenceEvaluator

    opset = opset_of(model)
    lent = {
        (node.domain, node.op_type): _lent(node.domain, node.op_type, opset)
        for node in model.graph.node
        if node.domain == MICROSOFT or (node.domain == "" and node.op_type in ABSENT)
    }
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            evaluator = ReferenceEvaluator(model, new_ops=list(lent.values()))
            outputs: Any = evaluator.run(None, feeds)
            return [_array(item) for item in outputs]
        except Exception as error:
            raise Refused(" ".join(str(error).split())[:200]) from error


def _array(item: Any) -> Any:
    """A tensor; where Python's own numbers made doubles of it, in the type that it has."""
    if isinstance(item, list):
        return item
    array = np.asarray(item)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _lent(domain: str, op_type: str, opset: int) -> type[OpRun]:
    """An operator for the reference evaluator that ONNX Runtime computes."""

    def run(self: Any, *inputs: np.ndarray | None, **_: Any) -> tuple[Any, ...]:
        return tuple(_alone(self.onnx_node, inputs, opset))

    return type(op_type, (OpRun,), {"op_domain": domain, "_run": run})


def _alone(node: NodeProto, inputs: Sequence[np.ndarray | None], opset: int) -> list[Any]:
    named = zip(node.input, inputs, strict=True)
    stored = {name: array for name, array in named if name and array is not None}
    graph = helper.make_graph(
        [node],
        "node",
        [],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return by_runtime(model_of(graph, opset), {})


def values_of(model: ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, Any]:
    """Every value of a model by name, as evaluated.

    Raises:
        Refused: it cannot be evaluated.
    """
    whole = ModelProto()
    whole.CopyFrom(model)
    names = [name for node in whole.graph.node for name in node.output if name]
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    found, _ = evaluate(whole, feeds)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in whole.graph.initializer}
    return stored | feeds | dict(zip(names, found, strict=True))
