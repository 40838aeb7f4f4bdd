"""Operators of gradients, and networks with their backward pass, against ONNX Runtime's training.

Its results are a record (``tests/exports/gradients.py``): tests need neither it nor PyTorch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import wsc
from tests.exports.gradients import HERE, MS, RECORD, Case, cases
from wsc.errors import CompileError, UnsupportedOperators

CASES = cases()


def recorded(name: str) -> dict[str, np.ndarray]:
    """What the record has of a network or an operator."""
    with np.load(RECORD) as file:
        return {
            key.partition("/")[2]: file[key] for key in file.files if key.startswith(f"{name}/")
        }


def outputs(model: onnx.ModelProto, given: dict[str, np.ndarray], fabric: str) -> dict:
    return wsc.compile(model, fabric=fabric).run(given, engine="values").outputs


@pytest.mark.parametrize("name", CASES)
def test_an_operator(name: str) -> None:
    case, known = CASES[name], recorded(name)
    got = outputs(case.model(), case.feeds(), "3x2")
    assert len(known) == case.outputs
    for key, wanted in known.items():
        assert got[key].shape == wanted.shape
        np.testing.assert_allclose(
            got[key].astype(float), wanted.astype(float), rtol=1e-4, atol=1e-5 * case.outputs
        )


@pytest.mark.parametrize(
    ("name", "fabric"), [("image", "4x3"), ("text", "5x4"), ("sequence", "3x4")]
)
def test_a_network_gives_the_gradients_of_onnx_runtime(name: str, fabric: str) -> None:
    known = recorded(name)
    model = onnx.load(HERE / "training" / f"{name}.onnx")
    given = {value.name: known[value.name] for value in model.graph.input}
    got = outputs(model, given, fabric)
    sums = [key for key in known if key.endswith(".next")]
    assert len(sums) == sum(key.endswith(".buffer") for key in given) > 6
    loss = model.graph.output[0].name
    np.testing.assert_allclose(got[loss], known[loss], rtol=1e-6)
    for key in sums:
        size = max(np.abs(known[key]).max(), 0.1)  # a bias before BatchNormalization has noise
        np.testing.assert_allclose(got[key] / size, known[key] / size, atol=2e-6)


def test_in_halves_the_moments_stay_single() -> None:
    case, known = CASES["norm"], recorded("norm")
    program = wsc.compile(case.model(), fabric="3x2", precision="f16")
    got = program.run(case.feeds(), engine="values").outputs
    for key, wanted in known.items():
        np.testing.assert_allclose(got[key], wanted, rtol=0.01, atol=0.01)


def test_numbers_of_sums() -> None:
    x = [np.array([1.0, -2.0], np.float32) * n for n in (1, 2, 3)]
    scaled = Case("ScaledSum", *x, scale_0=2.0, scale_1=0.5, scale_2=-1.0)
    assert outputs(scaled.model(), scaled.feeds(), "2x1")["y0"].tolist() == [0.0, 0.0]
    parts = Case("BatchScale", x[0], outputs=2, scale0=2.0, scale1=0.5)
    got = outputs(parts.model(), parts.feeds(), "2x1")
    assert [got[key].tolist() for key in ("y0", "y1")] == [[2.0, -4.0], [0.5, -1.0]]


def test_nothing_is_dropped_outside_training() -> None:
    case = CASES["dropout"]
    off = Case(case.op, *case.inputs[:3], np.array(False), fixed=(2, 3))
    np.testing.assert_array_equal(outputs(off.model(), off.feeds(), "2x2")["y0"], case.inputs[0])


def pooled(op: str, declared: bool, *inputs: np.ndarray) -> onnx.ModelProto:
    """The gradient of a pooling alone, whose result's shape no input says."""
    model = Case(op, *inputs, domain="", kernel_shape=[2, 2], strides=[2, 2]).model()
    shape = [1, 1, 4, 5] if declared else None
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y0", TensorProto.FLOAT, shape))
    return model


