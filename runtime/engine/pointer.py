"""The state as one pointer.

A tuple of sixty arrays costs hundreds of words at every call of a compiled function, and
minutes to compile. Here the compiled code sees one address, that of a table with the base
address of every array; a field access loads from it, and as that table never changes during a run
LLVM may move and merge those loads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import from_dtype

from runtime.engine.layout import COLUMNS, FIELDS, State

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


@infer_getattr
class _Fields(AttributeTemplate):
    key = StateType

    def generic_resolve(self, _kind: Any, attribute: str) -> Any:
        if attribute not in FIELDS:
            return None
        dtype, ndim = FIELDS[attribute]
        return types.Array(from_dtype(np.dtype(dtype)), ndim, "C")


@lower_getattr_generic(StateType)
def _field(context: Any, builder: Any, _kind: Any, value: Any, attribute: str) -> Any:
    dtype, ndim = FIELDS[attribute]
    kind = types.Array(from_dtype(np.dtype(dtype)), ndim, "C")
    word = ir.IntType(64)

    def entry(number: int) -> Any:
        offset = ir.Constant(word, 8 * (2 * _ORDER[attribute] + number))
        loaded = builder.load(builder.inttoptr(builder.add(value, offset), word.as_pointer()))
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    # The first extent is 0: it only matters for negative indices, which no one uses.
    extent: list[Any] = [ir.Constant(word, 0)]
    if ndim == 2:
        known = COLUMNS.get(attribute)
        extent.append(entry(1) if known is None else ir.Constant(word, known))
    size = np.dtype(dtype).itemsize
    step = ir.Constant(word, size)
    strides = [builder.mul(extent[1], step), step] if ndim == 2 else [step]
    array = make_array(kind)(context, builder)
    pointer = builder.inttoptr(entry(0), array.data.type)
    populate_array(
        array,
        data=pointer,
        shape=cgutils.pack_array(builder, extent),
        strides=cgutils.pack_array(builder, strides),
        itemsize=ir.Constant(word, size),
        meminfo=None,
    )
    return array._getvalue()
