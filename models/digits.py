"""The trained digits networks and the samples that ship with them.

The 8 x 8 images are a part of the Optical Recognition of Handwritten Digits data set
(E. Alpaydin, C. Kaynak, 1998); see ``digits.md`` for its source and licence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIGITS = Path(__file__).with_name("digits.onnx")
"""The convolutional network: ``image`` [1, 1, 8, 8] to ``logits`` [1, 10]."""

DIGITS_MLP = Path(__file__).with_name("digits_mlp.onnx")
"""The perceptron: ``image`` [batch, 1, 8, 8] to ``logits`` [batch, 10]."""

SAMPLES = Path(__file__).with_name("digits_samples.npz")

LEVELS = 16
"""A pixel counts the set pixels of a 4 x 4 block: 0 to 16. The networks take 0 to 1."""


def digits_samples() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """64 test images, [64, 1, 8, 8] in 0 to 1, and their labels, [64].

    Neither network has seen them in training.
    """
    with np.load(SAMPLES, allow_pickle=False) as data:
        return scaled(data["images"]), data["labels"].astype(np.int64)


def scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels 0 to 16, [n, 8, 8], as the networks take them: float32 [n, 1, 8, 8]."""
    return (pixels[:, None].astype(np.float32) / LEVELS).astype(np.float32)
