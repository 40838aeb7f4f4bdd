"""Operators that work on each element by itself: each becomes one map."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import onnx_ir as ir

from isa.types import DType
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import Value
from wsc.ir.terms import Term

_WIDTHS = {
    ir.DataType.UINT8: (8, False),
    ir.DataType.UINT16: (16, False),
    ir.DataType.INT8: (8, True),
    ir.DataType.INT16: (16, True),
}
_I32_MAX, _I32_MIN = 2**31 - 1, -(2**31)


def wrap(term: Term, dtype: ir.DataType | None) -> Term:
    """An i32 result cut to the width of a narrow ONNX integer; other types unchanged."""
    if dtype is None or dtype not in _WIDTHS:
        return term
    bits, signed = _WIDTHS[dtype]
    if not signed:
        return term & ((1 << bits) - 1)
    return term.op("shl", 32 - bits).op("shr", 32 - bits)


# --- operators that are a row of the instruction table ------------------------------

_UNARY = {
    "Abs": ("abs", "|x|."),
    "Sign": ("sign", "-1, 0 or 1."),
    "Floor": ("floor", "Largest integer not above x."),
    "Ceil": ("ceil", "Smallest integer not below x."),
    "Round": ("round", "Nearest integer, halves to even."),
    "Reciprocal": ("recip", "1 / x."),
    "Sqrt": ("sqrt", "Square root."),
    "Exp": ("exp", "e to the power x."),
    "Log": ("log", "Natural logarithm."),
    "Tanh": ("tanh", "Hyperbolic tangent."),
    "Erf": ("erf", "Error function."),
    "Sin": ("sin", "Sine."),
    "Cos": ("cos", "Cosine."),
    "Atan": ("atan", "Arc tangent."),
    "IsNaN": ("isnan", "Whether x is NaN."),
}
_BINARY = {
    "Equal": ("eq", "a == b."),
    "Less": ("lt", "a < b."),
    "LessOrEqual": ("le", "a <= b."),
    "And": ("and", "Logical and."),
    "Or": ("or", "Logical or."),
    "Xor": ("xor", "Exclusive or."),
    "BitwiseAnd": ("and", "a & b."),
    "BitwiseOr": ("or", "a | b."),
    "BitwiseXor": ("xor", "a ^ b."),
    "Div": ("div", "a / b; integers towards zero."),
}
_WRAPPING = {"Add": ("add", "a + b."), "Sub": ("sub", "a - b."), "Mul": ("mul", "a * b.")}


def _register_rows() -> None:
    def unary(op_type: str, row: str, doc: str) -> None:
        def lower(call: Call) -> Value:
            return call.build.map(lambda x: x.op(row), call.arg(0))

        lower.__doc__ = doc
        lowering(op_type)(lower)

    def binary(op_type: str, row: str, doc: str, since: int, wraps: bool) -> None:
        def lower(call: Call) -> Value:
            kind = call.onnx_type(0) if wraps else None
            if row == "mul" and call.arg(0) == call.arg(1):
                return call.build.map(lambda a: wrap(wide_square(a), kind), call.arg(0))
            return call.build.map(lambda a, b: wrap(a.op(row, b), kind), call.arg(0), call.arg(1))

        lower.__doc__ = doc
        lowering(op_type, since=since)(lower)

    for op_type, (row, doc) in _UNARY.items():
        unary(op_type, row, doc)
    # Before opset 7 broadcasting followed attributes.
    for op_type, (row, doc) in _BINARY.items():
        binary(op_type, row, doc, 7, wraps=False)
    for op_type, (row, doc) in _WRAPPING.items():
        binary(op_type, row, doc, 7, wraps=True)


_register_rows()


@lowering("Greater", since=7)
def greater(call: Call) -> Value:
    """a > b."""
    return call.build.map(lambda a, b: a > b, call.arg(0), call.arg(1))


@lowering("GreaterOrEqual", since=12)
def greater_or_equal(call: Call) -> Value:
    """a >= b."""
    return call.build.map(lambda a, b: a >= b, call.arg(0), call.arg(1))


@lowering("Not")
def logical_not(call: Call) -> Value:
    """Logical not."""
    return call.build.map(lambda x: x.negated(), call.arg(0))


@lowering("BitwiseNot", since=18)
def bitwise_not(call: Call) -> Value:
    """~x."""
    kind = call.onnx_type(0)
    return call.build.map(lambda x: wrap(x ^ -1, kind), call.arg(0))


@lowering("BitShift", since=11)
def bit_shift(call: Call) -> Value:
    """Shift of unsigned integers of 8 or 16 bits."""
    kind = call.onnx_type(0)
    require(kind in _WIDTHS, "only 8 and 16-bit integers are shifted as ONNX wants it")
    row = "shl" if call.text("direction", "LEFT") == "LEFT" else "shr"

    def body(a: Term, b: Term) -> Term:
        return (b < 32).select(wrap(a.op(row, b), kind), 0)

    return call.build.map(body, call.arg(0), call.arg(1))


@lowering("Neg")
def neg(call: Call) -> Value:
    """-x."""
    kind = call.onnx_type(0)
    return call.build.map(lambda x: wrap(-x, kind), call.arg(0))


@lowering("Mod", since=10)
def mod(call: Call) -> Value:
    """Remainder with the sign of b, or with fmod=1 of a."""
    row = "rem" if call.integer("fmod", 0) else "mod"
    return call.build.map(lambda a, b: a.op(row, b), call.arg(0), call.arg(1))


@lowering("Max", "Min", since=8)
def extremum(call: Call) -> Value:
    """Elementwise largest or smallest of any number of inputs."""
    row = call.node.op_type.lower()
    return call.build.map(lambda *xs: reduce(lambda a, b: a.op(row, b), xs), *call.args())


@lowering("Sum", since=8)
def sum_(call: Call) -> Value:
    """Elementwise sum of any number of inputs."""
    return call.build.map(lambda *xs: reduce(lambda a, b: a + b, xs), *call.args())


@lowering("Mean", since=8)
def mean(call: Call) -> Value:
    """Elementwise mean of any number of inputs."""
    scale = 1 / len(call)
    return call.build.map(lambda *xs: reduce(lambda a, b: a + b, xs) * scale, *call.args())


@lowering("Where", since=9)
def where(call: Call) -> Value:
    """c ? a : b."""
    return call.build.map(lambda c, a, b: c.select(a, b), call.arg(0), call.arg(1), call.arg(2))


@lowering("Identity")
def identity(call: Call) -> Value:
    """x."""
    return call.arg(0)


@lowering("Dropout", since=7)
def dropout(call: Call) -> Value:
    """x: nothing is dropped at inference."""
    training = call.maybe_static(2)
    require(not call.has(2) or (training is not None and not training.any()), "training mode")
    require(not call.wants(1), "the mask output")
    return call.arg(0)


# --- powers and casts ---------------------------------------------------------------


def wide_square(x: Term) -> Term:
    """x * x, in f32 where x is f16: its range is twice that of x, at both ends."""
    wide = x.cast(DType.F32) if x.dtype.is_float else x
    return wide * wide


def power(x: Term, exponent: float) -> Term:
    """x to a constant power, by products and roots where these are exact and cheap."""
    if exponent == 0:
        return x * 0 + 1 if not x.dtype.is_float else x.op("pow", 0.0)
    if exponent < 0:
        require(x.dtype.is_float, "negative power of an integer")
        return power(x, -exponent).recip()
    if exponent in (1, 2, 3, 4):
        square = x * x
        return {1: x, 2: square, 3: square * x, 4: square * square}[int(exponent)]
    if exponent == 0.5:
        return x.sqrt()
    require(x.dtype.is_float, f"power {exponent} of an integer")
    return x.op("pow", exponent)


@lowering("Pow", since=7)
def pow_(call: Call) -> Value:
    """a to the power b."""
    base, exponent = call.arg(0), call.maybe_static(1)
    if exponent is not None and exponent.size == 1 and exponent.ndim <= base.rank:
        constant = exponent.reshape(()).item()
        body = wide_square if constant == 2 else lambda x: power(x, constant)
        return call.build.map(body, base)
    if not base.dtype.is_float:
        return call.build.map(
            lambda a, b: _rounded_power(a, b) if b.dtype.is_float else integer_power(a, b),
            base, call.arg(1),
        )  # fmt: skip
    return call.build.map(lambda a, b: a.op("pow", b.cast(a.dtype)), base, call.arg(1))


def _rounded_power(base: Term, exponent: Term) -> Term:
    """An integer to a fractional power, towards zero; what is whole but for rounding is whole."""
    value = base.cast(DType.F32).op("pow", exponent.cast(DType.F32))
    whole = value.op("round")
    near = (value - whole).abs() <= value.abs() * 2e-6
    return near.select(whole, value).cast(DType.I32)


def integer_power(base: Term, exponent: Term) -> Term:
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
    sign = (exponent & 1).select(base, 1)
    fraction = (base * base).eq(1).select(sign, 0)
    return (exponent < 0).select(fraction, result)


@lowering("Cast", "CastLike")
def cast(call: Call) -> Value:
    """Another element type; floats go to integers towards zero."""
    like = call.node.op_type == "CastLike"
    target = call.onnx_type(1) if like else ir.DataType(call.integer("to", 0))
    require(target is not None, "the target type is unknown")
    assert target is not None
    x, source = call.arg(0), call.onnx_type(0)
    if target.is_floating_point():
        return call.build.map(lambda v: v.cast(call.float_type), x)
    require(target.is_integer() or target is ir.DataType.BOOL, f"cast to {target.name}")
    if target is ir.DataType.BOOL:
        if source is ir.DataType.BOOL:
            return x
        return call.build.map(lambda v: v.eq(0).eq(0), x)
    if source is ir.DataType.BOOL:
        return x
    return call.build.map(lambda v: wrap(v.cast(DType.I32), target), x)


@lowering("Clip", since=6)
def clip(call: Call) -> Value:
    """min(max(x, low), high)."""
    x = call.arg(0)
    if call.opset < 11:
        low, high = call.number("min", -math.inf), call.number("max", math.inf)
        return call.build.map(lambda v: _clip(v, low, high), x)
    bounds = [call.maybe_static(1), call.maybe_static(2)]
    known = [b is not None or not call.has(i + 1) for i, b in enumerate(bounds)]
    if all(known):
        fixed = [None if b is None else b.reshape(()).item() for b in bounds]
        return call.build.map(lambda v: _clip(v, *fixed), x)
    extra = [call.arg(i) for i in (1, 2) if call.has(i)]
    rows = [row for i, row in ((1, "max"), (2, "min")) if call.has(i)]

    def body(v: Term, *limits: Term) -> Term:
        return reduce(lambda a, part: a.op(part[0], part[1]), zip(rows, limits, strict=True), v)

    return call.build.map(body, x, *extra)


def _clip(x: Term, low: float | None, high: float | None) -> Term:
    """Bounds that the element type cannot exceed are left out."""
    integer = not x.dtype.is_float
    if low is not None and low > (_I32_MIN if integer else -math.inf):
        x = x.max(min(low, _I32_MAX) if integer else low)
    if high is not None and high < (_I32_MAX if integer else math.inf):
        x = x.min(max(high, _I32_MIN) if integer else high)
    return x


@lowering("IsInf", since=10)
def is_inf(call: Call) -> Value:
    """Whether x is infinite (of the signs that the attributes choose)."""
    negative, positive = call.integer("detect_negative", 1), call.integer("detect_positive", 1)
    require(bool(negative or positive), "neither sign is detected")

    def body(x: Term) -> Term:
        if negative and positive:
            return x.abs().eq(math.inf)
        return x.eq(math.inf if positive else -math.inf)

    return call.build.map(body, call.arg(0))


@lowering("QuantizeLinear", since=10)
def quantize_linear(call: Call) -> Value:
    """round(x / scale) + zero point, saturated (8 and 16-bit targets)."""
    kind = call.onnx_type(2) or ir.DataType.UINT8
    require(kind in _WIDTHS, f"quantized type {kind.name}")
    bits, signed = _WIDTHS[kind]
    low = -(1 << (bits - 1)) if signed else 0
    scale, zero = (_along_axis(call, index) for index in (1, 2))

    def body(x: Term, s: Term, z: Term | None = None) -> Term:
        shifted = (x / s).op("round")
        if z is not None:
            shifted = shifted + z.cast(x.dtype)
        return shifted.max(low).min(low + (1 << bits) - 1).cast(DType.I32)

    inputs = [value for value in (call.arg(0), scale, zero) if value is not None]
    return call.build.map(body, *inputs)


@lowering("DequantizeLinear", since=10)
def dequantize_linear(call: Call) -> Value:
    """(x - zero point) * scale."""
    scale, zero = (_along_axis(call, index) for index in (1, 2))

    def body(x: Term, s: Term, z: Term | None = None) -> Term:
        return (x if z is None else x - z).cast(s.dtype) * s

    inputs = [value for value in (call.arg(0), scale, zero) if value is not None]
    return call.build.map(body, *inputs)


def _along_axis(call: Call, index: int) -> Value | None:
    """A scale or zero point shaped to broadcast along the node's axis."""
    value = call.maybe(index)
    if value is None or value.type.size == 1:
        return value if value is None else call.build.reshape(value, ())
    x = call.arg(0)
    require(value.rank == 1 and not call.integer("block_size", 0), "blocked quantization")
    axis = call.integer("axis", 1) % x.rank
    shape = [x.shape[axis] if i == axis else 1 for i in range(x.rank)]
    return call.build.reshape(value, shape)


