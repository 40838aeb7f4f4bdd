"""Random traffic: values against NumPy, whatever the order of visits and the delays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.programs import program, wide_io
from wsc import runtime
from wsc.isa.program import Program

GATHER = """
route out in all when x < W - 1 : RAMP -> W | E -> W
route out in all when x == W - 1 : RAMP -> W
"""


def scatter(width: int, height: int, step: tuple[int, int], kind: str) -> Program:
    """Every tile sends 3 messages of 5 elements, with strides, from two units and the main
    thread, to the tile ``step`` away around the torus."""
    size = 2 if kind == "f16" else 4
    body = f"""
input a : {kind}[{height}, {width}, 45] "{ {"f16": "float16", "i32": "int32"}[kind] }"
output r : {kind}[{height}, {width}, 45] "{ {"f16": "float16", "i32": "int32"}[kind] }"
color in_ = 0
color out = 1
tensor a_ : {kind}[45] at 0 size {45 * size}
tensor b_ : {kind}[45] at {48 * size} size {45 * size}
region all at 0,0 size {width}x{height}
route in_ in all when x < W - 1 : W -> RAMP | W -> E
route in_ in all when x == W - 1 : W -> RAMP
{GATHER}
main all
  mov.{kind} [a_ + {size}*i], <in_> for i:45
  async 0 -> s1: send.{kind} ((x + {step[0]}) % W, (y + {step[1]}) % H) s0: \
[b_ + {15 * size}*j + {size}*i], [a_ + {size}*j + {3 * size}*i] for j:3, i:5
  async 1 -> s1: send.{kind} ((x + {step[0]}) % W, (y + {step[1]}) % H) s0: \
[b_ + {5 * size} + {15 * size}*j + {size}*i], [a_ + {15 * size} + {size}*j + {3 * size}*i] \
for j:3, i:5
  send.{kind} ((x + {step[0]}) % W, (y + {step[1]}) % H) s0: \
[b_ + {10 * size} + {15 * size}*j + {size}*i], [a_ + {30 * size} + {size}*j + {3 * size}*i] \
for j:3, i:5
  wait s0, 45
  mov.{kind} <out>, [b_ + {size}*i] for i:45
  if x < W - 1
    control advance <out>
  end
end
feed in_ in all side W from a[y*W*45 + n*45 + i] repeat n:{width} for i:45 then advance
drain out in all side W from r[y*W*45 + i] for i:W*45
"""
    return program(body, f"{width}x{height}")


@pytest.mark.parametrize("kind", ["f16", "i32"])
@pytest.mark.parametrize("step", [(0, 0), (1, 0), (2, 3), (3, 1)])
def test_remote_stores_from_three_units(kind: str, step: tuple[int, int]) -> None:
    width, height = 5, 4
    rng = np.random.default_rng(3)
    a = rng.integers(-999, 999, (height, width, 45)).astype({"f16": "f2", "i32": "i4"}[kind])
    want = np.zeros_like(a)
    for y in range(height):
        for x in range(width):
            block = a[y, x].reshape(3, 5, 3)  # unit, element, message
            want[(y + step[1]) % height, (x + step[0]) % width] = block.transpose(2, 0, 1).ravel()
    image = runtime.load(scatter(width, height, step, kind), wide_io())
    plain = runtime.run(image, {"a": a})
    assert (plain.outputs["r"] == want).all()
    shuffled = runtime.run(image, {"a": a}, shuffle=11)
    assert shuffled.cycles == plain.cycles
    assert shuffled.counters.as_dict() == plain.counters.as_dict()
    assert (shuffled.counters.dynamic_links == plain.counters.dynamic_links).all()
    for seed in range(5):
        assert (runtime.run(image, {"a": a}, delays=seed).outputs["r"] == want).all()
    # Each message is two headers and five elements, and every tile sends nine.
    assert plain.counters.dynamic_links[..., 4].sum() == width * height * 9 * 7


def test_operands_that_advance_with_different_names() -> None:
    body = """
