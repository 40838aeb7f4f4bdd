"""ONNX's backend interface, and what it may bind."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from wsc import backend
from wsc.errors import CompileError
from wsc.frontend.shape_operands import shape_operands
from wsc.runtime.errors import InputError

RNG = np.random.default_rng(5)
ONE = np.array([1], np.int64)


def model_of(nodes: list[onnx.NodeProto], feeds: dict[str, np.ndarray]) -> onnx.ModelProto:
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in feeds.items()
    ]
    names = list(nodes[-1].output)
    graph = helper.make_graph(
        nodes, "case", infos, [helper.make_empty_tensor_value_info(name) for name in names]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    results = evaluate(model, feeds)
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in zip(names, results, strict=True)
    )
    return model


def evaluate(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """ONNX's reference evaluator."""
    return [np.asarray(item) for item in ReferenceEvaluator(model).run(None, feeds)]


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


# Operands that decide a shape, as inputs of the model, and what is bound of them.
SHAPED = [
    ("Reshape", [whole(3, 4)], {}),
    ("Slice", [whole(0, 1), whole(2, 6), whole(0, 1), whole(1, 2)], {}),
    ("Pad", [whole(1, 0, 0, 2)], {}),
    ("ReduceSum", [whole(1)], {}),
    ("ReduceMax", [whole(0)], {"keepdims": 0}),
    ("Tile", [whole(2, 1)], {}),
    ("Expand", [whole(3, 2, 6)], {}),
    ("Unsqueeze", [whole(0, 3)], {}),
    ("TopK", [whole(2)], {"axis": 1}),
    ("CumSum", [np.array(1, np.int64)], {}),
    ("Split", [whole(2, 4)], {"axis": 1}),
]


@pytest.mark.parametrize(("op_type", "operands", "attributes"), SHAPED, ids=lambda v: str(v)[:12])
def test_only_shape_operands_are_bound(
    op_type: str, operands: list[np.ndarray], attributes: dict[str, int]
) -> None:
    """Other values for what was not bound agree with the reference: the fabric computes them."""
    names = [f"s{i}" for i in range(len(operands))]
    outputs = ["y", "z"][: 2 if op_type in ("TopK", "Split") else 1]
    shaped = dict(zip(names, operands, strict=True))
    feeds = {"x": RNG.standard_normal((2, 6)).astype(np.float32), **shaped}
    node = helper.make_node(op_type, ["x", *names], outputs, None, None, None, None, **attributes)
    model = model_of([node], feeds)
    rep = backend.prepare(model)
    assert [item.name for item in rep.bound] == names
    assert rep.program is None
    for _ in range(2):
        given = {**feeds, "x": RNG.standard_normal((2, 6)).astype(np.float32)}
        want = evaluate(model, given)
        for got, reference in zip(rep.run(given), want, strict=True):
            np.testing.assert_allclose(got, reference, rtol=1e-5, atol=1e-6)
            assert got.dtype == reference.dtype


def test_operands_of_another_shape_compile_again() -> None:
    feeds = {"x": np.arange(6, dtype=np.float32), "s": whole(2, 3)}
    rep = backend.prepare(model_of([helper.make_node("Reshape", ["x", "s"], ["y"])], feeds))
    assert rep.run(feeds)[0].shape == (2, 3)
    first = rep.program
    assert rep.run({**feeds, "s": whole(3, 2)})[0].shape == (3, 2)
    assert rep.run(feeds)[0].shape == (2, 3)
    assert rep.program is first


def test_a_number_that_a_length_is_computed_from_is_bound() -> None:
    """As the start of a range, whose elements it is part of too."""
    nodes = [
        helper.make_node("Sub", ["limit", "start"], ["count"]),
        helper.make_node("Range", ["zero", "count", "one"], ["steps"]),
        helper.make_node("Add", ["steps", "start"], ["y"]),
    ]
    feeds = {name: np.array(n) for name, n in (("limit", 7), ("start", 3), ("zero", 0), ("one", 1))}
    assert [item.name for item in shape_operands(model_of(nodes, feeds))] == list(feeds)


