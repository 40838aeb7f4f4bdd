"""What kernels are made of: the machine that they take, what declares them, and what they call.

``translate`` makes LLVM code of them, all together, when the first one is called; ``library``
keeps what LLVM made of it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np
from llvmlite import ir

from wsc.runtime.values.library import library
from wsc.runtime.values.records import FLAT, TABLES
from wsc.runtime.values.translate import (
    INT,
    NOTHING,
    REAL,
    Elements,
    Function,
    Intrinsic,
    Value,
    annotated,
)

P = ParamSpec("P")
R = TypeVar("R")

NAN: Any = np.float32(np.nan)
"""The NaN that arithmetic gives: quiet, positive, without a payload."""


class Machine:
    """The tables of a run. Kernels take it whole and see tables as attributes.

    To them it is one address, of the table of all tables' addresses.
    """

    def __init__(self, tables: dict[str, np.ndarray]) -> None:
        assert set(tables) == set(TABLES), set(tables) ^ set(TABLES)
        self._tables: dict[str, np.ndarray] = {}
        self._addresses = np.zeros(len(TABLES), np.int64)
        self.address = self._addresses.ctypes.data
        for name, table in tables.items():
            self.replace(name, table)

    def replace(self, name: str, table: np.ndarray) -> None:
        """Put another table in the place of one."""
        kind, columns = TABLES[name]
        assert table.dtype == kind, (name, table.dtype)
        assert table.flags.c_contiguous, name
        assert columns == FLAT or table.shape[1] == columns, (name, table.shape)
        self._tables[name] = table
        self._addresses[_NUMBERS[name]] = table.ctypes.data

    def __getattr__(self, name: str) -> Any:
        try:
            return self._tables[name]
        except KeyError:
            raise AttributeError(name) from None


_NUMBERS = {name: number for number, name in enumerate(TABLES)}


# --- kernels ------------------------------------------------------------------------------


class Kernel(Generic[P, R]):
    """A function that is compiled; ``translate`` says what it may be made of."""

    def __init__(self, function: Callable[P, R], compiled: Function) -> None:
        update_wrapper(self, function)
        self.compiled = compiled

    def __call__(self, *args: P.args, **_none: P.kwargs) -> R:
        """Run the compiled function, without Python's lock."""
        if self.compiled not in _entries:
            raise TypeError(f"'{self.compiled.name}' is called by other kernels alone")
        call = _prototype(self.compiled)(library(_entries)[self.compiled.name])
        given: list[Any] = [arg.address if isinstance(arg, Machine) else arg for arg in args]
        return call(*given)


_entries: list[Function] = []


def _prototype(function: Function) -> Any:
    gives = {NOTHING: None, INT: ctypes.c_int64}.get(function.gives, ctypes.c_bool)
    return ctypes.CFUNCTYPE(gives, *[ctypes.c_int64] * len(function.takes))


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Compile a function that other kernels call; its annotations are its types."""
    return Kernel(function, annotated(function, outer=False))


def entry(function: Callable[P, R]) -> Kernel[P, R]:
    """Compile a function that Python calls."""
    made = Kernel(function, annotated(function, outer=True))
    _entries.append(made.compiled)
    return made


def of_reals(function: Callable[..., Any], count: int) -> Kernel[..., float]:
    """Compile a value function of ``count`` f32; each operation of it is rounded to f32."""
    return Kernel(function, Function(function, (REAL,) * count, REAL))


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
