"""Operators that take from, or place at, positions that are data: gathers and scatters of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from wsc.frontend import follow
from wsc.frontend.movement import row_strides, take
from wsc.frontend.reduce import iota
from wsc.frontend.registry import LONGEST, Call, lowering, normal_axis, require
from wsc.frontend.types import ordered, wrap
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Pad, Reduction, Slice
from wsc.ir.terms import Term
from wsc.isa.types import DType

_KINDS = {
    "none": None,
    "add": Reduction.SUM,
    "mul": Reduction.PROD,
    "max": Reduction.MAX,
    "min": Reduction.MIN,
}


# What is flattened lies whole in each tile; more elements than these should not.
FLAT_LIMIT = 4096


def element_rows(build: GraphBuilder, shape: Sequence[int], indices: Value, axis: int) -> Value:
    """Row-major position in data of ``shape`` of the element that each index names."""
    require(indices.type.size <= LONGEST, f"{indices.type.size} indices (at most {LONGEST})")
    strides = row_strides(shape)
    base = np.zeros(indices.shape, np.int64)
    for other in range(len(shape)):
        if other != axis:
            line = [-1 if other == i else 1 for i in range(len(shape))]
            base += np.arange(indices.shape[other]).reshape(line) * strides[other]
    size, stride = shape[axis], strides[axis]
    return build.map(
        lambda i, b: i.op("index", size) * stride + b,
        build.guarded(indices, size),
        build.constant(base, DType.I32, "base"),
        hint="place",
    )


def tuple_rows(build: GraphBuilder, inner: Sequence[int], indices: Value) -> Value:
    """Row-major position, in dimensions ``inner``, of the tuples along the indices' last one."""
    sizes = build.constant(np.array(inner), DType.I32, "sizes")
    strides = build.constant(np.array(row_strides(inner)), DType.I32, "strides")
    each = build.map(
        lambda i, n, s: i.op("index", n) * s,
        build.guarded(indices, np.array(inner)),
        sizes,
        strides,
        hint="each",
    )
    return build.reduce(Reduction.SUM, each, [indices.rank - 1], keep=False, hint="place")


def _of_slices(build: GraphBuilder, data: Value, indices: Value, axis: int) -> Value | None:
    """The indices [n] of whole slices of the data along ``axis``, if all that lie beside
    each other are the same one broadcast; else None.
    """
    narrow = build.narrow(indices)
    count = narrow.shape[axis]
    if data.rank < 2 or narrow.type.size != count or indices.shape[axis] != count:
        return None
    if any(n != indices.shape[i] for i, n in enumerate(data.shape) if i != axis):
        return None
    return build.reshape(narrow, (count,), "slices")


@lowering("GatherElements", since=11)
def gather_elements(call: Call) -> Value:
    """One element for each index: a gather from the flattened data."""
    build, data, indices = call.build, call.arg(0), call.arg(1)
    axis = normal_axis(call.integer("axis", 0), data.rank)
    slices = _of_slices(build, data, indices, axis)
    if slices is not None:
        return build.gather(data, slices, axis)
    if data.type.size > FLAT_LIMIT and indices.shape[axis] == 1:
        return _one_along(build, data, indices, axis)
    place = element_rows(build, data.shape, indices, axis)
    return build.gather(build.reshape(data, (data.type.size,), "flat"), place, 0)


def _one_along(build: GraphBuilder, data: Value, indices: Value, axis: int) -> Value:
    """One element of each line along an axis: a sum in which all others are zeros."""
    size, origin = data.shape[axis], (0,) * data.rank
    lines = (*indices.shape[:axis], size, *indices.shape[axis + 1 :])
    near = build.move(data, Slice(origin, lines, (1,) * data.rank), hint="near")
    chosen = build.map(
        lambda v, i, n: i.op("index", size).eq(n).select(v, 0),
        near,
        build.guarded(indices, size),
        iota(build, size, axis, data.rank),
        hint="chosen",
    )
    total = build.reduce(Reduction.SUM, chosen, [axis], True, "one")
    return build.map(lambda v: v.cast(data.dtype), total)


