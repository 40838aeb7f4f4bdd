"""The values of a graph whose inputs are constants: each primitive, on whole arrays.

What a step of a map gives is what ``wsc.isa.values`` says, to the bit. Sums are taken in double
precision and rounded once: the fabric's order of additions depends on the mesh, so no order is
more right than another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from wsc.ir.build import move_array
from wsc.ir.fold import map_arrays
from wsc.ir.graph import (
    Concat,
    Contract,
    Gather,
    Graph,
    Index,
    Keep,
    Map,
    Move,
    Node,
    Reduce,
    Reduction,
    Scatter,
)
from wsc.isa.types import DType

# Elements of the largest array that an operation may need on its way: what would take more is
# left to the fabric.
WORK_LIMIT = 1 << 23

_FILL = {
    Reduction.SUM: 0,
    Reduction.PROD: 1,
    Reduction.MAX: -math.inf,
    Reduction.MIN: math.inf,
}
_JOIN: dict[Reduction, np.ufunc] = {
    Reduction.SUM: np.add,
    Reduction.PROD: np.multiply,
    Reduction.MAX: np.maximum,
    Reduction.MIN: np.minimum,
}


class TooMuch(Exception):
    """The evaluation would take more elements than ``WORK_LIMIT``."""


def evaluate_graph(graph: Graph) -> dict[str, np.ndarray]:
    """Value name -> array of every output of a graph without inputs.

    Raises TooMuch if that takes more work than the host should do, DomainError for integers for
    which an instruction has no value, IndexError for an index that is outside its axis.
    """
    values = {item.name: item.load() for item in graph.constants}
    for node in graph.nodes:
        values[node.output] = _node(node, [values[name] for name in node.inputs])
    return {name: values[name] for output in graph.outputs for name in output.values}


def _node(node: Node, inputs: Sequence[np.ndarray]) -> np.ndarray:
    _require_room(node.type.size)
    match node.op:
        case Map():
            _require_room(node.type.size * len(node.op.body))
            result = map_arrays(node.op, inputs, node.type)
        case Reduce():
            result = _reduce(node.op, inputs[0])
        case Contract():
            result = _contract(node.op, inputs)
        case Move(steps):
            result = move_array(inputs[0], steps)
        case Concat(axis):
            result = np.concatenate(inputs, axis)
        case Gather(axis):
            result = np.take(inputs[0], inputs[1], axis)
        case Scatter():
            zeros = np.zeros(node.type.shape, inputs[-1].dtype)
            data = inputs if node.op.zeros is None else [zeros, *inputs]
            result = _scatter(node.op, *data)
        case Keep():
            result = inputs[0]
    return _stored(result, node.type.dtype)


def _stored(array: np.ndarray, dtype: DType) -> np.ndarray:
    """An array as the fabric keeps it: floats rounded, integers wrapped to 32 bits."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(dtype.numpy)


def _require_room(elements: int) -> None:
    if elements > WORK_LIMIT:
        raise TooMuch


# --- sums over labels -----------------------------------------------------------------


def _window(
    array: np.ndarray,
    index: tuple[Index, ...],
    labels: Sequence[str],
    extents: Mapping[str, int],
    fill: float,
) -> np.ndarray:
    """``array[index]`` with one dimension for each label; ``fill`` where that is outside."""
    shape = tuple(extents[label] for label in labels)
    _require_room(math.prod(shape))
    places: list[np.ndarray] = []
    inside = np.ones(shape, bool)
    for entry, size in zip(index, array.shape, strict=True):
        place = np.full((1,) * len(labels), entry.offset)
        for label, coefficient in entry.terms:
            across = [-1 if other == label else 1 for other in labels]
            place = place + coefficient * np.arange(extents[label]).reshape(across)
        inside &= (place >= 0) & (place < size)
        places.append(np.clip(place, 0, size - 1))
    taken = array[tuple(places)] if places else array
    return np.where(inside, taken, fill)


def _wide(array: np.ndarray) -> np.ndarray:
    """Room for sums and products: double precision, or 64 bits whose low 32 are the result."""
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _reduce(op: Reduce, array: np.ndarray) -> np.ndarray:
    labels, extents = [label for label, _ in op.extents], dict(op.extents)
    fill = _FILL[op.kind]
    if array.dtype.kind != "f" and not math.isfinite(fill):
        fill = -(2**31) if fill < 0 else 2**31 - 1
    taken = _window(_wide(array), op.index, labels, extents, fill)
    inner = tuple(number for number, label in enumerate(labels) if label not in op.out)
    kept = [label for label in labels if label in op.out]
    with np.errstate(all="ignore"):
        joined = np.asarray(_JOIN[op.kind].reduce(taken, axis=inner) if inner else taken)
    ordered = joined.transpose([kept.index(label) for label in op.out if label])
    return ordered.reshape([extents[label] if label else 1 for label in op.out])


def _contract(op: Contract, inputs: Sequence[np.ndarray]) -> np.ndarray:
    labels, extents = [label for label, _ in op.extents], dict(op.extents)
    _require_room(math.prod(extents.values()) // 8)  # a product and a sum cost little
    operands: list[object] = []
    for array, index in zip(inputs, (op.index_a, op.index_b), strict=True):
        read = {label for entry in index for label, _ in entry.terms}
        used = [label for label in labels if label in read]
        operands.append(_window(_wide(array), index, used, extents, 0))
        operands.append([labels.index(label) for label in used])
    out = [labels.index(label) for label in op.out]
    with np.errstate(all="ignore"):
        return np.asarray(np.einsum(*operands, out, optimize=True))  # pyright: ignore[reportArgumentType,reportCallIssue]


def _scatter(op: Scatter, data: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """The updates one after the other; what is outside places nothing, or is an error."""
    if op.kind in (Reduction.SUM, Reduction.PROD):
        data, updates = _wide(data), _wide(updates)
    out = data.copy()
    rows, placed = np.moveaxis(out, op.axis, 0), np.moveaxis(updates, op.axis, 0)
    join = None if op.kind is None else _JOIN[op.kind]
    with np.errstate(all="ignore"):
        for index, update in zip(indices, placed, strict=True):
            if op.skips and not -len(rows) <= index < len(rows):
                continue
            rows[index] = update if join is None else join(rows[index], update)
    return out
