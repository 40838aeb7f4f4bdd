"""Operators whose results have a size that only the data tell: room for the most, and a length."""

from __future__ import annotations

import math

import numpy as np

from wsc.frontend.movement import take
from wsc.frontend.reduce import iota, scan
from wsc.frontend.registry import Call, Sized, lowering, normal_axis, require
from wsc.frontend.types import sortable
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Pad, Reduction
from wsc.ir.terms import Term
from wsc.isa.types import DType

PAIR_LIMIT = 1 << 18  # comparisons of all pairs that a Unique may take
BOX_LIMIT = 128  # each box of a NonMaxSuppression takes a round over all pairs


def _zeros(build: GraphBuilder, shape: tuple[int, ...], dtype: DType) -> Value:
    return build.expand(build.constant(np.zeros(()), dtype, "zero"), shape, "zeros")


def _packed(build: GraphBuilder, x: Value, places: Value, axis: int, hint: str) -> Value:
    """x with position i of an axis moved to ``places[i]``; places beyond the end are left out."""
    zeros = _zeros(build, x.shape, x.dtype)
    return build.scatter(zeros, places, x, axis, hint=hint, skips=True)


def _chosen(build: GraphBuilder, flags: Value) -> tuple[Value, Value]:
    """(where each flagged position goes when the others are left out, how many there are)."""
    size = flags.shape[0]
    before = scan(build, flags, 0, exclusive=True)
    places = build.map(lambda f, p: f.select(p, size), flags, before, hint="places")
    return places, build.reduce(Reduction.SUM, flags, [0], hint="length")


def safe_indices(call: Call, item: Sized) -> Value:
    """Indices that are 0 beyond their length."""
    places = iota(call.build, item.value.shape[item.axis], item.axis, item.value.rank)
    return call.build.map(
        lambda i, p, n: (p < n).select(i, 0), item.value, places, item.length, hint="inside"
    )


@lowering("NonZero", since=9)
def non_zero(call: Call) -> Value | Sized:
    """The indices of all elements that are not zero, in row-major order."""
    build, x = call.build, call.arg(0)
    require(x.rank > 0, "a scalar")
    known = call.maybe_static(0)
    if known is not None:
        return build.constant(np.stack(np.nonzero(known)), DType.I32, "indices")
    flat = build.reshape(x, (x.type.size,), "flat")
    flags = build.map(lambda v: v.eq(0).negated(), flat, hint="flags")
    places, length = _chosen(build, flags)
    indices = np.stack([index.reshape(-1) for index in np.indices(x.shape)], axis=1)
    found = _packed(build, build.constant(indices, DType.I32, "indices"), places, 0, "found")
    return Sized(build.transpose(found, (1, 0)), 1, length)


@lowering("Compress", since=9)
def compress(call: Call) -> Value | Sized:
    """The slices along an axis (or, without one, the elements) whose condition holds."""
    build, x, condition = call.build, call.arg(0), call.arg(1)
    if "axis" in call.node.attributes:
        axis = normal_axis(call.integer("axis", 0), x.rank)
    else:
        x, axis = build.reshape(x, (x.type.size,), "flat"), 0
    size = x.shape[axis]
    require(condition.type.size <= size, f"{condition.type.size} conditions for {size} slices")
    known = call.maybe_static(1)
    if known is not None:
        (positions,) = np.nonzero(known.reshape(-1))
        if not positions.size:
            return build.empty((*x.shape[:axis], 0, *x.shape[axis + 1 :]), x.dtype)
        return take(build, x, positions, positions.shape, axis)
    flat = build.reshape(condition, (condition.type.size,), "condition")
    flags = build.move(flat, Pad((0,), (size - condition.type.size,)), hint="flags")
    places, length = _chosen(build, flags)
    return Sized(_packed(build, x, places, axis, "kept"), axis, length)


# --- unique ---------------------------------------------------------------------------


def _compared(build: GraphBuilder, x: Value) -> tuple[Value, Value]:
    """(rows i and j are equal, row i comes before row j) for all pairs of rows of x [n, m]."""
    count, width = x.shape
    left = build.reshape(x, (count, 1, width), "left")
    right = build.reshape(x, (1, count, width), "right")
    signs = build.map(
        lambda a, b: (b < a).select(1, (a < b).select_literals(DType.I32, -1, 0)),
        left,
        right,
        hint="signs",
    )
    if width > 1:
        places = iota(build, width, 2, 3)
        differ = build.map(lambda s, k: s.eq(0).select(width, k), signs, places, hint="differ")
        first = build.reduce(Reduction.MIN, differ, [2], True, "first")
        decides = build.map(
            lambda s, k, f: k.eq(f).select(s, 0), signs, places, first, hint="decides"
        )
        signs = build.reduce(Reduction.SUM, decides, [2], True, "sign")
    signs = build.reshape(signs, (count, count), "order")
    same = build.map(lambda s: s.eq(0), signs, hint="same")
    return same, build.map(lambda s: s.eq(-1), signs, hint="less")


