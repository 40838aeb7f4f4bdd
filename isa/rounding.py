"""Rounding to the values of a narrower floating-point format, and the encodings of f16."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Format:
    """A floating-point format whose values are all f32 values.

    digits: bits behind the point. lowest: the smallest exponent of a normal number; below it
    steps stay. largest: the largest finite magnitude. beyond: what a larger magnitude and an
    infinity become (with the sign of the source). nan: what a NaN becomes. minus_zero:
    whether there is one.
    """

    digits: int
    lowest: int
    largest: float
    beyond: float
    nan: float = math.nan
    minus_zero: bool = True


# Instruction -> format. The fp8 and fp4 formats are those of ONNX's documentation (OCP and
# the FNUZ variants); a format without NaN takes it as zero.
FORMATS: dict[str, Format] = {
    "to_bf16": Format(7, -126, 255 * 2.0**120, math.inf),
    "to_e4m3fn": Format(3, -6, 448.0, math.nan),
    "to_e4m3fnuz": Format(3, -7, 240.0, math.nan, minus_zero=False),
    "to_e5m2": Format(2, -14, 57344.0, math.inf),
    "to_e5m2fnuz": Format(2, -15, 57344.0, math.nan, minus_zero=False),
    "to_e2m1": Format(1, 0, 6.0, 6.0, nan=0.0),
}


def rounding(form: Format) -> Callable[[Any], Any]:
    """The function that rounds to the nearest value of a format, ties to even."""
    digits, lowest, largest, beyond = form.digits, form.lowest, form.largest, form.beyond
    nan, minus_zero = form.nan, form.minus_zero

    def rounded(a: Any) -> Any:
        if a != a:
            return nan
        size = abs(float(a))
        if size > 4.0 * largest:
            return math.copysign(beyond, a)
        step = math.ldexp(1.0, max(math.frexp(size)[1] - 1, lowest) - digits)
        steps = size / step
        below = math.floor(steps) * 1.0
        rest = steps - below
        if rest > 0.5 or (rest == 0.5 and below % 2.0 == 1.0):
            below += 1.0
        size = below * step
        if size > largest:
            size = beyond
        if size == 0.0 and not minus_zero:
            return 0.0
        return math.copysign(size, a)

    return rounded


HALF_NAN = 0x7E00
"""The one NaN that f16 results have."""


def half_encoding(bits: int) -> int:
    """The f16 encoding nearest to the f32 that has these 32 bits, ties to even.

    Integers alone decide it, so that every engine can compile it as it is.
    """
    sign = (bits >> 16) & 0x8000
    size = bits & 0x7FFFFFFF
    if size > 0x7F800000:
        return HALF_NAN
    # From here on the nearest f16 is infinite: 65520 is halfway beyond the largest finite one.
    if size >= 0x477FF000:
        return sign | 0x7C00
    # A normal f16: another bias of the exponent, and thirteen digits less.
    if size >= 0x38800000:
        size -= 0x38000000
        return sign | ((size + 0xFFF + ((size >> 13) & 1)) >> 13)
    # Half of the smallest f16, or less, is zero.
    if size < 0x33000000:
        return sign
    # A subnormal f16: its digits are shifted, and their first one is written out.
    shift = 126 - (size >> 23)
    digits = (size & 0x7FFFFF) | 0x800000
    result = digits >> shift
    rest = digits & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    if rest > half or (rest == half and result & 1):
        result += 1
    return sign | result
