"""Operators through which a size that only a run tells can pass.

They work on all the room that there is; what they make beyond the length is never shown, and must
do no harm: no index leaves its range, and nothing is divided by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from wsc.frontend.exact.item import Double
from wsc.frontend.registry import (
    Call,
    Follows,
    Function,
    Item,
    Result,
    Sized,
    normal_axis,
    require,
)
from wsc.frontend.wide import Wide
from wsc.ir.build import Value


def follow(call: Call, inputs: Mapping[int, Sized], rule: Follows, lower: Function) -> Result:
    """The results of a node with inputs whose size data decide.

    call: shows these inputs with all their room. rule: of the operator.

    Raises:
        Unsupported: the size cannot pass.
    """
    first, *others = inputs.values()
    alike = all(other.length == first.length for other in others)
    require(alike, "inputs whose sizes depend on different data")
    result = lower(call)
    shown = (result,) if isinstance(result, Item) else result
    followed: list[Item | None] = []
    for item in shown:
        require(not isinstance(item, Double), "as many float64 as data decide")
        word = item.low if isinstance(item, Wide) else item
        if isinstance(word, Value):
            sized = Sized(word, rule(call, inputs, word), first.length)
            require(
                not isinstance(item, Wide),
                "as many 64-bit integers as data decide, and they can leave 32 bits; bound them "
                "with Clip",
            )
            followed.append(sized)
        else:
            followed.append(word)
    return followed


def elementwise(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """Dimensions align at the end."""
    ends = {item.value.rank - item.axis for item in inputs.values()}
    require(len(ends) == 1, "sizes that depend on data along different axes")
    (end,) = ends
    for number, value in enumerate(call.node.inputs):
        if value is not None and number not in inputs:
            shape = call.arg(number).shape
            fits = len(shape) < end or shape[-end] == 1
            require(fits, "an input of fixed size where another's depends on data")
    return result.rank - end


def quotient(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """As elementwise; an integer is never divided by what lies beyond the length."""
    require(result.dtype.is_float or 1 not in inputs, "a division by integers of unknown number")
    return elementwise(call, inputs, result)


def transposed(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """The axis goes where the permutation takes it."""
    perm = call.integers("perm") or list(range(result.rank))[::-1]
    return perm.index(inputs[0].axis)


def gathered(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """Along other axes than the gathered one, or as long as the indices are."""
    data, indices = call.arg(0), call.arg(1)
    axis = normal_axis(call.integer("axis", 0), data.rank)
    if 1 in inputs:
        require(0 not in inputs, "data and indices of unknown size")
        return axis + inputs[1].axis
    own = inputs[0].axis
    require(own != axis, "a gather along the axis of unknown size")
    return own if own < axis else own + indices.rank - 1


def gathered_nd(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """As many results as there are index tuples."""
    require(set(inputs) == {1}, "data of unknown size")
    require(not call.integer("batch_dims", 0), "batch dimensions")
    require(inputs[1].axis < call.arg(1).rank - 1, "index tuples of unknown size")
    return inputs[1].axis


def reshaped(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """The axis stays whole: as many elements stand before it as did."""
    require(set(inputs) == {0}, "a shape of unknown size")
    item = inputs[0]
    before, room = math.prod(item.value.shape[: item.axis]), item.value.shape[item.axis]
    open_axes = [
        axis
        for axis, size in enumerate(result.shape)
        if size == room and math.prod(result.shape[:axis]) == before
    ]
    if call.node.op_type == "Reshape":
        target = call.static_ints(1, "the shape")
        open_axes = [axis for axis in open_axes if target[axis] in (-1, 0)]
    require(bool(open_axes), "a shape in which the axis of unknown size is not one of its own")
    return open_axes[0]


def squeezed(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """The axis stays; others of one element go."""
    item = inputs[0]
    axes = call.axes(1, item.value.rank)
    require(axes is not None and item.axis not in axes, "the axis of unknown size goes")
    return item.axis - sum(axis < item.axis for axis in axes or ())


def unsqueezed(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """The axis stays; others of one element come."""
    axes = call.axes(1, result.rank) or ()
    kept = [axis for axis in range(result.rank) if axis not in axes]
    return kept[inputs[0].axis]


def apart(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """Along another axis than the node's."""
    axis = normal_axis(call.integer("axis", 0), result.rank)
    own = {item.axis for item in inputs.values()}
    all_of_them = call.node.op_type != "Concat" or len(inputs) == len(call.node.inputs)
    require(own != {axis} and len(own) == 1 and all_of_them, "along the axis of unknown size")
    return own.pop()


def sliced(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """Other axes are cut."""
    require(set(inputs) == {0}, "bounds of unknown size")
    own = inputs[0].axis
    starts = call.integers("starts") if call.opset < 10 else call.static_ints(1, "the starts")
    axes = call.axes(3, result.rank)
    axes = list(range(len(starts or ()))) if axes is None else axes
    require(own not in axes, "a slice of the axis of unknown size")
    return own
