"""Language models by name: graphs at any size, whose weights are declared and not stored."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx

from wsc.models.language import bert, dalle, gopher, gpt2, gpt_j, gpt_neo, gpt_neox, llama
from wsc.models.language.config import read_shape
from wsc.models.language.shapes import SHAPES, Family, Shape, ShapeError, find_shape
from wsc.models.language.writer import DRAWN, Task

__all__ = [
    "DRAWN",
    "SHAPES",
    "Family",
    "Shape",
    "ShapeError",
    "Task",
    "build",
    "find_shape",
    "parameters",
    "read_shape",
]

_BUILDERS: dict[Family, Callable[[Shape, Task], onnx.ModelProto]] = {
    Family.BERT: bert.build,
    Family.DALLE: dalle.build,
    Family.GOPHER: gopher.build,
    Family.GPT2: gpt2.build,
    Family.GPT_J: gpt_j.build,
    Family.GPT_NEO: gpt_neo.build,
    Family.GPT_NEOX: gpt_neox.build,
    Family.LLAMA: llama.build,
}


def build(shape: Shape, task: Task | None = None) -> onnx.ModelProto:
    """The ONNX graph of a language model: token ids in, logits out, caches in a step.

    Raises:
        ShapeError: the family has no such model.
    """
    return _BUILDERS[shape.family](shape, task or Task())


def parameters(model: onnx.ModelProto) -> int:
    """Elements of all weights of a model that ``build`` made."""
    weights = (
        item for item in model.graph.initializer if item.data_location == onnx.TensorProto.EXTERNAL
    )
    return sum(math.prod(item.dims) for item in weights)
