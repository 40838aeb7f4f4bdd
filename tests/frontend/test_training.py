"""Losses and steps of optimisers against ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import helper

from tests.frontend.cases import compare, compare_model, floats, ints, model_of, run_evaluator
from wsc.errors import UnsupportedOperators
from wsc.frontend import import_model

TRAINING = "ai.onnx.preview.training"
LISTS = ("weights", "gradients", "means", "squares")


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


def adamw(feeds: Mapping[str, np.ndarray], results: int = 3, **attributes: Any) -> onnx.ModelProto:
    """AdamW for two tensors, NAME.0 and NAME.1 of each of LISTS. results: that are read."""
    nodes = [
        helper.make_node("SequenceConstruct", [f"{name}.{n}" for n in range(2)], [name], name)
        for name in LISTS
    ]
    inputs = ["rate", "count", *LISTS, *(["signal"] if "signal" in feeds else [])]
    news = [f"new.{name}" for name in ("weights", "means", "squares")[:results]]
    outputs = ["flag", *news]
    nodes.append(
        helper.make_node(
            "AdamWOptimizer", inputs, outputs, "step", domain="com.microsoft", **attributes
        )
    )
    places = {f"at.{n}": np.array(n, np.int64) for n in range(2)}
    shown = [f"{name}.{n}" for name in news for n in range(2)]
    nodes += [helper.make_node("SequenceAt", [n[:-2], f"at.{n[-1]}"], [n], n) for n in shown]
    return model_of(nodes, feeds, places, ["flag", *shown], domains=["com.microsoft"])


def adamw_in_numpy(feeds: Mapping[str, np.ndarray], **attributes: Any) -> list[np.ndarray]:
    """What it gives, as ONNX Runtime's training computes it."""
    rate, count, given = float(feeds["rate"]), feeds["count"].item(), attributes
    alpha, beta = given.get("alpha", 0.9), given.get("beta", 0.999)
    epsilon, decay = given.get("epsilon", 1e-8), given.get("weight_decay", 1e-2)
    right = given.get("correct_bias", 1)
    a, b = (1 - keep**count if right else 1.0 for keep in (alpha, beta))
    news: list[list[np.ndarray]] = []
    for n in range(2):
        old, g, m, v = (feeds[f"{name}.{n}"].astype(np.float64) for name in LISTS)
        mean, square = alpha * m + (1 - alpha) * g, beta * v + (1 - beta) * g * g
        if given.get("adam_mode", 0) == 0:
            way = rate * (mean / a) / (np.sqrt(square / b) + epsilon)
            new = old * (1 - rate * decay) - way
        else:
            new = old - rate * np.sqrt(b) / a * mean / (np.sqrt(square) + epsilon)
            new = new * (1 - rate * decay)
        news.append([new, mean, square] if feeds.get("signal", True) else [old, m, v])
    flag = np.full(feeds["count"].shape, bool(feeds.get("signal", True)))
    return [flag, *(news[n][kind].astype(np.float32) for kind in range(3) for n in range(2))]


def adamw_feeds(**more: np.ndarray) -> dict[str, np.ndarray]:
    rate, count = np.array(0.1, np.float32), np.array([3], np.int64)
    tensors = {
        f"{name}.{n}": floats(*shape, low=0.1 if name == "squares" else -2.0)
        for name in LISTS
        for n, shape in enumerate([(3, 4), (5,)])
    }
    return {"rate": rate, "count": count, **tensors, **more}


@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        ({}, {}),
        ({"adam_mode": 1, "alpha": 0.8, "weight_decay": 0.1}, {}),
        ({"correct_bias": 0, "epsilon": 1e-3}, {"signal": np.array([True])}),
        ({"beta": 0.99}, {"signal": np.array(False)}),
    ],
)
def test_adamw_of_sequences(
    tmp_path: Path, attributes: dict[str, Any], more: dict[str, np.ndarray]
) -> None:
    feeds = adamw_feeds(**more)
    compare_model(
        tmp_path,
        adamw(feeds, **attributes),
        feeds,
        oracle=lambda _, given: adamw_in_numpy(given, **attributes),
    )


def test_adamw_whose_results_would_be_lost_is_refused() -> None:
    def reason(model: onnx.ModelProto) -> str:
        with pytest.raises(UnsupportedOperators) as caught:
            import_model(onnx_ir.from_proto(model))
        return caught.value.operators[0].reason

    lost = "it changes its inputs, and nothing reads updated_momentums_1, updated_momentums_2"
    assert reason(adamw(adamw_feeds(), results=1)) == lost
    assert "adam_mode = 2" in reason(adamw(adamw_feeds(), adam_mode=2))
    odd = adamw_feeds() | {"means.1": floats(4)}
    assert "tensors of shapes [[5], [5], [4], [5]]" in reason(adamw(odd))
