"""The builders: graphs that ONNX's checker and ONNX Runtime take, the same for a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from wsc.models import IR_VERSION, OPSET, cnn, lstm, matmul, mlp, transformer_encoder

BUILDERS: dict[str, Callable[[], onnx.ModelProto]] = {
    "matmul": lambda: matmul(3, 5, 7),
    "matmul of activations": lambda: matmul(3, 5, 7, streamed=False),
    "mlp": lambda: mlp((8, 16, 4)),
    "mlp of an image": lambda: mlp((64, 10), image=(1, 8, 8)),
    "lenet": cnn,
    "cnn": lambda: cnn((3, 12, 16), (8,), kernel=3, padding=1, pooled=1, hidden=(), batch=2),
    "transformer": lambda: transformer_encoder(2, 16, 4, 6),
    "lstm": lambda: lstm(5, 6, 7),
    "lstm both ways": lambda: lstm(5, 6, 7, batch=2, bidirectional=True),
}


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = [output.name for output in model.graph.output]
    outputs = session(model).run(names, inputs)
    return {name: np.asarray(out) for name, out in zip(names, outputs, strict=True)}


def random_inputs(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        value.name: random.standard_normal(shape(value)).astype(np.float32)
        for value in model.graph.input
    }


def shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


@pytest.mark.parametrize("name", BUILDERS)
def test_passes_the_checker_and_runs_with_the_shapes_that_it_declares(name: str) -> None:
    model = BUILDERS[name]()
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == IR_VERSION
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    outputs = run(model, random_inputs(model))
    for value in model.graph.output:
        assert outputs[value.name].shape == shape(value)
        assert np.isfinite(outputs[value.name]).all()
        assert outputs[value.name].std() > 1e-3


@pytest.mark.parametrize("name", BUILDERS)
def test_every_node_and_every_value_has_its_own_name(name: str) -> None:
    nodes = BUILDERS[name]().graph.node
    names = [node.name for node in nodes]
    values = [output for node in nodes for output in node.output]
    assert all(names)
    assert len(set(names)) == len(names)
    assert len(set(values)) == len(values)


def test_the_seed_alone_decides_the_weights() -> None:
    assert mlp((4, 4), seed=3) == mlp((4, 4), seed=3)
    assert mlp((4, 4), seed=3) != mlp((4, 4), seed=4)


def test_mlp_computes_what_its_weights_say() -> None:
    model = mlp((3, 4, 2))
    w = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    inner = np.maximum(x @ w["fc0.weight"].T + w["fc0.bias"], 0)
    wanted = inner @ w["fc1.weight"].T + w["fc1.bias"]
    np.testing.assert_allclose(run(model, {"x": x})["logits"], wanted, rtol=1e-5)


def test_given_weights_are_used_and_their_shapes_checked() -> None:
    weights = {"fc0.weight": np.eye(2, dtype=np.float32), "fc0.bias": np.ones(2, np.float32)}
    x = np.array([[2.0, 3.0]], np.float32)
    model = mlp((2, 2), weights=weights)
    np.testing.assert_array_equal(run(model, {"x": x})["logits"], [[3.0, 4.0]])
    with pytest.raises(ValueError, match=r"fc0.weight: shape \(2, 2\), wanted \(2, 3\)"):
        mlp((3, 2), weights=weights)


def test_an_open_batch_dimension_stays_open() -> None:
    model = mlp((3, 2), batch="n")
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert run(model, {"x": np.zeros((5, 3), np.float32)})["logits"].shape == (5, 2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mlp((4,)), "an input and an output size"),
        (lambda: transformer_encoder(1, 10, 4, 2), "not a multiple of 4 heads"),
        (lambda: cnn((1, 6, 6)), "nothing is left"),
    ],
)
def test_sizes_that_make_no_network_are_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
