"""Attention, composed of contractions and a softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from wsc.frontend.normalize import part_of_sum, softmax
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Pad, Reduction, Reshape, Transpose
from wsc.ir.terms import Term
from wsc.isa.types import DType


@dataclass(frozen=True, slots=True)
class Heads:
    """Queries [B, S, G, R, D], keys [B, T, G, D], values [B, T, G, E].

    G heads of keys and values serve R heads of queries each.
    """

    query: Value
    key: Value
    value: Value


@dataclass(slots=True)
class Scores:
    """The stages of the scores, all [B, G, R, S, T]: what an output may want to show."""

    raw: Value
    capped: Value
    biased: Value
    weights: Value


@dataclass(frozen=True, slots=True)
class Softening:
    """How scores become weights.

    scale: of the products. cap: bound of the scores, cap * tanh(score / cap); 0 is none.
    biases: added, broadcast to [B, G, R, S, T]. safe: a row may have no key at all; its
    weights are zeros. precision: element type of the softmax, None that of the scores.
    """

    scale: float
    cap: float = 0.0
    biases: list[Value] = field(default_factory=list[Value])
    safe: bool = False
    precision: DType | None = None


def attend(build: GraphBuilder, heads: Heads, scale: float, biases: list[Value]) -> Value:
    """softmax(scale * q k + biases) v as [B, S, G, R, E].

    biases: broadcast to [B, G, R, S, T].
    """
    return mix(build, heads, weigh(build, heads, Softening(scale, biases=biases)).weights)


def mix(build: GraphBuilder, heads: Heads, weights: Value) -> Value:
    """Sums of values by weights [B, G, R, S, T]: [B, S, G, R, E]."""
    return build.contract(weights, heads.value, "b g r s t", "b t g e", "b s g r e", "mixed")


def products(build: GraphBuilder, heads: Heads) -> Value:
    """Query times key: [B, G, R, S, T]."""
    return build.contract(heads.query, heads.key, "b s g r d", "b t g d", "b g r s t", "scores")


def weigh(build: GraphBuilder, heads: Heads, how: Softening) -> Scores:
    """The weights of all keys for all queries, and the scores that they come from."""
    raw = build.map(lambda x: x * how.scale, products(build, heads), hint="scaled")
    cap = how.cap
    capped = build.map(lambda x: (x / cap).tanh() * cap, raw, hint="capped") if cap else raw

    def body(x: Term, *rest: Term) -> Term:
        for bias in rest:
            x = x + bias
        return x

    biased = build.map(body, capped, *how.biases, hint="biased") if how.biases else capped
    wide = biased if how.precision is None else build.cast(biased, how.precision)
    weights = _safe_softmax(build, wide) if how.safe else softmax(build, wide, [4])
    return Scores(raw, capped, biased, build.cast(weights, heads.value.dtype))


def _safe_softmax(build: GraphBuilder, x: Value) -> Value:
    """Softmax over the last axis; zeros where all elements are -inf."""
    axes = [x.rank - 1]
    largest = build.reduce(Reduction.MAX, x, axes, True, "max")
    finite = build.map(lambda m: m.eq(-math.inf).select(0, m), largest, hint="finite")
    each = build.map(lambda v, m: (v - m).exp(), x, finite, hint="exp")
    total = build.reduce(Reduction.SUM, each, axes, True, "sum")
    return part_of_sum(build, lambda e, s: e / s.eq(0).select(1, s), each, total)


# --- shapes ---------------------------------------------------------------------------


def split_heads(build: GraphBuilder, x: Value, heads: int, hint: str) -> Value:
    """[B, S, H*D] or [B, H, S, D] as [B, S, H, D]."""
    if x.rank == 4:
        return build.transpose(x, (0, 2, 1, 3), hint)
    require(x.rank == 3, f"rank {x.rank} of {hint}")
    batch, steps, width = x.shape
    require(heads > 0 and width % heads == 0, f"{width} elements for {heads} heads")
    return build.reshape(x, (batch, steps, heads, width // heads), hint)


def grouped(build: GraphBuilder, query: Value, groups: int) -> Value:
    """[B, S, H, D] as [B, S, G, H/G, D]."""
    batch, steps, heads, width = query.shape
    require(heads % groups == 0, f"{heads} query heads for {groups} key heads")
    return build.reshape(query, (batch, steps, groups, heads // groups, width), "groups")


def join_heads(build: GraphBuilder, mixed: Value, flat: bool) -> Value:
    """[B, S, G, R, E] as [B, S, H*E], or as [B, H, S, E]."""
    batch, steps, groups, ratio, width = mixed.shape
    if flat:
        return build.reshape(mixed, (batch, steps, groups * ratio * width), "join")
    shape = Reshape((batch, steps, groups * ratio, width))
    return build.move(mixed, shape, Transpose((0, 2, 1, 3)), hint="join")


def extended(build: GraphBuilder, past: Value | None, x: Value, hint: str) -> Value:
    """Keys or values [B, T, G, D] behind those of a cache [B, G, P, D]."""
    if past is None or not past.type.size:
        return x
    return build.concat([build.transpose(past, (0, 2, 1, 3), f"past_{hint}"), x], 1, f"all_{hint}")


# --- masks ----------------------------------------------------------------------------


def causal_bias(build: GraphBuilder, steps: int, keys: int, offset: int, dtype: DType) -> Value:
    """-inf where a key comes after the query, which stands ``offset`` keys further on."""
    mask = np.where(np.tri(steps, keys, offset) > 0, 0.0, -np.inf)
    return build.constant(mask.reshape(1, 1, 1, steps, keys), dtype, "causal")


def mask_bias(build: GraphBuilder, mask: Value, heads: Heads, dtype: DType) -> Value:
    """A mask that broadcasts to [B, H, S, T], as a bias that does to [B, G, R, S, T].

    A mask of fewer keys than there are forbids the rest.
    """
    keys, (_, _, groups, ratio, _) = heads.key.shape[1], heads.query.shape
    require(1 <= mask.rank <= 4, f"a mask of rank {mask.rank}")
    missing = keys - mask.shape[-1]
    if missing > 0:
        none = (0,) * mask.rank
        rest = -math.inf if mask.dtype.is_float else 0
        mask = build.move(mask, Pad(none, (*none[1:], missing), rest), hint="longer")
    shape = (1,) * (4 - mask.rank) + mask.shape
    split = (shape[0], 1, 1, *shape[2:])
    if shape[1] > 1:
        require(shape[1] == groups * ratio, f"a mask of {shape[1]} heads")
        split = (shape[0], groups, ratio, *shape[2:])
    wide = build.reshape(mask, split, "mask")
    if wide.dtype.is_float:
        return wide
    return build.map(lambda m: m.select_literals(dtype, 0.0, -math.inf), wide, hint="bias")


def softcap(call: Call) -> float:
    """The bound of the scores, 0 for none. Raises Unsupported if it makes no sense."""
    bound = call.number("softcap", 0.0)
    require(0 <= bound < math.inf, f"softcap = {bound}")
    return bound


@dataclass(frozen=True, slots=True)
class _Window:
    """Keys that a query may see, counted from its own place; None is without a bound."""

    left: int | None
    right: int | None

    @property
    def bounds(self) -> bool:
        return self.left is not None or self.right is not None


def _window(call: Call) -> _Window:
    left, right = (call.integer(f"{side}_window_size", -1) for side in ("left", "right"))
    require(left >= -1 and right >= -1, "a window of negative size")
    bound = None if right < 0 else right
    if call.flag("is_causal", False):
        bound = 0
    return _Window(None if left < 0 else left, bound)


def _constant_window(build: GraphBuilder, heads: Heads, window: _Window, offset: int) -> Value:
    steps, keys, dtype = heads.query.shape[1], heads.key.shape[1], heads.query.dtype

    def make() -> Value:
        return build.constant(_bias(steps, keys, offset, window), dtype, "window")

    return build.once(("window", steps, keys, offset, window, dtype), make)


def _bias(steps: int, keys: int, offset: int, window: _Window) -> np.ndarray:
    """-inf at the keys outside of a window of queries that are ``offset`` keys further on."""
    ahead = np.arange(keys) - (np.arange(steps)[:, None] + offset)
    allowed = np.ones(ahead.shape, bool)
    if window.left is not None:
        allowed &= ahead >= -window.left
    if window.right is not None:
        allowed &= ahead <= window.right
    return np.where(allowed, 0.0, -np.inf).reshape(1, 1, 1, steps, keys)


def _cached_window(build: GraphBuilder, heads: Heads, window: _Window, filled: Value) -> Value:
    """The bias where the first ``filled[b]`` keys are there and queries are the last of them."""
    batch, steps = heads.query.shape[:2]
    keys, dtype = heads.key.shape[1], heads.query.dtype
    place = np.arange(keys).reshape(1, 1, 1, 1, keys)
    ahead = place - np.arange(steps).reshape(1, 1, 1, steps, 1) + steps

    def body(count: Term, key: Term, distance: Term | None = None) -> Term:
        allowed = key < count
        if distance is not None:
            distance = distance - count
            if window.left is not None:
                allowed = allowed & (distance >= -window.left)
            if window.right is not None:
                allowed = allowed & (distance <= window.right)
        return allowed.select_literals(dtype, 0.0, -math.inf)

    count = build.reshape(filled, (batch, 1, 1, 1, 1), "filled")
    parts = [count, build.constant(place, DType.I32, "key")]
    if window.bounds:
        parts.append(build.constant(ahead, DType.I32, "distance"))
    return build.map(body, *parts, hint="window")


# --- operators ------------------------------------------------------------------------


def _softening(call: Call, heads: Heads) -> Softening:
    """Scale, cap and all masks of the standard's Attention."""
    build = call.build
    scale = call.number("scale", 1 / math.sqrt(heads.query.shape[4]))
    biases: list[Value] = []
    window, filled = _window(call), call.maybe(6)
    past = call.arg(4).shape[2] if call.has(4) else 0
    if filled is not None:
        biases.append(_cached_window(build, heads, window, filled))
    elif window.bounds:
        biases.append(_constant_window(build, heads, window, past))
    if call.has(3):
        biases.append(mask_bias(build, call.arg(3), heads, heads.query.dtype))
    rows = [_hides_rows(build, bias) for bias in biases if build.is_constant(bias)]
    safe = len(rows) < len(biases) or len(rows) > 1 or any(rows)
    return Softening(scale, softcap(call), biases, safe, _precision(call, heads.query.dtype))


