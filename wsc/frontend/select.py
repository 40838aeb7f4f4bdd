"""Operators that pick or place elements by index."""

from __future__ import annotations

import math

import numpy as np

from isa.types import DType
from wsc.frontend.movement import row_strides, take
from wsc.frontend.reduce import index_of, iota
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.frontend.types import ordered
from wsc.ir.build import Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term

# Each rank costs a pass over the data.
TOP_K_LIMIT = 64


@lowering("OneHot", since=9)
def one_hot(call: Call) -> Value:
    """A dimension of ``depth``: the on value at the index, the off value elsewhere."""
    build, indices, values = call.build, call.arg(0), call.arg(2)
    depth = int(call.static(1, "the depth").reshape(()).item())
    axis = normal_axis(call.integer("axis", -1), indices.rank + 1)
    shape = (*indices.shape[:axis], 1, *indices.shape[axis:])
    wide = build.reshape(indices, shape, "wide")
    off, on = (build.slice_axis(values, 0, i, 1, hint=("off", "on")[i]) for i in range(2))

    def body(i: Term, place: Term, no: Term, yes: Term) -> Term:
        whole = i.cast(DType.I32)
        return (whole < 0).select(whole + depth, whole).eq(place).select(yes, no)

    return build.map(body, wide, iota(build, depth, axis, indices.rank + 1), off, on)


@lowering("TopK", since=10)
def top_k(call: Call) -> list[Value]:
    """The k largest or smallest along an axis, in order, with their indices (small k)."""
    build, x = call.build, call.arg(0)
    count = int(call.static(1, "k").reshape(()).item())
    axis = normal_axis(call.integer("axis", -1), x.rank)
    require(1 <= count <= min(TOP_K_LIMIT, x.shape[axis]), f"k = {count}")
    onnx_type = call.onnx_type(0)
    x = build.map(lambda v: ordered(v, onnx_type), x, hint="ordered")
    largest = bool(call.integer("largest", 1))
    kind = Reduction.MAX if largest else Reduction.MIN
    limit = math.inf if x.dtype.is_float else 2**31 - 1
    worst = -limit if largest else limit
    places = iota(build, x.shape[axis], axis, x.rank)
    values: list[Value] = []
    indices: list[Value] = []
    for rank in range(count):
        values.append(build.reduce(kind, x, [axis], True, f"value{rank}"))
        indices.append(index_of(build, x, axis, kind, last=False, keep=True))
        x = build.map(
            lambda v, i, best: i.eq(best).select(worst, v), x, places, indices[-1],
            hint=f"rest{rank}",
        )  # fmt: skip
    found = build.concat(values, axis, "values")
    found = build.map(lambda v: ordered(v, onnx_type), found, hint="word")
    return [found, build.concat(indices, axis, "indices")]


@lowering("GatherND", since=11)
def gather_nd(call: Call) -> Value:
    """Slices at index tuples: a gather from the data with its indexed dimensions joined."""
    build, data, indices = call.build, call.arg(0), call.arg(1)
    batch, depth = call.integer("batch_dims", 0), indices.shape[-1]
    inner = data.shape[batch : batch + depth]
    joined = math.prod(data.shape[: batch + depth])
    rest = data.shape[batch + depth :]
    sizes = build.constant(np.array(inner), DType.I32, "sizes")
    strides = build.constant(np.array(row_strides(inner)), DType.I32, "strides")
    each = build.map(
        lambda i, n, s: (i < 0).select(i + n, i) * s, indices, sizes, strides, hint="each"
    )
    place = build.reduce(Reduction.SUM, each, [indices.rank - 1], keep=False, hint="place")
    if batch:
        shape = data.shape[:batch]
        base = np.arange(math.prod(shape)).reshape(*shape, *(1,) * (place.rank - batch))
        offset = build.constant(base * math.prod(inner), DType.I32, "base")
        place = build.map(lambda p, b: p + b, place, offset, hint="offset")
    return build.gather(build.reshape(data, (joined, *rest), "flat"), place, 0)


def _place(call: Call, target: np.ndarray, row: int) -> Value:
    """Rows of ``row`` elements of the updates stored at constant rows ``target`` of the data.

    Data and updates stand one behind the other, and each row of the result is taken
    from where it was written last.
    """
    reduction = call.text("reduction", "none")
    require(reduction == "none", f"reduction {reduction!r}")
    build, data, updates = call.build, call.arg(0), call.arg(2)
    rows = data.type.size // row
    source = np.arange(rows)
    source[target.reshape(-1)] = rows + np.arange(target.size)
    both = build.concat(
        [build.reshape(data, (rows, row), "rows"), build.reshape(updates, (target.size, row))],
        0, "both",
    )  # fmt: skip
    placed = take(build, both, source, (rows,), 0)
    return build.reshape(placed, data.shape, "shape")


@lowering("ScatterND", since=11)
def scatter_nd(call: Call) -> Value:
    """Data with slices replaced at constant index tuples."""
    data, indices = call.arg(0), call.static(1, "indices").astype(np.int64)
    inner = data.shape[: indices.shape[-1]]
    whole = np.where(indices < 0, indices + np.array(inner), indices)
    target = (whole * np.array(row_strides(inner))).sum(axis=-1)
    return _place(call, target, data.type.size // math.prod(inner))


@lowering("ScatterElements", since=11)
def scatter_elements(call: Call) -> Value:
    """Data with elements replaced at constant indices."""
    data, indices = call.arg(0), call.static(1, "indices").astype(np.int64)
    axis = normal_axis(call.integer("axis", 0), data.rank)
    places = [np.asarray(place) for place in np.indices(indices.shape)]
    places[axis] = np.where(indices < 0, indices + data.shape[axis], indices)
    return _place(call, np.asarray(np.ravel_multi_index(tuple(places), data.shape)), 1)
