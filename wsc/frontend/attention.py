"""Attention and rotary embeddings, composed of contractions and a softmax."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isa.types import DType
from wsc.frontend.normalize import softmax
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.ir.graph import Reshape, Transpose
from wsc.ir.terms import Term


@dataclass(frozen=True, slots=True)
class Heads:
    """Queries [B, S, G, R, D], keys [B, T, G, D], values [B, T, G, E].

    G heads of keys and values serve R heads of queries each.
    """

    query: Value
    key: Value
    value: Value


def attend(build: GraphBuilder, heads: Heads, scale: float, biases: list[Value]) -> Value:
    """softmax(scale * q k + biases) v as [B, S, G, R, E].

    biases: broadcast to [B, G, R, S, T].
    """
    scores = build.contract(heads.query, heads.key, "b s g r d", "b t g d", "b g r s t", "scores")

    def body(x: Term, *rest: Term) -> Term:
        x = x * scale
        for bias in rest:
            x = x + bias
        return x

    scores = build.map(body, scores, *biases, hint="scaled")
    weights = softmax(build, scores, [4])
    return build.contract(weights, heads.value, "b g r s t", "b t g e", "b s g r e", "mixed")


def _split(build: GraphBuilder, x: Value, heads: int, hint: str) -> Value:
    """[B, S, H*D] or [B, H, S, D] as [B, S, H, D]."""
    if x.rank == 4:
        return build.transpose(x, (0, 2, 1, 3), hint)
    batch, steps, width = x.shape
    require(heads > 0 and width % heads == 0, f"{width} elements for {heads} heads")
    return build.reshape(x, (batch, steps, heads, width // heads), hint)


def _grouped(build: GraphBuilder, query: Value, groups: int) -> Value:
    """[B, S, H, D] as [B, S, G, H/G, D]."""
    batch, steps, heads, width = query.shape
    require(heads % groups == 0, f"{heads} query heads for {groups} key heads")
    return build.reshape(query, (batch, steps, groups, heads // groups, width), "groups")


def _causal(call: Call, steps: int, keys: int) -> Value:
    """-inf where a key comes after the query."""
    mask = np.where(np.tri(steps, keys) > 0, 0.0, -np.inf)
    return call.build.constant(mask.reshape(1, 1, 1, steps, keys), call.float_type, "causal")


def _mask(call: Call, mask: Value, groups: int, ratio: int) -> Value:
    """A mask that broadcasts to [B, H, S, T], as a bias that does to [B, G, R, S, T]."""
    build = call.build
    shape = (1,) * (4 - mask.rank) + mask.shape
    split = (shape[0], 1, 1, *shape[2:])
    if shape[1] > 1:
        split = (shape[0], groups, ratio, *shape[2:])
    wide = build.reshape(mask, split, "mask")
    if wide.dtype.is_float:
        return wide
    dtype = call.float_type
    return build.map(lambda m: m.select_literals(dtype, 0.0, -math.inf), wide, hint="bias")


@lowering("Attention", since=23)
def attention(call: Call) -> list[Value | None]:
    """Scaled dot-product attention with masks, grouped heads and past keys and values."""
    build = call.build
    require(not call.number("softcap", 0.0), "softcap")
    require(not call.wants(3), "the qk_matmul_output output")
    query_heads, key_heads = call.integer("q_num_heads", 0), call.integer("kv_num_heads", 0)
    flat = call.arg(0).rank == 3
    query = _split(build, call.arg(0), query_heads, "q")
    key = _split(build, call.arg(1), key_heads, "k")
    value = _split(build, call.arg(2), key_heads, "v")
    causal = bool(call.integer("is_causal", 0))
    require(not (causal and call.has(4)), "is_causal with past keys")
    if call.has(4):
        past_key = build.transpose(call.arg(4), (0, 2, 1, 3), "past_k")
        past_value = build.transpose(call.arg(5), (0, 2, 1, 3), "past_v")
        key = build.concat([past_key, key], 1, "all_k")
        value = build.concat([past_value, value], 1, "all_v")
    groups = key.shape[2]
    query = _grouped(build, query, groups)
    scale = call.number("scale", 1 / math.sqrt(query.shape[4]))
    biases = [_causal(call, query.shape[1], key.shape[1])] if causal else []
    if call.has(3):
        biases.append(_mask(call, call.arg(3), groups, query.shape[3]))
    mixed = attend(build, Heads(query, key, value), scale, biases)
    batch, steps, _, ratio, width = mixed.shape
    if flat:
        result = build.reshape(mixed, (batch, steps, groups * ratio * width), "join")
    else:
        result = build.move(
            mixed, Reshape((batch, steps, groups * ratio, width)), Transpose((0, 2, 1, 3)),
            hint="join",
        )  # fmt: skip
    present = [build.transpose(item, (0, 2, 1, 3), "present") if call.wants(number) else None
               for number, item in ((1, key), (2, value))]  # fmt: skip
    return [result, *present]


@lowering("MultiHeadAttention", domain="com.microsoft")
def multi_head_attention(call: Call) -> Value:
    """Attention over unpacked [B, S, H*D] queries, keys and values."""
    build, heads = call.build, call.integer("num_heads", 0)
    require(not any(call.has(index) for index in (6, 7)), "past keys and values")
    require(not call.wants(1), "present keys and values")
    require(call.has(1) and call.has(2) and call.arg(1).rank == 3, "packed inputs")
    parts = [call.arg(index) for index in range(3)]
    require(all(part.rank == 3 for part in parts), "packed inputs")
    if call.has(3):
        bias, starts = call.arg(3), np.cumsum([0, *(part.shape[2] for part in parts)])
        parts = [
            build.map(
                lambda x, b: x + b,
                part,
                build.slice_axis(bias, 0, int(start), part.shape[2], hint=f"bias{name}"),
                hint=f"biased_{name}",
            )
            for name, part, start in zip("qkv", parts, starts[:-1], strict=True)
        ]
    query, key, value = (_split(build, x, heads, n) for x, n in zip(parts, "qkv", strict=True))
    return _plain(call, query, key, value, 4, 5)


def _plain(call: Call, query: Value, key: Value, value: Value, padding: int, bias: int) -> Value:
    """com.microsoft's attention over [B, S, H, D] with optional masks at these inputs."""
    build, heads = call.build, query.shape[2]
    biases: list[Value] = []
    if call.integer("unidirectional", 0):
        biases.append(_causal(call, query.shape[1], key.shape[1]))
    if call.has(padding):
        mask, fill = call.arg(padding), call.number("mask_filter_value", -10000.0)
        require(mask.rank == 2 and mask.shape[1] == key.shape[1], "a mask that is not [B, T]")
        wide = build.reshape(mask, (mask.shape[0], 1, 1, 1, mask.shape[1]), "mask")
        dtype = call.float_type
        biases.append(
            build.map(lambda m: m.select_literals(dtype, 0.0, fill), wide, hint="padding")
        )
    if call.has(bias):
        biases.append(_mask(call, call.arg(bias), heads, 1))
    grouped = _grouped(build, query, heads)
    scale = call.number("scale", 0.0) or 1 / math.sqrt(query.shape[3])
    mixed = attend(build, Heads(grouped, key, value), scale, biases)
    batch, steps = mixed.shape[:2]
    return build.reshape(mixed, (batch, steps, heads * mixed.shape[4]), "join")


