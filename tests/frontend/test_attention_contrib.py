"""com.microsoft's attention operators against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import compare, floats
from wsc.errors import UnsupportedOperators

MICROSOFT = "com.microsoft"


def test_multi_head_attention(tmp_path: Path) -> None:
    q, k, v = floats(2, 4, 12), floats(2, 5, 12), floats(2, 5, 12)
    compare(
        tmp_path,
        "MultiHeadAttention",
        q,
        k,
        v,
        floats(36),
        None,
        floats(1, 3, 4, 5),
        domain=MICROSOFT,
        num_heads=3,
    )


@pytest.mark.parametrize("unidirectional", [0, 1])
def test_multi_head_attention_with_a_cache(tmp_path: Path, unidirectional: int) -> None:
    past = floats(2, 3, 6, 4), floats(2, 3, 6, 4)
    compare(
        tmp_path,
        "MultiHeadAttention",
        floats(2, 4, 12),
        floats(2, 4, 12),
        floats(2, 4, 12),
        None,
        None,
        None,
        *past,
        outputs=3,
        domain=MICROSOFT,
        num_heads=3,
        unidirectional=unidirectional,
    )


def test_multi_head_attention_with_a_padding_mask(tmp_path: Path) -> None:
    flags = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    compare(
        tmp_path,
        "MultiHeadAttention",
        floats(2, 4, 12),
        floats(2, 5, 12),
        floats(2, 5, 12),
        None,
        flags,
        domain=MICROSOFT,
        num_heads=3,
    )


def test_cross_attention_of_split_keys(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "MultiHeadAttention",
        floats(2, 4, 12),
        floats(2, 3, 5, 4),
        floats(2, 3, 5, 4),
        domain=MICROSOFT,
        num_heads=3,
    )


def test_packed_attention(tmp_path: Path) -> None:
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
    compare(
        tmp_path,
        "Attention",
        floats(2, 4, 6),
        floats(6, 36),
        floats(36),
        mask,
        const=[1, 2],
        domain=MICROSOFT,
        num_heads=3,
        tolerance=1e-4,
    )


def test_packed_attention_with_a_cache(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "Attention",
        floats(2, 4, 6),
        floats(6, 36),
        floats(36),
        None,
        floats(2, 2, 3, 5, 4),
        const=[1, 2],
        outputs=2,
        domain=MICROSOFT,
        num_heads=3,
        unidirectional=1,
        tolerance=1e-4,
    )


def _group_query(
    tmp_path: Path, lengths: list[int], total: int, past: int, steps: int, **attributes: Any
) -> None:
    batch = len(lengths)
    caches = [floats(batch, 2, past, 16) if past else None for _ in range(2)]
    angles = floats(32, 8)
    inputs: list[np.ndarray | None] = [
        floats(batch, steps, 64),
        floats(batch, steps, 32),
        floats(batch, steps, 32),
        *caches,
        np.array(lengths, np.int32),
        np.array(total, np.int32),
    ]
    if attributes.get("do_rotary"):
        inputs += [np.cos(angles), np.sin(angles)]
    compare(
        tmp_path,
        "GroupQueryAttention",
        *inputs,
        const=[6],
        outputs=3,
        domain=MICROSOFT,
        num_heads=4,
        kv_num_heads=2,
        tolerance=1e-4,
        **attributes,
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"do_rotary": 1},
        {"do_rotary": 1, "rotary_interleaved": 1},
        {"softcap": 2.0},
        {"local_window_size": 3},
    ],
)
def test_group_query_decoding(tmp_path: Path, attributes: dict[str, Any]) -> None:
    _group_query(tmp_path, [5, 5], 6, 5, 1, **attributes)


def test_group_query_prompt(tmp_path: Path) -> None:
    _group_query(tmp_path, [3, 3], 4, 0, 4, do_rotary=1)


def test_group_query_steps_behind_a_cache(tmp_path: Path) -> None:
    _group_query(tmp_path, [7], 8, 5, 3, do_rotary=1)


def test_packed_group_query(tmp_path: Path) -> None:
    caches = floats(1, 2, 5, 8), floats(1, 2, 5, 8)
    compare(
        tmp_path,
        "GroupQueryAttention",
        floats(1, 1, 64),
        None,
        None,
        *caches,
        np.array([5], np.int32),
        np.array(6, np.int32),
        const=[6],
        outputs=3,
        domain=MICROSOFT,
        num_heads=4,
        kv_num_heads=2,
    )


def test_group_query_with_an_open_length(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperators, match="total sequence length must be a constant"):
        compare(
            tmp_path,
            "GroupQueryAttention",
            floats(1, 1, 64),
            None,
            None,
            floats(1, 2, 5, 8),
            floats(1, 2, 5, 8),
            np.array([5], np.int32),
            np.array(6, np.int32),
            outputs=3,
            domain=MICROSOFT,
            num_heads=4,
            kv_num_heads=2,
        )


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding(tmp_path: Path, interleaved: int, first: bool) -> None:
    angles = floats(16, 4)
    places = np.array([3]) if first else np.arange(10).reshape(2, 5)
    compare(
        tmp_path,
        "RotaryEmbedding",
        floats(2, 5, 24),
        places,
        np.cos(angles),
        np.sin(angles),
        domain=MICROSOFT,
        interleaved=interleaved,
    )
