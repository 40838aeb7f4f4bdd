"""Operators through which a size that only a run tells can pass.

They work on all the room that there is; what they make beyond the length is never shown, and must
do no harm: no index leaves its range, and nothing is divided by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from wsc.frontend.reduce import iota
from wsc.frontend.registry import Call, Function, Item, Result, Sized, normal_axis, require
from wsc.frontend.wide import Wide
from wsc.ir.build import Value

_ELEMENTWISE = (
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Cos", "Equal", "Erf", "Exp", "Floor",
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "Not",
    "Or", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sqrt", "Sub", "Sum",
    "Tanh", "Where", "Xor",
)  # fmt: skip

# (call, inputs of unknown size by number, one result) -> the axis of the result.
Rule = Callable[[Call, Mapping[int, Sized], Value], int]


def follow(call: Call, inputs: Mapping[int, Sized], lower: Function) -> Result:
    """The results of a node with inputs whose size data decide.

    call: shows these inputs with all their room. Raises Unsupported where the size cannot pass.
    """
    first, *others = inputs.values()
    alike = all(other.length == first.length for other in others)
    require(alike, "inputs whose sizes depend on different data")
    rule = RULES[call.node.op_type]
    result = lower(call)
    shown = (result,) if isinstance(result, Item) else result
    followed: list[Item | None] = []
    for item in shown:
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


def safe_indices(call: Call, item: Sized) -> Value:
    """Indices that are 0 beyond their length."""
    places = iota(call.build, item.value.shape[item.axis], item.axis, item.value.rank)
    return call.build.map(
        lambda i, p, n: (p < n).select(i, 0), item.value, places, item.length, hint="inside"
    )


def _elementwise(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
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


def _divide(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    require(result.dtype.is_float or 1 not in inputs, "a division by integers of unknown number")
    return _elementwise(call, inputs, result)


def _transpose(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    perm = call.integers("perm") or list(range(result.rank))[::-1]
    return perm.index(inputs[0].axis)


def _gather(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    data, indices = call.arg(0), call.arg(1)
    axis = normal_axis(call.integer("axis", 0), data.rank)
    if 1 in inputs:
        require(0 not in inputs, "data and indices of unknown size")
        return axis + inputs[1].axis
    own = inputs[0].axis
    require(own != axis, "a gather along the axis of unknown size")
    return own if own < axis else own + indices.rank - 1


def _gather_nd(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    require(set(inputs) == {1}, "data of unknown size")
    require(not call.integer("batch_dims", 0), "batch dimensions")
    require(inputs[1].axis < call.arg(1).rank - 1, "index tuples of unknown size")
    return inputs[1].axis


def _reshaped(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
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


def _squeezed(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    item = inputs[0]
    axes = call.axes(1, item.value.rank)
    require(axes is not None and item.axis not in axes, "the axis of unknown size goes")
    return item.axis - sum(axis < item.axis for axis in axes or ())


def _unsqueezed(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    axes = call.axes(1, result.rank) or ()
    kept = [axis for axis in range(result.rank) if axis not in axes]
    return kept[inputs[0].axis]


def _apart(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    """Along another axis than the node's."""
    axis = normal_axis(call.integer("axis", 0), result.rank)
    own = {item.axis for item in inputs.values()}
    all_of_them = call.node.op_type != "Concat" or len(inputs) == len(call.node.inputs)
    require(own != {axis} and len(own) == 1 and all_of_them, "along the axis of unknown size")
    return own.pop()


def _sliced(call: Call, inputs: Mapping[int, Sized], result: Value) -> int:
    require(set(inputs) == {0}, "bounds of unknown size")
    own = inputs[0].axis
    starts = call.integers("starts") if call.opset < 10 else call.static_ints(1, "the starts")
    axes = call.axes(3, result.rank)
    axes = list(range(len(starts or ()))) if axes is None else axes
    require(own not in axes, "a slice of the axis of unknown size")
    return own


RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(("Div", "Mod"), _divide),
    **dict.fromkeys(("Concat", "Split"), _apart),
    **dict.fromkeys(("Flatten", "Reshape"), _reshaped),
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Slice": _sliced,
    "Squeeze": _squeezed,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueezed,
}
