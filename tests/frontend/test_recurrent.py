"""Recurrent operators against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.frontend.cases import compare, compare_model, floats, model_of

STEPS, BATCH, INPUT, HIDDEN = 4, 3, 5, 6


def arrays(gates: int, directions: int, states: int) -> list[np.ndarray]:
    """x, W, R, B and initial states."""
    return [
        floats(STEPS, BATCH, INPUT),
        floats(directions, gates * HIDDEN, INPUT, low=-0.5, high=0.5),
        floats(directions, gates * HIDDEN, HIDDEN, low=-0.5, high=0.5),
        floats(directions, 2 * gates * HIDDEN),
        *(floats(directions, BATCH, HIDDEN) for _ in range(states)),
    ]


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("const", [[1, 2, 3], []])
def test_directions(tmp_path: Path, op_type: str, direction: str, const: list[int]) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type]
    outputs = 3 if op_type == "LSTM" else 2
    x, w, r, b, *states = arrays(gates, 2 if direction == "bidirectional" else 1, outputs - 1)
    compare(
        tmp_path,
        op_type,
        x,
        w,
        r,
        b,
        None,
        *states,
        const=const,
        outputs=outputs,
        hidden_size=HIDDEN,
        direction=direction,
    )


@pytest.mark.parametrize("const", [[1, 2, 3], []])
def test_gru_with_reset_after_the_product(tmp_path: Path, const: list[int]) -> None:
    compare(
        tmp_path,
        "GRU",
        *arrays(3, 1, 0),
        const=const,
        outputs=2,
        hidden_size=HIDDEN,
        linear_before_reset=1,
    )


def test_no_bias_no_state_no_sequence(tmp_path: Path) -> None:
    x, w, r, *_ = arrays(4, 1, 0)
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "h"], name="lstm", hidden_size=HIDDEN)
    model = model_of([node], {"x": x}, {"w": w, "r": r}, ["h"])
    compare_model(tmp_path, model, {"x": x})


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "activations": ["HardSigmoid", "Relu", "Softsign"],
            "activation_alpha": [0.3],
            "activation_beta": [0.4],
        },
        {"clip": 0.5},
        {"input_forget": 1},
    ],
)
def test_lstm_attributes(tmp_path: Path, attributes: dict[str, Any]) -> None:
    compare(tmp_path, "LSTM", *arrays(4, 1, 0), outputs=3, hidden_size=HIDDEN, **attributes)


def test_peepholes(tmp_path: Path) -> None:
    x, w, r, b, h, c = arrays(4, 1, 2)
    compare(
        tmp_path,
        "LSTM",
        x,
        w,
        r,
        b,
        None,
        h,
        c,
        floats(1, 3 * HIDDEN),
        outputs=3,
        hidden_size=HIDDEN,
    )


def test_full_sequence_lengths(tmp_path: Path) -> None:
    lengths = np.full(BATCH, STEPS, np.int32)
    compare(tmp_path, "RNN", *arrays(1, 1, 0), lengths, const=[4], outputs=2, hidden_size=HIDDEN)


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("const", [True, False])
def test_sequences_that_end_early(
    tmp_path: Path, op_type: str, direction: str, const: bool
) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op_type]
    outputs = 3 if op_type == "LSTM" else 2
    x, w, r, b, *states = arrays(gates, 2 if direction == "bidirectional" else 1, outputs - 1)
    lengths = np.array([STEPS, 1, STEPS - 1], np.int32)
    compare(
        tmp_path,
        op_type,
        x,
        w,
        r,
        b,
        lengths,
        *states,
        const=[4] if const else [],
        outputs=outputs,
        hidden_size=HIDDEN,
        direction=direction,
    )
