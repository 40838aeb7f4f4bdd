"""Chains on cores of few stream units: the fabric says how many there are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import wsc
from wsc import models
from wsc.comparison.compare import session_options
from wsc.errors import CompileError
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.program import Op
from wsc.isa.statements import statements
from wsc.kernels.library import OUTWARDS, Units, called, library, long_lines


@pytest.mark.parametrize("count", range(1, 9))
def test_units_are_those_that_a_core_has(count: int) -> None:
    used = {
        statement.asynchronous.unit
        for procedure in library(count).values()
        for statement in statements(procedure.body)
        if isinstance(statement, Op) and statement.asynchronous is not None
    }
    units = Units.of(count)
    clears = {0} if count > 3 else set[int]()  # sums, while the chain's units are busy
    rises = {OUTWARDS} if count > 4 else set[int]()  # sums, up whole columns
    assert used == {units.up, units.down, units.arrival, *clears, *rises}
    assert used <= set(range(count))
    assert len(used) == min(count, 5)


@cache
def _model() -> ModelProto:
    """Two layers, wide enough for partial sums along rows and a softmax at the end."""
    rng = np.random.default_rng(0)
    weights = {"v": rng.uniform(-0.2, 0.2, (96, 40)), "w": rng.uniform(-0.2, 0.2, (40, 24))}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "v"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "w"], ["c"]),
            helper.make_node("Softmax", ["c"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 96])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 24])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _check(fabric: Fabric, same_order: bool, check_races: bool = False) -> None:
    feeds = {"x": np.random.default_rng(1).standard_normal((3, 96)).astype(np.float32)}
    program = wsc.compile(_model(), fabric=fabric, same_order=same_order)
    assert "chain_east_add_f32" in program.text
    got = program.run(feeds, check_races=check_races).outputs["y"]
    session = onnxruntime.InferenceSession(_model().SerializeToString(), session_options())
    (want,) = session.run(None, feeds)
    np.testing.assert_allclose(got, np.asarray(want), atol=1e-6)


@pytest.mark.parametrize("same_order", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sums_are_right_with_any_number_of_units(count: int, same_order: bool) -> None:
    _check(replace(find_fabric("5x3"), stream_units=count), same_order)


@pytest.mark.parametrize("same_order", [False, True])
def test_few_units_share_no_memory_without_order(same_order: bool) -> None:
    _check(replace(find_fabric("3x2"), stream_units=1), same_order, check_races=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stream_units": 0}, "has 0 stream units, and programs of the compiler need 1"),
        ({"semaphores": 2}, "has 2 semaphores, and programs of the compiler need 3"),
    ],
)
def test_a_core_that_no_kernel_can_do_with_is_refused(
    changes: dict[str, int], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        wsc.compile(_model(), fabric=replace(find_fabric("2x2"), **changes))


def test_the_small_fabric_runs_the_network_of_the_guide() -> None:
    program = wsc.compile(models.DIGITS, fabric="tiny")
    feeds = {
        item.name: np.random.default_rng(2).uniform(0, 1, item.shape).astype(np.float32)
        for item in program.assembly.edge_tensors
        if item.kind.value == "input"
    }
    (got,) = program.run(feeds).outputs.values()
    session = onnxruntime.InferenceSession(str(models.DIGITS), session_options())
    want = np.asarray(session.run(None, feeds)[0])
    np.testing.assert_allclose(got, want, atol=1e-4 * float(np.abs(want).max()))


def test_all_reduces_go_in_groups_on_long_lines_of_cores_with_queues() -> None:
    assert long_lines(find_fabric("wse2:16x15")) == {"x"}
    assert long_lines(find_fabric("wse2:4x40")) == {"y"}
    few = replace(find_fabric("wse2:40x40"), input_queues=(6,) * 7)
    assert not long_lines(few)
    plain, grouped = library(7), library(7, frozenset("x"))
    assert "chain_east_add_f32" in called(plain["row_all_add_f32"].body)
    assert called(grouped["row_all_add_f32"].body) == ["inward_east_add_f32", "inward_west_add_f32"]
    assert grouped["column_all_add_f32"] == plain["column_all_add_f32"]
