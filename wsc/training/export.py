"""A trained model as ONNX again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from wsc.frontend.store import is_declared, read

if TYPE_CHECKING:
    from wsc.frontend.store import Store


def with_weights(
    model: Any, weights: Mapping[str, np.ndarray], store: Store | None = None
) -> onnx.ModelProto:
    """A copy of a model in which initializers have these values, in the types that they had.

    model: the path of a file, its bytes, or an object of onnx or onnx_ir. store: where the weights
    are that it only declares.
    """
    proto = _proto(model)
    given = dict(weights)
    if store is not None:
        # Weights that nothing trains are nowhere yet either.
        declared = [item for item in proto.graph.initializer if is_declared(item)]
        still = [item for item in declared if item.name not in given]
        sources = store.sources(still)
        for item in still:
            array = read(sources[item.name], math.prod(item.dims))
            given[item.name] = array.reshape(tuple(item.dims))
    # A model that says how it trains keeps a part of its state there.
    algorithms = [info.algorithm for info in proto.training_info]
    for item in [item for graph in (proto.graph, *algorithms) for item in graph.initializer]:
        if item.name in given:
            before = onnx.helper.tensor_dtype_to_np_dtype(item.data_type)
            item.CopyFrom(numpy_helper.from_array(given[item.name].astype(before), item.name))
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
