"""Casts from and to doubles."""

from __future__ import annotations

import onnx_ir as ir

from wsc.frontend import wide
from wsc.frontend.convert import cast_to
from wsc.frontend.exact.arithmetic import of_integer
from wsc.frontend.exact.item import Double, mapped, paired
from wsc.frontend.integers.operand import LONG, integer_of
from wsc.frontend.registry import Call, Function, Result, Unsupported, require
from wsc.frontend.types import FLOATS, INTEGERS, Kind
from wsc.frontend.wide import Wide
from wsc.ir import doubles
from wsc.ir.build import Value
from wsc.ir.pairs import Pair
from wsc.ir.terms import Term
from wsc.isa.types import DType


def cast(call: Call, lower: Function) -> Result:
    """``Cast`` and ``CastLike``: exact where the type has the value, rounded once where not."""
    like = call.node.op_type == "CastLike"
    target = call.onnx_type(1) if like else Kind(call.integer("to", 0))
    item = call.item(0)
    if not isinstance(item, Double):
        require(target is Kind.DOUBLE, "it is not float64")
        return _entered(call, item)
    if target is Kind.DOUBLE:
        return item
    require(target in FLOATS | INTEGERS, "float64 to a type that is not of numbers")
    assert target is not None
    return _left(call, item, target)


def _entered(call: Call, item: object) -> Double:
    """Floats and integers as doubles."""
    build, source = call.build, call.onnx_type(0)
    if isinstance(item, Value) and item.dtype.is_float:
        return paired(build, lambda x: doubles.from_f32(x.cast(DType.F32)), item)
    if not isinstance(item, Value | Wide):
        raise Unsupported("what is cast to float64 is not a tensor")
    signed = integer_of(build, item, source).signed
    words = Double(*item.words) if isinstance(item, Wide) else item
    return of_integer(build, words, signed)


def _left(call: Call, x: Double, target: ir.DataType) -> Result:
    """Doubles as another type."""
    build = call.build
    if target is Kind.BOOL:
        return mapped(build, lambda a: doubles.is_zero(a) ^ 1, x, hint="bool")
    if target is Kind.FLOAT:
        single = mapped(build, lambda a: doubles.to_f32(a), x, hint="single")
        return build.cast(single, call.float_type)
    if target in FLOATS:
        # What is rounded to odd first can be rounded again to fewer bits.
        odd = mapped(build, _odd, x, hint="odd")
        return cast_to(call, odd, Kind.FLOAT, target)
    if target in LONG:
        signed = target is Kind.INT64
        both = paired(build, lambda a: doubles.to_integer(a, 64, signed), x)
        return Wide(both.high, both.low, wide.whole(signed), signed)
    signed = target is not Kind.UINT32
    word = mapped(build, lambda a: doubles.to_integer(a, 32, signed).low, x, hint="word")
    same = target in (Kind.INT32, Kind.UINT32)
    return word if same else cast_to(call, word, Kind.INT32, target)


def _odd(a: Pair) -> Term:
    return doubles.to_f32(a, odd=True)
