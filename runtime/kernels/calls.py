"""What kernels call that is not written in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from wsc.runtime.kernels.translate import INT, NOTHING, REAL, Elements, Intrinsic, Value

NAN: Any = np.float32(np.nan)
"""The NaN that arithmetic gives: quiet, positive, without a payload."""


# --- what kernels call that is not written in Python ----------------------------------------


def _view(name: str, dtype: Any) -> Any:
    """A function from an address to an array that begins there."""

    def emit(build: Any, given: Sequence[Value]) -> Value:
        pointer = build.inttoptr(given[0].code, ir.PointerType())
        return Value(Elements(np.dtype(dtype)), pointer)

    return Intrinsic(name, emit)


floats_at = _view("floats_at", np.float32)
integers_at = _view("integers_at", np.int32)
halves_at = _view("halves_at", np.uint16)
longs_at = _view("longs_at", np.int64)


def _prefetch(build: Any, given: Sequence[Value]) -> Value:
    module, name = build.module, "llvm.prefetch.p0"
    called = module.globals.get(name)
    if called is None:
        hint = ir.IntType(32)
        called = ir.Function(
            module, ir.FunctionType(NOTHING, [ir.PointerType(), hint, hint, hint]), name
        )
    place = build.inttoptr(given[0].code, ir.PointerType())
    # For reading, to be kept in all caches, of data.
    return Value(NOTHING, build.call(called, [place, *map(ir.IntType(32), (0, 3, 1))]))


prefetch: Any = Intrinsic("prefetch", _prefetch)
"""Let the processor fetch the memory at an address while other work goes on; it has no effect."""


def _calling(name: str, gives: Any) -> Any:
    """A function that calls one of ``operations`` by its address."""
    kind = ir.FunctionType(gives, [INT] * 5)

    def emit(build: Any, given: Sequence[Value]) -> Value:
        called = build.inttoptr(given[0].code, kind.as_pointer())
        return Value(gives, build.call(called, [value.code for value in given[1:]]))

    return Intrinsic(name, emit)


operate: Any = _calling("operate", NOTHING)
"""Call the compiled operation at an address: (address, target, a, b, c, count), all integers."""
look: Any = _calling("look", INT)
"""Call a function of ``operations.domains``: arguments as of ``operate``; what it gives."""


def _float_of(build: Any, given: Sequence[Value]) -> Value:
    return Value(REAL, build.bitcast(build.trunc(given[0].code, ir.IntType(32)), REAL))


def _bits_of(build: Any, given: Sequence[Value]) -> Value:
    return Value(INT, build.sext(build.bitcast(given[0].code, ir.IntType(32)), INT))


float_of: Any = Intrinsic("float_of", _float_of)
"""The f32 with these 32 bits."""
bits_of: Any = Intrinsic("bits_of", _bits_of)
"""The 32 bits of an f32, as a signed integer."""
