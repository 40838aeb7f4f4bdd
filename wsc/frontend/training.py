"""Operators of training: steps of optimisers, and what is dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from wsc.frontend.reduce import iota
from wsc.frontend.registry import Call, Item, Many, lowering, require
from wsc.frontend.sequence import sequence
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Type
from wsc.ir.terms import Term
from wsc.isa.types import DType

DOMAIN = "ai.onnx.preview.training"
MICROSOFT = "com.microsoft"
OURS = "wsc.training"  # the domain of nodes that ``wsc.training`` puts in the place of others
SEED = "dropout.seed"  # the input that each run of a step gets
# Outputs of AdamWOptimizer, behind the flag.
_OF_ADAMW = ("updated_weights", "updated_momentums_1", "updated_momentums_2")
Step = Callable[[Value, Value, Sequence[Value]], Sequence[Value]]


def _each(call: Call, states: int, step: Step) -> list[Value]:
    """A step for each tensor. Inputs are rate, count, all tensors, all gradients, all states.

    step: (rate and count aside) tensor, gradient, its states -> new tensor, new states.
    """
    kinds = 2 + states
    count, rest = divmod(len(call) - 2, kinds)
    require(count > 0 and not rest, f"{len(call)} inputs")
    groups = [[call.arg(2 + kind * count + i) for kind in range(kinds)] for i in range(count)]
    results = [step(group[0], group[1], group[2:]) for group in groups]
    return [result[kind] for kind in range(1 + states) for result in results]


def _rate_and_count(call: Call) -> tuple[Value, Value]:
    """The learning rate, and how many steps there were before, as scalars."""
    rate, count = (call.build.reshape(call.arg(index), ()) for index in range(2))
    return rate, call.build.map(lambda t, r: t.cast(r.dtype), count, rate, hint="count")


def _regularized(call: Call, x: Value, gradient: Value) -> Value:
    norm = call.number("norm_coefficient", 0.0)
    if not norm:
        return gradient
    return call.build.map(lambda v, g: v * norm + g, x, gradient, hint="gradient")


@lowering("Adagrad", domain=DOMAIN)
def adagrad(call: Call) -> list[Value]:
    """One step of stochastic gradient descent, scaled by the squares of all gradients so far."""
    build, (rate, count) = call.build, _rate_and_count(call)
    decay, epsilon = call.number("decay_factor", 0.0), call.number("epsilon", 1e-6)
    rate = build.map(lambda r, t: r / (t * decay + 1), rate, count, hint="rate")

    def step(x: Value, gradient: Value, states: Sequence[Value]) -> Sequence[Value]:
        gradient = _regularized(call, x, gradient)
        squares = build.map(lambda h, g: h + g * g, states[0], gradient, hint="squares")

        def body(v: Term, r: Term, g: Term, h: Term) -> Term:
            return v - r * g / (h.sqrt() + epsilon)

        return build.map(body, x, rate, gradient, squares, hint="new"), squares

    return _each(call, 1, step)


@lowering("Momentum", domain=DOMAIN)
def momentum(call: Call) -> list[Value]:
    """One step of gradient descent with momentum, plain or Nesterov's."""
    build, (rate, count) = call.build, _rate_and_count(call)
    alpha, beta = call.number("alpha", 0.0), call.number("beta", 0.0)
    mode = call.text("mode", "standard")
    require(mode in ("standard", "nesterov"), f"mode {mode!r}")
    # The first step takes the whole gradient.
    weight = build.map(lambda t: (t > 0).select_literals(t.dtype, beta, 1.0), count, hint="beta")

    def step(x: Value, gradient: Value, states: Sequence[Value]) -> Sequence[Value]:
        gradient = _regularized(call, x, gradient)
        speed = build.map(
            lambda v, b, g: v * alpha + b * g, states[0], weight, gradient, hint="speed"
        )
        if mode == "standard":
            return build.map(lambda a, r, v: a - r * v, x, rate, speed, hint="new"), speed

        def ahead(a: Term, r: Term, g: Term, v: Term) -> Term:
            return a - r * (g + v * alpha)

        return build.map(ahead, x, rate, gradient, speed, hint="new"), speed

    return _each(call, 1, step)


def _moments(
    build: GraphBuilder, states: Sequence[Value], gradient: Value, alpha: float, beta: float
) -> tuple[Value, Value]:
    """The averages of the gradients and of their squares, with this one."""
    first = build.map(lambda v, g: v * alpha + g * (1 - alpha), states[0], gradient, hint="first")
    second = build.map(
        lambda h, g: h * beta + g * g * (1 - beta), states[1], gradient, hint="second"
    )
    return first, second


@lowering("Adam", domain=DOMAIN)
def adam(call: Call) -> list[Value]:
    """One step of Adam: both moments of the gradient, their bias corrected."""
    build, (rate, count) = call.build, _rate_and_count(call)
    alpha, beta = call.number("alpha", 0.9), call.number("beta", 0.999)
    epsilon, after = call.number("epsilon", 1e-6), call.number("norm_coefficient_post", 0.0)

    def corrected(r: Term, t: Term) -> Term:
        later = r * (1 - t.rop("pow", beta)).sqrt() / (1 - t.rop("pow", alpha))
        return (t > 0).select(later, r)

    rate = build.map(corrected, rate, count, hint="rate")

    def step(x: Value, gradient: Value, states: Sequence[Value]) -> Sequence[Value]:
        gradient = _regularized(call, x, gradient)
        first, second = _moments(build, states, gradient, alpha, beta)

        def body(a: Term, r: Term, v: Term, h: Term) -> Term:
            new = a - r * (v / (h.sqrt() + epsilon))
            return new * (1 - after) if after else new

        return build.map(body, x, rate, first, second, hint="new"), first, second

    return _each(call, 2, step)


