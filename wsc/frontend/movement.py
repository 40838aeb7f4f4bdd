"""Operators that move elements and compute nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wsc.frontend import follow, wide
from wsc.frontend.registry import LONGEST, Call, Unsupported, lowering, normal_axis, require
from wsc.frontend.wide import Wide
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import broadcast
from wsc.ir.graph import Expand, Pad, Reshape, Slice, Transpose
from wsc.isa.types import DType


@lowering("Reshape", since=5, sizes={1: "the shape of the result"}, follows=follow.reshaped)
def reshape(call: Call) -> Value:
    """Another shape, the same elements; 0 keeps a size, -1 takes the rest."""
    x = call.arg(0)
    target = call.static_ints(1, "the shape")
    if not call.flag("allowzero", False):
        require(all(n or i < x.rank for i, n in enumerate(target)), "0 beyond the input's rank")
        target = [x.shape[axis] if size == 0 else size for axis, size in enumerate(target)]
    if -1 in target:
        rest = math.prod(size for size in target if size != -1)
        require(rest > 0, "-1 beside an empty dimension")
        target = [x.type.size // rest if size == -1 else size for size in target]
    return call.build.reshape(x, target)


@lowering("Flatten", follows=follow.reshaped)
def flatten(call: Call) -> Value:
    """Two dimensions: those before ``axis``, and the rest."""
    x, axis = call.arg(0), call.integer("axis", 1)
    require(-x.rank <= axis <= x.rank, f"axis {axis} of a tensor of rank {x.rank}")
    axis = axis + x.rank if axis < 0 else axis
    return call.build.reshape(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@lowering("Squeeze", sizes={1: "the axes that go"}, follows=follow.squeezed)
def squeeze(call: Call) -> Value:
    """Dimensions of size 1 left out."""
    x = call.arg(0)
    axes = call.axes(1, x.rank)
    if axes is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    require(all(x.shape[axis] == 1 for axis in axes), "a dimension that is not of size 1")
    return call.build.reshape(x, [n for axis, n in enumerate(x.shape) if axis not in axes])


@lowering("Unsqueeze", sizes={1: "the axes that come"}, follows=follow.unsqueezed)
def unsqueeze(call: Call) -> Value:
    """Dimensions of size 1 put in."""
    x = call.arg(0)
    given = call.integers("axes")
    count = len(given if given is not None else call.static_ints(1, "axes"))
    axes = call.axes(1, x.rank + count) or []
    sizes = iter(x.shape)
    return call.build.reshape(x, [1 if i in axes else next(sizes) for i in range(x.rank + count)])


@lowering("Transpose", follows=follow.transposed)
def transpose(call: Call) -> Value:
    """Dimensions in another order."""
    x = call.arg(0)
    return call.build.transpose(x, call.integers("perm") or list(reversed(range(x.rank))))


@lowering("Expand", since=8, sizes={1: "the shape of the result"})
def expand(call: Call) -> Value:
    """Broadcast to a shape."""
    x = call.arg(0)
    target = broadcast([x.shape, tuple(call.static_ints(1, "the shape"))])
    return call.build.expand(x, target)


@lowering(
    "Slice",
    sizes={
        1: "the starts, which decide the sizes",
        2: "the ends, which decide the sizes",
        3: "the axes that are cut",
        4: "the steps, which decide the sizes",
    },
    follows=follow.sliced,
)
def slice_(call: Call) -> Value:
    """Ranges of dimensions, with steps of either sign."""
    x = call.arg(0)
    if call.opset < 10:
        begins, ends = call.integers("starts") or [], call.integers("ends") or []
        axes, steps = call.integers("axes"), None
    else:
        begins, ends = call.static_ints(1, "starts"), call.static_ints(2, "ends")
        axes = call.static_ints(3, "axes") if call.has(3) else None
        steps = call.static_ints(4, "steps") if call.has(4) else None
    starts, sizes, strides = [0] * x.rank, list(x.shape), [1] * x.rank
    for number, axis in enumerate(axes if axes is not None else range(len(begins))):
        axis = normal_axis(axis, x.rank)
        step = 1 if steps is None else steps[number]
        part = range(*slice(begins[number], _end(ends[number], step), step).indices(x.shape[axis]))
        starts[axis], sizes[axis], strides[axis] = part.start, len(part), step
    if 0 in sizes:
        return call.build.empty(sizes, x.dtype)
    return call.build.move(x, Slice(tuple(starts), tuple(sizes), tuple(strides)))


def _end(end: int, step: int) -> int | None:
    """Exporters write the most negative integer for 'down to and with the first'."""
    return None if step < 0 and end <= -(2**31) + 1 else end


@lowering("Concat", since=4, follows=follow.apart)
def concat(call: Call) -> Value:
    """Inputs joined along an axis."""
    values = call.args()
    return call.build.concat(values, normal_axis(call.integer("axis", 0), values[0].rank))


@lowering(
    "Split", quiet=("num_outputs",), sizes={1: "the sizes of the parts"}, follows=follow.apart
)
def split(call: Call) -> list[Value]:
    """Parts of one dimension."""
    x = call.arg(0)
    axis = normal_axis(call.integer("axis", 0), x.rank)
    sizes = call.integers("split")
    if sizes is None and call.has(1):
        sizes = call.static_ints(1, "split")
    if sizes is None:
        count = call.integer("num_outputs", len(call.node.outputs))
        part = -(-x.shape[axis] // count)
        sizes = [min(part, x.shape[axis] - i * part) for i in range(count)]

    def piece(number: int, start: int, size: int) -> Value:
        if not size:
            return call.build.empty((*x.shape[:axis], 0, *x.shape[axis + 1 :]), x.dtype)
        return call.build.slice_axis(x, axis, start, size, hint=f"part{number}")

    starts = np.cumsum([0, *sizes]).tolist()
    return [piece(*place) for place in zip(range(len(sizes)), starts, sizes, strict=False)]


@lowering("Tile", since=6, sizes={1: "the repeats of the dimensions"})
def tile(call: Call) -> Value:
    """The input repeated along its dimensions."""
    x, repeats = call.arg(0), call.static_ints(1, "repeats")
    require(all(count >= 0 for count in repeats), f"{repeats} repeats")
    if not all(repeats):
        shape = [n * count for n, count in zip(x.shape, repeats, strict=True)]
        return call.build.empty(shape, x.dtype)
    narrow = [size for n in x.shape for size in (1, n)]
    wide = [size for n, count in zip(x.shape, repeats, strict=True) for size in (count, n)]
    total = [n * count for n, count in zip(x.shape, repeats, strict=True)]
    return call.build.move(x, Reshape(tuple(narrow)), Expand(tuple(wide)), Reshape(tuple(total)))


@lowering("DepthToSpace")
def depth_to_space(call: Call) -> Value:
    """Blocks of channels become blocks of space."""
    x, block = call.arg(0), call.integer("blocksize", 1)
    require(block > 0 and x.rank == 4, f"blocks of {block} in a tensor of rank {x.rank}")
    n, c, h, w = x.shape
    depth = c // (block * block)
    if call.text("mode", "DCR") == "DCR":
        parts, perm = (n, block, block, depth, h, w), (0, 3, 4, 1, 5, 2)
    else:
        parts, perm = (n, depth, block, block, h, w), (0, 1, 4, 2, 5, 3)
    shape = (n, depth, h * block, w * block)
    return call.build.move(x, Reshape(parts), Transpose(perm), Reshape(shape))


@lowering("SpaceToDepth")
def space_to_depth(call: Call) -> Value:
    """Blocks of space become blocks of channels."""
    x, block = call.arg(0), call.integer("blocksize", 1)
    require(block > 0 and x.rank == 4, f"blocks of {block} in a tensor of rank {x.rank}")
    n, c, h, w = x.shape
    parts = (n, c, h // block, block, w // block, block)
    shape = (n, c * block * block, h // block, w // block)
    perm = (0, 3, 5, 1, 2, 4) if call.text("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return call.build.move(x, Reshape(parts), Transpose(perm), Reshape(shape))


# --- pads ---------------------------------------------------------------------------


@lowering("Pad", since=2, sizes={1: "the widths of the padding", 3: "the axes that are padded"})
def pad(call: Call) -> Value:
    """Elements around: a constant, or the data reflected, repeated or wrapped."""
    x = call.arg(0)
    widths = call.integers("pads") if call.opset < 11 else call.static_ints(1, "pads")
    axes = call.static_ints(3, "axes") if call.has(3) else list(range(x.rank))
    low, high = [0] * x.rank, [0] * x.rank
    for number, axis in enumerate(axes):
        axis = normal_axis(axis, x.rank)
        low[axis], high[axis] = (widths or [])[number], (widths or [])[number + len(axes)]
    mode = call.text("mode", "constant")
    # Modes other than constant, and results without elements, have no use for a value.
    call.has(2)
    call.number("value", 0.0)
    sizes = [n + sum(widths) for n, *widths in zip(x.shape, low, high, strict=True)]
    require(all(size >= 0 for size in sizes), f"a result of shape {sizes}")
    if not math.prod(sizes):
        return call.build.empty(sizes, x.dtype)
    # Negative pads cut elements off, and may cut off all: what then stays is padding.
    starts = [min(max(-n, 0), size) for n, size in zip(low, x.shape, strict=True)]
    kept = [size - max(-n, 0) - s for size, n, s in zip(x.shape, high, starts, strict=True)]
    if min(kept) <= 0:
        require(mode == "constant", f"pads of mode {mode!r} of which no element is left")
        return call.build.expand(_pad_value(call, x), sizes)
    x = call.build.move(x, Slice(tuple(starts), tuple(kept), (1,) * x.rank), hint="crop")
    low, high = [max(n, 0) for n in low], [max(n, 0) for n in high]
    if mode == "constant":
        return _pad_constant(call, x, low, high)
    for axis in range(x.rank):
        if low[axis] or high[axis]:
            x = _pad_axis(call.build, x, axis, low[axis], high[axis], mode)
    return x


def _pad_value(call: Call, x: Value) -> Value:
    """The scalar that a constant pad is made of, in the type of x."""
    if call.opset >= 11 and call.has(2):
        return call.build.reshape(call.arg(2), (), "value")
    value = call.number("value", 0.0) if call.opset < 11 else 0
    return call.build.constant(np.array(value), x.dtype, "value")


def _pad_constant(call: Call, x: Value, low: Sequence[int], high: Sequence[int]) -> Value:
    """One value all around, which may be data."""
    build, value = call.build, call.number("value", 0.0) if call.opset < 11 else 0
    known = call.maybe_static(2) if call.opset >= 11 else None
    if known is not None:
        value = known.reshape(()).item()
    padded = build.move(x, Pad(tuple(low), tuple(high), value))
    if known is not None or call.opset < 11 or not call.has(2):
        return padded
    inside = np.pad(np.ones(x.shape, np.int32), list(zip(low, high, strict=True)))
    flags = build.constant(inside, DType.I32, "inside")
    return build.map(lambda v, f, p: f.select(v, p), padded, flags, _pad_value(call, x))


def _pad_axis(build: GraphBuilder, x: Value, axis: int, low: int, high: int, mode: str) -> Value:
    size = x.shape[axis]
    if mode == "edge":
        shape = (*x.shape[:axis], 0, *x.shape[axis + 1 :])

        def side(start: int, count: int) -> Value:
            edge = build.slice_axis(x, axis, start, 1, hint="edge")
            return build.expand(edge, (*shape[:axis], count, *shape[axis + 1 :]), "repeat")

        before, after = (lambda: side(0, low)), (lambda: side(size - 1, high))
    elif mode == "reflect":
        if max(low, high) >= size:
            # There and back again, without the ends twice.
            back = build.slice_axis(x, axis, size - 2, size - 2, -1, "back") if size > 2 else None
            return _cycled(
                build,
                x if back is None else build.concat([x, back], axis, "period"),
                axis,
                low,
                low + size + high,
            )

        def before() -> Value:
            return build.slice_axis(x, axis, low, low, -1, "before")

        def after() -> Value:
            return build.slice_axis(x, axis, size - 2, high, -1, "after")
    elif mode == "wrap":
        if max(low, high) > size:
            return _cycled(build, x, axis, low, low + size + high)

        def before() -> Value:
            return build.slice_axis(x, axis, size - low, low, 1, "before")

        def after() -> Value:
            return build.slice_axis(x, axis, 0, high, 1, "after")
    else:
        raise Unsupported(f"mode {mode!r}")
    parts = [*([before()] if low else []), x, *([after()] if high else [])]
    return build.concat(parts, axis, f"pad{axis}")


def _cycled(build: GraphBuilder, period: Value, axis: int, before: int, count: int) -> Value:
    """``count`` positions of a period that repeats for ever, from ``before`` in front of it on."""
    size = period.shape[axis]
    start = -before % size
    copies = -(-(start + count) // size)
    whole = build.concat([period] * copies, axis, "repeat")
    return build.slice_axis(whole, axis, start, count, hint=f"pad{axis}")


@lowering("Gather", follows=follow.gathered)
def gather(call: Call) -> Value:
    """Positions of one axis; constant positions in even steps become a slice."""
    data, indices = call.arg(0), call.maybe_static(1)
    axis = normal_axis(call.integer("axis", 0), data.rank)
    if indices is None:
        return call.build.gather(data, call.arg(1), axis)
    size = data.shape[axis]
    positions = indices.reshape(-1).astype(np.int64)
    inside = bool(((positions >= -size) & (positions < size)).all())
    if not inside and call.build.conditional:  # a turn, maybe, that does not take place
        return call.build.gather(data, call.arg(1), axis)
    require(inside, "an index out of range")
    if not positions.size:
        shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
        return call.build.empty(shape, data.dtype)
    return take(
        call.build, data, np.where(positions < 0, positions + size, positions), indices.shape, axis
    )


def take(
    build: GraphBuilder, data: Value, positions: np.ndarray, shape: tuple[int, ...], axis: int
) -> Value:
    """Constant positions of an axis, in ``shape``: a slice where they stand in even steps."""
    steps = np.unique(np.diff(positions))
    target = (*data.shape[:axis], *shape, *data.shape[axis + 1 :])
    if steps.size == 0 or (steps.size == 1 and steps[0] != 0):
        step = int(steps[0]) if steps.size else 1
        starts, sizes, strides = [0] * data.rank, list(data.shape), [1] * data.rank
        starts[axis], sizes[axis], strides[axis] = int(positions[0]), positions.size, step
        return build.move(data, Slice(tuple(starts), tuple(sizes), tuple(strides)), Reshape(target))
    return build.gather(data, build.constant(positions.reshape(shape), DType.I32, "indices"), axis)


def row_strides(shape: Sequence[int]) -> list[int]:
    """Elements from one position of each dimension to the next, in row-major order."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


