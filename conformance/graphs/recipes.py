"""How nodes of each operator are drawn: one recipe an operator, or one for operators alike.

A recipe takes a draft and the name of the operator, picks operands that suit, and adds a node.
``RECIPES`` says since which opset the operator takes what its recipe gives it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.graphs.draft import B8, BOOL, F32, FLOATS, I64, WHOLE, Draft, Refused, Value

NUMBERS = (*FLOATS, *WHOLE)
SMALL = 1e-3  # of what is divided by
NARROW = (np.dtype(np.int8), np.dtype(np.uint8))


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to add a node. since, until: the opsets for which it is right."""

    operator: str
    draw: Callable[[Draft, str], object]
    since: int = 7
    until: int = 99


RECIPES: list[Recipe] = []

_Draw = Callable[[Draft, str], object]


def recipe(*operators: str, since: int = 7, until: int = 99) -> Callable[[_Draw], _Draw]:
    """Register a function for some operators and opsets."""

    def register(function: _Draw) -> _Draw:
        RECIPES.extend(Recipe(name, function, since, until) for name in operators)
        return function

    return register


# --- elementwise ---------------------------------------------------------------------


@recipe(
    "Abs", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Sigmoid", "Tanh", "Softplus", "Softsign",
    "Relu", "Elu", "Selu", "LeakyRelu", "HardSigmoid", "Sin", "Cos", "Tan", "Atan", "Asin", "Acos",
)  # fmt: skip
@recipe("Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Erf", since=9)
@recipe("Celu", since=12)
@recipe("HardSwish", since=14)
@recipe("Mish", since=18)
@recipe("Gelu", since=20)
def unary(draft: Draft, op: str) -> object:
    """A function of one float."""
    return draft.add(op, [draft.pick(FLOATS)])


@recipe("Abs", "Neg")
@recipe("Sign", since=9)
def unary_whole(draft: Draft, op: str) -> object:
    """A function of one integer."""
    return draft.add(op, [draft.pick(WHOLE)])


@recipe("Floor", "Ceil")
@recipe("Round", since=11)
@recipe("Sign", since=9)
@recipe("Shrink", since=9)
@recipe("ThresholdedRelu", since=10)
def step(draft: Draft, op: str) -> object:
    """A function with steps, of a float that is exact."""
    return draft.add(op, [draft.pick(FLOATS, exact=True)], exact=True)


@recipe("IsNaN", since=9)
@recipe("IsInf", since=10)
def kind(draft: Draft, op: str) -> object:
    """What sort of float it is."""
    return draft.add(op, [draft.pick(FLOATS, exact=True)])


@recipe("Not")
def invert(draft: Draft, op: str) -> object:
    """Of a truth value."""
    return draft.add(op, [draft.pick(BOOL)])


@recipe("Add", "Sub", "Mul")
def binary(draft: Draft, op: str) -> object:
    """Arithmetic of two numbers that broadcast, in either order."""
    left = draft.pick(NUMBERS)
    pair = [left, draft.partner(left)]
    draft.rng.shuffle(pair)
    return draft.add(op, pair)


@recipe("Div")
def divide(draft: Draft, op: str) -> object:
    """A division; integers by constants that are not zero."""
    left = draft.pick(NUMBERS)
    if left.dtype.kind == "f":
        right = draft.partner(left)
        if not np.all(np.abs(right.array) > SMALL):
            raise Refused("the sign of a zero, or of what is nearly one")
        return draft.add(op, [left, right])
    by = draft.rng.choice((1, 2, 3, -1, -2, 7))
    return draft.add(op, [left, draft.given(np.full((), by, left.dtype))])


@recipe("Mod", since=10)
def modulo(draft: Draft, op: str) -> object:
    """A remainder of integers, or of exact floats with ``fmod``."""
    if draft.rng.random() < 0.5:
        left = draft.pick(WHOLE)
        by = draft.rng.choice((1, 2, 3, 5, -3))
        right = draft.given(np.full((), by, left.dtype))
        return draft.add(op, [left, right], fmod=draft.rng.randrange(2))
    left = draft.pick(FLOATS, exact=True)
    right = draft.given(np.full((), draft.rng.choice((0.5, 2.0, -1.5)), np.float32))
    return draft.add(op, [left, right], fmod=1, exact=True)


