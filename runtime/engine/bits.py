"""Compiled helpers on bits: f32 and f16 encodings, and loads from mapped memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from wsc.runtime.engine.dispatch import float32, float64, inlined, int32, int64, jit

HALF = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
"""The f32 value of every f16 encoding."""

# The NaN that arithmetic gives: quiet, positive, without a payload.
NAN: Any = np.float32(np.nan)
HALF_NAN = 0x7E00


@intrinsic
def _float_bits(_context: Any, value: Any) -> Any:
    """The 32 bits of an f32, as a signed integer."""

    def code(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), code


@intrinsic
def _bits_float(_context: Any, value: Any) -> Any:
    """The f32 with these 32 bits."""

    def code(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), code


float_bits: Any = _float_bits
bits_float: Any = _bits_float


def _loader(result: Any, width: Any, signed: bool | None) -> Any:
    """A load from an address; integers are widened to 64 bits."""

    @intrinsic
    def load(_context: Any, address: Any) -> Any:
        def code(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], width.as_pointer())
            value = builder.load(pointer)
            value.align = 1
            if signed is None:
                return value
            if width.width == 64:
                return value
            extend = builder.sext if signed else builder.zext
            return extend(value, ir.IntType(64))

        return result(types.int64), code

    return load


load_f32 = _loader(types.float32, ir.FloatType(), None)
load_f64 = _loader(types.float64, ir.DoubleType(), None)
load_u8 = _loader(types.int64, ir.IntType(8), False)
load_i8 = _loader(types.int64, ir.IntType(8), True)
load_u16 = _loader(types.int64, ir.IntType(16), False)
load_i16 = _loader(types.int64, ir.IntType(16), True)
load_i32 = _loader(types.int64, ir.IntType(32), True)
load_i64 = _loader(types.int64, ir.IntType(64), True)


def _storer(kind: Any, width: Any) -> Any:
    @intrinsic
    def store(_context: Any, address: Any, value: Any) -> Any:
        def code(ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], width.as_pointer())
            builder.store(args[1], pointer).align = 1
            return ctx.get_dummy_value()

        return types.void(types.int64, kind), code

    return store


store_i32 = _storer(types.int32, ir.IntType(32))
store_u16 = _storer(types.uint16, ir.IntType(16))


@inlined
def one_nan(value: float) -> float:
    """An f32 as a result of arithmetic: what is not a number is always the same."""
    return value if value == value else NAN


@jit
def half_bits(value: float) -> int:
    """The f16 encoding nearest to an f32, ties to even."""
    bits = int64(float_bits(float32(value))) & 0xFFFFFFFF
    sign = (bits >> 16) & 0x8000
    size = bits & 0x7FFFFFFF
    if size >= 0x7F800000:
        return HALF_NAN if size > 0x7F800000 else sign | 0x7C00
    if size >= 0x477FF000:
        return sign | 0x7C00
    if size >= 0x38800000:
        size -= 0x38000000
        return sign | ((size + 0xFFF + ((size >> 13) & 1)) >> 13)
    if size < 0x33000000:
        return sign
    shift = 126 - (size >> 23)
    digits = (size & 0x7FFFFF) | 0x800000
    result = digits >> shift
    rest = digits & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    if rest > half or (rest == half and result & 1):
        result += 1
    return sign | result


@inlined
def decode(bits: int, kind: int, half: np.ndarray) -> float:
    """The value of a wavelet or word: kind 0 f32, 1 f16, 2 i32."""
    if kind == 0:
        return float64(bits_float(int32(bits)))
    if kind == 1:
        return float64(half[bits & 0xFFFF])
    return float64(int32(bits))


@inlined
def encode(value: float, kind: int) -> int:
    """The bits of a value in an element type: the inverse of ``decode``, with one NaN for all."""
    if kind == 0:
        return int32(float_bits(one_nan(float32(value))))
    if kind == 1:
        return int32(half_bits(float32(value)))
    return int32(int64(value))
