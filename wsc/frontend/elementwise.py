"""Operators that work on each element by itself: each becomes one map."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from wsc.frontend import follow
from wsc.frontend.registry import Call, Item, lowering, require
from wsc.frontend.types import (
    I32_MAX,
    I32_MIN,
    UNSIGNED,
    divide,
    ordered,
    right_shift,
    width,
    wrap,
)
from wsc.ir.build import Value
from wsc.ir.terms import Term
from wsc.isa.types import DType

# --- operators that are a row of the instruction table ------------------------------

_UNARY = {
    "Floor": ("floor", "Largest integer not above x."),
    "Ceil": ("ceil", "Smallest integer not below x."),
    "Round": ("round", "Nearest integer, halves to even."),
    "Reciprocal": ("recip", "1 / x."),
    "Sqrt": ("sqrt", "Square root."),
    "Exp": ("exp", "e to the power x."),
    "Log": ("log", "Natural logarithm."),
    "Sinh": ("sinh", "Hyperbolic sine."),
    "Asinh": ("asinh", "Inverse hyperbolic sine."),
    "Tanh": ("tanh", "Hyperbolic tangent."),
    "Erf": ("erf", "Error function."),
    "Sin": ("sin", "Sine."),
    "Cos": ("cos", "Cosine."),
    "Atan": ("atan", "Arc tangent."),
    "IsNaN": ("isnan", "Whether x is NaN."),
}
_BINARY = {
    "Equal": ("eq", "a == b."),
    "And": ("and", "Logical and."),
    "Or": ("or", "Logical or."),
    "Xor": ("xor", "Exclusive or."),
    "BitwiseAnd": ("and", "a & b."),
    "BitwiseOr": ("or", "a | b."),
    "BitwiseXor": ("xor", "a ^ b."),
}
_WRAPPING = {"Add": ("add", "a + b."), "Sub": ("sub", "a - b."), "Mul": ("mul", "a * b.")}


def operands(call: Call) -> tuple[Value, Value]:
    """Both operands; before opset 7 attributes say along which axes of a the second stands."""
    a, b = call.arg(0), call.arg(1)
    if call.opset >= 7:
        return a, b
    if not call.flag("broadcast", False):
        require(a.shape == b.shape, f"shapes {a.shape} and {b.shape} without broadcast")
    axis = call.integer("axis", a.rank - b.rank)
    behind = a.rank - (axis % max(a.rank, 1)) - b.rank
    require(behind >= 0, f"{b.rank} dimensions from axis {axis} of {a.rank}")
    return a, call.build.reshape(b, (*b.shape, *(1,) * behind))


def _register_rows() -> None:
    def unary(op_type: str, row: str, doc: str) -> None:
        def lower(call: Call) -> Value:
            return call.build.map(lambda x: x.op(row), call.arg(0))

        lower.__doc__ = doc
        lowering(op_type, follows=follow.elementwise)(lower)

    def binary(op_type: str, row: str, doc: str, wraps: bool) -> None:
        def lower(call: Call) -> Value:
            kind = call.onnx_type(0) if wraps else None
            left, right = operands(call)
            if row == "mul" and left == right:
                return call.build.map(lambda a: wrap(wide_square(a), kind), left)
            return call.build.map(lambda a, b: wrap(a.op(row, b), kind), left, right)

        lower.__doc__ = doc
        lowering(op_type, follows=follow.elementwise)(lower)

    for op_type, (row, doc) in _UNARY.items():
        unary(op_type, row, doc)
    for op_type, (row, doc) in _BINARY.items():
        binary(op_type, row, doc, wraps=False)
    for op_type, (row, doc) in _WRAPPING.items():
        binary(op_type, row, doc, wraps=True)


_register_rows()


def _compare(call: Call, row: str, first: int) -> Value:
    kind, both = call.onnx_type(0), operands(call)
    return call.build.map(
        lambda a, b: ordered(a, kind).op(row, ordered(b, kind)), both[first], both[1 - first]
    )


@lowering("Less", follows=follow.elementwise)
def less(call: Call) -> Value:
    """a < b."""
    return _compare(call, "lt", 0)


@lowering("LessOrEqual", since=12, follows=follow.elementwise)
def less_or_equal(call: Call) -> Value:
    """a <= b."""
    return _compare(call, "le", 0)


@lowering("Greater", follows=follow.elementwise)
def greater(call: Call) -> Value:
    """a > b."""
    return _compare(call, "lt", 1)


@lowering("GreaterOrEqual", since=12, follows=follow.elementwise)
def greater_or_equal(call: Call) -> Value:
    """a >= b."""
    return _compare(call, "le", 1)


@lowering("Abs", follows=follow.elementwise)
def absolute(call: Call) -> Value:
    """|x|."""
    kind = call.onnx_type(0)
    if kind in UNSIGNED:
        return call.arg(0)
    return call.build.map(lambda x: wrap(x.abs(), kind), call.arg(0))


@lowering("Sign", follows=follow.elementwise)
def sign(call: Call) -> Value:
    """-1, 0 or 1."""
    if call.onnx_type(0) in UNSIGNED:
        return call.build.map(lambda x: x.eq(0).negated(), call.arg(0))
    return call.build.map(lambda x: x.op("sign"), call.arg(0))


@lowering("Div", follows=follow.quotient)
def div(call: Call) -> Value:
    """a / b; integers towards zero."""
    kind = call.onnx_type(0)
    a, b = operands(call)
    return call.build.map(lambda a, b: divide(a, b, kind), a, divisor(call, b))


def divisor(call: Call, value: Value) -> Value:
    """A divisor, which stops no run where it is an integer whose quotient does not count."""
    return value if value.dtype.is_float else call.build.divisor(value)


@lowering("Not", follows=follow.elementwise)
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
    """Shift of integers; by as many bits as the type has, or more, nothing is left but the sign."""
    kind = call.onnx_type(0)
    left = call.text("direction", "LEFT") == "LEFT"
    bits, signed = width(kind)

    def body(a: Term, b: Term) -> Term:
        inside = (b >= 0) & (b < bits)
        if left:
            return inside.select(wrap(a.op("shl", b), kind), 0)
        return inside.select(a.op(right_shift(kind), b), a.op("shr", 31) if signed else 0)

    return call.build.map(body, call.arg(0), call.arg(1))


@lowering("Neg", follows=follow.elementwise)
def neg(call: Call) -> Value:
    """-x."""
    kind = call.onnx_type(0)
    return call.build.map(lambda x: wrap(-x, kind), call.arg(0))


@lowering("Mod", since=10, follows=follow.quotient)
def mod(call: Call) -> Value:
    """Remainder with the sign of b, or with fmod=1 of a."""
    row = "rem" if call.flag("fmod", False) else "mod"
    row = "remu" if call.onnx_type(0) in UNSIGNED else row
    return call.build.map(lambda a, b: a.op(row, b), call.arg(0), divisor(call, call.arg(1)))


@lowering("Max", "Min", follows=follow.elementwise)
def extremum(call: Call) -> Value:
    """Elementwise largest or smallest of any number of inputs."""
    row, kind = call.node.op_type.lower(), call.onnx_type(0)

    def body(*xs: Term) -> Term:
        return ordered(reduce(lambda a, b: a.op(row, b), [ordered(x, kind) for x in xs]), kind)

    return call.build.map(body, *call.args())


@lowering("Sum", follows=follow.elementwise)
def sum_(call: Call) -> Value:
    """Elementwise sum of any number of inputs."""
    # Two f16 overflow only where their sum does; more may do so on the way.
    add_up = call.build.map_wide if len(call) > 2 else call.build.map
    return add_up(lambda *xs: reduce(lambda a, b: a + b, xs), *call.args())


@lowering("Mean")
def mean(call: Call) -> Value:
    """Elementwise mean of any number of inputs."""
    scale = 1 / len(call)
    return call.build.map_wide(lambda *xs: reduce(lambda a, b: a + b, xs) * scale, *call.args())


@lowering("Where", since=9, follows=follow.elementwise)
def where(call: Call) -> Value:
    """c ? a : b."""
    return call.build.map(lambda c, a, b: c.select(a, b), call.arg(0), call.arg(1), call.arg(2))


@lowering("Identity")
def identity(call: Call) -> Item:
    """x."""
    return call.item(0)


@lowering(
    "Dropout",
    since=7,
    quiet=(
        "ratio",
        "seed",
    ),
)
def dropout(call: Call) -> list[Value]:
    """x, and a mask that keeps all: nothing is dropped at inference, nor at a ratio of 0."""
    training, ratio = call.maybe_static(2), call.maybe_static(1)
    drops = call.has(2) and (training is None or bool(training.any()))
    require(not drops or (ratio is not None and not ratio.any()), "training mode")
    x = call.arg(0)
    if not call.wants(1):
        return [x]
    dtype = DType.I32 if call.opset >= 10 else x.dtype  # a mask of the type of x before
    return [x, call.build.expand(call.build.constant(np.ones(()), dtype, "one"), x.shape, "mask")]


def wide_square(x: Term) -> Term:
    """x * x, in f32 where x is f16: its range is twice that of x, at both ends."""
    wide = x.cast(DType.F32) if x.dtype.is_float else x
    return wide * wide


@lowering("Clip", since=6, follows=follow.elementwise)
def clip(call: Call) -> Value:
    """min(max(x, low), high)."""
    x, kind = call.arg(0), call.onnx_type(0)
    if call.opset < 11:
        low, high = call.number("min", -math.inf), call.number("max", math.inf)
        return call.build.map(lambda v: _clip(v, low, high), x)
    bounds = [call.maybe_static(1), call.maybe_static(2)]
    known = [b is not None or not call.has(i + 1) for i, b in enumerate(bounds)]
    if all(known) and kind not in UNSIGNED:
        fixed = [None if b is None else b.reshape(()).item() for b in bounds]
        return call.build.map(lambda v: _clip(v, *fixed), x)
    extra = [call.arg(i) for i in (1, 2) if call.has(i)]
    rows = [row for i, row in ((1, "max"), (2, "min")) if call.has(i)]

    def body(v: Term, *limits: Term) -> Term:
        for row, limit in zip(rows, limits, strict=True):
            v = ordered(ordered(v, kind).op(row, ordered(limit, kind)), kind)
        return v

    return call.build.map(body, x, *extra)


def _clip(x: Term, low: float | None, high: float | None) -> Term:
    """Bounds that the element type cannot exceed are left out."""
    integer = not x.dtype.is_float
    if low is not None and low > (I32_MIN if integer else -math.inf):
        x = x.max(min(low, I32_MAX) if integer else low)
    if high is not None and high < (I32_MAX if integer else math.inf):
        x = x.min(max(high, I32_MIN) if integer else high)
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


@lowering("PRelu")
def prelu(call: Call) -> Value:
    """x < 0 ? slope * x : x; before opset 7 a slope for each channel."""
    x, slope = call.arg(0), call.arg(1)
    if call.opset < 7 and slope.type.size > 1:
        require(slope.rank == 1 and x.rank > 1, f"slopes of shape {slope.shape}")
        slope = call.build.reshape(slope, (*slope.shape, *(1,) * (x.rank - 2)))
    return call.build.map(lambda v, s: (v < 0).select(s * v, v), x, slope)


@lowering("Tan")
def tan(call: Call) -> Value:
    """Tangent."""
    return call.build.map(lambda x: x.op("sin") / x.op("cos"), call.arg(0))


@lowering("Asin")
def asin(call: Call) -> Value:
    """Arc sine."""
    return call.build.map(_asin, call.arg(0))


def _asin(x: Term) -> Term:
    return _tangent(x).op("atan")


def _tangent(x: Term) -> Term:
    """The tangent of the angle whose sine is x, and the sinh of that whose tanh is x."""
    return x / ((1 - x) * (1 + x)).sqrt()


@lowering("Acos")
def acos(call: Call) -> Value:
    """Arc cosine."""
    # Half the angle, whose tangent it is: near 1 nothing cancels.
    return call.build.map(lambda x: ((1 - x) / (1 + x)).sqrt().op("atan") * 2, call.arg(0))


@lowering("Cosh")
def cosh(call: Call) -> Value:
    """Hyperbolic cosine."""

    def body(x: Term) -> Term:
        root = (x.abs() * 0.5).exp()  # e^x overflows where half of it does not
        half = root * 0.5 * root
        return half + 0.25 / half

    return call.build.map(body, call.arg(0))


@lowering("Acosh")
def acosh(call: Call) -> Value:
    """Inverse hyperbolic cosine."""
    # The hyperbolic sine of the result, of which x * x - 1 is the square.
    return call.build.map(lambda x: ((x - 1).sqrt() * (x + 1).sqrt()).op("asinh"), call.arg(0))


@lowering("Atanh")
def atanh(call: Call) -> Value:
    """Inverse hyperbolic tangent."""
    # As the arc sine, with the hyperbolic sine of the result.
    return call.build.map(lambda x: _tangent(x).op("asinh"), call.arg(0))