input a : f32[6] "float32"
input b : f32[24] "float32"
output r : f32[6] "float32"
color ca = 0
color cb = 1
color out = 2
tensor t : f32[24] at 0 size 96
region all at 0,0 size 1x1
route ca in all : W -> RAMP
route cb in all : N -> RAMP
route out in all : RAMP -> E
main all
  mul.f32 [t + 16*n + 4*k], <ca: n>, <cb: n, k> for n:6, k:4
  mov.f32 <out: n>, [t + 16*n + 4*k] for n:6, k:4
end
feed ca in all side W from a[i] for i:6
feed cb in all side N from b[i] for i:24
drain out in all side E from r[i] for i:6
"""
    a, b = np.arange(6, dtype=np.float32), np.arange(24, dtype=np.float32)
    result = runtime.run(program(body, "1x1"), {"a": a, "b": b})
    assert (result.outputs["r"] == (a[:, None] * b.reshape(6, 4))[:, -1]).all()


def test_random_static_routes_are_determinate() -> None:
    """Colors wander over shared links of a row in both directions."""
    rng = np.random.default_rng(5)
    for _ in range(4):
        width = int(rng.integers(3, 8))
        lines, outs = [], []
        names = [f"c{k}" for k in range(6)]
        for k, name in enumerate(names):
            ends = sorted(rng.choice(width, 2, replace=False).tolist())
            east = bool(rng.integers(2))
            start, stop = ends if east else ends[::-1]
            ahead, back = ("E", "W") if east else ("W", "E")
            lines.append(f"route {name} in all when x == {start} : RAMP -> {ahead}")
            low, high = ends
            lines.append(
                f"route {name} in all when (x > {low}) * (x < {high}) : {back} -> {ahead}"
                if high - low > 1
                else ""
            )
            lines.append(f"route {name} in all when x == {stop} : {back} -> RAMP")
            outs.append((start, stop, k))
        code = []
        for start, stop, k in outs:
            unit = k
            code.append(
                f"  if x == {start}\n    async {unit}: mov.i32 <c{k}>, "
                f"[src + {400 * k} + 4*i] for i:100\n  end"
            )
            code.append(
                f"  if x == {stop}\n    async {unit} -> s0: mov.i32 "
                f"[dst + {400 * k} + 4*i], <c{k}> for i:100\n  end"
            )
        waits = [f"  if x == {stop}\n    wait s0, 1\n  end" for _, stop, _ in outs]
        show = [
            f"  if x == {stop}\n    mov.i32 <o>, [dst + {400 * k} + 4*i] for i:100\n  end"
            for _, stop, k in outs
        ]
        drains = [
            f"drain o in all side S when x == {stop} from r[{100 * k} + i] for i:100"
            for _, stop, k in outs
        ]
        fill = (
            "  mov.i32 [src + 4*i], {7} for i:600\n  loop k: 600\n    i.mul a, k, 4\n"
            "    i.store [src + a], k\n  end"
        )
        body = "\n".join(
            [
                'output r : i32[600] "int32"',
                *(f"color {n} = {k}" for k, n in enumerate(names)),
                "color o = 6",
                "tensor src : i32[600] at 0 size 2400",
                "tensor dst : i32[600] at 2400 size 2400",
                f"region all at 0,0 size {width}x1",
                *filter(None, lines),
                "route o in all : RAMP -> S",
                "main all",
                fill,
                *code,
                *waits,
                *show,
                "end",
                *drains,
                "",
            ]
        )
        image = runtime.load(program(body, f"{width}x1"), wide_io())
        plain = runtime.run(image, {})
        assert (plain.outputs["r"] == np.arange(600)).all()
        for seed in range(3):
            shuffled = runtime.run(image, {}, shuffle=seed)
            assert shuffled.cycles == plain.cycles
            assert (shuffled.counters.links == plain.counters.links).all()
            assert (shuffled.counters.stalled_input == plain.counters.stalled_input).all()
            delayed = runtime.run(image, {}, delays=seed)
            assert (delayed.outputs["r"] == plain.outputs["r"]).all()
