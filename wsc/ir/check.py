"""What a well-formed graph is: one type rule for each primitive, and the check of a whole graph.

``infer`` is the only place that states result types; the builder calls it, and so
does ``check_graph`` after every pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wsc.ir.graph import (
    Arg,
    Concat,
    Contract,
    Expand,
    Gather,
    Graph,
    GraphOutput,
    Index,
    Keep,
    Lit,
    Map,
    Move,
    MoveStep,
    Node,
    Pad,
    Primitive,
    Reduce,
    Reduction,
    Ref,
    Reshape,
    Scatter,
    Slice,
    Step,
    Transpose,
    Type,
)
from wsc.isa.table import BY_NAME, Category, operand_type
from wsc.isa.types import DType


class IRError(ValueError):
    """A graph that breaks the contract of the IR: a mistake of a pass or of a text."""


MOST_DIMENSIONS = 32
MOST_ELEMENTS = 1 << 48  # beyond what any fabric holds, and far from overflow


def require_sane(type_: Type) -> None:
    """Raise IRError for a tensor of more dimensions or elements than anything takes."""
    rank = len(type_.shape)
    _require(rank <= MOST_DIMENSIONS, f"{rank} dimensions (at most {MOST_DIMENSIONS})")
    _require(type_.size <= MOST_ELEMENTS, f"{type_.size} elements (at most {MOST_ELEMENTS})")


def infer(op: Primitive, inputs: Sequence[Type]) -> Type:
    """Type of ``op``'s result for inputs of these types. Raises IRError if they do not fit."""
    result = _infer(op, inputs)
    require_sane(result)
    return result


def _infer(op: Primitive, inputs: Sequence[Type]) -> Type:
    match op:
        case Map():
            return _map(op, inputs)
        case Reduce():
            return _reduce(op, _expect(op, inputs, 1)[0])
        case Contract():
            return _contract(op, *_expect(op, inputs, 2))
        case Move():
            return _move(op, _expect(op, inputs, 1)[0])
        case Concat():
            return _concat(op, inputs)
        case Gather():
            return _gather(op, *_expect(op, inputs, 2))
        case Scatter(zeros=None):
            return _scatter(op, *_expect(op, inputs, 3))
        case Scatter():
            return _scatter_into_zeros(op, *_expect(op, inputs, 2))
        case Keep():
            return _expect(op, inputs, 1)[0]


def _expect(op: Primitive, inputs: Sequence[Type], count: int) -> Sequence[Type]:
    _require(len(inputs) == count, f"{type(op).__name__} takes {count} inputs, got {len(inputs)}")
    return inputs


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise IRError(message)


# --- map ---------------------------------------------------------------------------


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The NumPy broadcast of some shapes. Raises IRError if they do not fit together."""
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except (ValueError, RuntimeError):  # of more dimensions than NumPy has
        raise IRError(f"shapes do not broadcast: {' '.join(map(str, shapes))}") from None


def step_type(step: Step) -> DType:
    """Element type of a step's result."""
    return operand_type(BY_NAME[step.op].operands[0], step.dtype)


def operand_types(step: Step) -> tuple[DType, ...]:
    """Element types that a step's arguments must have."""
    return tuple(operand_type(role, step.dtype) for role in BY_NAME[step.op].operands[1:])


def _map(op: Map, inputs: Sequence[Type]) -> Type:
    _require(bool(op.body), "a map needs at least one step")
    _require(bool(inputs), "a map needs at least one input")
    results: list[DType] = []
    for number, step in enumerate(op.body):
        _check_step(number, step, inputs, results)
        results.append(step_type(step))
    return Type(results[-1], broadcast([item.shape for item in inputs]))


def _check_step(number: int, step: Step, inputs: Sequence[Type], results: Sequence[DType]) -> None:
    where = f"step {number}, {step.op}.{step.dtype.value}"
    row = BY_NAME.get(step.op)
    _require(row is not None, f"{where}: no such instruction")
    assert row is not None
    _require(row.category is Category.VECTOR and not row.accumulates, f"{where}: not elementwise")
    _require(step.dtype in row.types, f"{where}: no such type of this instruction")
    wanted = operand_types(step)
    _require(len(step.args) == len(wanted), f"{where}: takes {len(wanted)} arguments")
    for arg, dtype in zip(step.args, wanted, strict=True):
        match arg:
            case Arg(index):
                _require(0 <= index < len(inputs), f"{where}: there is no input {index}")
                got = inputs[index].dtype
            case Ref(earlier):
                _require(0 <= earlier < number, f"{where}: there is no earlier step {earlier}")
                got = results[earlier]
            case Lit(value):
                _require(
                    dtype.is_float or isinstance(value, int),
                    f"{where}: literal {value} is not an integer",
                )
                got = dtype
        _require(got is dtype, f"{where}: wants {dtype.value}, got {got.value}")