# --- shapes: known at compile time ----------------------------------------------------


@lowering("Shape")
def shape_(call: Call) -> Value:
    """The shape, a constant."""
    shape = call.arg(0).shape[call.integer("start", 0) : call.integer("end", 2**31)]
    return call.build.constant(np.array(shape, np.int64), DType.I32, "shape")


@lowering("Size")
def size_(call: Call) -> Value:
    """The number of elements, a constant."""
    return call.build.constant(np.array(call.arg(0).type.size), DType.I32, "size")


@lowering("ConstantOfShape", since=9, sizes={0: "the shape of the result"})
def constant_of_shape(call: Call) -> Value | Wide:
    """A constant tensor with one value."""
    shape = call.static_ints(0, "the shape")
    value = call.tensor("value")
    array = np.zeros(1, np.float32) if value is None else value
    build, one = call.build, _numbers(call, array.reshape(()), "value")
    return wide.on_words(one, lambda word: build.expand(word, shape, "filled"))


def _numbers(call: Call, array: np.ndarray, hint: str) -> Value | Wide:
    if array.dtype.kind == "f":
        return call.build.constant(array, call.float_type, hint)
    return wide.of_array(call.build, array, hint)


@lowering(
    "Range",
    since=11,
    sizes={
        0: "with limit and delta, the number of elements",
        1: "with start and delta, the number of elements",
        2: "with start and limit, the number of elements",
    },
)
def range_(call: Call) -> Value | Wide:
    """Numbers from start to limit, a constant."""
    bounds = [call.static(i, "a bound").reshape(()) for i in range(3)]
    start, limit, delta = (bound.item() for bound in bounds)
    array = np.arange(start, limit, delta, dtype=bounds[0].dtype)
    return _numbers(call, array, "range")


@lowering("Trilu", since=14)
def trilu(call: Call) -> Value:
    """The upper or lower triangle; zeros elsewhere."""
    x = call.arg(0)
    require(x.rank >= 2 and x.shape[-1] * x.shape[-2] <= LONGEST, f"matrices of {x.shape[-2:]}")
    known = call.maybe_static(1)
    if known is None and call.has(1):
        return _trilu_at(call, x, call.build.reshape(call.arg(1), (), "k"))
    offset = 0 if known is None else int(known.reshape(()).item())
    mask = np.tri(x.shape[-2], x.shape[-1], offset - 1 if call.flag("upper", True) else offset)
    mask = 1 - mask if call.flag("upper", True) else mask
    flags = call.build.constant(mask.astype(np.int32), DType.I32, "mask")
    return call.build.map(lambda v, m: m.select(v, 0), x, flags)


def _trilu_at(call: Call, x: Value, k: Value) -> Value:
    """The triangle from a diagonal that is data."""
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    above = call.build.constant(columns - rows, DType.I32, "above")
    if call.flag("upper", True):
        return call.build.map(lambda v, a, d: (a >= d).select(v, 0), x, above, k)
    return call.build.map(lambda v, a, d: (a <= d).select(v, 0), x, above, k)