def test_the_condition_of_a_loop_with_a_scan_output_is_bound() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    case (int64 n, bool c, float[3] x) => (float[3] y, float[k, 3] z) {
        y, z = Loop (n, c, x) <
            body = turn (int64 i, bool d, float[3] a) => (bool e, float[3] b, float[3] s) {
                e = Identity(d) b = Add(a, a) s = Neg(b)
            }
        >
    }"""
    model = onnx.parser.parse_model(text)
    assert [item.name for item in shape_operands(model)] == ["n", "c"]
    x = np.ones(3, np.float32)
    y, z = backend.prepare(model, fabric="2x2").run([np.array(2), np.array(True), x])
    np.testing.assert_allclose(y, 4 * x)
    np.testing.assert_allclose(z, [-2 * x, -4 * x])


def test_data_that_reach_a_shape_are_not_bound() -> None:
    """s is a shape and a summand: binding it would compute the sum on the host."""
    nodes = [
        helper.make_node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["x", "s"], ["r"]),
        helper.make_node("Add", ["r", "f"], ["y"]),
    ]
    feeds = {"x": np.zeros(4, np.float32), "s": whole(2, 2)}
    model = model_of(nodes, feeds)
    assert shape_operands(model) == []
    with pytest.raises(CompileError, match="Reshape"):
        backend.prepare(model)


def test_a_shape_computed_from_inputs_is_bound_with_all_that_it_reads() -> None:
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["s"], axis=0),
        helper.make_node("Reshape", ["x", "s"], ["y"]),
    ]
    feeds = {"x": np.arange(6, dtype=np.float32), "a": whole(2), "b": whole(3)}
    rep = backend.prepare(model_of(nodes, feeds))
    assert [item.name for item in rep.bound] == ["a", "b"]
    assert rep.run(feeds)[0].shape == (2, 3)


def test_values_that_only_give_their_shape_are_no_reason_to_bind() -> None:
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Size", ["x"], ["y"])]
    assert shape_operands(model_of(nodes, {"x": ONE})) == []


def test_symbolic_dimensions_come_from_the_inputs() -> None:
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [info], [out])
    rep = backend.prepare(helper.make_model(graph), fabric="1x1")
    for rows in (2, 5):
        x = RNG.standard_normal((rows, 3)).astype(np.float32)
        np.testing.assert_array_equal(rep.run([x])[0], -x)


@pytest.mark.parametrize("fabric", ["1x1", "3x5"])
def test_run_node(fabric: str) -> None:
    node = helper.make_node("Gemm", ["a", "b", "c"], ["y"], alpha=2.0)
    a, b, c = (RNG.standard_normal(s).astype(np.float32) for s in ((4, 3), (3, 5), (5,)))
    (y,) = backend.run_node(node, [a, b, c], fabric=fabric, opset_version=13)
    np.testing.assert_allclose(y, 2 * a @ b + c, rtol=1e-5, atol=1e-5)


def test_inputs_are_counted_and_checked() -> None:
    node = helper.make_node("Add", ["a", "b"], ["y"])
    one = np.ones(2, np.float32)
    rep = backend.prepare(model_of([node], {"a": one, "b": one}))
    with pytest.raises(CompileError, match="2 inputs wanted, got 1"):
        rep.run([one])
    with pytest.raises(InputError, match="dtype float32 wanted"):
        rep.run([one, one.astype(np.float64)])
    with pytest.raises(CompileError, match="simulated fabric alone"):
        backend.prepare(rep.model, "CUDA")
    assert not backend.supports_device("CUDA")


def test_run_node_infers_shapes_from_operands() -> None:
    x = RNG.standard_normal((2, 6)).astype(np.float32)
    (y,) = backend.run_node(helper.make_node("ReduceSum", ["x", "a"], ["y"]), [x, ONE])
    np.testing.assert_allclose(y, x.sum(axis=1, keepdims=True), rtol=1e-5)


def test_a_default_value_is_the_models_unless_another_is_given() -> None:
    feeds = {"x": RNG.random((2, 3)).astype(np.float32), "w": np.ones((3, 2), np.float32)}
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], feeds)
    model.graph.initializer.append(onnx.numpy_helper.from_array(feeds["w"], "w"))
    rep = backend.prepare(model, fabric="2x1")
    assert rep.inputs == ("x",)
    np.testing.assert_allclose(rep.run([feeds["x"]])[0], feeds["x"] @ feeds["w"], rtol=1e-5)
    other = RNG.random((3, 2)).astype(np.float32)
    (got,) = rep.run({"x": feeds["x"], "w": other})
    np.testing.assert_allclose(got, feeds["x"] @ other, rtol=1e-5)


def test_an_input_without_a_shape_has_that_of_its_array() -> None:
    feeds = {"x": RNG.random((2, 3)).astype(np.float32)}
    model = model_of([helper.make_node("Neg", ["x"], ["y"])], feeds)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    np.testing.assert_array_equal(backend.prepare(model, fabric="2x1").run(feeds)[0], -feeds["x"])
