"""Between which numbers the values of a graph lie: intervals, worked out from inputs on.

An interval holds all elements of a value that are numbers; a float may be NaN besides. What
is not known is between the limits of the type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from wsc.ir.graph import (
    Arg,
    Concat,
    Constant,
    Contract,
    Gather,
    Graph,
    GraphInput,
    Keep,
    Lit,
    Map,
    Move,
    Node,
    Pad,
    Reduce,
    Reduction,
    Ref,
    Scatter,
    Step,
    Type,
)
from wsc.isa.table import BY_NAME, operand_type
from wsc.isa.types import DType

Interval = tuple[float, float]

MOST_READ = 1 << 16  # elements of a constant that are looked at; larger ones are weights
_WORD: Interval = (-(2.0**31), 2.0**31 - 1)
_REAL: Interval = (-math.inf, math.inf)
_FLAG: Interval = (0, 1)
_NARROW = frozenset({"bool", "int8", "uint8", "int16", "uint16"})


def unknown(dtype: DType) -> Interval:
    """What every value of an element type lies in."""
    return _REAL if dtype.is_float else _WORD


def ranges(graph: Graph) -> dict[str, Interval]:
    """The interval of every value of a graph, by name."""
    found = {item.name: of_input(item) for item in graph.inputs}
    found |= {item.name: of_constant(item) for item in graph.constants}
    types = graph.types()
    for node in graph.nodes:
        found[node.output] = of_node(node, found, types)
    return found


def of_input(item: GraphInput) -> Interval:
    """The interval of a graph input, by the type that the host passes."""
    if item.host_dtype == "bool":
        return _FLAG
    if item.host_dtype in _NARROW:
        limits = np.iinfo(item.host_dtype)
        return float(limits.min), float(limits.max)
    return unknown(item.type.dtype)


def of_constant(item: Constant) -> Interval:
    """The interval of a constant; large ones are not read, and those that training changes."""
    if item.state or item.type.dtype.is_float or not 0 < item.type.size <= MOST_READ:
        return unknown(item.type.dtype)
    try:
        values = item.load()
    except LookupError:  # a graph that was read from text has no values
        return unknown(item.type.dtype)
    return float(values.min()), float(values.max())


def of_node(node: Node, found: Mapping[str, Interval], types: Mapping[str, Type]) -> Interval:
    """The interval of a node's result, by those of its inputs and by their types."""
    inputs = [found[name] for name in node.inputs]
    match node.op:
        case Map():
            return intervals(node.op, inputs)[-1]
        case Concat():
            return _join(*inputs)
        case Gather() | Keep():
            return inputs[0]
        case Scatter(_, kind):
            simple = kind in (None, Reduction.MAX, Reduction.MIN)
            data = (0.0, 0.0) if node.op.zeros is not None else inputs[0]
            return _join(data, inputs[-1]) if simple else unknown(node.type.dtype)
        case Move(steps):
            pads = [float(step.value) for step in steps if isinstance(step, Pad)]
            return _join(inputs[0], *((value, value) for value in pads))
        case Reduce():
            return _reduced(node.op, inputs[0], types[node.inputs[0]].dtype)
        case Contract():
            return unknown(node.type.dtype)


def _join(*parts: Interval) -> Interval:
    return min(low for low, _ in parts), max(high for _, high in parts)


def _reduced(op: Reduce, each: Interval, dtype: DType) -> Interval:
    if dtype.is_float or op.kind is Reduction.PROD:
        return unknown(dtype)
    # A position outside the dimension reads as the neutral element: that of a sum is 0.
    inside = all(len(entry.terms) <= 1 and not entry.offset for entry in op.index)
    if op.kind is not Reduction.SUM:
        return each if inside else unknown(dtype)
    count = math.prod(size for label, size in op.extents if label not in op.out)
    low, high = each if inside else _join(each, (0, 0))
    return _fitting(low * count, high * count)


def is_position(index: Interval, size: Interval) -> bool:
    """Whether an index is known to be a position from 0 on of a dimension of that size."""
    return index[0] >= 0 and index[1] < size[0]


def intervals(op: Map, inputs: Sequence[Interval]) -> list[Interval]:
    """The interval of each step of a map."""
    steps: list[Interval] = []
    for step in op.body:
        steps.append(of_step(step, [of_argument(arg, inputs, steps) for arg in step.args]))
    return steps