@lowering("AdamWOptimizer", domain=MICROSOFT)
def adamw_optimizer(call: Call) -> list[Item]:
    """One step of AdamW for sequences of tensors, and whether it was done.

    ONNX Runtime writes what becomes of them into its inputs, too: a program changes none, so
    all of its outputs must be read.
    """
    unread = [name for number, name in enumerate(_OF_ADAMW, 1) if not call.wants(number)]
    require(not unread, f"it changes its inputs, and nothing reads {', '.join(unread)}")
    build, (rate, count) = call.build, _rate_and_count(call)
    lists = [sequence(call, index).values for index in range(2, 6)]
    sizes = [len(values) for values in lists]
    require(sizes[0] > 0 and len({*sizes}) == 1, f"sequences of {sizes} tensors")
    alpha, beta = call.number("alpha", 0.9), call.number("beta", 0.999)
    epsilon, decay = call.number("epsilon", 1e-8), call.number("weight_decay", 1e-2)
    # Both moments begin at 0, and are too small by what is left of that.
    parts = [build.constant(np.ones(()), rate.dtype, "one")] * 2
    if call.flag("correct_bias", True):
        parts = [
            build.map(lambda t, keep=keep: 1 - t.rop("pow", keep), count, hint="part")
            for keep in (alpha, beta)
        ]
    mode = call.integer("adam_mode", 0)
    require(mode in (0, 1), f"adam_mode = {mode}, and must be 0 or 1")

    def first_decayed(w: Term, r: Term, v: Term, h: Term, a: Term, b: Term) -> Term:
        return w - w * r * decay - r * v / (a * ((h / b).sqrt() + epsilon))

    def last_decayed(w: Term, r: Term, v: Term, h: Term, a: Term, b: Term) -> Term:
        moved = w - r * b.sqrt() / a * v / (h.sqrt() + epsilon)
        return moved - r * decay * moved

    signal = build.reshape(call.arg(6), (), "signal") if call.has(6) else None
    body = last_decayed if mode else first_decayed
    results: list[tuple[Value, ...]] = []
    for weight, gradient, *states in zip(*lists, strict=True):
        shapes = [list(value.shape) for value in (weight, gradient, *states)]
        require(all(shape == shapes[0] for shape in shapes), f"tensors of shapes {shapes}")
        first, second = _moments(build, states, gradient, alpha, beta)
        new = build.map(body, weight, rate, first, second, *parts, hint="new")
        if signal is None:
            results.append((new, first, second))
            continue
        changes = zip((weight, *states), (new, first, second), strict=True)
        results.append(
            tuple(build.map(lambda s, a, b: s.select(b, a), signal, *pair) for pair in changes)
        )
    shape = call.arg(1).shape
    done = build.constant(np.ones(()), DType.I32, "done") if signal is None else signal
    flag = build.expand(done, shape, "flag")
    return [flag, *(Many(tuple(values)) for values in zip(*results, strict=True))]


# --- what is dropped --------------------------------------------------------------------


def _mixed(x: Term) -> Term:
    """32 bits of which each depends on all of x: Wellons' lowbias32."""
    x = (x ^ x.op("shru", 16)) * 0x7FEB352D
    x = (x ^ x.op("shru", 15)) * -0x7B935975  # 0x846ca68b
    return x ^ x.op("shru", 16)


@lowering("Dropout", domain=OURS)
def dropout(call: Call) -> list[Value]:
    """x with some elements 0 and the others larger, and which were kept.

    Whether an element stays depends on its position, the node and the seed of the run, and on
    nothing else: it is the same on every fabric. 24 bits of a hash of them are compared with the
    ratio. What stands for the node is a number that it reads, like a weight of its own, and none
    of its code: so layers that drop are alike.
    """
    build, x = call.build, call.arg(0)
    ratio, number = call.number("ratio", 0.5), call.integer("key", 0)
    require(0.0 <= ratio < 1.0, f"a ratio of {ratio}")
    seed = build.shared_input(SEED, Type(DType.I32, ()), "int32")
    key = build.free_state("key", Type(DType.I32, ()), lambda: np.array(number, np.int32))
    first = build.map(lambda s, k: _mixed(_mixed(s) ^ k), seed, key, hint="key_of_run")
    second = build.map(lambda k: _mixed(k + 1), first, hint="second")
    places = [iota(build, size, axis, x.rank) for axis, size in enumerate(x.shape)]
    weights = [math.prod(x.shape[axis + 1 :]) for axis in range(x.rank)]
    require(math.prod(x.shape) < 1 << 31, "more than 2^31 elements")

    def drawn(k: Term, m: Term, *indices: Term) -> Term:
        position: Term | None = None
        for index, weight in zip(indices, weights, strict=True):
            step = index * weight
            position = step if position is None else position + step
        hashed = _mixed(k) if position is None else _mixed(_mixed(position ^ k) + m)
        return (hashed.op("shru", 8) < round(ratio * 2**24)).negated()

    kept = build.expand(build.map(drawn, first, second, *places, hint="kept"), x.shape)
    scale = 1.0 / (1.0 - ratio)
    y = build.map(lambda c, v: c.select(v * scale, 0.0), kept, x, hint="dropped")
    return [y, kept]
