"""LSTM, GRU and RNN: one contraction projects all inputs, then the steps are unrolled.

They become turns of a loop again in ``wsc.passes.roll``: each step has the same nodes in the same
order, and differs in positions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from wsc.frontend.activation import (
    elu_of,
    hard_sigmoid_of,
    leaky_relu_of,
    relu_of,
    softplus_of,
    softsign_of,
)
from wsc.frontend.registry import Call, Unsupported, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reshape, Slice
from wsc.ir.terms import Term

Activation = Callable[[Term], Term]

# name -> (function of x, alpha, beta; default alpha; default beta). None: not a parameter.
_ACTIVATIONS: dict[str, tuple[Callable[[Term, float, float], Term], float | None, float | None]] = {
    "relu": (lambda x, a, b: relu_of(x), None, None),
    "tanh": (lambda x, a, b: x.tanh(), None, None),
    "sigmoid": (lambda x, a, b: x.sigmoid(), None, None),
    "softsign": (lambda x, a, b: softsign_of(x), None, None),
    "softplus": (lambda x, a, b: softplus_of(x), None, None),
    "leakyrelu": (lambda x, a, b: leaky_relu_of(x, a), 0.01, None),
    "elu": (lambda x, a, b: elu_of(x, a), 1.0, None),
    "thresholdedrelu": (lambda x, a, b: (x > a).select(x, 0), 1.0, None),
    "hardsigmoid": (hard_sigmoid_of, 0.2, 0.5),
    "affine": (lambda x, a, b: x * a + b, 1.0, 0.0),
    "scaledtanh": (lambda x, a, b: (x * b).tanh() * a, 1.0, 1.0),
}


def _activations(call: Call, defaults: tuple[str, ...], directions: int) -> list[Activation]:
    names = call.texts("activations") or list(defaults) * directions
    alphas = iter(call.numbers("activation_alpha") or [])
    betas = iter(call.numbers("activation_beta") or [])
    clip = call.number("clip", 0.0)

    def bound(name: str) -> Activation:
        if name.lower() not in _ACTIVATIONS:
            raise Unsupported(f"activation {name!r}")
        function, alpha, beta = _ACTIVATIONS[name.lower()]
        alpha = 0.0 if alpha is None else next(alphas, alpha)
        beta = 0.0 if beta is None else next(betas, beta)
        return lambda x: function(x, alpha, beta)

    def clipped(function: Activation) -> Activation:
        return lambda x: function(x.max(-clip).min(clip))

    functions = [bound(name) for name in names]
    # As in ONNX Runtime, the gates are clipped and the cell on its way out is not.
    gates = {0, 1} | ({3, 4} if len(defaults) == 3 else {2, 3})
    return [clipped(f) if clip and i in gates else f for i, f in enumerate(functions)]


Recur = Callable[[Value, int, int, str], Value]


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a recurrent node: its part of every input.

    inputs: [T, G, B, H], the projected inputs with their biases, a gate at a time.
    recur: hidden [B, H], first gate, count, hint -> [count, B, H]. recurrent_bias:
    [G, 1, H] if it is not in ``inputs``. lengths: [B, 1] where sequences end before the
    last step.
    """

    build: GraphBuilder
    inputs: Value
    recur: Recur
    recurrent_bias: Value | None
    activations: list[Activation]
    hidden: Value
    cell: Value | None
    peepholes: list[Value]
    lengths: Value | None
    reverse: bool

    def steps(self) -> Iterator[tuple[int, Value]]:
        """(t, projected inputs [G, B, H] at t) in the order of this direction."""
        count, gates, batch, size = self.inputs.shape
        times = range(count)
        for t in reversed(times) if self.reverse else times:
            part = Slice((t, 0, 0, 0), (1, gates, batch, size), (1, 1, 1, 1))
            shape = Reshape((gates, batch, size))
            yield t, self.build.move(self.inputs, part, shape, hint=f"in{t}")

    def kept(self, t: int, new: Value, old: Value, hint: str) -> Value:
        """The new state of the sequences that reach step t, the old one of the others."""
        if self.lengths is None:
            return new
        return self.build.map(
            lambda n, a, b: (n > t).select(a, b), self.lengths, new, old, hint=f"{hint}{t}"
        )

    def shown(self, t: int, state: Value) -> Value:
        """What the output has at step t: zeros behind the end of a sequence."""
        if self.lengths is None:
            return state
        return self.build.map(
            lambda n, a: (n > t).select(a, 0), self.lengths, state, hint=f"shown{t}"
        )

    def gate(self, gates: Value, number: int, hint: str) -> Value:
        """One gate [B, H] of [G, B, H]."""
        _, batch, size = gates.shape
        part = Slice((number, 0, 0), (1, batch, size), (1, 1, 1))
        return self.build.move(gates, part, Reshape((batch, size)), hint=hint)


