"""Models that lie: one sentence for each lie, and none for what is only unusual."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.frontend.cases import compare, floats, model_of, node
from wsc.backend import prepare
from wsc.errors import CompileError
from wsc.frontend import import_onnx


def model() -> ModelProto:
    """A product with a stored matrix, then a normalisation and a cast."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("LayerNormalization", ["p", "s"], ["n"], axis=-1),
        helper.make_node("Cast", ["n"], ["y"], to=TensorProto.FLOAT),
    ]
    stored = {"w": np.ones((3, 2), np.float32), "s": np.ones(2, np.float32)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 2])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def cut(m: ModelProto) -> None:
    m.graph.initializer[0].raw_data = m.graph.initializer[0].raw_data[:-4]


def lengthen(m: ModelProto) -> None:
    m.graph.initializer[0].raw_data += b"\0"


def retype(m: ModelProto) -> None:
    m.graph.initializer[0].data_type = TensorProto.DOUBLE


def grow(m: ModelProto) -> None:
    m.graph.initializer[0].dims[0] = 2**62


def far_axis(m: ModelProto) -> None:
    m.graph.node[1].attribute[0].i = 2**31


def fewer_parts(m: ModelProto) -> None:
    node = helper.make_node("Split", ["n"], ["y", "z"], num_outputs=1)
    m.graph.node[2].CopyFrom(node)
    m.opset_import[0].version = 18


def strange_cast(m: ModelProto) -> None:
    m.graph.node[2].attribute[0].i = 255


def mixed_types(m: ModelProto) -> None:
    m.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def other_output(m: ModelProto) -> None:
    m.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64


def sequence_output(m: ModelProto) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [4, 2])
    m.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(kind))


def many_dimensions(m: ModelProto) -> None:
    for _ in range(40):
        m.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1


def huge(m: ModelProto) -> None:
    m.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**62


def recursive(m: ModelProto) -> None:
    call = helper.make_node("F", ["x"], ["y"], domain="local")
    opsets = [*m.opset_import, helper.make_opsetid("local", 1)]
    m.functions.append(helper.make_function("local", "F", ["x"], ["y"], [call], opsets))
    m.opset_import.append(helper.make_opsetid("local", 1))
    del m.graph.node[:]
    m.graph.node.append(call)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut, r"tensor 'w' stores 20 bytes, and its shape \[3, 2\] of FLOAT wants 24"),
        (lengthen, "stores 25 bytes"),
        (retype, "of DOUBLE wants 48"),
        (grow, "stores 24 bytes"),
        (far_axis, "axis is 2147483648"),
        (fewer_parts, "num_outputs is 1, and it has 2"),
        (strange_cast, "Cast"),
        (mixed_types, "input 1 is FLOAT and input 0 is DOUBLE: they must be alike"),
        (other_output, "output 'y': declared as INT64, and is FLOAT"),
        (sequence_output, "output 'y': declared as Sequence"),
        (many_dimensions, r"input 'x': 42 dimensions \(at most 32\)"),
        (huge, "elements"),
        (recursive, "[Cc]ycl|recurs"),
    ],
)
def test_each_lie_has_its_sentence(
    tmp_path: Path, change: Callable[[ModelProto], None], message: str
) -> None:
    made = model()
    import_onnx(made)
    change(made)
    file = tmp_path / "m.onnx"
    onnx.save(made, file)
    for source in (file, made):
        with pytest.raises(CompileError, match=message):
            import_onnx(source)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("location", "\0", "outside the model's folder"),
        ("offset", "x", "is no number of bytes"),
        ("offset", "-1", "is no number of bytes"),
        ("length", "4", "have 4 bytes, and its shape wants 24"),
        ("offset", "9", "cut short"),
    ],
)
def test_where_external_data_lie(tmp_path: Path, key: str, value: str, message: str) -> None:
    made = model()
    tensor = made.graph.initializer[0]
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for name, text in {"location": "w.bin", key: value}.items():
        tensor.external_data.add(key=name, value=text)
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(CompileError, match=message):
        import_onnx(tmp_path / "m.onnx")


def test_names_that_are_not_utf8() -> None:
    data = model().SerializeToString().replace(b"MatMul", b"Mat\xfful")
    with pytest.raises(CompileError, match="not UTF-8"):
        import_onnx(ModelProto.FromString(data))


def test_a_graph_whose_name_is_not_utf8() -> None:
    made = model()
    made.graph.name = "graph"
    data = made.SerializeToString().replace(b"graph", b"gr\xffph")
    with pytest.raises(CompileError):
        import_onnx(ModelProto.FromString(data.replace(b"MatMul", b"MatNul")))