@lowering("Attention", domain="com.microsoft")
def packed_attention(call: Call) -> Value:
    """Attention with its own input projection: x W + b split into queries, keys, values."""
    build, heads = call.build, call.integer("num_heads", 0)
    require(not any(call.has(index) for index in (4, 6)), "past keys and values")
    require(not call.wants(1), "present keys and values")
    weight = call.arg(1)
    sizes = call.integers("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    packed = build.contract(call.arg(0), weight, "b s i", "i n", "b s n", "project")
    if call.has(2):
        packed = build.map(lambda x, b: x + b, packed, call.arg(2), hint="bias")
    starts = np.cumsum([0, *sizes])
    query, key, value = (
        _split(build, build.slice_axis(packed, 2, int(start), size, hint=f"{n}_flat"), heads, n)
        for n, start, size in zip("qkv", starts[:-1], sizes, strict=True)
    )
    return _plain(call, query, key, value, 3, 5)


@lowering("RotaryEmbedding", since=23)
def rotary_embedding(call: Call) -> Value:
    """Pairs of elements rotated by angles that depend on their position."""
    build, x = call.build, call.arg(0)
    query = _split(build, x, call.integer("num_heads", 0), "heads")
    batch, steps, heads, width = query.shape
    rotary = call.integer("rotary_embedding_dim", 0) or width
    cos, sin = (_angles(call, index) for index in (1, 2))
    interleaved = bool(call.integer("interleaved", 0))
    turned = build.slice_axis(query, 3, 0, rotary, hint="turned")
    half = rotary // 2
    if interleaved:
        first, second = (build.slice_axis(turned, 3, i, half, 2, f"part{i}") for i in range(2))
    else:
        first, second = (build.slice_axis(turned, 3, i * half, half, 1, f"part{i}")
                         for i in range(2))  # fmt: skip
    real = build.map(lambda a, b, c, s: a * c - b * s, first, second, cos, sin, hint="real")
    imag = build.map(lambda a, b, c, s: a * s + b * c, first, second, cos, sin, hint="imag")
    if interleaved:
        pair = [build.reshape(part, (*part.shape, 1)) for part in (real, imag)]
        joined = build.reshape(build.concat(pair, 4), (batch, steps, heads, rotary))
    else:
        joined = build.concat([real, imag], 3)
    if rotary < width:
        rest = build.slice_axis(query, 3, rotary, width - rotary, hint="rest")
        joined = build.concat([joined, rest], 3)
    if x.rank == 4:
        return build.transpose(joined, (0, 2, 1, 3), "join")
    return build.reshape(joined, x.shape, "join")


def _angles(call: Call, index: int) -> Value:
    """A cosine or sine cache as [B, S, 1, D/2]."""
    build, cache = call.build, call.arg(index)
    if call.has(3):
        positions = call.arg(3)
        require(positions.dtype is DType.I32, "positions that are not integers")
        cache = build.gather(cache, positions, 0, f"angles{index}")
    return build.reshape(cache, (*cache.shape[:2], 1, cache.shape[2]), f"wide{index}")
