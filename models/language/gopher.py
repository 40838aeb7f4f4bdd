"""Gopher: as GPT-2, but norms only scale, and queries, keys and values have their own products.

Its relative positions are left out; there are no published weights, and names are our own.
"""

from __future__ import annotations

import onnx

from wsc.models.language.shapes import Shape
from wsc.models.language.writer import LanguageWriter, Task


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Words in, logits of the next ones out."""
    graph = LanguageWriter(shape, task)
    x = graph.embed("wte", graph.tokens("input_ids"), shape.vocabulary)
    for layer in range(shape.layers):
        x = _layer(graph, layer, x)
    x = graph.rms_norm("ln_f", x)
    graph.logits(graph.times_transposed("lm_head", x, "wte.weight"))
    return graph.model()


def _layer(graph: LanguageWriter, layer: int, x: str) -> str:
    shape, name = graph.shape, f"h.{layer}"
    normed = graph.rms_norm(f"{name}.ln_1", x)
    query, key, value = (
        graph.linear(f"{name}.attn.{part}_proj", normed, shape.hidden, shape.hidden)
        for part in ("q", "k", "v")
    )
    mixed = graph.attend(f"{name}.attn", layer, query, key, value)
    mixed = graph.linear(f"{name}.attn.out_proj", mixed, shape.hidden, shape.hidden)
    x = graph.residual(f"{name}.attn.sum", x, mixed)
    normed = graph.rms_norm(f"{name}.ln_2", x)
    inner = graph.linear(f"{name}.mlp.fc_in", normed, shape.hidden, shape.ffn)
    inner = graph.activate(f"{name}.mlp.act", inner)
    inner = graph.linear(f"{name}.mlp.fc_out", inner, shape.ffn, shape.hidden)
    return graph.residual(f"{name}.mlp.sum", x, inner)
