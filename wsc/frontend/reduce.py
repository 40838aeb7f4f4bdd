"""Reductions over axes, and running sums."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from wsc.frontend.elementwise import wide_square
from wsc.frontend.registry import LONGEST, Call, lowering, normal_axis, require
from wsc.frontend.types import UNSIGNED, ordered
from wsc.ir.build import GraphBuilder, Value, plain_index
from wsc.ir.graph import Index, Pad, Reduce, Reduction
from wsc.ir.terms import Body, Term
from wsc.isa.types import DType


def _reduced(call: Call, kind: Reduction, before: Body | None = None) -> tuple[Value, int]:
    """The reduction that the node's axes describe, and how many elements each result holds."""
    x = call.arg(0)
    axes, keep = call.axes(1, x.rank), call.flag("keepdims", True)
    if not axes:
        if call.flag("noop_with_empty_axes", False):
            return (x if before is None else call.build.map(before, x)), 1
        axes = list(range(x.rank))
    if before is not None:
        x = call.build.map(before, x, hint="each")
    count = math.prod(x.shape[axis] for axis in axes)
    return _reduce(call, kind, x, axes, keep), count


def widened(x: Term) -> Term:
    """A float in f32; integers as they are."""
    return x.cast(DType.F32) if x.dtype.is_float else x


def _reduce(call: Call, kind: Reduction, x: Value, axes: list[int], keep: bool) -> Value:
    """A reduction by the order of the operand's ONNX type."""
    build, onnx_type = call.build, call.onnx_type(0)
    if kind not in (Reduction.MAX, Reduction.MIN) or onnx_type not in UNSIGNED:
        return build.reduce(kind, x, axes, keep, kind.value)
    flipped = build.map(lambda v: ordered(v, onnx_type), x, hint="ordered")
    best = build.reduce(kind, flipped, axes, keep, kind.value)
    return build.map(lambda v: ordered(v, onnx_type), best, hint="word")


_reduction = partial(
    lowering,
    quiet=("noop_with_empty_axes",),
    sizes={1: "the axes decide which dimensions remain"},
)


@_reduction("ReduceSum")
def reduce_sum(call: Call) -> Value:
    """Sum over axes."""
    return _reduced(call, Reduction.SUM)[0]


@_reduction("ReduceMax")
def reduce_max(call: Call) -> Value:
    """Largest over axes."""
    return _reduced(call, Reduction.MAX)[0]


@_reduction("ReduceMin")
def reduce_min(call: Call) -> Value:
    """Smallest over axes."""
    return _reduced(call, Reduction.MIN)[0]


@_reduction("ReduceProd")
def reduce_prod(call: Call) -> Value:
    """Product over axes; of f16 elements in f32, which holds what it passes through."""
    return _reduced(call, Reduction.PROD, widened)[0]


@_reduction("ReduceMean")
def reduce_mean(call: Call) -> Value:
    """Mean over axes."""
    total, count = _reduced(call, Reduction.SUM)
    if not total.dtype.is_float:
        row = "divu" if call.onnx_type(0) in UNSIGNED else "div"
        return call.build.map(lambda x: x.op(row, count), total)
    return call.build.map(lambda x: x * (1 / count), total) if count > 1 else total


@_reduction("ReduceSumSquare")
def reduce_sum_square(call: Call) -> Value:
    """Sum of squares over axes."""
    return _reduced(call, Reduction.SUM, wide_square)[0]


@_reduction("ReduceL1")
def reduce_l1(call: Call) -> Value:
    """Sum of magnitudes over axes."""
    unsigned = call.onnx_type(0) in UNSIGNED
    return _reduced(call, Reduction.SUM, None if unsigned else lambda x: x.abs())[0]


@_reduction("ReduceL2")
def reduce_l2(call: Call) -> Value:
    """Euclidean length over axes."""
    total = _reduced(call, Reduction.SUM, wide_square)[0]
    return call.build.map(lambda x: x.sqrt(), total)


@_reduction("ReduceLogSum")
def reduce_log_sum(call: Call) -> Value:
    """Logarithm of the sum over axes."""
    return call.build.map(lambda x: x.log(), _reduced(call, Reduction.SUM)[0])


@_reduction("ReduceLogSumExp")
def reduce_log_sum_exp(call: Call) -> Value:
    """log(sum(exp(x))) over axes, without overflow."""
    build, x = call.build, call.arg(0)
    axes, keep = call.axes(1, x.rank), call.flag("keepdims", True)
    if not axes:
        if call.flag("noop_with_empty_axes", False):
            return x
        axes = list(range(x.rank))
    largest = build.reduce(Reduction.MAX, x, axes, True, "max")
    largest = build.map(lambda m: m.abs().eq(math.inf).select(0, m), largest, hint="finite")
    shifted = build.map(lambda v, m: (v - m).exp(), x, largest, hint="exp")
    total = build.reduce(Reduction.SUM, shifted, axes, True, "sum")
    result = build.map_wide(lambda s, m: s.log() + m, total, largest)
    if keep:
        return result
    return build.reshape(result, [n for i, n in enumerate(x.shape) if i not in axes], "flat")


