"""Losses against NumPy, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

import wsc
from tests import oracle
from tests.training.networks import Builder
from wsc.errors import CompileError
from wsc.ir.build import GraphBuilder
from wsc.ir.graph import GraphOutput, Type
from wsc.isa.types import DType
from wsc.training.losses import Loss, add_loss, parse_loss

RNG = np.random.default_rng(2)


def value(loss: Loss, output: np.ndarray, label: np.ndarray | None) -> float:
    """What the graph of a loss gives."""
    build = GraphBuilder("g")
    y = build.input("y", Type(DType.F32, output.shape), "float32")
    found = add_loss(build, loss, y, "float32")
    graph = build.finish([GraphOutput("loss", found.name, "float32")])
    feeds = {"y": output} if label is None else {"y": output, "label": label}
    return float(oracle.evaluate(graph, feeds, double=True)["loss"])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(
    ("shape", "axis", "wanted"),
    [((5, 7), None, 1), ((2, 3, 7), None, 2), ((2, 7, 3), 1, 1), ((2, 7, 3, 2), None, 1)],
)
def test_cross_entropy(
    shape: tuple[int, ...], axis: int | None, wanted: int, smoothing: float
) -> None:
    scores = RNG.normal(size=shape)
    label = RNG.integers(0, 7, shape[:wanted] + shape[wanted + 1 :])
    label.flat[1] = 9  # the one that does not count
    got = value(Loss(ignored=9, smoothing=smoothing, axis=axis), scores, label)
    rows = np.moveaxis(scores, wanted, -1).reshape(-1, 7)
    logs = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    flat = label.reshape(-1)
    kept = flat != 9
    picked = -logs[np.arange(len(flat)), np.where(kept, flat, 0)]
    each = (1 - smoothing) * picked - smoothing * logs.mean(1)
    np.testing.assert_allclose(got, each[kept].mean(), 1e-6)


def test_where_no_label_counts_the_loss_is_nothing() -> None:
    assert value(Loss(), RNG.normal(size=(2, 3)), np.array([-100, -100])) == 0.0


def test_mean_squared_error() -> None:
    y, label = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    np.testing.assert_allclose(value(Loss("mse"), y, label), np.square(y - label).mean(), 1e-6)


def test_an_output_of_the_model_is_the_loss() -> None:
    np.testing.assert_allclose(value(Loss("output"), np.array([[2.5]]), None), 2.5)


def test_options_are_read() -> None:
    got = parse_loss("cross_entropy:smoothing=0.1,ignored=0,axis=-1,output=logits")
    assert got == Loss("cross_entropy", "logits", 0, 0.1, -1)
    with pytest.raises(CompileError, match="axis is an integer, not 'x'"):
        parse_loss("cross_entropy:axis=x")


@pytest.mark.parametrize(
    ("loss", "shape", "message"),
    [
        (Loss(), (7,), "a dimension of classes, not \\[7\\]"),
        (Loss(axis=3), (2, 7), "has no dimension 3"),
        (Loss("output"), (2,), "one float, not \\[2\\]"),
    ],
)
def test_outputs_of_another_form_are_refused(
    loss: Loss, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        value(loss, np.zeros(shape), None)


def test_a_model_with_an_input_called_label_is_refused() -> None:
    build = GraphBuilder("g")
    y = build.input("label", Type(DType.F32, (2, 3)), "float32")
    with pytest.raises(CompileError, match="the model has an input 'label' of its own"):
        add_loss(build, Loss(), y, "float32")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_in_halves_a_sure_label_has_a_loss_and_a_gradient(smoothing: float) -> None:
    b = Builder(1)
    b.weight("w", 4, size=0.0)
    b.node("Add", "logits", "x", "w")
    model = b.model("sure", {"x": (TensorProto.FLOAT, ["batch", 4])})
    x = np.array([[7.0, 0.0, 0.5, -1.0], [-2.0, 5.5, -3.0, -3.0]], np.float32)
    labels = np.array([0, 1])
    loss = f"cross_entropy:smoothing={smoothing}"
    made = wsc.train(model, loss, "sgd:lr=1", precision="f16", fabric=(2, 2))
    result = made.step({"x": x, "label": labels})
    wide = x.astype(np.float64)
    p = np.exp(wide) / np.exp(wide).sum(1, keepdims=True)
    target = np.eye(4)[labels] * (1 - smoothing) + smoothing / 4
    assert result.loss == pytest.approx(-(target * np.log(p)).sum(1).mean(), rel=1e-3)
    # Beside a 1, halves would lose a tenth of what is missing from it.
    np.testing.assert_allclose(-made.weights["w"], (p - target).mean(0), rtol=5e-3, atol=2e-6)
