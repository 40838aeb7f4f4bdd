"""Models that hold their own training step, against what the same step gives elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import wsc
from tests.exports.gradients import HERE, NETWORKS, feeds
from tests.training.networks import Builder, weights_of
from wsc.errors import CompileError
from wsc.frontend.training import DOMAIN

OWN: dict[str, Any] = {"loss": "output", "optimizer": "model"}
RATE = 0.1


def described(
    nodes: list[onnx.NodeProto],
    bindings: dict[str, str],
    tensors: dict[str, np.ndarray],
    outputs: tuple[str, ...] = ("loss",),
) -> onnx.ModelProto:
    """Four classes of three features, a loss of labels, and a training_info with some nodes.

    tensors: initializers of the algorithm.
    """
    b = Builder(1)
    b.weight("w", 4, 3, size=0.5)
    b.weight("b", 4)
    b.node("Gemm", "logits", "x", "w", "b", transB=1)
    model = b.model("small", {"x": (TensorProto.FLOAT, ["batch", 3])})
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    loss = helper.make_node("SoftmaxCrossEntropyLoss", ["logits", "label"], ["loss"], "loss")
    gradient = helper.make_node(
        "Gradient", ["w", "b"], ["dw", "db"], "grad", domain=DOMAIN, xs=["w", "b"], y="loss"
    )
    names = dict.fromkeys((*outputs, *bindings.values()))
    info = model.training_info.add()
    info.algorithm.CopyFrom(
        helper.make_graph(
            [loss, gradient, *nodes],
            "algorithm",
            [helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"])],
            [helper.make_empty_tensor_value_info(name) for name in names],
            [numpy_helper.from_array(array, name) for name, array in tensors.items()],
        )
    )
    for key, value in bindings.items():
        info.update_binding.add(key=key, value=value)
    return model


def descent() -> onnx.ModelProto:
    """Plain gradient descent, written out."""
    nodes = []
    for name in ("w", "b"):
        nodes.append(helper.make_node("Mul", [f"d{name}", "rate"], [f"step.{name}"]))
        nodes.append(helper.make_node("Sub", [name, f"step.{name}"], [f"new.{name}"]))
    bindings = {name: f"new.{name}" for name in ("w", "b")}
    return described(nodes, bindings, {"rate": np.array(RATE, np.float32)})


def adam() -> onnx.ModelProto:
    """ONNX's Adam, with its moments and its count of steps as state.

    From a count of 1 on it corrects its moments, as others do in their first step.
    """
    names = ["w", "b", "dw", "db", "w.v", "b.v", "w.h", "b.h"]
    news = ["new.w", "new.b", "new.w.v", "new.b.v", "new.w.h", "new.b.h"]
    nodes = [
        helper.make_node("Adam", ["rate", "count", *names], news, domain=DOMAIN, epsilon=1e-8),
        helper.make_node("Add", ["count", "one"], ["new.count"]),
    ]
    states = {
        f"{name}.{part}": np.zeros(shape, np.float32)
        for name, shape in (("w", (4, 3)), ("b", (4,)))
        for part in "vh"
    }
    kept = {"count": np.array(1, np.int64), **states}
    fixed = {"rate": np.array(RATE, np.float32), "one": np.array(1, np.int64)}
    return described(nodes, {name: f"new.{name}" for name in ("w", "b", *kept)}, {**kept, **fixed})


def adamw() -> onnx.ModelProto:
    """AdamW as ONNX Runtime's training writes it, over sequences of tensors."""
    lists = {"weight": "{}", "grad": "d{}", "mean": "{}.m", "square": "{}.s"}
    nodes = [
        helper.make_node("SequenceConstruct", [form.format(name) for name in ("w", "b")], [key])
        for key, form in lists.items()
    ]
    news = ["new.weight", "new.mean", "new.square"]
    nodes.append(
        helper.make_node(
            "AdamWOptimizer",
            ["rate", "count", *lists],
            ["done", *news],
            domain="com.microsoft",
            weight_decay=0.5,
        )
    )
    bindings = {"count": "new.count"}
    for place, name in enumerate(("w", "b")):
        for new in news:
            key = lists[new.removeprefix("new.")].format(name)
            bindings[key] = f"new.{key}"
            nodes.append(helper.make_node("SequenceAt", [new, f"at.{place}"], [f"new.{key}"]))
    nodes.append(helper.make_node("Add", ["count", "at.1"], ["new.count"]))
    tensors = {
        f"{name}.{part}": np.zeros(shape, np.float32)
        for name, shape in (("w", (4, 3)), ("b", (4,)))
        for part in "ms"
    }
    tensors |= {"count": np.array(1, np.int64), "rate": np.array(RATE, np.float32)}
    tensors |= {f"at.{place}": np.array(place, np.int64) for place in range(2)}
    model = described(nodes, bindings, tensors)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def batch(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(5, 3)).astype(np.float32), "label": rng.integers(0, 4, 5)}


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        (descent, f"sgd:lr={RATE}"),
        (adam, f"adam:lr={RATE},beta2=0.999"),
        (adamw, f"adamw:lr={RATE},weight_decay=0.5"),
    ],
)
def test_the_models_own_steps_are_those_of_the_store(model: Any, optimizer: str) -> None:
    own = wsc.train(model(), **OWN, fabric=(2, 2))
    plain = model()
    del plain.training_info[:]
    other = wsc.train(plain, optimizer=optimizer, fabric=(2, 2))
    for number in range(4):
        got, wanted = own.step(batch(number)), other.step(batch(number))
        assert got.loss == pytest.approx(wanted.loss, rel=1e-5)
    for name, wanted in other.weights.items():
        np.testing.assert_allclose(own.weights[name], wanted, rtol=1e-4, atol=1e-5)


