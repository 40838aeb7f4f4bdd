"""The state as one pointer.

A tuple of sixty arrays costs hundreds of words at every call of a compiled function, and
minutes to compile. Here the compiled code sees one address, that of a table with the base
address of every array; a field access loads from it, and as that table never changes during a run
LLVM may move and merge those loads. What a field access gives is a ``TableType``: an address
and a row length, indexed without the checks for negative indices that an array of Numba has,
which cost both the compiler and the run. ``table[row, column]`` becomes ``load_item`` and
``store_item`` before it is typed (``simplify``): a pair costs four times as much to compile.

The table's last word is the address of another compiled function, for ``ask_cores``.
"""

from __future__ import annotations

import operator
from enum import IntEnum
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.imputils import lower_builtin, lower_getattr_generic
from numba.core.typing import templates
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    signature,
)
from numba.extending import (
    NativeValue,
    infer_getattr,
    intrinsic,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.numpy_support import from_dtype

from wsc.runtime.engine.layout import COLUMNS, FIELDS, State

# Numba has no stubs for this decorator.
_types: Any = templates.infer_global

_ORDER = {name: number for number, name in enumerate(FIELDS)}


class StateType(types.Type):
    """Numba type of ``Pointer``."""

    def __init__(self) -> None:
        super().__init__(name="wsc.State")


STATE = StateType()


class Ask(IntEnum):
    """What compiled code asks of the cores, which are compiled apart; see ``kernel_cores``."""

    RUN_UNIT = 0
    VISIT_CORE = 1
    TAKE_VALUES = 2
    MOVE_DYNAMIC = 3
    ROW_STEPS = 4


class Pointer:
    """The address table of a state; it must live while compiled code uses it.

    cores: address of the function that ``ask_cores`` calls, 0 if nothing asks.
    """

    def __init__(self, state: State, cores: int = 0) -> None:
        self.state = state
        words: list[int] = []
        for name in FIELDS:
            array = getattr(state, name)
            dtype, ndim = FIELDS[name]
            if array.dtype != dtype or array.ndim != ndim or not array.flags.c_contiguous:
                raise TypeError(f"state array '{name}' is {array.dtype}[{array.ndim}]")
            if name in COLUMNS and array.shape[1] != COLUMNS[name]:
                raise TypeError(f"state array '{name}' has {array.shape[1]} columns")
            words += [array.ctypes.data, array.shape[-1]]
        words.append(cores)
        self.words = np.array(words, dtype=np.int64)
        self.address = self.words.ctypes.data


@typeof_impl.register(Pointer)
def _typeof(_value: Any, _context: Any) -> StateType:
    return STATE


@register_model(StateType)
class _StateModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(64))


@unbox(StateType)
def _unbox(_kind: Any, value: Any, c: Any) -> NativeValue:
    number = c.pyapi.object_getattr_string(value, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(address)


class TableType(types.Type):
    """Numba type of a field: elements of one type in rows of ``columns``, None if not fixed."""

    def __init__(self, dtype: Any, ndim: int, columns: int | None) -> None:
        self.dtype, self.ndim, self.columns = dtype, ndim, columns
        super().__init__(name=f"wsc.Table({dtype}, {ndim}, {columns})")


@register_model(TableType)
class _TableModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("base", types.int64), ("row", types.int64)])


_TYPES = {
    name: TableType(from_dtype(np.dtype(dtype)), ndim, COLUMNS.get(name))
    for name, (dtype, ndim) in FIELDS.items()
}


@infer_getattr
class _Fields(AttributeTemplate):
    key = StateType

    def generic_resolve(self, _kind: Any, attribute: str) -> Any:
        return _TYPES.get(attribute)


@lower_getattr_generic(StateType)
def _field(context: Any, builder: Any, _kind: Any, value: Any, attribute: str) -> Any:
    kind = _TYPES[attribute]
    table = ir.Constant(context.get_value_type(kind), ir.Undefined)
    table = builder.insert_value(table, _entry(builder, value, 2 * _ORDER[attribute]), 0)
    if kind.ndim > 1 and kind.columns is None:
        row = _entry(builder, value, 2 * _ORDER[attribute] + 1)
        table = builder.insert_value(table, row, 1)
    return table


def _entry(builder: Any, state: Any, number: int) -> Any:
    """A word of the address table."""
    word = ir.IntType(64)
    place = builder.add(state, ir.Constant(word, 8 * number))
    loaded = builder.load(builder.inttoptr(place, word.as_pointer()))
    loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
    return loaded


def _ask_cores(_context: Any, state: Any, what: Any, a: Any, b: Any, c: Any) -> Any:
    """Call the function of the cores with one of ``Ask`` and what that takes."""
    word = ir.IntType(64)

    def call(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(word, [word] * len(args))
        address = _entry(builder, args[0], 2 * len(FIELDS))
        return builder.call(builder.inttoptr(address, kind.as_pointer()), args)

    return signature(types.int64, STATE, *[types.int64] * 4), call


ask_cores: Any = intrinsic(_ask_cores)


def load_item(table: Any, row: int, column: int) -> Any:
    """``table[row, column]``, compiled without a tuple; see ``simplify``."""
    return table[row, column]


def store_item(table: Any, row: int, column: int, value: Any) -> None:
    """``table[row, column] = value``."""
    table[row, column] = value


def _is_table(kind: Any, ndim: int) -> bool:
    return isinstance(kind, TableType) and kind.ndim == ndim


def _is_index(kind: Any) -> bool:
    return isinstance(kind, (types.Integer, types.IntEnumMember))


@_types(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        table, index = args
        if _is_table(table, 1) and _is_index(index):
            return signature(table.dtype, table, types.int64)
        return None


@_types(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        table, index, _value = args
        if _is_table(table, 1) and _is_index(index):
            return signature(types.none, table, types.int64, table.dtype)
        return None


@_types(load_item)
class _LoadItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        table, row, column = args
        if _is_table(table, 2) and _is_index(row) and _is_index(column):
            return signature(table.dtype, table, types.int64, types.int64)
        return None


@_types(store_item)
class _StoreItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        table, row, column, _value = args
        if _is_table(table, 2) and _is_index(row) and _is_index(column):
            return signature(types.none, table, types.int64, types.int64, table.dtype)
        return None


def _element(context: Any, builder: Any, kind: Any, table: Any, *index: Any) -> Any:
    """Pointer to an element."""
    at = index[0]
    if kind.ndim == 2:
        width = ir.Constant(ir.IntType(64), kind.columns)
        if kind.columns is None:
            width = builder.extract_value(table, 1)
        at = builder.add(builder.mul(at, width), index[1])
    pointer = context.get_data_type(kind.dtype).as_pointer()
    return builder.gep(builder.inttoptr(builder.extract_value(table, 0), pointer), [at])


@lower_builtin(operator.getitem, TableType, types.int64)
@lower_builtin(load_item, TableType, types.int64, types.int64)
def _get(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(_element(context, builder, sig.args[0], *args))


@lower_builtin(operator.setitem, TableType, types.int64, types.Any)
@lower_builtin(store_item, TableType, types.int64, types.int64, types.Any)
def _set(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    *place, value = args
    builder.store(value, _element(context, builder, sig.args[0], *place))
    return context.get_dummy_value()
