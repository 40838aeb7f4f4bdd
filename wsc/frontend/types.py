"""ONNX's element types on words of 32 bits (ADR 6).

Integers are i32 words that hold a value of the ONNX type: what may leave its range is
wrapped. Unsigned integers of 32 and 64 bits are the same bits, read as unsigned. What of 64
bits can leave a word is a pair of them (``wsc.frontend.integers``), and
so are doubles where they are computed as such (``wsc.frontend.exact``). Other floats are f32 (or
f16); a value of a narrower format is rounded where ONNX converts to that format,
and at the outputs.
"""

from __future__ import annotations

import onnx_ir as ir

from wsc.frontend.registry import require
from wsc.ir.terms import Term
from wsc.isa.rounding import FORMATS
from wsc.isa.types import DType

Kind = ir.DataType

# Integers that are narrower than a word: bits, and whether there are negative ones.
WIDTHS: dict[Kind, tuple[int, bool]] = {
    Kind.UINT2: (2, False),
    Kind.INT2: (2, True),
    Kind.UINT4: (4, False),
    Kind.INT4: (4, True),
    Kind.UINT8: (8, False),
    Kind.INT8: (8, True),
    Kind.UINT16: (16, False),
    Kind.INT16: (16, True),
}
UNSIGNED = frozenset({Kind.UINT32, Kind.UINT64})
INTEGERS = frozenset({*WIDTHS, *UNSIGNED, Kind.BOOL, Kind.INT32, Kind.INT64})
# Formats that an instruction rounds to.
ROUNDED: dict[Kind, str] = {
    Kind.BFLOAT16: "to_bf16",
    Kind.FLOAT8E4M3FN: "to_e4m3fn",
    Kind.FLOAT8E4M3FNUZ: "to_e4m3fnuz",
    Kind.FLOAT8E5M2: "to_e5m2",
    Kind.FLOAT8E5M2FNUZ: "to_e5m2fnuz",
    Kind.FLOAT4E2M1: "to_e2m1",
}
FLOATS = frozenset({*ROUNDED, Kind.FLOAT, Kind.FLOAT16, Kind.DOUBLE, Kind.FLOAT8E8M0})
I32_MIN, I32_MAX = -(2**31), 2**31 - 1
_INFINITY_BITS, _NAN_BITS, _E8M0_LEAST_BITS = 0x7F800000, 0x7FC00000, 0x00400000


def limits(kind: Kind) -> tuple[int, int]:
    """Smallest and largest value of a narrow integer type."""
    bits, signed = WIDTHS[kind]
    low = -(1 << (bits - 1)) if signed else 0
    return low, low + (1 << bits) - 1


def width(kind: Kind | None) -> tuple[int, bool]:
    """Bits in which an integer type is computed, and whether there are negative ones."""
    if kind is not None and kind in WIDTHS:
        return WIDTHS[kind]
    return 32, kind not in UNSIGNED


def wrap(term: Term, kind: Kind | None) -> Term:
    """An i32 result cut to the width of a narrow ONNX integer; other types unchanged."""
    if kind is None or kind not in WIDTHS:
        return term
    bits, signed = WIDTHS[kind]
    if not signed:
        return term & ((1 << bits) - 1)
    return term.op("shl", 32 - bits).op("shr", 32 - bits)


def ordered(term: Term, kind: Kind | None) -> Term:
    """A word whose signed order is that of the type; its own inverse."""
    return term ^ I32_MIN if kind in UNSIGNED and not term.dtype.is_float else term


def sortable(term: Term, kind: Kind | None) -> Term:
    """A word whose signed order is that of the type; of floats, NaN is above all numbers.

    Zeros of both signs are one word, and so are all NaN.
    """
    if not term.dtype.is_float:
        return ordered(term, kind)
    wide = term.cast(DType.F32)
    word = (wide + 0.0).op("bits")
    return wide.op("isnan").select(_NAN_BITS, word ^ (word.op("shr", 31) & I32_MAX))


