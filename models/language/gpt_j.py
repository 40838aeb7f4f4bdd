"""GPT-J: rotary positions in neighbours, attention and feed-forward block side by side."""

from __future__ import annotations

import onnx

from wsc.models.language.shapes import Shape
from wsc.models.language.writer import LanguageWriter, Task


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Words in, logits of the next ones out."""
    graph = LanguageWriter(shape, task)
    x = graph.embed("transformer.wte", graph.tokens("input_ids"), shape.vocabulary)
    tables = graph.rotary_tables(pairs=True)
    for layer in range(shape.layers):
        x = _layer(graph, layer, x, tables)
    x = graph.layer_norm("transformer.ln_f", x)
    graph.logits(graph.linear("lm_head", x, shape.hidden, shape.vocabulary))
    return graph.model()


def _layer(graph: LanguageWriter, layer: int, x: str, tables: tuple[str, str]) -> str:
    shape, name = graph.shape, f"transformer.h.{layer}"
    normed = graph.layer_norm(f"{name}.ln_1", x)
    query, key, value = (
        graph.linear(f"{name}.attn.{part}_proj", normed, shape.hidden, shape.hidden, bias=False)
        for part in ("q", "k", "v")
    )
    query = graph.turn(f"{name}.attn.q_turned", query, shape.heads, tables)
    key = graph.turn(f"{name}.attn.k_turned", key, shape.heads, tables)
    mixed = graph.attend(f"{name}.attn", layer, query, key, value)
    mixed = graph.linear(f"{name}.attn.out_proj", mixed, shape.hidden, shape.hidden, bias=False)
    inner = graph.linear(f"{name}.mlp.fc_in", normed, shape.hidden, shape.ffn)
    inner = graph.activate(f"{name}.mlp.act", inner)
    inner = graph.linear(f"{name}.mlp.fc_out", inner, shape.ffn, shape.hidden)
    return graph.residual(f"{name}.sum", mixed, inner, x)
