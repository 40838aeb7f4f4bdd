"""Operators of graphs that hold their own backward pass, as ONNX Runtime's training writes them.

Most are the derivative of an operator that has a lowering: that one is lowered once more, and the
adjoints of its primitives give the derivative. Of its nodes only those stay that the derivative
reads. What an operator is given from the forward pass (a mean, a softmax) is taken as given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from wsc.errors import CompileError
from wsc.frontend.activation import gelu_of, gelu_tanh_of, relu_of
from wsc.frontend.load import CLAIMED_KEY
from wsc.frontend.normalize import moments
from wsc.frontend.registry import Call, Item, Unsupported, lowering, normal_axis, require
from wsc.frontend.scatter import place_rows
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction, Type
from wsc.ir.terms import Term
from wsc.isa.types import DType
from wsc.passes.differentiate import derivatives

DOMAIN = "com.microsoft"


def back(call: Call, output: Value, by: Sequence[Value], g: Value) -> list[Value]:
    """The derivatives by some values that ``g``, the one by ``output``, gives.

    Raises Unsupported where there is none, or where a value is a constant: what is made of it may
    be computed before the run.
    """
    for value in by:
        require(not call.build.is_constant(value), "the derivative by a constant")
    require(g.type.size == output.type.size, f"a gradient of shape {list(g.shape)}")
    try:
        found = derivatives(call.build, output, by, g)
    except CompileError as error:
        raise Unsupported(str(error)) from None
    return [
        _zeros(call.build, value.type) if derivative is None else derivative
        for value, derivative in zip(by, found, strict=True)
    ]


def _zeros(build: GraphBuilder, type_: Type) -> Value:
    zero = build.constant(np.zeros(()), type_.dtype, "zero")
    return build.expand(zero, type_.shape, "zeros")


def _tensor(item: Item) -> Value:
    require(isinstance(item, Value), "a result that is no tensor of one word an element")
    assert isinstance(item, Value)
    return item


# --- elementwise --------------------------------------------------------------------------


def _along(call: Call, body: Callable[..., Term], *values: Value) -> Value:
    """The derivative by the first of some values, whose map is ``body``."""
    y = call.build.map(body, *values, hint="again")
    return back(call, y, values[:1], call.arg(0))[0]


@lowering("ReluGrad", domain=DOMAIN)
def relu_grad(call: Call) -> Value:
    """dY where the input of Relu, or its output, is above 0."""
    return _along(call, relu_of, call.arg(1))


@lowering("GeluGrad", domain=DOMAIN)
def gelu_grad(call: Call) -> Value:
    """dY times the derivative of Gelu at its input."""
    return _along(call, gelu_of, call.arg(1))


@lowering("FastGeluGrad", domain=DOMAIN)
def fast_gelu_grad(call: Call) -> Value:
    """dY times the derivative of Gelu's tanh approximation at its input."""
    return _along(call, gelu_tanh_of, call.arg(1))


@lowering("BiasGeluGrad_dX", domain=DOMAIN)
def bias_gelu_grad(call: Call) -> Value:
    """dY times the derivative of Gelu at x + bias."""
    return _along(call, lambda x, b: gelu_of(x + b), call.arg(1), call.arg(2))


@lowering("BiasFastGeluGrad_dX", domain=DOMAIN)
def bias_fast_gelu_grad(call: Call) -> Value:
    """dY times the derivative of Gelu's tanh approximation at x + bias."""
    return _along(call, lambda x, b: gelu_tanh_of(x + b), call.arg(1), call.arg(2))


@lowering("QuickGeluGrad", domain=DOMAIN)
def quick_gelu_grad(call: Call) -> Value:
    """dY times the derivative of x * sigmoid(alpha * x)."""
    alpha = call.number("alpha", 1.702)
    return _along(call, lambda x: x * (x * alpha).sigmoid(), call.arg(1))


@lowering("LeakyReluGrad", domain=DOMAIN)
def leaky_relu_grad(call: Call) -> Value:
    """dY, times alpha where the output of LeakyRelu is not above 0."""
    alpha = call.number("alpha", 0.01)
    require(alpha >= 0.0, f"alpha = {alpha}: the sign of the output is not that of the input")
    return call.build.map(lambda g, y: (y > 0).select(g, g * alpha), call.arg(0), call.arg(1))


