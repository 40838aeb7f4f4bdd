"""An index that a run gives and that is no position stops the run, and says where."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import wsc
from isa.program import Op, Procedure
from runtime.errors import ExecutionFault
from tests.fabric import build, compare
from tests.frontend.cases import floats, ints, model_of, node
from tests.runtime.agreement import ENGINES

FABRIC = "3x2"
ROWS, COLUMNS = 6, 5
TABLE = floats(ROWS, COLUMNS)
Arrays = dict[str, np.ndarray]


def one(
    op: str, *inputs: np.ndarray, const: tuple[int, ...] = (), opset: int = 17, **attributes: Any
) -> tuple[onnx.ModelProto, Arrays]:
    """A model of one operator, and what it is fed."""
    given = {f"x{number}": array for number, array in enumerate(inputs)}
    constants = {name: array for name, array in given.items() if int(name[1:]) in const}
    feeds = {name: array for name, array in given.items() if name not in constants}
    operator = node(op, len(inputs), **attributes)
    return model_of([operator], feeds, constants, ["y0"], opset), feeds


# Each with its indices in x1, all 0, and the number of positions that there are.
CASES = {
    "gather": (*one("Gather", TABLE, ints(4, low=0, high=1)), ROWS),
    "gather_columns": (*one("Gather", TABLE, ints(2, 2, low=0, high=1), axis=1), COLUMNS),
    "lookup": (*one("Gather", TABLE, ints(4, low=0, high=1), const=(0,)), ROWS),
    "elements": (*one("GatherElements", TABLE, ints(3, 5, low=0, high=1)), ROWS),
    "one_element": (
        *one("GatherElements", floats(70, 60), ints(1, 60, low=0, high=1), axis=0),
        70,
    ),
    "tuples": (*one("GatherND", TABLE, ints(3, 2, low=0, high=1)), COLUMNS),
    "scatter_elements": (
        *one("ScatterElements", TABLE, ints(3, 5, low=0, high=1), floats(3, 5), reduction="add"),
        ROWS,
    ),
    "scatter_rows": (
        *one("ScatterND", TABLE, ints(2, 1, low=0, high=1), floats(2, 5), reduction="max"),
        ROWS,
    ),
    "one_scattered": (*one("ScatterND", TABLE, ints(1, 1, low=0, high=1), floats(1, 5)), ROWS),
    "tensor_scatter": (
        *one(
            "TensorScatter",
            floats(1, 6, 5),
            floats(1, 1, 5),
            ints(1, low=0, high=1),
            opset=24,
            axis=1,
        ),
        ROWS,
    ),
}


def stopped(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[str]:
    """What the run of a program from a file says when it stops, in each engine."""
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = build(model, FABRIC).save(Path(folder) / "program.wsa")
        for engine in ENGINES:
            with pytest.raises(ExecutionFault) as caught:
                wsc.load(path).run(dict(feeds), engine=engine)
            said.append(str(caught.value).removeprefix(str(path)))
    return said


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("beyond", [0, -1])
def test_the_run_stops_with_tile_node_and_index(name: str, beyond: int) -> None:
    model, feeds, size = CASES[name]
    which = "x2" if name == "tensor_scatter" else "x1"
    index = size if beyond == 0 else -size - 1
    given = feeds[which].copy()
    given.reshape(-1)[-1] = index
    for said in stopped(model, {**feeds, which: given}):
        assert f"index {index} is outside [-{size}, {size}), for node '/case/op'" in said
        assert re.match(r":\d+: tile \(\d, \d\), main thread, cycle \d+: '(i\.)?index': ", said)


@pytest.mark.parametrize("name", [name for name in CASES if name != "tensor_scatter"])
def test_the_first_and_the_last_position_are_ones(name: str) -> None:
    model, feeds, size = CASES[name]
    for index in (-size, size - 1):
        given = feeds["x1"].copy()
        given.reshape(-1)[-1] = index
        compare(model, {**feeds, "x1": given}, FABRIC)


def _checks(model: onnx.ModelProto) -> int:
    """Instructions of a compiled program that check an index."""
    program = build(model, FABRIC).assembly
    bodies = [procedure.body for procedure in program.procedures]

    def count(body: tuple) -> int:  # type: ignore[type-arg]
        inner = (getattr(item, key, ()) for item in body for key in ("body", "then", "otherwise"))
        mine = sum(isinstance(item, Op) and item.name.endswith("index") for item in body)
        return mine + sum(count(block) for block in inner)

    assert isinstance(program.procedures[0], Procedure)
    return sum(map(count, bodies))


def test_what_is_known_to_be_a_position_is_not_checked() -> None:
    data, scores = floats(6, 5), floats(6, 5)
    best = helper.make_node("ArgMax", ["s"], ["i"], axis=0, keepdims=0, name="/best")
    pick = helper.make_node("Gather", ["x", "i"], ["y"], name="/pick")
    elements = helper.make_node("GatherElements", ["x", "i"], ["y"], name="/pick")
    kept = helper.make_node("ArgMax", ["s"], ["i"], axis=0, name="/best")
    feeds = {"x": data, "s": scores}
    for nodes in ([best, pick], [kept, elements]):
        model = model_of(nodes, feeds, {}, ["y"])
        assert _checks(model) == 0
        compare(model, feeds, FABRIC)
    # Any integer has a remainder in the range; its own value has not.
    small = helper.make_node("Mod", ["i", "n"], ["r"], name="/small")
    feeds = {"x": data, "i": np.array([40, -3], np.int64)}
    named = helper.make_node("Gather", ["x", "r"], ["y"], name="/pick")
    model = model_of([small, named], feeds, {"n": np.array(6, np.int64)}, ["y"])
    assert _checks(model) == 0
    compare(model, feeds, FABRIC)
    assert _checks(model_of([pick], feeds, {}, ["y"])) == 1


def _chosen(index: int) -> tuple[onnx.ModelProto, Arrays]:
    """If the flag is set, a row of the table by an index, else zeros."""

    def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
        shown = helper.make_tensor_value_info(f"{name}.y", TensorProto.FLOAT, [1, COLUMNS])
        return helper.make_graph(list(nodes), name, [], [shown])

    then = branch("then", helper.make_node("Gather", ["x", "i"], ["then.y"], name="/pick"))
    otherwise = branch("else", helper.make_node("Identity", ["z"], ["else.y"]))
    choice = helper.make_node(
        "If", ["c"], ["y"], then_branch=then, else_branch=otherwise, name="/choice"
    )
    feeds = {"x": TABLE, "i": np.array([index]), "c": np.array(True)}
    return model_of([choice], feeds, {"z": np.zeros((1, COLUMNS), np.float32)}, ["y"]), feeds


def test_a_branch_that_is_not_taken_stops_nothing() -> None:
    model, feeds = _chosen(ROWS)
    compare(model, {**feeds, "c": np.array(False)}, FABRIC)
    assert all("index 6 is outside [-6, 6), for node" in said for said in stopped(model, feeds))
    compare(_chosen(-ROWS)[0], {**feeds, "i": np.array([-ROWS])}, FABRIC)