def test_a_count_of_steps_goes_on_after_a_break_and_into_onnx(tmp_path: Path) -> None:
    made = wsc.train(adam(), **OWN, fabric=(2, 2))
    for number in range(3):
        made.step(batch(number))
    made.save(tmp_path / "three")
    assert made.weights["count"] == 4
    again = wsc.train(adam(), **OWN, fabric=(2, 2))
    again.prepare(batch(0))
    again.resume(tmp_path / "three")
    assert again.step(batch(3)).loss == made.step(batch(3)).loss
    assert {k: v.tobytes() for k, v in again.weights.items()} == {
        k: v.tobytes() for k, v in made.weights.items()
    }
    stored = made.onnx()
    algorithm = {i.name: i for i in stored.training_info[0].algorithm.initializer}
    assert numpy_helper.to_array(algorithm["count"]) == 5
    session = onnxruntime.InferenceSession(without_training(stored))
    x = batch(9)["x"]
    wanted = x @ made.weights["w"].T + made.weights["b"]
    given = np.asarray(session.run(None, {"x": x})[0])
    np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-5)


def without_training(model: onnx.ModelProto) -> bytes:
    """What ONNX Runtime reads."""
    del model.training_info[:]
    kept = [item for item in model.opset_import if item.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model.SerializeToString()


def taken_in(name: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A graph of ONNX Runtime's training as a step of descent, its weights, and its other inputs.

    Its weights are inputs there: they become initializers, and what they become is an output.
    """
    net, _ = NETWORKS[name]()
    model = onnx.load(HERE / "training" / f"{name}.onnx")
    weights = {item.name: numpy_helper.to_array(item) for item in net.tensors}
    given = feeds(model, weights)
    graph, info = model.graph, model.training_info.add()
    sampled = {"x", *(key for key, array in given.items() if array.dtype == np.int64)}
    stored = {key: array for key, array in given.items() if key not in sampled}
    kept = [value for value in graph.input if value.name not in stored]
    del graph.input[:]
    graph.input.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(a, key) for key, a in stored.items())
    graph.initializer.append(numpy_helper.from_array(np.array(-RATE, np.float32), "minus"))
    del graph.output[1:]
    for weight in net.weights:
        gradient = f"{weight}_grad"
        graph.node.append(helper.make_node("Mul", [gradient, "minus"], [f"{weight}.step"]))
        graph.node.append(helper.make_node("Add", [weight, f"{weight}.step"], [f"{weight}.new"]))
        graph.output.append(helper.make_empty_tensor_value_info(f"{weight}.new"))
        info.update_binding.add(key=weight, value=f"{weight}.new")
    samples = {key: given[key] for key in sampled}
    return model, {key: weights[key] for key in net.weights}, samples


def test_a_step_of_onnx_runtime_changes_weights_as_ours_does() -> None:
    model, weights, samples = taken_in("image")
    own = wsc.train(model, **OWN, fabric=(3, 4))
    plain, known = NETWORKS["image"]()[1], onnx.load(HERE / "training" / "image.onnx").graph
    # The same network without a backward pass: BatchNormalization there is in training, too.
    other = wsc.train(
        plain,
        "cross_entropy",
        f"sgd:lr={RATE}",
        fabric=(3, 4),
        trainable=list(weights),
    )
    label = next(value.name for value in known.input if "label" in value.name)
    for _ in range(2):
        got = own.step(samples)
        wanted = other.step({"x": samples["x"], "label": samples[label]})
        assert got.loss == pytest.approx(wanted.loss, rel=1e-5)
    for name in weights:
        np.testing.assert_allclose(own.weights[name], other.weights[name], rtol=1e-4, atol=1e-5)


def test_a_step_that_pytorch_traced_changes_weights_as_pytorch_does() -> None:
    model, known = onnx.load(HERE / "training" / "joint.onnx"), np.load(HERE / "joint.npz")
    own = wsc.train(model, **OWN, fabric=(4, 3))
    samples = {name: known[name] for name in ("x", "label")}
    losses = [own.step(samples).loss for _ in range(len(known["losses"]))]
    np.testing.assert_allclose(losses, known["losses"], rtol=1e-5)
    for name, array in own.weights.items():
        np.testing.assert_allclose(array, known[name], rtol=1e-4, atol=2e-6)
    assert len(own.weights) == len(known.files) - 3 == 11


def test_options_that_have_no_place_are_refused() -> None:
    tried: list[tuple[dict[str, Any], str]] = [
        ({"loss": "mse"}, "optimizer model: the model computes its loss, too: give loss: 'output'"),
        ({"groups": ["w:lr=1"]}, "groups: the model says itself how it trains"),
        ({"trainable": ["w"]}, "trainable: the model says"),
        ({"clip": 1.0}, "clip: the model says"),
        ({"over": 2}, "over: the model says"),
        ({"schedule": [1.0]}, "schedule: the model says"),
        ({"precision": "f16"}, "precision f16: the model computes its new weights itself"),
    ]
    for options, message in tried:
        with pytest.raises(CompileError, match=message):
            wsc.train(descent(), **{**OWN, **options})


def test_a_description_that_says_too_little_is_refused() -> None:
    def refused(message: str, change: Any) -> None:
        model = descent()
        change(model)
        with pytest.raises(CompileError, match=message):
            wsc.train(model, **OWN, fabric=(2, 2)).step(batch(0))

    refused("has no training_info", lambda m: m.training_info.pop())
    refused("has 2 training_info", lambda m: m.training_info.add())
    refused("computes the first weights", lambda m: m.training_info[0].initialization.node.add())
    refused("changes no init", lambda m: m.training_info[0].ClearField("update_binding"))

    def bind(key: str, value: str) -> Any:
        return lambda m: m.training_info[0].update_binding.add(key=key, value=value)

    refused("names 'no', which is no initializer", bind("no", "new.w"))
    refused("has 'w' twice", bind("w", "new.w"))
    refused("names 'no', which is no output", bind("rate", "no"))

    def bound(model: onnx.ModelProto) -> None:
        del model.training_info[0].algorithm.output[0]

    refused(r"loss: no output '' \(there are: none\)", bound)


def test_a_file_is_read(tmp_path: Path) -> None:
    onnx.save(descent(), tmp_path / "own.onnx")
    made = wsc.train(tmp_path / "own.onnx", **OWN, fabric=(2, 2))
    assert made.step(batch(0)).loss > 0
    assert set(made.weights) == {"w", "b"}
    with pytest.raises(CompileError, match=r"none\.onnx: "):
        wsc.train(tmp_path / "none.onnx", **OWN, fabric=(2, 2)).step(batch(0))


def test_weights_and_their_names_may_be_any(tmp_path: Path) -> None:
    model = descent()
    for graph in (model.graph, model.training_info[0].algorithm):
        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = ["w[0]*" if name == "w" else name for name in names]
            for item in node.attribute:
                item.strings[:] = [b"w[0]*" if text == b"w" else text for text in item.strings]
        for tensor in graph.initializer:
            tensor.name = "w[0]*" if tensor.name == "w" else tensor.name
    model.training_info[0].update_binding[0].key = "w[0]*"
    made = wsc.train(model, **OWN, fabric=(2, 2))
    before = weights_of(model)["w[0]*"]
    made.step(batch(0))
    assert (made.weights["w[0]*"] != before).any()
