"""LSTM and GRU as ONNX Runtime's training writes them, and their derivatives.

The forward operators also give what the derivatives are given: all states, and the gates behind
their activations. So the derivatives compute nothing again: they go back over the steps in closed
form, and what is a sum over all steps (the derivatives by input, weights and biases) is one
product behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wsc.frontend.recurrent import Direction, directions_of
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reduction, Reshape, Slice
from wsc.ir.terms import Term

DOMAIN = "com.microsoft"
LSTM, GRU = ("Sigmoid", "Tanh", "Tanh"), ("Sigmoid", "Tanh")  # activations


def _require_plain(call: Call, activations: tuple[str, ...], lengths: int) -> None:
    """What ONNX Runtime's kernels take. lengths: the input with those of the sequences."""
    require(call.text("direction", "forward") == "forward", "a direction other than forward")
    names = tuple(name.lower() for name in call.texts("activations") or activations)
    plain = tuple(name.lower() for name in activations)
    require(names == plain, f"activations other than {', '.join(activations)}")
    require(not call.has(lengths), "sequences that end before the last step")
    require(call.number("clip", 0.0) == 0.0, "clip")
    require(not call.flag("input_forget", False), "input_forget")
    require(call.arg(1).shape[0] == 1, "weights of another direction")


# --- forwards -----------------------------------------------------------------------------


def _joined(build: GraphBuilder, steps: Sequence[Value], name: str) -> Value:
    """[T, 1, B, N] of a value [B, N] of each step."""
    batch, size = steps[0].shape
    joined = build.concat(steps, 0, f"{name}s")
    return build.reshape(joined, (len(steps), 1, batch, size), name)


def _last(build: GraphBuilder, state: Value) -> Value:
    return build.reshape(state, (1, *state.shape), "last")


def _sigmoid(a: Term, b: Term) -> Term:
    return (a + b).sigmoid()


@lowering("LSTMTraining", domain=DOMAIN, quiet=("hidden_size",))
def lstm_training(call: Call) -> list[Value]:
    """Y, Y_h and Y_c of an LSTM; all of its cells, and its gates i, o, f, c, side by side."""
    _require_plain(call, LSTM, lengths=4)
    require(not call.has(7), "peepholes")
    build = call.build
    (d,) = directions_of(call, 4, LSTM, fused_bias=True)
    hidden, cell = d.hidden, d.cell
    assert cell is not None
    states, cells, gates = list[Value](), list[Value](), list[Value]()
    for t, projected in d.steps():
        i, o, f, c = _pairs(d, projected, d.recur(hidden, 0, 4, f"recur{t}"), "iofc", t)
        i, o, f = (
            build.map(_sigmoid, *pair, hint=f"{name}{t}")
            for name, pair in zip("iof", (i, o, f), strict=True)
        )
        c = build.map(lambda a, b: (a + b).tanh(), *c, hint=f"c{t}")
        cell = build.map(lambda f, old, i, c: f * old + i * c, f, cell, i, c, hint=f"cell{t}")
        hidden = build.map(lambda o, c: o * c.tanh(), o, cell, hint=f"hidden{t}")
        states.append(hidden)
        cells.append(cell)
        gates.append(build.concat([i, o, f, c], 1, f"gates{t}"))
    shown = _joined(build, states, "y"), _last(build, hidden), _last(build, cell)
    return [*shown, _joined(build, cells, "cell"), _joined(build, gates, "gate")]


@lowering("GRUTraining", domain=DOMAIN, quiet=("hidden_size",))
def gru_training(call: Call) -> list[Value]:
    """Y and Y_h of a GRU, and its gates z, r, h, side by side."""
    _require_plain(call, GRU, lengths=4)
    build, after = call.build, call.flag("linear_before_reset", False)
    (d,) = directions_of(call, 3, GRU, fused_bias=not after)
    hidden = d.hidden
    states, gates = list[Value](), list[Value]()
    for t, projected in d.steps():
        if after:
            recurrent = d.recur(hidden, 0, 3, f"recur{t}")
            if d.recurrent_bias is not None:
                recurrent = build.map(
                    lambda v, b: v + b, recurrent, d.recurrent_bias, hint=f"bias{t}"
                )
            z, r, h = _pairs(d, projected, recurrent, "zrh", t)
            r = build.map(_sigmoid, *r, hint=f"r{t}")
            h = build.map(lambda a, b, r: (a + r * b).tanh(), *h, r, hint=f"h{t}")
        else:
            z, r = _pairs(d, projected, d.recur(hidden, 0, 2, f"recur{t}"), "zr", t)
            r = build.map(_sigmoid, *r, hint=f"r{t}")
            reset = build.map(lambda r, old: r * old, r, hidden, hint=f"reset{t}")
            again = d.gate(d.recur(reset, 2, 1, f"again{t}"), 0, f"re_h{t}")
            own = d.gate(projected, 2, f"in_h{t}")
            h = build.map(lambda a, b: (a + b).tanh(), own, again, hint=f"h{t}")
        z = build.map(_sigmoid, *z, hint=f"z{t}")
        hidden = build.map(lambda z, h, old: (1 - z) * h + z * old, z, h, hidden, hint=f"hidden{t}")
        states.append(hidden)
        gates.append(build.concat([z, r, h], 1, f"gates{t}"))
    return [_joined(build, states, "y"), _last(build, hidden), _joined(build, gates, "gate")]


