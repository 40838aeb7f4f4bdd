"""Small operations on constants, done when the graph is built: shapes, trip counts, conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isa.values import evaluate
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
            except ZeroDivisionError:
                return None
        out[place] = values[-1]
    return out.reshape(result.shape)
