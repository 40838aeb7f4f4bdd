"""What several wafers add to a step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from onnx import TensorProto

import wsc
from tests.training.networks import Builder
from tests.training.test_trainer import small
from wsc.api import Program, compile_step
from wsc.cost.interconnect import Exchange, exchange, require_shares
from wsc.errors import CompileError
from wsc.isa.fabric import find_fabric
from wsc.isa.machine import digest

WAY = 1e-6  # seconds from a node to the next


@pytest.fixture(scope="module")
def step() -> Program:
    """A step of 4 samples of 3 numbers, 16 weights, 4 classes."""
    return compile_step(small(), batch=4, fabric="tiny:2x2", over=64)


def shared(step: Program, wafers: int, cycles: int = 1000, **numbers: int) -> Exchange:
    found = {f"interconnect_{name}": value for name, value in numbers.items()}
    fabric = replace(step.fabric, interconnect_nanoseconds=1000, **found)
    return exchange(step.assembly, fabric, cycles, wafers, 64)


def test_weights_and_gradients_are_counted_and_samples_are_not(step: Program) -> None:
    found = shared(step, 2)
    # 16 weights, of which the tables of the loss are none; 16 gradients and the loss.
    assert found.reduced_bytes == 4 * (16 + 1)
    assert found.broadcast_bytes >= 4 * 16
    assert found.own_bytes == 0
    inputs = 4 * (4 * 3 + 4)
    whole = compile_step(small(), batch=8, fabric="tiny:2x2", over=64)
    more = shared(whole, 2)
    assert more.reduced_bytes == found.reduced_bytes
    assert more.broadcast_bytes - found.broadcast_bytes < inputs


@pytest.mark.parametrize(
    ("wafers", "ways", "levels"),
    [(1, 2, 0), (2, 2, 1), (4, 2, 2), (8, 2, 3), (16, 2, 4), (4, 4, 1), (16, 4, 2), (32, 16, 2)],
)
def test_a_level_of_the_tree_costs_its_latency(
    step: Program, wafers: int, ways: int, levels: int
) -> None:
    found = shared(step, wafers, ways=ways, bytes_per_second=10**15)
    assert (found.levels, found.runs) == (levels, 64 // wafers)
    assert found.added == pytest.approx(2 * levels * WAY)
    assert found.broadcast == pytest.approx(levels * WAY)


def test_a_slow_link_holds_up_the_runs(step: Program) -> None:
    run = 1000 / step.fabric.clock_hertz
    found = shared(step, 2, bytes_per_second=1)
    slowest = max(found.broadcast_bytes, found.reduced_bytes)
    assert found.step == pytest.approx(32 * slowest + 2 * WAY)
    assert found.added == pytest.approx(32 * (slowest - run) + 2 * WAY)
    # More wafers do fewer runs each: a step never gets longer but by the tree.
    assert shared(step, 64, bytes_per_second=1).step < found.step


def test_rows_that_each_wafer_looks_up_leave_the_store_once_for_each() -> None:
    b = Builder(0)
    b.weight("table", 9, 4)
    b.node("Gather", "logits", "table", "x")
    model = b.model("table", {"x": (TensorProto.INT64, ["batch"])})
    step = compile_step(model, batch=6, fabric="tiny:2x2", over=64)
    few, many = (shared(step, n, ways=64, bytes_per_second=1) for n in (2, 4))
    assert few.own_bytes == many.own_bytes == 6 * 4 * 4
    assert many.broadcast - few.broadcast == pytest.approx(2 * few.own_bytes)


def test_the_run_of_a_program_knows_nothing_of_other_wafers() -> None:
    fabric = find_fabric("wse2")
    other = fabric.changed({"interconnect.ways": 8, "interconnect.nanoseconds": 0})
    assert (other.interconnect_ways, digest(other)) == (8, digest(fabric))


def test_runs_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(CompileError, match="are 6, and cannot be shared out to 4 wafers"):
        require_shares(4, 6)
    with pytest.raises(CompileError, match="cannot be shared out to 4 wafers"):
        wsc.train(small(), wafers=4, over=6)
