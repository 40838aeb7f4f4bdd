"""What a model may say that is not so, refused before a library believes it.

ONNX's checker looks at names, types and the number of operands; it does not look at how much
data a tensor stores, and some of its shape inference reads memory that is not its own.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import onnx
import onnx_ir as ir

from wsc.errors import CompileError, shortened

# Attributes that name dimensions: none is far from 0.
_AXES = frozenset({"axes", "axis", "batch_axis", "batch_dims", "perm", "time_axis"})
_LARGEST_AXIS = 1 << 16
DEEPEST = 30  # graphs within graphs; what protobuf reads is hardly deeper
_LABELS = r"[^-.,>\s]*(?:\.\.\.[^-.,>\s]*)?"
EQUATION = re.compile(rf"{_LABELS}(?:,{_LABELS})*(?:->{_LABELS})?")  # of an Einsum, without spaces
_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_LOGGERS = ("onnxscript", "onnx_ir")


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those in the attributes of its nodes, at any depth."""
    yield graph
    yield from _graphs_in(graph.node)


def nodes_within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the graphs in their attributes, at any depth."""
    yield from nodes
    for graph in _graphs_in(nodes):
        yield from graph.node


def _graphs_in(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """The graphs in attributes of nodes, at any depth. Raises CompileError for one too deep."""
    waiting = [(node, 1) for node in nodes]
    while waiting:
        node, depth = waiting.pop(0)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if not (inner.node or inner.initializer or inner.sparse_initializer):
                    continue
                if depth > DEEPEST:
                    raise CompileError(f"its graphs are nested more than {DEEPEST} deep")
                yield inner
                waiting += [(item, depth + 1) for item in inner.node]


def tensors_of(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that a model stores."""
    for graph in graphs_of(proto.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        yield from _attribute_tensors(graph.node)
    for function in proto.functions:
        yield from _attribute_tensors(nodes_within(function.node))


def _attribute_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            yield from attribute.tensors


def refuse_damage(proto: onnx.ModelProto, what: str) -> None:
    """Raise CompileError for damaged text, axes far away, and tensors of the wrong size.

    what: the model, for messages.
    """
    for body in (proto.graph, *proto.functions):
        for node in nodes_within(body.node):
            names = [node.op_type, node.domain, node.name, *node.input, *node.output]
            if not all(isinstance(name, str) for name in names):  # protobuf gives bytes for such
                raise CompileError(f"{what}: the names of a node are not UTF-8")
    for tensor in tensors_of(proto):
        _check_tensor(tensor, what)


def refuse_attributes(model: ir.Model) -> None:
    """Raise CompileError for attributes that shape inference cannot take.

    Functions are inlined by now: a node of theirs may have an attribute from where it is called.
    """
    for node in model.graph.all_nodes():
        for name, attribute in node.attributes.items():
            if attribute.is_ref():
                continue
            if (node.op_type, name) == ("Split", "num_outputs"):
                _check_parts(node, attribute.value)
            if (node.op_type, name) == ("Einsum", "equation"):
                _check_equation(node, attribute.value)
            if name in _AXES:
                _check_axes(node, name, attribute.value)


def _refuse(node: ir.Node, reason: str) -> NoReturn:
    raise CompileError(f"node {shortened(node.name or node.op_type)!r}: {reason}")


def _check_axes(node: ir.Node, name: str, value: Any) -> None:
    """Shape inference takes these for numbers of 32 bits."""
    low = 0 if (node.op_type, name) == ("GatherND", "batch_dims") else -_LARGEST_AXIS
    for axis in value if isinstance(value, Sequence) else (value,):
        if isinstance(axis, int) and not low <= axis <= _LARGEST_AXIS:
            _refuse(node, f"{name} is {axis}, and no axis lies outside of {low} to {_LARGEST_AXIS}")


def _check_parts(node: ir.Node, parts: Any) -> None:
    """Shape inference writes as many shapes as there are outputs, wherever they land."""
    if parts != len(node.outputs):
        _refuse(node, f"num_outputs is {parts}, and it has {len(node.outputs)}")


def _check_equation(node: ir.Node, equation: Any) -> None:
    """Shape inference looks for ever for the end of what is none."""
    text = equation if isinstance(equation, str) else ""
    if not EQUATION.fullmatch(text.replace(" ", "")):
        shown = shortened(text, 100)
        _refuse(node, f"equation {shown!r} is not of the form of 'ij,jk->ik', with letters or ...")


def _check_tensor(tensor: onnx.TensorProto, what: str) -> None:
    """What a tensor stores is as much as its shape and its type say."""
    name = f"{what}: tensor {shortened(tensor.name)!r}"
    if any(size < 0 for size in tensor.dims):
        raise CompileError(f"{name} has a negative size: {shortened(str(list(tensor.dims)))}")
    try:
        kind = ir.DataType(tensor.data_type)
    except ValueError:
        raise CompileError(f"{name} has the unknown element type {tensor.data_type}") from None
    count = math.prod(tensor.dims)
    if tensor.data_location == onnx.TensorProto.EXTERNAL or kind == ir.DataType.UNDEFINED:
        return
    if kind == ir.DataType.STRING:
        stored, wanted, unit = len(tensor.string_data), count, "strings"
    elif tensor.HasField("raw_data"):
        stored, wanted, unit = len(tensor.raw_data), -(-count * kind.bitwidth // 8), "bytes"
    else:
        stored = sum(len(getattr(tensor, field)) for field in _FIELDS)
        parts = 2 if kind in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128) else 1
        packed = 8 // kind.bitwidth if kind.bitwidth < 8 else 1
        wanted, unit = -(-count * parts // packed), "elements"
    if stored != wanted:
        shape = shortened(str(list(tensor.dims)))
        raise CompileError(
            f"{name} stores {stored} {unit}, and its shape {shape} of {kind.name} wants {wanted}"
        )


def external_files(proto: onnx.ModelProto, path: Path) -> tuple[Path, ...]:
    """The files beside the model at ``path`` in which its external data are, each once."""
    locations = dict.fromkeys(
        entry.value
        for tensor in tensors_of(proto)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    )
    return tuple(path.parent / location for location in locations)


def refuse_outside_data(proto: onnx.ModelProto, path: Path) -> None:
    """Raise CompileError for external data beyond the model's folder, missing or too short."""
    folder = path.parent.resolve()
    for tensor in tensors_of(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        what = f"{path}: external data of {shortened(tensor.name)!r}"
        inside = not Path(location).is_absolute() and ".." not in Path(location).parts
        if not location or "\0" in location or not inside:
            raise CompileError(f"{what} lie outside the model's folder: {location!r}")
        target = (folder / location).resolve()
        if not target.is_relative_to(folder):
            raise CompileError(f"{what} lie outside the model's folder: {location!r}")
        if not target.is_file():
            raise CompileError(f"{what} are missing: {location!r}")
        _check_extent(tensor, entries, what, target.stat().st_size)


def _check_extent(
    tensor: onnx.TensorProto, entries: dict[str, str], what: str, available: int
) -> None:
    numbers = {key: entries.get(key, "0") for key in ("offset", "length")}
    for key, text in numbers.items():
        if not (text.isascii() and text.isdecimal()):
            raise CompileError(
                f"{what} have {key} {shortened(text)!r}, which is no number of bytes"
            )
    offset, length = int(numbers["offset"]), int(numbers["length"])
    try:
        bits = ir.DataType(tensor.data_type).bitwidth
    except (TypeError, ValueError):
        return  # the checker says what is wrong with it
    wanted = -(-math.prod(tensor.dims) * bits // 8)
    # No length is all that the shape wants, and so is one of 0.
    if length and length != wanted:
        raise CompileError(f"{what} have {length} bytes, and its shape wants {wanted}")
    if offset + wanted > available:
        name = entries["location"]
        raise CompileError(f"{what} are cut short: {name!r} ends before byte {offset + wanted}")


@contextmanager
def library_at_work(what: str) -> Generator[None]:
    """Turn whatever a library of ONNX's raises for a model that makes no sense into one sentence.

    what: what it does, for the message. Its warnings, of what it could not do, are not shown.
    """
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    except CompileError:
        raise
    except MemoryError:
        raise CompileError(f"{what}: it does not fit in this machine's memory") from None
    except Exception as error:  # noqa: BLE001 - they raise anything, RuntimeError and KeyError too
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        first = shortened(str(error), 200)
        last = "" if cause is error else f" ({shortened(str(cause), 200)})"
        raise CompileError(f"{what}: {first or type(error).__name__}{last}") from None
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
