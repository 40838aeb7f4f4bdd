"""Train the digits networks with plain NumPy and write them as ONNX.

    pip install -e '.[train]' && python -m wsc.models.train_digits

writes ``digits.onnx``, ``digits_mlp.onnx`` and ``digits_samples.npz`` beside this file
and prints the accuracy on the training and on the held-out images. The test images play
no part in training, nor in any choice about it: the number of epochs is fixed. They are
a random fifth of the set, so most writers have images on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from wsc.models.builders import Weights, cnn, mlp
from wsc.models.digits import DIGITS, DIGITS_MLP, SAMPLES, scaled

Array = NDArray[np.float32]
Labels = NDArray[np.int64]

SEED = 7
TEST = 360
SHIPPED = 64
EPOCHS = 40
BATCH = 32
RATE = 2e-3
CHANNELS = (16, 48)
SIZES = (64, 128, 64, 10)
IMAGE = (1, 8, 8)


@dataclass(slots=True)
class Parameter:
    """A trained array with its gradient and Adam's two moments."""

    value: Array
    gradient: Array = field(init=False)
    mean: Array = field(init=False)
    square: Array = field(init=False)

    def __post_init__(self) -> None:
        self.gradient = np.zeros_like(self.value)
        self.mean = np.zeros_like(self.value)
        self.square = np.zeros_like(self.value)

    def adam(self, step: int, rate: float, decay: float = 1e-4) -> None:
        """One step of AdamW (Loshchilov and Hutter, 2019), steps counted from 1."""
        self.mean += 0.1 * (self.gradient - self.mean)
        self.square += 0.001 * (self.gradient**2 - self.square)
        mean = self.mean / (1 - 0.9**step)
        square = self.square / (1 - 0.999**step)
        self.value -= rate * (mean / (np.sqrt(square) + 1e-8) + decay * self.value)


class Layer(Protocol):
    """A layer keeps what its backward pass needs from its last forward pass."""

    def forward(self, x: Array) -> Array:
        """The layer's outputs for a batch."""
        ...

    def backward(self, gradient: Array) -> Array:
        """The loss's gradient by the inputs; parameters keep theirs."""
        ...

    def parameters(self) -> tuple[Parameter, ...]:
        """Weight and bias, or nothing."""
        ...


class Linear:
    """``x @ weight.T + bias``; weight is [out, in]."""

    def __init__(self, random: np.random.Generator, fan_in: int, fan_out: int) -> None:
        self.weight = Parameter(he(random, (fan_out, fan_in), fan_in))
        self.bias = Parameter(np.zeros(fan_out, np.float32))
        self.x = np.empty(0, np.float32)

    def forward(self, x: Array) -> Array:
        """[n, in] to [n, out]."""
        self.x = x
        return x @ self.weight.value.T + self.bias.value

    def backward(self, gradient: Array) -> Array:
        """[n, out] to [n, in]."""
        self.weight.gradient = gradient.T @ self.x
        self.bias.gradient = gradient.sum(axis=0)
        return gradient @ self.weight.value

    def parameters(self) -> tuple[Parameter, ...]:
        """Weight, bias."""
        return self.weight, self.bias