@lowering("PRelu", since=7)
def prelu(call: Call) -> Value:
    """x < 0 ? slope * x : x."""
    return call.build.map(lambda x, s: (x < 0).select(s * x, x), call.arg(0), call.arg(1))


@lowering("Tan")
def tan(call: Call) -> Value:
    """Tangent."""
    return call.build.map(lambda x: x.op("sin") / x.op("cos"), call.arg(0))


@lowering("Asin")
def asin(call: Call) -> Value:
    """Arc sine."""
    return call.build.map(_asin, call.arg(0))


def _asin(x: Term) -> Term:
    return (x / ((1 - x) * (1 + x)).sqrt()).op("atan")


@lowering("Acos")
def acos(call: Call) -> Value:
    """Arc cosine."""
    return call.build.map(lambda x: np.pi / 2 - _asin(x), call.arg(0))


@lowering("Sinh")
def sinh(call: Call) -> Value:
    """Hyperbolic sine."""
    return call.build.map(lambda x: (x.exp() - (-x).exp()) * 0.5, call.arg(0))


@lowering("Cosh")
def cosh(call: Call) -> Value:
    """Hyperbolic cosine."""
    return call.build.map(lambda x: (x.exp() + (-x).exp()) * 0.5, call.arg(0))


@lowering("Asinh")
def asinh(call: Call) -> Value:
    """Inverse hyperbolic sine."""

    def body(x: Term) -> Term:
        return x.op("sign") * (x.abs() + (x * x + 1).sqrt()).log()

    return call.build.map(body, call.arg(0))


@lowering("Acosh")
def acosh(call: Call) -> Value:
    """Inverse hyperbolic cosine."""
    return call.build.map(lambda x: (x + (x * x - 1).sqrt()).log(), call.arg(0))


@lowering("Atanh")
def atanh(call: Call) -> Value:
    """Inverse hyperbolic tangent."""
    return call.build.map(lambda x: ((1 + x) / (1 - x)).log() * 0.5, call.arg(0))
