"""Softmax and the normalisations, composed of reductions and maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wsc.frontend.elementwise import wide_square
from wsc.frontend.pool import slide
from wsc.frontend.reduce import index_of, iota, passed_over
from wsc.frontend.registry import Call, lowering, normal_axis, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction
from wsc.ir.terms import F16_MAX, Body, Term
from wsc.isa.types import DType


def softmax(build: GraphBuilder, x: Value, axes: Sequence[int]) -> Value:
    """exp(x - max) / sum(exp(x - max)) over some axes."""
    largest = build.reduce(Reduction.MAX, x, axes, True, "max", still=True)
    each = build.map(lambda v, m: (v - m).exp(), x, largest, hint="exp")
    total = build.reduce(Reduction.SUM, each, axes, True, "sum")
    return part_of_sum(build, lambda e, s: e / s, each, total)


def part_of_sum(build: GraphBuilder, body: Body, each: Value, total: Value) -> Value:
    """A map of numbers from 0 to 1 and their sum, which f16 holds unless there are very many."""
    many = each.type.size // total.type.size > F16_MAX
    return (build.map_wide if many else build.map)(body, each, total)


def _softmax_axes(call: Call, x: Value) -> list[int]:
    """One axis; before opset 13 all axes from ``axis`` on."""
    if call.opset >= 13:
        return [normal_axis(call.integer("axis", -1), x.rank)]
    return list(range(normal_axis(call.integer("axis", 1), x.rank), x.rank))


@lowering("Softmax")
def softmax_(call: Call) -> Value:
    """exp(x) / sum(exp(x)) along an axis."""
    x = call.arg(0)
    return softmax(call.build, x, _softmax_axes(call, x))


def log_softmax_of(build: GraphBuilder, x: Value, axes: Sequence[int]) -> Value:
    """x - max - log(sum(exp(x - max))) over some axes."""
    largest = build.reduce(Reduction.MAX, x, axes, True, "max", still=True)
    shifted = build.map(lambda v, m: v - m, x, largest, hint="shift")
    each = build.map(lambda v: v.exp(), shifted, hint="exp")
    total = build.reduce(Reduction.SUM, each, axes, True, "sum")
    return part_of_sum(build, lambda v, s: v - s.log(), shifted, total)


@lowering("LogSoftmax")
def log_softmax(call: Call) -> Value:
    """log of Softmax along an axis."""
    x = call.arg(0)
    return log_softmax_of(call.build, x, _softmax_axes(call, x))


@lowering("Hardmax")
def hardmax(call: Call) -> Value:
    """1 at the first largest element along an axis, else 0."""
    build, x = call.build, call.arg(0)
    axis, *further = _softmax_axes(call, x)
    # Before opset 13 the axes from ``axis`` on are one.
    flat = build.reshape(x, (*x.shape[:axis], math.prod(x.shape[axis:])), "flat") if further else x
    numbers = passed_over(build, flat, axis, Reduction.MAX)
    first = index_of(build, numbers, axis, Reduction.MAX, False, True)
    places = iota(build, flat.shape[axis], axis, flat.rank)
    flags = build.map(lambda i, f: i.eq(f), places, first, hint="hit")
    return build.reshape(build.map(lambda h: h.cast(call.float_type), flags), x.shape)


def standardize(
    build: GraphBuilder, x: Value, axes: Sequence[int], epsilon: float
) -> tuple[Value, Value, Value]:
    """((x - mean) / sqrt(variance + epsilon), mean, 1 / sqrt(variance + epsilon)) over axes.

    All is f32 in an f16 graph too, as ONNX's stash_type has it, until the result is narrowed.
    """
    mean, centred, variance = moments(build, x, axes)
    inverse = build.map(lambda v: (v + epsilon).sqrt().recip(), variance, hint="inverse")
    if centred is None:
        unit = build.map_wide(lambda v, m, i: (v - m) * i, x, mean, inverse, hint="unit")
    else:
        unit = build.map(lambda d, i: d * i, centred, inverse, hint="unit")
    return unit, mean, inverse


def moments(
    build: GraphBuilder, x: Value, axes: Sequence[int]
) -> tuple[Value, Value | None, Value]:
    """(mean, x - mean, mean of its squares) over axes.

    Of f16 values the difference is None: it would be f32, and takes more room than it takes
    time to work it out again.
    """
    scale = 1 / math.prod(x.shape[axis] for axis in axes)
    total = build.reduce(Reduction.SUM, x, axes, True, "sum")
    mean = build.map(lambda s: s * scale, total, hint="mean")
    centred = None
    if x.dtype is DType.F16:
        squares = build.map_wide(lambda v, m: wide_square(v - m), x, mean, hint="square", keep=True)
    else:
        centred = build.map(lambda v, m: v - m, x, mean, hint="centre")
        squares = build.map(wide_square, centred, hint="square")
    summed = build.reduce(Reduction.SUM, squares, axes, True, "squares")
    return mean, centred, build.map(lambda v: v * scale, summed, hint="variance")


def affine(build: GraphBuilder, x: Value, scale: Value | None, bias: Value | None) -> Value:
    """x * scale + bias, either of them optional."""
    parts = [part for part in (scale, bias) if part is not None]
    if not parts:
        return x

    def body(v: Term, *rest: Term) -> Term:
        terms = list(rest)
        if scale is not None:
            v = v * terms.pop(0)
        return v + terms.pop(0) if terms else v

    return build.map(body, x, *parts)


@lowering("LayerNormalization", since=17, quiet=("stash_type",))
@lowering("LayerNormalization", domain="com.microsoft", quiet=("stash_type",))
def layer_normalization(call: Call) -> list[Value]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axes."""
    x = call.arg(0)
    first = normal_axis(call.integer("axis", -1), x.rank)
    axes = list(range(first, x.rank))
    unit, mean, inverse = standardize(call.build, x, axes, call.number("epsilon", 1e-5))
    return [affine(call.build, unit, call.arg(1), call.maybe(2)), mean, inverse]


