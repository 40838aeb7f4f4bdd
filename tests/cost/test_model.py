"""The formulas of the cost model, each against a run of what it is the formula of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.runtime.programs import broadcast, chain, program, wide_io, with_io
from wsc import runtime
from wsc.cost.model import Bound, CostModel
from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.table import Timing
from wsc.isa.types import DType

WSE2 = find_fabric("wse2")
# Queues and buffers that hold all that is on a slow ramp.
SLOW_RAMP = replace(
    wide_io(),
    ramp_latency=5,
    router_buffer_depth=16,
    input_queues=(16,) * 8,
    output_queues=(16,) * 8,
)


def took(text: str, size: str, fabric: Fabric, statement: int = 0) -> int:
    """Cycles of a statement of main."""
    row = runtime.run(program(text, size), {}, fabric=fabric).counters.statements[statement]
    return row.end - row.start


@pytest.mark.parametrize("fabric", [wide_io(), SLOW_RAMP], ids=["wse2", "slow ramp"])
@pytest.mark.parametrize(("tiles", "words"), [(2, 8), (9, 64), (40, 200)])
def test_lines_of_tiles(fabric: Fabric, tiles: int, words: int) -> None:
    """As published: B + P + 2 T_R, and B + (2 T_R + 2)(P - 1)."""
    model, ramp = CostModel(fabric), fabric.ramp_latency
    assert model.broadcast(words, tiles) == words + tiles + 2 * ramp
    assert model.chain(words, tiles) == words + (2 * ramp + 2) * (tiles - 1)
    rows = runtime.run(broadcast(tiles, words), {}, fabric=fabric).counters.statements
    moves = [row for row in rows if row.statement.text == "mov"]
    formula = model.broadcast(words, tiles)
    assert abs(moves[2].end - moves[0].start - 2 - formula) <= max(5, 0.04 * formula)
    rows = runtime.run(chain(tiles, words), {}, fabric=fabric).counters.statements
    first = min(row.start for row in rows if row.statement.text in ("add", "mov"))
    last = max(row.end for row in rows if row.statement.text == "add")
    formula = model.chain(words, tiles)
    assert abs(last - first - 2 - formula) <= max(5, 0.04 * formula)


def test_both_ways_and_back() -> None:
    model = CostModel(WSE2.sized(9, 5))
    assert model.all_reduce(8, 1) == 0
    assert model.all_reduce(8, 9) == model.chain(8, 5) + model.broadcast(8, 5)
    assert model.all_reduce(8, 8) == model.chain(8, 4) + model.broadcast(8, 4)
    assert model.barrier() == model.all_reduce(1, 9) + model.all_reduce(1, 5) + 40
    assert model.move(0, 7) == 0
    assert model.move(100, 7) == model.barrier() + 100 + 84


VECTOR = """
tensor t : f32[900] at 0 size 3600
region all at 0,0 size 1x1
main all
  {op}
end
"""


@pytest.mark.parametrize("elements", [1, 2, 7, 64, 300])
@pytest.mark.parametrize("dtype", [DType.F32, DType.F16])
def test_a_vector_instruction(elements: int, dtype: DType) -> None:
    size = dtype.bytes
    for name, timing in (
        ("mov", Timing.MOVE),
        ("add", Timing.ARITHMETIC),
        ("div", Timing.DIVIDE),
        ("exp", Timing.SPECIAL),
    ):
        one = f"[{size}*i]"
        sources = f"{one}, {one}" if name in ("add", "div") else one
        op = f"{name}.{dtype.value} [1200 + {size}*i], {sources} for i:{elements}"
        got = took(VECTOR.format(op=op), "1x1", WSE2)
        assert got == CostModel(WSE2).vector(elements, timing, dtype), name


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16])
@pytest.mark.parametrize(("outputs", "summed", "tokens"), [(1, 1, 1), (3, 5, 8), (4, 7, 33)])
def test_a_contraction(outputs: int, summed: int, tokens: int, dtype: DType) -> None:
    op = (
        f"fmac.{dtype.value} [4*i], [1200 + {dtype.bytes}*i], [2400] "
        f"for o:{outputs}, k:{summed}, i:{tokens}"
    )
    got = took(VECTOR.format(op=op), "1x1", WSE2)
    assert got == CostModel(WSE2).contraction(outputs, summed, tokens, dtype)


FED = """
input a : f32[{ports}, 200]
region all at 0,0 size {ports}x1
color c = 0
route c in all : N -> RAMP
main all
  mov.f32 [4*i], <c> for i:200
end
feed c in all side N from a[x*200 + i] for i:200
"""


@pytest.mark.parametrize("rate", [4, 8, 12, 64])
def test_ports_share_the_bandwidth(rate: int) -> None:
    ports, model = 6, CostModel(with_io(rate))
    assert model.edge_interval(ports, DType.F32) == max(1.0, ports * 4 / rate)
    assert model.edge_interval(ports, DType.F16) == max(1.0, ports * 2 / rate)
    given = {"a": np.zeros((ports, 200), np.float32)}
    made = program(FED.format(ports=ports), f"{ports}x1")
    cycles = runtime.run(made, given, fabric=with_io(rate)).cycles
    assert abs(cycles - 200 * model.edge_interval(ports, DType.F32)) <= 12
    link, io = model.streamed(200, ports, DType.F32)
    assert (link, io) == (200, -(-200 * ports * 4 // rate))
    assert abs(cycles - max(link, io)) <= 12


@pytest.mark.parametrize(("ramp", "depth"), [(2, 4), (2, 1), (9, 2), (9, 5), (4, 5)])
def test_a_queue_holds_what_is_on_the_ramp(ramp: int, depth: int) -> None:
    fabric = replace(wide_io(), ramp_latency=ramp, input_queues=(depth,) * 8)
    interval = CostModel(fabric).queue_interval(depth)
    assert interval == max(1.0, (ramp + 1) / depth)
    made = program(FED.format(ports=1), "1x1")
    cycles = runtime.run(made, {"a": np.zeros((1, 200), np.float32)}, fabric=fabric).cycles
    assert abs(cycles - 200 * interval) <= 2 * ramp + 6


def test_the_largest_bound_is_named() -> None:
    for bound, limit in (
        (Bound(9, 2, 3), "compute"),
        (Bound(1, 7, 3), "link"),
        (Bound(1, 2, 8), "io"),
    ):
        assert bound.limit == limit
        assert bound.roofline == bound.as_dict()[limit] == max(bound.as_dict().values())


@pytest.mark.parametrize("tiles", [16, 64, 300, 750, 994])
def test_sums_in_groups_are_quicker_on_long_lines(tiles: int) -> None:
    fabric = find_fabric(f"wse2:{min(tiles, 750)}x{tiles}")
    grouped = CostModel(fabric, frozenset("y"))
    assert grouped.all_reduce_along(1, "x") == grouped.all_reduce(1, fabric.width)
    assert grouped.all_reduce_along(1, "y") < grouped.all_reduce(1, tiles)
    # Nothing is faster than the way to the middle and back.
    assert grouped.all_reduce_along(1, "y") >= tiles - 1
