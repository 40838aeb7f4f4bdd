"""Main threads that go ahead of the others, and lanes on links that take longer than a cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.runtime.agreement import assert_agree
from tests.runtime.programs import chain, program, wide_io
from wsc import runtime
from wsc.runtime.runs import Options
from wsc.runtime.time.blocks import laned_colors

# The tile in the west has much to do by itself, between what it does with its units, its semaphores
# and its neighbour.
BUSY = """
output r : f32[4] "float32"
color east = 0
color out = 1
tensor t : f32[16] at 0 size 64
region all at 0,0 size 2x1
route east in all when x == 0 : RAMP -> E
route east in all when x == 1 : W -> RAMP
route out in all when x == 1 : RAMP -> E
proc step(n)
  i.add m, n, 3
  if m > 4
    i.mul m, m, 2
  end
  mov.f32 [t + 4*i], 1.0 for i:m
end
main all
  if x == 0
    loop k: 3
      call step(n = k)
      async 0 -> s0: add.f32 [t + 4*i], [t + 4*i], 1.0 for i:4
      i.set a, 5
      i.mul a, a, k
      signal s1, 2
      async 1 -> s0: mov.f32 [t + 40 + 4*i], 2.0 for i:2
      wait s1, 1
      wait s0, 2
    end
    wait s1, 3
    mov.f32 <east>, [t + 4*i] for i:4
  else
    i.set b, 7
    mov.f32 <out>, <east> for i:4
  end
end
drain out in all side E from r[i] for i:4
"""


def test_every_limit_cuts_a_thread_that_goes_ahead() -> None:
    """Whatever the limit, the counters are those of a machine that goes cycle by cycle."""
    made = runtime.load(program(BUSY, "2x1"), fabric=wide_io())
    whole = assert_agree(made, {})
    assert not whole.error
    assert whole.cycle > 60
    for limit in range(1, whole.cycle + 2, 3):
        assert_agree(made, {}, max_cycles=limit)
    assert_agree(made, {}, delays=3)


FAULTS = """
color east = 0
tensor t : f32[8] at 0 size 32
region all at 0,0 size 3x1
route east in all when x == 0 : RAMP -> E
route east in all when x == 1 : W -> RAMP
main all
  i.set p, {place}
  if x == 0
    mov.f32 <east>, 1.0
  else
    if x == 1
      mov.f32 [t], <east>
    else
      loop k: 9
        i.add p, p, 0
      end
    end
  end
  loop k: {first}*(x == 1) + {second}*(x == 2)
    i.add p, p, 0
  end
  i.load q, [p]
end
"""


@pytest.mark.parametrize("first", range(0, 12, 2))
@pytest.mark.parametrize("second", [0, 5])
def test_the_first_fault_counts_though_a_later_one_was_found_before(
    first: int, second: int
) -> None:
    """A thread may come to a fault that others forestall, in cycles or by their place."""
    text = FAULTS.format(place=1 << 24, first=first, second=second)
    end = assert_agree(program(text, "3x1"), {}, several_faults=True)
    assert "out of range" in end.error


@pytest.mark.parametrize("fabric", ["wse2", "wse3"])
def test_colors_without_switches_go_as_lanes(fabric: str) -> None:
    """Also where links take longer than a cycle, and a turn much longer."""
    text = chain(9, 4)
    image = runtime.load(replace(text, fabric=fabric))
    assert laned_colors(image, Options()).all()
    assert not laned_colors(image, Options(delays=1)).any()


TURNS = """
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
    made = runtime.load(program(TURNS.format(count=count), "3x3"), fabric=fabric)
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
