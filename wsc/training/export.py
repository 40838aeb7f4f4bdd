"""A trained model as ONNX again."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper


def with_weights(model: Any, weights: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """A copy of a model in which initializers have these values, in the types that they had.

    model: the path of a file, its bytes, or an object of onnx or onnx_ir.
    """
    proto = _proto(model)
    # A model that says how it trains keeps a part of its state there.
    algorithms = [info.algorithm for info in proto.training_info]
    for item in [item for graph in (proto.graph, *algorithms) for item in graph.initializer]:
        if item.name in weights:
            before = onnx.helper.tensor_dtype_to_np_dtype(item.data_type)
            item.CopyFrom(numpy_helper.from_array(weights[item.name].astype(before), item.name))
    return proto


def _proto(model: Any) -> onnx.ModelProto:
    if isinstance(model, (str, PathLike)):
        return onnx.load(Path(model))
    if isinstance(model, bytes):
        return onnx.load_from_string(model)
    proto = onnx.ModelProto()
    if not isinstance(model, onnx.ModelProto):
        import onnx_ir as ir

        model = ir.to_proto(model)
    proto.CopyFrom(model)
    return proto
