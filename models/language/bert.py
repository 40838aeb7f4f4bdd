"""BERT: an encoder whose norms follow the sums, with the head for masked words."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from wsc.models.language.shapes import Shape, ShapeError
from wsc.models.language.writer import LanguageWriter, Task

SEGMENTS = 2


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Words, a mask of those that count, and segments in; logits of every word out."""
    if task.step:
        raise ShapeError(f"{shape.name} has no decoding step: it reads all words at once")
    graph = LanguageWriter(shape, task)
    words = graph.tokens("input_ids")
    mask = _mask(graph)
    segments = graph.tokens("token_type_ids")
    x = graph.residual(
        "bert.embeddings.sum",
        graph.embed("bert.embeddings.word_embeddings", words, shape.vocabulary),
        graph.learned_positions("bert.embeddings.position_embeddings"),
        graph.embed("bert.embeddings.token_type_embeddings", segments, SEGMENTS),
    )
    x = graph.layer_norm("bert.embeddings.LayerNorm", x)
    for layer in range(shape.layers):
        x = _layer(graph, layer, x, mask)
    head = "cls.predictions.transform"
    x = graph.linear(f"{head}.dense", x, shape.hidden, shape.hidden)
    x = graph.layer_norm(f"{head}.LayerNorm", graph.activate(f"{head}.act", x))
    table = "bert.embeddings.word_embeddings.weight"
    x = graph.times_transposed("cls.predictions.decoder", x, table)
    graph.logits(graph.biased("cls.predictions", x, shape.vocabulary))
    return graph.model()


def _mask(graph: LanguageWriter) -> str:
    """The mask of the words as attention takes it, [batch, 1, tokens, tokens]."""
    task = graph.task
    given = graph.tokens("attention_mask")
    kept = graph.node("Cast", "bert.mask.kept", given, to=TensorProto.BOOL)
    axes = graph.integers("bert.mask.axes", 1, 2)
    wide = graph.node("Unsqueeze", "bert.mask.wide", kept, axes)
    size = graph.integers("bert.mask.size", task.batch, 1, task.tokens, task.tokens)
    return graph.node("Expand", "bert.mask", wide, size)


def _layer(graph: LanguageWriter, layer: int, x: str, mask: str) -> str:
    shape, name = graph.shape, f"bert.encoder.layer.{layer}"
    query, key, value = (
        graph.linear(f"{name}.attention.self.{part}", x, shape.hidden, shape.hidden)
        for part in ("query", "key", "value")
    )
    mixed = graph.attend(
        f"{name}.attention.self", layer, query, key, value, causal=False, mask=mask
    )
    mixed = graph.linear(f"{name}.attention.output.dense", mixed, shape.hidden, shape.hidden)
    x = graph.residual(f"{name}.attention.output.sum", mixed, x)
    x = graph.layer_norm(f"{name}.attention.output.LayerNorm", x)
    inner = graph.linear(f"{name}.intermediate.dense", x, shape.hidden, shape.ffn)
    inner = graph.activate(f"{name}.intermediate.act", inner)
    inner = graph.linear(f"{name}.output.dense", inner, shape.ffn, shape.hidden)
    return graph.layer_norm(
        f"{name}.output.LayerNorm", graph.residual(f"{name}.output.sum", inner, x)
    )
