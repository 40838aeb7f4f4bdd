"""Reductions over axes, and running sums."""

from __future__ import annotations

import math

import numpy as np

from isa.types import DType
from wsc.frontend.elementwise import wide_square
from wsc.frontend.registry import Call, lowering, normal_axis
from wsc.frontend.types import UNSIGNED, ordered
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import Body


def _reduced(call: Call, kind: Reduction, before: Body | None = None) -> tuple[Value, int]:
    """The reduction that the node's axes describe, and how many elements each result holds."""
    x = call.arg(0)
    axes = call.axes(1, x.rank)
    if not axes:
        if call.integer("noop_with_empty_axes", 0):
            return (x if before is None else call.build.map(before, x)), 1
        axes = list(range(x.rank))
    if before is not None:
        x = call.build.map(before, x, hint="each")
    count = math.prod(x.shape[axis] for axis in axes)
    keep = bool(call.integer("keepdims", 1))
    return _reduce(call, kind, x, axes, keep), count


def _reduce(call: Call, kind: Reduction, x: Value, axes: list[int], keep: bool) -> Value:
    """A reduction by the order of the operand's ONNX type."""
    build, onnx_type = call.build, call.onnx_type(0)
    if kind not in (Reduction.MAX, Reduction.MIN) or onnx_type not in UNSIGNED:
        return build.reduce(kind, x, axes, keep, kind.value)
    flipped = build.map(lambda v: ordered(v, onnx_type), x, hint="ordered")
    best = build.reduce(kind, flipped, axes, keep, kind.value)
    return build.map(lambda v: ordered(v, onnx_type), best, hint="word")


@lowering("ReduceSum")
def reduce_sum(call: Call) -> Value:
    """Sum over axes."""
    return _reduced(call, Reduction.SUM)[0]


@lowering("ReduceMax")
def reduce_max(call: Call) -> Value:
    """Largest over axes."""
    return _reduced(call, Reduction.MAX)[0]


@lowering("ReduceMin")
def reduce_min(call: Call) -> Value:
    """Smallest over axes."""
    return _reduced(call, Reduction.MIN)[0]


@lowering("ReduceProd")
def reduce_prod(call: Call) -> Value:
    """Product over axes."""
    return _reduced(call, Reduction.PROD)[0]


@lowering("ReduceMean")
def reduce_mean(call: Call) -> Value:
    """Mean over axes."""
    total, count = _reduced(call, Reduction.SUM)
    if not total.dtype.is_float:
        return call.build.map(lambda x: x / count, total)
    return call.build.map(lambda x: x * (1 / count), total) if count > 1 else total


@lowering("ReduceSumSquare")
def reduce_sum_square(call: Call) -> Value:
    """Sum of squares over axes."""
    return _reduced(call, Reduction.SUM, wide_square)[0]


@lowering("ReduceL1")
def reduce_l1(call: Call) -> Value:
    """Sum of magnitudes over axes."""
    return _reduced(call, Reduction.SUM, lambda x: x.abs())[0]


@lowering("ReduceL2")
def reduce_l2(call: Call) -> Value:
    """Euclidean length over axes."""
    total = _reduced(call, Reduction.SUM, wide_square)[0]
    return call.build.map(lambda x: x.sqrt(), total)


@lowering("ReduceLogSum")
def reduce_log_sum(call: Call) -> Value:
    """Logarithm of the sum over axes."""
    return call.build.map(lambda x: x.log(), _reduced(call, Reduction.SUM)[0])


@lowering("ReduceLogSumExp")
def reduce_log_sum_exp(call: Call) -> Value:
    """log(sum(exp(x))) over axes, without overflow."""
    build, x = call.build, call.arg(0)
    axes = call.axes(1, x.rank)
    if not axes:
        if call.integer("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.rank))
    largest = build.reduce(Reduction.MAX, x, axes, True, "max")
    largest = build.map(lambda m: m.abs().eq(math.inf).select(0, m), largest, hint="finite")
    shifted = build.map(lambda v, m: (v - m).exp(), x, largest, hint="exp")
    total = build.reduce(Reduction.SUM, shifted, axes, True, "sum")
    result = build.map(lambda s, m: s.log() + m, total, largest)
    if call.integer("keepdims", 1):
        return result
    return build.reshape(result, [n for i, n in enumerate(x.shape) if i not in axes], "flat")


@lowering("ArgMax", "ArgMin")
def arg_extremum(call: Call) -> Value:
    """Index of the largest or smallest along an axis."""
    x = call.arg(0)
    axis = normal_axis(call.integer("axis", 0), x.rank)
    kind = Reduction.MAX if call.node.op_type == "ArgMax" else Reduction.MIN
    last = bool(call.integer("select_last_index", 0))
    onnx_type = call.onnx_type(0)
    x = call.build.map(lambda v: ordered(v, onnx_type), x, hint="ordered")
    return index_of(call.build, x, axis, kind, last, bool(call.integer("keepdims", 1)))


def iota(build: GraphBuilder, size: int, axis: int, rank: int) -> Value:
    """0, 1, ... along one axis; the other dimensions have size 1."""
    shape = [size if i == axis else 1 for i in range(rank)]
    return build.constant(np.arange(size).reshape(shape), DType.I32, "iota")


def index_of(
    build: GraphBuilder, x: Value, axis: int, kind: Reduction, last: bool, keep: bool
) -> Value:
    """Index (i32) of the extremum along ``axis``, the first or last of equal ones."""
    best = build.reduce(kind, x, [axis], True, kind.value)
    beyond = -1 if last else x.shape[axis]
    places = build.map(
        lambda v, b, i: v.eq(b).select(i, beyond),
        x, best, iota(build, x.shape[axis], axis, x.rank), hint="where",
    )  # fmt: skip
    return build.reduce(Reduction.MAX if last else Reduction.MIN, places, [axis], keep)


@lowering("CumSum", since=11)
def cum_sum(call: Call) -> Value:
    """Running sum along an axis: a contraction with a triangle of ones."""
    build, x = call.build, call.arg(0)
    axis = normal_axis(int(call.static(1, "the axis").reshape(()).item()), x.rank)
    size = x.shape[axis]
    triangle = np.triu(np.ones((size, size)), 1 if call.integer("exclusive", 0) else 0)
    if call.integer("reverse", 0):
        triangle = triangle.T
    # Integers are summed as f32, exact below 2^24.
    dtype = x.dtype if x.dtype.is_float else DType.F32
    wide = build.map(lambda v: v.cast(dtype), x, hint="float")
    labels = [f"d{i}" for i in range(x.rank)]
    out = [*labels[:axis], "r", *labels[axis + 1 :]]
    total = build.contract(
        wide, build.constant(triangle, dtype, "triangle"),
        " ".join(labels), f"d{axis} r", " ".join(out), "sum",
    )  # fmt: skip
    return build.map(lambda v: v.cast(x.dtype), total)