@dataclass(frozen=True, slots=True)
class Weights:
    """The products of one direction.

    size: H. project: x [T, B, I], hint -> [T, G, B, H]. recur: hidden [B, H], first gate,
    count, hint -> [count, B, H].
    """

    size: int
    project: Callable[[Value, str], Value]
    recur: Recur


def _plain_weights(call: Call, gates: int, d: int) -> Weights:
    """Inputs 1 and 2 of the node: W [D, G*H, I] and R [D, G*H, H]."""
    build, weight = call.build, call.arg(1)
    size = weight.shape[1] // gates
    own = build.move(
        weight,
        Slice((d, 0, 0), (1, *weight.shape[1:]), (1, 1, 1)),
        Reshape((gates, size, weight.shape[2])),
        hint=f"w{d}",
    )
    recurrent = build.move(
        call.arg(2),
        Slice((d, 0, 0), (1, gates * size, size), (1, 1, 1)),
        Reshape((gates, size, size)),
        hint=f"r{d}",
    )

    def project(x: Value, hint: str) -> Value:
        return build.contract(x, own, "t b i", "g h i", "t g b h", hint)

    @cache  # one constant for all steps
    def gates_of(first: int, count: int) -> Value:
        return build.slice_axis(recurrent, 0, first, count, hint=f"gates{first}")

    def recur(hidden: Value, first: int, count: int, hint: str) -> Value:
        return build.contract(hidden, gates_of(first, count), "b k", "g h k", "g b h", hint)

    return Weights(size, project, recur)


Cell = Callable[[Direction], tuple[list[Value], Value, Value | None]]


def directions_of(
    call: Call,
    gates: int,
    defaults: tuple[str, ...],
    fused_bias: bool,
    weights: Callable[[Call, int, int], Weights] = _plain_weights,
) -> list[Direction]:
    """Each direction of a node. fused_bias: both halves of its bias are one sum."""
    build = call.build
    direction = call.text("direction", "forward")
    count = call.arg(1).shape[0]
    require(count == (2 if direction == "bidirectional" else 1), "weights of another direction")
    x = call.arg(0)
    if call.flag("layout", False):
        x = build.transpose(x, (1, 0, 2), "time")
    steps, batch, _ = x.shape
    lengths = _lengths(call, steps, batch)
    functions = _activations(call, defaults, count)
    share = len(functions) // count
    result: list[Direction] = []
    for d in range(count):
        own = weights(call, gates, d)
        inputs, recurrent_bias = _biased(call, own.project(x, f"project{d}"), d, fused_bias)
        cell = _state(call, 6, d, batch, own.size) if gates == 4 else None
        peepholes = _peepholes(call, d, own.size) if gates == 4 else []
        result.append(
            Direction(
                build,
                inputs,
                own.recur,
                recurrent_bias,
                functions[d * share : (d + 1) * share],
                _state(call, 5, d, batch, own.size),
                cell,
                peepholes,
                lengths,
                direction == "reverse" or d == 1,
            )
        )
    return result


def _lengths(call: Call, steps: int, batch: int) -> Value | None:
    """The lengths of the sequences [B, 1], or None if all of them are full."""
    known = call.maybe_static(4)
    if not call.has(4) or (known is not None and bool((known == steps).all())):
        return None
    return call.build.reshape(call.arg(4), (batch, 1), "lengths")


