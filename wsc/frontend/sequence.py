"""Sequences and optionals: how many tensors there are is known, so they cost nothing."""

from __future__ import annotations

import numpy as np

from wsc.frontend.control import stacked
from wsc.frontend.registry import (
    Absent,
    Call,
    Item,
    Many,
    Unsupported,
    lowering,
    normal_axis,
    require,
)
from wsc.frontend.wide import Wide
from wsc.ir.build import Value
from wsc.isa.types import DType


def sequence(call: Call, index: int) -> Many:
    """An input that must be a sequence."""
    item = call.item(index)
    if not isinstance(item, Many):
        raise Unsupported(f"input {index} is not a sequence")
    return item


def _place(call: Call, index: int, size: int, what: str) -> int:
    """A constant position, which may count from the end."""
    place = int(call.static(index, what).reshape(()).item())
    require(-size <= place < size, f"position {place} of a sequence of {size}")
    return place % size


@lowering("SequenceConstruct", since=11)
def sequence_construct(call: Call) -> Many:
    """A sequence of the inputs."""
    return Many(tuple(call.args()))


@lowering("SequenceEmpty", since=11, quiet=("dtype",))
def sequence_empty(call: Call) -> Many:
    """A sequence of no tensors."""
    del call
    return Many(())


@lowering("SequenceInsert", since=11, sizes={2: "the order of the tensors, and so of their shapes"})
def sequence_insert(call: Call) -> Many:
    """A sequence with a tensor before a constant position, or at its end."""
    values = sequence(call, 0).values
    size = len(values)
    place = int(call.static(2, "the position").reshape(()).item()) if call.has(2) else size
    require(-size <= place <= size, f"position {place} in a sequence of {size}")
    place = place + size if place < 0 else place
    return Many((*values[:place], call.arg(1), *values[place:]))


@lowering("SequenceErase", since=11, sizes={1: "which tensors, and so which shapes, remain"})
def sequence_erase(call: Call) -> Many:
    """A sequence without the tensor at a constant position, or without the last."""
    values = sequence(call, 0).values
    require(bool(values), "an empty sequence has nothing to erase")
    place = _place(call, 1, len(values), "the position") if call.has(1) else len(values) - 1
    return Many((*values[:place], *values[place + 1 :]))


@lowering("SequenceAt", since=11, sizes={1: "which tensor, and so which shape"})
def sequence_at(call: Call) -> Value:
    """The tensor at a constant position."""
    values = sequence(call, 0).values
    return values[_place(call, 1, len(values), "the position")]


@lowering("SequenceLength", since=11)
def sequence_length(call: Call) -> Value:
    """The number of tensors, a constant."""
    count = np.array(len(sequence(call, 0).values))
    return call.build.constant(count, DType.I32, "length")


@lowering("SplitToSequence", since=11, quiet=("keepdims",), sizes={1: "the sizes of the parts"})
def split_to_sequence(call: Call) -> Many:
    """Parts of one dimension; of size one without ``split``, and then maybe without it."""
    build, x = call.build, call.arg(0)
    axis = normal_axis(call.integer("axis", 0), x.rank)
    total, keep = x.shape[axis], True
    if not call.has(1):
        sizes, keep = [1] * total, call.flag("keepdims", True)
    else:
        given = call.static(1, "split")
        sizes = [int(size) for size in given.reshape(-1)]
        if given.ndim == 0:
            require(sizes[0] > 0, "parts without elements")
            sizes = [min(sizes[0], total - start) for start in range(0, total, sizes[0])]
    require(sum(sizes) == total, f"parts of {sum(sizes)} from a dimension of {total}")
    starts = np.cumsum([0, *sizes])
    parts = [
        build.slice_axis(x, axis, int(start), size, hint=f"part{number}")
        for number, (start, size) in enumerate(zip(starts[:-1], sizes, strict=True))
    ]
    if not keep:
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        parts = [build.reshape(part, shape, f"flat{number}") for number, part in enumerate(parts)]
    return Many(tuple(parts))


@lowering("ConcatFromSequence", since=11)
def concat_from_sequence(call: Call) -> Value | Wide:
    """Tensors joined along an axis, or side by side along a new one."""
    values, axis = sequence(call, 0).values, call.integer("axis", 0)
    require(bool(values), "a sequence of no tensors")
    if not call.flag("new_axis", False):
        return call.build.concat(values, normal_axis(axis, values[0].rank))
    return stacked(call.build, values, axis)


@lowering("Optional", since=15, quiet=("type",))
def optional(call: Call) -> Item:
    """An optional with the input as its element, or without an element."""
    return call.item(0) if call.has(0) else Absent()


@lowering("OptionalHasElement", since=15)
def optional_has_element(call: Call) -> Value:
    """Whether there is an element, a constant."""
    there = call.has(0) and not isinstance(call.item(0), Absent)
    return call.build.constant(np.array(int(there)), DType.I32, "has")


@lowering("OptionalGetElement", since=15)
def optional_get_element(call: Call) -> Item:
    """The element of an optional that has one."""
    item = call.item(0)
    require(not isinstance(item, Absent), "an optional without an element")
    return item