@lowering("SigmoidGrad", domain=DOMAIN)
def sigmoid_grad(call: Call) -> Value:
    """dY * y * (1 - y) of the output y of Sigmoid."""
    return call.build.map(lambda g, y: g * (y * (1 - y)), call.arg(0), call.arg(1))


@lowering("TanhGrad", domain=DOMAIN)
def tanh_grad(call: Call) -> Value:
    """dY * (1 - y^2) of the output y of Tanh."""
    return call.build.map(lambda g, y: g * (1 - y * y), call.arg(0), call.arg(1))


@lowering("DivGrad", domain=DOMAIN)
def div_grad(call: Call) -> list[Value | None]:
    """The derivatives of a / b by both, summed where they were broadcast."""
    a, b = call.arg(1), call.arg(2)
    y = call.build.map(lambda a, b: a / b, a, b, hint="again")
    return _wanted(call, y, [a, b], call.arg(0))


def _wanted(call: Call, y: Value, by: Sequence[Value], g: Value) -> list[Value | None]:
    """The derivatives that anything reads, in the order of the outputs."""
    there = [number for number in range(len(by)) if call.wants(number)]
    found = iter(back(call, y, [by[number] for number in there], g))
    return [next(found) if number in there else None for number in range(len(by))]


# --- softmax and losses -------------------------------------------------------------------


def _softmax_axes(call: Call, rank: int) -> list[int]:
    """One axis; of the older form all axes from ``axis`` on."""
    if call.node.op_type.endswith("_13"):
        return [normal_axis(call.integer("axis", -1), rank)]
    return list(range(normal_axis(call.integer("axis", 1), rank), rank))


@lowering("SoftmaxGrad", "SoftmaxGrad_13", domain=DOMAIN)
def softmax_grad(call: Call) -> Value:
    """y * (dY - sum(dY * y)) of the output y of Softmax."""
    build, g, y = call.build, call.arg(0), call.arg(1)
    both = build.map_wide(lambda g, y: g * y, g, y, hint="both", keep=True)
    total = build.reduce(Reduction.SUM, both, _softmax_axes(call, y.rank), True, "sum")
    return build.map_wide(lambda g, y, s: y * (g - s), g, y, total)


@lowering("LogSoftmaxGrad", "LogSoftmaxGrad_13", domain=DOMAIN)
def log_softmax_grad(call: Call) -> Value:
    """dY - exp(y) * sum(dY) of the output y of LogSoftmax."""
    y = call.arg(1)
    return _by_scores(call.build, call.arg(0), y, _softmax_axes(call, y.rank))


def _by_scores(build: GraphBuilder, g: Value, logs: Value, axes: Sequence[int]) -> Value:
    """From the derivative by the logarithm of a softmax to that by its input."""
    total = build.reduce(Reduction.SUM, g, axes, True, "sum")
    return build.map_wide(lambda g, y, s: g - y.exp() * s, g, logs, total)


@lowering("SoftmaxCrossEntropyLossGrad", domain=DOMAIN)
def softmax_cross_entropy_grad(call: Call) -> Value:
    """The derivative of SoftmaxCrossEntropyLoss by its scores, from its log-probabilities."""
    return _loss_grad(call, call.all_attributes())


@lowering("SoftmaxCrossEntropyLossInternalGrad", domain=DOMAIN, quiet=("output_type",))
def softmax_cross_entropy_internal_grad(call: Call) -> Value:
    """As SoftmaxCrossEntropyLossGrad; the ignored label is an input, and a bias is added."""
    found = _loss_grad(call, _with_ignored(call, 4))
    if not call.has(5):
        return found
    bias = call.build.reshape(call.arg(5), found.shape, "bias")
    return call.build.map(lambda d, b: d + b, found, bias, hint="biased")


def _loss_grad(call: Call, attributes: Sequence[ir.Attr]) -> Value:
    build, logs = call.build, call.arg(1)
    inputs = [logs, call.item(2), call.item(3) if call.has(3) else None]
    # The loss of the log-probabilities, whose own derivative is that of a softmax.
    (loss,) = call.node_of("NegativeLogLikelihoodLoss", inputs, attributes)
    (by_logs,) = back(call, _tensor(loss), [logs], call.arg(0))
    return _by_scores(build, by_logs, logs, [1])


