"""Rotary embeddings: pairs of elements turned by angles that depend on their position."""

from __future__ import annotations

import numpy as np

from wsc.frontend.attention import split_heads
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import GraphBuilder, Value
from wsc.isa.types import DType


def turned(build: GraphBuilder, x: Value, cos: Value, sin: Value, interleaved: bool) -> Value:
    """x [B, S, H, D] with its first elements turned; cos, sin: [B or 1, S, half of them]."""
    batch, steps, heads, width = x.shape
    half = cos.shape[2]
    rotary = 2 * half
    require(rotary <= width, f"{rotary} elements to turn of {width}")
    cos, sin = (build.reshape(part, (*part.shape[:2], 1, half), "wide") for part in (cos, sin))
    first, second = (
        build.slice_axis(x, 3, i, half, 2, f"part{i}")
        if interleaved
        else build.slice_axis(x, 3, i * half, half, 1, f"part{i}")
        for i in range(2)
    )
    real = build.map(lambda a, b, c, s: a * c - b * s, first, second, cos, sin, hint="real")
    imag = build.map(lambda a, b, c, s: a * s + b * c, first, second, cos, sin, hint="imag")
    if interleaved:
        pair = [build.reshape(part, (*part.shape, 1)) for part in (real, imag)]
        joined = build.reshape(build.concat(pair, 4), (batch, steps, heads, rotary))
    else:
        joined = build.concat([real, imag], 3)
    if rotary == width:
        return joined
    rest = build.slice_axis(x, 3, rotary, width - rotary, hint="rest")
    return build.concat([joined, rest], 3)


def angles(build: GraphBuilder, cache: Value, positions: Value | None, hint: str) -> Value:
    """Rows of a cache [M, D/2] at positions [B, S]; without positions it has [B, S, D/2]."""
    if positions is None:
        require(cache.rank == 3, f"a cache of rank {cache.rank} without positions")
        return cache
    require(positions.dtype is DType.I32, "positions that are not integers")
    require(cache.rank == 2, f"a cache of rank {cache.rank} with positions")
    return build.gather(cache, build.within(positions, cache.shape[0], f"{hint}_rows"), 0, hint)


def _embedded(call: Call, cos: Value, sin: Value, heads: int) -> Value:
    build, x = call.build, call.arg(0)
    query = split_heads(build, x, heads, "heads")
    rotary = call.integer("rotary_embedding_dim", 0)
    require(not rotary or 2 * cos.shape[2] == rotary, f"caches for {2 * cos.shape[2]} elements")
    result = turned(build, query, cos, sin, call.flag("interleaved", False))
    if x.rank == 4:
        return build.transpose(result, (0, 2, 1, 3), "join")
    return build.reshape(result, x.shape, "join")


@lowering("RotaryEmbedding", since=23)
def rotary_embedding(call: Call) -> Value:
    """Pairs of elements rotated by angles that depend on their position."""
    cos, sin = (
        angles(call.build, _cache(call, index), call.maybe(3), name)
        for index, name in ((1, "cos"), (2, "sin"))
    )
    return _embedded(call, cos, sin, call.integer("num_heads", 0))


def _cache(call: Call, index: int) -> Value:
    """A cache of angles. One that is the same for each sequence is there once: [1, S, D/2]."""
    cache, values = call.arg(index), call.maybe_static(index)
    if values is None or cache.rank != 3 or cache.shape[0] < 2:
        return cache
    if not np.array_equal(values, np.broadcast_to(values[:1], values.shape)):
        return cache
    return call.build.slice_axis(cache, 0, 0, 1)


@lowering("RotaryEmbedding", domain="com.microsoft")
def contrib_rotary_embedding(call: Call) -> Value:
    """The same with positions first: one for each step, or that of the first one."""
    build, x, positions = call.build, call.arg(0), call.arg(1)
    require(not call.flag("is_packed_batching", False), "packed batches")
    require(call.number("scale", 1.0) == 1.0, "a scale")
    batch, steps = x.shape[0], x.shape[2 if x.rank == 4 else 1]
    if positions.type.size == 1:
        ahead = build.constant(np.arange(steps).reshape(1, steps), DType.I32, "ahead")
        first = build.reshape(positions, (1, 1), "first")
        positions = build.map(lambda p, i: p + i, first, ahead, hint="positions")
    require(positions.shape in ((batch, steps), (1, steps)), f"positions {positions.shape}")
    cos, sin = (
        angles(build, call.arg(index), positions, name) for index, name in ((2, "cos"), (3, "sin"))
    )
    heads = call.integer("num_heads", 0)
    if not heads and x.rank == 3:
        rotary = call.integer("rotary_embedding_dim", 0)
        require(not rotary, "a part of the elements without num_heads")
        heads = x.shape[2] // (2 * cos.shape[2])
    return _embedded(call, cos, sin, heads)
