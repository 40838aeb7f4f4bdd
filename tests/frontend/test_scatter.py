"""Gathers and scatters at positions that are data, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.frontend.cases import (
    compare,
    compare_model,
    floats,
    ints,
    model_of,
    node,
    refuse,
    run_evaluator,
)
from wsc.errors import CompileError
from wsc.frontend import import_onnx
from wsc.frontend.scatter import FLAT_LIMIT
from wsc.ir.graph import Gather, Scatter

REDUCTIONS = ["none", "add", "mul", "max", "min"]


def distinct(*shape: int, size: int, axis: int) -> np.ndarray:
    """Indices that name no position of an axis twice, some counted from its end."""
    keys = floats(*shape[:axis], size, *shape[axis + 1 :])
    order = np.argsort(keys, axis)
    found = np.take(order, range(shape[axis]), axis)
    return np.where(ints(*shape) < 0, found - size, found)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_elements(tmp_path: Path, axis: int) -> None:
    indices = ints(2, 3, 3, low=-2, high=2)
    compare(tmp_path, "GatherElements", floats(2, 3, 4), indices, axis=axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_one_element_of_each_line_of_much_data(tmp_path: Path, axis: int) -> None:
    shape = (20, 20, 20)
    assert np.prod(shape) > FLAT_LIMIT
    some = [3, 4, 5]
    some[axis] = 1
    indices = ints(*some, low=-20, high=20)
    graph = compare(tmp_path, "GatherElements", floats(*shape), indices, axis=axis)
    assert not any(isinstance(node.op, Gather) for node in graph.nodes)


@pytest.mark.parametrize("batch", [0, 1])
def test_gather_nd(tmp_path: Path, batch: int) -> None:
    compare(tmp_path, "GatherND", floats(2, 3, 4), ints(2, 5, 2, low=-2, high=2), batch_dims=batch)
    compare(tmp_path, "GatherND", floats(2, 3, 4), ints(2, 1, low=-2, high=2), batch_dims=batch)


@pytest.mark.parametrize("const", [[1], []])
def test_scatter_nd(tmp_path: Path, const: list[int]) -> None:
    indices = np.array([[3], [0], [-3]])
    graph = compare(tmp_path, "ScatterND", floats(5, 4), indices, floats(3, 4), const=const)
    assert any(isinstance(node.op, Scatter) for node in graph.nodes) == (not const)
    pairs = np.array([[0, 1], [4, -1]])
    compare(tmp_path, "ScatterND", floats(5, 4), pairs, floats(2), const=const)


@pytest.mark.parametrize("const", [[1], []])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_elements(tmp_path: Path, const: list[int], axis: int) -> None:
    shape = (2, 3)
    indices = distinct(*shape, size=(5, 4)[axis], axis=axis % 2)
    compare(
        tmp_path, "ScatterElements", floats(5, 4), indices, floats(*shape), const=const, axis=axis
    )


@pytest.mark.parametrize("reduction", REDUCTIONS[1:])
@pytest.mark.parametrize("const", [[1], []])
def test_scatters_that_join(tmp_path: Path, reduction: str, const: list[int]) -> None:
    indices = ints(3, 4, low=-5, high=5)
    for data, updates in ((floats(5, 4), floats(3, 4)), (ints(5, 4), ints(3, 4))):
        compare(
            tmp_path,
            "ScatterElements",
            data,
            indices,
            updates,
            const=const,
            opset=18,
            axis=0,
            reduction=reduction,
        )
        compare(
            tmp_path,
            "ScatterND",
            data,
            indices[:, :1],
            updates,
            const=const,
            opset=18,
            reduction=reduction,
        )


@pytest.mark.parametrize("mode", ["linear", "circular"])
@pytest.mark.parametrize("axis", [-2, 1, 3])
def test_tensor_scatter(tmp_path: Path, mode: str, axis: int) -> None:
    cache, shape = floats(2, 5, 6, 7), [2, 5, 6, 7]
    shape[axis] = 3
    starts = np.array([1, 2]) if mode == "linear" else np.array([4, 1])
    compare(
        tmp_path,
        "TensorScatter",
        cache,
        floats(*shape),
        starts,
        opset=24,
        mode=mode,
        axis=axis,
        oracle=run_evaluator,
    )


def test_max_unpool(tmp_path: Path) -> None:
    x, places = floats(1, 2, 2, 2), np.array([5, 7, 13, 15, 16, 19, 24, 31]).reshape(1, 2, 2, 2)
    pools: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    compare(tmp_path, "MaxUnpool", x, places, oracle=run_evaluator, **pools)
    shape = np.array([1, 2, 5, 6])
    compare(tmp_path, "MaxUnpool", x, places, shape, const=[2], oracle=run_evaluator, **pools)


def test_what_scatters_refuse(tmp_path: Path) -> None:
    beyond = np.array([[7]])
    reason = refuse("ScatterND", floats(5, 4), beyond, floats(1, 4), const=[1])
    assert reason == "an index out of range"
    reason = refuse("TensorScatter", floats(4, 6, 7), floats(4, 6, 7), opset=24, axis=0, const=[])
    assert reason == "the batch dimension as axis"


def test_batch_dims_that_are_negative(tmp_path: Path) -> None:
    feeds = {"x0": floats(2, 3), "x1": ints(2, 1, low=0, high=2)}
    model = model_of([node("GatherND", 2)], feeds, {}, ["y0"])
    model.graph.node[0].attribute.append(helper.make_attribute("batch_dims", -2))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(CompileError, match="batch_dims is -2"):
        import_onnx(tmp_path / "m.onnx")


def _by_broadcast(op: str, shape: tuple[int, ...], count: int, axis: int, **attributes: Any):  # type: ignore[no-untyped-def]
    """An operator whose indices [count] are broadcast beside each other, and its feeds."""
    spread = [*shape[:axis], count, *shape[axis + 1 :]]
    line = [count if i == axis else 1 for i in range(len(shape))]
    feeds = {"data": floats(*shape), "places": ints(count, low=-shape[axis], high=shape[axis])}
    inputs = ["data", "spread"]
    if op == "ScatterElements":
        feeds["updates"] = floats(*spread)
        inputs.append("updates")
    nodes = [
        helper.make_node("Reshape", ["places", "line"], ["column"], name="/column"),
        helper.make_node("Expand", ["column", "shape"], ["spread"], name="/spread"),
        helper.make_node(op, inputs, ["y"], name="/op", axis=axis, **attributes),
    ]
    constants = {"line": np.array(line), "shape": np.array(spread)}
    return model_of(nodes, feeds, constants, ["y"]), feeds


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_elements_at_indices_that_were_broadcast_are_slices(tmp_path: Path, axis: int) -> None:
    model, feeds = _by_broadcast("GatherElements", (5, 4, 3), 6, axis)
    graph = compare_model(tmp_path, model, feeds)
    (gather,) = [node for node in graph.nodes if isinstance(node.op, Gather)]
    assert graph.types()[gather.inputs[1]].shape == (6,)
    for reduction in ("add", "max"):
        model, feeds = _by_broadcast("ScatterElements", (5, 4, 3), 6, axis, reduction=reduction)
        graph = compare_model(tmp_path, model, feeds)
        (scatter,) = [node for node in graph.nodes if isinstance(node.op, Scatter)]
        assert graph.types()[scatter.inputs[1]].shape == (6,)


def test_indices_broadcast_over_a_part_of_the_data_are_not_slices(tmp_path: Path) -> None:
    model, feeds = _by_broadcast("ScatterElements", (5, 4), 3, 0, reduction="add")
    for initializer in model.graph.initializer:
        if initializer.name == "shape":
            initializer.CopyFrom(numpy_helper.from_array(np.array([3, 2]), "shape"))
    feeds["updates"] = floats(3, 2)
    model.graph.input[2].type.tensor_type.shape.dim[1].dim_value = 2
    compare_model(tmp_path, model, feeds)
