"""Attention by a running state, and the causal convolution that goes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wsc.frontend.attention import split_heads
from wsc.frontend.contract import Window, add_channel_bias, convolve
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reshape, Slice
from wsc.isa.types import DType

_RULES = {
    "linear": (False, False),
    "gated": (True, False),
    "delta": (False, True),
    "gated_delta": (True, True),
}


@dataclass(frozen=True, slots=True)
class _Parts:
    """All steps: queries [B, T, G, R, D], keys [B, T, G, D], values [B, T, G, E].

    decay: exp(g) as [B, T, G, 1 or D]. beta: [B, T, 1 or G, 1].
    """

    query: Value
    key: Value
    value: Value
    decay: Value | None
    beta: Value | None


def _step(build: GraphBuilder, x: Value | None, t: int, hint: str) -> Value | None:
    """What stands at time t, without the dimension of time."""
    if x is None:
        return None
    starts, sizes = [0] * x.rank, list(x.shape)
    starts[1], sizes[1] = t, 1
    shape = Reshape((x.shape[0], *x.shape[2:]))
    return build.move(x, Slice(tuple(starts), tuple(sizes), (1,) * x.rank), shape, hint=hint)


def _update(build: GraphBuilder, parts: _Parts, state: Value, t: int) -> Value:
    """The state [B, G, D, E] after step t: decayed, and key times value added."""
    key, value, decay, beta = (
        _step(build, part, t, f"{name}{t}")
        for name, part in (
            ("k", parts.key),
            ("v", parts.value),
            ("decay", parts.decay),
            ("beta", parts.beta),
        )
    )
    assert key is not None
    assert value is not None
    if decay is not None:
        wide = build.reshape(decay, (*decay.shape, 1))
        state = build.map(lambda s, g: s * g, state, wide, hint=f"decayed{t}")
    if beta is not None:
        old = build.contract(state, key, "b g d e", "b g d", "b g e", f"old{t}")
        value = build.map(lambda v, o, b: b * (v - o), value, old, beta, hint=f"delta{t}")
    tall = build.reshape(key, (*key.shape, 1))
    flat = build.reshape(value, (*value.shape[:2], 1, value.shape[2]))
    return build.map(lambda s, k, v: s + k * v, state, tall, flat, hint=f"state{t}")


def _parts(call: Call) -> _Parts:
    build = call.build
    gates, corrects = _RULES[call.text("update_rule", "gated_delta")]
    require(call.has(4) == gates, "a decay that the update rule does not have, or lacks")
    require(call.has(5) == corrects, "a beta that the update rule does not have, or lacks")
    query_heads, heads = call.integer("q_num_heads", 0), call.integer("kv_num_heads", 0)
    wide = [build.cast(call.arg(index), DType.F32) for index in range(3)]
    require(all(x.rank == 3 for x in wide), "inputs that are not of rank 3")
    require(heads > 0 and query_heads % heads == 0, f"{query_heads} heads for {heads}")
    query = split_heads(build, wide[0], query_heads, "q")
    key, value = (
        split_heads(build, x, heads, name) for x, name in zip(wide[1:], "kv", strict=True)
    )
    batch, steps, _, width = query.shape
    query = build.reshape(query, (batch, steps, heads, query_heads // heads, width), "groups")
    decay = call.maybe(4)
    if decay is not None:
        count = decay.shape[2]
        require(count in (heads, heads * width), f"a decay of {count} elements")
        decay = build.map(lambda g: g.exp(), build.cast(decay, DType.F32), hint="decay")
        decay = build.reshape(decay, (batch, steps, heads, count // heads), "decays")
    beta = call.maybe(5)
    if beta is not None:
        require(beta.shape[2] in (1, heads), f"a beta of {beta.shape[2]} elements")
        beta = build.reshape(build.cast(beta, DType.F32), (*beta.shape, 1), "betas")
    return _Parts(query, key, value, decay, beta)


@lowering("LinearAttention", since=27, quiet=("chunk_size",))
def linear_attention(call: Call) -> list[Value]:
    """Queries read a state of keys times values, which every step updates."""
    rule = call.text("update_rule", "gated_delta")
    require(rule in _RULES, f"update rule {rule!r}")
    build, parts = call.build, _parts(call)
    batch, steps, heads, ratio, width = parts.query.shape
    depth = parts.value.shape[3]
    dtype = call.arg(0).dtype
    past = call.maybe(3)
    kept = dtype if past is None else past.dtype
    if past is None:
        past = build.constant(np.zeros((batch, heads, width, depth)), DType.F32, "zeros")
    state = build.cast(past, DType.F32)
    scale = call.number("scale", 0.0) or 1 / math.sqrt(width)
    outputs: list[Value] = []
    for t in range(steps):
        state = _update(build, parts, state, t)
        query = _step(build, parts.query, t, f"q{t}")
        assert query is not None
        read = build.contract(query, state, "b g r d", "b g d e", "b g r e", f"read{t}")
        outputs.append(build.reshape(read, (batch, 1, heads * ratio * depth), f"out{t}"))
    result = build.map(lambda x: x * scale, build.concat(outputs, 1, "steps"), hint="scaled")
    return [build.cast(result, dtype), build.cast(state, kept)]


@lowering("CausalConvWithState", since=27)
def causal_conv(call: Call) -> list[Value | None]:
    """Convolution of each channel over the steps so far; the last inputs are the next state."""
    build, x, weight = call.build, call.arg(0), call.arg(1)
    activation = call.text("activation", "none")
    require(activation in ("none", "silu", "swish"), f"activation {activation!r}")
    require(x.rank == 3 and weight.rank == 3, "inputs that are not of rank 3")
    (batch, channels, steps), kernel = x.shape, weight.shape[2]
    past = call.maybe(3)
    if past is None and kernel > 1:
        past = build.constant(np.zeros((batch, channels, kernel - 1)), x.dtype, "zeros")
    padded = x if past is None or kernel == 1 else build.concat([past, x], 2, "padded")
    window = Window(padded.shape[2], kernel, 1, 1, 0, 0, steps)
    result = convolve(build, padded, weight, [window], channels, "conv")
    result = add_channel_bias(call, result, call.maybe(2))
    if activation != "none":
        result = build.map(lambda v: v * v.sigmoid(), result, hint="swish")
    if not call.wants(1):
        return [result, None]
    return [result, build.slice_axis(padded, 2, steps, kernel - 1, hint="state")]
