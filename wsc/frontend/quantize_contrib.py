"""com.microsoft's quantised operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wsc.frontend.normalize import softmax
from wsc.frontend.quantize import (
    Target,
    centred,
    dynamic_quantized,
    dynamic_range,
    integer_matmul,
    requantized,
    target,
)
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction, Type
from wsc.ir.terms import Term
from wsc.isa.types import DType

DOMAIN = "com.microsoft"


def _real(call: Call, value: int, scale: int, zero: int) -> Value:
    """A quantised input as f32: (x - zero point) * scale."""
    build = call.build
    whole = centred(build, call.arg(value), call.maybe(zero), f"whole{value}")
    scale_of = call.arg(scale)
    return build.map_wide(lambda v, s: v * s, whole, scale_of, hint=f"real{value}", keep=True)


def _quantised(build: GraphBuilder, x: Value, to: Target, late: bool = False) -> Value:
    """round(x / scale) + zero point, saturated, as i32.

    late: the zero point is added before the rounding, which then sends halves another way.
    """
    zeros = [] if to.zero is None else [to.zero]

    def body(v: Term, s: Term, z: Term | None = None) -> Term:
        result = v / s
        if late and z is not None:
            result = (result + z.cast(DType.F32)).op("round")
        elif z is not None:
            result = result.op("round") + z.cast(DType.F32)
        else:
            result = result.op("round")
        return result.max(to.low).min(to.high).cast(DType.I32)

    return build.map_wide(body, x, to.scale, *zeros)


@lowering("QLinearAdd", "QLinearMul", domain=DOMAIN)
def qlinear_binary(call: Call) -> Value:
    """Sum or product of quantised tensors, quantised again."""
    build, a, b = call.build, _real(call, 0, 1, 2), _real(call, 3, 4, 5)
    add = call.node.op_type == "QLinearAdd"
    result = build.map(lambda x, y: x + y if add else x * y, a, b, hint="real")
    return _quantised(build, result, target(call, 6, 7, 0), late=True)


def _unary(call: Call, body: Callable[[Term], Term]) -> Value:
    result = call.build.map(body, _real(call, 0, 1, 2), hint="real")
    return _quantised(call.build, result, target(call, 3, 4, 0))


@lowering("QLinearSigmoid", domain=DOMAIN)
def qlinear_sigmoid(call: Call) -> Value:
    """Sigmoid of a quantised tensor, quantised again."""
    return _unary(call, lambda x: x.sigmoid())


@lowering("QLinearLeakyRelu", domain=DOMAIN)
def qlinear_leaky_relu(call: Call) -> Value:
    """LeakyRelu of a quantised tensor, quantised again."""
    alpha = call.number("alpha", 0.01)
    return _unary(call, lambda x: (x < 0).select(x * alpha, x))


@lowering("QLinearSoftmax", domain=DOMAIN)
def qlinear_softmax(call: Call) -> Value:
    """Softmax of a quantised tensor, quantised again."""
    x = _real(call, 0, 1, 2)
    axis = normal_axis(call.integer("axis", -1), x.rank)
    axes = [axis] if call.integer("opset", 13) >= 13 else list(range(axis, x.rank))
    return _quantised(call.build, softmax(call.build, x, axes), target(call, 3, 4, 0))


@lowering("QLinearGlobalAveragePool", domain=DOMAIN)
def qlinear_pool(call: Call) -> Value:
    """Mean over all space of a quantised tensor, quantised again."""
    require(not call.flag("channels_last", False), "channels last")
    build, x = call.build, _real(call, 0, 1, 2)
    axes = list(range(2, x.rank))
    scale = 1 / int(np.prod(x.shape[2:]))
    total = build.reduce(Reduction.SUM, x, axes, True, "sum")
    return _quantised(build, build.map(lambda v: v * scale, total), target(call, 3, 4, 0))


@lowering("QLinearConcat", domain=DOMAIN)
def qlinear_concat(call: Call) -> Value:
    """Quantised tensors joined along an axis, quantised again."""
    parts = [_real(call, index, index + 1, index + 2) for index in range(2, len(call), 3)]
    axis = normal_axis(call.integer("axis", 0), parts[0].rank)
    return _quantised(call.build, call.build.concat(parts, axis, "real"), target(call, 0, 1, 2))


@lowering("QGemm", domain=DOMAIN)
def qgemm(call: Call) -> Value:
    """alpha * a' b' + c of quantised matrices, quantised again if there is a scale for it."""
    build, alpha = call.build, call.number("alpha", 1.0)
    a, b = centred(build, call.arg(0), call.maybe(2), "a"), _columns(call, 3, 5)
    a = build.transpose(a, (1, 0), "flip_a") if call.flag("transA", False) else a
    total = integer_matmul(build, a, b, "sum")
    if call.has(6):
        total = build.map(lambda s, c: s + c, total, call.arg(6), hint="bias")
    scales = [call.arg(1), call.arg(4)]
    if call.has(7):
        first = build.map(lambda s: s * alpha, scales[0], hint="alpha")
        return requantized(build, total, [first, scales[1]], target(call, 7, 8, 0))
    return build.map_wide(lambda s, x, y: s.cast(DType.F32) * (x * y * alpha), total, *scales)


def _columns(call: Call, value: int, zero: int) -> Value:
    """The second matrix less its zero points, one for all or one a column."""
    build = call.build
    b = build.transpose(call.arg(value), (1, 0)) if call.flag("transB", False) else call.arg(value)
    return centred(build, b, call.maybe(zero), "b")


@lowering("MatMulIntegerToFloat", domain=DOMAIN)
def matmul_integer_to_float(call: Call) -> Value:
    """Product of 8-bit matrices less their zero points, times their scales, plus a bias."""
    build = call.build
    a, b = (centred(build, call.arg(i), call.maybe(4 + i), "ab"[i]) for i in range(2))
    return _scaled(call, integer_matmul(build, a, b, "sum"), call.arg(2), call.arg(3), 6)


def _scaled(call: Call, total: Value, scale_a: Value, scale_b: Value, bias: int) -> Value:
    rest = [call.arg(bias)] if call.has(bias) else []

    def body(s: Term, x: Term, y: Term, c: Term | None = None) -> Term:
        result = s.cast(DType.F32) * (x * y)
        return result if c is None else result + c

    return call.build.map_wide(body, total, scale_a, scale_b, *rest)


def dynamic_product(
    build: GraphBuilder, x: Value, weight: Value, scale: Value, hint: str = ""
) -> Value:
    """x, spread over 8 bits by its own range, times whole numbers, times both scales."""
    own, zero = dynamic_range(build, x)
    whole = dynamic_quantized(build, x, own, zero)
    data = build.map(lambda v, z: v.cast(DType.F32) - z, whole, zero, hint=f"{hint}data")
    total = integer_matmul(build, data, weight, f"{hint}sum")
    return build.map_wide(
        lambda s, a, b: s.cast(DType.F32) * (a * b), total, own, scale, hint=f"{hint}product"
    )


@lowering("DynamicQuantizeMatMul", domain=DOMAIN)
def dynamic_quantize_matmul(call: Call) -> Value:
    """x, quantised by its own range, times an 8-bit matrix, plus a bias."""
    build = call.build
    weight = centred(build, call.arg(1), call.maybe(3), "weight")
    result = dynamic_product(build, call.arg(0), weight, call.arg(2))
    if not call.has(4):
        return result
    return build.map(lambda v, b: v + b, result, call.arg(4))


@lowering("MatMulNBits", domain=DOMAIN, quiet=("accuracy_level",))
def matmul_nbits(call: Call) -> Value:
    """x times a constant matrix that is stored in few bits, scaled by block."""
    build, x = call.build, call.arg(0)
    rows, inner = call.integer("N", 0), call.integer("K", 0)
    bits, block = call.integer("bits", 4), call.integer("block_size", 32)
    require(bits in (2, 4, 8), f"{bits} bits")
    require(not call.has(4), "g_idx")
    require(x.shape[-1] == inner, f"{x.shape[-1]} elements for K = {inner}")
    packed, scales = call.static(1, "the matrix"), call.static(2, "the scales")
    zeros = call.static(3, "the zero points") if call.has(3) else None
    require(packed.size * 8 == rows * -(-inner // block) * block * bits, "a matrix of another size")

    def load() -> np.ndarray:
        return unpacked(packed, scales, zeros, (rows, inner), bits, block).astype(x.dtype.numpy)

    weight = build.lazy_constant(f"{call.node.name}.weight", Type(x.dtype, (rows, inner)), load)
    labels = [f"d{i}" for i in range(x.rank - 1)]
    out = " ".join([*labels, "n"])
    result = build.contract(x, weight, " ".join([*labels, "k"]), "n k", out, "product")
    if not call.has(5):
        return result
    return build.map(lambda v, b: v + b, result, call.arg(5))


def unpacked(
    packed: np.ndarray,
    scales: np.ndarray,
    zeros: np.ndarray | None,
    shape: tuple[int, int],
    bits: int,
    block: int,
) -> np.ndarray:
    """The f32 matrix (rows, inner) of a blockwise quantised one: (value - zero) * scale."""
    rows, inner = shape
    count = -(-inner // block)
    values = _codes(packed, bits).reshape(rows, count, block).astype(np.float32)
    if zeros is None:
        middle = np.full((rows, count), 1 << (bits - 1), np.float32)
    elif zeros.dtype == np.uint8:
        middle = _codes(zeros.reshape(rows, -1), bits)[:, :count].astype(np.float32)
    else:
        middle = zeros.reshape(rows, count).astype(np.float32)
    scale = scales.reshape(rows, count, 1).astype(np.float32)
    return ((values - middle[..., None]) * scale).reshape(rows, -1)[:, :inner]


def _codes(packed: np.ndarray, bits: int) -> np.ndarray:
    """Codes of 2, 4 or 8 bits, the low bits of a byte first, along the last axis."""
    shifts = np.arange(0, 8, bits)
    codes = (packed[..., None] >> shifts) & ((1 << bits) - 1)
    return codes.reshape(*packed.shape[:-1], -1)
