"""Small models, one for each kind of kernel that the compiler emits, and small networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.frontend.cases import floats, ints, model_of, node
from wsc.api import Program, compile_step
from wsc.frontend.store import Seed
from wsc.isa.fabric import find_fabric
from wsc.models import builders
from wsc.models.language import Task, build, find_shape

Feeds = dict[str, np.ndarray]

FABRICS = ("1x1", "1x5", "6x1", "4x3", "7x7", "12x12")


@dataclass(frozen=True, slots=True)
class Case:
    """A model by name, with inputs for it. same_order: as for ``wsc.compile``."""

    name: str
    build: Callable[[], tuple[onnx.ModelProto, Feeds]]
    same_order: bool = False


def single(
    op: str, shapes: list[tuple[int, ...]], constants: Feeds | None = None, **attributes: Any
) -> Callable[[], tuple[onnx.ModelProto, Feeds]]:
    def build() -> tuple[onnx.ModelProto, Feeds]:
        feeds = {f"x{i}": floats(*shape) for i, shape in enumerate(shapes)}
        fixed = constants or {}
        count = len(feeds) + len(fixed)
        return model_of([node(op, count, 1, **attributes)], feeds, fixed, ("y0",)), feeds

    return build


def _built(make: Callable[[], onnx.ModelProto]) -> Callable[[], tuple[onnx.ModelProto, Feeds]]:
    def build() -> tuple[onnx.ModelProto, Feeds]:
        model = make()
        feeds = {
            value.name: floats(*(dim.dim_value for dim in value.type.tensor_type.shape.dim))
            for value in model.graph.input
        }
        return model, feeds

    return build


def _gather() -> tuple[onnx.ModelProto, Feeds]:
    feeds = {"x0": floats(16, 40), "x1": ints(2, 12, low=-6, high=6)}
    return model_of([node("Gather", 2, 1, axis=0)], feeds, {}, ("y0",)), feeds


def _scatter() -> tuple[onnx.ModelProto, Feeds]:
    rows = np.array([[3], [-1], [11], [0], [7], [-9]], np.int64)
    feeds = {"x0": floats(16, 40), "x1": rows, "x2": floats(6, 40)}
    return model_of([node("ScatterND", 3, 1, reduction="add")], feeds, {}, ("y0",)), feeds


def _lookup() -> tuple[onnx.ModelProto, Feeds]:
    feeds = {"x0": ints(3, 21, low=-90, high=90)}
    made = helper.make_node("Gather", ["table", "x0"], ["y0"], name="/embed")
    model = model_of([made], feeds, {}, ["y0"])
    model.graph.initializer.append(numpy_helper.from_array(floats(100, 34), "table"))
    return model, feeds


def _matmul(m: int, k: int, n: int) -> Case:
    return Case(f"matmul-{m}x{k}x{n}", single("MatMul", [(m, k)], {"x1": floats(k, n)}))


KERNELS = (
    _matmul(5, 7, 3),
    _matmul(16, 24, 40),
    _matmul(1, 250, 90),
    _matmul(64, 64, 64),
    Case("matmul-ordered", single("MatMul", [(1, 2000)], {"x1": floats(2000, 20)}), True),
    Case(
        "conv-ordered",
        single("Conv", [(1, 64, 9, 9)], {"x1": floats(48, 64, 3, 3)}, pads=[1, 1, 1, 1]),
        True,
    ),
    Case(
        "conv-ordered-wide",
        single("Conv", [(1, 16, 12, 12)], {"x1": floats(24, 16, 3, 3)}, pads=[1, 1, 1, 1]),
        True,
    ),
    Case("resident-ordered", single("MatMul", [(100, 64), (64, 8)]), True),
    Case("resident", single("MatMul", [(3, 25, 48), (3, 48, 36)])),
    Case("resident-small", single("MatMul", [(5, 7), (7, 3)])),
    Case(
        "conv-padded",
        single(
            "Conv", [(1, 3, 9, 10)], {"x1": floats(5, 3, 3, 3), "x2": floats(5)}, pads=[1, 1, 1, 1]
        ),
    ),
    Case(
        "conv-wide",
        single(
            "Conv",
            [(1, 16, 12, 12)],
            {"x1": floats(24, 16, 3, 3), "x2": floats(24)},
            pads=[1, 1, 1, 1],
        ),
    ),
    Case(
        "conv-depthwise",
        single(
            "Conv",
            [(1, 12, 14, 11)],
            {"x1": floats(12, 1, 3, 3), "x2": floats(12)},
            group=12,
            strides=[2, 2],
        ),
    ),
    Case(
        "conv-1d",
        single(
            "Conv",
            [(1, 10, 40)],
            {"x1": floats(14, 10, 3), "x2": floats(14)},
            pads=[1, 1],
            strides=[2],
        ),
    ),
    Case(
        "conv-leaving",
        single("Conv", [(1, 20, 7, 7)], {"x1": floats(32, 20, 3, 3)}, pads=[1, 1, 1, 1]),
    ),
    Case(
        "conv-resident-leaving",
        single("Conv", [(1, 20, 7, 7), (32, 20, 3, 3)], pads=[1, 1, 1, 1]),
    ),
    Case("conv-resident", single("Conv", [(1, 8, 12, 12), (12, 8, 3, 3)], pads=[1, 1, 1, 1])),
    Case(
        "conv-resident-ordered",
        single("Conv", [(1, 32, 9, 9), (20, 32, 3, 3)], pads=[1, 1, 1, 1]),
        True,
    ),
    Case("maxpool", single("MaxPool", [(1, 5, 11, 9)], kernel_shape=[3, 2], strides=[2, 1])),
    Case("reduce-rows", single("ReduceMax", [(8, 19, 27)], axes=[1])),
    Case("reduce-product", single("ReduceProd", [(8, 19, 27)], axes=[1])),
    Case("reduce-all", single("ReduceMean", [(8, 19, 27)], axes=[0, 1, 2])),
    Case("reduce-features", single("ReduceMin", [(8, 19, 27)], axes=[2])),
    Case("softmax", single("Softmax", [(5, 16, 33)])),
    Case("erf", single("Erf", [(5, 16, 33)])),
    Case("transpose", single("Transpose", [(8, 18, 21)], perm=[2, 0, 1])),
    Case("reshape", single("Reshape", [(8, 18, 16)], {"x1": np.array([12, 192])})),
    Case(
        "slice",
        single(
            "Slice",
            [(18, 28)],
            {
                "x1": np.array([1, 12]),
                "x2": np.array([16, 0]),
                "x3": np.array([0, 1]),
                "x4": np.array([3, -2]),
            },
        ),
    ),
    Case("tile", single("Tile", [(6, 8)], {"x1": np.array([2, 3])})),
    Case("concat", single("Concat", [(6, 5, 8), (6, 7, 8)], axis=1)),
    Case("gather", _gather),
    Case("scatter", _scatter),
    Case("lookup", _lookup),
)

NETWORKS = (
    Case("mlp", _built(lambda: builders.mlp((64, 96, 48, 10), batch=12))),
    Case("cnn", _built(lambda: builders.cnn((1, 16, 16), (6, 12), kernel=3, hidden=(40,)))),
    Case("transformer", _built(lambda: builders.transformer_encoder(2, 48, 4, 24))),
    Case("lstm", _built(lambda: builders.lstm(20, 24, 6))),
)


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """A training step of a narrow language model.

    recompute: as for ``compile_step``. sram: bytes of a tile; where there are few, gradients of
    weights are made in pieces.
    """

    model: str
    fabric: str
    precision: str
    recompute: str
    layers: int = 3
    hidden: int = 64
    heads: int = 4
    batch: int = 2
    sequence: int = 16
    sram: int = 49_152

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"step of {self.model}, {self.sequence} tokens, {self.sram:,} bytes"

    def build(self) -> tuple[Program, Feeds]:
        """The program, and inputs for it.

        All tokens are the first word: a prediction takes what a loop loads from SRAM for that. The
        gradient of the table, a scatter, takes fewer cycles where words are spread over its rows.
        """
        sizes = {"layers": self.layers, "hidden": self.hidden, "heads": self.heads}
        shape = find_shape(self.model).sized(**sizes, vocabulary=96)
        model = build(shape, Task(sequence=self.sequence, batch=self.batch))
        width, height = map(int, self.fabric.split("x"))
        program = compile_step(
            model,
            optimizer="sgd",
            fabric=replace(find_fabric("wse2").sized(width, height), sram_bytes=self.sram),
            precision=self.precision,
            recompute=self.recompute,
            weights=Seed(1),
        )
        feeds = program.draw(0)
        feeds["input_ids"] = np.zeros_like(feeds["input_ids"])
        if "loss.scale" in feeds:
            feeds["loss.scale"] = np.array(8.0, np.float32)
        return program, feeds


STEPS = (
    # All that layers make stays in the tiles.
    TrainingStep("gpt2", "16x5", "f32", "none", layers=2, hidden=48),
    TrainingStep("gpt2", "6x16", "f16", "none", layers=2, hidden=48),
    # It is computed again from what layers hand on, which stays too.
    TrainingStep("gpt-neox-20b", "8x16", "f16", "layers", 2, 32, 1, 1, 256),
    # What layers hand on leaves at the edge, and comes back.
    TrainingStep("gpt-neox-20b", "8x6", "f16", "edge"),
    TrainingStep("gpt-neox-20b", "12x12", "f16", "edge", 3, 32, 2, 1, 256, 32_768),
    TrainingStep("gpt-neox-20b", "10x24", "f32", "edge", 3, 32, 2, 1, 320),
    # Sums of the pieces of gradients rise up the columns.
    TrainingStep("gpt-neox-20b", "8x6", "f16", "edge", sram=14_000),
    TrainingStep("gpt-neox-20b", "12x4", "f32", "edge", sram=20_000),
    TrainingStep("gpt-neox-20b", "12x4", "f16", "edge", sram=14_000),
    TrainingStep("gpt-neox-20b", "4x12", "f32", "edge", sram=20_000),
    TrainingStep("gpt-neox-20b", "7x5", "f16", "edge", sram=14_000),
)
