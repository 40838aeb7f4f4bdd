"""Functions of each element."""

from __future__ import annotations

import numpy as np

from conformance.graphs.draft import B8, BOOL, F32, FLOATS, WHOLE, Draft, Value
from conformance.graphs.evaluate import Refused
from conformance.graphs.recipes.registry import NUMBERS, recipe

SMALL = 1e-3  # of what is divided by


@recipe(
    "Abs",
    "Neg",
    "Exp",
    "Log",
    "Sqrt",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "Relu",
    "Elu",
    "Selu",
    "LeakyRelu",
    "HardSigmoid",
    "Sin",
    "Cos",
    "Tan",
    "Atan",
    "Asin",
    "Acos",
)
@recipe("Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Erf", since=9)
@recipe("Celu", since=12)
@recipe("HardSwish", since=14)
@recipe("Mish", since=18)
@recipe("Gelu", since=20)
def unary(draft: Draft, op: str) -> object:
    """A function of one float."""
    return draft.add(op, [draft.pick(FLOATS)])


@recipe("Reciprocal")
def reciprocal(draft: Draft, op: str) -> object:
    """1 over a float; of a zero, or of what is nearly one, its sign would decide."""
    return draft.add(op, [_divisor(draft.pick(FLOATS))])


def _divisor(value: Value) -> Value:
    if not np.all(np.abs(value.array) > SMALL):
        raise Refused("the sign of a zero, or of what is nearly one")
    return value


@recipe("Swish", since=24)
def with_alpha(draft: Draft, op: str) -> object:
    """A function of one float with a parameter."""
    return draft.add(op, [draft.pick(FLOATS)], alpha=draft.rng.choice((0.5, 1.0, 1.5)))


@recipe("SwiGLU", since=28)
def gated(draft: Draft, op: str) -> object:
    """One float times a function of another."""
    value = draft.pick(FLOATS)
    return draft.add(op, [value, draft.fresh(F32, value.shape)])


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
        return draft.add(op, [left, _divisor(draft.partner(left))])
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
    exponent = draft.rng.choice((0.0, 0.5, 1.0, 2.0, 3.0, -1.0, -2.0))
    base = draft.pick(FLOATS)
    if exponent < 0:
        _divisor(base)
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


@recipe("CastLike", since=15)
def cast_like(draft: Draft, op: str) -> object:
    """To the type of another value."""
    value, like = draft.pick((*NUMBERS, *BOOL), exact=True), draft.pick(NUMBERS)
    if value.dtype.kind == "f" and not np.all(np.abs(value.array) < 100):
        raise Refused("out of range")
    return draft.add(op, [value, like], exact=True)


@recipe("BitCast", since=26)
def bit_cast(draft: Draft, op: str) -> object:
    """The bits of a float as an integer, and back."""
    import onnx

    bits = draft.add(op, [draft.pick(FLOATS, exact=True)], to=onnx.TensorProto.INT32, exact=True)[0]
    return draft.add(op, [bits], to=onnx.TensorProto.FLOAT, exact=True)