def test_long_names_do_not_fill_the_screen() -> None:
    made = model()
    made.graph.node[0].op_type = "N" * 5000
    made.graph.node[0].name = "a\nb" * 2000
    with pytest.raises(CompileError) as caught:
        import_onnx(made)
    lines = str(caught.value).split("\n")
    assert len(lines) == 2
    assert len(lines[1]) < 1000


def test_packed_and_typed_data_are_counted() -> None:
    """Four bits a value, two to an element of int32_data; and lists of the right length."""
    for kind, values in ((TensorProto.INT4, [1, -2, 3]), (TensorProto.FLOAT16, [1.0, 2.0, 3.0])):
        tensor = helper.make_tensor("c", kind, [3], values)
        node = helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT)
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
        graph = helper.make_graph([node], "g", [], [out], [tensor])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        import_onnx(made)
        tensor = made.graph.initializer[0]
        del tensor.int32_data[-1]
        with pytest.raises(CompileError, match="elements"):
            import_onnx(made)


def test_a_long_chain_is_prepared() -> None:
    names = [f"v{i}" for i in range(1500)]
    nodes = [helper.make_node("Identity", [a], [b]) for a, b in pairwise(names)]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("v0", "v1499")]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.array([1, 2], np.float32)
    (y,) = prepare(made, fabric="1x1").run([x])
    assert (y == x).all()


def test_more_dimensions_than_numpy_has() -> None:
    feeds = {"x0": floats(3), "x1": np.ones(60, np.int64)}
    model = model_of([node("Expand", 2)], {"x0": feeds["x0"]}, {"x1": feeds["x1"]}, ["y0"])
    with pytest.raises(CompileError, match=r"dimensions|do not broadcast"):
        import_onnx(model)


def test_an_operator_of_any_number_of_inputs_has_one() -> None:
    one = helper.make_node("Max", [""], ["y0"])
    with pytest.raises(CompileError):
        import_onnx(model_of([one], {"x0": floats(3)}, {}, ["y0"]))


def test_an_ignored_target_beyond_words(tmp_path: Path) -> None:
    scores, targets = floats(4, 3), np.array([0, 2, 1, 1])
    for ignored in (2**31, -(2**40)):
        compare(tmp_path, "NegativeLogLikelihoodLoss", scores, targets, ignore_index=ignored)


def einsum(equation: str) -> ModelProto:
    """One operand through an equation that a function takes from where it is called."""
    inner = helper.make_node("Einsum", ["a"], ["b"])
    inner.attribute.add(name="equation", ref_attr_name="e", type=onnx.AttributeProto.STRING)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    function = helper.make_function("f", "F", ["a"], ["b"], [inner], opsets, ["e"])
    graph = helper.make_graph(
        [helper.make_node("F", ["x"], ["y"], domain="f", e=equation)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)


@pytest.mark.parametrize(
    "equation", ["a.", "a....", "a.b", "...ij.", "i...j...", "ij-", "ij>", "i\nj", "ij->j->i"]
)
def test_an_equation_in_which_shape_inference_would_never_end(equation: str) -> None:
    with pytest.raises(CompileError, match=r"equation '.*' is not of the form"):
        import_onnx(einsum(equation))


def deep(depth: int) -> ModelProto:
    """An If in an If, and so on."""
    made = model()
    graph = made.graph
    for _ in range(depth):
        inner = helper.make_graph([made.graph.node[0]], "inner", [], [])
        graph.node.append(
            helper.make_node("If", ["x"], ["q"], then_branch=inner, else_branch=inner)
        )
        graph = graph.node[-1].attribute[0].g
    return made


def test_graphs_nest_so_deep_and_no_deeper(tmp_path: Path) -> None:
    for depth in (31, 300):
        with pytest.raises(CompileError, match="nested more than 30 deep"):
            import_onnx(deep(depth))
    file = tmp_path / "m.onnx"
    file.write_bytes(deep(40).SerializeToString())
    with pytest.raises(CompileError, match=r"nested too deeply|nested more than"):
        import_onnx(file)


def test_products_of_constants_do_not_grow_beyond_memory() -> None:
    size = 1 << 17  # elements that are looked at while constants are folded
    column, row = (
        numpy_helper.from_array(np.ones(s, np.float32), n)
        for s, n in (((size, 1), "c"), ((1, size), "r"))
    )
    nodes = [
        helper.make_node("MatMul", ["c", "r"], ["p"]),
        helper.make_node("Mul", ["c", "r"], ["m"]),
        helper.make_node("Einsum", ["c", "r", "c", "r"], ["e"], equation="ab,cd,ef,gh->"),
        helper.make_node("Add", ["x", "x"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
            for n, s in (("y", [2]), ("p", [size, size]), ("e", []), ("m", [size, size]))
        ],
        [column, row],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    # They are computed on the fabric, or refused there.
    assert {node.output for node in import_onnx(made).nodes} >= {"p", "m"}