@recipe("Pow")
def power(draft: Draft, op: str) -> object:
    """A power with a small exponent."""
    base = draft.pick(FLOATS)
    exponent = draft.rng.choice((0.0, 0.5, 1.0, 2.0, 3.0, -1.0, -2.0))
    return draft.add(op, [base, draft.given(np.full((), exponent, np.float32))])


@recipe("Min", "Max", "Sum", "Mean")
def variadic(draft: Draft, op: str) -> object:
    """Of one to four floats that broadcast."""
    first = draft.pick(FLOATS)
    others = [draft.partner(first) for _ in range(draft.rng.randrange(4))]
    return draft.add(op, [first, *others])


@recipe("Min", "Max", since=12)
def extreme_whole(draft: Draft, op: str) -> object:
    """Of two integers."""
    first = draft.pick(WHOLE)
    return draft.add(op, [first, draft.partner(first)])


@recipe("And", "Or", "Xor")
def logical(draft: Draft, op: str) -> object:
    """Of two truth values."""
    left = draft.pick(BOOL)
    return draft.add(op, [left, draft.partner(left)])


@recipe("Less", "Greater", since=9)
@recipe("LessOrEqual", "GreaterOrEqual", since=12)
@recipe("Equal", since=11)
def compare(draft: Draft, op: str) -> object:
    """Of two exact numbers."""
    left = draft.pick(NUMBERS, exact=True)
    right = draft.partner(left)
    if not right.exact:
        raise Refused("not exact")
    return draft.add(op, [left, right])


@recipe("BitShift", since=11)
def shift(draft: Draft, op: str) -> object:
    """Of unsigned bytes."""
    left = draft.given(draft.draw(np.dtype(np.uint8), draft.shape()), None)
    right = draft.given(draft.draw(np.dtype(np.uint8), left.shape), None)
    return draft.add(op, [left, right], direction=draft.rng.choice(("LEFT", "RIGHT")))


@recipe("BitwiseAnd", "BitwiseOr", "BitwiseXor", since=18)
def bitwise(draft: Draft, op: str) -> object:
    """Of two integers."""
    left = draft.pick(WHOLE)
    return draft.add(op, [left, draft.partner(left)])


@recipe("BitwiseNot", since=18)
def bitwise_not(draft: Draft, op: str) -> object:
    """Of an integer."""
    return draft.add(op, [draft.pick(WHOLE)])


@recipe("Where", since=9)
def where(draft: Draft, op: str) -> object:
    """A choice between two numbers."""
    left = draft.pick((*NUMBERS, *BOOL))
    right, chosen = draft.partner(left), draft.partner(Value("", np.zeros(left.shape, B8)))
    return draft.move(op, [chosen, left, right])


@recipe("Clip", since=11)
def clip(draft: Draft, op: str) -> object:
    """Between bounds, one of which may be missing."""
    value = draft.pick(FLOATS, wanted=lambda value: bool(np.isfinite(value.array).all()))
    low, high = (draft.given(np.full((), bound, np.float32)) for bound in (-0.75, 1.25))
    bounds = draft.rng.choice(((low, high), (low,), (None, high), ()))
    return draft.move(op, [value, *bounds])


@recipe("Clip", until=10)
def clip_by_attributes(draft: Draft, op: str) -> object:
    """Between bounds that are attributes."""
    return draft.move(op, [draft.pick(FLOATS)], min=-0.5, max=1.5)


@recipe("PRelu", since=9)
def prelu(draft: Draft, op: str) -> object:
    """A slope for what is negative."""
    value = draft.pick(FLOATS)
    slope = [size if draft.rng.random() < 0.5 else 1 for size in value.shape]
    return draft.add(op, [value, draft.fresh(F32, slope)])


@recipe("Cast", since=9)
def cast(draft: Draft, op: str) -> object:
    """To another type; floats to integers only where they are exact, finite and small."""
    import onnx

    value = draft.pick((*NUMBERS, *BOOL), exact=True)
    if value.dtype.kind == "f" and not np.all(np.abs(value.array) < 100):
        raise Refused("out of range")
    to = draft.rng.choice(("FLOAT", "FLOAT", "INT32", "INT64", "BOOL"))
    return draft.add(op, [value], to=getattr(onnx.TensorProto, to), exact=True)


# --- movement ------------------------------------------------------------------------

ANY = (*NUMBERS, *BOOL)


