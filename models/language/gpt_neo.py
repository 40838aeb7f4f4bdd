"""GPT-Neo: scores without a scale, and every second layer looks back a few tokens alone."""

from __future__ import annotations

import numpy as np
import onnx

from wsc.models.language.shapes import Shape
from wsc.models.language.writer import LanguageWriter, Task


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Words in, logits of the next ones out."""
    graph = LanguageWriter(shape, task)
    x = graph.residual(
        "transformer.embed",
        graph.embed("transformer.wte", graph.tokens("input_ids"), shape.vocabulary),
        graph.learned_positions("transformer.wpe"),
    )
    for layer in range(shape.layers):
        x = _layer(graph, layer, x)
    x = graph.layer_norm("transformer.ln_f", x)
    graph.logits(graph.times_transposed("lm_head", x, "transformer.wte.weight"))
    return graph.model()


def _layer(graph: LanguageWriter, layer: int, x: str) -> str:
    shape, name = graph.shape, f"transformer.h.{layer}"
    inner = graph.layer_norm(f"{name}.ln_1", x)
    # Queries and keys are drawn smaller, because nothing else keeps their products small.
    small = (shape.hidden * shape.head_size**0.5) ** -0.5
    query, key, value = (
        graph.linear(
            f"{name}.attn.attention.{part}_proj",
            inner,
            shape.hidden,
            shape.hidden,
            bias=False,
            deviation=None if part == "v" else small,
        )
        for part in ("q", "k", "v")
    )
    local = layer % 2 == 1 and graph.task.keys > shape.window > 0
    mixed = graph.attend(
        f"{name}.attn.attention",
        layer,
        query,
        key,
        value,
        scale=1.0,
        causal=not local,
        mask=_window(graph) if local else "",
    )
    mixed = graph.linear(f"{name}.attn.attention.out_proj", mixed, shape.hidden, shape.hidden)
    x = graph.residual(f"{name}.attn.sum", x, mixed)
    inner = graph.layer_norm(f"{name}.ln_2", x)
    inner = graph.linear(f"{name}.mlp.c_fc", inner, shape.hidden, shape.ffn)
    inner = graph.activate(f"{name}.mlp.act", inner)
    inner = graph.linear(f"{name}.mlp.c_proj", inner, shape.ffn, shape.hidden)
    return graph.residual(f"{name}.mlp.sum", x, inner)


def _window(graph: LanguageWriter) -> str:
    """The mask of the last ``window`` tokens, one for all local layers."""
    keys, window = graph.task.keys, graph.shape.window
    near = np.tri(keys, dtype=bool) & ~np.tri(keys, k=-window, dtype=bool)
    return graph.mask("transformer.window", near)
