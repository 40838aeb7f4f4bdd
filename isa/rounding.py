"""Rounding to the values of a narrower floating-point format: one value function a format."""

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