@recipe("Identity")
@recipe("Dropout", until=11)
def same(draft: Draft, op: str) -> object:
    """The value itself."""
    return draft.move(op, [draft.pick(FLOATS)])


@recipe("Transpose")
def transpose(draft: Draft, op: str) -> object:
    """Dimensions in another order, or reversed where none is given."""
    value = draft.pick(ANY)
    order = list(range(value.rank))
    draft.rng.shuffle(order)
    if value.rank == 0 or draft.rng.random() < 0.2:
        return draft.move(op, [value])
    return draft.move(op, [value], perm=order)


@recipe("Reshape")
def reshape(draft: Draft, op: str) -> object:
    """The same elements in another shape, with -1 and 0 at times."""
    value = draft.pick(ANY, wanted=lambda value: value.array.size <= 512)
    left, shape = value.array.size, []
    while left > 1 and len(shape) < 4:
        size = draft.rng.choice([n for n in range(1, left + 1) if left % n == 0])
        shape.append(size)
        left //= size
    shape.append(left)
    if draft.rng.random() < 0.4:
        shape[draft.rng.randrange(len(shape))] = -1
    elif value.rank and len(shape) and shape[0] == value.shape[0]:
        shape[0] = 0
    return draft.move(op, [value, draft.ints(*shape)])


@recipe("Flatten", since=9)
def flatten(draft: Draft, op: str) -> object:
    """Two dimensions."""
    value = draft.pick(FLOATS, least=1)
    return draft.move(op, [value], axis=draft.rng.randrange(value.rank + 1))


@recipe("Squeeze", "Unsqueeze", since=13)
def squeeze(draft: Draft, op: str) -> object:
    """Dimensions of one left out, or put in."""
    value = draft.pick(ANY)
    return draft.move(op, [value, draft.ints(*_squeezed(draft, op, value))])


@recipe("Squeeze", "Unsqueeze", until=12)
def squeeze_by_attribute(draft: Draft, op: str) -> object:
    """The same with axes as an attribute."""
    value = draft.pick(FLOATS)
    return draft.move(op, [value], axes=_squeezed(draft, op, value))


def _squeezed(draft: Draft, op: str, value: Value) -> list[int]:
    if op == "Unsqueeze":
        if value.rank > 3:
            raise Refused("rank")
        return [draft.rng.randrange(value.rank + 1)]
    ones = [axis for axis, size in enumerate(value.shape) if size == 1]
    if not ones:
        raise Refused("no dimension of one")
    return [draft.rng.choice(ones)]


@recipe("Concat")
def concat(draft: Draft, op: str) -> object:
    """Two or three values along an axis; sometimes the same one twice."""
    first = draft.pick(ANY, least=1)
    axis = draft.axis(first)
    parts = [first]
    for _ in range(draft.rng.randrange(1, 3)):
        shape = list(first.shape)
        shape[axis] = draft.rng.randrange(1, 4)
        parts.append(first if draft.rng.random() < 0.2 else draft.fresh(first.dtype, shape))
    return draft.move(op, parts, axis=axis)


@recipe("Split", since=13)
def split(draft: Draft, op: str) -> object:
    """Parts of an axis, as long as told."""
    value = draft.pick(ANY, least=1, wanted=lambda value: max(value.shape, default=0) > 1)
    axis = draft.axis(value)
    size = value.shape[axis]
    first = draft.rng.randrange(size + 1)
    return draft.add(op, [value, draft.ints(first, size - first)], 2, axis=axis, exact=value.exact)


@recipe("Slice", since=10)
def cut(draft: Draft, op: str) -> object:
    """A range of one or two axes, with steps of either sign and bounds beyond the ends."""
    value = draft.pick(ANY, least=1)
    axes = draft.rng.sample(range(value.rank), draft.rng.randrange(1, min(value.rank, 2) + 1))
    starts, ends, steps = [], [], []
    for axis in axes:
        size = value.shape[axis]
        step = draft.rng.choice((1, 1, 2, -1, -2))
        low, high = sorted((draft.rng.randrange(size + 1), draft.rng.randrange(size + 1)))
        high = draft.rng.choice((high, size, size + 5, 2**31 - 1, 2**63 - 1))
        starts.append(low if step > 0 else min(high, size + 3))
        ends.append(high if step > 0 else low - 1 if low else -size - 1)
        steps.append(step)
    given = [draft.ints(*numbers) for numbers in (starts, ends, axes, steps)]
    return draft.move(op, [value, *given])


