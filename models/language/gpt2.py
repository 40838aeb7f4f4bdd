"""GPT-2, and GPT-3, which is larger."""

from __future__ import annotations

import math

import onnx

from wsc.models.language.shapes import Shape
from wsc.models.language.writer import LanguageWriter, Task


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Words in, logits of the next ones out; norms come before the blocks."""
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
    joined = _product(graph, f"{name}.attn.c_attn", inner, shape.hidden, 3 * shape.hidden)
    query, key, value = graph.split(f"{name}.attn.split", joined, 3)
    mixed = graph.attend(f"{name}.attn", layer, query, key, value)
    mixed = _product(graph, f"{name}.attn.c_proj", mixed, shape.hidden, shape.hidden)
    x = graph.residual(f"{name}.attn.sum", x, mixed)
    inner = graph.layer_norm(f"{name}.ln_2", x)
    inner = _product(graph, f"{name}.mlp.c_fc", inner, shape.hidden, shape.ffn)
    inner = graph.activate(f"{name}.mlp.act", inner)
    inner = _product(graph, f"{name}.mlp.c_proj", inner, shape.ffn, shape.hidden)
    return graph.residual(f"{name}.mlp.sum", x, inner)


def _product(graph: LanguageWriter, name: str, x: str, fan_in: int, fan_out: int) -> str:
    """x times a weight [fan_in, fan_out], as GPT-2 stores it, and a bias."""
    weight = graph.weight(f"{name}.weight", (fan_in, fan_out), 1 / math.sqrt(fan_in))
    return graph.biased(name, graph.node("MatMul", f"{name}.matmul", x, weight), fan_out)
