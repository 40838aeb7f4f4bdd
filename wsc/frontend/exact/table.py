"""Which operators compute doubles exactly, and how (ADR 17). All others are refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import onnx_ir as ir

from wsc.frontend.constant import values_of
from wsc.frontend.exact import arithmetic
from wsc.frontend.exact.arithmetic import Binary
from wsc.frontend.exact.casts import cast
from wsc.frontend.exact.item import (
    Double,
    high_words,
    low_words,
    mapped,
    of_array,
    on_words,
    paired,
)
from wsc.frontend.registry import Call, Function, Item, Result, Unsupported, normal_axis, require
from wsc.ir import doubles
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.check import broadcast
from wsc.ir.pairs import Pair, Word
from wsc.isa.asked import option

Rule = Callable[[Call, Function], Result]
Unary = Callable[[GraphBuilder, Double], Double]
Join = tuple[Binary, float, float]  # with what changes nothing, and what stands for no element

# Before it elementwise operators do not broadcast as NumPy does.
_LIKE_NUMPY = 7
_SUM: Join = (arithmetic.add, -0.0, 0.0)
_PRODUCT: Join = (arithmetic.multiply, 1.0, 1.0)
_LARGEST: Join = (arithmetic.larger, -math.inf, -math.inf)
_SMALLEST: Join = (arithmetic.smaller, math.inf, math.inf)


def concerns(node: ir.Node, items: Sequence[Item | None]) -> bool:
    """Whether a node takes or gives doubles."""
    if any(isinstance(item, Double) for item in items):
        return True
    kinds = {value.dtype for value in (*node.inputs, *node.outputs) if value is not None}
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.TENSOR:
            kinds.add(attribute.as_tensor().dtype)
    return ir.DataType.DOUBLE in kinds


def lowered(call: Call, lower: Function) -> Result:
    """What a node that takes or gives doubles becomes. Raises Unsupported if it has no rule.

    lower: the operator's ordinary lowering, for words.
    """
    node = call.node
    rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        raise Unsupported(
            "it takes or gives float64, which it cannot compute exactly: cast to float32 in front "
            f"of it, or compile without {option('f64', 'exact')}"
        )
    return rule(call, lower)


def _double(call: Call, index: int) -> Double:
    item = call.item(index)
    if not isinstance(item, Double):
        raise Unsupported(f"input {index} is not float64")
    return item


def _all(call: Call) -> list[Double]:
    require(call.opset >= _LIKE_NUMPY, f"float64 in opset {call.opset} (exact from opset 7 on)")
    there = [i for i, value in enumerate(call.node.inputs) if value is not None]
    require(bool(there), "no inputs")
    return [_double(call, i) for i in there]


# --- elementwise ----------------------------------------------------------------------


def _folded(row: Binary) -> Rule:
    """Operators that join two or more operands in turn."""

    def rule(call: Call, lower: Function) -> Result:
        return reduce(lambda a, b: row(call.build, a, b), _all(call))

    return rule


def _unary(row: Unary) -> Rule:
    return lambda call, lower: row(call.build, _double(call, 0))


def _mapped(body: Callable[[Pair], Pair]) -> Rule:
    return _unary(lambda build, x: paired(build, body, x))


def _flags(body: Callable[..., Word]) -> Rule:
    return lambda call, lower: mapped(call.build, body, *_all(call), hint="flags")


def _infinite(call: Call, lower: Function) -> Result:
    negative = call.flag("detect_negative", True)
    positive = call.flag("detect_positive", True)

    def body(a: Pair) -> Word:
        below = a.high.shru(31)
        wanted = below.choose(int(negative), int(positive))
        return doubles.is_infinite(a) & wanted

    return mapped(call.build, body, _double(call, 0), hint="infinite")


def _reciprocal(build: GraphBuilder, x: Double) -> Double:
    return arithmetic.divide(build, arithmetic.number(build, 1.0), x)


def _relu(build: GraphBuilder, x: Double) -> Double:
    return arithmetic.larger(build, x, arithmetic.number(build, 0.0))


def _mean(call: Call, lower: Function) -> Result:
    operands = _all(call)
    total = reduce(lambda a, b: arithmetic.add(call.build, a, b), operands)
    return arithmetic.divide(call.build, total, arithmetic.number(call.build, len(operands)))


def _clip(call: Call, lower: Function) -> Result:
    require(call.opset >= 11, f"float64 in opset {call.opset} (exact from opset 11 on)")
    x = _double(call, 0)
    if call.has(1):
        x = arithmetic.larger(call.build, x, _double(call, 1))
    return arithmetic.smaller(call.build, x, _double(call, 2)) if call.has(2) else x


def _power(call: Call, lower: Function) -> Result:
    """Squares and roots: other powers are not rounded correctly by anyone."""
    exponent = call.maybe_static(1)
    known = None if exponent is None or exponent.size != 1 else float(exponent.reshape(()))
    x = _double(call, 0)
    require(known in (1.0, 2.0), "float64 to a power other than the constants 1 and 2")
    assert exponent is not None
    shape = broadcast([x.shape, exponent.shape])
    x = on_words(x, lambda word: call.build.expand(word, shape))
    return x if known == 1 else arithmetic.multiply(call.build, x, x)


def _where(call: Call, lower: Function) -> Result:
    require(call.onnx_type(0) is ir.DataType.BOOL, "a condition that is not bool")

    def chosen(flag: Word, a: Pair, b: Pair) -> Pair:
        return Pair(flag.choose(a.high, b.high), flag.choose(a.low, b.low))

    return paired(call.build, chosen, call.arg(0), _double(call, 1), _double(call, 2))


# --- along axes -----------------------------------------------------------------------


def _reduced(join: Join, before: Unary | None = None, mean: bool = False) -> Rule:
    """Reductions: by halves, so that a sum of n elements is rounded log2(n) times."""

    def rule(call: Call, lower: Function) -> Result:
        build, x = call.build, _double(call, 0)
        keep, axes = call.flag("keepdims", True), call.axes(1, x.rank)
        noop = call.flag("noop_with_empty_axes", False)
        if before is not None:
            x = before(build, x)
        if not axes:
            axes = [] if noop else list(range(x.rank))
        return _over(build, x, axes, keep, join, mean)

    return rule


def _over(
    build: GraphBuilder, x: Double, axes: Sequence[int], keep: bool, join: Join, mean: bool
) -> Double:
    """A reduction over axes."""
    row, neutral, empty = join
    rest = [i for i in range(x.rank) if i not in axes]
    count = math.prod(x.shape[i] for i in axes)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
    sizes = tuple(x.shape[i] for i in rest)

    def flat(word: Value) -> Value:
        turned = build.transpose(word, (*axes, *rest), "turned")
        return build.reshape(turned, (count, *sizes), "flat")

    total = arithmetic.joined(build, on_words(x, flat), 0, row, neutral, empty)
    total = on_words(total, lambda word: build.reshape(word, tuple(shape), "result"))
    if mean:
        total = arithmetic.divide(build, total, arithmetic.number(build, count))
    return total


def _cumsum(call: Call, lower: Function) -> Result:
    x = _double(call, 0)
    axis = normal_axis(int(call.static(1, "the axis").reshape(()).item()), x.rank)
    exclusive, reverse = call.flag("exclusive", False), call.flag("reverse", False)
    return arithmetic.running(call.build, x, axis, exclusive, reverse)


# --- products of matrices -------------------------------------------------------------


def _matmul(build: GraphBuilder, a: Double, b: Double) -> Double:
    """NumPy's matmul: all products, and their sums by halves."""
    require(a.rank > 0 and b.rank > 0, "a matrix product of a scalar")
    rows = () if a.rank == 1 else (a.shape[-2],)
    columns = () if b.rank == 1 else (b.shape[-1],)
    depth, other = a.shape[-1], b.shape[-2] if b.rank > 1 else b.shape[-1]
    require(depth == other, f"a matrix product over {depth} and {other} elements")
    batch = broadcast([a.shape[:-2], b.shape[:-2]])
    left = (*a.shape[:-2], *(rows or (1,)), depth, 1)
    right = (*b.shape[:-2], 1, depth, *(columns or (1,)))
    one = on_words(a, lambda word: build.reshape(word, left, "a"))
    two = on_words(b, lambda word: build.reshape(word, right, "b"))
    products = arithmetic.multiply(build, one, two)
    total = arithmetic.joined(build, products, products.rank - 2, *_SUM)
    return on_words(total, lambda word: build.reshape(word, (*batch, *rows, *columns), "result"))


