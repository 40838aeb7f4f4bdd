"""The trained networks on the samples that ship with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from wsc.models import DIGITS, DIGITS_MLP, IR_VERSION, OPSET, digits_samples
from wsc.models.train_digits import Conv3x3, Layer, Linear, MaxPool2x2, Relu


def logits(file: Path) -> np.ndarray:
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    images, _ = digits_samples()
    return np.stack([np.asarray(session.run(None, {"image": x[None]})[0])[0] for x in images])


def test_samples_are_images_in_0_to_1_of_all_ten_digits() -> None:
    images, labels = digits_samples()
    assert images.shape == (64, 1, 8, 8)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    assert labels.dtype == np.int64
    assert set(labels) == set(range(10))


@pytest.mark.parametrize("file", [DIGITS, DIGITS_MLP], ids=lambda file: file.stem)
def test_networks_are_valid_and_read_at_least_95_in_100_unseen_digits(file: Path) -> None:
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)
    _, labels = digits_samples()
    assert (logits(file).argmax(axis=1) == labels).mean() >= 0.95


RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(RANDOM, 5, 3), (2, 5)),
        (Conv3x3(RANDOM, 2, 3), (2, 2, 4, 4)),
        (MaxPool2x2(), (2, 2, 4, 4)),
        (Relu(), (2, 7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_gradients_agree_with_finite_differences(layer: Layer, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(6)
    x = random.standard_normal(shape).astype(np.float32)
    weight = random.standard_normal(layer.forward(x).shape).astype(np.float32)

    def loss() -> float:
        return float((layer.forward(x).astype(np.float64) * weight).sum())

    loss()
    inputs = layer.backward(weight)
    checked = [(x, inputs)] + [(p.value, p.gradient) for p in layer.parameters()]
    for values, gradient in checked:
        for at in np.ndindex(values.shape):
            kept, step = values[at], np.float32(1e-3)
            values[at] = kept + step
            above = loss()
            values[at] = kept - step
            below = loss()
            values[at] = kept
            assert (above - below) / (2 * step) == pytest.approx(gradient[at], abs=0.02)
