"""Movement in runs: what a tile sends at a time, and that it is right on any mesh."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import wsc
from wsc.ir.graph import Slice
from wsc.ir.layout import Mesh, block, dense_view, whole
from wsc.ir.tasks import MoveTask
from wsc.isa.expr import Int
from wsc.isa.types import DType
from wsc.kernels.index import remainder, variable, within
from wsc.kernels.index_map import index_map, plan, reshaped_box


def heads(tokens: int, many: int, wide: int, first: int, dtype: int) -> onnx.ModelProto:
    """A product's features, taken apart into heads, cut, with the heads in front."""
    size = many * wide
    random = np.random.default_rng(0)
    weight = random.standard_normal((4, size)).astype(np.float32)
    ints = {
        "split": [tokens, many, wide],
        "starts": [first],
        "ends": [wide],
        "axes": [2],
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Reshape", ["p", "split"], ["s"]),
        helper.make_node("Slice", ["s", "starts", "ends", "axes"], ["c"]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Softmax", ["t"], ["y"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "heads",
        [helper.make_tensor_value_info("x", dtype, [tokens, 4])],
        [helper.make_tensor_value_info("y", dtype, [many, tokens, wide - first])],
        [
            numpy_helper.from_array(weight, "w"),
            *(numpy_helper.from_array(np.array(v, np.int64), k) for k, v in ints.items()),
        ],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, ir_version=10, opset_imports=opset)


@pytest.mark.parametrize("fabric", ["5x3", "1x4", "4x1", "7x2"])
@pytest.mark.parametrize(("many", "wide", "first"), [(3, 5, 0), (4, 6, 2), (2, 8, 4)])
@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_parts_of_heads_arrive(
    fabric: str, many: int, wide: int, first: int, precision: str
) -> None:
    tokens = 7
    model = heads(tokens, many, wide, first, TensorProto.FLOAT)
    x = np.random.default_rng(1).standard_normal((tokens, 4)).astype(np.float32)
    program = wsc.compile(model, fabric, precision=precision)
    got = program.run({"x": x}, engine="reference", check_races=True).outputs["y"]
    weight = numpy_helper.to_array(model.graph.initializer[0])
    parts = (x @ weight).reshape(tokens, many, wide)[:, :, first:].transpose(1, 0, 2)
    raised = np.exp(parts - parts.max(-1, keepdims=True))
    near = 1e-5 if precision == "f32" else 2e-2
    np.testing.assert_allclose(got, raised / raised.sum(-1, keepdims=True), near, near)


def test_a_run_is_one_message() -> None:
    program = wsc.compile(heads(6, 3, 8, 0, TensorProto.FLOAT), "2x3")
    sends = [line for line in program.text.splitlines() if line.lstrip().startswith("send")]
    assert sends
    assert all(re.search(r" for (.*, )?r1:", line) for line in sends)


@pytest.mark.parametrize(("start", "step"), [(0, 2), (1, 2), (1, 3), (5, 3)])
def test_every_nth_position_is_one_vector(start: int, step: int) -> None:
    """A tile that has all of a dimension takes some of its positions without a loop over them."""
    mesh, count = Mesh(3, 2), len(range(start, 20, step))
    rows = block(9, "x", mesh)
    source, out = (dense_view((rows, whole(size)), DType.F32, "v") for size in (24, count))
    cut = Slice((0, start), (9, count), (1, step))
    task = MoveTask(source, (cut,), out, None)
    found = index_map(task, mesh)
    assert plan(task, found).vector == ["s0", "q1"]
    assert found.sizes["q1"] == Int(24 // step)


def test_halves_go_in_pairs_where_all_of_a_dimension_does() -> None:
    """Each tile has some rows of both operands whole, and every tile wants all of one of them."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Tanh", ["x"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["a", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pairs",
        [info("x", TensorProto.FLOAT, [4, 8, 6])],
        [info("y", TensorProto.FLOAT, [4, 8, 8])],
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opset)
    x = np.random.default_rng(1).standard_normal((4, 8, 6)).astype(np.float32)
    program = wsc.compile(model, "4x4", precision="f16")
    got = program.run({"x": x}, engine="reference", check_races=True).outputs["y"]
    a = np.tanh(x)
    np.testing.assert_allclose(got, a @ a.transpose(0, 2, 1), 2e-2, 2e-2)
    assert "mov.i32 <" in program.text  # a broadcast of halves


def test_a_condition_on_runs_is_one_on_their_numbers() -> None:
    run, place = variable("q", 0, 9), variable("r", 0, 7)
    assert within(run * 8 + place, 16, 48) == (run, 2, 6)
    assert within(run * 8 + place, 16, 47) == (run * 8 + place, 16, 47)
    assert within(run * 8 + place + -8, 0, 16) == (run, 1, 3)
    assert remainder(run * 8 + place, 16) == remainder(run, 2) * 8 + place


@pytest.mark.parametrize("fabric", ["3x5", "1x4", "4x1"])
def test_what_is_padded_and_then_joined_is_waited_for(fabric: str) -> None:
    """What comes to a tile is no range of it: positions between are those of pads."""
    random = np.random.default_rng(0)
    x, *weights = (random.standard_normal(shape).astype(np.float32) for shape in ((6, 3), (3, 4)))
    weights.append(random.standard_normal((3, 4)).astype(np.float32))
    nodes = [helper.make_node("MatMul", ["x", f"w{n}"], [f"p{n}"]) for n in range(2)]
    nodes += [helper.make_node("Reshape", [f"p{n}", "split"], [f"s{n}"]) for n in range(2)]
    # A part of each run of five: the sum of what is padded is what runs have.
    nodes += [helper.make_node("Pad", [f"s{n}", f"pads{n}"], [f"a{n}"]) for n in range(2)]
    nodes += [
        helper.make_node("Add", ["a0", "a1"], ["sum"]),
        helper.make_node("Reshape", ["sum", "join"], ["joined"]),
        helper.make_node("Softmax", ["joined"], ["y"], axis=-1),
    ]
    ints = {"split": [6, 2, 2], "join": [6, 10]}
    ints |= {"pads0": [0, 0, 0, 0, 0, 3], "pads1": [0, 0, 1, 0, 0, 2]}
    graph = helper.make_graph(
        nodes,
        "padded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [6, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [6, 10])],
        [
            *(numpy_helper.from_array(w, f"w{n}") for n, w in enumerate(weights)),
            *(numpy_helper.from_array(np.array(v, np.int64), k) for k, v in ints.items()),
        ],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    got = wsc.compile(model, fabric).run({"x": x}, engine="both").outputs["y"]
    left, right = ((x @ w).reshape(6, 2, 2) for w in weights)
    parts = np.pad(left, ((0, 0), (0, 0), (0, 3))) + np.pad(right, ((0, 0), (0, 0), (1, 2)))
    raised = np.exp(parts.reshape(6, 10))
    np.testing.assert_allclose(got, raised / raised.sum(-1, keepdims=True), 1e-5, 1e-6)


def test_a_box_is_one_behind_reshapes_of_other_dimensions() -> None:
    # Dimensions of size one may come and go; nothing is joined with what is padded.
    assert reshaped_box([(0, 6), (1, 3)], (6, 5), (2, 3, 1, 5)) == [(0, 2), (0, 3), (0, 1), (1, 3)]
    assert reshaped_box([(0, 6), (1, 3)], (6, 5), (30,)) is None
    assert reshaped_box([(0, 6), (0, 5)], (6, 5), (30,)) == [(0, 30)]
