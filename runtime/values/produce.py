"""Elements of the weight store in the type of the fabric, made when the edge feeds them.

Weights of billions of elements are drawn, or stored in another float type: they never exist as a
whole in the type in which they travel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from wsc.isa import drawing
from wsc.runtime.kernels.translate import INT, REAL, Intrinsic, Value
from wsc.runtime.values.compiled import (
    NAN,
    Machine,
    bits_of,
    float_of,
    floats_at,
    halves_at,
    kernel,
)
from wsc.runtime.values.vector import half_bits
from wsc.runtime.weights import DRAWN, Mapped, storage_code

PLAIN_WORDS, PLAIN_HALVES, MADE = 0, 1, 2
"""How a tensor is held: as 32-bit words, as halves; from ``MADE`` on in another form.

That is MADE + 2 * (its storage), and 1 more if the fabric has it in f16.
"""

SINGLE, HALF, DOUBLE, BRAIN = (storage_code(name) for name in ("F32", "F16", "F64", "BF16"))
_REAL64 = ir.DoubleType()


def _load(build: Any, address: Any, kind: Any) -> Any:
    loaded = build.load(build.inttoptr(address, ir.PointerType()), typ=kind)
    loaded.align = 1
    return loaded


def _word(value: int) -> Any:
    return ir.Constant(INT, value)


def _drawn_at(build: Any, given: Sequence[Value]) -> Value:
    """``drawing.drawn_value`` in single precision: kernels have no unsigned integers."""
    base, element = given[0].code, given[1].code
    key = _load(build, base, INT)
    mean = _load(build, build.add(base, _word(8)), _REAL64)
    deviation = _load(build, build.add(base, _word(16)), _REAL64)
    bits = build.add(key, build.mul(element, _word(drawing.STEP)))
    for shift, factor in ((30, drawing.FIRST), (27, drawing.SECOND)):
        bits = build.mul(build.xor(bits, build.lshr(bits, _word(shift))), _word(factor))
    bits = build.xor(bits, build.lshr(bits, _word(31)))
    total = build.lshr(bits, _word(48))
    for shift in (0, 16, 32):
        total = build.add(total, build.and_(build.lshr(bits, _word(shift)), _word(0xFFFF)))
    value = build.fsub(build.uitofp(total, _REAL64), ir.Constant(_REAL64, drawing.MIDDLE))
    value = build.fmul(value, ir.Constant(_REAL64, drawing.UNIT))
    value = build.fadd(mean, build.fmul(deviation, value))
    return Value(REAL, build.fptrunc(value, REAL))


def _double_at(build: Any, given: Sequence[Value]) -> Value:
    address = build.add(given[0].code, build.mul(given[1].code, _word(8)))
    return Value(REAL, build.fptrunc(_load(build, address, _REAL64), REAL))


drawn_at: Any = Intrinsic("drawn_at", _drawn_at)
"""An element of the tensor whose recipe (key, mean, deviation) is at an address."""
double_at: Any = Intrinsic("double_at", _double_at)
"""An element of the doubles at an address, in single precision."""


def is_made(held: Mapped) -> bool:
    """Whether a weight is made by part: drawn, or floats of another type than the fabric has."""
    if held.storage not in (DRAWN, SINGLE, HALF, DOUBLE, BRAIN):
        return False
    return held.tensor.dtype.is_float and held.data.dtype != held.tensor.dtype.numpy


def made_code(storage: int, half: bool) -> int:
    """The code of a tensor that is held in ``storage``."""
    return MADE + 2 * storage + half


@kernel
def stored(m: Machine, base: int, storage: int, element: int) -> float:
    """An element of a weight in single precision."""
    if storage == DRAWN:
        return drawn_at(base, element)
    if storage == BRAIN:
        return float_of(halves_at(base)[element] << 16)
    if storage == HALF:
        return m.half[halves_at(base)[element]]
    if storage == DOUBLE:
        return double_at(base, element)
    return floats_at(base)[element]


@kernel
def produce(m: Machine, tensor: int, at: int, step: int, count: int, place: int) -> None:
    """Put ``count`` elements of a tensor, from ``at`` on and ``step`` apart, into a stream."""
    base, code = m.tensors[tensor].address, m.tensors[tensor].held - MADE
    storage, half = code >> 1, code & 1
    for i in range(count):
        value = stored(m, base, storage, at + i * step)
        if half != 0:
            m.words[place + i] = half_bits(value)
        elif value == value:
            m.words[place + i] = bits_of(value)
        else:
            m.words[place + i] = bits_of(NAN)
