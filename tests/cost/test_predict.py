"""Predictions against runs: every kind of kernel, several shapes of mesh, both precisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

import wsc
from tests.cli.helpers import TWICE
from tests.cost.cases import KERNELS, NETWORKS, Case, single
from tests.fabric import build
from tests.frontend.cases import floats
from wsc.cost import threads
from wsc.cost.agreement import FLOOR, NETWORK, pairs
from wsc.cost.predict import Unpredictable, added, predict
from wsc.cost.tiles import sample
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.types import DType

# A mesh of each shape: no neighbour, one column, one row, neither square nor even, square.
SHAPES = [("1x1", "f32"), ("1x5", "f16"), ("6x1", "f32"), ("4x3", "f32"), ("7x7", "f32")]
SHAPES += [("4x3", "f16")]
FEW = [("1x5", "f32"), ("7x7", "f16"), ("4x3", "f32")]


@pytest.mark.parametrize(("fabric", "precision"), SHAPES)
@pytest.mark.parametrize("case", KERNELS, ids=lambda case: case.name)
def test_kernels(case: Case, fabric: str, precision: str) -> None:
    model, feeds = case.build()
    program = build(model, fabric, DType(precision), case.same_order)
    prediction = predict(program.assembly, program.fabric)
    run = program.run(feeds)
    assert prediction.macs == run.counters.macs_f32 + run.counters.macs_f16
    found = pairs(prediction, run.counters.statements)
    assert [pair for pair in found if not pair.agrees] == []
    assert abs(prediction.cycles - run.cycles) <= max(NETWORK * run.cycles, FLOOR)


@pytest.mark.parametrize(("fabric", "precision"), FEW)
@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.name)
def test_networks(case: Case, fabric: str, precision: str) -> None:
    model, feeds = case.build()
    program = build(model, fabric, DType(precision))
    prediction = predict(program.assembly, program.fabric)
    run = program.run(feeds)
    found = pairs(prediction, run.counters.statements)
    assert [pair for pair in found if not pair.agrees] == []
    assert abs(prediction.cycles / run.cycles - 1) <= NETWORK
    counters = run.counters
    assert (prediction.io_bytes_in, prediction.io_bytes_out) == (
        counters.io_bytes_in,
        counters.io_bytes_out,
    )
    assert prediction.utilization == pytest.approx(counters.utilization, rel=NETWORK)
    for cause in ("multiply_accumulate", "operation", "sram", "io"):
        assert prediction.energy[cause] == pytest.approx(counters.energy[cause])
    assert prediction.energy["hop"] == pytest.approx(counters.energy["hop"], rel=0.05)


@pytest.mark.parametrize("case", [*KERNELS[::9], NETWORKS[0]], ids=lambda case: case.name)
def test_other_links_branches_and_banks(case: Case) -> None:
    model, feeds = case.build()
    program = build(model, "wse3:4x3", DType.F16, case.same_order)
    prediction, run = predict(program.assembly, program.fabric), program.run(feeds)
    assert [p for p in pairs(prediction, run.counters.statements) if not p.agrees] == []
    assert abs(prediction.cycles - run.cycles) <= max(NETWORK * run.cycles, FLOOR)


def test_the_shares_of_a_run_add_up() -> None:
    assert added([10, 7, 30, 30, 31]).tolist() == [10, 0, 20, 0, 1]


def test_a_number_of_the_fabric_changes_the_prediction() -> None:
    model, _ = NETWORKS[0].build()
    program = build(model, "7x7")
    fabric = program.fabric
    whole = predict(program.assembly, fabric).cycles
    narrow = replace(fabric, io_bytes_per_cycle=4)
    assert predict(program.assembly, narrow).cycles > 2 * whole
    slow = replace(fabric, ramp_latency=6)
    assert whole < predict(program.assembly, slow).cycles < 2 * whole


@pytest.mark.parametrize("case", NETWORKS[:3], ids=lambda case: case.name)
def test_a_sample_of_tiles_stands_for_a_large_mesh(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = case.build()
    program = build(model, "40x30")
    some = predict(program.assembly, program.fabric)
    monkeypatch.setattr(threads, "sample", lambda size, **_: sample(size, most=size))
    whole = predict(program.assembly, program.fabric)
    assert (some.sampled, whole.sampled) == (True, False)
    # In a transformer messages are most of the run; those of a sample stand for many others.
    assert some.cycles == pytest.approx(whole.cycles, rel=0.15)
    assert some.macs == pytest.approx(whole.macs, rel=0.1)
    # Static energy is cycles times a number, and as far off as they are; the rest is counts.
    counted, all_ = (sum(found.energy.values()) - found.energy["static"] for found in (some, whole))
    assert counted == pytest.approx(all_, rel=0.1)


def test_a_sampled_mesh_against_a_run() -> None:
    model, feeds = NETWORKS[0].build()
    program = build(model, "30x26")
    prediction = predict(program.assembly, program.fabric)
    run = program.run(feeds)
    assert prediction.sampled
    assert abs(prediction.cycles / run.cycles - 1) <= 0.1


@pytest.mark.parametrize("fabric", ["30x28", "40x3", "3x40"])
def test_moves_on_a_sampled_mesh(fabric: str) -> None:
    width, height = map(int, fabric.split("x"))
    model, feeds = single("Transpose", [(height, width)], perm=[1, 0])()
    program = build(model, fabric, DType.F16)
    prediction, run = predict(program.assembly, program.fabric), program.run(feeds)
    assert prediction.sampled
    assert prediction.cycles == pytest.approx(run.cycles, rel=0.03)


@pytest.mark.parametrize(("batches", "inner"), [(12, 16), (12, 8), (6, 16)])
def test_blocks_from_both_sides_share_the_ramp_of_their_owner(batches: int, inner: int) -> None:
    """They come at half the rate, and so do those behind them, if they are longer than queues."""
    model, feeds = single("MatMul", [(batches, 8, inner), (batches, inner, 64)])()
    program = build(model, "8x1")
    prediction, run = predict(program.assembly, program.fabric), program.run(feeds)
    assert prediction.cycles == pytest.approx(run.cycles, rel=0.015)


@pytest.mark.parametrize(
    ("fabric", "shape"),
    [("12x3", (24, 48, 192)), ("16x2", (32, 64, 512)), ("32x4", (32, 128, 512))],
)
def test_weights_come_up_the_ramp_of_chains(fabric: str, shape: tuple[int, int, int]) -> None:
    """Chains wait for the weights of the next block, and those before them in the row with them."""
    tokens, inner, outer = shape
    model, feeds = single("MatMul", [(tokens, inner)], {"x1": floats(inner, outer)})()
    program = build(model, fabric, DType.F16)
    prediction = predict(program.assembly, program.fabric)
    run = program.run(feeds, engine="time")
    assert abs(prediction.cycles - run.cycles) <= 0.03 * run.cycles


@pytest.mark.parametrize("bytes_per_cycle", [22, 11])
def test_weights_that_are_fed_ahead_take_bandwidth_from_blocks(bytes_per_cycle: int) -> None:
    """Tiles that have their block let weights in, while others still wait for theirs."""
    model, feeds = single("MatMul", [(32, 96)], {"x1": floats(96, 96)})()
    fabric = replace(find_fabric("32x32"), io_bytes_per_cycle=bytes_per_cycle)
    program = build(model, fabric, DType.F16)
    prediction, run = predict(program.assembly, program.fabric), program.run(feeds, engine="time")
    assert prediction.cycles == pytest.approx(run.cycles, rel=0.05)


@pytest.mark.parametrize("op", ["Relu", "Softmax"])
@pytest.mark.parametrize("fabric", ["1x40", "3x64"])
def test_tiles_without_a_block_on_a_tall_mesh(op: str, fabric: str) -> None:
    """Control wavelets go down to them, too, and code that the others have let pass."""
    model, feeds = single(op, [(8, 4)])()
    for code in ("resident", "sections"):
        program = wsc.compile(model, fabric, code=code)
        prediction, run = predict(program.assembly, program.fabric), program.run(feeds)
        assert prediction.cycles == pytest.approx(run.cycles, rel=0.07)


def test_what_no_formula_covers_is_said() -> None:
    with pytest.raises(Unpredictable, match="color 'back' is no flow"):
        predict(parse(TWICE), find_fabric("4x2"))
