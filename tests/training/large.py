"""One step of large networks against PyTorch: ``python -m tests.training.large [minilm] [gpt2]``.

The gradients of all weights, from the same weights and samples. PyTorch as for
``tests.training.pytorch``; minutes of one core, and 4 GB of memory for GPT-2.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from tests.networks import NETWORKS
from tests.training.interpret import forward
from wsc.api import compile_step
from wsc.frontend.store import Seed, is_declared, read
from wsc.models.language import Task, build, find_shape

TOKENS = 128


@dataclass(frozen=True)
class Large:
    """A network, the output that its loss is of, and what it is compiled with."""

    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]
    output: str
    loss: str
    options: dict[str, Any]


def minilm() -> Large:
    """MiniLM with 17 million parameters: the mean square of its last layer from drawn numbers."""
    (network,) = (item for item in NETWORKS if item.name == "minilm")
    label = np.random.default_rng(0).normal(size=(1, TOKENS, 384)).astype(np.float32)
    feeds = {**network.feeds(), "label": label}
    options = {"fabric": "32x32", "dims": dict(network.dims)}
    output = "onnx::Shape_422"
    return Large(onnx.load(network.path), feeds, output, f"mse:output={output}", options)


def gpt2() -> Large:
    """The shape of GPT-2 with 124 million parameters, weights and words drawn."""
    random = np.random.default_rng(0)
    feeds = {name: random.integers(0, 50257, (1, TOKENS)) for name in ("input_ids", "label")}
    options = {"fabric": "128x128", "weights": Seed(0)}
    model = build(find_shape("gpt2"), Task(sequence=TOKENS))
    return Large(model, feeds, "logits", "cross_entropy", options)


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The initializers, those that are drawn included."""
    declared = [tensor for tensor in model.graph.initializer if is_declared(tensor)]
    sources = Seed(0).sources(declared)
    return {
        item.name: read(sources[item.name], math.prod(item.dims)).reshape(tuple(item.dims))
        if item.name in sources
        else numpy_helper.to_array(item)
        for item in model.graph.initializer
    }


def gradients(large: Large) -> dict[str, np.ndarray]:
    """PyTorch's, and its loss."""
    import torch  # pyright: ignore[reportMissingImports]

    weights = {name: torch.tensor(array) for name, array in weights_of(large.model).items()}
    for weight in weights.values():
        weight.requires_grad_(weight.is_floating_point() and weight.dim() > 0)
    feeds = {name: torch.tensor(array) for name, array in large.feeds.items()}
    label = feeds.pop("label")
    out = forward(large.model, weights, feeds, large.output)
    if large.loss == "cross_entropy":
        loss = torch.nn.functional.cross_entropy(out.flatten(0, -2), label.flatten())
    else:
        loss = ((out - label) ** 2).mean()
    loss.backward()
    found = {f"{name}.grad": w.grad.numpy() for name, w in weights.items() if w.grad is not None}
    return {**found, "loss": loss.detach().numpy()}


def compare(name: str) -> None:
    """Print how far the gradients are apart, as parts of the largest element of each."""
    large = {"minilm": minilm, "gpt2": gpt2}[name]()
    program = compile_step(large.model, large.loss, "adamw", **large.options)
    started = time.process_time()
    ours = program.run(large.feeds, engine="values").outputs
    seconds = time.process_time() - started
    wanted = gradients(large)
    far = {
        key: float(np.abs(array - wanted[key]).max() / np.abs(wanted[key]).max())
        for key, array in ours.items()
        if not key.endswith("key.bias.grad")  # no output changes with it: noise of rounding
    }
    worst = max(far, key=lambda key: far[key])
    print(f"{name}: {len(far)} values within {far[worst]:.1e} ({worst}), {seconds:.0f} s of a core")
    print(f"  {program.notes[0]}")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ("minilm", "gpt2"):
        compare(chosen)