def _biased(call: Call, inputs: Value, d: int, fused: bool) -> tuple[Value, Value | None]:
    """Projected inputs plus their bias, and the recurrent bias if it must stay apart."""
    if not call.has(3):
        return inputs, None
    build, bias = call.build, call.arg(3)
    _, gates, _, size = inputs.shape
    halves = [
        build.move(
            bias,
            Slice((d, half * gates * size), (1, gates * size), (1, 1)),
            Reshape((gates, 1, size)),
            hint=f"b{d}{half}",
        )
        for half in range(2)
    ]
    if not fused:
        return build.map(lambda v, b: v + b, inputs, halves[0], hint=f"bias{d}"), halves[1]
    arrays = [build.host(half) for half in halves]
    known = [array.astype(np.float64) for array in arrays if array is not None]
    if len(known) == 2:
        total = build.constant(known[0] + known[1], bias.dtype, f"bias{d}")
        return build.map(lambda v, b: v + b, inputs, total, hint=f"bias{d}"), None
    return build.map(lambda v, a, b: v + (a + b), inputs, *halves, hint=f"bias{d}"), None


def _state(call: Call, index: int, d: int, batch: int, size: int) -> Value:
    """Initial state [B, H]; zeros where the node has none."""
    if not call.has(index):
        return call.build.constant(np.zeros((batch, size)), call.float_type, "zeros")
    state = call.arg(index)
    if call.flag("layout", False):
        state = call.build.transpose(state, (1, 0, 2), "time")
    part = Slice((d, 0, 0), (1, batch, size), (1, 1, 1))
    return call.build.move(state, part, Reshape((batch, size)), hint=f"state{d}")


def _peepholes(call: Call, d: int, size: int) -> list[Value]:
    if not call.has(7):
        return []
    return [
        call.build.move(
            call.arg(7),
            Slice((d, part * size), (1, size), (1, 1)),
            Reshape((size,)),
            hint=f"p{d}{part}",
        )
        for part in range(3)
    ]


def _run(call: Call, directions: list[Direction], cell: Cell) -> list[Value]:
    """Y, Y_h and, where there is one, Y_c of all directions."""
    build, layout = call.build, call.flag("layout", False)
    sequences: list[Value] = []
    finals: list[list[Value]] = [[], []]
    for d, direction in enumerate(directions):
        steps, hidden, last_cell = cell(direction)
        if direction.reverse:
            steps = steps[::-1]
        batch, size = hidden.shape
        joined = build.concat(steps, 0, f"steps{d}")
        sequences.append(build.reshape(joined, (len(steps), 1, batch, size), f"y{d}"))
        for final, value in zip(finals, (hidden, last_cell), strict=True):
            if value is not None:
                final.append(build.reshape(value, (1, batch, size), f"last{d}"))
    sequence = build.concat(sequences, 1, "y")
    states = [build.concat(final, 0, "last") for final in finals if final]
    if layout:
        sequence = build.transpose(sequence, (2, 0, 1, 3), "batch")
        states = [build.transpose(state, (1, 0, 2), "batch") for state in states]
    return [sequence, *states]


@lowering("LSTM", since=7, quiet=("hidden_size",))
def lstm(call: Call) -> list[Value]:
    """Long short-term memory, any direction, with peepholes."""
    return lstm_of(call, _plain_weights)


def lstm_of(call: Call, weights: Callable[[Call, int, int], Weights]) -> list[Value]:
    """An LSTM with these products; all other inputs and attributes are those of the standard."""
    couple = call.flag("input_forget", False)
    directions = directions_of(call, 4, ("Sigmoid", "Tanh", "Tanh"), True, weights)
    return _run(call, directions, lambda direction: _lstm(direction, couple))


def _lstm(d: Direction, couple: bool) -> tuple[list[Value], Value, Value | None]:
    build, (f, g, h) = d.build, d.activations
    hidden, cell = d.hidden, d.cell
    assert cell is not None
    outputs: list[Value] = []

    def new_cell(i: Term, forget: Term, c: Term, old: Term, *p: Term) -> Term:
        gate_i = f(i + p[0] * old if p else i)
        gate_f = 1 - gate_i if couple else f(forget + p[1] * old if p else forget)
        return gate_f * old + gate_i * g(c)

    def new_hidden(o: Term, c: Term, *p: Term) -> Term:
        return f(o + p[0] * c if p else o) * h(c)

    for t, projected in d.steps():
        recurrent = d.recur(hidden, 0, 4, f"recur{t}")
        gates = build.map(lambda a, b: a + b, projected, recurrent, hint=f"gates{t}")
        i, o, forget, c = (d.gate(gates, n, f"{name}{t}") for n, name in enumerate("iofc"))
        peep_i, peep_o, peep_f = ([p] for p in d.peepholes) if d.peepholes else ([], [], [])
        new = build.map(new_cell, i, forget, c, cell, *peep_i, *peep_f, hint=f"cell{t}")
        seen = build.map(new_hidden, o, new, *peep_o, hint=f"hidden{t}")
        cell, hidden = d.kept(t, new, cell, "kept_cell"), d.kept(t, seen, hidden, "kept")
        outputs.append(d.shown(t, hidden))
    return outputs, hidden, cell


