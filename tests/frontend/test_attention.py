"""Attention and its relatives against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import compare, floats, ints


@pytest.mark.parametrize("mask", [None, "float", "bool"])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention(tmp_path: Path, mask: str | None, causal: int) -> None:
    q, k, v = floats(2, 3, 4, 8), floats(2, 3, 5, 8), floats(2, 3, 5, 6)
    allowed = np.tri(4, 5, 1) > 0
    array = {None: None, "float": floats(4, 5), "bool": allowed}[mask]
    compare(tmp_path, "Attention", q, k, v, array, opset=23, is_causal=causal)


def test_attention_of_grouped_heads(tmp_path: Path) -> None:
    compare(
        tmp_path, "Attention", floats(2, 4, 24), floats(2, 5, 12), floats(2, 5, 12),
        opset=23, q_num_heads=4, kv_num_heads=2, scale=0.3,
    )  # fmt: skip


def test_attention_with_a_past(tmp_path: Path) -> None:
    q, k, v = floats(1, 2, 3, 8), floats(1, 2, 3, 8), floats(1, 2, 3, 8)
    past = floats(1, 2, 4, 8), floats(1, 2, 4, 8)
    compare(tmp_path, "Attention", q, k, v, None, *past, opset=23, outputs=3)


def test_multi_head_attention(tmp_path: Path) -> None:
    q, k, v = floats(2, 4, 12), floats(2, 5, 12), floats(2, 5, 12)
    compare(
        tmp_path, "MultiHeadAttention", q, k, v, floats(36), None, floats(1, 3, 4, 5),
        domain="com.microsoft", num_heads=3,
    )  # fmt: skip


def test_packed_attention(tmp_path: Path) -> None:
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
    compare(
        tmp_path, "Attention", floats(2, 4, 6), floats(6, 36), floats(36), mask,
        const=[1, 2], domain="com.microsoft", num_heads=3, tolerance=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize(
    "attributes", [{}, {"interleaved": 1}, {"rotary_embedding_dim": 4, "num_heads": 2}]
)
def test_rotary_embedding(tmp_path: Path, attributes: dict[str, Any]) -> None:
    width = attributes.get("rotary_embedding_dim", 8)
    angles = floats(10, width // 2)
    x = floats(2, 2, 5, 8)
    compare(
        tmp_path, "RotaryEmbedding", x, np.cos(angles), np.sin(angles), ints(2, 5, low=0, high=10),
        opset=23, **attributes,
    )  # fmt: skip
