"""Operators that look at images through grids, boxes and offsets."""

from __future__ import annotations

import math

import numpy as np

from wsc.frontend.contract import add_channel_bias, windows
from wsc.frontend.registry import Call, lowering, require
from wsc.frontend.sample import Border, Tap, image_starts, rows_of, sampled, taps
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

_MODES = {"bilinear": "linear", "bicubic": "cubic"}


@lowering("AffineGrid", since=20, sizes={1: "the size of the grid"})
def affine_grid(call: Call) -> Value:
    """Positions of a constant grid, moved by an affine map for each sample."""
    build, theta = call.build, call.arg(0)
    sizes = call.static_ints(1, "the size")[2:]
    rank = len(sizes)
    require(theta.shape[1:] == (rank, rank + 1), f"theta of shape {theta.shape}")
    lines = [_line(size, call.flag("align_corners", False)) for size in sizes]
    grid = np.stack([*reversed(np.meshgrid(*lines, indexing="ij")), np.ones(sizes)], axis=-1)
    points = build.constant(grid.reshape(-1, rank + 1), theta.dtype, "grid")
    moved = build.contract(theta, points, "n i j", "p j", "n p i", "moved")
    return build.reshape(moved, (theta.shape[0], *sizes, rank))


def _line(size: int, aligned: bool) -> np.ndarray:
    """The positions of ``size`` elements between -1 and 1, ends included or halfway inside."""
    if not aligned:
        return (2 * np.arange(size) + 1) / size - 1
    return np.linspace(-1, 1, size) if size > 1 else np.zeros(1)


@lowering("GridSample", since=16)
def grid_sample(call: Call) -> Value:
    """The image at the positions of a grid between -1 and 1: nearest, linear or cubic."""
    build, x, grid = call.build, call.arg(0), call.arg(1)
    mode = call.text("mode", "linear")
    mode, padding = _MODES.get(mode, mode), call.text("padding_mode", "zeros")
    aligned = call.flag("align_corners", False)
    sizes, rank = x.shape[2:], x.rank - 2
    require(grid.shape[-1] == rank, f"positions of {grid.shape[-1]} parts for {rank} dimensions")

    def place(v: Term, size: int) -> Term:
        v = v.cast(DType.F32)
        return (v + 1) * ((size - 1) / 2) if aligned else ((v + 1) * size - 1) * 0.5

    axes: list[list[Tap]] = []
    for axis, size in enumerate(sizes):
        part = build.slice_axis(grid, grid.rank - 1, rank - 1 - axis, 1, hint=f"axis{axis}")
        part = build.reshape(part, grid.shape[:-1])
        at = build.map(lambda v, n=size: place(v, n), part, hint=f"place{axis}")
        axes.append(taps(build, at, Border(size, padding, aligned), mode, f"axis{axis}"))
    base = image_starts(build, x.shape[0], math.prod(sizes), grid.rank - 1)
    found = sampled(build, rows_of(build, x), sizes, axes, base)
    return build.transpose(found, (0, found.rank - 1, *range(1, found.rank - 1)))


# --- deformable convolution -----------------------------------------------------------


@lowering("DeformConv", since=19, quiet=("kernel_shape",))
def deform_conv(call: Call) -> Value:
    """Convolution whose kernel elements each look at a place moved by an offset."""
    build, x, weight, offset = call.build, call.arg(0), call.arg(1), call.arg(2)
    mask = call.maybe(4)
    spatial = windows(call, x.shape[2:], weight.shape[2:])
    groups, parts = call.integer("group", 1), call.integer("offset_group", 1)
    rank, kernel = len(spatial), math.prod(weight.shape[2:])
    outs = tuple(window.out for window in spatial)
    require(x.shape[1] % parts == 0, f"{x.shape[1]} channels for {parts} groups of offsets")
    shape = (x.shape[0], parts, kernel, rank, *outs)
    require(math.prod(shape) == offset.type.size, f"offsets of shape {offset.shape}")
    offset = build.reshape(offset, shape, "offsets")
    grids = np.meshgrid(*(np.arange(window.kernel) for window in spatial), indexing="ij")
    axes: list[list[Tap]] = []
    for axis, window in enumerate(spatial):
        inner = (grids[axis].reshape(-1) * window.dilation)[(..., *(None,) * rank)]
        lines = [-1 if other == axis else 1 for other in range(rank)]
        centre = inner + (np.arange(window.out) * window.stride - window.low).reshape(lines)
        moved = build.slice_axis(offset, 3, axis, 1, hint=f"axis{axis}")
        at = build.map_wide(
            lambda o, c: o + c,
            build.reshape(moved, (*shape[:3], *outs)),
            build.constant(centre, DType.F32, "centre"),
            hint=f"place{axis}",
            keep=True,
        )
        axes.append(taps(build, at, Border(window.size, "zeros"), "linear", f"axis{axis}"))
    if mask is not None:
        mask = build.reshape(mask, (*shape[:3], *outs), "mask")
    columns = [_columns(build, x, axes, mask, part, parts) for part in range(parts)]
    result = _weighted(build, build.concat(columns, 1, "columns"), weight, groups)
    return add_channel_bias(call, result, call.maybe(3))


