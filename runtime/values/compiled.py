"""How the functions of the values engine are compiled: by Numba, through its public interface.

Numba keeps compiled functions on disk and compiles them anew when their own file has changed.
A function here contains others, of other files. Therefore its name ends with a digest of all
the sources that decide what it does, and Numba looks for that name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import cfunc, from_dtype, njit, types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import (
    NativeValue,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)

from wsc import isa
from wsc.runtime.values.records import FLAT, TABLES

# No function allocates (``_nrt``), and most are never called from Python: without what that
# takes they compile in half the time.
PLAIN: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, **PLAIN}
INNER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _digest() -> str:
    """Over the files that decide what a compiled function does."""
    here, contract = Path(__file__).parent, Path(isa.__file__).parent
    decisive = [
        contract / name
        for name in ("values.py", "drawing.py", "limits.py", "rounding.py", "table.py", "types.py")
    ]
    files = [*sorted(here.glob("*.py")), here.parent / "tables.py", *decisive]
    total = hashlib.sha256(numba.__version__.encode())
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()[:12]


DIGEST = _digest()

NAN: Any = np.float32(np.nan)
"""The NaN that arithmetic gives: quiet, positive, without a payload."""
HALF_NAN = 0x7E00


# --- the state as one value ---------------------------------------------------------------


class Machine:
    """The tables of a run. Compiled functions take it whole and see tables as attributes.

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


class MachineType(types.Type):
    """The type of a ``Machine`` in compiled functions."""

    def __init__(self) -> None:
        super().__init__("Machine")


MACHINE = MachineType()
_NUMBERS = {name: number for number, name in enumerate(TABLES)}
_WORD = ir.IntType(64)
_MANY = 1 << 40  # a length that is never reached: nobody checks it


@typeof_impl.register(Machine)
def _typeof(_value: Machine, _context: Any) -> MachineType:
    return MACHINE


@register_model(MachineType)
class _MachineModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("address", types.int64)])


@unbox(MachineType)
def _unbox(_kind: Any, value: Any, context: Any) -> NativeValue:
    held = context.pyapi.object_getattr_string(value, "address")
    machine = cgutils.create_struct_proxy(MACHINE)(context.context, context.builder)
    machine.address = context.pyapi.long_as_longlong(held)
    context.pyapi.decref(held)
    return NativeValue(machine._getvalue())


def _array_type(name: str) -> types.Array:
    kind, columns = TABLES[name]
    return types.Array(from_dtype(np.dtype(kind)), 1 if columns == FLAT else 2, "C")


@infer_getattr
class _Tables(AttributeTemplate):
    """Every table is an attribute of the machine."""

    key = MachineType

    def generic_resolve(self, _machine: Any, name: str) -> Any:
        return _array_type(name) if name in TABLES else None


@lower_getattr_generic(MachineType)
def _table(context: Any, builder: Any, _kind: Any, value: Any, name: str) -> Any:
    """The array of a table: its address is known, its length is one that is never reached."""
    machine = cgutils.create_struct_proxy(MACHINE)(context, builder, value=value)
    if name == "address":
        return machine.address
    dtype, columns = TABLES[name]
    tables = builder.inttoptr(machine.address, _WORD.as_pointer())
    address = builder.load(builder.gep(tables, [_word(_NUMBERS[name])]))
    size = np.dtype(dtype).itemsize
    return _array(context, builder, _array_type(name), address, size, columns)


