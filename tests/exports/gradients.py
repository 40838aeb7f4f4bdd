"""Networks with their backward pass, as ONNX Runtime's training writes them, and what it computes.

    pip install onnxruntime-training-cpu==1.19.2 torch
    python -m tests.exports.gradients

writes ``training/*.onnx``, and beside this file ``gradients.npz``: inputs and outputs of these,
and of each operator of a gradient alone. Only that needs ONNX Runtime's training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
RECORD = HERE / "gradients.npz"
MS = "com.microsoft"
OPSET = 17
TOKENS, WIDTH, HEADS, LETTERS, BATCH = 6, 8, 2, 11, 2

Arrays = Mapping[str, np.ndarray]


# --- networks -------------------------------------------------------------------------------


class _Net:
    """Nodes and weights from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.weights: list[str] = []

    def weight(self, name: str, *shape: int, around: float = 0.0) -> str:
        array = self.rng.normal(around, 0.4, shape).astype(np.float32)
        self.tensors.append(numpy_helper.from_array(array, name))
        self.weights.append(name)
        return name

    def fixed(self, name: str, values: Any, dtype: Any = np.int64) -> str:
        self.tensors.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, op: str, name: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [name, *(f"{name}.{n}" for n in range(1, outputs))]
        self.nodes.append(helper.make_node(op, list(inputs), names, name, **attributes))
        return name

    def model(self, kind: int, shape: list[int], out: list[int]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, out)],
            self.tensors,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def image() -> tuple[_Net, onnx.ModelProto]:
    """Convolutions, BatchNormalization, pooling, a residual sum, a concatenation."""
    n = _Net(1)
    y = n.node("Conv", "conv0", "x", n.weight("w0", 4, 1, 3, 3), n.weight("b0", 4), pads=[1] * 4)
    kept = [n.fixed(f"kept{i}", [float(i)] * 4, np.float32) for i in range(2)]
    y = n.node(
        "BatchNormalization",
        "bn",
        y,
        n.weight("s0", 4, around=1.0),
        n.weight("t0", 4),
        *kept,
        outputs=3,
        training_mode=1,
    )
    y = n.node("MaxPool", "pool", n.node("Relu", "relu", y), kernel_shape=[2, 2], strides=[2, 2])
    z = n.node("Conv", "conv1", y, n.weight("w1", 4, 2, 3, 3), pads=[1] * 4, group=2)
    y = n.node("Add", "residual", n.node("Sigmoid", "sigmoid", z), y)
    y = n.node("Concat", "both", n.node("LeakyRelu", "leaky", y, alpha=0.1), z, axis=1)
    y = n.node("Flatten", "flat", n.node("GlobalAveragePool", "mean", y))
    n.node("Gemm", "logits", y, n.weight("w2", 5, 8), n.weight("b2", 5), transB=1)
    return n, n.model(TensorProto.FLOAT, [BATCH, 1, 6, 6], [BATCH, 5])


