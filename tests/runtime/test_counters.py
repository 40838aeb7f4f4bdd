"""Counters: what each statement adds sums to the run, and energy is each count at its price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.programs import program, wide_io
from wsc import runtime
from wsc.api import load
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Kind
from wsc.isa.table import Timing
from wsc.isa.types import DType
from wsc.runtime.stays import stays_of

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.wsa"))

COUNTED = """
input a : f32[20] "float32"
output r : f32[20] "float32"
color c = 0
tensor t : f32[20] at 0 size 80
region all at 0,0 size 2x1
route c in all : W -> E
main all
  if x == 0
    i.set n, 1
    fmac.f32 [4*i], [4*i], 1.0 for i:7
    add.f32 [4*i], [4*i], 1.0 for i:5
  end
end
feed c in all side W from a[i] for i:20
drain c in all side E from r[i] for i:20
"""


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_what_statements_add_sums_to_the_run(path: Path) -> None:
    loaded = load(path)
    inputs = {
        tensor.name: np.ones(tensor.shape, tensor.host)
        for tensor in loaded.assembly.edge_tensors
        if tensor.kind is Kind.INPUT
    }
    result = loaded.run(inputs)
    statements = result.counters.statements
    assert sum(item.added for item in statements) == max(item.end for item in statements)
    assert all(item.added >= 0 for item in statements)


@pytest.mark.parametrize(
    ("kind", "price", "count"),
    [
        ("multiply_accumulate", "multiply_accumulate_f32", 7),
        ("operation", "operation", 5 + 1 + 2),  # elements, i.set, and the if of both tiles
        ("sram", "sram_byte", 7 * 12 + 5 * 8),
        ("hop", "hop", 20),
        ("io", "io_byte", 80 + 80),
    ],
)
def test_each_price(kind: str, price: str, count: int) -> None:
    fabric = wide_io()
    free = dict.fromkeys(fabric.energy, 0.0)
    given = {"a": np.ones(20, np.float32)}
    fabric = replace(fabric, energy=free | {price: 3.0})
    energy = runtime.run(program(COUNTED, "2x1"), given, fabric=fabric).counters.energy
    assert energy == dict.fromkeys(energy, 0.0) | {kind: 3.0 * count}


def test_time_has_its_price_on_every_tile() -> None:
    fabric = wide_io()
    free = dict.fromkeys(fabric.energy, 0.0)
    given = {"a": np.ones(20, np.float32)}
    fabric = replace(fabric, energy=free | {"static_tile_cycle": 3.0})
    counters = runtime.run(program(COUNTED, "2x1"), given, fabric=fabric).counters
    assert counters.energy["static"] == sum(counters.energy.values()) == 3.0 * 2 * counters.cycles


REGIONS = """wsc 1
fabric "tiny" 2x1
tensor t : f32[64] at 0 size 256
region one at 0,0 size 1x1
region two at 1,0 size 1x1
main one
  mov.f32 [t + 4*i], 0.0 for i:10
  mov.f32 [t + 4*i], 1.0 for i:60
end
main two
  {loop}
  mov.f32 [t + 4*i], 0.0 for i:7
  {end}
  mov.f32 [t + 4*i], 1.0 for i:40
end
"""


@pytest.mark.parametrize(("loop", "end", "turns"), [("", "", 1), ("loop k: 3", "end", 3)])
def test_the_statements_of_every_region_have_their_own_cycles(
    loop: str, end: str, turns: int
) -> None:
    counters = runtime.run(parse(REGIONS.format(loop=loop, end=end)), {}).counters
    rows = [row for row in counters.statements if row.statement.text == "mov"]
    timing = find_fabric("tiny").timing[Timing.MOVE]
    each = {n: timing.startup + timing.row(n, DType.F32) for n in (7, 10, 40, 60)}
    assert [row.spent for row in rows] == [each[10], each[60], turns * each[7], each[40]]
    assert sum(row.added for row in counters.statements) == max(row.end for row in rows)
    assert counters.dynamic_links.shape == (1, 2, 5)  # nothing is sent, and all is counted


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_stalls_by_line_color_and_semaphore_sum_to_those_of_the_tiles(path: Path) -> None:
    loaded = load(path)
    counters = loaded.run(loaded.draw(1), engine="reference", delays=3).counters
    queues, rest = ("input", "output", "dynamic"), ("semaphore", "unit")
    main = counters.stalls
    whole = counters.stalled_input + counters.stalled_output
    assert sum(stall.cycles for stall in main if stall.cause in queues) == whole.sum()
    assert sum(stall.cycles for stall in main if stall.cause in rest) == counters.waiting.sum()
    by_color = sum((item.stalled_input for item in counters.colors), np.zeros_like(whole))
    assert (by_color == counters.stalled_input).all()
    lines = path.read_text(encoding="utf-8").splitlines()
    for stall in counters.stalls:
        assert stall.color in lines[stall.where.line - 1], stall
        if stall.cause == "semaphore":
            assert f"wait s{stall.number}" in lines[stall.where.line - 1]
    for name, item in ((item.color, item) for item in counters.colors):
        of_it = [stall for stall in main if stall.color == name]
        assert item.stalled_output.sum() == sum(s.cycles for s in of_it if s.cause == "output")


@pytest.mark.parametrize("engine", ["time", "reference"])
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_self_cycles_sum_to_those_of_the_threads(path: Path, engine: str) -> None:
    loaded = load(path)
    counters = loaded.run(loaded.draw(1), engine=engine).counters
    threads = counters.busy.size * counters.cycles - int(counters.idle.sum())
    assert sum(item.inside for item in counters.statements) == threads
    program = loaded.assembly
    if all(stays_of(program, region, 0) is None for region in program.regions):
        # Tiles go different ways: what a row has spent is a part of the whole, too.
        assert sum(item.spent for item in counters.statements) <= counters.cycles
    else:
        assert all(item.inside <= item.spent * counters.busy.size for item in counters.statements)
