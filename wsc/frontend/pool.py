"""Pooling: reductions over sliding windows."""

from __future__ import annotations

import math

import numpy as np

from wsc.frontend.contract import Window, windows
from wsc.frontend.elementwise import power
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value, plain_index
from wsc.ir.graph import Index, Reduce, Reduction


def pool(build: GraphBuilder, x: Value, kind: Reduction, spatial: list[Window], hint: str) -> Value:
    """Reduce x [N, C, ...] over windows of its spatial dimensions."""
    extents = {"n": x.shape[0], "c": x.shape[1]}
    index = [plain_index("n"), plain_index("c")]
    out = ["n", "c"]
    for axis, window in enumerate(spatial):
        extents[f"y{axis}"], extents[f"k{axis}"] = window.out, window.kernel
        index.append(window.index(f"y{axis}", f"k{axis}"))
        out.append(f"y{axis}")
    return build.add(Reduce(kind, tuple(index), tuple(out), tuple(extents.items())), [x], hint)


def slide(build: GraphBuilder, x: Value, axis: int, size: int, before: int, hint: str) -> Value:
    """Sums over ``size`` neighbours along one axis, starting ``before`` elements back."""
    labels = [f"d{i}" for i in range(x.rank)]
    index = [plain_index(label) for label in labels]
    index[axis] = Index(((labels[axis], 1), ("k", 1)), -before)
    extents = (*zip(labels, x.shape, strict=True), ("k", size))
    return build.add(Reduce(Reduction.SUM, tuple(index), tuple(labels), extents), [x], hint)


def _spatial(call: Call) -> list[Window]:
    kernel = tuple(call.integers("kernel_shape") or ())
    require(bool(kernel), "no kernel_shape")
    return windows(call, call.arg(0).shape[2:], kernel)


@lowering("MaxPool")
def max_pool(call: Call) -> Value:
    """Largest of each window."""
    require(not call.wants(1), "the Indices output")
    return pool(call.build, call.arg(0), Reduction.MAX, _spatial(call), "")


@lowering("AveragePool")
def average_pool(call: Call) -> Value:
    """Mean of each window, with or without its padding."""
    spatial = _spatial(call)
    total = pool(call.build, call.arg(0), Reduction.SUM, spatial, "sum")
    include = bool(call.integer("count_include_pad", 0))
    counts = np.ones((), np.float64)
    for window in spatial:
        counts = counts[..., None] * _counts(window, include)
    if (counts == counts.flat[0]).all():
        scale = 1 / float(counts.flat[0])
        return call.build.map(lambda v: v * scale, total)
    scales = call.build.constant(1 / counts, call.float_type, "scale")
    return call.build.map(lambda v, s: v * s, total, scales)


def _counts(window: Window, include_pad: bool) -> np.ndarray:
    """How many elements each window along one dimension holds."""
    starts = np.arange(window.out) * window.stride - window.low
    places = starts[:, None] + np.arange(window.kernel) * window.dilation
    low, high = (-window.low, window.size + window.high) if include_pad else (0, window.size)
    return ((places >= low) & (places < high)).sum(axis=1)


@lowering("LpPool")
def lp_pool(call: Call) -> Value:
    """p-norm of each window."""
    p = call.integer("p", 2)
    each = call.build.map(lambda v: power(v.abs(), p), call.arg(0), hint="each")
    total = pool(call.build, each, Reduction.SUM, _spatial(call), "sum")
    return call.build.map(lambda v: power(v, 1 / p), total)


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
    each = call.build.map(lambda v: power(v.abs(), p), x, hint="each")
    total = call.build.reduce(Reduction.SUM, each, list(range(2, x.rank)), True, "sum")
    return call.build.map(lambda v: power(v, 1 / p), total)