@lowering("Unique", since=11)
def unique(call: Call) -> list[Value | Sized]:
    """The distinct elements (or slices), where each is first, which one each is, and how often."""
    build, x = call.build, call.arg(0)
    if "axis" in call.node.attributes:
        axis = normal_axis(call.integer("axis", 0), x.rank)
    else:
        x, axis = build.reshape(x, (x.type.size,), "flat"), 0
    count, width = x.shape[axis], x.type.size // x.shape[axis]
    require(
        count * count * width <= PAIR_LIMIT,
        f"{count} slices of {width} elements take more than {PAIR_LIMIT} comparisons",
    )
    onnx_type = call.onnx_type(0)
    words = build.map(lambda v: sortable(v, onnx_type), x, hint="words")
    front = build.transpose(words, (axis, *(i for i in range(x.rank) if i != axis)), "front")
    same, less = _compared(build, build.reshape(front, (count, width), "rows"))
    down, across = iota(build, count, 0, 2), iota(build, count, 1, 2)
    firsts = build.map(lambda s, j: s.eq(0).select(count, j), same, across, hint="firsts")
    first = build.reduce(Reduction.MIN, firsts, [1], True, "first")
    is_first = build.map(lambda f, i: f.eq(i), first, down, hint="is_first")

    def before(flag: Term, i: Term, f: Term, lesser: Term) -> Term:
        return flag & (lesser if call.flag("sorted", True) else i < f)

    # Down: the slices that may come before; across: the slice whose place is counted.
    earlier = build.map(
        before, is_first, down, build.reshape(first, (1, count)), less, hint="earlier"
    )
    inverse = build.reduce(Reduction.SUM, earlier, [0], False, "inverse")
    flags = build.reshape(is_first, (count,), "flags")
    places = build.map(lambda f, r: f.select(r, count), flags, inverse, hint="places")
    length = build.reduce(Reduction.SUM, flags, [0], hint="length")
    ones = build.expand(build.constant(np.ones(()), DType.I32, "one"), (count,), "ones")
    none = _zeros(build, (count,), DType.I32)
    counts = build.scatter(none, inverse, ones, 0, Reduction.SUM, "counts")
    return [
        Sized(_packed(build, x, places, axis, "values"), axis, length),
        Sized(_packed(build, iota(build, count, 0, 1), places, 0, "indices"), 0, length),
        inverse,
        Sized(counts, 0, length),
    ]


# --- non-maximum suppression ------------------------------------------------------------


def _edges(build: GraphBuilder, boxes: Value, centred: bool) -> list[Value]:
    """Lowest y, lowest x, highest y, highest x of boxes [B, N, 4]: each [B, 1, N, 1]."""
    shape = (boxes.shape[0], 1, boxes.shape[1], 1)
    parts = [build.reshape(build.slice_axis(boxes, 2, i, 1, hint="part"), shape) for i in range(4)]
    if centred:
        x, y, width, height = parts
        pairs = ((y, height), (x, width))
        low = [build.map(lambda c, n: c - n * 0.5, *pair, hint="low") for pair in pairs]
        high = [build.map(lambda c, n: c + n * 0.5, *pair, hint="high") for pair in pairs]
    else:
        pairs = ((parts[0], parts[2]), (parts[1], parts[3]))
        low = [build.map(lambda a, b: a.min(b), *pair, hint="low") for pair in pairs]
        high = [build.map(lambda a, b: a.max(b), *pair, hint="high") for pair in pairs]
    return [*low, *high]