@recipe("Pad", since=11)
def pad(draft: Draft, op: str) -> object:
    """Elements put around, or (negative widths) taken away."""
    value = draft.pick(FLOATS, least=1)
    mode = draft.rng.choice(("constant", "constant", "reflect", "edge"))
    least = -1 if mode == "constant" else 0
    widths = [
        draft.rng.randrange(least, min(3, size) if mode == "reflect" else 3)
        for size in value.shape * 2
    ]
    fill = draft.given(np.full((), 0.25, np.float32)) if mode == "constant" else None
    given = [value, draft.ints(*widths), *([fill] if fill else [])]
    return draft.move(op, given, mode=mode)


@recipe("Tile")
def tile(draft: Draft, op: str) -> object:
    """Repeated along its dimensions."""
    value = draft.pick(FLOATS, least=1, wanted=lambda value: value.array.size < 300)
    return draft.move(op, [value, draft.ints(*(draft.rng.randrange(1, 3) for _ in value.shape))])


@recipe("Expand", since=8)
def expand(draft: Draft, op: str) -> object:
    """Broadcast to a shape, of a higher rank at times."""
    value = draft.pick(FLOATS, most=3, wanted=lambda value: value.array.size < 300)
    shape = [size if size > 1 else draft.rng.randrange(1, 4) for size in value.shape]
    return draft.move(op, [value, draft.ints(*([2] * draft.rng.randrange(2)), *shape)])


@recipe("Gather")
def gather(draft: Draft, op: str) -> object:
    """Positions of an axis, constant or given when it runs, of either sign since opset 11."""
    value = draft.pick(ANY, least=1)
    axis = draft.axis(value)
    return draft.move(
        op, [value, _positions(draft, value.shape[axis], draft.shape(0, 2))], axis=axis
    )


