"""Sizes that data decide, on their way through operators, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest
from onnx import NodeProto, helper

from tests.frontend.cases import compare_model, floats, ints, model_of, run_reference
from wsc.errors import UnsupportedOperators
from wsc.frontend import import_model
from wsc.isa.types import DType


def op(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def check(
    path: Path,
    nodes: list[NodeProto],
    feeds: dict[str, np.ndarray],
    constants: dict[str, np.ndarray],
    outputs: str = "y",
) -> None:
    model = model_of(nodes, feeds, constants, outputs.split())
    graph = compare_model(path, model, feeds, DType.F32, 1e-5, run_reference)
    assert all(output.length is not None for output in graph.outputs)


@pytest.mark.parametrize("some", [True, False])
def test_what_a_mask_chooses(tmp_path: Path, some: bool) -> None:
    nodes = [
        op("Greater", "x limit", "mask"),
        op("NonZero", "mask", "places"),
        op("Transpose", "places", "tuples", perm=[1, 0]),
        op("GatherND", "x tuples", "found"),
        op("Mul", "found scale", "scaled"),
        op("Unsqueeze", "scaled one", "y"),
    ]
    x = floats(5, 7, low=-1, high=1)
    limit = np.array(0.2 if some else 2.0, np.float32)
    constants = {"limit": limit, "scale": np.array([3.0], np.float32), "one": np.array([1])}
    check(tmp_path, nodes, {"x": x}, constants)


def test_boxes_that_remain(tmp_path: Path) -> None:
    nodes = [
        op("NonMaxSuppression", "boxes scores most part least", "chosen"),
        op("Gather", "chosen two", "which", axis=1),
        op("Squeeze", "which one", "flat"),
        op("Gather", "boxes flat", "kept", axis=1),
        op("Squeeze", "kept zero", "rows"),
        op("Slice", "rows zero two one", "corners"),
        op("Slice", "rows two four one", "ends"),
        op("Concat", "ends corners", "y", axis=1),
        op("Cast", "flat", "z", to=1),
        op("Reshape", "flat shape", "w"),
    ]
    corners = floats(1, 9, 2, low=0, high=1)
    boxes = np.concatenate([corners, corners + floats(1, 9, 2, low=0.2, high=1)], axis=-1)
    feeds = {"boxes": boxes, "scores": floats(1, 1, 9, low=0, high=1)}
    constants = {
        "most": np.array([6]),
        "part": np.array([0.3], np.float32),
        "least": np.array([0.2], np.float32),
        "two": np.array([2]),
        "one": np.array([1]),
        "zero": np.array([0]),
        "four": np.array([4]),
        "shape": np.array([1, -1, 1]),
    }
    check(tmp_path, nodes, feeds, constants, "y z w")


def test_parts_of_slices_that_a_condition_keeps(tmp_path: Path) -> None:
    nodes = [
        op("Compress", "x flags", "some", axis=1),
        op("Split", "some sizes", "a b", axis=0),
        op("Concat", "b a", "turned", axis=0),
        op("Add", "turned column", "y"),
        op("Where", "positive some column3", "z"),
        op("Greater", "some column3", "positive"),
    ]
    nodes[-1], nodes[-2] = nodes[-2], nodes[-1]
    feeds = {"x": floats(3, 6), "flags": np.array([True, False, True, True, False, False])}
    column = np.array([[1.0], [2.0], [3.0]], np.float32)
    constants = {"sizes": np.array([1, 2]), "column": column, "column3": column * 0}
    check(tmp_path, nodes, feeds, constants, "y z")


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (op("Add", "a b", "y"), "inputs whose sizes depend on different data"),
        (op("Add", "a x", "y"), "an input of fixed size where another's depends on data"),
        (op("Div", "x a", "y"), "a division by integers of unknown number"),
        (op("Slice", "a zero one", "y"), "a slice of the axis of unknown size"),
        (op("Gather", "a zero", "y"), "a gather along the axis of unknown size"),
        (op("Concat", "a a", "y", axis=0), "along the axis of unknown size"),
        (
            op("Reshape", "a shape", "y"),
            "a shape in which the axis of unknown size is not one of its own",
        ),
    ],
)
def test_where_a_size_cannot_pass(last: NodeProto, reason: str) -> None:
    nodes = [op("Compress", "x f", "a", axis=0), op("Compress", "x g", "b", axis=0), last]
    flags = np.array([True, False, True, True])
    feeds = {"x": ints(4), "f": flags, "g": flags}
    constants = {"zero": np.array([0]), "one": np.array([1]), "shape": np.array([2, -1])}
    with pytest.raises(UnsupportedOperators) as caught:
        import_model(onnx_ir.from_proto(model_of(nodes, feeds, constants, ["y"])))
    (operator,) = caught.value.operators
    assert operator.reason == reason
