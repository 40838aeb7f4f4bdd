"""The state as one pointer.

A tuple of sixty arrays costs hundreds of words at every call of a compiled function, and
minutes to compile. Here the compiled code sees one address, that of a table with the base
address of every array; a field access loads from it, and as that table never changes during a run
LLVM may move and merge those loads. What a field access gives is a ``TableType``: an address
and a row length, indexed without the checks for negative indices that an array of Numba has,
which cost both the compiler and the run.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
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
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.numpy_support import from_dtype

from runtime.engine.layout import COLUMNS, FIELDS, State

# Numba has no stubs for this decorator.
_types: Any = templates.infer_global

_ORDER = {name: number for number, name in enumerate(FIELDS)}


class StateType(types.Type):
    """Numba type of ``Pointer``."""

    def __init__(self) -> None:
        super().__init__(name="wsc.State")


STATE = StateType()


class Pointer:
    """The address table of a state; it must live while compiled code uses it."""

    def __init__(self, state: State) -> None:
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
    kind, word = _TYPES[attribute], ir.IntType(64)

    def entry(number: int) -> Any:
        offset = ir.Constant(word, 8 * (2 * _ORDER[attribute] + number))
        loaded = builder.load(builder.inttoptr(builder.add(value, offset), word.as_pointer()))
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    table = cgutils.create_struct_proxy(kind)(context, builder)
    table.base = entry(0)
    fixed = kind.ndim == 1 or kind.columns is not None
    table.row = ir.Constant(word, kind.columns or 1) if fixed else entry(1)
    return table._getvalue()


def _is_index(index: Any, ndim: int) -> bool:
    if ndim == 1:
        return isinstance(index, (types.Integer, types.IntEnumMember))
    return isinstance(index, types.BaseTuple) and len(index) == ndim


@_types(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        table, index = args
        if isinstance(table, TableType) and _is_index(index, table.ndim):
            return signature(table.dtype, table, index)
        return None


@_types(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        table, index, _value = args
        if isinstance(table, TableType) and _is_index(index, table.ndim):
            return signature(types.none, table, index, table.dtype)
        return None


def _element(context: Any, builder: Any, kind: Any, table: Any, index_type: Any, index: Any) -> Any:
    """Pointer to an element."""
    proxy = cgutils.create_struct_proxy(kind)(context, builder, value=table)
    if kind.ndim == 1:
        at = context.cast(builder, index, index_type, types.int64)
    else:
        row, column = (
            context.cast(builder, part, part_type, types.int64)
            for part, part_type in zip(
                cgutils.unpack_tuple(builder, index), index_type, strict=True
            )
        )
        width = proxy.row if kind.columns is None else ir.Constant(ir.IntType(64), kind.columns)
        at = builder.add(builder.mul(row, width), column)
    pointer = context.get_data_type(kind.dtype).as_pointer()
    return builder.gep(builder.inttoptr(proxy.base, pointer), [at])


@lower_builtin(operator.getitem, TableType, types.Any)
def _get(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, index_type = sig.args
    return builder.load(_element(context, builder, kind, args[0], index_type, args[1]))


@lower_builtin(operator.setitem, TableType, types.Any, types.Any)
def _set(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, index_type, value_type = sig.args
    value = context.cast(builder, args[2], value_type, kind.dtype)
    builder.store(value, _element(context, builder, kind, args[0], index_type, args[1]))
    return context.get_dummy_value()