def _array(
    context: Any, builder: Any, kind: types.Array, address: Any, item: int, columns: int
) -> Any:  # fmt: skip
    """An array that begins at an address; nothing is kept alive."""
    array = context.make_array(kind)(context, builder)
    array.data = builder.inttoptr(address, array.data.type)
    shape, strides = [_MANY], [item]
    if columns != FLAT:
        shape, strides = [_MANY // columns, columns], [item * columns, item]
    array.shape = cgutils.pack_array(builder, [_word(size) for size in shape])
    array.strides = cgutils.pack_array(builder, [_word(stride) for stride in strides])
    array.itemsize, array.nitems = _word(item), _word(_MANY)
    array.meminfo = array.meminfo.type(None)
    array.parent = array.parent.type(None)
    return array._getvalue()


def _word(value: int) -> Any:
    return ir.Constant(_WORD, value)


# --- functions ----------------------------------------------------------------------------

NOTHING, NUMBER, TRUTH = types.void, types.int64, types.boolean
PAIR = types.UniTuple(types.int64, 2)


def kernel(
    result: Any, count: int, *, machine: bool = True, outer: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function of a ``Machine`` and ``count`` integers, once, and keep it.

    machine: False for a function of integers alone. outer: Python calls it too.
    """
    given = [MACHINE] * machine + [types.int64] * count

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ = f"{function.__name__}_{DIGEST}"
        return njit(result(*given), **(OPTIONS if outer else INNER))(function)

    return decorate


@intrinsic
def _machine_at(_context: Any, address: Any) -> Any:
    def code(context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        machine = cgutils.create_struct_proxy(MACHINE)(context, builder)
        machine.address = args[0]
        return machine._getvalue()

    return MACHINE(types.int64), code


machine_at: Any = _machine_at
"""The machine at an address: how a part begins."""


# A function that calls another contains it, and all that this one calls: LLVM would optimise the
# innermost ones over and over. So the larger ones are *parts*: C functions of the machine's
# address and integers, which others call by their addresses.
_parts: list[Any] = []


def part(count: int) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function of a machine's address and ``count`` integers by itself.

    What stands in its place is called with a machine and the integers.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ = f"{function.__name__}_{DIGEST}"
        signature = types.int64(types.int64, *[types.int64] * count)
        made = cfunc(signature, cache=True, **PLAIN)(function)
        _parts.append(made)
        return _caller(len(_parts) - 1, count)

    return decorate


def addresses() -> np.ndarray:
    """Addresses of the parts, by number."""
    return np.array([made.address for made in _parts], np.int64)


def _caller(number: int, count: int) -> Any:
    """Calls a part, whose address is in the machine's table."""
    kind = ir.FunctionType(_WORD, [_WORD] * (count + 1))

    def code(context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        machine = cgutils.create_struct_proxy(MACHINE)(context, builder, value=args[0])
        tables = builder.inttoptr(machine.address, _WORD.as_pointer())
        parts = builder.load(builder.gep(tables, [_word(_NUMBERS["parts"])]))
        pointers = builder.inttoptr(parts, _WORD.as_pointer())
        found = builder.load(builder.gep(pointers, [_word(number)]))
        function = builder.inttoptr(found, kind.as_pointer())
        return builder.call(function, [machine.address, *args[1:]])

    typed = types.int64(MACHINE, *[types.int64] * count), code
    # Numba takes the number of arguments from the function itself.
    ways: tuple[Callable[..., Any], ...] = (
        lambda _context, m: typed,
        lambda _context, m, a: typed,
        lambda _context, m, a, b: typed,
        lambda _context, m, a, b, c: typed,
        lambda _context, m, a, b, c, d: typed,
        lambda _context, m, a, b, c, d, e: typed,
        lambda _context, m, a, b, c, d, e, f: typed,
    )
    return intrinsic(ways[count])


def _array_at(dtype: Any) -> Any:
    """A function from an address to an array without end."""
    kind = types.Array(from_dtype(np.dtype(dtype)), 1, "C")

    @intrinsic
    def view(_context: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, _sig: Any, args: Any) -> Any:
            return _array(context, builder, kind, args[0], np.dtype(dtype).itemsize, FLAT)

        return kind(types.int64), code

    return view


floats_at: Any = _array_at(np.float32)
integers_at: Any = _array_at(np.int32)
halves_at: Any = _array_at(np.uint16)
doubles_at: Any = _array_at(np.float64)
keys_at: Any = _array_at(np.uint64)


@intrinsic
def _operate(
    _context: Any, address: Any, target: Any, a: Any, b: Any, c: Any, count: Any
) -> Any:  # one operation of ``operations``
    def code(ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        function = ir.FunctionType(ir.VoidType(), [_WORD] * 5)
        builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
        return ctx.get_dummy_value()

    return types.void(*[types.int64] * 6), code


operate: Any = _operate
"""Call the compiled operation at an address: (address, target, a, b, c, count), all integers."""


@intrinsic
def _look(
    _context: Any, address: Any, target: Any, a: Any, b: Any, c: Any, count: Any
) -> Any:  # one function of ``domains``
    def code(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        function = ir.FunctionType(_WORD, [_WORD] * 5)
        return builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])

    return types.int64(*[types.int64] * 6), code


look: Any = _look
"""Call a function of ``operations.domains``: arguments as of ``operate``; what it gives."""


@intrinsic
def _float_of(_context: Any, bits: Any) -> Any:
    def code(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), code


@intrinsic
def _bits_of(_context: Any, value: Any) -> Any:
    def code(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), code


float_of: Any = _float_of
"""The f32 with these 32 bits."""
bits_of: Any = _bits_of
"""The 32 bits of an f32."""