def test_the_gradient_of_a_pooling_alone() -> None:
    g = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    places = np.array([[[[6, 2], [10, 18]]]])
    got = outputs(pooled("MaxPoolGrad", True, g, places), {"x0": g, "x1": places}, "2x2")["y0"]
    wanted = np.zeros(20, np.float32)
    wanted[places.reshape(-1)] = g.reshape(-1)
    np.testing.assert_array_equal(got.reshape(-1), wanted)
    got = outputs(pooled("AveragePoolGrad", True, g), {"x0": g}, "2x2")["y0"]
    wanted = np.zeros((4, 5), np.float32)
    wanted[:, :4] = np.kron(g[0, 0], np.full((2, 2), 0.25))
    np.testing.assert_array_equal(got[0, 0], wanted)
    for op, inputs in (("MaxPoolGrad", (g, places)), ("AveragePoolGrad", (g,))):
        with pytest.raises(UnsupportedOperators, match="shape of its result is not declared"):
            wsc.compile(pooled(op, False, *inputs), fabric="2x2")


# --- what is refused ----------------------------------------------------------------------


def test_shapes_that_only_a_run_tells_are_refused() -> None:
    case = CASES["gather"]
    open_shape = Case(case.op, *case.inputs)
    with pytest.raises(CompileError, match="the shape"):
        wsc.compile(open_shape.model(), fabric="2x2")


def test_moments_of_another_shape_are_refused() -> None:
    case = CASES["norm"]
    g, x, scale, mean, inverse = case.inputs
    assert mean is not None
    other = Case(case.op, g, x, scale, mean[:1], inverse, outputs=3)
    with pytest.raises(UnsupportedOperators, match=r"moments of shape \[1, 4, 1\]"):
        wsc.compile(other.model(), fabric="2x2")


def test_a_weight_that_is_a_constant_has_no_gradient() -> None:
    case = CASES["conv"]
    frozen = Case(case.op, *case.inputs, fixed=(2,), outputs=3, pads=[1] * 4)
    with pytest.raises(UnsupportedOperators, match="the derivative by a constant"):
        wsc.compile(frozen.model(), fabric="2x2")
    alone = frozen.model()
    del alone.graph.output[1:], alone.graph.node[0].output[1:]
    got = outputs(alone, frozen.feeds(), "2x2")
    np.testing.assert_allclose(got["y0"], recorded("conv")["y0"], rtol=1e-4, atol=1e-5)


def test_a_sum_has_a_name_of_its_own(tmp_path: Path) -> None:
    case = CASES["add"]
    model = case.model()
    del model.graph.output[1:], model.graph.node[0].output[1:]
    assert "x0.next" in outputs(model, case.feeds(), "2x2")
    named = helper.make_node("Identity", ["x1"], ["x0.next"])
    model.graph.node.append(named)
    model.graph.output.append(helper.make_empty_tensor_value_info("x0.next"))
    with pytest.raises(CompileError, match=r"its sum is the output 'x0\.next', and there is one"):
        wsc.compile(model, fabric="2x2")
    assert MS in {item.domain for item in model.opset_import}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("lstm", {"direction": "reverse"}, "a direction other than forward"),
        ("gru1", {"activations": ["Sigmoid", "Relu"]}, "activations other than Sigmoid, Tanh"),
        ("lstm_back", {"clip": 1.0}, "clip"),
        ("lstm_back", {"input_forget": 1}, "input_forget"),
        ("lstm", 7, "peepholes"),
        ("gru0_back", 4, "sequences that end before the last step"),
        ("lstm_back", 12, "inputs or outputs of another version"),
    ],
)
def test_what_recurrent_gradients_do_not_take_is_said(
    name: str, change: dict[str, object] | int, reason: str
) -> None:
    """change: attributes, or an input that is there."""
    case = CASES[name]
    inputs, attributes = list(case.inputs), dict(case.attributes)
    if isinstance(change, dict):
        attributes |= change
    else:
        inputs += [None] * (change + 1 - len(inputs))
        inputs[change] = np.zeros((1, 15), np.int32 if change == 4 else np.float32)
    changed = Case(case.op, *inputs, outputs=case.outputs, **attributes)
    with pytest.raises(UnsupportedOperators, match=reason):
        wsc.compile(changed.model(), fabric="2x2")
