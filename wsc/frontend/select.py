"""Operators that pick or place elements by index."""

from __future__ import annotations

import math

from isa.types import DType
from wsc.frontend.reduce import index_of, iota
from wsc.frontend.registry import Call, lowering, normal_axis, require
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
    return [build.concat(values, axis, "values"), build.concat(indices, axis, "indices")]
