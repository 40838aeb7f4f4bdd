"""Operators that change the element type: casts, quantisation, the bits themselves."""

from __future__ import annotations

import onnx_ir as ir

from wsc.frontend import follow
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.frontend.types import (
    FLOATS,
    INTEGERS,
    ROUNDED,
    WIDTHS,
    Kind,
    limits,
    rounded,
    to_float,
    to_word,
    wrap,
)
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.terms import Term
from wsc.isa.types import DType


@lowering(
    "Cast",
    "CastLike",
    quiet=(
        "round_mode",
        "saturate",
    ),
    follows=follow.elementwise,
)
def cast(call: Call) -> Value:
    """Another element type; floats go to integers towards zero."""
    like = call.node.op_type == "CastLike"
    target = call.onnx_type(1) if like else ir.DataType(call.integer("to", 0))
    if target is None and call.arg(1).dtype.is_float:
        target = Kind.FLOAT
    require(target is not None, "the target type is unknown")
    assert target is not None
    return cast_to(call, call.arg(0), call.onnx_type(0), target)


def cast_to(call: Call, x: Value, source: Kind | None, target: Kind) -> Value:
    """A value of type ``source`` in type ``target``, by the attributes of a cast."""
    if source is target or (source is Kind.BOOL and target in INTEGERS):
        return x
    require(target in FLOATS or target in INTEGERS, f"cast to {target.name}")
    if target is Kind.BOOL:
        return call.build.map(lambda v: v.eq(0).eq(0), x)
    if target in INTEGERS:
        return call.build.map(lambda v: to_word(v, target), x)
    saturate = call.flag("saturate", True)
    mode = call.text("round_mode", "up")
    # A format that holds all values of the source rounds nothing.
    exact = source in ROUNDED and target in (Kind.FLOAT, Kind.DOUBLE)

    def body(v: Term) -> Term:
        if exact or (v.dtype.is_float and target in (Kind.FLOAT, Kind.DOUBLE)):
            return v.cast(call.float_type)
        return to_float(v, target, source, saturate, mode).cast(call.float_type)

    return call.build.map(body, x)


@lowering("BitCast")
def bit_cast(call: Call) -> Value:
    """The same bits as another type of the same width: words, narrow integers and bf16."""
    source, target = call.onnx_type(0), ir.DataType(call.integer("to", 0))
    floats = {kind for kind in (source, target) if kind in FLOATS}
    known = floats <= {Kind.FLOAT, Kind.BFLOAT16} and {source, target} <= {*FLOATS, *INTEGERS}
    wide = {Kind.INT64, Kind.UINT64, Kind.DOUBLE}
    require(known and not wide & {source, target}, f"{source} to {target}: no such words here")
    require(target is not Kind.BOOL, "a truth value has two of its encodings")

    def body(v: Term) -> Term:
        bits = v
        if source in FLOATS:
            bits = v.cast(DType.F32).op("bits")
            bits = bits.op("shr", 16) if source is Kind.BFLOAT16 else bits
        if target not in FLOATS:
            return wrap(bits, target)
        bits = bits.op("shl", 16) if target is Kind.BFLOAT16 else bits
        return bits.body.apply("from_bits", DType.F32, (bits,)).cast(call.float_type)

    return call.arg(0) if source is target else call.build.map(body, call.arg(0))


# --- quantisation ----------------------------------------------------------------------


@lowering(
    "QuantizeLinear",
    since=10,
    quiet=(
        "axis",
        "block_size",
        "precision",
        "saturate",
    ),
)
def quantize_linear(call: Call) -> Value:
    """x / scale + zero point, rounded and saturated to 2 to 16 bits, fp8 or fp4."""
    declared = ir.DataType(call.integer("output_dtype", 0) or Kind.UINT8)
    kind = call.onnx_type(2) or declared
    require(kind in WIDTHS or kind in ROUNDED, f"quantized type {kind.name}")
    scale, zero = (along_axis(call, index) for index in (1, 2))
    source = call.onnx_type(0)
    saturate = call.flag("saturate", True)

    def body(x: Term, s: Term, z: Term | None = None) -> Term:
        if not x.dtype.is_float:
            x = x.cast(s.dtype)
        share = x / s
        if kind in ROUNDED:
            share = share if z is None else share + z
            return to_float(share, kind, source, saturate, "up").cast(call.float_type)
        whole = share.op("round")
        whole = whole if z is None else whole + z.cast(whole.dtype)
        low, high = limits(kind)
        return whole.max(low).min(high).cast(DType.I32)

    inputs = [value for value in (call.arg(0), scale, zero) if value is not None]
    return call.build.map(body, *inputs)


@lowering(
    "DequantizeLinear",
    since=10,
    quiet=(
        "axis",
        "block_size",
    ),
)
def dequantize_linear(call: Call) -> Value:
    """(x - zero point) * scale."""
    scale, zero = (along_axis(call, index) for index in (1, 2))
    target = ir.DataType(call.integer("output_dtype", 0) or Kind.FLOAT)

    def body(x: Term, s: Term, z: Term | None = None) -> Term:
        product = (x if z is None else x - z).cast(s.dtype) * s
        return rounded(product, target).cast(call.float_type)

    inputs = [value for value in (call.arg(0), scale, zero) if value is not None]
    return call.build.map(body, *inputs)


def along_axis(call: Call, index: int) -> Value | None:
    """A scale or zero point shaped to broadcast along the node's axis."""
    value = call.maybe(index)
    if value is None or value.type.size == 1:
        return value if value is None else call.build.reshape(value, ())
    x, block = call.arg(0), call.integer("block_size", 0)
    axis = normal_axis(call.integer("axis", 1), x.rank)
    if block:
        require(value.rank == x.rank, f"blocks of rank {value.rank}")
        return blocked(call.build, value, axis, x.shape[axis], block)
    require(value.rank == 1, f"a scale or zero point of rank {value.rank}")
    shape = [x.shape[axis] if i == axis else 1 for i in range(x.rank)]
    return call.build.reshape(value, shape)


def blocked(build: GraphBuilder, value: Value, axis: int, size: int, block: int) -> Value:
    """One value for each block of an axis, repeated for all ``size`` positions of it."""
    parts = value.shape[axis]
    require(block > 0 and parts == -(-size // block), f"{parts} blocks of {block} for {size}")
    narrow = (*value.shape[: axis + 1], 1, *value.shape[axis + 1 :])
    wide = (*value.shape[: axis + 1], block, *value.shape[axis + 1 :])
    joined = (*value.shape[:axis], parts * block, *value.shape[axis + 1 :])
    spread = build.expand(build.reshape(value, narrow), wide, "blocks")
    return build.slice_axis(build.reshape(spread, joined), axis, 0, size, hint="spread")
