"""NumPy's answer to a graph: what each primitive means, element by element, for tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wsc.ir.build import move_array
from wsc.ir.check import operand_types, step_type
from wsc.ir.graph import (
    Arg,
    Concat,
    Contract,
    Gather,
    Graph,
    GraphOutput,
    Index,
    Keep,
    Lit,
    Map,
    Move,
    Node,
    Reduce,
    Reduction,
    Ref,
    Scatter,
)
from wsc.isa.types import DType


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.issubdtype(a.dtype, np.integer):
        return np.trunc(a.astype(np.float64) / b).astype(a.dtype)
    return a / b


def _position(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if ((a < -b) | (a >= b)).any():
        raise IndexError("an index that is no position")
    return np.where(a < 0, a + b, a)


_erf = np.frompyfunc(math.erf, 1, 1)
# What NumPy calls by another name, or has not.
_ROWS: dict[str, Callable[..., np.ndarray]] = {
    "mov": lambda a: a,
    "widen": lambda a: a,
    "narrow": lambda a: a,
    "to_int": np.trunc,
    "from_int": lambda a: a,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "mod": np.mod,
    "rem": np.fmod,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
    "neg": np.negative,
    "abs": np.abs,
    "round": np.rint,
    "recip": lambda a: 1 / a,
    "asinh": np.arcsinh,
    "erf": lambda a: np.asarray(_erf(a), np.float64),
    "atan": np.arctan,
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shl": lambda a, b: np.left_shift(a, b & 31),
    "shr": lambda a, b: np.right_shift(a, b & 31),
    "shru": lambda a, b: np.right_shift(_unsigned(a), _unsigned(b) & np.uint32(31)),
    "divu": lambda a, b: np.floor_divide(_unsigned(a), _unsigned(b)),
    "remu": lambda a, b: np.remainder(_unsigned(a), _unsigned(b)),
    "bits": lambda a: a.view(np.int32),
    "from_bits": lambda a: a.astype(np.int32).view(np.float32),
    "fit": lambda a, b: _fitting(a, b),
    "index": _position,
    "within": lambda a, b: _within(a, b),
    "select": lambda c, a, b: np.where(c != 0, a, b),
}


def of_row(name: str) -> Callable[..., Any]:
    """What NumPy makes of an instruction's operands: in most cases its function of that name."""
    return _ROWS[name] if name in _ROWS else getattr(np, name)


