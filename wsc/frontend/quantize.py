"""Products of 8-bit integers, and what quantises their operands and results.

Contractions are f32, in which a sum of 8-bit products is exact up to ``EXACT_TERMS`` of them;
longer sums are taken in parts, which are added as integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from wsc.frontend.contract import Window, convolve, matmul, windows
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

# Differences of 8-bit integers have 255 as largest magnitude, and f32 holds 2^24 exactly.
EXACT_TERMS = 2**24 // 255**2
RANGES = {
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT16: (0, 65535),
    ir.DataType.INT16: (-32768, 32767),
}


def centred(build: GraphBuilder, x: Value, zero: Value | None, hint: str) -> Value:
    """x - zero as f32; both are integers of 8 bits, and zero broadcasts."""
    if zero is None:
        return build.map(lambda v: v.cast(DType.F32), x, hint=hint)
    return build.map(lambda v, z: (v - z).cast(DType.F32), x, zero, hint=hint)


def integer_sum(
    build: GraphBuilder, count: int, part: Callable[[int, int], Value], hint: str, per: int = 1
) -> Value:
    """The sum over ``count`` positions, each of ``per`` products, as i32.

    part: the f32 sum over some of the positions, from start, so many.
    """
    require(per <= EXACT_TERMS, f"sums of {per} products are not exact")
    size = EXACT_TERMS // per
    total: Value | None = None
    for start in range(0, count, size):
        value = part(start, min(size, count - start))
        if total is None:
            total = build.map(lambda v: v.cast(DType.I32), value, hint=hint)
        else:
            total = build.map(lambda s, v: s + v.cast(DType.I32), total, value, hint=hint)
    assert total is not None
    return total


def integer_matmul(build: GraphBuilder, a: Value, b: Value, hint: str = "") -> Value:
    """Matrix product of whole numbers (f32, of magnitude up to 255) as i32."""
    inner = a.rank - 1, max(b.rank - 2, 0)

    def part(start: int, size: int) -> Value:
        sides = [
            build.slice_axis(value, axis, start, size, hint=f"part{start}")
            for value, axis in zip((a, b), inner, strict=True)
        ]
        return matmul(build, *sides, hint=f"product{start}")

    require(a.shape[inner[0]] == b.shape[inner[1]], f"a product of {a.shape} and {b.shape}")
    return integer_sum(build, a.shape[inner[0]], part, hint)


def integer_conv(
    build: GraphBuilder, x: Value, weight: Value, spatial: list[Window], groups: int, hint: str
) -> Value:
    """Convolution of whole numbers (f32, of magnitude up to 255) as i32."""
    channels = weight.shape[1]
    require(x.shape[1] == groups * channels, f"{x.shape[1]} channels for {groups} groups")
    split = build.reshape(x, (x.shape[0], groups, channels, *x.shape[2:]), "groups")

    def part(start: int, size: int) -> Value:
        if size == channels:
            return convolve(build, x, weight, spatial, groups, "product")
        own = build.slice_axis(split, 2, start, size, hint=f"part{start}")
        own = build.reshape(own, (x.shape[0], groups * size, *x.shape[2:]))
        kernel = build.slice_axis(weight, 1, start, size, hint=f"weight{start}")
        return convolve(build, own, kernel, spatial, groups, f"product{start}")

    return integer_sum(build, channels, part, hint, math.prod(weight.shape[2:]))


def _row_shaped(build: GraphBuilder, value: Value | None, x: Value) -> Value | None:
    """A scale or zero point for each row of x, or one for all, so that it broadcasts."""
    if value is None or value.type.size == 1:
        return value if value is None else build.reshape(value, ())
    if value.rank > 1:
        return value
    require(value.shape[0] == x.shape[-2], f"{value.shape[0]} values for {x.shape[-2]} rows")
    return build.reshape(value, (value.shape[0], 1), "rows")


def _column_shaped(build: GraphBuilder, value: Value | None) -> Value | None:
    if value is None or value.type.size > 1:
        return value
    return build.reshape(value, ())


def _channel_shaped(
    build: GraphBuilder, value: Value | None, before: int, after: int
) -> Value | None:
    """One value for each channel, with so many dimensions around them."""
    if value is None or value.type.size == 1:
        return value if value is None else build.reshape(value, ())
    return build.reshape(value, (1,) * before + (value.type.size,) + (1,) * after, "channels")


@lowering("MatMulInteger", since=10)
def matmul_integer(call: Call) -> Value:
    """Matrix product of 8-bit integers less their zero points, as 32-bit integers."""
    build, a, b = call.build, call.arg(0), call.arg(1)
    zero_a, zero_b = _row_shaped(build, call.maybe(2), a), _column_shaped(build, call.maybe(3))
    return integer_matmul(
        build, centred(build, a, zero_a, "a"), centred(build, b, zero_b, "b"), "sum"
    )


@lowering("ConvInteger", since=10, quiet=("kernel_shape",))
def conv_integer(call: Call) -> Value:
    """Convolution of 8-bit integers less their zero points, as 32-bit integers."""
    x, weight = call.arg(0), call.arg(1)
    return _conv(call, x, weight, call.maybe(2), call.maybe(3))


def _conv(call: Call, x: Value, weight: Value, zero_x: Value | None, zero_w: Value | None) -> Value:
    build = call.build
    zero_x = None if zero_x is None else build.reshape(zero_x, ())
    zero_w = _channel_shaped(build, zero_w, 0, weight.rank - 1)
    spatial = windows(call, x.shape[2:], weight.shape[2:])
    data, kernel = centred(build, x, zero_x, "x"), centred(build, weight, zero_w, "w")
    return integer_conv(build, data, kernel, spatial, call.integer("group", 1), "sum")


# --- results that are quantised again -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """What a result is quantised to: its scale, its zero point and the range of its type."""

    scale: Value
    zero: Value | None
    low: int
    high: int


def target(call: Call, scale: int, zero: int, like: int) -> Target:
    """The target of inputs ``scale`` and ``zero``; of the type of input ``like`` without one."""
    kind = call.onnx_type(zero) or call.onnx_type(like)
    require(kind in RANGES, f"quantised type {kind.name if kind else 'unknown'}")
    assert kind is not None
    return Target(call.arg(scale), call.maybe(zero), *RANGES[kind])


def requantized(build: GraphBuilder, total: Value, scales: Sequence[Value], to: Target) -> Value:
    """round(total * product of scales / scale) + zero point, saturated, as i32.

    total: i32 or f32.
    """
    zeros = [] if to.zero is None else [to.zero]

    def body(value: Term, *rest: Term) -> Term:
        *factors, scale = rest[: len(scales) + 1]
        factor = factors[0]
        for other in factors[1:]:
            factor = factor * other
        result = (value.cast(DType.F32) * (factor / scale)).op("round")
        if zeros:
            result = result + rest[-1].cast(DType.F32)
        return result.max(to.low).min(to.high).cast(DType.I32)

    return build.map_wide(body, total, *scales, to.scale, *zeros)


@lowering("QLinearMatMul", since=10)
def qlinear_matmul(call: Call) -> Value:
    """Matrix product of quantised tensors, quantised again."""
    build, a, b = call.build, call.arg(0), call.arg(3)
    zero_a, zero_b = _row_shaped(build, call.arg(2), a), _column_shaped(build, call.arg(5))
    scale_a, scale_b = _row_shaped(build, call.arg(1), a), _column_shaped(build, call.arg(4))
    assert scale_a is not None
    assert scale_b is not None
    data, weight = centred(build, a, zero_a, "a"), centred(build, b, zero_b, "b")
    total = integer_matmul(build, data, weight, "sum")
    to = target(call, 6, 7, 0)
    to = Target(
        _row_shaped(build, to.scale, a) or to.scale, _row_shaped(build, to.zero, a), to.low, to.high
    )
    return requantized(build, total, [scale_a, scale_b], to)


@lowering("QLinearConv", since=10, quiet=("kernel_shape",))
def qlinear_conv(call: Call) -> Value:
    """Convolution of quantised tensors, quantised again."""
    build, x, weight = call.build, call.arg(0), call.arg(3)
    total = _conv(call, x, weight, call.maybe(2), call.maybe(5))
    bias = _channel_shaped(build, call.maybe(8), 1, x.rank - 2)
    if bias is not None:
        total = build.map(lambda s, b: s + b, total, bias, hint="bias")
    scale_x = build.reshape(call.arg(1), ())
    scale_w = _channel_shaped(build, call.arg(4), 1, x.rank - 2)
    assert scale_w is not None
    to = target(call, 6, 7, 0)
    return requantized(build, total, [scale_x, scale_w], to)


# --- quantisation at run time -------------------------------------------------------------


def dynamic_range(build: GraphBuilder, x: Value) -> tuple[Value, Value]:
    """(scale, zero point) that spread 0 and all elements of x over 8 bits; f32 scalars."""
    axes = list(range(x.rank))
    x = build.cast(x, DType.F32)
    low = build.reduce(Reduction.MIN, x, axes, False, "low")
    high = build.reduce(Reduction.MAX, x, axes, False, "high")

    def width(a: Term, b: Term) -> Term:
        span = b.max(0) - a.min(0)
        return span.eq(0).select(1, span) / 255

    scale = build.map(width, low, high, hint="scale")
    zero = build.map(
        lambda a, s: (0 - a.min(0) / s).max(0).min(255).op("round"), low, scale, hint="zero"
    )
    return scale, zero


def dynamic_quantized(build: GraphBuilder, x: Value, scale: Value, zero: Value) -> Value:
    """x in 8 bits without a sign, as i32."""

    def body(v: Term, s: Term, z: Term) -> Term:
        return ((v / s).op("round") + z).max(0).min(255).cast(DType.I32)

    return build.map_wide(body, x, scale, zero, hint="quantized")


@lowering("DynamicQuantizeLinear", since=11)
def dynamic_quantize_linear(call: Call) -> list[Value]:
    """x spread over 8 bits by its own range, with that scale and zero point."""
    build, x = call.build, call.arg(0)
    scale, zero = dynamic_range(build, x)
    result = dynamic_quantized(build, x, scale, zero)
    whole = build.map(lambda z: z.cast(DType.I32), zero, hint="zero_point")
    return [result, build.cast(scale, x.dtype), whole]
