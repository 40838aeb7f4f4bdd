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
from tests.fabric import build, compare
from tests.frontend.cases import floats, model_of, node
from tests.runtime.agreement import ENGINES
from wsc.isa.program import Op
from wsc.isa.statements import statements
from wsc.runtime.errors import ExecutionFault

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
    domains = [operator.domain] if operator.domain else []
    return model_of([operator], feeds, constants, ["y0"], opset, domains), feeds


def zeros(*shape: int) -> np.ndarray:
    """Indices that are all positions."""
    return np.zeros(shape, np.int64)


TENSOR_SCATTER = one("TensorScatter", floats(2, 6, 5), floats(2, 3, 5), zeros(2), opset=24, axis=1)
BOXES = np.array([[0, 0, 4, 4]], np.float32)
REGIONS = one("RoiAlign", floats(3, 2, 6, 6), BOXES, zeros(1), sampling_ratio=1)
UNPOOL = one(
    "MaxUnpool", floats(1, 1, 2, 2), zeros(1, 1, 2, 2), kernel_shape=[2, 2], strides=[2, 2]
)
ADDED = one("ScatterElements", TABLE, zeros(3, 5), floats(3, 5), reduction="add")
LARGEST = one("ScatterND", TABLE, zeros(2, 1), floats(2, 5), reduction="max")

# Model and feeds, the input with the indices, and how many positions there are.
CASES = {
    "gather": (*one("Gather", TABLE, zeros(4)), "x1", ROWS),
    "gather_columns": (*one("Gather", TABLE, zeros(2, 2), axis=1), "x1", COLUMNS),
    "lookup": (*one("Gather", TABLE, zeros(4), const=(0,)), "x1", ROWS),
    "elements": (*one("GatherElements", TABLE, zeros(3, 5)), "x1", ROWS),
    "one_element": (*one("GatherElements", floats(70, 60), zeros(1, 60), axis=0), "x1", 70),
    "tuples": (*one("GatherND", TABLE, zeros(3, 2)), "x1", COLUMNS),
    "scatter_elements": (*ADDED, "x1", ROWS),
    "scatter_rows": (*LARGEST, "x1", ROWS),
    "one_scattered": (*one("ScatterND", TABLE, zeros(1, 1), floats(1, 5)), "x1", ROWS),
}

