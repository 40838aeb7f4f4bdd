"""Attention whose scores and weights the model's own graphs change."""

from __future__ import annotations

import math

import onnx_ir as ir

from wsc.frontend.attention import Heads, grouped, join_heads, mix, products, split_heads
from wsc.frontend.normalize import softmax
from wsc.frontend.registry import Call, lowering, require
from wsc.ir.build import Value
from wsc.isa.types import DType


def _changed(call: Call, name: str, x: Value) -> Value:
    """x [B, G, R, S, T] after a graph attribute over [B, H, S, T], if there is one."""
    graph = call.graph(name)
    if graph is None:
        return x
    batch, groups, ratio, *rest = x.shape
    heads = call.build.reshape(x, (batch, groups * ratio, *rest), name)
    results = call.inline(graph, [heads], name)
    require(len(results) == 1, f"{name} of {len(results)} results")
    (result,) = results
    require(isinstance(result, Value), f"a result of {name} that is not a tensor")
    assert isinstance(result, Value)
    require(result.shape == heads.shape, f"{name} changes the shape to {result.shape}")
    return call.build.reshape(result, x.shape, f"{name}_done")


def _wide(call: Call, x: Value) -> Value:
    """x in the element type of the softmax: f32 unless softmax_precision says f16."""
    wanted = call.integer("softmax_precision", 0)
    narrow = wanted == ir.DataType.FLOAT16
    return x if narrow or not x.dtype.is_float else call.build.cast(x, DType.F32)


@lowering("FlexAttention", domain="ai.onnx.preview")
def flex_attention(call: Call) -> Value:
    """Scaled dot-product attention with graphs over the scores and over the weights."""
    build = call.build
    require(all(call.arg(index).rank == 4 for index in range(3)), "inputs not of rank 4")
    query, key, value = (split_heads(build, call.arg(i), 0, name) for i, name in enumerate("qkv"))
    heads = Heads(grouped(build, query, key.shape[2]), key, value)
    scale = call.number("scale", 1 / math.sqrt(query.shape[3]))
    scores = build.map(lambda x: x * scale, products(build, heads), hint="scaled")
    scores = _changed(call, "score_mod", _wide(call, scores))
    weights = _changed(call, "prob_mod", softmax(build, scores, [4]))
    wide = Heads(heads.query, heads.key, build.cast(value, weights.dtype))
    return build.cast(join_heads(build, mix(build, wide, weights), flat=False), value.dtype)
