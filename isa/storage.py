"""The types in which weights may be stored; the edge changes them into those of the fabric."""

from __future__ import annotations

import ml_dtypes
import numpy as np

_NAMED = {
    "F32": np.dtype("f4"),
    "F16": np.dtype("f2"),
    "I32": np.dtype("i4"),
    "I64": np.dtype("i8"),
    "F64": np.dtype("f8"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "BOOL": np.dtype("?"),
    "I16": np.dtype("i2"),
    "U16": np.dtype("u2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}

STORAGE = tuple(_NAMED.values())
"""NumPy's types, in the order of their codes in the engines."""

SAFETENSORS = dict(_NAMED)
"""The same by the names that the headers of safetensors files have for them."""
