"""Operations on constants, done when the graph is built or when its constants are loaded.

Small ones may be shapes, trip counts and conditions. Large ones are weights that a model
keeps in fewer bits: they come from the edge as they are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isa.table import BY_NAME, operand_type
from isa.types import DType
from isa.values import VALUES, DomainError, class_of, evaluate
from wsc.ir.graph import Arg, Concat, Gather, Lit, Map, Primitive, Ref, Type

# Elements of a result: each is interpreted, and what is larger than this is no shape.
LIMIT = 256


def fold(op: Primitive, inputs: Sequence[np.ndarray], result: Type) -> np.ndarray | None:
    """The result of an operation on constants, or None if that is for the fabric to find."""
    match op:
        case Map():
            return _map(op, inputs, result)
        case Concat(axis):
            return np.concatenate(inputs, axis)
        case Gather(axis):
            size = inputs[0].shape[axis]
            inside = bool(((inputs[1] >= -size) & (inputs[1] < size)).all())
            return np.take(inputs[0], inputs[1], axis) if inside else None
        case _:
            return None


def _map(op: Map, inputs: Sequence[np.ndarray], result: Type) -> np.ndarray | None:
    wide = [np.broadcast_to(array, result.shape).reshape(-1) for array in inputs]
    out = np.empty(result.size, result.dtype.numpy)
    for place in range(result.size):
        values: list[object] = []
        for step in op.body:
            args: list[object] = []
            for arg in step.args:
                match arg:
                    case Arg(index):
                        args.append(wide[index][place])
                    case Ref(number):
                        args.append(values[number])
                    case Lit(value):
                        args.append(value)
            try:
                values.append(evaluate(step.op, step.dtype, *args))
            except DomainError:
                return None
        out[place] = values[-1]
    return out.reshape(result.shape)


# --- weights ----------------------------------------------------------------------

# Rows whose value functions are one NumPy operation, and so take arrays as they are.
_OF_ARRAYS = frozenset(
    {"add", "and", "from_int", "mov", "mul", "narrow", "or", "sub", "widen", "xor"}
)


def of_weights(op: Map, inputs: Sequence[Type], result: Type) -> bool:
    """Whether ``map_arrays`` can take the operation, and the result has no more elements.

    What broadcasts a small constant is left to the fabric: it would bring more from the edge.
    """
    if result.size > max((item.size for item in inputs), default=0):
        return False
    return all(step.op in _OF_ARRAYS or _is_division(step.op, step.dtype) for step in op.body)


def map_arrays(op: Map, inputs: Sequence[np.ndarray], result: Type) -> np.ndarray:
    """The values of a map that ``of_weights`` accepts, a whole array at a time."""
    values: list[np.ndarray] = []
    for step in op.body:
        row = BY_NAME[step.op]
        args: list[np.ndarray] = []
        for arg, role in zip(step.args, row.operands[1:], strict=True):
            match arg:
                case Arg(index):
                    array = inputs[index]
                case Ref(number):
                    array = values[number]
                case Lit(value):
                    array = np.asarray(value)
            args.append(_carried(array, operand_type(role, step.dtype)))
        divides = _is_division(step.op, step.dtype)
        function = np.divide if divides else VALUES[step.op, class_of(step.dtype)]
        with np.errstate(all="ignore"):
            value = np.asarray(function(*args))
            target = operand_type(row.operands[0], step.dtype)
            wide = value.astype(np.float32) if target.is_float else value
            values.append(wide.astype(target.numpy))
    return np.ascontiguousarray(np.broadcast_to(values[-1], result.shape))


def _is_division(op: str, dtype: DType) -> bool:
    return op == "div" and dtype.is_float


def _carried(array: np.ndarray, dtype: DType) -> np.ndarray:
    """An operand as ``evaluate`` hands it to a value function: of f32 or 32 bits."""
    array = array.astype(dtype.numpy)
    return array.astype(np.float32) if dtype.is_float else array
