"""Constants that folding left where they are: in the graphs of branches and loops, or shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from wsc.frontend import wide
from wsc.frontend.registry import Call, lowering, require
from wsc.frontend.wide import Wide
from wsc.ir.build import Value
from wsc.isa.types import DType


def values_of(call: Call) -> np.ndarray:
    """The values of whichever attribute the node has."""
    tensor = call.tensor("value")
    if tensor is not None:
        return tensor
    attributes = call.node.attributes
    found: list[Any] = [
        read(name)
        for name, read in (
            ("value_int", lambda name: call.integer(name, 0)),
            ("value_ints", call.integers),
            ("value_float", lambda name: np.float32(call.number(name, 0.0))),
            ("value_floats", lambda name: np.array(call.numbers(name), np.float32)),
        )
        if name in attributes
    ]
    require(bool(found), "a constant that is neither numbers nor a tensor")
    return np.asarray(found[0])


@lowering(
    "Constant",
    quiet=(
        "value",
        "value_float",
        "value_floats",
        "value_int",
        "value_ints",
    ),
)
def constant(call: Call) -> Value | Wide:
    """Values of the model."""
    array = values_of(call)
    require(array.dtype.kind in "fbiuV", f"a constant of {array.dtype}")
    if array.dtype.kind in "biu":
        return wide.of_array(call.build, array, "value")
    dtype = DType.F32 if array.size == 1 else call.float_type
    return call.build.constant(array, dtype, "value")