@lowering("ArgMax", "ArgMin")
def arg_extremum(call: Call) -> Value:
    """Index of the largest or smallest along an axis."""
    x = call.arg(0)
    axis = normal_axis(call.integer("axis", 0), x.rank)
    kind = Reduction.MAX if call.node.op_type == "ArgMax" else Reduction.MIN
    last = call.flag("select_last_index", False)
    onnx_type = call.onnx_type(0)
    x = call.build.map(lambda v: ordered(v, onnx_type), x, hint="ordered")
    x = passed_over(call.build, x, axis, kind)
    return index_of(call.build, x, axis, kind, last, call.flag("keepdims", True))


def passed_over(build: GraphBuilder, x: Value, axis: int, kind: Reduction) -> Value:
    """Values of which none is NaN, for ``index_of``.

    One that is compares with nothing: it is taken if it comes first, and otherwise passed over.
    """
    if not x.dtype.is_float:
        return x
    best = math.inf if kind is Reduction.MAX else -math.inf
    shape = [x.shape[axis] if i == axis else 1 for i in range(x.rank)]
    instead = np.full(shape, -best)
    instead.reshape(-1)[0] = best
    stand_in = build.constant(instead, x.dtype, "instead")
    return build.map(lambda v, s: v.op("isnan").select(s, v), x, stand_in, hint="numbers")


def iota(build: GraphBuilder, size: int, axis: int, rank: int) -> Value:
    """0, 1, ... along one axis; the other dimensions have size 1."""
    require(size <= LONGEST, f"a dimension of {size} (at most {LONGEST})")
    shape = [size if i == axis else 1 for i in range(rank)]
    return build.constant(np.arange(size).reshape(shape), DType.I32, "iota")


def index_of(
    build: GraphBuilder, x: Value, axis: int, kind: Reduction, last: bool, keep: bool
) -> Value:
    """Index (i32) of the extremum along ``axis``, the first or last of equal ones.

    It is a position whatever the values are: what is no extremum names the one that is chosen
    if there is no other.
    """
    best = build.reduce(kind, x, [axis], True, kind.value)
    size = x.shape[axis]
    worst = 0 if last else size - 1
    places = build.map(
        lambda v, b, i: v.eq(b).select(i, worst),
        x,
        best,
        iota(build, size, axis, x.rank),
        hint="where",
    )
    return build.reduce(Reduction.MAX if last else Reduction.MIN, places, [axis], keep)


# --- scans ----------------------------------------------------------------------------

# Longer scans go by blocks: a window over all that came before would be as long as the axis.
BLOCK = 64


def scan(
    build: GraphBuilder,
    x: Value,
    axis: int,
    kind: Reduction = Reduction.SUM,
    exclusive: bool = False,
    reverse: bool = False,
) -> Value:
    """Sums (or products) of all elements up to each one along an axis, without it if exclusive."""
    size = x.shape[axis]
    if size <= BLOCK:
        return _scan_block(build, x, axis, kind, exclusive, reverse)
    count = -(-size // BLOCK)
    high = [count * BLOCK - size if i == axis else 0 for i in range(x.rank)]
    fill = 0 if kind is Reduction.SUM else 1
    full = build.move(x, Pad((0,) * x.rank, tuple(high), fill), hint="fill")
    head, tail = x.shape[:axis], x.shape[axis + 1 :]
    blocks = build.reshape(full, (*head, count, BLOCK, *tail), "blocks")
    inner = _scan_block(build, blocks, axis + 1, kind, exclusive, reverse)
    totals = build.reduce(kind, blocks, [axis + 1], keep=False, hint="totals")
    before = scan(build, totals, axis, kind, True, reverse)
    wide = build.reshape(before, (*head, count, 1, *tail), "before")
    row = "add" if kind is Reduction.SUM else "mul"
    result = build.map(lambda a, b: a.op(row, b), inner, wide, hint="scan")
    result = build.reshape(result, (*head, count * BLOCK, *tail), "joined")
    return build.slice_axis(result, axis, 0, size, hint="scanned")


def _scan_block(
    build: GraphBuilder, x: Value, axis: int, kind: Reduction, exclusive: bool, reverse: bool
) -> Value:
    """A reduction over a window as long as the axis, which reaches beyond its end."""
    size, labels = x.shape[axis], [f"d{i}" for i in range(x.rank)]
    start = int(exclusive) if reverse else 1 - size - int(exclusive)
    index = [plain_index(label) for label in labels]
    index[axis] = Index(((labels[axis], 1), ("k", 1)), start)
    extents = (*zip(labels, x.shape, strict=True), ("k", size))
    return build.add(Reduce(kind, tuple(index), tuple(labels), extents), [x], "scan")


def _scanned(call: Call, kind: Reduction) -> Value:
    build, x = call.build, call.arg(0)
    axis = normal_axis(int(call.static(1, "the axis").reshape(()).item()), x.rank)
    wide = build.map(widened, x, hint="wide")
    exclusive, reverse = call.flag("exclusive", False), call.flag("reverse", False)
    result = scan(build, wide, axis, kind, exclusive, reverse)
    return build.map(lambda v: v.cast(x.dtype), result)


@lowering("CumSum", since=11, sizes={1: "the axis, along which sizes differ"})
def cum_sum(call: Call) -> Value:
    """Running sum along an axis."""
    return _scanned(call, Reduction.SUM)


@lowering("CumProd", since=26, sizes={1: "the axis, along which sizes differ"})
def cum_prod(call: Call) -> Value:
    """Running product along an axis."""
    return _scanned(call, Reduction.PROD)
