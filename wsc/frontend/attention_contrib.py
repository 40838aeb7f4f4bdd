"""com.microsoft's attention operators, as ONNX Runtime's optimiser leaves them behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wsc.frontend.attention import (
    Heads,
    Softening,
    causal_bias,
    extended,
    grouped,
    join_heads,
    mask_bias,
    mix,
    softcap,
    split_heads,
    weigh,
)
from wsc.frontend.registry import Call, lowering, require
from wsc.frontend.rotary import angles, turned
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.terms import Term
from wsc.isa.types import DType

DOMAIN = "com.microsoft"


def _parts(build: GraphBuilder, packed: Value, axis: int, sizes: Sequence[int]) -> list[Value]:
    """A dimension cut into parts of these sizes."""
    require(sum(sizes) == packed.shape[axis], f"{packed.shape[axis]} elements for {list(sizes)}")
    starts = np.cumsum([0, *sizes])
    return [
        build.slice_axis(packed, axis, int(start), size, hint=f"{name}_flat")
        for name, start, size in zip("qkv", starts[:-1], sizes, strict=True)
    ]


def _flat_inputs(call: Call, heads: int) -> list[Value]:
    """Queries, keys and values as [B, S, N*H] or [B, N, S, H], unpacked where they are packed."""
    build, query = call.build, call.arg(0)
    if query.rank == 5:
        parts = _parts(build, query, 3, (1, 1, 1))
    elif call.arg(1).rank == 5:
        packed = call.arg(1)
        parts = [query] + [build.slice_axis(packed, 3, i, 1, hint="kv"[i]) for i in range(2)]
    else:
        return [call.arg(index) for index in range(3)]
    return [
        part if part.rank < 5 else build.reshape(part, (*part.shape[:2], heads * part.shape[4]))
        for part in parts
    ]


@lowering("MultiHeadAttention", domain=DOMAIN, quiet=("mask_filter_value",))
def multi_head_attention(call: Call) -> list[Value | None]:
    """Attention over queries, keys and values of any packing, with a cache."""
    build, heads = call.build, call.integer("num_heads", 0)
    require(not call.has(8) and not call.has(9), "a shared or indirect cache")
    require(not call.wants(3), "the qk output")
    parts = _flat_inputs(call, heads)
    if call.has(3):
        sizes = [part.shape[2] if part.rank == 3 else heads * part.shape[3] for part in parts]
        biases = _parts(build, call.arg(3), 0, sizes)
        parts = [
            build.map(lambda x, b: x + b, part, bias, hint="biased") if part.rank == 3 else part
            for part, bias in zip(parts, biases, strict=True)
        ]
    query, key, value = (
        split_heads(build, part, heads, name) for part, name in zip(parts, "qkv", strict=True)
    )
    past = [call.maybe(index) for index in (6, 7)]
    result, presents = _plain(call, query, key, value, (4, 5), past)
    return [result, *(present if call.wants(i) else None for i, present in enumerate(presents, 1))]


def _plain(
    call: Call,
    query: Value,
    key: Value,
    value: Value,
    inputs: tuple[int, int],
    past: Sequence[Value | None],
) -> tuple[Value, list[Value]]:
    """Attention of [B, S, H, D] behind a cache [B, H, P, D], and the cache [B, H, T, D] after it.

    inputs: numbers of the node's mask and of its bias.
    """
    build, heads, fresh = call.build, query.shape[2], key.shape[1]
    key, value = (
        extended(build, old, x, hint) for old, x, hint in zip(past, (key, value), "kv", strict=True)
    )
    sides = Heads(grouped(build, query, heads), key, value)
    biases: list[Value] = []
    if call.flag("unidirectional", False):
        offset = key.shape[1] - fresh
        biases.append(causal_bias(build, query.shape[1], key.shape[1], offset, query.dtype))
    if call.has(inputs[0]):
        biases.append(_padding(call, call.arg(inputs[0]), sides))
    if call.has(inputs[1]):
        biases.append(mask_bias(build, call.arg(inputs[1]), sides, query.dtype))
    scale = call.number("scale", 0.0) or 1 / math.sqrt(query.shape[3])
    weights = weigh(build, sides, Softening(scale, biases=biases)).weights
    presents = [build.transpose(x, (0, 2, 1, 3), "present") for x in (key, value)]
    return join_heads(build, mix(build, sides, weights), flat=True), presents


def _padding(call: Call, mask: Value, sides: Heads) -> Value:
    """A bias from a mask: lengths [B], or flags [B, T] or [B, S, T]."""
    build, fill, dtype = call.build, call.number("mask_filter_value", -10000.0), sides.query.dtype
    (batch, steps), keys = sides.query.shape[:2], sides.key.shape[1]
    if mask.shape == (batch,):
        lengths = build.reshape(mask, (batch, 1, 1, 1, 1), "lengths")
        places = build.constant(np.arange(keys).reshape(1, 1, 1, 1, keys), DType.I32, "place")
        return build.map(
            lambda n, i: (i < n).select_literals(dtype, 0.0, fill), lengths, places, hint="padding"
        )
    known = mask.shape in ((batch, keys), (batch, steps, keys))
    require(known, f"a mask of shape {mask.shape}")
    wide = build.reshape(
        mask,
        (batch, 1, 1, *mask.shape[1:-1], keys) if mask.rank == 3 else (batch, 1, 1, 1, keys),
        "mask",
    )
    return build.map(lambda m: m.select_literals(dtype, 0.0, fill), wide, hint="padding")


@lowering("Attention", domain=DOMAIN, quiet=("mask_filter_value",))
def packed_attention(call: Call) -> list[Value | None]:
    """Attention with its own input projection: x W + b split into queries, keys, values."""
    build, heads = call.build, call.integer("num_heads", 0)
    require(not call.has(6), "a shared cache")
    require(not call.flag("do_rotary", False), "rotary embeddings inside")
    weight = call.arg(1)
    sizes = call.integers("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    packed = build.contract(call.arg(0), weight, "b s i", "i n", "b s n", "project")
    if call.has(2):
        packed = build.map(lambda x, b: x + b, packed, call.arg(2), hint="bias")
    query, key, value = (
        split_heads(build, part, heads, name)
        for part, name in zip(_parts(build, packed, 2, sizes), "qkv", strict=True)
    )
    past: list[Value | None] = [None, None]
    if call.has(4):
        old = call.arg(4)
        past = [
            build.reshape(build.slice_axis(old, 0, i, 1, hint="kv"[i]), old.shape[1:])
            for i in range(2)
        ]
    result, presents = _plain(call, query, key, value, (3, 5), past)
    if not call.wants(1):
        return [result]
    wide = [build.reshape(present, (1, *present.shape)) for present in presents]
    return [result, build.concat(wide, 0, "presents")]


# --- GroupQueryAttention --------------------------------------------------------------------


def _group_inputs(call: Call) -> tuple[Value, Value, Value]:
    """Queries [B, S, H, D], keys and values [B, S, G, D]."""
    build = call.build
    heads, groups = call.integer("num_heads", 0), call.integer("kv_num_heads", 0)
    require(heads > 0 and groups > 0, "no numbers of heads")
    if call.has(1) and call.has(2):
        flat = [call.arg(index) for index in range(3)]
    else:
        packed = call.arg(0)
        width = packed.shape[2] // (heads + 2 * groups)
        flat = _parts(build, packed, 2, (heads * width, groups * width, groups * width))
    query, key, value = (
        split_heads(build, x, count, name)
        for x, count, name in zip(flat, (heads, groups, groups), "qkv", strict=True)
    )
    return query, key, value


def _placed(
    build: GraphBuilder, old: Value | None, new: Value, before: Value | None, total: int, hint: str
) -> Value:
    """A cache [B, G, P, D] with new entries [B, S, G, D] put behind the first ``before[b]``.

    before: [B, 1, 1, 1], None if there is nothing before. Result: [B, T, G, D], T = total.
    """
    batch, steps, groups, width = new.shape
    if before is None:
        require(steps <= total, f"{steps} steps of {total}")
        rest = (batch, total - steps, groups, width)
        if total == steps:
            return new
        zeros = build.constant(np.zeros(rest), new.dtype, "zeros")
        return build.concat([new, zeros], 1, f"all_{hint}")
    ahead = np.arange(total).reshape(1, total, 1, 1)
    turn = np.arange(steps).reshape(1, 1, steps)
    flat = build.reshape(before, (batch, 1, 1), "before")
    dtype = new.dtype
    flags = build.map(
        lambda p, t, i: t.eq(p + i).cast(dtype),
        flat,
        build.constant(ahead.reshape(1, total, 1), DType.I32, "place"),
        build.constant(turn, DType.I32, "turn"),
        hint=f"where_{hint}",
    )
    moved = build.contract(flags, new, "b t i", "b i g d", "b t g d", f"moved_{hint}")
    if old is None or not old.type.size:
        return moved
    past = build.transpose(old, (0, 2, 1, 3), f"past_{hint}")
    if past.shape[1] < total:
        rest = (batch, total - past.shape[1], groups, width)
        past = build.concat([past, build.constant(np.zeros(rest), dtype, "zeros")], 1)
    return build.map(
        lambda a, b, p, t: (t < p).select(a, b),
        past,
        moved,
        before,
        build.constant(ahead, DType.I32, "place"),
        hint=f"all_{hint}",
    )


@lowering(
    "GroupQueryAttention",
    domain=DOMAIN,
    quiet=(
        "k_quant_type",
        "kv_cache_bit_width",
        "qk_norm_epsilon",
        "rotary_interleaved",
        "v_quant_type",
    ),
)
def group_query_attention(call: Call) -> list[Value | None]:
    """Causal attention of grouped heads behind a cache of any filling, with rotary embeddings."""
    for index, what in ((11, "a head sink"), (12, "a quantised cache"), (14, "norms of q and k")):
        require(not call.has(index), what)
    for name in ("smooth_softmax", "sliding_window_cache", "qk_output"):
        require(call.integer(name, 0) in (0, -1), name)
    build, (query, key, value) = call.build, _group_inputs(call)
    batch, steps = query.shape[:2]
    whole = int(call.static(6, "the total sequence length").reshape(()).item())
    past = [call.maybe(index) for index in (3, 4)]
    held = past[0].shape[2] if past[0] is not None else 0
    total = max(held, whole)
    last = build.reshape(call.arg(5), (batch, 1, 1, 1), "last")
    # The first prompt starts at 0, whatever the lengths are; later steps end at the last key.
    first = whole == steps
    before = None if first else build.map(lambda n: n + (1 - steps), last, hint="before")
    query, key = _rotated(call, query, key, before)
    keys, values = (
        _placed(build, old, new, before, total, name)
        for old, new, name in zip(past, (key, value), "kv", strict=True)
    )
    heads = Heads(grouped(build, query, key.shape[2]), keys, values)
    biases = [_allowed(call, heads, last, before)]
    if call.has(10):
        biases.append(mask_bias(build, call.arg(10), heads, query.dtype))
    scale = call.number("scale", 0.0) or 1 / math.sqrt(query.shape[3])
    how = Softening(scale, softcap(call), biases, safe=True)
    result = join_heads(build, mix(build, heads, weigh(build, heads, how).weights), flat=True)
    presents = [build.transpose(x, (0, 2, 1, 3), "present") for x in (keys, values)]
    return [result, *(present if call.wants(i) else None for i, present in enumerate(presents, 1))]


def _rotated(call: Call, query: Value, key: Value, before: Value | None) -> tuple[Value, Value]:
    """Queries and keys turned by the angles of their positions, if the node wants it."""
    if not call.flag("do_rotary", False):
        return query, key
    build, (batch, steps) = call.build, query.shape[:2]
    if call.has(9):
        places = call.arg(9)
    else:
        places = build.constant(np.arange(steps).reshape(1, steps), DType.I32, "ahead")
        if before is not None:
            flat = build.reshape(before, (batch, 1), "first")
            places = build.map(lambda p, i: p + i, flat, places, hint="places")
    cos, sin = (
        angles(build, call.arg(index), places, name) for index, name in ((7, "cos"), (8, "sin"))
    )
    interleaved = call.flag("rotary_interleaved", False)
    return turned(build, query, cos, sin, interleaved), turned(build, key, cos, sin, interleaved)


def _allowed(call: Call, heads: Heads, last: Value, before: Value | None) -> Value:
    """-inf at keys behind the query or beyond the filled part, and before the window."""
    build, (_, steps), keys = call.build, heads.query.shape[:2], heads.key.shape[1]
    window, causal = call.integer("local_window_size", -1), call.flag("causal", True)
    dtype = heads.query.dtype
    key = build.constant(np.arange(keys).reshape(1, 1, 1, 1, keys), DType.I32, "key")
    ahead = build.constant(np.arange(steps).reshape(1, 1, 1, steps, 1), DType.I32, "step")
    wide = [
        build.reshape(part, (part.shape[0], 1, 1, 1, 1))
        for part in (last, before)
        if part is not None
    ]

    def body(k: Term, i: Term, end: Term, start: Term | None = None) -> Term:
        own = i if start is None else i + start
        allowed = k <= own if causal else k <= end
        if window > 0:
            allowed = allowed & (k > own - window)
        return allowed.select_literals(dtype, 0.0, -math.inf)

    return build.map(body, key, ahead, *wide, hint="allowed")