class Conv3x3:
    """A 3 x 3 convolution that keeps the image's size; weight is [out, in, 3, 3]."""

    def __init__(self, random: np.random.Generator, depth: int, out: int) -> None:
        self.weight = Parameter(he(random, (out, depth, 3, 3), 9 * depth))
        self.bias = Parameter(np.zeros(out, np.float32))
        self.windows = np.empty(0, np.float32)

    def forward(self, x: Array) -> Array:
        """[n, in, h, w] to [n, out, h, w]."""
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        self.windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        product = np.tensordot(self.windows, self.weight.value, axes=((1, 4, 5), (1, 2, 3)))
        return np.moveaxis(product + self.bias.value, 3, 1)

    def backward(self, gradient: Array) -> Array:
        """[n, out, h, w] to [n, in, h, w]."""
        self.weight.gradient = np.tensordot(gradient, self.windows, axes=((0, 2, 3), (0, 2, 3)))
        self.bias.gradient = gradient.sum(axis=(0, 2, 3))
        padded = np.pad(gradient, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        flipped = self.weight.value[:, :, ::-1, ::-1]
        product = np.tensordot(windows, flipped, axes=((1, 4, 5), (0, 2, 3)))
        return np.moveaxis(product, 3, 1)

    def parameters(self) -> tuple[Parameter, ...]:
        """Weight, bias."""
        return self.weight, self.bias


class Relu:
    """``max(x, 0)``."""

    def __init__(self) -> None:
        self.positive = np.empty(0, np.bool_)

    def forward(self, x: Array) -> Array:
        """Any shape."""
        self.positive = x > 0
        return x * self.positive

    def backward(self, gradient: Array) -> Array:
        """Any shape."""
        return gradient * self.positive

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()


class MaxPool2x2:
    """The largest of each 2 x 2 block; equal largest values share the gradient."""

    def __init__(self) -> None:
        self.share = np.empty(0, np.float32)

    def forward(self, x: Array) -> Array:
        """[n, c, h, w] to [n, c, h / 2, w / 2]."""
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
        largest = blocks.max(axis=(3, 5), keepdims=True)
        at = (blocks == largest).astype(np.float32)
        self.share = at / at.sum(axis=(3, 5), keepdims=True)
        return largest.reshape(n, c, h // 2, w // 2)

    def backward(self, gradient: Array) -> Array:
        """[n, c, h / 2, w / 2] to [n, c, h, w]."""
        n, c, h, w = gradient.shape
        return (self.share * gradient[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()


class Flatten:
    """All dimensions but the first become one."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()

    def forward(self, x: Array) -> Array:
        """[n, ...] to [n, size]."""
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient: Array) -> Array:
        """[n, size] to [n, ...]."""
        return gradient.reshape(self.shape)

    def parameters(self) -> tuple[Parameter, ...]:
        """None."""
        return ()


def he(random: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Array:
    """A normal draw with variance 2 / ``fan_in`` (He et al., 2015)."""
    return (random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def predict(network: Sequence[Layer], x: Array) -> Array:
    """Logits [n, 10] for images [n, 1, 8, 8]."""
    for layer in network:
        x = layer.forward(x)
    return x


def accuracy(network: Sequence[Layer], x: Array, labels: Labels) -> float:
    """Part of the images whose largest logit is the label's."""
    return float((predict(network, x).argmax(axis=1) == labels).mean())


def train(network: Sequence[Layer], x: Array, labels: Labels, random: np.random.Generator) -> None:
    """Minimise the cross entropy with AdamW over a cosine schedule."""
    steps, step = EPOCHS * -(-len(x) // BATCH), 0
    for _ in range(EPOCHS):
        for batch in batches(random.permutation(len(x))):
            step += 1
            logits = predict(network, x[batch])
            gradient = softmax(logits)
            gradient[np.arange(len(batch)), labels[batch]] -= 1
            gradient /= len(batch)
            for layer in reversed(network):
                gradient = layer.backward(gradient)
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for layer in network:
                for parameter in layer.parameters():
                    parameter.adam(step, rate)


def batches(order: Labels) -> Iterator[Labels]:
    """The order in pieces of ``BATCH``."""
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def softmax(logits: Array) -> Array:
    """Probabilities over the last dimension."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def named(network: Sequence[Layer]) -> Weights:
    """Weights by the names that the builders give them: conv0, conv1, fc0, ..."""
    weights: dict[str, Array] = {}
    for prefix, kind in (("conv", Conv3x3), ("fc", Linear)):
        for i, layer in enumerate(part for part in network if isinstance(part, kind)):
            weight, bias = layer.parameters()
            weights[f"{prefix}{i}.weight"] = weight.value
            weights[f"{prefix}{i}.bias"] = bias.value
    return weights


def load() -> tuple[NDArray[np.uint8], Labels]:
    """The 1797 images, [n, 8, 8] in 0 to 16, and labels, in an order drawn from the seed."""
    from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]

    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    return digits.images.astype(np.uint8)[order], digits.target.astype(np.int64)[order]


def networks(random: np.random.Generator) -> tuple[list[Layer], list[Layer]]:
    """The convolutional network and the perceptron, untrained."""
    first, second = CHANNELS
    convolutional: list[Layer] = [
        Conv3x3(random, IMAGE[0], first),
        Relu(),
        MaxPool2x2(),
        Conv3x3(random, first, second),
        Relu(),
        Flatten(),
        Linear(random, second * IMAGE[1] * IMAGE[2] // 4, SIZES[-1]),
    ]
    perceptron: list[Layer] = [Flatten()]
    for fan_in, fan_out in pairwise(SIZES):
        perceptron += [Linear(random, fan_in, fan_out), Relu()]
    return convolutional, perceptron[:-1]


def samples(labels: Labels) -> Labels:
    """Indices of the images to ship: the first of each digit, the second of each, ..."""
    earlier = [int((labels[:i] == label).sum()) for i, label in enumerate(labels)]
    return np.argsort(earlier, kind="stable")[:SHIPPED]


def report(name: str, network: Sequence[Layer], x: Array, labels: Labels) -> None:
    """Print the size and both accuracies."""
    size = sum(p.value.size for layer in network for p in layer.parameters())
    print(
        f"{name}: {size} parameters, "
        f"accuracy {accuracy(network, x[TEST:], labels[TEST:]):.4f} "
        f"on {len(x) - TEST} training images, "
        f"{accuracy(network, x[:TEST], labels[:TEST]):.4f} on {TEST} test images"
    )


def main() -> None:
    """Train both networks, write them and the samples, print the accuracies."""
    pixels, labels = load()
    kept = samples(labels[:TEST])
    np.savez_compressed(SAMPLES, images=pixels[kept], labels=labels[kept].astype(np.uint8))
    x = scaled(pixels)
    random = np.random.default_rng(SEED)
    convolutional, perceptron = networks(random)
    for file, network in ((DIGITS, convolutional), (DIGITS_MLP, perceptron)):
        train(network, x[TEST:], labels[TEST:], random)
        report(file.name, network, x, labels)
    trained = named(convolutional)
    model = cnn(IMAGE, CHANNELS, kernel=3, padding=1, pooled=1, hidden=(), weights=trained)
    onnx.save(model, DIGITS)
    onnx.save(mlp(SIZES, batch="batch", image=IMAGE, weights=named(perceptron)), DIGITS_MLP)


if __name__ == "__main__":
    main()
