"""Valid models, written as the checker and the libraries that follow understand them.

``ai.onnx`` is another name of the standard domain; an output may be an input; a value may have no
shape, which the checker wants; a tensor may be stored sparse. Nothing here changes a model that
it is given: what must be written otherwise is a copy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper

from wsc.errors import CompileError, shortened
from wsc.frontend.damage import graphs_of
from wsc.frontend.registry import find

ALIAS = "ai.onnx"
# Elements of a sparse tensor written out: it takes that much memory, whatever it stores.
MOST_WRITTEN_OUT = 1 << 28


def named(proto: onnx.ModelProto, what: str) -> onnx.ModelProto:
    """The model with one name for the standard domain, and one type for each name.

    what: the model, for messages. Raises CompileError if the domain has two versions.
    """
    both = {value.name: value for value in proto.graph.input}
    renamed = any(item.domain == ALIAS for item in proto.opset_import)
    renamed = renamed or any(node.domain == ALIAS for node in _nodes(proto))
    if not renamed and not any(value.name in both for value in proto.graph.output):
        return proto
    proto = _copy(proto)
    both = {value.name: value for value in proto.graph.input}
    for value in proto.graph.output:
        if value.name in both:
            value.CopyFrom(both[value.name])
    for node in _nodes(proto):
        if node.domain == ALIAS:
            node.domain = ""
    for owner in (proto, *proto.functions):
        versions = {item.domain: item.version for item in owner.opset_import}
        if versions.get(ALIAS, versions.get("")) != versions.get("", versions.get(ALIAS)):
            raise CompileError(
                f"{what}: imports opset {versions['']} and, as {ALIAS!r}, opset {versions[ALIAS]} "
                "of the same domain"
            )
        kept = {"" if domain == ALIAS else domain: number for domain, number in versions.items()}
        del owner.opset_import[:]
        owner.opset_import.extend(helper.make_opsetid(*item) for item in kept.items())
    return proto


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    return copied


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in graphs_of(proto.graph):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


# --- for the checker --------------------------------------------------------------------


def refuse_newer_opsets(proto: onnx.ModelProto, what: str) -> None:
    """Raise CompileError for an opset that nobody here has heard of: operators may differ in it."""
    newest = {"": max(row[2] for row in helper.VERSION_TABLE)}
    newest["ai.onnx.ml"] = max(row[3] for row in helper.VERSION_TABLE)
    for item in proto.opset_import:
        known = newest.get(item.domain)
        if known is not None and item.version > known:
            raise CompileError(
                f"{what}: opset {item.version} of {item.domain or ALIAS} is newer than {known}, "
                "the newest that is known: export the model with that one"
            )


def checkable(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model, or a copy that ONNX's checker takes if it takes all else of it.

    The copy has a shape wherever it is left open, and another operator in the place of those
    that are deprecated and have a lowering all the same.
    """
    opsets = {item.domain: item.version for item in proto.opset_import}
    values = [*proto.graph.input, *proto.graph.output]
    said = not any(map(_lacks_shape, values)) and not any(map(_lacks_type, proto.graph.output))
    if said and not any(_deprecated(node, opsets) for node in _nodes(proto)):
        return proto
    proto = _copy(proto)
    for value in proto.graph.output:
        if _lacks_type(value):
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for value in (*proto.graph.input, *proto.graph.output):
        if _lacks_shape(value):
            value.type.tensor_type.shape.SetInParent()
    for node in _nodes(proto):
        if _deprecated(node, opsets):
            # It takes any number of operands.
            node.op_type = "Sum"
            del node.attribute[:]
    return proto


def without_data(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with nothing in the place of tensors whose data lie in other files."""
    external = onnx.TensorProto.EXTERNAL
    if not any(tensor.data_location == external for tensor in _initializers(proto)):
        return proto
    proto = _copy(proto)
    for tensor in _initializers(proto):
        if tensor.data_location == external:
            empty = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0])
            tensor.CopyFrom(empty)
    return proto


def _initializers(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in graphs_of(proto.graph):
        yield from graph.initializer


def _lacks_shape(value: onnx.ValueInfoProto) -> bool:
    kind = value.type
    return kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape")


def _lacks_type(value: onnx.ValueInfoProto) -> bool:
    kind = value.type
    if not kind.WhichOneof("value"):
        return True
    return kind.HasField("tensor_type") and not kind.tensor_type.elem_type


def _deprecated(node: onnx.NodeProto, opsets: dict[str, int]) -> bool:
    if node.domain or not defs.has(node.op_type, opsets.get("", 1)):
        return False
    schema = defs.get_schema(node.op_type, opsets.get("", 1))
    return schema.deprecated and not isinstance(find("", node.op_type, opsets.get("", 1)), str)


# --- sparse tensors ---------------------------------------------------------------------


def dense(proto: onnx.ModelProto, folder: Path | None, what: str) -> onnx.ModelProto:
    """The model with every sparse tensor written out.

    folder: of external data. Raises CompileError for one that is too large or contradicts itself.
    """
    nodes = [node for node in _nodes(proto) if _sparse_value(node) is not None]
    if not nodes and not any(graph.sparse_initializer for graph in graphs_of(proto.graph)):
        return proto
    proto = _copy(proto)
    for graph in graphs_of(proto.graph):
        for sparse in graph.sparse_initializer:
            graph.initializer.append(_written_out(sparse, folder, what))
        del graph.sparse_initializer[:]
    for node in _nodes(proto):
        attribute = _sparse_value(node)
        if attribute is not None:
            tensor = _written_out(attribute.sparse_tensor, folder, what)
            attribute.CopyFrom(helper.make_attribute("value", tensor))
    return proto


def _sparse_value(node: onnx.NodeProto) -> onnx.AttributeProto | None:
    if node.op_type != "Constant" or node.domain:
        return None
    return next((item for item in node.attribute if item.name == "sparse_value"), None)


def _written_out(
    sparse: onnx.SparseTensorProto, folder: Path | None, what: str
) -> onnx.TensorProto:
    name, shape = sparse.values.name, tuple(sparse.dims)
    where = f"{what}: sparse tensor {shortened(name)!r}"
    count = math.prod(shape)
    if min(shape, default=1) < 0 or count > MOST_WRITTEN_OUT:
        raise CompileError(
            f"{where} has the shape {shortened(str(list(shape)))}: at most {MOST_WRITTEN_OUT} "
            "elements are written out"
        )
    base = "" if folder is None else str(folder)
    values = numpy_helper.to_array(sparse.values, base).reshape(-1)
    indices = numpy_helper.to_array(sparse.indices, base).astype(np.int64)
    if values.dtype == object:
        raise CompileError(f"{where} holds strings")
    if indices.ndim == 2 and indices.shape[1] == len(shape):
        sizes = np.array(shape, np.int64)
        inside = bool(((indices >= 0) & (indices < sizes)).all())
        steps = np.cumprod([1, *shape[:0:-1]], dtype=np.int64)[::-1]
        places = indices @ steps if inside and len(shape) else None
    else:
        inside = indices.ndim == 1 and bool(((indices >= 0) & (indices < count)).all())
        places = indices if inside else None
    if places is None or len(places) != len(values):
        raise CompileError(f"{where} has indices that do not fit its shape and its values")
    array = np.zeros(count, values.dtype)
    array[places] = values
    return numpy_helper.from_array(array.reshape(shape), name)