@lowering("GatherND", since=11, follows=follow.gathered_nd)
def gather_nd(call: Call) -> Value:
    """Slices at index tuples: a gather from the data with its indexed dimensions joined."""
    build, data, indices = call.build, call.arg(0), call.arg(1)
    batch, depth = call.integer("batch_dims", 0), indices.shape[-1]
    inner = data.shape[batch : batch + depth]
    joined = math.prod(data.shape[: batch + depth])
    rest = data.shape[batch + depth :]
    place = tuple_rows(build, inner, indices)
    if batch:
        shape = data.shape[:batch]
        base = np.arange(math.prod(shape)).reshape(*shape, *(1,) * (place.rank - batch))
        offset = build.constant(base * math.prod(inner), DType.I32, "base")
        place = build.map(lambda p, b: p + b, place, offset, hint="offset")
    return build.gather(build.reshape(data, (joined, *rest), "flat"), place, 0)


# --- scatters -----------------------------------------------------------------------


def _kind(call: Call) -> Reduction | None:
    reduction = call.text("reduction", "none")
    require(reduction in _KINDS, f"reduction {reduction!r}")
    return _KINDS[reduction]


def place_rows(
    build: GraphBuilder, data: Value, rows: Value, updates: Value, row: int, kind: Reduction | None
) -> Value:
    """Data whose rows of ``row`` elements at positions ``rows`` take, or join, the updates."""
    flat = (data.type.size // row, row) if row > 1 else (data.type.size,)
    count = rows.type.size
    placed = build.scatter(
        build.reshape(data, flat, "rows"),
        build.reshape(rows, (count,), "places"),
        build.reshape(updates, (count, *flat[1:]), "updates"),
        0,
        kind,
        "placed",
    )
    return build.reshape(placed, data.shape, "shape")


Place = Callable[[Value, Value], Value]


def _joined(call: Call, kind: Reduction | None, place: Place) -> Value:
    """Data and updates of a node joined, by the order and the width of their ONNX type.

    place: from (data, updates) to the data with the updates in it.
    """
    build, onnx_type = call.build, call.onnx_type(0)
    data, updates = call.arg(0), call.arg(2)
    if kind in (Reduction.MAX, Reduction.MIN):
        data, updates = (
            build.map(lambda v: ordered(v, onnx_type), value, hint="ordered")
            for value in (data, updates)
        )
        placed = place(data, updates)
        return build.map(lambda v: ordered(v, onnx_type), placed, hint="word")
    placed = place(data, updates)
    return placed if kind is None else build.map(lambda v: wrap(v, onnx_type), placed)


def _joined_rows(call: Call, rows: Value, row: int, kind: Reduction | None) -> Value:
    return _joined(
        call, kind, lambda data, updates: place_rows(call.build, data, rows, updates, row, kind)
    )


def _known_rows(call: Call, target: np.ndarray, row: int) -> Value:
    """Rows of ``row`` elements of the updates stored at constant rows ``target`` of the data.

    Data and updates stand one behind the other, and each row of the result is taken
    from where it was written last.
    """
    build, data, updates = call.build, call.arg(0), call.arg(2)
    rows = data.type.size // row
    source = np.arange(rows)
    source[target.reshape(-1)] = rows + np.arange(target.size)
    both = build.concat(
        [build.reshape(data, (rows, row), "rows"), build.reshape(updates, (target.size, row))],
        0,
        "both",
    )
    placed = take(build, both, source, (rows,), 0)
    return build.reshape(placed, data.shape, "shape")


@lowering("ScatterND", since=11)
def scatter_nd(call: Call) -> Value:
    """Data with slices at index tuples replaced by updates, or joined with them."""
    data, kind, known = call.arg(0), _kind(call), call.maybe_static(1)
    depth = call.arg(1).shape[-1]
    inner = data.shape[:depth]
    row = data.type.size // math.prod(inner)
    if known is None or kind is not None:
        rows = tuple_rows(call.build, inner, call.arg(1))
        return _joined_rows(call, rows, row, kind)
    whole = np.where(known < 0, known + np.array(inner), known).astype(np.int64)
    require(bool(((whole >= 0) & (whole < np.array(inner))).all()), "an index out of range")
    return _known_rows(call, (whole * np.array(row_strides(inner))).sum(axis=-1), row)


@lowering("ScatterElements", since=11)
@lowering("Scatter", since=9)
def scatter_elements(call: Call) -> Value:
    """Data with elements at indices of an axis replaced by updates, or joined with them."""
    data, kind, known = call.arg(0), _kind(call), call.maybe_static(1)
    axis = normal_axis(call.integer("axis", 0), data.rank)
    if known is None or kind is not None:
        build = call.build
        slices = _of_slices(build, data, call.arg(1), axis)
        if slices is not None and slices.type.size:
            return _joined(
                call, kind, lambda d, u: build.scatter(d, slices, u, axis, kind, "placed")
            )
        rows = element_rows(build, data.shape, call.arg(1), axis)
        return _joined_rows(call, rows, 1, kind)
    places = [np.asarray(place) for place in np.indices(known.shape)]
    places[axis] = np.where(known < 0, known + data.shape[axis], known).astype(np.int64)
    inside = (places[axis] >= 0) & (places[axis] < data.shape[axis])
    require(bool(inside.all()), "an index out of range")
    return _known_rows(call, np.asarray(np.ravel_multi_index(tuple(places), data.shape)), 1)


@lowering("TensorScatter", since=24)
def tensor_scatter(call: Call) -> Value:
    """A cache with the update written along an axis, at a start of its own for each sample."""
    build, cache, update = call.build, call.arg(0), call.arg(1)
    axis = normal_axis(call.integer("axis", -2), cache.rank)
    require(axis > 0, "the batch dimension as axis")
    mode = call.text("mode", "linear")
    require(mode in ("linear", "circular"), f"mode {mode!r}")
    starts = call.maybe(2) or build.constant(np.zeros(cache.shape[0]), DType.I32, "starts")
    size, count = cache.shape[axis], update.shape[axis]
    if mode == "linear":
        require(count <= size, f"an update of {count} positions for a cache of {size}")
        starts = build.within(starts, size - count + 1, "starts")
    head = cache.shape[:axis]
    base = (np.arange(math.prod(head)) * size).reshape(*head, 1)

    def body(start: Term, step: Term, first: Term) -> Term:
        place = start + step
        if mode == "circular":
            return first + place.op("mod", size)
        return first + place

    rows = build.map(
        body,
        build.reshape(starts, (head[0], *(1,) * axis), "starts"),
        iota(build, count, axis, axis + 1),
        build.constant(base, DType.I32, "base"),
        hint="place",
    )
    return place_rows(build, cache, rows, update, math.prod(cache.shape[axis + 1 :]), None)


@lowering("MaxUnpool", since=9, sizes={2: "the shape of the result"})
def max_unpool(call: Call) -> Value:
    """Zeros with each element at the position that a MaxPool's indices name."""
    build, x, indices = call.build, call.arg(0), call.arg(1)
    kernel = call.integers("kernel_shape") or []
    rank = len(kernel)
    require(rank == x.rank - 2, f"a kernel of rank {rank} for {x.rank - 2} dimensions")
    strides, pads = call.integers("strides") or [1] * rank, call.integers("pads") or [0] * 2 * rank
    spatial = [
        (x.shape[2 + i] - 1) * strides[i] - pads[i] - pads[rank + i] + kernel[i]
        for i in range(rank)
    ]
    shape = (*x.shape[:2], *spatial)
    zeros = build.expand(build.constant(np.zeros(()), x.dtype, "zero"), shape, "zeros")
    places = build.within(indices, zeros.type.size, "places")
    y = place_rows(build, zeros, places, x, 1, None)
    wanted = call.static_ints(2, "the output shape") if call.has(2) else list(shape)
    require(len(wanted) == x.rank, f"an output shape of {len(wanted)} dimensions")
    kept = tuple(min(n, size) for n, size in zip(wanted, shape, strict=True))
    high = tuple(n - size for n, size in zip(wanted, kept, strict=True))
    origin = (0,) * x.rank
    return build.move(y, Slice(origin, kept, (1,) * x.rank), Pad(origin, high))
