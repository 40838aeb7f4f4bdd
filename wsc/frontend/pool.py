"""Pooling: reductions over sliding windows."""

from __future__ import annotations

import itertools
import math
from functools import reduce

import numpy as np

from wsc.frontend.contract import Window, thinned, windows
from wsc.frontend.movement import row_strides
from wsc.frontend.power import power
from wsc.frontend.reduce import widened
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value, plain_index
from wsc.ir.graph import Index, Pad, Reduce, Reduction, Slice
from wsc.ir.terms import Term
from wsc.isa.types import DType

KERNEL_LIMIT = 256  # with indices, each element of a window costs a move
PIECES = 8  # operands of one map


def pool(build: GraphBuilder, x: Value, kind: Reduction, spatial: list[Window], hint: str) -> Value:
    """Reduce x [N, C, ...] over windows of its spatial dimensions; a sum of f16 is f32."""
    x, spatial = thinned(build, x, spatial)
    extents = {"n": x.shape[0], "c": x.shape[1]}
    index = [plain_index("n"), plain_index("c")]
    out = ["n", "c"]
    for axis, window in enumerate(spatial):
        extents[f"y{axis}"], extents[f"k{axis}"] = window.out, window.kernel
        index.append(window.index(f"y{axis}", f"k{axis}"))
        out.append(f"y{axis}")
    wide = kind is Reduction.SUM and x.dtype is DType.F16
    op = Reduce(kind, tuple(index), tuple(out), tuple(extents.items()), wide)
    return build.add(op, [x], hint)


def slide(build: GraphBuilder, x: Value, axis: int, size: int, before: int, hint: str) -> Value:
    """Sums over ``size`` neighbours along one axis, starting ``before`` elements back."""
    labels = [f"d{i}" for i in range(x.rank)]
    index = [plain_index(label) for label in labels]
    index[axis] = Index(((labels[axis], 1), ("k", 1)), -before)
    extents = (*zip(labels, x.shape, strict=True), ("k", size))
    wide = x.dtype is DType.F16
    op = Reduce(Reduction.SUM, tuple(index), tuple(labels), extents, wide)
    return build.add(op, [x], hint)


def _spatial(call: Call) -> list[Window]:
    kernel = tuple(call.integers("kernel_shape") or ())
    require(bool(kernel), "no kernel_shape")
    return windows(call, call.arg(0).shape[2:], kernel)


@lowering("MaxPool", quiet=("storage_order",))
def max_pool(call: Call) -> list[Value]:
    """Largest of each window, and where in the input it stands."""
    x, spatial = call.arg(0), _spatial(call)
    if call.wants(1):
        return _max_with_indices(call, x, spatial)
    return [pool(call.build, x, Reduction.MAX, spatial, "")]


def _max_with_indices(call: Call, x: Value, spatial: list[Window]) -> list[Value]:
    """One element of all windows after the other; the first of equal ones counts."""
    build, worst = call.build, -math.inf if x.dtype.is_float else -(2**31)
    kernel = [window.kernel for window in spatial]
    require(math.prod(kernel) <= KERNEL_LIMIT, f"windows of {math.prod(kernel)} elements")
    reach = [(w.out - 1) * w.stride + (w.kernel - 1) * w.dilation + 1 for w in spatial]
    high = [max(n - w.low - w.size, 0) for n, w in zip(reach, spatial, strict=True)]
    low = (0, 0, *(window.low for window in spatial))
    around = build.move(x, Pad(low, (0, 0, *high), worst), hint="around")
    sizes = (*x.shape[:2], *(window.out for window in spatial))
    steps = (1, 1, *(window.stride for window in spatial))
    pieces: list[Value] = []
    for offset in itertools.product(*map(range, kernel)):
        starts = (0, 0, *(k * w.dilation for k, w in zip(offset, spatial, strict=True)))
        pieces.append(build.move(around, Slice(starts, sizes, steps), hint="element"))
    best, place = pieces[0], build.map(lambda v: v.eq(v) & 0, pieces[0], hint="place")
    firsts = _first_places(spatial)
    if firsts.any():  # where nothing is larger than the padding
        first = build.constant(firsts, DType.I32, "first")
        place = build.map(lambda p, f: p | f, place, first, hint="first")
    for start in range(1, len(pieces), PIECES):
        some = pieces[start : start + PIECES]

        def placed(p: Term, b: Term, *vs: Term, first: int = start) -> Term:
            for number, v in enumerate(vs, first):
                p, b = (b < v).select(number, p), b.max(v)
            return p

        place = build.map(placed, place, best, *some, hint="place")
        best = build.map(lambda *vs: reduce(lambda a, b: a.max(b), vs), best, *some, hint="best")
    return [best, _positions(call, place, x.shape, spatial)]


