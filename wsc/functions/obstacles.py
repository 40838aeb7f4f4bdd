"""Everything that would stop a model, all at once, where compiling stops at the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.external_data_helper import ExternalDataInfo

from wsc.api import Program
from wsc.api import compile as compile_model
from wsc.errors import CompileError, UnsupportedOperator, UnsupportedOperators
from wsc.frontend import load_lowerings
from wsc.frontend.damage import graphs_of
from wsc.frontend.load import read_proto
from wsc.frontend.prepare import checkable, named, without_data
from wsc.frontend.registry import find
from wsc.frontend.source import read_model
from wsc.isa.asked import dimension, option
from wsc.isa.fabric import find_fabric


def obstacles(
    model: Any,
    fabric: Any,
    dims: Mapping[str, int],
    bind: Mapping[str, np.ndarray],
    precision: str,
) -> tuple[list[str], Program | None]:
    """What stops the model, one text each, and the program if nothing does.

    model, fabric, dims, bind, precision: as for ``wsc.compile``.

    Raises:
        CompileError: there is no such file, or it is not an ONNX model.
        FabricError: there is no such fabric.
    """
    source = read_model(model)
    path = source if isinstance(source, Path) else None
    proto = read_proto(source) if isinstance(source, Path) else source
    if isinstance(fabric, (str, PathLike)):
        find_fabric(fspath(fabric))
    operators = _operators(proto)
    outside = [] if path is None else _external_data(proto, path)
    found = [*outside, *_dimensions(proto, dims, bind)]
    if found:
        return [*found, *operators, *_checker(proto, path, [*found, *operators])], None
    try:
        program = compile_model(source, fabric, dict(dims), precision, dict(bind))
    except UnsupportedOperators as error:
        return [str(error)], None  # those that have no lowering, and those that it refuses
    except CompileError as error:
        return [*operators, str(error)], None
    return [], program


def _checker(proto: onnx.ModelProto, path: Path | None, found: list[str]) -> list[str]:
    """What ONNX's checker says, unless one of the findings already says why."""
    seen = checkable(named(proto, str(path or proto.graph.name)))
    whole = path is not None and seen is proto
    try:
        onnx.checker.check_model(str(path) if whole else without_data(seen))
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split("\n\n==>")[0].split())
        explained = "No Op registered" in reason or any("external data" in text for text in found)
        return [] if explained else [f"fails ONNX's checker: {reason}"]
    return []


def _external_data(proto: onnx.ModelProto, path: Path) -> list[str]:
    """Files that leave the model's folder, are missing, or end too early; each file once."""
    folder = path.parent.resolve()
    found: dict[str, None] = {}
    for graph in graphs_of(proto.graph):
        for tensor in graph.initializer:
            if tensor.data_location != onnx.TensorProto.EXTERNAL:
                continue
            info = ExternalDataInfo(tensor)
            where, what = info.location, f"external data {info.location!r}"
            target = (folder / where).resolve()
            inside = bool(where) and target.is_relative_to(folder) and target != folder
            if not inside or Path(where).is_absolute() or ".." in Path(where).parts:
                found[f"{what} lie outside the model's folder (first of: {tensor.name!r})"] = None
            elif not target.is_file():
                found[f"{what} are missing: no file {target}"] = None
            elif (info.offset or 0) + (info.length or 0) > target.stat().st_size:
                found[f"{what} end before the data of {tensor.name!r}"] = None
    return list(_once(found))


def _once(texts: Mapping[str, None]) -> Iterator[str]:
    """One text a file: those that differ only in the tensor are told once."""
    seen: set[str] = set()
    for text in texts:
        head = text.split(" (first of")[0]
        if head not in seen:
            seen.add(head)
            yield text


def _operators(proto: onnx.ModelProto) -> list[str]:
    """Every operator without a lowering, in the graph, its subgraphs and the functions used."""
    load_lowerings()
    functions = {(item.domain, item.name) for item in proto.functions}
    opsets = {item.domain: item.version for item in proto.opset_import}
    refused: dict[tuple[str, str, int, str], list[str]] = {}
    bodies = [(graph.node, opsets) for graph in graphs_of(proto.graph)]
    for function in proto.functions:
        own = {item.domain: item.version for item in function.opset_import}
        bodies.append((function.node, opsets | own))
    for nodes, versions in bodies:
        for number, node in enumerate(nodes):
            domain = "" if node.domain == "ai.onnx" else node.domain
            if (node.domain, node.op_type) in functions:
                continue
            opset = versions.get(node.domain, versions.get(domain, 1))
            reason = find(domain, node.op_type, opset)
            if isinstance(reason, str):
                name = node.name or f"{node.op_type}_{number}"
                refused.setdefault((domain, node.op_type, opset, reason), []).append(name)
    if not refused:
        return []
    entries = [
        UnsupportedOperator(op_type, domain, opset, tuple(names), reason)
        for (domain, op_type, opset, reason), names in refused.items()
    ]
    return [str(UnsupportedOperators(entries))]


def _dimensions(
    proto: onnx.ModelProto, dims: Mapping[str, int], bind: Mapping[str, np.ndarray]
) -> list[str]:
    """Every dimension of an input that has no size yet, with the flag that gives one."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    known = set(dims)
    shapes = {item.name: item.type.tensor_type.shape.dim for item in proto.graph.input}
    for name in bind:
        known |= {dim.dim_param for dim in shapes.get(name, ()) if dim.dim_param}
    found: dict[str, list[str]] = {}
    for value in proto.graph.input:
        if value.name in constants or value.name in bind:
            continue
        for axis, dim in enumerate(shapes[value.name]):
            placed = f"{value.name}.{axis}"
            sized = dim.HasField("dim_value") and dim.dim_value >= 0
            if sized or dim.dim_param in known or placed in known:
                continue
            found.setdefault(dim.dim_param or placed, []).append(f"{value.name!r} axis {axis}")
    symbols = {dim.dim_param for shape in shapes.values() for dim in shape if dim.dim_param}
    places = {f"{name}.{axis}" for name, shape in shapes.items() for axis in range(len(shape))}
    # An input without a shape has as many dimensions as it is given.
    open_inputs = {
        item.name for item in proto.graph.input if not item.type.tensor_type.HasField("shape")
    }
    unknown = [
        name
        for name in dims
        if name not in symbols | places and name.rpartition(".")[0] not in open_inputs
    ]
    return [
        *(f"{option('dim', name)}: the model has no such dimension" for name in unknown),
        *(
            f"dimension {name!r} has no size ({', '.join(axes)}): {dimension(name)}"
            for name, axes in found.items()
        ),
    ]