def text() -> tuple[_Net, onnx.ModelProto]:
    """A layer of GPT over a table of letters, its last token classified."""
    n = _Net(2)
    x = n.node("Gather", "letters", n.weight("table", LETTERS, WIDTH), "x")
    x = n.node("Add", "embedded", x, n.weight("places", TOKENS, WIDTH))

    def linear(name: str, x: str, inputs: int, outputs: int) -> str:
        y = n.node("MatMul", f"{name}.product", x, n.weight(f"{name}.w", inputs, outputs))
        return n.node("Add", name, y, n.weight(f"{name}.b", outputs))

    def normal(name: str, x: str) -> str:
        scale, bias = n.weight(f"{name}.s", WIDTH, around=1.0), n.weight(f"{name}.t", WIDTH)
        return n.node("LayerNormalization", name, x, scale, bias, outputs=3, axis=-1)

    y = linear("qkv", normal("ln0", x), WIDTH, 3 * WIDTH)
    parts = n.node("Split", "parts", y, n.fixed("thirds", [WIDTH] * 3), outputs=3, axis=2)
    heads = n.fixed("heads", [0, 0, HEADS, WIDTH // HEADS])
    q, k, v = (
        n.node(
            "Transpose",
            f"{part}.heads",
            n.node("Reshape", f"{part}.split", part, heads),
            perm=[0, 2, 3, 1] if part.endswith(".1") else [0, 2, 1, 3],
        )
        for part in (parts, f"{parts}.1", f"{parts}.2")
    )
    scores = n.node(
        "Div", "scaled", n.node("MatMul", "scores", q, k), n.fixed("two", 2, np.float32)
    )
    mask = n.fixed("mask", np.triu(np.full((TOKENS, TOKENS), -1e4), 1), np.float32)
    weights = n.node("Softmax", "softmax", n.node("Add", "masked", scores, mask), axis=-1)
    y = n.node(
        "Transpose", "mixed.tokens", n.node("MatMul", "mixed", weights, v), perm=[0, 2, 1, 3]
    )
    y = n.node("Reshape", "join", y, n.fixed("joined", [0, 0, WIDTH]))
    x = n.node("Add", "attended", x, linear("out", y, WIDTH, WIDTH))
    y = linear("up", normal("ln1", x), WIDTH, 2 * WIDTH)
    y = n.node("Gelu", "gelu", y)
    n.nodes[-1].domain = MS
    x = n.node("Add", "done", x, linear("down", n.node("Tanh", "tanh", y), 2 * WIDTH, WIDTH))
    ends = [n.fixed(f"cut{i}", [value]) for i, value in enumerate((TOKENS - 1, TOKENS, 1, 1))]
    last = n.node("Squeeze", "last", n.node("Slice", "cut", x, *ends), n.fixed("one", [1]))
    n.node("Gemm", "logits", last, "table", transB=1)
    return n, n.model(TensorProto.INT64, [BATCH, TOKENS], [BATCH, LETTERS])


def sequence() -> tuple[_Net, onnx.ModelProto]:
    """An LSTM, and behind it a GRU whose last state is classified.

    Without first states ONNX Runtime 1.19.2 writes a node that it does not take itself.
    """
    n = _Net(4)
    y = n.node(
        "LSTM",
        "lstm",
        *("x", n.weight("w0", 1, 4 * WIDTH, 3), n.weight("r0", 1, 4 * WIDTH, WIDTH)),
        *(n.weight("b0", 1, 8 * WIDTH), "", n.weight("h0", 1, BATCH, WIDTH)),
        n.weight("c0", 1, BATCH, WIDTH),
        outputs=3,
        hidden_size=WIDTH,
    )
    y = n.node("Squeeze", "states", y, n.fixed("one", [1]))
    weights = [n.weight("w1", 1, 3 * WIDTH, WIDTH), n.weight("r1", 1, 3 * WIDTH, WIDTH)]
    n.node(
        "GRU",
        "gru",
        *(y, *weights, n.weight("b1", 1, 6 * WIDTH), "", n.weight("h1", 1, BATCH, WIDTH)),
        outputs=2,
        hidden_size=WIDTH,
        linear_before_reset=1,
    )
    y = n.node("Squeeze", "last", "gru.1", n.fixed("zero", [0]))
    n.node("Gemm", "logits", y, n.weight("w2", 5, WIDTH), n.weight("b2", 5), transB=1)
    return n, n.model(TensorProto.FLOAT, [TOKENS, BATCH, 3], [BATCH, 5])


NETWORKS = {"image": image, "text": text, "sequence": sequence}


def build(name: str) -> onnx.ModelProto:
    """A network with its loss and backward pass. Needs ONNX Runtime's training."""
    from onnxruntime.training import artifacts  # pyright: ignore[reportMissingImports]

    net, model = NETWORKS[name]()
    with tempfile.TemporaryDirectory() as folder:
        artifacts.generate_artifacts(
            onnx.shape_inference.infer_shapes(model),
            requires_grad=net.weights,
            frozen_params=[],
            loss=artifacts.LossType.CrossEntropyLoss,
            optimizer=artifacts.OptimType.SGD,
            artifact_directory=folder,
        )
        return onnx.load(Path(folder) / "training_model.onnx")


def feeds(model: onnx.ModelProto, weights: Arrays, seed: int = 0) -> dict[str, np.ndarray]:
    """Values for each input: weights as they are, empty buffers, drawn samples."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for value in model.graph.input:
        kind = value.type.tensor_type.elem_type
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if value.name in weights:
            found[value.name] = weights[value.name]
        elif kind == TensorProto.BOOL:
            found[value.name] = np.array([False])
        elif kind == TensorProto.INT64:
            found[value.name] = rng.integers(0, 5, shape)
        else:
            size = 0.0 if value.name.endswith("buffer") else 1.0
            found[value.name] = (rng.normal(size=shape) * size).astype(np.float32)
    return found


# --- operators ------------------------------------------------------------------------------


class Case:
    """One operator. inputs: arrays, None where one is left out. fixed: numbers of those that are
    constants. outputs: how many there are. domain, attributes: of its node."""

    def __init__(
        self,
        op: str,
        *inputs: np.ndarray | None,
        fixed: tuple[int, ...] = (),
        outputs: int = 1,
        domain: str = MS,
        **attributes: Any,
    ) -> None:
        self.op, self.inputs, self.fixed = op, inputs, fixed
        self.outputs, self.domain, self.attributes = outputs, domain, attributes

    def model(self) -> onnx.ModelProto:
        """The model of this one node: inputs x0, x1 ..., outputs y0, y1 ..."""
        names = ["" if array is None else f"x{n}" for n, array in enumerate(self.inputs)]
        outs = [f"y{n}" for n in range(self.outputs)]
        node = helper.make_node(self.op, names, outs, "n", domain=self.domain, **self.attributes)
        there = {f"x{n}": array for n, array in enumerate(self.inputs) if array is not None}
        known = {f"x{n}" for n in self.fixed}
        graph = helper.make_graph(
            [node],
            "one",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
                )
                for name, array in there.items()
                if name not in known
            ],
            [helper.make_empty_tensor_value_info(name) for name in outs],
            [numpy_helper.from_array(there[name], name) for name in sorted(known)],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MS, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def feeds(self) -> dict[str, np.ndarray]:
        """What a run gets."""
        return {
            f"x{n}": array
            for n, array in enumerate(self.inputs)
            if array is not None and n not in self.fixed
        }


def cases() -> dict[str, Case]:
    """Every operator of a gradient that ONNX Runtime has a kernel for on a CPU, in its forms."""
    rng = np.random.default_rng(3)

    def f(*shape: int, low: float = -2.0) -> np.ndarray:
        return rng.uniform(low, 2.0, shape).astype(np.float32)

    def i(*values: int) -> np.ndarray:
        return np.array(values, np.int64)

    def whole(high: int, *shape: int) -> np.ndarray:
        return rng.integers(0, high, shape)

    def soft(x: np.ndarray, axes: tuple[int, ...], logs: bool = False) -> np.ndarray:
        y = x - np.log(np.exp(x).sum(axes, keepdims=True))
        return (y if logs else np.exp(y)).astype(np.float32)

    def moments(x: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        inverse = 1 / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        return x.mean(axes, keepdims=True), inverse.astype(np.float32)

    zero = np.array([[-1.0, 0.0, 2.0], [0.0, -0.5, 3.0]], np.float32)
    found: dict[str, Case] = {
        "relu": Case("ReluGrad", f(2, 3), zero),
        "sigmoid": Case("SigmoidGrad", f(3, 5), f(3, 5, low=0.0) / 2),
        "tanh": Case("TanhGrad", f(3, 5), f(3, 5) / 2),
        "leaky": Case("LeakyReluGrad", f(2, 3), zero, alpha=0.2),
        "gelu": Case("GeluGrad", f(3, 5), f(3, 5)),
        "fast": Case("FastGeluGrad", f(3, 5), f(3, 5)),
        "quick": Case("QuickGeluGrad", f(3, 5), f(3, 5), alpha=1.5),
        "bias": Case("BiasGeluGrad_dX", f(2, 3, 5), f(2, 3, 5), f(5)),
        "bias_fast": Case("BiasFastGeluGrad_dX", f(2, 3, 5), f(2, 3, 5), f(5)),
        "div": Case("DivGrad", f(3, 4, 5), f(3, 4, 5), f(1, 5, low=1.0), outputs=2),
        "div_left": Case("DivGrad", f(3, 4), f(4), f(3, 4, low=1.0), outputs=2),
        "softmax": Case("SoftmaxGrad_13", f(3, 4, 5), soft(f(3, 4, 5), (1,)), axis=1),
        "softmax_old": Case("SoftmaxGrad", f(3, 4, 5), soft(f(3, 4, 5), (1, 2)), axis=1),
        "logs": Case("LogSoftmaxGrad_13", f(3, 4, 5), soft(f(3, 4, 5), (2,), True), axis=-1),
        "logs_old": Case("LogSoftmaxGrad", f(3, 4, 5), soft(f(3, 4, 5), (1, 2), True), axis=1),
    }
    for reduction in ("mean", "sum", "none"):
        g = f(3, 4) if reduction == "none" else f()
        logs, label, weight = soft(f(3, 5, 4), (1,), True), whole(5, 3, 4), f(5, low=0.5)
        label[0, 1] = 2
        for name, extra, given in (("", {}, ()), ("_weighted", {"ignore_index": 2}, (weight,))):
            kept: dict[str, Any] = {"reduction": reduction, **extra}
            found[f"loss_{reduction}{name}"] = Case(
                "SoftmaxCrossEntropyLossGrad", g, logs, label, *given, **kept
            )
        found[f"internal_{reduction}"] = Case(
            "SoftmaxCrossEntropyLossInternalGrad",
            *(g, logs, label, weight, i(2).reshape(())),
            fixed=(4,),
            reduction=reduction,
        )
    x = f(3, 4, 5)
    found |= {
        "internal": Case(
            "SoftmaxCrossEntropyLossInternal",
            *(f(3, 5), i(1, 4, 2), None, i(2).reshape(())),
            fixed=(3,),
            outputs=2,
        ),
        "norm": Case("LayerNormalizationGrad", f(3, 4, 5), x, f(5), *moments(x, (2,)), outputs=3),
        "norm_two": Case(
            "LayerNormalizationGrad", f(3, 4, 5), x, f(4, 5), *moments(x, (1, 2)), outputs=3, axis=1
        ),
        "rms": Case(
            "SimplifiedLayerNormalizationGrad",
            *(f(3, 4, 5), x, f(5), f(3, 4, 1, low=0.5)),
            outputs=2,
        ),
        "batch": Case(
            "BatchNormalizationGrad",
            *(f(2, 3, 4), f(2, 3, 4), f(3), f(3), f(3, low=0.5)),
            outputs=3,
            epsilon=1e-5,
        ),
        "batch_forward": Case(
            "BatchNormInternal",
            *(f(2, 3, 4), f(3), f(3), f(3), f(3, low=0.5)),
            outputs=5,
            training_mode=1,
            momentum=0.8,
        ),
        "conv": Case(
            "ConvGrad", f(2, 4, 5, 5), f(2, 3, 5, 5), f(4, 3, 3, 3), outputs=3, pads=[1] * 4
        ),
        "conv_strides": Case(
            "ConvGrad",
            *(f(2, 4, 3, 2), f(2, 2, 7, 5), f(4, 1, 3, 2)),
            outputs=3,
            group=2,
            strides=[2, 2],
            dilations=[1, 2],
        ),
        "gather": Case("GatherGrad", i(6, 3), whole(6, 2, 4), f(2, 4, 3), fixed=(0,)),
        "gather_axis": Case("GatherGrad", i(3, 6), i(-1, 2, 2), f(3, 3), fixed=(0,), axis=1),
        "elements": Case(
            "GatherElementsGrad", f(2, 3), i(4, 3), whole(4, 2, 3), fixed=(1,), axis=0
        ),
        "nd": Case("GatherNDGrad", i(4, 3, 2), whole(3, 5, 2), f(5, 2), fixed=(0,)),
        "slice": Case(
            "SliceGrad", f(2, 2), i(5, 4), i(0, 1), i(4, 4), i(0, 1), i(2, 2), fixed=(1, 2, 3, 4, 5)
        ),
        "dropout": Case(
            "DropoutGrad",
            *(f(3, 4), whole(2, 3, 4).astype(bool), np.array(0.25, np.float32), np.array(True)),
            fixed=(2, 3),
        ),
        "add": Case("InPlaceAccumulatorV2", f(3, 4), f(3, 4), np.array([False]), outputs=2),
        "overwrite": Case("InPlaceAccumulatorV2", f(3, 4), f(3, 4), np.array([True]), outputs=2),
        "scalar": Case("InPlaceAccumulatorV2", f(), f(), np.array([True]), outputs=2),
        "old_add": Case("InPlaceAccumulator", f(3, 4), f(3, 4), np.array(True)),
        "old_stay": Case("InPlaceAccumulator", f(3, 4), f(3, 4), np.array(False)),
        "old_plain": Case("InPlaceAccumulator", f(3, 4), f(3, 4)),
        "zero": Case("ZeroGradient", f(3, 4), np.array([True])),
        "scale": Case("Scale", f(3, 4), np.array(3.0, np.float32)),
        "scale_down": Case("Scale", f(3, 4), i(6).reshape(()), scale_down=1),
        "concat": Case("ConcatTraining", f(2, 3), f(2, 1), f(2, 4), outputs=2, axis=1),
        "split": Case("SplitTraining", f(2, 6), i(1, 3, 2), fixed=(1,), outputs=3, axis=1),
        "sum": Case("ReduceSumTraining", f(2, 3, 4), i(0, 2), fixed=(1,), keepdims=0),
        "axes": Case("BroadcastGradientArgs", i(3, 1, 5), i(4, 5), fixed=(0, 1), outputs=2),
    }

    def gates(steps: int, size: int, tanh: int, of: int) -> np.ndarray:
        """Gates as they are behind sigmoids, and from ``tanh`` on behind tanh."""
        values = rng.uniform(0.05, 0.95, (steps, 1, 2, of, size))
        values[..., tanh:, :] = values[..., tanh:, :] * 2 - 1
        return values.reshape(steps, 1, 2, of * size).astype(np.float32)

    def lstm(steps: int, width: int, size: int, bias: bool, start: bool) -> list[np.ndarray | None]:
        weights = [f(1, 4 * size, width), f(1, 4 * size, size)]
        state = [f(1, 2, size) / 2, f(1, 2, size)] if start else [None, None]
        return [f(steps, 2, width), *weights, f(1, 8 * size) if bias else None, None, *state]

    def gru(steps: int, width: int, size: int, bias: bool, start: bool) -> list[np.ndarray | None]:
        weights = [f(1, 3 * size, width), f(1, 3 * size, size)]
        state = f(1, 2, size) / 2 if start else None
        return [f(steps, 2, width), *weights, f(1, 6 * size) if bias else None, None, state]

    def states(steps: int, size: int) -> np.ndarray:
        return f(steps, 1, 2, size) / 2

    one, full = f(1, 2, 5), lstm(3, 4, 5, False, True)
    found |= {
        "lstm": Case("LSTMTraining", *lstm(3, 4, 5, True, True), outputs=5, hidden_size=5),
        "lstm_bare": Case("LSTMTraining", *lstm(1, 2, 3, False, False), outputs=5, hidden_size=3),
        "lstm_back": Case(
            "LSTMGrad",
            *(*full[:3], *full[4:]),
            *(states(3, 5), states(3, 5), gates(3, 5, 3, 4), states(3, 5), one, one / 2),
            outputs=6,
            hidden_size=5,
        ),
        "lstm_back_bare": Case(
            "LSTMGrad",
            *(*lstm(2, 2, 3, False, False)[:3], None, None, None),
            *(states(2, 3), states(2, 3), gates(2, 3, 3, 4), states(2, 3)),
            outputs=4,
            hidden_size=3,
        ),
        "lstm_back_last": Case(
            "LSTMGrad",
            *(*lstm(2, 2, 5, False, False)[:3], None, None, None),
            *(states(2, 5), states(2, 5), gates(2, 5, 3, 4), None, one),
            outputs=4,
            hidden_size=5,
        ),
    }
    for after in (0, 1):
        kept = {"hidden_size": 5, "linear_before_reset": after}
        found |= {
            f"gru{after}": Case("GRUTraining", *gru(3, 4, 5, True, True), outputs=3, **kept),
            f"gru{after}_bare": Case("GRUTraining", *gru(1, 2, 5, False, False), outputs=3, **kept),
            f"gru{after}_back": Case(
                "GRUGrad",
                *(*gru(3, 4, 5, True, True), states(3, 5), gates(3, 5, 2, 3), states(3, 5), one),
                outputs=5,
                **kept,
            ),
            f"gru{after}_back_bare": Case(
                "GRUGrad",
                *(*gru(2, 2, 5, False, False), states(2, 5), gates(2, 5, 2, 3), None, one),
                outputs=3,
                **kept,
            ),
        }
    return found


def record() -> None:
    """Write the networks, and what ONNX Runtime makes of them and of each operator."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    found: dict[str, np.ndarray] = {}

    def run(name: str, model: onnx.ModelProto, given: Arrays) -> None:
        # It writes into what it is given.
        session = onnxruntime.InferenceSession(model.SerializeToString())
        results = session.run(None, {key: array.copy() for key, array in given.items()})
        for value, array in zip(model.graph.output, results, strict=True):
            found[f"{name}/{value.name}"] = np.array(array)

    for name in NETWORKS:
        net, model = NETWORKS[name]()
        model = build(name)
        onnx.save(model, HERE / "training" / f"{name}.onnx")
        for node in model.graph.node:
            if node.op_type == "InPlaceAccumulatorV2":
                node.output.append(f"{node.input[0]}.next")
                model.graph.output.append(helper.make_tensor_value_info(node.output[1], 1, None))
        weights = {item.name: numpy_helper.to_array(item) for item in net.tensors}
        given = feeds(model, weights)
        found |= {f"{name}/{key}": array for key, array in given.items()}
        run(name, model, given)
    for name, case in cases().items():
        run(name, case.model(), case.feeds())
    np.savez_compressed(RECORD, **found)  # pyright: ignore[reportArgumentType]
    print(f"{len(found)} arrays")


if __name__ == "__main__":
    record()
