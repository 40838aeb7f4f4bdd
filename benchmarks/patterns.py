"""Programs that keep the simulated fabric busy, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from wsc.isa.fabric import Fabric, find_fabric
from wsc.isa.parser import parse
from wsc.isa.program import Program


@dataclass(frozen=True, slots=True)
class Pattern:
    """A program with its fabric and inputs."""

    program: Program
    fabric: Fabric
    inputs: dict[str, np.ndarray] = field(default_factory=dict)


SATURATED = """\
wsc 1
fabric "wse2" {size}
precision f32
const N = {count}
color to_east = 0
color to_west = 1
color to_south = 2
color to_north = 3
tensor got : f32[4] at 0 size 16
region all at 0,0 size {size}
route to_east in all when x == 0 : RAMP -> E
route to_east in all when (x > 0)*(x < W - 1) : W -> E
route to_east in all when x == W - 1 : W -> RAMP
route to_west in all when x == W - 1 : RAMP -> W
route to_west in all when (x > 0)*(x < W - 1) : E -> W
route to_west in all when x == 0 : E -> RAMP
route to_south in all when (x > 0)*(x < W - 1)*(y == 0) : RAMP -> S
route to_south in all when (x > 0)*(x < W - 1)*(y > 0)*(y < H - 1) : N -> S
route to_south in all when (x > 0)*(x < W - 1)*(y == H - 1) : N -> RAMP
route to_north in all when (x > 0)*(x < W - 1)*(y == H - 1) : RAMP -> N
route to_north in all when (x > 0)*(x < W - 1)*(y > 0)*(y < H - 1) : S -> N
route to_north in all when (x > 0)*(x < W - 1)*(y == 0) : S -> RAMP
main all
  if x == 0
    async 0 -> s0: mov.f32 <to_east>, 1.0 for i:N
    async 1 -> s0: mov.f32 [got], <to_west> for i:N
  end
  if x == W - 1
    async 0 -> s0: mov.f32 <to_west>, 1.0 for i:N
    async 1 -> s0: mov.f32 [got + 4], <to_east> for i:N
  end
  if (x > 0)*(x < W - 1)*(y == 0) == 1
    async 2 -> s0: mov.f32 <to_south>, 1.0 for i:N
    async 3 -> s0: mov.f32 [got + 8], <to_north> for i:N
  end
  if (x > 0)*(x < W - 1)*(y == H - 1) == 1
    async 2 -> s0: mov.f32 <to_north>, 1.0 for i:N
    async 3 -> s0: mov.f32 [got + 12], <to_south> for i:N
  end
  wait s0, 2*((x == 0) + (x == W - 1) + (x > 0)*(x < W - 1)*((y == 0) + (y == H - 1)))
end
"""

TOKENS = 16  # of the streamed multiply-accumulate
STREAMED = """\
wsc 1
fabric "wse2" {size}
precision f32
const K = {count}
const T = {tokens}
input w : f32[{count}] "float32"
color weights = 0
tensor acc : f32[{tokens}] at 0 size {bytes}
tensor act : f32[{tokens}] at {bytes} size {bytes}
region all at 0,0 size {size}
route weights in all when y < H - 1 : N -> RAMP, S
route weights in all when y == H - 1 : N -> RAMP
main all
  mov.f32 [acc + 4*i], 0.0 for i:T
  mov.f32 [act + 4*i], 1.5 for i:T
  fmac.f32 [acc + 4*i], [act + 4*i], <weights: k> for k:K, i:T
end
feed weights in all side N from w[k] for k:K
"""


def saturated(size: str, count: int) -> Pattern:
    """All rows, and all columns but the outer two, carry a wavelet a cycle both ways.

    The corners stay out of the columns: their ramps would serve two streams each.
    """
    return Pattern(parse(SATURATED.format(size=size, count=count)), find_fabric("wse2"))


def streamed(size: str, count: int) -> Pattern:
    """Weights down every column, each a multiply-accumulate over 16 tokens in every tile."""
    wide = replace(find_fabric("wse2"), io_bytes_per_cycle=1 << 20)
    weights = np.linspace(-1, 1, count, dtype=np.float32)
    text = STREAMED.format(size=size, count=count, tokens=TOKENS, bytes=4 * TOKENS)
    return Pattern(parse(text), wide, {"w": weights})


UNIFORM = """\
wsc 1
fabric "wse2" {size}
precision f32
const MESSAGES = {count}
const PAUSE = {pause}
tensor from_tile : f32[{tiles}, 8] at 0 size {bytes}
tensor words : f32[8] at {bytes} size 32
region all at 0,0 size {size}
main all
  i.add r, 12345, x*7919 + y*104729
  loop n: MESSAGES
    ; the next target, from a linear congruential generator
    i.mul r, r, 1103515245
    i.add r, r, 12345
    i.shr h, r, 16
    i.mod tx, h, W
    i.mul r, r, 1103515245
    i.add r, r, 12345
    i.shr h, r, 16
    i.mod ty, h, H
    send.f32 (tx, ty) s0: [from_tile + 32*y*W + 32*x + 4*i], [words + 4*i] for i:8
    loop p: PAUSE
      i.add idle, p, 0
    end
  end
end
"""
UNIFORM_FLITS, UNIFORM_CYCLES = 10, 34  # of a message; of the loop without its pause


def uniform(size: str, count: int, percent: int) -> Pattern:
    """Messages of ten flits, two of them headers, to random tiles over the dynamic network.

    percent: flits that each tile injects in 100 cycles, up to 29, and while the network
    takes them.
    """
    width, height = (int(part) for part in size.split("x"))
    pause = max(100 * UNIFORM_FLITS // percent - UNIFORM_CYCLES, 0)
    text = UNIFORM.format(
        size=size, count=count, pause=pause, tiles=width * height, bytes=32 * width * height
    )
    return Pattern(parse(text), find_fabric("wse2"))


PATTERNS: dict[str, Callable[[str, int], Pattern]] = {
    "saturated links": saturated,
    "streamed fmac": streamed,
    **{f"uniform load {percent} %": partial(uniform, percent=percent) for percent in (5, 15, 29)},
}