def _pairs(
    d: Direction, projected: Value, recurrent: Value, names: str, t: int
) -> list[tuple[Value, Value]]:
    """Of each gate what the input of a step and what the state before give, [B, H] each."""
    return [
        (d.gate(projected, n, f"in_{name}{t}"), d.gate(recurrent, n, f"re_{name}{t}"))
        for n, name in enumerate(names)
    ]


# --- backwards ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Back:
    """What the derivatives of both have in common.

    x [T, B, I], w [G, H, I], r [G, H, H]: input and weights. before: of each step the state that
    it begins with, [T, B, H]. gates: those of each step, [T, B, G * H].
    """

    call: Call
    x: Value
    w: Value
    r: Value
    before: Value
    gates: Value

    @classmethod
    def of(cls, call: Call, count: int, start: int, states: int, gates: int) -> _Back:
        """count: of gates. start, states, gates: inputs with the first state, all states, gates."""
        build, x, w = call.build, call.arg(0), call.arg(1)
        size = w.shape[1] // count
        steps, batch, width = x.shape
        wanted = (steps, 1, batch, count * size)
        require(call.arg(gates).shape == wanted, f"gates that are not {list(wanted)}")
        own = build.reshape(w, (count, size, width), "w")
        recurrent = build.reshape(call.arg(2), (count, size, size), "r")
        flat = build.reshape(call.arg(gates), (steps, batch, count * size), "gates")
        return cls(call, x, own, recurrent, _shifted(call, states, start, size), flat)

    @property
    def build(self) -> GraphBuilder:
        return self.call.build

    @property
    def size(self) -> int:
        """H."""
        return self.w.shape[1]

    @property
    def steps(self) -> int:
        """T."""
        return self.x.shape[0]

    def at(self, value: Value, t: int, hint: str, first: int = 0) -> Value:
        """[B, H] of [T, B, N] at step t, from a position of the last dimension on."""
        part = Slice((t, 0, first), (1, value.shape[1], self.size), (1, 1, 1))
        return self.build.move(value, part, Reshape((value.shape[1], self.size)), hint=hint)

    def gate(self, n: int, t: int, name: str) -> Value:
        """One gate of a step, [B, H]."""
        return self.at(self.gates, t, f"{name}{t}", n * self.size)

    def last(self, index: int, hint: str) -> Value:
        """The derivative by a final state, [B, H]; zeros where nothing reads that one."""
        shape = (self.x.shape[1], self.size)
        if not self.call.has(index):
            return self.build.constant(np.zeros(shape), self.x.dtype, "zeros")
        return self.build.reshape(self.call.arg(index), shape, hint)

    def along(self, index: int) -> Callable[[Value, int], Value]:
        """What adds the derivative by the output of a step to that by its state."""
        if not self.call.has(index):
            return lambda g, t: g
        batch = self.x.shape[1]
        given = self.build.reshape(self.call.arg(index), (self.steps, batch, self.size), "g")

        def added(g: Value, t: int) -> Value:
            return self.build.map(
                lambda a, b: a + b, g, self.at(given, t, f"g{t}"), hint=f"g_hidden{t}"
            )

        return added

    def through(self, slopes: Value, hint: str, first: int = 0) -> Value:
        """What slopes [G, B, H] of gates from a first one on make by the state before, [B, H]."""
        weights = self.build.slice_axis(self.r, 0, first, slopes.shape[0], hint=f"r{first}")
        return self.build.contract(slopes, weights, "g b h", "g h k", "b k", hint)

    def stacked(self, slopes: Sequence[Value], hint: str) -> Value:
        """[G, B, H] of a value of each gate."""
        wide = [self.build.reshape(value, (1, *value.shape), "gate") for value in slopes]
        return self.build.concat(wide, 0, hint)

    def in_order(self, slopes: Sequence[Value]) -> Value:
        """[T, G, B, H] of slopes from the last step to the first."""
        wide = [self.build.reshape(value, (1, *value.shape), "step") for value in slopes]
        return self.build.concat(wide[::-1], 0, "slopes")

    def summed(self, slopes: Value) -> Value:
        """The derivative by a bias, [G * H], of slopes [T, G, B, H]."""
        total = self.build.reduce(Reduction.SUM, slopes, [0, 2], False, "by_bias")
        return self.build.reshape(total, (total.type.size,), "flat")

    def by_weight(self, slopes: Value, values: Value, hint: str) -> Value:
        """Sums over steps and samples of slopes [T, G, B, H] times values [T, B, N]."""
        found = self.build.contract(slopes, values, "t g b h", "t b n", "g h n", hint)
        gates, size, width = found.shape
        return self.build.reshape(found, (1, gates * size, width), hint)

    def by_bias(self, *halves: Value) -> Value:
        """Both halves of a bias as one, [1, 2 * G * H]."""
        joined = self.build.concat(halves, 0, "biases")
        return self.build.reshape(joined, (1, joined.shape[0]), "by_biases")

    def by_input(self, slopes: Value) -> Value:
        """The derivative by the input, [T, B, I]."""
        return self.build.contract(slopes, self.w, "t g b h", "g h i", "t b i", "by_input")