# --- reductions and contractions ---------------------------------------------------


def index_range(index: Index, extents: dict[str, int]) -> tuple[int, int]:
    """Smallest and largest position that an index takes."""
    low = high = index.offset
    for label, coefficient in index.terms:
        reach = coefficient * (extents[label] - 1)
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high


def _labels(
    indices: Sequence[Index], out: tuple[str, ...], extents: tuple[tuple[str, int], ...]
) -> dict[str, int]:
    table = dict(extents)
    _require(len(table) == len(extents), "a label has two extents")
    _require("" not in table, 'the label "" has no extent')
    _require(all(size > 0 for size in table.values()), "an extent is not positive")
    used = {label for index in indices for label, _ in index.terms}
    _require(used == set(table), f"labels of the indices and of the extents differ: {used}")
    named = [label for label in out if label]
    _require(len(set(named)) == len(named), "an output label stands twice")
    _require(set(named) <= set(table), "an output label has no extent")
    return table


def _covers(indices: Sequence[Index], shape: tuple[int, ...], which: str) -> None:
    _require(len(indices) == len(shape), f"{which}: {len(indices)} indices for shape {shape}")


def _reduce(op: Reduce, a: Type) -> Type:
    _covers(op.index, a.shape, "input")
    extents = _labels(op.index, op.out, op.extents)
    wide = op.kind is Reduction.SUM and a.dtype is DType.F16
    _require(wide or not op.wide, "only a sum of f16 is wide")
    dtype = DType.F32 if op.wide else a.dtype
    return Type(dtype, tuple(extents[label] if label else 1 for label in op.out))


def _contract(op: Contract, a: Type, b: Type) -> Type:
    _require(a.dtype is b.dtype, f"contract of {a.dtype.value} and {b.dtype.value}")
    _require(a.dtype.is_float, "contract needs floats")
    _covers(op.index_a, a.shape, "a")
    _covers(op.index_b, b.shape, "b")
    extents = _labels((*op.index_a, *op.index_b), op.out, op.extents)
    for index, size in zip(op.index_b, b.shape, strict=True):
        low, high = index_range(index, extents)
        _require(low >= 0 and high < size, f"b: positions {low}..{high} of a dimension of {size}")
    return Type(a.dtype, tuple(extents[label] if label else 1 for label in op.out))


# --- movement ----------------------------------------------------------------------


