"""Steps of optimisers: each tensor becomes a few maps over itself, its gradient and its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import Value
from wsc.ir.terms import Term

DOMAIN = "ai.onnx.preview.training"
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
        first = build.map(
            lambda v, g: v * alpha + g * (1 - alpha), states[0], gradient, hint="first"
        )
        second = build.map(
            lambda h, g: h * beta + g * g * (1 - beta), states[1], gradient, hint="second"
        )

        def body(a: Term, r: Term, v: Term, h: Term) -> Term:
            new = a - r * (v / (h.sqrt() + epsilon))
            return new * (1 - after) if after else new

        return build.map(body, x, rate, first, second, hint="new"), first, second

    return _each(call, 2, step)