def _matmul_rule(call: Call, lower: Function) -> Result:
    return _matmul(call.build, _double(call, 0), _double(call, 1))


def _gemm(call: Call, lower: Function) -> Result:
    require(call.opset >= _LIKE_NUMPY, f"float64 in opset {call.opset} (exact from opset 7 on)")
    build = call.build
    operands: list[Double] = []
    for index, name in enumerate(("transA", "transB")):
        x = _double(call, index)
        require(x.rank == 2, f"a matrix of rank {x.rank}")
        flip = call.flag(name, False)
        operands.append(
            on_words(x, lambda word: build.transpose(word, (1, 0), "flip")) if flip else x
        )
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    result = _scaled(build, _matmul(build, *operands), alpha)
    if not call.has(2):
        return result
    return arithmetic.add(build, result, _scaled(build, _double(call, 2), beta))


def _scaled(build: GraphBuilder, x: Double, factor: float) -> Double:
    if factor == 1:
        return x
    return arithmetic.multiply(build, x, arithmetic.number(build, factor))


# --- movement -------------------------------------------------------------------------


def _moved(*data: int) -> Rule:
    """Operators that move elements: each word for itself. data: the inputs that are moved."""

    def rule(call: Call, lower: Function) -> Result:
        there = [i for i in (data or range(len(call))) if call.has(i)]
        items = {i: _double(call, i) for i in there}
        parts: list[Sequence[Item | None]] = []
        for name, words in (("high", high_words), ("low", low_words)):
            shown = {i: getattr(item, name) for i, item in items.items()}
            result = lower(call.showing(shown, words))
            parts.append([result] if isinstance(result, Item) else list(result))
        return [_joined(high, low) for high, low in zip(*parts, strict=True)]

    return rule