# The same where no position is counted from the end, and how many numbers there are from 0 on.
SCORES, CLASSES = floats(3, 5, 2), zeros(3, 2)
EMBEDDED = one(
    "EmbedLayerNormalization",
    zeros(2, 4).astype(np.int32),
    zeros(2, 4).astype(np.int32),
    floats(7, 8),
    floats(9, 8),
    floats(2, 8),
    floats(8),
    floats(8),
    const=(2, 3, 4, 5, 6),
    domain="com.microsoft",
    outputs=2,
)
TURNED = one(
    "RotaryEmbedding", floats(1, 2, 4, 8), floats(6, 4), floats(6, 4), zeros(1, 4), opset=23
)
ORDINARY = {
    "tensor_scatter": (*TENSOR_SCATTER, "x2", 4),
    "regions": (*REGIONS, "x2", 3),
    "unpool": (*UNPOOL, "x1", 16),
    "likelihood": (*one("NegativeLogLikelihoodLoss", SCORES, CLASSES), "x1", 5),
    "entropy": (*one("SoftmaxCrossEntropyLoss", SCORES, CLASSES, ignore_index=-3), "x1", 5),
    "lengths": (*one("ReverseSequence", floats(5, 2), zeros(2)), "x1", 6),
    "words": (*EMBEDDED, "x0", 7),
    "segments": (*EMBEDDED, "x1", 2),
    "angles": (*TURNED, "x3", 6),
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
    model, feeds, which, size = CASES[name]
    index = size if beyond == 0 else -size - 1
    given = feeds[which].copy()
    given.reshape(-1)[-1] = index
    for said in stopped(model, {**feeds, which: given}):
        assert f"index {index} is outside [-{size}, {size}), for node '/case/op'" in said
        assert re.match(r":\d+: tile \(\d, \d\), main thread, cycle \d+: '(i\.)?index': ", said)


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("beyond", [0, -1])
def test_what_does_not_count_from_the_end_stops_the_run(name: str, beyond: int) -> None:
    model, feeds, which, size = ORDINARY[name]
    index = size if beyond == 0 else -1
    given = feeds[which].copy()
    given.reshape(-1)[-1] = index
    for said in stopped(model, {**feeds, which: given}):
        assert f"{index} is outside [0, {size}), for node '/case/op'" in said
        assert re.match(r":\d+: tile \(\d, \d\), main thread, cycle \d+: 'within': ", said)


@pytest.mark.parametrize("name", CASES)
def test_the_first_and_the_last_position_are_ones(name: str) -> None:
    model, feeds, _, size = CASES[name]
    for index in (-size, size - 1):
        given = feeds["x1"].copy()
        given.reshape(-1)[-1] = index
        compare(model, {**feeds, "x1": given}, FABRIC)


def _checks(model: onnx.ModelProto) -> int:
    """Instructions of a compiled program that check an index."""
    program = build(model, FABRIC).assembly
    return sum(
        isinstance(item, Op) and item.name in ("index", "i.index", "within")
        for procedure in program.procedures
        for item in statements(procedure.body)
    )


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
    # The best of each row is a class; what is fed may be any number.
    rows = helper.make_node("ArgMax", ["s"], ["i"], axis=1, keepdims=0, name="/best")
    loss = helper.make_node("SoftmaxCrossEntropyLoss", ["x", "i"], ["y"], name="/loss")
    feeds = {"x": data, "s": scores}
    assert _checks(model_of([rows, loss], feeds, {}, ["y"])) == 0
    compare(model_of([rows, loss], feeds, {}, ["y"]), feeds, FABRIC)
    feeds = {"x": data, "i": zeros(6)}
    assert _checks(model_of([loss], feeds, {}, ["y"])) == 1


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


def test_a_division_in_a_branch_that_is_not_taken_stops_nothing() -> None:
    def branch(name: str, op: str) -> onnx.GraphProto:
        shown = helper.make_tensor_value_info(f"{name}.y", TensorProto.INT64, [2])
        nodes = [helper.make_node(op, ["a", "b"], [f"{name}.y"], name=f"/{op}")]
        return helper.make_graph(nodes, name, [], [shown])

    choice = helper.make_node(
        "If", ["c"], ["y"], then_branch=branch("then", "Div"), else_branch=branch("else", "Add")
    )
    feeds = {"a": np.array([7, 8]), "b": np.array([2, 0]), "c": np.array(False)}
    model = model_of([choice], feeds, {}, ["y"])
    compare(model, feeds, FABRIC)
    taken = {**feeds, "c": np.array(True)}
    assert all("division of 8 by zero, for node" in said for said in stopped(model, taken))


def test_a_target_in_a_branch_that_is_not_taken_stops_nothing() -> None:
    shown = [helper.make_tensor_value_info(f"{name}.y", TensorProto.FLOAT, []) for name in "ab"]
    nodes = [
        helper.make_node("NegativeLogLikelihoodLoss", ["x", "i"], ["a.y"], name="/loss"),
        helper.make_node("ReduceMax", ["x"], ["b.y"], keepdims=0),
    ]
    then, otherwise = (
        helper.make_graph([made], name, [], [value])
        for made, name, value in zip(nodes, "ab", shown, strict=True)
    )
    choice = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=otherwise)
    feeds = {"x": TABLE, "i": np.array([0, 1, 2, 3, 4, -1]), "c": np.array(False)}
    model = model_of([choice], feeds, {}, ["y"])
    compare(model, feeds, FABRIC)
    said = stopped(model, {**feeds, "c": np.array(True)})
    assert all("-1 is outside [0, 5), for node" in line for line in said)


def test_a_turn_that_does_not_take_place_stops_nothing() -> None:
    """A loop picks element i in turn i, as long as the one that was picked is not 0."""
    kinds = {"turn": TensorProto.INT64, "going": TensorProto.BOOL, "kept": TensorProto.FLOAT}
    shown = {"again": TensorProto.BOOL, "picked": TensorProto.FLOAT}
    given, shown = (
        [helper.make_tensor_value_info(name, kind, []) for name, kind in table.items()]
        for table in (kinds, shown)
    )
    body = helper.make_graph(
        [
            helper.make_node("Gather", ["x", "turn"], ["picked"], name="/pick"),
            helper.make_node("Greater", ["picked", "zero"], ["again"]),
        ],
        "body",
        given,
        shown,
    )
    nodes = [helper.make_node("Loop", ["n", "go", "zero"], ["y"], body=body)]
    constants = {"n": np.array(5), "go": np.array(True), "zero": np.array(0, np.float32)}
    feeds = {"x": np.array([3, 2, 0], np.float32)}
    model = model_of(nodes, feeds, constants, ["y"])
    compare(model, feeds, FABRIC)
    said = stopped(model, {"x": np.array([3, 2, 1], np.float32)})
    assert all("index 3 is outside [-3, 3), for node" in line for line in said)


def test_a_target_is_a_class_or_the_ignored_one() -> None:
    """Classes and ignored targets agree; where the ignored one stands is none of the classes."""
    scores = floats(4, 5)
    scores[:, 0] = -np.inf  # what an ignored target picks would show
    for ignored in (-3, 7, 2):
        target = np.array([4, ignored, 1, ignored])
        model, feeds = one(
            "NegativeLogLikelihoodLoss", scores, target, ignore_index=ignored, reduction="sum"
        )
        compare(model, feeds, FABRIC)
