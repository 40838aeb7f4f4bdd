"""Dimensions, bound inputs, external data, and every refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.frontend.cases import floats
from tests.oracle import evaluate
from wsc.errors import CompileError, UnsupportedOperators
from wsc.frontend import import_onnx, load_lowerings
from wsc.frontend.registry import lowerings
from wsc.isa.types import DType

Dim = str | int | None


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[Dim]],
    outputs: list[str],
    constants: dict[str, np.ndarray] | None = None,
    functions: list[onnx.FunctionProto] | None = None,
    elem: int = TensorProto.FLOAT,
    domains: tuple[str, ...] = (),
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, elem, shape) for name, shape in inputs.items()],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["stale", "names"])
            for name in outputs
        ],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions or [])
    file = path / "m.onnx"
    onnx.save(model, file)
    return file


def mlp(path: Path, shape: list[Dim]) -> Path:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")
    return save(path, [node], {"x": shape}, ["y"], {"w": floats(3, 2)})


# --- dimensions --------------------------------------------------------------------


@pytest.mark.parametrize("key", ["batch", "x.0"])
def test_a_dimension_is_bound_by_its_name_or_place(tmp_path: Path, key: str) -> None:
    graph = import_onnx(mlp(tmp_path, ["batch", 3]), {key: 4})
    assert graph.inputs[0].type.shape == (4, 3)
    assert graph.nodes[0].type.shape == (4, 2)


@pytest.mark.parametrize(
    ("name", "size"),
    [("past + 1", 5), ("2*past", 8), ("past//2 - 1", 1), ("max(past, 2)", 4), ("new", 6)],
)
def test_a_dimension_that_is_an_expression_follows_from_its_parts(
    tmp_path: Path, name: str, size: int
) -> None:
    node = helper.make_node("Sum", ["x", "y"], ["z"])
    path = save(tmp_path, [node], {"x": ["past", 1, 2], "y": [name, 2]}, ["z"])
    graph = import_onnx(path, {"past": 4, **({"new": 6} if name == "new" else {})})
    assert [item.type.shape for item in graph.inputs] == [(4, 1, 2), (size, 2)]


@pytest.mark.parametrize(
    ("name", "dims", "message"),
    [
        ("past + 1", {"past": 4, "past + 1": 6}, "'past \\+ 1' is bound to both 6 and 5"),
        ("past + 1", {"past": 4, "y.0": 6}, "'past \\+ 1' is bound to both 6 and 5"),
        ("past - 5", {"past": 4}, "'past - 5' becomes -1; it is at least 0"),
        ("9**9**past", {"past": 9}, "dims={'9\\*\\*9\\*\\*past': N}"),
        ("past %% (past - 4)", {"past": 4}, "dimensions without a size"),
        ("past % (past - 4)", {"past": 4}, "dimensions without a size"),
        ("floor(past, 2)", {"past": 4}, "dimensions without a size"),
        ("(" * 5000 + "past", {"past": 4}, "dimensions without a size"),
    ],
)
def test_an_expression_without_a_size_is_refused(
    tmp_path: Path, name: str, dims: dict[str, int], message: str
) -> None:
    node = helper.make_node("Sum", ["x", "y"], ["z"])
    path = save(tmp_path, [node], {"x": ["past", 1, 2], "y": [name, 2]}, ["z"])
    with pytest.raises(CompileError, match=message):
        import_onnx(path, dims)


def test_a_dimension_without_a_name_is_bound_by_its_place(tmp_path: Path) -> None:
    assert import_onnx(mlp(tmp_path, [None, 3]), {"x.0": 4}).inputs[0].type.shape == (4, 3)


def test_a_place_binds_the_name_everywhere(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "z"], ["y"])
    file = save(tmp_path, [node], {"x": ["n"], "z": ["n"]}, ["y"])
    assert [item.type.shape for item in import_onnx(file, {"x.0": 4}).inputs] == [(4,), (4,)]


@pytest.mark.parametrize(
    ("shape", "dims", "message"),
    [
        (["batch", 3], {}, r"input 'x' axis 0 \(batch\): dims=\{'batch': N\}"),
        ([None, 3], {}, r"input 'x' axis 0: dims=\{'x.0': N\}"),
        (["batch", 3], {"bacth": 1}, r"dims: 'bacth': the model has no such dimension.*batch"),
        (["batch", 3], {"batch": -1}, r"a dimension is at least 0"),
        (["batch", 3], {"x.1": 5, "batch": 1}, r"dims=\{'x.1': 5\}: the model has 3"),
    ],
)
def test_bad_dimensions(
    tmp_path: Path, shape: list[Dim], dims: dict[str, int], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        import_onnx(mlp(tmp_path, shape), dims)


# --- bound inputs ------------------------------------------------------------------


def test_bound_inputs_are_baked_in(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "z"], ["y"])
    file = save(tmp_path, [node], {"x": ["n"], "z": ["n"]}, ["y"])
    z = floats(3)
    graph = import_onnx(file, bind={"z": z})
    assert [item.name for item in graph.inputs] == ["x"]
    x = floats(3)
    np.testing.assert_array_equal(evaluate(graph, {"x": x})["y"], x + z)


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ({"q": floats(3)}, r"bind: 'q': the model has no such input \(it has: x\)"),
        ({"x": floats(4, 3).astype(np.float64)}, r"wants dtype float32, got float64"),
        ({"x": floats(4, 4)}, r"wants shape \[.*3\], got \[4, 4\]"),
        ({"x": floats(4)}, r"wants shape"),
    ],
)
def test_bad_bound_inputs(tmp_path: Path, bind: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        import_onnx(mlp(tmp_path, ["batch", 3]), bind=bind)


# --- files -------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="no such file"):
        import_onnx(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08"])
def test_no_model(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(content)
    with pytest.raises(CompileError, match="not an ONNX model"):
        import_onnx(file)


def test_a_truncated_model(tmp_path: Path) -> None:
    file = mlp(tmp_path, [2, 3])
    data = file.read_bytes()
    for length in range(1, len(data), 7):
        file.write_bytes(data[:length])
        with pytest.raises(CompileError):
            import_onnx(file)


def test_a_model_that_fails_the_checker(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "nowhere"], ["y"])
    with pytest.raises(CompileError, match=r"fails ONNX's checker.*nowhere"):
        import_onnx(save(tmp_path, [node], {"x": [2, 3]}, ["y"]))


def external(path: Path, location: str) -> Path:
    """An MLP whose weights are said to lie at ``location``."""
    file = mlp(path, [2, 3])
    model = onnx.load(file)
    tensor = model.graph.initializer[0]
    (path / "w.bin").write_bytes(b"\0" * 8 + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "8"), ("length", "24")):
        tensor.external_data.add(key=key, value=value)
    onnx.save(model, file)
    return file


def test_external_data_are_mapped_and_named(tmp_path: Path) -> None:
    graph = import_onnx(external(tmp_path, "w.bin"))
    (weight,) = graph.constants
    assert weight.source == (str(tmp_path / "w.bin"), 8, 24)
    assert np.abs(weight.load()).max() > 0
    (weight,) = import_onnx(tmp_path / "m.onnx", precision=DType.F16).constants
    assert weight.source is None
    assert weight.load().dtype == np.float16


@pytest.mark.parametrize("location", ["../w.bin", "sub/../../w.bin", "/etc/hostname", ""])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    with pytest.raises(CompileError, match="outside the model's folder"):
        import_onnx(external(tmp_path, location))


def test_external_data_behind_a_link(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    file = external(inner, "link.bin")
    (inner / "w.bin").rename(tmp_path / "w.bin")
    (inner / "link.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(CompileError, match="outside the model's folder"):
        import_onnx(file)


def test_missing_and_short_external_data(tmp_path: Path) -> None:
    file = external(tmp_path, "w.bin")
    (tmp_path / "w.bin").write_bytes(b"\0" * 20)
    with pytest.raises(CompileError, match="cut short"):
        import_onnx(file)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(CompileError, match="missing"):
        import_onnx(file)


# --- operators ---------------------------------------------------------------------


def test_unknown_operators_are_reported_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="two"),
        helper.make_node("Blend", ["b"], ["c"], name="three", domain="my.ops"),
        helper.make_node("Frobnicate", ["c"], ["y"], name="four"),
    ]
    with pytest.raises(UnsupportedOperators) as caught:
        import_onnx(save(tmp_path, nodes, {"x": [2, 3]}, ["y"], domains=("my.ops",)))
    found = [(item.op_type, item.domain, item.opset, item.nodes) for item in caught.value.operators]
    assert found == [("Frobnicate", "", 17, ("one", "four")), ("Blend", "my.ops", 1, ("three",))]
    assert "Frobnicate (ai.onnx, opset 17): no lowering" in str(caught.value)


def test_known_operators_without_a_lowering_are_reported_with_refused_nodes(
    tmp_path: Path,
) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["a"], name="noise"),
        helper.make_node("Einsum", ["x"], ["b"], name="sum", equation="ij->jj"),
        helper.make_node("Inverse", ["b"], ["y"], name="inv", domain="com.microsoft"),
    ]
    with pytest.raises(UnsupportedOperators) as caught:
        import_onnx(save(tmp_path, nodes, {"x": [3, 3]}, ["y", "a"], domains=("com.microsoft",)))
    found = [(item.op_type, item.reason) for item in caught.value.operators]
    random = "it draws random numbers, and a program gives the same outputs at each run"
    assert ("RandomNormalLike", random) in found
    assert ("Inverse", "no lowering for this operator") in found


def test_refusals_name_their_reason(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Einsum", ["x"], ["a"], name="sum", equation="ij->jj"),
        helper.make_node("Relu", ["a"], ["b"], name="after"),
        helper.make_node("Reshape", ["x", "shape"], ["c"], name="dynamic"),
        helper.make_node("Conv", ["x", "x"], ["y"], name="conv", strides=[1, 1]),
    ]
    nodes.insert(0, helper.make_node("Cast", ["z"], ["shape"], to=TensorProto.INT64))
    with pytest.raises(UnsupportedOperators) as caught:
        import_onnx(save(tmp_path, nodes, {"x": [3, 3], "z": [2]}, ["y", "b", "c"]))
    found = {item.nodes[0]: item.reason for item in caught.value.operators}
    assert found["sum"] == "a label twice in the result"
    assert found["dynamic"] == "the shape must be a constant"
    assert "after" not in found


def test_functions_are_inlined(tmp_path: Path) -> None:
    body = [
        helper.make_node("Exp", ["a"], ["e"], name="inner"),
        helper.make_node("Add", ["e", "a"], ["b"]),
    ]
    function = helper.make_function(
        "my.ops", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)]
    )
    nodes = [helper.make_node("Twice", ["x"], ["y"], name="call", domain="my.ops")]
    file = save(tmp_path, nodes, {"x": [2, 3]}, ["y"], functions=[function], domains=("my.ops",))
    graph = import_onnx(file)
    x = floats(2, 3)
    np.testing.assert_allclose(evaluate(graph, {"x": x})["y"], np.exp(x) + x, rtol=1e-6)
    assert [node.origin for node in graph.nodes] == [("call",), ("call",)]
    assert graph.nodes[0].name == "call/inner"


def test_stale_output_shapes_do_not_matter(tmp_path: Path) -> None:
    graph = import_onnx(mlp(tmp_path, ["batch", 3]), {"batch": 2})
    assert graph.types()[graph.outputs[0].value].shape == (2, 2)


def test_every_lowering_is_documented() -> None:
    load_lowerings()
    listed = list(lowerings())
    assert len(listed) >= 150
    for entry in listed:
        assert entry.doc.endswith("."), entry.op_type
        assert entry.family


def test_what_a_lowering_has_never_heard_of_is_refused(tmp_path: Path) -> None:
    """Newer opsets add attributes and inputs; passing over them would give wrong results."""
    domain = "com.microsoft"
    for inputs, attributes, what in (
        (["x"], {"sharpness": 2}, "attribute sharpness = 2"),
        (["x", "x"], {}, "input 1"),
    ):
        gelu = helper.make_node("Gelu", inputs, ["y"], None, None, domain, None, **attributes)
        path = save(tmp_path, [gelu], {"x": [2, 3]}, ["y"], domains=(domain,))
        with pytest.raises(UnsupportedOperators, match=f"Gelu .*: {what} is not known"):
            import_onnx(path)
