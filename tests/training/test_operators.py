"""One operator at a time, on fabrics of odd forms: its derivative, and the program of its step.

The derivative of the graph is held against differences in double precision; the program, against
the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from tests import oracle
from tests.training.networks import Builder
from wsc.api import Program
from wsc.ir.graph import Constant
from wsc.isa.fabric import find_fabric
from wsc.isa.types import DType
from wsc.pipeline import run_passes
from wsc.training.losses import parse_loss
from wsc.training.step import Step, build_step, parse_optimizer

Shape = tuple[int, ...]
# Name -> (shape of x, nodes from "x" to "logits").
Case = tuple[Shape, Callable[[Builder], object]]


def unary(op: str, shape: Shape = (3, 5), **attributes: Any) -> Case:
    """An operator of x times a weight."""

    def build(b: Builder) -> None:
        b.weight("w", *shape[1:], size=0.5, around=1.0)
        b.node(op, "logits", b.node("Mul", "scaled", "x", "w"), **attributes)

    return shape, build


def weighted(op: str, shape: Shape, *weights: Shape, **attributes: Any) -> Case:
    """An operator of x and weights."""

    def build(b: Builder) -> None:
        names = [b.weight(f"w{n}", *sizes, size=0.5) for n, sizes in enumerate(weights)]
        b.node(op, "logits", "x", *names, **attributes)

    return shape, build


def _gather(b: Builder) -> None:
    b.weight("w", 5, 4)
    b.constant("places", [[3, -1], [0, 3]], np.int64)
    b.node("Mul", "logits", b.node("Gather", "rows", "w", "places", axis=0), "x")


def _where(b: Builder) -> None:
    b.weight("w", 4)
    b.constant("zero", 0.0, np.float32)
    b.node("Where", "logits", b.node("Greater", "up", "x", "zero"), "w", "x")


def _pow(b: Builder) -> None:
    b.weight("w", 4, size=0.3, around=2.0)
    b.node("Pow", "logits", b.node("Abs", "size", "x"), "w")


def _concat(b: Builder) -> None:
    b.weight("w", 3, 2)
    b.node("Concat", "logits", "x", "w", "x", axis=1)


def _split(b: Builder) -> None:
    b.weight("w", 6)
    b.node("Split", "part", b.node("Mul", "scaled", "x", "w"), outputs=2, axis=1, num_outputs=2)
    b.node("Mul", "logits", "part", "part.1")


def _einsum(b: Builder) -> None:
    b.weight("w", 5, 3, 2)
    b.node("Einsum", "logits", "x", "w", equation="bij,jkl->bikl")


def _attention(b: Builder) -> None:
    for name in "qkv":
        b.weight(name, 8, 8, size=0.5)
    q, k, v = (b.node("MatMul", f"x{name}", "x", name) for name in "qkv")
    b.node(
        "MatMul",
        "logits",
        b.node(
            "Softmax",
            "shares",
            b.node("MatMul", "scores", q, b.node("Transpose", "keys", k, perm=[0, 2, 1])),
        ),
        v,
    )


def _gru(b: Builder) -> None:
    b.weight("w", 1, 12, 3, size=0.4)
    b.weight("r", 1, 12, 4, size=0.4)
    b.weight("b", 1, 24, size=0.4)
    b.node("GRU", "logits", "x", "w", "r", "b", hidden_size=4, linear_before_reset=1)


CASES: dict[str, Case] = {
    **{
        op: unary(op)
        for op in (
            "Sigmoid",
            "Tanh",
            "Erf",
            "Softplus",
            "HardSwish",
            "Gelu",
            "Mish",
            "LeakyRelu",
            "Elu",
            "Selu",
            "Softsign",
            "Exp",
            "Sin",
            "Atan",
            "LogSoftmax",
            "Softmax",
            "Abs",
            "Neg",
            "Reciprocal",
        )
    },
    "Clip": unary("Clip"),
    "ReduceMean": unary("ReduceMean", keepdims=0),
    "ReduceL2": unary("ReduceL2"),
    "ReduceLogSumExp": unary("ReduceLogSumExp"),
    "ReduceProd": unary("ReduceProd"),
    "CumSum": (
        (3, 5),
        lambda b: b.node(
            "CumSum",
            "logits",
            b.node("Mul", "s", "x", b.weight("w", 5)),
            b.constant("axis", 1, np.int64),
        ),
    ),
    "AveragePool": unary("AveragePool", (2, 3, 7), kernel_shape=[3], strides=[2], pads=[1, 1]),
    "MaxPool": unary("MaxPool", (2, 3, 7, 5), kernel_shape=[3, 2], strides=[2, 1]),
    "LpPool": unary("LpPool", (2, 3, 6), kernel_shape=[2], strides=[2]),
    "GlobalMaxPool": unary("GlobalMaxPool", (2, 3, 4, 5)),
    "LRN": unary("LRN", (2, 5, 3), size=3),
    "DepthToSpace": unary("DepthToSpace", (2, 8, 3, 2), blocksize=2),
    "Resize": (
        (1, 2, 3, 4),
        lambda b: b.node(
            "Resize",
            "logits",
            b.node("Mul", "s", "x", b.weight("w", 3, 4)),
            "",
            b.constant("scales", [1, 1, 2, 1.5], np.float32),
            mode="linear",
        ),
    ),
    "Gemm": weighted("Gemm", (5, 7), (7, 3), (3,), alpha=0.5, beta=2.0),
    "MatMul": weighted("MatMul", (2, 3, 5), (5, 4)),
    "PRelu": weighted("PRelu", (2, 3, 4), (3, 1)),
    "Conv1": weighted("Conv", (2, 3, 9), (4, 3, 3), (4,), strides=[2], pads=[1, 2]),
    "Conv2": weighted("Conv", (2, 2, 5, 6), (3, 2, 3, 2), dilations=[2, 1], strides=[1, 2]),
    "ConvGroups": weighted("Conv", (1, 4, 6), (6, 2, 3), group=2, pads=[1, 1]),
    "ConvDepthwise": weighted("Conv", (2, 3, 5, 5), (3, 1, 3, 3), group=3, pads=[1] * 4),
    "ConvTranspose": weighted("ConvTranspose", (1, 3, 4), (3, 2, 3), strides=[2]),
    "LayerNormalization": weighted("LayerNormalization", (3, 6), (6,), (6,)),
    "InstanceNormalization": weighted("InstanceNormalization", (2, 3, 5), (3,), (3,)),
    "GroupNormalization": (
        (2, 4, 3),
        lambda b: b.node(
            "GroupNormalization", "logits", "x", b.weight("s", 2), b.weight("c", 2), num_groups=2
        ),
    ),
    "Gather": ((2, 2, 4), _gather),
    "Where": ((3, 4), _where),
    "Pow": ((3, 4), _pow),
    "Concat": ((3, 4), _concat),
    "Split": ((3, 6), _split),
    "Einsum": ((2, 4, 5), _einsum),
    "attention": ((2, 5, 8), _attention),
    "GRU": ((3, 2, 3), _gru),
}
# Each case on one of them; all of them on each were tried when the rules were written.
FABRICS = ("1x1", "3x1", "1x3", "2x3", "4x2")


def step_of(name: str, precision: DType = DType.F32) -> tuple[Step, dict[str, np.ndarray]]:
    """The step of a case, and its batch."""
    shape, build = CASES[name]
    b = Builder(3)
    build(b)
    model = b.model(name, {"x": (TensorProto.FLOAT, list(shape))})
    step = build_step(model, parse_loss("mse"), parse_optimizer("sgd"), precision=precision)
    rng = np.random.default_rng(5)
    feeds = {
        item.name: rng.normal(size=item.type.shape).astype(item.type.dtype.numpy)
        for item in step.graph.inputs
    }
    return step, feeds


def slopes(step: Step, feeds: dict[str, np.ndarray]) -> None:
    """Hold the gradients against differences of the loss along one direction each."""
    rng = np.random.default_rng(6)
    found = oracle.evaluate(step.graph, feeds, double=True)
    for constant in step.graph.constants:
        if not constant.state:
            continue
        values, way = constant.load(), rng.normal(size=constant.type.shape) * 2.0**-12
        ends = [(values + sign * way).astype(np.float32) for sign in (1, -1)]
        losses = [loss_with(step, feeds, constant, end) for end in ends]
        # The way that was taken: f32 has not each of its ends.
        taken = (ends[0].astype(np.float64) - ends[1]) * found[f"{constant.name}.grad"]
        np.testing.assert_allclose(taken.sum(), losses[0] - losses[1], 2e-3, 1e-9)


def loss_with(
    step: Step, feeds: dict[str, np.ndarray], weight: Constant, values: np.ndarray
) -> float:
    """The loss where a weight has other values."""
    constants = tuple(
        replace(item, load=lambda: values) if item.name == weight.name else item
        for item in step.graph.constants
    )
    graph = step.graph.with_(constants=constants)
    return float(oracle.evaluate(graph, feeds, double=True)["loss"])


def check(name: str, fabric: str) -> None:
    step, feeds = step_of(name)
    slopes(step, feeds)
    wanted = oracle.evaluate(step.graph, feeds)
    compiled = step.finish(run_passes(step.graph, find_fabric(fabric), DType.F32, name))
    program = Program(compiled.program, compiled.fabric, compiled.constants)
    outputs = program.run(feeds, engine="values").outputs
    for key, value in wanted.items():
        near = 1e-5 * max(np.abs(value).max(initial=0.0), 1e-6)
        np.testing.assert_allclose(outputs[key], value, 1e-4, near, err_msg=key)


@pytest.mark.parametrize(
    ("name", "fabric"),
    [(name, FABRICS[number % len(FABRICS)]) for number, name in enumerate(CASES)],
)
def test_an_operator_trains(name: str, fabric: str) -> None:
    check(name, fabric)