def move_shape(step: MoveStep, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape after one movement step. Raises IRError if the step does not fit."""
    match step:
        case Reshape(target):
            _require(
                np.prod(target, dtype=np.int64) == np.prod(shape, dtype=np.int64),
                f"reshape of {shape} to {target}",
            )
            return target
        case Transpose(perm):
            _require(sorted(perm) == list(range(len(shape))), f"transpose {perm} of {shape}")
            return tuple(shape[axis] for axis in perm)
        case Slice(starts, sizes, steps):
            _require(len(starts) == len(sizes) == len(steps) == len(shape), "slice: rank")
            for start, size, stride, extent in zip(starts, sizes, steps, shape, strict=True):
                last = start + (size - 1) * stride
                inside = size > 0 and 0 <= start < extent and 0 <= last < extent
                inside = inside or size == 0
                _require(inside, f"slice {start}:{size}:{stride} of a dimension of {extent}")
            return sizes
        case Pad(low, high, _):
            _require(len(low) == len(high) == len(shape), "pad: rank")
            _require(min((*low, *high), default=0) >= 0, "pad: negative width")
            return tuple(a + n + b for a, n, b in zip(low, shape, high, strict=True))
        case Expand(target):
            _require(len(target) == len(shape), "expand: rank")
            fits = all(n in (1, size) for n, size in zip(shape, target, strict=True))
            _require(fits, f"expand of {shape} to {target}")
            return target


def _move(op: Move, a: Type) -> Type:
    shape = a.shape
    for step in op.steps:
        shape = move_shape(step, shape)
    return Type(a.dtype, shape)


def _concat(op: Concat, inputs: Sequence[Type]) -> Type:
    _require(bool(inputs), "concat needs an input")
    first = inputs[0]
    _require(0 <= op.axis < len(first.shape), f"concat: axis {op.axis} of {first.shape}")
    rest = first.shape[: op.axis] + first.shape[op.axis + 1 :]
    for item in inputs:
        same = item.dtype is first.dtype
        same = same and item.shape[: op.axis] + item.shape[op.axis + 1 :] == rest
        _require(same and len(item.shape) == len(first.shape), f"concat: {first} and {item}")
    total = sum(item.shape[op.axis] for item in inputs)
    return Type(first.dtype, (*first.shape[: op.axis], total, *first.shape[op.axis + 1 :]))


def _gather(op: Gather, data: Type, indices: Type) -> Type:
    _require(indices.dtype is DType.I32, "gather: indices must be i32")
    _require(0 <= op.axis < len(data.shape), f"gather: axis {op.axis} of {data.shape}")
    shape = data.shape[: op.axis] + indices.shape + data.shape[op.axis + 1 :]
    return Type(data.dtype, shape)


def _scatter(op: Scatter, data: Type, indices: Type, updates: Type) -> Type:
    _require(indices.dtype is DType.I32, "scatter: indices must be i32")
    _require(len(indices.shape) == 1, f"scatter: indices of shape {indices.shape}")
    _require(0 <= op.axis < len(data.shape), f"scatter: axis {op.axis} of {data.shape}")
    shape = data.shape[: op.axis] + indices.shape + data.shape[op.axis + 1 :]
    _require(updates.shape == shape, f"scatter: updates of {updates.shape}, wanted {shape}")
    _require(updates.dtype is data.dtype, "scatter: updates of another type")
    return data


def _scatter_into_zeros(op: Scatter, indices: Type, updates: Type) -> Type:
    _require(0 <= op.axis < len(updates.shape), f"scatter: axis {op.axis} of {updates.shape}")
    before, after = updates.shape[: op.axis], updates.shape[op.axis + 1 :]
    data = Type(updates.dtype, (*before, op.zeros or 0, *after))
    require_sane(data)
    return _scatter(op, data, indices, updates)


# --- graph -------------------------------------------------------------------------


def check_graph(graph: Graph) -> None:
    """Names unique, nodes in topological order, types as inferred, outputs there.

    Raises IRError with the name of the first node that is wrong.
    """
    types: dict[str, Type] = {}
    for item in (*graph.inputs, *graph.constants):
        _define(types, item.name, item.type)
    for item in graph.inputs:
        if item.high:
            _check_high(f"input {item.name!r}", item.high, item.type, types)
    names: set[str] = set()
    for node in graph.nodes:
        _require(node.name not in names, f"two nodes are called {node.name!r}")
        names.add(node.name)
        try:
            check_node(node, types)
            _define(types, node.output, node.type)
        except IRError as error:
            raise IRError(f"{node.name}: {error}") from None
    for output in graph.outputs:
        check_output(output, types)


def check_output(output: GraphOutput, types: Mapping[str, Type]) -> None:
    """Whether an output's values are among ``types``, and its length one integer; else IRError."""
    for name in output.values:
        _require(name in types, f"output {output.name!r}: no value {name!r}")
    if output.high:
        _check_high(f"output {output.name!r}", output.high, types[output.value], types)
    if output.length is not None:
        axis, name = output.length
        one = types[name].dtype is DType.I32 and types[name].size == 1
        _require(one, f"output {output.name!r}: length {name!r} is not one i32")
        inside = 0 <= axis < len(types[output.value].shape)
        _require(inside, f"output {output.name!r}: no dimension {axis}")


def _check_high(what: str, high: str, low: Type, types: Mapping[str, Type]) -> None:
    alike = low.dtype is DType.I32 and types.get(high) == low
    _require(alike, f"{what}: {high!r} are no high words of its shape")


def check_node(node: Node, types: Mapping[str, Type]) -> None:
    """Whether a node's inputs are among ``types`` and its type is as inferred; else IRError."""
    for name in node.inputs:
        _require(name in types, f"input {name!r} is not defined before")
    inferred = infer(node.op, [types[name] for name in node.inputs])
    _require(inferred == node.type, f"type {node.type}, inferred {inferred}")


def _define(types: dict[str, Type], name: str, type_: Type) -> None:
    _require(name not in types, f"value {name!r} is defined twice")
    types[name] = type_