@lowering("GRU", since=7, quiet=("hidden_size",))
def gru(call: Call) -> list[Value]:
    """Gated recurrent unit, any direction, reset before or after the product."""
    after = call.flag("linear_before_reset", False)
    directions = directions_of(call, 3, ("Sigmoid", "Tanh"), fused_bias=not after)
    cell = _gru_reset_after if after else _gru_reset_before
    return _run(call, directions, cell)


def _gru_reset_after(d: Direction) -> tuple[list[Value], Value, Value | None]:
    build, (f, g) = d.build, d.activations
    hidden, outputs = d.hidden, list[Value]()

    def update(*parts: Term) -> Term:
        za, ra, ha, zb, rb, hb, old = parts
        z, r = f(za + zb), f(ra + rb)
        return (1 - z) * g(ha + r * hb) + z * old

    for t, projected in d.steps():
        recurrent = d.recur(hidden, 0, 3, f"recur{t}")
        if d.recurrent_bias is not None:
            recurrent = build.map(lambda v, b: v + b, recurrent, d.recurrent_bias, hint=f"bias{t}")
        parts = [
            d.gate(value, n, f"{side}{name}{t}")
            for side, value in (("in_", projected), ("re_", recurrent))
            for n, name in enumerate("zrh")
        ]
        new = build.map(update, *parts, hidden, hint=f"hidden{t}")
        hidden = d.kept(t, new, hidden, "kept")
        outputs.append(d.shown(t, hidden))
    return outputs, hidden, None


def _gru_reset_before(d: Direction) -> tuple[list[Value], Value, Value | None]:
    build, (f, g) = d.build, d.activations
    hidden, outputs = d.hidden, list[Value]()

    def update(za: Term, zb: Term, ha: Term, hb: Term, old: Term) -> Term:
        z = f(za + zb)
        return (1 - z) * g(ha + hb) + z * old

    for t, projected in d.steps():
        recurrent = d.recur(hidden, 0, 2, f"recur{t}")
        z, r, h = (d.gate(projected, n, f"in_{name}{t}") for n, name in enumerate("zrh"))
        zr, rr = (d.gate(recurrent, n, f"re_{name}{t}") for n, name in enumerate("zr"))
        reset = build.map(lambda a, b, old: f(a + b) * old, r, rr, hidden, hint=f"reset{t}")
        candidate = d.gate(d.recur(reset, 2, 1, f"again{t}"), 0, f"re_h{t}")
        new = build.map(update, z, zr, h, candidate, hidden, hint=f"hidden{t}")
        hidden = d.kept(t, new, hidden, "kept")
        outputs.append(d.shown(t, hidden))
    return outputs, hidden, None


@lowering("RNN", since=7, quiet=("hidden_size",))
def rnn(call: Call) -> list[Value]:
    """Plain recurrence, any direction."""
    return _run(call, directions_of(call, 1, ("Tanh",), fused_bias=True), _rnn)


def _rnn(d: Direction) -> tuple[list[Value], Value, Value | None]:
    f = d.activations[0]
    hidden, outputs = d.hidden, list[Value]()
    for t, projected in d.steps():
        recurrent = d.recur(hidden, 0, 1, f"recur{t}")
        parts = (d.gate(projected, 0, f"x{t}"), d.gate(recurrent, 0, f"r{t}"))
        new = d.build.map(lambda a, b: f(a + b), *parts, hint=f"hidden{t}")
        hidden = d.kept(t, new, hidden, "kept")
        outputs.append(d.shown(t, hidden))
    return outputs, hidden, None
