"""com.microsoft's fused operators against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.frontend.cases import compare, compare_model, floats, ints, model_of
from wsc.errors import UnsupportedOperators

MICROSOFT = "com.microsoft"


@pytest.mark.parametrize(
    "attributes",
    [
        {"activation": "Relu"},
        {"activation": "LeakyRelu", "activation_params": [0.2]},
        {"activation": "Clip", "activation_params": [-0.5, 0.5]},
        {"activation": "Tanh"},
    ],
)
def test_fused_convolution(tmp_path: Path, attributes: dict[str, Any]) -> None:
    compare(
        tmp_path,
        "FusedConv",
        floats(1, 3, 6, 5),
        floats(4, 3, 3, 3),
        floats(4),
        pads=[1, 1, 1, 1],
        domain=MICROSOFT,
        **attributes,
    )


def test_fused_convolution_with_a_sum(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "FusedConv",
        floats(1, 3, 6, 5),
        floats(4, 3, 3, 3),
        floats(4),
        floats(1, 4, 4, 3),
        domain=MICROSOFT,
        activation="Relu",
    )


def test_an_unknown_activation(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperators, match="activation 'Swish'"):
        compare(
            tmp_path,
            "FusedConv",
            floats(1, 3, 6, 5),
            floats(4, 3, 3, 3),
            floats(4),
            domain=MICROSOFT,
            activation="Swish",
            oracle=lambda *_: [np.zeros((1, 4, 4, 3), np.float32)],
        )


def test_fused_gemm(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "FusedGemm",
        floats(3, 5),
        floats(4, 5),
        floats(4),
        domain=MICROSOFT,
        transB=1,
        activation="LeakyRelu",
        activation_alpha=0.1,
    )


@pytest.mark.parametrize("segments", [False, True])
def test_embed_layer_normalization(tmp_path: Path, segments: bool) -> None:
    words = ints(2, 4, low=0, high=9, dtype=np.int32)
    kinds = ints(2, 4, low=0, high=2, dtype=np.int32)
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
    feeds = {"words": words, "mask": mask} | ({"kinds": kinds} if segments else {})
    tables = {"w": floats(9, 8), "p": floats(6, 8), "g": floats(8), "b": floats(8)}
    tables |= {"s": floats(2, 8)} if segments else {}
    names = ["words", "kinds", "w", "p", "s", "g", "b", "mask"]
    names = [name if segments or name not in ("kinds", "s") else "" for name in names]
    one = helper.make_node("EmbedLayerNormalization", names, ["y", "lengths"], domain=MICROSOFT)
    model = model_of([one], feeds, tables, ["y", "lengths"], domains=[MICROSOFT])
    model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.INT32
    compare_model(tmp_path, model, feeds)


def test_skip_layer_normalization(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "SkipLayerNormalization",
        floats(2, 3, 8),
        floats(2, 3, 8),
        floats(8),
        floats(8),
        floats(8),
        const=[2, 3, 4],
        domain=MICROSOFT,
    )


def test_simplified_layer_normalization(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "SkipSimplifiedLayerNormalization",
        floats(2, 3, 8),
        floats(2, 3, 8),
        floats(8),
        const=[2],
        domain=MICROSOFT,
    )
    compare(tmp_path, "SimplifiedLayerNormalization", floats(2, 3, 8), floats(8), const=[1])
