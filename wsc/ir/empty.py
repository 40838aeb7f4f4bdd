"""Sums over nothing: what reductions and contractions of tensors without elements give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wsc.ir.graph import Contract, Primitive, Reduce, Reduction, Type
from wsc.isa.types import DType

_NEUTRAL = {
    Reduction.SUM: 0.0,
    Reduction.PROD: 1.0,
    Reduction.MAX: -math.inf,
    Reduction.MIN: math.inf,
}


def over_nothing(op: Primitive, inputs: Sequence[Type]) -> tuple[np.ndarray, DType] | None:
    """The result and its type if ``op`` joins elements of which there are none, else None."""
    if not isinstance(op, (Reduce, Contract)) or all(item.size for item in inputs):
        return None
    extents, dtype = dict(op.extents), inputs[0].dtype
    shape = [extents[label] if label else 1 for label in op.out]
    if isinstance(op, Contract):
        return np.zeros(shape), dtype
    value = _NEUTRAL[op.kind]
    if not dtype.is_float and not math.isfinite(value):
        value = -(2.0**31) if value < 0 else 2.0**31 - 1
    return np.full(shape, value), DType.F32 if op.wide else dtype