def _joined(high: Item | None, low: Item | None) -> Double:
    assert isinstance(high, Value)
    assert isinstance(low, Value)
    return Double(high, low)


def _scattered(call: Call, lower: Function) -> Result:
    """Scatters that put elements in their places and do not join them."""
    how = call.text("reduction", "none")
    require(how == "none", f"reduction {how!r} of float64")
    return _moved(0, 2)(call, lower)


def _seen(call: Call, lower: Function) -> Result:
    """Operators that look at the shape of their input alone."""
    return lower(call.showing({0: _double(call, 0).low}))


def _same(call: Call, lower: Function) -> Result:
    return _double(call, 0)


def _chosen(call: Call, lower: Function) -> Result:
    """``If``: its branches are lowered node by node."""
    return lower(call)


def _constant(call: Call, lower: Function) -> Result:
    return of_array(call.build, values_of(call), "value")


RULES: dict[str, Rule] = {
    "Add": _folded(arithmetic.add),
    "Sub": _folded(arithmetic.subtract),
    "Mul": _folded(arithmetic.multiply),
    "Div": _folded(arithmetic.divide),
    "Sum": _folded(arithmetic.add),
    "Max": _folded(arithmetic.larger),
    "Min": _folded(arithmetic.smaller),
    "Mean": _mean,
    "Neg": _mapped(doubles.negative),
    "Abs": _mapped(doubles.magnitude),
    "Sign": _mapped(doubles.sign),
    "Sqrt": _unary(arithmetic.root),
    "Reciprocal": _unary(_reciprocal),
    "Relu": _unary(_relu),
    "Clip": _clip,
    "Pow": _power,
    "Where": _where,
    "Equal": _flags(doubles.equal),
    "Less": _flags(doubles.less),
    "LessOrEqual": _flags(doubles.at_most),
    "Greater": _flags(lambda a, b: doubles.less(b, a)),
    "GreaterOrEqual": _flags(lambda a, b: doubles.at_most(b, a)),
    "IsNaN": _flags(doubles.is_nan),
    "IsInf": _infinite,
    "Cast": cast,
    "CastLike": cast,
    "ReduceSum": _reduced(_SUM),
    "ReduceMean": _reduced(_SUM, mean=True),
    "ReduceProd": _reduced(_PRODUCT),
    "ReduceMax": _reduced(_LARGEST),
    "ReduceMin": _reduced(_SMALLEST),
    "ReduceL1": _reduced(_SUM, lambda build, x: paired(build, doubles.magnitude, x)),
    "ReduceSumSquare": _reduced(_SUM, lambda build, x: arithmetic.multiply(build, x, x)),
    "CumSum": _cumsum,
    "MatMul": _matmul_rule,
    "Gemm": _gemm,
    "Constant": _constant,
    "If": _chosen,
    "Identity": _same,
    "Concat": _moved(),
    "Pad": _moved(0, 2),
    "ScatterElements": _scattered,
    "ScatterND": _scattered,
    **dict.fromkeys(
        (
            "DepthToSpace",
            "Expand",
            "Flatten",
            "Gather",
            "GatherElements",
            "GatherND",
            "Reshape",
            "Slice",
            "SpaceToDepth",
            "Split",
            "Squeeze",
            "Tile",
            "Transpose",
            "Unsqueeze",
        ),
        _moved(0),
    ),
    **dict.fromkeys(("Shape", "Size"), _seen),
}