def _shifted(call: Call, states: int, start: int, size: int) -> Value:
    """Of each step the state before it, [T, B, H].

    states: the input with those behind each step. start: the one with the state at the start,
    which is 0 if there is none.
    """
    build, given = call.build, call.arg(states)
    steps, batch, _ = call.arg(0).shape
    require(given.shape == (steps, 1, batch, size), f"states of shape {list(given.shape)}")
    if call.has(start):
        first = build.reshape(call.arg(start), (1, batch, size), "start")
    else:
        first = build.constant(np.zeros((1, batch, size)), given.dtype, "zeros")
    later = build.slice_axis(
        build.reshape(given, (steps, batch, size), "states"), 0, 0, steps - 1, hint="later"
    )
    return build.concat([first, later], 0, "before")


@lowering("LSTMGrad", domain=DOMAIN, quiet=("hidden_size",))
def lstm_grad(call: Call) -> list[Value]:
    """The derivatives of LSTM by X, W, R, B, initial_h and initial_c.

    Its inputs are those of the last ONNX Runtime that trains (1.19.2), which gives it no bias.
    """
    require(len(call) <= 12 and not call.wants(6), "inputs or outputs of another version")
    _require_plain(call, LSTM, lengths=3)
    back = _Back.of(call, 4, start=4, states=6, gates=8)
    build, size = back.build, back.size
    cells_before = _shifted(call, 7, 5, size)
    cells = build.reshape(call.arg(7), back.before.shape, "cells")
    hidden, cell = back.last(10, "g_last"), back.last(11, "g_last_cell")
    added = back.along(9)
    each: list[Value] = []

    def by_cell(g: Term, o: Term, c: Term, later: Term) -> Term:
        t = c.tanh()
        return later + g * o * (1 - t * t)

    for t in reversed(range(back.steps)):
        hidden = added(hidden, t)
        i, o, f, c = (back.gate(n, t, name) for n, name in enumerate("iofc"))
        now, old = back.at(cells, t, f"now{t}"), back.at(cells_before, t, f"old{t}")
        cell = build.map(by_cell, hidden, o, now, cell, hint=f"g_cell{t}")
        # Behind each slope is that of its activation: sigmoid, and tanh of the last one.
        slopes = [
            build.map(lambda g, c, i: g * c * (i * (1 - i)), cell, c, i, hint=f"g_i{t}"),
            build.map(lambda g, n, o: g * n.tanh() * (o * (1 - o)), hidden, now, o, hint=f"g_o{t}"),
            build.map(lambda g, b, f: g * b * (f * (1 - f)), cell, old, f, hint=f"g_f{t}"),
            build.map(lambda g, i, c: g * i * (1 - c * c), cell, i, c, hint=f"g_c{t}"),
        ]
        each.append(back.stacked(slopes, f"slopes{t}"))
        hidden = back.through(each[-1], f"g_before{t}")
        cell = build.map(lambda g, f: g * f, cell, f, hint=f"g_old{t}")
    slopes = back.in_order(each)
    bias = back.summed(slopes)
    return [
        back.by_input(slopes),
        back.by_weight(slopes, back.x, "by_w"),
        back.by_weight(slopes, back.before, "by_r"),
        back.by_bias(bias, bias),
        _last(build, hidden),
        _last(build, cell),
    ]


