"""Valid models that a checker or a library does not take as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.frontend.cases import compare, floats
from tests.oracle import evaluate
from wsc.errors import CompileError
from wsc.frontend import import_onnx

FLOAT = TensorProto.FLOAT


def model_of(
    nodes: list[NodeProto],
    inputs: dict[str, Any],
    outputs: list[str],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    domain: str = "",
) -> ModelProto:
    """Inputs and outputs of floats; a shape of None is none."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=8
    )


def both(path: Path, model: ModelProto, *args: Any, **options: Any) -> Any:
    """The graph of a model in memory; that of its file is the same, and the model unchanged."""
    before = model.SerializeToString()
    graph = import_onnx(model, *args, **options)
    assert model.SerializeToString() == before
    onnx.save(model, path / "m.onnx")
    assert import_onnx(path / "m.onnx", *args, **options) == graph
    return graph


NEG = helper.make_node("Neg", ["x"], ["y"])


def test_an_output_without_a_shape_has_that_of_its_value(tmp_path: Path) -> None:
    x = floats(2, 3)
    got = evaluate(both(tmp_path, model_of([NEG], {"x": [2, 3]}, ["y"])), {"x": x})
    np.testing.assert_array_equal(got["y"], -x)


def test_an_output_without_a_type_has_that_of_its_value(tmp_path: Path) -> None:
    model = model_of([NEG], {"x": [2, 3]}, ["y"])
    model.graph.output[0].ClearField("type")
    assert both(tmp_path, model).outputs[0].host_dtype == "float32"


def test_an_input_without_a_shape_is_given_one(tmp_path: Path) -> None:
    model = model_of([NEG], {"x": None}, ["y"])
    (entered,) = both(tmp_path, model, {"x.0": 2, "x.1": 3}).inputs
    assert entered.type.shape == (2, 3)
    x = floats(4, 2)
    np.testing.assert_array_equal(evaluate(both(tmp_path, model, None, {"x": x}), {})["y"], -x)
    with pytest.raises(CompileError, match=r"'x' has no shape.*dims=\{'x\.0': N\}.*bind=\{'x': "):
        import_onnx(model)


@pytest.mark.parametrize("imported", ["", "ai.onnx"])
@pytest.mark.parametrize("used", ["", "ai.onnx"])
def test_two_names_of_the_standard_domain(tmp_path: Path, imported: str, used: str) -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], domain=used)
    model = model_of([node], {"x": [2, 3, 2]}, ["y"], opset=11, domain=imported)
    x = floats(2, 3, 2)
    got = evaluate(both(tmp_path, model), {"x": x})["y"]
    # Opset 11 it is, by either name: all but the first axis are one.
    np.testing.assert_allclose(got.sum(axis=(1, 2)), 1, rtol=1e-6)


def test_two_versions_of_the_standard_domain() -> None:
    model = model_of([NEG], {"x": [2]}, ["y"])
    model.opset_import.append(helper.make_opsetid("ai.onnx", 11))
    with pytest.raises(CompileError, match=r"opset 17 and, as 'ai\.onnx', opset 11"):
        import_onnx(model)


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml"])
def test_an_opset_of_the_future_is_refused(domain: str) -> None:
    model = model_of([NEG], {"x": [2]}, ["y"])
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 99))
    if domain != "ai.onnx.ml":
        model.opset_import[0].version = 99
    with pytest.raises(CompileError, match=r"opset 99 of ai\.onnx.* is newer than \d+"):
        import_onnx(model)


@pytest.mark.parametrize("opset", [18, 20, 21])
def test_a_group_normalization_of_any_opset(tmp_path: Path, opset: int) -> None:
    """That of opsets 18 to 20 has a scale for each group."""
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)
    count = 2 if opset < 21 else 4
    scale, bias, x = floats(count), floats(count), floats(2, 4, 3)
    model = model_of([node], {"x": [2, 4, 3]}, ["y"], {"s": scale, "b": bias}, opset)
    got = evaluate(both(tmp_path, model), {"x": x})["y"]
    groups = x.reshape(2, 2, 6)
    unit = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    wide = np.repeat(scale, 4 // count), np.repeat(bias, 4 // count)
    want = unit.reshape(2, 4, 3) * wide[0][:, None] + wide[1][:, None]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


# --- sparse tensors ---------------------------------------------------------------------


def sparse(name: str, shape: list[int], indices: np.ndarray, values: np.ndarray) -> Any:
    return helper.make_sparse_tensor(
        numpy_helper.from_array(values, name),
        numpy_helper.from_array(indices.astype(np.int64)),
        shape,
    )


LINEAR, PLACES = np.array([1, 5]), np.array([[0, 1], [1, 2]])
WRITTEN_OUT = np.array([[0, 2, 0], [0, 0, 3]], np.float32)


@pytest.mark.parametrize("indices", [LINEAR, PLACES])
@pytest.mark.parametrize("inner", [False, True])
def test_a_sparse_initializer(tmp_path: Path, indices: np.ndarray, inner: bool) -> None:
    stored = sparse("w", [2, 3], indices, np.array([2, 3], np.float32))
    nodes = [helper.make_node("Add", ["x", "w"], ["a"])]
    if inner:
        branch = helper.make_graph(
            nodes, "branch", [], [helper.make_tensor_value_info("a", FLOAT, [2, 3])]
        )
        branch.sparse_initializer.append(stored)
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
        model = model_of(nodes, {"x": [2, 3]}, ["y"], {"c": np.array(True)})
    else:
        model = model_of(
            [*nodes, helper.make_node("Neg", ["a"], ["n"]), helper.make_node("Neg", ["n"], ["y"])],
            {"x": [2, 3]},
            ["y"],
        )
        model.graph.sparse_initializer.append(stored)
    x = floats(2, 3)
    np.testing.assert_array_equal(evaluate(both(tmp_path, model), {"x": x})["y"], x + WRITTEN_OUT)


def test_a_sparse_constant(tmp_path: Path) -> None:
    stored = sparse("w", [2, 3], LINEAR, np.array([2, 3], np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], sparse_value=stored),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    x = floats(2, 3)
    got = evaluate(both(tmp_path, model_of(nodes, {"x": [2, 3]}, ["y"])), {"x": x})
    np.testing.assert_array_equal(got["y"], x + WRITTEN_OUT)


@pytest.mark.parametrize(
    ("shape", "indices", "message"),
    [
        ([2, 3], np.array([1, 6]), "ONNX's checker|indices that do not fit"),
        ([2, 3], np.array([-1, 5]), "ONNX's checker|indices that do not fit"),
        ([2, 3], np.array([[0, 1], [2, 0]]), "ONNX's checker|indices that do not fit"),
        ([1 << 20, 1 << 20], LINEAR, "at most 268435456 elements are written out"),
    ],
)
def test_a_sparse_tensor_that_contradicts_itself_or_is_too_large(
    shape: list[int], indices: np.ndarray, message: str
) -> None:
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], {"x": [2, 3]}, ["y"])
    model.graph.sparse_initializer.append(sparse("w", shape, indices, np.array([2, 3], np.float32)))
    with pytest.raises(CompileError, match=message):
        import_onnx(model)


