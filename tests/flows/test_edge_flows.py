"""Blocks up and down the columns, alone and beside others: predictions against runs."""

from __future__ import annotations

import numpy as np
import pytest

from wsc.cost.predict import predict
from wsc.isa.fabric import find_fabric
from wsc.isa.parser import parse
from wsc.runtime.api import run

COLLECT = """wsc 1
fabric "wse2" 1x{height}
output r : f32[{height}, {words}] "float32"
color collect = 0
tensor t : f32[{words}] at 0 size {bytes}
region all at 0,0 size 1x{height}
route collect in all when y < H - 1 : RAMP -> N | S -> N
route collect in all when y == H - 1 : RAMP -> N
proc store()
  loop turn: {late}
    i.set k, turn
  end
  mov.f32 <collect>, [t + i*4] for i:{words}
  if y < H - 1
    control advance <collect>
  else
    control reset <collect>
  end
end
main all
  call store()
end
drain collect in all side N from r[q*{words} + i] repeat q:{height} for i:{words}
"""

ENDS = "then advance final reset"
BOTH = """wsc 1
fabric "wse2" 1x{height}
input a : f32[{height}, {words}] "float32"
input b : f32[{all}] "float32"
color weights = 0
color scatter = 1
tensor t : f32[{words}] at 0 size {bytes}
tensor u : f32[{all}] at {bytes} size 4096
region all at 0,0 size 1x{height}
route weights in all when y < H - 1 : N -> RAMP, S
route weights in all when y == H - 1 : N -> RAMP
route scatter in all when y < H - 1 : N -> RAMP | N -> S
route scatter in all when y == H - 1 : N -> RAMP
proc load()
  mov.f32 [t + i*4], <scatter> for i:{words}
end
proc use()
  mov.f32 [u + i*4], <weights> for i:{all}
end
main all
  call load()
  call use()
end
feed scatter in all side N from a[q*{words} + i] repeat q:{height} for i:{words} {ends}
feed weights in all side N from b[i] for i:{all}
"""


@pytest.mark.parametrize("late", ["0", "10*y", "80 - 10*y"])
@pytest.mark.parametrize(("height", "words"), [(1, 9), (8, 1), (8, 6), (8, 8), (16, 20)])
def test_a_drain_takes_block_after_block(height: int, words: int, late: str) -> None:
    late = f"max(0, {late})"
    text = COLLECT.format(height=height, words=words, bytes=4 * words, late=late)
    program, fabric = parse(text), find_fabric("wse2").sized(1, height)
    assert predict(program, fabric).cycles == run(program, {}, fabric=fabric).cycles


@pytest.mark.parametrize("words", [1, 2, 4, 8])
@pytest.mark.parametrize("every", [5, 40, 400])
def test_words_for_all_tiles_hold_up_blocks(words: int, every: int) -> None:
    height = 20
    text = BOTH.format(height=height, words=words, bytes=4 * words, all=every, ends=ENDS)
    program, fabric = parse(text), find_fabric("wse2").sized(1, height)
    feeds = {"a": np.zeros((height, words), np.float32), "b": np.zeros(every, np.float32)}
    measured = run(program, feeds, fabric=fabric).cycles
    assert predict(program, fabric).cycles == pytest.approx(measured, rel=0.05)
