"""Results in double precision."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cli.helpers import done, wsc
from wsc.comparison.opinion import evaluate, second_opinion

THIRD = np.array(1 / 3, np.float32)


def _model(nodes: list[onnx.NodeProto], *shape: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(THIRD, "third")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("not.there", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _nodes(kind: str) -> list[onnx.NodeProto]:
    """Three ways to multiply by a constant of f32."""
    if kind == "initializer":
        return [helper.make_node("Mul", ["x", "third"], ["y"])]
    if kind == "constant":
        given = helper.make_node("Constant", [], ["c"], value_float=float(THIRD))
        cast = helper.make_node("Cast", ["c"], ["f"], to=TensorProto.FLOAT)
        return [given, cast, helper.make_node("Mul", ["x", "f"], ["y"])]
    inner = helper.make_graph(
        [
            helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(THIRD)),
            helper.make_node("Mul", ["x", "c"], ["z"]),
        ],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    choose = helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
    yes = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))
    return [yes, choose]


@pytest.mark.parametrize("kind", ["initializer", "constant", "inner graph"])
def test_nothing_is_rounded_to_f32(kind: str) -> None:
    x = np.array([3.0, 7.0], np.float32)
    (y,) = evaluate(_model(_nodes(kind), 2), {"x": x}, ["y"]).values()
    assert y.tolist() == (x.astype(np.float64) * float(THIRD)).tolist()


def test_what_the_evaluator_lacks_is_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_model([helper.make_node("Strange", ["x"], ["y"], domain="not.there")], 2), path)
    reason = second_opinion(path, {"x": np.ones(2, np.float32)}, ["y"])
    assert "Strange" in str(reason)


def test_it_is_given_a_time(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_model(_nodes("initializer"), 2), path)
    start = time.monotonic()
    reason = second_opinion(path, {"x": np.ones(2, np.float32)}, ["y"], seconds=0.01)
    assert reason == "it takes more than 0.01 seconds"
    assert time.monotonic() - start < 5


def test_tiny_probabilities_are_right_where_onnx_runtime_is_not(tmp_path: Path) -> None:
    path, x = tmp_path / "m.onnx", tmp_path / "x.npy"
    onnx.save(_model([helper.make_node("Sigmoid", ["x"], ["y"])], 4), path)
    np.save(x, np.array([-17.9, -18.0, -19.0, -20.0], np.float32))
    done(wsc("compile", path, "--fabric", "2x2", "-o", tmp_path / "m.wsa"))
    run = done(wsc("run", tmp_path / "m.wsa", "--input", f"x={x}", "--compare", path))
    assert "y: ONNX Runtime is the less exact" in run.stdout
    assert "all outputs agree with ONNX Runtime, or with double precision" in run.stdout