@lowering("SoftmaxCrossEntropyLossInternal", domain=DOMAIN, quiet=("output_type",))
def softmax_cross_entropy_internal(call: Call) -> list[Item]:
    """SoftmaxCrossEntropyLoss whose ignored label is an input."""
    inputs = [call.item(0), call.item(1), call.item(2) if call.has(2) else None]
    return call.node_of("SoftmaxCrossEntropyLoss", inputs, _with_ignored(call, 3), 2)


def _with_ignored(call: Call, index: int) -> list[ir.Attr]:
    kept = [ir.AttrString("reduction", call.text("reduction", "mean"))]
    if call.has(index):
        (ignored,) = call.static_ints(index, "the ignored label")
        return [*kept, ir.AttrInt64("ignore_index", ignored)]
    if "ignore_index" in call.node.attributes:
        kept.append(ir.AttrInt64("ignore_index", call.integer("ignore_index", -1)))
    return kept


# --- normalisation ------------------------------------------------------------------------


@lowering("LayerNormalizationGrad", domain=DOMAIN, quiet=("stash_type", "epsilon"))
def layer_normalization_grad(call: Call) -> list[Value]:
    """The derivatives of LayerNormalization by input, scale and bias."""
    unit = _unit(call, call.arg(1), call.arg(3), call.arg(4))
    return _normalized(call, unit, call.arg(4), True)


@lowering("SimplifiedLayerNormalizationGrad", domain=DOMAIN, quiet=("stash_type", "epsilon"))
def rms_normalization_grad(call: Call) -> list[Value]:
    """The derivatives of SimplifiedLayerNormalization by input and scale."""
    return _normalized(call, _unit(call, call.arg(1), None, call.arg(3)), call.arg(3), False)


def _unit(call: Call, x: Value, mean: Value | None, inverse: Value) -> Value:
    """(x - mean) * inverse, in f32."""
    inverse = _kept(call, inverse, x)
    if mean is None:
        return call.build.map_wide(lambda x, i: x * i, x, inverse, hint="unit", keep=True)
    return _standardized(call.build, x, _kept(call, mean, x), inverse)


def _standardized(build: GraphBuilder, x: Value, mean: Value, inverse: Value) -> Value:
    return build.map_wide(lambda x, m, i: (x - m) * i, x, mean, inverse, hint="unit", keep=True)


def _kept(call: Call, value: Value, x: Value) -> Value:
    """A mean or the like with the normalised dimensions of size one, as some leave them out."""
    first = normal_axis(call.integer("axis", -1), x.rank)
    shape = (*x.shape[:first], *(1,) * (x.rank - first))
    require(value.type.size == math.prod(shape), f"moments of shape {list(value.shape)}")
    return call.build.reshape(value, shape, "kept")


def _normalized(call: Call, unit: Value, inverse: Value, centred: bool) -> list[Value]:
    """The derivatives by input, scale and, where the mean was subtracted, bias."""
    build, g, scale = call.build, call.arg(0), call.arg(2)
    first = normal_axis(call.integer("axis", -1), unit.rank)
    axes, leading = list(range(first, unit.rank)), list(range(first))
    inverse = _kept(call, inverse, unit)
    share = 1 / math.prod(unit.shape[axis] for axis in axes)

    def sums(body: Callable[..., Term], *values: Value, over: list[int], keep: bool) -> Value:
        each = build.map_wide(body, *values, hint="each", keep=True)
        return build.reduce(Reduction.SUM, each, over, keep, "sum")

    along = sums(lambda g, s, u: g * s * u, g, scale, unit, over=axes, keep=True)
    if centred:
        total = sums(lambda g, s: g * s, g, scale, over=axes, keep=True)
        dx = build.map_wide(
            lambda g, s, u, i, t, a: i * (g * s - (t + u * a) * share),
            *(g, scale, unit, inverse, total, along),
            hint="dx",
        )
    else:
        dx = build.map_wide(
            lambda g, s, u, i, a: i * (g * s - u * a * share),
            *(g, scale, unit, inverse, along),
            hint="dx",
        )
    results = [build.cast(dx, g.dtype)]
    by_scale = sums(lambda g, u: g * u, g, unit, over=leading, keep=False)
    results.append(build.cast(build.reshape(by_scale, scale.shape), g.dtype))
    if centred:
        by_bias = build.reduce(Reduction.SUM, g, leading, False, "bias")
        results.append(build.cast(build.reshape(by_bias, scale.shape), g.dtype))
    return results