def of_argument(
    arg: Arg | Ref | Lit, inputs: Sequence[Interval], steps: Sequence[Interval]
) -> Interval:
    """The interval of a step's argument, by those of the inputs and of earlier steps."""
    match arg:
        case Arg(index):
            return inputs[index]
        case Ref(number):
            return steps[number]
        case Lit(value):
            return _REAL if value != value else (value, value)


def of_step(step: Step, args: Sequence[Interval]) -> Interval:
    """The interval of a step's result for arguments within these."""
    result = operand_type(BY_NAME[step.op].operands[0], step.dtype)
    rule = (_REALS if step.dtype.is_float else _WORDS).get(step.op)
    if rule is None:
        return _FLAG if step.op in _COMPARISONS else unknown(result)
    low, high = rule(*args)
    if low != low or high != high:
        return unknown(result)
    if not result.is_float:
        return _fitting(low, high)
    with np.errstate(over="ignore"):  # rounding keeps the order, so it may be done at the ends
        return float(result.numpy.type(low)), float(result.numpy.type(high))


def _fitting(low: float, high: float) -> Interval:
    """An interval of integers: what could leave 32 bits could be any word."""
    return (low, high) if _WORD[0] <= low and high <= _WORD[1] else _WORD


# --- what an instruction does to intervals ----------------------------------------------

_COMPARISONS = frozenset({"lt", "le", "eq", "isnan"})


def _products(a: Interval, b: Interval) -> Interval:
    corners = [x * y for x in a for y in b]
    return min(corners), max(corners)


def _modulo(a: Interval, b: Interval) -> Interval:
    if b[0] <= 0:
        return _WORD
    return a if a[0] >= 0 and a[1] < b[0] else (0, b[1] - 1)


def _remainder(a: Interval, b: Interval) -> Interval:
    most = max(abs(b[0]), abs(b[1])) - 1
    low = max(a[0], -most) if a[0] < 0 else 0
    return low, max(min(a[1], most), 0)


def _quotient(a: Interval, b: Interval) -> Interval:
    if b[0] <= 0:
        return _WORD
    corners = [math.trunc(x / y) for x in a for y in b]
    return min(corners), max(corners)


def _masked(a: Interval, b: Interval) -> Interval:
    """Of ``a & b``: no more than either that is not negative."""
    least = [high for low, high in (a, b) if low >= 0]
    return (0, min(least)) if least else _WORD


def _shifted(a: Interval, b: Interval) -> Interval:
    if b[0] != b[1]:
        return _WORD if a[0] < 0 else (0, a[1])
    by = 2.0 ** (int(b[0]) & 31)
    return math.floor(a[0] / by), math.floor(a[1] / by)


def _magnitude(a: Interval) -> Interval:
    low = 0 if a[0] <= 0 <= a[1] else min(abs(a[0]), abs(a[1]))
    return low, max(abs(a[0]), abs(a[1]))


def _truncated(a: Interval) -> Interval:
    """Of a float as an integer: it saturates, and what is not a number becomes 0."""
    low, high = (min(max(x, _WORD[0]), _WORD[1]) for x in a)
    return min(math.trunc(low), 0), max(math.trunc(high), 0)


_EITHER: dict[str, Callable[..., Interval]] = {
    "mov": lambda a: a,
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "neg": lambda a: (-a[1], -a[0]),
    "abs": _magnitude,
    "sign": lambda a: (-1 if a[0] < 0 else 0, 1 if a[1] > 0 else 0),
    "select": lambda _, a, b: _join(a, b),
}
_WORDS: dict[str, Callable[..., Interval]] = _EITHER | {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": _products,
    "div": _quotient,
    "mod": _modulo,
    "rem": _remainder,
    "and": _masked,
    "shr": _shifted,
    "index": lambda _, b: (0, b[1] - 1),
    "within": lambda _, b: (0, b[1] - 1),
}
# Sums and products of floats are rounded, and inf - inf is no number: these are not followed.
_REALS: dict[str, Callable[..., Interval]] = _EITHER | {
    "floor": lambda a: tuple(math.floor(x) if math.isfinite(x) else x for x in a),
    "ceil": lambda a: tuple(math.ceil(x) if math.isfinite(x) else x for x in a),
    "round": lambda a: tuple(round(x) if math.isfinite(x) else x for x in a),
    "from_int": lambda a: a,
    "to_int": _truncated,
}
