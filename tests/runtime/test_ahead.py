"""Main threads that go ahead of the others: whatever cuts a run short finds them where they are."""

from __future__ import annotations

from tests.runtime.agreement import assert_agree
from tests.runtime.programs import program, wide_io
from wsc import runtime

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
