"""Large networks by shape, for the values engine: topologies, and weights that are not trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx

from conformance.suite import load_cases
from wsc.models import builders


@dataclass(frozen=True, slots=True)
class Shape:
    """A network: how it is made, the rectangle that holds it, and what its run may take.

    seconds, gib: targets; 0 where there is none. rate: million multiply-accumulates a second.
    large: it takes minutes and gigabytes, and is measured only when that is asked for.
    """

    model: Callable[[], onnx.ModelProto]
    fabric: str
    seconds: float = 0
    gib: float = 0
    rate: float = 0
    same_order: bool = False
    large: bool = False


def _light(name: str) -> onnx.ModelProto:
    """A network of ONNX's light suite."""
    (case,) = load_cases(("light",), name)
    return case.load()[0]


SHAPES: dict[str, Shape] = {
    "ResNet-50": Shape(partial(_light, "resnet50"), "32x16", 15, same_order=True),
    "Inception v1": Shape(partial(_light, "inception_v1"), "32x32", 15, same_order=True),
    "DenseNet-121": Shape(partial(_light, "densenet121"), "32x32", 15, same_order=True),
    "VGG-19": Shape(partial(_light, "vgg19"), "64x64", 15, same_order=True),
    "GPT-2 124M, 12 layers, 128 tokens": Shape(
        partial(builders.transformer_encoder, 12, 768, 12, 128), "64x64", 15, 3
    ),
    "GPT-NeoX-20B, a product for 2048 tokens": Shape(
        partial(builders.matmul, 2048, 6144, 6144), "750x994", gib=8, rate=5000, large=True
    ),
}
