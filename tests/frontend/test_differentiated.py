"""ONNX's Gradient: the derivative of a value of the same graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import wsc
from wsc.errors import CompileError, UnsupportedOperators
from wsc.frontend.training import DOMAIN

A, B = np.array([1.0, 2.0, 3.0], np.float32), np.array([4.0, 5.0, 6.0], np.float32)


def model(
    nodes: list[onnx.NodeProto], outputs: list[str], weights: dict[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    """Nodes over the inputs a and b, of three floats."""
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])
            for name in ("a", "b")
            if name not in (weights or {})
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def of(inputs: list[str], outputs: list[str], y: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Gradient", inputs, outputs, "grad", domain=DOMAIN, y=y, **attributes)


# y = sum((a + b) * a)
SUM = [
    helper.make_node("Add", ["a", "b"], ["c"], "add"),
    helper.make_node("Mul", ["c", "a"], ["d"], "mul"),
    helper.make_node("ReduceSum", ["d"], ["y"], "sum", keepdims=0),
]


def run(proto: onnx.ModelProto, **given: np.ndarray) -> dict[str, np.ndarray]:
    return wsc.compile(proto, fabric="2x2").run(given, engine="values").outputs


@pytest.mark.parametrize("first", [False, True])
def test_by_inputs_wherever_the_node_stands(first: bool) -> None:
    node = of(["a", "b"], ["da", "db"], xs=["a", "b"])
    got = run(model([node, *SUM] if first else [*SUM, node], ["y", "da", "db"]), a=A, b=B)
    np.testing.assert_array_equal(got["da"], 2 * A + B)
    np.testing.assert_array_equal(got["db"], A)


def test_by_an_initializer_and_by_a_value_between() -> None:
    got = run(
        model(
            [*SUM, of(["b"], ["db"], xs=["b"]), of(["c"], ["dc"], xs=["c"])], ["db", "dc"], {"b": B}
        ),
        a=A,
    )
    np.testing.assert_array_equal(got["db"], A)
    np.testing.assert_array_equal(got["dc"], A)


def test_at_other_values() -> None:
    twice = helper.make_node("Add", ["b", "b"], ["b2"], "twice")
    node = of(["a", "b2"], ["da"], xs=["a"], zs=["b"])
    got = run(model([*SUM, twice, node], ["y", "da"]), a=A, b=B)
    np.testing.assert_array_equal(got["da"], 2 * A + 2 * B)
    assert got["y"] == ((A + B) * A).sum()


def test_a_second_derivative() -> None:
    nodes = [
        helper.make_node("Mul", ["a", "a"], ["s"], "square"),
        helper.make_node("Mul", ["s", "a"], ["q"], "cube"),
        helper.make_node("ReduceSum", ["q"], ["y"], "sum", keepdims=0),
        of(["a"], ["g"], xs=["a"]),
        helper.make_node("ReduceSum", ["g"], ["z"], "sums", keepdims=0),
        of(["a"], ["h"], y="z", xs=["a"]),
    ]
    got = run(model(nodes, ["g", "h"]), a=A, b=B)
    np.testing.assert_allclose(got["g"], 3 * A * A, rtol=1e-6)
    np.testing.assert_allclose(got["h"], 6 * A, rtol=1e-6)


def test_what_does_not_matter_has_a_derivative_of_zero() -> None:
    nodes = [helper.make_node("ReduceSum", ["a"], ["y"], keepdims=0), of(["b"], ["db"], xs=["b"])]
    assert run(model(nodes, ["db"]), a=A, b=B)["db"].tolist() == [0.0, 0.0, 0.0]


def test_names_that_the_graph_does_not_have_are_refused() -> None:
    for node in (of(["a"], ["da"], y="no", xs=["a"]), of(["a"], ["da"], xs=["no"])):
        with pytest.raises(CompileError, match="node 'grad': the graph has no value 'no'"):
            wsc.compile(model([*SUM, node], ["da"]), fabric="2x2")
    with pytest.raises(CompileError, match="has 1 inputs, and its attributes name 2"):
        wsc.compile(model([*SUM, of(["a"], ["da"], xs=["a", "b"])], ["da"]), fabric="2x2")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (of(["a"], ["da"], y="c", xs=["a"]), r"a derivative of \[3\], and it is of one number"),
        (of(["a", "c"], ["da", "dc"], xs=["a", "c"]), "one is computed from another"),
        (of(["y"], ["da"], xs=["a"]), r"a value of f32\[\] in the place of f32\[3\]"),
    ],
)
def test_what_has_no_meaning_is_refused(node: onnx.NodeProto, message: str) -> None:
    with pytest.raises(UnsupportedOperators, match=message):
        wsc.compile(model([*SUM, node], [node.output[0]]), fabric="2x2")
