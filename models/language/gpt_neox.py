"""GPT-NeoX: one product for queries, keys and values of each head, blocks side by side."""

from __future__ import annotations

import onnx

from wsc.models.language.shapes import Shape
from wsc.models.language.writer import LanguageWriter, Task


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Words in, logits of the next ones out."""
    graph = LanguageWriter(shape, task)
    x = graph.embed("gpt_neox.embed_in", graph.tokens("input_ids"), shape.vocabulary)
    tables = graph.rotary_tables()
    for layer in range(shape.layers):
        x = _layer(graph, layer, x, tables)
    x = graph.layer_norm("gpt_neox.final_layer_norm", x)
    graph.logits(graph.linear("embed_out", x, shape.hidden, shape.vocabulary, bias=False))
    return graph.model()


def _layer(graph: LanguageWriter, layer: int, x: str, tables: tuple[str, str]) -> str:
    shape, name = graph.shape, f"gpt_neox.layers.{layer}"
    normed = graph.layer_norm(f"{name}.input_layernorm", x)
    query, key, value = _heads(graph, f"{name}.attention", normed)
    query = graph.turn(f"{name}.attention.q_turned", query, shape.heads, tables)
    key = graph.turn(f"{name}.attention.k_turned", key, shape.heads, tables)
    mixed = graph.attend(f"{name}.attention", layer, query, key, value)
    mixed = graph.linear(f"{name}.attention.dense", mixed, shape.hidden, shape.hidden)
    if not shape.parallel:
        x, mixed = graph.residual(f"{name}.attention.sum", mixed, x), ""
    normed = graph.layer_norm(f"{name}.post_attention_layernorm", x)
    inner = graph.linear(f"{name}.mlp.dense_h_to_4h", normed, shape.hidden, shape.ffn)
    inner = graph.activate(f"{name}.mlp.act", inner)
    inner = graph.linear(f"{name}.mlp.dense_4h_to_h", inner, shape.ffn, shape.hidden)
    return graph.residual(f"{name}.sum", inner, *([mixed] if mixed else []), x)


def _heads(graph: LanguageWriter, name: str, x: str) -> list[str]:
    """Queries, keys and values: in the product, those of a head are beside each other."""
    shape, task = graph.shape, graph.task
    joined = graph.linear(f"{name}.query_key_value", x, shape.hidden, 3 * shape.hidden)
    by_head = graph.integers(
        "gpt_neox.by_head", task.batch, task.tokens, shape.heads, 3 * shape.head_size
    )
    whole = graph.integers("gpt_neox.whole", task.batch, task.tokens, shape.hidden)
    parts = graph.split(f"{name}.split", graph.node("Reshape", f"{name}.heads", joined, by_head), 3)
    return [
        graph.node("Reshape", f"{name}.{letter}", part, whole)
        for letter, part in zip("qkv", parts, strict=True)
    ]