def _overlaps(build: GraphBuilder, boxes: Value, centred: bool, threshold: Value) -> Value:
    """[B, 1, N, N]: whether the intersection of two boxes is more than a part of their union."""
    mine = _edges(build, boxes, centred)
    batch, count = boxes.shape[:2]
    others = [build.reshape(edge, (batch, 1, 1, count), "other") for edge in mine]

    def area(top: Term, left: Term, bottom: Term, right: Term) -> Term:
        return (bottom - top) * (right - left)

    own = build.map(area, *mine, hint="area")

    def side(low: Term, high: Term, low2: Term, high2: Term) -> Term:
        return (high.min(high2) - low.max(low2)).max(0.0)

    tall = build.map(side, mine[0], mine[2], others[0], others[2], hint="tall")
    wide = build.map(side, mine[1], mine[3], others[1], others[3], hint="wide")

    def over(h: Term, w: Term, a: Term, b: Term, part: Term) -> Term:
        common = h * w
        union = a + b - common
        real = (common > 0.0) & (a > 0.0) & (b > 0.0) & (union > 0.0)
        return real & (common / real.select(union, 1.0) > part)

    return build.map(
        over,
        tall,
        wide,
        own,
        build.reshape(own, (batch, 1, 1, count), "area"),
        threshold,
        hint="over",
    )


@lowering("NonMaxSuppression", since=10)
def non_max_suppression(call: Call) -> Sized:
    """Boxes by falling score, without those that overlap a kept one: (batch, class, box)."""
    build, boxes, scores = call.build, call.arg(0), call.arg(1)
    batch, classes, count = scores.shape
    require(boxes.shape == (batch, count, 4), f"boxes of shape {boxes.shape}")
    require(count <= BOX_LIMIT, f"{count} boxes (at most {BOX_LIMIT})")

    def scalar(index: int, default: float, dtype: DType) -> Value:
        if not call.has(index):
            return build.constant(np.array(default), dtype, "default")
        return build.reshape(call.arg(index), (), "scalar")

    most, part = scalar(2, 0, DType.I32), scalar(3, 0.0, DType.F32)
    centred = call.flag("center_point_box", False)
    overlaps = _overlaps(build, boxes, centred, part)
    mine = build.reshape(scores, (batch, classes, count, 1), "mine")
    other = build.reshape(scores, (batch, classes, 1, count), "others")
    down, across = iota(build, count, 2, 4), iota(build, count, 3, 4)
    earlier = build.map(
        lambda s, o, i, j: (s < o) | (s.eq(o) & (j < i)), mine, other, down, across, hint="earlier"
    )
    rivals = build.map(lambda e, o: e & o, earlier, overlaps, hint="rivals")
    if call.has(4):
        least = build.reshape(call.arg(4), (), "least")
        valid = build.map(lambda s, t: s > t, mine, least, hint="valid")
    else:
        valid = build.map(lambda s: s.eq(s) | 1, mine, hint="valid")
    kept = valid
    # After n rounds the n boxes of highest score are decided: no chain is longer.
    for _ in range(count - 1):
        turned = build.reshape(kept, (batch, classes, 1, count), "kept")
        beaten = build.map(lambda r, k: r & k, rivals, turned, hint="beaten")
        lost = build.reduce(Reduction.MAX, beaten, [3], True, "lost")
        kept = build.map(lambda v, x: v & x.negated(), valid, lost, hint="round")
    turned = build.reshape(kept, (batch, classes, 1, count), "kept")
    ahead = build.map(lambda e, k: e & k, earlier, turned, hint="ahead")
    rank = build.reduce(Reduction.SUM, ahead, [3], True, "rank")
    taken = build.map(lambda k, r, m: k & (r < m), kept, rank, most, hint="taken")
    return _listed(build, taken, rank)


def _listed(build: GraphBuilder, taken: Value, rank: Value) -> Sized:
    """(batch, class, box) of each taken box, by batch and class and within them by rank."""
    shape = taken.shape[:3]
    groups, count = shape[0] * shape[1], shape[2]
    flags = build.reshape(taken, (groups, count), "flags")
    totals = build.reduce(Reduction.SUM, flags, [1], False, "totals")
    base = build.reshape(scan(build, totals, 0, exclusive=True), (groups, 1), "base")
    ranks, beyond = build.reshape(rank, (groups, count), "ranks"), groups * count
    places = build.map(lambda f, b, r: f.select(b + r, beyond), flags, base, ranks, hint="places")
    length = build.reduce(Reduction.SUM, totals, [0], hint="length")
    rows = np.stack([index.reshape(-1) for index in np.indices(shape)], axis=1)
    listed = _packed(
        build,
        build.constant(rows, DType.I32, "rows"),
        build.reshape(places, (math.prod(shape),)),
        0,
        "listed",
    )
    return Sized(listed, 0, length)