@lowering("BatchNormalizationGrad", domain=DOMAIN, quiet=("epsilon",))
def batch_normalization_grad(call: Call) -> list[Value]:
    """The derivatives of BatchNormalization in training by input, scale and bias."""
    build, g, x = call.build, call.arg(0), call.arg(1)
    require(x.rank >= 2, "no dimension of channels")
    shape = (x.shape[1],) + (1,) * (x.rank - 2)
    scale, mean, inverse = (build.reshape(call.arg(n), shape, "wide") for n in (2, 3, 4))
    axes = [axis for axis in range(x.rank) if axis != 1]
    share = x.shape[1] / x.type.size
    unit = _standardized(build, x, mean, inverse)
    each = build.map_wide(lambda g, u: g * u, g, unit, hint="each", keep=True)
    by_scale = build.reduce(Reduction.SUM, each, axes, True, "by_scale")
    by_bias = build.reduce(Reduction.SUM, g, axes, True, "by_bias")
    dx = build.map_wide(
        lambda g, u, s, i, a, b: s * i * (g - (b + u * a) * share),
        *(g, unit, scale, inverse, by_scale, by_bias),
        hint="dx",
    )
    sums = (build.reshape(value, (x.shape[1],), "flat") for value in (by_scale, by_bias))
    return [build.cast(value, g.dtype) for value in (dx, *sums)]


@lowering("BatchNormInternal", domain=DOMAIN)
def batch_norm_internal(call: Call) -> list[Item]:
    """BatchNormalization in training, with the moments of the batch that its derivative wants."""
    build, x = call.build, call.arg(0)
    require(call.flag("training_mode", True), "inference mode")
    epsilon = call.number("epsilon", 1e-5)
    attributes = [item for item in call.all_attributes() if item.name != "training_mode"]
    attributes.append(ir.AttrInt64("training_mode", 1))
    results = call.node_of("BatchNormalization", [call.item(n) for n in range(5)], attributes, 3)
    axes = [axis for axis in range(x.rank) if axis != 1]
    mean, _, variance = moments(build, x, axes)
    inverse = build.map(lambda v: (v + epsilon).sqrt().recip(), variance, hint="inverse")
    return [*results, *(build.reshape(value, (x.shape[1],), "flat") for value in (mean, inverse))]


# --- contraction and pooling --------------------------------------------------------------


@lowering("ConvGrad", domain=DOMAIN)
@lowering("ConvGrad")
def conv_grad(call: Call) -> list[Value | None]:
    """The derivatives of Conv by input, weight and bias."""
    return _convolution(call, "Conv")


@lowering("ConvTransposeGrad", domain=DOMAIN)
def conv_transpose_grad(call: Call) -> list[Value | None]:
    """The derivatives of ConvTranspose by input, weight and bias."""
    return _convolution(call, "ConvTranspose")


def _convolution(call: Call, op_type: str) -> list[Value | None]:
    build, g, x, w = call.build, call.arg(0), call.arg(1), call.arg(2)
    (y,) = call.node_of(op_type, [x, w], call.all_attributes())
    found = _wanted(call, _tensor(y), [x, w], g)
    if not call.wants(2):
        return found
    axes = [axis for axis in range(g.rank) if axis != 1]
    bias = build.reduce(Reduction.SUM, g, axes, False, "bias")
    return [*found, build.cast(bias, g.dtype)]


@lowering("MaxPoolGrad", quiet=("storage_order",))
def max_pool_grad(call: Call) -> Value:
    """dY at the element that each window took: the first of equal ones."""
    build, g, indices = call.build, call.arg(0), call.node.inputs[1]
    call.all_attributes()
    source = None if indices is None else indices.producer()
    if source is not None and source.op_type == "MaxPool" and source.domain in ("", "ai.onnx"):
        # Of the windows themselves: nothing is scattered, and nobody wants the indices then.
        call.item(1)
        x = _tensor(call.fetched(source.inputs[0]))
        (y,) = call.node_of("MaxPool", [x], list(source.attributes.values()))
        return back(call, _tensor(y), [x], g)[0]
    zeros = _zeros(build, Type(g.dtype, _declared(call)))
    places = build.within(call.arg(1), zeros.type.size, "places")
    return place_rows(build, zeros, places, g, 1, Reduction.SUM)