def _first_places(spatial: list[Window]) -> np.ndarray:
    """The number, within each window, of its first element that is no padding."""
    firsts = np.zeros((), np.int64)
    for window in spatial:
        starts = np.arange(window.out)[:, None] * window.stride - window.low
        places = starts + np.arange(window.kernel) * window.dilation
        inside = (places >= 0) & (places < window.size)
        firsts = firsts[..., None] * window.kernel + inside.argmax(axis=1)
    return firsts


def _positions(call: Call, place: Value, shape: tuple[int, ...], spatial: list[Window]) -> Value:
    """Positions in the whole input of the elements that ``place`` numbers within each window."""
    space = shape[2:]
    strides = row_strides(space)
    if call.flag("storage_order", False):
        strides = [math.prod(space[:axis]) for axis in range(len(space))]
    images = np.arange(shape[0] * shape[1]).reshape(*shape[:2], *(1,) * len(space))
    base = images * math.prod(space)
    for axis, window in enumerate(spatial):
        line = np.arange(window.out) * window.stride - window.low
        base = base + (line * strides[axis]).reshape(
            [-1 if i == axis + 2 else 1 for i in range(len(shape))]
        )
    inner = row_strides([window.kernel for window in spatial])

    def body(p: Term, total: Term) -> Term:
        for window, step, stride in zip(spatial, inner, strides, strict=True):
            total = total + p / step * (window.dilation * stride)
            p = p.op("rem", step)
        return total

    return call.build.map(body, place, call.build.constant(base, DType.I32, "base"))


@lowering("AveragePool")
def average_pool(call: Call) -> Value:
    """Mean of each window, with or without its padding."""
    x, spatial = call.arg(0), _spatial(call)
    total = pool(call.build, x, Reduction.SUM, spatial, "sum")
    include = call.flag("count_include_pad", False)
    counts = np.ones((), np.float64)
    for window in spatial:
        counts = counts[..., None] * _counts(window, include)
    if (counts == counts.flat[0]).all():
        scale = 1 / float(counts.flat[0])
        return call.build.map(lambda v: (v * scale).cast(x.dtype), total)
    scales = call.build.constant(1 / counts, DType.F32, "scale")
    return call.build.map(lambda v, s: (v * s).cast(x.dtype), total, scales)


def _counts(window: Window, include_pad: bool) -> np.ndarray:
    """How many elements each window along one dimension holds."""
    starts = np.arange(window.out) * window.stride - window.low
    places = starts[:, None] + np.arange(window.kernel) * window.dilation
    low, high = (-window.low, window.size + window.high) if include_pad else (0, window.size)
    return ((places >= low) & (places < high)).sum(axis=1)


@lowering("LpPool")
def lp_pool(call: Call) -> Value:
    """p-norm of each window."""
    x, p = call.arg(0), call.integer("p", 2)
    each = call.build.map(lambda v: power(widened(v.abs()), p), x, hint="each")
    total = pool(call.build, each, Reduction.SUM, _spatial(call), "sum")
    return call.build.map(lambda v: power(v, 1 / p).cast(x.dtype), total)


@lowering("GlobalMaxPool")
def global_max_pool(call: Call) -> Value:
    """Largest of each channel."""
    x = call.arg(0)
    return call.build.reduce(Reduction.MAX, x, list(range(2, x.rank)))


@lowering("GlobalAveragePool")
def global_average_pool(call: Call) -> Value:
    """Mean of each channel."""
    x = call.arg(0)
    total = call.build.reduce(Reduction.SUM, x, list(range(2, x.rank)), True, "sum")
    scale = 1 / math.prod(x.shape[2:])
    return call.build.map(lambda v: v * scale, total)


@lowering("GlobalLpPool")
def global_lp_pool(call: Call) -> Value:
    """p-norm of each channel."""
    x, p = call.arg(0), call.integer("p", 2)
    each = call.build.map(lambda v: power(widened(v.abs()), p), x, hint="each")
    total = call.build.reduce(Reduction.SUM, each, list(range(2, x.rank)), True, "sum")
    return call.build.map(lambda v: power(v, 1 / p), total)
