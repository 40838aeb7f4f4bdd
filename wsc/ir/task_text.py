"""Text form of the placed program: one line a buffer, one line a task; reads back identically.

The syntax is that of the constructors, restricted to the classes below, so that each
field is named where it stands.
"""

from __future__ import annotations

import ast
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from wsc.ir import graph, tasks
from wsc.ir.tasks import Placed
from wsc.isa.program import Cut, EdgeTensor, Extent, Kind
from wsc.isa.types import DType
from wsc.layout import Buffer, Mesh, View

_CLASSES: dict[str, Any] = {
    item.__name__: item
    for item in (
        Extent,
        Cut,
        EdgeTensor,
        View,
        Buffer,
        Mesh,
        graph.Arg,
        graph.Ref,
        graph.Lit,
        graph.Step,
        graph.Index,
        graph.Reshape,
        graph.Transpose,
        graph.Slice,
        graph.Pad,
        graph.Expand,
        tasks.Run,
        tasks.Steps,
        *tasks.TASKS.values(),
    )
}
_ENUMS: dict[str, type[Enum]] = {item.__name__: item for item in (DType, Kind, graph.Reduction)}


def show(item: Any) -> str:
    """Constructor text of a value; fields that hold their default are left out."""
    if isinstance(item, Enum):
        return f"{type(item).__name__}.{item.name}"
    if isinstance(item, tuple):
        inside = ", ".join(show(part) for part in item)
        return f"({inside},)" if len(item) == 1 else f"({inside})"
    if (isinstance(item, float) and item != item) or item in (float("inf"), float("-inf")):
        return f"float({str(item)!r})"
    if not is_dataclass(item):
        return repr(item)
    parts = []
    # What every kind of a class has comes last, as those who write it out have it.
    for entry in sorted(fields(item), key=lambda entry: entry.kw_only is True):
        value = getattr(item, entry.name)
        if entry.default is MISSING or value != entry.default:
            parts.append(f"{entry.name}={show(value)}")
    return f"{type(item).__name__}({', '.join(parts)})"


def print_placed(placed: Placed) -> str:
    """The whole placed program."""
    lines = [f"placed {placed.name!r} {show(placed.mesh)}"]
    lines += [f"edge {show(tensor)}" for tensor in placed.edge_tensors]
    for buffer in placed.buffers:
        at = placed.addresses.get(buffer.name)
        lines.append(f"buffer {show(buffer)}" + (f" at {at}" if at is not None else ""))
    lines += [f"task {show(task)}" for task in placed.tasks]
    lines += [f"layers {show(run)}" for run in placed.layers]
    lines += [] if placed.steps is None else [f"steps {show(placed.steps)}"]
    return "\n".join(lines) + "\n"


def parse_placed(text: str) -> Placed:
    """The placed program that ``print_placed`` printed.

    Raises:
        ValueError: a line is not of the form, with its number.
    """
    name, mesh = "", Mesh(1, 1)
    edge: list[Any] = []
    buffers: list[Any] = []
    found: list[Any] = []
    layers: list[Any] = []
    addresses: dict[str, int] = {}
    steps: Any = None
    for number, line in enumerate(text.splitlines(), 1):
        head, _, rest = line.partition(" ")
        try:
            if head == "placed":
                quoted, _, size = rest.rpartition(" Mesh")
                name, mesh = ast.literal_eval(quoted), _read(f"Mesh{size}")
            elif head == "edge":
                edge.append(_read(rest))
            elif head == "buffer":
                body, mark, at = rest.rpartition(") at ")
                buffers.append(_read(f"{body})" if mark else rest))
                if mark:
                    addresses[buffers[-1].name] = int(at)
            elif head == "task":
                found.append(_read(rest))
            elif head == "layers":
                layers.append(_read(rest))
            elif head == "steps":
                steps = _read(rest)
            else:
                raise ValueError(f"'{head}' starts no line")
        except (ValueError, SyntaxError, KeyError, TypeError) as error:
            raise ValueError(f"line {number}: {error}") from error
    parts = (tuple(edge), tuple(buffers), tuple(found), tuple(layers))
    return Placed(name, mesh, *parts, addresses, steps)


def _read(text: str) -> Any:
    return _value(ast.parse(text, mode="eval").body)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Tuple):
        return tuple(_value(part) for part in node.elts)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return _ENUMS[node.value.id][node.attr]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "float":
            return float(_value(node.args[0]))
        arguments = {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
        return _CLASSES[node.func.id](**arguments)
    return ast.literal_eval(node)
