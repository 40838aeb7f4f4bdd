"""Movement with arithmetic in its positions: crops, columns to images, reversed sequences."""

from __future__ import annotations

import itertools
import math
from functools import reduce

import numpy as np

from wsc.frontend.contract import spread
from wsc.frontend.reduce import iota
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.ir.build import Value
from wsc.ir.graph import Pad, Slice
from wsc.ir.terms import Term
from wsc.isa.types import DType

# Each element of a kernel costs a move and an operand.
KERNEL_LIMIT = 256


@lowering("CenterCropPad", since=18, sizes={1: "the sizes of the result"})
def center_crop_pad(call: Call) -> Value:
    """The middle of the input, or the input in the middle of zeros, to a constant shape."""
    x, sizes = call.arg(0), call.static_ints(1, "the shape")
    given = call.integers("axes")
    axes = [normal_axis(axis, x.rank) for axis in given or range(x.rank)]
    require(len(axes) == len(sizes), f"{len(sizes)} sizes for {len(axes)} axes")
    starts, kept, low, high = [0] * x.rank, list(x.shape), [0] * x.rank, [0] * x.rank
    for axis, size in zip(axes, sizes, strict=True):
        starts[axis] = max(x.shape[axis] - size, 0) // 2
        kept[axis] = min(x.shape[axis], size)
        low[axis] = (size - kept[axis]) // 2
        high[axis] = size - kept[axis] - low[axis]
    return call.build.move(
        x, Slice(tuple(starts), tuple(kept), (1,) * x.rank), Pad(tuple(low), tuple(high))
    )


@lowering("Col2Im", since=18, sizes={1: "the sizes of the image", 2: "the sizes of a block"})
def col2im(call: Call) -> Value:
    """Blocks in columns laid over one another in an image, sums where they overlap."""
    build, x = call.build, call.arg(0)
    image, kernel = call.static_ints(1, "the image's shape"), call.static_ints(2, "the block")
    rank = len(image)
    strides = call.integers("strides") or [1] * rank
    dilations = call.integers("dilations") or [1] * rank
    pads = call.integers("pads") or [0] * 2 * rank
    steps = [*kernel, *strides, *dilations]
    require(min(steps, default=1) > 0, "a block, stride or dilation below 1")
    sizes = [image[i] + pads[i] + pads[rank + i] for i in range(rank)]
    reach = [(kernel[i] - 1) * dilations[i] + 1 for i in range(rank)]
    counts = [(sizes[i] - reach[i]) // strides[i] + 1 for i in range(rank)]
    block = math.prod(kernel)
    require(block <= KERNEL_LIMIT, f"blocks of {block} elements (at most {KERNEL_LIMIT})")
    shape = (x.shape[0], x.shape[1] // block, block, *counts)
    require(x.type.size == math.prod(shape), f"columns of shape {x.shape} for {counts} blocks")
    columns = build.reshape(x, shape, "columns")
    parts: list[Value] = []
    for number, offset in enumerate(itertools.product(*map(range, kernel))):
        part = build.slice_axis(columns, 2, number, 1, hint="part")
        part = spread(build, build.reshape(part, (*shape[:2], *counts)), strides)
        low = [offset[i] * dilations[i] for i in range(rank)]
        high = [sizes[i] - low[i] - part.shape[2 + i] for i in range(rank)]
        parts.append(build.move(part, Pad((0, 0, *low), (0, 0, *high)), hint="laid"))
    total = parts[0]
    for start in range(1, len(parts), 8):
        total = build.map(
            lambda *vs: reduce(lambda a, b: a + b, vs), total, *parts[start : start + 8], hint="sum"
        )
    starts, kept = (0, 0, *pads[:rank]), (*shape[:2], *image)
    return build.move(total, Slice(starts, kept, (1,) * total.rank))


@lowering("ReverseSequence", since=10)
def reverse_sequence(call: Call) -> Value:
    """The first elements of each sequence in reverse order, as many as its length says."""
    build, x, lengths = call.build, call.arg(0), call.arg(1)
    time = normal_axis(call.integer("time_axis", 0), x.rank)
    batch = normal_axis(call.integer("batch_axis", 1), x.rank)
    require({time, batch} == {0, 1}, "time and batch are not the first two dimensions")
    count, size = x.shape[batch], x.shape[time]
    counted = build.within(lengths, size + 1, "counted")

    def body(length: Term, step: Term, sample: Term) -> Term:
        # It is a step of the sequence; the row says so to who reads its range.
        turned = (step < length).select(length - 1 - step, step).op("index", size)
        return turned + sample * size if batch == 0 else turned * count + sample

    rows = build.map(
        body,
        build.reshape(counted, (count, 1) if batch == 0 else (1, count), "lengths"),
        iota(build, size, time, 2),
        iota(build, count, batch, 2),
        hint="rows",
    )
    flat = build.reshape(x, (count * size, *x.shape[2:]), "flat")
    return build.gather(flat, rows, 0)


@lowering("EyeLike", since=9)
def eye_like(call: Call) -> Value:
    """Ones along a diagonal, zeros elsewhere; a constant of the input's shape."""
    x = call.arg(0)
    require(x.rank == 2, f"a tensor of rank {x.rank}")
    integer = call.node.attributes.get("dtype") is not None and call.integer("dtype", 1) not in (
        1,
        10,
        11,
        16,
    )
    dtype = DType.I32 if integer else call.float_type
    if call.node.attributes.get("dtype") is None:
        dtype = x.dtype
    rows, columns = x.shape
    return call.build.constant(np.eye(rows, columns, call.integer("k", 0)), dtype, "eye")
