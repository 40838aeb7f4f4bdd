"""The example of docs/lanes.md: two colors, one ramp."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.agreement import assert_agree
from tests.runtime.programs import program, wide_io
from wsc import runtime
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