# --- default inputs ---------------------------------------------------------------------


def _defaults() -> ModelProto:
    """y = x @ w, where w is an input with a default value."""
    return model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": [2, 3], "w": [3, 2]},
        ["y"],
        {"w": np.ones((3, 2), np.float32)},
    )


def test_an_input_with_a_default_value_is_a_constant_or_bound_or_given(tmp_path: Path) -> None:
    x, w = floats(2, 3), floats(3, 2)
    graph = both(tmp_path, _defaults())
    assert [item.name for item in graph.inputs] == ["x"]
    np.testing.assert_allclose(evaluate(graph, {"x": x})["y"], x @ np.ones((3, 2)), rtol=1e-5)
    graph = both(tmp_path, _defaults(), None, {"w": w})
    assert [item.name for item in graph.inputs] == ["x"]
    np.testing.assert_allclose(evaluate(graph, {"x": x})["y"], x @ w, rtol=1e-5)
    graph = both(tmp_path, _defaults(), inputs=["w"])
    assert [item.name for item in graph.inputs] == ["x", "w"]
    np.testing.assert_allclose(evaluate(graph, {"x": x, "w": w})["y"], x @ w, rtol=1e-5)


def test_only_an_input_with_a_default_value_can_become_one_again() -> None:
    with pytest.raises(CompileError, match=r"inputs: 'x': no input with a default value .*: w\)"):
        import_onnx(_defaults(), inputs=["x"])


# --- nothing ----------------------------------------------------------------------------


def test_a_dimension_of_nothing(tmp_path: Path) -> None:
    """An empty cache, by a declared size, by a name and by its place."""
    concat = helper.make_node("Concat", ["past", "x"], ["y"], axis=0)
    x, none = floats(2, 3), np.zeros((0, 3), np.float32)
    for size, dims in ((0, None), ("p", {"p": 0}), (None, {"past.0": 0})):
        model = model_of([concat], {"past": [size, 3], "x": [2, 3]}, ["y"])
        graph = both(tmp_path, model, dims)
        assert [item.type.shape for item in graph.inputs] == [(0, 3), (2, 3)]
        np.testing.assert_array_equal(evaluate(graph, {"past": none, "x": x})["y"], x)
    # Some exporters write 0 for a size that they do not know.
    assert both(tmp_path, model_of([NEG], {"x": [0, 3]}, ["y"]), {"x.0": 4}).inputs[
        0
    ].type.shape == (4, 3)


@pytest.mark.parametrize("rows", [0, 2])
def test_external_data_of_length_zero(tmp_path: Path, rows: int) -> None:
    """A tensor without elements, or one whose length nobody has written."""
    w, x = floats(rows, 3), floats(2, 3)
    concat = helper.make_node("Concat", ["w", "x"], ["y"], axis=0)
    model = model_of([concat], {"x": [2, 3]}, ["y"], {"w": w})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "0")):
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "w.bin").write_bytes(w.tobytes())
    onnx.save(model, tmp_path / "m.onnx")
    got = evaluate(import_onnx(tmp_path / "m.onnx"), {"x": x})["y"]
    np.testing.assert_array_equal(got, np.concatenate([w, x]))


# --- operators of old opsets ------------------------------------------------------------


@pytest.mark.parametrize("opset", [7, 11, 12, 13])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_hardmax_of_any_opset(tmp_path: Path, axis: int, opset: int) -> None:
    compare(tmp_path, "Hardmax", floats(2, 3, 4), opset=opset, axis=axis)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_top_k_of_any_opset(tmp_path: Path, count: int) -> None:
    x = floats(2, 5)
    if count:
        compare(tmp_path, "TopK", x, opset=9, outputs=2, k=count, axis=1, oracle=_sorted)
    compare(tmp_path, "TopK", x, np.array([count]), const=[1], opset=11, outputs=2, axis=1)


def _sorted(model: ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Of opset 9: ONNX Runtime wants another one."""
    (x,), (node,) = feeds.values(), model.graph.node
    count = next(item.i for item in node.attribute if item.name == "k")
    places = np.argsort(-x, axis=1, kind="stable")[:, :count]
    return [np.take_along_axis(x, places, 1), places]