@lowering("AveragePoolGrad")
def average_pool_grad(call: Call) -> Value:
    """dY shared out evenly to the elements of each window."""
    g = call.arg(0)
    x = call.build.stand_in(Type(g.dtype, _declared(call)))
    (y,) = call.node_of("AveragePool", [x], call.all_attributes())
    return back(call, _tensor(y), [x], g)[0]


def _declared(call: Call) -> tuple[int, ...]:
    """The shape that the model declares for the result: no input says it."""
    shape = call.node.outputs[0].meta.get(CLAIMED_KEY) or ("?",)
    require(
        all(isinstance(size, int) for size in shape),
        "the shape of its result is not declared (value_info)",
    )
    return tuple(int(size) for size in shape)


# --- movement -----------------------------------------------------------------------------


def _spread(call: Call, op_type: str, shape: int, g: int, rest: Sequence[int]) -> Value:
    """The adjoint of a movement: what reads an input of a known shape is linear.

    shape, g, rest: which inputs are that shape, the gradient, and the further operands.
    """
    gradient = call.arg(g)
    sizes = tuple(call.static_ints(shape, "the shape"))
    x = call.build.stand_in(Type(gradient.dtype, sizes))
    others = [call.item(number) if call.has(number) else None for number in rest]
    (y,) = call.node_of(op_type, [x, *others], call.all_attributes())
    return back(call, _tensor(y), [x], gradient)[0]


@lowering("GatherGrad", domain=DOMAIN, sizes={0: "the shape of the result"})
def gather_grad(call: Call) -> Value:
    """Zeros to which the rows of dY are added where Gather took them."""
    return _spread(call, "Gather", 0, 2, [1])


@lowering("GatherElementsGrad", domain=DOMAIN, sizes={1: "the shape of the result"})
def gather_elements_grad(call: Call) -> Value:
    """Zeros to which the elements of dY are added where GatherElements took them."""
    return _spread(call, "GatherElements", 1, 0, [2])


@lowering("GatherNDGrad", domain=DOMAIN, sizes={0: "the shape of the result"})
def gather_nd_grad(call: Call) -> Value:
    """Zeros to which the slices of dY are added where GatherND took them."""
    return _spread(call, "GatherND", 0, 2, [1])


@lowering(
    "SliceGrad",
    domain=DOMAIN,
    sizes={
        1: "the shape of the result",
        2: "the starts of the slice",
        3: "the ends of the slice",
        4: "the axes that were cut",
        5: "the steps of the slice",
    },
)
def slice_grad(call: Call) -> Value:
    """Zeros with dY where Slice took it from."""
    return _spread(call, "Slice", 1, 0, [2, 3, 4, 5])


@lowering("DropoutGrad", domain=DOMAIN)
def dropout_grad(call: Call) -> Value:
    """dY / (1 - ratio) where the mask kept an element; dY itself outside training."""
    g, mask = call.arg(0), call.arg(1)
    ratio = float(call.static(2, "the ratio").item()) if call.has(2) else 0.5
    training = bool(call.static(3, "training_mode").item()) if call.has(3) else False
    require(0.0 <= ratio < 1.0, f"a ratio of {ratio}")
    if not training:
        return g
    scale = 1.0 / (1.0 - ratio)
    return call.build.map(lambda g, m: m.select(g * scale, 0), g, mask)


# --- around gradients ---------------------------------------------------------------------


@lowering("InPlaceAccumulatorV2", domain=DOMAIN)
def in_place_accumulator_v2(call: Call) -> list[Value]:
    """The value, or buffer + value where the flag does not ask to overwrite; and that it is so."""
    build, buffer, value = call.build, call.arg(0), call.arg(1)
    done = build.constant(np.ones((1,)), DType.I32, "updated")
    known = call.maybe_static(2) if call.has(2) else np.zeros(())
    if known is not None and known.size == 1:
        total = value if known.item() else build.map(lambda a, b: a + b, buffer, value)
        return [done, total]
    flag = build.reshape(call.arg(2), (1,) * value.rank, "flag")
    total = build.map(lambda f, a, b: f.select(b, a + b), flag, buffer, value, hint="total")
    return [done, total]


