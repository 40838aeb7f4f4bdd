"""Powers of floats and of integers."""

from __future__ import annotations

from wsc.frontend import follow
from wsc.frontend.elementwise import operands, wide_square
from wsc.frontend.registry import Call, lowering, require
from wsc.frontend.types import UNSIGNED
from wsc.ir.build import Value
from wsc.ir.terms import Term
from wsc.isa.types import DType


def power(x: Term, exponent: float) -> Term:
    """x to a constant power, by products and roots where these are exact and cheap."""
    if exponent == 0:
        return x * 0 + 1 if not x.dtype.is_float else x.op("pow", 0.0)
    if exponent < 0:
        require(x.dtype.is_float, "negative power of an integer")
        if exponent in (-1, -0.5):
            return power(x, -exponent).recip()
        # Of a small number the power would overflow, or lose digits, before its reciprocal.
        if exponent in (-2, -3):
            return power(x.recip(), -exponent)
        return power((x * x).recip(), 2) if exponent == -4 else x.op("pow", exponent)
    if exponent in (1, 2, 3, 4):
        square = x * x
        return {1: x, 2: square, 3: square * x, 4: square * square}[int(exponent)]
    if exponent == 0.5 and x.dtype.is_float:
        return x.sqrt()
    if x.dtype.is_float:
        return x.op("pow", exponent)
    require(exponent == int(exponent), f"power {exponent} of an integer")
    return whole_power(x, int(exponent))


def whole_power(x: Term, exponent: int) -> Term:
    """x to a constant power of at least 1, by squaring."""
    half = x if exponent == 1 else whole_power(x * x, exponent // 2)
    return half if exponent == 1 or exponent % 2 == 0 else half * x


@lowering("Pow", follows=follow.elementwise)
def pow_(call: Call) -> Value:
    """a to the power b."""
    (base, other), exponent = operands(call), call.maybe_static(1)
    if exponent is not None and exponent.size == 1 and exponent.ndim <= base.rank:
        constant = exponent.reshape(()).item()
        if base.dtype.is_float or (constant >= 0 and constant == int(constant)):
            body = wide_square if constant == 2 else lambda x: power(x, constant)
            return call.build.map(body, base)
    if base.dtype.is_float:
        return call.build.map(lambda a, b: a.op("pow", b.cast(a.dtype)), base, other)
    if other.dtype.is_float:
        return call.build.map(_rounded_power, base, other)
    signed = call.onnx_type(1) not in UNSIGNED
    return call.build.map(lambda a, b: _integer_power(a, b, signed), base, other)


def _rounded_power(base: Term, exponent: Term) -> Term:
    """An integer to a fractional power, towards zero; what is whole but for rounding is whole."""
    value = base.cast(DType.F32).op("pow", exponent.cast(DType.F32))
    whole = value.op("round")
    near = (value - whole).abs() <= value.abs() * 2e-6
    return near.select(whole, value).cast(DType.I32)


def _integer_power(base: Term, exponent: Term, signed: bool) -> Term:
    """An integer to the power of one, by squaring, wrapping as products do.

    Of a negative power 1 and -1 remain, all else is zero.
    """
    result: Term | int = 1
    square = base
    # Powers of two vanish and those of odd numbers repeat: 32 bits of result see 31 of exponent.
    for bit in range(31):
        result = (exponent.op("shr", bit) & 1).select(square * result, result)
        square = square * square
    assert isinstance(result, Term)
    if not signed:
        return result
    sign = (exponent & 1).select(base, 1)
    fraction = (base * base).eq(1).select(sign, 0)
    return (exponent < 0).select(fraction, result)