@lowering("GRUGrad", domain=DOMAIN, quiet=("hidden_size",))
def gru_grad(call: Call) -> list[Value]:
    """The derivatives of GRU by X, W, R, B and initial_h."""
    _require_plain(call, GRU, lengths=4)
    back = _Back.of(call, 3, start=5, states=6, gates=7)
    build, size = back.build, back.size
    after = call.flag("linear_before_reset", False)
    biased = call.has(3)  # only a reset behind the product reads it
    product = _reset_products(back, biased) if after else None
    hidden, added = back.last(9, "g_last"), back.along(8)
    each, recurrent = list[Value](), list[Value]()
    for t in reversed(range(back.steps)):
        hidden = added(hidden, t)
        z, r, h = (back.gate(n, t, name) for n, name in enumerate("zrh"))
        old = back.at(back.before, t, f"old{t}")
        by_z = build.map(
            lambda g, old, h, z: g * (old - h) * (z * (1 - z)), hidden, old, h, z, hint=f"g_z{t}"
        )
        by_h = build.map(lambda g, z, h: g * (1 - z) * (1 - h * h), hidden, z, h, hint=f"g_h{t}")
        # Of the candidate's product with the state: by its result, and by what r is a factor of.
        if product is None:
            wide = build.reshape(by_h, (1, *by_h.shape), "gate")
            inner = back.through(wide, f"g_reset{t}", first=2)
            by_r = build.map(
                lambda q, old, r: q * old * (r * (1 - r)), inner, old, r, hint=f"g_r{t}"
            )
            recurrent_h = by_h
            two = back.through(back.stacked([by_z, by_r], f"two{t}"), f"g_two{t}")
            through = build.map(lambda a, q, r: a + q * r, two, inner, r, hint=f"g_three{t}")
        else:
            held = back.at(product, t, f"held{t}")
            by_r = build.map(lambda g, s, r: g * s * (r * (1 - r)), by_h, held, r, hint=f"g_r{t}")
            recurrent_h = build.map(lambda g, r: g * r, by_h, r, hint=f"g_again{t}")
            three = back.stacked([by_z, by_r, recurrent_h], f"three{t}")
            through = back.through(three, f"g_three{t}")
        hidden = build.map(lambda g, z, a: g * z + a, hidden, z, through, hint=f"g_before{t}")
        each.append(back.stacked([by_z, by_r, by_h], f"slopes{t}"))
        recurrent.append(recurrent_h)
    slopes = back.in_order(each)
    again = back.in_order([build.reshape(v, (1, *v.shape), "gate") for v in recurrent])
    two = build.slice_axis(slopes, 1, 0, 2, hint="two")
    values = back.before
    if not after:
        resets = back.build.slice_axis(back.gates, 2, size, size, hint="resets")
        values = build.map(lambda r, old: r * old, resets, values, hint="reset")
    by_r = build.concat(
        [back.by_weight(two, back.before, "by_two"), back.by_weight(again, values, "by_again")],
        1,
        "by_r",
    )
    biases = back.summed(slopes)
    inner = build.concat([back.summed(two), back.summed(again)], 0, "inner") if after else biases
    return [
        back.by_input(slopes),
        back.by_weight(slopes, back.x, "by_w"),
        by_r,
        back.by_bias(biases, inner),
        _last(build, hidden),
    ]


def _reset_products(back: _Back, biased: bool) -> Value:
    """Of each step what its reset gate multiplies behind the product, [T, B, H]."""
    build, size = back.build, back.size
    weights = build.reshape(build.slice_axis(back.r, 0, 2, 1, hint="r2"), (size, size), "r_h")
    found = build.contract(back.before, weights, "t b k", "h k", "t b h", "products")
    if not biased:
        return found
    bias = build.slice_axis(back.call.arg(3), 1, 5 * size, size, hint="bias")
    return build.map(lambda v, b: v + b, found, build.reshape(bias, (size,), "flat"), hint="held")
