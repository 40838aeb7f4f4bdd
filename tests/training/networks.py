"""Small networks to train, as ONNX, with weights from a seed, and their batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wsc.models.digits import DIGITS, DIGITS_MLP, SAMPLES

ROOT = Path(__file__).parents[2]
OPSET = 20
BATCH = 8
TOKENS = 32  # of a text that is seen at once
WIDTH = 64
HEADS = 4
LAYERS = 2
LETTERS = 128
HIDDEN = 24  # of the LSTM

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Network:
    """model: as ONNX. batches: without an end. loss, optimizer: as for ``wsc.train``."""

    model: onnx.ModelProto
    batches: Callable[[], Iterator[Batch]]
    optimizer: str
    loss: str = "cross_entropy"


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The initializers by name."""
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


class Builder:
    """Nodes, and weights from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def weight(self, name: str, *shape: int, size: float = 0.1, around: float = 0.0) -> str:
        """A weight drawn around a number."""
        values = self.rng.normal(around, size, shape).astype(np.float32)
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def constant(self, name: str, values: object, dtype: Any) -> str:
        """A constant of some values."""
        array = numpy_helper.from_array(np.asarray(values, dtype), name)
        self.nodes.append(helper.make_node("Constant", [], [name], name, value=array))
        return name

    def node(self, op: str, name: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """A node; further outputs are NAME.1 and so on."""
        names = [name, *(f"{name}.{n}" for n in range(1, outputs))]
        self.nodes.append(helper.make_node(op, list(inputs), names, name, **attributes))
        return name

    def model(self, name: str, inputs: dict[str, tuple[int, list[Any]]]) -> onnx.ModelProto:
        """The model whose output is ``logits``."""
        values = [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()]
        out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, name, values, [out], self.initializers)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10
        )


def _fresh(path: Path, seed: int) -> onnx.ModelProto:
    """A model of the package with weights that know nothing yet."""
    rng = np.random.default_rng(seed)
    model = onnx.load(path)
    for item in model.graph.initializer:
        size = 1.0 / np.sqrt(np.prod(item.dims[1:] or item.dims))
        values = rng.normal(0.0, size, item.dims).astype(np.float32)
        item.CopyFrom(numpy_helper.from_array(values, item.name))
    return model


def digits() -> Iterator[Batch]:
    """Images of handwritten digits."""
    samples = np.load(SAMPLES)
    images = samples["images"].astype(np.float32)[:, None] / 16
    labels = samples["labels"].astype(np.int64)
    while True:
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            yield {"image": images[part], "label": labels[part]}


def resnet() -> onnx.ModelProto:
    """A convolution, a residual block with BatchNormalization, a mean over space, a classifier."""
    b = Builder(3)
    for number, channels in enumerate((1, 12, 12)):
        b.weight(f"conv{number}.weight", 12, channels, 3, 3, size=0.3 / np.sqrt(channels))
        b.weight(f"bn{number}.scale", 12, around=1.0)
        b.weight(f"bn{number}.bias", 12)
        for part, value in (("mean", 0.0), ("var", 1.0)):
            values = np.full(12, value, np.float32)
            b.initializers.append(numpy_helper.from_array(values, f"bn{number}.{part}"))
    b.weight("fc.weight", 10, 12, size=0.3)
    b.weight("fc.bias", 10)

    def block(number: int, x: str, stride: int) -> str:
        y = b.node(
            "Conv", f"conv{number}", x, f"conv{number}.weight", pads=[1] * 4, strides=[stride] * 2
        )
        parts = (f"bn{number}.{part}" for part in ("scale", "bias", "mean", "var"))
        return b.node("BatchNormalization", f"bn{number}", y, *parts, momentum=0.9)

    x = b.node("Relu", "relu0", block(0, "image", 2))
    y = b.node("Relu", "relu1", block(1, x, 1))
    x = b.node("Relu", "relu2", b.node("Add", "residual", block(2, y, 1), x))
    x = b.node("Flatten", "flat", b.node("GlobalAveragePool", "pool", x))
    b.node("Gemm", "logits", x, "fc.weight", "fc.bias", transB=1)
    return b.model("resnet", {"image": (TensorProto.FLOAT, ["batch", 1, 8, 8])})


def text() -> Iterator[Batch]:
    """Pieces of the licence of this project, each letter with the next one as its label."""
    letters = np.frombuffer((ROOT / "LICENSE").read_bytes(), np.uint8).astype(np.int64) % LETTERS
    count = (len(letters) - 1) // TOKENS
    pieces = letters[: count * TOKENS].reshape(count, TOKENS)
    after = letters[1 : count * TOKENS + 1].reshape(count, TOKENS)
    place = 0
    while True:
        rows = [(place + row) % count for row in range(BATCH)]
        place += BATCH
        yield {"tokens": pieces[rows], "label": after[rows]}


def gpt(layers: int = LAYERS) -> onnx.ModelProto:
    """Layers of GPT-2, with one table for the letters that come in and go out."""
    b = Builder(5)
    b.weight("wte", LETTERS, WIDTH)
    b.weight("wpe", TOKENS, WIDTH)
    b.constant("shape.split", [0, 0, 3 * HEADS, WIDTH // HEADS], np.int64)
    b.constant("shape.join", [0, 0, WIDTH], np.int64)
    b.constant("scale", (WIDTH // HEADS) ** -0.5, np.float32)
    b.constant("hidden", np.triu(np.full((TOKENS, TOKENS), -1e9), 1), np.float32)
    x = b.node("Add", "embedded", b.node("Gather", "letters", "wte", "tokens"), "wpe")
    for layer in range(layers):
        n = f"h{layer}."

        def linear(name: str, x: str, inputs: int, outputs: int, n: str = n) -> str:
            b.weight(f"{n}{name}.weight", inputs, outputs)
            b.weight(f"{n}{name}.bias", outputs)
            y = b.node("MatMul", f"{n}{name}.product", x, f"{n}{name}.weight")
            return b.node("Add", f"{n}{name}", y, f"{n}{name}.bias")

        def normal(name: str, x: str, n: str = n) -> str:
            b.weight(f"{n}{name}.scale", WIDTH, around=1.0)
            b.weight(f"{n}{name}.bias", WIDTH)
            return b.node(
                "LayerNormalization",
                f"{n}{name}",
                x,
                f"{n}{name}.scale",
                f"{n}{name}.bias",
                epsilon=1e-5,
            )

        y = linear("qkv", normal("ln1", x), WIDTH, 3 * WIDTH)
        y = b.node("Reshape", f"{n}heads", y, "shape.split")
        y = b.node("Transpose", f"{n}heads.first", y, perm=[0, 2, 1, 3])
        q = b.node("Split", f"{n}split", y, outputs=3, axis=1, num_outputs=3)
        k = b.node("Transpose", f"{n}keys", f"{q}.1", perm=[0, 1, 3, 2])
        y = b.node("Mul", f"{n}scaled", b.node("MatMul", f"{n}scores", q, k), "scale")
        y = b.node("Softmax", f"{n}softmax", b.node("Add", f"{n}masked", y, "hidden"), axis=-1)
        y = b.node("MatMul", f"{n}mixed", y, f"{q}.2")
        y = b.node("Transpose", f"{n}tokens", y, perm=[0, 2, 1, 3])
        y = b.node("Reshape", f"{n}join", y, "shape.join")
        x = b.node("Add", f"{n}attended", x, linear("out", y, WIDTH, WIDTH))
        y = b.node("Gelu", f"{n}gelu", linear("up", normal("ln2", x), WIDTH, 4 * WIDTH))
        x = b.node("Add", f"{n}done", x, linear("down", y, 4 * WIDTH, WIDTH))
    b.weight("ln.scale", WIDTH, around=1.0)
    b.weight("ln.bias", WIDTH)
    x = b.node("LayerNormalization", "ln", x, "ln.scale", "ln.bias", epsilon=1e-5)
    b.node("MatMul", "logits", x, b.node("Transpose", "table", "wte", perm=[1, 0]))
    return b.model("gpt", {"tokens": (TensorProto.INT64, ["batch", TOKENS])})


def rows() -> Iterator[Batch]:
    """Images of digits, a row of pixels after the other."""
    for batch in digits():
        yield {"rows": batch["image"][:, 0].transpose(1, 0, 2), "label": batch["label"]}


def lstm() -> onnx.ModelProto:
    """An LSTM over the rows of an image; its last state is classified."""
    b = Builder(9)
    b.weight("lstm.w", 1, 4 * HIDDEN, 8, size=0.3)
    b.weight("lstm.r", 1, 4 * HIDDEN, HIDDEN, size=0.2)
    b.weight("lstm.b", 1, 8 * HIDDEN)
    b.weight("fc.weight", 10, HIDDEN, size=0.3)
    b.weight("fc.bias", 10)
    b.constant("axes", [0], np.int64)
    b.nodes.append(
        helper.make_node(
            "LSTM",
            ["rows", "lstm.w", "lstm.r", "lstm.b"],
            ["", "state"],
            "lstm",
            hidden_size=HIDDEN,
        )
    )
    b.node("Squeeze", "last", "state", "axes")
    b.node("Gemm", "logits", "last", "fc.weight", "fc.bias", transB=1)
    return b.model("lstm", {"rows": (TensorProto.FLOAT, [8, BATCH, 8])})


NETWORKS: dict[str, Callable[[], Network]] = {
    "mlp": lambda: Network(_fresh(DIGITS_MLP, 1), digits, "adamw:lr=1e-3,weight_decay=0.1"),
    "cnn": lambda: Network(_fresh(DIGITS, 2), digits, "momentum:lr=0.02"),
    "resnet": lambda: Network(resnet(), digits, "sgd:lr=0.1"),
    "gpt": lambda: Network(gpt(), text, "adam:lr=1e-3"),
    "lstm": lambda: Network(lstm(), rows, "adam:lr=2e-3"),
}