@lowering("RMSNormalization", since=23, quiet=("stash_type",))
@lowering("SimplifiedLayerNormalization", quiet=("stash_type",))
@lowering("SimplifiedLayerNormalization", domain="com.microsoft", quiet=("stash_type",))
def rms_normalization(call: Call) -> list[Value]:
    """x / sqrt(mean(x^2) + epsilon) * scale over the last axes."""
    x = call.arg(0)
    first = normal_axis(call.integer("axis", -1), x.rank)
    unit, inverse = _rms(call.build, x, first, call.number("epsilon", 1e-5))
    return [affine(call.build, unit, call.arg(1), None), inverse]


def _rms(build: GraphBuilder, x: Value, first: int, epsilon: float) -> tuple[Value, Value]:
    """(x / sqrt(mean(x^2) + epsilon), 1 / sqrt(mean(x^2) + epsilon)) over the last axes."""
    axes = list(range(first, x.rank))
    scale = 1 / math.prod(x.shape[axis] for axis in axes)
    squares = build.map(wide_square, x, hint="square")
    total = build.reduce(Reduction.SUM, squares, axes, True, "sum")
    inverse = build.map(lambda s: (s * scale + epsilon).sqrt().recip(), total, hint="inverse")
    return build.map_wide(lambda v, i: v * i, x, inverse, hint="unit"), inverse


@lowering("SkipLayerNormalization", domain="com.microsoft")
def skip_layer_normalization(call: Call) -> list[Value | None]:
    """LayerNormalization of x + skip (+ bias) over the last axis."""
    total = _skip_sum(call, 4)
    epsilon = call.number("epsilon", 1e-5)
    unit, mean, inverse = standardize(call.build, total, [total.rank - 1], epsilon)
    return [affine(call.build, unit, call.arg(2), call.maybe(3)), mean, inverse, total]


@lowering("SkipSimplifiedLayerNormalization", domain="com.microsoft")
def skip_rms_normalization(call: Call) -> list[Value | None]:
    """RMS normalisation of x + skip (+ bias) over the last axis."""
    total = _skip_sum(call, 3)
    unit, inverse = _rms(call.build, total, total.rank - 1, call.number("epsilon", 1e-5))
    require(not call.wants(1), "the mean output")
    return [affine(call.build, unit, call.arg(2), None), None, inverse, total]


def _skip_sum(call: Call, bias: int) -> Value:
    parts = [call.arg(0), call.arg(1), *([call.arg(bias)] if call.has(bias) else [])]
    return call.build.map(lambda a, b, *c: a + b + c[0] if c else a + b, *parts, hint="skip")


@lowering("BatchNormalization", since=7, quiet=("momentum",))
def batch_normalization(call: Call) -> Value | list[Value]:
    """x * scale / sqrt(variance + epsilon) + shift; in training with the batch's own moments."""
    if call.flag("training_mode", False):
        return _batch_training(call)
    require(not any(call.wants(index) for index in range(1, 5)), "training outputs")
    build, x, epsilon = call.build, call.arg(0), call.number("epsilon", 1e-5)
    shape = (x.shape[1],) + (1,) * (x.rank - 2)
    # As the model has them: rounded to f16, a large variance would be another one.
    arrays = [call.maybe_static(index) for index in range(1, 5)]
    known = [array.astype("float64") for array in arrays if array is not None]
    if len(known) == 4:
        scale, shift, mean, variance = known
        factor = scale / (variance + epsilon) ** 0.5
        if x.dtype is DType.F16 and _is_beyond_f16(factor, mean):
            wide = (
                build.constant(part.reshape(shape), DType.F32, hint)
                for part, hint in ((factor, "scale"), (shift - mean * factor, "shift"))
            )
            return build.map_wide(lambda v, f, b: v * f + b, x, *wide)
        return affine(
            build,
            x,
            build.constant(factor.reshape(shape), x.dtype, "scale"),
            build.constant((shift - mean * factor).reshape(shape), x.dtype, "shift"),
        )
    wide = [build.reshape(call.arg(index), shape, "wide") for index in range(1, 5)]
    return build.map_wide(lambda v, s, b, m, d: (v - m) * (s / (d + epsilon).sqrt()) + b, x, *wide)