def _within(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if ((a < 0) | (a >= b)).any():
        raise IndexError("an index that is no position")
    return a


def _unsigned(a: np.ndarray) -> np.ndarray:
    return a.view(np.uint32)


def _fitting(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if not np.all(b):
        raise OverflowError("an integer needs more than 32 bits here")
    return a


def _kind(dtype: DType, double: bool) -> np.dtype:
    return np.dtype(np.float64) if double and dtype.is_float else np.dtype(dtype.numpy)


def map_arrays(op: Map, inputs: list[np.ndarray], double: bool = False) -> np.ndarray:
    """The result of a map. double: floats are float64."""
    shape = np.broadcast_shapes(*(array.shape for array in inputs))
    results: list[np.ndarray] = []
    for step in op.body:
        args: list[np.ndarray] = []
        for arg, wanted in zip(step.args, operand_types(step), strict=True):
            match arg:
                case Arg(index):
                    args.append(inputs[index])
                case Ref(number):
                    args.append(results[number])
                case Lit(value):
                    args.append(np.array(value, _kind(wanted, double)))
        with np.errstate(all="ignore"):
            value = np.asarray(of_row(step.op)(*args))
            results.append(value.astype(_kind(step_type(step), double)))
    return np.broadcast_to(results[-1], shape)


def _window(
    array: np.ndarray,
    index: tuple[Index, ...],
    labels: list[str],
    extents: dict[str, int],
    fill: float,
) -> np.ndarray:
    """``array[index]`` with one dimension for each label that the index reads (else size 1)."""
    used = {label for entry in index for label, _ in entry.terms}
    places: list[np.ndarray] = []
    inside = np.ones((1,) * len(labels), bool)
    for entry, size in zip(index, array.shape, strict=True):
        place = np.full((1,) * len(labels), entry.offset)
        for label, coefficient in entry.terms:
            shape = [extents[label] if other == label else 1 for other in labels]
            place = place + coefficient * np.arange(extents[label]).reshape(shape)
        inside = inside & (place >= 0) & (place < size)
        places.append(np.clip(place, 0, size - 1))
    taken = np.where(inside, array[tuple(places)], fill) if places else array.reshape(inside.shape)
    shape = tuple(extents[label] if label in used else 1 for label in labels)
    return np.broadcast_to(taken, shape)


_FOLDS = {
    Reduction.SUM: (np.sum, 0.0),
    Reduction.PROD: (np.prod, 1.0),
    Reduction.MAX: (np.max, -math.inf),
    Reduction.MIN: (np.min, math.inf),
}

_JOINS = {
    Reduction.SUM: np.add,
    Reduction.PROD: np.multiply,
    Reduction.MAX: np.maximum,
    Reduction.MIN: np.minimum,
}


def _reduce(op: Reduce, dtype: np.dtype, inputs: list[np.ndarray]) -> np.ndarray:
    extents, labels = dict(op.extents), [label for label, _ in op.extents]
    fold, fill = _FOLDS[op.kind]
    wide = inputs[0].astype(np.float64)
    taken = _window(wide, op.index, labels, extents, fill)
    inner = tuple(axis for axis, label in enumerate(labels) if label not in op.out)
    left = [label for label in labels if label in op.out]
    result = fold(taken, axis=inner).transpose([left.index(x) for x in op.out if x])
    shape = [extents[label] if label else 1 for label in op.out]
    with np.errstate(over="ignore"):
        return result.reshape(shape).astype(dtype)


def _contract(op: Contract, dtype: np.dtype, inputs: list[np.ndarray]) -> np.ndarray:
    extents, labels = dict(op.extents), [label for label, _ in op.extents]
    operands: list[object] = []
    for array, index in zip(inputs, (op.index_a, op.index_b), strict=True):
        used = [x for x in labels if any(x == y for entry in index for y, _ in entry.terms)]
        taken = _window(array.astype(np.float64), index, used, extents, 0.0)
        operands += [taken, [labels.index(label) for label in used]]
    out = [labels.index(label) for label in op.out]
    with np.errstate(over="ignore"):
        return np.einsum(*operands, out, optimize=True).astype(dtype)  # type: ignore[call-overload]


def _scatter(op: Scatter, inputs: list[np.ndarray]) -> np.ndarray:
    *data, indices, updates = inputs
    if op.zeros is not None:
        shape = (*updates.shape[: op.axis], op.zeros, *updates.shape[op.axis + 1 :])
        data = [np.zeros(shape, updates.dtype)]
    out = data[0].copy()
    rows, placed = np.moveaxis(out, op.axis, 0), np.moveaxis(updates, op.axis, 0)
    join = None if op.kind is None else _JOINS[op.kind]
    for index, update in zip(indices, placed, strict=True):
        if not op.skips or -len(rows) <= index < len(rows):
            rows[index] = update if join is None else join(rows[index], update)
    return out


def _node(node: Node, inputs: list[np.ndarray], double: bool) -> np.ndarray:
    dtype = _kind(node.type.dtype, double)
    match node.op:
        case Map():
            return map_arrays(node.op, inputs, double)
        case Reduce():
            return _reduce(node.op, dtype, inputs)
        case Contract():
            return _contract(node.op, dtype, inputs)
        case Move(steps):
            return move_array(inputs[0], steps)
        case Concat(axis):
            return np.concatenate(inputs, axis)
        case Gather(axis):
            return np.take(inputs[0], inputs[1], axis)
        case Scatter():
            return _scatter(node.op, inputs)
        case Keep():
            return inputs[0]


def evaluate(
    graph: Graph, feeds: Mapping[str, np.ndarray], double: bool = False
) -> dict[str, np.ndarray]:
    """Outputs of the graph by ONNX name, in the dtypes that the host sees.

    double: every float is float64, the outputs too.
    """
    values = {
        item.name: feeds[item.name].astype(_kind(item.type.dtype, double)) for item in graph.inputs
    }
    for item in graph.constants:
        loaded = item.load()
        assert (loaded.dtype, loaded.shape) == (item.type.dtype.numpy, item.type.shape), item.name
        values[item.name] = loaded.astype(_kind(item.type.dtype, double))
    for node in graph.nodes:
        value = _node(node, [values[name] for name in node.inputs], double)
        assert value.shape == node.type.shape, (node.name, value.shape, node.type)
        assert value.dtype == _kind(node.type.dtype, double), (node.name, value.dtype, node.type)
        values[node.output] = value
    if double:
        return {item.name: values[item.value] for item in graph.outputs}
    return {item.name: _shown(item, values) for item in graph.outputs}


def _shown(item: GraphOutput, values: Mapping[str, np.ndarray]) -> np.ndarray:
    word, host = values[item.value], np.dtype(item.host_dtype)
    unsigned = host.kind == "u" and host.itemsize >= 4 and word.dtype == np.int32
    array = (word.view(np.uint32) if unsigned else word).astype(host)
    if item.high:
        low = values[item.value].view(np.uint32)
        array = ((values[item.high].astype(np.int64) << 32) | low).view(item.host_dtype)
    if item.length is None:
        return array
    axis, length = item.length
    return np.take(array, range(int(values[length].item())), axis)
