"""The decoder of DALL-E: words, then the tokens of an image, row by row.

All layers look at all earlier words. At earlier tokens of the image a layer looks along the row,
along the column or, the last one, at what is near (figure 11 of the paper). There are no
published weights, and names are our own.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from wsc.models.language.shapes import Shape, ShapeError
from wsc.models.language.writer import LanguageWriter, Task

TEXT = 256  # words before the image
SIDE = 32  # tokens of a row of the image, and rows
NEAR = 11  # rows and columns of the neighbourhood that the last layer looks at
IMAGE_VOCABULARY = 8192


def build(shape: Shape, task: Task) -> onnx.ModelProto:
    """Tokens of words and of the image in, logits of the next ones out; one vocabulary for both."""
    if task.step and task.first < TEXT:
        raise ShapeError(f"{shape.name} makes tokens of an image: a step has at least {TEXT} words")
    graph = LanguageWriter(shape, task)
    # Rows and columns of the image have tables of their own; their sums are one for each position.
    x = graph.residual(
        "embed",
        graph.embed("wte", graph.tokens("input_ids"), shape.vocabulary),
        graph.learned_positions("wpe"),
    )
    for layer in range(shape.layers):
        x = _layer(graph, layer, x)
    x = graph.layer_norm("ln_f", x)
    graph.logits(graph.linear("lm_head", x, shape.hidden, shape.vocabulary))
    return graph.model()


def _layer(graph: LanguageWriter, layer: int, x: str) -> str:
    shape, name = graph.shape, f"h.{layer}"
    inner = graph.layer_norm(f"{name}.ln_1", x)
    query, key, value = (
        graph.linear(f"{name}.attn.{part}_proj", inner, shape.hidden, shape.hidden)
        for part in ("q", "k", "v")
    )
    mask = _mask(graph, layer) if graph.task.keys > TEXT else ""
    mixed = graph.attend(f"{name}.attn", layer, query, key, value, causal=not mask, mask=mask)
    mixed = graph.linear(f"{name}.attn.out_proj", mixed, shape.hidden, shape.hidden)
    x = graph.residual(f"{name}.attn.sum", x, mixed)
    inner = graph.layer_norm(f"{name}.ln_2", x)
    inner = graph.linear(f"{name}.mlp.fc_in", inner, shape.hidden, shape.ffn)
    inner = graph.activate(f"{name}.mlp.act", inner)
    inner = graph.linear(f"{name}.mlp.fc_out", inner, shape.ffn, shape.hidden)
    return graph.residual(f"{name}.mlp.sum", x, inner)


def _mask(graph: LanguageWriter, layer: int) -> str:
    """The last layer looks near, every fourth along columns, all others along rows."""
    kind = "columns" if layer % 4 == 2 else "rows"
    if layer == graph.shape.layers - 1:
        kind = "near"
    return graph.mask(f"mask.{kind}", allowed(kind))


def allowed(kind: str) -> NDArray[np.bool_]:
    """Which earlier tokens each token may look at, [1280, 1280]."""
    size = TEXT + SIDE * SIDE
    seen = np.tri(size, dtype=bool)
    place = np.arange(SIDE * SIDE)
    row, column = place // SIDE, place % SIDE
    down, right = row[:, None] - row, column[:, None] - column
    match kind:
        case "rows":  # as far as the token above
            image = place[:, None] - place <= SIDE
        case "columns":
            image = right == 0
        case "near":
            image = (down < NEAR) & (abs(right) <= NEAR // 2)
        case _:
            raise ValueError(kind)
    seen[TEXT:, TEXT:] &= image
    return seen