def _is_beyond_f16(factor: np.ndarray, mean: np.ndarray) -> bool:
    """Whether the terms of ``x * factor - mean * factor`` may overflow where their sum does not,
    or lose digits.
    """
    sizes = np.abs(factor)
    small = sizes[sizes > 0].min(initial=1.0)
    return bool(small < 1e-4 or sizes.max() > 1e3 or np.abs(mean * factor).max() > 1e3)


@lowering("BatchNormalization", until=6, quiet=("momentum",))
def batch_normalization_in_test(call: Call) -> Value:
    """As the newer form, where an attribute says that it is inference."""
    require(call.flag("is_test", False), "training mode")
    result = batch_normalization(call)
    assert isinstance(result, Value)  # one output: training came with opset 14
    return result


def _batch_training(call: Call) -> list[Value]:
    """The normalised batch, and the running mean and variance moved towards the batch's."""
    build, x, epsilon = call.build, call.arg(0), call.number("epsilon", 1e-5)
    axes = [axis for axis in range(x.rank) if axis != 1]
    mean, centred, variance = moments(build, x, axes)
    shape = (x.shape[1],) + (1,) * (x.rank - 2)
    scale, shift = (build.reshape(call.arg(index), shape, "wide") for index in (1, 2))
    if centred is None:
        y = build.map_wide(
            lambda x, m, v, s, b: (x - m) * (s / (v + epsilon).sqrt()) + b,
            x,
            mean,
            variance,
            scale,
            shift,
        )
    else:
        y = build.map(
            lambda d, v, s, b: d * (s / (v + epsilon).sqrt()) + b, centred, variance, scale, shift
        )
    keep = call.number("momentum", 0.9)
    results = [y]
    for index, own in ((3, mean), (4, variance)):
        flat = build.reshape(own, (x.shape[1],), "flat")
        results.append(
            build.map_wide(
                lambda r, o: r * keep + o * (1 - keep), call.arg(index), flat, hint="running"
            )
        )
    return results


@lowering("InstanceNormalization", since=6)
def instance_normalization(call: Call) -> Value:
    """Each channel of each sample normalised over its space."""
    x = call.arg(0)
    unit = standardize(call.build, x, list(range(2, x.rank)), call.number("epsilon", 1e-5))[0]
    return _per_channel(call, unit)


def _per_channel(call: Call, unit: Value) -> Value:
    shape = (unit.shape[1],) + (1,) * (unit.rank - 2)
    scale, bias = (call.build.reshape(call.arg(index), shape, "wide") for index in (1, 2))
    return affine(call.build, unit, scale, bias)


@lowering("GroupNormalization", since=18, quiet=("stash_type",))
def group_normalization(call: Call) -> Value:
    """Groups of channels of each sample normalised over channels and space."""
    build, x, groups = call.build, call.arg(0), call.integer("num_groups", 1)
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    grouped = build.reshape(x, split, "groups")
    axes = list(range(2, len(split)))
    unit = standardize(build, grouped, axes, call.number("epsilon", 1e-5))[0]
    if call.opset < 21:
        shape = (groups,) + (1,) * (len(split) - 2)
        scale, bias = (build.reshape(call.arg(index), shape, "wide") for index in (1, 2))
        return build.reshape(affine(build, unit, scale, bias), x.shape, "join")
    return _per_channel(call, build.reshape(unit, x.shape, "join"))


@lowering("LpNormalization")
def lp_normalization(call: Call) -> Value:
    """x divided by its p-norm along an axis (p is 1 or 2); zeros where that is zero."""
    build, x, p = call.build, call.arg(0), call.integer("p", 2)
    axis = normal_axis(call.integer("axis", -1), x.rank)
    each = build.map(lambda v: wide_square(v) if p == 2 else v.abs(), x, hint="each")
    total = build.reduce(Reduction.SUM, each, [axis], True, "sum")

    def body(v: Term, s: Term) -> Term:
        return s.eq(0).select(0, v / (s.sqrt() if p == 2 else s))

    return build.map_wide(body, x, total)


@lowering("MeanVarianceNormalization", since=9)
def mean_variance_normalization(call: Call) -> Value:
    """(x - mean) / deviation over axes."""
    x = call.arg(0)
    axes = [normal_axis(axis, x.rank) for axis in call.integers("axes") or [0, 2, 3]]
    return standardize(call.build, x, axes, 1e-9)[0]


@lowering("LRN")
def local_response_normalization(call: Call) -> Value:
    """x / (bias + alpha / size * sum of squares over neighbouring channels) ^ beta."""
    build, x, size = call.build, call.arg(0), call.integer("size", 1)
    alpha, beta, bias = (
        call.number("alpha", 1e-4),
        call.number("beta", 0.75),
        call.number("bias", 1.0),
    )
    squares = build.map(wide_square, x, hint="square")
    total = slide(build, squares, 1, size, (size - 1) // 2, "sum")
    return build.map_wide(lambda v, s: v / (s * (alpha / size) + bias).op("pow", beta), x, total)
