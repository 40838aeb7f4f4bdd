"""Losses and steps of optimisers against ONNX's reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontend.cases import compare, floats, ints, run_evaluator

TRAINING = "ai.onnx.preview.training"


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, 2, -3])
@pytest.mark.parametrize("op_type", ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"])
def test_losses(
    tmp_path: Path, op_type: str, ignored: int | None, weighted: bool, reduction: str
) -> None:
    target = ints(3, 2, 4, low=0, high=5)
    attributes: dict[str, Any] = {"reduction": reduction}
    if ignored is not None:
        attributes["ignore_index"] = ignored
        target[0, 1] = ignored
    weights = floats(5, low=0.1) if weighted else None
    compare(
        tmp_path, op_type, floats(3, 5, 2, 4), target, weights, oracle=run_evaluator, **attributes
    )


def test_a_loss_and_its_probabilities(tmp_path: Path) -> None:
    compare(
        tmp_path,
        "SoftmaxCrossEntropyLoss",
        floats(3, 5),
        ints(3, low=0, high=5),
        outputs=2,
        oracle=run_evaluator,
    )


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize(
    ("op_type", "states", "attributes"),
    [
        ("Adagrad", 1, {"decay_factor": 0.1, "epsilon": 1e-4, "norm_coefficient": 0.01}),
        ("Momentum", 1, {"alpha": 0.9, "beta": 0.8, "mode": "standard", "norm_coefficient": 0.1}),
        ("Momentum", 1, {"alpha": 0.9, "beta": 0.8, "mode": "nesterov", "norm_coefficient": 0.0}),
        (
            "Adam",
            2,
            {
                "alpha": 0.9,
                "beta": 0.99,
                "epsilon": 1e-4,
                "norm_coefficient": 0.01,
                "norm_coefficient_post": 0.02,
            },
        ),
    ],
)
def test_optimisers(
    tmp_path: Path, op_type: str, states: int, attributes: dict[str, Any], step: int
) -> None:
    shapes = [(3, 4), (5,)]
    tensors = [floats(*shape) for _ in range(2) for shape in shapes]
    state = [floats(*shape, low=0.1) for _ in range(states) for shape in shapes]
    rate, count = np.array(0.1, np.float32), np.array(step, np.int64)
    compare(
        tmp_path,
        op_type,
        rate,
        count,
        *tensors,
        *state,
        outputs=2 * (1 + states),
        domain=TRAINING,
        oracle=run_evaluator,
        tolerance=1e-4,
        **attributes,
    )