@lowering("InPlaceAccumulator", domain=DOMAIN)
def in_place_accumulator(call: Call) -> Value:
    """The sum so far and the value, where the signal, if there is one, says so."""
    build, before, value = call.build, call.arg(0), call.arg(1)
    if not call.has(2):
        return build.map(lambda a, b: a + b, before, value)
    flag = build.reshape(call.arg(2), (1,) * before.rank, "flag")
    return build.map(lambda f, a, b: f.select(a + b, a), flag, before, value)


@lowering("ZeroGradient", domain=DOMAIN)
def zero_gradient(call: Call) -> Value:
    """Zeros of the shape of a gradient."""
    call.item(1)
    return _zeros(call.build, call.arg(0).type)


@lowering("Scale", domain=DOMAIN)
def scale_(call: Call) -> Value:
    """x times a scalar, or divided by it."""
    down = call.flag("scale_down", False)
    x, by = call.arg(0), call.arg(1)
    by = call.build.reshape(by, (), "scalar")
    return call.build.map(lambda v, s: v / s.cast_like(v) if down else v * s.cast_like(v), x, by)


@lowering("ScaledSum", domain=DOMAIN)
def scaled_sum(call: Call) -> Value:
    """The sum of two or three inputs, each times its number."""
    values = call.args()
    scales = [call.number(f"scale_{number}", 1.0) for number in range(len(values))]

    def body(*terms: Term) -> Term:
        parts = [term * scale for term, scale in zip(terms, scales, strict=True)]
        return sum(parts[1:], parts[0])

    return call.build.map(body, *values)


@lowering("BatchScale", domain=DOMAIN)
def batch_scale(call: Call) -> list[Value]:
    """The input times each of two or three numbers."""
    x = call.arg(0)
    scales = [call.number(f"scale{number}", 1.0) for number in range(len(call.node.outputs))]
    return [
        call.build.map(lambda v, s=scale: v * s, x, hint=f"scaled{number}")
        for number, scale in enumerate(scales)
    ]


@lowering("ConcatTraining", domain=DOMAIN)
def concat_training(call: Call) -> list[Value]:
    """Inputs joined along an axis, and how long each is."""
    values = call.args()
    axis = normal_axis(call.integer("axis", 0), values[0].rank)
    lengths = np.array([value.shape[axis] for value in values])
    return [
        call.build.concat(values, axis),
        call.build.constant(lengths, DType.I32, "lengths"),
    ]


@lowering("SplitTraining", domain=DOMAIN, sizes={1: "the sizes of the parts"})
def split_training(call: Call) -> list[Item]:
    """Parts of one dimension."""
    attributes = [ir.AttrInt64("axis", call.integer("axis", 0))]
    return call.node_of("Split", [call.item(0), call.item(1)], attributes, len(call.node.outputs))


@lowering("ReduceSumTraining", domain=DOMAIN, sizes={1: "the axes of the sum"})
def reduce_sum_training(call: Call) -> Item:
    """Sums over axes."""
    (total,) = call.node_of("ReduceSum", [call.item(0), call.item(1)], call.all_attributes())
    return total


@lowering(
    "BroadcastGradientArgs",
    domain=DOMAIN,
    sizes={0: "the shape of one operand", 1: "the shape of the other operand"},
)
def broadcast_gradient_args(call: Call) -> list[Value]:
    """The axes over which the gradient of each of two operands that were broadcast is summed."""
    shapes = [call.static_ints(number, "the shape of an operand") for number in range(2)]
    rank = max(map(len, shapes))
    wide = [[1] * (rank - len(shape)) + shape for shape in shapes]
    found: list[Value] = []
    for number, name in enumerate("ab"):
        own, other = wide[number], wide[1 - number]
        missing = rank - len(shapes[number])
        axes = [
            axis
            for axis in reversed(range(rank))
            if axis < missing or (own[axis] == 1 and other[axis] != 1)
        ]
        found.append(call.build.constant(np.array(axes, np.int64), DType.I32, f"{name}_axes"))
    return found
