"""Tiles as lanes: the example of docs/lanes.md, groups, and links that take longer than a cycle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.agreement import assert_agree
from tests.runtime.programs import chain, program, wide_io
from wsc import runtime
from wsc.runtime.runs import Options
from wsc.runtime.time.blocks import laned_colors
from wsc.runtime.trace import TraceRequest

PAGE = Path(__file__).parents[2] / "docs" / "lanes.md"
TEXT = """
input a : f32[4] "float32"
input b : f32[2] "float32"
color ca = 0
color cb = 1
tensor t : f32[8] at 0 size 32
region all at 0,0 size 1x1
route ca in all : W -> RAMP
route cb in all : N -> RAMP
{main}
feed ca in all side W from a[i] for i:4
feed cb in all side N from b[i] for i:2
"""


@pytest.mark.parametrize("engine", ["reference", "time"])
def test_two_colors_on_one_ramp(engine: str) -> None:
    main = PAGE.read_text(encoding="utf-8").split("```")[1]
    inputs = {"a": np.zeros(4, np.float32), "b": np.zeros(2, np.float32)}
    made = program(TEXT.format(main=main.strip()), "1x1")
    run = runtime.run(made, inputs, engine=engine, fabric=wide_io(), trace=TraceRequest("all"))
    assert run.cycles == 10
    assert run.trace is not None
    busy = [
        [tuple(entry[:2]) for entry in unit.entries.tolist() if entry[2] == 0]
        for unit in run.trace.units[1:]
    ]
    # Cycles in which it works: the start, then a row for each wavelet; it waits in cycle 6.
    assert busy == [[(2, 4), (7, 2)], [(4, 4)]]
    assert [int(color.lost[0, 0, 4]) for color in run.counters.colors] == [2, 2]
    assert [int(color.wavelets[0, 0, 4]) for color in run.counters.colors] == [4, 2]


TWO_OPERANDS = """
input a : f32[100] "float32"
input b : f32[100] "float32"
color ca = 0
color cb = 1
tensor t : f32[100] at 0 size 400
region all at 0,0 size 2x2
route ca in all when x == 0 : W -> RAMP, E
route ca in all when x == 1 : W -> RAMP
route cb in all when y == 0 : N -> RAMP, S
route cb in all when y == 1 : N -> RAMP
main all
  add.f32 [t + 4*i], <{first}>, <{second}> for i:{rows}
end
feed ca in all side W from a[i] for i:100
feed cb in all side N from b[i] for i:{fed}
"""


@pytest.mark.parametrize("io", [2, 3, 8, 64])
@pytest.mark.parametrize("order", [("ca", "cb"), ("cb", "ca")])
@pytest.mark.parametrize(("rows", "fed"), [(100, 100), (100, 70)])
def test_a_wait_is_counted_for_the_operand_that_is_late(
    io: int, order: tuple[str, str], rows: int, fed: int
) -> None:
    """Main waits for the first operand, then for the second; also where the run stands for good."""
    first, second = order
    text = TWO_OPERANDS.format(first=first, second=second, rows=rows, fed=fed)
    inputs = {name: np.zeros(100, np.float32) for name in "ab"}
    fabric = replace(wide_io(), io_bytes_per_cycle=io)
    end = assert_agree(program(text, "2x2"), inputs, fabric=fabric)
    assert end.error.startswith("Deadlock") == (fed < rows)


NOT_TAKEN = """
output z : f32[2] "float32"
color out = 0
region all at 0,0 size 1x1
route out in all : RAMP -> {side}
main all
  mov.f32 <out>, 2.0 for i:{rows}
end
drain out in all side {side} from z[i] for i:2
"""


@pytest.mark.parametrize("side", ["N", "E", "S", "W"])
@pytest.mark.parametrize("rows", [2, 3, 40])
def test_a_run_ends_where_no_transfer_takes_what_leaves(side: str, rows: int) -> None:
    end = assert_agree(program(NOT_TAKEN.format(side=side, rows=rows), "1x1"), {})
    assert end.error.startswith("Deadlock") == (rows > 2)


@pytest.mark.parametrize("fabric", ["wse2", "wse3"])
def test_colors_without_switches_go_as_lanes(fabric: str) -> None:
    """Also where links take longer than a cycle, and a turn much longer."""
    text = chain(9, 4)
    image = runtime.load(replace(text, fabric=fabric))
    assert laned_colors(image, Options()).all()
    assert not laned_colors(image, Options(delays=1)).any()


BENT = """
input a : f32[{count}] "float32"
output r : f32[{count}] "float32"
color ca = 0
color cb = 1
tensor t : f32[{count}] at 0 size {count}*4
region all at 0,0 size 3x3
route ca in all when (x == 0)*(y == 0) : W -> E
route ca in all when (x == 1)*(y == 0) : W -> S, E
route ca in all when (x == 1)*(y == 1) : N -> S
route ca in all when (x == 1)*(y == 2) : N -> E
route ca in all when (x == 2)*(y == 2) : W -> RAMP
route ca in all when (x == 2)*(y == 0) : W -> RAMP
route cb in all when (x == 2)*(y == 0) : RAMP -> S
route cb in all when (x == 2)*(y == 1) : N -> S
route cb in all when (x == 2)*(y == 2) : N -> RAMP, E
main all
  if x == 2
    if y == 0
      mov.f32 <cb>, <ca> for i:{count}
    else
      if y == 2
        add.f32 [t + 4*i], <ca>, <cb> for i:{count}
      end
    end
  end
end
feed ca in all side W when y == 0 from a[i] for i:{count}
drain cb in all side E when y == 2 from r[i] for i:{count}
"""


@pytest.mark.parametrize("rate", [1000, 1001, 1125, 1999, 2700, 65_000])
@pytest.mark.parametrize(("hop", "turn"), [(1, 0), (2, 20), (1, 1), (7, 0), (64, 0)])
def test_wavelets_on_long_ways_arrive_when_they_should(hop: int, turn: int, rate: int) -> None:
    """A tree that bends, one color behind another: the rest of a cycle that links take adds up."""
    count = 20
    fabric = replace(
        wide_io(), hop_cycles=hop, turn_cycles=turn, link_millicycles=rate, router_buffer_depth=2
    )
    given = {"a": np.arange(count, dtype=np.float32)}
    made = runtime.load(program(BENT.format(count=count), "3x3"), fabric=fabric)
    whole = assert_agree(made, given)
    assert not whole.error
    assert_agree(made, given, max_cycles=whole.cycle // 2)


def test_a_link_is_free_again_however_long_nobody_asks() -> None:
    """The cycles that a link is taken go on while the run goes over cycles without events."""
    text = """
output r : f32[2] "float32"
color east = 0
region all at 0,0 size 2x1
route east in all when x == 0 : RAMP -> E
route east in all when x == 1 : W -> E
main all
  if x == 0
    mov.f32 <east>, 1.0
    loop k: {turns}
    i.set a, 1
    end
    mov.f32 <east>, 2.0
  end
end
drain east in all side E from r[i] for i:2
"""
    fabric = replace(wide_io(), link_millicycles=30_500)
    for turns in (1, 8, 20, 30, 200):
        made = program(text.format(turns=turns), "2x1")
        assert not assert_agree(made, {}, fabric=fabric).error
