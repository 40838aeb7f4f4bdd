"""Operations on constants, done when the graph is built or when its constants are loaded.

Small ones may be shapes, trip counts and conditions. Large ones are weights that a model
keeps in fewer bits: they come from the edge as they are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wsc.ir.graph import Arg, Concat, Gather, Lit, Map, Primitive, Ref, Step, Type
from wsc.isa.table import BY_NAME, operand_type
from wsc.isa.types import DType
from wsc.isa.values import MOVES, PARTIAL, VALUES, Class, DomainError, class_of

# Elements of a result: each is interpreted, and what is larger than this is no shape.
LIMIT = 256


def fold(op: Primitive, inputs: Sequence[np.ndarray], result: Type) -> np.ndarray | None:
    """The result of an operation on constants, or None if that is for the fabric to find."""
    match op:
        case Map():
            try:
                return map_arrays(op, inputs, result)
            except DomainError:
                return None
        case Concat(axis):
            return np.concatenate(inputs, axis)
        case Gather(axis):
            size = inputs[0].shape[axis]
            inside = bool(((inputs[1] >= -size) & (inputs[1] < size)).all())
            return np.take(inputs[0], inputs[1], axis) if inside else None
        case _:
            return None


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
    """The values of a map, to the bit those of ``wsc.isa.values``, a whole array at a time.

    Raises DomainError for integers for which an instruction has no value.
    """
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
        value = _applied(step, args)
        target = operand_type(row.operands[0], step.dtype)
        with np.errstate(all="ignore"):
            if target.is_float:
                value = value.astype(np.float32)
                if step.op not in MOVES:  # the one NaN that the fabric makes
                    value = np.where(np.isnan(value), np.float32(np.nan), value)
            values.append(value.astype(target.numpy))
    whole = np.broadcast_to(values[-1], result.shape)
    return np.ascontiguousarray(whole).reshape(result.shape)


def _applied(step: Step, args: Sequence[np.ndarray]) -> np.ndarray:
    """One step for all elements; its results are not rounded or wrapped yet."""
    function = VALUES[step.op, class_of(step.dtype)]
    domain = PARTIAL.get(step.op) if class_of(step.dtype) is Class.INT else None
    if domain is not None:
        for a, b in np.broadcast(*args):
            if not domain.holds(int(a), int(b)):
                raise DomainError(domain.refusal.format(a=a, b=b))
    with np.errstate(all="ignore"):
        if _is_division(step.op, step.dtype):
            return np.asarray(np.divide(*args))
        if step.op in _OF_ARRAYS:
            return np.asarray(function(*args))
        # The other functions take single elements: floats as f32, integers without a width.
        wide = np.broadcast_arrays(*args)
        columns = [list(a.flat) if a.dtype.kind == "f" else a.reshape(-1).tolist() for a in wide]
        results = [function(*elements) for elements in zip(*columns, strict=True)]
    floats = operand_type(BY_NAME[step.op].operands[0], step.dtype).is_float
    return np.array(results, np.float64 if floats else np.int64).reshape(wide[0].shape)


def _is_division(op: str, dtype: DType) -> bool:
    return op == "div" and dtype.is_float


def _carried(array: np.ndarray, dtype: DType) -> np.ndarray:
    """An operand as ``evaluate`` hands it to a value function: of f32 or 32 bits."""
    array = array.astype(dtype.numpy)
    return array.astype(np.float32) if dtype.is_float else array