def _columns(
    build: GraphBuilder, x: Value, axes: list[list[Tap]], mask: Value | None, part: int, parts: int
) -> Value:
    """[N, C / parts, kernel, ...]: what the kernel elements see of one group of channels."""
    channels, sizes = x.shape[1] // parts, x.shape[2:]

    def own(value: Value) -> Value:
        cut = build.slice_axis(value, 1, part, 1, hint=f"group{part}")
        return build.reshape(cut, (value.shape[0], *value.shape[2:]))

    mine = [
        [Tap(own(tap.index), None if tap.weight is None else own(tap.weight)) for tap in axis]
        for axis in axes
    ]
    some = build.slice_axis(x, 1, part * channels, channels, hint=f"channels{part}")
    base = image_starts(build, x.shape[0], math.prod(sizes), mine[0][0].index.rank)
    seen = sampled(build, rows_of(build, some), sizes, mine, base)
    if mask is not None:
        wide = build.reshape(own(mask), (*seen.shape[:-1], 1), "wide")
        seen = build.map(lambda v, m: v * m, seen, wide, hint="masked")
    return build.transpose(seen, (0, seen.rank - 1, *range(1, seen.rank - 1)), "columns")


def _weighted(build: GraphBuilder, columns: Value, weight: Value, groups: int) -> Value:
    """Columns [N, G*C, K, ...] times weights [G*O, C, ...]: [N, G*O, ...]."""
    outputs, channels = weight.shape[0] // groups, weight.shape[1]
    kernel, outs = columns.shape[2], columns.shape[3:]
    require(columns.shape[1] == groups * channels, f"{columns.shape[1]} channels for the weights")
    count = math.prod(outs)
    a = build.reshape(columns, (columns.shape[0], groups, channels * kernel, count), "split")
    b = build.reshape(weight, (groups, outputs, channels * kernel), "kernels")
    if groups == 1:
        a = build.reshape(a, (a.shape[0], *a.shape[2:]))
        b = build.reshape(b, b.shape[1:])
        result = build.contract(a, b, "n k p", "o k", "n o p")
    else:
        result = build.contract(a, b, "n g k p", "g o k", "n g o p")
    return build.reshape(result, (columns.shape[0], groups * outputs, *outs), "join")


# --- regions of interest --------------------------------------------------------------


@lowering("RoiAlign", since=10)
def roi_align(call: Call) -> Value:
    """Boxes cut out of images, each bin the mean or largest of samples between the pixels."""
    build, x, boxes, images = call.build, call.arg(0), call.arg(1), call.arg(2)
    ratio, mode = call.integer("sampling_ratio", 0), call.text("mode", "avg")
    require(ratio > 0, "sampling_ratio 0 takes a number of samples that depends on the boxes")
    require(mode in ("avg", "max"), f"mode {mode!r}")
    plain = "output_half_pixel" if call.opset < 16 else "half_pixel"
    half = call.text("coordinate_transformation_mode", plain) == "half_pixel"
    outs = (call.integer("output_height", 1), call.integer("output_width", 1))
    scale, count, sizes = call.number("spatial_scale", 1.0), boxes.shape[0], x.shape[2:]
    axes: list[list[Tap]] = []
    for axis in range(2):
        middles = (np.arange(outs[axis] * ratio) + 0.5) / (outs[axis] * ratio)
        low, high = (
            build.slice_axis(boxes, 1, corner, 1, hint="corner") for corner in (1 - axis, 3 - axis)
        )

        def place(a: Term, b: Term, step: Term) -> Term:
            first = a * scale - (0.5 if half else 0.0)
            length = (b - a) * scale
            return first + (length if half else length.max(1.0)) * step

        steps = build.constant(middles, DType.F32, "steps")
        at = build.map_wide(place, low, high, steps, hint=f"place{axis}", keep=True)
        axes.append(_roi_taps(build, at, sizes[axis], axis))
    images = build.within(images, x.shape[0], "images")
    base = build.map(lambda i: i * math.prod(sizes), images, hint="start")
    base = build.reshape(base, (count, 1, 1))
    join = (lambda a, b: a.max(b)) if mode == "max" else (lambda a, b: a + b)
    seen = sampled(build, rows_of(build, x), sizes, axes, base, join)
    split = build.reshape(seen, (count, outs[0], ratio, outs[1], ratio, x.shape[1]), "bins")
    kind = Reduction.MAX if mode == "max" else Reduction.SUM
    bins = build.reduce(kind, split, [2, 4], keep=False, hint="pool")
    if mode == "avg":
        bins = build.map(lambda v: v * (1 / ratio**2), bins, hint="mean")
    return build.transpose(bins, (0, 3, 1, 2))


def _roi_taps(build: GraphBuilder, at: Value, size: int, axis: int) -> list[Tap]:
    """Two neighbours along an axis of [boxes, height, width]; more than one beyond: nothing."""
    count, steps = at.shape
    inside = build.map(lambda p: p.max(0.0).min(size - 1.0), at, hint=f"axis{axis}.inside")
    found = taps(build, inside, Border(size, "border"), "linear", f"axis{axis}")
    shape = (count, steps, 1) if axis == 0 else (count, 1, steps)
    result: list[Tap] = []
    for tap in found:
        assert tap.weight is not None
        weight = build.map(
            lambda w, p: ((p >= -1.0) & (p <= float(size))).select(w, 0.0),
            tap.weight,
            at,
            hint=f"axis{axis}.near",
        )
        result.append(Tap(build.reshape(tap.index, shape), build.reshape(weight, shape)))
    return result