@recipe("GatherElements", since=11)
def gather_elements(draft: Draft, op: str) -> object:
    """One element for each index."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.axis(value)
    shape = [draft.rng.randrange(1, size + 1) for size in value.shape]
    return draft.move(op, [value, _positions(draft, value.shape[axis], shape)], axis=axis)


@recipe("GatherND", since=11)
def gather_nd(draft: Draft, op: str) -> object:
    """Slices at index tuples."""
    value = draft.pick(FLOATS, least=1)
    depth, count = draft.rng.randrange(1, value.rank + 1), draft.rng.randrange(1, 5)
    columns = [
        np.array([draft.rng.randrange(-size, size) for _ in range(count)])
        for size in value.shape[:depth]
    ]
    return draft.move(op, [value, draft.given(np.stack(columns, -1).astype(np.int64), None)])


def _positions(draft: Draft, size: int, shape: tuple[int, ...] | list[int]) -> Value:
    least = -size if draft.opset >= 11 else 0
    numbers = [draft.rng.randrange(least, size) for _ in range(int(np.prod(shape)))]
    kind = draft.rng.choice((np.int64, np.int32))
    return draft.given(np.array(numbers, kind).reshape(shape), None)


@recipe("ScatterElements", since=11)
def scatter_elements(draft: Draft, op: str) -> object:
    """Distinct positions of an axis replaced."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.axis(value)
    shape = list(value.shape)
    shape[axis] = draft.rng.randrange(1, value.shape[axis] + 1)
    order = np.stack(
        [np.array(draft.rng.sample(range(value.shape[axis]), shape[axis]))]
        * (int(np.prod(shape)) // shape[axis]),
        -1,
    )
    rest = [size for place, size in enumerate(shape) if place != axis % value.rank]
    indices = np.moveaxis(order.reshape(shape[axis], *rest), 0, axis % value.rank)
    indices = np.ascontiguousarray(indices.astype(np.int64))
    return draft.move(op, [value, draft.given(indices, None), draft.fresh(F32, shape)], axis=axis)


@recipe("ScatterND", since=11)
def scatter_nd(draft: Draft, op: str) -> object:
    """Distinct rows replaced."""
    value = draft.pick(FLOATS, least=1)
    count = draft.rng.randrange(1, value.shape[0] + 1)
    rows = np.array(draft.rng.sample(range(value.shape[0]), count), np.int64).reshape(-1, 1)
    updates = draft.fresh(F32, (count, *value.shape[1:]))
    return draft.move(op, [value, draft.given(rows, None), updates])


@recipe("DepthToSpace", "SpaceToDepth")
def blocks(draft: Draft, op: str) -> object:
    """Blocks of channels and space."""
    shape = (draft.rng.randrange(1, 3), 8, 2, 3) if op == "DepthToSpace" else (1, 2, 4, 6)
    return draft.move(op, [draft.fresh(F32, shape)], blocksize=2)


@recipe("Trilu", since=14)
def trilu(draft: Draft, op: str) -> object:
    """A triangle."""
    value = draft.pick(FLOATS, least=2)
    offset = draft.given(np.array(draft.rng.randrange(-2, 3), np.int64))
    return draft.move(op, [value, offset], upper=draft.rng.randrange(2))


@recipe("Shape", "Size")
def shape_of(draft: Draft, op: str) -> object:
    """What is known of a value before it runs."""
    return draft.add(op, [draft.pick(FLOATS)], exact=True)


@recipe("OneHot", since=11)
def one_hot(draft: Draft, op: str) -> object:
    """A row of zeros and a one for each index."""
    indices = draft.pick((I64,), most=2)
    depth, values = draft.given(np.array(5, np.int64)), draft.given(np.array([0, 1], np.float32))
    return draft.move(op, [indices, depth, values], axis=-1)


@recipe("ReverseSequence", since=10)
def reverse_sequence(draft: Draft, op: str) -> object:
    """The first elements of each sequence in reverse."""
    value = draft.pick(FLOATS, least=2)
    lengths = [draft.rng.randrange(1, value.shape[0] + 1) for _ in range(value.shape[1])]
    given = draft.given(np.array(lengths, np.int64), None)
    return draft.move(op, [value, given], time_axis=0, batch_axis=1)


# --- reductions ----------------------------------------------------------------------

REDUCTIONS = (
    "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp",
    "ReduceLogSum", "ReduceMax", "ReduceMin",
)  # fmt: skip


@recipe(*REDUCTIONS, "ReduceSum", until=12)
@recipe(*REDUCTIONS, since=13, until=17)
def reduce_by_attribute(draft: Draft, op: str) -> object:
    """Over some axes, or all where none is given."""
    value = _numeric(draft.pick(FLOATS))
    axes = _axes(draft, value)
    given: dict[str, Any] = {"axes": axes} if axes else {}
    return draft.add(op, [value], keepdims=draft.rng.randrange(2), **given)


@recipe("ReduceSum", since=13)
@recipe(*REDUCTIONS, since=18)
def reduce(draft: Draft, op: str) -> object:
    """Over axes that are an input; without any over all, or none if an attribute says so."""
    value = _numeric(draft.pick(FLOATS if op != "ReduceSum" else NUMBERS))
    axes = _axes(draft, value)
    keep, noop = draft.rng.randrange(2), draft.rng.randrange(2)
    given = [value, draft.ints(*axes)] if axes else [value]
    return draft.add(op, given, keepdims=keep, noop_with_empty_axes=noop)


def _axes(draft: Draft, value: Value) -> list[int]:
    count = draft.rng.randrange(value.rank + 1)
    axes = draft.rng.sample(range(value.rank), count)
    negative = draft.opset >= 11 and draft.rng.random() < 0.3
    return [axis - value.rank if negative else axis for axis in axes]


@recipe("ArgMax", "ArgMin")
def arg(draft: Draft, op: str) -> object:
    """The place of an extreme, the first one or (since opset 12) the last."""
    value = draft.pick(FLOATS, least=1, exact=True)
    last: dict[str, Any] = (
        {"select_last_index": draft.rng.randrange(2)} if draft.opset >= 12 else {}
    )
    axis = draft.rng.randrange(value.rank)
    return draft.add(op, [value], axis=axis, keepdims=draft.rng.randrange(2), **last)


@recipe("TopK", since=11)
def top(draft: Draft, op: str) -> object:
    """The largest or smallest, in order."""
    value = draft.pick(FLOATS, least=1, exact=True)
    axis = draft.axis(value)
    count = draft.ints(draft.rng.randrange(1, value.shape[axis] + 1))
    return draft.add(op, [value, count], 2, axis=axis, largest=draft.rng.randrange(2), exact=True)


@recipe("CumSum", since=11)
def running(draft: Draft, op: str) -> object:
    """Running sums."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.given(np.array(draft.axis(value), np.int64))
    flags: dict[str, Any] = {"exclusive": draft.rng.randrange(2), "reverse": draft.rng.randrange(2)}
    return draft.add(op, [value, axis], **flags)


@recipe("Softmax", "LogSoftmax", "Hardmax", since=13)
def softmax(draft: Draft, op: str) -> object:
    """Along an axis."""
    value = draft.pick(FLOATS, least=1, exact=op == "Hardmax")
    return draft.add(op, [value], axis=draft.axis(value))


@recipe("Softmax", "LogSoftmax", "Hardmax", until=12)
def softmax_of_rows(draft: Draft, op: str) -> object:
    """Over all that is behind an axis, as older opsets had it."""
    value = draft.pick(FLOATS, least=1, exact=op == "Hardmax")
    return draft.add(op, [value], axis=draft.rng.randrange(value.rank))


# --- normalisations, products, windows -------------------------------------------------


def _image(draft: Draft) -> Value:
    def wanted(value: Value) -> bool:
        return value.rank == 4 and min(value.shape[2:]) >= 3

    if draft.rng.random() < 0.6:
        shape = (
            draft.rng.randrange(1, 3),
            draft.rng.choice((1, 2, 4)),
            5,
            draft.rng.choice((5, 6)),
        )
        return draft.fresh(F32, shape)
    return draft.pick(FLOATS, 4, 4, wanted=wanted)


@recipe("BatchNormalization", since=9)
def batch_norm(draft: Draft, op: str) -> object:
    """With constant or given moments."""
    value = draft.pick(FLOATS, least=2)
    size = (value.shape[1],)
    scale, shift, mean = (draft.fresh(F32, size) for _ in range(3))
    variance = draft.given(np.abs(draft.draw(F32, size)) + np.float32(0.5), None)
    return draft.add(op, [value, scale, shift, mean, variance], epsilon=1e-3)


@recipe("InstanceNormalization")
def instance_norm(draft: Draft, op: str) -> object:
    """Over space."""
    value = _tame(_image(draft))
    size = (value.shape[1],)
    return draft.add(op, [value, draft.fresh(F32, size), draft.fresh(F32, size)], epsilon=1e-2)


@recipe("LayerNormalization", since=17)
def layer_norm(draft: Draft, op: str) -> object:
    """Over the last axes."""
    value = draft.pick(FLOATS, least=1)
    axis = draft.rng.randrange(-value.rank, 0)
    scale = draft.fresh(F32, value.shape[axis:])
    return draft.add(op, [value, scale], axis=axis, epsilon=1e-2)


@recipe("LpNormalization")
def lp_norm(draft: Draft, op: str) -> object:
    """Divided by its length."""
    value = draft.pick(FLOATS, least=1)
    return draft.add(op, [value], axis=draft.axis(value), p=draft.rng.choice((1, 2)))


@recipe("LRN")
def local_response(draft: Draft, op: str) -> object:
    """Over neighbouring channels."""
    return draft.add(op, [_tame(_image(draft))], size=draft.rng.choice((1, 3)), alpha=0.1, bias=1.5)


@recipe("MatMul", since=9)
def matmul(draft: Draft, op: str) -> object:
    """Matrices, vectors, and batches of them."""
    left = draft.pick(FLOATS, least=1)
    inner = left.shape[-1]
    shape = draft.rng.choice(((inner, 3), (inner, 1), (inner,), (1, inner, 5)))
    return draft.add(op, [left, draft.fresh(F32, shape)])


@recipe("Gemm", since=11)
def gemm(draft: Draft, op: str) -> object:
    """alpha * a' b' + beta * c."""
    left = draft.pick(FLOATS, 2, 2)
    turn_a, turn_b = draft.rng.randrange(2), draft.rng.randrange(2)
    inner, outer = left.shape[0 if turn_a else 1], left.shape[1 if turn_a else 0]
    right = draft.fresh(F32, (4, inner) if turn_b else (inner, 4))
    bias = draft.rng.choice(((), (4,), (outer, 1), (outer, 4), None))
    given = [left, right, *([draft.fresh(F32, bias)] if bias is not None else [])]
    return draft.add(op, given, transA=turn_a, transB=turn_b, alpha=0.5, beta=1.5)


@recipe("Einsum", since=12)
def einsum(draft: Draft, op: str) -> object:
    """Sums over labels."""
    left = draft.pick(FLOATS, 2, 2)
    inner = left.shape[1]
    equation, shape = draft.rng.choice(
        (("ab,bc->ac", (inner, 3)), ("ab,cb->ca", (2, inner)), ("ab,b->a", (inner,)),
         ("ab,ab->b", left.shape), ("ab,ab->", left.shape), ("ab,cd->abcd", (2, 2)))
    )  # fmt: skip
    return draft.add(op, [left, draft.fresh(F32, shape)], equation=equation)


@recipe("Conv")
def convolution(draft: Draft, op: str) -> object:
    """With groups, strides, dilations and pads."""
    value = _tame(_image(draft))  # padding times an infinity is not a number
    channels = value.shape[1]
    group = draft.rng.choice([n for n in (1, 2, channels) if channels % n == 0])
    kernel = draft.rng.choice(((1, 1), (3, 3), (2, 3)))
    weight = _tame(
        draft.fresh(F32, (group * draft.rng.randrange(1, 3), channels // group, *kernel))
    )
    given = [value, weight]
    if draft.rng.random() < 0.5:
        given.append(draft.fresh(F32, weight.shape[:1]))
    pads = [draft.rng.randrange(2) for _ in range(4)]
    strides = [draft.rng.randrange(1, 3) for _ in range(2)]
    return draft.add(op, given, group=group, pads=pads, strides=strides)


@recipe("ConvTranspose")
def transposed_convolution(draft: Draft, op: str) -> object:
    """Zeros between the inputs."""
    value = _image(draft)
    weight = draft.fresh(F32, (value.shape[1], 2, 2, 3))
    _tame(value)
    _tame(weight)  # times a zero that is put in between it would be NaN
    strides = [draft.rng.randrange(1, 3) for _ in range(2)]
    return draft.add(op, [value, weight], strides=strides)


@recipe("MaxPool", "AveragePool", since=11)
def pool(draft: Draft, op: str) -> object:
    """Windows, that reach beyond the edge at times."""
    counted: dict[str, Any] = (
        {"count_include_pad": draft.rng.randrange(2)} if op == "AveragePool" else {}
    )
    return draft.add(
        op, [_numeric(_image(draft))], kernel_shape=[2, 3],
        pads=[draft.rng.randrange(2) for _ in range(4)],
        strides=[draft.rng.randrange(1, 3) for _ in range(2)],
        ceil_mode=draft.rng.randrange(2), **counted,
    )  # fmt: skip


@recipe("GlobalAveragePool", "GlobalMaxPool")
def global_pool(draft: Draft, op: str) -> object:
    """All space."""
    return draft.add(op, [_numeric(_image(draft))])


def _tame(value: Value) -> Value:
    """A value whose squares and sums are finite: what else comes out depends on their order."""
    if not value.tame:
        raise Refused("infinite or large")
    return value


def _numeric(value: Value) -> Value:
    if not value.numeric:
        raise Refused("NaN")
    return value


@recipe("LSTM", "GRU", "RNN")
def recurrent(draft: Draft, op: str) -> object:
    """A few steps, one way or both."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    both = draft.rng.random() < 0.3
    ways, hidden = 1 + both, draft.rng.choice((2, 3))
    value = _tame(draft.fresh(F32, (draft.rng.randrange(1, 4), draft.rng.randrange(1, 3), 4)))
    weights = _tame(draft.fresh(F32, (ways, gates * hidden, 4), constant=True))
    again = _tame(draft.fresh(F32, (ways, gates * hidden, hidden), constant=True))
    direction = "bidirectional" if both else draft.rng.choice(("forward", "reverse"))
    return draft.add(op, [value, weights, again], 2, hidden_size=hidden, direction=direction)


@recipe("QuantizeLinear", since=13)
def quantize(draft: Draft, op: str) -> object:
    """To bytes, of a float that is exact, and back."""
    value = draft.pick(
        FLOATS, exact=True, wanted=lambda value: bool(np.isfinite(value.array).all())
    )
    scale = draft.given(np.full((), 0.25, np.float32))
    zero = draft.given(np.full((), 3, draft.rng.choice(NARROW)))
    made = draft.add(op, [value, scale, zero], exact=True)[0]
    return draft.add("DequantizeLinear", [made, scale, zero], exact=True)