def _hides_rows(build: GraphBuilder, bias: Value) -> bool:
    """Whether a constant mask leaves some query no key at all."""

    def look() -> bool:
        values = build.host(bias)
        assert values is not None
        return bool(np.isneginf(values).all(axis=-1).any())

    return build.once(("hides rows", bias.name), look)


def _precision(call: Call, dtype: DType) -> DType | None:
    """The element type that softmax_precision asks for, where it differs from the scores'."""
    wanted = call.integer("softmax_precision", 0)
    return DType.F32 if wanted == ir.DataType.FLOAT and dtype is DType.F16 else None


@lowering("Attention", since=23, quiet=("qk_matmul_output_mode",))
def attention(call: Call) -> list[Value | None]:
    """Scaled dot-product attention: masks, windows, soft cap, grouped heads, caches."""
    build, flat = call.build, call.arg(0).rank == 3
    require(call.has(4) == call.has(5), "past keys without past values, or the reverse")
    require(not (call.has(4) and call.has(6)), "both a past and a filled cache")
    query_heads, key_heads = call.integer("q_num_heads", 0), call.integer("kv_num_heads", 0)
    query = split_heads(build, call.arg(0), query_heads, "q")
    key = split_heads(build, call.arg(1), key_heads, "k")
    value = split_heads(build, call.arg(2), key_heads, "v")
    key, value = (
        extended(build, call.maybe(index), part, hint)
        for index, part, hint in ((4, key, "k"), (5, value, "v"))
    )
    heads = Heads(grouped(build, query, key.shape[2]), key, value)
    scores = weigh(build, heads, _softening(call, heads))
    result = join_heads(build, mix(build, heads, scores.weights), flat)
    present = [
        build.transpose(item, (0, 2, 1, 3), "present") if call.wants(number) else None
        for number, item in ((1, key), (2, value))
    ]
    return [result, *present, _shown(call, scores) if call.wants(3) else None]


def _shown(call: Call, scores: Scores) -> Value:
    """The stage of the scores that qk_matmul_output_mode names, [B, H, S, T]."""
    mode = call.integer("qk_matmul_output_mode", 0)
    stages = (scores.raw, scores.capped, scores.biased, scores.weights)
    require(0 <= mode < len(stages), f"qk_matmul_output_mode {mode}")
    batch, groups, ratio, steps, keys = stages[mode].shape
    return call.build.reshape(stages[mode], (batch, groups * ratio, steps, keys), "shown")
