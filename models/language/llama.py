"""LLaMA: heads that share keys and values, a gated feed-forward block, no biases."""

from __future__ import annotations

import onnx

from wsc.models.language import single
from wsc.models.language.shapes import Shape
from wsc.models.language.writer import LanguageWriter, Task


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Words in, logits of the next ones out."""
    graph = LanguageWriter(shape, task)
    x = graph.embed("model.embed_tokens", graph.tokens("input_ids"), shape.vocabulary)
    tables = graph.rotary_tables()
    if single.is_for(graph):
        tables = single.along_heads(graph, tables)
    for layer in range(shape.layers):
        x = _layer(graph, layer, x, tables)
    x = graph.rms_norm("model.norm", x)
    if shape.tied:
        x = graph.times_transposed("lm_head", x, "model.embed_tokens.weight")
    else:
        x = graph.linear("lm_head", x, shape.hidden, shape.vocabulary, bias=False)
    graph.logits(x)
    return graph.model()


def _layer(graph: LanguageWriter, layer: int, x: str, tables: tuple[str, str]) -> str:
    shape, name = graph.shape, f"model.layers.{layer}"
    wide, shared = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    normed = graph.rms_norm(f"{name}.input_layernorm", x)
    if single.is_for(graph):
        return _single(graph, layer, x, normed, tables)
    query, key, value = (
        graph.linear(f"{name}.self_attn.{part}_proj", normed, shape.hidden, size, bias=False)
        for part, size in (("q", wide), ("k", shared), ("v", shared))
    )
    query = graph.turn(f"{name}.self_attn.q_turned", query, shape.heads, tables)
    key = graph.turn(f"{name}.self_attn.k_turned", key, shape.kv_heads, tables)
    mixed = graph.attend(f"{name}.self_attn", layer, query, key, value)
    mixed = graph.linear(f"{name}.self_attn.o_proj", mixed, wide, shape.hidden, bias=False)
    x = graph.residual(f"{name}.self_attn.sum", x, mixed)
    normed = graph.rms_norm(f"{name}.post_attention_layernorm", x)
    gate, up = (
        graph.linear(f"{name}.mlp.{part}_proj", normed, shape.hidden, shape.ffn, bias=False)
        for part in ("gate", "up")
    )
    inner = graph.node("Mul", f"{name}.mlp.gated", graph.activate(f"{name}.mlp.act", gate), up)
    inner = graph.linear(f"{name}.mlp.down_proj", inner, shape.ffn, shape.hidden, bias=False)
    return graph.residual(f"{name}.mlp.sum", x, inner)


def _single(graph: LanguageWriter, layer: int, x: str, normed: str, tables: tuple[str, str]) -> str:
    """A layer of one token, behind its first norm, for sums along lines."""
    name = f"model.layers.{layer}"
    mixed = single.attend(graph, layer, f"{name}.self_attn", normed, tables)
    x = graph.residual(f"{name}.self_attn.sum", x, mixed)
    normed = graph.rms_norm(f"{name}.post_attention_layernorm", x)
    gate, up = single.gated(graph, f"{name}.mlp", normed)
    inner = graph.node("Mul", f"{name}.mlp.gated", graph.activate(f"{name}.mlp.act", gate), up)
    return graph.residual(f"{name}.mlp.sum", x, single.down(graph, f"{name}.mlp", inner))
