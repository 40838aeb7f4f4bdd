"""Attention and its relatives against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.frontend.cases import compare, compare_model, floats, ints, run_evaluator


@pytest.mark.parametrize("mask", [None, "float", "bool"])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention(tmp_path: Path, mask: str | None, causal: int) -> None:
    q, k, v = floats(2, 3, 4, 8), floats(2, 3, 5, 8), floats(2, 3, 5, 6)
    allowed = np.tri(4, 5, 1) > 0
    array = {None: None, "float": floats(4, 5), "bool": allowed}[mask]
    compare(tmp_path, "Attention", q, k, v, array, opset=23, is_causal=causal)


def test_attention_of_grouped_heads(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "Attention",
        floats(2, 4, 24),
        floats(2, 5, 12),
        floats(2, 5, 12),
        opset=23,
        q_num_heads=4,
        kv_num_heads=2,
        scale=0.3,
    )


def test_attention_with_a_past(tmp_path: Path) -> None:
    q, k, v = floats(1, 2, 3, 8), floats(1, 2, 3, 8), floats(1, 2, 3, 8)
    past = floats(1, 2, 4, 8), floats(1, 2, 4, 8)
    compare(tmp_path, "Attention", q, k, v, None, *past, opset=23, outputs=3)


@pytest.mark.parametrize(
    "attributes", [{}, {"interleaved": 1}, {"rotary_embedding_dim": 4, "num_heads": 2}]
)
def test_rotary_embedding(tmp_path: Path, attributes: dict[str, Any]) -> None:
    width = attributes.get("rotary_embedding_dim", 8)
    angles = floats(10, width // 2)
    x = floats(2, 2, 5, 8)
    compare(
        tmp_path,
        "RotaryEmbedding",
        x,
        np.cos(angles),
        np.sin(angles),
        ints(2, 5, low=0, high=10),
        opset=23,
        **attributes,
    )


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_attention_shows_its_scores(tmp_path: Path, mode: int) -> None:
    compare(
        tmp_path,
        "Attention",
        floats(2, 4, 3, 8),
        floats(2, 2, 5, 8),
        floats(2, 2, 5, 6),
        floats(3, 5),
        opset=24,
        outputs=4,
        qk_matmul_output_mode=mode,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_attention_with_a_soft_cap(tmp_path: Path, mode: int) -> None:
    compare(
        tmp_path,
        "Attention",
        floats(2, 3, 24),
        floats(2, 5, 12),
        floats(2, 5, 12),
        opset=24,
        outputs=4,
        q_num_heads=4,
        kv_num_heads=2,
        softcap=1.5,
        qk_matmul_output_mode=mode,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("window", [(2, -1), (1, 1), (0, 0), (-1, 2)])
@pytest.mark.parametrize("past", [0, 3])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention_in_a_window(
    tmp_path: Path, window: tuple[int, int], past: int, causal: int
) -> None:
    caches = [floats(1, 2, past, 8) if past else None for _ in range(2)]
    compare(
        tmp_path,
        "Attention",
        floats(1, 2, 5, 8),
        floats(1, 2, 5, 8),
        floats(1, 2, 5, 8),
        None,
        *caches,
        opset=25,
        left_window_size=window[0],
        right_window_size=window[1],
        is_causal=causal,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention_over_a_cache_that_is_partly_filled(
    tmp_path: Path, causal: int, masked: bool
) -> None:
    mask = np.tri(3, 6, 2) > 0 if masked else None
    compare(
        tmp_path,
        "Attention",
        floats(2, 4, 3, 8),
        floats(2, 2, 6, 8),
        floats(2, 2, 6, 8),
        mask,
        None,
        None,
        np.array([6, 2]),
        opset=24,
        is_causal=causal,
        oracle=run_evaluator,
    )


def test_a_query_that_no_key_is_allowed_to(tmp_path: Path) -> None:
    mask = np.tri(4, 5, 1) > 0
    mask[2] = False
    compare(
        tmp_path,
        "Attention",
        floats(1, 2, 4, 8),
        floats(1, 2, 5, 8),
        floats(1, 2, 5, 8),
        mask,
        opset=24,
        oracle=run_evaluator,
    )


def test_a_mask_that_is_shorter_than_the_keys(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "Attention",
        floats(1, 2, 4, 8),
        floats(1, 2, 5, 8),
        floats(1, 2, 5, 8),
        floats(2, 4, 3),
        opset=24,
        oracle=run_evaluator,
    )


# --- attention by a state -----------------------------------------------------------------


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
@pytest.mark.parametrize("past", [False, True])
def test_linear_attention(tmp_path: Path, rule: str, past: bool) -> None:
    decay = -np.abs(floats(2, 3, 8)) if "gated" in rule else None
    beta = floats(2, 3, 2, low=0, high=1) if "delta" in rule else None
    state = floats(2, 2, 4, 5) if past else None
    compare(
        tmp_path,
        "LinearAttention",
        floats(2, 3, 16),
        floats(2, 3, 8),
        floats(2, 3, 10),
        state,
        decay,
        beta,
        opset=27,
        outputs=2,
        q_num_heads=4,
        kv_num_heads=2,
        update_rule=rule,
        oracle=run_evaluator,
        tolerance=1e-4,
    )


@pytest.mark.parametrize("activation", ["none", "silu"])
@pytest.mark.parametrize("past", [False, True])
def test_causal_convolution(tmp_path: Path, past: bool, activation: str) -> None:
    state = floats(2, 3, 3) if past else None
    compare(
        tmp_path,
        "CausalConvWithState",
        floats(2, 3, 5),
        floats(3, 1, 4),
        floats(3),
        state,
        opset=27,
        outputs=2,
        activation=activation,
        oracle=run_evaluator,
    )


def test_flex_attention(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 24, "ai.onnx.preview" : 1]>
    case (float[2, 4, 3, 8] q, float[2, 2, 5, 8] k, float[2, 2, 5, 6] v)
        => (float[2, 4, 3, 6] y) {
        y = ai.onnx.preview.FlexAttention <
            score_mod = scores (float[B, H, S, T] a) => (float[B, H, S, T] b) {
                c = Constant<value = float {2.0}>() d = Div(a, c) e = Tanh(d) b = Mul(e, c)
            },
            prob_mod = probs (float[B, H, S, T] f) => (float[B, H, S, T] g) {
                h = Constant<value = float {0.5}>() g = Mul(f, h)
            }
        > (q, k, v)
    }"""
    feeds = {"q": floats(2, 4, 3, 8), "k": floats(2, 2, 5, 8), "v": floats(2, 2, 5, 6)}
    compare_model(tmp_path, onnx.parser.parse_model(text), feeds, oracle=run_evaluator)
