"""What is said of models that compute in double precision."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cli.helpers import done, wsc
from wsc.errors import PrecisionWarning
from wsc.frontend import import_onnx

DOUBLE, FLOAT = TensorProto.DOUBLE, TensorProto.FLOAT


def _file(path: Path, nodes: list[onnx.NodeProto], kind: int, result: int) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [3])],
        [helper.make_tensor_value_info("y", result, [3])],
        [numpy_helper.from_array(np.array(16777217.0), "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path / "m.onnx")
    return path / "m.onnx"


def _cast(source: str, result: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [result], f"cast_{result}", to=to)


def _add(count: int) -> list[onnx.NodeProto]:
    """Doubles between two casts of floats."""
    names = ["d", *(f"d{i}" for i in range(count))]
    sums = [
        helper.make_node("Add", [one, "k"], [two], f"add{i}")
        for i, (one, two) in enumerate(pairwise(names))
    ]
    return [_cast("x", "d", DOUBLE), *sums, _cast(names[-1], "y", FLOAT)]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "1 node computes float64 values in single precision, to 24 bits: add0"),
        (2, "2 nodes compute float64 values in single precision, to 24 bits: add0, add1"),
        (6, "6 nodes .*: add0, add1, add2, add3 and 2 more$"),
    ],
)
def test_nodes_are_named(tmp_path: Path, count: int, text: str) -> None:
    file = _file(tmp_path, _add(count), FLOAT, FLOAT)
    with pytest.warns(PrecisionWarning, match=text):
        import_onnx(file)


@pytest.mark.parametrize("kind", ["FLOAT", "INT16", "INT32"])
def test_casts_that_lose_something(tmp_path: Path, kind: str) -> None:
    number = getattr(TensorProto, kind)
    file = _file(tmp_path, [_cast("x", "d", DOUBLE), _cast("d", "y", number)], number, number)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        import_onnx(file)
    assert [item.category for item in found] == [PrecisionWarning] * (kind == "INT32")


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    file = _file(tmp_path, _add(1), FLOAT, FLOAT)
    result = done(wsc("compile", file, "--fabric", "1x1", "-o", tmp_path / "m.wsa"))
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("note")]
    assert line.endswith("single precision, to 24 bits: add0")
