"""Elements of the weight store in the type of the fabric, made when the edge feeds them.

Weights of billions of elements are drawn, or stored in another float type: they never exist as a
whole in the type in which they travel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from wsc.isa.drawing import drawn_value
from wsc.runtime.values.compiled import (
    NAN,
    PLAIN,
    Machine,
    bits_of,
    doubles_at,
    float_of,
    floats_at,
    halves_at,
    keys_at,
    machine_at,
    part,
)
from wsc.runtime.values.vector import half_bits
from wsc.runtime.weights import DRAWN, Mapped, storage_code

PLAIN_WORDS, PLAIN_HALVES, MADE = 0, 1, 2
"""How a tensor is held: as 32-bit words, as halves; from ``MADE`` on in another form.

That is MADE + 2 * (its storage), and 1 more if the fabric has it in f16.
"""

SINGLE, HALF, DOUBLE, BRAIN = (storage_code(name) for name in ("F32", "F16", "F64", "BF16"))
_draw: Any = njit(**PLAIN)(drawn_value)


def is_made(held: Mapped) -> bool:
    """Whether a weight is made by part: drawn, or floats of another type than the fabric has."""
    if held.storage not in (DRAWN, SINGLE, HALF, DOUBLE, BRAIN):
        return False
    return held.tensor.dtype.is_float and held.data.dtype != held.tensor.dtype.numpy


def made_code(storage: int, half: bool) -> int:
    """The code of a tensor that is held in ``storage``."""
    return MADE + 2 * storage + half


@part(5)
def produce(address: int, tensor: int, at: int, step: int, count: int, place: int) -> int:
    """Put ``count`` elements of a tensor, from ``at`` on and ``step`` apart, into a stream."""
    m: Machine = machine_at(address)
    base, code = m.tensors[tensor, 0], m.tensors[tensor, 1] - MADE
    storage, half = code >> 1, code & 1
    for i in range(count):
        element = at + i * step
        if storage == DRAWN:
            recipe = doubles_at(base)
            value = np.float32(_draw(keys_at(base)[0], np.uint64(element), recipe[1], recipe[2]))
        elif storage == BRAIN:
            value = float_of(np.int32(np.uint32(halves_at(base)[element]) << np.uint32(16)))
        elif storage == HALF:
            value = m.half[halves_at(base)[element]]
        elif storage == DOUBLE:
            value = np.float32(doubles_at(base)[element])
        else:
            value = floats_at(base)[element]
        if half:
            m.words[place + i] = half_bits(value)
        else:
            m.words[place + i] = bits_of(value if value == value else NAN)
    return 0
