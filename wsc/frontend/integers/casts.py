"""Casts from and to 64-bit integers."""

from __future__ import annotations

import onnx_ir as ir

from wsc.frontend import wide
from wsc.frontend.convert import cast_to
from wsc.frontend.integers.operand import (
    LONG,
    Integer,
    compute,
    integer_of,
    mapped,
    wrapped,
)
from wsc.frontend.registry import Call, Function, Result, require
from wsc.frontend.types import FLOATS, Kind
from wsc.frontend.wide import Wide
from wsc.ir import pairs
from wsc.ir.build import Value
from wsc.ir.terms import Term
from wsc.isa.types import DType


def cast(call: Call, lower: Function) -> Result:
    """``Cast`` and ``CastLike``: floats and unsigned integers may need both words."""
    like = call.node.op_type == "CastLike"
    target = call.onnx_type(1) if like else Kind(call.integer("to", 0))
    source, item = call.onnx_type(0), call.item(0)
    if isinstance(item, Wide):
        return _cast_wide(call, item, target)
    if target not in LONG or not isinstance(item, Value):
        return lower(call)
    signed = target is Kind.INT64
    if item.dtype.is_float:
        return _cast_float(call, item, signed, lower)
    x = integer_of(call.build, item, source)
    if wide.within(x.range, wide.narrow(signed)):
        return lower(call)
    return compute(call.build, lambda a: a, [x], wrapped(x.range, signed), signed)


def _cast_float(call: Call, x: Value, signed: bool, lower: Function) -> Result:
    low, high = call.build.interval(x)
    single = wide.narrow(signed)
    if single[0] <= low and high <= single[1]:
        return lower(call)
    every = wide.whole(signed)
    interval = int(max(low, every[0])), int(min(high, every[1]))
    if not signed and low < 0:
        interval = every

    def word(part: str) -> Value:
        def body(v: Term) -> Term:
            value = getattr(pairs.from_f32(v.cast(DType.F32), signed), part).value
            assert isinstance(value, Term)
            return value

        return call.build.map(body, x, hint=part)

    return wide.of_words(word("high"), word("low"), interval, signed)


def _cast_wide(call: Call, x: Wide, target: ir.DataType | None) -> Result:
    build, source = call.build, Kind.INT64 if x.signed else Kind.UINT64
    require(target is not None, "the target type is unknown")
    assert target is not None
    if target in LONG:
        signed = target is Kind.INT64
        return wide.of_words(x.high, x.low, wrapped(x.range, signed), signed)
    if target is Kind.BOOL:
        return build.map(lambda high, low: (high | low).eq(0).eq(0), *x.words)
    if target not in FLOATS:
        return cast_to(call, x.low, source, target)
    operand = Integer(x, x.range, x.signed)
    value = mapped(build, lambda a: pairs.to_f32(a, x.signed), [operand], "float")
    return (
        cast_to(call, value, Kind.FLOAT, target)
        if target is not Kind.FLOAT
        else build.cast(value, call.float_type)
    )
