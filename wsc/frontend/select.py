"""Operators that pick or place elements by index."""

from __future__ import annotations

from wsc.frontend.reduce import iota
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.frontend.types import I32_MAX, I32_MIN, from_sortable, sortable
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

# Each rank costs a pass over the data; comparing all pairs ranks all at once.
TOP_K_LIMIT = 64
FEW_PAIRS, MANY_PAIRS = 1 << 14, 1 << 20


@lowering("OneHot", since=9, sizes={1: "the size of the new dimension"})
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


@lowering("TopK", sizes={1: "k, the size of the result"})
def top_k(call: Call) -> list[Value]:
    """The k largest or smallest along an axis, in order, with their indices.

    NaN is larger than all numbers, as ONNX Runtime has it.
    """
    build, x = call.build, call.arg(0)
    old = call.opset < 10
    count = call.integer("k", 0) if old else int(call.static(1, "k").reshape(()).item())
    axis = normal_axis(call.integer("axis", -1), x.rank)
    onnx_type = call.onnx_type(0)
    dtype = x.dtype
    words = build.map(lambda v: sortable(v, onnx_type), x, hint="ordered")
    largest = call.flag("largest", True)
    require(0 <= count <= x.shape[axis], f"k = {count} of {x.shape[axis]} elements")
    if not count:
        shape = (*x.shape[:axis], 0, *x.shape[axis + 1 :])
        return [build.empty(shape, x.dtype), build.empty(shape, DType.I32)]
    pairs = x.type.size * x.shape[axis]
    if pairs <= FEW_PAIRS or count > TOP_K_LIMIT:
        require(pairs <= MANY_PAIRS, f"k = {count} takes {pairs} comparisons of pairs")
        best, indices = _ranked(build, words, axis, count, largest)
    else:
        best, indices = _picked(build, words, axis, count, largest)
    return [build.map(lambda w: from_sortable(w, dtype, onnx_type), best, hint="word"), indices]


def _ranked(build: GraphBuilder, x: Value, axis: int, count: int, largest: bool) -> list[Value]:
    """By the rank of each word: how many come before it. Equal ones keep their order."""
    size, head, tail = x.shape[axis], x.shape[:axis], x.shape[axis + 1 :]
    mine = build.reshape(x, (*head, size, 1, *tail), "mine")
    others = build.reshape(x, (*head, 1, size, *tail), "others")
    down, across = iota(build, size, axis, x.rank + 1), iota(build, size, axis + 1, x.rank + 1)

    def before(a: Term, b: Term, i: Term, j: Term) -> Term:
        return ((a < b) if largest else (b < a)) | (a.eq(b) & (j < i))

    earlier = build.map(before, mine, others, down, across, hint="before")
    rank = build.reduce(Reduction.SUM, earlier, [axis + 1], True, "rank")
    wanted = iota(build, count, axis + 1, x.rank + 1)

    def chosen(value: Value, hint: str) -> Value:
        each = build.map(
            lambda r, k, v: r.eq(k).select(v, 0), rank, wanted, value, hint=f"{hint}.each"
        )
        return build.reduce(Reduction.SUM, each, [axis], False, hint)

    return [chosen(mine, "value"), chosen(down, "indices")]


def _picked(build: GraphBuilder, x: Value, axis: int, count: int, largest: bool) -> list[Value]:
    """One after the other: the best of those that are left."""
    kind = Reduction.MAX if largest else Reduction.MIN
    worst = I32_MIN if largest else I32_MAX
    size = x.shape[axis]
    places = iota(build, size, axis, x.rank)
    left = build.map(lambda v, i: v.eq(v) & 0 | i, x, places, hint="left")
    values: list[Value] = []
    indices: list[Value] = []
    for rank in range(count):
        best = build.reduce(kind, x, [axis], True, f"value{rank}")
        where = build.map(
            lambda v, b, i: v.eq(b).select(i, size), x, best, left, hint=f"where{rank}"
        )
        index = build.reduce(Reduction.MIN, where, [axis], True, f"index{rank}")
        values.append(best)
        indices.append(index)
        # What was picked may be as bad as the worst: its place is beyond from here on.
        x = build.map(
            lambda v, i, p: i.eq(p).select(worst, v), x, places, index, hint=f"rest{rank}"
        )
        left = build.map(lambda i, p: i.eq(p).select(size, i), left, index, hint=f"left{rank}")
    return [build.concat(values, axis, "values"), build.concat(indices, axis, "indices")]