def from_sortable(word: Term, dtype: DType, kind: Kind | None) -> Term:
    """The value of element type ``dtype`` that ``sortable`` made this word of."""
    if not dtype.is_float:
        return ordered(word, kind)
    bits = word ^ (word.op("shr", 31) & I32_MAX)
    return bits.body.apply("from_bits", DType.F32, (bits,)).cast(dtype)


def right_shift(kind: Kind | None) -> str:
    """The instruction that shifts words of a type to the right."""
    return "shru" if kind in UNSIGNED else "shr"


def divide(a: Term, b: Term, kind: Kind | None) -> Term:
    """a / b; integers towards zero."""
    if a.dtype.is_float or kind not in UNSIGNED:
        return wrap(a.op("div", b), kind)
    return a.op("divu", b)


# --- rounding ------------------------------------------------------------------------


def rounded(term: Term, kind: Kind | None) -> Term:
    """A float as a value of ``kind``, in the element type in which graphs keep it.

    An f16 is narrowed, the formats of ``ROUNDED`` stay in f32; f32 and f64 are unchanged.
    """
    if kind is Kind.FLOAT16:
        return term.cast(DType.F16)
    if kind is None or kind not in ROUNDED:
        return term
    return term.cast(DType.F32).op(ROUNDED[kind])


def to_float(term: Term, kind: Kind | None, source: Kind | None, saturate: bool, mode: str) -> Term:
    """A word or float of type ``source`` as a value of the float type ``kind``.

    saturate: whether fp8 formats take their largest value for what lies beyond. mode: the
    direction in which E8M0 rounds (up, down, nearest).
    """
    wide = term.cast(DType.F32) if term.dtype.is_float else from_word(term, source)
    if kind is Kind.FLOAT8E8M0:
        return power_of_two(wide, saturate, mode)
    if saturate and kind is not None and kind in ROUNDED and kind is not Kind.BFLOAT16:
        largest = FORMATS[ROUNDED[kind]].largest
        wide = wide.max(-largest).min(largest)
    return rounded(wide, kind)


def from_word(word: Term, kind: Kind | None) -> Term:
    """An integer as the nearest f32."""
    if kind not in UNSIGNED:
        return word.cast(DType.F32)
    # Half of a large one, with the bit that falls off kept for the rounding.
    half = word.op("shru", 1) | (word & 1)
    return (word < 0).select(half.cast(DType.F32) * 2.0, word.cast(DType.F32))


def to_word(term: Term, kind: Kind | None) -> Term:
    """A float as an integer, towards zero, wrapped to a narrow type."""
    if not term.dtype.is_float:
        return wrap(term, kind)
    if kind not in UNSIGNED:
        return wrap(term.cast(DType.I32), kind)
    far = (term - 2.0**31).cast(DType.I32) ^ I32_MIN
    return (term >= 2.0**31).select(far, term.cast(DType.I32))


def power_of_two(x: Term, saturate: bool, mode: str) -> Term:
    """An f32 as a value of E8M0: 2^-127 to 2^127, or NaN; signs are dropped."""
    require(mode in ("up", "down", "nearest"), f"round_mode {mode!r}")
    bits = x.op("bits")
    exponent = bits.op("shru", 23) & 0xFF
    if mode == "up":
        above = (bits & 0x7FFFFF) > 0
    elif mode == "nearest":
        tail = ((bits & 0x3FFFFF) > 0) | (exponent > 0)
        above = ((bits & 0x400000) > 0) & tail
    else:
        above = exponent < 0
    above = above & (exponent < (254 if saturate else 255))
    exponent = exponent + above
    encoded = exponent.eq(0).select(_E8M0_LEAST_BITS, exponent.op("shl", 23))
    encoded = encoded.eq(_INFINITY_BITS).select(_NAN_BITS, encoded)
    return encoded.body.apply("from_bits", DType.F32, (encoded,))
